//! Standard output of a command that is no shell. A reader that goes early, as `head` does, is no error;
//! a disk that is full is one, and is told at the end.

use std::fmt;
use std::io::{self, Write as _};
use std::sync::OnceLock;

/// Why output was lost.
static LOST: OnceLock<io::Error> = OnceLock::new();

/// Writes to standard output; what goes wrong is kept for [`lost`].
pub fn write(text: fmt::Arguments<'_>) {
    let mut out = io::stdout().lock();
    if let Err(error) = out.write_fmt(text).and_then(|()| out.flush()) {
        // The first one says it.
        let _ = LOST.set(error);
    }
}

/// Why output could not be written, where its reader has not just gone.
pub fn lost() -> Option<&'static io::Error> {
    LOST.get().filter(|error| error.kind() != io::ErrorKind::BrokenPipe)
}

/// `print!`, without its panic.
#[macro_export]
macro_rules! out {
    ($($text:tt)*) => { $crate::output::write(format_args!($($text)*)) };
}

/// `println!`, without its panic.
#[macro_export]
macro_rules! outln {
    () => { $crate::output::write(format_args!("\n")) };
    ($($text:tt)*) => { $crate::output::write(format_args!("{}\n", format_args!($($text)*))) };
}
