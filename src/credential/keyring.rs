//! The OS keyring: Secret Service, macOS Keychain, Windows Credential Manager.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::error::CredentialError;

/// Service name of all entries.
const SERVICE: &str = "lyncsh";
/// Time limit of a call: a locked keyring asks the user.
const CALL_TIMEOUT: Duration = Duration::from_mins(1);

/// An entry of the keyring.
#[derive(Clone, Copy, Debug)]
pub enum Entry<'a> {
    /// The secret of a profile.
    Main(&'a str),
    /// The password for the proxy of a profile.
    Proxy(&'a str),
}

impl<'a> Entry<'a> {
    pub const fn profile(self) -> &'a str {
        match self {
            Self::Main(profile) | Self::Proxy(profile) => profile,
        }
    }

    /// Returns the account in the keyring. The name of a profile contains no slash.
    fn account(self) -> String {
        match self {
            Self::Main(profile) => profile.to_owned(),
            Self::Proxy(profile) => format!("{profile}/proxy"),
        }
    }
}

pub async fn read(entry: Entry<'_>) -> Result<SecretString, CredentialError> {
    let profile = entry.profile().to_owned();
    let missing = match entry {
        Entry::Main(_) => CredentialError::NotStored { profile },
        Entry::Proxy(_) => CredentialError::ProxyNotStored { profile },
    };
    with_entry(entry, |entry| entry.get_password().map(SecretString::from)).await?.ok_or(missing)
}

/// Stores or replaces a secret.
pub async fn store(entry: Entry<'_>, secret: SecretString) -> Result<(), CredentialError> {
    with_entry(entry, move |entry| entry.set_password(secret.expose_secret())).await.map(|_| ())
}

/// Removes a secret. Returns `false` if none was stored.
pub async fn delete(entry: Entry<'_>) -> Result<bool, CredentialError> {
    Ok(with_entry(entry, keyring::Entry::delete_credential).await?.is_some())
}

/// Returns whether a secret is stored.
pub async fn is_stored(entry: Entry<'_>) -> Result<bool, CredentialError> {
    match read(entry).await {
        Ok(_) => Ok(true),
        Err(CredentialError::NotStored { .. } | CredentialError::ProxyNotStored { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Runs a blocking keyring call on a separate thread, because a locked keyring waits for the user. Returns
/// `None` if there is no entry.
async fn with_entry<T: Send + 'static>(
    entry: Entry<'_>,
    call: impl FnOnce(&keyring::Entry) -> keyring::Result<T> + Send + 'static,
) -> Result<Option<T>, CredentialError> {
    let account = entry.account();
    let (answer, answered) = tokio::sync::oneshot::channel();
    // Not a runtime thread: the Secret Service's client blocks on its own runtime, and a call that never
    // ends must not delay the exit of the program.
    std::thread::spawn(move || {
        let result = keyring::Entry::store_status().as_ref().map_err(ToString::to_string).and_then(|()| {
            match keyring::Entry::new(SERVICE, &account).and_then(|entry| call(&entry)) {
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
