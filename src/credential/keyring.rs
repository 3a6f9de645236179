//! The OS keyring: Secret Service, macOS Keychain, Windows Credential Manager.

use std::time::Duration;

use keyring::Entry;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};

use super::error::CredentialError;

/// Service name of all entries; the account is the profile's name, `PROFILE/proxy`, or the entry's name in the profile.
const SERVICE: &str = "lyncsh";
/// Time limit of a call: a locked keyring asks the user.
const CALL_TIMEOUT: Duration = Duration::from_mins(1);

/// Maximum length of an entry in UTF-16 units: Windows limits it to 2,560 bytes (CRED_MAX_CREDENTIAL_BLOB_SIZE).
const MAX_ENTRY: usize = 1280;
/// Maximum number of parts of a secret.
const MAX_PARTS: usize = 64;

/// Reads the secret of an account, if one is stored. An empty secret, such as the secret of another program's entry,
/// counts as missing.
pub async fn find(account: &str) -> Result<Option<SecretString>, CredentialError> {
    let account = account.to_owned();
    let secret = on_keyring(move || joined(&account)).await?;
    Ok(secret.filter(|secret| !secret.expose_secret().is_empty()))
}

/// Stores or replaces the secret of an account.
pub async fn store(account: &str, secret: SecretString) -> Result<(), CredentialError> {
    let account = account.to_owned();
    on_keyring(move || {
        let before = count(&account)?;
        let parts = parts(secret.expose_secret());
        // Writes the first part last: it contains the number of parts.
        for (at, part) in parts.iter().enumerate().rev() {
            entry(&account, at)?.set_password(part)?;
        }
        (parts.len()..before).try_for_each(|at| ignore_missing(entry(&account, at)?.delete_credential()))
    })
    .await
}

/// Removes the secret of an account. Returns `false` if none was stored.
pub async fn delete(account: &str) -> Result<bool, CredentialError> {
    let account = account.to_owned();
    on_keyring(move || {
        let count = count(&account)?;
        (0..count).rev().try_for_each(|at| ignore_missing(entry(&account, at)?.delete_credential()))?;
        Ok(count > 0)
    })
    .await
}

/// Returns whether an account has a secret.
pub async fn is_stored(account: &str) -> Result<bool, CredentialError> {
    Ok(find(account).await?.is_some())
}

/// Returns the entry of a part; the first part has the name of the account.
fn entry(account: &str, part: usize) -> keyring::Result<Entry> {
    match part {
        0 => Entry::new(SERVICE, account),
        // No profile's name contains a colon.
        _ => Entry::new(SERVICE, &format!("{account}:{part}")),
    }
}

/// Splits a secret into entries. A short secret is one entry with the secret itself; otherwise the first entry is a
/// line feed and the number of parts, itself included. A secret is one line, so it never begins with a line feed.
fn parts(secret: &str) -> Vec<Zeroizing<String>> {
    if secret.encode_utf16().count() <= MAX_ENTRY {
        return vec![Zeroizing::new(secret.to_owned())];
    }
    let mut parts = vec![Zeroizing::new(String::with_capacity(MAX_ENTRY * 3))];
    let mut units = 0;
    for one in secret.chars() {
        if units + one.len_utf16() > MAX_ENTRY {
            parts.push(Zeroizing::new(String::with_capacity(MAX_ENTRY * 3)));
            units = 0;
        }
        units += one.len_utf16();
        if let Some(part) = parts.last_mut() {
            part.push(one);
        }
    }
    parts.insert(0, Zeroizing::new(format!("\n{}", parts.len() + 1)));
    parts
}

/// Returns the number of parts that the first part announces.
fn announced(first: &str) -> usize {
    let number = first.strip_prefix('\n').and_then(|number| number.parse().ok());
    number.unwrap_or(1).min(MAX_PARTS)
}

/// Returns the number of entries of an account.
fn count(account: &str) -> keyring::Result<usize> {
    match entry(account, 0)?.get_password().map(Zeroizing::new) {
        Ok(first) => Ok(announced(&first)),
        Err(keyring::Error::NoEntry) => Ok(0),
        Err(error) => Err(error),
    }
}

/// Returns the joined parts of a secret; `None` if a part is missing.
fn joined(account: &str) -> keyring::Result<Option<SecretString>> {
    let part = |at| match entry(account, at)?.get_password() {
        Ok(text) => Ok(Some(Zeroizing::new(text))),
        Err(keyring::Error::NoEntry) => Ok(None),
        Err(error) => Err(error),
    };
    let Some(first) = part(0)? else { return Ok(None) };
    let count = announced(&first);
    if count == 1 {
        return Ok(Some(SecretString::from(first.as_str())));
    }
    // A growing buffer would leave the secret in the memory that it frees.
    let mut whole = Zeroizing::new(String::with_capacity(count * MAX_ENTRY * 3));
    for at in 1..count {
        let Some(part) = part(at)? else { return Ok(None) };
        whole.push_str(&part);
    }
    Ok(Some(SecretString::from(whole.as_str())))
}

fn ignore_missing(result: keyring::Result<()>) -> keyring::Result<()> {
    match result {
        Err(keyring::Error::NoEntry) => Ok(()),
        result => result,
    }
}

/// Runs blocking keyring calls on a separate thread, because a locked keyring waits for the user.
async fn on_keyring<T: Send + 'static>(
    calls: impl FnOnce() -> keyring::Result<T> + Send + 'static,
) -> Result<T, CredentialError> {
    let (answer, answered) = tokio::sync::oneshot::channel();
    // Not a runtime thread: the Secret Service's client blocks on its own runtime, and a call that never
    // ends must not delay the exit of the program.
    std::thread::spawn(move || {
        let status = Entry::store_status().as_ref().map_err(ToString::to_string);
        let result = status.and_then(|()| calls().map_err(|error| error.to_string()));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_secret_is_split_at_whole_characters() {
        for (secret, count) in [
            (String::new(), 1),
            ("x".repeat(MAX_ENTRY), 1),
            ("x".repeat(MAX_ENTRY + 1), 3),
            ("\u{1f511}".repeat(MAX_ENTRY), 3),
            (format!("x{}", "\u{1f511}".repeat(MAX_ENTRY)), 4),
        ] {
            let parts = parts(&secret);
            assert_eq!(parts.len(), count);
            assert!(parts.iter().all(|part| part.encode_utf16().count() <= MAX_ENTRY));
            assert_eq!(announced(&parts[0]), count);
            let rest: String = parts.iter().skip(usize::from(count > 1)).map(|part| part.as_str()).collect();
            assert_eq!(rest, secret);
        }
    }
}
