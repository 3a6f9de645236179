//! Paths of a profile's agent: its sockets and locks in the runtime folder.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::files::lock::lock;
use crate::files::replace::remove;
use crate::folders::Folders;
use crate::platform;

/// The longest path of a Unix socket on all supported systems: macOS allows 104 bytes including the
/// terminating zero, Linux 108 (`sockaddr_un`).
const MAX_SOCKET_PATH: usize = 103;

/// Namespace of Windows named pipes.
const PIPES: &str = r"\\.\pipe\";

/// Time limit for the process of an ended agent to exit.
const EXIT_TIMEOUT: Duration = Duration::from_secs(2);

/// The files of one agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentPaths {
    /// PSRP socket for shells.
    pub socket: PathBuf,
    /// Control socket for launchers and `lyncsh status`.
    pub control: PathBuf,
    /// Locked by the agent while it runs.
    pub lock: PathBuf,
    /// The agent's process id. A separate file: on Windows other processes cannot read a locked file.
    pub process: PathBuf,
    /// Locked by a launcher while it looks for the agent and starts it.
    pub starting: PathBuf,
    folders: [PathBuf; 2],
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
                // The namespace of pipes is shared by all users of the machine.
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

    /// Returns the socket in the form that PowerShell expects (`NamedPipeConnectionInfo`): the whole path on
    /// Unix, the bare pipe name on Windows.
    pub fn socket_for_powershell(&self) -> String {
        let path = self.socket.display().to_string();
        path.strip_prefix(PIPES).map(str::to_owned).unwrap_or(path)
    }

    /// Creates the folders, accessible to the user only.
    pub fn prepare(&self) -> io::Result<()> {
        self.folders.iter().try_for_each(|folder| platform::private_folder(folder))
    }

    /// Removes the files of an ended agent. Processes waiting for its locks notice that the files were
    /// replaced.
    pub async fn discard(&self) -> io::Result<()> {
        let mut held = Vec::new();
        for path in [&self.starting, &self.lock] {
            // The process of the agent may still be exiting.
            let file = if path.exists() { lock(path, EXIT_TIMEOUT).await.ok() } else { None };
            held.push(file);
        }
        // Windows removes pipes with their process.
        let files: &[&PathBuf] =
            if cfg!(windows) { &[&self.process] } else { &[&self.process, &self.socket, &self.control] };
        for path in files {
            remove(path)?;
        }
        for (file, path) in held.into_iter().zip([&self.starting, &self.lock]) {
            // If the lock was not obtained, a new agent holds the file, which must stay.
            if file.is_some() || !path.exists() {
                remove(path)?;
            }
        }
        Ok(())
    }

    /// Returns the profiles that have or had an agent.
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

    /// Returns the process id of the agent that holds the lock.
    pub fn holder(&self) -> Option<u32> {
        let file = File::open(&self.lock).ok()?;
        if !platform::is_held(&file) {
            return None;
        }
        let text = std::fs::read_to_string(&self.process).ok()?;
        let mut words = text.split_whitespace();
        let process = words.next()?.parse().ok()?;
        // The process id of an ended agent may belong to another process.
        let started: Option<u64> = words.next().and_then(|word| word.parse().ok());
        (platform::start_time(process) == started).then_some(process)
    }

    /// Writes this process's id as the agent's.
    pub fn name_process(&self) -> io::Result<()> {
        let mut file = platform::private_file().create(true).truncate(true).open(&self.process)?;
        let process = std::process::id();
        let started = platform::start_time(process).map(|time| format!(" {time}")).unwrap_or_default();
        writeln!(file, "{process}{started}")
    }
}

/// Formats a process id for display after a name; empty if unknown.
pub fn in_brackets(process: Option<u32>) -> String {
    process.map(|process| format!(" (process {process})")).unwrap_or_default()
}

/// Returns a folder with a short path, for sockets whose regular path would be too long.
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

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn folders(runtime: &Path) -> Folders {
        let [config, cache, state, runtime] = ["c", "k", "s", "r"].map(|part| runtime.join(part));
        Folders { config, cache, state, runtime }
    }

    #[test]
    fn a_deep_runtime_folder_gets_a_short_socket_path() {
        let deep = Path::new("/home").join("x".repeat(150));
        let paths = AgentPaths::of(&folders(&deep), "work");
        assert!(paths.socket.as_os_str().len() <= MAX_SOCKET_PATH);
        assert_ne!(paths.socket, AgentPaths::of(&folders(&deep), "other").socket);
        assert_ne!(paths.socket, AgentPaths::of(&folders(&deep.join("y")), "work").socket);
    }

    #[test]
    fn a_folder_open_to_others_is_made_private() {
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
}
