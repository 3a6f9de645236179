//! The operations on one shell, each a request with its response.

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
use super::redirect::refused_redirect;
use super::send_state::SendState;
use crate::profile::Limits;
use crate::psrp::client::Stream;
use crate::transport::error::{Error, Operation, RedirectRefusal};

/// Time for the response to any other request to arrive.
const ANSWER_TIME: Duration = Duration::from_secs(5);
/// Maximum time for which a server may hold a Receive without output.
const RECEIVE_TIMEOUT: Duration = Duration::from_mins(1);
/// Additional time for the response to arrive.
const RECEIVE_GRACE: Duration = Duration::from_secs(30);
/// Maximum outage during which requests of a running session are retried.
const MAX_OUTAGE: Duration = Duration::from_secs(15);
/// Delay before such a request is retried.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);
/// Maximum number of reconnections per request: during the minute of a Receive the shell may be disconnected
/// more than once.
const RECONNECTIONS: u32 = 5;
/// Reserve in an envelope for varying parts: the command's name, numbers.
const ENVELOPE_RESERVE: usize = 2_048;
/// Maximum length of a command's name sent in clear text.
const MAX_NAME: usize = 256;

/// Result of a Create that was answered.
pub(super) enum Creation {
    /// The shell was created; contains the granted idle timeout if the server returns it.
    Done { idle_timeout: Option<Duration> },
    /// The server redirects to this URI.
    Redirected(String),
}

/// Result of a Delete that was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    Deleted,
    /// The server does not know the shell.
    NotFound,
}

/// One shell on an endpoint, created or not.
#[derive(Clone)]
pub(super) struct Shell {
    http: Http,
    configuration: String,
    /// The runspace pool's id in capitals, which clients use as the shell's id.
    id: String,
    /// The client's id, `p:SessionId`, which Reconnect checks.
    session: String,
    pub limits: Limits,
    capacity: usize,
    /// Number of reconnections.
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
        shell.capacity = shell.compute_capacity();
        Ok(shell)
    }

    /// Returns how often the shell was disconnected and reconnected.
    pub fn reconnections(&self) -> usize {
        self.reconnections.load(Ordering::Relaxed)
    }

    /// Returns how many bytes of fragments fit into one envelope.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Returns how many bytes of fragments fit into an envelope beside the headers, in base64, which is a third longer.
    fn compute_capacity(&self) -> usize {
        let command =
            WsmanRequest::Command { id: Some(Uuid::nil()), name: String::new(), arguments: Vec::new() };
        let around = self.envelope(command, self.limits.operation).write().len() + ENVELOPE_RESERVE;
        // Even with an absurdly long URI the capacity must not be zero.
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
        let mut envelope = self.envelope(WsmanRequest::Create(create), server_limit(limit));
        envelope.header.selectors.clear();
        match self.http.post(envelope.write(), Operation::Create, limit).await? {
            Answer::Redirect(target) => Ok(Creation::Redirected(target)),
            Answer::Response(response) => match *response {
                Response::Created { shell_id, shell, .. } if shell_id.eq_ignore_ascii_case(&self.id) => {
                    Ok(Creation::Done { idle_timeout: shell.and_then(|shell| shell.idle_timeout) })
                }
                // WinRM 2.0 ignores the client's id.
                Response::Created { shell_id, .. } => {
                    let (own, other) = (&self.id, Self { id: shell_id.clone(), ..self.clone() });
                    let text = format!("it created the shell {shell_id} instead of {own}");
                    Err(match other.delete().await {
                        Ok(_) => Error::Unsupported(format!("{text}; the shell is removed")),
                        Err(error) => Error::Protocol(format!("{text}, which is not removed: {error}")),
                    })
                }
                other => Err(unexpected(other)),
            },
        }
    }

    /// Starts a pipeline with its first fragments. Never returns if `send_state` is cancelled.
    pub async fn command(
        &self,
        id: Uuid,
        name: &str,
        arguments: Vec<u8>,
        send_state: &SendState,
    ) -> Result<(), Error> {
        let name = name.chars().take(MAX_NAME).collect();
        let request = WsmanRequest::Command { id: Some(id), name, arguments };
        match self.operate_when_reachable(request, Operation::Command, Some(send_state)).await? {
            Response::Commanded { .. } => Ok(()),
            other => Err(unexpected(other)),
        }
    }

    /// Sends fragments of a pipeline or the pool.
    pub async fn send(&self, command: Option<Uuid>, stream: Stream, data: Vec<u8>) -> Result<(), Error> {
        let name = match stream {
            Stream::Default => "stdin",
            Stream::PromptResponse => "pr",
        };
        let part = StreamPart { name: name.to_owned(), command, data, end: false };
        let request = WsmanRequest::Send(vec![part]);
        match self.operate_when_reachable(request, Operation::Send, None).await? {
            Response::Sent => Ok(()),
            other => Err(unexpected(other)),
        }
    }

    /// Waits for output of a pipeline or the pool. A server without output returns an empty response or a
    /// fault, depending on its kind: [`super::fault::Fault::is_timed_out`].
    pub async fn receive(&self, command: Option<Uuid>) -> Result<Received, Error> {
        let request = WsmanRequest::Receive { streams: vec!["stdout".to_owned()], command };
        let mut envelope = self.envelope(request, RECEIVE_TIMEOUT);
        // Sent by WinRM's own client; other servers ignore it.
        let keep_alive = ("WSMAN_CMDSHELL_OPTION_KEEPALIVE".to_owned(), "TRUE".to_owned());
        envelope.header.options.push(keep_alive);
        let limit = RECEIVE_TIMEOUT + RECEIVE_GRACE;
        match self.exchange(envelope, Operation::Receive, limit).await? {
            Response::Received(received) => Ok(received),
            other => Err(unexpected(other)),
        }
    }

    /// Signals a pipeline; repeated after an unclear outcome, which is harmless.
    pub async fn signal(&self, command: Uuid, code: SignalCode) -> Result<(), Error> {
        let operation = match code {
            SignalCode::Stop => Operation::Stop,
            SignalCode::Terminate | SignalCode::Other(_) => Operation::Terminate,
        };
        let request = WsmanRequest::Signal { command: Some(command), code };
        let since = Instant::now();
        loop {
            match self.operate(request.clone(), operation, self.limits.operation).await {
                Err(error) if error.is_lost() && since.elapsed() < MAX_OUTAGE => {
                    tracing::debug!("retrying {operation}: {error}");
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

    /// Returns the caller's shells of any configuration on the endpoint.
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
                // A server that returns no items and no end is treated as finished.
                return Ok(shells);
            }
        }
    }

    async fn list(&self, request: WsmanRequest) -> Result<Items, Error> {
        let mut envelope = self.envelope(request, server_limit(self.limits.operation));
        envelope.header.resource_uri = SHELL_RESOURCE.to_owned();
        envelope.header.selectors.clear();
        envelope.header.options.clear();
        match self.exchange(envelope, Operation::Enumerate, self.limits.operation).await? {
            Response::Enumerated(items) | Response::Pulled(items) => Ok(items),
            other => Err(unexpected(other)),
        }
    }

    /// Does the same as [`Self::operate`] with retries: a request that failed without a connection, or reached a server
    /// that does not have the session, has certainly not arrived, and is sent again. A request whose answer was lost may have arrived, and is not sent again: the
    /// server would process its bytes twice.
    async fn operate_when_reachable(
        &self,
        request: WsmanRequest,
        operation: Operation,
        send_state: Option<&SendState>,
    ) -> Result<Response, Error> {
        let since = Instant::now();
        loop {
            if send_state.is_some_and(|send_state| !send_state.mark_sent()) {
                return std::future::pending().await;
            }
            let result = self.operate(request.clone(), operation, self.limits.operation).await;
            let was_not_received = result.as_ref().is_err_and(|error| {
                error.is_not_connected() || matches!(error, Error::Fault(fault) if fault.is_stray())
            });
            if was_not_received {
                send_state.iter().for_each(|send_state| send_state.mark_unsent());
            }
            match result {
                Err(error) if was_not_received && since.elapsed() < MAX_OUTAGE => {
                    tracing::debug!("retrying {operation}: {error}");
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
        self.exchange(self.envelope(request, server_limit(limit)), operation, limit).await
    }

    /// Sends an envelope; faults and redirects are errors.
    ///
    /// If the server has disconnected the shell, after a network failure or for another client, reconnects it
    /// and repeats the request. A Command or Send is not repeated: the fault does not show whether it was
    /// executed.
    async fn exchange(
        &self,
        mut envelope: RequestEnvelope,
        operation: Operation,
        limit: Duration,
    ) -> Result<Response, Error> {
        let mut tries = 0;
        loop {
            let result = self.exchange_once(&envelope, operation, limit).await;
            let fault = match &result {
                Err(Error::Fault(fault)) if fault.is_disconnected() => fault,
                _ => return result,
            };
            if tries >= RECONNECTIONS || matches!(envelope.request, WsmanRequest::Delete) {
                return result;
            }
            let repeats = !matches!(envelope.request, WsmanRequest::Command { .. } | WsmanRequest::Send(_));
            tracing::debug!("reconnecting the session: {}", fault.text);
            if let Err(error) = self.reconnect(command_of(&envelope.request)).await {
                tracing::debug!("cannot reconnect the session: {error}");
                return result;
            }
            self.reconnections.fetch_add(1, Ordering::Relaxed);
            if !repeats {
                return result;
            }
            // Avoids a busy loop if the shell is disconnected repeatedly.
            tokio::time::sleep(RETRY_INTERVAL * tries).await;
            tries += 1;
            envelope.header.message_id = format!("uuid:{}", capitals(Uuid::new_v4()));
        }
    }

    /// Reconnects the shell (not an error if it is connected), and then the command.
    async fn reconnect(&self, command: Option<Uuid>) -> Result<(), Error> {
        self.send_reconnect(WsmanRequest::Reconnect { command: None }).await?;
        if command.is_none() {
            return Ok(());
        }
        match self.send_reconnect(WsmanRequest::Reconnect { command }).await {
            // MS-PSRP specifies Reconnect for commands; some clients use Connect.
            Err(Error::Fault(_)) => {
                self.send_reconnect(WsmanRequest::Connect { command, data: Vec::new() }).await
            }
            result => result,
        }
    }

    async fn send_reconnect(&self, request: WsmanRequest) -> Result<(), Error> {
        let limit = self.limits.operation;
        let envelope = self.envelope(request, server_limit(limit));
        match self.exchange_once(&envelope, Operation::Reconnect, limit).await? {
            Response::Reconnected | Response::Connected { .. } => Ok(()),
            other => Err(unexpected(other)),
        }
    }

    async fn exchange_once(
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
            Answer::Redirect(target) => {
                Err(refused_redirect(self.http.uri(), &target, RedirectRefusal::NotAtOpening))
            }
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

/// Returns the time limit for the server, so that its fault arrives before this side's limit: the fault states what
/// happened, and a lost connection does not.
fn server_limit(limit: Duration) -> Duration {
    limit.saturating_sub(ANSWER_TIME.min(limit / 4))
}

/// Returns the command that must be connected for a request.
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
        other => Error::Protocol(format!("unexpected response {}", other.name())),
    }
}
