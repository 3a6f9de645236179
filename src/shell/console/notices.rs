//! Notices of the agent and the endpoint outside of the user's commands. The line editor redraws its prompt
//! from the cursor position that it found, so nothing may be written while it owns the terminal. Instead, it
//! is woken, and the notice is written between two prompts.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::terminal::{Terminal, Tone};

#[derive(Clone)]
pub struct SessionNotices {
    terminal: Terminal,
    owner: Arc<Mutex<TerminalOwner>>,
    wake: Arc<AtomicBool>,
}

/// Ownership of the terminal, and the notices that wait until the line editor releases it.
#[derive(Default)]
struct TerminalOwner {
    is_typing: bool,
    waiting: Vec<(Tone, String)>,
}

impl SessionNotices {
    pub fn new(terminal: Terminal) -> Self {
        Self { terminal, owner: Arc::default(), wake: Arc::default() }
    }

    /// Shows a line now, or after waking the line editor if it owns the terminal.
    pub fn show(&self, tone: Tone, text: &str) {
        let mut owner = self.owner.lock().unwrap_or_else(PoisonError::into_inner);
        if owner.is_typing {
            owner.waiting.push((tone, text.to_owned()));
            self.wake.store(true, Ordering::SeqCst);
        } else {
            self.terminal.toned(tone, text);
        }
    }

    /// Returns whether the line editor owns the terminal.
    pub fn is_typing(&self) -> bool {
        self.owner.lock().unwrap_or_else(PoisonError::into_inner).is_typing
    }

    /// Gives the terminal to the line editor, until [`Self::waker`] is set.
    pub fn begin_typing(&self) {
        let mut owner = self.owner.lock().unwrap_or_else(PoisonError::into_inner);
        owner.is_typing = true;
        self.wake.store(false, Ordering::SeqCst);
    }

    /// Takes the terminal back and shows the waiting notices, below a line that the editor left open.
    pub fn end_typing(&self, is_line_open: bool) {
        let mut owner = self.owner.lock().unwrap_or_else(PoisonError::into_inner);
        owner.is_typing = false;
        if is_line_open {
            self.terminal.write("\n");
        }
        for (tone, text) in owner.waiting.drain(..) {
            self.terminal.toned(tone, &text);
        }
    }

    /// Returns the flag that makes the line editor release the terminal.
    pub fn waker(&self) -> Arc<AtomicBool> {
        self.wake.clone()
    }
}
