//! OAuth tokens for an endpoint. The password grant is in [`password`]; the other ways to sign in are here.

mod application;
mod authority;
mod browser;
mod device;
mod error;
mod granted;
mod http;
pub mod password;
mod refresh;
mod service;

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use oauth2::Scope;
use secrecy::SecretString;
use tokio::sync::Mutex;
use url::Url;

use self::application::Proof;
use self::authority::Client;
use self::granted::Granted;
use self::refresh::Kept;
use self::service::Service;
use super::{command, file};
use crate::files::lock::{LockError, lock};
use crate::folders::Folders;
use crate::platform;
use crate::profile::{CredentialSource, Profile, TokenFlow};
use crate::step::Report;

pub use self::error::{Operation, TokenError};
pub use self::granted::Token;
pub use self::http::Network;
pub use self::refresh::{copy, forget, is_stored};

/// Maximum time for which another process is expected to renew a token: its request, and a keyring that asks the user.
const LOCK_TIMEOUT: Duration = Duration::from_mins(2);

/// The sign-in of a profile to one endpoint. It renews its tokens.
#[derive(Debug)]
pub struct SignIn {
    profile: Arc<Profile>,
    endpoint: Url,
    network: Network,
    /// The secret of an application, or the passphrase of its key.
    secret: SecretString,
    state: Mutex<State>,
    /// Held during a request.
    requesting: Mutex<()>,
    /// Held while a refresh token is used and stored: a service may accept it only once.
    redeeming: Mutex<()>,
    /// Locked by the process that does so; `None` without an entry in the keyring.
    lock: Option<PathBuf>,
    /// The stored refresh token is replaced by that of a new sign-in, not used.
    replaces: bool,
}

#[derive(Debug, Default)]
struct State {
    /// The last token.
    token: Option<Token>,
    /// The refresh token of a profile that does not use the keyring.
    kept: Option<Kept>,
}

impl SignIn {
    /// `secret`: that of the profile's credential; empty for a user's sign-in.
    pub fn new(
        profile: Arc<Profile>,
        endpoint: Url,
        network: Network,
        secret: SecretString,
        folders: &Folders,
    ) -> Self {
        // The name of an entry can contain characters that no file has.
        let file = |entry: &str| format!("refresh-token-{:016x}.entry", platform::hash(entry.as_bytes()));
        let lock = profile.keyring_entry().map(|entry| folders.runtime.join(file(entry)));
        Self {
            profile,
            endpoint,
            network,
            secret,
            state: Mutex::default(),
            requesting: Mutex::default(),
            redeeming: Mutex::default(),
            lock,
            replaces: false,
        }
    }

    /// Lets the user sign in for each token, and replaces the stored refresh token.
    pub fn replacing(self) -> Self {
        Self { replaces: true, ..self }
    }

    pub fn endpoint(&self) -> &Url {
        &self.endpoint
    }

    /// Returns a token. With `user`, a page to sign in may be reported to the user.
    pub async fn token(self: &Arc<Self>, user: Option<&Report>) -> Result<Token, TokenError> {
        let _requesting = self.requesting.lock().await;
        let kept = self.state.lock().await.token.clone();
        match kept.filter(Token::is_fresh) {
            Some(token) => Ok(token),
            None => self.replace(user).await,
        }
    }

    /// Requests a new token.
    pub async fn renew(self: &Arc<Self>, user: Option<&Report>) -> Result<Token, TokenError> {
        let _requesting = self.requesting.lock().await;
        self.replace(user).await
    }

    async fn replace(self: &Arc<Self>, user: Option<&Report>) -> Result<Token, TokenError> {
        let token = self.request(user).await?;
        self.state.lock().await.token = Some(token.clone());
        Ok(token)
    }

    async fn request(self: &Arc<Self>, user: Option<&Report>) -> Result<Token, TokenError> {
        let service = self.service().await?;
        let profile = &self.profile;
        let granted = match profile.token_flow {
            TokenFlow::ClientSecret => {
                application::token(&service, &Proof::Secret(self.secret.clone())).await?
            }
            TokenFlow::ClientCertificate => {
                let assertion = application::signed(&service, profile, self.secret.clone()).await?;
                application::token(&service, &Proof::Assertion(assertion)).await?
            }
            TokenFlow::Federated => {
                application::token(&service, &Proof::Assertion(self.federated().await?)).await?
            }
            TokenFlow::Password | TokenFlow::DeviceCode | TokenFlow::Browser => {
                return self.user_token(Arc::new(service), user).await;
            }
        };
        let token = granted.tokens().map_err(|reason| service.failed(Operation::Application, reason))?;
        Ok(token.0)
    }

    async fn service(&self) -> Result<Service, TokenError> {
        let client = authority::client(&self.profile, &self.endpoint, &self.network).await?;
        Service::read(client, self.scopes(), self.network.clone()).await
    }

    /// Returns the scopes of the profile; otherwise all that the application has on the endpoint.
    fn scopes(&self) -> Vec<Scope> {
        let scope = self.profile.scope.clone().unwrap_or_else(|| {
            let all = format!("{}/.default", self.endpoint.origin().ascii_serialization());
            // Without this scope, there is no refresh token (OpenID Connect Core 1.0, 11).
            if self.profile.token_flow.needs_user() { format!("{all} offline_access") } else { all }
        });
        scope.split_whitespace().map(|one| Scope::new(one.to_owned())).collect()
    }

    /// Reads the token of another service, which is a new one for each request.
    async fn federated(&self) -> Result<SecretString, TokenError> {
        Ok(match &self.profile.credential {
            CredentialSource::Command(command) => command::run(&self.profile.name, command).await?,
            CredentialSource::File(path) => file::read(path)?,
            _ => self.secret.clone(),
        })
    }

    /// Requests a token with the refresh token, or lets the user sign in.
    async fn user_token(
        self: &Arc<Self>,
        service: Arc<Service>,
        user: Option<&Report>,
    ) -> Result<Token, TokenError> {
        let (this, own, has_user) = (self.clone(), service.clone(), user.is_some());
        let redeemed = async move { this.redeem(&own, has_user).await };
        if let Some(token) = completed(&service, Operation::Renewal, redeemed).await? {
            return Ok(token);
        }
        let Some(report) = user else {
            return Err(TokenError::NeedsUser {
                profile: self.profile.name.clone(),
                authority: http::shown(&service.client.authority),
            });
        };
        let (operation, granted) = if self.profile.token_flow == TokenFlow::Browser {
            let user = self.profile.user.as_deref();
            (Operation::Code, browser::sign_in(&service, user, report).await?)
        } else {
            (Operation::DeviceToken, device::sign_in(&service, report).await?)
        };
        let (this, own) = (self.clone(), service.clone());
        let accepted = async move {
            let _redeeming = this.redeeming.lock().await;
            // The user has signed in: another process does not prevent that.
            let _lock = this.lock().await.inspect_err(|error| tracing::info!("{error}")).ok();
            this.accept(&own, operation, granted).await
        };
        completed(&service, operation, accepted).await
    }

    /// Requests a token with the refresh token, and stores the next refresh token. Returns `None` if the user must sign
    /// in.
    async fn redeem(&self, service: &Service, has_user: bool) -> Result<Option<Token>, TokenError> {
        if self.replaces {
            return Ok(None);
        }
        let _redeeming = self.redeeming.lock().await;
        let _lock = self.lock().await?;
        let Some(kept) = self.kept(has_user).await?.filter(|kept| kept.is_of(&service.client)) else {
            return Ok(None);
        };
        let Some(granted) = refresh::renew(service, &kept).await? else { return Ok(None) };
        self.accept(service, Operation::Renewal, granted).await.map(Some)
    }

    /// Waits until no other process uses the refresh token of the keyring's entry.
    async fn lock(&self) -> Result<Option<File>, LockError> {
        let Some(path) = &self.lock else { return Ok(None) };
        if let Some(folder) = path.parent() {
            let failed = |error| LockError::Io { path: path.clone(), error };
            platform::private_folder(folder).map_err(failed)?;
        }
        lock(path, LOCK_TIMEOUT).await.map(Some)
    }

    /// Keeps the refresh token of an answer, and returns the token.
    async fn accept(
        &self,
        service: &Service,
        operation: Operation,
        granted: Granted,
    ) -> Result<Token, TokenError> {
        let (token, refresh) = granted.tokens().map_err(|reason| service.failed(operation, reason))?;
        match refresh {
            Some(refresh) => self.keep(&service.client, refresh).await,
            None if self.replaces => self.forget().await,
            None => {}
        }
        Ok(token)
    }

    /// Returns the refresh token. A user can sign in without a usable keyring.
    async fn kept(&self, has_user: bool) -> Result<Option<Kept>, TokenError> {
        let memory = self.state.lock().await.kept.clone();
        if memory.is_some() {
            return Ok(memory);
        }
        let Some(entry) = self.profile.keyring_entry() else { return Ok(None) };
        match refresh::find(entry).await {
            Err(error) if has_user => {
                tracing::info!("cannot read the refresh token: {error}");
                Ok(None)
            }
            found => found,
        }
    }

    /// Removes the stored refresh token, which may be of another user than the new sign-in.
    async fn forget(&self) {
        if let Some(entry) = self.profile.keyring_entry()
            && let Err(error) = forget(entry).await
        {
            tracing::info!("cannot remove the earlier refresh token: {error}");
        }
    }

    /// Stores a refresh token. Without a usable keyring, it is kept in memory until this process ends.
    async fn keep(&self, client: &Client, refresh: SecretString) {
        let kept = Kept::new(client, refresh);
        let stored = match self.profile.keyring_entry() {
            Some(entry) => kept.store(entry).await.map_err(|error| error.to_string()),
            None => Err("credential is not the keyring".to_owned()),
        };
        let reason = stored.err();
        if let Some(reason) = &reason {
            tracing::info!("the refresh token is kept in memory only: {reason}");
        }
        self.state.lock().await.kept = reason.map(|_| kept);
    }
}

/// Runs work to its end, even if the caller is cancelled: between a request and the storing of its refresh token, the
/// next one would be lost.
async fn completed<T: Send + 'static>(
    service: &Service,
    operation: Operation,
    work: impl Future<Output = Result<T, TokenError>> + Send + 'static,
) -> Result<T, TokenError> {
    let ended = |error: tokio::task::JoinError| service.failed(operation, error.to_string());
    tokio::spawn(work).await.map_err(ended)?
}

#[cfg(test)]
mod tests;
