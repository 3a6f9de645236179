//! The folder of one endpoint's proxies: its state and its replacement.

use std::path::{Path, PathBuf};

use super::files::{CURRENT, EXPIRED, ExportError, SIZES, half, remove, written};
use crate::files::replace::{New, replace};
use crate::platform;

/// The proxies of one endpoint and account, in the format of this version.
///
/// It names their folder and owns no open files. The module writer (`shell::module`) reads their state, replaces them
/// and selects them for the profile's module. They are replaced as a whole, so that a killed process never leaves
/// incomplete proxies.
#[derive(Clone, Debug)]
pub struct ExportedModule {
    stem: PathBuf,
    folder: PathBuf,
}

/// State of cached proxies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Current,
    Missing,
    /// `lyncsh refresh` marked them.
    Expired,
    /// The agent saw other commands on the endpoint.
    Changed,
}

impl ExportedModule {
    /// Creates a reference to proxies, which may not exist. `form` identifies their format.
    pub fn of(stem: &Path, form: &str) -> Self {
        Self { stem: stem.to_owned(), folder: PathBuf::from(format!("{}-{form}", stem.display())) }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns whether the proxies exist, current or not, and their files have the recorded sizes.
    pub fn is_complete(&self) -> bool {
        let Ok(sizes) = std::fs::read_to_string(self.folder.join(SIZES)) else { return false };
        sizes.lines().all(|line| {
            let known = line.split_once(' ').and_then(|(size, name)| Some((size.parse().ok()?, name)));
            known.is_some_and(|(size, name): (u64, _)| {
                self.folder.join(name).metadata().is_ok_and(|file| file.is_file() && file.len() == size)
            })
        })
    }

    /// Selects these proxies for the manifest of the profile's module. Returns whether the selection changed.
    pub fn select(&self) -> Result<bool, ExportError> {
        let (Some(parent), Some(name)) = (self.folder.parent(), self.folder.file_name()) else {
            return Ok(false);
        };
        let (path, name) = (parent.join(CURRENT), name.to_string_lossy());
        if std::fs::read_to_string(&path).is_ok_and(|known| known == name) {
            return Ok(false);
        }
        replace(&path, name.as_bytes(), New::Private).map_err(|error| ExportError { path, error })?;
        Ok(true)
    }

    pub fn state(&self) -> State {
        let known = self.folder.join("commands");
        if self.beside().iter().any(|folder| folder.join(EXPIRED).exists()) {
            State::Expired
        } else if !self.is_complete() {
            State::Missing
        } else if self.has_changed(&known, std::fs::read(&known).ok().as_deref()) {
            State::Changed
        } else {
            State::Current
        }
    }

    /// Returns whether the agent saw other commands than these after `file` was written.
    pub fn has_changed(&self, file: &Path, commands: Option<&[u8]>) -> bool {
        let seen = PathBuf::from(format!("{}.commands", self.stem.display()));
        match (written(&seen), written(file)) {
            (Some(later), Some(earlier)) if later > earlier => {
                std::fs::read(&seen).is_ok_and(|seen| commands.is_some_and(|known| seen != known))
            }
            _ => false,
        }
    }

    /// Returns the path of the proxies' source.
    pub fn source(&self) -> PathBuf {
        PathBuf::from(format!("{}.metadata", self.stem.display()))
    }

    /// Writes the proxies' source.
    pub fn set_source(&self, content: &[u8]) -> Result<(), ExportError> {
        let path = self.source();
        replace(&path, content, New::Private).map_err(|error| ExportError { path, error })
    }

    /// Writes the files into a new folder for one PowerShell, which removes the folder.
    pub fn put_once(&self, files: &[(&str, String)]) -> Result<PathBuf, ExportError> {
        let folder = PathBuf::from(format!("{}-{}.new", self.stem.display(), uuid::Uuid::new_v4().simple()));
        fill(&folder, files).inspect_err(|_| drop(remove(&folder)))?;
        Ok(folder)
    }

    /// Replaces the proxies. The files are written to a new folder, which is then moved: a killed process
    /// leaves no incomplete proxies, and other processes read either the old or the new ones.
    pub fn put(&self, files: &[(&str, String)]) -> Result<(), ExportError> {
        let fresh = self.put_once(files)?;
        let old = fresh.with_extension("old");
        let failed = |error| ExportError { path: self.folder.clone(), error };
        let moved = match std::fs::rename(&self.folder, &old) {
            // On Windows, the files cannot be moved while another process reads them.
            Err(_) if self.state() == State::Current => Ok(()),
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed(error)),
            _ => match std::fs::rename(&fresh, &self.folder) {
                // Another process wrote its proxies first, and they are equivalent.
                Err(_) if self.is_complete() => Ok(()),
                Err(error) => {
                    let _ = std::fs::rename(&old, &self.folder);
                    Err(failed(error))
                }
                Ok(()) => Ok(()),
            },
        };
        // Files that another process still reads are removed later (`Exports::prepare`).
        let mut left = vec![fresh, old];
        if moved.is_ok() {
            left.extend(self.beside().into_iter().filter(|folder| *folder != self.folder));
        }
        for folder in left {
            if let Err(error) = remove(&folder) {
                tracing::debug!(%error, "cannot remove old proxies yet");
            }
        }
        moved
    }

    /// Returns the folders of complete proxies of the same endpoint and account, in any format.
    fn beside(&self) -> Vec<PathBuf> {
        let (Some(parent), Some(stem)) = (self.stem.parent(), self.stem.file_name()) else {
            return Vec::new();
        };
        let start = format!("{}-", stem.to_string_lossy());
        let Ok(entries) = std::fs::read_dir(parent) else { return Vec::new() };
        let named =
            |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&start));
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        paths.filter(|path| named(path) && !half(path) && path.is_dir()).collect()
    }
}

/// Creates a private folder with these files.
fn fill(folder: &Path, files: &[(&str, String)]) -> Result<(), ExportError> {
    let failed = |path: &Path, error| ExportError { path: path.to_owned(), error };
    platform::private_folder(folder).map_err(|error| failed(folder, error))?;
    for (name, content) in files {
        let path = folder.join(name);
        if let Some(inner) = path.parent().filter(|inner| *inner != folder) {
            platform::private_folder(inner).map_err(|error| failed(inner, error))?;
        }
        replace(&path, content.as_bytes(), New::Private).map_err(|error| failed(&path, error))?;
    }
    let sizes: String = files.iter().map(|(name, content)| format!("{} {name}\n", content.len())).collect();
    let path = folder.join(SIZES);
    replace(&path, sizes.as_bytes(), New::Private).map_err(|error| failed(&path, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_stay_usable_until_they_are_replaced() {
        let temp = tempfile::tempdir().unwrap();
        let stem = temp.path().join("0123456789abcdefn3");
        let kept = ExportedModule::of(&stem, "one");
        assert_eq!(kept.state(), State::Missing);
        let files = |text: &str| [("names", text.to_owned()), ("commands", text.to_owned())];
        kept.put(&files("a\n")).unwrap();
        assert_eq!(kept.state(), State::Current);
        // The same commands, seen later.
        let seen = PathBuf::from(format!("{}.commands", stem.display()));
        let later = std::time::SystemTime::now() + std::time::Duration::from_secs(10);
        for (text, state) in [("a\n", State::Current), ("b\n", State::Changed)] {
            std::fs::write(&seen, text).unwrap();
            std::fs::File::options().write(true).open(&seen).unwrap().set_modified(later).unwrap();
            assert_eq!(kept.state(), state);
        }
        std::fs::remove_file(&seen).unwrap();
        std::fs::write(kept.folder().join(EXPIRED), "").unwrap();
        let other = ExportedModule::of(&stem, "two");
        assert_eq!((kept.state(), other.state()), (State::Expired, State::Expired));
        assert!(kept.is_complete() && !other.is_complete());
        other.put(&files("b\n")).unwrap();
        assert_eq!((kept.state(), other.state()), (State::Missing, State::Current));
        assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 1, "nothing else is left");
    }
}
