//! Locks among processes: an empty file that one process holds.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::platform;

/// Error of waiting for a lock.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// The lock file cannot be created, or its file system does not support locks.
    #[error("cannot lock {}: {error}", .path.display())]
    Io { path: PathBuf, error: io::Error },
    /// Another process of this user held the lock for the whole time limit: it is busy, or hangs.
    #[error("cannot lock {}: another process has held the lock for {}", .path.display(), humantime::format_duration(*.limit))]
    Taken { path: PathBuf, limit: Duration },
}

/// Locks a file for this process within `limit`. Closing the file releases the lock.
pub async fn lock(path: &Path, limit: Duration) -> Result<File, LockError> {
    let failed = |error| LockError::Io { path: path.to_owned(), error };
    // A separate thread outside the runtime: it may block longer than the caller waits.
    let (sender, locked) = tokio::sync::oneshot::channel();
    let file = path.to_owned();
    std::thread::spawn(move || {
        let _ = sender.send(hold(&file));
    });
    match tokio::time::timeout(limit, locked).await {
        Ok(Ok(result)) => result.map_err(failed),
        Ok(Err(_)) => Err(failed(io::Error::other("the waiting thread ended unexpectedly"))),
        Err(_) => Err(LockError::Taken { path: path.to_owned(), limit }),
    }
}

/// Opens a file and locks it. Retries if the file was replaced in the meantime.
fn hold(path: &Path) -> io::Result<File> {
    loop {
        let file = platform::private_file().create(true).truncate(false).open(path)?;
        platform::hold_when_free(&file)?;
        if platform::is_at(&file, path) {
            return Ok(file);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waiting_for_a_held_lock_times_out() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("work.lock");
        let held = lock(&path, Duration::from_secs(5)).await.unwrap();
        let second = lock(&path, Duration::from_millis(50)).await;
        assert!(matches!(second, Err(LockError::Taken { .. })));
        drop(held);
        lock(&path, Duration::from_secs(30)).await.unwrap();
    }
}
