//! The operations on one shell, each a request and the answer that belongs to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::endpoint::Endpoint;
use super::envelope::{
    Create, DEFAULT_MAX_ENVELOPE_SIZE, Enumerate, Items, Received, RequestEnvelope, RequestHeader, Response,
    SHELL_RESOURCE, ShellInfo, SignalCode, StreamPart, WsmanRequest,
};
use super::http::{Answer, Http};
use crate::profile::Limits;
use crate::psrp::client::Stream;
use crate::transport::error::{Error, Operation, RedirectRefusal};

/// How long a server may keep a Receive before it says that there is nothing to say.
const RECEIVE_TIMEOUT: Duration = Duration::from_mins(1);
/// How much later than that the answer may arrive.
const RECEIVE_GRACE: Duration = Duration::from_secs(30);
/// How long an endpoint may be out of reach before what a running session has to send is given up.
const OUTAGE: Duration = Duration::from_secs(15);
/// The wait before such a request is tried anew.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);
/// How often one request may find the session disconnected: a Receive waits for a minute, in which
/// that can happen more than once.
const RECONNECTIONS: u32 = 5;
/// Room in an envelope for what varies from request to request: the command's name, numbers.
const MARGIN: usize = 2_048;
/// The most of a command's name that is sent in clear.
const MAX_NAME: usize = 256;

/// How a Create that was answered ended.
pub(super) enum Creation {
    /// The shell is there, with the idle timeout that was granted where the server says it.
    Done { idle_timeout: Option<Duration> },
    /// The server points to this URI.
    Elsewhere(String),
}

/// How a Delete that was answered ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    Deleted,
    /// The server does not know the shell.
    NotFound,
}

/// One shell on an endpoint, there or not yet.
#[derive(Clone)]
pub(super) struct Shell {
    http: Http,
    configuration: String,
    /// The runspace pool's id in capitals: what clients choose for a shell's.
    id: String,
    session: String,
    pub limits: Limits,
    capacity: usize,
    /// How often it was reconnected.
    reconnections: Arc<AtomicUsize>,
}

impl Shell {
    pub fn new(endpoint: &Endpoint, pool: Uuid) -> Result<Self, Error> {
        let mut shell = Self {
            http: Http::new(endpoint)?,
            configuration: endpoint.configuration.clone(),
            id: capitals(pool),
            session: format!("uuid:{}", capitals(Uuid::new_v4())),
            limits: endpoint.limits,
            capacity: 0,
            reconnections: Arc::default(),
        };
        shell.capacity = shell.measure();
        Ok(shell)
    }

    pub fn endpoint_name(&self) -> &str {
        self.http.endpoint_name()
    }

    /// How often the server had it disconnected and it was brought back.
    pub fn reconnections(&self) -> usize {
        self.reconnections.load(Ordering::Relaxed)
    }

    /// How many bytes of fragments fit into one envelope.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// What is left of an envelope beside its headers, whose base64 is a third longer.
    fn measure(&self) -> usize {
        let command =
            WsmanRequest::Command { id: Some(Uuid::nil()), name: String::new(), arguments: Vec::new() };
        let around = self.envelope(command, self.limits.operation).write().len() + MARGIN;
        // A URI of 100 KB is no endpoint's; it must not make the capacity nothing.
        let room = (DEFAULT_MAX_ENVELOPE_SIZE as usize).saturating_sub(around).max(16 * 1024);
        room / 4 * 3
    }

    /// Creates the shell.
    pub async fn create(
        &self,
        data: Vec<u8>,
        idle_timeout: Option<Duration>,
        limit: Duration,
    ) -> Result<Creation, Error> {
        let create = Create {
            shell_id: Some(self.id.clone()),
            name: Some("lyncsh".to_owned()),
            input_streams: "stdin pr".to_owned(),
            output_streams: "stdout".to_owned(),
            idle_timeout,
            data,
        };
        let mut envelope = self.envelope(WsmanRequest::Create(create), limit);
        envelope.header.selectors.clear();
        match self.http.post(envelope.write(), Operation::Create, limit).await? {
            Answer::Redirect(target) => Ok(Creation::Elsewhere(target)),
            Answer::Response(response) => match *response {
                Response::Created { shell_id, shell, .. } if shell_id.eq_ignore_ascii_case(&self.id) => {
                    Ok(Creation::Done { idle_timeout: shell.and_then(|shell| shell.idle_timeout) })
                }
                Response::Created { shell_id, .. } => {
                    Err(Error::Protocol(format!("the shell {shell_id} was created instead of {}", self.id)))
                }
                other => Err(unexpected(other)),
            },
        }
    }

    /// Starts a pipeline with its first fragments.
    pub async fn command(&self, id: Uuid, name: &str, arguments: Vec<u8>) -> Result<(), Error> {
        let name = name.chars().take(MAX_NAME).collect();
        let request = WsmanRequest::Command { id: Some(id), name, arguments };
        match self.operate_when_reachable(request, Operation::Command).await? {
            Response::Commanded { .. } => Ok(()),
            other => Err(unexpected(other)),
        }
    }

    /// Sends fragments of a pipeline, or of the pool.
    pub async fn send(&self, command: Option<Uuid>, stream: Stream, data: Vec<u8>) -> Result<(), Error> {
        let name = match stream {
            Stream::Default => "stdin",
            Stream::PromptResponse => "pr",
        };
        let part = StreamPart { name: name.to_owned(), command, data, end: false };
        let request = WsmanRequest::Send(vec![part]);
        match self.operate_when_reachable(request, Operation::Send).await? {
            Response::Sent => Ok(()),
            other => Err(unexpected(other)),
        }
    }

    /// Waits for what a pipeline, or the pool, has to say. A server with nothing to say answers empty
    /// or with a fault, as its kind has it: [`super::fault::Fault::is_timed_out`].
    pub async fn receive(&self, command: Option<Uuid>) -> Result<Received, Error> {
        let request = WsmanRequest::Receive { streams: vec!["stdout".to_owned()], command };
        let mut envelope = self.envelope(request, RECEIVE_TIMEOUT);
        // What WinRM's own client asks for; other servers pass over it.
        let keep_alive = ("WSMAN_CMDSHELL_OPTION_KEEPALIVE".to_owned(), "TRUE".to_owned());
        envelope.header.options.push(keep_alive);
        let limit = RECEIVE_TIMEOUT + RECEIVE_GRACE;
        match self.answered(envelope, Operation::Receive, limit).await? {
            Response::Received(received) => Ok(received),
            other => Err(unexpected(other)),
        }
    }

    /// Signals a pipeline; repeated after an unclear outcome, which does no harm.
    pub async fn signal(&self, command: Uuid, code: SignalCode) -> Result<(), Error> {
        let operation = match code {
            SignalCode::Stop => Operation::Stop,
            SignalCode::Terminate | SignalCode::Other(_) => Operation::Terminate,
        };
        let request = WsmanRequest::Signal { command: Some(command), code };
        let since = Instant::now();
        loop {
            match self.operate(request.clone(), operation, self.limits.operation).await {
                Err(error) if error.is_lost() && since.elapsed() < OUTAGE => {
                    tracing::debug!("{operation} is tried again: {error}");
                    tokio::time::sleep(RETRY_INTERVAL).await;
                }
                Ok(Response::Signaled) => return Ok(()),
                Ok(other) => return Err(unexpected(other)),
                Err(error) => return Err(error),
            }
        }
    }

    /// Removes the shell.
    pub async fn delete(&self) -> Result<Removal, Error> {
        match self.operate(WsmanRequest::Delete, Operation::Delete, self.limits.close).await {
            Ok(Response::Deleted) => Ok(Removal::Deleted),
            Ok(other) => Err(unexpected(other)),
            Err(error) if error.is_gone() => Ok(Removal::NotFound),
            Err(error) => Err(error),
        }
    }

    /// The caller's shells on the endpoint, whatever their configuration.
    pub async fn enumerate(&self) -> Result<Vec<ShellInfo>, Error> {
        let most = Some(1_000);
        let first =
            WsmanRequest::Enumerate(Enumerate { optimize: true, max_elements: most, filter: Vec::new() });
        let mut items = self.list(first).await?;
        let mut shells = Vec::new();
        loop {
            let Items { shells: some, context, end, .. } = items;
            let none = some.is_empty();
            shells.extend(some);
            let Some(context) = context.filter(|_| !end) else { return Ok(shells) };
            let pull = WsmanRequest::Pull { context, max_elements: most };
            items = self.list(pull).await?;
            if none && items.shells.is_empty() {
                // A server that gives nothing and never ends is believed to be at its end.
                return Ok(shells);
            }
        }
    }

    async fn list(&self, request: WsmanRequest) -> Result<Items, Error> {
        let mut envelope = self.envelope(request, self.limits.operation);
        envelope.header.resource_uri = SHELL_RESOURCE.to_owned();
        envelope.header.selectors.clear();
        envelope.header.options.clear();
        match self.answered(envelope, Operation::Enumerate, self.limits.operation).await? {
            Response::Enumerated(items) | Response::Pulled(items) => Ok(items),
            other => Err(unexpected(other)),
        }
    }

    /// As [`Self::operate`], through an outage: a request for which no connection could be made has
    /// certainly not arrived, and is sent again. One whose answer was lost may have, and is not: a server
    /// would take its bytes twice.
    async fn operate_when_reachable(
        &self,
        request: WsmanRequest,
        operation: Operation,
    ) -> Result<Response, Error> {
        let since = Instant::now();
        loop {
            match self.operate(request.clone(), operation, self.limits.operation).await {
                Err(
                    error
                    @ (Error::Unreachable { .. } | Error::Timeout { operation: Operation::Connect, .. }),
                ) if since.elapsed() < OUTAGE => {
                    tracing::debug!("{operation} is tried again: {error}");
                    tokio::time::sleep(RETRY_INTERVAL).await;
                }
                result => return result,
            }
        }
    }

    async fn operate(
        &self,
        request: WsmanRequest,
        operation: Operation,
        limit: Duration,
    ) -> Result<Response, Error> {
        self.answered(self.envelope(request, limit), operation, limit).await
    }

    /// Sends an envelope; a fault is an error, and so is being sent elsewhere.
    ///
    /// Where the server has disconnected the shell, after a network's failure or for another client, the
    /// shell is reconnected, and a request that may be repeated is. A Command or Send is not: the fault
    /// does not say whether it was carried out before.
    async fn answered(
        &self,
        mut envelope: RequestEnvelope,
        operation: Operation,
        limit: Duration,
    ) -> Result<Response, Error> {
        let mut tries = 0;
        loop {
            let result = self.answered_once(&envelope, operation, limit).await;
            let fault = match &result {
                Err(Error::Fault(fault)) if fault.is_disconnected() => fault,
                _ => return result,
            };
            if tries >= RECONNECTIONS || matches!(envelope.request, WsmanRequest::Delete) {
                return result;
            }
            let repeats = !matches!(envelope.request, WsmanRequest::Command { .. } | WsmanRequest::Send(_));
            tracing::debug!("the session is reconnected: {}", fault.text);
            if let Err(error) = self.reconnect(command_of(&envelope.request)).await {
                tracing::debug!("the session can't be reconnected: {error}");
                return result;
            }
            self.reconnections.fetch_add(1, Ordering::Relaxed);
            if !repeats {
                return result;
            }
            // One that does not stay is not worth a busy loop.
            tokio::time::sleep(RETRY_INTERVAL * tries).await;
            tries += 1;
            envelope.header.message_id = format!("uuid:{}", capitals(Uuid::new_v4()));
        }
    }

    /// Brings back the shell, which is no error where it is there, and then the command.
    async fn reconnect(&self, command: Option<Uuid>) -> Result<(), Error> {
        self.bring_back(WsmanRequest::Reconnect { command: None }).await?;
        if command.is_none() {
            return Ok(());
        }
        match self.bring_back(WsmanRequest::Reconnect { command }).await {
            // MS-PSRP has Reconnect for commands, and clients are known that use Connect.
            Err(Error::Fault(_)) => {
                self.bring_back(WsmanRequest::Connect { command, data: Vec::new() }).await
            }
            result => result,
        }
    }

    async fn bring_back(&self, request: WsmanRequest) -> Result<(), Error> {
        let limit = self.limits.operation;
        let envelope = self.envelope(request, limit);
        match self.answered_once(&envelope, Operation::Reconnect, limit).await? {
            Response::Reconnected | Response::Connected { .. } => Ok(()),
            other => Err(unexpected(other)),
        }
    }

    async fn answered_once(
        &self,
        envelope: &RequestEnvelope,
        operation: Operation,
        limit: Duration,
    ) -> Result<Response, Error> {
        match self.http.post(envelope.write(), operation, limit).await? {
            Answer::Response(response) => match *response {
                Response::Fault(fault) => Err(Error::Fault(fault)),
                response => Ok(response),
            },
            Answer::Redirect(target) => Err(Error::Redirect {
                endpoint: self.endpoint_name().to_owned(),
                target,
                refusal: RedirectRefusal::NotAtOpening,
            }),
        }
    }

    fn envelope(&self, request: WsmanRequest, timeout: Duration) -> RequestEnvelope {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let protocol = matches!(request, WsmanRequest::Create(_) | WsmanRequest::Delete);
        RequestEnvelope {
            header: RequestHeader {
                message_id: format!("uuid:{}", capitals(Uuid::new_v4())),
                to: self.http.uri().to_string(),
                resource_uri: self.configuration.clone(),
                max_envelope_size: Some(DEFAULT_MAX_ENVELOPE_SIZE),
                operation_timeout: Some(timeout),
                locale: Some("en-US".to_owned()),
                data_locale: Some("en-US".to_owned()),
                session_id: Some(self.session.clone()),
                selectors: vec![pair("ShellId", &self.id)],
                options: if protocol { vec![pair("protocolversion", "2.3")] } else { Vec::new() },
            },
            request,
        }
    }
}

/// The command that has to be there for a request.
fn command_of(request: &WsmanRequest) -> Option<Uuid> {
    match request {
        WsmanRequest::Receive { command, .. } | WsmanRequest::Signal { command, .. } => *command,
        WsmanRequest::Send(parts) => parts.iter().find_map(|part| part.command),
        _ => None,
    }
}

fn capitals(id: Uuid) -> String {
    id.hyphenated().to_string().to_uppercase()
}

fn unexpected(response: Response) -> Error {
    match response {
        Response::Fault(fault) => Error::Fault(fault),
        other => Error::Protocol(format!("{} came as an answer to something else", other.name())),
    }
}
