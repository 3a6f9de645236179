//! On-disk journal of open sessions, for cleanup after a crash: one small file per session, without secrets.
//! The file is on disk before Create is sent, and deleted when Delete is confirmed.
//!
//! The owner keeps the file locked: a file that can be locked is orphaned. Changes are appended as further
//! lines, so that an owner killed while writing leaves the previous line intact.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};

use super::control::Guarded;
use super::notes::Notes;
use crate::files::replace::sync_folder;
use crate::folders::Folders;
use crate::platform;
use crate::profile::Profile;
use crate::transport::Error;
use crate::transport::wsman::StoredAffinity;

/// Delay before a failed removal is retried, and how often the delay is doubled.
const FIRST_PAUSE: Duration = Duration::from_secs(30);
const MAX_DOUBLINGS: u32 = 5;
/// Maximum delay between the idle timeout and the removal by the endpoint.
const MAX_REMOVAL_DELAY: Duration = Duration::from_mins(1);
/// Maximum time for which an endpoint keeps an unused session.
const MAX_LIFETIME: Duration = Duration::from_hours(24);
/// Maximum lifetime of a session whose Create was not answered: WinRM keeps an idle session for two hours
/// unless a shorter timeout was requested.
const MAX_LIFETIME_UNCREATED: Duration = Duration::from_hours(3);

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

/// Journal entry of one session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub profile: String,
    pub user: Option<String>,
    #[serde(flatten)]
    pub session: Guarded,
    pub process: u32,
    /// [`platform::start_time`] of that process.
    pub started: Option<u64>,
    pub written: SystemTime,
    /// Create was answered: a Delete can no longer overtake it.
    pub created: bool,
    /// Time limit of Create.
    #[serde(default)]
    pub open_limit: Duration,
    /// [`Profile::credential_target`] at that time.
    #[serde(default)]
    pub target: Option<String>,
    /// Idle timeout that the endpoint returned with the session.
    #[serde(default)]
    pub idle_timeout: Option<Duration>,
    /// Pool member of the session. [`Notes`] have the current one, but their file is not synced.
    #[serde(default, skip_serializing_if = "StoredAffinity::is_empty")]
    pub affinity: StoredAffinity,
    /// [`Folders::runtime`] of the owner, which has its socket.
    #[serde(default)]
    pub runtime: PathBuf,
    /// Time of the first failed removal.
    #[serde(default)]
    pub first_tried: Option<SystemTime>,
    /// Time of the last failed removal; `tries` counts them.
    #[serde(default)]
    pub tried: Option<SystemTime>,
    #[serde(default)]
    pub tries: u32,
    /// The endpoint or the proxy refused the password for the removal: it is not retried with the same password.
    #[serde(default)]
    pub refused: bool,
}

impl Entry {
    /// Creates the entry of a session that is about to be created by this process.
    pub fn new(profile: &Profile, session: Guarded) -> Self {
        let process = std::process::id();
        Self {
            profile: profile.name.clone(),
            user: profile.user.clone(),
            session,
            process,
            started: platform::start_time(process),
            written: SystemTime::now(),
            created: false,
            open_limit: profile.limits.open,
            target: Some(profile.credential_target()),
            idle_timeout: None,
            affinity: StoredAffinity::default(),
            runtime: PathBuf::new(),
            first_tried: None,
            tried: None,
            tries: 0,
            refused: false,
        }
    }

    /// Reads the notes on the session. The entry replaces what they lack.
    fn notes(&self, path: PathBuf) -> Notes {
        Notes::read(path).or(self.idle_timeout, &self.affinity)
    }

    /// Returns the entry for a report, without cookies.
    pub fn reported(self) -> Self {
        Self { affinity: StoredAffinity::default(), ..self }
    }

    /// Returns whether Create may still be in progress on the endpoint, which works on it for at most `limit` after
    /// its client has disconnected: at the first removal, else at the time limit of Create.
    pub fn may_be_in_progress(&self, limit: Duration) -> bool {
        let now = SystemTime::now();
        let disconnected = self.first_tried.or_else(|| self.written.checked_add(self.open_limit));
        let until = disconnected.and_then(|disconnected| disconnected.checked_add(limit));
        // A time in the future: the clock was set back.
        !self.created && self.written <= now && until.is_some_and(|until| now < until)
    }

    /// Returns whether the removal should be tried now. The delay grows with each failure, so that an
    /// unreachable endpoint does not slow down every start.
    pub fn is_due(&self) -> bool {
        if self.refused {
            return false;
        }
        let pause = FIRST_PAUSE * 2u32.pow(self.tries.saturating_sub(1).min(MAX_DOUBLINGS));
        // A time in the future: the clock was set back.
        self.tried.and_then(|tried| tried.elapsed().ok()).is_none_or(|ago| ago >= pause)
    }

    /// Returns whether the endpoint must have removed the session by itself. The time counts from the first failed
    /// removal, because the agent may have used the session for days before; and from the unanswered Delete of the
    /// notes, if the endpoint returned an idle timeout.
    pub fn is_expired(&self, notes: &Notes) -> bool {
        let with_delay = |idle: Duration| idle.saturating_add(MAX_REMOVAL_DELAY);
        let lifetime = match self.idle_timeout.map(with_delay) {
            Some(idle) if self.created => idle.min(MAX_LIFETIME),
            None if self.created => MAX_LIFETIME,
            _ => MAX_LIFETIME_UNCREATED,
        };
        let has_passed = |since: Option<SystemTime>, limit: Option<Duration>| {
            let elapsed = since.and_then(|since| since.elapsed().ok());
            elapsed.zip(limit).is_some_and(|(elapsed, limit)| elapsed > limit)
        };
        has_passed(self.first_tried, Some(lifetime))
            || has_passed(notes.unanswered_delete(), notes.idle_timeout().map(with_delay))
    }
}

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

/// A locked entry. Dropped without [`JournalEntry::removed`], it stays for the next start of lyncsh.
#[derive(Debug)]
pub struct JournalEntry {
    pub entry: Entry,
    file: File,
    path: PathBuf,
    notes: PathBuf,
}

impl Journal {
    pub fn of(folders: &Folders) -> Self {
        let (folder, notes) = (folders.state.join("sessions"), folders.state.join("notes"));
        Self { folder, notes, runtime: folders.runtime.clone() }
    }

    /// Writes the entry of a session that is about to be created.
    pub fn write(&self, entry: Entry) -> io::Result<JournalEntry> {
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
    fn begin(beside: &Path, path: &Path, notes: &Path, entry: &Entry) -> io::Result<JournalEntry> {
        let file = platform::private_file().create_new(true).open(beside)?;
        // Locked before the rename makes it visible.
        if !platform::hold(&file)? {
            return Err(io::ErrorKind::NotFound.into());
        }
        let mut kept =
            JournalEntry { entry: entry.clone(), file, path: path.to_owned(), notes: notes.to_owned() };
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
    pub fn forgive(&self, profile: &str) -> io::Result<()> {
        for mut kept in self.orphans() {
            if kept.entry.profile == profile && kept.entry.refused {
                kept.entry.refused = false;
                kept.entry.tried = None;
                kept.append()?;
            }
        }
        Ok(())
    }

    /// Deletes the entries of a profile's orphaned sessions without removing the sessions. Returns the entries.
    pub fn give_up(&self, profile: &str) -> Vec<Entry> {
        let orphans = self.orphans().into_iter().filter(|kept| kept.entry.profile == profile);
        let given_up = orphans.map(|kept| {
            let entry = kept.entry.clone();
            kept.removed();
            entry
        });
        given_up.collect()
    }

    /// Returns whether an orphaned session of this profile may still exist.
    pub fn has_orphan(&self, profile: &str) -> bool {
        self.orphans().iter().any(|kept| kept.entry.profile == profile && !kept.is_expired())
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

    /// Returns the orphaned sessions. Unlike [`Journal::orphans`], changes and locks nothing.
    pub fn left(&self) -> Vec<Entry> {
        let entries = self.paths().into_iter().filter_map(|path| {
            let file = File::open(&path).ok()?;
            (!platform::is_held(&file)).then(|| read(&file)).flatten()
        });
        entries.collect()
    }

    /// Returns the orphaned sessions, locked by this process.
    pub fn orphans(&self) -> Vec<JournalEntry> {
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
            Some(JournalEntry { entry, file, path, notes })
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
    pub fn forget(&self, shell: uuid::Uuid) {
        if let Err(error) = std::fs::remove_file(self.path(shell)) {
            tracing::debug!("cannot delete the journal entry of {shell}: {error}");
        }
        // Most sessions have no notes.
        let _ = std::fs::remove_file(self.notes(shell));
    }

    /// Records that the removal of an orphaned session failed.
    pub fn failed(&self, shell: uuid::Uuid, error: &Error) {
        let left = self.orphans().into_iter().find(|kept| kept.entry.session.shell == shell);
        left.into_iter().for_each(|kept| kept.failed_by(error));
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

impl JournalEntry {
    /// Records the target of a redirect.
    pub fn moved(&mut self, endpoint: url::Url) -> io::Result<()> {
        self.entry.session.endpoint = endpoint;
        self.append()
    }

    /// Records that Create succeeded, and what is known for the removal.
    pub fn created(&mut self, notes: &Notes) -> io::Result<()> {
        self.entry.created = true;
        self.entry.idle_timeout = notes.idle_timeout();
        self.entry.affinity = notes.stored_affinity();
        self.append()
    }

    /// Appends the current state of the entry as a line, and syncs the file.
    fn append(&mut self) -> io::Result<()> {
        // The first line feed ends a line that was cut off.
        let line = format!("\n{}\n", serde_json::to_string(&self.entry)?);
        self.file.seek(io::SeekFrom::End(0))?;
        self.file.write_all(line.as_bytes())?;
        self.file.sync_all()
    }

    /// Records that the removal failed: the entry stays for a later start, unless it has expired.
    pub fn failed(mut self) {
        if self.is_expired() {
            return self.removed();
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

    /// Records that the removal failed: as [`JournalEntry::failed`], or as [`JournalEntry::refused`] if the
    /// endpoint refused the password.
    pub fn failed_by(self, error: &Error) {
        match error {
            Error::Proxy(error) if error.is_refused_credential() => self.refused(),
            error if error.is_refused_credential() => self.refused(),
            _ => self.failed(),
        }
    }

    /// Records that the endpoint refused the password for the removal.
    pub fn refused(mut self) {
        self.entry.refused = true;
        self.failed();
    }

    /// Deletes the entry: the removal is confirmed.
    pub fn removed(self) {
        // Most sessions have no notes.
        let _ = std::fs::remove_file(&self.notes);
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!("cannot delete {}: {error}", self.path.display());
        }
    }
}

/// Returns the last complete line.
fn read(mut file: &File) -> Option<Entry> {
    let mut text = Vec::new();
    file.read_to_end(&mut text).ok()?;
    text.rsplit(|byte| *byte == b'\n').find_map(|line| serde_json::from_slice(line).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        let text = "kind = \"wsman\"\nuri = \"http://localhost:1/wsman\"\nuser = \"a@b.c\"";
        let profile = crate::profile::parse("work", std::path::Path::new("work.toml"), text).unwrap();
        let session = Guarded {
            endpoint: "http://localhost:1/OcsPowershellLiveId".parse().unwrap(),
            configuration: "c".into(),
            shell: uuid::Uuid::new_v4(),
        };
        Entry::new(&profile, session)
    }

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
        assert!(journal.orphans().is_empty());
        drop(mine);
        assert!(journal.live().is_empty());
        let orphans = journal.orphans();
        assert_eq!(orphans[0].entry, entry);
        assert!(journal.orphans().is_empty(), "the entry is locked already");
        orphans.into_iter().for_each(JournalEntry::removed);
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
            let written: Vec<_> =
                (0..200).map(|_| journal.write(entry()).map(JournalEntry::removed)).collect();
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
            mine.failed();
            mine = journal.orphans().swap_remove(0);
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
        mine.failed();
        mine = journal.orphans().swap_remove(0);
        mine.entry.first_tried = ago(4 * 3600);
        mine.failed();
        assert!(journal.orphans().is_empty(), "the entry has expired");
    }

    #[test]
    fn a_partial_write_keeps_the_previous_entry() {
        let temp = tempfile::tempdir().unwrap();
        let journal = journal(temp.path());
        let mut mine = journal.write(entry()).unwrap();
        let (entry, before) = (mine.entry.clone(), mine.file.metadata().unwrap().len());
        mine.created(&notes(temp.path())).unwrap();
        let whole = mine.file.metadata().unwrap().len();
        let path = mine.path.clone();
        drop(mine);
        let all = std::fs::read(&path).unwrap();
        for length in before..whole - 1 {
            std::fs::write(&path, &all[..usize::try_from(length).unwrap()]).unwrap();
            assert_eq!(journal.orphans()[0].entry, entry);
        }
        let mut mine = journal.orphans().swap_remove(0);
        mine.created(&notes(temp.path())).unwrap();
        drop(mine);
        assert!(journal.orphans()[0].entry.created);
    }

    #[test]
    fn a_late_create_is_awaited() {
        let limit = Duration::from_mins(1);
        let ago = |seconds| SystemTime::now().checked_sub(Duration::from_secs(seconds)).unwrap();
        let uncreated = |written, first_tried: Option<u64>| {
            let open_limit = Duration::from_mins(1);
            Entry { written: ago(written), first_tried: first_tried.map(ago), open_limit, ..entry() }
        };
        // The owner was killed at any time until the limit of Create.
        assert!(uncreated(10, None).may_be_in_progress(limit));
        assert!(uncreated(110, None).may_be_in_progress(limit));
        assert!(!uncreated(130, None).may_be_in_progress(limit));
        // The owner gave up.
        assert!(uncreated(110, Some(50)).may_be_in_progress(limit));
        assert!(!uncreated(110, Some(70)).may_be_in_progress(limit));
        assert!(!Entry { created: true, ..uncreated(10, None) }.may_be_in_progress(limit));
        let later = SystemTime::now() + Duration::from_hours(1);
        assert!(!Entry { written: later, ..entry() }.may_be_in_progress(limit), "the clock was set back");
    }

    #[test]
    fn an_unconfirmed_session_expires_after_its_idle_timeout() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("x.json");
        let ago = |seconds| SystemTime::now() - Duration::from_secs(seconds);
        let write = |since: u64, idle_timeout: Option<Duration>| {
            let notes = serde_json::json!({ "doubtful": ago(since), "idle_timeout": idle_timeout });
            std::fs::write(&path, notes.to_string()).unwrap();
        };
        let created = Entry { created: true, ..entry() };
        let is_expired = |entry: &Entry| entry.is_expired(&entry.notes(path.clone()));
        for (idle, since, expired) in [(Some(60), 100, false), (Some(60), 130, true), (None, 7_400, false)] {
            write(since, idle.map(Duration::from_secs));
            assert_eq!(is_expired(&created), expired, "{idle:?} {since}");
        }
        // The notes of a crashed machine may be lost; the journal has the timeout and the pool member.
        write(130, None);
        let front_end = Some("EX1".to_owned());
        let affinity = StoredAffinity { front_end, ..StoredAffinity::default() };
        let idle_timeout = Some(Duration::from_mins(1));
        let entry = Entry { idle_timeout, affinity: affinity.clone(), ..created };
        assert!(is_expired(&entry) && entry.notes(path.clone()).stored_affinity() == affinity);
        std::fs::write(&path, "{").unwrap();
        assert!(!is_expired(&entry));
        // Without notes, the time counts from the first failed removal.
        std::fs::remove_file(&path).unwrap();
        assert!(!is_expired(&Entry { first_tried: Some(ago(100)), ..entry.clone() }));
        assert!(is_expired(&Entry { first_tried: Some(ago(130)), ..entry }));
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
        assert!(journal.orphans().is_empty() && path.exists());
        assert_eq!(journal.set_aside(), [path.with_extension(UNREAD)]);
        assert!(journal.set_aside().is_empty());
        drop(mine);
        assert_eq!(journal.orphans().len(), 1);
    }

    #[test]
    fn a_redirected_session_keeps_its_new_endpoint() {
        let temp = tempfile::tempdir().unwrap();
        let journal = journal(temp.path());
        let mut mine = journal.write(entry()).unwrap();
        mine.moved("https://h/p".parse().unwrap()).unwrap();
        drop(mine);
        assert_eq!(journal.orphans()[0].entry.session.endpoint.as_str(), "https://h/p");
    }
}
