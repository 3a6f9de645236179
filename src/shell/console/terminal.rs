//! The person's terminal, or the pipes in its place: where output goes, in which colours, and where
//! answers come from.

use std::io::{BufRead, IsTerminal};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Notify;

use super::progress::Progress;
pub use crate::keys::Answer;
use crate::keys::{self, Echo};
use crate::platform;
use crate::screen::{self, RESET, Shown, Stream, clean, without_colours};

/// How often a read of a whole line looks whether it is still wanted.
const STOP_INTERVAL: Duration = Duration::from_millis(50);
/// Columns where the terminal doesn't say.
const DEFAULT_SIZE: (u16, u16) = (120, 50);

/// Standard input, output and error of the console. Clones share them.
#[derive(Clone)]
pub struct Terminal {
    /// Whether a person sits there: input and output are a terminal.
    pub interactive: bool,
    /// Whether output goes to a terminal; otherwise it is data for another program.
    is_displayed: bool,
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

impl Tone {
    /// The SGR sequence that begins a text in this tone.
    fn sequence(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Error => "\u{1b}[31;1m",
            Self::Warning | Self::Verbose | Self::Debug => "\u{1b}[33m",
        }
    }
}

impl Terminal {
    pub fn new() -> Self {
        let is_displayed = Stream::Output.is_terminal();
        let interactive = std::io::stdin().is_terminal() && is_displayed;
        Self {
            interactive,
            is_displayed,
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
        let known = if self.is_displayed { crossterm::terminal::size().ok() } else { None };
        known.filter(|(columns, rows)| *columns > 0 && *rows > 0).unwrap_or(DEFAULT_SIZE)
    }

    /// One line of output.
    pub fn line(&self, text: &str) {
        self.write(&format!("{text}\n"));
    }

    /// Output without an end of line of its own: cleaned for a terminal, unchanged for a file or a pipe.
    pub fn write(&self, text: &str) {
        if self.is_displayed {
            self.show(&clean(text, Stream::Output.colour()));
        } else {
            self.put(text);
        }
    }

    /// What the endpoint has drawn for a terminal. In a file or a pipe, it has no colours.
    pub fn display(&self, text: &str) {
        if self.is_displayed { self.write(text) } else { self.put(&without_colours(text)) }
    }

    fn show(&self, text: &Shown) {
        self.put(text.as_str());
    }

    /// Writes text as it is.
    fn put(&self, text: &str) {
        self.progress.suspended(|| {
            if let Err(error) = Stream::Output.write_raw(text.as_bytes())
                && self.lost.reason.set(error).is_ok()
            {
                self.lost.noticed.notify_one();
            }
        });
        if let Ok(mut behind) = self.column.lock()
            && let Some(last) = text.chars().last()
        {
            *behind = last != '\n';
        }
    }

    /// A message in a tone: errors and their kin on standard error where output is not a terminal.
    pub fn toned(&self, tone: Tone, text: &str) {
        let text = match tone {
            Tone::Plain => text.to_owned(),
            _ => format!("{}{text}{RESET}", tone.sequence()),
        };
        if self.interactive || tone == Tone::Plain {
            self.show(&Stream::Output.message(&format!("{text}\n"), 0));
        } else {
            self.progress.suspended(|| screen::tell(&text));
        }
    }

    /// Clears the screen, and what has scrolled out of it.
    pub fn clear(&self) {
        if self.interactive && !screen::is_dumb() {
            self.put("\u{1b}[H\u{1b}[2J\u{1b}[3J");
        }
    }

    /// Ends a line that [`Terminal::write`] left open, so that a prompt begins at the margin.
    pub fn fresh_line(&self) {
        let open = self.column.lock().is_ok_and(|behind| *behind);
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

    /// Reads one line of a terminal that edits the line itself, until `stop` is set. `None`: it was set.
    fn whole_line(&self, stop: &AtomicBool) -> Result<Option<Answer<String>>, Unreadable> {
        loop {
            let has_rest = self.piped.lock().is_ok_and(|piped| !piped.reader.buffer().is_empty());
            if has_rest || platform::input_is_ready(STOP_INTERVAL)? {
                return Ok(Some(self.next_piped()?.map_or(Answer::End, Answer::Given)));
            }
            if stop.load(Ordering::SeqCst) {
                return Ok(None);
            }
        }
    }

    /// Asks for a line without an escape sequence: the terminal shows what is typed. `None`: `stop` was
    /// set meanwhile.
    pub async fn ask_plainly(
        &self,
        question: &str,
        stop: Arc<AtomicBool>,
    ) -> Result<Option<Answer<String>>, Unreadable> {
        self.show(&Stream::Output.message(question, 0));
        let (terminal, stopped) = (self.clone(), stop.clone());
        let mut reading = tokio::task::spawn_blocking(move || terminal.whole_line(&stopped));
        let answer = tokio::select! {
            answer = &mut reading => answer,
            _ = tokio::signal::ctrl_c() => {
                stop.store(true, Ordering::SeqCst);
                let _ = reading.await;
                self.write("\n");
                return Ok(Some(Answer::Interrupted));
            }
        };
        // The terminal has shown the end of the line.
        if let Ok(mut behind) = self.column.lock() {
            *behind = !matches!(answer, Ok(Ok(Some(Answer::Given(_)))));
        }
        answer.unwrap_or(Ok(Some(Answer::End)))
    }

    /// Asks for one line, shown as it is typed, or as stars where `mask` is set.
    pub async fn ask(&self, question: &str, mask: bool) -> Answer<SecretString> {
        if self.interactive && screen::is_dumb() && !mask {
            return match self.ask_plainly(question, Arc::default()).await {
                Ok(Some(Answer::Given(text))) => Answer::Given(SecretString::from(text)),
                Ok(Some(Answer::Interrupted)) => Answer::Interrupted,
                Ok(Some(Answer::End) | None) | Err(_) => Answer::End,
            };
        }
        self.show(&Stream::Output.message(question, 0));
        let terminal = self.clone();
        let answer = tokio::task::spawn_blocking(move || {
            if terminal.interactive {
                keys::read_line(if mask { Echo::Stars } else { Echo::Text }, Stream::Output)
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
