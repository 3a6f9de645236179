//! One session key for the endpoint and every client. It leaves the process only in ENCRYPTED_SESSION_KEY,
//! under a client's public key.

use super::status::ClientId;
use crate::psrp::key::{KeyError, KeyPair, SessionKey};

/// An action for the owner of a key exchange. `ack` acknowledges the client's PUBLIC_KEY, not before the answer is
/// sent: clients take the acknowledgement as the end of the exchange.
#[derive(Debug)]
pub enum KeyAction<A> {
    /// Generate a key pair and pass it to [`KeyExchange::pair_made`].
    MakePair,
    /// Send PUBLIC_KEY with this key to the endpoint.
    SendPublicKey(String),
    /// Send the session key, encrypted under the client's public key, to the client.
    Give { client: ClientId, sealed: String, ack: A },
    /// Refuse the key to a client.
    Refuse { client: ClientId, reason: String, ack: A },
}

/// Exchange of the session key with the endpoint, once, and its distribution to the clients. `A` is a
/// client's acknowledgement.
///
/// Guarantees: one exchange at a time; each attached client that has requested the key gets the key or a
/// refusal.
#[derive(Debug)]
pub struct KeyExchange<A>(State<A>);

enum State<A> {
    None,
    /// The agent's key pair is being generated, or its public key was sent.
    Exchanging {
        pair: Option<KeyPair>,
        waiting: Vec<Waiting<A>>,
    },
    Ready(SessionKey),
}

impl<A> std::fmt::Debug for State<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Exchanging { .. } => "Exchanging",
            Self::Ready(_) => "Ready",
        })
    }
}

/// A client waiting for the key.
struct Waiting<A> {
    client: ClientId,
    public_key: String,
    ack: A,
}

impl<A> Default for KeyExchange<A> {
    fn default() -> Self {
        Self(State::None)
    }
}

impl<A> KeyExchange<A> {
    pub const fn is_exchanging(&self) -> bool {
        matches!(self.0, State::Exchanging { .. })
    }

    /// Removes a detached client.
    pub fn forget(&mut self, id: ClientId) {
        if let State::Exchanging { waiting, .. } = &mut self.0 {
            waiting.retain(|waiting| waiting.client != id);
        }
    }

    /// Handles a client's PUBLIC_KEY.
    ///
    /// # Errors
    /// The client's public key is invalid.
    pub fn ask(
        &mut self,
        client: ClientId,
        public_key: String,
        ack: A,
    ) -> Result<Vec<KeyAction<A>>, KeyError> {
        if let State::Ready(key) = &self.0 {
            let sealed = key.sealed_for(&public_key)?;
            return Ok(vec![KeyAction::Give { client, sealed, ack }]);
        }
        let actions = self.begin();
        if let State::Exchanging { waiting, .. } = &mut self.0 {
            waiting.push(Waiting { client, public_key, ack });
        }
        Ok(actions)
    }

    /// Begins the exchange with the endpoint unless it has begun.
    pub fn begin(&mut self) -> Vec<KeyAction<A>> {
        match self.0 {
            State::None => {
                self.0 = State::Exchanging { pair: None, waiting: Vec::new() };
                vec![KeyAction::MakePair]
            }
            State::Exchanging { .. } | State::Ready(_) => Vec::new(),
        }
    }

    /// Handles the generated key pair.
    pub fn pair_made(&mut self, made: Result<KeyPair, KeyError>) -> Vec<KeyAction<A>> {
        let State::Exchanging { pair, .. } = &mut self.0 else { return Vec::new() };
        match made {
            Ok(made) => {
                let public = made.public_blob();
                *pair = Some(made);
                vec![KeyAction::SendPublicKey(public)]
            }
            Err(error) => self.fail(&error),
        }
    }

    /// Handles the endpoint's ENCRYPTED_SESSION_KEY; `None`: the message contains no key.
    pub fn session_key(&mut self, sealed: Option<&str>) -> Vec<KeyAction<A>> {
        let State::Exchanging { pair: Some(pair), .. } = &self.0 else { return Vec::new() };
        let opened = sealed.ok_or_else(|| KeyError("the endpoint sent no session key".into()));
        let key = match opened.and_then(|sealed| pair.open(sealed)) {
            Ok(key) => key,
            Err(error) => return self.fail(&error),
        };
        let give = |Waiting { client, public_key, ack }| match key.sealed_for(&public_key) {
            Ok(sealed) => KeyAction::Give { client, sealed, ack },
            Err(error) => KeyAction::Refuse { client, reason: error.to_string(), ack },
        };
        let actions = match std::mem::replace(&mut self.0, State::None) {
            State::Exchanging { waiting, .. } => waiting.into_iter().map(give).collect(),
            State::None | State::Ready(_) => Vec::new(),
        };
        self.0 = State::Ready(key);
        actions
    }

    fn fail(&mut self, error: &KeyError) -> Vec<KeyAction<A>> {
        let reason = format!("cannot exchange the session key with the endpoint: {error}");
        let State::Exchanging { waiting, .. } = std::mem::replace(&mut self.0, State::None) else {
            return Vec::new();
        };
        let refuse = |Waiting { client, ack, .. }| KeyAction::Refuse { client, reason: reason.clone(), ack };
        waiting.into_iter().map(refuse).collect()
    }
}
