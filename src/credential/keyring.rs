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
    let secret = on_keyring(move || joined(&System, &account)).await?;
    Ok(secret.filter(|secret| !secret.expose_secret().is_empty()))
}

/// Stores or replaces the secret of an account.
pub async fn store(account: &str, secret: SecretString) -> Result<(), CredentialError> {
    let account = account.to_owned();
    on_keyring(move || replace(&System, &account, secret.expose_secret())).await
}

/// Removes the secret of an account. Returns `false` if none was stored.
pub async fn delete(account: &str) -> Result<bool, CredentialError> {
    let account = account.to_owned();
    on_keyring(move || {
        let was_stored = System.remove(&account)?;
        Series::ALL.into_iter().try_for_each(|series| remove_parts(&System, &account, series, 1))?;
        Ok(was_stored)
    })
    .await
}

/// Returns whether an account has a secret.
pub async fn is_stored(account: &str) -> Result<bool, CredentialError> {
    Ok(find(account).await?.is_some())
}

/// The entries of the service.
trait Entries {
    fn get(&self, name: &str) -> keyring::Result<Option<Zeroizing<String>>>;
    fn set(&self, name: &str, text: &str) -> keyring::Result<()>;
    /// Returns `false` if there was no entry.
    fn remove(&self, name: &str) -> keyring::Result<bool>;
}

/// The entries in the OS keyring.
struct System;

impl Entries for System {
    fn get(&self, name: &str) -> keyring::Result<Option<Zeroizing<String>>> {
        match Entry::new(SERVICE, name)?.get_password() {
            Ok(text) => Ok(Some(Zeroizing::new(text))),
            Err(keyring::Error::NoEntry) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn set(&self, name: &str, text: &str) -> keyring::Result<()> {
        Entry::new(SERVICE, name)?.set_password(text)
    }

    fn remove(&self, name: &str) -> keyring::Result<bool> {
        match Entry::new(SERVICE, name)?.delete_credential() {
            Ok(()) => Ok(true),
            Err(keyring::Error::NoEntry) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// The names of the parts of a split secret. A new secret uses the other series, so that a store that is interrupted
/// leaves the old secret intact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Series {
    A,
    B,
}

impl Series {
    const ALL: [Self; 2] = [Self::A, Self::B];

    const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    /// Returns the text of the account's entry for a split secret: a line feed, the number of entries and the series. A
    /// secret is one line, so it never begins with a line feed.
    fn head(self, parts: usize) -> String {
        // The number includes the account's entry itself.
        let entries = parts + 1;
        match self {
            Self::A => format!("\n{entries}"),
            Self::B => format!("\n{entries}b"),
        }
    }

    /// Returns the number of parts and their series if the text is that of a split secret.
    fn of_head(text: &str) -> Option<(usize, Self)> {
        let text = text.strip_prefix('\n')?;
        let (number, series) = text.strip_suffix('b').map_or((text, Self::A), |number| (number, Self::B));
        let parts = number.parse::<usize>().ok()?.checked_sub(1)?;
        (1..=MAX_PARTS).contains(&parts).then_some((parts, series))
    }

    /// Returns the name of a part's entry. The numbers start at 1.
    fn name(self, account: &str, part: usize) -> String {
        // No profile's name contains a colon.
        match self {
            Self::A => format!("{account}:{part}"),
            Self::B => format!("{account}:b{part}"),
        }
    }
}

/// Stores the secret. An interruption leaves either the old or the new secret.
fn replace(entries: &impl Entries, account: &str, secret: &str) -> keyring::Result<()> {
    let head = entries.get(account)?;
    let used = head.as_deref().and_then(|head| Some(Series::of_head(head)?.1));
    let series = used.map_or(Series::A, Series::other);
    let parts = split(secret);
    if parts.len() > MAX_PARTS {
        return Err(keyring::Error::TooLong("the secret".to_owned(), (MAX_PARTS * MAX_ENTRY) as u32));
    }
    match &*parts {
        [whole] => entries.set(account, whole)?,
        parts => {
            for (at, part) in parts.iter().enumerate() {
                entries.set(&series.name(account, at + 1), part)?;
            }
            entries.set(account, &series.head(parts.len()))?;
        }
    }
    // The parts of the old secret, and those of an interrupted store.
    for (of, first) in [(series.other(), 1), (series, if parts.len() > 1 { parts.len() + 1 } else { 1 })] {
        remove_parts(entries, account, of, first)?;
    }
    Ok(())
}

/// Removes parts, which have consecutive numbers, up to the first missing one. The last part is removed first, so that
/// the numbers stay consecutive after an interruption.
fn remove_parts(entries: &impl Entries, account: &str, series: Series, first: usize) -> keyring::Result<()> {
    let mut end = first;
    while entries.get(&series.name(account, end))?.is_some() {
        end += 1;
    }
    (first..end).rev().try_for_each(|part| entries.remove(&series.name(account, part)).map(drop))
}

/// Returns the joined parts of a secret; `None` if a part is missing.
fn joined(entries: &impl Entries, account: &str) -> keyring::Result<Option<SecretString>> {
    let Some(head) = entries.get(account)? else { return Ok(None) };
    let Some((count, series)) = Series::of_head(&head) else {
        return Ok(Some(SecretString::from(head.as_str())));
    };
    // A growing buffer would leave the secret in the memory that it frees.
    let mut whole = Zeroizing::new(String::with_capacity(count * MAX_ENTRY * 3));
    for part in 1..=count {
        let Some(part) = entries.get(&series.name(account, part))? else { return Ok(None) };
        whole.push_str(&part);
    }
    Ok(Some(SecretString::from(whole.as_str())))
}

/// Splits a secret into texts that fit into one entry each.
fn split(secret: &str) -> Vec<Zeroizing<String>> {
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
    parts
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
    use std::cell::{Cell, RefCell};
    use std::collections::BTreeMap;

    use super::*;

    /// Entries in memory. Writes and removals fail after the permitted number.
    #[derive(Default)]
    struct Memory {
        entries: RefCell<BTreeMap<String, String>>,
        permitted: Cell<usize>,
    }

    impl Memory {
        fn change<T>(&self, change: impl FnOnce(&mut BTreeMap<String, String>) -> T) -> keyring::Result<T> {
            let permitted = self.permitted.get().checked_sub(1).ok_or(keyring::Error::NoEntry)?;
            self.permitted.set(permitted);
            Ok(change(&mut self.entries.borrow_mut()))
        }

        fn secret(&self) -> Option<String> {
            joined(self, "work").unwrap().map(|secret| secret.expose_secret().to_owned())
        }
    }

    impl Entries for Memory {
        fn get(&self, name: &str) -> keyring::Result<Option<Zeroizing<String>>> {
            Ok(self.entries.borrow().get(name).cloned().map(Zeroizing::new))
        }

        fn set(&self, name: &str, text: &str) -> keyring::Result<()> {
            assert!(text.encode_utf16().count() <= MAX_ENTRY);
            self.change(|entries| drop(entries.insert(name.to_owned(), text.to_owned())))
        }

        fn remove(&self, name: &str) -> keyring::Result<bool> {
            self.change(|entries| entries.remove(name).is_some())
        }
    }

    #[test]
    fn an_interrupted_store_leaves_the_old_or_the_new_secret() {
        let secrets = ["short".to_owned(), "a".repeat(MAX_ENTRY * 3), "b".repeat(MAX_ENTRY * 2)];
        for (old, new) in secrets.iter().flat_map(|old| secrets.iter().map(move |new| (old, new))) {
            for permitted in 0.. {
                let memory = Memory::default();
                memory.permitted.set(usize::MAX);
                replace(&memory, "work", old).unwrap();
                memory.permitted.set(permitted);
                let is_stored = replace(&memory, "work", new).is_ok();
                let found = memory.secret().unwrap();
                assert!(found == *new || !is_stored && found == *old, "after {permitted} changes");
                // The next store also removes what the interrupted one left.
                memory.permitted.set(usize::MAX);
                replace(&memory, "work", "short").unwrap();
                assert_eq!(memory.entries.borrow().len(), 1);
                if is_stored {
                    break;
                }
            }
        }
    }

    #[test]
    fn a_long_secret_is_split_at_whole_characters() {
        for (secret, count) in [
            (String::new(), 1),
            ("x".repeat(MAX_ENTRY), 1),
            ("x".repeat(MAX_ENTRY + 1), 3),
            ("\u{1f511}".repeat(MAX_ENTRY), 3),
            (format!("x{}", "\u{1f511}".repeat(MAX_ENTRY)), 4),
        ] {
            let memory = Memory { permitted: usize::MAX.into(), ..Memory::default() };
            replace(&memory, "work", &secret).unwrap();
            assert_eq!(memory.entries.borrow().len(), count);
            assert_eq!(memory.secret().unwrap(), secret);
        }
        let memory = Memory { permitted: usize::MAX.into(), ..Memory::default() };
        assert!(replace(&memory, "work", &"x".repeat(MAX_PARTS * MAX_ENTRY + 1)).is_err());
        assert_eq!(memory.secret(), None);
    }
}
