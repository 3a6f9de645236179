//! Folders of lyncsh: profiles, cache, journal, sockets.

use std::path::{Path, PathBuf};

use crate::platform;

/// The folders of a user. They are created when needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folders {
    /// Profiles (`profiles/NAME.toml`) and custom templates.
    pub config: PathBuf,
    /// Data that can be requested again: command names, exported modules.
    pub cache: PathBuf,
    /// Data that must survive a crash: the journal of open sessions, the history.
    pub state: PathBuf,
    /// Sockets and locks, only for the owner (0700).
    pub runtime: PathBuf,
}

/// The home directory is not known.
#[derive(Debug, thiserror::Error)]
#[error("cannot find the home directory of this user; pass --config-dir or set LYNCSH_CONFIG_DIR")]
pub struct NoHome;

/// Returns the home directory of the user.
pub fn home() -> Option<PathBuf> {
    directories::BaseDirs::new().map(|folders| folders.home_dir().to_owned())
}

/// Replaces a `~` that is the first component of a path with the home directory, as shells do. `~user` is not replaced,
/// and `./~` names a file of that name.
pub fn expanded(path: &Path) -> PathBuf {
    let Ok(rest) = path.strip_prefix("~") else { return path.to_owned() };
    match home() {
        Some(home) if rest.as_os_str().is_empty() => home,
        Some(home) => home.join(rest),
        None => path.to_owned(),
    }
}

/// Returns the path that a text in a file of `folder` names: a relative path starts at `folder`.
pub fn beside(folder: &Path, text: &str) -> PathBuf {
    folder.join(expanded(Path::new(text)))
}

/// Expands a path like [`expanded`]. Returns it unchanged if the result is not Unicode.
pub fn expanded_text(path: &str) -> String {
    expanded(Path::new(path)).into_os_string().into_string().unwrap_or_else(|_| path.to_owned())
}

/// Returns a folder of the XDG base directories, which Unix shells and PowerShell use on macOS as well (PowerShell's
/// `Platform.cs`); `usual` is its default below the home directory. Returns `None` if the home directory is not known.
pub fn xdg(variable: &str, usual: &str) -> Option<PathBuf> {
    let set = std::env::var_os(variable).filter(|value| !value.is_empty());
    set.map(PathBuf::from).or_else(|| Some(home()?.join(usual)))
}

impl Folders {
    /// Returns the user's folders. All of them are in `config`, if given.
    pub fn find(config: Option<&Path>) -> Result<Self, NoHome> {
        if let Some(config) = config {
            let config = std::path::absolute(config).unwrap_or_else(|_| config.to_owned());
            return Ok(Self {
                cache: config.join("cache"),
                state: config.join("state"),
                runtime: config.join("run"),
                config,
            });
        }
        let known = directories::ProjectDirs::from("", "", "lyncsh").ok_or(NoHome)?;
        let cache = known.cache_dir().to_owned();
        Ok(Self {
            config: known.config_dir().to_owned(),
            state: known.state_dir().unwrap_or_else(|| known.data_local_dir()).to_owned(),
            // After `su`, the variable may contain the folder of another user.
            runtime: known
                .runtime_dir()
                .filter(|folder| folder.parent().is_some_and(platform::is_own_folder))
                .map_or_else(|| cache.join("run"), Path::to_owned),
            cache,
        })
    }

    /// Returns the folder of the profiles.
    pub fn profiles(&self) -> PathBuf {
        self.config.join("profiles")
    }

    /// Returns the file of a profile.
    pub fn profile(&self, name: &str) -> PathBuf {
        self.profiles().join(format!("{name}.toml"))
    }
}

#[cfg(test)]
impl Folders {
    /// Returns folders in a new temporary folder, which is removed when the first value is dropped.
    pub(crate) fn temporary() -> (tempfile::TempDir, Self) {
        let temp = tempfile::tempdir().unwrap();
        let folders = Self::find(Some(temp.path())).unwrap();
        (temp, folders)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_home_directory_replaces_a_leading_tilde() {
        let home = home().unwrap();
        for (path, expected) in
            [("~", home.clone()), ("~/", home.clone()), ("~/a/b", home.join("a").join("b"))]
        {
            assert_eq!(expanded(Path::new(path)), expected, "{path}");
        }
        for path in ["", "~user/a", "./~/a", "a/~/b", "~a", "/~/a"] {
            assert_eq!(expanded(Path::new(path)), Path::new(path));
            assert_eq!(expanded_text(path), path);
        }
    }
}
