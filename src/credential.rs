//! Sources of a secret: the OS keyring, a file, a command, a prompt. Secrets are always [`SecretString`]s.

mod command;
mod error;
mod file;
mod first_line;
mod keyring;
pub mod oauth;
mod prompt;

use secrecy::SecretString;

use crate::folders::Folders;
use crate::net;
use crate::profile::service::SignIn;
use crate::profile::{Authentication, CredentialSource, Profile, TokenFlow};

/// Fetches the secret of a profile from its source.
pub async fn fetch(profile: &Profile) -> Result<SecretString, CredentialError> {
    if !is_needed(profile) {
        return Ok(SecretString::default());
    }
    let missing = || CredentialError::NotStored { profile: profile.name.clone() };
    match profile.keyring_entry() {
        Some(entry) => keyring::find(entry).await?.ok_or_else(missing),
        None => fetch_from(&profile.credential, &profile.name, &question(profile)).await,
    }
}

/// Fetches the password for the proxy of a profile from its source.
pub async fn fetch_for_proxy(profile: &Profile) -> Result<SecretString, CredentialError> {
    let missing = || CredentialError::ProxyNotStored { profile: profile.name.clone() };
    match profile.proxy_entry() {
        Some(entry) => keyring::find(&entry).await?.ok_or_else(missing),
        None => fetch_from(&profile.proxy_credential, &profile.name, &proxy_question(profile)).await,
    }
}

/// Fetches a secret from a source other than the keyring.
async fn fetch_from(
    source: &CredentialSource,
    profile: &str,
    question: &str,
) -> Result<SecretString, CredentialError> {
    match source {
        CredentialSource::File(path) => file::read_in_background(path.clone()).await,
        CredentialSource::Command { line, folder } => command::run(profile, line, folder).await,
        // The question names the profile: a shell can have the sessions of several profiles.
        CredentialSource::Prompt => prompt::ask(&format!("{question} (profile '{profile}'): ")).await,
        CredentialSource::System | CredentialSource::Keyring | CredentialSource::Shared(_) => {
            Err(CredentialError::System { profile: profile.to_owned() })
        }
    }
}

/// Returns the name of the secret at the start of a prompt: the password of the user, the passphrase of the key, or the
/// secret of the application.
pub fn question(profile: &Profile) -> String {
    let key = profile.key.as_ref().or(profile.certificate.as_ref());
    let application = || profile.client_id.as_deref().unwrap_or(&profile.name);
    match (key, profile.token_flow) {
        (Some(key), _) => format!("Passphrase of {}", key.display()),
        (None, TokenFlow::ClientSecret) => format!("Secret of the application {}", application()),
        (None, _) => format!("Password for {}", profile.user.as_deref().unwrap_or(&profile.name)),
    }
}

/// Returns the name of the proxy's password at the start of a prompt.
pub fn proxy_question(profile: &Profile) -> String {
    format!("Proxy password for {}", profile.proxy_user.as_deref().unwrap_or_default())
}

/// Returns a description of the source that [`fetch`] uses, for progress messages.
pub fn source(profile: &Profile) -> String {
    match &profile.credential {
        CredentialSource::Keyring | CredentialSource::Shared(_) => "the keyring".to_owned(),
        CredentialSource::File(_) => "the file of the password".to_owned(),
        CredentialSource::Command { .. } => "the password command".to_owned(),
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

/// Returns whether a profile needs a secret: the key of a certificate may have no passphrase, and a user who signs in
/// with a browser or a device code needs no secret.
pub fn is_needed(profile: &Profile) -> bool {
    let has_passphrase = || {
        let certificate = profile.certificate.as_ref();
        certificate.is_none_or(|certificate| net::needs_passphrase(certificate, profile.key.as_deref()))
    };
    match (profile.service.map(|service| service.sign_in), profile.authentication, profile.token_flow) {
        (Some(SignIn::DeviceCode | SignIn::Browser | SignIn::ManagedIdentity), ..) => false,
        (Some(SignIn::Certificate), ..) => has_passphrase(),
        (Some(SignIn::Credential | SignIn::Token), ..) => true,
        (None, Authentication::Certificate, _) => has_passphrase(),
        (None, Authentication::Token, TokenFlow::ClientCertificate) => has_passphrase(),
        (None, Authentication::Token, flow) => !flow.needs_user(),
        (None, ..) => true,
    }
}

/// Returns whether `lyncsh login` stores a secret or a sign-in for a profile.
pub fn has_login(profile: &Profile) -> bool {
    let has_password = is_needed(profile) && profile.token_flow != TokenFlow::Federated;
    keeps_refresh_token(profile) || (has_password && profile.keyring_entry().is_some())
}

/// Returns whether the keyring keeps the refresh token of a user's sign-in.
pub fn keeps_refresh_token(profile: &Profile) -> bool {
    profile.token_flow.needs_user() && profile.keyring_entry().is_some()
}

/// Copies the secret and the refresh token of a keyring entry to another entry, which replaces it. Returns whether
/// either existed.
pub async fn copy_all(folders: &Folders, from: &str, to: &str) -> Result<bool, oauth::TokenError> {
    let had_token = oauth::copy(folders, from, to).await?;
    Ok(copy(from, to).await? || had_token)
}

/// Copies the secret of a keyring entry to another entry. Returns whether there was a secret.
pub async fn copy(from: &str, to: &str) -> Result<bool, CredentialError> {
    let Some(secret) = keyring::find(from).await? else { return Ok(false) };
    keyring::store(to, secret).await?;
    Ok(true)
}

/// Removes the secret and the refresh token of a keyring entry. Returns whether there was a secret.
pub async fn delete_all(folders: &Folders, entry: &str) -> Result<bool, oauth::TokenError> {
    let forgotten = oauth::forget(folders, entry).await;
    let had_secret = keyring::delete(entry).await?;
    forgotten?;
    Ok(had_secret)
}

pub use error::CredentialError;
pub use file::check as check_file;
pub use keyring::{delete, is_stored, store};
pub use prompt::{agrees, ask, ask_once, is_asking, read_line};
