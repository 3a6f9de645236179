//! Files that another process may be reading: written beside, moved into place.

use std::io;
use std::path::Path;

use super::error::ModuleError;
use crate::files::replace::{New, replace};
use crate::platform;

/// Windows PowerShell 5.1 takes a script without it for one in the system's code page.
const MARK: &str = "\u{feff}";

/// Writes a script for PowerShell, for its owner alone, unless it is there as it is.
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

/// Removes a folder with all that is in it. One that is not there is no error.
pub fn remove(folder: &Path) -> Result<(), ModuleError> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(ModuleError::Write { path: folder.to_owned(), error })
        }
        _ => Ok(()),
    }
}
