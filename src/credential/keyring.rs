//! The OS keyring: Secret Service, macOS Keychain, Windows Credential Manager.

use std::time::Duration;

use keyring::Entry;
use secrecy::{ExposeSecret, SecretString};

use super::error::CredentialError;

/// Service name of all entries; the account is the profile's name.
const SERVICE: &str = "lyncsh";
/// Time limit of a call: a locked keyring asks the user.
const CALL_TIMEOUT: Duration = Duration::from_mins(1);

pub async fn read(profile: &str) -> Result<SecretString, CredentialError> {
    let missing = CredentialError::NotStored { profile: profile.to_owned() };
    with_entry(profile, |entry| entry.get_password().map(SecretString::from)).await?.ok_or(missing)
}

/// Stores or replaces a profile's secret.
pub async fn store(profile: &str, secret: SecretString) -> Result<(), CredentialError> {
    with_entry(profile, move |entry| entry.set_password(secret.expose_secret())).await.map(|_| ())
}

/// Removes a profile's secret. Returns `false` if none was stored.
pub async fn delete(profile: &str) -> Result<bool, CredentialError> {
    Ok(with_entry(profile, Entry::delete_credential).await?.is_some())
}

/// Returns whether a secret is stored.
pub async fn is_stored(profile: &str) -> Result<bool, CredentialError> {
    match read(profile).await {
        Ok(_) => Ok(true),
        Err(CredentialError::NotStored { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Runs a blocking keyring call on a separate thread, because a locked keyring waits for the user. Returns
/// `None` if there is no entry.
async fn with_entry<T: Send + 'static>(
    profile: &str,
    call: impl FnOnce(&Entry) -> keyring::Result<T> + Send + 'static,
) -> Result<Option<T>, CredentialError> {
    let account = profile.to_owned();
    let (answer, answered) = tokio::sync::oneshot::channel();
    // Not a runtime thread: the Secret Service's client blocks on its own runtime, and a call that never
    // ends must not delay the exit of the program.
    std::thread::spawn(move || {
        let result = Entry::store_status().as_ref().map_err(ToString::to_string).and_then(|()| {
            match Entry::new(SERVICE, &account).and_then(|entry| call(&entry)) {
                Ok(value) => Ok(Some(value)),
                Err(keyring::Error::NoEntry) => Ok(None),
                Err(error) => Err(error.to_string()),
            }
        });
        let _ = answer.send(result);
    });
    let reason = match tokio::time::timeout(CALL_TIMEOUT, answered).await {
        Ok(Ok(Ok(value))) => return Ok(value),
        Ok(Ok(Err(reason))) => reason,
        Ok(Err(_)) => "the keyring thread ended unexpectedly".to_owned(),
        Err(_) => format!("it did not answer within {}", humantime::format_duration(CALL_TIMEOUT)),
    };
    Err(CredentialError::Keyring { reason })
}
