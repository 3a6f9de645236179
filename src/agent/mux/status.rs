//! What an agent says about itself.

use std::time::Duration;

/// Clients are numbered in the order in which they attached.
pub type ClientId = u64;

/// Who a client is, as far as the socket tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientInfo {
    /// The program's name, for example `pwsh`.
    pub program: Option<String>,
    pub process_id: Option<u32>,
}

impl std::fmt::Display for ClientInfo {
    /// As other shells' users are told: `pwsh (process 1234)`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.program.as_deref().unwrap_or("another shell"))?;
        match self.process_id {
            Some(id) => write!(f, " (process {id})"),
            None => Ok(()),
        }
    }
}

/// How many clients there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Streams that are attached, whatever they have said.
    pub connected: usize,
    /// Those, and the ones that have closed their runspace pool.
    pub streams: usize,
    /// Those that have an open runspace pool.
    pub opened: usize,
    /// Runspace pools that were ever opened.
    pub ever_opened: u64,
}

/// What the remote pool is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    Open,
    /// Closed as was asked.
    Closed,
    /// Lost, and why.
    Broken(String),
}

/// What runs, and for whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    pub clients: Vec<ClientStatus>,
    /// Since when nothing has run; zero while something runs.
    pub idle: Duration,
    /// Pipelines on the endpoint, those of shells that have gone included.
    pub running: usize,
    /// Pipelines that wait for a runspace.
    pub queued: usize,
}

/// One attached client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientStatus {
    pub info: ClientInfo,
    /// How long it has been attached.
    pub attached: Duration,
    /// What it runs or waits to run.
    pub commands: Vec<String>,
    /// Bytes of answers that it has not read yet.
    pub unread: usize,
}
