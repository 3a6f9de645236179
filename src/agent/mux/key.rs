//! One session key for the endpoint and every client. It is never written anywhere but into
//! ENCRYPTED_SESSION_KEY, under a client's public key.

use super::client::Key;
use super::core::{ClientId, Control, Core};
use super::rewrite;
use crate::psrp::client::Stream;
use crate::psrp::clixml::Value;
use crate::psrp::key::{KeyError, KeyPair, SessionKey};
use crate::psrp::message::{Destination, Message, MessageType};
use crate::transport::stream::Ack;

/// How far the exchange with the endpoint is.
pub enum KeyState {
    None,
    /// The agent's key pair is being made, or its public half was sent.
    Exchanging {
        pair: Option<KeyPair>,
        waiting: Vec<Waiting>,
    },
    Ready(SessionKey),
}

/// A client that waits for the key.
pub struct Waiting {
    client: ClientId,
    public_key: String,
    /// Its Data is acknowledged when it has its answer.
    _ack: Ack,
}

/// A new key pair on its way back from the thread that made it.
pub struct Pair(Result<KeyPair, KeyError>);

impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pair")
    }
}

impl KeyState {
    pub fn is_exchanging(&self) -> bool {
        matches!(self, Self::Exchanging { .. })
    }

    pub fn forget(&mut self, id: ClientId) {
        if let Self::Exchanging { waiting, .. } = self {
            waiting.retain(|waiting| waiting.client != id);
        }
    }
}

impl Core {
    /// A client's PUBLIC_KEY.
    pub fn public_key(&mut self, id: ClientId, message: &Message, ack: Ack) -> Result<(), String> {
        let public_key =
            rewrite::text_property(&message.body, "PublicKey").ok_or("PUBLIC_KEY lacks the key")?;
        if let Some(client) = self.clients.get_mut(&id)
            && client.key == Key::None
        {
            client.key = Key::Asked;
        }
        let waiting = Waiting { client: id, public_key, _ack: ack };
        if let KeyState::Ready(_) = self.key {
            return self.give_key(waiting);
        }
        self.exchange_key();
        if let KeyState::Exchanging { waiting: others, .. } = &mut self.key {
            others.push(waiting);
        }
        Ok(())
    }

    /// Begins the exchange with the endpoint, where it has not begun.
    pub fn exchange_key(&mut self) {
        if let KeyState::None = self.key {
            self.key = KeyState::Exchanging { pair: None, waiting: Vec::new() };
            let reports = self.reports.clone();
            tokio::spawn(async move {
                let made = tokio::task::spawn_blocking(KeyPair::generate).await;
                let pair = made.unwrap_or_else(|e| Err(KeyError(e.to_string())));
                let _ = reports.send(Control::Pair(Pair(pair))).await;
            });
        }
    }

    pub fn pair_made(&mut self, Pair(made): Pair) {
        let KeyState::Exchanging { pair, .. } = &mut self.key else { return };
        match made {
            Ok(made) => {
                let key = Value::String(made.public_blob());
                *pair = Some(made);
                let body = rewrite::body_of(vec![("PublicKey", key)]);
                let (pool, pipeline) = (self.pool.id(), uuid::Uuid::nil());
                let (destination, kind) = (Destination::Server, MessageType::PublicKey);
                let message = Message { destination, kind, pool, pipeline, body };
                self.forward(Stream::Default, message, None);
            }
            Err(error) => self.key_failed(&error.to_string()),
        }
    }

    /// The endpoint's ENCRYPTED_SESSION_KEY.
    pub fn session_key(&mut self, message: &Message) {
        let KeyState::Exchanging { pair: Some(pair), .. } = &self.key else { return };
        let sealed = rewrite::text_property(&message.body, "EncryptedSessionKey");
        let opened = sealed.ok_or_else(|| KeyError("the endpoint sent no session key".into()));
        match opened.and_then(|sealed| pair.open(&sealed)) {
            Ok(key) => {
                let KeyState::Exchanging { waiting, .. } =
                    std::mem::replace(&mut self.key, KeyState::Ready(key))
                else {
                    return;
                };
                for waiting in waiting {
                    let client = waiting.client;
                    if let Err(reason) = self.give_key(waiting) {
                        self.refuse_for(client, &reason);
                    }
                }
            }
            Err(error) => self.key_failed(&error.to_string()),
        }
    }

    /// The error is what is wrong with the client's key.
    fn give_key(&mut self, waiting: Waiting) -> Result<(), String> {
        let KeyState::Ready(key) = &self.key else { return Ok(()) };
        let sealed = key.sealed_for(&waiting.public_key).map_err(|e| e.to_string())?;
        if let Some(client) = self.clients.get_mut(&waiting.client) {
            client.give_key(sealed);
            if client.backlog.is_held() {
                client.watch(waiting.client, self.reports.clone());
            }
        }
        Ok(())
    }

    fn key_failed(&mut self, reason: &str) {
        let reason = format!("secrets can't be exchanged with the endpoint: {reason}");
        if let KeyState::Exchanging { waiting, .. } = std::mem::replace(&mut self.key, KeyState::None) {
            for waiting in waiting {
                self.refuse_for(waiting.client, &reason);
            }
        }
    }
}
