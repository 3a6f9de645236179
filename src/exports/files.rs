//! The files of an export.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Marker of an export that is to be replaced.
pub(super) const EXPIRED: &str = "expired";
/// Sizes of an export's files, as lines of `SIZE NAME`.
pub(super) const SIZES: &str = "sizes";
/// File with the name of the export that was used last.
pub(super) const CURRENT: &str = "current";

/// Error of writing an export.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("cannot write the exported commands: {}: {error}", .path.display())]
pub struct ExportError {
    pub path: PathBuf,
    pub error: std::io::Error,
}

/// Returns whether a path belongs to an unfinished export.
pub(super) fn half(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "new" || ending == "old")
}

pub(super) fn written(path: &Path) -> Option<SystemTime> {
    path.metadata().ok()?.modified().ok()
}

/// Removes a file or a folder with its content. A missing file is not an error.
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
