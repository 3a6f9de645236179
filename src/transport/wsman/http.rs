//! Envelopes over HTTP: one POST each, on connections that are kept; what HTTP, TLS and the network
//! have to say becomes an [`Error`].

use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION, SERVER, VIA};
use hyper::{Response as HttpResponse, StatusCode};
use secrecy::SecretString;
use url::Url;

use super::connections::{self, Connections, Failed, Reply, offered};
use super::credential::Credential;
use super::endpoint::{Authentication, Endpoint};
use super::envelope::{Response, ResponseEnvelope};
use super::negotiation::Negotiation;
use super::wire::{self, Connector, Wire};
use crate::net::{
    Cause, TlsConnector, cut_handshake, handshake_problem, innermost, is_loopback, refusals,
    refused_certificate,
};
use crate::security::Account;
use crate::transport::error::{AuthScheme, Error, Operation};

/// No answer is read beyond this. What lyncsh asks for is 150 KB, but OMI gives more.
const MAX_ANSWER: usize = 64 * 1024 * 1024;
/// An HTTP client for one endpoint, with the credential.
#[derive(Clone)]
pub(super) struct Http {
    channel: Channel,
    /// Used to explain failed handshakes.
    tls: Option<TlsConnector>,
    uri: Url,
    user: String,
    /// The method of the credential; that of Kerberos does not matter, whose tickets have their own error.
    scheme: AuthScheme,
    /// The endpoint as errors name it.
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
        let loopback = is_loopback(&endpoint.uri);
        let encrypted = endpoint.uri.scheme() == "https";
        let plain_loopback = loopback && endpoint.uri.scheme() == "http";
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
        let connector = Connector::new(endpoint, loopback).map_err(Error::Tls)?;
        let tls = connector.tls();
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
        Ok(Self { channel, tls, uri, user, scheme, name, connect: endpoint.limits.connect })
    }

    pub fn uri(&self) -> &Url {
        &self.uri
    }

    pub fn endpoint_name(&self) -> &str {
        &self.name
    }

    /// Sends one envelope and waits for its answer, both within `limit`. `operation` names it in an error.
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
                // A handshake is deep; in a future of its own it leaves the others small.
                let reply = Box::pin(connections.exchange(&envelope.into(), operation)).await;
                let reply = reply.map_err(|failed| self.not_answered(failed, negotiation, operation))?;
                if operation == Operation::Create && reply.status.is_success() {
                    // Receive waits on this connection, and the first command shall not wait for another one.
                    let connections = connections.clone();
                    tokio::spawn(async move { connections.prepare().await });
                }
                self.answer(reply)
            }
        }
    }

    /// A 401 is a plain refusal: any request may be sent once more, with a fresh credential where there
    /// is one.
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
        let response = wire.post(&self.uri, authorization, envelope).await;
        let response = response.map_err(|error| self.failed(&*error, operation))?;
        let (status, headers) = (response.status(), response.headers().clone());
        if status == StatusCode::UNAUTHORIZED {
            pass.refused();
            return Err(self.refused(offered(&headers)));
        }
        // What stands before the endpoint has not looked at it.
        if !status.is_redirection() && !matches!(status.as_u16(), 407 | 502..=504) {
            pass.accepted();
        }
        let body = self.body(response, operation).await?;
        self.answer(Reply { status, headers, body, sent, is_verified: true, has_verified_head: true })
    }

    /// Reads an answer.
    fn answer(&self, reply: Reply) -> Result<Answer, Error> {
        let Reply { status, headers, body, sent, is_verified, has_verified_head } = reply;
        // Over http anyone on the way could send the credential elsewhere.
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
            Some(Err(error)) if status.is_success() && kind(&headers).is_some_and(|kind| !is_page(kind)) => {
                Err(Error::Protocol(error.to_string()))
            }
            _ => Err(Error::Http {
                endpoint: self.name.clone(),
                status: status.as_u16(),
                reason: status.canonical_reason().unwrap_or("without a reason").to_owned(),
                said: said(&headers, &body, sent),
            }),
        }
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

    /// Returns the error of a 401 to a header. A server that offers other schemes only has read no password
    /// (hashicorp/terraform#2918).
    fn refused(&self, offered: Vec<String>) -> Error {
        let is_basic = self.scheme == AuthScheme::Basic;
        if is_basic && !offered.is_empty() && !offered.iter().any(|offer| self.scheme.is(offer)) {
            return Error::NotOffered { endpoint: self.name.clone(), wanted: "Basic", offered };
        }
        self.unauthorized(offered)
    }

    /// The error of a request on an authenticated connection.
    fn not_answered(&self, failed: Failed, negotiation: &Negotiation, operation: Operation) -> Error {
        let (endpoint, user) = (self.name.clone(), self.user.clone());
        match failed {
            Failed::Connection(failure) => self.failed(&*failure, operation),
            Failed::TooLarge(limit) => Error::Protocol(format!("an answer is larger than {limit} bytes")),
            Failed::Late => Error::Timeout { operation: Operation::Authenticate, limit: self.connect },
            Failed::KnownRefusal => self.known_refusal(),
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
        match connections::read(response.into_body(), MAX_ANSWER).await {
            Ok(body) => Ok(body),
            Err(Failed::Connection(failure)) => Err(self.failed(&*failure, operation)),
            Err(_) => Err(Error::Protocol(format!("an answer is larger than {MAX_ANSWER} bytes"))),
        }
    }

    /// Converts a failure of the HTTP client.
    fn failed(&self, error: Cause<'_>, operation: Operation) -> Error {
        let endpoint = self.name.clone();
        if let Some(refused) = refused_certificate(error) {
            return Error::Certificate { endpoint, refused: refused.into() };
        }
        let (asked, given) = self.tls.as_ref().map(TlsConnector::client_certificate).unwrap_or_default();
        let is_tls_open = wire::is_handshake(error) || !wire::is_connect(error);
        let found =
            handshake_problem(error, asked, given).filter(|problem| !is_tls_open || problem.is_late());
        let found =
            found.or_else(|| wire::is_connect(error).then(|| cut_handshake(error, asked, given)).flatten());
        if let Some(problem) = found {
            return Error::Handshake { endpoint, problem };
        }
        if wire::is_late(error) {
            return Error::Timeout { operation: Operation::Connect, limit: self.connect };
        }
        let reason = innermost(error);
        if wire::is_handshake(error) {
            return Error::Cut { endpoint, operation: Operation::Authenticate, reason };
        }
        if wire::is_connect(error) {
            return Error::Unreachable { endpoint, reason };
        }
        Error::Cut { endpoint, operation, reason }
    }
}

/// Returns the method that a credential is sent by.
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
fn is_page(kind: &str) -> bool {
    kind.trim_start().to_ascii_lowercase().starts_with("text/html")
}

/// Returns the content of an answer without an envelope, and the servers that sent it.
fn said(headers: &HeaderMap, body: &[u8], sent: usize) -> Option<String> {
    let content = match kind(headers) {
        _ if body.is_empty() => Some(format!("an empty answer to {sent} bytes")),
        None => Some("an answer without a content type".to_owned()),
        // Exchange Online gives its reason so.
        Some(kind) if kind.trim_start().to_ascii_lowercase().starts_with("text/plain") => {
            plain(&String::from_utf8_lossy(body))
        }
        Some(_) => title(body).map(|title| format!("a page, \"{title}\"")),
    };
    let parts: Vec<String> = [content, said_by(headers), front_end(headers)].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// Returns the name of the intermediary that sent an answer.
fn said_by(headers: &HeaderMap) -> Option<String> {
    let via = headers.get(VIA).or_else(|| headers.get(SERVER))?.to_str().ok()?;
    Some(format!("sent by {}", plain(via)?))
}

/// Returns the front-end server of Exchange: changes of it show that a load balancer does not keep clients on one.
fn front_end(headers: &HeaderMap) -> Option<String> {
    const FRONT_END: HeaderName = HeaderName::from_static("x-feserver");
    let name = headers.get(FRONT_END)?.to_str().ok()?;
    Some(format!("front end {}", plain(name)?))
}

/// The title of a page.
fn title(body: &[u8]) -> Option<String> {
    /// Titles stand near the beginning.
    const HEAD: usize = 16 * 1024;
    let head = String::from_utf8_lossy(&body[..body.len().min(HEAD)]);
    // Lengths stay: only ASCII letters change.
    let small = head.to_ascii_lowercase();
    let start = small.find("<title")?;
    let start = start + small[start..].find('>')? + 1;
    let end = start + small[start..].find("</title")?;
    plain(&head[start..end])
}

/// Returns foreign text on one line of limited length; `None` if it is empty.
fn plain(text: &str) -> Option<String> {
    const LONGEST: usize = 100;
    let words: Vec<&str> = text.split(|letter: char| letter.is_whitespace() || letter.is_control()).collect();
    let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
    let line: String = words.join(" ").chars().take(LONGEST).collect();
    (!line.is_empty()).then_some(line)
}

/// A URI as errors name it: without query, fragment and credential.
pub(super) fn display(uri: &Url) -> String {
    let port = uri.port().map(|port| format!(":{port}")).unwrap_or_default();
    let host = uri.host_str().unwrap_or_default();
    format!("{}://{host}{port}{}", uri.scheme(), uri.path())
}
