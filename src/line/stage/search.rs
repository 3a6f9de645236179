//! Select-String: lines that match a pattern.

use std::path::Path;

use super::bind::{BoundParameters, Parameter, ParameterKind};
use super::content;
use super::each::Stage;
use super::input::SourceOutput;
use super::kinds::{MATCH, is_local_file};
use super::path;
use crate::line::error::LineError;
use crate::line::operate::pattern;
use crate::line::pattern::{Pattern, captures, order};
use crate::psrp::clixml::{Name, Object, Value, type_names};

pub const PARAMETERS: [Parameter; 12] = [
    ("Pattern", ParameterKind::Positional),
    ("Path", ParameterKind::Positional),
    ("LiteralPath", ParameterKind::Named),
    ("SimpleMatch", ParameterKind::Switch),
    ("CaseSensitive", ParameterKind::Switch),
    ("NotMatch", ParameterKind::Switch),
    ("Quiet", ParameterKind::Switch),
    ("List", ParameterKind::Switch),
    ("AllMatches", ParameterKind::Switch),
    ("Raw", ParameterKind::Switch),
    ("NoEmphasis", ParameterKind::Switch),
    ("Encoding", ParameterKind::Named),
];

struct Search {
    patterns: Vec<(String, Pattern)>,
    negated: bool,
    case_sensitive: bool,
    every: bool,
    raw: bool,
}

impl Search {
    fn new(bound: &BoundParameters) -> Result<Self, LineError> {
        bound.required("Pattern")?;
        let (is_simple, case_sensitive) = (bound.switch("SimpleMatch"), bound.switch("CaseSensitive"));
        let read = |text: String| {
            let form = if is_simple { regex::escape(&text) } else { text.clone() };
            let built = pattern(&form, case_sensitive);
            let wrong = || bound.wrong(&format!("The string {text} is not a valid regular expression."));
            built
                .map(|built| (text.clone(), built))
                .map_err(|error| if error.needs_engine() { error } else { wrong() })
        };
        Ok(Self {
            patterns: bound.names("Pattern").into_iter().map(read).collect::<Result<_, _>>()?,
            negated: bound.switch("NotMatch"),
            case_sensitive,
            every: bound.switch("AllMatches"),
            raw: bound.switch("Raw"),
        })
    }

    /// Returns the match of a line, or the line itself with -Raw.
    fn line(&self, line: &str, number: usize, file: Option<&Path>) -> Option<Value> {
        let found = self.patterns.iter().find_map(|(text, pattern)| {
            let found = captures(pattern, line);
            (!found.is_empty()).then_some((text, &pattern.regex, found))
        });
        let (text, matches) = match (found, self.negated) {
            (Some((text, regex, found)), false) => {
                let most = if self.every { usize::MAX } else { 1 };
                let order = order(regex);
                (
                    text.as_str(),
                    found.iter().take(most).map(|found| part(line, regex, &order, found)).collect(),
                )
            }
            (None, true) => (self.patterns.first().map_or("", |(text, _)| text.as_str()), Vec::new()),
            _ => return None,
        };
        if self.raw {
            return Some(line.into());
        }
        let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
        let whole = file.map(|file| path::absolute(file).display().to_string());
        let shown = match file {
            None => line.to_owned(),
            Some(file) => format!("{}:{number}:{line}", relative(file)),
        };
        let stream = || "InputStream".to_owned();
        Some(
            Object {
                type_names: type_names([MATCH, "System.Object"]),
                to_string: Some(shown),
                adapted: vec![
                    ("IgnoreCase".into(), Value::Bool(!self.case_sensitive)),
                    ("LineNumber".into(), Value::I32(i32::try_from(number).unwrap_or(i32::MAX))),
                    ("Line".into(), line.into()),
                    ("Filename".into(), file.and_then(name).unwrap_or_else(stream).into()),
                    ("Path".into(), whole.unwrap_or_else(stream).into()),
                    ("Pattern".into(), text.into()),
                    ("Context".into(), Value::Null),
                    ("Matches".into(), Value::array(matches)),
                ],
                ..Object::default()
            }
            .into(),
        )
    }

    fn file(&self, bound: &BoundParameters, file: &Path, first_only: bool) -> Result<Vec<Value>, LineError> {
        let text = content::text(bound, file)?;
        let lines = text.lines().enumerate();
        let found = lines.filter_map(|(at, line)| self.line(line, at + 1, Some(file)));
        Ok(found.take(if first_only { 1 } else { usize::MAX }).collect())
    }
}

/// Returns a System.Text.RegularExpressions.Match with its groups. `order`: result of [`order`].
fn part(line: &str, regex: &regex::Regex, order: &[usize], found: &regex::Captures<'_>) -> Value {
    let names: Vec<Option<&str>> = regex.capture_names().collect();
    let groups = order.iter().enumerate().map(|(number, at)| {
        let name = names.get(*at).copied().flatten().map_or_else(|| number.to_string(), str::to_owned);
        capture("Group", line, &name, found.get(*at), Vec::new())
    });
    capture("Match", line, "0", found.get(0), vec![("Groups".into(), Value::array(groups))])
}

/// Returns a Match or a Group; its index and length count UTF-16 units.
fn capture(
    kind: &str,
    line: &str,
    name: &str,
    found: Option<regex::Match<'_>>,
    groups: Vec<(Name, Value)>,
) -> Value {
    let count = |text: &str| Value::I32(i32::try_from(text.encode_utf16().count()).unwrap_or(i32::MAX));
    let (at, text) = found.map_or((0, ""), |found| (found.start(), found.as_str()));
    let own = [
        ("Success".into(), Value::Bool(found.is_some())),
        ("Name".into(), name.into()),
        ("Index".into(), count(line.get(..at).unwrap_or_default())),
        ("Length".into(), count(text)),
        ("Value".into(), text.into()),
    ];
    Object {
        type_names: type_names([&format!("System.Text.RegularExpressions.{kind}"), "System.Object"]),
        to_string: Some(text.to_owned()),
        adapted: groups.into_iter().chain(own).collect(),
        ..Object::default()
    }
    .into()
}

/// Returns a path relative to the current folder; the absolute path of a file outside of the current folder.
fn relative(file: &Path) -> String {
    let whole = path::absolute(file);
    let below = path::folder().ok().and_then(|here| whole.strip_prefix(here).map(Path::to_owned).ok());
    below.unwrap_or(whole).display().to_string()
}

/// Searches the files of -Path.
pub fn files(bound: &BoundParameters) -> Result<SourceOutput, LineError> {
    let search = Search::new(bound)?;
    let (files, errors) = content::files(bound)?;
    let mut found = SourceOutput { values: Vec::new(), errors };
    let (quiet, list) = (bound.switch("Quiet"), bound.switch("List"));
    // A wildcard also matches folders, which have no lines.
    for file in files.iter().filter(|file| !file.is_dir()) {
        if bound.is_stopped() {
            break;
        }
        match search.file(bound, file, quiet || list) {
            Ok(values) => found.values.extend(values),
            Err(error) => found.errors.push(error),
        }
    }
    if quiet {
        let is_found = !found.values.is_empty();
        // With -List, or after an error, PowerShell outputs no False (MatchString.cs).
        let answers = is_found || !list && found.errors.is_empty();
        found.values = answers.then_some(Value::Bool(is_found)).into_iter().collect();
    }
    Ok(found)
}

struct OfInput {
    search: Search,
    bound: BoundParameters,
    /// Number of lines so far.
    lines: usize,
    done: bool,
}

/// Returns the stage that searches texts, and the files of Get-ChildItem.
pub fn of_input(bound: &BoundParameters) -> Result<Box<dyn Stage>, LineError> {
    if bound.has("Path") || bound.has("LiteralPath") {
        return Err(bound.wrong("The input object cannot be bound: the pipeline and -Path both give lines."));
    }
    Ok(Box::new(OfInput { search: Search::new(bound)?, bound: bound.clone(), lines: 0, done: false }))
}

impl Stage for OfInput {
    fn push(&mut self, value: Value, out: &mut Vec<Value>) -> Result<(), LineError> {
        if self.done {
            return Ok(());
        }
        let (quiet, list) = (self.bound.switch("Quiet"), self.bound.switch("List"));
        if let Some(file) = path::of_item(&value).filter(|_| is_local_file(&value)) {
            let is_folder = file.is_dir();
            let found =
                if is_folder { Vec::new() } else { self.search.file(&self.bound, &file, quiet || list)? };
            if quiet {
                // -Quiet outputs True or False for each file, but only True for texts.
                let is_found = !found.is_empty();
                out.extend((is_found || !list).then_some(Value::Bool(is_found)));
            } else {
                out.extend(found);
            }
            return Ok(());
        }
        self.lines += 1;
        let found = self.search.line(&value.display_text(), self.lines, None);
        if quiet && found.is_some() {
            self.done = true;
            out.push(Value::Bool(true));
        } else {
            out.extend(found);
        }
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.done
    }

    fn continues_after_error(&self) -> bool {
        true
    }
}
