//! The command of `lyncsh exec`, read and checked before a session opens.

use std::io::IsTerminal as _;

use super::module::Line;
use crate::commands::shell;
use crate::commands::usage::usage;
use crate::exit::Exit;
use crate::line::data::{self, InputFormat};
use crate::profile::Connections;
use crate::psrp::clixml::Value;
use crate::shell::console::exec::ErrorFormat;
use crate::shell::console::{Input, Refused, Script};

/// A command to run, read before a session opens.
#[derive(Clone)]
pub struct Task {
    /// For the console.
    script: Result<Script, Refused>,
    arguments: Vec<String>,
    /// For PowerShell; `None` if there is input.
    line: Option<Line>,
}

impl Task {
    /// Returns the console's input.
    ///
    /// # Errors
    /// The console cannot run the command.
    pub fn input(&self) -> Result<Input, &Refused> {
        let script = self.script.as_ref()?.clone();
        Ok(Input::Script { script, arguments: self.arguments.clone() })
    }

    /// Returns the line for PowerShell.
    pub fn line(&self) -> miette::Result<&Line> {
        let help = "read the input in the command, with Import-Csv or Get-Content";
        self.line.as_ref().ok_or_else(|| {
            usage!(help = help, "cannot use --input for a profile whose module opens the session")
        })
    }
}

/// Reads the objects of standard input.
pub async fn input(format: InputFormat) -> miette::Result<Vec<Value>> {
    let text = standard_input().await?;
    data::read(format, &text)
        .map_err(|reason| usage!(help = "nothing was run", "cannot read the input: {reason}"))
}

async fn standard_input() -> miette::Result<String> {
    if std::io::stdin().is_terminal() {
        let help = "pass a command after `--`, a script, or redirect the input";
        return Err(usage!(help = help, "the input is a terminal"));
    }
    shell::standard_input().await
}

/// Reads and checks the command.
pub async fn task(
    script: Option<&str>,
    line: Vec<String>,
    input: Option<Vec<Value>>,
) -> miette::Result<Task> {
    let has_input = input.is_some();
    let (read, arguments, line) = match (script, line.as_slice()) {
        (Some(path), _) => {
            if !is_script(path) {
                let help = "put a command after `--`";
                return Err(usage!(help = help, "there is no script '{path}'"));
            }
            let call = Line::script(path, &line)?;
            (Script::from_file(std::path::Path::new(path)), line, call)
        }
        (None, []) if has_input => {
            let help = "put the command after `--`, or name a script";
            return Err(usage!(help = help, "--input needs a command"));
        }
        (None, []) => {
            let text = standard_input().await?;
            (Script::read(&text), line, Line::text(&text))
        }
        (None, [text]) => (Script::read(text), Vec::new(), Line::text(text)),
        (None, words) => (Script::from_words(words), Vec::new(), Line::words(words)),
    };
    let script = match input {
        Some(values) => read.and_then(|script| script.with_input(values)),
        None => read,
    };
    Ok(Task { script, arguments, line: (!has_input).then_some(line) })
}

/// Returns whether a word names a script, which may be missing.
pub fn is_script(word: &str) -> bool {
    std::path::Path::new(word).exists() || word.to_lowercase().ends_with(".ps1")
}

/// Reports why the console cannot run a command. Returns the exit code.
pub fn refuse(refused: &Refused, title: &str, is_recorded: bool, errors: ErrorFormat) -> u8 {
    let lines = refused.lines(title, is_recorded);
    errors.report(&lines.join("\n"), None);
    Exit::Usage.code()
}

/// Returns the connections for `exec`, without `keep`: a session that `exec` opens ends with it.
pub fn without_keep(mut connections: Connections) -> Connections {
    for profile in &mut connections.profiles {
        profile.keep = std::time::Duration::ZERO;
    }
    connections
}
