//! Pending Creates of this process.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use uuid::Uuid;

/// Maximum wait of the removal of a shell for its pending Create.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(2);

/// The Creates of this process that are not answered yet. A Delete that overtakes its Create finds no shell,
/// and the shell is leaked; so a removal waits for them.
static CREATING: Mutex<Vec<(Uuid, watch::Receiver<()>)>> = Mutex::new(Vec::new());

/// A Create that is not answered yet.
pub(super) struct Pending(Option<watch::Sender<()>>);

impl Pending {
    pub fn new(pool: Uuid) -> Self {
        let (settled, settling) = watch::channel(());
        creating().push((pool, settling));
        Self(Some(settled))
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        drop(self.0.take());
        creating().retain(|(_, settling)| settling.has_changed().is_ok());
    }
}

/// Waits briefly until no Create of this shell is pending. Returns whether one was pending.
pub(super) async fn settle(pool: Uuid) -> bool {
    let settling = creating().iter().find(|(id, _)| *id == pool).map(|(_, settling)| settling.clone());
    let Some(mut settling) = settling else { return false };
    // `changed` fails when the sender is dropped, which signals the end.
    let _ = tokio::time::timeout(SETTLE_TIMEOUT, async { while settling.changed().await.is_ok() {} }).await;
    true
}

fn creating() -> std::sync::MutexGuard<'static, Vec<(Uuid, watch::Receiver<()>)>> {
    CREATING.lock().unwrap_or_else(PoisonError::into_inner)
}
