//! Interactive shells: the built-in console and PowerShell with the profile's module.

pub mod connection;
pub mod console;
pub mod module;
pub mod pwsh;
pub mod status_line;

use tokio::sync::mpsc;

use crate::psrp::client;
use connection::Connection;

/// A shell's attachment to one session.
pub struct Attached {
    /// The profile's name.
    pub name: String,
    /// The connection that holds the session.
    pub connection: Connection,
    /// Session events that belong to no pipeline.
    pub events: mpsc::UnboundedReceiver<client::ClientEvent>,
    /// Notices for the user, such as a lost or reopened session.
    pub notices: mpsc::UnboundedReceiver<String>,
}

/// Handling of a session that is lost while a shell uses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnLoss {
    /// Interactive use: open a new session.
    Reconnect,
    /// Script use: end the shell, since its commands rely on the state of one session.
    Exit,
}
