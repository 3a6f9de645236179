//! Parser of CLIXML.

mod limits;
mod object;
mod primitive;
mod source;

pub use limits::{Limits, ReadError};

use super::{Names, Value};

/// Reads one value with the default [`Limits`]. Ignores a leading byte order mark.
pub fn read(text: &str) -> Result<Value, ReadError> {
    read_shared(text, &mut Names::default())
}

/// Reads one value, as [`read`] does; its names are shared with all values that were read with the same `names`.
pub fn read_shared(text: &str, names: &mut Names) -> Result<Value, ReadError> {
    read_with(text, Limits::default(), names)
}

/// Reads one value within `limits`. Accepts the `<Objs>` envelope of files and error streams if it contains
/// one value.
pub fn read_with(text: &str, limits: Limits, names: &mut Names) -> Result<Value, ReadError> {
    if text.len() > limits.size {
        return Err(ReadError::TooLarge(limits.size));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    object::Reader::new(source::Source::new(text, names), limits).document()
}
