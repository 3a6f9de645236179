//! Resolves an endpoint: discovery, credential, token. Used by the owner of a session and for removing
//! sessions.

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use super::control::Failure;
use crate::credential::oauth::password::{self, TokenRequest};
use crate::credential::oauth::{Network, SignIn, Token, TokenError};
use crate::credential::{self, CredentialError};
use crate::discovery::{self, DiscoveryError, LastDiscovery};
use crate::folders::Folders;
use crate::net::refusals::Credential;
use crate::net::{
    ClientCertificate, IdentityError, Proxies, ProxyError, ProxyLogin, Trust, TrustError, display,
};
use crate::profile::{Authentication, CredentialSource, Profile, TokenFlow};
use crate::security::negotiation::Negotiation;
use crate::security::{Account, Mechanism};
use crate::step::{Report, Step};
use crate::transport;
use crate::transport::wsman::{self, Endpoint};

/// Maximum number of redirects followed.
const MAX_REDIRECTIONS: u8 = 5;
/// Name in messages of the account of `credential = "system"`, if the profile has no `user`.
const SYSTEM_ACCOUNT: &str = "the system's account";
/// The shortest idle timeout that endpoints usually grant.
const SHORTEST_IDLE: Duration = Duration::from_mins(1);

/// Resolver of the endpoint of one profile. Owns the profile, its secret, and the credential that was presented last.
///
/// The agent's [`Owner`](super::owner::Owner) resolves an endpoint for each session that it opens; launchers
/// and the removal of orphaned sessions have their own resolvers. Guarantees: the secret is fetched once, and
/// again only after a refusal, if that needs no prompt; a password that the endpoint has refused in this
/// process is not sent again.
#[derive(Clone, Debug)]
pub struct EndpointResolver {
    pub profile: Arc<Profile>,
    folders: Folders,
    secret: Option<SecretString>,
    /// The password for the proxy.
    proxy_secret: Option<SecretString>,
    proxies: Option<Proxies>,
    /// The last presented credential and its endpoint.
    presented: Option<(Url, Credential)>,
    /// The sign-in to the last endpoint.
    sign_in: Option<Arc<SignIn>>,
    is_interactive: bool,
    /// The stored refresh token is replaced, not used.
    replaces_sign_in: bool,
    /// The last endpoint was discovered by an earlier connection.
    is_cached: bool,
}

/// Error of opening a session.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The file of `ca` cannot be used: see `TrustError`.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The client certificate cannot be used: see `IdentityError`.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// No endpoint was discovered: see `DiscoveryError`.
    #[error(transparent)]
    Discovery(#[from] DiscoveryError),
    /// The secret could not be fetched: see `CredentialError`.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// The token service issued no token: see `TokenError`.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The endpoint could not be reached, or refused the session: see `transport::Error`.
    #[error(transparent)]
    Transport(#[from] transport::Error),
    /// The profile names no account, and its authentication method needs one.
    #[error("the profile has no user")]
    NoUser,
    /// The URI of the profile or of a journal entry has another scheme.
    #[error("{0} is not an HTTP(S) URI")]
    NoEndpoint(Url),
    /// The journal entry, which must exist before the session, could not be written: no permission, or a full disk.
    #[error("cannot write the session journal; no session was created: {0}")]
    Journal(std::io::Error),
}

impl SessionError {
    /// Returns the error as reported to the user.
    pub fn failure(&self) -> Failure {
        let help = |error: &dyn miette::Diagnostic| error.help().map(|help| help.to_string());
        let advice = match self {
            Self::Trust(error) => help(error),
            Self::Identity(error) => help(error),
            Self::Discovery(error) => help(error),
            Self::Credential(error) => help(error),
            Self::Token(error) => error.advice(),
            Self::Transport(error) => error.advice(),
            Self::NoUser => Some("Add it to the profile: user = \"NAME@DOMAIN\"".to_owned()),
            Self::NoEndpoint(_) => Some("Use a URI that begins with https://".to_owned()),
            Self::Journal(_) => {
                Some("Check the free disk space and the permissions of the state folder.".to_owned())
            }
        };
        Failure { text: self.to_string(), advice }
    }

    /// Returns the error of a proxy.
    pub fn proxy(&self) -> Option<&ProxyError> {
        match self {
            Self::Discovery(DiscoveryError::Proxy(error))
            | Self::Token(TokenError::Proxy(error))
            | Self::Transport(transport::Error::Proxy(error)) => Some(error),
            _ => None,
        }
    }

    /// Returns whether the password was refused, so that another password may work.
    pub fn is_refusal(&self, authentication: Authentication) -> bool {
        match self {
            Self::Token(TokenError::Refused { .. }) => true,
            // A refused token or certificate does not mean that a password is wrong.
            Self::Transport(error) => {
                error.is_refused_credential()
                    && !matches!(authentication, Authentication::Token | Authentication::Certificate)
            }
            _ => false,
        }
    }

    /// Returns whether the endpoint may have moved: it is not reachable, or another server answers.
    fn misses_endpoint(&self) -> bool {
        use transport::Error::{
            Certificate, ConnectionLost, Handshake, Http, Protocol, Redirect, Timeout, Unreachable,
        };
        match self {
            Self::Token(
                TokenError::Endpoint { .. }
                | TokenError::EndpointTimeout { .. }
                | TokenError::NoChallenge { .. }
                | TokenError::Answered { .. },
            ) => true,
            // The proxy may have failed to reach the token service instead: then nothing was sent to the service.
            Self::Token(TokenError::Proxy(error)) | Self::Transport(transport::Error::Proxy(error)) => {
                error.misses_target()
            }
            Self::Transport(Timeout { operation, .. } | ConnectionLost { operation, .. }) => {
                *operation == transport::Operation::Connect
            }
            Self::Transport(error) => matches!(
                error,
                Unreachable { .. }
                    | Certificate { .. }
                    | Handshake { .. }
                    | Http { .. }
                    | Protocol(_)
                    | Redirect { .. }
            ),
            _ => false,
        }
    }

    /// Returns whether removing unused sessions may help: the endpoint reports a reached session limit, or
    /// does not answer Create.
    pub fn wants_slot(&self) -> bool {
        match self {
            Self::Transport(transport::Error::Timeout { operation, .. }) => {
                *operation == transport::Operation::Create
            }
            Self::Transport(error) => error.is_quota(),
            _ => false,
        }
    }
}

impl EndpointResolver {
    pub fn new(folders: &Folders, profile: Profile, secret: Option<SecretString>) -> Self {
        Self {
            profile: Arc::new(profile),
            folders: folders.clone(),
            secret,
            proxy_secret: None,
            proxies: None,
            presented: None,
            sign_in: None,
            is_interactive: false,
            replaces_sign_in: false,
            is_cached: false,
        }
    }

    /// Sets the proxy password that the user entered.
    pub fn with_proxy_secret(self, proxy_secret: Option<SecretString>) -> Self {
        Self { proxy_secret, ..self }
    }

    /// Returns whether the secrets are available without a prompt.
    pub fn is_silent(&self) -> bool {
        (self.secret.is_some() || !credential::needs_terminal(&self.profile))
            && (self.proxy_secret.is_some() || !credential::proxy_needs_terminal(&self.profile))
    }

    /// Prompts for the secrets that the user enters.
    ///
    /// # Errors
    /// There is no terminal, or the user enters nothing.
    pub async fn prompt(&mut self) -> Result<(), CredentialError> {
        if credential::needs_terminal(&self.profile) {
            self.fetch().await?;
        }
        if credential::proxy_needs_terminal(&self.profile) {
            self.proxies().await?;
        }
        Ok(())
    }

    /// Returns the proxies of the profile. Fetches the password for the proxy from its source, once.
    ///
    /// # Errors
    /// The password cannot be fetched.
    pub async fn proxies(&mut self) -> Result<Proxies, CredentialError> {
        if let Some(proxies) = &self.proxies {
            return Ok(proxies.clone());
        }
        let profile = self.profile.clone();
        let login = match (&profile.proxy_credential, &profile.proxy_user) {
            (CredentialSource::System, user) => {
                let user = user.clone().unwrap_or_else(|| SYSTEM_ACCOUNT.to_owned());
                Some(ProxyLogin::new(user, Account::System))
            }
            (_, None) => None,
            (_, Some(user)) => {
                let password = match &self.proxy_secret {
                    Some(secret) => secret.clone(),
                    None => credential::fetch_for_proxy(&profile).await?,
                };
                self.proxy_secret = Some(password.clone());
                let account = Account::Password { user: user.clone(), password };
                Some(ProxyLogin::new(user.clone(), account))
            }
        };
        let proxies = Proxies::new(profile.proxy.clone(), login);
        self.proxies = Some(proxies.clone());
        Ok(proxies)
    }

    /// Returns the error for a proxy password that was refused before and must not be sent again.
    ///
    /// # Errors
    /// The password cannot be fetched.
    pub async fn known_proxy_refusal(&mut self) -> Result<Option<SessionError>, CredentialError> {
        let Some(to) = discovery::first_request(&self.profile) else { return Ok(None) };
        let refusal = self.proxies().await?.known_refusal(&to);
        Ok(refusal.map(|error| transport::Error::Proxy(error).into()))
    }

    /// Records that the proxy refused the password.
    ///
    /// # Errors
    /// The password cannot be fetched.
    pub async fn note_proxy_refusal(&mut self) -> Result<(), CredentialError> {
        if let Some(to) = discovery::first_request(&self.profile) {
            self.proxies().await?.note_refusal(&to);
        }
        Ok(())
    }

    /// Returns the password for the proxy, if it was fetched or entered.
    pub fn proxy_secret(&self) -> Option<&SecretString> {
        self.proxy_secret.as_ref()
    }

    /// Permits reports that let the user sign in. If not permitted, only a refresh token is used.
    pub fn set_interactive(&mut self, is_interactive: bool) {
        self.is_interactive = is_interactive;
    }

    /// Lets the user sign in even if a refresh token is stored, and then replaces it.
    pub fn replace_sign_in(&mut self) {
        self.replaces_sign_in = true;
    }

    pub fn secret(&self) -> Option<&SecretString> {
        self.secret.as_ref()
    }

    /// Replaces the secret with the one that the user entered.
    pub fn enter(&mut self, secret: SecretString) {
        let endpoint = self.presented_to().or(self.profile.uri.as_ref());
        if let (Some(endpoint), Some(user)) = (endpoint, &self.profile.user) {
            Credential::new(endpoint, user, &secret).allow_again();
        }
        self.secret = Some(secret);
        // The sign-in has the earlier secret.
        self.sign_in = None;
    }

    /// Returns whether an endpoint refused the last presented credential.
    pub fn is_refused(&self) -> bool {
        self.presented.as_ref().is_some_and(|(_, credential)| credential.is_refused())
    }

    /// Returns the endpoint of the last presented credential.
    pub fn presented_to(&self) -> Option<&Url> {
        self.presented.as_ref().map(|(endpoint, _)| endpoint)
    }

    /// Records that this endpoint refused the secret, if the secret is known.
    pub fn note_refusal(&mut self, endpoint: &Url) {
        if let (Some(user), Some(secret)) = (&self.profile.user, &self.secret) {
            let credential = Credential::new(endpoint, user, secret);
            credential.note_refusal();
            self.presented = Some((endpoint.clone(), credential));
        }
    }

    /// Returns the error for a secret that was refused before and must not be sent again.
    ///
    /// # Errors
    /// The secret cannot be fetched.
    pub async fn known_refusal(&mut self) -> Result<Option<SessionError>, CredentialError> {
        let (Some(uri), Some(user)) = (self.profile.uri.clone(), self.profile.user.clone()) else {
            return Ok(None);
        };
        let has_no_password = !credential::is_needed(&self.profile) || self.uses_oauth();
        if self.profile.credential == CredentialSource::System || has_no_password {
            return Ok(None);
        }
        let secret = self.fetch().await?;
        let credential = Credential::new(&uri, &user, &secret);
        self.presented = Some((uri, credential));
        Ok(credential.is_refused().then(|| self.refusal()))
    }

    /// Returns the refusal of the last presented credential.
    pub fn refusal(&self) -> SessionError {
        let user = self.profile.user.clone().unwrap_or_default();
        match self.presented_to().or(self.profile.uri.as_ref()) {
            Some(endpoint) => refusal(endpoint, user),
            None => SessionError::NoUser,
        }
    }

    /// Fetches the secret from its source, once.
    pub async fn fetch(&mut self) -> Result<SecretString, CredentialError> {
        if let Some(secret) = &self.secret {
            return Ok(secret.clone());
        }
        let secret = credential::fetch(&self.profile).await?;
        self.secret = Some(secret.clone());
        Ok(secret)
    }

    /// Resolves an endpoint on which a session can be opened. An endpoint that an earlier connection discovered, and
    /// that has moved since, is discovered again.
    pub async fn endpoint(&mut self, report: &Report) -> Result<Endpoint, SessionError> {
        let proxies = self.proxies().await?;
        let trust = trust(&self.profile).await?;
        loop {
            let found = discovery::endpoint(&self.folders, &self.profile, &trust, &proxies, report).await?;
            self.is_cached = found.is_cached;
            let configuration = self.profile.configuration.clone();
            match self.at(found.uri, configuration, report).await {
                Err(error) if self.discovers_again(&error) => {}
                result => return result,
            }
        }
    }

    /// Drops the discovered endpoint if it may have moved. Returns whether another attempt would discover it again.
    pub fn discovers_again(&mut self, error: &SessionError) -> bool {
        let is_due = error.misses_endpoint() && self.forget_discovery();
        if is_due {
            tracing::debug!("the endpoint may have moved: {error}");
        }
        is_due
    }

    /// Returns the reason why the refresh token of the last sign-in is not in the keyring.
    pub async fn unstored(&self) -> Option<String> {
        match &self.sign_in {
            Some(sign_in) => sign_in.unstored().await,
            None => None,
        }
    }

    /// Drops the discovered endpoint, so that the next connection discovers it again. Returns whether an earlier
    /// connection had discovered it.
    pub fn forget_discovery(&mut self) -> bool {
        LastDiscovery::of(&self.folders, &self.profile.name).forget();
        std::mem::take(&mut self.is_cached)
    }

    /// Resolves the endpoint at a known address.
    pub async fn at(
        &mut self,
        uri: Url,
        configuration: String,
        report: &Report,
    ) -> Result<Endpoint, SessionError> {
        if !matches!(uri.scheme(), "http" | "https") {
            return Err(SessionError::NoEndpoint(uri));
        }
        let profile = self.profile.clone();
        let mut trust = trust(&profile).await?;
        let proxies = self.proxies().await?;
        if profile.credential == CredentialSource::System {
            let user = profile.user.clone().unwrap_or_else(|| SYSTEM_ACCOUNT.to_owned());
            let negotiation = negotiation(&profile, user, Account::System);
            return Ok(self.with(uri, configuration, negotiation, None, (trust, proxies)));
        }
        if self.uses_oauth() {
            return self.signed_in(uri, configuration, (trust, proxies), report).await;
        }
        let is_certificate = profile.authentication == Authentication::Certificate;
        let user = match &profile.user {
            Some(user) => user.clone(),
            // The server maps the certificate to an account.
            None if is_certificate => String::new(),
            None => return Err(SessionError::NoUser),
        };
        if self.secret.is_none() && credential::is_needed(&profile) {
            let from = credential::source(&profile);
            let _ = report.send(Step::FetchingPassword { from });
        }
        let mut password = self.fetch().await?;
        if Credential::new(&uri, &user, &password).is_refused() && !credential::needs_terminal(&profile) {
            // The source may return another secret now.
            self.secret = None;
            password = self.fetch().await?;
        }
        let credential = Credential::new(&uri, &user, &password);
        self.presented = Some((uri.clone(), credential));
        let mut renew = None;
        let authentication = match profile.authentication {
            Authentication::Token => {
                let _ = report.send(Step::RequestingToken);
                let request = TokenRequest {
                    endpoint: uri.clone(),
                    user: user.clone(),
                    password,
                    network: network(&profile, &trust, &proxies),
                    authority: profile.authority.clone(),
                };
                let token = token(&request).await?;
                let _ = report.send(Step::TokenReceived);
                renew = Some(renewal(request));
                bearer(user, token)
            }
            // A refused password is not sent again.
            _ if credential.is_refused() => return Err(self.refusal()),
            Authentication::Basic => wsman::Authentication::Basic { user, password },
            Authentication::Kerberos | Authentication::Negotiate | Authentication::Ntlm => {
                negotiation(&profile, user.clone(), Account::Password { user, password })
            }
            Authentication::Certificate => {
                if let Some(path) = profile.certificate.clone() {
                    let read = ClientCertificate::load(path, profile.key.clone(), password).await?;
                    trust.certificate = Some(read);
                }
                wsman::Authentication::Certificate { user }
            }
        };
        Ok(self.with(uri, configuration, authentication, renew, (trust, proxies)))
    }

    /// Returns whether tokens are requested without a user's password.
    fn uses_oauth(&self) -> bool {
        self.profile.authentication == Authentication::Token && self.profile.token_flow != TokenFlow::Password
    }

    /// Returns the sign-in to an endpoint, with its last token.
    async fn sign_in_to(
        &mut self,
        uri: &Url,
        network: Network,
        report: &Report,
    ) -> Result<Arc<SignIn>, CredentialError> {
        if let Some(sign_in) = self.sign_in.clone().filter(|sign_in| sign_in.endpoint() == uri) {
            return Ok(sign_in);
        }
        let profile = self.profile.clone();
        // A federated token is read for each request.
        let is_read = credential::is_needed(&profile) && profile.token_flow != TokenFlow::Federated;
        if is_read && self.secret.is_none() {
            let _ = report.send(Step::FetchingPassword { from: credential::source(&profile) });
        }
        let secret = if is_read { self.fetch().await? } else { SecretString::default() };
        let sign_in = SignIn::new(profile, uri.clone(), network, secret, &self.folders);
        let sign_in = Arc::new(if self.replaces_sign_in { sign_in.replacing() } else { sign_in });
        self.sign_in = Some(sign_in.clone());
        Ok(sign_in)
    }

    /// Resolves an endpoint to which a user or an application signs in.
    async fn signed_in(
        &mut self,
        uri: Url,
        configuration: String,
        (trust, proxies): (Trust, Proxies),
        report: &Report,
    ) -> Result<Endpoint, SessionError> {
        let profile = self.profile.clone();
        let sign_in = self.sign_in_to(&uri, network(&profile, &trust, &proxies), report).await?;
        let _ = report.send(Step::RequestingToken);
        let token = sign_in.token(self.is_interactive.then_some(report)).await?;
        let _ = report.send(Step::TokenReceived);
        let user = profile.user.clone().or(profile.client_id.clone());
        let user = user.unwrap_or_else(|| "the signed-in account".to_owned());
        let renew = sign_in_renewal(sign_in, user.clone());
        Ok(self.with(uri, configuration, bearer(user, token), Some(renew), (trust, proxies)))
    }

    fn with(
        &self,
        uri: Url,
        configuration: String,
        authentication: wsman::Authentication,
        renew: Option<wsman::Renew>,
        (trust, proxies): (Trust, Proxies),
    ) -> Endpoint {
        let profile = &self.profile;
        Endpoint {
            uri,
            configuration,
            authentication,
            renew,
            affinity: wsman::Affinity::default(),
            removal_recorder: None,
            trust,
            proxies,
            // Without keep-alive the endpoint's default applies. A session kept without a shell is idle for
            // up to `keep`.
            idle_timeout: profile.idle_timeout.or(profile.keep_alive.then_some(SHORTEST_IDLE + profile.keep)),
            max_redirections: MAX_REDIRECTIONS,
            hosts: profile.hosts(),
            limits: profile.limits,
        }
    }
}

/// Returns the settings of token requests.
fn network(profile: &Profile, trust: &Trust, proxies: &Proxies) -> Network {
    let (connect, limit) = (profile.limits.connect, profile.limits.token);
    Network { trust: trust.clone(), proxies: proxies.clone(), connect, limit }
}

/// Prepares authentication by security contexts.
fn negotiation(profile: &Profile, user: String, account: Account) -> wsman::Authentication {
    let mechanisms = match profile.authentication {
        Authentication::Kerberos => (Mechanism::Kerberos, None),
        Authentication::Ntlm => (Mechanism::Ntlm, None),
        _ => (Mechanism::NegotiateKerberos, Some(Mechanism::Ntlm)),
    };
    let service = profile.service_principal.clone();
    let negotiation = Negotiation::new(user, account, service, profile.delegate, mechanisms);
    wsman::Authentication::Context(Arc::new(negotiation))
}

/// Requests a token, unless the password was refused before.
async fn token(request: &TokenRequest) -> Result<Token, SessionError> {
    let Some(pass) = Credential::new(&request.endpoint, &request.user, &request.password).pass().await else {
        return Err(refusal(&request.endpoint, request.user.clone()));
    };
    let acquired = password::acquire(request).await;
    match &acquired {
        Ok(_) => pass.accepted(),
        Err(TokenError::Refused { .. }) => pass.refused(),
        Err(_) => drop(pass),
    }
    Ok(acquired?)
}

/// Returns the refusal of a credential that is not sent again.
fn refusal(endpoint: &Url, user: String) -> SessionError {
    transport::Error::Unauthorized { endpoint: display(endpoint), user, scheme: None, offered: Vec::new() }
        .into()
}

/// Returns the request for a new token, for when the token expires or the endpoint refuses it.
fn renewal(request: TokenRequest) -> wsman::Renew {
    let request = Arc::new(request);
    wsman::Renew::new(move || {
        let request = request.clone();
        async move {
            match token(&request).await {
                Ok(token) => Some(bearer(request.user.clone(), token)),
                Err(error) => {
                    tracing::warn!("cannot renew the token: {error}");
                    None
                }
            }
        }
    })
}

/// Returns the request for a new token of a sign-in, which does not prompt the user.
fn sign_in_renewal(sign_in: Arc<SignIn>, user: String) -> wsman::Renew {
    wsman::Renew::new(move || {
        let (sign_in, user) = (sign_in.clone(), user.clone());
        async move {
            match sign_in.renew(None).await {
                Ok(token) => Some(bearer(user, token)),
                Err(error) => {
                    tracing::warn!("cannot renew the token: {error}");
                    None
                }
            }
        }
    })
}

fn bearer(user: String, token: Token) -> wsman::Authentication {
    wsman::Authentication::Bearer { user, token: token.secret, expires: token.expires }
}

/// Returns the certificates that a profile trusts, and its TLS library.
///
/// # Errors
/// The file of `ca` cannot be read.
pub async fn trust(profile: &Profile) -> Result<Trust, TrustError> {
    let mut trust = match &profile.ca {
        Some(path) => Trust::read(path).await?,
        None => Trust::default(),
    };
    (trust.pin, trust.library) = (profile.pin, profile.tls);
    Ok(trust)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::net::{ProxyProblem, ProxyStep};

    #[test]
    fn an_endpoint_that_a_proxy_does_not_reach_may_have_moved() {
        let limit = Duration::from_secs(1);
        let (target, reason) = ("host:443".to_owned(), "no route".to_owned());
        for (problem, expected) in [
            (ProxyProblem::NoConnection { target: target.clone(), reason: reason.clone() }, true),
            (
                ProxyProblem::Answered {
                    target: target.clone(),
                    status: 502,
                    reason: "Bad Gateway",
                    detail: None,
                },
                true,
            ),
            (ProxyProblem::Late { step: ProxyStep::EndpointTls, limit }, true),
            (ProxyProblem::Answered { target, status: 403, reason: "Forbidden", detail: None }, false),
            (ProxyProblem::Late { step: ProxyStep::Tcp, limit }, false),
            (ProxyProblem::Unreachable(reason), false),
        ] {
            let error = ProxyError::Failed { proxy: "p".to_owned(), problem: Box::new(problem) };
            let of_token = SessionError::Token(TokenError::Proxy(error.clone()));
            assert_eq!(of_token.misses_endpoint(), expected, "{error}");
            let of_session = SessionError::Transport(transport::Error::Proxy(error));
            assert_eq!(of_session.misses_endpoint(), expected, "{of_session}");
        }
        let endpoint = "https://host/".to_owned();
        assert!(SessionError::Token(TokenError::EndpointTimeout { endpoint, limit }).misses_endpoint());
        let authority = "https://login.example/".to_owned();
        assert!(!SessionError::Token(TokenError::Timeout { authority, limit }).misses_endpoint());
    }

    #[tokio::test]
    async fn another_secret_replaces_the_sign_in() {
        let (_folder, folders) = Folders::temporary();
        let text = "kind = 'wsman'\nuri = 'https://server.example/'\nauthentication = 'token'\n\
                    sign_in = 'client-secret'\nauthority = 'https://sts.example/'\nclient_id = 'app'\n\
                    credential = 'prompt'";
        let profile = crate::profile::parse("work", Path::new("work.toml"), text).unwrap();
        let uri = profile.uri.clone().unwrap();
        let network = network(&profile, &Trust::default(), &Proxies::default());
        let (report, _steps) = tokio::sync::mpsc::unbounded_channel();
        let mut access = EndpointResolver::new(&folders, profile, Some("wrong".into()));
        let first = access.sign_in_to(&uri, network.clone(), &report).await.unwrap();
        let same = access.sign_in_to(&uri, network.clone(), &report).await.unwrap();
        assert!(Arc::ptr_eq(&first, &same));
        access.enter("right".into());
        let next = access.sign_in_to(&uri, network, &report).await.unwrap();
        assert!(!Arc::ptr_eq(&first, &next));
    }
}
