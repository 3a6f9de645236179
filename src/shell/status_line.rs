//! The status line at the bottom of the terminal, which shows steps and progress.

use crossterm::{cursor, terminal};
use indicatif::{ProgressDrawTarget, TermLike};

use crate::screen::{self, Colour, Stream, clean};

/// Maximum redraws per second.
const UPDATES: u8 = 20;
/// Columns that `^C` takes.
const INTERRUPT_ECHO: u16 = 2;

/// Returns the draw target for bars: standard error if it is a terminal, otherwise hidden.
pub fn target() -> ProgressDrawTarget {
    if Stream::Error.is_terminal() && !screen::is_dumb() {
        ProgressDrawTarget::term_like_with_hz(Box::new(StatusLine), UPDATES)
    } else {
        ProgressDrawTarget::hidden()
    }
}

/// Standard error with reduced width. The `^C` that a terminal echoes fits behind a bar, so the cursor stays
/// on the bar's line and the line can be cleared.
#[derive(Debug)]
struct StatusLine;

impl StatusLine {
    fn queue(command: impl crossterm::Command) -> std::io::Result<()> {
        let mut sequence = String::new();
        command.write_ansi(&mut sequence).map_err(std::io::Error::other)?;
        Stream::Error.write_raw(sequence.as_bytes())
    }
}

impl TermLike for StatusLine {
    fn width(&self) -> u16 {
        let columns = crossterm::terminal::size().map_or(80, |(columns, _)| columns);
        columns.saturating_sub(INTERRUPT_ECHO + 1).max(1)
    }

    fn height(&self) -> u16 {
        crossterm::terminal::size().map_or(24, |(_, rows)| rows)
    }

    fn move_cursor_up(&self, n: usize) -> std::io::Result<()> {
        rows(n, cursor::MoveUp)
    }

    fn move_cursor_down(&self, n: usize) -> std::io::Result<()> {
        rows(n, cursor::MoveDown)
    }

    fn move_cursor_right(&self, n: usize) -> std::io::Result<()> {
        rows(n, cursor::MoveRight)
    }

    fn move_cursor_left(&self, n: usize) -> std::io::Result<()> {
        rows(n, cursor::MoveLeft)
    }

    fn write_line(&self, s: &str) -> std::io::Result<()> {
        Stream::Error.write(&clean(&format!("{s}\n"), Colour::Drop))
    }

    fn write_str(&self, s: &str) -> std::io::Result<()> {
        Stream::Error.write(&clean(s, Colour::Drop))
    }

    fn clear_line(&self) -> std::io::Result<()> {
        Self::queue(cursor::MoveToColumn(0))?;
        Self::queue(terminal::Clear(terminal::ClearType::CurrentLine))
    }

    fn flush(&self) -> std::io::Result<()> {
        // Every write is flushed.
        Ok(())
    }
}

/// Moves by `n` rows; skips 0, which terminals treat as 1.
fn rows<C: crossterm::Command>(n: usize, command: impl Fn(u16) -> C) -> std::io::Result<()> {
    match u16::try_from(n) {
        Ok(0) => Ok(()),
        Ok(n) => StatusLine::queue(command(n)),
        Err(_) => Ok(()),
    }
}
