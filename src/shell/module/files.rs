//! Files that another process may be reading, replaced atomically.

use std::io;
use std::path::Path;

use super::error::ModuleError;
use crate::files::replace::{New, replace};
use crate::platform;

/// Byte order mark: Windows PowerShell 5.1 reads a script without it in the system's code page.
const MARK: &str = "\u{feff}";

/// Writes a PowerShell script with access for its owner only, unless it is unchanged.
pub fn write(path: &Path, script: &str) -> Result<(), ModuleError> {
    let whole = format!("{MARK}{script}");
    if std::fs::read(path).is_ok_and(|there| there == whole.as_bytes()) {
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

/// Removes a folder and its content, if it exists.
pub fn remove(folder: &Path) -> Result<(), ModuleError> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(ModuleError::Write { path: folder.to_owned(), error })
        }
        _ => Ok(()),
    }
}
