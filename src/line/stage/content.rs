//! Get-Content, Set-Content and Add-Content.

use std::path::{Path, PathBuf};

use super::bind::{BoundParameters, Parameter, ParameterKind};
use super::each::{Each, Stage};
use super::file::{File, Lines, written};
use super::input::{SourceOutput, text_of};
use super::path::{self, check_drive, is_pattern, located, missing};
use crate::line::error::LineError;
use crate::psrp::clixml::Value;

pub const GET: [Parameter; 7] = [
    ("Path", ParameterKind::Positional),
    ("LiteralPath", ParameterKind::Named),
    ("Encoding", ParameterKind::Named),
    ("Raw", ParameterKind::Switch),
    ("TotalCount", ParameterKind::Named),
    ("Tail", ParameterKind::Named),
    ("Force", ParameterKind::Switch),
];

pub const SET: [Parameter; 7] = [
    ("Path", ParameterKind::Positional),
    ("Value", ParameterKind::Positional),
    ("LiteralPath", ParameterKind::Named),
    ("Encoding", ParameterKind::Named),
    ("NoNewline", ParameterKind::Switch),
    ("Force", ParameterKind::Switch),
    ("PassThru", ParameterKind::Switch),
];

/// Returns the files that -Path or -LiteralPath names, with wildcards resolved.
pub fn files(bound: &BoundParameters) -> Result<(Vec<PathBuf>, Vec<LineError>), LineError> {
    let is_literal = bound.has("LiteralPath");
    let texts = if is_literal {
        bound.names("LiteralPath")
    } else {
        bound.required("Path")?;
        bound.names("Path")
    };
    let (mut files, mut errors) = (Vec::new(), Vec::new());
    for text in texts {
        if let Err(error) = check_drive(bound.name, &text) {
            errors.push(error);
        } else if is_literal || !is_pattern(&text) {
            files.push(located(&text));
        } else {
            let found = path::matching(&text, bound.switch("Force"));
            if found.is_empty() {
                errors.push(bound.wrong(&format!(
                    "An object at the specified path {text} does not exist, or has been filtered by the \
                     -Include or -Exclude parameter."
                )));
            }
            files.extend(found);
        }
    }
    Ok((files, errors))
}

/// Reads a file's text. A missing file and a folder are errors in PowerShell's wording.
pub fn text(bound: &BoundParameters, file: &Path) -> Result<String, LineError> {
    match std::fs::metadata(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(missing(bound.name, file)),
        Ok(metadata) if metadata.is_dir() => Err(bound.wrong(&format!(
            "Unable to get content because it is a directory: '{}'. Please use 'Get-ChildItem' instead.",
            path::absolute(file).display()
        ))),
        _ => text_of(bound, file),
    }
}

/// Returns the content of all files.
pub fn get(bound: &BoundParameters) -> Result<SourceOutput, LineError> {
    check_counts(bound)?;
    let (files, errors) = files(bound)?;
    let mut found = SourceOutput { values: Vec::new(), errors };
    for file in files {
        if bound.is_stopped() {
            break;
        }
        match content(bound, &file) {
            Ok(values) => found.values.extend(values),
            Err(error) => found.errors.push(error),
        }
    }
    Ok(found)
}

fn check_counts(bound: &BoundParameters) -> Result<(), LineError> {
    for (one, other) in [("TotalCount", "Tail"), ("Raw", "Tail"), ("Raw", "TotalCount")] {
        if bound.has(one) && bound.has(other) {
            return Err(bound.wrong(&format!(
                "The parameters {one} and {other} cannot be used together. Please specify only one parameter."
            )));
        }
    }
    Ok(())
}

/// Returns lines, or the whole text with -Raw.
fn content(bound: &BoundParameters, file: &Path) -> Result<Vec<Value>, LineError> {
    let (head, tail) = (bound.count("TotalCount")?, bound.count("Tail")?);
    let text = text(bound, file)?;
    if bound.switch("Raw") {
        return Ok(if text.is_empty() { Vec::new() } else { vec![Value::String(text)] });
    }
    let skip = tail.map_or(0, |tail| text.lines().count().saturating_sub(tail));
    Ok(text.lines().skip(skip).take(head.unwrap_or(usize::MAX)).map(Value::from).collect())
}

/// Returns the stage that reads the files of the pipeline's items.
pub fn of_items(bound: BoundParameters) -> Box<dyn Stage> {
    Box::new(Each(move |value: Value, out: &mut Vec<Value>| {
        check_counts(&bound)?;
        // As in PowerShell, a text from the pipeline is not a path.
        let file = path::of_item(&value).ok_or_else(|| {
            bound.wrong(
                "The input object cannot be bound to any parameters for the command either because the \
                 command does not take pipeline input or the input and its properties do not match any of \
                 the parameters that take pipeline input.",
            )
        })?;
        out.extend(content(&bound, &file)?);
        Ok(())
    }))
}

/// Returns the stage that writes values as text.
pub fn set(bound: &BoundParameters) -> Result<Box<dyn Stage>, LineError> {
    let mut file = File::read(bound, "Path")?;
    file.append = bound.name == "Add-Content";
    let given = bound.get("Value").map(|_| bound.values("Value"));
    let passes = bound.switch("PassThru");
    let inner = written(file, Texts { given: given.clone() });
    Ok(if passes { Box::new(Passing { inner, given }) } else { inner })
}

/// Conversion of values to lines of text.
struct Texts {
    /// -Value, which replaces the input.
    given: Option<Vec<Value>>,
}

fn texts(values: &[Value]) -> Vec<String> {
    values.iter().filter(|one| !one.is_null()).map(Value::exact_text).collect()
}

impl Lines for Texts {
    fn push(&mut self, _: &mut File, value: &Value) -> Result<Vec<String>, LineError> {
        Ok(if self.given.is_some() { Vec::new() } else { texts(std::slice::from_ref(value)) })
    }

    fn finish(&mut self) -> Vec<String> {
        self.given.take().map(|values| texts(&values)).unwrap_or_default()
    }

    fn takes_lines(&self) -> bool {
        true
    }
}

/// A stage with -PassThru, which also outputs what it writes.
struct Passing {
    inner: Box<dyn Stage>,
    given: Option<Vec<Value>>,
}

impl Stage for Passing {
    fn begin(&self) -> Result<(), LineError> {
        self.inner.begin()
    }

    fn push(&mut self, value: Value, out: &mut Vec<Value>) -> Result<(), LineError> {
        if self.given.is_none() {
            out.push(value.clone());
        }
        self.inner.push(value, out)
    }

    fn finish(&mut self, out: &mut Vec<Value>) -> Result<(), LineError> {
        out.extend(self.given.take().unwrap_or_default());
        self.inner.finish(out)
    }

    fn fail(&mut self, fed: bool) {
        self.inner.fail(fed);
    }
}
