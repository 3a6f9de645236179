//! Processes: starting one that lives on its own, looking at others.

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

/// The process was started without a console: [`spawn_detached`].
pub fn leave_terminal() -> io::Result<()> {
    Ok(())
}

/// Whoever reads this process's output has it all. The standard library keeps the handle, and its
/// reader, who holds the only other end, closes that.
pub fn end_output() -> io::Result<()> {
    Ok(())
}

/// Waiting for a line of the console is reading it.
pub fn input_is_ready(_: std::time::Duration) -> io::Result<bool> {
    Ok(true)
}

/// Standard error is the console, though whoever started this process reads it or has thrown it away.
/// Without a console it stays what it is.
pub fn speak_on_terminal() -> io::Result<()> {
    if crate::screen::Stream::Error.is_terminal() {
        return Ok(());
    }
    let Ok(console) = std::fs::File::options().read(true).write(true).open("CONOUT$") else { return Ok(()) };
    // SAFETY: the handle is open, and stays so: nobody closes it from here on.
    match unsafe { SetStdHandle(STD_ERROR_HANDLE, console.into_raw_handle()) } {
        0 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Starts a child that outlives this process: without a console, and outside of the job that this
/// process may be in, where the job allows it.
pub fn spawn_detached(mut command: Command) -> io::Result<Child> {
    // Where somebody reads this process's output to its end, that must not be the child's end: of the
    // handles that this process has got from its own parent, the child gets none.
    #[allow(clippy::disallowed_methods, reason = "nothing is written")]
    let standard = [io::stdin().as_raw_handle(), io::stdout().as_raw_handle(), io::stderr().as_raw_handle()];
    for handle in standard {
        // SAFETY: a handle that is not open, or none, is refused. What a later child is to have of them
        // the standard library duplicates.
        unsafe { SetHandleInformation(handle, HANDLE_FLAG_INHERIT, 0) };
    }
    // No folder is kept from being removed.
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

/// A child; dropped with its [`Child`], it ends at once.
#[derive(Debug)]
pub struct Family(());

impl Family {
    pub fn spawn(mut command: Command) -> io::Result<(Child, Self)> {
        Ok((command.kill_on_drop(true).spawn()?, Self(())))
    }

    /// The child has ended by itself.
    pub fn ended(self) {}
}

fn open(process: u32, rights: PROCESS_ACCESS_RIGHTS) -> io::Result<OwnedHandle> {
    // SAFETY: takes no pointers.
    let handle = unsafe { OpenProcess(rights, 0, process) };
    if handle.is_null() {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it was opened just now, and nobody else closes it.
    Ok(unsafe { OwnedHandle::from_raw_handle(handle) })
}

/// Ends a process at once. One that is not there is no error.
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
        // It has ended, and somebody still looks at it.
        error if error.raw_os_error() == Some(ERROR_ACCESS_DENIED.cast_signed()) => Ok(()),
        error => Err(error),
    }
}

/// A program's short name, without `.exe`.
pub fn program_name(process: u32) -> Option<String> {
    let handle = open(process, PROCESS_QUERY_LIMITED_INFORMATION).ok()?;
    let mut path = [0_u16; 1024];
    let mut length = path.len() as u32;
    // SAFETY: the handle is open, and `path` is as long as `length` says; the length that is written
    // back is within it.
    let done = unsafe {
        QueryFullProcessImageNameW(handle.as_raw_handle(), PROCESS_NAME_WIN32, path.as_mut_ptr(), &mut length)
    };
    let path = path.get(..length as usize).filter(|_| done != 0)?;
    let path = String::from_utf16_lossy(path);
    Some(Path::new(&path).file_stem()?.to_string_lossy().into_owned())
}

/// When a process started, in tenths of a microsecond since 1601 (FILETIME): together with its id it
/// names one process only. `None` where it is not there.
pub fn start_time(process: u32) -> Option<u64> {
    let handle = open(process, PROCESS_QUERY_LIMITED_INFORMATION).ok()?;
    let zero = FILETIME { dwLowDateTime: 0, dwHighDateTime: 0 };
    let (mut started, mut other) = (zero, [zero; 3]);
    let [exited, kernel, user] = &mut other;
    // SAFETY: the handle is open, and each time is written to a place of its own.
    let done = unsafe { GetProcessTimes(handle.as_raw_handle(), &mut started, exited, kernel, user) };
    let time = u64::from(started.dwHighDateTime) << 32 | u64::from(started.dwLowDateTime);
    (done != 0).then_some(time)
}

/// Whether a process is there no more, or only for those who still look at it.
pub fn has_ended(process: u32) -> bool {
    match open(process, PROCESS_SYNCHRONIZE) {
        // SAFETY: the handle is open.
        Ok(handle) => unsafe { WaitForSingleObject(handle.as_raw_handle(), 0) == WAIT_OBJECT_0 },
        Err(error) => error.raw_os_error() == Some(ERROR_INVALID_PARAMETER.cast_signed()),
    }
}

/// The process that has started this one, where it is still there.
pub fn parent() -> Option<u32> {
    // SAFETY: takes no pointers.
    let snapshot = unsafe { CreateToolhelp32Snapshot(TH32CS_SNAPPROCESS, 0) };
    if snapshot == INVALID_HANDLE_VALUE {
        return None;
    }
    // SAFETY: it was made just now, and nobody else closes it.
    let snapshot = unsafe { OwnedHandle::from_raw_handle(snapshot) };
    let mut entry = PROCESSENTRY32W { dwSize: size_of::<PROCESSENTRY32W>() as u32, ..Default::default() };
    // SAFETY: the snapshot is open, and `entry` says how large it is.
    let mut there = unsafe { Process32FirstW(snapshot.as_raw_handle(), &mut entry) };
    while there != 0 {
        if entry.th32ProcessID == std::process::id() {
            let parent = entry.th32ParentProcessID;
            // Its id may be another's by now: a parent is older than its child.
            return (start_time(parent)? <= start_time(std::process::id())?).then_some(parent);
        }
        // SAFETY: as above.
        there = unsafe { Process32NextW(snapshot.as_raw_handle(), &mut entry) };
    }
    None
}
