//! Text of local files, and the output of source cmdlets.

use std::path::Path;

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

use super::bind::Bound;
use super::path::absolute;
use crate::files::text;
use crate::line::error::LineError;
use crate::psrp::clixml::Value;

/// Maximum size of a file.
const MAX_BYTES: u64 = 256 * 1024 * 1024;

/// Output of a source cmdlet, with the errors that did not end it.
#[derive(Debug, Default)]
pub struct Sourced {
    pub values: Vec<Value>,
    pub errors: Vec<LineError>,
}

impl Sourced {
    pub fn of(values: Vec<Value>) -> Self {
        Self { values, errors: Vec::new() }
    }

    pub fn failed(error: LineError) -> Self {
        Self { values: Vec::new(), errors: vec![error] }
    }
}

/// Reads a file, decoded by its byte order mark, -Encoding, or as UTF-8.
pub fn text_of(bound: &Bound, path: &Path) -> Result<String, LineError> {
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
    let wrong = |error: std::io::Error| {
        bound.wrong(&match error.kind() {
            std::io::ErrorKind::NotFound => {
                format!("Could not find file '{}'.", absolute(path).display())
            }
            std::io::ErrorKind::PermissionDenied => {
                format!("Access to the path '{}' is denied.", path.display())
            }
            _ => format!("Cannot read '{}': {error}", path.display()),
        })
    };
    if std::fs::metadata(path).map_err(wrong)?.len() > MAX_BYTES {
        return Err(bound.wrong(&format!("'{}' is larger than 256 MiB: read it in pwsh.", path.display())));
    }
    let bytes = std::fs::read(path).map_err(wrong)?;
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
