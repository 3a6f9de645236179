//! What differs from one operating system to the next: users, private folders, processes that live on
//! their own.

pub mod job;

use std::io;
use std::path::Path;
use std::process::Command;

/// Makes a folder for its owner alone (0700), or checks that one that is there is such.
///
/// # Errors
/// It can't be made, belongs to somebody else, or others may enter it.
#[cfg(unix)]
pub fn private_folder(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};

    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    match std::fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        result => result?,
    }
    let there = std::fs::symlink_metadata(path)?;
    if !there.is_dir() || there.uid() != user() {
        let text = format!("{} is not a folder of this user", path.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    }
    if there.mode() & 0o077 != 0 {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Makes a folder; on Windows the user's own folders are private as they are.
#[cfg(windows)]
pub fn private_folder(path: &Path) -> io::Result<()> {
    std::fs::create_dir_all(path)
}

/// The effective user's id.
#[cfg(unix)]
pub fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Options for a file that only its owner may read.
pub fn private_file() -> std::fs::OpenOptions {
    let mut options = std::fs::OpenOptions::new();
    options.read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Leaves the terminal's session and process group: neither a closed terminal nor Ctrl-C at the shell
/// reaches this process any more.
#[cfg(unix)]
pub fn leave_terminal() -> io::Result<()> {
    match rustix::process::setsid() {
        // It leads a group already: a person has started it by hand.
        Err(rustix::io::Errno::PERM) => Ok(()),
        result => Ok(result.map(|_| ())?),
    }
}

/// On Windows the process was started without a console: [`detached`].
#[cfg(windows)]
pub fn leave_terminal() -> io::Result<()> {
    Ok(())
}

/// Has a child started apart from this process's console.
#[cfg(windows)]
pub fn detached(command: &mut Command) {
    use std::os::windows::process::CommandExt as _;
    // DETACHED_PROCESS and CREATE_NEW_PROCESS_GROUP (processthreadsapi.h).
    command.creation_flags(0x0000_0008 | 0x0000_0200);
}

/// On Unix the child leaves by itself: [`leave_terminal`].
#[cfg(unix)]
pub fn detached(_command: &mut Command) {}

/// Ends a process at once. One that is not there is no error.
#[cfg(unix)]
pub fn kill(process: u32) -> io::Result<()> {
    let Some(id) = i32::try_from(process).ok().and_then(rustix::process::Pid::from_raw) else {
        return Ok(());
    };
    match rustix::process::kill_process(id, rustix::process::Signal::KILL) {
        Err(rustix::io::Errno::SRCH) => Ok(()),
        result => Ok(result?),
    }
}

/// Ends a process at once. One that is not there is no error.
#[cfg(windows)]
pub fn kill(process: u32) -> io::Result<()> {
    Command::new("taskkill").args(["/F", "/PID", &process.to_string()]).output().map(|_| ())
}

/// A program's short name, where the system tells.
pub fn program_name(process: u32) -> Option<String> {
    let name = std::fs::read_to_string(format!("/proc/{process}/comm")).ok()?;
    Some(name.trim_end().to_owned())
}

/// When a process started, in the system's own count (`/proc/PID/stat`, field 22): together with its
/// id it names one process only. `None` where the system doesn't tell.
pub fn start_time(process: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The second field is the program's name in brackets and may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(19)?.parse().ok()
}

/// A signal that asks the process to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Ctrl-C, SIGINT.
    Interrupt,
    /// SIGTERM; on Windows the system shuts down.
    Terminate,
    /// SIGHUP; on Windows the console was closed or the user logs off.
    Hangup,
    /// SIGQUIT; on Windows Ctrl-Break.
    Quit,
}

impl Ending {
    /// What a shell says of a program that ended by this signal.
    pub fn exit_code(self) -> u8 {
        128 + match self {
            Self::Hangup => 1,
            Self::Interrupt => 2,
            Self::Quit => 3,
            Self::Terminate => 15,
        }
    }
}

/// The signals that end a process, caught from here on.
#[derive(Debug)]
pub struct Endings {
    #[cfg(unix)]
    signals: [(Ending, tokio::signal::unix::Signal); 4],
    #[cfg(windows)]
    break_: tokio::signal::windows::CtrlBreak,
    #[cfg(windows)]
    c: tokio::signal::windows::CtrlC,
    #[cfg(windows)]
    close: tokio::signal::windows::CtrlClose,
    #[cfg(windows)]
    logoff: tokio::signal::windows::CtrlLogoff,
    #[cfg(windows)]
    shutdown: tokio::signal::windows::CtrlShutdown,
}

impl Endings {
    #[cfg(unix)]
    pub fn catch() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            signals: [
                (Ending::Interrupt, signal(SignalKind::interrupt())?),
                (Ending::Terminate, signal(SignalKind::terminate())?),
                (Ending::Hangup, signal(SignalKind::hangup())?),
                (Ending::Quit, signal(SignalKind::quit())?),
            ],
        })
    }

    #[cfg(windows)]
    pub fn catch() -> io::Result<Self> {
        use tokio::signal::windows;
        Ok(Self {
            break_: windows::ctrl_break()?,
            c: windows::ctrl_c()?,
            close: windows::ctrl_close()?,
            logoff: windows::ctrl_logoff()?,
            shutdown: windows::ctrl_shutdown()?,
        })
    }

    /// The next one. Safe to cancel.
    #[cfg(unix)]
    pub async fn next(&mut self) -> Ending {
        let [a, b, c, d] = &mut self.signals;
        tokio::select! {
            _ = a.1.recv() => a.0,
            _ = b.1.recv() => b.0,
            _ = c.1.recv() => c.0,
            _ = d.1.recv() => d.0,
        }
    }

    /// The next one. Safe to cancel.
    #[cfg(windows)]
    pub async fn next(&mut self) -> Ending {
        tokio::select! {
            _ = self.break_.recv() => Ending::Quit,
            _ = self.c.recv() => Ending::Interrupt,
            _ = self.close.recv() => Ending::Hangup,
            _ = self.logoff.recv() => Ending::Hangup,
            _ = self.shutdown.recv() => Ending::Terminate,
        }
    }

    /// The next one but Ctrl-C, which belongs to whoever reads the terminal.
    pub async fn next_but_interrupt(&mut self) -> Ending {
        loop {
            match self.next().await {
                Ending::Interrupt => {}
                ending => return ending,
            }
        }
    }
}
