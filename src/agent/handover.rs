//! What a launcher gives the agent that it starts, through the agent's standard input: one line of
//! JSON, then the secret where a person was asked for it.

use std::io::{self, BufRead as _, Read as _};
use std::path::PathBuf;

use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use crate::folders::Folders;
use crate::profile::{self, Profile, ProfileError};

/// A secret longer than this is none.
const MAX_SECRET: u64 = 64 * 1024;

/// Everything but the secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Handover {
    pub profile: String,
    pub path: PathBuf,
    /// The profile's text, as the launcher read it.
    pub text: String,
    pub config: PathBuf,
    pub cache: PathBuf,
    pub state: PathBuf,
    pub runtime: PathBuf,
    /// How many `-v` the launcher was given.
    pub verbosity: u8,
    /// Whether the secret follows.
    pub secret: bool,
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
        profile::parse(&self.profile, &self.path, &self.text)
    }

    /// Writes it down the pipe to the agent.
    pub async fn write(
        &self,
        secret: Option<&SecretString>,
        to: &mut (impl AsyncWrite + Unpin),
    ) -> io::Result<()> {
        let mut line = serde_json::to_vec(self)?;
        line.push(b'\n');
        to.write_all(&line).await?;
        if let Some(secret) = secret {
            to.write_all(secret.expose_secret().as_bytes()).await?;
        }
        to.flush().await
    }

    /// Reads it from standard input, to its end.
    pub fn read() -> io::Result<(Self, Option<SecretString>)> {
        let mut input = io::stdin().lock();
        let mut line = Vec::new();
        input.read_until(b'\n', &mut line)?;
        let handover: Self = serde_json::from_slice(&line)?;
        // A buffer that grew would leave the secret in the memory that it gives back. The buffer of `stdin` itself
        // belongs to the standard library and cannot be wiped.
        let mut secret = Zeroizing::new(String::with_capacity(MAX_SECRET as usize + 1));
        input.take(MAX_SECRET).read_to_string(&mut secret)?;
        let secret = handover.secret.then(|| SecretString::from(secret.as_str()));
        Ok((handover, secret))
    }
}
