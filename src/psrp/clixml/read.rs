use super::Value;

/// Bounds of what is read, so that bad input is an error and never a crash.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Nested elements.
    pub depth: usize,
    /// Bytes of text.
    pub size: usize,
    /// Objects and references.
    pub references: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { depth: 100, size: 256 << 20, references: 10_000_000 }
    }
}

/// Why a text is not CLIXML.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("CLIXML is nested deeper than {0} elements")]
    TooDeep(usize),
    #[error("CLIXML is larger than {0} bytes")]
    TooLarge(usize),
    #[error("CLIXML has more than {0} objects")]
    TooManyReferences(usize),
    #[error("CLIXML is malformed: {0}")]
    Malformed(String),
}

/// Reads one value with the default [`Limits`]. A leading byte order mark is passed over.
pub fn read(text: &str) -> Result<Value, ReadError> {
    read_with(text, Limits::default())
}

/// Reads one value within `limits`.
pub fn read_with(text: &str, limits: Limits) -> Result<Value, ReadError> {
    let _ = (text, limits);
    todo!()
}
