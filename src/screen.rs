//! Everything that lyncsh writes for a user to read goes through here: cleaned of control characters, wrapped
//! at words, and coloured only where the terminal and the user want it.
//!
//! Text of an endpoint, of a profile or of another program may be in any message, so every message is cleaned,
//! also on its way to a pipe or a file: terminals display those later. Data, which another program reads,
//! is changed only where it goes to a terminal; [`crate::output`] tells the two apart.

#![allow(clippy::disallowed_methods, reason = "this is the place")]

mod clean;
mod log;
mod report;
mod sgr;
mod wrap;

use std::io::{self, IsTerminal as _, Write as _};

pub use clean::{Colour, Shown, clean, clean_line, is_open, is_plain, without_colours};
pub use log::Log;
pub use report::{print_report, rendered};
pub use sgr::RESET;
pub use wrap::{cut, cut_start, width, wrap, wrapped};

/// The columns of a terminal that does not tell.
const DEFAULT_COLUMNS: usize = 80;

/// Where text is displayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Output,
    Error,
}

impl Stream {
    pub fn is_terminal(self) -> bool {
        match self {
            Self::Output => io::stdout().is_terminal(),
            Self::Error => io::stderr().is_terminal(),
        }
    }

    /// Whether colours are displayed there.
    pub fn colour(self) -> Colour {
        if self.is_terminal() && wants_colour() { Colour::Keep } else { Colour::Drop }
    }

    /// The columns of the terminal; `None` where it is not a terminal, and lines have any length.
    pub fn columns(self) -> Option<usize> {
        if !self.is_terminal() {
            return None;
        }
        let known = crossterm::terminal::size().ok().map(|(columns, _)| usize::from(columns));
        Some(known.filter(|columns| *columns > 0).unwrap_or(DEFAULT_COLUMNS))
    }

    /// A message as it is displayed there.
    pub fn message(self, text: &str, hang: usize) -> Shown {
        match self.columns() {
            Some(columns) => clean(&wrapped(text, columns, hang), self.colour()),
            None => clean(text, self.colour()),
        }
    }

    /// Writes text that is safe to display.
    pub fn write(self, text: &Shown) -> io::Result<()> {
        self.write_raw(text.as_str().as_bytes())
    }

    /// Writes bytes as they are: data, or the terminal's own sequences.
    pub(crate) fn write_raw(self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Output => {
                let mut out = io::stdout().lock();
                out.write_all(bytes).and_then(|()| out.flush())
            }
            Self::Error => {
                let mut out = io::stderr().lock();
                out.write_all(bytes).and_then(|()| out.flush())
            }
        }
    }
}

/// Formats a duration to the second, for example `1m 5s`.
pub fn format_seconds(duration: std::time::Duration) -> String {
    humantime::format_duration(std::time::Duration::from_secs(duration.as_secs())).to_string()
}

/// Whether the terminal understands no escape sequences, as in Emacs and under `expect`.
pub fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// Whether the user wants colours (<https://no-color.org>) and the terminal has them.
pub fn wants_colour() -> bool {
    #[cfg(windows)]
    if !crossterm::ansi_support::supports_ansi() {
        return false;
    }
    !is_dumb() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Writes a message of one or more lines to standard error. A terminal that was closed loses it.
pub fn tell(text: &str) {
    let shown = Stream::Error.message(text, 0);
    let _ = Stream::Error.write_raw(format!("{shown}\n").as_bytes());
}

/// Writes a question to standard error; the cursor stays behind it.
pub fn question(text: &str) -> io::Result<()> {
    Stream::Error.write(&Stream::Error.message(text, 0))
}

/// Writes a message to standard error, in place of `eprintln!`.
#[macro_export]
macro_rules! tell {
    ($($text:tt)*) => { $crate::screen::tell(&format!($($text)*)) };
}
