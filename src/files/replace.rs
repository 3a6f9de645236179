//! Atomic replacement of files.
//!
//! The content is written to a temporary file in the same folder, which then takes the place of the old
//! file with its owner, extended attributes and mode. A symbolic link stays: the file that it points to
//! is replaced. Where a file cannot be replaced (another hard link to it exists, the folder is not
//! writable, the owner cannot be kept, it is a mount point), it is written in place.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Seek as _};
use std::path::{Path, PathBuf};

use crate::platform;

/// The mode of a file that does not exist yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum New {
    /// Readable only for the owner (0600).
    Private,
    /// Default mode (0666 without the umask).
    Shared,
    /// Executable (0777 without the umask).
    Program,
}

/// Prefix of the names of temporary files.
pub const TEMPORARY: &str = ".lyncsh-";

/// Maximum number of links to follow from a path (Linux: 40).
const MAX_LINKS: usize = 40;

/// The new content of a file.
pub trait Content {
    /// Writes the whole content. Returns its length in bytes.
    fn copy_to(&mut self, to: &mut dyn io::Write) -> io::Result<u64>;
}

impl Content for &[u8] {
    fn copy_to(&mut self, to: &mut dyn io::Write) -> io::Result<u64> {
        to.write_all(self)?;
        Ok(self.len() as u64)
    }
}

impl Content for tempfile::SpooledTempFile {
    fn copy_to(&mut self, mut to: &mut dyn io::Write) -> io::Result<u64> {
        self.rewind()?;
        io::copy(self, &mut to)
    }
}

/// Replaces the content of the file at `path`, or creates it. Devices and pipes are written to.
///
/// # Errors
/// The file cannot be written. A file that is replaced keeps its old content; a file that is written in place
/// may lose it.
pub fn replace(path: &Path, mut content: &[u8], new: New) -> io::Result<()> {
    replace_with(path, &mut content, new)
}

/// Replaces or creates a file like [`replace`], with content of any kind.
///
/// # Errors
/// The same as [`replace`].
pub fn replace_with(path: &Path, content: &mut dyn Content, new: New) -> io::Result<()> {
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return create(&followed(path)?, content, new);
        }
        Err(error) => return Err(error),
    };
    if !metadata.is_file() {
        // Opening a folder fails.
        return content.copy_to(&mut OpenOptions::new().write(true).open(path)?).map(drop);
    }
    match followed(path) {
        Ok(file) => over(&file, content),
        // Links of the system, such as /dev/stdout, may not lead to a path.
        Err(_) => in_place(OpenOptions::new().write(true).open(path)?, content),
    }
}

/// Creates a file that must not exist.
///
/// # Errors
/// The file exists ([`ErrorKind::AlreadyExists`]), or cannot be written.
pub fn create_new(path: &Path, mut content: &[u8], new: New) -> io::Result<()> {
    create_new_with(path, &mut content, new)
}

/// Creates a file like [`create_new`], with content of any kind.
///
/// # Errors
/// The same as [`create_new`].
pub fn create_new_with(path: &Path, content: &mut dyn Content, new: New) -> io::Result<()> {
    if std::fs::symlink_metadata(path).is_ok() {
        return Err(ErrorKind::AlreadyExists.into());
    }
    let mut beside = beside(path, new)?;
    content.copy_to(&mut beside)?;
    beside.as_file().sync_all()?;
    beside.persist_noclobber(path).map_err(|error| error.error)?;
    sync_folder(folder_of(path))
}

/// Moves a file to a path where nothing must exist.
///
/// # Errors
/// Something exists at the path ([`ErrorKind::AlreadyExists`]), or the file cannot be moved.
pub fn move_new(from: &Path, to: &Path) -> io::Result<()> {
    // `std::fs::rename` would replace a file that another process created after a check.
    let mut file = tempfile::TempPath::try_from_path(from)?;
    file.disable_cleanup(true);
    file.persist_noclobber(to).map_err(|error| error.error)?;
    sync_folder(folder_of(to))
}

/// Moves a file or a folder, and replaces a file or an empty folder at the new path. Does nothing if the file does not exist.
///
/// # Errors
/// The file cannot be moved.
pub fn move_file(from: &Path, to: &Path) -> io::Result<()> {
    match std::fs::rename(from, to) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes a file. Does nothing if the file does not exist.
///
/// # Errors
/// The file cannot be removed.
pub fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes a folder with its content. Does nothing if the folder does not exist.
///
/// # Errors
/// The folder cannot be removed.
pub fn remove_folder(path: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Checks whether [`replace`] can write to a path: its folder exists, and the path is not a folder or a file
/// without write permission. Changes nothing.
///
/// # Errors
/// The error that [`replace`] would return.
pub fn check(path: &Path) -> io::Result<()> {
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => Err(ErrorKind::IsADirectory.into()),
        // Opening a pipe would wait for its reader.
        Ok(metadata) if metadata.is_file() => OpenOptions::new().write(true).open(path).map(drop),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let file = followed(path)?;
            std::fs::metadata(folder_of(&file)).map(drop)
        }
        Err(error) => Err(error),
    }
}

/// Flushes a folder's entries to the disk.
#[cfg(unix)]
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        // A folder without read permission, or a file system that cannot flush folders.
        Err(error) if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::InvalidInput) => Ok(()),
        result => result,
    }
}

/// Does nothing: Windows cannot flush a folder.
#[cfg(windows)]
pub fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

fn create(path: &Path, content: &mut dyn Content, new: New) -> io::Result<()> {
    let mut beside = beside(path, new)?;
    content.copy_to(&mut beside)?;
    beside.as_file().sync_all()?;
    beside.persist(path).map_err(|error| error.error)?;
    sync_folder(folder_of(path))
}

/// Replaces an existing file.
fn over(path: &Path, content: &mut dyn Content) -> io::Result<()> {
    // A file without write permission must not be replaced, even if its folder is writable.
    let old = OpenOptions::new().write(true).open(path)?;
    if platform::hard_links(&old)? > 1 {
        return in_place(old, content);
    }
    let mut beside = match beside(path, New::Private) {
        Ok(beside) => beside,
        Err(error) if is_refused(&error) => return in_place(old, content),
        Err(error) => return Err(error),
    };
    content.copy_to(&mut beside)?;
    if platform::take_after(&old, beside.as_file()).is_err() {
        return in_place(old, content);
    }
    beside.as_file().sync_all()?;
    drop(old);
    match platform::exchange(beside.into_temp_path(), path) {
        Ok(()) => sync_folder(folder_of(path)),
        Err(error) if is_refused(&error) => in_place(OpenOptions::new().write(true).open(path)?, content),
        Err(error) => Err(error),
    }
}

fn in_place(mut file: File, content: &mut dyn Content) -> io::Result<()> {
    let length = content.copy_to(&mut file)?;
    file.set_len(length)?;
    file.sync_all()
}

/// Returns whether the folder prevents the replacement: no permission, another user's file in a sticky
/// folder, a mount point.
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
        // The system applies the umask.
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

/// Returns the target of symbolic links, whether it exists or not.
fn followed(path: &Path) -> io::Result<PathBuf> {
    let mut at = path.to_owned();
    for _ in 0..MAX_LINKS {
        let Ok(target) = std::fs::read_link(&at) else { return Ok(at) };
        at = folder_of(&at).join(target);
        if at.starts_with("/proc") {
            return Err(io::Error::new(ErrorKind::InvalidInput, "the link is a special link of the system"));
        }
    }
    Err(io::Error::other("too many symbolic links"))
}

#[cfg(test)]
mod tests;
