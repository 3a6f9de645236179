//! Standard output of commands that are not shells. A reader that stops early, such as `head`, is not an
//! error. Other errors, such as a full disk, are reported at the end.

use std::io;
use std::sync::OnceLock;

use secrecy::zeroize::Zeroizing;

use crate::screen::{Stream, clean};

/// The first write error.
static FIRST_ERROR: OnceLock<io::Error> = OnceLock::new();

/// Writes a message. An error is kept for [`lost`]. Lines that are too long for the terminal are wrapped, with
/// `hang` columns of additional indentation.
pub fn message(text: &str, hang: usize) {
    keep(Stream::Output.write(&Stream::Output.message(text, hang)));
}

/// Writes data for another program unchanged. On a terminal, control characters are cleaned.
pub fn data(text: &str) -> io::Result<()> {
    if Stream::Output.is_terminal() {
        return Stream::Output.write(&clean(text, Stream::Output.colour()));
    }
    Stream::Output.write_raw(text.as_bytes())
}

/// Returns whether standard output is a terminal.
pub fn is_terminal() -> bool {
    Stream::Output.is_terminal()
}

/// Calls [`data`], and keeps an error for [`lost`].
pub fn print_data(text: &str) {
    keep(data(text));
}

fn keep(result: io::Result<()>) {
    if let Err(error) = result {
        // The first error is reported.
        let _ = FIRST_ERROR.set(error);
    }
}

/// Returns the first write error, unless the reader closed the pipe.
pub fn lost() -> Option<&'static io::Error> {
    FIRST_ERROR.get().filter(|error| error.kind() != io::ErrorKind::BrokenPipe)
}

/// Formats JSON in ASCII, because PowerShell on Windows decodes a program's output with a configurable
/// encoding.
pub fn ascii_json(value: &serde_json::Value) -> String {
    let mut line = String::new();
    escape(&value.to_string(), &mut line);
    line
}

/// Formats a value with a secret as JSON in ASCII with a line end. Every copy of the secret is wiped.
pub fn secret_line(value: &impl serde::Serialize) -> serde_json::Result<Zeroizing<String>> {
    let mut json = Wiped::default();
    serde_json::to_writer(&mut json, value)?;
    let json = String::from_utf8_lossy(&json.0);
    // A character becomes one or two `\uXXXX`, so the buffer does not grow.
    let mut line = Zeroizing::new(String::with_capacity(6 * json.len() + 1));
    escape(&json, &mut line);
    line.push('\n');
    Ok(line)
}

/// Growing buffer that wipes the memory that it frees.
#[derive(Default)]
struct Wiped(Zeroizing<Vec<u8>>);

impl std::io::Write for Wiped {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let size = self.0.len() + bytes.len();
        if size > self.0.capacity() {
            let mut larger = Zeroizing::new(Vec::with_capacity(2 * size));
            larger.extend_from_slice(&self.0);
            self.0 = larger;
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn escape(json: &str, line: &mut String) {
    for one in json.chars() {
        if one.is_ascii() {
            line.push(one);
        } else {
            let mut units = [0; 2];
            for unit in one.encode_utf16(&mut units) {
                line.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
}

/// Writes a message to standard output, in place of `print!`.
#[macro_export]
macro_rules! out {
    ($($text:tt)*) => { $crate::output::message(&format!($($text)*), 0) };
}

/// Writes a message and a line end to standard output, in place of `println!`.
#[macro_export]
macro_rules! outln {
    () => { $crate::output::message("\n", 0) };
    ($($text:tt)*) => { $crate::output::message(&format!("{}\n", format_args!($($text)*)), 0) };
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_is_ascii() {
        let value = json!({ "user": "jörg@exämple.com", "cache": "C:\\🦀" });
        let line = ascii_json(&value);
        assert!(line.is_ascii());
        assert_eq!(serde_json::from_str::<serde_json::Value>(&line).unwrap(), value);
    }

    #[test]
    fn a_secret_line_never_reallocates_its_buffer() {
        let value = json!({ "secret": "\u{1f511}\u{1}\"\u{e4}".repeat(500) });
        let line = secret_line(&value).unwrap();
        assert_eq!(*line, ascii_json(&value) + "\n");
        let json = serde_json::to_string(&value).unwrap();
        assert_eq!(line.capacity(), 6 * json.len() + 1);
    }
}
