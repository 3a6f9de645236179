//! Interface of a transport: requests in, events out.

use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::error::Error;
use crate::psrp::client::Outgoing;
use crate::psrp::message::Message;

/// Request of a runspace pool's owner to its connection. Dropping the sender closes the pool.
#[derive(Debug)]
pub enum ConnectionRequest {
    /// Sends a complete message. A pipeline's first message starts it. `ordered` is answered when the peer
    /// has the message in order (DataAck, CommandResponse, SendResponse).
    Send { outgoing: Outgoing, ordered: Option<oneshot::Sender<()>> },
    /// Stops a pipeline with Signal. PIPELINE_STATE 3 (stopped) and [`ConnectionEvent::StopAcknowledged`] follow.
    Stop(Uuid),
    /// Releases an ended pipeline with Signal (terminate) or Close.
    ClosePipeline(Uuid),
    /// Resumes or pauses a pipeline's output; initially resumed. While paused, output is not fetched for that
    /// pipeline, output in transit still arrives, and other pipelines continue. A byte stream cannot pause a
    /// single pipeline and ignores this.
    Flow { pipeline: Uuid, wanted: bool },
    /// Closes the runspace pool and removes the session; answered when the server has confirmed or the limit
    /// has expired.
    Close(oneshot::Sender<Result<(), Error>>),
}

impl ConnectionRequest {
    /// Returns the pipeline that this request starts.
    pub fn started(&self) -> Option<Uuid> {
        match self {
            Self::Send { outgoing: Outgoing { message, .. }, .. } => {
                message.kind.starts_pipeline().then_some(message.pipeline)
            }
            _ => None,
        }
    }
}

/// Event of a connection.
#[derive(Debug)]
pub enum ConnectionEvent {
    Message(Message),
    StopAcknowledged(Uuid),
    PipelineClosed(Uuid),
    /// A pipeline could not be started, or ended without a final state; other pipelines are not affected. It may have
    /// run if the error is [`Error::OutcomeUnknown`].
    PipelineFailed(Uuid, Error),
    /// The server or the connection is permanently lost. The last event. `unsent`: pipelines that were requested and
    /// certainly not sent; the others may have run.
    Broken {
        error: Error,
        unsent: Vec<Uuid>,
    },
    /// Closed on request. The last event.
    Closed,
}

/// An open connection to a runspace pool.
///
/// `events` is bounded and shared by all pipelines: an owner that does not read blocks all of them. An owner
/// with several consumers therefore always reads, keeps a queue per pipeline, and sends
/// [`ConnectionRequest::Flow`] when a queue is full and when it has room again; later output of the paused
/// pipeline is bounded by the channel and one server response. In the other direction requests are accepted
/// immediately; an owner waits for `ordered` before it sends more on the same pipeline.
#[derive(Debug)]
pub struct Connection {
    pub requests: mpsc::Sender<ConnectionRequest>,
    pub events: mpsc::Receiver<ConnectionEvent>,
}
