//! What the person types into.

pub mod connection;
pub mod console;
pub mod module;
pub mod pwsh;
pub mod status_line;

use tokio::sync::mpsc;

use crate::psrp::client;
use connection::Connection;

/// What a shell works with.
pub struct Attached {
    /// The profile's name.
    pub name: String,
    /// The way to its session.
    pub connection: Connection,
    /// What is the session's own and no pipeline's.
    pub events: mpsc::UnboundedReceiver<client::ClientEvent>,
    /// Lines for the person: the session was lost, a new one is open.
    pub notices: mpsc::UnboundedReceiver<String>,
}

/// What becomes of a session that is lost under a shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Losses {
    /// A person sits there: another is made.
    Mend,
    /// The shell ends: what it runs was meant for one session.
    End,
}
