//! Writes files that another process may be reading: to a temporary file, which is moved.

use std::io;
use std::path::Path;

use super::error::ModuleError;
use crate::files::replace::{New, replace};
use crate::platform;

/// Byte order mark: without it, Windows PowerShell 5.1 reads a script in the system's code page.
const MARK: &str = "\u{feff}";

/// Writes a private script for PowerShell, unless its content is the same.
pub fn write(path: &Path, script: &str) -> Result<(), ModuleError> {
    let whole = format!("{MARK}{script}");
    if std::fs::read(path).is_ok_and(|old| old == whole.as_bytes()) {
        return Ok(());
    }
    put(path, whole.as_bytes()).map_err(|error| ModuleError::Write { path: path.to_owned(), error })
}

fn put(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    if let Some(above) = folder.parent() {
        platform::private_folder(above)?;
    }
    platform::private_folder(folder)?;
    replace(path, content, New::Private)
}

/// Removes a folder with its content. A missing folder is not an error.
pub fn remove(folder: &Path) -> Result<(), ModuleError> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(ModuleError::Write { path: folder.to_owned(), error })
        }
        _ => Ok(()),
    }
}
