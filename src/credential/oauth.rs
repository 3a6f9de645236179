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
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use oauth2::Scope;
use secrecy::SecretString;
use tokio::sync::Mutex;
use tokio_util::task::TaskTracker;
use url::Url;

use self::application::Proof;
use self::authority::Client;
use self::granted::Granted;
use self::refresh::{LOCK_TIMEOUT, RefreshTokenRecord, SILENT_LOCK_TIMEOUT};
use self::service::Service;
use super::{command, file};
use crate::files::lock::LockError;
use crate::folders::Folders;
use crate::profile::{CredentialSource, Profile, TokenFlow};
use crate::step::Report;

pub use self::error::{Operation, TokenError};
pub use self::granted::Token;
pub use self::http::Network;
pub use self::refresh::{copy, forget, is_stored};

/// Time limit for unfinished renewals when the process exits.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(5);

/// The renewals of this process that have sent their request and not yet stored the next refresh token.
static RENEWALS: LazyLock<TaskTracker> = LazyLock::new(TaskTracker::new);

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
    /// File that a process locks while it uses the refresh token; `None` without an entry in the keyring.
    lock: Option<PathBuf>,
    renewals: TaskTracker,
    /// Whether the user signs in again although a refresh token may be stored; the new one replaces it.
    replaces: bool,
}

#[derive(Debug, Default)]
struct State {
    /// The last token.
    token: Option<Token>,
    /// The refresh token of a profile that does not use the keyring.
    kept: Option<RefreshTokenRecord>,
    /// The reason why the last refresh token is not in the keyring.
    unstored: Option<String>,
}

impl SignIn {
    /// Creates a sign-in. `secret` is the secret of the profile's credential; it is empty if a user signs in.
    pub fn new(
        profile: Arc<Profile>,
        endpoint: Url,
        network: Network,
        secret: SecretString,
        folders: &Folders,
    ) -> Self {
        let lock = profile.keyring_entry().map(|entry| refresh::lock_file(folders, entry));
        Self {
            profile,
            endpoint,
            network,
            secret,
            state: Mutex::default(),
            requesting: Mutex::default(),
            redeeming: Mutex::default(),
            lock,
            renewals: RENEWALS.clone(),
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

    /// Returns the reason why the refresh token of the last answer is not in the keyring.
    pub async fn unstored(&self) -> Option<String> {
        self.state.lock().await.unstored.clone()
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
        granted.token().map_err(|reason| service.failed(Operation::Application, reason))
    }

    async fn service(&self) -> Result<Service, TokenError> {
        let client = authority::client(&self.profile, &self.endpoint, &self.network).await?;
        Service::read(client, self.scopes(), self.network.clone()).await
    }

    /// Returns the scopes of the profile; by default, all permissions of the application on the endpoint.
    fn scopes(&self) -> Vec<Scope> {
        let scope = self.profile.scope.clone().unwrap_or_else(|| {
            let all = format!("{}/.default", self.endpoint.origin().ascii_serialization());
            // Without this scope, there is no refresh token (OpenID Connect Core 1.0, 11).
            if self.profile.token_flow.needs_user() { format!("{all} offline_access") } else { all }
        });
        scope.split_whitespace().map(|one| Scope::new(one.to_owned())).collect()
    }

    /// Returns the token of another service. A command or a file is read again for each request, because it may have a
    /// newer token.
    async fn federated(&self) -> Result<SecretString, TokenError> {
        Ok(match &self.profile.credential {
            CredentialSource::Command { line, folder } => {
                command::run(&self.profile.name, line, folder).await?
            }
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
            // Continues without the lock if it is not free: another process must not prevent the sign-in of the user.
            let _lock = this.lock(LOCK_TIMEOUT).await.inspect_err(|error| tracing::info!("{error}")).ok();
            let _renewal = this.renewals.token();
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
        let _lock = self.lock(if has_user { LOCK_TIMEOUT } else { SILENT_LOCK_TIMEOUT }).await?;
        let Some(kept) = self.kept(has_user).await?.filter(|kept| kept.is_of(&service.client)) else {
            return Ok(None);
        };
        let _renewal = self.renewals.token();
        if self.renewals.is_closed() {
            // Without a request, the stored refresh token stays valid.
            return Err(service.failed(Operation::Renewal, "lyncsh is exiting"));
        }
        let Some(granted) = refresh::renew(service, &kept).await? else { return Ok(None) };
        self.accept(service, Operation::Renewal, granted).await.map(Some)
    }

    /// Locks the refresh token of the keyring's entry; waits up to `limit` while another process uses it.
    async fn lock(&self, limit: Duration) -> Result<Option<File>, LockError> {
        match &self.lock {
            Some(path) => refresh::hold(path, limit).await.map(Some),
            None => Ok(None),
        }
    }

    /// Keeps the refresh token of a response, and returns the access token.
    async fn accept(
        &self,
        service: &Service,
        operation: Operation,
        mut granted: Granted,
    ) -> Result<Token, TokenError> {
        // First, even if the token cannot be used: the earlier refresh token may be invalid now.
        match granted.take_refresh_token() {
            Some(refresh) => self.keep(&service.client, refresh).await,
            None if self.replaces => self.forget().await,
            None => {}
        }
        granted.token().map_err(|reason| service.failed(operation, reason))
    }

    /// Returns the refresh token. A user can sign in without a usable keyring.
    async fn kept(&self, has_user: bool) -> Result<Option<RefreshTokenRecord>, TokenError> {
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

    /// Removes the stored refresh token, which may belong to another user than the new sign-in. The caller holds its
    /// lock.
    async fn forget(&self) {
        if let Some(entry) = self.profile.keyring_entry()
            && let Err(error) = refresh::delete(entry).await
        {
            tracing::info!("cannot remove the earlier refresh token: {error}");
        }
    }

    /// Stores a refresh token. Without a usable keyring, it is kept in memory until this process ends.
    async fn keep(&self, client: &Client, refresh: SecretString) {
        let kept = RefreshTokenRecord::new(client, refresh);
        let stored = match self.profile.keyring_entry() {
            Some(entry) => kept.store(entry).await.map_err(|error| error.to_string()),
            None => Err("credential is not the keyring".to_owned()),
        };
        let reason = stored.err();
        if let Some(reason) = &reason {
            tracing::info!("the refresh token is kept in memory only: {reason}");
        }
        let mut state = self.state.lock().await;
        state.kept = reason.is_some().then_some(kept);
        state.unstored = reason;
    }
}

/// Prevents further renewals, and waits until those that were begun have stored the next refresh token. Called before
/// the process exits: a service may accept a refresh token only once.
pub async fn settle() {
    if !settled(&RENEWALS, SETTLE_TIMEOUT).await {
        tracing::warn!("the next refresh token may be lost: the token service or the keyring did not answer");
    }
}

async fn settled(renewals: &TaskTracker, limit: Duration) -> bool {
    renewals.close();
    tokio::time::timeout(limit, renewals.wait()).await.is_ok()
}

/// Runs work to its end, even if the caller is cancelled: a cancellation between a request and the storing of the next
/// refresh token would lose that token.
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
