//! Parser of CLIXML.

mod limits;
mod object;
mod primitive;
mod source;

pub use limits::{Limits, ReadError};

use super::Value;

/// Reads one value with the default [`Limits`]. Ignores a leading byte order mark.
pub fn read(text: &str) -> Result<Value, ReadError> {
    read_with(text, Limits::default())
}

/// Reads one value within `limits`. Accepts the `<Objs>` envelope of files and error streams if it contains
/// one value.
pub fn read_with(text: &str, limits: Limits) -> Result<Value, ReadError> {
    if text.len() > limits.size {
        return Err(ReadError::TooLarge(limits.size));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    object::Reader::new(source::Source::new(text), limits).document()
}
