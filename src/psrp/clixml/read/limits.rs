//! Limits and errors of reading CLIXML.

/// Limits of the reader, so that bad input is an error and never a crash.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Nesting of values, including references, so that recursive functions on values are safe. PowerShell's
    /// own reader stops at 50.
    pub depth: usize,
    /// Bytes of text.
    pub size: usize,
    /// Number of values, with each reference counted as its whole target: a short text cannot represent a
    /// value that takes years to process.
    pub references: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { depth: 100, size: 256 << 20, references: 10_000_000 }
    }
}

/// Error of reading CLIXML.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The peer sent values nested beyond [`Limits::depth`]; PowerShell's own limit is 50.
    #[error("CLIXML is nested deeper than {0} values")]
    TooDeep(usize),
    /// The peer sent more text than [`Limits::size`].
    #[error("CLIXML is larger than {0} bytes")]
    TooLarge(usize),
    /// The peer sent more values than [`Limits::references`], for example references to references.
    #[error("CLIXML has more than {0} values")]
    TooManyReferences(usize),
    /// The text is not XML, or not the XML of CLIXML (MS-PSRP 2.2.5).
    #[error("CLIXML is malformed: {0}")]
    Malformed(String),
}

impl ReadError {
    pub(super) fn malformed(what: impl Into<String>) -> Self {
        Self::Malformed(what.into())
    }
}
