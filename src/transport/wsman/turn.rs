//! Serializes removals of a shell in this process: the second of two parallel removals would get "not found" while
//! the first is still pending, and the process might end too early.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use super::shell::Removal;
use crate::transport::Error;

/// Result of a shell's removal, locked during an attempt; `None` if there was no successful attempt.
type RemovalTurn = Arc<tokio::sync::Mutex<Option<Removal>>>;

static TURNS: Mutex<Vec<(Uuid, RemovalTurn)>> = Mutex::new(Vec::new());

/// Removes a shell. If a removal of the shell is pending, waits for it, and returns its result if it succeeded.
pub(super) async fn removing(
    pool: Uuid,
    remove: impl Future<Output = Result<Removal, Error>>,
) -> Result<Removal, Error> {
    let turn = turn(pool);
    let mut removed = turn.lock().await;
    if let Some(removal) = *removed {
        return Ok(removal);
    }
    let result = remove.await;
    *removed = result.as_ref().ok().copied();
    result
}

fn turn(pool: Uuid) -> RemovalTurn {
    let mut turns = turns();
    // Drops the removals that have ended.
    turns.retain(|(_, turn)| Arc::strong_count(turn) > 1);
    if let Some((_, turn)) = turns.iter().find(|(id, _)| *id == pool) {
        return turn.clone();
    }
    let turn = RemovalTurn::default();
    turns.push((pool, turn.clone()));
    turn
}

fn turns() -> MutexGuard<'static, Vec<(Uuid, RemovalTurn)>> {
    TURNS.lock().unwrap_or_else(PoisonError::into_inner)
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
            let (one, two) = tokio::join!(removing(pool, remove()), removing(pool, remove()));
            assert_eq!((one.is_err(), two.is_ok()), (fails, true));
            assert_eq!(count.load(Ordering::Relaxed), asked);
            // A later removal is a new attempt.
            removing(pool, remove()).await.unwrap();
            assert_eq!(count.load(Ordering::Relaxed), asked + 1);
        }
    }
}
