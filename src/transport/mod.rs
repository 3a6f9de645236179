//! How PSRP messages travel: over WSMan ([`wsman`]) or over a byte stream in out-of-process framing
//! ([`stream`]). Either way a [`Connection`] is what the rest of the crate sees, and [`session`] is a
//! PSRP client on one.

pub mod session;
pub mod stream;
pub mod wsman;

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use crate::psrp::client::Outgoing;
use crate::psrp::message::Message;

/// What the owner of a runspace pool asks of its connection. Dropping the sender closes the pool.
#[derive(Debug)]
pub enum Request {
    /// Sends a whole message. A pipeline's first message starts it. `ordered` is answered when the
    /// other side has the message safely in order (DataAck, CommandResponse, SendResponse).
    Send { outgoing: Outgoing, ordered: Option<oneshot::Sender<()>> },
    /// Stops a pipeline: Signal. Its PIPELINE_STATE 3 and [`Event::StopAcknowledged`] follow.
    Stop(Uuid),
    /// The owner has seen a pipeline's end: Signal terminate, or Close.
    ClosePipeline(Uuid),
    /// While `hold`, no more of this pipeline's output is wanted: its reader is slow. A transport
    /// that fetches each pipeline's output by itself stops fetching it (WSMan: no further Receive);
    /// one that can't ignores this. Stop and ClosePipeline end a hold.
    Hold { pipeline: Uuid, hold: bool },
    /// Closes the runspace pool and removes the session; answered when the server confirmed or the
    /// limit ran out.
    Close(oneshot::Sender<Result<(), Error>>),
}

/// What a connection says.
#[derive(Debug)]
pub enum Event {
    Message(Message),
    StopAcknowledged(Uuid),
    PipelineClosed(Uuid),
    /// A pipeline could not be started or went on without its end; nobody else is touched.
    PipelineFailed(Uuid, Error),
    /// The server, or the connection for good, is gone. The last event.
    Broken(Error),
    /// Closed as was asked. The last event.
    Closed,
}

/// An open way to a runspace pool on some endpoint. Both channels are bounded: an owner that does
/// not read is waited for.
#[derive(Debug)]
pub struct Connection {
    pub requests: mpsc::Sender<Request>,
    pub events: mpsc::Receiver<Event>,
}

/// How long each step may take; every one comes from the profile.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// TCP, TLS and the first byte of an answer to anything but Receive.
    pub connect: Duration,
    /// Create until the pool is open.
    pub open: Duration,
    /// Command, Send, Signal.
    pub operation: Duration,
    /// Delete, its retry not included.
    pub close: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(15),
            open: Duration::from_secs(60),
            operation: Duration::from_secs(60),
            close: Duration::from_secs(5),
        }
    }
}

/// What went wrong on the way. Each says what was being done; what to do now is said by
/// [`Error::advice`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{endpoint} can't be reached: {reason}")]
    Unreachable { endpoint: String, reason: String },
    #[error("the certificate of {endpoint} is not trusted: {reason}")]
    Certificate { endpoint: String, reason: String },
    #[error("{endpoint} refused the credential of {user}")]
    Unauthorized { endpoint: String, user: String, offered: Vec<String> },
    #[error("{endpoint} answered {status}: {reason}")]
    Http { endpoint: String, status: u16, reason: String },
    #[error("{}", .0.text)]
    Fault(wsman::fault::Fault),
    #[error("{step} took longer than {}", humantime::format_duration(*.limit))]
    Timeout { step: &'static str, limit: Duration },
    #[error("the endpoint broke the protocol: {0}")]
    Protocol(String),
    #[error("the connection ended: {0}")]
    Ended(String),
    #[error("the session was closed")]
    Closed,
}
