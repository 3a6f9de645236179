//! One attached shell: its negotiation, its queue, and the session key as it has it.

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

/// How long a client may take to open its pool after it has connected, and to go after closing it.
const LIMIT: Duration = Duration::from_secs(30);

/// What is between a client's stream and the rest.
pub struct Client {
    pub info: ClientInfo,
    pub kind: Kind,
    pub since: Instant,
    /// When it has to have opened its pool, or to have gone after closing it.
    pub until: Option<Instant>,
    pub phase: Phase,
    /// What the agent says for itself is composed here.
    pub server: ServerPool,
    /// The client's runspace pool; nil before it has named it.
    pub pool: Uuid,
    /// The host data of its INIT_RUNSPACEPOOL.
    pub host: Value,
    pub key: Key,
    /// What waits for the client's key.
    withheld: VecDeque<Message>,
    withheld_bytes: usize,
    sender: Sender,
    /// Whether it has more to read than is good; its pipelines are held back.
    pub backlog: Backlog,
    pump: JoinHandle<()>,
}

/// Who sits at a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Shell,
    /// The agent itself.
    Own,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// INIT_RUNSPACEPOOL has not come yet.
    Negotiating,
    Open,
    /// It has closed its pool; its end of the stream follows.
    Closed,
}

/// Whether the client has the session key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    None,
    /// PUBLIC_KEY_REQUEST was sent, or its PUBLIC_KEY is being answered.
    Asked,
    Given,
}

impl Client {
    /// Starts reading what the client says.
    pub fn new(
        id: ClientId,
        server: Server,
        (info, kind): (ClientInfo, Kind),
        private_data: Value,
        said: mpsc::Sender<(ClientId, Incoming)>,
    ) -> Self {
        let Server { mut incoming, sender } = server;
        let pump = tokio::spawn(async move {
            while let Some(next) = incoming.recv().await {
                if said.send((id, next)).await.is_err() {
                    return;
                }
            }
        });
        Self {
            info,
            kind,
            since: Instant::now(),
            until: Some(Instant::now() + LIMIT),
            phase: Phase::Negotiating,
            server: ServerPool::new(private_data),
            pool: Uuid::nil(),
            host: Value::Null,
            key: Key::None,
            withheld: VecDeque::new(),
            withheld_bytes: 0,
            sender,
            backlog: Backlog::default(),
            pump,
        }
    }

    /// Queues a message for the client, under its own pool id. One with a SecureString, and all that
    /// follow it, wait until the client has the key; it is asked for its own.
    pub fn deliver(&mut self, mut message: Message) {
        message.pool = self.pool;
        message.destination = Destination::Client;
        if self.withheld.is_empty() && (self.key == Key::Given || !rewrite::has_secret(&message.body)) {
            return self.sender.push(message);
        }
        if self.key == Key::None {
            self.key = Key::Asked;
            // An empty body breaks PowerShell's client.
            let body = "<S></S>".to_owned();
            self.sender.push(self.pool_message(MessageType::PublicKeyRequest, body));
        }
        self.withheld_bytes += message.body.len();
        self.withheld.push_back(message);
    }

    /// Sends ENCRYPTED_SESSION_KEY, and what waited for it.
    pub fn give_key(&mut self, sealed: String) {
        let body = rewrite::body_of(vec![("EncryptedSessionKey", Value::String(sealed))]);
        self.sender.push(self.pool_message(MessageType::EncryptedSessionKey, body));
        self.key = Key::Given;
        self.withheld_bytes = 0;
        for message in self.withheld.drain(..) {
            self.sender.push(message);
        }
    }

    /// Sends what the agent has composed for this client in [`Client::server`].
    pub fn flush(&mut self) {
        for message in self.server.take_outgoing() {
            // The server's SESSION_CAPABILITY names no pool.
            if message.kind == MessageType::SessionCapability {
                self.sender.push(message);
            } else {
                self.deliver(message);
            }
        }
    }

    /// A message of the pool, from the agent.
    pub fn pool_message(&self, kind: MessageType, body: String) -> Message {
        let destination = Destination::Client;
        Message { destination, kind, pool: self.pool, pipeline: Uuid::nil(), body }
    }

    pub fn signal_ack(&self, pipeline: Uuid) {
        self.sender.signal_ack(pipeline);
    }

    pub fn close_ack(&self, id: Uuid) {
        self.sender.close_ack(id);
    }

    /// Bytes of answers that the client has not read.
    pub fn unread(&self) -> usize {
        self.sender.queued() + self.withheld_bytes
    }

    /// Whether messages wait for its key.
    pub fn withholds(&self) -> bool {
        !self.withheld.is_empty()
    }

    /// Whether it is a shell with an open pool.
    pub fn is_open_shell(&self) -> bool {
        self.kind == Kind::Shell && self.phase == Phase::Open
    }

    /// INIT_RUNSPACEPOOL was answered.
    pub fn opened(&mut self) {
        self.phase = Phase::Open;
        self.until = None;
    }

    /// Close was answered.
    pub fn closed(&mut self) {
        self.phase = Phase::Closed;
        self.until = Some(Instant::now() + LIMIT);
    }

    /// Calls back when the client has caught up.
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
