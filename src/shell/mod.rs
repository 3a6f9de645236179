//! What the person types into.

pub mod console;
pub mod foot;
pub mod module;
pub mod pwsh;

use tokio::sync::mpsc;

use crate::psrp::client;
use crate::transport::session::Session;

/// What a shell works with.
pub struct Attached {
    /// The profile's name.
    pub name: String,
    /// A runspace pool on the agent's socket.
    pub session: Session,
    /// What is the pool's own and no pipeline's.
    pub events: mpsc::Receiver<client::Event>,
    /// Lines for the person: the connection broke, a new session is there.
    pub notices: mpsc::UnboundedReceiver<String>,
}

/// How a shell ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The person left, or the input ended; the exit code.
    Left(u8),
    /// The session is gone under it. It is called again with the next one.
    Lost,
}
