//! Reads a line from the terminal in raw mode: Ctrl-C is an answer, and a secret is not displayed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossterm::event::{Event, KeyCode, KeyEventKind, KeyModifiers};
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;

use crate::screen::{Colour, Shown, Stream, clean, width};

/// Answer of the user to a question.
#[derive(Debug)]
pub enum Answer<T> {
    Given(T),
    /// Ctrl-C.
    Interrupted,
    /// Ctrl-D, or the end of the input.
    End,
}

/// Echo of the user's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Echo {
    Text,
    Stars,
    Nothing,
}

impl Echo {
    fn width(self, letter: char) -> usize {
        match self {
            Self::Text => width(letter.encode_utf8(&mut [0; 4])),
            Self::Stars => 1,
            Self::Nothing => 0,
        }
    }

    fn show(self, out: Stream, text: &str) -> std::io::Result<()> {
        match self {
            Self::Text => out.write(&clean(text, Colour::Drop)),
            Self::Stars => out.write(&clean(&"*".repeat(text.chars().count()), Colour::Drop)),
            Self::Nothing => Ok(()),
        }
    }
}

/// Guard that keeps the terminal in raw mode.
struct Raw;

impl Raw {
    fn on() -> std::io::Result<Self> {
        crossterm::terminal::enable_raw_mode()?;
        Ok(Self)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = crossterm::terminal::disable_raw_mode();
    }
}

/// Interval at which a wait for a key checks its stop flag.
const STOP_INTERVAL: Duration = Duration::from_millis(50);

/// Waits for a letter key, or Enter, which is returned as a newline. Escape returns [`Answer::End`]; a set `stop` flag
/// ends the wait with [`Answer::Interrupted`]. Blocks.
pub fn read_key(stop: &AtomicBool) -> std::io::Result<Answer<char>> {
    let _raw = Raw::on()?;
    loop {
        if stop.load(Ordering::SeqCst) {
            return Ok(Answer::Interrupted);
        }
        if !crossterm::event::poll(STOP_INTERVAL)? {
            continue;
        }
        let Event::Key(key) = crossterm::event::read()? else { continue };
        if key.kind == KeyEventKind::Release {
            continue;
        }
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c') if control => return Ok(Answer::Interrupted),
            KeyCode::Char('j') if control => return Ok(Answer::Given('\n')),
            KeyCode::Char(letter) if !control => return Ok(Answer::Given(letter)),
            KeyCode::Enter => return Ok(Answer::Given('\n')),
            KeyCode::Esc => return Ok(Answer::End),
            _ => {}
        }
    }
}

/// Initial capacity for a typed or pasted line. A token has a few thousand bytes.
const INPUT_CAPACITY: usize = 16 * 1024;

/// Reader of one line. The terminal stops echoing at [`LineReader::start`], which must precede the question: otherwise,
/// a password that is typed immediately would be visible.
pub struct LineReader {
    _raw: Raw,
}

impl LineReader {
    pub fn start() -> std::io::Result<Self> {
        Ok(Self { _raw: Raw::on()? })
    }

    /// Reads the line and echoes it to `out`. Blocks.
    pub fn read(self, echo: Echo, out: Stream) -> std::io::Result<Answer<SecretString>> {
        read_line(echo, out)
    }
}

/// Drops the keys that were typed before.
pub fn discard_input() -> std::io::Result<()> {
    let _raw = Raw::on()?;
    while crossterm::event::poll(Duration::ZERO)? {
        crossterm::event::read()?;
    }
    Ok(())
}

/// Returns text for a terminal in raw mode, which does not convert line feeds.
pub fn with_returns(text: &Shown) -> String {
    text.as_str().replace('\n', "\r\n")
}

fn read_line(echo: Echo, out: Stream) -> std::io::Result<Answer<SecretString>> {
    let mut text = Zeroizing::new(String::with_capacity(INPUT_CAPACITY));
    loop {
        match crossterm::event::read()? {
            Event::Paste(pasted) => {
                let pasted = Zeroizing::new(pasted);
                let line = pasted.lines().next().unwrap_or_default();
                append(&mut text, line);
                echo.show(out, line)?;
            }
            Event::Key(key) if key.kind != KeyEventKind::Release => {
                let control = key.modifiers.contains(KeyModifiers::CONTROL);
                match key.code {
                    KeyCode::Enter => {
                        return Ok(Answer::Given(SecretString::from(text.as_str())));
                    }
                    // Programs that type for a user send LF as the end of a line.
                    KeyCode::Char('j') if control => {
                        return Ok(Answer::Given(SecretString::from(text.as_str())));
                    }
                    KeyCode::Char('c') if control => return Ok(Answer::Interrupted),
                    KeyCode::Char('d') if control && text.is_empty() => return Ok(Answer::End),
                    KeyCode::Char(letter) if !control => {
                        let mut bytes = [0; 4];
                        let letter = letter.encode_utf8(&mut bytes);
                        append(&mut text, letter);
                        echo.show(out, letter)?;
                    }
                    KeyCode::Backspace => {
                        if let Some(letter) = text.pop() {
                            out.write_raw("\u{8} \u{8}".repeat(echo.width(letter)).as_bytes())?;
                        }
                    }
                    _ => {}
                }
            }
            _ => {}
        }
    }
}

/// Appends to a secret. A buffer that grows by itself would leave the secret in the memory that it frees.
fn append(text: &mut Zeroizing<String>, more: &str) {
    let length = text.len() + more.len();
    if length > text.capacity() {
        let mut larger = Zeroizing::new(String::with_capacity(2 * length));
        larger.push_str(text);
        // Wipes the old buffer.
        *text = larger;
    }
    text.push_str(more);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_moves_to_a_larger_buffer() {
        let mut text = Zeroizing::new(String::with_capacity(4));
        for (more, is_moved) in [("ab", false), ("cd", false), ("e", true), ("fghij", false)] {
            let before = text.as_ptr();
            append(&mut text, more);
            assert_eq!(text.as_ptr() != before, is_moved, "{more}");
        }
        assert_eq!((text.as_str(), text.capacity()), ("abcdefghij", 10));
    }
}
