//! Status of an agent's clients and pipelines.

use std::time::Duration;

/// Clients are numbered in the order in which they attached.
pub type ClientId = u64;

/// Client process, as far as the socket identifies it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientInfo {
    /// The program's name, for example `pwsh`.
    pub program: Option<String>,
    pub process_id: Option<u32>,
}

impl std::fmt::Display for ClientInfo {
    /// Writes the client's name for other shells' users: `pwsh (process 1234)`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.program.as_deref().unwrap_or("another shell"))?;
        match self.process_id {
            Some(id) => write!(f, " (process {id})"),
            None => Ok(()),
        }
    }
}

/// Number of clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Attached streams whose runspace pool is not closed, including those that have sent nothing.
    pub connected: usize,
    /// `connected`, and the streams whose runspace pool is closed.
    pub streams: usize,
    /// Streams with an open runspace pool.
    pub opened: usize,
    /// Runspace pools opened since the start.
    pub ever_opened: u64,
}

/// State of the remote pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    Open,
    /// Closed on request.
    Closed,
    /// Lost, with the reason.
    Broken(String),
}

/// Running pipelines and their clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    pub clients: Vec<ClientStatus>,
    /// Idle time; zero while a pipeline runs.
    pub idle: Duration,
    /// Pipelines on the endpoint, including those of detached shells.
    pub running: usize,
    /// Pipelines waiting for a runspace.
    pub queued: usize,
    pub counters: Counters,
}

/// Counters of the session, from its opening.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Pipelines started on the endpoint.
    pub pipelines: u64,
    /// Bytes of messages from the endpoint.
    pub received: u64,
    /// Bytes of messages to the endpoint.
    pub sent: u64,
    /// Errors of the users' pipelines, and pipelines that ended without a final state.
    pub errors: u64,
}

/// One attached client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientStatus {
    pub info: ClientInfo,
    /// Time since the client attached.
    pub attached: Duration,
    /// Commands of the client's running and queued pipelines.
    pub commands: Vec<String>,
    /// Bytes of answers that the client has not read.
    pub unread: usize,
}
