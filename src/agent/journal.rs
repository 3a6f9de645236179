//! What must be removed though everybody who knew of it has died: one small file for each live
//! session, without a secret. It is on the disk before Create is sent, and goes when Delete is
//! confirmed.
//!
//! Its owner keeps the file locked: one that can be locked belongs to nobody any more. What changes is
//! written as another line behind, so that an owner who is killed in the middle of it leaves what was
//! known before.

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
use crate::transport::Error;

/// How soon a removal that failed is tried again, and how often this is doubled.
const FIRST_PAUSE: Duration = Duration::from_secs(30);
const MOST_DOUBLED: u32 = 5;
/// No endpoint keeps a session that nobody uses for longer.
const FORGOTTEN: Duration = Duration::from_hours(24);
/// The same where it is not even known that there was one: WinRM keeps it for two hours where nothing
/// shorter was asked for.
const FORGOTTEN_UNMADE: Duration = Duration::from_hours(3);

/// What an entry's file ends in.
const ENTRY: &str = "json";
/// What an entry's file ends in until it is whole, and how often it is begun.
const BEGUN: &str = "new";
const ATTEMPTS: usize = 10;
/// And what the file of an entry ends in that can't be read: a person can, and an earlier or later
/// lyncsh.
const UNREAD: &str = "unread";

/// How long a process that was killed may take to close its files.
const LETS_GO: Duration = Duration::from_secs(1);

/// One session.
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
    /// Create was answered: a Delete can't overtake it any more.
    pub created: bool,
    /// When its removal failed last, and how often it has.
    #[serde(default)]
    pub tried: Option<SystemTime>,
    #[serde(default)]
    pub tries: u32,
    /// The endpoint refused the password with which it was to be removed: it is not tried again before
    /// there is another.
    #[serde(default)]
    pub refused: bool,
}

impl Entry {
    /// Whether its removal should be tried now: at once, and after each failure a while later, so that
    /// an endpoint out of reach does not slow down every start.
    pub fn is_due(&self) -> bool {
        if self.refused {
            return false;
        }
        let pause = FIRST_PAUSE * 2u32.pow(self.tries.saturating_sub(1).min(MOST_DOUBLED));
        // A time that is still to come is a clock's that was set.
        self.tried.and_then(|tried| tried.elapsed().ok()).is_none_or(|ago| ago >= pause)
    }

    /// Whether its endpoint has removed it by itself long ago.
    pub fn is_forgotten(&self) -> bool {
        let age = if self.created { FORGOTTEN } else { FORGOTTEN_UNMADE };
        self.written.elapsed().is_ok_and(|elapsed| elapsed > age)
    }
}

/// The journal of one user.
#[derive(Clone, Debug)]
pub struct Journal {
    folder: PathBuf,
    /// Where the notes on the sessions are: [`super::notes`].
    notes: PathBuf,
}

/// An entry that this process answers for. Dropped without [`Kept::removed`], it stays for the next
/// start of lyncsh.
#[derive(Debug)]
pub struct JournalEntry {
    pub entry: Entry,
    file: File,
    path: PathBuf,
    notes: PathBuf,
}

impl Journal {
    pub fn of(folders: &Folders) -> Self {
        Self { folder: folders.state.join("sessions"), notes: folders.state.join("notes") }
    }

    /// Writes down a session that is about to be created.
    pub fn write(&self, profile: &str, user: Option<&str>, session: Guarded) -> io::Result<JournalEntry> {
        platform::private_folder(&self.folder)?;
        platform::private_folder(&self.notes)?;
        let process = std::process::id();
        let entry = Entry {
            profile: profile.to_owned(),
            user: user.map(str::to_owned),
            session,
            process,
            started: platform::start_time(process),
            written: SystemTime::now(),
            created: false,
            tried: None,
            tries: 0,
            refused: false,
        };
        let path = self.path(entry.session.shell);
        let beside = path.with_extension(BEGUN);
        let notes = self.notes(entry.session.shell);
        // One that tidies up may have come between its creation and its lock.
        let mut attempts = 0;
        loop {
            attempts += 1;
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

    /// Writes an entry beside its place, and moves it there. [`crate::files::replace`] is not for it: the
    /// file is locked from the start, and its owner goes on writing to it.
    fn begin(beside: &Path, path: &Path, notes: &Path, entry: &Entry) -> io::Result<JournalEntry> {
        let file = platform::private_file().create_new(true).open(beside)?;
        // Locked before anybody can see it under its name.
        if !platform::hold(&file)? {
            return Err(io::ErrorKind::NotFound.into());
        }
        let mut kept =
            JournalEntry { entry: entry.clone(), file, path: path.to_owned(), notes: notes.to_owned() };
        kept.put()?;
        std::fs::rename(beside, path)?;
        Ok(kept)
    }

    /// Has the removals tried again that were refused for their password: there is another.
    pub fn forgive(&self, profile: &str) -> io::Result<()> {
        for mut kept in self.orphans() {
            if kept.entry.profile == profile && kept.entry.refused {
                kept.entry.refused = false;
                kept.entry.tried = None;
                kept.put()?;
            }
        }
        Ok(())
    }

    /// Whether a session of this profile was left behind, and may still be there.
    pub fn has_orphan(&self, profile: &str) -> bool {
        self.orphans().iter().any(|kept| kept.entry.profile == profile && !kept.is_over())
    }

    /// The sessions whose owners live.
    pub fn live(&self) -> Vec<Entry> {
        let entries = self.paths().into_iter().filter_map(|path| {
            let file = File::open(&path).ok()?;
            platform::is_held(&file).then(|| read(&file)).flatten()
        });
        entries.collect()
    }

    /// The sessions that dead owners left; they are this process's now.
    pub fn orphans(&self) -> Vec<JournalEntry> {
        self.tidy();
        let entries = self.paths().into_iter().filter_map(|path| {
            let mut file = platform::private_file().open(&path).ok()?;
            if !platform::hold(&file).ok()? {
                platform::has_ended(read(&file)?.process).then_some(())?;
                // Killed just now, it is about to let go.
                let since = Instant::now();
                while !platform::hold(&file).ok()? {
                    (since.elapsed() < LETS_GO).then_some(())?;
                    std::thread::sleep(Duration::from_millis(2));
                }
                // Who held it may have removed it at last.
                path.exists().then_some(())?;
            }
            file.rewind().ok()?;
            let entry = read(&file)?;
            let notes = self.notes(entry.session.shell);
            Some(JournalEntry { entry, file, path, notes })
        });
        entries.collect()
    }

    /// Puts the entries of dead owners aside that can't be read, and says where they are now.
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

    /// The session of a dead owner is confirmed to be gone. Its file may still be locked: a process
    /// that ends closes its files one after the other.
    pub fn forget(&self, shell: uuid::Uuid) {
        if let Err(error) = std::fs::remove_file(self.path(shell)) {
            tracing::debug!("the journal knows nothing of {shell}: {error}");
        }
        // Mostly there are none.
        let _ = std::fs::remove_file(self.notes(shell));
    }

    /// The removal of a dead owner's session has failed.
    pub fn failed(&self, shell: uuid::Uuid, error: &Error) {
        let left = self.orphans().into_iter().find(|kept| kept.entry.session.shell == shell);
        left.into_iter().for_each(|kept| kept.failed_by(error));
    }

    /// The file of the notes on a session.
    pub fn notes(&self, shell: uuid::Uuid) -> PathBuf {
        self.notes.join(format!("{shell}.{ENTRY}"))
    }

    /// Removes what was begun by those who died while they wrote it, and hold it no more: no Create was
    /// sent for it.
    fn tidy(&self) {
        for path in files(&self.folder, BEGUN).into_iter().chain(files(&self.notes, BEGUN)) {
            let Ok(file) = platform::private_file().open(&path) else { continue };
            if platform::hold(&file).is_ok_and(|held| held) {
                let _ = std::fs::remove_file(&path);
            }
        }
        // Notes that were written when their entry had just gone.
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

/// A folder's files with this ending.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    paths.filter(|path| path.extension().is_some_and(|one| one == ending)).collect()
}

impl JournalEntry {
    /// It is asked for at another place.
    pub fn moved(&mut self, endpoint: url::Url) -> io::Result<()> {
        self.entry.session.endpoint = endpoint;
        self.put()
    }

    /// The session is there.
    pub fn created(&mut self) -> io::Result<()> {
        self.entry.created = true;
        self.put()
    }

    fn put(&mut self) -> io::Result<()> {
        // A line that was cut off is ended first.
        let line = format!("\n{}\n", serde_json::to_string(&self.entry)?);
        self.file.seek(io::SeekFrom::End(0))?;
        self.file.write_all(line.as_bytes())?;
        self.file.sync_all()
    }

    /// Its removal failed: it stays for a later start, but not for ever.
    pub fn failed(mut self) {
        if self.is_over() {
            return self.removed();
        }
        self.entry.tried = Some(SystemTime::now());
        self.entry.tries = self.entry.tries.saturating_add(1);
        if let Err(error) = self.put() {
            tracing::warn!("the journal can't be written: {error}");
        }
    }

    /// Whether its endpoint has removed it by itself long ago.
    pub fn is_over(&self) -> bool {
        self.entry.is_forgotten() || Notes::read(self.notes.clone()).is_over()
    }

    /// The file of the notes on it.
    pub fn notes(&self) -> &Path {
        &self.notes
    }

    /// Its removal failed: as [`Kept::failed`], and where the password was refused, for as long as there is
    /// no other.
    pub fn failed_by(self, error: &Error) {
        match error {
            error if error.is_refused_credential() => self.refused(),
            _ => self.failed(),
        }
    }

    /// The password for its removal was refused.
    pub fn refused(mut self) {
        self.entry.refused = true;
        self.failed();
    }

    /// The session is confirmed to be gone.
    pub fn removed(self) {
        // Mostly there are none.
        let _ = std::fs::remove_file(&self.notes);
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!("{} can't be removed: {error}", self.path.display());
        }
    }
}

/// The last line that is whole.
fn read(mut file: &File) -> Option<Entry> {
    let mut text = Vec::new();
    file.read_to_end(&mut text).ok()?;
    text.rsplit(|byte| *byte == b'\n').find_map(|line| serde_json::from_slice(line).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> Guarded {
        Guarded {
            endpoint: "http://localhost:1/OcsPowershellLiveId".parse().unwrap(),
            configuration: "c".into(),
            shell: uuid::Uuid::new_v4(),
        }
    }

    #[test]
    fn a_session_is_an_orphan_when_its_owner_is_gone_and_not_before() {
        let temp = tempfile::tempdir().unwrap();
        let journal = Journal { folder: temp.path().join("sessions"), notes: temp.path().join("notes") };
        let mine = journal.write("work", Some("a@b.c"), session()).unwrap();
        let entry = mine.entry.clone();
        assert_eq!(journal.live(), std::slice::from_ref(&entry));
        assert!(journal.orphans().is_empty());
        drop(mine);
        assert!(journal.live().is_empty());
        let orphans = journal.orphans();
        assert_eq!(orphans[0].entry, entry);
        assert!(journal.orphans().is_empty(), "somebody is at it already");
        orphans.into_iter().for_each(JournalEntry::removed);
        assert_eq!(std::fs::read_dir(&journal.folder).unwrap().count(), 0);
    }

    #[test]
    fn a_removal_that_failed_is_tried_again_after_a_while() {
        let temp = tempfile::tempdir().unwrap();
        let journal = Journal { folder: temp.path().join("sessions"), notes: temp.path().join("notes") };
        let mut mine = journal.write("work", None, session()).unwrap();
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
        mine.entry.written = ago(4 * 3600).unwrap();
        mine.failed();
        assert!(journal.orphans().is_empty(), "it is long gone");
    }

    #[test]
    fn an_owner_that_was_killed_while_it_wrote_leaves_what_was_known_before() {
        let temp = tempfile::tempdir().unwrap();
        let journal = Journal { folder: temp.path().join("sessions"), notes: temp.path().join("notes") };
        let mut mine = journal.write("work", None, session()).unwrap();
        let (entry, before) = (mine.entry.clone(), mine.file.metadata().unwrap().len());
        mine.created().unwrap();
        let whole = mine.file.metadata().unwrap().len();
        let path = mine.path.clone();
        drop(mine);
        let all = std::fs::read(&path).unwrap();
        for length in before..whole - 1 {
            std::fs::write(&path, &all[..usize::try_from(length).unwrap()]).unwrap();
            assert_eq!(journal.orphans()[0].entry, entry);
        }
        let mut mine = journal.orphans().swap_remove(0);
        mine.created().unwrap();
        drop(mine);
        assert!(journal.orphans()[0].entry.created);
    }

    #[test]
    fn an_entry_that_cannot_be_read_is_put_aside() {
        let temp = tempfile::tempdir().unwrap();
        let journal = Journal { folder: temp.path().join("sessions"), notes: temp.path().join("notes") };
        let mine = journal.write("work", None, session()).unwrap();
        let path = journal.folder.join("other.json");
        std::fs::write(&path, "{\"version\": 9}").unwrap();
        assert!(journal.orphans().is_empty() && path.exists());
        assert_eq!(journal.set_aside(), [path.with_extension(UNREAD)]);
        assert!(journal.set_aside().is_empty());
        drop(mine);
        assert_eq!(journal.orphans().len(), 1);
    }

    #[test]
    fn a_redirected_session_is_found_where_it_is() {
        let temp = tempfile::tempdir().unwrap();
        let journal = Journal { folder: temp.path().join("sessions"), notes: temp.path().join("notes") };
        let mut mine = journal.write("work", None, session()).unwrap();
        mine.moved("https://h/p".parse().unwrap()).unwrap();
        drop(mine);
        assert_eq!(journal.orphans()[0].entry.session.endpoint.as_str(), "https://h/p");
    }
}
