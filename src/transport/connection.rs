//! What the rest of the crate sees of a transport: requests in, events out.

use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::error::Error;
use crate::psrp::client::Outgoing;
use crate::psrp::message::Message;

/// What the owner of a runspace pool asks of its connection. Dropping the sender closes the pool.
#[derive(Debug)]
pub enum ConnectionRequest {
    /// Sends a whole message. A pipeline's first message starts it. `ordered` is answered when the
    /// other side has the message safely in order (DataAck, CommandResponse, SendResponse).
    Send { outgoing: Outgoing, ordered: Option<oneshot::Sender<()>> },
    /// Stops a pipeline: Signal. Its PIPELINE_STATE 3 and [`Event::StopAcknowledged`] follow.
    Stop(Uuid),
    /// The owner has seen a pipeline's end: Signal terminate, or Close.
    ClosePipeline(Uuid),
    /// Whether more of a pipeline is wanted; at first it is. While it is not, nothing more is fetched
    /// for that pipeline, what is on its way still comes, and all others go on. A byte stream can't
    /// hold back one pipeline alone and passes over this.
    Flow { pipeline: Uuid, wanted: bool },
    /// Closes the runspace pool and removes the session; answered when the server confirmed or the
    /// limit ran out.
    Close(oneshot::Sender<Result<(), Error>>),
}

/// What a connection says.
#[derive(Debug)]
pub enum ConnectionEvent {
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

/// An open way to a runspace pool on some endpoint.
///
/// `events` is bounded and shared by all pipelines: an owner that does not read is waited for, by all
/// of them. An owner with several consumers therefore always reads, keeps a queue for each pipeline,
/// and says by [`Request::Flow`] when one of them is full and when it has room again; what still
/// comes for a pipeline after that is bounded by the channel and by one answer of the server. In the
/// other direction requests are taken at once, and `ordered` is what an owner waits for before it
/// sends more on the same pipeline.
#[derive(Debug)]
pub struct Connection {
    pub requests: mpsc::Sender<ConnectionRequest>,
    pub events: mpsc::Receiver<ConnectionEvent>,
}
