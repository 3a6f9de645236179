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

/// Returns a folder of the XDG base directories, which Unix shells and PowerShell use on macOS as well (PowerShell's
/// `Platform.cs`); `usual` is its default below the home directory. Returns `None` if the home directory is not known.
pub fn xdg(variable: &str, usual: &str) -> Option<PathBuf> {
    let set = std::env::var_os(variable).filter(|value| !value.is_empty());
    set.map(PathBuf::from).or_else(|| Some(directories::BaseDirs::new()?.home_dir().join(usual)))
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
