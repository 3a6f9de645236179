//! The line editor: history, multi-line input, completion, and a prompt with the profile's name.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use reedline::{
    Color, ColumnarMenu, Completer, CompletionResult, EditCommand, Emacs, KeyCode, KeyModifiers, MenuBuilder,
    Prompt, PromptEditMode, PromptHistorySearch, Reedline, ReedlineEvent, ReedlineMenu, Signal,
    SimpleMatchHighlighter, Span, Suggestion, ValidationResult, Validator, default_emacs_keybindings,
};

use super::completion::Candidate;
use super::history::CarefulHistory;
use super::terminal::{Answer, Terminal};
use super::typed_ahead::{LineByLine, TypedAhead};
use crate::screen;

/// Name by which a key binding opens the completion menu.
const MENU: &str = "completion";

/// Outcome of one read of the editor.
#[derive(Debug, PartialEq, Eq)]
pub enum EditorInput {
    Line(String),
    /// Ctrl-C: the line is dropped.
    Dropped,
    /// Ctrl-D.
    Leave,
    /// Interrupted to show a notice; the typed text is restored at the next read.
    Woken,
}

/// Source of typed lines.
pub enum Reader {
    /// A line editor that draws on the terminal.
    Drawn(Arc<Mutex<Editor>>),
    /// A terminal without escape sequences, which edits the line itself.
    Plain(PlainReader),
}

/// Reader of lines that the terminal itself edits.
pub struct PlainReader {
    terminal: Terminal,
    prompt: ProfilePrompt,
    wake: Arc<AtomicBool>,
    /// Lines of an incomplete statement.
    text: String,
}

/// A line editor. Reading blocks the thread.
pub struct Editor {
    line: Reedline,
    prompt: ProfilePrompt,
    typed_ahead: TypedAhead,
    /// The next read accepts the text in the buffer, a line that was typed ahead.
    accepts_buffer: bool,
}

impl Reader {
    /// Opens the reader. `complete` takes a line and a cursor (in bytes) and returns the range to replace and
    /// the candidates. Setting `wake` ends a read.
    pub fn new(
        terminal: &Terminal,
        profile: &str,
        history: Option<PathBuf>,
        complete: impl FnMut(&str, usize) -> (std::ops::Range<usize>, Vec<Candidate>) + Send + 'static,
        wake: Arc<AtomicBool>,
    ) -> std::io::Result<Self> {
        if screen::is_dumb() {
            let prompt = ProfilePrompt::of(profile);
            return Ok(Self::Plain(PlainReader {
                terminal: terminal.clone(),
                prompt,
                wake,
                text: String::new(),
            }));
        }
        let editor = Editor::new(profile, history, complete, wake, terminal.typed_ahead.clone())?;
        Ok(Self::Drawn(Arc::new(Mutex::new(editor))))
    }

    /// Reads one complete statement, which may span lines.
    pub async fn read(&mut self) -> std::io::Result<EditorInput> {
        match self {
            Self::Plain(reader) => reader.read().await,
            Self::Drawn(editor) => {
                let editor = editor.clone();
                let read = move || editor.lock().unwrap_or_else(PoisonError::into_inner).read();
                tokio::task::spawn_blocking(read).await.map_err(std::io::Error::other)?
            }
        }
    }
}

impl PlainReader {
    async fn read(&mut self) -> std::io::Result<EditorInput> {
        loop {
            let prompt = if self.text.is_empty() {
                self.prompt.render_prompt_left().into_owned() + "> "
            } else {
                self.prompt.render_prompt_multiline_indicator().into_owned()
            };
            // A wake set before the prompt is drawn also ends the read.
            let answer = self.terminal.ask_plainly(&prompt, self.wake.clone()).await;
            match answer.map_err(std::io::Error::other)? {
                None => return Ok(EditorInput::Woken),
                Some(Answer::End) => return Ok(EditorInput::Leave),
                Some(Answer::Interrupted) => {
                    self.text.clear();
                    return Ok(EditorInput::Dropped);
                }
                Some(Answer::Given(line)) => {
                    self.text.push_str(&line);
                    if !crate::line::is_incomplete(&self.text) {
                        return Ok(EditorInput::Line(std::mem::take(&mut self.text)));
                    }
                    self.text.push('\n');
                }
            }
        }
    }
}

impl Editor {
    fn new(
        profile: &str,
        history: Option<PathBuf>,
        complete: impl FnMut(&str, usize) -> (std::ops::Range<usize>, Vec<Candidate>) + Send + 'static,
        wake: Arc<AtomicBool>,
        typed_ahead: TypedAhead,
    ) -> std::io::Result<Self> {
        let menu = ColumnarMenu::default()
            .with_name(MENU)
            .with_marker("> ")
            .with_columns(4)
            .with_column_padding(2)
            .with_text_style(Color::Default.normal())
            .with_selected_text_style(Color::Default.reverse())
            .with_selected_match_text_style(Color::Default.reverse());
        let mut keys = default_emacs_keybindings();
        keys.add_binding(
            KeyModifiers::NONE,
            KeyCode::Tab,
            ReedlineEvent::UntilFound(vec![ReedlineEvent::Menu(MENU.into()), ReedlineEvent::MenuNext]),
        );
        keys.add_binding(KeyModifiers::SHIFT, KeyCode::BackTab, ReedlineEvent::MenuPrevious);
        keys.add_binding(
            KeyModifiers::ALT,
            KeyCode::Enter,
            ReedlineEvent::Edit(vec![EditCommand::InsertNewline]),
        );
        let history = CarefulHistory::open(history).map_err(std::io::Error::other)?;
        let line = Reedline::create()
            .with_history(Box::new(history))
            .with_history_exclusion_prefix(Some(" ".into()))
            .with_completer(Box::new(Candidates(complete)))
            .with_menu(ReedlineMenu::EngineCompleter(Box::new(menu)))
            .with_quick_completions(true)
            .with_partial_completions(true)
            .with_validator(Box::new(WholeStatements))
            .with_edit_mode(Box::new(LineByLine::new(Emacs::new(keys), typed_ahead.clone(), wake.clone())))
            // Typed text keeps the terminal's default colour, which is legible on any background.
            .with_highlighter(Box::new(SimpleMatchHighlighter::default()))
            .with_ansi_colors(screen::wants_colour())
            .use_bracketed_paste(true)
            .with_break_signal(wake);
        Ok(Self { line, prompt: ProfilePrompt::of(profile), typed_ahead, accepts_buffer: false })
    }

    fn read(&mut self) -> std::io::Result<EditorInput> {
        let read = loop {
            self.insert_typed_ahead();
            let read = self.line.read_line(&self.prompt).map_err(std::io::Error::other)?;
            let after_line = self.typed_ahead.end_line();
            match read {
                Signal::ExternalBreak(_) if after_line => {}
                read => break read,
            }
        };
        if !matches!(read, Signal::ExternalBreak(_)) {
            self.accept_buffer(false);
        }
        if matches!(read, Signal::Success(_))
            && let Err(error) = self.line.sync_history()
        {
            tracing::debug!(%error, "cannot write the history");
        }
        Ok(match read {
            Signal::Success(line) => EditorInput::Line(line),
            Signal::CtrlC => EditorInput::Dropped,
            Signal::ExternalBreak(_) => EditorInput::Woken,
            _ => EditorInput::Leave,
        })
    }
}

impl Editor {
    /// Inserts the next statement that was typed ahead, or the beginning of one.
    fn insert_typed_ahead(&mut self) {
        let buffer = self.line.current_buffer_contents();
        if !buffer.is_empty() && !buffer.ends_with('\n') && !self.accepts_buffer {
            // The line feed selected a completion: the rest was typed for another line.
            self.typed_ahead.clear();
        }
        // If the last read was interrupted before it accepted its line, that line is next.
        while !self.accepts_buffer {
            let Some(line) = self.typed_ahead.next_line() else {
                self.insert(self.typed_ahead.take_open_line());
                return;
            };
            self.insert(line);
            if crate::line::is_incomplete(self.line.current_buffer_contents()) {
                self.line.run_edit_commands(&[EditCommand::InsertNewline]);
            } else {
                self.accept_buffer(true);
            }
        }
    }

    fn insert(&mut self, text: String) {
        if !text.is_empty() {
            self.line.run_edit_commands(&[EditCommand::InsertString(text)]);
        }
    }

    fn accept_buffer(&mut self, accepts: bool) {
        if self.accepts_buffer != accepts {
            self.accepts_buffer = accepts;
            let line = std::mem::replace(&mut self.line, Reedline::create());
            self.line = line.with_immediately_accept(accepts);
        }
    }
}

/// The prompt `[work] PS> `: PowerShell's own prompt with the profile before it.
struct ProfilePrompt(String);

impl ProfilePrompt {
    fn of(profile: &str) -> Self {
        Self(screen::clean_line(profile).into_string())
    }
}

impl Prompt for ProfilePrompt {
    fn get_prompt_color(&self) -> Color {
        Color::Default
    }

    fn get_indicator_color(&self) -> Color {
        Color::Default
    }

    fn get_prompt_multiline_color(&self) -> Color {
        Color::Default
    }

    fn render_prompt_left(&self) -> Cow<'_, str> {
        Cow::Owned(format!("[{}] PS", self.0))
    }

    fn render_prompt_right(&self) -> Cow<'_, str> {
        Cow::Borrowed("")
    }

    fn render_prompt_indicator(&self, _: PromptEditMode) -> Cow<'_, str> {
        Cow::Borrowed("> ")
    }

    fn render_prompt_multiline_indicator(&self) -> Cow<'_, str> {
        Cow::Borrowed(">> ")
    }

    fn render_prompt_history_search_indicator(&self, search: PromptHistorySearch) -> Cow<'_, str> {
        Cow::Owned(format!("(history: {}) ", search.term))
    }
}

/// Asks for more lines while a statement is incomplete. An invalid line is complete; its error is shown when
/// it runs.
struct WholeStatements;

impl Validator for WholeStatements {
    fn validate(&self, line: &str) -> ValidationResult {
        if crate::line::is_incomplete(line) {
            ValidationResult::Incomplete
        } else {
            ValidationResult::Complete
        }
    }
}

struct Candidates<F>(F);

impl<F: FnMut(&str, usize) -> (std::ops::Range<usize>, Vec<Candidate>)> Completer for Candidates<F> {
    fn complete(&mut self, line: &str, pos: usize) -> CompletionResult {
        let (span, candidates) = (self.0)(line, pos);
        let suggestions: Vec<Suggestion> = candidates
            .into_iter()
            .map(|Candidate { text, ends_word }| Suggestion {
                value: text,
                span: Span::new(span.start, span.end),
                append_whitespace: ends_word,
                ..Suggestion::default()
            })
            .collect();
        CompletionResult::fresh(suggestions)
    }
}
