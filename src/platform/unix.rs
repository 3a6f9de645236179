//! Linux, macOS and their kin.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use tokio::process::{Child, Command};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Ending;
use crate::screen::Stream;

/// Makes a folder for its owner alone (0700), or checks that one that is there is such.
///
/// # Errors
/// It can't be made, belongs to somebody else, or others may enter it.
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

/// Whether a folder is there and belongs to this user.
pub fn is_own_folder(path: &Path) -> bool {
    std::fs::metadata(path)
        .is_ok_and(|there| there.is_dir() && std::os::unix::fs::MetadataExt::uid(&there) == user())
}

/// Whether a file can be read by its owner only.
///
/// # Errors
/// The file cannot be looked at.
pub fn is_private(path: &Path) -> io::Result<bool> {
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(path)?);
    let others = mode & 0o077;
    Ok(others == 0)
}

/// The effective user's id.
pub fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Leaves the terminal's session and process group: neither a closed terminal nor Ctrl-C at the shell
/// reaches this process any more.
pub fn leave_terminal() -> io::Result<()> {
    match rustix::process::setsid() {
        // It leads a group already: a person has started it by hand.
        Err(rustix::io::Errno::PERM) => Ok(()),
        result => Ok(result.map(|_| ())?),
    }
}

/// Whoever reads this process's output has it all.
pub fn end_output() -> io::Result<()> {
    let null = File::options().write(true).open("/dev/null")?;
    Ok(rustix::stdio::dup2_stdout(&null)?)
}

/// Waits until standard input can be read, at most this long.
pub fn input_is_ready(limit: std::time::Duration) -> io::Result<bool> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    let input = io::stdin();
    let mut waited = [PollFd::new(&input, PollFlags::IN)];
    let limit = Timespec::try_from(limit).map_err(io::Error::other)?;
    match poll(&mut waited, Some(&limit)) {
        Ok(ready) => Ok(ready > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Standard error is the terminal, though whoever started this process reads it or has thrown it away.
/// Without a terminal it stays what it is.
pub fn speak_on_terminal() -> io::Result<()> {
    if Stream::Error.is_terminal() {
        return Ok(());
    }
    match File::options().write(true).open("/dev/tty") {
        Ok(terminal) => Ok(rustix::stdio::dup2_stderr(&terminal)?),
        Err(_) => Ok(()),
    }
}

/// Starts a child that outlives this process; it leaves the terminal by itself ([`leave_terminal`]).
pub fn spawn_detached(mut command: Command) -> io::Result<Child> {
    // No folder is kept from being removed or unmounted.
    command.current_dir("/").spawn()
}

/// Sockets on which shells look for this process by its id. None of this system's shells does: they
/// are told the socket's path.
pub fn process_sockets() -> [PathBuf; 0] {
    []
}

/// Ends a process at once. One that is not there is no error.
pub fn kill(process: u32) -> io::Result<()> {
    let Some(id) = i32::try_from(process).ok().and_then(rustix::process::Pid::from_raw) else {
        return Ok(());
    };
    match rustix::process::kill_process(id, rustix::process::Signal::KILL) {
        Err(rustix::io::Errno::SRCH) => Ok(()),
        result => Ok(result?),
    }
}

/// A child and all that it has started, in a group of their own; dropped, they end at once.
#[derive(Debug)]
pub struct Family(Option<rustix::process::Pid>);

impl Family {
    /// Where this process has no terminal that the child may want to ask the person on: there the
    /// terminal's own group is where Ctrl-C reaches it.
    pub fn spawn(mut command: Command) -> io::Result<(Child, Self)> {
        let apart = !std::io::IsTerminal::is_terminal(&io::stdin());
        if apart {
            command.process_group(0);
        }
        let child = command.kill_on_drop(true).spawn()?;
        let id = child.id().and_then(|id| i32::try_from(id).ok()).filter(|_| apart);
        Ok((child, Self(id.and_then(rustix::process::Pid::from_raw))))
    }

    /// The child has ended by itself: what it left running may go on.
    pub fn ended(mut self) {
        self.0 = None;
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // It is all gone already: so much the better.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}

/// A program's short name, where the system tells.
pub fn program_name(process: u32) -> Option<String> {
    let name = std::fs::read_to_string(format!("/proc/{process}/comm")).ok()?;
    Some(name.trim_end().to_owned())
}

/// When a process started, in the system's own count (`/proc/PID/stat`, field 22): together with its
/// id it names one process only. `None` where the system doesn't tell.
pub fn start_time(process: u32) -> Option<u64> {
    stat(process, 22)
}

/// Reads a field of `/proc/PID/stat`, numbered as in proc_pid_stat(5). `field` is at least 3.
fn stat(process: u32, field: usize) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The second field is the program's name in brackets and may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(field.checked_sub(3)?)?.parse().ok()
}

/// Whether a process is there no more, or about to be: killed, it has no memory left while it closes its
/// files.
pub fn has_ended(process: u32) -> bool {
    let Some(id) = i32::try_from(process).ok().and_then(rustix::process::Pid::from_raw) else { return true };
    if rustix::process::test_kill_process(id) == Err(rustix::io::Errno::SRCH) {
        return true;
    }
    // The size of its memory (vsize). The command line is not a sign: it is empty during execve, too.
    stat(process, 23) == Some(0)
}

/// The process that has started this one.
pub fn parent() -> Option<u32> {
    Some(std::os::unix::process::parent_id())
}

/// Locks a file for this process as long as it is open; `false`: another has it. Its content stays
/// readable for everybody.
pub fn hold(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// [`hold`]s a file as soon as nobody else does. Blocks.
pub fn hold_when_free(file: &File) -> io::Result<()> {
    file.lock()
}

/// Lets another process [`hold`] the file.
pub fn let_go(file: &File) -> io::Result<()> {
    file.unlock()
}

/// Whether another process [`hold`]s a file.
pub fn is_held(file: &File) -> bool {
    matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
}

/// The signals that end a process, caught from here on.
#[derive(Debug)]
pub struct ShutdownSignals {
    signals: [(Ending, Signal); 4],
}

impl ShutdownSignals {
    pub fn catch() -> io::Result<Self> {
        Ok(Self {
            signals: [
                (Ending::Interrupt, signal(SignalKind::interrupt())?),
                (Ending::Terminate, signal(SignalKind::terminate())?),
                (Ending::Hangup, signal(SignalKind::hangup())?),
                (Ending::Quit, signal(SignalKind::quit())?),
            ],
        })
    }

    /// The next one. Safe to cancel.
    pub async fn next(&mut self) -> Ending {
        let [a, b, c, d] = &mut self.signals;
        tokio::select! {
            _ = a.1.recv() => a.0,
            _ = b.1.recv() => b.0,
            _ = c.1.recv() => c.0,
            _ = d.1.recv() => d.0,
        }
    }
}

/// Whether an open file is the one at a path.
pub fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let id = |there: std::fs::Metadata| (there.dev(), there.ino());
    file.metadata().map(id).ok() == std::fs::metadata(path).map(id).ok()
}

/// How many names a file has.
pub fn hard_links(file: &File) -> io::Result<u64> {
    Ok(std::os::unix::fs::MetadataExt::nlink(&file.metadata()?))
}

/// Gives `to`, which is about to take the place of `from`, its owner, extended attributes (access lists
/// are among them) and mode.
///
/// # Errors
/// This user may not give it one of these.
pub fn take_after(from: &File, to: &File) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    let (there, new) = (from.metadata()?, to.metadata()?);
    if (there.uid(), there.gid()) != (new.uid(), new.gid()) {
        std::os::unix::fs::fchown(to, Some(there.uid()), Some(there.gid()))?;
    }
    to.set_permissions(there.permissions())?;
    attributes(from, to)
}

#[cfg(any(target_os = "linux", target_os = "macos"))]
fn attributes(from: &File, to: &File) -> io::Result<()> {
    /// The most that Linux has in one list, and in one attribute.
    const MAX: usize = 64 * 1024;
    let mut names = vec![0; MAX];
    // A file system without attributes has none to keep.
    let Ok(length) = rustix::fs::flistxattr(from, &mut names[..]) else { return Ok(()) };
    let mut value = vec![0; MAX];
    for name in names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let Ok(length) = rustix::fs::fgetxattr(from, name, &mut value[..]) else { continue };
        let set = rustix::fs::fsetxattr(to, name, &value[..length], rustix::fs::XattrFlags::empty());
        // Access lists decide who may read the file; the rest may be another program's, or the system's.
        if let Err(error) = set
            && name.starts_with(b"system.")
        {
            return Err(error.into());
        }
    }
    Ok(())
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
#[expect(clippy::unnecessary_wraps, reason = "the other systems' may fail")]
fn attributes(_: &File, _: &File) -> io::Result<()> {
    Ok(())
}

/// Puts a new file in the place of another.
pub fn exchange(new: tempfile::TempPath, place: &Path) -> io::Result<()> {
    new.persist(place).map_err(|error| error.error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_that_starts_one_program_after_another_has_not_ended_until_it_is_killed() {
        // The same process runs a new program 300 times.
        let script = "[ $1 = 300 ] && exec sleep 60; exec sh -c \"$0\" \"$0\" $(($1 + 1))";
        let mut child = std::process::Command::new("sh").args(["-c", script, script, "0"]).spawn().unwrap();
        let name = || program_name(child.id()).unwrap_or_default();
        let begun = std::time::Instant::now();
        let mut ended = false;
        while name() != "sleep" && begun.elapsed().as_secs() < 30 {
            ended |= (0..50).any(|_| has_ended(child.id()));
        }
        let last = name();
        child.kill().unwrap();
        // Nobody has waited for it: it is there, and has ended.
        while !has_ended(child.id()) && begun.elapsed().as_secs() < 60 {
            std::thread::yield_now();
        }
        let killed = has_ended(child.id());
        child.wait().unwrap();
        assert_eq!((last.as_str(), ended, killed), ("sleep", false, true));
    }
}
