//! A journal entry that this process has locked: changes are appended to its file.

use std::fs::File;
use std::io::{self, Seek as _, Write as _};
use std::path::PathBuf;
use std::time::SystemTime;

use super::entry::Entry;
use crate::agent::notes::Notes;
use crate::transport::Error;

/// A locked entry. Dropped without [`LockedEntry::delete`], it stays for the next start of lyncsh.
#[derive(Debug)]
pub struct LockedEntry {
    pub entry: Entry,
    pub(super) file: File,
    pub(super) path: PathBuf,
    pub(super) notes: PathBuf,
}

impl LockedEntry {
    /// Records the target of a redirect.
    pub fn record_redirect(&mut self, endpoint: url::Url) -> io::Result<()> {
        self.entry.session.endpoint = endpoint;
        self.append()
    }

    /// Records that Create succeeded, and what is known for the removal.
    pub fn record_created(&mut self, notes: &Notes) -> io::Result<()> {
        self.entry.created = true;
        self.entry.idle_timeout = notes.idle_timeout();
        self.entry.affinity = notes.stored_affinity();
        self.append()
    }

    /// Appends the current state of the entry as a line, and syncs the file.
    pub(super) fn append(&mut self) -> io::Result<()> {
        // The first line feed ends a line that was cut off.
        let line = format!("\n{}\n", serde_json::to_string(&self.entry)?);
        self.file.seek(io::SeekFrom::End(0))?;
        self.file.write_all(line.as_bytes())?;
        self.file.sync_all()
    }

    /// Records that the removal failed: the entry stays for a later start, unless it has expired.
    pub fn record_failure(mut self) {
        if self.is_expired() {
            return self.delete();
        }
        let now = SystemTime::now();
        self.entry.first_tried.get_or_insert(now);
        self.entry.tried = Some(now);
        self.entry.tries = self.entry.tries.saturating_add(1);
        if let Err(error) = self.append() {
            tracing::warn!("cannot write the journal: {error}");
        }
    }

    /// Returns whether the endpoint must have removed the session by itself.
    pub fn is_expired(&self) -> bool {
        self.entry.is_expired(&self.notes())
    }

    /// Returns the notes on the session.
    pub fn notes(&self) -> Notes {
        self.entry.notes(self.notes.clone())
    }

    /// Records that the removal failed: as [`LockedEntry::record_failure`], or as [`LockedEntry::record_refusal`] if the
    /// endpoint refused the password.
    pub fn record_error(self, error: &Error) {
        match error {
            Error::Proxy(error) if error.is_refused_credential() => self.record_refusal(),
            error if error.is_refused_credential() => self.record_refusal(),
            _ => self.record_failure(),
        }
    }

    /// Records that the endpoint refused the password for the removal.
    pub fn record_refusal(mut self) {
        self.entry.refused = true;
        self.record_failure();
    }

    /// Deletes the entry: the removal is confirmed.
    pub fn delete(self) {
        // Most sessions have no notes.
        let _ = std::fs::remove_file(&self.notes);
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!("cannot delete {}: {error}", self.path.display());
        }
    }
}
