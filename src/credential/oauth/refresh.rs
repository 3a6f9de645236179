//! Refresh tokens: stored in the keyring; without a usable keyring, kept in memory only.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use oauth2::RefreshToken;
use oauth2::RequestTokenError;
use oauth2::basic::BasicErrorResponseType;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use url::Url;

use super::authority::Client;
use super::error::{Operation, TokenError};
use super::granted::Granted;
use super::service::Service;
use crate::credential::keyring;
use crate::files::lock::{LockError, lock};
use crate::folders::Folders;
use crate::platform;

/// Maximum time to wait for another process that renews a token: its request, and a keyring that asks the user.
pub const LOCK_TIMEOUT: Duration = Duration::from_mins(2);
/// The same for a renewal without the user; shorter, because the session waits for the token.
pub const SILENT_LOCK_TIMEOUT: Duration = Duration::from_secs(10);

/// A refresh token and the service that issued it; only that service may receive it.
#[derive(Clone, Debug, Deserialize)]
pub struct RefreshTokenRecord {
    authority: Url,
    client_id: String,
    refresh_token: SecretString,
}

#[derive(Serialize)]
struct Written<'a> {
    authority: &'a Url,
    client_id: &'a str,
    refresh_token: &'a str,
}

impl RefreshTokenRecord {
    pub fn new(client: &Client, refresh_token: SecretString) -> Self {
        Self { authority: client.authority.clone(), client_id: client.id.clone(), refresh_token }
    }

    /// Returns whether this service issued the token. Tenants of one service share refresh tokens, so that a partner
    /// signs in once for all customers.
    pub fn is_of(&self, client: &Client) -> bool {
        self.authority.origin() == client.authority.origin() && self.client_id == client.id
    }

    #[cfg(test)]
    pub fn secret(&self) -> &str {
        self.refresh_token.expose_secret()
    }

    /// Writes the token into an entry of the keyring.
    pub async fn store(&self, entry: &str) -> Result<(), TokenError> {
        let Self { authority, client_id, refresh_token } = self;
        let refresh_token = refresh_token.expose_secret();
        // A growing buffer would leave the token in the memory that it frees.
        let size = 2 * (authority.as_str().len() + client_id.len() + refresh_token.len()) + 100;
        let mut text = Zeroizing::new(Vec::with_capacity(size));
        // Cannot fail: the fields are strings, and the output is in memory.
        let _ = serde_json::to_writer(&mut *text, &Written { authority, client_id, refresh_token });
        let text = std::str::from_utf8(&text).unwrap_or_default();
        Ok(keyring::store(&account(entry), SecretString::from(text)).await?)
    }
}

/// Reads the token of an entry of the keyring.
pub async fn find(entry: &str) -> Result<Option<RefreshTokenRecord>, TokenError> {
    let text = keyring::find(&account(entry)).await?;
    // An entry that another version of lyncsh wrote may be unreadable.
    Ok(text.and_then(|text| serde_json::from_str(text.expose_secret()).ok()))
}

/// Returns whether an entry of the keyring has a token.
pub async fn is_stored(entry: &str) -> Result<bool, TokenError> {
    Ok(find(entry).await?.is_some())
}

/// Removes the token of an entry of the keyring.
pub async fn forget(folders: &Folders, entry: &str) -> Result<bool, TokenError> {
    // Without the lock, another process that renews the token could store the next one afterwards.
    let _lock = hold(&lock_file(folders, entry), SILENT_LOCK_TIMEOUT).await?;
    delete(entry).await
}

/// Removes the token of an entry of the keyring. The caller holds the entry's lock.
pub async fn delete(entry: &str) -> Result<bool, TokenError> {
    Ok(keyring::delete(&account(entry)).await?)
}

/// Copies the token of an entry of the keyring to another entry. Only one of the two entries may be used from then on:
/// a service may accept a refresh token only once. Returns whether there was a token.
pub async fn copy(folders: &Folders, from: &str, to: &str) -> Result<bool, TokenError> {
    let _lock = hold(&lock_file(folders, from), LOCK_TIMEOUT).await?;
    let Some(token) = keyring::find(&account(from)).await? else { return Ok(false) };
    keyring::store(&account(to), token).await?;
    Ok(true)
}

/// Returns the file that a process locks while it uses the token of an entry.
pub fn lock_file(folders: &Folders, entry: &str) -> PathBuf {
    // The name of an entry can contain characters that are invalid in file names.
    let name = format!("refresh-token-{:016x}.entry", platform::hash(entry.as_bytes()));
    folders.runtime.join(name)
}

/// Locks the file at a path of [`lock_file`]; waits for up to `limit`.
pub async fn hold(path: &Path, limit: Duration) -> Result<File, LockError> {
    if let Some(folder) = path.parent() {
        let failed = |error| LockError::Io { path: path.to_owned(), error };
        platform::private_folder(folder).map_err(failed)?;
    }
    lock(path, limit).await
}

/// Returns the keyring's account. No profile's name contains a colon.
fn account(entry: &str) -> String {
    format!("refresh-token::{entry}")
}

/// Requests a token with a refresh token. Returns `None` if the user must sign in again.
pub async fn renew(service: &Service, kept: &RefreshTokenRecord) -> Result<Option<Granted>, TokenError> {
    let Service { http, client, scopes, protocol, .. } = service;
    // This copy is not wiped when it is dropped: the `oauth2` crate owns it.
    let token = RefreshToken::new(kept.refresh_token.expose_secret().to_owned());
    let request = protocol.exchange_refresh_token(&token).add_scopes(scopes.iter().cloned());
    match request.request_async(http).await {
        Ok(granted) => Ok(Some(granted)),
        Err(RequestTokenError::ServerResponse(response)) if wants_user(response.error()) => {
            tracing::info!("the token service refused the refresh token: {}", response.error().as_ref());
            Ok(None)
        }
        Err(error) => Err(http.error(Operation::Renewal, &client.authority, error)),
    }
}

/// Returns whether an error code means that the user must sign in again.
fn wants_user(code: &BasicErrorResponseType) -> bool {
    const CODES: [&str; 4] = ["invalid_grant", "interaction_required", "login_required", "consent_required"];
    CODES.contains(&code.as_ref())
}
