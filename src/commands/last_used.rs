//! Time of the last use of a profile: the modification time of a file that each shell and each `lyncsh exec` touches.

use std::path::PathBuf;
use std::time::SystemTime;

use crate::files::replace::{move_file, remove};
use crate::folders::Folders;
use crate::platform;

fn mark(folders: &Folders, name: &str) -> PathBuf {
    folders.state.join("used").join(name)
}

/// Records a use of the profile. Failures are ignored: only `lyncsh list` shows the time.
pub fn touch(folders: &Folders, name: &str) {
    let path = mark(folders, name);
    let written = path.parent().map_or(Ok(()), platform::private_folder).and_then(|()| {
        let file = platform::private_file().create(true).truncate(false).open(&path)?;
        file.set_modified(SystemTime::now())
    });
    if let Err(error) = written {
        tracing::debug!(%error, "cannot record the use of the profile");
    }
}

/// Returns the time of the last use, if known.
pub fn of(folders: &Folders, name: &str) -> Option<SystemTime> {
    std::fs::metadata(mark(folders, name)).ok()?.modified().ok()
}

/// Moves the record to another profile.
pub fn rename(folders: &Folders, old: &str, new: &str) -> std::io::Result<()> {
    move_file(&mark(folders, old), &mark(folders, new))
}

/// Removes the record.
pub fn discard(folders: &Folders, name: &str) -> std::io::Result<()> {
    remove(&mark(folders, name))
}
