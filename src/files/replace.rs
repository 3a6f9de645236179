//! Replaces a file with new content, whole or not at all.
//!
//! The content is written to a temporary file in the same folder, which then takes the place of the old
//! file with its owner, extended attributes and mode. A symbolic link stays: the file that it points to
//! is replaced. Where a file cannot be replaced (another hard link to it exists, the folder is not
//! writable, the owner cannot be kept, it is a mount point), it is written in place.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use crate::platform;

/// The mode of a file that does not exist yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum New {
    /// For its owner alone (0600).
    Private,
    /// As any program creates a file (0666, less the umask).
    Shared,
    /// The same, executable (0777, less the umask).
    Program,
}

/// Prefix of the names of temporary files.
pub const TEMPORARY: &str = ".lyncsh-";

/// The number of links followed from one path before they are taken for a loop (Linux: 40).
const MAX_LINKS: usize = 40;

/// Replaces the content of the file at `path`, or creates it. Devices and pipes are written to.
///
/// # Errors
/// The file cannot be written. A file that was replaced in whole has its old content then; one that had
/// to be written in place may have lost it.
pub fn replace(path: &Path, content: &[u8], new: New) -> io::Result<()> {
    let there = match std::fs::metadata(path) {
        Ok(there) => there,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return create(&followed(path)?, content, new);
        }
        Err(error) => return Err(error),
    };
    if !there.is_file() {
        // A folder refuses to be opened.
        return OpenOptions::new().write(true).open(path)?.write_all(content);
    }
    match followed(path) {
        Ok(file) => over(&file, content),
        // A link of the system's, as /dev/stdout, names no path.
        Err(_) => in_place(OpenOptions::new().write(true).open(path)?, content),
    }
}

/// Creates a file that must not exist.
///
/// # Errors
/// The file exists ([`ErrorKind::AlreadyExists`]), or cannot be written.
pub fn create_new(path: &Path, content: &[u8], new: New) -> io::Result<()> {
    if std::fs::symlink_metadata(path).is_ok() {
        return Err(ErrorKind::AlreadyExists.into());
    }
    let mut beside = beside(path, new)?;
    beside.write_all(content)?;
    beside.as_file().sync_all()?;
    beside.persist_noclobber(path).map_err(|error| error.error)?;
    sync_folder(folder_of(path))
}

/// Whether [`replace`] may write to a path: its folder exists, and it is not a folder or a file that is
/// closed to this user. Changes nothing.
///
/// # Errors
/// The error that [`replace`] would give.
pub fn check(path: &Path) -> io::Result<()> {
    match std::fs::metadata(path) {
        Ok(there) if there.is_dir() => Err(ErrorKind::IsADirectory.into()),
        // Opening a pipe waits for its reader.
        Ok(there) if there.is_file() => OpenOptions::new().write(true).open(path).map(drop),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let file = followed(path)?;
            std::fs::metadata(folder_of(&file)).map(drop)
        }
        Err(error) => Err(error),
    }
}

/// Writes a folder's entries to the disk.
#[cfg(unix)]
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        // A folder that may be written to and not read, and file systems that know no such request.
        Err(error) if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::InvalidInput) => Ok(()),
        result => result,
    }
}

/// Windows has no such request for a folder.
#[cfg(windows)]
pub fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

fn create(path: &Path, content: &[u8], new: New) -> io::Result<()> {
    let mut beside = beside(path, new)?;
    beside.write_all(content)?;
    beside.as_file().sync_all()?;
    beside.persist(path).map_err(|error| error.error)?;
    sync_folder(folder_of(path))
}

/// Puts a new file in the place of one that exists.
fn over(path: &Path, content: &[u8]) -> io::Result<()> {
    // A file that is closed to this user stays closed, though its folder may be open.
    let there = OpenOptions::new().write(true).open(path)?;
    if platform::hard_links(&there)? > 1 {
        return in_place(there, content);
    }
    let mut beside = match beside(path, New::Private) {
        Ok(beside) => beside,
        Err(error) if is_refused(&error) => return in_place(there, content),
        Err(error) => return Err(error),
    };
    beside.write_all(content)?;
    if platform::take_after(&there, beside.as_file()).is_err() {
        return in_place(there, content);
    }
    beside.as_file().sync_all()?;
    drop(there);
    match platform::exchange(beside.into_temp_path(), path) {
        Ok(()) => sync_folder(folder_of(path)),
        Err(error) if is_refused(&error) => in_place(OpenOptions::new().write(true).open(path)?, content),
        Err(error) => Err(error),
    }
}

fn in_place(mut file: File, content: &[u8]) -> io::Result<()> {
    file.write_all(content)?;
    file.set_len(content.len() as u64)?;
    file.sync_all()
}

/// Whether the place is the obstacle: no permission in the folder, another's file in a folder of all
/// users, a mount point.
fn is_refused(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::PermissionDenied
            | ErrorKind::ReadOnlyFilesystem
            | ErrorKind::ResourceBusy
            | ErrorKind::CrossesDevices
    )
}

fn beside(path: &Path, new: New) -> io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(TEMPORARY);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        // The umask is applied to it.
        builder.permissions(std::fs::Permissions::from_mode(match new {
            New::Private => 0o600,
            New::Shared => 0o666,
            New::Program => 0o777,
        }));
    }
    #[cfg(not(unix))]
    let _ = new;
    builder.tempfile_in(folder_of(path))
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The path behind symbolic links, whether a file is there or not.
fn followed(path: &Path) -> io::Result<PathBuf> {
    let mut at = path.to_owned();
    for _ in 0..MAX_LINKS {
        let Ok(target) = std::fs::read_link(&at) else { return Ok(at) };
        at = folder_of(&at).join(target);
        if at.starts_with("/proc") {
            return Err(io::Error::new(ErrorKind::InvalidInput, "the link is the system's own"));
        }
    }
    Err(io::Error::other("there are too many symbolic links"))
}

#[cfg(test)]
mod tests;
