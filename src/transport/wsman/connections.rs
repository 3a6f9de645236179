//! Connections authenticated by security contexts.
//!
//! Negotiate authenticates a TCP connection (RFC 4559 §6): each connection has its own context and carries one
//! request at a time. A session has at least two connections, because Send and Signal are sent while a Receive
//! is pending.
//!
//! Round trips until the first envelope is answered, without TCP and TLS: 1 for Kerberos over https (token and
//! envelope in one request), 2 for Kerberos over http (the first answer confirms the key that seals the body), 2
//! for NTLM (the envelope is sent with the second token), for NTLM in SPNEGO 2 over https and 3 over http.

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{
    AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, WWW_AUTHENTICATE,
};
use hyper::{Request, StatusCode};
use tokio::sync::Notify;
use tokio::time::Instant;
use url::Url;

use super::endpoint::Cookies;
use super::envelope::MEDIA_TYPE;
use super::wire;
use crate::net::response::{self, BodyError};
use crate::net::steps::{self, KDC_TIMEOUT, StepFailure, Stepped, token_header};
use crate::net::{Connector, Failure, KEEP_IDLE, host_name, refusals};
use crate::security::challenge;
use crate::security::negotiation::{ChallengeOutcome, Negotiation, Scheme};
use crate::security::{Context, ContextError, Mechanism, initiate, sealed};
use crate::transport::error::Operation;

/// Maximum idle time of a connection for Command and Send, which cannot be repeated.
const MAX_COMMAND_IDLE: Duration = Duration::from_secs(20);
/// Assumed duration of a handshake before the first is measured, and the minimum of the measured value: a handshake may
/// take longer when the machine is busy.
const USUAL_HANDSHAKE: Duration = Duration::from_millis(200);
const MIN_HANDSHAKE: Duration = Duration::from_millis(50);
/// Maximum number of handshake messages; NTLM in SPNEGO takes three.
const MAX_LEGS: usize = 6;
/// Maximum number of attempts: Kerberos in two forms, then NTLM in three.
const MAX_MODES: usize = 5;
/// Maximum size of the answer to a handshake message.
const MAX_HANDSHAKE_ANSWER: usize = 1024 * 1024;

/// An answer with its unsealed body.
pub(super) struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    /// Bytes of the request.
    pub sent: usize,
    /// Whether the body is authenticated: by TLS or by sealing.
    pub is_verified: bool,
    /// Whether status and headers are authenticated: by TLS. Sealing protects only the body.
    pub has_verified_head: bool,
}

/// The reason why a request has no answer.
pub(super) enum ExchangeError {
    /// The connection failed.
    Connection(Failure),
    /// The body is too large or not readable.
    Body(BodyError),
    /// The security context failed before the envelope was accepted.
    Context(ContextError),
    /// The answer to the envelope cannot be unsealed.
    Answer(ContextError),
    /// The server refused the last token.
    Refused { mechanism: Mechanism, offered: Vec<String> },
    /// The server did not read the token: it does not offer the mechanism.
    NotOffered { mechanism: Mechanism, offered: Vec<String> },
    /// This credential was refused before and is not sent again.
    KnownRefusal,
    /// The handshake took too long.
    Late,
}

impl From<ContextError> for ExchangeError {
    fn from(error: ContextError) -> Self {
        Self::Context(error)
    }
}

impl From<StepFailure> for ExchangeError {
    fn from(failure: StepFailure) -> Self {
        match failure {
            StepFailure::Context(error) => Self::Context(error),
            StepFailure::Late => Self::Late,
            StepFailure::Ended(error) => Self::Connection(error.into()),
        }
    }
}

impl From<BodyError> for ExchangeError {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::Connection(error) => error.into(),
            error => Self::Body(error),
        }
    }
}

impl From<hyper::Error> for ExchangeError {
    fn from(error: hyper::Error) -> Self {
        Self::Connection(error.into())
    }
}

/// The authenticated connections to one endpoint.
///
/// It owns the idle connections with their contexts; clones share them. The HTTP channel of the WSMan transport
/// passes it the envelopes. Each connection carries one request at a time, a refused password is not sent again, and
/// a request that may have been executed is repeated only if its operation has no effect (Enumerate).
#[derive(Clone)]
pub(super) struct Connections(Arc<Shared>);

struct Shared {
    connector: Connector,
    uri: Url,
    cookies: Cookies,
    negotiation: Arc<Negotiation>,
    /// The password for this endpoint; `None` for the system's credential.
    credential: Option<refusals::Credential>,
    /// Whether bodies are sealed: only over http.
    seals: bool,
    /// Time limit for one message of a handshake.
    limit: Duration,
    max_answer: usize,
    /// Held until a server or KDC has accepted or refused the credential: a wrong password is sent only once.
    verification: tokio::sync::Mutex<()>,
    idle: Mutex<Vec<Connection>>,
    /// Number of connections that will be idle soon: those that are opened in advance, and those of requests other
    /// than Receive.
    busy: AtomicUsize,
    freed: Notify,
    /// Duration of a handshake: a request waits at most this long for a connection to become idle.
    handshake_time: Mutex<Duration>,
}

/// Counts a connection that will be idle soon.
struct Busy(Arc<Shared>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::SeqCst);
        self.0.freed.notify_waiters();
    }
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
    /// The envelope was sent with the last message.
    Answered(Connection, Reply),
    Ready(Connection),
    /// The server answered the handshake with another status, such as a redirect.
    OtherAnswer(Reply),
}

impl Connections {
    pub fn new(
        connector: Connector,
        (uri, cookies): (Url, Cookies),
        negotiation: Arc<Negotiation>,
        credential: Option<refusals::Credential>,
        limit: Duration,
        max_answer: usize,
    ) -> Self {
        let seals = uri.scheme() != "https";
        Self(Arc::new(Shared {
            connector,
            uri,
            cookies,
            negotiation,
            credential,
            seals,
            limit,
            max_answer,
            verification: tokio::sync::Mutex::default(),
            idle: Mutex::default(),
            busy: AtomicUsize::new(0),
            freed: Notify::new(),
            handshake_time: Mutex::new(USUAL_HANDSHAKE),
        }))
    }

    /// Sends an envelope and returns the answer.
    ///
    /// A request refused with 401 was not executed: it is sent once more on a new connection. An idle connection
    /// that answers with an empty 400 is not used again: the server may have lost its keys.
    pub async fn exchange(&self, envelope: &Bytes, operation: Operation) -> Result<Reply, ExchangeError> {
        let repeats = operation == Operation::Enumerate;
        let max_idle = if matches!(operation, Operation::Command | Operation::Send) {
            MAX_COMMAND_IDLE
        } else {
            KEEP_IDLE
        };
        while let Some(mut connection) = self.idle_connection(max_idle).await {
            let busy = (operation != Operation::Receive).then(|| self.busy());
            let answer = self.0.request(&mut connection, envelope).await;
            match answer {
                Ok(reply) if reply.status == StatusCode::UNAUTHORIZED => {
                    tracing::debug!("a kept connection is no longer authenticated");
                    break;
                }
                Ok(reply) => {
                    if reply.status == StatusCode::BAD_REQUEST && reply.body.is_empty() {
                        tracing::debug!("a kept connection answers with an empty 400: its keys may be gone");
                    } else {
                        self.keep(connection);
                    }
                    drop(busy);
                    return Ok(reply);
                }
                Err(ExchangeError::Connection(failure)) if repeats || was_not_sent(&*failure) => {
                    tracing::debug!("a kept connection has ended: {failure}");
                }
                Err(failed) => return Err(failed),
            }
        }
        // The answer to Receive takes long, and would delay the verdict on the credential.
        let carried = (operation != Operation::Receive).then_some(envelope);
        match self.open(carried).await? {
            Opened::Answered(connection, reply) => {
                self.keep(connection);
                if operation == Operation::Create && reply.status.is_success() {
                    self.prepare();
                }
                Ok(reply)
            }
            Opened::OtherAnswer(reply) => Ok(reply),
            Opened::Ready(mut connection) => {
                if operation == Operation::Create {
                    self.prepare();
                }
                let reply = match self.0.request(&mut connection, envelope).await {
                    Err(ExchangeError::Connection(failure)) if was_not_sent(&*failure) => {
                        return Err(ExchangeError::Connection(wire::not_connected(failure)));
                    }
                    reply => reply?,
                };
                if reply.status == StatusCode::UNAUTHORIZED {
                    let (mechanism, _) = self.0.negotiation.mode();
                    // IIS authenticates each request of a connection unless `authPersistNonNTLM` is set: the envelope
                    // must go with the ticket.
                    if mechanism.is_kerberos()
                        && carried.is_none()
                        && let Opened::Answered(connection, reply) = self.open(Some(envelope)).await?
                    {
                        self.keep(connection);
                        return Ok(reply);
                    }
                    return Err(ExchangeError::Refused { mechanism, offered: offered(&reply.headers) });
                }
                self.keep(connection);
                Ok(reply)
            }
        }
    }

    /// Opens a second connection in the background: a Receive occupies the first one, and the first command need not
    /// wait for a handshake.
    fn prepare(&self) {
        let (connections, busy) = (self.clone(), self.busy());
        tokio::spawn(async move {
            let begun = Instant::now();
            match tokio::time::timeout(KDC_TIMEOUT, connections.open(None)).await {
                Ok(Ok(Opened::Ready(connection))) => {
                    *connections.handshake_time() = begun.elapsed().max(MIN_HANDSHAKE);
                    connections.keep(connection);
                }
                Ok(Ok(_)) => {}
                Ok(Err(_)) | Err(_) => tracing::debug!("no second connection could be opened in advance"),
            }
            drop(busy);
        });
    }

    fn busy(&self) -> Busy {
        self.0.busy.fetch_add(1, Ordering::SeqCst);
        Busy(self.0.clone())
    }

    fn handshake_time(&self) -> MutexGuard<'_, Duration> {
        self.0.handshake_time.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns an idle connection. If a connection will be idle soon, waits for it, at most for the duration of a
    /// handshake.
    async fn idle_connection(&self, max_idle: Duration) -> Option<Connection> {
        let deadline = Instant::now() + *self.handshake_time();
        loop {
            let mut freed = pin!(self.0.freed.notified());
            freed.as_mut().enable();
            if let Some(connection) = self.take_idle(max_idle) {
                return Some(connection);
            }
            if self.0.busy.load(Ordering::SeqCst) == 0 {
                return None;
            }
            tokio::time::timeout_at(deadline, freed).await.ok()?;
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the most recently used idle connection, and closes connections that were idle for `max_idle`.
    fn take_idle(&self, max_idle: Duration) -> Option<Connection> {
        let mut idle = self.idle();
        idle.retain(|one| !one.sender.is_closed() && one.used.elapsed() < max_idle);
        idle.pop()
    }

    fn keep(&self, mut connection: Connection) {
        connection.used = Instant::now();
        if !connection.sender.is_closed() {
            self.idle().push(connection);
        }
    }

    /// Opens a connection with the first mechanism that works. A refused credential is not sent again.
    async fn open(&self, envelope: Option<&Bytes>) -> Result<Opened, ExchangeError> {
        for _ in 0..MAX_MODES {
            let verification = self.0.verification.lock().await;
            let mut pass = match self.0.credential {
                Some(credential) => Some(credential.pass().await.ok_or(ExchangeError::KnownRefusal)?),
                None => None,
            };
            let (mechanism, scheme) = self.0.negotiation.mode();
            let result = self.0.handshake((mechanism, scheme), envelope, (verification, &mut pass)).await;
            match result {
                Ok(opened) => {
                    if matches!(opened, Opened::Answered(..) | Opened::Ready(_)) {
                        self.0.negotiation.settle();
                        pass.into_iter().for_each(refusals::Pass::accepted);
                    }
                    return Ok(opened);
                }
                Err(ExchangeError::Context(error)) if self.0.negotiation.fall_back(mechanism, &error) => {}
                Err(ExchangeError::NotOffered { mechanism, offered }) => {
                    if !self.0.negotiation.switch_to_offered((mechanism, scheme), &offered) {
                        return Err(ExchangeError::NotOffered { mechanism, offered });
                    }
                }
                Err(refused @ ExchangeError::Refused { .. }) => {
                    // There is a pass only if the server, not a KDC, checks the password.
                    pass.into_iter().for_each(refusals::Pass::refused);
                    return Err(refused);
                }
                Err(failed) => return Err(failed),
            }
        }
        Err(ExchangeError::Context(ContextError::Malformed {
            what: "handshake",
            reason: "the server's offers change with each request".to_owned(),
        }))
    }
}

impl Shared {
    /// Connects and establishes a security context.
    async fn handshake(
        &self,
        (mechanism, scheme): (Mechanism, Scheme),
        envelope: Option<&Bytes>,
        (verification, pass): (tokio::sync::MutexGuard<'_, ()>, &mut Option<refusals::Pass>),
    ) -> Result<Opened, ExchangeError> {
        let is_kerberos = mechanism.is_kerberos();
        let mut verification = Some(verification);
        let (conn, binding) =
            wire::open(&self.connector, &self.uri).await.map_err(ExchangeError::Connection)?;
        let context = initiate(&self.negotiation.initiator(mechanism, host_name(&self.uri), binding))?;
        let (mut context, mut step) = if is_kerberos {
            let first = steps::first_step(context, pass.take()).await?;
            verification.take();
            first
        } else {
            self.step(context, None).await?
        };
        let (mut sender, driver) = http1::handshake(conn).await.map_err(not_connected)?;
        tokio::spawn(async move {
            if let Err(error) = driver.await {
                tracing::trace!("a connection ended: {error}");
            }
        });
        for leg in 0..MAX_LEGS {
            let Some(token) = step.token.take() else {
                return Err(ExchangeError::Context(ContextError::Malformed {
                    what: "handshake",
                    reason: "the security context has nothing to send".to_owned(),
                }));
            };
            // NTLM's first message never authenticates, and a body can be sealed only with the keys.
            let may_carry = step.established || (is_kerberos && !self.seals);
            let carried = envelope.filter(|_| may_carry);
            let protocol = scheme.protocol();
            let authorization = token_header(scheme, &token);
            let authorization = Some(authorization.map_err(|error| ExchangeError::Connection(error.into()))?);
            let answer = if let Some(envelope) = carried {
                let request = self.prepared(&mut *context, protocol, envelope)?;
                self.send(&mut sender, request, authorization, self.max_answer).await?
            } else {
                let request = Prepared::plain(Bytes::new());
                let sending = self.send(&mut sender, request, authorization, MAX_HANDSHAKE_ANSWER);
                match tokio::time::timeout(self.limit, sending).await {
                    Ok(Err(ExchangeError::Connection(failure))) => {
                        return Err(ExchangeError::Connection(wire::not_authenticated(failure)));
                    }
                    Ok(answer) => answer?,
                    Err(_) => return Err(ExchangeError::Late),
                }
            };
            let Answer { status, headers, body, sent } = answer;
            let offers = challenge::offers(headers.get_all(WWW_AUTHENTICATE))?;
            if status == StatusCode::UNAUTHORIZED {
                let offered = challenge::names(&offers);
                match ChallengeOutcome::of((mechanism, scheme), leg, &offers) {
                    ChallengeOutcome::Refused => return Err(ExchangeError::Refused { mechanism, offered }),
                    ChallengeOutcome::NotOffered => {
                        return Err(ExchangeError::NotOffered { mechanism, offered });
                    }
                    ChallengeOutcome::Token(token) => {
                        let stepped = self.step(context, Some(token)).await;
                        if step.established {
                            // A KRB-ERROR has the reason; any other token is ignored.
                            stepped?;
                            return Err(ExchangeError::Refused { mechanism, offered });
                        }
                        (context, step) = stepped?;
                        continue;
                    }
                }
            }
            let offer = offers.iter().find(|offer| offer.is(scheme.name()));
            let token = offer.and_then(|offer| offer.token.clone());
            let other_answer = |body| Reply {
                status,
                headers: headers.clone(),
                body,
                sent,
                is_verified: !self.seals,
                has_verified_head: !self.seals,
            };
            if !step.established {
                let Some(token) = token else {
                    if !status.is_success() {
                        return Ok(Opened::OtherAnswer(other_answer(body)));
                    }
                    let reason = "it accepted the request without a token of its own".to_owned();
                    let unverified = ContextError::Unverified(reason);
                    return Err(match carried {
                        Some(_) => ExchangeError::Answer(unverified),
                        None => ExchangeError::Context(unverified),
                    });
                };
                let stepped = self.step(context, Some(token)).await;
                (context, step) = match stepped {
                    Err(StepFailure::Context(error)) if carried.is_some() => {
                        return Err(ExchangeError::Answer(error));
                    }
                    stepped => stepped?,
                };
                if !step.established || step.token.is_some() {
                    return Err(ExchangeError::Context(ContextError::Malformed {
                        what: "handshake",
                        reason: format!("the server answered {status} before the handshake was complete"),
                    }));
                }
            }
            drop(verification);
            let mut connection = Connection { sender, context, protocol, used: Instant::now() };
            if carried.is_some() {
                let reply = self.unseal(&mut connection, Answer { status, headers, body, sent })?;
                return Ok(Opened::Answered(connection, reply));
            }
            // An authenticated request without an envelope may be answered with an error.
            return Ok(match status.as_u16() {
                200..=299 | 400 | 411 | 500 => Opened::Ready(connection),
                _ => Opened::OtherAnswer(other_answer(body)),
            });
        }
        Err(ExchangeError::Context(ContextError::Malformed {
            what: "handshake",
            reason: format!("the server asked for more than {MAX_LEGS} messages"),
        }))
    }

    async fn step(&self, context: Box<dyn Context>, token: Option<Vec<u8>>) -> Result<Stepped, StepFailure> {
        steps::step(context, token, self.limit).await
    }

    /// Sends an envelope on an authenticated connection.
    async fn request(&self, connection: &mut Connection, envelope: &Bytes) -> Result<Reply, ExchangeError> {
        let request = self.prepared(&mut *connection.context, connection.protocol, envelope)?;
        let answer = self.send(&mut connection.sender, request, None, self.max_answer).await?;
        self.unseal(connection, answer)
    }

    /// Returns an envelope as the body of a request; over http, sealed.
    fn prepared(
        &self,
        context: &mut dyn Context,
        protocol: sealed::Protocol,
        envelope: &Bytes,
    ) -> Result<Prepared, ContextError> {
        if !self.seals {
            return Ok(Prepared::plain(envelope.clone()));
        }
        let (content_type, body) = sealed::seal(context, protocol, MEDIA_TYPE, envelope)?;
        Ok(Prepared { content_type, body: body.into() })
    }

    /// Sends a request and reads its answer, whose body has at most `limit` bytes.
    async fn send(
        &self,
        sender: &mut SendRequest<Full<Bytes>>,
        request: Prepared,
        authorization: Option<HeaderValue>,
        limit: usize,
    ) -> Result<Answer, ExchangeError> {
        let path = &self.uri[url::Position::BeforePath..url::Position::AfterQuery];
        let host = &self.uri[url::Position::BeforeHost..url::Position::AfterPort];
        // hyper omits the length of an empty body, and http.sys then answers with 411.
        let length = request.body.len();
        let mut http = Request::post(path)
            .body(Full::from(request.body))
            .map_err(|error| ExchangeError::Connection(error.into()))?;
        let headers = http.headers_mut();
        let value =
            |text: &str| HeaderValue::from_str(text).map_err(|error| ExchangeError::Connection(error.into()));
        headers.insert(HOST, value(host)?);
        headers.insert(CONTENT_LENGTH, length.into());
        wire::add_common(headers, value(&request.content_type)?);
        self.cookies.affinity.apply(&self.uri, headers);
        if let Some(authorization) = authorization {
            headers.insert(AUTHORIZATION, authorization);
        }
        sender.ready().await?;
        let (head, body) = sender.send_request(http).await?.into_parts();
        self.cookies.receive(&self.uri, &head.headers);
        let body = response::read_body(&head.headers, body, limit).await?;
        Ok(Answer { status: head.status, headers: head.headers, body, sent: length })
    }

    /// Unseals an answer. An unsealed error response only provides the status and the text of an error.
    fn unseal(&self, connection: &mut Connection, answer: Answer) -> Result<Reply, ExchangeError> {
        let Answer { status, headers, body, sent } = answer;
        if !self.seals {
            return Ok(Reply { status, headers, body, sent, is_verified: true, has_verified_head: true });
        }
        let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if sealed::is_sealed(kind) {
            let body =
                sealed::unseal(&mut *connection.context, kind, &body).map_err(ExchangeError::Answer)?;
            return Ok(Reply { status, headers, body, sent, is_verified: true, has_verified_head: false });
        }
        if status.is_success() {
            return Err(ExchangeError::Answer(ContextError::Malformed {
                what: "answer",
                reason: "it is not sealed, and over http every answer has to be".to_owned(),
            }));
        }
        Ok(Reply { status, headers, body, sent, is_verified: false, has_verified_head: false })
    }
}

/// An answer as it was received.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
    /// Bytes of the request.
    sent: usize,
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

/// Converts a failure that occurred before an envelope was sent.
fn not_connected(error: hyper::Error) -> ExchangeError {
    ExchangeError::Connection(wire::not_connected(error.into()))
}

/// Returns whether a request was not sent because the connection was already closed.
fn was_not_sent(failure: &(dyn std::error::Error + 'static)) -> bool {
    failure.downcast_ref::<hyper::Error>().is_some_and(|error| error.is_canceled() || error.is_closed())
}

/// Returns the schemes that an answer offers.
pub(super) fn offered(headers: &HeaderMap) -> Vec<String> {
    match challenge::offers(headers.get_all(WWW_AUTHENTICATE)) {
        Ok(offers) => challenge::names(&offers),
        Err(error) => {
            tracing::debug!("{error}");
            Vec::new()
        }
    }
}
