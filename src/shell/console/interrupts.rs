//! Interrupts of the console: Ctrl-C and the loss of the output. They are stored until they are handled, so
//! that an interrupt between two waits is not lost.

use std::sync::Arc;

use futures_util::FutureExt as _;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::terminal::Terminal;

/// Handler of Ctrl-C.
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

    /// Waits for an interrupt, or returns a stored one. Cancel safe.
    pub async fn next(&self) {
        self.pressed.notified().await;
    }

    /// Takes a stored interrupt, if any.
    pub fn was_pressed(&self) -> bool {
        self.pressed.notified().now_or_never().is_some()
    }

    /// Discards a stored interrupt.
    pub fn forget(&self) {
        self.was_pressed();
    }
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        self.watch.abort();
    }
}
