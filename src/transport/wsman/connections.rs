//! Connections that a security context authenticates.
//!
//! Negotiate belongs to a TCP connection (RFC 4559 §6): each connection has a context of its own, and carries one
//! request at a time. Receive waits while Send and Signal go, so that a session has two connections or more.
//!
//! Round trips before the first envelope is answered, without TCP and TLS: Kerberos over https 1 (the token goes
//! with the envelope), over http 2 (a body is sealed with the key that the first answer confirms), NTLM 2 (the
//! envelope goes with the second token), NTLM in SPNEGO 2 over https and 3 over http.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{
    ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, USER_AGENT, WWW_AUTHENTICATE,
};
use hyper::{Request, Response, StatusCode};
use tokio::time::Instant;
use url::Url;

use super::envelope::MEDIA_TYPE;
use super::negotiation::{Negotiation, Scheme};
use super::wire::{AGENT, Connector, Failure, KEEP_IDLE};
use crate::net::refusals;
use crate::security::challenge::{self, Offer};
use crate::security::{Context, ContextError, KerberosProblem, initiate, sealed};

/// How long a connection may have been idle that Command and Send use. Longer ones are closed, and the handshake of
/// another one precedes the request: it cannot be sent again where its answer is lost.
const FRESH: Duration = Duration::from_secs(20);
/// Handshakes end by then: NTLM in SPNEGO takes three messages of the client.
const MAX_LEGS: usize = 6;
/// KRB5_KDC_UNREACH.
const KDC_UNREACHABLE: i64 = -1_765_328_228;
/// Kerberos in two forms, then NTLM in three.
const MAX_MODES: usize = 5;
/// A longer answer to a handshake's message is not read.
const MAX_HANDSHAKE_ANSWER: usize = 1024 * 1024;

/// An answer, its body unsealed.
pub(super) struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    /// Whether the body is the server's: sealed where that is required.
    pub is_verified: bool,
}

/// The reason why a request has no answer.
pub(super) enum Failed {
    /// The connection failed.
    Connection(Failure),
    /// The body exceeded a limit.
    TooLarge(usize),
    /// The security context failed before the envelope was taken.
    Context(ContextError),
    /// The answer to the envelope cannot be unsealed.
    Answer(ContextError),
    /// The server refused the last token.
    Refused { offered: Vec<String> },
    /// The server offers no scheme that the profile can use.
    NotOffered { offered: Vec<String> },
    /// This credential was refused before and is not sent again.
    KnownRefusal,
    /// The handshake took too long.
    Late,
}

impl From<ContextError> for Failed {
    fn from(error: ContextError) -> Self {
        Self::Context(error)
    }
}

impl From<hyper::Error> for Failed {
    fn from(error: hyper::Error) -> Self {
        Self::Connection(error.into())
    }
}

/// The authenticated connections to one endpoint.
#[derive(Clone)]
pub(super) struct Connections(Arc<Shared>);

struct Shared {
    connector: Connector,
    uri: Url,
    negotiation: Arc<Negotiation>,
    /// The password at this endpoint; `None` where the system has the credential.
    credential: Option<refusals::Credential>,
    /// Whether bodies are sealed: over http.
    seals: bool,
    /// The longest that a security context may ask a KDC.
    limit: Duration,
    max_answer: usize,
    idle: Mutex<Vec<Connection>>,
}

/// One connection and its context.
struct Connection {
    sender: SendRequest<Full<Bytes>>,
    context: Box<dyn Context>,
    protocol: sealed::Protocol,
    used: Instant,
}

/// The end of a handshake.
enum Opened {
    /// The envelope went with the last message of it.
    Answered(Connection, Reply),
    Ready(Connection),
    /// The server answered the handshake with another status than 200 and 401, such as a redirection.
    Elsewhere(Reply),
}

impl Connections {
    pub fn new(
        connector: Connector,
        uri: Url,
        negotiation: Arc<Negotiation>,
        credential: Option<refusals::Credential>,
        limit: Duration,
        max_answer: usize,
    ) -> Self {
        let seals = uri.scheme() != "https";
        let idle = Mutex::default();
        Self(Arc::new(Shared { connector, uri, negotiation, credential, seals, limit, max_answer, idle }))
    }

    /// Sends an envelope and returns the answer. `repeats` says that it may be sent again where a kept connection
    /// ended without an answer.
    ///
    /// A 401 ran nothing: the request is sent once more on another connection, with another handshake. So is a
    /// request that may run twice and that a kept connection answers with an empty 400: the server may have
    /// forgotten the connection's keys.
    pub async fn exchange(&self, envelope: &Bytes, repeats: bool) -> Result<Reply, Failed> {
        while let Some(mut connection) = self.kept(repeats) {
            match self.0.request(&mut connection, envelope).await {
                Ok(reply) if reply.status == StatusCode::UNAUTHORIZED => {
                    tracing::debug!("a kept connection is no longer authenticated");
                }
                Ok(reply) if repeats && reply.status == StatusCode::BAD_REQUEST && reply.body.is_empty() => {
                    tracing::debug!("a kept connection answers with an empty 400: its keys may be gone");
                }
                Ok(reply) => {
                    self.keep(connection);
                    return Ok(reply);
                }
                Err(Failed::Connection(failure)) if repeats || was_not_sent(&*failure) => {
                    tracing::debug!("a kept connection has ended: {failure}");
                }
                Err(failed) => return Err(failed),
            }
        }
        match self.open(Some(envelope)).await? {
            Opened::Answered(connection, reply) => {
                self.keep(connection);
                Ok(reply)
            }
            Opened::Elsewhere(reply) => Ok(reply),
            Opened::Ready(mut connection) => {
                let reply = self.0.request(&mut connection, envelope).await?;
                if reply.status == StatusCode::UNAUTHORIZED {
                    return Err(Failed::Refused { offered: offered(&reply.headers) });
                }
                self.keep(connection);
                Ok(reply)
            }
        }
    }

    /// Opens a connection before it is needed, so that a request need not wait for its handshake.
    pub async fn prepare(&self) {
        if self.idle().len() > 1 {
            return;
        }
        match self.open(None).await {
            Ok(Opened::Ready(connection)) => self.keep(connection),
            Ok(_) => {}
            Err(_) => tracing::debug!("no second connection could be opened ahead"),
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the kept connection that was used last, and closes those that are too old.
    fn kept(&self, repeats: bool) -> Option<Connection> {
        let most = if repeats { KEEP_IDLE } else { FRESH };
        let mut idle = self.idle();
        idle.retain(|one| !one.sender.is_closed() && one.used.elapsed() < most);
        idle.pop()
    }

    fn keep(&self, mut connection: Connection) {
        connection.used = Instant::now();
        if !connection.sender.is_closed() {
            self.idle().push(connection);
        }
    }

    /// Opens a connection by the first mechanism that works. The credential is sent at most once to a server or
    /// KDC that has refused it.
    async fn open(&self, envelope: Option<&Bytes>) -> Result<Opened, Failed> {
        for _ in 0..MAX_MODES {
            let pass = match self.0.credential {
                Some(credential) => Some(credential.pass().await.ok_or(Failed::KnownRefusal)?),
                None => None,
            };
            let (mechanism, scheme) = self.0.negotiation.mode();
            match self.0.handshake(mechanism, scheme, envelope).await {
                Ok(opened) => {
                    if let (Some(pass), Opened::Answered(..) | Opened::Ready(_)) = (pass, &opened) {
                        pass.accepted();
                    }
                    return Ok(opened);
                }
                Err(Failed::Context(error)) => {
                    if let Some(pass) = pass.filter(|_| error.is_refused_credential()) {
                        pass.refused();
                    } else if self.0.negotiation.falls_back(mechanism, &error) {
                        continue;
                    }
                    return Err(Failed::Context(error));
                }
                Err(Failed::NotOffered { offered }) => {
                    if !self.0.negotiation.adopts((mechanism, scheme), &offered) {
                        return Err(Failed::NotOffered { offered });
                    }
                }
                Err(Failed::Refused { offered }) => {
                    // The KDC has accepted a password that Kerberos was used with.
                    match pass {
                        Some(pass) if !mechanism.is_kerberos() => pass.refused(),
                        Some(pass) => pass.accepted(),
                        None => {}
                    }
                    return Err(Failed::Refused { offered });
                }
                Err(failed) => return Err(failed),
            }
        }
        Err(Failed::Context(ContextError::Malformed {
            what: "handshake",
            reason: "the server's offers change with each request".to_owned(),
        }))
    }
}

impl Shared {
    /// Connects and establishes a security context.
    async fn handshake(
        &self,
        mechanism: crate::security::Mechanism,
        scheme: Scheme,
        envelope: Option<&Bytes>,
    ) -> Result<Opened, Failed> {
        let kerberos_first = mechanism.is_kerberos();
        let (conn, binding) = self.connector.open(&self.uri).await.map_err(Failed::Connection)?;
        let initiator = self.negotiation.initiator(mechanism, &self.uri, binding);
        let mut context = initiate(&initiator)?;
        let mut step;
        (context, step) = self.step(context, None).await?;
        let (mut sender, driver) = http1::handshake(conn).await?;
        tokio::spawn(async move {
            if let Err(error) = driver.await {
                tracing::trace!("a connection ended: {error}");
            }
        });
        for leg in 0..MAX_LEGS {
            let Some(token) = step.token.take() else {
                return Err(Failed::Context(ContextError::Malformed {
                    what: "handshake",
                    reason: "the security context has nothing to send".to_owned(),
                }));
            };
            // NTLM's first message never authenticates. A body that is to be sealed waits for the keys.
            let may_carry = step.established || (kerberos_first && !self.seals);
            let carried = envelope.filter(|_| may_carry);
            let protocol = scheme.protocol();
            let mut request = Prepared::plain(carried.cloned().unwrap_or_default());
            if let Some(envelope) = carried.filter(|_| self.seals) {
                let (content_type, body) = sealed::seal(&mut *context, protocol, MEDIA_TYPE, envelope)?;
                request = Prepared { content_type, body: body.into() };
            }
            let response = self.send(&mut sender, request, Some(scheme.header(&token)?)).await?;
            let offers = challenge::offers(response.headers().get_all(WWW_AUTHENTICATE))?;
            let answer = offers.iter().find(|offer| offer.is(scheme.name()));
            let token = answer.and_then(|offer| offer.token.clone());
            let status = response.status();
            let headers = response.headers().clone();
            let limit = if carried.is_some() { self.max_answer } else { MAX_HANDSHAKE_ANSWER };
            let body = read(response.into_body(), limit).await?;
            if status == StatusCode::UNAUTHORIZED {
                match token {
                    Some(token) if !step.established => {
                        (context, step) = self.step(context, Some(token)).await?;
                        continue;
                    }
                    // A Kerberos error or a SPNEGO rejection says why.
                    Some(token) => {
                        self.step(context, Some(token)).await?;
                    }
                    // The server has not read it: it knows the scheme or the form of the token not at all.
                    None if leg == 0 && !offers.is_empty() && (answer.is_none() || !kerberos_first) => {
                        return Err(Failed::NotOffered { offered: names(&offers) });
                    }
                    None => {}
                }
                return Err(Failed::Refused { offered: names(&offers) });
            }
            if !step.established {
                let Some(token) = token else {
                    if carried.is_none() && !status.is_success() {
                        return Ok(Opened::Elsewhere(Reply { status, headers, body, is_verified: false }));
                    }
                    let reason = "it accepted the request without a token of its own".to_owned();
                    let unverified = ContextError::Unverified(reason);
                    return Err(match carried {
                        Some(_) => Failed::Answer(unverified),
                        None => Failed::Context(unverified),
                    });
                };
                let stepped = self.step(context, Some(token)).await;
                (context, step) = match stepped {
                    Err(Failed::Context(error)) if carried.is_some() => return Err(Failed::Answer(error)),
                    stepped => stepped?,
                };
                if !step.established || step.token.is_some() {
                    return Err(Failed::Context(ContextError::Malformed {
                        what: "handshake",
                        reason: format!("the server answered {status} before the handshake was complete"),
                    }));
                }
            }
            let mut connection = Connection { sender, context, protocol, used: Instant::now() };
            if carried.is_some() {
                let reply = self.unseal(&mut connection, status, headers, body)?;
                return Ok(Opened::Answered(connection, reply));
            }
            // An authenticated empty request may be answered with an error for its missing envelope.
            return Ok(match status.as_u16() {
                200..=299 | 400 | 411 | 500 => Opened::Ready(connection),
                _ => Opened::Elsewhere(Reply { status, headers, body, is_verified: false }),
            });
        }
        Err(Failed::Context(ContextError::Malformed {
            what: "handshake",
            reason: format!("the server asked for more than {MAX_LEGS} messages"),
        }))
    }

    /// Takes one step of a context on a thread that may block: Kerberos asks a KDC.
    async fn step(
        &self,
        mut context: Box<dyn Context>,
        token: Option<Vec<u8>>,
    ) -> Result<(Box<dyn Context>, crate::security::Step), Failed> {
        let asks_kdc = token.is_none();
        let stepping = tokio::task::spawn_blocking(move || {
            let step = context.step(token.as_deref());
            (context, step)
        });
        match tokio::time::timeout(self.limit, stepping).await {
            Ok(Ok((context, step))) => Ok((context, step?)),
            // The runtime ends.
            Ok(Err(error)) => Err(Failed::Connection(error.into())),
            // The library goes on waiting (27 s in MIT krb5); a KDC that is silent for so long is not there.
            Err(_) if asks_kdc => {
                let text = format!("no KDC answered within {}", humantime::format_duration(self.limit));
                Err(Failed::Context(ContextError::Kerberos {
                    problem: KerberosProblem::KdcUnreachable,
                    code: KDC_UNREACHABLE,
                    text,
                }))
            }
            Err(_) => Err(Failed::Late),
        }
    }

    /// Sends an envelope on an authenticated connection.
    async fn request(&self, connection: &mut Connection, envelope: &Bytes) -> Result<Reply, Failed> {
        let request = if self.seals {
            let context = &mut *connection.context;
            let (content_type, body) = sealed::seal(context, connection.protocol, MEDIA_TYPE, envelope)?;
            Prepared { content_type, body: body.into() }
        } else {
            Prepared::plain(envelope.clone())
        };
        let response = self.send(&mut connection.sender, request, None).await?;
        let status = response.status();
        let headers = response.headers().clone();
        let body = read(response.into_body(), self.max_answer).await?;
        self.unseal(connection, status, headers, body)
    }

    async fn send(
        &self,
        sender: &mut SendRequest<Full<Bytes>>,
        request: Prepared,
        authorization: Option<HeaderValue>,
    ) -> Result<Response<Incoming>, Failed> {
        let path = &self.uri[url::Position::BeforePath..url::Position::AfterQuery];
        let host = &self.uri[url::Position::BeforeHost..url::Position::AfterPort];
        // hyper leaves the length of an empty body out, and http.sys answers such a request with 411.
        let length = request.body.len();
        let mut http = Request::post(path)
            .body(Full::from(request.body))
            .map_err(|error| Failed::Connection(error.into()))?;
        let headers = http.headers_mut();
        let value =
            |text: &str| HeaderValue::from_str(text).map_err(|error| Failed::Connection(error.into()));
        headers.insert(HOST, value(host)?);
        headers.insert(CONTENT_LENGTH, length.into());
        headers.insert(USER_AGENT, AGENT);
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        headers.insert(CONTENT_TYPE, value(&request.content_type)?);
        if let Some(authorization) = authorization {
            headers.insert(AUTHORIZATION, authorization);
        }
        sender.ready().await?;
        Ok(sender.send_request(http).await?)
    }

    /// Unseals an answer. An answer in plain is taken for what its status says, and its body for nothing.
    fn unseal(
        &self,
        connection: &mut Connection,
        status: StatusCode,
        headers: HeaderMap,
        body: Vec<u8>,
    ) -> Result<Reply, Failed> {
        if !self.seals {
            return Ok(Reply { status, headers, body, is_verified: true });
        }
        let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if sealed::is_sealed(kind) {
            let body = sealed::unseal(&mut *connection.context, kind, &body).map_err(Failed::Answer)?;
            return Ok(Reply { status, headers, body, is_verified: true });
        }
        if status.is_success() {
            return Err(Failed::Answer(ContextError::Malformed {
                what: "answer",
                reason: "it is not sealed, and over http every answer has to be".to_owned(),
            }));
        }
        Ok(Reply { status, headers, body, is_verified: false })
    }
}

/// A request's body and its type.
struct Prepared {
    content_type: String,
    body: Bytes,
}

impl Prepared {
    fn plain(body: Bytes) -> Self {
        Self { content_type: MEDIA_TYPE.to_owned(), body }
    }
}

impl Scheme {
    fn header(self, token: &[u8]) -> Result<HeaderValue, Failed> {
        let text = format!("{} {}", self.name(), STANDARD.encode(token));
        let mut header = HeaderValue::try_from(text).map_err(|error| Failed::Connection(error.into()))?;
        header.set_sensitive(true);
        Ok(header)
    }
}

/// Whether a request was certainly not sent: the connection had ended before.
fn was_not_sent(failure: &(dyn std::error::Error + 'static)) -> bool {
    failure.downcast_ref::<hyper::Error>().is_some_and(|error| error.is_canceled() || error.is_closed())
}

/// Reads a body up to a limit.
pub(super) async fn read(mut rest: Incoming, limit: usize) -> Result<Vec<u8>, Failed> {
    let mut body = Vec::new();
    while let Some(frame) = rest.frame().await {
        // Trailers mean nothing here.
        let Ok(chunk) = frame?.into_data() else { continue };
        if body.len() + chunk.len() > limit {
            return Err(Failed::TooLarge(limit));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn names(offers: &[Offer]) -> Vec<String> {
    offers.iter().map(|offer| offer.scheme.clone()).collect()
}

/// The schemes that an answer offers.
pub(super) fn offered(headers: &HeaderMap) -> Vec<String> {
    match challenge::offers(headers.get_all(WWW_AUTHENTICATE)) {
        Ok(offers) => names(&offers),
        Err(error) => {
            tracing::debug!("{error}");
            Vec::new()
        }
    }
}
