//! Text of local files, and the output of source cmdlets.

use std::io::Read as _;
use std::path::Path;

use encoding_rs::{UTF_16BE, UTF_16LE, WINDOWS_1252};

use super::bind::BoundParameters;
use super::file::{ENCODINGS, Encoding};
use super::path::absolute;
use crate::files::text;
use crate::line::error::LineError;
use crate::psrp::clixml::Value;

/// Maximum size of a file.
const MAX_BYTES: u64 = 256 * 1024 * 1024;

/// Output of a source cmdlet, with the errors that did not end it.
#[derive(Debug, Default)]
pub struct SourceOutput {
    pub values: Vec<Value>,
    pub errors: Vec<LineError>,
}

impl SourceOutput {
    pub fn of(values: Vec<Value>) -> Self {
        Self { values, errors: Vec::new() }
    }

    pub fn failed(error: LineError) -> Self {
        Self { values: Vec::new(), errors: vec![error] }
    }
}

/// Reads and decodes a file. Its encoding is that of its byte order mark, else -Encoding, else UTF-8.
pub fn text_of(bound: &BoundParameters, path: &Path) -> Result<String, LineError> {
    let encoding = bound.one_of("Encoding", &ENCODINGS, Encoding::Utf8)?;
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
    let metadata = std::fs::metadata(path).map_err(wrong)?;
    if bound.stop.is_none() && !metadata.is_file() {
        return Err(bound.wrong(&format!("'{}' is a pipe or a device: pass it with -Path.", path.display())));
    }
    let mut bytes = Vec::new();
    if metadata.len() <= MAX_BYTES {
        // The size of a device or a pipe is not known.
        let file = std::fs::File::open(path).map_err(wrong)?;
        file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(wrong)?;
    }
    if metadata.len().max(u64::try_from(bytes.len()).unwrap_or(u64::MAX)) > MAX_BYTES {
        return Err(bound.wrong(&format!("'{}' is larger than 256 MiB: read it in pwsh.", path.display())));
    }
    let form = match encoding {
        Encoding::Utf8 | Encoding::Utf8Mark | Encoding::Ascii => {
            return text::decode(&bytes).map_err(|error| {
                bound.wrong(&format!(
                    "'{}': {error}, or pass its encoding, such as -Encoding ansi.",
                    path.display()
                ))
            });
        }
        // encoding_rs has no ISO-8859-1, only Windows-1252 of the same name.
        Encoding::Latin1 if encoding_rs::Encoding::for_bom(&bytes).is_none() => {
            return Ok(bytes.into_iter().map(char::from).collect());
        }
        Encoding::Latin1 | Encoding::Ansi => WINDOWS_1252,
        Encoding::Utf16 => UTF_16LE,
        Encoding::Utf16BigEndian => UTF_16BE,
    };
    let (text, _, has_wrong) = form.decode(&bytes);
    if has_wrong {
        return Err(bound.wrong(&format!(
            "'{}' is not in the encoding {}: pass the encoding of the file.",
            path.display(),
            form.name()
        )));
    }
    Ok(text.into_owned())
}
