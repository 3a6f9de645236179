//! Send queue of one end of a pool: secrets wait for the session key, and later messages of the same pipeline
//! wait with them.

use std::collections::HashSet;

use uuid::Uuid;

use super::clixml::{Value, write};
use super::message::{MessageType, Stream};
use super::secrets::{self, Seal};

/// A message without its ids.
#[derive(Debug)]
pub(super) struct Queued {
    pub stream: Stream,
    pub kind: MessageType,
    /// Nil for the pool.
    pub pipeline: Uuid,
    pub body: Body,
}

#[derive(Debug)]
pub(super) enum Body {
    Text(String),
    /// Contains a secret in clear text.
    Secret(Value),
}

/// The messages of one end that are not sent yet. The order within a pipeline is kept, except for urgent
/// messages.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// Messages that never wait: negotiation and keys.
    urgent: Vec<Queued>,
    queue: Vec<Queued>,
}

impl Outbox {
    pub fn push(&mut self, stream: Stream, kind: MessageType, pipeline: Uuid, value: &Value) {
        let body =
            if secrets::has_plain(value) { Body::Secret(value.clone()) } else { Body::Text(write(value)) };
        self.queue.push(Queued { stream, kind, pipeline, body });
    }

    pub fn push_empty(&mut self, kind: MessageType, pipeline: Uuid) {
        let body = Body::Text(String::new());
        self.queue.push(Queued { stream: Stream::Default, kind, pipeline, body });
    }

    /// Queues a message of the pool before all others.
    pub fn push_urgent(&mut self, stream: Stream, kind: MessageType, value: &Value) {
        let body = Body::Text(write(value));
        self.urgent.push(Queued { stream, kind, pipeline: Uuid::nil(), body });
    }

    /// Returns whether a message waits for a key.
    pub fn has_secret(&self) -> bool {
        self.queue.iter().any(|queued| matches!(queued.body, Body::Secret(_)))
    }

    /// Drops a pipeline's queued messages.
    pub fn forget(&mut self, pipeline: Uuid) {
        self.queue.retain(|queued| queued.pipeline != pipeline);
    }

    /// Returns the messages that precede all others.
    pub fn take_urgent(&mut self) -> Vec<Queued> {
        std::mem::take(&mut self.urgent)
    }

    /// Returns the messages that can be sent now, in order; without a seal, secrets and later messages of
    /// their pipelines stay.
    pub fn take(&mut self, seal: Option<&Seal<'_>>) -> Vec<Queued> {
        let mut going = self.take_urgent();
        let mut held = HashSet::new();
        for mut queued in std::mem::take(&mut self.queue) {
            match (&queued.body, seal) {
                _ if held.contains(&queued.pipeline) => self.queue.push(queued),
                (Body::Text(_), _) => going.push(queued),
                (Body::Secret(value), Some(seal)) => {
                    queued.body = Body::Text(write(&seal.seal(value)));
                    going.push(queued);
                }
                (Body::Secret(_), None) => {
                    held.insert(queued.pipeline);
                    self.queue.push(queued);
                }
            }
        }
        going
    }
}

impl Queued {
    /// Returns the body's text; empty for a secret, but an [`Outbox`] returns no unencrypted secrets.
    pub fn text(self) -> String {
        match self.body {
            Body::Text(text) => text,
            Body::Secret(_) => String::new(),
        }
    }
}
