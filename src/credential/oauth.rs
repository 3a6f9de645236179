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

use std::sync::Arc;

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
use crate::profile::{CredentialSource, Profile, TokenFlow};
use crate::step::Report;

pub use self::error::{Operation, TokenError};
pub use self::granted::Token;
pub use self::http::Network;
pub use self::refresh::{copy, forget, is_stored};

/// The sign-in of a profile to one endpoint. It renews its tokens.
#[derive(Debug)]
pub struct SignIn {
    profile: Arc<Profile>,
    endpoint: Url,
    network: Network,
    /// The secret of an application, or the passphrase of its key.
    secret: SecretString,
    state: Mutex<State>,
    /// Held during a request: a service may accept a refresh token only once.
    requesting: Mutex<()>,
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
    pub fn new(profile: Arc<Profile>, endpoint: Url, network: Network, secret: SecretString) -> Self {
        Self { profile, endpoint, network, secret, state: Mutex::default(), requesting: Mutex::default() }
    }

    pub fn endpoint(&self) -> &Url {
        &self.endpoint
    }

    /// Returns a token. With `user`, a page to sign in may be reported to the user.
    pub async fn token(&self, user: Option<&Report>) -> Result<Token, TokenError> {
        let _requesting = self.requesting.lock().await;
        let kept = self.state.lock().await.token.clone();
        match kept.filter(Token::is_fresh) {
            Some(token) => Ok(token),
            None => self.replace(user).await,
        }
    }

    /// Requests a new token.
    pub async fn renew(&self, user: Option<&Report>) -> Result<Token, TokenError> {
        let _requesting = self.requesting.lock().await;
        self.replace(user).await
    }

    async fn replace(&self, user: Option<&Report>) -> Result<Token, TokenError> {
        let token = self.request(user).await?;
        self.state.lock().await.token = Some(token.clone());
        Ok(token)
    }

    async fn request(&self, user: Option<&Report>) -> Result<Token, TokenError> {
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
                return self.user_token(&service, user).await;
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
    async fn user_token(&self, service: &Service, user: Option<&Report>) -> Result<Token, TokenError> {
        let kept = self.kept(user.is_some()).await?.filter(|kept| kept.is_of(&service.client));
        if let Some(kept) = &kept
            && let Some(granted) = refresh::renew(service, kept).await?
        {
            return self.accept(service, Operation::Renewal, granted).await;
        }
        let Some(report) = user else {
            return Err(TokenError::NeedsUser {
                profile: self.profile.name.clone(),
                authority: http::shown(&service.client.authority),
            });
        };
        let (operation, granted) = if self.profile.token_flow == TokenFlow::Browser {
            let user = self.profile.user.as_deref();
            (Operation::Code, browser::sign_in(service, user, report).await?)
        } else {
            (Operation::DeviceToken, device::sign_in(service, report).await?)
        };
        self.accept(service, operation, granted).await
    }

    /// Keeps the refresh token of an answer, and returns the token.
    async fn accept(
        &self,
        service: &Service,
        operation: Operation,
        granted: Granted,
    ) -> Result<Token, TokenError> {
        let (token, refresh) = granted.tokens().map_err(|reason| service.failed(operation, reason))?;
        if let Some(refresh) = refresh {
            self.keep(&service.client, refresh).await;
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
