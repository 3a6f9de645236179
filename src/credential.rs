//! Sources of a secret: the OS keyring, a command, a prompt. Secrets are always [`SecretString`]s.

mod command;
mod error;
mod keyring;
mod prompt;
pub mod token;

use secrecy::SecretString;

use crate::net;
use crate::profile::{Authentication, CredentialSource, Profile};

/// Fetches the secret of a profile from its source.
pub async fn fetch(profile: &Profile) -> Result<SecretString, CredentialError> {
    if !is_needed(profile) {
        return Ok(SecretString::default());
    }
    let entry = Entry::Main(&profile.name);
    fetch_from(&profile.credential, entry, &question(profile)).await
}

/// Fetches the password for the proxy of a profile from its source.
pub async fn fetch_for_proxy(profile: &Profile) -> Result<SecretString, CredentialError> {
    fetch_from(&profile.proxy_credential, Entry::Proxy(&profile.name), &proxy_question(profile)).await
}

async fn fetch_from(
    source: &CredentialSource,
    entry: Entry<'_>,
    question: &str,
) -> Result<SecretString, CredentialError> {
    let profile = entry.profile();
    match source {
        CredentialSource::Keyring => keyring::read(entry).await,
        CredentialSource::Command(command) => command::run(profile, command).await,
        CredentialSource::System => Err(CredentialError::System { profile: profile.to_owned() }),
        // A shell can have the sessions of several profiles.
        CredentialSource::Prompt => prompt::ask(&format!("{question} (profile '{profile}'): ")).await,
    }
}

/// Returns the name of the secret at the start of a prompt: the password of the user, or the passphrase of the key.
pub fn question(profile: &Profile) -> String {
    let key = profile.key.as_ref().or(profile.certificate.as_ref());
    match (profile.authentication, key) {
        (Authentication::Certificate, Some(key)) => format!("Passphrase of {}", key.display()),
        _ => format!("Password for {}", profile.user.as_deref().unwrap_or(&profile.name)),
    }
}

/// Returns the name of the proxy's password at the start of a prompt.
pub fn proxy_question(profile: &Profile) -> String {
    format!("Proxy password for {}", profile.proxy_user.as_deref().unwrap_or_default())
}

/// Returns a description of the source that [`fetch`] uses, for progress messages.
pub fn source(profile: &Profile) -> String {
    match &profile.credential {
        CredentialSource::Keyring => "the keyring".to_owned(),
        CredentialSource::Command(_) => "the password command".to_owned(),
        CredentialSource::Prompt => "the password".to_owned(),
        CredentialSource::System => "the system".to_owned(),
    }
}

/// Returns whether [`fetch`] needs a terminal. A process without a terminal must then get the secret from its
/// parent.
pub fn needs_terminal(profile: &Profile) -> bool {
    profile.credential == CredentialSource::Prompt && is_needed(profile)
}

/// Returns whether [`fetch_for_proxy`] needs a terminal.
pub fn proxy_needs_terminal(profile: &Profile) -> bool {
    profile.proxy_credential == CredentialSource::Prompt && profile.proxy_user.is_some()
}

/// Returns whether a profile has a secret: the key of a client certificate may have no passphrase.
pub fn is_needed(profile: &Profile) -> bool {
    match (profile.authentication, &profile.certificate) {
        (Authentication::Certificate, Some(certificate)) => {
            net::needs_passphrase(certificate, profile.key.as_deref())
        }
        _ => true,
    }
}

pub use error::CredentialError;
pub use keyring::{Entry, delete, is_stored, store};
pub use prompt::{agrees, ask, is_asking, read_line};
