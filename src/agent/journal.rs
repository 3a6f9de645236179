//! On-disk journal of open sessions, for cleanup after a crash: one small file per session, without secrets.
//! The file is on disk before Create is sent, and deleted when Delete is confirmed.
//!
//! The owner keeps the file locked: a file that can be locked is orphaned. Changes are appended as further
//! lines, so that an owner killed while writing leaves the previous line intact.

mod entry;
mod locked;

use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::notes::Notes;
use crate::files::replace::sync_folder;
use crate::folders::Folders;
use crate::platform;
use crate::transport::Error;

pub use entry::Entry;
pub use locked::LockedEntry;

/// Size of a large entry with its changes.
const MAX_ENTRY: usize = 16 * 1024;

/// Extension of an entry's file.
const ENTRY: &str = "json";
/// Extension of an incomplete entry's file, and the number of attempts to create it.
const INCOMPLETE: &str = "new";
const ATTEMPTS: usize = 20;
/// Extension of an entry's file that this version cannot read. It is kept: the user may still be able to read it.
const UNREAD: &str = "unread";

/// Time for the system to close the files of killed processes.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// The journal of one user: a file for each session that exists or may exist on an endpoint.
///
/// [`Guard`](super::guard::Guard) writes the entry of a session; the agent and the commands remove the
/// sessions of dead owners ([`super::orphans`]). Guarantees: [`Journal::write`] returns when the entry is on
/// the disk; an entry belongs to one process at a time, which holds its lock; an entry stays until the removal
/// is confirmed or the endpoint must have removed the session by itself.
#[derive(Clone, Debug)]
pub struct Journal {
    folder: PathBuf,
    /// Folder of the notes on the sessions: [`super::notes`].
    notes: PathBuf,
    /// [`Folders::runtime`].
    runtime: PathBuf,
}

impl Journal {
    pub fn of(folders: &Folders) -> Self {
        let (folder, notes) = (folders.state.join("sessions"), folders.state.join("notes"));
        Self { folder, notes, runtime: folders.runtime.clone() }
    }

    /// Writes the entry of a session that is about to be created.
    pub fn write(&self, entry: Entry) -> io::Result<LockedEntry> {
        platform::private_folder(&self.folder)?;
        platform::private_folder(&self.notes)?;
        let entry = Entry { runtime: self.runtime.clone(), ..entry };
        let path = self.path(entry.session.shell);
        let notes = self.notes(entry.session.shell);
        // Another process's cleanup may run between creation and locking, and may still hold the file of the previous
        // attempt: each attempt has its own file.
        let mut attempts = 0;
        loop {
            attempts += 1;
            let beside = path.with_extension(format!("{attempts}.{INCOMPLETE}"));
            match Self::begin(&beside, &path, &notes, &entry) {
                Ok(kept) => {
                    sync_folder(&self.folder)?;
                    return Ok(kept);
                }
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists)
                        && attempts < ATTEMPTS => {}
                Err(error) => {
                    let _ = std::fs::remove_file(&beside);
                    return Err(error);
                }
            }
        }
    }

    /// Writes an entry to a temporary file and renames it. [`crate::files::replace`] does not fit: the file
    /// is locked from the start, and its owner keeps writing to it.
    fn begin(beside: &Path, path: &Path, notes: &Path, entry: &Entry) -> io::Result<LockedEntry> {
        let file = platform::private_file().create_new(true).open(beside)?;
        // Locked before the rename makes it visible.
        if !platform::hold(&file)? {
            return Err(io::ErrorKind::NotFound.into());
        }
        let mut kept =
            LockedEntry { entry: entry.clone(), file, path: path.to_owned(), notes: notes.to_owned() };
        kept.append()?;
        std::fs::rename(beside, path)?;
        Ok(kept)
    }

    /// Checks that an entry can be written.
    pub fn check(&self) -> io::Result<()> {
        platform::private_folder(&self.folder)?;
        let path = self.folder.join(format!("check-{}.{INCOMPLETE}", std::process::id()));
        let mut file = platform::private_file().create(true).truncate(true).open(&path)?;
        let written = file.write_all(&[b' '; MAX_ENTRY]).and_then(|()| file.sync_all());
        // The cleanup of another process may be faster.
        let removed = std::fs::remove_file(&path);
        written.and(removed.or_else(|error| match error.kind() {
            io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        }))
    }

    /// Reschedules the removals that were refused because of the password; called when the password has changed.
    pub fn reschedule_refused(&self, profile: &str) -> io::Result<()> {
        for mut kept in self.lock_orphans() {
            if kept.entry.profile == profile && kept.entry.refused {
                kept.entry.refused = false;
                kept.entry.tried = None;
                kept.append()?;
            }
        }
        Ok(())
    }

    /// Deletes the entries of a profile's orphaned sessions without removing the sessions. Returns the entries.
    pub fn forget_orphans(&self, profile: &str) -> Vec<Entry> {
        let orphans = self.lock_orphans().into_iter().filter(|kept| kept.entry.profile == profile);
        let given_up = orphans.map(|kept| {
            let entry = kept.entry.clone();
            kept.delete();
            entry
        });
        given_up.collect()
    }

    /// Returns whether an orphaned session of this profile may still exist.
    pub fn has_orphan(&self, profile: &str) -> bool {
        self.lock_orphans().iter().any(|kept| kept.entry.profile == profile && !kept.is_expired())
    }

    /// Returns the sessions whose owners are running.
    pub fn live(&self) -> Vec<Entry> {
        let entries = self.paths().into_iter().filter_map(|path| {
            let file = File::open(&path).ok()?;
            platform::is_held(&file).then(|| read(&file)).flatten()
        });
        entries.collect()
    }

    /// Returns whether a process has an open session of this profile. The sessions of ended processes, which another
    /// process may be removing, do not count.
    pub fn has_session(&self, profile: &str) -> bool {
        self.live().iter().any(|entry| entry.profile == profile && !platform::has_ended(entry.process))
    }

    /// Returns the orphaned sessions. Unlike [`Journal::lock_orphans`], changes and locks nothing.
    pub fn list_orphans(&self) -> Vec<Entry> {
        let entries = self.paths().into_iter().filter_map(|path| {
            let file = File::open(&path).ok()?;
            (!platform::is_held(&file)).then(|| read(&file)).flatten()
        });
        entries.collect()
    }

    /// Returns the orphaned sessions, locked by this process.
    pub fn lock_orphans(&self) -> Vec<LockedEntry> {
        self.tidy();
        let since = Instant::now();
        let entries = self.paths().into_iter().filter_map(|path| {
            let mut file = platform::private_file().open(&path).ok()?;
            if !platform::hold(&file).ok()? {
                platform::has_ended(read(&file)?.process).then_some(())?;
                // The owner was killed just now and its lock is about to be released, or another process is removing
                // the session.
                while !platform::hold(&file).ok()? {
                    (since.elapsed() < CLOSE_TIMEOUT).then_some(())?;
                    std::thread::sleep(Duration::from_millis(2));
                }
            }
            // The previous owner of the lock may have removed the entry.
            path.exists().then_some(())?;
            file.rewind().ok()?;
            let entry = read(&file)?;
            let notes = self.notes(entry.session.shell);
            Some(LockedEntry { entry, file, path, notes })
        });
        entries.collect()
    }

    /// Renames orphaned entries that cannot be read, and returns their new paths.
    pub fn set_aside(&self) -> Vec<PathBuf> {
        let unread = self.paths().into_iter().filter_map(|path| {
            let file = platform::private_file().open(&path).ok()?;
            platform::hold(&file).ok().filter(|held| *held && read(&file).is_none())?;
            let aside = path.with_extension(UNREAD);
            std::fs::rename(&path, &aside).ok()?;
            Some(aside)
        });
        unread.collect()
    }

    /// Deletes the entry of an orphaned session whose removal is confirmed. The file may still be locked: an
    /// ending process closes its files one by one.
    pub fn delete(&self, shell: uuid::Uuid) {
        if let Err(error) = std::fs::remove_file(self.path(shell)) {
            tracing::debug!("cannot delete the journal entry of {shell}: {error}");
        }
        // Most sessions have no notes.
        let _ = std::fs::remove_file(self.notes(shell));
    }

    /// Records that the removal of an orphaned session failed.
    pub fn record_failure(&self, shell: uuid::Uuid, error: &Error) {
        let left = self.lock_orphans().into_iter().find(|kept| kept.entry.session.shell == shell);
        left.into_iter().for_each(|kept| kept.record_error(error));
    }

    /// Returns the notes on a session, even if its entry is locked.
    pub fn notes_on(&self, shell: uuid::Uuid) -> Notes {
        let entry = File::open(self.path(shell)).ok().and_then(|file| read(&file));
        entry.map_or_else(|| Notes::read(self.notes(shell)), |entry| entry.notes(self.notes(shell)))
    }

    /// Returns the path of a session's notes.
    pub fn notes(&self, shell: uuid::Uuid) -> PathBuf {
        self.notes.join(format!("{shell}.{ENTRY}"))
    }

    /// Removes incomplete entries of dead owners, whose Create was not sent, and notes without an entry.
    fn tidy(&self) {
        for path in files(&self.folder, INCOMPLETE).into_iter().chain(files(&self.notes, INCOMPLETE)) {
            let Ok(file) = platform::private_file().open(&path) else { continue };
            if platform::hold(&file).is_ok_and(|held| held) {
                let _ = std::fs::remove_file(&path);
            }
        }
        // Notes that were written after their entry was deleted.
        for path in files(&self.notes, ENTRY) {
            if path.file_name().is_some_and(|name| !self.folder.join(name).exists()) {
                let _ = std::fs::remove_file(&path);
            }
        }
    }

    fn path(&self, shell: uuid::Uuid) -> PathBuf {
        self.folder.join(format!("{shell}.{ENTRY}"))
    }

    fn paths(&self) -> Vec<PathBuf> {
        files(&self.folder, ENTRY)
    }
}

/// Returns a folder's files with this extension.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    paths.filter(|path| path.extension().is_some_and(|one| one == ending)).collect()
}

/// Returns the last complete line.
fn read(mut file: &File) -> Option<Entry> {
    let mut text = Vec::new();
    file.read_to_end(&mut text).ok()?;
    text.rsplit(|byte| *byte == b'\n').find_map(|line| serde_json::from_slice(line).ok())
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::entry::tests::entry;
    use super::*;

    fn journal(folder: &Path) -> Journal {
        let runtime = folder.join("run");
        Journal { folder: folder.join("sessions"), notes: folder.join("notes"), runtime }
    }

    fn notes(folder: &Path) -> Notes {
        Notes::new(folder.join("notes.json"))
    }

    #[test]
    fn a_session_is_orphaned_once_its_owner_exits() {
        let temp = tempfile::tempdir().unwrap();
        let journal = journal(temp.path());
        let mine = journal.write(entry()).unwrap();
        let entry = mine.entry.clone();
        assert_eq!(journal.live(), std::slice::from_ref(&entry));
        assert!(journal.lock_orphans().is_empty());
        drop(mine);
        assert!(journal.live().is_empty());
        let orphans = journal.lock_orphans();
        assert_eq!(orphans[0].entry, entry);
        assert!(journal.lock_orphans().is_empty(), "the entry is locked already");
        orphans.into_iter().for_each(LockedEntry::delete);
        assert_eq!(std::fs::read_dir(&journal.folder).unwrap().count(), 0);
    }

    #[test]
    fn a_cleanup_does_not_prevent_writing() {
        let temp = tempfile::tempdir().unwrap();
        let journal = journal(temp.path());
        let is_over = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                        journal.tidy();
                    }
                });
            }
            let written: Vec<_> = (0..200).map(|_| journal.write(entry()).map(LockedEntry::delete)).collect();
            is_over.store(true, std::sync::atomic::Ordering::Relaxed);
            let failed = written.iter().find_map(|one| one.as_ref().err());
            assert!(failed.is_none(), "{failed:?}");
        });
        journal.tidy();
        assert_eq!(std::fs::read_dir(&journal.folder).unwrap().count(), 0);
    }

    #[test]
    fn a_failed_removal_is_retried_after_a_delay() {
        let temp = tempfile::tempdir().unwrap();
        let journal = journal(temp.path());
        let mut mine = journal.write(entry()).unwrap();
        assert!(mine.entry.is_due());
        for _ in 0..80 {
            mine.record_failure();
            mine = journal.lock_orphans().swap_remove(0);
            assert!(!mine.entry.is_due());
        }
        let ago = |seconds| SystemTime::now().checked_sub(Duration::from_secs(seconds));
        mine.entry.tried = ago(3600);
        assert!(mine.entry.is_due());
        (mine.entry.tries, mine.entry.tried) = (1, ago(31));
        assert!(mine.entry.is_due());
        mine.entry.tried = SystemTime::now().checked_add(Duration::from_hours(1));
        assert!(mine.entry.is_due(), "the clock was set");
        // An agent that was killed after days: its session was in use until then.
        mine.entry.written = ago(100 * 3600).unwrap();
        mine.record_failure();
        mine = journal.lock_orphans().swap_remove(0);
        mine.entry.first_tried = ago(4 * 3600);
        mine.record_failure();
        assert!(journal.lock_orphans().is_empty(), "the entry has expired");
    }

    #[test]
    fn a_partial_write_keeps_the_previous_entry() {
        let temp = tempfile::tempdir().unwrap();
        let journal = journal(temp.path());
        let mut mine = journal.write(entry()).unwrap();
        let (entry, before) = (mine.entry.clone(), mine.file.metadata().unwrap().len());
        mine.record_created(&notes(temp.path())).unwrap();
        let whole = mine.file.metadata().unwrap().len();
        let path = mine.path.clone();
        drop(mine);
        let all = std::fs::read(&path).unwrap();
        for length in before..whole - 1 {
            std::fs::write(&path, &all[..usize::try_from(length).unwrap()]).unwrap();
            assert_eq!(journal.lock_orphans()[0].entry, entry);
        }
        let mut mine = journal.lock_orphans().swap_remove(0);
        mine.record_created(&notes(temp.path())).unwrap();
        drop(mine);
        assert!(journal.lock_orphans()[0].entry.created);
    }

    #[test]
    fn a_folder_that_cannot_be_used_is_noticed() {
        let temp = tempfile::tempdir().unwrap();
        let journal = journal(temp.path());
        journal.check().unwrap();
        assert_eq!(std::fs::read_dir(&journal.folder).unwrap().count(), 0);
        std::fs::remove_dir(&journal.folder).unwrap();
        std::fs::write(&journal.folder, "").unwrap();
        assert!(journal.check().is_err());
    }

    #[test]
    fn an_unreadable_entry_is_set_aside() {
        let temp = tempfile::tempdir().unwrap();
        let journal = journal(temp.path());
        let mine = journal.write(entry()).unwrap();
        let path = journal.folder.join("other.json");
        std::fs::write(&path, "{\"version\": 9}").unwrap();
        assert!(journal.lock_orphans().is_empty() && path.exists());
        assert_eq!(journal.set_aside(), [path.with_extension(UNREAD)]);
        assert!(journal.set_aside().is_empty());
        drop(mine);
        assert_eq!(journal.lock_orphans().len(), 1);
    }

    #[test]
    fn a_redirected_session_keeps_its_new_endpoint() {
        let temp = tempfile::tempdir().unwrap();
        let journal = journal(temp.path());
        let mut mine = journal.write(entry()).unwrap();
        mine.record_redirect("https://h/p".parse().unwrap()).unwrap();
        drop(mine);
        assert_eq!(journal.lock_orphans()[0].entry.session.endpoint.as_str(), "https://h/p");
    }
}
