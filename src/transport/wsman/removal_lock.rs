//! Serializes removals of a shell in this process: the second of two parallel removals would get "not found" while
//! the first is still pending, and the process might end too early.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use super::shell::Removal;
use crate::transport::Error;

/// Result of a shell's removal, locked during an attempt; `None` if there was no successful attempt.
type SharedRemoval = Arc<tokio::sync::Mutex<Option<Removal>>>;

static REMOVALS: Mutex<Vec<(Uuid, SharedRemoval)>> = Mutex::new(Vec::new());

/// Removes a shell. If a removal of the shell is pending, waits for it, and returns its result if it succeeded.
pub(super) async fn remove_exclusively(
    pool: Uuid,
    remove: impl Future<Output = Result<Removal, Error>>,
) -> Result<Removal, Error> {
    let shared = shared_removal(pool);
    let mut removed = shared.lock().await;
    if let Some(removal) = *removed {
        return Ok(removal);
    }
    let result = remove.await;
    *removed = result.as_ref().ok().copied();
    result
}

fn shared_removal(pool: Uuid) -> SharedRemoval {
    let mut removals = removals();
    // Drops the removals that have ended.
    removals.retain(|(_, removal)| Arc::strong_count(removal) > 1);
    if let Some((_, removal)) = removals.iter().find(|(id, _)| *id == pool) {
        return removal.clone();
    }
    let removal = SharedRemoval::default();
    removals.push((pool, removal.clone()));
    removal
}

fn removals() -> MutexGuard<'static, Vec<(Uuid, SharedRemoval)>> {
    REMOVALS.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn concurrent_removals_share_one_request() {
        for (fails, asked) in [(false, 1), (true, 2)] {
            let (pool, count) = (Uuid::new_v4(), AtomicUsize::new(0));
            let remove = || async {
                let first = count.fetch_add(1, Ordering::Relaxed) == 0;
                tokio::task::yield_now().await;
                if first && fails { Err(Error::Closed) } else { Ok(Removal::Deleted) }
            };
            let (one, two) =
                tokio::join!(remove_exclusively(pool, remove()), remove_exclusively(pool, remove()));
            assert_eq!((one.is_err(), two.is_ok()), (fails, true));
            assert_eq!(count.load(Ordering::Relaxed), asked);
            // A later removal is a new attempt.
            remove_exclusively(pool, remove()).await.unwrap();
            assert_eq!(count.load(Ordering::Relaxed), asked + 1);
        }
    }
}
