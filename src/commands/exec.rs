//! `lyncsh exec`: runs one command or script without a shell, in one profile or many.

mod many;
mod module;
mod results;
mod schedule;

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::sync::Arc;

use miette::{Context as _, IntoDiagnostic as _};
use module::Line;
use tokio::time::Instant;

use super::connect::{Among, ConnectError, Context};
use super::session::{self, Endings};
use super::usage::usage;
use crate::cli::{ErrorName, Exec, ExecFormat, InputName};
use crate::exit::Exit;
use crate::line::data::{self, DataFormat, InputFormat};
use crate::platform::Ending;
use crate::profile::{self, Connections, Selection};
use crate::psrp::clixml::Value;
use crate::screen;
use crate::shell::console::exec::{ErrorFormat, ExecOutput as _, Standard};
use crate::shell::console::{self, Console, Input, Refused, Script};
use crate::shell::{Attached, Losses};

impl ExecFormat {
    fn data(self) -> Option<DataFormat> {
        match self {
            Self { json: true, .. } => Some(DataFormat::Json),
            Self { jsonl: true, .. } => Some(DataFormat::JsonLines),
            Self { csv: true, .. } => Some(DataFormat::Csv),
            Self { clixml: true, .. } => Some(DataFormat::Clixml),
            _ => None,
        }
    }
}

impl From<InputName> for InputFormat {
    fn from(name: InputName) -> Self {
        match name {
            InputName::Json => Self::Json,
            InputName::Jsonl => Self::JsonLines,
            InputName::Csv => Self::Csv,
            InputName::Lines => Self::Lines,
        }
    }
}

impl From<ErrorName> for ErrorFormat {
    fn from(name: ErrorName) -> Self {
        match name {
            ErrorName::Text => Self::Text,
            ErrorName::Json => Self::Json,
        }
    }
}

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
    fn input(&self) -> Result<Input, &Refused> {
        let script = self.script.as_ref()?.clone();
        Ok(Input::Script { script, arguments: self.arguments.clone() })
    }

    /// Returns the line for PowerShell.
    fn line(&self) -> miette::Result<&Line> {
        let help = "read the input in the command, with Import-Csv or Get-Content";
        self.line.as_ref().ok_or_else(|| usage!(help = help, "--input is not for profiles of a module"))
    }
}

/// Profiles of a command line.
enum Place {
    One(String),
    Many(Selection),
}

/// Runs the command. Returns its exit code, or the highest of all profiles.
pub async fn run(context: &Context, options: Exec) -> miette::Result<ExitCode> {
    let (place, script) = place(&options)?;
    let input = match options.input {
        Some(format) => Some(input(format.into()).await?),
        None => None,
    };
    let task = task(script.as_deref(), options.line.clone(), input).await?;
    match place {
        Place::One(name) => one(context, &options, &name, task).await.map(ExitCode::from),
        Place::Many(selection) => many::run(context, &options, &selection, task).await.map(ExitCode::from),
    }
}

/// Returns the profiles and the script of the command line.
fn place(options: &Exec) -> miette::Result<(Place, Option<String>)> {
    let selection = match (options.all, &options.tag, options.profiles.as_slice()) {
        (true, ..) => Some(Selection::All),
        (_, Some(tag), _) => Some(Selection::Tag(tag.clone())),
        (.., names) => (!names.is_empty()).then(|| Selection::Names(names.to_vec())),
    };
    let mut words = options.words.iter().cloned();
    let place = match selection {
        Some(selection) => Place::Many(selection),
        None => {
            let help = "name a profile, or pass --all, --tag or --profiles";
            Place::One(words.next().ok_or_else(|| usage!(help = help, "no profile is given"))?)
        }
    };
    let script = words.next();
    if let Some(word) = words.next() {
        let help = "put a command, or a script's arguments, after `--`";
        return Err(usage!(help = help, "unexpected argument '{word}'"));
    }
    Ok((place, script))
}

/// Reads the objects of standard input.
async fn input(format: InputFormat) -> miette::Result<Vec<Value>> {
    let text = standard_input().await?;
    data::read(format, &text)
        .map_err(|reason| usage!(help = "nothing was run", "cannot read the input: {reason}"))
}

/// Reads standard input to its end, or to Ctrl-C.
async fn standard_input() -> miette::Result<String> {
    if std::io::stdin().is_terminal() {
        let help = "pass a command after `--`, a script, or redirect the input";
        return Err(usage!(help = help, "the input is a terminal"));
    }
    let read = tokio::task::spawn_blocking(console::standard_input);
    let text = tokio::select! {
        text = read => text.into_diagnostic()?,
        _ = tokio::signal::ctrl_c() => return Err(ConnectError::Ended(Ending::Interrupt).into()),
    };
    text.map_err(|error| usage!("cannot read the input: {error}"))
}

/// Reads and checks the command.
async fn task(script: Option<&str>, line: Vec<String>, input: Option<Vec<Value>>) -> miette::Result<Task> {
    let has_input = input.is_some();
    let (read, arguments, line) = match (script, line.as_slice()) {
        (Some(path), _) => {
            if !std::path::Path::new(path).exists() && !path.to_lowercase().ends_with(".ps1") {
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

/// Reports why the console cannot run a command.
fn refuse(refused: &Refused, title: &str) -> u8 {
    for line in refused.lines(title) {
        crate::errln!("{line}");
    }
    Exit::Usage.code()
}

/// Returns the connections as `exec` uses them: a session that it opens ends with it.
fn fleeting(mut connections: Connections) -> Connections {
    for profile in &mut connections.profiles {
        profile.keep = std::time::Duration::ZERO;
    }
    connections
}

/// Runs a command in one profile.
async fn one(context: &Context, options: &Exec, name: &str, task: Task) -> miette::Result<u8> {
    let connections =
        profile::connections(&context.folders, name).map_err(|error| super::meant(name, error))?;
    let connections = fleeting(connections);
    let output = Standard::new(options.output.data(), options.errors.into());
    let endings = Endings::of_process(options.timeout.map(|limit| Instant::now() + limit))?;
    if let [profile] = connections.profiles.as_slice()
        && profile.service.is_some()
    {
        let code = module::run(context, name, task.line()?, &output, endings).await?;
        output.finish().into_diagnostic().wrap_err("cannot write to standard output")?;
        return Ok(code);
    }
    let input = match task.input() {
        Ok(input) => input,
        Err(refused) => return Ok(refuse(refused, name)),
    };
    let console = Console::of_exec(&context.folders, &connections, Arc::new(output), screen::can_ask());
    let shell = async |attached: Vec<Attached>| console::run(&console, attached, input).await;
    let place = (console.host(), Losses::End);
    let among = Among::all(&connections.profiles);
    session::run_until(context, &connections, None, place, (among, endings), shell).await
}
