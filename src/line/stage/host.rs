//! Cmdlets that the console runs itself, because they use the terminal or the state of the console.

use std::path::PathBuf;
use std::time::Duration;

use super::bind::BoundParameters;
use super::cmdlets::{Role, local_name, parameters, role};
use super::path::located;
use crate::line::common::{self, CommonParameters};
use crate::line::error::LineError;
use crate::line::evaluate::Variables;
use crate::line::number::Number;
use crate::line::syntax::{Arg, CommandLine, Element, Expr, Redirection, Statement, Stream, Target};
use crate::line::time;
use crate::psrp::clixml::Value;

/// A cmdlet of the console with its values.
#[derive(Clone, Debug, PartialEq)]
pub enum HostCommand {
    /// Write-Host.
    Write(Write),
    /// Start-Sleep.
    Sleep(Duration),
    /// Read-Host.
    Ask {
        prompt: Option<String>,
        is_masked: bool,
        is_secure: bool,
    },
    /// Set-Location; `None` for the home folder.
    Move {
        path: Option<String>,
        is_literal: bool,
        passes: bool,
    },
    /// Get-History.
    History {
        ids: Vec<usize>,
        count: Option<usize>,
    },
    StartTranscript(TranscriptFile),
    StopTranscript,
    /// Out-Host -Paging and `more`.
    Page,
}

/// Text and format of a Write-Host.
#[derive(Clone, Debug, PartialEq)]
pub struct Write {
    /// `None` if the text comes from the pipeline.
    pub text: Option<String>,
    pub separator: String,
    pub newline: bool,
    /// SGR parameters of the colours.
    pub colours: Vec<u8>,
}

/// File of a Start-Transcript.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TranscriptFile {
    pub path: Option<PathBuf>,
    pub folder: Option<PathBuf>,
    pub append: bool,
    pub no_clobber: bool,
    pub minimal: bool,
}

/// A statement split at its first cmdlet of the console.
pub struct HostPart {
    /// The part that produces the input, if any.
    pub before: Option<Statement>,
    pub command: CommandLine,
    /// The redirection of the command's own errors, if any.
    pub errors: Option<Redirection>,
    /// The part that takes the output, if any.
    pub after: Option<Statement>,
    /// Set if the text of Write-Host is output, because its stream is redirected.
    pub is_output: bool,
}

impl HostPart {
    /// Returns whether the command shows its input page by page.
    pub fn is_paging(&self) -> bool {
        matches!(local_name(&self.command.name), Some("Out-Host" | "more"))
    }
}

/// SGR parameters of System.ConsoleColor's names.
const COLOURS: [(&str, u8); 16] = [
    ("Black", 30),
    ("DarkBlue", 34),
    ("DarkGreen", 32),
    ("DarkCyan", 36),
    ("DarkRed", 31),
    ("DarkMagenta", 35),
    ("DarkYellow", 33),
    ("Gray", 37),
    ("DarkGray", 90),
    ("Blue", 94),
    ("Green", 92),
    ("Cyan", 96),
    ("Red", 91),
    ("Magenta", 95),
    ("Yellow", 93),
    ("White", 97),
];

/// Names of the colours of Write-Host.
pub fn colour_names() -> impl Iterator<Item = &'static str> {
    COLOURS.iter().map(|(name, _)| *name)
}

/// Returns whether the console runs a command itself.
fn is_host(command: &CommandLine) -> bool {
    match local_name(&command.name) {
        Some("Out-Host") => command.arguments.iter().any(|argument| {
            let Arg::Parameter { name, value } = argument else { return false };
            let is_off = matches!(value, Some(Expr::Literal(Value::Bool(false))));
            !is_off && !name.is_empty() && "paging".starts_with(&name.to_lowercase())
        }),
        Some(name) => role(name) == Role::Host,
        None => false,
    }
}

/// Splits a statement at its first cmdlet of the console.
pub fn split(statement: &Statement) -> Option<HostPart> {
    let (at, mut command) =
        statement.pipeline.iter().enumerate().find_map(|(at, element)| match element {
            Element::Command(command) if is_host(command) => Some((at, command.clone())),
            _ => None,
        })?;
    let part = |pipeline: Vec<Element>, redirections: Vec<Redirection>| Statement {
        assign: None,
        pipeline,
        redirections,
        at: statement.at,
    };
    let mut before = statement.pipeline[..at].to_vec();
    if before.is_empty() && local_name(&command.name) == Some("more") && !command.arguments.is_empty() {
        let empty = CommandLine { arguments: Vec::new(), places: Vec::new(), ..command.clone() };
        let read = std::mem::replace(&mut command, empty);
        before.push(Element::Command(CommandLine { name: "Get-Content".into(), ..read }));
    }
    let is_message = |one: &Redirection| {
        matches!(one.from, Stream::Error | Stream::Warning | Stream::Verbose | Stream::Debug)
    };
    let (messages, mut redirections): (Vec<_>, Vec<_>) =
        statement.redirections.iter().cloned().partition(is_message);
    // The syntax tree does not record which command a redirection follows, so it applies to each part, and each part
    // appends to the file of the part before it.
    let adding = |one: &Redirection| match &one.to {
        Target::File { path, .. } => {
            Redirection { to: Target::File { path: path.clone(), append: true }, ..one.clone() }
        }
        Target::Output => one.clone(),
    };
    let merged = |from| Redirection { from, to: Target::Output };
    let is_all = redirections.iter().any(|one| one.from == Stream::All);
    let own = messages.iter().find(|one| one.from == Stream::Error);
    let errors = match own {
        Some(own) if before.is_empty() => Some(own.clone()),
        Some(own) => Some(adding(own)),
        // `*>` sends all streams to the target of the output.
        None => is_all.then(|| merged(Stream::Error)),
    };
    let is_host_stream = |one: &Redirection| matches!(one.from, Stream::Information | Stream::All);
    let is_output = redirections.iter().any(is_host_stream);
    // The text becomes output, so its redirection becomes the output's.
    redirections.retain(|one| !(one.from == Stream::Information && one.to == Target::Output));
    for one in redirections.iter_mut().filter(|one| one.from == Stream::Information) {
        one.from = Stream::Output;
    }
    let rest = statement.pipeline[at + 1..].to_vec();
    let before = (!before.is_empty()).then(|| {
        let all = is_all.then(|| merged(Stream::All));
        part(before, messages.iter().cloned().chain(all).collect())
    });
    if !rest.is_empty() {
        redirections.extend(messages.iter().map(adding));
    } else if before.is_none() {
        redirections.extend(messages.into_iter().filter(|one| one.from != Stream::Error));
    }
    Some(HostPart {
        before,
        command,
        errors,
        after: (!rest.is_empty() || !redirections.is_empty()).then(|| part(rest, redirections)),
        is_output,
    })
}

impl HostCommand {
    /// Binds and evaluates the arguments of a command whose nested pipelines have run.
    pub fn read(command: &CommandLine, variables: &Variables) -> Result<(Self, CommonParameters), LineError> {
        let name = local_name(&command.name).unwrap_or("Out-Host");
        let known = parameters(name).unwrap_or_default();
        let own: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        let (command, given) = common::split_off(command, &own);
        let common = CommonParameters::read(&given, variables)?;
        let bound = BoundParameters::new(name, &command, &known, variables)?;
        let read = match name {
            "Write-Host" => Self::Write(Write::read(&bound)?),
            "Start-Sleep" => Self::Sleep(pause(&bound)?),
            "Read-Host" => Self::Ask {
                prompt: bound.text("Prompt"),
                is_masked: bound.switch("MaskInput"),
                is_secure: bound.switch("AsSecureString"),
            },
            "Set-Location" => {
                let literal = bound.text("LiteralPath");
                let is_literal = literal.is_some();
                let path = literal.or_else(|| bound.text("Path"));
                Self::Move { path, is_literal, passes: bound.switch("PassThru") }
            }
            "Get-History" => {
                let whole = |value: &Value| value.as_i64().and_then(|id| usize::try_from(id).ok());
                let ids = bound.values("Id");
                let read: Vec<usize> = ids.iter().filter_map(whole).collect();
                if read.len() < ids.len() {
                    return Err(bound.wrong("Cannot bind parameter 'Id': expected numbers."));
                }
                Self::History { ids: read, count: bound.count("Count")? }
            }
            "Start-Transcript" => {
                let path = bound.text("Path").or_else(|| bound.text("LiteralPath"));
                Self::StartTranscript(TranscriptFile {
                    path: path.map(|path| located(&path)),
                    folder: bound.text("OutputDirectory").map(|path| located(&path)),
                    append: bound.switch("Append"),
                    no_clobber: bound.switch("NoClobber"),
                    minimal: bound.switch("UseMinimalHeader"),
                })
            }
            "Stop-Transcript" => Self::StopTranscript,
            _ => Self::Page,
        };
        Ok((read, common))
    }
}

impl Write {
    fn read(bound: &BoundParameters) -> Result<Self, LineError> {
        let separator = bound.text("Separator").unwrap_or_else(|| " ".to_owned());
        let mut colours = Vec::new();
        for (parameter, offset) in [("ForegroundColor", 0), ("BackgroundColor", 10)] {
            let Some(text) = bound.text(parameter) else { continue };
            let known = COLOURS.iter().find(|(name, _)| name.eq_ignore_ascii_case(&text));
            let Some((_, code)) = known else {
                let names: Vec<&str> = colour_names().collect();
                return Err(bound.wrong(&format!(
                    "Cannot bind parameter '{parameter}'. Cannot convert value \"{text}\" to type \
                     \"System.ConsoleColor\". Specify one of: {}.",
                    names.join(", ")
                )));
            };
            colours.push(code + offset);
        }
        let text = bound.get("Object").map(|value| shown(value, &separator));
        Ok(Self { text, separator, newline: !bound.switch("NoNewline"), colours })
    }

    /// Returns each text that is written. `input`: the objects of the pipeline, if any.
    pub fn texts(&self, input: Option<&[Value]>) -> Vec<String> {
        match (&self.text, input) {
            (Some(text), _) => vec![text.clone()],
            (None, Some(values)) => values.iter().map(|value| shown(value, &self.separator)).collect(),
            (None, None) => vec![String::new()],
        }
    }
}

/// Formats an object as Write-Host does: the items of a list one after the other.
fn shown(value: &Value, separator: &str) -> String {
    if let Some(items) = value.items() {
        let items: Vec<String> = items.iter().map(|item| shown(item, separator)).collect();
        return items.join(separator);
    }
    if let Some(entries) = value.entries() {
        let entry = |(key, one): &(Value, Value)| format!("[{}, {}]", key.display_text(), one.display_text());
        return entries.iter().map(entry).collect::<Vec<_>>().join(separator);
    }
    value.display_text()
}

/// Returns the duration of a Start-Sleep.
fn pause(bound: &BoundParameters) -> Result<Duration, LineError> {
    let given = [("Seconds", 1.0), ("Milliseconds", 0.001), ("Duration", 1.0)]
        .into_iter()
        .filter_map(|(name, unit)| Some((name, unit, bound.get(name)?)))
        .collect::<Vec<_>>();
    let [(name, unit, value)] = given.as_slice() else {
        if given.is_empty() {
            bound.required("Seconds")?;
        }
        return Err(bound
            .wrong("Parameter set cannot be resolved using the specified named parameters: name one time."));
    };
    let text = value.display_text();
    let seconds = match value.primitive() {
        Value::Duration(wire) => time::ticks(wire).map(|ticks| ticks as f64 / time::SECOND as f64),
        _ if *name == "Duration" => time::ticks(&text).map(|ticks| ticks as f64 / time::SECOND as f64),
        Value::String(text) if text.trim().is_empty() => None,
        other => Number::convert(other).map(Number::as_f64),
    };
    let seconds = seconds
        .ok_or_else(|| bound.wrong(&format!("Cannot bind parameter '{name}': invalid number \"{text}\".")))?
        * unit;
    if seconds < 0.0 {
        return Err(bound.wrong(&format!(
            "Cannot validate argument on parameter '{name}'. The {text} argument is less than the minimum \
             allowed range of 0. Supply an argument that is greater than or equal to 0 and then try the \
             command again."
        )));
    }
    // PowerShell's limit is the largest Int32 in milliseconds.
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|time| time.as_millis() <= i32::MAX as u128)
        .ok_or_else(|| bound.wrong(&format!("The {text} argument of '{name}' is too large.")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::parse;

    fn parts(text: &str) -> Option<(usize, String, usize, bool)> {
        let statement = parse(text).unwrap().swap_remove(0);
        let part = split(&statement)?;
        let length = |part: &Option<Statement>| part.as_ref().map_or(0, |part| part.pipeline.len());
        Some((length(&part.before), part.command.name.clone(), length(&part.after), part.is_output))
    }

    fn read(text: &str) -> Result<HostCommand, String> {
        let statement = parse(text).unwrap().swap_remove(0);
        let part = split(&statement).expect(text);
        HostCommand::read(&part.command, &Variables::default())
            .map(|(command, _)| command)
            .map_err(|error| error.0)
    }

    #[test]
    fn a_statement_is_split_at_a_cmdlet_of_the_console() {
        assert_eq!(parts("Get-CsTenant | sort Name"), None);
        assert_eq!(parts("Read-Host x"), Some((0, "Read-Host".into(), 0, false)));
        assert_eq!(parts("1, 2 | sort | Write-Host | sort"), Some((2, "Write-Host".into(), 1, false)));
        assert_eq!(parts("Write-Host a 6>&1 | sort"), Some((0, "Write-Host".into(), 1, true)));
        assert_eq!(parts("1 | Out-Host"), None);
        assert_eq!(parts("1 | oh -Paging"), Some((1, "oh".into(), 0, false)));
        assert_eq!(parts("more file.txt"), Some((1, "more".into(), 0, false)));
    }

    #[test]
    fn redirected_messages_belong_to_each_part() {
        let streams = |text: &str| {
            let part = split(&parse(text).unwrap().swap_remove(0)).expect(text);
            let shown = |one: &Redirection| {
                let to = match &one.to {
                    Target::Output => "output",
                    Target::File { append: true, .. } => "added",
                    Target::File { append: false, .. } => "file",
                };
                format!("{:?} {to}", one.from)
            };
            let all = |part: &Option<Statement>| {
                part.as_ref().map(|part| part.redirections.iter().map(shown).collect::<Vec<_>>().join(", "))
            };
            (all(&part.before), part.errors.as_ref().map(shown), all(&part.after))
        };
        let some = |text: &str| Some(text.to_owned());
        for (text, before, errors, after) in [
            ("cd nope 2> x", None, some("Error file"), None),
            ("cd nope 2> x | sort", None, some("Error file"), some("Error added")),
            ("Get-X 2> x | more", some("Error file"), some("Error added"), None),
            (
                "Get-X 2>&1 3>&1 | Write-Host",
                some("Error output, Warning output"),
                some("Error output"),
                None,
            ),
            ("Get-X | Write-Host *> x", some("All output"), some("Error output"), some("All file")),
            ("Write-Host a 3> x", None, None, some("Warning file")),
            ("Write-Host a > x", None, None, some("Output file")),
        ] {
            assert_eq!(streams(text), (before, errors, after), "{text}");
        }
    }

    #[test]
    fn times_and_colours_are_read() {
        for (text, milliseconds) in
            [("sleep 2", 2000), ("sleep 0.5", 500), ("Start-Sleep -Milliseconds 20", 20), ("sleep -ms 7", 7)]
        {
            assert_eq!(read(text), Ok(HostCommand::Sleep(Duration::from_millis(milliseconds))), "{text}");
        }
        for (text, part) in [
            ("sleep", "missing mandatory parameters: Seconds"),
            ("sleep -5", "The -5 argument is less than the minimum allowed range of 0."),
            ("sleep 1 -Milliseconds 1", "Parameter set cannot be resolved"),
            ("sleep abc", "invalid number \"abc\""),
            ("sleep 99999999", "too large"),
            ("Write-Host x -ForegroundColor nope", "Black, DarkBlue"),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
        let Ok(HostCommand::Write(write)) = read("Write-Host a,b (1,2) c -Fore red -Back White") else {
            panic!("Write-Host");
        };
        assert_eq!(
            (write.text.as_deref(), write.colours.as_slice()),
            (Some("a b 1 2 c"), [91, 107].as_slice())
        );
        let table = Value::dictionary([("a".into(), Value::I32(1))]);
        assert_eq!(shown(&table, " "), "[a, 1]");
    }
}
