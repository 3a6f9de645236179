//! Envelopes over HTTP: one POST each, on reused connections. Failures of HTTP, TLS and the network become an
//! [`Error`].

use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION};
use hyper::{Response as HttpResponse, StatusCode};
use secrecy::SecretString;
use url::Url;

use super::connections::{Connections, Failed, Reply, offered};
use super::credential::Credential;
use super::endpoint::{Authentication, Endpoint};
use super::envelope::{Response, ResponseEnvelope};
use super::wire::{self, Wire};
use crate::net::answered::{self, Unread};
use crate::net::{
    Cause, Connector, TlsConnector, cut_handshake, display, handshake_problem, innermost, proxy_error,
    refusals, refused_certificate,
};
use crate::security::Account;
use crate::security::negotiation::Negotiation;
use crate::transport::error::{Error, Operation};

/// Maximum size of an answer. lyncsh requests 150 KB, but OMI sends more.
const MAX_ANSWER: usize = 64 * 1024 * 1024;
/// An HTTP client for one endpoint, with the credential.
#[derive(Clone)]
pub(super) struct Http {
    channel: Channel,
    /// Used to explain failed handshakes.
    tls: Option<TlsConnector>,
    uri: Url,
    user: String,
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
                let connections =
                    Connections::new(connector, uri.clone(), shared, credential, limit, MAX_ANSWER);
                Channel::Context { connections, negotiation }
            }
            Authentication::Basic { .. }
            | Authentication::Bearer { .. }
            | Authentication::Certificate { .. } => {
                let credential = Credential::of(endpoint).ok_or_else(|| Error::Unauthorized {
                    endpoint: name.clone(),
                    user: user.clone(),
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
        Ok(Self { channel, tls, uri, user, name, connect: endpoint.limits.connect })
    }

    pub fn uri(&self) -> &Url {
        &self.uri
    }

    pub fn endpoint_name(&self) -> &str {
        &self.name
    }

    /// Sends one envelope and waits for its answer, both within `limit`. Errors name `operation`.
    pub async fn post(
        &self,
        envelope: Vec<u8>,
        operation: Operation,
        limit: Duration,
    ) -> Result<Answer, Error> {
        match tokio::time::timeout(limit, self.exchange(envelope, operation)).await {
            Ok(result) => result,
            Err(_) => Err(Error::Timeout { operation, limit }),
        }
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
                    // Receive occupies this connection; the first command should find another one open.
                    let connections = connections.clone();
                    tokio::spawn(async move { connections.prepare().await });
                }
                self.answer(reply)
            }
        }
    }

    /// A request refused with 401 was not executed: it is sent once more if there is a fresh credential.
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
        let Some(pass) = presented.pass().await else { return Err(self.unauthorized(Vec::new())) };
        let response = wire.post(&self.uri, authorization, envelope).await;
        let response = response.map_err(|error| self.failed(&*error, operation))?;
        let (status, headers) = (response.status(), response.headers().clone());
        if status == StatusCode::UNAUTHORIZED {
            pass.refused();
            return Err(self.unauthorized(offered(&headers)));
        }
        // A redirecting server or a proxy has not checked the credential.
        if !status.is_redirection() && !matches!(status.as_u16(), 407 | 502..=504) {
            pass.accepted();
        }
        let body = self.body(response, operation).await?;
        self.answer(Reply { status, headers, body, is_verified: true, has_verified_head: true })
    }

    /// Reads an answer.
    fn answer(&self, reply: Reply) -> Result<Answer, Error> {
        let Reply { status, headers, body, is_verified, has_verified_head } = reply;
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
            Some(Ok(ResponseEnvelope { response, .. })) => Ok(Answer::Response(Box::new(response))),
            Some(Err(error)) if status.is_success() && !is_page(&headers) => {
                Err(Error::Protocol(error.to_string()))
            }
            _ => Err(Error::Http {
                endpoint: self.name.clone(),
                status: status.as_u16(),
                reason: status.canonical_reason().unwrap_or("without a reason").to_owned(),
                said: answered::content(&headers, &body),
            }),
        }
    }

    fn unauthorized(&self, offered: Vec<String>) -> Error {
        Error::Unauthorized { endpoint: self.name.clone(), user: self.user.clone(), offered }
    }

    /// Converts a failure on an authenticated connection.
    fn not_answered(&self, failed: Failed, negotiation: &Negotiation, operation: Operation) -> Error {
        let (endpoint, user) = (self.name.clone(), self.user.clone());
        match failed {
            Failed::Connection(failure) => self.failed(&*failure, operation),
            Failed::TooLarge(limit) => Error::Protocol(format!("an answer is larger than {limit} bytes")),
            Failed::Late => Error::Timeout { operation: Operation::Authenticate, limit: self.connect },
            Failed::KnownRefusal => self.unauthorized(Vec::new()),
            Failed::Refused { mechanism, offered } if !mechanism.is_kerberos() => self.unauthorized(offered),
            Failed::Refused { .. } => {
                Error::TicketRefused { endpoint, user, service: negotiation.service(&self.uri) }
            }
            Failed::NotOffered { mechanism, offered } => {
                Error::NotOffered { endpoint, wanted: mechanism.name(), offered }
            }
            Failed::Context(error) => Error::Authentication { endpoint, user, error },
            Failed::Answer(error) => Error::Unreadable { endpoint, operation, error },
        }
    }

    /// Returns the credential of a request, for the record of refused ones.
    fn presented(&self, authorization: &HeaderValue) -> refusals::Credential {
        let token = SecretString::from(String::from_utf8_lossy(authorization.as_bytes()).into_owned());
        refusals::Credential::new(&self.uri, &self.user, &token)
    }

    async fn body(&self, response: HttpResponse<Incoming>, operation: Operation) -> Result<Vec<u8>, Error> {
        answered::read(response.into_body(), MAX_ANSWER).await.map_err(|unread| match unread {
            Unread::Connection(failure) => self.failed(&failure, operation),
            Unread::TooLarge(limit) => Error::Protocol(format!("an answer is larger than {limit} bytes")),
        })
    }

    /// Converts a failure of the HTTP client.
    fn failed(&self, error: Cause<'_>, operation: Operation) -> Error {
        let endpoint = self.name.clone();
        if let Some(error) = proxy_error(error) {
            return Error::Proxy(error);
        }
        if let Some(refused) = refused_certificate(error) {
            return Error::Certificate { endpoint, refused: refused.into() };
        }
        let (asked, given) = self.tls.as_ref().map(TlsConnector::client_certificate).unwrap_or_default();
        let found = if wire::is_connect(error) {
            handshake_problem(error, asked, given).or_else(|| cut_handshake(error, asked, given))
        } else {
            handshake_problem(error, asked, given).filter(|problem| problem.is_late())
        };
        if let Some(problem) = found {
            return Error::Handshake { endpoint, problem };
        }
        if wire::is_connect_late(error) {
            return Error::Timeout { operation: Operation::Connect, limit: self.connect };
        }
        let reason = innermost(error);
        if wire::is_connect(error) {
            return Error::Unreachable { endpoint, reason };
        }
        Error::Cut { endpoint, operation, reason }
    }
}

/// Returns whether an answer is an HTML page, whatever its status.
fn is_page(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.trim_start().to_ascii_lowercase().starts_with("text/html")
}
