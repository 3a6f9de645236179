//! Output for the user: control characters are cleaned, lines are wrapped at words, and colours are used only
//! if the terminal and the user permit them.
//!
//! Any message may contain text of an endpoint, a profile or another program, so every message is cleaned,
//! also on its way to a pipe or a file, which terminals display later. Data, which another program reads,
//! is changed only if it goes to a terminal; see [`crate::output`].

#![allow(clippy::disallowed_methods, reason = "only this module writes to the standard streams")]

mod clean;
mod log;
mod report;
mod sgr;
mod wrap;

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};

pub use clean::{Colour, Shown, clean, clean_line, is_open, is_plain, without_colours};
pub use log::{HeldLog, Log};
pub use report::{print_report, rendered};
pub use sgr::RESET;
pub use wrap::{cut, cut_start, width, wrap, wrapped};

/// Columns of a terminal with an unknown size.
const DEFAULT_COLUMNS: usize = 80;

/// Numbers of started and completed writes to the standard streams.
static BEGUN: AtomicU64 = AtomicU64::new(0);
static DONE: AtomicU64 = AtomicU64::new(0);

/// Returns the number of completed writes while a write is in progress; otherwise `None`.
pub fn writing() -> Option<u64> {
    let done = DONE.load(Ordering::SeqCst);
    (BEGUN.load(Ordering::SeqCst) > done).then_some(done)
}

/// A standard stream for output.
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

    /// Returns whether the stream displays colours.
    pub fn colour(self) -> Colour {
        if self.is_terminal() && wants_colour() { Colour::Keep } else { Colour::Drop }
    }

    /// Returns the columns of the terminal, or `None` if the stream is not a terminal.
    pub fn columns(self) -> Option<usize> {
        if !self.is_terminal() {
            return None;
        }
        let known = crossterm::terminal::size().ok().map(|(columns, _)| usize::from(columns));
        Some(known.filter(|columns| *columns > 0).unwrap_or(DEFAULT_COLUMNS))
    }

    /// Formats a message for the stream.
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

    /// Writes bytes unchanged: data, or escape sequences of lyncsh.
    pub(crate) fn write_raw(self, bytes: &[u8]) -> io::Result<()> {
        BEGUN.fetch_add(1, Ordering::SeqCst);
        let written = match self {
            Self::Output => {
                let mut out = io::stdout().lock();
                out.write_all(bytes).and_then(|()| out.flush())
            }
            Self::Error => {
                let mut out = io::stderr().lock();
                out.write_all(bytes).and_then(|()| out.flush())
            }
        };
        DONE.fetch_add(1, Ordering::SeqCst);
        written
    }
}

/// Formats a duration to the second, for example `1m 5s`.
pub fn format_seconds(duration: std::time::Duration) -> String {
    humantime::format_duration(std::time::Duration::from_secs(duration.as_secs())).to_string()
}

/// Returns whether the terminal supports no escape sequences, as in Emacs and under `expect`.
pub fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// Returns whether the user permits colours (<https://no-color.org>) and the terminal supports them.
pub fn wants_colour() -> bool {
    #[cfg(windows)]
    if !crossterm::ansi_support::supports_ansi() {
        return false;
    }
    !is_dumb() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Writes a message of one or more lines to standard error. Errors, such as a closed terminal, are ignored.
pub fn write_message(text: &str) {
    let shown = Stream::Error.message(text, 0);
    let _ = Stream::Error.write_raw(format!("{shown}\n").as_bytes());
}

/// Returns whether the user can be asked: questions go to standard error, answers come from standard input.
pub fn can_ask() -> bool {
    io::stdin().is_terminal() && Stream::Error.is_terminal()
}

/// Writes a question to standard error, without a line end.
pub fn question(text: &str) -> io::Result<()> {
    Stream::Error.write(&Stream::Error.message(text, 0))
}

/// Writes a message to standard error, in place of `eprintln!`.
#[macro_export]
macro_rules! errln {
    ($($text:tt)*) => { $crate::screen::write_message(&format!($($text)*)) };
}
