//! The person's terminal, or the pipes in its place: where output goes, in which colours, and where
//! answers come from.

use std::io::{BufRead, IsTerminal, Write};
use std::sync::{Arc, Mutex, OnceLock};

use crossterm::style::{Attribute, Color, Stylize};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Notify;

use super::progress::Progress;
pub use crate::keys::Answer;
use crate::keys::{self, Echo};

/// Columns where the terminal doesn't say.
const DEFAULT_SIZE: (u16, u16) = (120, 50);

/// Standard input, output and error of the console. Clones share them.
#[derive(Clone)]
pub struct Terminal {
    /// Whether a person sits there: input and output are a terminal.
    pub interactive: bool,
    colour: bool,
    piped: Arc<Mutex<Piped>>,
    /// Whether the last [`Terminal::write`] left the cursor behind text.
    column: Arc<Mutex<bool>>,
    lost: Arc<Lost>,
    pub progress: Progress,
}

/// Standard input where it is not a terminal.
struct Piped {
    reader: std::io::BufReader<std::io::Stdin>,
    /// Those that were read.
    lines: usize,
}

/// Output that nobody gets any more.
#[derive(Default)]
struct Lost {
    reason: OnceLock<std::io::Error>,
    noticed: Notify,
}

/// Piped input that is no text.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Unreadable {
    #[error("line {line} of the input is not UTF-8")]
    #[diagnostic(help("Save it as UTF-8; what stands before that line was run."))]
    Encoding { line: usize },
    #[error("the input can't be read")]
    Io(#[from] std::io::Error),
}

/// What a line is, for its colour; the colours are PowerShell's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    Plain,
    Error,
    Warning,
    Verbose,
    Debug,
}

impl Terminal {
    pub fn new() -> Self {
        let interactive = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
        let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        // Has the console heed escape sequences from here on; one before Windows 10 can't.
        #[cfg(windows)]
        let colour = colour && crossterm::ansi_support::supports_ansi();
        Self {
            interactive,
            colour,
            piped: Arc::new(Mutex::new(Piped {
                reader: std::io::BufReader::new(std::io::stdin()),
                lines: 0,
            })),
            column: Arc::default(),
            lost: Arc::default(),
            progress: Progress::new(interactive),
        }
    }

    /// Columns and rows.
    pub fn size(&self) -> (u16, u16) {
        let known = if std::io::stdout().is_terminal() { crossterm::terminal::size().ok() } else { None };
        known.filter(|(columns, rows)| *columns > 0 && *rows > 0).unwrap_or(DEFAULT_SIZE)
    }

    /// One line of output.
    pub fn line(&self, text: &str) {
        self.write(&format!("{text}\n"));
    }

    /// Output without an end of line of its own.
    pub fn write(&self, text: &str) {
        let shown = if self.colour { text.into() } else { without_escapes(text) };
        self.progress.suspended(|| {
            let mut out = std::io::stdout().lock();
            if let Err(error) = out.write_all(shown.as_bytes()).and_then(|()| out.flush())
                && self.lost.reason.set(error).is_ok()
            {
                self.lost.noticed.notify_one();
            }
        });
        if let Ok(mut behind) = self.column.lock()
            && let Some(last) = shown.chars().last()
        {
            *behind = last != '\n';
        }
    }

    fn styled(&self, tone: Tone, text: &str) -> String {
        match (self.colour, tone) {
            (false, _) | (_, Tone::Plain) => without_escapes(text),
            (true, Tone::Error) => text.with(Color::Red).attribute(Attribute::Bold).to_string(),
            (true, Tone::Warning | Tone::Verbose | Tone::Debug) => text.with(Color::Yellow).to_string(),
        }
    }

    /// One line in a tone: errors and their kin on standard error where output is not a terminal.
    pub fn toned(&self, tone: Tone, text: &str) {
        let styled = self.styled(tone, text);
        if self.interactive || tone == Tone::Plain {
            self.write(&format!("{styled}\n"));
        } else {
            self.progress.suspended(|| eprintln!("{styled}"));
        }
    }

    /// Ends a line that [`Terminal::write`] left open, so that a prompt begins at the margin.
    pub fn fresh_line(&self) {
        let open = self.column.lock().map(|behind| *behind).unwrap_or(false);
        if open {
            self.write("\n");
        }
    }

    /// Why output is lost, where it is.
    pub fn lost(&self) -> Option<&std::io::Error> {
        self.lost.reason.get()
    }

    /// Waits until output is lost.
    pub async fn loses(&self) {
        self.lost.noticed.notified().await;
    }

    /// The next line of piped input, without its end; `None` at the end of all.
    pub fn next_piped(&self) -> Result<Option<String>, Unreadable> {
        let Ok(mut piped) = self.piped.lock() else { return Ok(None) };
        let mut bytes = Vec::new();
        if piped.reader.read_until(b'\n', &mut bytes)? == 0 {
            return Ok(None);
        }
        piped.lines += 1;
        let line = piped.lines;
        let text = String::from_utf8(bytes).map_err(|_| Unreadable::Encoding { line })?;
        // Editors on Windows begin a file with a mark.
        let text = if line == 1 { text.trim_start_matches('\u{feff}') } else { &text };
        Ok(Some(text.trim_end_matches('\n').trim_end_matches('\r').to_owned()))
    }

    /// Asks for one line, shown as it is typed, or as stars where `mask` is set.
    pub async fn ask(&self, question: &str, mask: bool) -> Answer<SecretString> {
        self.write(question);
        let terminal = self.clone();
        let answer = tokio::task::spawn_blocking(move || {
            if terminal.interactive {
                keys::read_line(if mask { Echo::Stars } else { Echo::Text }, &mut std::io::stdout())
                    .unwrap_or(Answer::End)
            } else {
                match terminal.next_piped() {
                    Ok(Some(text)) => Answer::Given(SecretString::from(text)),
                    Ok(None) | Err(_) => Answer::End,
                }
            }
        })
        .await
        .unwrap_or(Answer::End);
        self.write("\n");
        answer
    }

    /// [`Terminal::ask`] for what is no secret.
    pub async fn ask_line(&self, question: &str) -> Answer<String> {
        match self.ask(question, false).await {
            Answer::Given(text) => Answer::Given(text.expose_secret().to_owned()),
            Answer::Interrupted => Answer::Interrupted,
            Answer::End => Answer::End,
        }
    }
}

impl Default for Terminal {
    fn default() -> Self {
        Self::new()
    }
}

/// Text without terminal escape sequences: for pipes, files and terminals without colour.
pub fn without_escapes(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter != '\u{1b}' {
            plain.push(letter);
            continue;
        }
        match letters.next() {
            // CSI: parameters, then one final letter.
            Some('[') => while letters.next().is_some_and(|next| !('\u{40}'..='\u{7e}').contains(&next)) {},
            // OSC: up to BEL or ST.
            Some(']') => {
                while let Some(next) = letters.next() {
                    if next == '\u{7}' || (next == '\u{1b}' && letters.next_if_eq(&'\\').is_some()) {
                        break;
                    }
                }
            }
            _ => {}
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_stay_out_of_pipes() {
        assert_eq!(without_escapes("\u{1b}[32;1mName\u{1b}[0m : x"), "Name : x");
        assert_eq!(without_escapes("a\u{1b}]0;title\u{7}b\u{1b}]8;;u\u{1b}\\c"), "abc");
        assert_eq!(without_escapes("\u{1b}["), "");
    }
}
