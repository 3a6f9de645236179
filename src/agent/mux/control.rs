//! What the task of a session is asked.

use tokio::sync::oneshot;

use super::client::Kind;
use super::status::{ClientId, ClientInfo, Status};
use crate::psrp::key::{KeyError, KeyPair};
use crate::transport::Error;
use crate::transport::stream::Server;

/// What the agent asks of the task, or a part of the task of another.
#[derive(Debug)]
pub enum Control {
    Attach(Server, ClientInfo, Kind),
    Status(oneshot::Sender<Status>),
    Close(oneshot::Sender<Result<(), Error>>),
    /// A client has read most of what waited for it.
    Drained(ClientId),
    /// A client that has asked for its pool gets its answer now.
    Answer(ClientId),
    /// The key pair for the exchange with the endpoint was made.
    Pair(Result<KeyPair, KeyError>),
}
