//! Requests to a session's task.

use tokio::sync::oneshot;

use super::client::Kind;
use super::status::{ClientId, ClientInfo, Status};
use crate::psrp::key::{KeyError, KeyPair};
use crate::transport::Error;
use crate::transport::stream::Server;

/// Request to a session's task from the agent or from a subtask.
#[derive(Debug)]
pub enum Control {
    Attach(Server, ClientInfo, Kind),
    Status(oneshot::Sender<Status>),
    Close(oneshot::Sender<Result<(), Error>>),
    /// A client has read most of its backlog.
    Drained(ClientId),
    /// The delay before the answer to a client's INIT_RUNSPACEPOOL is over.
    Answer(ClientId),
    /// The key pair for the exchange with the endpoint is ready.
    Pair(Result<KeyPair, KeyError>),
}
