//! The long poll: Receive after Receive for one pipeline, or for the pool, and messages out of what
//! comes.

use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use uuid::Uuid;

use super::envelope::{CommandState, Received};
use super::sequence::Sequence;
use super::shell::Shell;
use crate::psrp::fragment::Defragmenter;
use crate::psrp::message::{Message, MessageError};
use crate::transport::{Error, Event};

/// How long a Receive whose connection was lost is tried anew: the session is still on the server, and
/// a network's hiccup is shorter.
const LOST_LIMIT: Duration = Duration::from_secs(15);
/// The wait before the first new try; each further one waits three times as long, up to
/// [`LAST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LAST_WAIT: Duration = Duration::from_secs(1);

/// Where events go. Once the connection is being closed nobody has to read them any more.
#[derive(Clone)]
pub(super) struct Events {
    pub sender: mpsc::Sender<Event>,
    pub closing: watch::Receiver<bool>,
}

impl Events {
    pub async fn emit(&self, event: Event) {
        let mut closing = self.closing.clone();
        tokio::select! {
            // A receiver that is gone wants nothing.
            _ = self.sender.send(event) => {}
            _ = closing.wait_for(|closing| *closing) => {}
        }
    }
}

/// The reading end of one pipeline, or of the pool.
pub(super) struct Receiver<'a> {
    shell: &'a Shell,
    sequence: &'a Sequence,
    command: Option<Uuid>,
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

impl<'a> Receiver<'a> {
    /// `since`: the last message that had arrived before the command was sent.
    pub fn new(shell: &'a Shell, sequence: &'a Sequence, command: Option<Uuid>, since: u64) -> Self {
        let defragmenter = Defragmenter::default();
        Self { shell, sequence, command, defragmenter, hasty: 0, cut: false, latest: 0, since }
    }

    /// Whether all that the server sent before this pipeline's last message has arrived. Only a lost
    /// connection raises the question.
    pub async fn is_complete(&self) -> Result<(), Error> {
        if !self.cut {
            return Ok(());
        }
        complete(self.sequence.missing_between(self.since, self.latest).await)
    }

    /// Whether anything is still to come, where the server had nothing to say: the last message may have
    /// gone with a connection. What the session has said since, to others or to the keep-alive, shows
    /// that.
    async fn is_awaited(&self) -> Result<(), Error> {
        match self.cut && self.command.is_some() {
            true => complete(self.sequence.missing_since(self.since).await),
            false => Ok(()),
        }
    }

    /// The next answer's messages, which may be none, and the state that came with them.
    pub async fn next(&mut self) -> Result<(Vec<Message>, Option<CommandState>), Error> {
        let started = Instant::now();
        let received = self.receive().await?;
        if received.streams.is_empty() && received.state.is_none() {
            self.is_awaited().await?;
        }
        let mut messages = Vec::new();
        for part in received.streams {
            self.latest = self.latest.max(self.sequence.note(&part.data).unwrap_or(0));
            let whole = self.defragmenter.push(&part.data);
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
        let hasty = messages.is_empty() && started.elapsed() < Duration::from_millis(20);
        self.hasty = if hasty { self.hasty + 1 } else { 0 };
        if self.hasty > 10 {
            // A server that doesn't wait must not make this machine hot.
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok((messages, received.state))
    }

    /// One answer: silence is waited out, a lost connection is replaced.
    async fn receive(&mut self) -> Result<Received, Error> {
        let mut lost: Option<(Instant, Duration)> = None;
        loop {
            let before = self.shell.reconnections();
            let received = self.shell.receive(self.command).await;
            // What was on its way to the connection before may be lost.
            self.cut |= self.shell.reconnections() != before;
            match received {
                Err(Error::Fault(fault)) if fault.is_timed_out() => {
                    lost = None;
                    self.is_awaited().await?;
                }
                Err(error) if is_lost(&error) => {
                    self.cut = true;
                    let (since, wait) = lost.unwrap_or((Instant::now(), FIRST_WAIT));
                    if since.elapsed() > LOST_LIMIT {
                        return Err(Error::Ended(format!(
                            "{error}; it did not answer again, and the session may still be there"
                        )));
                    }
                    tracing::debug!("a Receive is repeated: {error}");
                    tokio::time::sleep(wait).await;
                    lost = Some((since, LAST_WAIT.min(wait * 3)));
                }
                other => return other,
            }
        }
    }
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

fn is_lost(error: &Error) -> bool {
    matches!(error, Error::Ended(_) | Error::Cut { .. } | Error::Unreachable { .. } | Error::Timeout { .. })
}
