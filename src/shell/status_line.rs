//! The foot of the terminal, where steps and progress are drawn.

use crossterm::{cursor, terminal};
use indicatif::{ProgressDrawTarget, TermLike};

use crate::screen::{self, Colour, Stream, clean};

/// Drawings a second at most.
const UPDATES: u8 = 20;
/// Columns that `^C` takes.
const INTERRUPT_ECHO: u16 = 2;

/// Where bars are drawn: on standard error, where that is a terminal.
pub fn target() -> ProgressDrawTarget {
    if Stream::Error.is_terminal() && !screen::is_dumb() {
        ProgressDrawTarget::term_like_with_hz(Box::new(Foot), UPDATES)
    } else {
        ProgressDrawTarget::hidden()
    }
}

/// Standard error, a little narrower than it is: the `^C` that a terminal shows has room behind a bar,
/// so that the cursor stays on the bar's line and the line can be cleared.
#[derive(Debug)]
struct Foot;

impl Foot {
    fn queue(command: impl crossterm::Command) -> std::io::Result<()> {
        let mut sequence = String::new();
        command.write_ansi(&mut sequence).map_err(std::io::Error::other)?;
        Stream::Error.write_raw(sequence.as_bytes())
    }
}

impl TermLike for Foot {
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

/// Moving by nothing would move by one.
fn rows<C: crossterm::Command>(n: usize, command: impl Fn(u16) -> C) -> std::io::Result<()> {
    match u16::try_from(n) {
        Ok(0) => Ok(()),
        Ok(n) => Foot::queue(command(n)),
        Err(_) => Ok(()),
    }
}
