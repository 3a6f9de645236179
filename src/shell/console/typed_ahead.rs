//! Lines that were typed while a command ran.
//!
//! A terminal in its usual mode collects typed lines and ends each with a line feed. The line editor receives all of
//! them at once and would drop everything after the first line. Here, the rest is kept for the next reads.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};
use reedline::{EditMode, Emacs, PromptEditMode, ReedlineEvent, ReedlineRawEvent};
use secrecy::zeroize::Zeroizing;

/// The text after the first line. Clones share it.
#[derive(Clone, Default)]
pub struct TypedAhead(Arc<Mutex<Rest>>);

#[derive(Default)]
struct Rest {
    text: Zeroizing<String>,
    /// The editor is processing the line feed of a line: the keys that follow are kept.
    is_after_line: bool,
}

impl Rest {
    /// Edits the open line: the prompt may have returned while the user still types.
    fn press(&mut self, key: &KeyEvent) {
        let open = self.text.rfind('\n').map_or(0, |end| end + 1);
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c') if control => self.text.clear(),
            KeyCode::Char('u') if control => self.text.truncate(open),
            KeyCode::Char(letter) if !control => self.text.push(letter),
            KeyCode::Backspace if self.text.len() > open => drop(self.text.pop()),
            KeyCode::Enter => self.text.push('\n'),
            KeyCode::Tab => self.text.push('\t'),
            _ => {}
        }
    }
}

impl TypedAhead {
    /// Returns the next line without its line feed; `None` if there is no complete line.
    pub fn next_line(&self) -> Option<String> {
        let mut rest = self.rest();
        let end = rest.text.find('\n')?;
        let line = rest.text[..end].to_owned();
        rest.text.drain(..=end);
        Some(line)
    }

    /// Returns the text after the last complete line, and removes it. The complete lines must have been taken.
    pub fn take_open_line(&self) -> String {
        std::mem::take(&mut *self.rest().text)
    }

    /// Drops the text.
    pub fn clear(&self) {
        *self.rest() = Rest::default();
    }

    /// Returns whether the editor was woken because a line feed was typed ahead, and ends that state.
    pub fn end_line(&self) -> bool {
        std::mem::take(&mut self.rest().is_after_line)
    }

    fn rest(&self) -> MutexGuard<'_, Rest> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The key bindings of Emacs, which keep what is typed after a line feed. A line feed wakes the editor: if the
/// statement is incomplete, its read continues, and the kept text has to be inserted.
pub struct LineByLine {
    emacs: Emacs,
    typed_ahead: TypedAhead,
    wake: Arc<AtomicBool>,
}

impl LineByLine {
    pub fn new(emacs: Emacs, typed_ahead: TypedAhead, wake: Arc<AtomicBool>) -> Self {
        Self { emacs, typed_ahead, wake }
    }
}

impl EditMode for LineByLine {
    fn parse_event(&mut self, event: ReedlineRawEvent) -> ReedlineEvent {
        let event = Event::from(event);
        {
            let mut rest = self.typed_ahead.rest();
            if rest.is_after_line {
                match &event {
                    _ if is_line_feed(&event) => rest.text.push('\n'),
                    Event::Key(key) => rest.press(key),
                    Event::Paste(text) => {
                        rest.text.push_str(&text.replace("\r\n", "\n").replace('\r', "\n"));
                    }
                    _ => {}
                }
                return ReedlineEvent::None;
            }
            if is_line_feed(&event) {
                rest.is_after_line = true;
                self.wake.store(true, Ordering::SeqCst);
            }
        }
        ReedlineRawEvent::try_from(event).map_or(ReedlineEvent::None, |event| self.emacs.parse_event(event))
    }

    fn edit_mode(&self) -> PromptEditMode {
        self.emacs.edit_mode()
    }
}

/// Returns whether an event is a line feed, which the terminal makes from Enter; crossterm reads it as Ctrl-J.
fn is_line_feed(event: &Event) -> bool {
    matches!(event, Event::Key(key) if key.code == KeyCode::Char('j') && key.modifiers == KeyModifiers::CONTROL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_after_a_line_feed_is_kept_line_by_line() {
        let (ahead, wake) = (TypedAhead::default(), Arc::<AtomicBool>::default());
        let mut mode = LineByLine::new(Emacs::default(), ahead.clone(), wake.clone());
        let mut typed = |text: &str| {
            let parse = |letter| {
                let key = match letter {
                    '\n' => KeyEvent::new(KeyCode::Char('j'), KeyModifiers::CONTROL),
                    '<' => KeyEvent::new(KeyCode::Backspace, KeyModifiers::NONE),
                    '^' => KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL),
                    letter => KeyEvent::new(KeyCode::Char(letter), KeyModifiers::NONE),
                };
                mode.parse_event(ReedlineRawEvent::try_from(Event::Key(key)).unwrap())
            };
            text.chars().map(parse).filter(|event| *event != ReedlineEvent::None).count()
        };
        // The first line and its end are for the editor.
        assert_eq!(typed("ab\ncd\nef\ng"), 3);
        assert!(wake.load(Ordering::SeqCst) && ahead.end_line() && !ahead.end_line());
        assert_eq!(ahead.next_line().as_deref(), Some("cd"));
        assert_eq!(ahead.next_line().as_deref(), Some("ef"));
        assert_eq!((ahead.next_line(), ahead.take_open_line().as_str()), (None, "g"));
        assert_eq!((typed("h"), ahead.take_open_line().as_str()), (1, ""));
        // The open line is edited; Ctrl-C drops all.
        typed("\n12 3<<<4\n<5");
        assert_eq!((ahead.next_line().as_deref(), ahead.take_open_line().as_str()), (Some("14"), "5"));
        assert!(ahead.end_line());
        typed("\ni\nj^");
        assert!(ahead.next_line().is_none() && ahead.end_line());
        typed("\ni\n");
        ahead.clear();
        assert!(ahead.next_line().is_none() && !ahead.end_line());
    }
}
