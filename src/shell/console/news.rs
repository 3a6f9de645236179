//! Notices of the agent or the endpoint while the user types. The line editor redraws its prompt relative to
//! the previous cursor position, so other output is not possible while it has the terminal: the editor is
//! woken, and the notice is printed before the next prompt.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::terminal::{Terminal, Tone};

#[derive(Clone)]
pub struct SessionNotices {
    terminal: Terminal,
    desk: Arc<Mutex<TerminalOwner>>,
    wake: Arc<AtomicBool>,
}

/// Owner of the terminal.
#[derive(Default)]
struct TerminalOwner {
    is_typing: bool,
    waiting: Vec<(Tone, String)>,
}

impl SessionNotices {
    pub fn new(terminal: Terminal) -> Self {
        Self { terminal, desk: Arc::default(), wake: Arc::default() }
    }

    /// Prints a line, immediately or as soon as the woken line editor has released the terminal.
    pub fn show(&self, tone: Tone, text: &str) {
        let mut desk = self.desk.lock().unwrap_or_else(PoisonError::into_inner);
        if desk.is_typing {
            desk.waiting.push((tone, text.to_owned()));
            self.wake.store(true, Ordering::SeqCst);
        } else {
            self.terminal.toned(tone, text);
        }
    }

    /// Returns whether the line editor has the terminal.
    pub fn is_typing(&self) -> bool {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner).is_typing
    }

    /// Gives the terminal to the line editor, which releases it when [`News::waker`] is set.
    pub fn begin_typing(&self) {
        let mut desk = self.desk.lock().unwrap_or_else(PoisonError::into_inner);
        desk.is_typing = true;
        self.wake.store(false, Ordering::SeqCst);
    }

    /// Takes the terminal from the line editor and prints the pending notices, below an open line.
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

    /// Returns the flag that makes the line editor release the terminal.
    pub fn waker(&self) -> Arc<AtomicBool> {
        self.wake.clone()
    }
}
