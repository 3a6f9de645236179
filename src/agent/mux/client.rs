//! One attached client: negotiation, queue and session key state.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use uuid::Uuid;

use super::rewrite;
use super::status::{ClientId, ClientInfo};
use crate::psrp::clixml::Value;
use crate::psrp::message::{Destination, Message, MessageType};
use crate::psrp::server::ServerPool;
use crate::transport::backpressure::{Backlog, RESUME};
use crate::transport::stream::{Incoming, Sender, Server};

/// Time limit for a client to open its pool after connecting, and to disconnect after closing it.
const PHASE_TIMEOUT: Duration = Duration::from_secs(30);

/// Server side of one client's stream.
pub struct Client {
    pub info: ClientInfo,
    pub kind: Kind,
    pub since: Instant,
    /// Deadline for opening the pool, or for disconnecting after closing it.
    pub until: Option<Instant>,
    pub phase: Phase,
    /// Composes the agent's own messages to this client.
    pub server: ServerPool,
    /// The client's runspace pool id; nil until the client has sent it.
    pub pool: Uuid,
    /// The host data of its INIT_RUNSPACEPOOL.
    pub host: Value,
    pub key: KeyState,
    /// Messages withheld until the client has the session key.
    withheld: VecDeque<Message>,
    withheld_bytes: usize,
    sender: Sender,
    /// Unread output; beyond a limit the client's pipelines are throttled.
    pub backlog: Backlog,
    pump: JoinHandle<()>,
}

/// Kind of client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Shell,
    /// The agent itself.
    Own,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// INIT_RUNSPACEPOOL has not arrived yet.
    Negotiating,
    Open,
    /// The client has closed its pool; the end of its stream follows.
    Closed,
}

/// State of the client's session key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    None,
    /// PUBLIC_KEY_REQUEST was sent, or the client's PUBLIC_KEY is being answered.
    Requested,
    Established,
}

impl Client {
    /// Starts reading from the client.
    pub fn new(
        id: ClientId,
        server: Server,
        (info, kind): (ClientInfo, Kind),
        private_data: Value,
        from_clients: mpsc::Sender<(ClientId, Incoming)>,
    ) -> Self {
        let Server { mut incoming, sender } = server;
        let pump = tokio::spawn(async move {
            while let Some(next) = incoming.recv().await {
                if from_clients.send((id, next)).await.is_err() {
                    return;
                }
            }
        });
        Self {
            info,
            kind,
            since: Instant::now(),
            until: Some(Instant::now() + PHASE_TIMEOUT),
            phase: Phase::Negotiating,
            server: ServerPool::new(private_data),
            pool: Uuid::nil(),
            host: Value::Null,
            key: KeyState::None,
            withheld: VecDeque::new(),
            withheld_bytes: 0,
            sender,
            backlog: Backlog::default(),
            pump,
        }
    }

    /// Queues a message for the client under the client's pool id. A message with a SecureString, and all
    /// that follow it, wait until the client has the session key; the client's public key is requested.
    pub fn deliver(&mut self, mut message: Message) {
        message.pool = self.pool;
        message.destination = Destination::Client;
        if self.withheld.is_empty()
            && (self.key == KeyState::Established || !rewrite::has_secret(&message.body))
        {
            return self.sender.push(message);
        }
        if self.key == KeyState::None {
            self.key = KeyState::Requested;
            // PowerShell's client fails on an empty body.
            let body = "<S></S>".to_owned();
            self.sender.push(self.pool_message(MessageType::PublicKeyRequest, body));
        }
        self.withheld_bytes += message.body.len();
        self.withheld.push_back(message);
    }

    /// Sends ENCRYPTED_SESSION_KEY and the withheld messages.
    pub fn give_key(&mut self, sealed: String) {
        let body = rewrite::body_of(vec![("EncryptedSessionKey", Value::String(sealed))]);
        self.sender.push(self.pool_message(MessageType::EncryptedSessionKey, body));
        self.key = KeyState::Established;
        self.withheld_bytes = 0;
        for message in self.withheld.drain(..) {
            self.sender.push(message);
        }
    }

    /// Sends the messages composed in [`Client::server`].
    pub fn flush(&mut self) {
        for message in self.server.take_outgoing() {
            // SESSION_CAPABILITY from the server has no pool id.
            if message.kind == MessageType::SessionCapability {
                self.sender.push(message);
            } else {
                self.deliver(message);
            }
        }
    }

    /// Returns a message of the pool from the agent.
    fn pool_message(&self, kind: MessageType, body: String) -> Message {
        let destination = Destination::Client;
        Message { destination, kind, pool: self.pool, pipeline: Uuid::nil(), body }
    }

    pub fn signal_ack(&self, pipeline: Uuid) {
        self.sender.signal_ack(pipeline);
    }

    pub fn close_ack(&self, id: Uuid) {
        self.sender.close_ack(id);
    }

    /// Returns the bytes of answers that the client has not read.
    pub fn unread(&self) -> usize {
        self.sender.queued() + self.withheld_bytes
    }

    /// Returns whether messages are withheld until the client has the key.
    pub fn withholds(&self) -> bool {
        !self.withheld.is_empty()
    }

    /// Returns whether the client is a shell with an open pool.
    pub fn is_open_shell(&self) -> bool {
        self.kind == Kind::Shell && self.phase == Phase::Open
    }

    /// Records that INIT_RUNSPACEPOOL was answered.
    pub fn opened(&mut self) {
        self.phase = Phase::Open;
        self.until = None;
    }

    /// Records that Close was answered.
    pub fn closed(&mut self) {
        self.phase = Phase::Closed;
        self.until = Some(Instant::now() + PHASE_TIMEOUT);
    }

    /// Calls `caught_up` when fewer than [`RESUME`] bytes are queued or the client has disconnected.
    pub fn watch<F>(&self, caught_up: impl FnOnce() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send,
    {
        let sender = self.sender.clone();
        tokio::spawn(async move {
            sender.room(RESUME).await;
            drop(sender);
            caught_up().await;
        });
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.pump.abort();
    }
}
