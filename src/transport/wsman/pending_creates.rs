//! Pending Creates of this process.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use uuid::Uuid;

/// Maximum wait of the removal of a shell for its pending Create.
const CREATE_TIMEOUT: Duration = Duration::from_secs(2);

/// The Creates of this process that are not answered yet. A Delete that overtakes its Create finds no shell,
/// and the shell is leaked; so a removal waits for them.
static CREATING: Mutex<Vec<(Uuid, watch::Receiver<()>)>> = Mutex::new(Vec::new());

/// A Create that is not answered yet.
pub(super) struct PendingCreate(Option<watch::Sender<()>>);

impl PendingCreate {
    pub fn new(pool: Uuid) -> Self {
        let (done, pending) = watch::channel(());
        creating().push((pool, pending));
        Self(Some(done))
    }
}

impl Drop for PendingCreate {
    fn drop(&mut self) {
        drop(self.0.take());
        creating().retain(|(_, pending)| pending.has_changed().is_ok());
    }
}

/// Waits briefly until no Create of this shell is pending. Returns whether one was pending.
pub(super) async fn wait_for_create(pool: Uuid) -> bool {
    let pending = creating().iter().find(|(id, _)| *id == pool).map(|(_, pending)| pending.clone());
    let Some(mut pending) = pending else { return false };
    // `changed` fails when the sender is dropped, which signals the end.
    let _ = tokio::time::timeout(CREATE_TIMEOUT, async { while pending.changed().await.is_ok() {} }).await;
    true
}

fn creating() -> std::sync::MutexGuard<'static, Vec<(Uuid, watch::Receiver<()>)>> {
    CREATING.lock().unwrap_or_else(PoisonError::into_inner)
}
