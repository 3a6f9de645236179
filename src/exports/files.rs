//! The files of an export.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Marks an export that the next start of a PowerShell replaces.
pub(super) const EXPIRED: &str = "expired";
/// The lengths of an export's files, one `LENGTH NAME` a line.
pub(super) const SIZES: &str = "sizes";
/// Holds the name of the export that was used last.
pub(super) const CURRENT: &str = "current";

/// What is kept can't be changed.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("the exported commands can't be written: {}: {error}", .path.display())]
pub struct ExportError {
    pub path: PathBuf,
    pub error: std::io::Error,
}

/// What an export that is at work, or was killed, has left.
pub(super) fn half(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "new" || ending == "old")
}

pub(super) fn written(path: &Path) -> Option<SystemTime> {
    path.metadata().ok()?.modified().ok()
}

/// Removes a file, or a folder with all that is in it. One that is not there is no error.
pub(super) fn remove(folder: &Path) -> Result<(), ExportError> {
    let removed =
        if folder.is_file() { std::fs::remove_file(folder) } else { std::fs::remove_dir_all(folder) };
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(ExportError { path: folder.to_owned(), error })
        }
        _ => Ok(()),
    }
}
