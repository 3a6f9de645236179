//! Elements from a byte stream, with a maximum line length.

use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};

use super::element::Element;
use super::limits::MAX_LINE;
use crate::transport::Error;

/// Reads elements, one per line. Empty lines are skipped.
pub struct Lines<R> {
    reader: BufReader<R>,
    line: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub fn new(reader: R) -> Self {
        Self { reader: BufReader::with_capacity(64 * 1024, reader), line: Vec::new() }
    }

    /// Returns the next element; `None` at the end of the stream. An incomplete last line is ignored.
    pub async fn next(&mut self) -> Result<Option<Element>, Error> {
        loop {
            self.line.clear();
            let mut bounded = (&mut self.reader).take(MAX_LINE as u64 + 1);
            let read = bounded.read_until(b'\n', &mut self.line).await;
            read.map_err(|e| Error::Ended(e.to_string()))?;
            if self.line.last() != Some(&b'\n') {
                if self.line.len() > MAX_LINE {
                    return Err(Error::Protocol(format!("a received line is longer than {MAX_LINE} bytes")));
                }
                return Ok(None);
            }
            let line = std::str::from_utf8(&self.line)
                .map_err(|_| Error::Protocol("a received line is not UTF-8".into()))?;
            // Windows servers end lines with CR LF, and .NET may send a byte order mark first.
            let line = line.trim().trim_start_matches('\u{feff}');
            if !line.is_empty() {
                return Element::parse(line).map(Some).map_err(|error| Error::Protocol(error.to_string()));
            }
        }
    }
}
