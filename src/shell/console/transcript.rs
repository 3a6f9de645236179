//! Transcripts: the commands and output of a console in files, started by a profile's `transcript` or by
//! Start-Transcript.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crate::folders::home;
use crate::line::{self, TranscriptFile};
use crate::platform;
use crate::screen::{Colour, clean};

/// Size at which a session's transcript continues in another file.
const MAX_BYTES: u64 = 16 * 1024 * 1024;
/// Maximum number of files kept for each profile.
const MAX_FILES: usize = 1_000;
/// Age at which a profile's files are removed.
const MAX_AGE: Duration = Duration::from_hours(90 * 24);
/// Time in a file's name, in UTC.
const STAMP: &str = "%Y%m%dT%H%M%SZ";

const LINE: &str = "**********************";

/// The open transcripts of a console. Clones share them.
#[derive(Clone, Default)]
pub struct Recorder(Arc<Mutex<Open>>);

#[derive(Default)]
struct Open {
    files: Vec<Transcript>,
    mask: Mask,
}

/// Suppression of output and messages that may repeat a secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mask {
    /// Set while a line runs that may hold a secret.
    of_line: bool,
    /// Set while a script runs that such a line has called: its arguments may be the secret.
    of_caller: bool,
}

struct Transcript {
    file: File,
    path: PathBuf,
    written: u64,
    /// Set for the transcript of a session, which continues in another file at [`MAX_BYTES`].
    series: Option<Series>,
    is_minimal: bool,
}

/// The numbered files of one session's transcript.
struct Series {
    folder: PathBuf,
    /// File name without the part number and `.txt`.
    stem: String,
    part: usize,
}

impl Series {
    fn path(&self) -> PathBuf {
        let part = if self.part > 1 { format!("-{}", self.part) } else { String::new() };
        self.folder.join(format!("{}{part}.txt", self.stem))
    }

    /// Creates the file. If it exists, a session with the same process id began in the same second: uses the next
    /// part number.
    fn create(&mut self) -> io::Result<(File, PathBuf)> {
        loop {
            let path = self.path();
            match platform::private_file().create_new(true).open(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && self.part < MAX_FILES => {
                    self.part += 1;
                }
                opened => return opened.map(|file| (file, path)),
            }
        }
    }
}

impl Transcript {
    fn header(&mut self, profile: &str) -> io::Result<()> {
        let now = chrono::Local::now().format("%Y-%m-%dT%H:%M:%S%:z");
        let mut text = format!("{LINE}\nlyncsh transcript start\nStart time: {now}\n");
        if !self.is_minimal {
            text.push_str(&format!(
                "Profile: {profile}\nUsername: {}\nMachine: {}\nProcess ID: {}\nVersion: {}\n",
                platform::own_name(),
                platform::machine_name(),
                std::process::id(),
                env!("CARGO_PKG_VERSION")
            ));
        }
        text.push_str(&format!("{LINE}\n"));
        self.write(&text)
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        if self.written >= MAX_BYTES
            && let Some(series) = &mut self.series
        {
            series.part += 1;
            (self.file, self.path) = series.create()?;
            self.written = 0;
        }
        self.file.write_all(text.as_bytes())?;
        self.written += text.len() as u64;
        Ok(())
    }
}

impl Drop for Transcript {
    fn drop(&mut self) {
        let now = chrono::Local::now().format("%Y-%m-%dT%H:%M:%S%:z");
        let end = format!("{LINE}\nlyncsh transcript end\nEnd time: {now}\n{LINE}\n");
        // The file has all output; an error here was reported before.
        let _ = self.file.write_all(end.as_bytes());
    }
}

impl Mask {
    fn is_set(self) -> bool {
        self.of_line || self.of_caller
    }
}

/// Error of starting or writing a transcript.
#[derive(Debug, thiserror::Error)]
pub enum TranscriptError {
    /// Another transcript of this console writes to this file.
    #[error("'{0}' is already written by a transcript.")]
    Busy(PathBuf),
    /// `-NoClobber`: the file must not be overwritten.
    #[error("The file '{0}' already exists.")]
    Exists(PathBuf),
    /// The file of Start-Transcript cannot be created or written: no permission, a missing drive, or a full disk.
    #[error("cannot write to '{0}': {1}")]
    Write(PathBuf, io::Error),
    /// The transcript of a session, with its folder or file, cannot be started or continued.
    #[error("cannot write the transcript in '{0}': {1}; the session continues without it")]
    Lost(PathBuf, io::Error),
}

impl Recorder {
    fn open(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the transcript of a session in a profile's folder, and removes old files of the profile.
    pub fn start_session(&self, folder: &Path, profile: &str) -> Result<(), TranscriptError> {
        let start = || {
            // An existing folder keeps its mode: other users may need access to it.
            if !folder.is_dir() {
                platform::private_folder(folder)?;
            }
            prune(folder, profile);
            let stamp = chrono::Utc::now().format(STAMP);
            let stem = format!("{profile}.{stamp}.{}", std::process::id());
            let mut series = Series { folder: folder.to_owned(), stem, part: 1 };
            let (file, path) = series.create()?;
            let mut transcript =
                Transcript { file, path, written: 0, series: Some(series), is_minimal: false };
            transcript.header(profile)?;
            Ok(transcript)
        };
        let started: io::Result<Transcript> = start();
        let transcript = started.map_err(|error| TranscriptError::Lost(folder.to_owned(), error))?;
        self.open().files.push(transcript);
        Ok(())
    }

    /// Starts a transcript for Start-Transcript and returns its path.
    pub fn start(&self, given: &TranscriptFile, profile: &str) -> Result<PathBuf, TranscriptError> {
        let name = || {
            let now = chrono::Local::now().format("%Y%m%d%H%M%S");
            format!("lyncsh_transcript.{profile}.{}.{now}.txt", std::process::id())
        };
        let path = match (&given.path, &given.folder) {
            (Some(path), _) if path.is_dir() => path.join(name()),
            (Some(path), _) => path.clone(),
            (None, Some(folder)) => folder.join(name()),
            (None, None) => home().unwrap_or_default().join(name()),
        };
        let path = line::path::absolute(&path);
        if self.open().files.iter().any(|one| one.path == path) {
            return Err(TranscriptError::Busy(path));
        }
        let mut options = platform::private_file();
        match (given.append, given.no_clobber) {
            (true, _) => options.append(true).create(true),
            (false, true) => options.create_new(true),
            (false, false) => options.create(true).truncate(true),
        };
        let open = || {
            if let Some(folder) = path.parent().filter(|folder| !folder.exists()) {
                platform::private_folder(folder)?;
            }
            let file = options.open(&path)?;
            // An existing file keeps its mode when it is opened.
            platform::make_private(&file)?;
            Ok(file)
        };
        let opened: io::Result<File> = open();
        let file = opened.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => TranscriptError::Exists(path.clone()),
            _ => TranscriptError::Write(path.clone(), error),
        })?;
        let mut transcript = Transcript { file, path, written: 0, series: None, is_minimal: given.minimal };
        let path = transcript.path.clone();
        transcript.header(profile).map_err(|error| TranscriptError::Write(path.clone(), error))?;
        self.open().files.push(transcript);
        Ok(path)
    }

    /// Ends the last transcript of a Start-Transcript and returns its path.
    pub fn stop(&self) -> Option<PathBuf> {
        let mut open = self.open();
        let at = open.files.iter().rposition(|one| one.series.is_none())?;
        Some(open.files.remove(at).path.clone())
    }

    /// Records a typed line or a statement of a script. If `is_hidden`, only the names of its commands are recorded,
    /// and no output until the next line. Returns the problem of a transcript that has failed.
    pub fn input(&self, prompt: &str, text: &str, is_hidden: bool) -> Option<String> {
        let is_masked = {
            let mask = &mut self.open().mask;
            mask.of_line = is_hidden;
            mask.is_set()
        };
        let mut line = format!("{prompt}{}", text.trim_end());
        if is_hidden {
            let names = names(text).join(", ");
            line = format!("{prompt}{names} (not recorded: the line may contain a secret)");
        }
        if is_masked {
            line.push_str("\n(output not recorded)");
        }
        self.write(&format!("{line}\n"))
    }

    /// Leaves out output and messages until the next line.
    pub fn mask(&self) {
        self.open().mask.of_line = true;
    }

    /// Ends the mask of a line.
    pub fn unmask(&self) {
        self.open().mask = Mask::default();
    }

    /// Begins a called script, for which the mask of the calling line remains. Returns the mask for
    /// [`Self::leave`].
    pub fn enter(&self) -> Mask {
        let mask = &mut self.open().mask;
        let before = *mask;
        mask.of_caller = before.is_set();
        before
    }

    /// Ends a called script.
    pub fn leave(&self, before: Mask) {
        self.open().mask = before;
    }

    /// Returns whether a transcript is written.
    pub fn is_active(&self) -> bool {
        !self.open().files.is_empty()
    }

    /// Records output. Returns the problem of a transcript that has failed.
    pub fn output(&self, text: &str) -> Option<String> {
        if self.open().mask.is_set() {
            return None;
        }
        self.write(text)
    }

    /// Records a line of another stream. Returns the problem of a transcript that has failed.
    pub fn message(&self, text: &str) -> Option<String> {
        if self.open().mask.is_set() {
            return self.write("(message not recorded: it may contain a secret)\n");
        }
        self.write(&format!("{text}\n"))
    }

    fn write(&self, text: &str) -> Option<String> {
        let mut open = self.open();
        if open.files.is_empty() {
            return None;
        }
        let shown = clean(text, Colour::Drop);
        let mut problem = None;
        open.files.retain_mut(|transcript| match transcript.write(shown.as_str()) {
            Ok(()) => true,
            Err(error) => {
                problem = Some(TranscriptError::Lost(transcript.path.clone(), error).to_string());
                false
            }
        });
        problem
    }
}

/// Returns the names of a text's commands. A name that may be a value, such as a pasted token, is left out.
fn names(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    for statement in line::parse(text).unwrap_or_default() {
        line::walk::statement(&statement, &mut |found| {
            if let line::walk::Found::Command(command) = found {
                names.push(if is_name(&command.name) { command.name.clone() } else { "…".to_owned() });
            }
        });
    }
    names
}

/// Returns whether a word is the name of a command: one of the console's, or `Verb-Noun`.
fn is_name(word: &str) -> bool {
    let is_part = |part: &str| !part.is_empty() && part.chars().all(char::is_alphabetic);
    line::is_local(word) || word.split_once('-').is_some_and(|(verb, noun)| is_part(verb) && is_part(noun))
}

/// Returns whether a file is a transcript of a profile: `PROFILE.TIME.PROCESS.txt`.
fn is_of(name: &str, profile: &str) -> bool {
    let rest = name.strip_prefix(profile).and_then(|rest| rest.strip_prefix('.'));
    let Some((stamp, number)) = rest.and_then(|rest| rest.strip_suffix(".txt")?.split_once('.')) else {
        return false;
    };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|one| one.is_ascii_digit());
    chrono::NaiveDateTime::parse_from_str(stamp, STAMP).is_ok() && number.split('-').all(is_number)
}

/// Removes a profile's files that are too old or too many. Errors leave the files.
fn prune(folder: &Path, profile: &str) {
    let mut files: Vec<(String, PathBuf)> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path()))
        .filter(|(name, _)| is_of(name, profile))
        .collect();
    // Newest first: the names contain the time.
    files.sort_by(|a, b| b.0.cmp(&a.0));
    let now = SystemTime::now();
    for (at, (_, path)) in files.iter().enumerate() {
        let written = std::fs::symlink_metadata(path).and_then(|data| data.modified());
        let is_old = written.is_ok_and(|at| now.duration_since(at).is_ok_and(|age| age > MAX_AGE));
        // One more is about to be created.
        if (is_old || at + 1 >= MAX_FILES)
            && let Err(error) = std::fs::remove_file(path)
        {
            tracing::debug!(file = %path.display(), %error, "cannot remove an old transcript");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only_file(folder: &Path) -> PathBuf {
        let mut files: Vec<PathBuf> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(files.len(), 1, "{files:?}");
        files.remove(0)
    }

    #[test]
    fn a_session_is_recorded_without_secrets() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("audit");
        let recorder = Recorder::default();
        recorder.start_session(&inner, "work").unwrap();
        let prompt = "[work] PS> ";
        assert_eq!(recorder.input(prompt, "Get-CsTenant | select Name\n", false), None);
        assert_eq!(recorder.output("\u{1b}[31mLitware\u{1b}[0m\n"), None);
        recorder.input(prompt, "Set-CsUserAcp ken -Password 'hunter2'", true);
        recorder.output("hunter2\n");
        recorder.message("Set-CsUserAcp: cannot accept 'hunter2'.");
        // A called script gets the secret as an argument.
        let before = recorder.enter();
        recorder.input(prompt, "Write-Host $args", false);
        recorder.output("hunter2\n");
        recorder.leave(before);
        recorder.output("hunter2\n");
        for secret in ["hunter2=MySecret", "hunter2 | Write-Host", "Get-hunter2"] {
            recorder.input(prompt, secret, true);
        }
        recorder.unmask();
        recorder.output("after\n");
        recorder.input(prompt, "Get-CsUser", false);
        recorder.message("Get-CsUser: shown.");
        let file = only_file(&inner);
        drop(recorder);
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(!text.contains("hunter2"), "{text}");
        for part in [
            &format!("Profile: work\nUsername: {}\nMachine: ", platform::own_name()),
            "[work] PS> Get-CsTenant | select Name\nLitware\n[work] PS> Set-CsUserAcp (not recorded",
            "secret)\n(output not recorded)\n(message not recorded",
            "[work] PS> Write-Host $args\n(output not recorded)\n",
            "[work] PS> …, Write-Host (not recorded",
            "\nafter\n",
            "[work] PS> Get-CsUser\nGet-CsUser: shown.\n",
            "lyncsh transcript end\n",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        assert!(is_of(file.file_name().unwrap().to_str().unwrap(), "work"));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!((mode(&file), mode(&inner)), (0o600, 0o700));
        }
    }

    #[test]
    fn a_given_file_is_made_private_with_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new").join("log.txt");
        let file = |append| TranscriptFile {
            path: Some(path.clone()),
            folder: None,
            append,
            no_clobber: false,
            minimal: true,
        };
        for append in [false, true] {
            let recorder = Recorder::default();
            assert_eq!(recorder.start(&file(append), "work").unwrap(), path);
            drop(recorder);
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt as _;
                let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
                assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
            }
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap().matches("transcript start").count(), 2);
    }

    #[test]
    fn old_transcripts_of_the_profile_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let old = "work.20200101T000000Z.7.txt";
        for name in [old, "work.20200101T000000Z.7-2.txt", "other.20200101T000000Z.7.txt", "work.notes.txt"] {
            std::fs::write(at(name), "x").unwrap();
            let file = File::options().write(true).open(at(name)).unwrap();
            file.set_modified(SystemTime::now() - MAX_AGE - Duration::from_mins(1)).unwrap();
        }
        std::fs::write(at("work.20250101T000000Z.8.txt"), "x").unwrap();
        prune(folder.path(), "work");
        let mut left: Vec<String> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, ["other.20200101T000000Z.7.txt", "work.20250101T000000Z.8.txt", "work.notes.txt"]);
    }

    #[test]
    fn a_long_session_continues_in_another_file() {
        let folder = tempfile::tempdir().unwrap();
        let recorder = Recorder::default();
        recorder.start_session(folder.path(), "work").unwrap();
        recorder.open().files[0].written = MAX_BYTES;
        recorder.output("next part\n");
        let mut names: Vec<PathBuf> =
            std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        names.sort();
        assert_eq!(names.len(), 2);
        let second = names.iter().find(|path| path.display().to_string().ends_with("-2.txt")).unwrap();
        assert_eq!(std::fs::read_to_string(second).unwrap(), "next part\n");
    }

    #[test]
    fn a_failed_transcript_is_reported_once() {
        let recorder = Recorder::default();
        let file = tempfile::NamedTempFile::new().unwrap();
        let not_a_folder = recorder.start_session(file.path(), "work").unwrap_err().to_string();
        assert!(not_a_folder.contains("the session continues without it"), "{not_a_folder}");
        // A file that is open for reading only cannot be written.
        recorder.open().files.push(Transcript {
            file: File::open(file.path()).unwrap(),
            path: file.path().to_owned(),
            written: 0,
            series: None,
            is_minimal: true,
        });
        assert!(recorder.output("x\n").is_some_and(|text| text.contains("cannot write the transcript")));
        assert_eq!(recorder.output("x\n"), None);
    }
}
