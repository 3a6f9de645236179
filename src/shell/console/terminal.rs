//! The user's terminal, or the pipes in its place: destination and colours of output, source of answers.

use std::io::{BufRead, IsTerminal};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Notify;

use super::exec::ExecOutput;
use super::progress::Progress;
use super::transcript::Recorder;
use super::typed_ahead::TypedAhead;
pub use crate::keys::Answer;
use crate::keys::{self, Echo};
use crate::platform;
use crate::psrp::clixml::Value;
use crate::psrp::record::ErrorRecord;
use crate::screen::{self, RESET, Shown, Stream, clean, without_colours};

/// Interval at which a blocking read of a line checks its stop flag.
const STOP_INTERVAL: Duration = Duration::from_millis(50);
/// Columns and rows of a terminal of unknown size.
const DEFAULT_SIZE: (u16, u16) = (120, 50);

/// Standard input, output and error of the console. Clones share them.
#[derive(Clone)]
pub struct Terminal {
    /// Set if input and output are a terminal.
    pub interactive: bool,
    /// Set if output goes to a terminal; otherwise output is data for another program.
    is_displayed: bool,
    piped: Arc<Mutex<Piped>>,
    /// Set if the last [`Terminal::write`] left a line open.
    is_line_open: Arc<Mutex<bool>>,
    lost: Arc<Lost>,
    pub progress: Progress,
    /// The output of `lyncsh exec`; `None`: the standard streams.
    exec: Option<Arc<dyn ExecOutput>>,
    pub recorder: Recorder,
    pub typed_ahead: TypedAhead,
}

/// Standard input that is not a terminal.
struct Piped {
    reader: std::io::BufReader<std::io::Stdin>,
    /// Number of lines read.
    lines: usize,
}

/// First write error of standard output.
#[derive(Default)]
struct Lost {
    reason: OnceLock<std::io::Error>,
    noticed: Notify,
}

/// Error of reading piped input.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Unreadable {
    /// A line of piped input has bytes of another encoding, for example of an 8-bit code page.
    #[error("line {line} of the input is not UTF-8; the lines before it were run")]
    #[diagnostic(help("save the input as UTF-8"))]
    Encoding { line: usize },
    /// The system refused to read standard input.
    #[error("cannot read the input")]
    Io(#[from] std::io::Error),
}

/// Kind of a line, for its colour; the colours are PowerShell's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    Plain,
    Error,
    Warning,
    Verbose,
    Debug,
}

impl Tone {
    /// Returns the SGR sequence of this tone.
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
            is_line_open: Arc::default(),
            lost: Arc::default(),
            progress: Progress::new(interactive),
            recorder: Recorder::default(),
            typed_ahead: TypedAhead::default(),
            exec: None,
        }
    }

    /// Returns the terminal of `lyncsh exec`. `can_ask`: whether the endpoint may ask the user.
    pub fn of_exec(output: Arc<dyn ExecOutput>, can_ask: bool) -> Self {
        let terminal = Self::new();
        let interactive = terminal.interactive && can_ask;
        Self { interactive, progress: Progress::new(interactive), exec: Some(output), ..terminal }
    }

    /// Returns whether lines are typed here: a terminal, and not that of `lyncsh exec`.
    pub fn is_prompt(&self) -> bool {
        self.interactive && self.exec.is_none()
    }

    /// Returns whether other commands run in this process at the same time.
    pub fn is_one_of_many(&self) -> bool {
        self.exec.as_ref().is_some_and(|exec| exec.is_one_of_many())
    }

    /// Returns whether objects are written as data instead of being drawn.
    pub fn takes_objects(&self) -> bool {
        self.exec.as_ref().is_some_and(|exec| exec.takes_objects())
    }

    /// Writes an object as data.
    pub fn object(&self, value: &Value) {
        if let Some(exec) = &self.exec {
            if self.recorder.is_active() {
                self.report(self.recorder.output(&format!("{}\n", crate::line::data::json(value))));
            }
            self.keep(exec.object(value));
        }
    }

    /// Writes buffered data.
    pub fn flush(&self) {
        if let Some(exec) = &self.exec {
            self.keep(exec.flush());
        }
    }

    /// Ends the data.
    pub fn finish(&self) {
        if let Some(exec) = &self.exec {
            self.keep(exec.finish());
        }
    }

    /// Writes an error.
    pub fn error(&self, text: &str, record: Option<&ErrorRecord>) {
        match &self.exec {
            Some(exec) => {
                self.report(self.recorder.message(text));
                self.progress.suspended(|| exec.error(text, record));
            }
            None => self.toned(Tone::Error, text),
        }
    }

    /// Returns columns and rows.
    pub fn size(&self) -> (u16, u16) {
        let known = if self.is_displayed { crossterm::terminal::size().ok() } else { None };
        known.filter(|(columns, rows)| *columns > 0 && *rows > 0).unwrap_or(DEFAULT_SIZE)
    }

    /// Returns the columns to which long texts are wrapped; `None` if output does not go to a terminal.
    pub fn columns(&self) -> Option<usize> {
        self.is_displayed.then(|| usize::from(self.size().0))
    }

    /// Writes one line of output.
    pub fn line(&self, text: &str) {
        self.write(&format!("{text}\n"));
    }

    /// Writes output without adding a newline: cleaned for a terminal, unchanged for a file or a pipe.
    pub fn write(&self, text: &str) {
        self.report(self.recorder.output(text));
        if self.is_displayed {
            self.show(&clean(text, Stream::Output.colour()));
        } else {
            self.put(text);
        }
    }

    /// Writes text that the endpoint has formatted for a terminal; without colours to a file or a pipe.
    pub fn display(&self, text: &str) {
        if self.is_displayed { self.write(text) } else { self.write(&without_colours(text)) }
    }

    /// Reports a transcript that has failed; the others continue.
    pub fn report(&self, problem: Option<String>) {
        if let Some(problem) = problem {
            self.toned(Tone::Warning, &problem);
        }
    }

    fn show(&self, text: &Shown) {
        self.put(text.as_str());
    }

    /// Writes text unchanged.
    fn put(&self, text: &str) {
        self.progress.suspended(|| {
            self.keep(match &self.exec {
                Some(exec) => exec.text(text),
                None => Stream::Output.write_raw(text.as_bytes()),
            });
        });
        if let Ok(mut is_open) = self.is_line_open.lock()
            && let Some(last) = text.chars().last()
        {
            *is_open = last != '\n';
        }
    }

    /// Keeps the first write error.
    fn keep(&self, written: std::io::Result<()>) {
        if let Err(error) = written
            && self.lost.reason.set(error).is_ok()
        {
            self.lost.noticed.notify_one();
        }
    }

    /// Writes a message in a tone. Tones other than plain go to standard error if output is not a terminal.
    pub fn toned(&self, tone: Tone, text: &str) {
        self.report(self.recorder.message(text));
        if let Some(exec) = &self.exec
            && tone != Tone::Plain
        {
            return self.progress.suspended(|| match tone {
                Tone::Error => exec.error(text, None),
                _ => exec.message(&format!("{}{text}{RESET}", tone.sequence())),
            });
        }
        let text = match tone {
            Tone::Plain => text.to_owned(),
            _ => format!("{}{text}{RESET}", tone.sequence()),
        };
        if self.interactive || tone == Tone::Plain {
            self.show(&Stream::Output.message(&format!("{text}\n"), 0));
        } else {
            self.progress.suspended(|| screen::write_message(&text));
        }
    }

    /// Clears the screen and the scrollback.
    pub fn clear(&self) {
        if self.interactive && !screen::is_dumb() {
            self.put("\u{1b}[H\u{1b}[2J\u{1b}[3J");
        }
    }

    /// Ends an open line, so that a prompt begins in the first column.
    pub fn fresh_line(&self) {
        let is_open = self.is_line_open.lock().is_ok_and(|is_open| *is_open);
        if is_open {
            self.write("\n");
        }
    }

    /// Returns the error that closed standard output, if any.
    pub fn lost(&self) -> Option<&std::io::Error> {
        self.lost.reason.get()
    }

    /// Waits for a write error of standard output.
    pub async fn loses(&self) {
        self.lost.noticed.notified().await;
    }

    /// Returns the next line of piped input without its newline; `None` at the end of input.
    pub fn next_piped(&self) -> Result<Option<String>, Unreadable> {
        let Ok(mut piped) = self.piped.lock() else { return Ok(None) };
        let mut bytes = Vec::new();
        if piped.reader.read_until(b'\n', &mut bytes)? == 0 {
            return Ok(None);
        }
        piped.lines += 1;
        let line = piped.lines;
        let text = String::from_utf8(bytes).map_err(|_| Unreadable::Encoding { line })?;
        // Windows editors begin a file with a byte order mark.
        let text = if line == 1 { text.trim_start_matches('\u{feff}') } else { &text };
        Ok(Some(text.trim_end_matches('\n').trim_end_matches('\r').to_owned()))
    }

    /// Reads one line of a terminal that edits the line itself. Returns `None` once `stop` is set.
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

    /// Asks for a line without escape sequences; the terminal echoes the input. Returns `None` once `stop` is
    /// set.
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
        // The terminal has echoed the newline.
        if let Ok(mut is_open) = self.is_line_open.lock() {
            *is_open = !matches!(answer, Ok(Ok(Some(Answer::Given(_)))));
        }
        answer.unwrap_or(Ok(Some(Answer::End)))
    }

    /// Drops what was typed before a question: it must neither become a password nor confirm a deletion.
    pub fn discard_input(&self) {
        self.typed_ahead.clear();
        if self.interactive && !screen::is_dumb() {
            // The terminal passes on an incomplete line only in raw mode.
            let _ = keys::discard_input();
        }
    }

    /// Asks for one line, echoed as typed, or as stars if `mask` is set. A line that was typed ahead is the answer. What
    /// was typed before the question of a secret is dropped.
    pub async fn ask(&self, question: &str, mask: bool) -> Answer<SecretString> {
        if self.exec.is_some() && !self.interactive {
            return Answer::End;
        }
        if mask {
            self.discard_input();
        } else if let Some(line) = self.typed_ahead.next_line() {
            self.report(self.recorder.output(question));
            self.show(&Stream::Output.message(&format!("{question}{line}\n"), 0));
            return Answer::Given(SecretString::from(line));
        }
        self.report(self.recorder.output(question));
        if self.interactive && screen::is_dumb() && !mask {
            return match self.ask_plainly(question, Arc::default()).await {
                Ok(Some(Answer::Given(text))) => Answer::Given(SecretString::from(text)),
                Ok(Some(Answer::Interrupted)) => Answer::Interrupted,
                Ok(Some(Answer::End) | None) | Err(_) => Answer::End,
            };
        }
        let shown = Stream::Output.message(question, 0);
        let reader = if self.interactive { keys::LineReader::start().ok() } else { None };
        match reader {
            Some(_) => self.put(&keys::with_returns(&shown)),
            None => self.show(&shown),
        }
        let terminal = self.clone();
        let answer = tokio::task::spawn_blocking(move || match reader {
            Some(reader) => reader
                .read(if mask { Echo::Stars } else { Echo::Text }, Stream::Output)
                .unwrap_or(Answer::End),
            None if terminal.interactive => Answer::End,
            None => match terminal.next_piped() {
                Ok(Some(text)) => Answer::Given(SecretString::from(text)),
                Ok(None) | Err(_) => Answer::End,
            },
        })
        .await
        .unwrap_or(Answer::End);
        self.write("\n");
        answer
    }

    /// Shows a question that a key answers.
    pub fn ask_key(&self, question: &str) {
        self.show(&Stream::Output.message(question, 0));
    }

    /// Removes the question of [`Self::ask_key`].
    pub fn forget_question(&self, question: &str) {
        if screen::is_dumb() {
            self.put("\n");
        } else {
            self.put(&format!("\r{}\r", " ".repeat(question.chars().count())));
            if let Ok(mut is_open) = self.is_line_open.lock() {
                *is_open = false;
            }
        }
    }

    /// Asks for one line that is not a secret.
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
