//! What is to be said beside the person's own commands: by the agent, or by the endpoint. The
//! line editor draws its prompt anew from where it found the cursor, so nothing is written while it has
//! the terminal: it is woken, and the news stands between its two prompts.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::terminal::{Terminal, Tone};

#[derive(Clone)]
pub struct SessionNotices {
    terminal: Terminal,
    desk: Arc<Mutex<TerminalOwner>>,
    wake: Arc<AtomicBool>,
}

/// Who has the terminal.
#[derive(Default)]
struct TerminalOwner {
    is_typing: bool,
    waiting: Vec<(Tone, String)>,
}

impl SessionNotices {
    pub fn new(terminal: Terminal) -> Self {
        Self { terminal, desk: Arc::default(), wake: Arc::default() }
    }

    /// Says a line now, or when the line editor has let go of the terminal, which it does at once.
    pub fn show(&self, tone: Tone, text: &str) {
        let mut desk = self.desk.lock().unwrap_or_else(PoisonError::into_inner);
        if desk.is_typing {
            desk.waiting.push((tone, text.to_owned()));
            self.wake.store(true, Ordering::SeqCst);
        } else {
            self.terminal.toned(tone, text);
        }
    }

    /// Whether the line editor has the terminal.
    pub fn is_typing(&self) -> bool {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner).is_typing
    }

    /// The line editor has the terminal from now on; it leaves it when [`News::waker`] is set.
    pub fn begin_typing(&self) {
        let mut desk = self.desk.lock().unwrap_or_else(PoisonError::into_inner);
        desk.is_typing = true;
        self.wake.store(false, Ordering::SeqCst);
    }

    /// The line editor has gone; says what has come meanwhile, below a line that it left open.
    pub fn end_typing(&self, is_line_open: bool) {
        let mut desk = self.desk.lock().unwrap_or_else(PoisonError::into_inner);
        desk.is_typing = false;
        if is_line_open {
            self.terminal.write("\n");
        }
        for (tone, text) in desk.waiting.drain(..) {
            self.terminal.toned(tone, &text);
        }
    }

    /// Set when the line editor is to leave the terminal for a moment.
    pub fn waker(&self) -> Arc<AtomicBool> {
        self.wake.clone()
    }
}
