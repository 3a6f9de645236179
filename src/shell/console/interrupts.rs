//! Ctrl-C, remembered until somebody asks for it: one that comes between two waits is not lost. The loss
//! of the output is another.

use std::sync::Arc;

use futures_util::FutureExt as _;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::terminal::Terminal;

/// The presses of Ctrl-C from here on, as long as it lives.
pub struct Interrupts {
    pressed: Arc<Notify>,
    watch: JoinHandle<()>,
}

impl Interrupts {
    pub fn catch(terminal: Terminal) -> Self {
        let pressed = Arc::new(Notify::new());
        let tell = pressed.clone();
        let watch = tokio::spawn(async move {
            loop {
                tokio::select! {
                    pressed = tokio::signal::ctrl_c() => if pressed.is_err() { return },
                    () = terminal.loses() => {}
                }
                tell.notify_one();
            }
        });
        Self { pressed, watch }
    }

    /// The next one, or the last one that nobody has taken. Safe to cancel.
    pub async fn next(&self) {
        self.pressed.notified().await;
    }

    /// Whether there is one that nobody has taken; it is taken by this.
    pub fn was_pressed(&self) -> bool {
        self.pressed.notified().now_or_never().is_some()
    }

    /// Passes over what was pressed before.
    pub fn forget(&self) {
        self.was_pressed();
    }
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        self.watch.abort();
    }
}
