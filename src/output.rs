//! Standard output of commands that are not shells. A reader that stops early, such as `head`, is not an
//! error. Other errors, such as a full disk, are reported at the end.

use std::io;
use std::sync::OnceLock;

use crate::screen::{Stream, clean};

/// The first write error.
static LOST: OnceLock<io::Error> = OnceLock::new();

/// Writes a message. An error is kept for [`lost`]. Lines that are too long for the terminal are wrapped,
/// with
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
        let _ = LOST.set(error);
    }
}

/// Returns the first write error, unless the reader closed the pipe.
pub fn lost() -> Option<&'static io::Error> {
    LOST.get().filter(|error| error.kind() != io::ErrorKind::BrokenPipe)
}

/// Formats JSON in ASCII, because PowerShell on Windows decodes a program's output with a configurable
/// encoding.
pub fn ascii_json(value: &serde_json::Value) -> String {
    let mut line = String::new();
    for one in value.to_string().chars() {
        if one.is_ascii() {
            line.push(one);
        } else {
            let mut units = [0; 2];
            for unit in one.encode_utf16(&mut units) {
                line.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    line
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
}
