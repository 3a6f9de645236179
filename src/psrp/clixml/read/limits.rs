//! What is read at most, and what is wrong with what is not read.

/// Bounds of what is read, so that bad input is an error and never a crash.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Nested values, counted through references too: what walks a value recursively is safe.
    /// PowerShell's own reader stops at 50.
    pub depth: usize,
    /// Bytes of text, and of type names that references repeat.
    pub size: usize,
    /// Values, each reference counted as all that it stands for: few bytes can't stand for a value that
    /// takes years to walk.
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
    #[error("CLIXML is nested deeper than {0} values")]
    TooDeep(usize),
    #[error("CLIXML is larger than {0} bytes")]
    TooLarge(usize),
    #[error("CLIXML has more than {0} values")]
    TooManyReferences(usize),
    #[error("CLIXML is malformed: {0}")]
    Malformed(String),
}

impl ReadError {
    pub(super) fn malformed(what: impl Into<String>) -> Self {
        Self::Malformed(what.into())
    }
}
