//! Log lines on standard error.

use std::io::{self, Write};

use super::{Stream, clean};

/// Standard error for the log. Each event is written in one call, and may contain text of an endpoint.
pub struct Log;

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let shown = clean(&String::from_utf8_lossy(bytes), Stream::Error.colour());
        Stream::Error.write(&shown)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
