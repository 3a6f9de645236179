//! Private folders, and locks that leave a file readable.

use std::fs::File;
use std::io;
use std::os::windows::io::AsRawHandle as _;
use std::path::Path;
use std::ptr::null_mut;

use windows_sys::Win32::Foundation::{ERROR_IO_PENDING, ERROR_LOCK_VIOLATION};
use windows_sys::Win32::Security::Authorization::{GetNamedSecurityInfoW, SE_FILE_OBJECT};
use windows_sys::Win32::Security::OWNER_SECURITY_INFORMATION;
use windows_sys::Win32::Storage::FileSystem::{
    BY_HANDLE_FILE_INFORMATION, CreateDirectoryW, GetFileInformationByHandle, LOCK_FILE_FLAGS,
    LOCKFILE_EXCLUSIVE_LOCK, LOCKFILE_FAIL_IMMEDIATELY, LockFileEx, REPLACEFILE_IGNORE_MERGE_ERRORS,
    ReplaceFileW, UnlockFile,
};
use windows_sys::Win32::System::IO::OVERLAPPED;

use super::identity::{self, User};
use super::wide;
use crate::platform::Access;

/// The administrators and the system: they may own the files of an elevated process, and can access
/// everything.
const TRUSTED_OWNERS: [&str; 2] = ["S-1-5-32-544", "S-1-5-18"];

/// Offset of the locked byte, in units of 4 GiB.
const LOCK_OFFSET: u32 = 0x4000_0000;

/// Creates a private folder, or checks that an existing folder belongs to the user.
///
/// # Errors
/// The folder cannot be created, is not a folder, or belongs to another user.
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
    let is_folder = std::fs::symlink_metadata(path)?.is_dir();
    if is_folder && is_own(&owner(&name)?, &user) {
        return Ok(());
    }
    let text = format!("{} is not a folder of this user", path.display());
    Err(io::Error::new(io::ErrorKind::PermissionDenied, text))
}

fn is_own(owner: &str, user: &User) -> bool {
    owner == user.sid || TRUSTED_OWNERS.contains(&owner)
}

/// Returns the owner of a file or folder, or of the target of a link.
///
/// # Errors
/// It does not exist, or its owner cannot be read.
pub fn access(path: &Path) -> io::Result<Access> {
    let target = std::fs::canonicalize(path)?;
    let is_own = is_own(&owner(&wide(&target))?, &User::of_this_process()?);
    Ok(Access { is_own, is_link: path.is_symlink(), is_readable: false, is_writable: false, mode: None })
}

/// Returns whether a folder exists. The owner is not checked: on Windows, lyncsh only uses folders of the user.
pub fn is_own_folder(path: &Path) -> bool {
    path.is_dir()
}

/// Returns true if the file exists: it inherits the access list of its folder, and a user's own folders only admit the
/// user, administrators and the system.
pub fn is_private(path: &Path) -> io::Result<bool> {
    std::fs::metadata(path).map(|_| true)
}

/// Always returns true, for the reason given at [`is_private`].
pub fn is_private_file(_file: &File) -> io::Result<bool> {
    Ok(true)
}

/// Does nothing, for the reason given at [`is_private`].
pub fn make_private(_file: &File) -> io::Result<()> {
    Ok(())
}

/// Returns the SID of the owner.
fn owner(name: &[u16]) -> io::Result<String> {
    // SAFETY: the name ends with a zero; on success the call allocates a descriptor that contains the owner.
    unsafe {
        identity::owner(|owner, descriptor| {
            let (kind, what) = (SE_FILE_OBJECT, OWNER_SECURITY_INFORMATION);
            GetNamedSecurityInfoW(
                name.as_ptr(),
                kind,
                what,
                owner,
                null_mut(),
                null_mut(),
                null_mut(),
                descriptor,
            )
        })
    }
}

/// Returns whether an open file is still the file at a path. The path is sufficient: no other file can get the name of
/// an open file, and a removed file has no name.
pub fn is_at(_: &File, path: &Path) -> bool {
    path.exists()
}

/// Returns the number of hard links of a file.
pub fn hard_links(file: &File) -> io::Result<u64> {
    let mut information = BY_HANDLE_FILE_INFORMATION::default();
    // SAFETY: the handle is open as long as `file` is borrowed; the call fills the structure.
    let done = unsafe { GetFileInformationByHandle(file.as_raw_handle(), &mut information) };
    if done == 0 { Err(io::Error::last_os_error()) } else { Ok(information.nNumberOfLinks.into()) }
}

/// Does nothing: [`exchange`] keeps all metadata.
pub fn take_after(_: &File, _: &File) -> io::Result<()> {
    Ok(())
}

/// Replaces the file at `path` with a temporary file, and keeps its access list, attributes and streams.
pub fn exchange(new: tempfile::TempPath, path: &Path) -> io::Result<()> {
    let (from, to) = (wide(&new), wide(path));
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

/// Locks a file for this process until it is closed. Returns `false` if another process holds the lock. The
/// content stays readable for other processes, which an ordinary lock on Windows would prevent.
pub fn hold(file: &File) -> io::Result<bool> {
    lock(file, LOCKFILE_EXCLUSIVE_LOCK | LOCKFILE_FAIL_IMMEDIATELY)
}

/// Waits for the lock of a file ([`hold`]). Blocks.
pub fn hold_when_free(file: &File) -> io::Result<()> {
    lock(file, LOCKFILE_EXCLUSIVE_LOCK).map(|_| ())
}

/// Releases the lock of a file.
pub fn unlock(file: &File) -> io::Result<()> {
    // SAFETY: the handle is open as long as `file` is borrowed.
    let done = unsafe { UnlockFile(file.as_raw_handle(), 0, LOCK_OFFSET, 1, 0) };
    if done == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Returns whether another process holds the lock of a file.
pub fn is_held(file: &File) -> bool {
    matches!(lock(file, LOCKFILE_FAIL_IMMEDIATELY), Ok(false))
}

/// Locks one byte far after the end of the file. Returns `false` if another process holds the lock.
fn lock(file: &File, how: LOCK_FILE_FLAGS) -> io::Result<bool> {
    let mut range = OVERLAPPED::default();
    range.Anonymous.Anonymous.OffsetHigh = LOCK_OFFSET;
    // SAFETY: the handle is open as long as `file` is borrowed. It was not opened for overlapped calls, so
    // `range` is not used after this call.
    let done = unsafe { LockFileEx(file.as_raw_handle(), how, 0, 1, 0, &mut range) };
    if done != 0 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    let taken = [ERROR_LOCK_VIOLATION, ERROR_IO_PENDING].map(|code| Some(code.cast_signed()));
    if taken.contains(&error.raw_os_error()) { Ok(false) } else { Err(error) }
}
