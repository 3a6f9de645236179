//! Import-Csv and Get-Content: local sources of a pipeline.

use std::collections::HashSet;

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

use super::bind::Bound;
use super::file::located;
use crate::files::text;
use crate::line::error::LineError;
use crate::line::evaluate::Variables;
use crate::line::syntax::CommandLine;
use crate::psrp::clixml::Value;

/// Maximum size of a file.
const MAX_BYTES: u64 = 256 * 1024 * 1024;

/// Returns the values of a source cmdlet; `None` for other cmdlets.
pub fn read(
    name: &'static str,
    command: &CommandLine,
    variables: &Variables,
) -> Option<Result<Vec<Value>, LineError>> {
    let bound = || {
        let parameters = super::parameters(name).unwrap_or_default();
        Bound::new(name, command, &parameters, variables)
    };
    Some(match name {
        "Import-Csv" => bound().and_then(|bound| table(&bound)),
        "Get-Content" => bound().and_then(|bound| content(&bound)),
        _ => return None,
    })
}

/// Returns lines, or the whole text with -Raw.
fn content(bound: &Bound) -> Result<Vec<Value>, LineError> {
    let text = text(bound)?;
    if bound.switch("Raw") {
        return Ok(vec![Value::String(text)]);
    }
    Ok(text.lines().map(Value::from).collect())
}

/// Returns an object for each row. Its properties are text, named by the first row or -Header.
fn table(bound: &Bound) -> Result<Vec<Value>, LineError> {
    let delimiter = bound.text("Delimiter").unwrap_or_else(|| ",".to_owned());
    let [delimiter] = *delimiter.as_bytes() else {
        return Err(bound.wrong(&format!(
            "Invalid delimiter \"{delimiter}\": expected one character, such as ';' or \"`t\"."
        )));
    };
    let text = text(bound)?;
    // Windows PowerShell writes the type into a line above the names.
    let text = match text.strip_prefix("#TYPE ") {
        Some(rest) => rest.split_once('\n').map_or("", |(_, rest)| rest),
        None => &text,
    };
    let mut rows = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .has_headers(false)
        .flexible(true)
        .from_reader(text.as_bytes())
        .into_records();
    let mut names = bound.names("Header");
    if names.is_empty() {
        let Some(first) = rows.next() else { return Ok(Vec::new()) };
        let first = first.map_err(|error| bound.wrong(&error.to_string()))?;
        names = first.iter().map(str::to_owned).collect();
    }
    for (at, name) in names.iter_mut().enumerate() {
        if name.trim().is_empty() {
            *name = format!("H{}", at + 1);
        }
    }
    let mut known = HashSet::new();
    if let Some(twice) = names.iter().find(|name| !known.insert(name.to_lowercase())) {
        return Err(bound.wrong(&format!(
            "The member \"{twice}\" is already present: two columns have this name. Rename one, or name all with -Header."
        )));
    }
    rows.map(|row| {
        let row = row.map_err(|error| bound.wrong(&error.to_string()))?;
        let cell = |at| row.get(at).map_or(Value::Null, Value::from);
        Ok(Value::custom_object(names.iter().enumerate().map(|(at, name)| (name.clone(), cell(at)))))
    })
    .collect()
}

/// Reads the file, decoded by its byte order mark, -Encoding, or as UTF-8.
fn text(bound: &Bound) -> Result<String, LineError> {
    let known: [(&str, &Encoding); 9] = [
        ("utf8", UTF_8),
        ("utf8NoBOM", UTF_8),
        ("utf8BOM", UTF_8),
        ("ascii", UTF_8),
        ("unicode", UTF_16LE),
        ("bigendianunicode", UTF_16BE),
        ("latin1", WINDOWS_1252),
        ("ansi", WINDOWS_1252),
        ("default", WINDOWS_1252),
    ];
    let encoding = bound.one_of("Encoding", &known, UTF_8)?;
    let path = bound.text("Path").or_else(|| bound.text("LiteralPath")).filter(|path| !path.is_empty());
    let path = located(&path.ok_or_else(|| bound.wrong("-Path is missing: name the file."))?);
    let wrong = |error: std::io::Error| {
        bound.wrong(&match error.kind() {
            std::io::ErrorKind::NotFound => {
                format!(
                    "Could not find file '{}'.",
                    std::path::absolute(&path).unwrap_or(path.clone()).display()
                )
            }
            std::io::ErrorKind::PermissionDenied => {
                format!("Access to the path '{}' is denied.", path.display())
            }
            _ => format!("Cannot read '{}': {error}", path.display()),
        })
    };
    if std::fs::metadata(&path).map_err(wrong)?.len() > MAX_BYTES {
        return Err(bound.wrong(&format!("'{}' is larger than 256 MiB: read it in pwsh.", path.display())));
    }
    let bytes = std::fs::read(&path).map_err(wrong)?;
    if encoding == UTF_8 {
        return text::decode(&bytes).map_err(|error| {
            bound.wrong(&format!(
                "'{}': {error}, or pass its encoding, such as -Encoding ansi.",
                path.display()
            ))
        });
    }
    let (text, _, has_wrong) = encoding.decode(&bytes);
    if has_wrong {
        return Err(bound.wrong(&format!(
            "'{}' is not in the encoding {}: pass the encoding of the file.",
            path.display(),
            encoding.name()
        )));
    }
    Ok(text.into_owned())
}
