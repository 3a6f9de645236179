//! Removal notes on a session, beside its journal entry: the commands that may run in it, its cookies, its idle
//! timeout, and whether a Delete was not answered. They change with each command, so they have a separate small file,
//! which is replaced as a whole. The file is not synced: it must survive a killed process, but not a crash of the
//! machine, which disconnects the client of the commands anyway.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::files::replace::remove;
use crate::platform;
use crate::transport::wsman::{Affinity, RemovalRecorder, RemovalState, StoredAffinity};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Known {
    commands: Vec<Uuid>,
    /// The time since which "not found" does not prove that the session is gone.
    #[serde(rename = "doubtful")]
    unanswered_delete: Option<SystemTime>,
    /// Idle timeout that the endpoint returned.
    idle_timeout: Option<Duration>,
    /// Without the cookies, a load balancer sends Delete to another pool member.
    #[serde(flatten)]
    affinity: StoredAffinity,
}

/// The removal notes on one session.
#[derive(Debug)]
pub struct Notes {
    path: PathBuf,
    known: Mutex<Known>,
    /// An earlier owner recorded [`Known::unanswered_delete`].
    has_earlier_unanswered_delete: bool,
    /// The session is removed: a late answer must not write the file again.
    is_closed: AtomicBool,
}

impl Notes {
    /// Creates the notes on a session that is about to be created.
    pub fn new(path: PathBuf) -> Self {
        let known = Mutex::default();
        Self { path, known, has_earlier_unanswered_delete: false, is_closed: AtomicBool::new(false) }
    }

    /// Reads the notes of an earlier owner; most sessions have none.
    pub fn read(path: PathBuf) -> Self {
        let read = std::fs::read(&path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let known: Known = read.unwrap_or_default();
        let has_earlier_unanswered_delete = known.unanswered_delete.is_some();
        Self {
            path,
            has_earlier_unanswered_delete,
            known: Mutex::new(known),
            is_closed: AtomicBool::new(false),
        }
    }

    /// Completes notes whose file may be lost, because it is not synced, with those of the journal.
    pub fn with_fallback(self, idle_timeout: Option<Duration>, affinity: &StoredAffinity) -> Self {
        {
            let mut known = self.known();
            known.idle_timeout = known.idle_timeout.or(idle_timeout);
            if known.affinity.is_empty() {
                known.affinity = affinity.clone();
            }
        }
        self
    }

    /// Returns the removal data of the session.
    pub fn removal_state(&self) -> RemovalState {
        let known = self.known();
        RemovalState {
            commands: known.commands.clone(),
            delete_unanswered: known.unanswered_delete.is_some(),
        }
    }

    /// Returns the pool member of the session.
    pub fn affinity(&self) -> Affinity {
        Affinity::of(self.stored_affinity())
    }

    pub fn stored_affinity(&self) -> StoredAffinity {
        self.known().affinity.clone()
    }

    /// Returns the idle timeout that the endpoint returned.
    pub fn idle_timeout(&self) -> Option<Duration> {
        self.known().idle_timeout
    }

    /// Returns whether a Delete of an earlier owner was not answered.
    pub fn has_earlier_unanswered_delete(&self) -> bool {
        self.has_earlier_unanswered_delete
    }

    /// Returns the time of the first Delete without an answer.
    pub fn unanswered_delete(&self) -> Option<SystemTime> {
        self.known().unanswered_delete
    }

    /// Stops writing the file, because the session is removed. Waits for a write that has begun.
    pub fn close(&self) {
        let _known = self.known();
        self.is_closed.store(true, Ordering::Relaxed);
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Known)) {
        let mut known = self.known();
        let before = known.clone();
        change(&mut known);
        if *known == before || self.is_closed.load(Ordering::Relaxed) {
            return;
        }
        // The usual state: no file is needed.
        let is_empty =
            known.commands.is_empty() && known.unanswered_delete.is_none() && known.affinity.is_empty();
        let result = if is_empty { remove(&self.path) } else { self.write(&known) };
        if let Err(error) = result {
            tracing::warn!("cannot write the notes on a session: {error}");
        }
    }

    fn write(&self, known: &Known) -> std::io::Result<()> {
        // If the writer is killed, the journal removes this file.
        let beside = self.path.with_extension("new");
        let mut file = platform::private_file();
        let mut file = file.create(true).truncate(true).open(&beside)?;
        // The lock keeps the journal from removing the file.
        platform::hold(&file)?;
        std::io::Write::write_all(&mut file, &serde_json::to_vec(known)?)?;
        std::fs::rename(&beside, &self.path)
    }
}

impl RemovalRecorder for Notes {
    fn record_commands(&self, commands: Vec<Uuid>) {
        self.change(|known| known.commands = commands);
    }

    fn record_idle_timeout(&self, idle_timeout: Duration) {
        self.change(|known| known.idle_timeout = Some(idle_timeout));
    }

    fn record_affinity(&self, affinity: StoredAffinity) {
        self.change(|known| known.affinity = affinity);
    }

    fn record_unanswered_delete(&self) {
        self.change(|known| {
            known.unanswered_delete = known.unanswered_delete.or_else(|| Some(SystemTime::now()));
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_kept_until_they_are_empty() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.json");
        let notes = Notes::new(path.clone());
        notes.record_idle_timeout(Duration::from_secs(90));
        assert!(!path.exists());
        let id = Uuid::new_v4();
        notes.record_commands(vec![id]);
        assert_eq!(
            Notes::read(path.clone()).removal_state(),
            RemovalState { commands: vec![id], delete_unanswered: false }
        );
        notes.record_commands(Vec::new());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        notes.record_unanswered_delete();
        assert!(
            notes.removal_state().delete_unanswered
                && !notes.has_earlier_unanswered_delete()
                && notes.unanswered_delete().is_some()
        );
        let closed = Notes::new(folder.path().join("y.json"));
        closed.close();
        closed.record_commands(vec![id]);
        assert!(!folder.path().join("y.json").exists());
        assert!(Notes::read(path).has_earlier_unanswered_delete());
    }
}
