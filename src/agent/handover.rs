//! Data for a new agent on its standard input: one line of JSON, then the secrets that the launcher has.

use std::io::{self, BufRead as _, Read as _};
use std::path::PathBuf;
use std::time::Duration;

use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use crate::folders::Folders;
use crate::profile::{self, Profile, ProfileError, Source};

/// Maximum length of the secrets, in bytes.
const MAX_SECRET: u64 = 128 * 1024;

/// The handover data without the secrets.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Handover {
    pub profile: String,
    /// The profile's files as read by the launcher.
    pub sources: Vec<Source>,
    pub config: PathBuf,
    pub cache: PathBuf,
    pub state: PathBuf,
    pub runtime: PathBuf,
    /// The launcher's number of `-v` options.
    pub verbosity: u8,
    /// Time for which the session stays open without a shell; always zero for `lyncsh exec`.
    pub keep: Duration,
    /// Whether the profile's secret follows, after the proxy's.
    pub secret: bool,
    /// Length of the password for the proxy, in bytes, if it follows.
    pub proxy_secret: Option<usize>,
}

/// The secrets of a profile that the launcher has, for example because the user entered them.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    pub main: Option<SecretString>,
    pub proxy: Option<SecretString>,
}

impl Handover {
    pub fn folders(&self) -> Folders {
        Folders {
            config: self.config.clone(),
            cache: self.cache.clone(),
            state: self.state.clone(),
            runtime: self.runtime.clone(),
        }
    }

    pub fn profile(&self) -> Result<Profile, ProfileError> {
        profile::parse_sources(&self.profile, &self.sources)
    }

    /// Writes the handover to the agent's standard input.
    pub async fn write(&self, secrets: &Secrets, to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        let mut line = serde_json::to_vec(self)?;
        line.push(b'\n');
        to.write_all(&line).await?;
        for secret in [&secrets.proxy, &secrets.main].into_iter().flatten() {
            to.write_all(secret.expose_secret().as_bytes()).await?;
        }
        to.flush().await
    }

    /// Reads the handover from standard input, to its end.
    pub fn read() -> io::Result<(Self, Secrets)> {
        let mut input = io::stdin().lock();
        let mut line = Vec::new();
        input.read_until(b'\n', &mut line)?;
        let handover: Self = serde_json::from_slice(&line)?;
        // A growing buffer would leave the secret in the memory that it frees. The buffer of `stdin` belongs to the
        // standard library and cannot be wiped.
        let mut secret = Zeroizing::new(String::with_capacity(MAX_SECRET as usize + 1));
        input.take(MAX_SECRET).read_to_string(&mut secret)?;
        let (proxy, main) = secret
            .split_at_checked(handover.proxy_secret.unwrap_or_default())
            .ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
        let secrets = Secrets {
            main: handover.secret.then(|| SecretString::from(main)),
            proxy: handover.proxy_secret.map(|_| SecretString::from(proxy)),
        };
        Ok((handover, secrets))
    }
}
