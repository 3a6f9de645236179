//! Tunnels through an HTTP proxy (RFC 9110 9.3.6), with authentication (RFC 9110 11.7, RFC 4559 for security contexts).
//!
//! hyper-util's `Tunnel` does not fit: it hides the answer, and sends one CONNECT on each connection.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body_util::Empty;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{HOST, HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, USER_AGENT};
use hyper::upgrade::Upgraded;
use hyper::{Request, Response, StatusCode, body::Incoming};
use secrecy::ExposeSecret as _;
use tokio::time::Instant;

use super::error::{ProxyProblem, ProxyStep};
use super::login::{Method, ProxyLogin};
use super::route::Proxy;
use crate::net::basic::{basic, secret_header};
use crate::net::io::Io;
use crate::net::steps::{self, StepFailure, Stepped, token_header};
use crate::net::{AGENT, innermost, refusals, response};
use crate::security::challenge::{self, Offer};
use crate::security::negotiation::{ChallengeOutcome, Negotiation};
use crate::security::{Context, ContextError, initiate};

/// Maximum number of messages of one authentication; NTLM in SPNEGO takes three.
const MAX_LEGS: usize = 6;
/// Maximum number of methods to try: Kerberos in two forms, NTLM in three, and Basic.
const MAX_METHODS: usize = 6;
/// Maximum size of a response's body, in bytes.
const MAX_BODY: usize = 256 * 1024;

/// A new connection to the proxy.
pub struct Link {
    pub stream: Box<dyn Io>,
    /// The channel binding of the proxy's certificate.
    pub binding: Option<Vec<u8>>,
}

/// Opens connections to a proxy.
pub trait Dial: Sync {
    fn dial(&self, deadline: Instant) -> BoxFuture<'_, Result<Link, ProxyProblem>>;
}

/// A tunnel to `target` that is not open yet.
pub struct Tunnel<'a> {
    pub proxy: &'a Proxy,
    /// Host and port.
    pub target: &'a str,
    pub dial: &'a dyn Dial,
    pub deadline: Instant,
    pub limit: Duration,
}

type Sender = SendRequest<Empty<Bytes>>;

/// The answer to a CONNECT.
enum Reply {
    Open(Upgraded),
    /// 407.
    Unauthenticated(Vec<Offer>),
}

/// The reason why a method failed.
enum Attempt {
    Refused,
    /// The proxy ignored the token: it did not refuse the credential.
    NotOffered(Vec<String>),
    Context(ContextError),
    Problem(ProxyProblem),
}

impl From<ProxyProblem> for Attempt {
    fn from(problem: ProxyProblem) -> Self {
        Self::Problem(problem)
    }
}

impl Tunnel<'_> {
    /// Opens the tunnel. Returns it with the deadline, which is later if a KDC or another connection's test of the
    /// credential took time.
    pub async fn open(mut self) -> Result<(Upgraded, Instant), ProxyProblem> {
        let login = self.proxy.login.clone();
        if login.as_ref().is_none_or(|login| login.method().is_none()) {
            let (mut sender, _) = self.connect().await?;
            let offered = match self.ask(&mut sender, None).await? {
                Reply::Open(tunnel) => return Ok((tunnel, self.deadline)),
                Reply::Unauthenticated(offers) => challenge::names(&offers),
            };
            let Some(login) = &login else { return Err(ProxyProblem::Required { offered }) };
            if !login.choose(&offered) {
                return Err(ProxyProblem::NotOffered { offered });
            }
        }
        let Some(login) = login else { return Err(ProxyProblem::Required { offered: Vec::new() }) };
        let tunnel = self.log_in(&login).await?;
        Ok((tunnel, self.deadline))
    }

    /// Tries the methods that the proxy offers. A refused credential is not sent again.
    async fn log_in(&mut self, login: &ProxyLogin) -> Result<Upgraded, ProxyProblem> {
        for _ in 0..MAX_METHODS {
            // Held until the result is recorded.
            let testing = login.test_lock(&mut self.deadline, self.limit).await;
            let _testing = testing.map_err(|_| self.late(ProxyStep::Authenticate))?;
            let Some(method) = login.method() else { break };
            let mut pass = self.pass(login).await?;
            let attempt = match &method {
                Method::Basic => self.basic(login).await,
                Method::Context(negotiation) => self.context(negotiation, &mut pass).await,
            };
            match attempt {
                Ok(tunnel) => {
                    login.accepted();
                    pass.into_iter().for_each(refusals::Pass::accepted);
                    return Ok(tunnel);
                }
                Err(Attempt::Refused) => {
                    pass.into_iter().for_each(refusals::Pass::refused);
                    return Err(refused(login));
                }
                Err(failed) => change_method(login, &method, failed)?,
            }
        }
        let reason = "the offers of the proxy change with each request".to_owned();
        Err(ProxyProblem::Unreadable { step: ProxyStep::Authenticate, reason })
    }

    /// Returns the permission to send the password once; `None` for the system's credential.
    async fn pass(&self, login: &ProxyLogin) -> Result<Option<refusals::Pass>, ProxyProblem> {
        match login.credential(&self.proxy.address) {
            Some(credential) => credential.pass().await.map(Some).ok_or_else(|| refused(login)),
            None => Ok(None),
        }
    }

    async fn basic(&mut self, login: &ProxyLogin) -> Result<Upgraded, Attempt> {
        let header = login
            .password()
            .and_then(|(user, password)| secret_header(basic(user, password.expose_secret())));
        let (mut sender, _) = self.connect().await?;
        match self.ask(&mut sender, header).await? {
            Reply::Open(tunnel) => Ok(tunnel),
            Reply::Unauthenticated(_) => Err(Attempt::Refused),
        }
    }

    /// Authenticates one connection with a security context.
    async fn context(
        &mut self,
        negotiation: &Negotiation,
        pass: &mut Option<refusals::Pass>,
    ) -> Result<Upgraded, Attempt> {
        let mode @ (mechanism, scheme) = negotiation.mode();
        let (mut sender, binding) = self.connect().await?;
        let initiator = negotiation.initiator(mechanism, self.proxy.address.host(), binding);
        let context = initiate(&initiator).map_err(Attempt::Context)?;
        let (mut context, mut step) = if mechanism.is_kerberos() {
            self.first_step(context, pass.take()).await?
        } else {
            self.step(context, None).await?
        };
        for leg in 0..MAX_LEGS {
            let token = step.token.take().ok_or_else(|| self.unreadable("no further message is due"))?;
            let header = token_header(scheme, &token).map_err(|error| self.unreadable(error))?;
            let offers = match self.ask(&mut sender, Some(header)).await? {
                Reply::Open(tunnel) => return Ok(tunnel),
                Reply::Unauthenticated(offers) => offers,
            };
            match ChallengeOutcome::of(mode, leg, &offers) {
                ChallengeOutcome::Refused => return Err(Attempt::Refused),
                ChallengeOutcome::NotOffered => return Err(Attempt::NotOffered(challenge::names(&offers))),
                ChallengeOutcome::Token(token) => {
                    let was_established = step.established;
                    (context, step) = self.step(context, Some(token)).await?;
                    if was_established {
                        return Err(Attempt::Refused);
                    }
                }
            }
        }
        Err(self.unreadable(format!("it asked for more than {MAX_LEGS} messages")).into())
    }

    /// Takes Kerberos' first step. The time that the KDC takes extends the deadline, because the KDC has its own time
    /// limit.
    async fn first_step(
        &mut self,
        context: Box<dyn Context>,
        pass: Option<refusals::Pass>,
    ) -> Result<Stepped, Attempt> {
        let since = Instant::now();
        let stepped = steps::first_step(context, pass).await;
        self.deadline += since.elapsed();
        stepped.map_err(|failure| self.not_stepped(failure))
    }

    async fn step(&self, context: Box<dyn Context>, token: Option<Vec<u8>>) -> Result<Stepped, Attempt> {
        steps::step(context, token, self.limit).await.map_err(|failure| self.not_stepped(failure))
    }

    fn not_stepped(&self, failure: StepFailure) -> Attempt {
        match failure {
            StepFailure::Context(error) => Attempt::Context(error),
            StepFailure::Late => self.late(ProxyStep::Authenticate).into(),
            StepFailure::Ended(error) => self.unreadable(error).into(),
        }
    }

    /// Opens a connection; returns the channel binding as well.
    async fn connect(&self) -> Result<(Sender, Option<Vec<u8>>), ProxyProblem> {
        let Link { stream, binding } = self.dial.dial(self.deadline).await?;
        let (sender, driver) =
            http1::handshake(stream).await.map_err(|error| broken(ProxyStep::Connect, &error))?;
        tokio::spawn(async move {
            if let Err(error) = driver.with_upgrades().await {
                tracing::trace!("a connection to a proxy ended: {error}");
            }
        });
        Ok((sender, binding))
    }

    /// Sends CONNECT and reads the answer.
    async fn ask(
        &self,
        sender: &mut Sender,
        authorization: Option<HeaderValue>,
    ) -> Result<Reply, ProxyProblem> {
        let step = if authorization.is_some() { ProxyStep::Authenticate } else { ProxyStep::Connect };
        let mut request = Request::connect(self.target)
            .header(HOST, self.target)
            .header(USER_AGENT, AGENT)
            .body(Empty::new())
            .map_err(|error| ProxyProblem::Unreadable { step, reason: error.to_string() })?;
        if let Some(authorization) = authorization {
            request.headers_mut().insert(PROXY_AUTHORIZATION, authorization);
        }
        let exchange = async {
            sender.ready().await.map_err(|error| broken(step, &error))?;
            let response = sender.send_request(request).await.map_err(|error| broken(step, &error))?;
            self.read(step, response).await
        };
        self.in_time(step, exchange).await?
    }

    async fn read(&self, step: ProxyStep, response: Response<Incoming>) -> Result<Reply, ProxyProblem> {
        let status = response.status();
        if status.is_success() {
            let tunnel = hyper::upgrade::on(response).await.map_err(|error| broken(step, &error))?;
            return Ok(Reply::Open(tunnel));
        }
        let (head, body) = response.into_parts();
        let body = response::read_body(&head.headers, body, MAX_BODY).await;
        if status == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
            // An incomplete body only prevents a further request on this connection.
            let offers = challenge::offers(head.headers.get_all(PROXY_AUTHENTICATE));
            let offers =
                offers.map_err(|error| ProxyProblem::Unreadable { step, reason: error.to_string() })?;
            return Ok(Reply::Unauthenticated(offers));
        }
        Err(ProxyProblem::Answered {
            target: self.target.to_owned(),
            status: status.as_u16(),
            reason: status.canonical_reason().unwrap_or("without a reason"),
            detail: response::describe(&head.headers, &body.unwrap_or_default()),
        })
    }

    async fn in_time<T>(&self, step: ProxyStep, work: impl Future<Output = T>) -> Result<T, ProxyProblem> {
        tokio::time::timeout_at(self.deadline, work).await.map_err(|_| self.late(step))
    }

    fn late(&self, step: ProxyStep) -> ProxyProblem {
        ProxyProblem::Late { step, limit: self.limit }
    }

    fn unreadable(&self, reason: impl ToString) -> ProxyProblem {
        ProxyProblem::Unreadable { step: ProxyStep::Authenticate, reason: reason.to_string() }
    }
}

/// Selects another method after a failed one. The proxy has not refused the credential.
fn change_method(login: &ProxyLogin, used: &Method, failed: Attempt) -> Result<(), ProxyProblem> {
    match (failed, used) {
        (Attempt::Problem(problem), _) => Err(problem),
        (Attempt::Refused, _) => Err(refused(login)),
        (Attempt::NotOffered(offered), _) if login.switch_to_offered(used, &offered) => Ok(()),
        (Attempt::NotOffered(offered), _) => Err(ProxyProblem::NotOffered { offered }),
        (Attempt::Context(error), Method::Context(negotiation))
            if negotiation.fall_back(negotiation.mode().0, &error) =>
        {
            Ok(())
        }
        (Attempt::Context(error), _) => Err(ProxyProblem::Context { user: login.user().to_owned(), error }),
    }
}

fn refused(login: &ProxyLogin) -> ProxyProblem {
    ProxyProblem::Refused { user: login.user().to_owned() }
}

/// Converts a failure of the HTTP client.
fn broken(step: ProxyStep, error: &hyper::Error) -> ProxyProblem {
    let reason = innermost(error);
    if error.is_parse() {
        return ProxyProblem::Unreadable { step, reason };
    }
    if error.is_closed() || error.is_canceled() {
        let reason = "it closed the connection, or sent data before the request".to_owned();
        return ProxyProblem::ConnectionLost { step, reason };
    }
    ProxyProblem::ConnectionLost { step, reason }
}
