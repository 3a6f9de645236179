//! Detached processes, and information about other processes.

use std::io;
use std::os::windows::io::{AsRawHandle as _, FromRawHandle as _, IntoRawHandle as _, OwnedHandle};
use std::path::Path;

use tokio::process::{Child, Command};
use windows_sys::Win32::Foundation::{
    ERROR_ACCESS_DENIED, ERROR_INVALID_PARAMETER, FILETIME, HANDLE_FLAG_INHERIT, INVALID_HANDLE_VALUE,
    SetHandleInformation, WAIT_OBJECT_0,
};
use windows_sys::Win32::System::Console::{STD_ERROR_HANDLE, SetStdHandle};
use windows_sys::Win32::System::Diagnostics::ToolHelp::{
    CreateToolhelp32Snapshot, PROCESSENTRY32W, Process32FirstW, Process32NextW, TH32CS_SNAPPROCESS,
};
use windows_sys::Win32::System::Threading::{
    CREATE_BREAKAWAY_FROM_JOB, CREATE_NEW_PROCESS_GROUP, DETACHED_PROCESS, GetProcessTimes, OpenProcess,
    PROCESS_ACCESS_RIGHTS, PROCESS_NAME_WIN32, PROCESS_QUERY_LIMITED_INFORMATION, PROCESS_SYNCHRONIZE,
    PROCESS_TERMINATE, QueryFullProcessImageNameW, TerminateProcess, WaitForSingleObject,
};

/// Does nothing: [`spawn_detached`] starts the process without a console.
pub fn leave_terminal() -> io::Result<()> {
    Ok(())
}

/// Does nothing: the standard library keeps the handle of standard output open, and the reader closes its
/// end.
pub fn end_output() -> io::Result<()> {
    Ok(())
}

/// Always returns true: on Windows, a wait for a complete line of the console also reads the line.
pub fn input_is_ready(_: std::time::Duration) -> io::Result<bool> {
    Ok(true)
}

/// Redirects standard error to the console, even if the parent process reads or discards it. Does nothing
/// without a console.
pub fn redirect_errors_to_terminal() -> io::Result<()> {
    if crate::screen::Stream::Error.is_terminal() {
        return Ok(());
    }
    let Ok(console) = std::fs::File::options().read(true).write(true).open("CONOUT$") else { return Ok(()) };
    // SAFETY: the handle is open, and stays so: no code closes it from here on.
    match unsafe { SetStdHandle(STD_ERROR_HANDLE, console.into_raw_handle()) } {
        0 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Starts a child that outlives this process: without a console, and outside the job of this process, if the
/// job permits it.
pub fn spawn_detached(mut command: Command) -> io::Result<Child> {
    // A reader of this process's output must not wait for the end of the child: the child does not inherit
    // the handles that this process got from its parent.
    #[allow(clippy::disallowed_methods, reason = "nothing is written")]
    let standard = [io::stdin().as_raw_handle(), io::stdout().as_raw_handle(), io::stderr().as_raw_handle()];
    for handle in standard {
        // SAFETY: the call fails for an invalid handle. The standard library duplicates the handles that a
        // later child inherits.
        unsafe { SetHandleInformation(handle, HANDLE_FLAG_INHERIT, 0) };
    }
    // The working directory must not block the removal of a folder.
    if let Some(root) = std::env::var_os("SystemRoot") {
        command.current_dir(root);
    }
    let apart = DETACHED_PROCESS | CREATE_NEW_PROCESS_GROUP;
    match command.creation_flags(apart | CREATE_BREAKAWAY_FROM_JOB).spawn() {
        Err(error) if error.raw_os_error() == Some(ERROR_ACCESS_DENIED.cast_signed()) => {
            command.creation_flags(apart).spawn()
        }
        result => result,
    }
}

/// Ends a process: another console's Ctrl-C cannot be sent (GenerateConsoleCtrlEvent).
pub fn interrupt_group(leader: u32) {
    terminate(leader);
}

/// Ends a process: Windows has no signal for a process without a window.
pub fn terminate(process: u32) {
    // It may have ended already.
    let _ = kill(process);
}

/// A child that is killed when its [`Child`] is dropped.
#[derive(Debug)]
pub struct Family(());

impl Family {
    pub fn spawn(mut command: Command) -> io::Result<(Child, Self)> {
        Ok((command.kill_on_drop(true).spawn()?, Self(())))
    }

    /// Does nothing: the child has ended.
    pub fn ended(self) {}
}

fn open(process: u32, rights: PROCESS_ACCESS_RIGHTS) -> io::Result<OwnedHandle> {
    // SAFETY: takes no pointers.
    let handle = unsafe { OpenProcess(rights, 0, process) };
    if handle.is_null() {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it was opened just now, and no other code closes it.
    Ok(unsafe { OwnedHandle::from_raw_handle(handle) })
}

/// Kills a process. A missing process is not an error.
pub fn kill(process: u32) -> io::Result<()> {
    let handle = match open(process, PROCESS_TERMINATE) {
        Err(error) if error.raw_os_error() == Some(ERROR_INVALID_PARAMETER.cast_signed()) => return Ok(()),
        result => result?,
    };
    // SAFETY: the handle is open.
    let done = unsafe { TerminateProcess(handle.as_raw_handle(), 1) };
    if done != 0 {
        return Ok(());
    }
    match io::Error::last_os_error() {
        // The process has ended, but a handle to it is open.
        error if error.raw_os_error() == Some(ERROR_ACCESS_DENIED.cast_signed()) => Ok(()),
        error => Err(error),
    }
}

/// Returns the name of a process's program, without `.exe`.
pub fn program_name(process: u32) -> Option<String> {
    let handle = open(process, PROCESS_QUERY_LIMITED_INFORMATION).ok()?;
    let mut path = [0_u16; 1024];
    let mut length = path.len() as u32;
    // SAFETY: the handle is open, `path` has the given length, and the returned length is within it.
    let done = unsafe {
        QueryFullProcessImageNameW(handle.as_raw_handle(), PROCESS_NAME_WIN32, path.as_mut_ptr(), &mut length)
    };
    let path = path.get(..length as usize).filter(|_| done != 0)?;
    let path = String::from_utf16_lossy(path);
    Some(Path::new(&path).file_stem()?.to_string_lossy().into_owned())
}

/// Returns the start time of a process in units of 100 ns since 1601 (FILETIME), which together with the
/// id identifies a process. Returns `None` if the process does not exist.
pub fn start_time(process: u32) -> Option<u64> {
    let handle = open(process, PROCESS_QUERY_LIMITED_INFORMATION).ok()?;
    let zero = FILETIME { dwLowDateTime: 0, dwHighDateTime: 0 };
    let (mut started, mut other) = (zero, [zero; 3]);
    let [exited, kernel, user] = &mut other;
    // SAFETY: the handle is open, and the four times are separate variables.
    let done = unsafe { GetProcessTimes(handle.as_raw_handle(), &mut started, exited, kernel, user) };
    let time = u64::from(started.dwHighDateTime) << 32 | u64::from(started.dwLowDateTime);
    (done != 0).then_some(time)
}

/// Returns whether the process has exited, even if handles to it remain open.
pub fn has_ended(process: u32) -> bool {
    match open(process, PROCESS_SYNCHRONIZE) {
        // SAFETY: the handle is open.
        Ok(handle) => unsafe { WaitForSingleObject(handle.as_raw_handle(), 0) == WAIT_OBJECT_0 },
        Err(error) => error.raw_os_error() == Some(ERROR_INVALID_PARAMETER.cast_signed()),
    }
}

/// Returns the id of the parent process, if it still exists.
pub fn parent() -> Option<u32> {
    // SAFETY: takes no pointers.
    let snapshot = unsafe { CreateToolhelp32Snapshot(TH32CS_SNAPPROCESS, 0) };
    if snapshot == INVALID_HANDLE_VALUE {
        return None;
    }
    // SAFETY: it was created just now, and no other code closes it.
    let snapshot = unsafe { OwnedHandle::from_raw_handle(snapshot) };
    let mut entry = PROCESSENTRY32W { dwSize: size_of::<PROCESSENTRY32W>() as u32, ..Default::default() };
    // SAFETY: the snapshot is open, and `entry` contains its size.
    let mut more = unsafe { Process32FirstW(snapshot.as_raw_handle(), &mut entry) };
    while more != 0 {
        if entry.th32ProcessID == std::process::id() {
            let parent = entry.th32ParentProcessID;
            // The id may belong to a new process by now: a parent is older than its child.
            return (start_time(parent)? <= start_time(std::process::id())?).then_some(parent);
        }
        // SAFETY: as above.
        more = unsafe { Process32NextW(snapshot.as_raw_handle(), &mut entry) };
    }
    None
}
