//! Folders for one user, and locks that leave a file readable.

use std::fs::File;
use std::io;
use std::os::windows::io::AsRawHandle as _;
use std::path::Path;
use std::ptr::null_mut;

use windows_sys::Win32::Foundation::{ERROR_IO_PENDING, ERROR_LOCK_VIOLATION, LocalFree};
use windows_sys::Win32::Security::Authorization::{GetNamedSecurityInfoW, SE_FILE_OBJECT};
use windows_sys::Win32::Security::OWNER_SECURITY_INFORMATION;
use windows_sys::Win32::Storage::FileSystem::{
    BY_HANDLE_FILE_INFORMATION, CreateDirectoryW, GetFileInformationByHandle, LOCK_FILE_FLAGS,
    LOCKFILE_EXCLUSIVE_LOCK, LOCKFILE_FAIL_IMMEDIATELY, LockFileEx, REPLACEFILE_IGNORE_MERGE_ERRORS,
    ReplaceFileW, UnlockFile,
};
use windows_sys::Win32::System::IO::OVERLAPPED;

use super::identity::{User, sid_text};
use super::wide;

/// The group of administrators and the system: what a process run as administrator makes may be
/// theirs, and nothing is closed to them.
const POWERS: [&str; 2] = ["S-1-5-32-544", "S-1-5-18"];

/// Where files are locked, in units of 4 GiB.
const FAR: u32 = 0x4000_0000;

/// Makes a folder for its user alone, or checks that one that is there is the user's own.
///
/// # Errors
/// It can't be made, is no folder, or belongs to somebody else.
pub fn private_folder(path: &Path) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let user = User::of_this_process()?;
    let descriptor = user.folder()?;
    let name = wide(path);
    // SAFETY: the name ends with a zero; the attributes and what they point to outlive the call.
    if unsafe { CreateDirectoryW(name.as_ptr(), &descriptor.attributes()) } != 0 {
        return Ok(());
    }
    match io::Error::last_os_error() {
        error if error.kind() == io::ErrorKind::AlreadyExists => {}
        error => return Err(error),
    }
    let owner = owner(&name)?;
    let is_folder = std::fs::symlink_metadata(path)?.is_dir();
    if is_folder && (owner == user.sid || POWERS.contains(&owner.as_str())) {
        return Ok(());
    }
    let text = format!("{} is not a folder of this user", path.display());
    Err(io::Error::new(io::ErrorKind::PermissionDenied, text))
}

/// Whether a folder is there: nobody else's is ever named on this system.
pub fn is_own_folder(path: &Path) -> bool {
    path.is_dir()
}

/// Whether a file can be read by its owner only. Access lists are inherited from the folder, and a user's own
/// folders admit the user, administrators and the system: they are not judged here.
pub fn is_private(path: &Path) -> io::Result<bool> {
    std::fs::metadata(path).map(|_| true)
}

/// The SID of whom something belongs to.
fn owner(name: &[u16]) -> io::Result<String> {
    let (mut owner, mut descriptor) = (null_mut(), null_mut());
    // SAFETY: the name ends with a zero; `owner` points into `descriptor`, which is freed after its
    // last use.
    unsafe {
        let code = GetNamedSecurityInfoW(
            name.as_ptr(),
            SE_FILE_OBJECT,
            OWNER_SECURITY_INFORMATION,
            &mut owner,
            null_mut(),
            null_mut(),
            null_mut(),
            &mut descriptor,
        );
        if code != 0 {
            return Err(io::Error::from_raw_os_error(code.cast_signed()));
        }
        let owner = sid_text(owner);
        LocalFree(descriptor);
        owner
    }
}

/// Whether an open file is the one at a path: one that was removed has no name any more, and no other
/// can have it as long as the file is open.
pub fn is_at(_: &File, path: &Path) -> bool {
    path.exists()
}

/// How many names a file has.
pub fn hard_links(file: &File) -> io::Result<u64> {
    let mut information = BY_HANDLE_FILE_INFORMATION::default();
    // SAFETY: the handle is open as long as `file` is borrowed; the call fills the structure.
    let done = unsafe { GetFileInformationByHandle(file.as_raw_handle(), &mut information) };
    if done == 0 { Err(io::Error::last_os_error()) } else { Ok(information.nNumberOfLinks.into()) }
}

/// [`exchange`] keeps everything.
pub fn take_after(_: &File, _: &File) -> io::Result<()> {
    Ok(())
}

/// Puts a new file in the place of another, whose access list, attributes and streams it takes over.
pub fn exchange(new: tempfile::TempPath, place: &Path) -> io::Result<()> {
    let (from, to) = (wide(&new), wide(place));
    // SAFETY: both names end with a zero and outlive the call; the rest may be null.
    let done = unsafe {
        ReplaceFileW(
            to.as_ptr(),
            from.as_ptr(),
            std::ptr::null(),
            REPLACEFILE_IGNORE_MERGE_ERRORS,
            std::ptr::null(),
            std::ptr::null(),
        )
    };
    if done == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Locks a file for this process as long as it is open; `false`: another has it. The content stays
/// readable for everybody, which an ordinary lock of this system would prevent.
pub fn hold(file: &File) -> io::Result<bool> {
    lock(file, LOCKFILE_EXCLUSIVE_LOCK | LOCKFILE_FAIL_IMMEDIATELY)
}

/// [`hold`]s a file as soon as nobody else does. Blocks.
pub fn hold_when_free(file: &File) -> io::Result<()> {
    lock(file, LOCKFILE_EXCLUSIVE_LOCK).map(|_| ())
}

/// Lets another process [`hold`] the file.
pub fn let_go(file: &File) -> io::Result<()> {
    // SAFETY: the handle is open as long as `file` is borrowed.
    let done = unsafe { UnlockFile(file.as_raw_handle(), 0, FAR, 1, 0) };
    if done == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Whether another process [`hold`]s a file.
pub fn is_held(file: &File) -> bool {
    matches!(lock(file, LOCKFILE_FAIL_IMMEDIATELY), Ok(false))
}

/// Locks one byte far behind the end.
fn lock(file: &File, how: LOCK_FILE_FLAGS) -> io::Result<bool> {
    let mut place = OVERLAPPED::default();
    place.Anonymous.Anonymous.OffsetHigh = FAR;
    // SAFETY: the handle is open as long as `file` is borrowed, and it was not opened for overlapped
    // calls, so that `place` is not used after this one.
    let done = unsafe { LockFileEx(file.as_raw_handle(), how, 0, 1, 0, &mut place) };
    if done != 0 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    let taken = [ERROR_LOCK_VIOLATION, ERROR_IO_PENDING].map(|code| Some(code.cast_signed()));
    if taken.contains(&error.raw_os_error()) { Ok(false) } else { Err(error) }
}
