//! Ctrl-C and loss of the output, remembered until they are taken: an interrupt between two waits is not
//! lost.

use std::sync::Arc;

use futures_util::FutureExt as _;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::terminal::Terminal;

/// Watch for interrupts; ends when dropped.
pub struct Interrupts {
    pressed: Arc<Notify>,
    watch: JoinHandle<()>,
}

impl Interrupts {
    pub fn catch(terminal: Terminal) -> Self {
        let pressed = Arc::new(Notify::new());
        let notify = pressed.clone();
        let watch = tokio::spawn(async move {
            loop {
                tokio::select! {
                    pressed = tokio::signal::ctrl_c() => if pressed.is_err() { return },
                    () = terminal.loses() => {}
                }
                notify.notify_one();
            }
        });
        Self { pressed, watch }
    }

    /// Waits for the next interrupt, or takes a pending one. Safe to cancel.
    pub async fn next(&self) {
        self.pressed.notified().await;
    }

    /// Takes a pending interrupt; returns whether there was one.
    pub fn was_pressed(&self) -> bool {
        self.pressed.notified().now_or_never().is_some()
    }

    /// Discards a pending interrupt.
    pub fn forget(&self) {
        self.was_pressed();
    }
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        self.watch.abort();
    }
}
