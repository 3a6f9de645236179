//! Where lyncsh keeps things: profiles, cache, journal, sockets.

use std::path::{Path, PathBuf};

use crate::platform;

/// The folders of one user. Nothing here exists until it is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folders {
    /// Profiles (`profiles/NAME.toml`) and templates of the user's own.
    pub config: PathBuf,
    /// What can be asked for again: command names, exported modules.
    pub cache: PathBuf,
    /// What must outlive a crash: the journal of live sessions, the history.
    pub state: PathBuf,
    /// Sockets and locks, for the owner alone (0700).
    pub runtime: PathBuf,
}

/// There is no home directory to put folders in.
#[derive(Debug, thiserror::Error)]
#[error("no home directory is known for this user; name a folder with --config-dir or LYNCSH_CONFIG_DIR")]
pub struct NoHome;

impl Folders {
    /// The user's folders; all of them below `config` where it is given.
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
            // After `su` the variable names the folder of another user.
            runtime: known
                .runtime_dir()
                .filter(|folder| folder.parent().is_some_and(platform::is_own_folder))
                .map_or_else(|| cache.join("run"), Path::to_owned),
            cache,
        })
    }

    /// The folder of the profiles.
    pub fn profiles(&self) -> PathBuf {
        self.config.join("profiles")
    }

    /// The file of one profile.
    pub fn profile(&self, name: &str) -> PathBuf {
        self.profiles().join(format!("{name}.toml"))
    }
}
