//! CLIXML text into values.

mod limits;
mod object;
mod primitive;
mod source;

pub use limits::{Limits, ReadError};

use super::Value;

/// Reads one value with the default [`Limits`]. A leading byte order mark is passed over.
pub fn read(text: &str) -> Result<Value, ReadError> {
    read_with(text, Limits::default())
}

/// Reads one value within `limits`. The `<Objs>` envelope of files and of error streams is passed
/// through where it holds one value.
pub fn read_with(text: &str, limits: Limits) -> Result<Value, ReadError> {
    if text.len() > limits.size {
        return Err(ReadError::TooLarge(limits.size));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    object::Reader::new(source::Source::new(text), limits).document()
}
