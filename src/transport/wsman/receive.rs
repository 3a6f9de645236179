//! Long polling: sends Receives for one pipeline or the pool, and joins the messages. The next Receive is
//! sent as soon as a response has arrived, before its messages are processed.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use uuid::Uuid;

use super::envelope::{CommandState, Received};
use super::sequence::{Pause, Sequence};
use super::shell::Shell;
use crate::psrp::fragment::Defragmenter;
use crate::psrp::message::{Message, MessageError};
use crate::transport::{ConnectionEvent, Error};

/// Maximum time for which a Receive with a lost connection is retried: the session still exists on the
/// server, and most network failures are shorter.
const LOST_LIMIT: Duration = Duration::from_secs(15);
/// Delay before the first retry; each further delay is three times as long, up to [`LAST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LAST_WAIT: Duration = Duration::from_secs(1);
/// A Receive that was pending longer had reached the endpoint. Gateways and firewalls end such idle requests
/// (HAProxy, nginx: 50 to 60 s); this is not an outage.
const MIN_PENDING_TIME: Duration = Duration::from_secs(1);
/// An empty response that arrives sooner is from a server that does not wait.
const MIN_POLL_TIME: Duration = Duration::from_millis(20);
/// Number of consecutive such responses after which Receives are delayed, and the delay.
const HASTY_ANSWERS: u32 = 10;
const HASTY_DELAY: Duration = Duration::from_millis(200);

/// Sender of events. While the connection is closing, events need not be read.
#[derive(Clone)]
pub(super) struct Events {
    pub sender: mpsc::Sender<ConnectionEvent>,
    pub closing: watch::Receiver<bool>,
}

impl Events {
    pub async fn emit(&self, event: ConnectionEvent) {
        let mut closing = self.closing.clone();
        tokio::select! {
            // The receiver may have been dropped.
            _ = self.sender.send(event) => {}
            _ = closing.wait_for(|closing| *closing) => {}
        }
    }
}

/// Receiver of one pipeline or the pool.
pub(super) struct Receiver {
    shell: Arc<Shell>,
    sequence: Arc<Sequence>,
    command: Option<Uuid>,
    /// The pending Receive; aborted with this receiver.
    pending: JoinSet<ReceiveResult>,
    defragmenter: Defragmenter,
    /// Number of consecutive empty responses that arrived immediately.
    hasty: u32,
    /// Whether a connection was lost with a Receive pending.
    was_cut: bool,
    /// Object id of the latest complete message.
    latest: u64,
    /// Object id up to which lost messages belong to other pipelines.
    since: u64,
}

/// The response to a Receive after timeouts and reconnections.
struct ReceiveResult {
    result: Result<Received, Error>,
    was_cut: bool,
    /// Duration of the last request.
    took: Duration,
}

impl Receiver {
    /// `since`: the object id of the last message received before the command was sent.
    pub fn new(shell: Arc<Shell>, sequence: Arc<Sequence>, command: Option<Uuid>, since: u64) -> Self {
        Self {
            shell,
            sequence,
            command,
            pending: JoinSet::new(),
            defragmenter: Defragmenter::default(),
            hasty: 0,
            was_cut: false,
            latest: 0,
            since,
        }
    }

    /// Checks that all messages before this pipeline's last message have arrived. They are complete unless a
    /// connection was lost.
    pub async fn is_complete(&self) -> Result<(), Error> {
        if !self.was_cut {
            return Ok(());
        }
        fail_if_missing(self.sequence.missing_between(self.since, self.latest).await)
    }

    /// Returns the next response's messages, if any, and its state. If `wanted` returns true, the next
    /// Receive is sent before the messages are read. Safe to cancel.
    pub async fn next(
        &mut self,
        wanted: impl FnOnce() -> bool,
    ) -> Result<(Vec<Message>, Option<CommandState>), Error> {
        if self.pending.is_empty() {
            self.send_receive();
        }
        let Some(Ok(ReceiveResult { result, was_cut, took })) = self.pending.join_next().await else {
            // The runtime is shutting down.
            return Err(Error::Closed);
        };
        self.was_cut = was_cut;
        let received = result?;
        let hasty = received.streams.is_empty() && took < MIN_POLL_TIME;
        self.hasty = if hasty { self.hasty + 1 } else { 0 };
        if self.hasty > HASTY_ANSWERS {
            // A server that does not wait must not cause a busy loop.
            tokio::time::sleep(HASTY_DELAY).await;
        }
        if received.state != Some(CommandState::Done) && wanted() {
            self.send_receive();
        }
        if received.streams.is_empty() && received.state.is_none() {
            check_missing(&self.sequence, self.command, self.since, self.was_cut).await?;
        }
        let messages = self.read(received.streams.into_iter().map(|part| part.data))?;
        Ok((messages, received.state))
    }

    /// Records that no output is fetched until the returned value is dropped.
    pub fn pause(&self) -> Pause {
        self.sequence.pause()
    }

    fn send_receive(&mut self) {
        let (shell, sequence) = (self.shell.clone(), self.sequence.clone());
        self.pending.spawn(answer(shell, sequence, self.command, self.since, self.was_cut));
    }

    fn read(&mut self, parts: impl Iterator<Item = Vec<u8>>) -> Result<Vec<Message>, Error> {
        let mut messages = Vec::new();
        for data in parts {
            // A repeated Receive may be answered twice.
            let data = self.sequence.without_repeats(data);
            self.latest = self.latest.max(self.sequence.record(&data).unwrap_or(0));
            let whole = self.defragmenter.push(&data);
            for bytes in whole.map_err(|error| Error::Protocol(error.to_string()))? {
                match Message::decode(&bytes) {
                    Ok(message) => messages.push(message),
                    Err(MessageError::UnknownType(kind)) => {
                        tracing::warn!("skipping a message of unknown type {kind:#010x}");
                    }
                    Err(error) => return Err(Error::Protocol(error.to_string())),
                }
            }
        }
        Ok(messages)
    }
}

/// Returns one response: repeats the Receive after timeouts and lost connections.
async fn answer(
    shell: Arc<Shell>,
    sequence: Arc<Sequence>,
    command: Option<Uuid>,
    since: u64,
    mut was_cut: bool,
) -> ReceiveResult {
    let mut lost: Option<(Instant, Duration)> = None;
    loop {
        let (sent, before) = (Instant::now(), shell.reconnections());
        let received = shell.receive(command).await;
        let took = sent.elapsed();
        let silent = match &received {
            Err(Error::Fault(fault)) => fault.is_timed_out(),
            Err(error) => error.is_given_up() && took > MIN_PENDING_TIME,
            Ok(_) => false,
        };
        // Data in transit on the previous connection may be lost. A fault, of another server, loses no message.
        let loses_data = |error: &Error| error.is_lost() && !matches!(error, Error::Fault(_));
        if shell.reconnections() != before || received.as_ref().is_err_and(loses_data) {
            was_cut = true;
            sequence.record_lost_connection(sent);
        }
        let result = match received {
            Err(error) if silent => {
                tracing::debug!("a Receive is repeated after silence: {error}");
                lost = None;
                match check_missing(&sequence, command, since, was_cut).await {
                    Ok(()) => continue,
                    Err(error) => Err(error),
                }
            }
            Err(error) if error.is_lost() => {
                let (since, wait) = lost.unwrap_or((Instant::now(), FIRST_WAIT));
                if since.elapsed() <= LOST_LIMIT {
                    tracing::debug!("a Receive is repeated: {error}");
                    tokio::time::sleep(wait).await;
                    lost = Some((since, LAST_WAIT.min(wait * 3)));
                    continue;
                }
                let text = format!("{error}; retries failed, and the session may still exist");
                Err(Error::Ended(text))
            }
            other => other,
        };
        return ReceiveResult { result, was_cut, took };
    }
}

/// Checks after a timeout whether messages are missing: the last message may have been lost with a
/// connection. Later messages of the session, for other pipelines or the keep-alive, reveal the loss.
async fn check_missing(
    sequence: &Sequence,
    command: Option<Uuid>,
    since: u64,
    was_cut: bool,
) -> Result<(), Error> {
    if was_cut && command.is_some() { fail_if_missing(sequence.missing_since(since).await) } else { Ok(()) }
}

/// Returns an error unless the number of missing messages is zero.
fn fail_if_missing(missing: u64) -> Result<(), Error> {
    match missing {
        0 => Ok(()),
        1 => Err(Error::Ended(
            "the connection was lost while receiving output; 1 message is missing".to_owned(),
        )),
        missing => {
            let text =
                format!("the connection was lost while receiving output; {missing} messages are missing");
            Err(Error::Ended(text))
        }
    }
}
