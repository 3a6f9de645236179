//! Scripts, run as a whole or not at all: piped input, a script file, a line at the prompt.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::history::may_hold_secret;
use crate::files::text;
use crate::line::{self, CommandLine, Element, Statement};
use crate::psrp::clixml::Value;
use crate::quote::desktop;
use crate::shell::pwsh::find::Choice;

/// Maximum length of a script in bytes.
const MAX_SCRIPT_LENGTH: u64 = 16 * 1024 * 1024;
/// Maximum depth of script calls.
const MAX_CALL_DEPTH: usize = 16;

/// A script that the console can run completely.
#[derive(Clone, Debug)]
pub struct Script {
    /// The script's file, if any.
    pub path: Option<PathBuf>,
    pub steps: Vec<Step>,
    text: String,
}

/// A statement, or a call of a script file.
#[derive(Clone, Debug)]
pub enum Step {
    Statement(Statement),
    Call(CommandLine, Script),
}

impl Step {
    /// Returns whether the step changes the current folder.
    fn moves(&self) -> bool {
        let mut moves = false;
        match self {
            Self::Statement(statement) => line::walk::statement(statement, &mut |found| {
                if let line::walk::Found::Command(command) = found {
                    moves |= line::local_name(&command.name) == Some("Set-Location");
                }
            }),
            Self::Call(_, script) => moves = script.steps.iter().any(Self::moves),
        }
        moves
    }
}

/// Reasons why a script was refused.
#[derive(Clone, Debug, Default)]
pub struct Refused {
    problems: Vec<Problem>,
    /// Set for a script, not for a single typed line.
    is_script: bool,
    /// Set if a text with a problem may hold a secret.
    may_hold_secret: bool,
}

#[derive(Clone, Debug)]
struct Problem {
    /// File, line and column.
    place: String,
    message: String,
    /// The line with a mark below the column.
    excerpt: Vec<String>,
    needs_engine: bool,
}

impl Script {
    /// Parses typed or piped text.
    pub fn read(text: &str) -> Result<Self, Refused> {
        Self::parse(text, None, &mut Vec::new())
    }

    /// Builds one pipeline from words, each of which is one value.
    pub fn from_words(words: &[String]) -> Result<Self, Refused> {
        let line = line::pipeline(words).map_err(|error| {
            let text = words.join(" ");
            Refused::words(&text, error.to_string())
        })?;
        line::check(&line.statement, line.text.len())
            .map_err(|errors| Refused::read(&line.text, None, &errors))?;
        Ok(Self { path: None, steps: vec![Step::Statement(line.statement)], text: line.text })
    }

    /// Puts values before the commands of the only statement.
    pub fn with_input(self, values: Vec<Value>) -> Result<Self, Refused> {
        let text = self.text;
        let refused = || {
            let message = "the input needs a single pipeline that begins with a command".to_owned();
            Refused::words(&text, message)
        };
        let [Step::Statement(statement)] = self.steps.as_slice() else { return Err(refused()) };
        let statement = line::with_input(statement.clone(), values).ok_or_else(refused)?;
        Ok(Self { steps: vec![Step::Statement(statement)], path: self.path, text })
    }

    /// Reads standard input to its end.
    pub fn from_stdin() -> Result<Self, Refused> {
        let text = standard_input().map_err(|error| Refused::unreadable("the input", &error.to_string()))?;
        Self::read(&text).map_err(|refused| Refused { is_script: true, ..refused })
    }

    /// Reads a script file and the scripts that it calls.
    pub fn from_file(path: &Path) -> Result<Self, Refused> {
        Self::file(path, &mut Vec::new()).map_err(|refused| Refused { is_script: true, ..refused })
    }

    /// Reads a script file. `callers`: the scripts being read, outermost first.
    fn file(path: &Path, callers: &mut Vec<PathBuf>) -> Result<Self, Refused> {
        let shown = path.display().to_string();
        let whole =
            std::fs::canonicalize(path).map_err(|error| Refused::unreadable(&shown, &error.to_string()))?;
        if callers.contains(&whole) || callers.len() >= MAX_CALL_DEPTH {
            return Err(Refused::unreadable(
                &shown,
                "the script calls itself, or calls are nested too deeply",
            ));
        }
        let file = std::fs::File::open(&whole).map_err(InputError::from);
        let text = file.and_then(limited).map_err(|error| Refused::unreadable(&shown, &error.to_string()))?;
        callers.push(whole);
        let script = Self::parse(&text, Some(path), callers);
        callers.pop();
        script
    }

    fn parse(text: &str, path: Option<&Path>, callers: &mut Vec<PathBuf>) -> Result<Self, Refused> {
        let statements = line::script(text).map_err(|errors| Refused::read(text, path, &errors))?;
        let (mut steps, mut refused) = (Vec::new(), Refused::default());
        let mut moves = false;
        for statement in statements {
            match statement.pipeline.as_slice() {
                [Element::Command(command)] if line::is_script_call(command) => {
                    if moves && Path::new(&command.name).is_relative() {
                        let message = "Cannot find a script by a relative path after Set-Location, because all \
                             scripts are read first: write its whole path.";
                        let problem = Problem::at(text, path, command.at, message.to_owned(), true);
                        refused.problems.push(problem);
                        refused.may_hold_secret |= may_hold_secret(text);
                        continue;
                    }
                    match Self::file(Path::new(&command.name), callers) {
                        Ok(script) => steps.push(Step::Call(command.clone(), script)),
                        Err(more) => {
                            refused.problems.extend(more.problems);
                            refused.may_hold_secret |= more.may_hold_secret;
                        }
                    }
                }
                _ => steps.push(Step::Statement(statement)),
            }
            moves |= steps.last().is_some_and(Step::moves);
        }
        if refused.problems.is_empty() {
            Ok(Self { path: path.map(Path::to_owned), steps, text: text.to_owned() })
        } else {
            Err(refused)
        }
    }
}

impl Script {
    /// Returns the text of each step.
    pub fn pieces(&self) -> impl Iterator<Item = &str> {
        let begins = |step: &Step| match step {
            Step::Statement(statement) => statement.at,
            Step::Call(call, _) => call.at,
        };
        self.steps.iter().enumerate().map(move |(at, step)| {
            let end = self.steps.get(at + 1).map_or(self.text.len(), begins);
            self.text.get(begins(step)..end).unwrap_or_default().trim()
        })
    }

    /// Returns every command of this script and of the scripts that it calls, with its script.
    pub fn commands(&self) -> Vec<(&Self, &CommandLine)> {
        let mut commands = Vec::new();
        for step in &self.steps {
            match step {
                Step::Statement(statement) => line::walk::statement(statement, &mut |found| {
                    if let line::walk::Found::Command(command) = found {
                        commands.push((self, command));
                    }
                }),
                Step::Call(_, script) => commands.extend(script.commands()),
            }
        }
        commands
    }
}

/// Reads standard input to its end.
///
/// # Errors
/// The input cannot be read, is not text, or is too long.
pub fn standard_input() -> Result<String, InputError> {
    limited(std::io::stdin().lock())
}

/// Reads text of at most [`MAX_SCRIPT_LENGTH`] bytes.
fn limited(from: impl std::io::Read) -> Result<String, InputError> {
    let mut bytes = Vec::new();
    from.take(MAX_SCRIPT_LENGTH + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_SCRIPT_LENGTH {
        return Err(InputError::TooLong);
    }
    Ok(text::decode(&bytes)?)
}

/// Error of reading a script or standard input.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// The file or the stream cannot be read.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// More than [`MAX_SCRIPT_LENGTH`] bytes.
    #[error("longer than 16 MiB")]
    TooLong,
    /// The bytes are not text. The message names the line and the encoding to use.
    #[error(transparent)]
    NotText(#[from] text::NotText),
}

impl Problem {
    fn at(text: &str, path: Option<&Path>, at: usize, message: String, needs_engine: bool) -> Self {
        let file = path.map(|path| format!("{}: ", path.display())).unwrap_or_default();
        let (line, column) = place(text, at);
        let place = format!("{file}line {line}, column {column}: ");
        Self { place, message, excerpt: excerpt(text, line, column), needs_engine }
    }
}

/// Returns whether a text has more than one line.
fn is_long(text: &str) -> bool {
    text.trim_end().contains('\n')
}

impl Refused {
    fn unreadable(what: &str, why: &str) -> Self {
        let message = format!("cannot read {what}: {why}");
        let problem = Problem { place: String::new(), message, excerpt: Vec::new(), needs_engine: false };
        Self { problems: vec![problem], is_script: true, may_hold_secret: false }
    }

    /// Returns the refusal of a single line.
    fn words(text: &str, message: String) -> Self {
        let problems = vec![Problem::at(text, None, 0, message, false)];
        Self { problems, is_script: false, may_hold_secret: may_hold_secret(text) }
    }

    fn read(text: &str, path: Option<&Path>, errors: &[line::SyntaxError]) -> Self {
        let problem = |error: &line::SyntaxError| {
            Problem::at(text, path, error.span.start, error.message.clone(), error.needs_engine)
        };
        Self {
            problems: errors.iter().map(problem).collect(),
            is_script: is_long(text),
            may_hold_secret: may_hold_secret(text),
        }
    }

    /// Returns a refusal for commands that neither the console nor a session has.
    pub fn missing(commands: &[(&Script, &CommandLine)]) -> Self {
        let problem = |(script, command): &(&Script, &CommandLine)| {
            let message = format!("Neither the console nor the endpoint has {}.", command.name);
            Problem::at(&script.text, script.path.as_deref(), command.at, message, true)
        };
        let is_script = commands.iter().any(|(script, _)| script.path.is_some() || is_long(&script.text));
        let may_hold_secret = commands.iter().any(|(script, _)| may_hold_secret(&script.text));
        Self { problems: commands.iter().map(problem).collect(), is_script, may_hold_secret }
    }

    /// Returns whether [`Self::lines`] may contain a secret.
    pub fn may_hold_secret(&self) -> bool {
        self.may_hold_secret
    }

    /// Returns each problem, then the command for PowerShell. `title`: the profile's name; `is_recorded`: it has
    /// `transcript`.
    pub fn lines(&self, title: &str, is_recorded: bool) -> Vec<String> {
        let mut lines = Vec::new();
        for problem in &self.problems {
            lines.push(format!("{}{}", problem.place, problem.message));
            if self.is_script {
                lines.extend(problem.excerpt.iter().cloned());
            }
        }
        if self.is_script {
            lines.push("Nothing was run.".to_owned());
        }
        if self.problems.iter().any(|problem| problem.needs_engine) {
            lines.push(instead(title, is_recorded));
        }
        lines
    }
}

/// Returns the command that runs the script in PowerShell.
pub fn instead(title: &str, is_recorded: bool) -> String {
    if is_recorded {
        return "PowerShell can run it, but lyncsh does not open PowerShell for a profile with transcript."
            .to_owned();
    }
    let found = installed();
    let command = command(title, found.as_deref());
    match found {
        Some(_) => format!("PowerShell can run it: {command}"),
        None => format!(
            "PowerShell can run it, but is not installed. Install it (https://aka.ms/powershell), then run: {command}"
        ),
    }
}

/// Returns the command that opens the installed PowerShell, or PowerShell 7 if none is installed.
pub fn powershell_command(title: &str) -> String {
    command(title, installed().as_deref())
}

/// Returns the name of the installed PowerShell.
fn installed() -> Option<String> {
    let Ok(Choice::PowerShell(shell)) = Choice::of(None) else { return None };
    shell.path.file_stem().map(|name| name.to_string_lossy().into_owned())
}

fn command(title: &str, shell: Option<&str>) -> String {
    desktop::windows(&["lyncsh", title, "--shell", shell.unwrap_or("pwsh")].map(str::to_owned))
}

/// Returns the line and column of a byte, from 1.
fn place(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let begins = before.rfind('\n').map_or(0, |end| end + 1);
    (before.matches('\n').count() + 1, before[begins..].chars().count() + 1)
}

/// Returns the line with a mark below the column.
fn excerpt(text: &str, line: usize, column: usize) -> Vec<String> {
    /// Maximum number of columns shown.
    const MAX_COLUMNS: usize = 100;
    let Some(shown) = text.lines().nth(line - 1) else { return Vec::new() };
    let from = column.saturating_sub(MAX_COLUMNS * 3 / 4);
    let plain = |letter: char| if letter.is_control() { ' ' } else { letter };
    let shown: String = shown.chars().skip(from).take(MAX_COLUMNS).map(plain).collect();
    let number = line.to_string();
    vec![
        format!("  {number} | {shown}"),
        format!("  {} | {}^", " ".repeat(number.len()), " ".repeat(column - 1 - from.min(column - 1))),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> Vec<String> {
        Script::read(text).expect_err(text).lines("work", false)
    }

    #[test]
    fn each_refusal_has_line_and_column() {
        let lines = refused("$u = Get-CsOnlineUser\r\nif ($u) { 'x' }\r\n  $u.Name.ToUpper()\n");
        let wanted = [
            "line 2, column 1: 'if' needs PowerShell's script engine, which the console does not have.",
            "  2 | if ($u) { 'x' }",
            "    | ^",
            "line 3, column 18: A method needs PowerShell's script engine, which the console does not have.",
            "  3 |   $u.Name.ToUpper()",
            "    |                  ^",
            "Nothing was run.",
        ];
        assert_eq!(lines[..wanted.len()], wanted);
        assert!(lines.last().unwrap().contains("lyncsh work --shell "), "{lines:?}");
        assert!(powershell_command("my tenant").starts_with("lyncsh \"my tenant\" --shell "));
        let refused = Script::read("if ($u) { 'x' }").unwrap_err().lines("work", true);
        assert!(refused.last().unwrap().ends_with("for a profile with transcript."), "{refused:?}");
    }

    #[test]
    fn scripts_that_call_each_other_are_read_with_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        let write = |name: &str, text: &str| std::fs::write(at(name), text).unwrap();
        write("one.ps1", &format!(". {}\n'one'", at("two.ps1")));
        write("two.ps1", "'two'\nif (1) { }");
        let lines = Script::from_file(Path::new(&at("one.ps1"))).unwrap_err().lines("work", false);
        assert!(lines[0].starts_with(&format!("{}: line 2, column 1:", at("two.ps1"))), "{lines:?}");
        write("two.ps1", "'two'");
        let script = Script::from_file(Path::new(&at("one.ps1"))).unwrap();
        assert!(matches!(script.steps.as_slice(), [Step::Call(..), Step::Statement(_)]));
        write("two.ps1", &at("one.ps1"));
        let lines = Script::from_file(Path::new(&at("one.ps1"))).unwrap_err().lines("work", false);
        assert!(lines[0].contains("calls itself"), "{lines:?}");
        let lines = Script::read("./none.ps1").unwrap_err().lines("x", false);
        assert!(lines[0].contains("cannot read ./none.ps1"), "{lines:?}");
    }
}
