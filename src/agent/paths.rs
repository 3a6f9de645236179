//! Where the agent of a profile is found: its sockets and locks, in the runtime folder.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::folders::Folders;
use crate::platform;

/// The longest path of a Unix socket on every system that is supported: macOS has 104 bytes with the
/// terminating zero, Linux 108 (`sockaddr_un`).
const MAX_SOCKET_PATH: usize = 103;

/// Where Windows has its named pipes.
const PIPES: &str = r"\\.\pipe\";

/// The files of one agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentPaths {
    /// Where PSRP is spoken: what shells connect to.
    pub socket: PathBuf,
    /// Where launchers and `lyncsh status` speak to the agent itself.
    pub control: PathBuf,
    /// Locked by the agent as long as it lives.
    pub lock: PathBuf,
    /// The agent's process id. A file of its own: on Windows a locked one can't be read by others.
    pub process: PathBuf,
    /// Locked by a launcher while it looks for the agent and starts one.
    pub starting: PathBuf,
    folders: [PathBuf; 2],
}

/// A lock that was not had in time.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("{} can't be locked: {error}", .path.display())]
    Io { path: PathBuf, error: io::Error },
    #[error("{} is still locked by another process after {}", .path.display(), humantime::format_duration(*.limit))]
    Taken { path: PathBuf, limit: Duration },
}

impl AgentPaths {
    pub fn of(folders: &Folders, profile: &str) -> Self {
        let runtime = &folders.runtime;
        let beside = |ending: &str| runtime.join(format!("{profile}.{ending}"));
        let (near, far) = (beside("control"), short_folder(runtime));
        let fits = !cfg!(unix) || near.as_os_str().len() <= MAX_SOCKET_PATH;
        let sockets = if fits { runtime.clone() } else { far };
        let stem =
            if fits { profile.to_owned() } else { format!("{:016x}", platform::hash(profile.as_bytes())) };
        let socket = |ending: &str| {
            if cfg!(windows) {
                // The pipes' namespace is the whole machine's.
                let whole = format!("{}\0{profile}", runtime.display());
                PathBuf::from(format!("{PIPES}lyncsh-{:016x}-{ending}", platform::hash(whole.as_bytes())))
            } else {
                sockets.join(format!("{stem}.{ending}"))
            }
        };
        Self {
            socket: socket("sock"),
            control: socket("control"),
            lock: beside("lock"),
            process: beside("process"),
            starting: beside("starting"),
            folders: [runtime.clone(), sockets],
        }
    }

    /// The socket as a PowerShell takes it (`NamedPipeConnectionInfo`): the whole path on Unix, on
    /// Windows the pipe's bare name.
    pub fn socket_for_powershell(&self) -> String {
        let path = self.socket.display().to_string();
        path.strip_prefix(PIPES).map(str::to_owned).unwrap_or(path)
    }

    /// Makes the folders, for the user alone.
    pub fn prepare(&self) -> io::Result<()> {
        self.folders.iter().try_for_each(|folder| platform::private_folder(folder))
    }

    /// Removes the files of an agent that has ended. Those who wait for its locks notice that the files
    /// are others' then.
    pub fn discard(&self) -> io::Result<()> {
        let held = [&self.starting, &self.lock].map(|path| {
            let file = platform::private_file().open(path).ok()?;
            platform::hold(&file).ok().filter(|held| *held).map(|_| file)
        });
        // Pipes go with their process.
        let files: &[&PathBuf] =
            if cfg!(windows) { &[&self.process] } else { &[&self.process, &self.socket, &self.control] };
        for path in files {
            remove(path)?;
        }
        for (file, path) in held.into_iter().zip([&self.starting, &self.lock]) {
            // Another has it: an agent that somebody started just now.
            if file.is_some() || !path.exists() {
                remove(path)?;
            }
        }
        Ok(())
    }

    /// The profiles that have an agent, or had one.
    pub fn known(folders: &Folders) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(&folders.runtime) else { return Vec::new() };
        let names = entries.filter_map(|entry| {
            let path = entry.ok()?.path();
            let is_lock = path.extension().is_some_and(|ending| ending == "lock");
            is_lock.then(|| path.file_stem()?.to_str().map(str::to_owned)).flatten()
        });
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }

    /// The agent's process id, where one holds the lock.
    pub fn holder(&self) -> Option<u32> {
        let file = File::open(&self.lock).ok()?;
        if !platform::is_held(&file) {
            return None;
        }
        let text = std::fs::read_to_string(&self.process).ok()?;
        let mut words = text.split_whitespace();
        let process = words.next()?.parse().ok()?;
        // What an earlier agent has left there may be another's by now.
        let started: Option<u64> = words.next().and_then(|word| word.parse().ok());
        (platform::start_time(process) == started).then_some(process)
    }

    /// Writes down which process the agent is: this one.
    pub fn name_process(&self) -> io::Result<()> {
        let mut file = platform::private_file().create(true).truncate(true).open(&self.process)?;
        let process = std::process::id();
        let started = platform::start_time(process).map(|time| format!(" {time}")).unwrap_or_default();
        writeln!(file, "{process}{started}")
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A process id as it stands behind a name; nothing where it is not known.
pub fn in_brackets(process: Option<u32>) -> String {
    process.map(|process| format!(" (process {process})")).unwrap_or_default()
}

/// Locks a file for this process, and waits for it at most `limit`. The lock goes with the file.
pub async fn lock(path: &Path, limit: Duration) -> Result<File, LockError> {
    let failed = |error| LockError::Io { path: path.to_owned(), error };
    // A thread of its own, and not the runtime's: it may wait for longer than anybody is interested.
    let (sender, locked) = tokio::sync::oneshot::channel();
    let file = path.to_owned();
    std::thread::spawn(move || {
        let _ = sender.send(hold(&file));
    });
    match tokio::time::timeout(limit, locked).await {
        Ok(Ok(result)) => result.map_err(failed),
        Ok(Err(_)) => Err(failed(io::Error::other("the thread that waited for it ended"))),
        Err(_) => Err(LockError::Taken { path: path.to_owned(), limit }),
    }
}

/// Opens a file and locks it. One that was removed meanwhile locks nothing: the file that is there is.
fn hold(path: &Path) -> io::Result<File> {
    loop {
        let file = platform::private_file().create(true).truncate(false).open(path)?;
        platform::hold_when_free(&file)?;
        if platform::is_at(&file, path) {
            return Ok(file);
        }
    }
}

/// A folder with a short path, for sockets whose own would be too long.
fn short_folder(runtime: &Path) -> PathBuf {
    #[cfg(unix)]
    let user = platform::user();
    #[cfg(windows)]
    let user = 0;
    PathBuf::from(format!(
        "/tmp/lyncsh-{user}-{:016x}",
        platform::hash(runtime.as_os_str().as_encoded_bytes())
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    fn folders(runtime: &Path) -> Folders {
        let [config, cache, state, runtime] = ["c", "k", "s", "r"].map(|part| runtime.join(part));
        Folders { config, cache, state, runtime }
    }

    #[cfg(unix)]
    #[test]
    fn a_deep_runtime_folder_still_has_a_socket_that_fits() {
        let deep = Path::new("/home").join("x".repeat(150));
        let paths = AgentPaths::of(&folders(&deep), "work");
        assert!(paths.socket.as_os_str().len() <= MAX_SOCKET_PATH);
        assert_ne!(paths.socket, AgentPaths::of(&folders(&deep), "other").socket);
        assert_ne!(paths.socket, AgentPaths::of(&folders(&deep.join("y")), "work").socket);
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_that_others_could_enter_is_closed_to_them() {
        use std::os::unix::fs::PermissionsExt as _;
        let temp = tempfile::tempdir().unwrap();
        let open = temp.path().join("open");
        std::fs::create_dir(&open).unwrap();
        std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o777)).unwrap();
        platform::private_folder(&open).unwrap();
        assert_eq!(open.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        let link = temp.path().join("link");
        std::os::unix::fs::symlink(&open, &link).unwrap();
        assert!(platform::private_folder(&link).is_err());
    }

    #[tokio::test]
    async fn a_lock_that_another_has_is_waited_for_but_not_for_ever() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("work.lock");
        let held = lock(&path, Duration::from_secs(5)).await.unwrap();
        let second = lock(&path, Duration::from_millis(50)).await;
        assert!(matches!(second, Err(LockError::Taken { .. })));
        drop(held);
        lock(&path, Duration::from_secs(30)).await.unwrap();
    }
}
