//! Linux, macOS and other Unix systems.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use tokio::process::{Child, Command};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Access, Ending};
use crate::screen::Stream;

/// Creates a private folder (0700), or makes an existing folder of this user private.
///
/// # Errors
/// The folder cannot be created or changed, is not a folder, or belongs to another user.
pub fn private_folder(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};

    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    match std::fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        result => result?,
    }
    let metadata = std::fs::symlink_metadata(path)?;
    if !metadata.is_dir() || metadata.uid() != user() {
        let text = format!("{} is not a folder of this user", path.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    }
    if metadata.mode() & 0o077 != 0 {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Returns whether a folder exists and belongs to this user.
pub fn is_own_folder(path: &Path) -> bool {
    std::fs::metadata(path)
        .is_ok_and(|metadata| metadata.is_dir() && std::os::unix::fs::MetadataExt::uid(&metadata) == user())
}

/// Returns the owner and the permissions of a file or folder, or of the target of a link.
///
/// # Errors
/// It does not exist, or its folder cannot be accessed.
pub fn access(path: &Path) -> io::Result<Access> {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = std::fs::metadata(path)?;
    let mode = metadata.mode() & 0o7777;
    Ok(Access {
        is_own: metadata.uid() == user(),
        is_link: path.is_symlink(),
        is_readable: mode & 0o055 != 0,
        is_writable: mode & 0o022 != 0,
        mode: Some(mode),
    })
}

/// Returns whether a file is accessible only to its owner and this user.
///
/// # Errors
/// The file cannot be accessed.
pub fn is_private(path: &Path) -> io::Result<bool> {
    is_private_file(&File::open(path)?)
}

/// Returns whether an open file is accessible only to its owner and this user.
///
/// # Errors
/// The file cannot be accessed.
pub fn is_private_file(file: &File) -> io::Result<bool> {
    let mode = std::os::unix::fs::MetadataExt::mode(&file.metadata()?);
    let (group, others) = (mode & 0o070, mode & 0o007);
    // With an access list, the bits of the group are the list's mask (acl(5)).
    Ok(others == 0 && (group == 0 || is_listed_alone(file)))
}

/// Removes the access of other users to an open file. Devices and pipes are not modified.
///
/// # Errors
/// The mode cannot be changed, for example because the file belongs to another user.
pub fn make_private(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;

    if !file.metadata()?.is_file() || is_private_file(file)? {
        return Ok(());
    }
    file.set_permissions(std::fs::Permissions::from_mode(0o600))
}

/// Returns whether a file has an access list that admits only its owner and this user: systemd grants a service's user
/// access to the credentials in this way (exec-credential.c).
#[cfg(target_os = "linux")]
fn is_listed_alone(file: &File) -> bool {
    let mut list = [0; 512];
    let size = rustix::fs::fgetxattr(file, "system.posix_acl_access", &mut list);
    size.is_ok_and(|size| admits_only(&list[..size], user()))
}

#[cfg(not(target_os = "linux"))]
fn is_listed_alone(_file: &File) -> bool {
    false
}

/// Returns whether an access list (Linux's posix_acl_xattr.h) admits only the owner and `user`.
#[cfg(target_os = "linux")]
fn admits_only(list: &[u8], user: u32) -> bool {
    const OWNER: u16 = 0x01;
    const USER: u16 = 0x02;
    const MASK: u16 = 0x10;
    const VERSION: [u8; 4] = [2, 0, 0, 0];
    let Some(entries) = list.strip_prefix(&VERSION) else { return false };
    let (entries, rest) = entries.as_chunks::<8>();
    rest.is_empty()
        && entries.iter().all(|[tag, tag_high, rights, rights_high, id @ ..]| {
            let tag = u16::from_le_bytes([*tag, *tag_high]);
            let is_own = tag == USER && u32::from_le_bytes(*id) == user;
            (*rights, *rights_high) == (0, 0) || matches!(tag, OWNER | MASK) || is_own
        })
}

/// Returns the name of a user.
pub fn user_name(id: u32) -> Option<String> {
    nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(id)).ok().flatten().map(|user| user.name)
}

/// Returns the name of a group.
pub fn group_name(id: u32) -> Option<String> {
    nix::unistd::Group::from_gid(nix::unistd::Gid::from_raw(id)).ok().flatten().map(|group| group.name)
}

/// Returns the name of this user, or the user id if it has none.
pub fn own_name() -> String {
    user_name(user()).unwrap_or_else(|| user().to_string())
}

/// Returns the name of this machine; empty if it is not known.
pub fn machine_name() -> String {
    nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Returns the effective user id.
pub fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Leaves the terminal's session and process group: a closed terminal and Ctrl-C no longer affect this
/// process.
pub fn leave_terminal() -> io::Result<()> {
    match rustix::process::setsid() {
        // The process already leads a group: a user started it in a shell.
        Err(rustix::io::Errno::PERM) => Ok(()),
        result => Ok(result.map(|_| ())?),
    }
}

/// Replaces standard output with /dev/null, so that its reader gets the end of the stream.
pub fn end_output() -> io::Result<()> {
    let null = File::options().write(true).open("/dev/null")?;
    Ok(rustix::stdio::dup2_stdout(&null)?)
}

/// Waits until standard input is readable. Returns `false` after the time limit or a signal.
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

/// Redirects standard error to the terminal, even if the parent process reads or discards it. Does nothing
/// without a terminal.
pub fn redirect_errors_to_terminal() -> io::Result<()> {
    if Stream::Error.is_terminal() {
        return Ok(());
    }
    match File::options().write(true).open("/dev/tty") {
        Ok(terminal) => Ok(rustix::stdio::dup2_stderr(&terminal)?),
        Err(_) => Ok(()),
    }
}

/// Starts a child that outlives this process; the child leaves the terminal itself ([`leave_terminal`]).
pub fn spawn_detached(mut command: Command) -> io::Result<Child> {
    // The working directory must not block the removal or unmounting of a folder.
    command.current_dir("/").spawn()
}

/// Returns the sockets on which shells find this process by its id: none on Unix, where shells get the socket's path.
pub fn process_sockets() -> [PathBuf; 0] {
    []
}

/// Kills a process. A missing process is not an error.
pub fn kill(process: u32) -> io::Result<()> {
    let Some(id) = i32::try_from(process).ok().and_then(rustix::process::Pid::from_raw) else {
        return Ok(());
    };
    match rustix::process::kill_process(id, rustix::process::Signal::KILL) {
        Err(rustix::io::Errno::SRCH) => Ok(()),
        result => Ok(result?),
    }
}

/// Sends Ctrl-C to the process group of a process that leads it; the group may have ended already.
pub fn interrupt_group(leader: u32) {
    let id = i32::try_from(leader).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(id) = id {
        let _ = rustix::process::kill_process_group(id, rustix::process::Signal::INT);
    }
}

/// Asks a process to end; it may have ended already.
pub fn terminate(process: u32) {
    let id = i32::try_from(process).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(id) = id {
        let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
    }
}

/// A child and its descendants in a process group of their own, which is killed on drop. A child in this process's
/// group is killed alone, when its [`Child`] is dropped.
#[derive(Debug)]
pub struct Family(Option<rustix::process::Pid>);

impl Family {
    /// Starts a command in a new process group. If standard input is a terminal, the child stays in this process's
    /// group, in which it can prompt the user and receives Ctrl-C.
    pub fn spawn(mut command: Command) -> io::Result<(Child, Self)> {
        let apart = !std::io::IsTerminal::is_terminal(&io::stdin());
        if apart {
            command.process_group(0);
        }
        let child = command.kill_on_drop(true).spawn()?;
        let id = child.id().and_then(|id| i32::try_from(id).ok()).filter(|_| apart);
        Ok((child, Self(id.and_then(rustix::process::Pid::from_raw))))
    }

    /// Releases the group after the child has ended: processes that it left running continue.
    pub fn ended(mut self) {
        self.0 = None;
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // Fails if all processes already ended.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}

/// Returns the short name of a process's program, if known.
pub fn program_name(process: u32) -> Option<String> {
    let name = std::fs::read_to_string(format!("/proc/{process}/comm")).ok()?;
    Some(name.trim_end().to_owned())
}

/// Returns the start time of a process in clock ticks since boot (`/proc/PID/stat`, field 22), which together with the
/// id identifies a process. Returns `None` if it is not known, as on macOS.
pub fn start_time(process: u32) -> Option<u64> {
    stat(process, 22)
}

/// Reads a field of `/proc/PID/stat`, numbered as in proc_pid_stat(5). `field` is at least 3.
fn stat(process: u32, field: usize) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The second field is the program's name in brackets, which may contain any character.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(field.checked_sub(3)?)?.parse().ok()
}

/// Returns whether a process has ended or is ending: a killed process has no memory while its files are
/// closed.
pub fn has_ended(process: u32) -> bool {
    let Some(id) = i32::try_from(process).ok().and_then(rustix::process::Pid::from_raw) else { return true };
    if rustix::process::test_kill_process(id) == Err(rustix::io::Errno::SRCH) {
        return true;
    }
    // The virtual memory size (vsize). An empty command line proves nothing: it is also empty during execve.
    stat(process, 23) == Some(0)
}

/// Returns the id of the parent process.
pub fn parent() -> Option<u32> {
    Some(std::os::unix::process::parent_id())
}

/// Locks a file for this process until it is closed. Returns `false` if another process holds the lock. The
/// content stays readable for other processes.
pub fn hold(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Waits for the lock of a file ([`hold`]). Blocks.
pub fn hold_when_free(file: &File) -> io::Result<()> {
    file.lock()
}

/// Releases the lock of a file.
pub fn unlock(file: &File) -> io::Result<()> {
    file.unlock()
}

/// Returns whether another process holds the lock of a file.
pub fn is_held(file: &File) -> bool {
    matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
}

/// Handler of the signals that end a process.
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

    /// Waits for the next signal. Cancel safe.
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

/// Returns whether an open file is the file at a path.
pub fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let id = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
    file.metadata().map(id).ok() == std::fs::metadata(path).map(id).ok()
}

/// Returns the number of hard links of a file.
pub fn hard_links(file: &File) -> io::Result<u64> {
    Ok(std::os::unix::fs::MetadataExt::nlink(&file.metadata()?))
}

/// Copies owner, extended attributes (including access lists) and mode of `from` to `to`, which will replace
/// it.
///
/// # Errors
/// The user has no permission to set one of them.
pub fn take_after(from: &File, to: &File) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    let (old, new) = (from.metadata()?, to.metadata()?);
    if (old.uid(), old.gid()) != (new.uid(), new.gid()) {
        std::os::unix::fs::fchown(to, Some(old.uid()), Some(old.gid()))?;
    }
    to.set_permissions(old.permissions())?;
    attributes(from, to)
}

#[cfg(any(target_os = "linux", target_os = "macos"))]
fn attributes(from: &File, to: &File) -> io::Result<()> {
    /// Maximum size of a list of attributes, and of an attribute, on Linux.
    const MAX: usize = 64 * 1024;
    let mut names = vec![0; MAX];
    // The file system has no attributes.
    let Ok(length) = rustix::fs::flistxattr(from, &mut names[..]) else { return Ok(()) };
    let mut value = vec![0; MAX];
    for name in names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let Ok(length) = rustix::fs::fgetxattr(from, name, &mut value[..]) else { continue };
        let set = rustix::fs::fsetxattr(to, name, &value[..length], rustix::fs::XattrFlags::empty());
        // Access lists must be copied. Other attributes may belong to another program or the system.
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

/// Replaces the file at `path` with a temporary file.
pub fn exchange(new: tempfile::TempPath, path: &Path) -> io::Result<()> {
    new.persist(path).map_err(|error| error.error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_outlives_exec_until_killed() {
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
        // A zombie process: it still exists, but has ended.
        while !has_ended(child.id()) && begun.elapsed().as_secs() < 60 {
            std::thread::yield_now();
        }
        let killed = has_ended(child.id());
        child.wait().unwrap();
        assert_eq!((last.as_str(), ended, killed), ("sleep", false, true));
    }

    #[test]
    fn names_are_those_of_the_system() {
        let output = |program: &str, argument: &str| {
            let output = std::process::Command::new(program).arg(argument).output().unwrap();
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        };
        assert_eq!(own_name(), output("id", "-un"));
        assert_eq!(machine_name(), output("uname", "-n"));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn an_access_list_may_admit_only_the_owner_and_this_user() {
        let list = |entries: &[(u16, u16, u32)]| {
            let entry = |(tag, rights, id): &(u16, u16, u32)| {
                [&tag.to_le_bytes()[..], &rights.to_le_bytes(), &id.to_le_bytes()].concat()
            };
            [vec![2, 0, 0, 0], entries.iter().flat_map(entry).collect()].concat()
        };
        let (owner, own, other) = ((0x01, 4, u32::MAX), (0x02, 4, 7), (0x02, 4, 8));
        let (group, mask) = ((0x04, 0, u32::MAX), (0x10, 4, u32::MAX));
        assert!(admits_only(&list(&[owner, own, group, mask]), 7));
        assert!(!admits_only(&list(&[owner, other, group, mask]), 7));
        assert!(!admits_only(&list(&[owner, own, (0x04, 4, u32::MAX), mask]), 7));
        assert!(!admits_only(&list(&[owner, own, group, (0x08, 4, 7), mask]), 7));
        assert!(!admits_only(&list(&[owner, own, (0x20, 4, u32::MAX)]), 7));
        assert!(!admits_only(b"\x02", 7));
    }
}
