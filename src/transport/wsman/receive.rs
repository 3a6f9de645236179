//! The long poll: Receive after Receive for one pipeline, or for the pool, and messages out of what
//! comes. The next Receive is sent as soon as an answer has come, before its messages are processed.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use uuid::Uuid;

use super::envelope::{CommandState, Received};
use super::sequence::Sequence;
use super::shell::Shell;
use crate::psrp::fragment::Defragmenter;
use crate::psrp::message::{Message, MessageError};
use crate::transport::{ConnectionEvent, Error};

/// How long a Receive whose connection was lost is tried anew: the session is still on the server, and
/// a network's hiccup is shorter.
const LOST_LIMIT: Duration = Duration::from_secs(15);
/// The wait before the first new try; each further one waits three times as long, up to
/// [`LAST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LAST_WAIT: Duration = Duration::from_secs(1);
/// A Receive that was pending for longer than this had reached the endpoint. Gateways and firewalls end
/// such silent requests (HAProxy, nginx: 50 to 60 s), which is no outage.
const PENDING: Duration = Duration::from_secs(1);
/// An empty answer that comes sooner is one of a server that does not wait.
const HASTY: Duration = Duration::from_millis(20);
/// Hasty answers in a row that are not slowed down, and by how much the others are.
const HASTY_ANSWERS: u32 = 10;
const SLOWED: Duration = Duration::from_millis(200);

/// Where events go. Once the connection is being closed nobody has to read them any more.
#[derive(Clone)]
pub(super) struct Events {
    pub sender: mpsc::Sender<ConnectionEvent>,
    pub closing: watch::Receiver<bool>,
}

impl Events {
    pub async fn emit(&self, event: ConnectionEvent) {
        let mut closing = self.closing.clone();
        tokio::select! {
            // A receiver that is gone wants nothing.
            _ = self.sender.send(event) => {}
            _ = closing.wait_for(|closing| *closing) => {}
        }
    }
}

/// The reading end of one pipeline, or of the pool.
pub(super) struct Receiver {
    shell: Arc<Shell>,
    sequence: Arc<Sequence>,
    command: Option<Uuid>,
    /// The Receive that is pending; it ends with this receiver.
    asked: JoinSet<Answered>,
    defragmenter: Defragmenter,
    /// Answers in a row that were empty and came at once.
    hasty: u32,
    /// A connection was lost with a Receive pending.
    cut: bool,
    /// The latest message that came whole.
    latest: u64,
    /// What was lost up to this one is another's.
    since: u64,
}

/// The answer to a Receive, after silence was waited out and lost connections were replaced.
struct Answered {
    result: Result<Received, Error>,
    cut: bool,
    /// How long the last request was pending.
    took: Duration,
}

impl Receiver {
    /// `since`: the last message that had arrived before the command was sent.
    pub fn new(shell: Arc<Shell>, sequence: Arc<Sequence>, command: Option<Uuid>, since: u64) -> Self {
        Self {
            shell,
            sequence,
            command,
            asked: JoinSet::new(),
            defragmenter: Defragmenter::default(),
            hasty: 0,
            cut: false,
            latest: 0,
            since,
        }
    }

    /// Whether all that the server sent before this pipeline's last message has arrived. Only a lost
    /// connection raises the question.
    pub async fn is_complete(&self) -> Result<(), Error> {
        if !self.cut {
            return Ok(());
        }
        complete(self.sequence.missing_between(self.since, self.latest).await)
    }

    /// The next answer's messages, which may be none, and the state that came with them. Where
    /// `wanted` says so, the Receive after that is sent before the messages are read. Safe to cancel.
    pub async fn next(
        &mut self,
        wanted: impl FnOnce() -> bool,
    ) -> Result<(Vec<Message>, Option<CommandState>), Error> {
        if self.asked.is_empty() {
            self.ask();
        }
        let Some(Ok(Answered { result, cut, took })) = self.asked.join_next().await else {
            // The runtime ends.
            return Err(Error::Closed);
        };
        self.cut = cut;
        let received = result?;
        let hasty = received.streams.is_empty() && took < HASTY;
        self.hasty = if hasty { self.hasty + 1 } else { 0 };
        if self.hasty > HASTY_ANSWERS {
            // A server that doesn't wait must not make this machine hot.
            tokio::time::sleep(SLOWED).await;
        }
        if received.state != Some(CommandState::Done) && wanted() {
            self.ask();
        }
        if received.streams.is_empty() && received.state.is_none() {
            is_awaited(&self.sequence, self.command, self.since, self.cut).await?;
        }
        let messages = self.read(received.streams.into_iter().map(|part| part.data))?;
        Ok((messages, received.state))
    }

    fn ask(&mut self) {
        let (shell, sequence) = (self.shell.clone(), self.sequence.clone());
        self.asked.spawn(answer(shell, sequence, self.command, self.since, self.cut));
    }

    fn read(&mut self, parts: impl Iterator<Item = Vec<u8>>) -> Result<Vec<Message>, Error> {
        let mut messages = Vec::new();
        for data in parts {
            // A Receive that was repeated may be answered twice.
            let data = self.sequence.fresh(data);
            self.latest = self.latest.max(self.sequence.note(&data).unwrap_or(0));
            let whole = self.defragmenter.push(&data);
            for bytes in whole.map_err(|error| Error::Protocol(error.to_string()))? {
                match Message::decode(&bytes) {
                    Ok(message) => messages.push(message),
                    Err(MessageError::UnknownType(kind)) => {
                        tracing::warn!("a message of the unknown type {kind:#010x} is passed over");
                    }
                    Err(error) => return Err(Error::Protocol(error.to_string())),
                }
            }
        }
        Ok(messages)
    }
}

/// One answer: silence is waited out, a lost connection is replaced.
async fn answer(
    shell: Arc<Shell>,
    sequence: Arc<Sequence>,
    command: Option<Uuid>,
    since: u64,
    mut cut: bool,
) -> Answered {
    let mut lost: Option<(Instant, Duration)> = None;
    loop {
        let (asked, before) = (Instant::now(), shell.reconnections());
        let received = shell.receive(command).await;
        let took = asked.elapsed();
        // What was on its way to the connection before may be lost.
        cut |= shell.reconnections() != before;
        let silent = match &received {
            Err(Error::Fault(fault)) => fault.is_timed_out(),
            Err(error) => error.is_given_up() && took > PENDING,
            Ok(_) => false,
        };
        cut |= received.as_ref().is_err_and(Error::is_lost);
        let result = match received {
            Err(error) if silent => {
                tracing::debug!("a Receive is repeated after silence: {error}");
                lost = None;
                match is_awaited(&sequence, command, since, cut).await {
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
                let text = format!("{error}; it did not answer again, and the session may still be there");
                Err(Error::Ended(text))
            }
            other => other,
        };
        return Answered { result, cut, took };
    }
}

/// Whether anything is still to come, where the server had nothing to say: the last message may have
/// gone with a connection. What the session has said since, to others or to the keep-alive, shows
/// that.
async fn is_awaited(sequence: &Sequence, command: Option<Uuid>, since: u64, cut: bool) -> Result<(), Error> {
    if cut && command.is_some() { complete(sequence.missing_since(since).await) } else { Ok(()) }
}

fn complete(missing: u64) -> Result<(), Error> {
    match missing {
        0 => Ok(()),
        1 => Err(Error::Ended("it was cut while output came, and a message of it is lost".to_owned())),
        missing => {
            let text = format!("it was cut while output came, and {missing} messages of it are lost");
            Err(Error::Ended(text))
        }
    }
}
