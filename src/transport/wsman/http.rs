//! Envelopes over HTTP: one POST each, on reused connections. Failures of HTTP, TLS and the network become an
//! [`Error`].

use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION};
use secrecy::SecretString;
use url::Url;

use super::affinity;
use super::connections::{Connections, ExchangeError, Reply, offered};
use super::credential::Credential;
use super::endpoint::{Authentication, Cookies, Endpoint};
use super::envelope::{Response, ResponseEnvelope};
use super::fault::{Fault, LOST_AFFINITY};
use super::wire::{self, Wire};
use crate::net::response::{self, BodyError};
use crate::net::{
    Cause, Connector, TlsConnector, cut_handshake, display, handshake_problem, host_name, innermost,
    proxy_error, refusals, refused_certificate,
};
use crate::security::Account;
use crate::security::negotiation::Negotiation;
use crate::transport::error::{AuthScheme, Error, Operation};

/// Maximum size of an answer. lyncsh requests 150 KB, but OMI sends more.
const MAX_ANSWER: usize = 64 * 1024 * 1024;

/// An HTTP client for one endpoint, with the credential.
#[derive(Clone)]
pub(super) struct Http {
    channel: Channel,
    /// Used to explain failed handshakes.
    tls: Option<TlsConnector>,
    uri: Url,
    cookies: Cookies,
    user: String,
    /// The method by which the credential is sent. NTLM also stands for Kerberos: a refused ticket has its own error.
    scheme: AuthScheme,
    /// The endpoint's name in errors.
    name: String,
    connect: Duration,
}

/// The way in which requests are authenticated.
#[derive(Clone)]
enum Channel {
    /// Each request has the credential in its header.
    Header {
        wire: Box<Wire>,
        credential: Arc<Credential>,
        /// A password for this endpoint, which may have been refused; tokens are identified by their headers.
        password: Option<refusals::Credential>,
    },
    /// Each connection has a security context.
    Context { connections: Connections, negotiation: Arc<Negotiation> },
}

/// A server's answer.
pub(super) enum Answer {
    Response(Box<Response>),
    /// The request was redirected.
    Redirect(String),
}

impl Answer {
    /// Returns whether the answering server does not have the shell or command.
    fn is_not_found(&self) -> bool {
        let Self::Response(response) = self else { return false };
        matches!(&**response, Response::Fault(fault) if fault.is_gone() || fault.is_stray())
    }
}

impl Http {
    /// Creates a client with its own connections. Sends nothing yet; refuses to send a credential in clear
    /// text.
    pub fn new(endpoint: &Endpoint) -> Result<Self, Error> {
        let name = display(&endpoint.uri);
        let encrypted = endpoint.uri.scheme() == "https";
        let plain_loopback = endpoint.uri.scheme() == "http" && endpoint.proxies.is_local(&endpoint.uri);
        let seals = matches!(endpoint.authentication, Authentication::Context(_));
        if !encrypted && !plain_loopback && !seals {
            return Err(Error::Insecure { endpoint: name });
        }
        let mut uri = endpoint.uri.clone();
        uri.set_fragment(None);
        // The credential is the profile's: one in the URI would end up in errors and in `a:To`.
        let _ = uri.set_username("");
        let _ = uri.set_password(None);
        let user = endpoint.authentication.user().to_owned();
        let scheme = scheme(&endpoint.authentication);
        let (trust, proxies) = (endpoint.trust.clone(), endpoint.proxies.clone());
        let connector = Connector::new(trust, proxies, endpoint.limits.connect);
        let tls = encrypted.then(|| connector.tls()).transpose().map_err(Error::Tls)?;
        let channel = match &endpoint.authentication {
            Authentication::Context(negotiation) => {
                let negotiation = negotiation.clone();
                let credential = match &negotiation.account {
                    Account::Password { password, .. } => {
                        Some(refusals::Credential::new(&uri, &user, password))
                    }
                    Account::System => None,
                };
                let limit = endpoint.limits.connect;
                let shared = negotiation.clone();
                let address = (uri.clone(), Cookies::of(endpoint));
                let connections = Connections::new(connector, address, shared, credential, limit, MAX_ANSWER);
                Channel::Context { connections, negotiation }
            }
            Authentication::Basic { .. }
            | Authentication::Bearer { .. }
            | Authentication::Certificate { .. } => {
                let credential = Credential::of(endpoint).ok_or_else(|| Error::Unauthorized {
                    endpoint: name.clone(),
                    user: user.clone(),
                    scheme: None,
                    offered: Vec::new(),
                })?;
                let password = match &endpoint.authentication {
                    Authentication::Basic { password, .. } => {
                        Some(refusals::Credential::new(&uri, &user, password))
                    }
                    _ => None,
                };
                Channel::Header {
                    wire: Box::new(Wire::new(connector)),
                    credential: Arc::new(credential),
                    password,
                }
            }
        };
        let (cookies, connect) = (Cookies::of(endpoint), endpoint.limits.connect);
        Ok(Self { channel, tls, uri, cookies, user, scheme, name, connect })
    }

    pub fn uri(&self) -> &Url {
        &self.uri
    }

    /// Sends one envelope and waits for its answer, both within `limit`. Errors name `operation`.
    pub async fn post(
        &self,
        envelope: Vec<u8>,
        operation: Operation,
        limit: Duration,
    ) -> Result<Answer, Error> {
        let cookies = self.cookies.affinity.cookies();
        let sending = async {
            match self.exchange(envelope.clone(), operation).await {
                // Another pool member has answered, and has set another cookie. The envelope is sent once more with
                // the earlier cookie, to the member that has the shell.
                Ok(answer)
                    if answer.is_not_found()
                        && !cookies.is_empty()
                        && self.cookies.affinity.cookies() != cookies =>
                {
                    tracing::debug!(
                        "the load balancer has chosen another pool member; trying with the earlier cookie"
                    );
                    self.cookies.restore(cookies);
                    self.exchange(envelope, operation).await
                }
                result => result,
            }
        };
        let result = tokio::time::timeout(limit, sending).await;
        result.unwrap_or(Err(Error::Timeout { operation, limit }))
    }

    async fn exchange(&self, envelope: Vec<u8>, operation: Operation) -> Result<Answer, Error> {
        match &self.channel {
            Channel::Header { wire, credential, password } => {
                self.exchange_with_header((wire, credential, *password), envelope, operation).await
            }
            Channel::Context { connections, negotiation } => {
                // A handshake's future is large; boxed, it does not enlarge the others.
                let reply = Box::pin(connections.exchange(&envelope.into(), operation)).await;
                let reply = reply.map_err(|failed| self.not_answered(failed, negotiation, operation))?;
                if operation == Operation::Create && reply.status.is_success() {
                    self.cookies.created(&reply.headers);
                }
                self.answer(reply, operation)
            }
        }
    }

    /// Sends an envelope with the credential in a header. A request refused with 401 was not executed: it is sent once
    /// more if there is another credential.
    async fn exchange_with_header(
        &self,
        (wire, credential, password): (&Wire, &Credential, Option<refusals::Credential>),
        envelope: Vec<u8>,
        operation: Operation,
    ) -> Result<Answer, Error> {
        let header = credential.current().await;
        match self.exchange_as(wire, password, header.clone(), envelope.clone(), operation).await {
            Err(refused @ Error::Unauthorized { .. }) => match credential.after(&header).await {
                Some(fresh) => self.exchange_as(wire, password, fresh, envelope, operation).await,
                None => Err(refused),
            },
            result => result,
        }
    }

    async fn exchange_as(
        &self,
        wire: &Wire,
        password: Option<refusals::Credential>,
        authorization: HeaderValue,
        envelope: Vec<u8>,
        operation: Operation,
    ) -> Result<Answer, Error> {
        let presented = password.unwrap_or_else(|| self.presented(&authorization));
        let Some(pass) = presented.pass().await else { return Err(self.known_refusal()) };
        let sent = envelope.len();
        let mut head = HeaderMap::new();
        self.cookies.affinity.apply(&self.uri, &mut head);
        head.insert(AUTHORIZATION, authorization);
        let response = wire.post(&self.uri, head, envelope).await;
        let response = response.map_err(|error| self.failed(&*error, operation))?;
        let (status, headers) = (response.status(), response.headers().clone());
        self.cookies.receive(&self.uri, &headers);
        if operation == Operation::Create && status.is_success() {
            self.cookies.created(&headers);
        }
        if status == StatusCode::UNAUTHORIZED {
            pass.refused();
            return Err(self.refused(offered(&headers)));
        }
        // A redirecting server or a proxy has not checked the credential.
        if !status.is_redirection() && !matches!(status.as_u16(), 407 | 502..=504) {
            pass.accepted();
        }
        let body = self.body(&headers, response.into_body(), operation).await?;
        let reply = Reply { status, headers, body, sent, is_verified: true, has_verified_head: true };
        self.answer(reply, operation)
    }

    /// Reads an answer.
    fn answer(&self, reply: Reply, operation: Operation) -> Result<Answer, Error> {
        let Reply { status, headers, body, sent, is_verified, has_verified_head } = reply;
        // Over http, an attacker on the network could redirect the credential to another server.
        if has_verified_head
            && status.is_redirection()
            && let Some(target) = headers.get(LOCATION)
        {
            let target = String::from_utf8_lossy(target.as_bytes()).into_owned();
            return Ok(Answer::Redirect(target));
        }
        let read = is_verified.then(|| ResponseEnvelope::read(&body));
        match read {
            Some(Ok(ResponseEnvelope { response: Response::Fault(fault), .. }))
                if fault.redirect.is_some() =>
            {
                Ok(Answer::Redirect(fault.redirect.unwrap_or_default()))
            }
            Some(Ok(ResponseEnvelope { response: Response::Fault(fault), .. })) if fault.is_gone() => {
                Ok(Answer::Response(Box::new(Response::Fault(self.stray(fault, &headers)))))
            }
            Some(Ok(ResponseEnvelope { response, .. })) => Ok(Answer::Response(Box::new(response))),
            Some(Err(error)) if status.is_success() && kind(&headers).is_some_and(|kind| !is_page(kind)) => {
                Err(violated(&error, operation))
            }
            _ => Err(Error::Http {
                endpoint: self.name.clone(),
                status: status.as_u16(),
                reason: status.canonical_reason().unwrap_or("without a reason").to_owned(),
                detail: answer_detail(&headers, &body, sent),
            }),
        }
    }

    /// Adds the reason to a fault of a pool member that does not have the shell.
    fn stray(&self, mut fault: Fault, headers: &HeaderMap) -> Fault {
        if let Some((answering, home)) = self.cookies.affinity.strayed(headers) {
            fault.is_from_other_member = true;
            fault.text = format!(
                "{} (the front end {answering} answered, and the session is on {home}: {LOST_AFFINITY})",
                fault.text
            );
        }
        fault
    }

    fn unauthorized(&self, offered: Vec<String>) -> Error {
        let (endpoint, user) = (self.name.clone(), self.user.clone());
        Error::Unauthorized { endpoint, user, scheme: Some(self.scheme), offered }
    }

    /// Returns the error of a credential that is not sent, because it was refused before.
    fn known_refusal(&self) -> Error {
        let (endpoint, user) = (self.name.clone(), self.user.clone());
        Error::Unauthorized { endpoint, user, scheme: None, offered: Vec::new() }
    }

    /// Returns the error for a 401 to a request with a credential header. A server that offers only other schemes did
    /// not check the password (hashicorp/terraform#2918).
    fn refused(&self, offered: Vec<String>) -> Error {
        let is_basic = self.scheme == AuthScheme::Basic;
        if is_basic && !offered.is_empty() && !offered.iter().any(|offer| self.scheme.is(offer)) {
            return Error::NotOffered { endpoint: self.name.clone(), wanted: "Basic", offered };
        }
        self.unauthorized(offered)
    }

    /// Converts a failure on an authenticated connection.
    fn not_answered(&self, failed: ExchangeError, negotiation: &Negotiation, operation: Operation) -> Error {
        let (endpoint, user) = (self.name.clone(), self.user.clone());
        match failed {
            ExchangeError::Connection(failure) => self.failed(&*failure, operation),
            ExchangeError::Body(error) => violated(&error, operation),
            ExchangeError::Late => Error::Timeout { operation: Operation::Authenticate, limit: self.connect },
            ExchangeError::KnownRefusal => self.known_refusal(),
            ExchangeError::Refused { mechanism, offered } if !mechanism.is_kerberos() => {
                self.unauthorized(offered)
            }
            ExchangeError::Refused { .. } => {
                Error::TicketRefused { endpoint, user, service: negotiation.service(host_name(&self.uri)) }
            }
            ExchangeError::NotOffered { mechanism, offered } => {
                Error::NotOffered { endpoint, wanted: mechanism.name(), offered }
            }
            ExchangeError::Context(error) => Error::Authentication { endpoint, user, error },
            ExchangeError::Answer(error) => Error::Unreadable { endpoint, operation, error },
        }
    }

    /// Returns the credential of a request, for the record of refused ones.
    fn presented(&self, authorization: &HeaderValue) -> refusals::Credential {
        let token = SecretString::from(String::from_utf8_lossy(authorization.as_bytes()).into_owned());
        refusals::Credential::new(&self.uri, &self.user, &token)
    }

    async fn body(
        &self,
        headers: &HeaderMap,
        body: Incoming,
        operation: Operation,
    ) -> Result<Vec<u8>, Error> {
        response::read_body(headers, body, MAX_ANSWER).await.map_err(|error| match error {
            BodyError::Connection(failure) => self.failed(&failure, operation),
            error => violated(&error, operation),
        })
    }

    /// Converts a failure of the HTTP client.
    fn failed(&self, error: Cause<'_>, operation: Operation) -> Error {
        failed(error, operation, self.name.clone(), self.tls.as_ref(), self.connect)
    }
}

/// Converts a failure of the HTTP client. `limit`: the time limit for connecting.
pub(super) fn failed(
    error: Cause<'_>,
    operation: Operation,
    endpoint: String,
    tls: Option<&TlsConnector>,
    limit: Duration,
) -> Error {
    if let Some(error) = proxy_error(error) {
        return Error::Proxy(error);
    }
    if let Some(refused) = refused_certificate(error) {
        return Error::Certificate { endpoint, refused: refused.into() };
    }
    let client = tls.map(TlsConnector::client_authentication).unwrap_or_default();
    let is_tls_open = wire::is_handshake(error) || !wire::is_connect(error);
    let found = handshake_problem(error, client).filter(|problem| !is_tls_open || problem.is_late());
    let found = found.or_else(|| wire::is_connect(error).then(|| cut_handshake(error, client)).flatten());
    if let Some(problem) = found {
        return Error::Handshake { endpoint, problem };
    }
    if wire::is_connect_late(error) {
        return Error::Timeout { operation: Operation::Connect, limit };
    }
    let reason = innermost(error);
    if wire::is_handshake(error) {
        return Error::ConnectionLost { endpoint, operation: Operation::Authenticate, reason };
    }
    if wire::is_connect(error) {
        return Error::Unreachable { endpoint, reason };
    }
    Error::ConnectionLost { endpoint, operation, reason }
}

/// Returns the method by which a credential is sent.
fn scheme(authentication: &Authentication) -> AuthScheme {
    match authentication {
        Authentication::Basic { .. } => AuthScheme::Basic,
        Authentication::Bearer { .. } => AuthScheme::Bearer,
        Authentication::Certificate { .. } => AuthScheme::Certificate,
        Authentication::Context(_) => AuthScheme::Ntlm,
    }
}

fn kind(headers: &HeaderMap) -> Option<&str> {
    headers.get(CONTENT_TYPE)?.to_str().ok()
}

/// Returns whether a content type is that of an HTML page.
pub(super) fn is_page(kind: &str) -> bool {
    kind.trim_start().to_ascii_lowercase().starts_with("text/html")
}

/// Returns the error of an answer that is not WSMan.
fn violated(reason: &dyn std::fmt::Display, operation: Operation) -> Error {
    Error::Protocol(format!("{reason} (while {operation})"))
}

/// Returns the content of an answer without an envelope, and the servers that sent it. `sent`: the size of the request
/// in bytes.
pub(super) fn answer_detail(headers: &HeaderMap, body: &[u8], sent: usize) -> Option<String> {
    let content = match kind(headers) {
        _ if body.is_empty() => Some(format!("an empty answer to {sent} bytes")),
        None => Some("an answer without a content type".to_owned()),
        // Exchange Online returns its reason as plain text.
        Some(kind) if kind.trim_start().to_ascii_lowercase().starts_with("text/plain") => {
            response::single_line(&String::from_utf8_lossy(body))
        }
        Some(_) => response::page_title(body),
    };
    let front_end = affinity::front_end(headers).map(|name| format!("front end {name}"));
    let parts: Vec<String> = [content, response::sender(headers), front_end].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}
