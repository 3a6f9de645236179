//! The server's side (MS-NLMP 3.2.5.1), for the simulator and for tests.

use std::sync::Arc;

use hmac::Mac as _;
use secrecy::SecretString;

use super::client::now;
use super::keys::{self, Key, Sender};
use super::message::{self, AUTHENTICATE, Authenticate, Challenge, Pairs, Response, flags, pair};
use super::session::Session;
use crate::security::spnego::Inner;
use crate::security::{Context, ContextError, Sealed, Step};

/// Returns the password of an account by domain and name. For a UPN, the domain is empty.
pub type Accounts = Arc<dyn Fn(&str, &str) -> Option<SecretString> + Send + Sync>;

/// An acceptor's requirement for the channel binding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Binding {
    /// Not checked: there is no TLS, or its certificate is unknown.
    Ignored,
    /// A wrong binding is refused, an absent one is not: Windows' CbtHardeningLevel Relaxed.
    Optional(Vec<u8>),
    /// A wrong or absent binding is refused: Windows' CbtHardeningLevel Strict.
    Required(Vec<u8>),
}

/// The client of an established context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub domain: String,
    pub user: String,
    /// The service principal that the client requested.
    pub service: String,
}

/// A server's side of NTLMv2.
pub struct Acceptor {
    computer: String,
    accounts: Accounts,
    binding: Binding,
    state: State,
    identity: Option<Identity>,
}

enum State {
    Start,
    Challenged { negotiate: Vec<u8>, challenge: Vec<u8>, nonce: [u8; 8] },
    Established(Box<Session>),
    Failed,
}

fn denied(text: &str) -> ContextError {
    ContextError::Mechanism { code: super::LOGON_DENIED, text: text.to_owned() }
}

fn require(flags: u32) -> Result<(), ContextError> {
    match flags::missing(flags).as_slice() {
        [] => Ok(()),
        missing => Err(ContextError::Mechanism {
            code: super::UNSUPPORTED,
            text: format!("the client's NTLM lacks {}", missing.join(", ")),
        }),
    }
}

impl Acceptor {
    /// Returns an acceptor with the computer name `computer`.
    pub fn new(computer: &str, accounts: Accounts, binding: Binding) -> Self {
        Self { computer: computer.to_owned(), accounts, binding, state: State::Start, identity: None }
    }

    /// Returns the client's identity; `None` until it is proved.
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    fn challenge(&self, negotiate: &[u8], nonce: [u8; 8]) -> Result<Vec<u8>, ContextError> {
        let offered = message::read_negotiate(negotiate)?;
        require(offered)?;
        let name = keys::utf16(&self.computer);
        let time = now();
        let mut target = Pairs::default();
        // A computer outside a domain has its own name as its domain.
        for id in [pair::DOMAIN, pair::COMPUTER, pair::DNS_DOMAIN, pair::DNS_COMPUTER] {
            target.push(id, &name);
        }
        target.push(pair::TIMESTAMP, &time);
        let flags = offered & flags::CLIENT | flags::TARGET_INFO | flags::TARGET_TYPE_SERVER;
        Challenge { flags, nonce, target }.write(&name)
    }

    fn verify(
        &self,
        [negotiate, challenge, token]: [&[u8]; 3],
        nonce: [u8; 8],
    ) -> Result<(Session, Identity), ContextError> {
        let message = Authenticate::read(token)?;
        require(message.flags)?;
        let response = Response::read(message.nt)?;
        let password = (self.accounts)(&message.domain, &message.user);
        // An unknown account must take the same time as a known one.
        let known = password.is_some();
        let key = keys::response_key(&message.domain, &message.user, &password.unwrap_or_default());
        let proof = keys::hmac(&key, &[&nonce, response.blob]);
        let right = proof.verify_slice(&response.proof).is_ok();
        if !(known && right) {
            return Err(denied("the user name or the password is wrong"));
        }
        let base_key = keys::hmac_md5(&key, &[&response.proof]);
        let encrypted = message.session_key.try_into().map_err(|_| ContextError::Malformed {
            what: AUTHENTICATE,
            reason: format!("the session key has {} bytes", message.session_key.len()),
        })?;
        let session_key = keys::rc4_key(&base_key, encrypted);
        self.verify_mic([negotiate, challenge, token], &message, &response, &session_key)?;
        self.verify_binding(&response)?;
        let service = response.target.get(pair::TARGET).unwrap_or_default();
        let service: Vec<u16> = service.as_chunks::<2>().0.iter().copied().map(u16::from_le_bytes).collect();
        let identity = Identity {
            domain: message.domain,
            user: message.user,
            service: String::from_utf16_lossy(&service),
        };
        Ok((Session::new(&session_key, Sender::Server), identity))
    }

    /// Verifies the MIC, which a client must send because the challenge has a timestamp (MS-NLMP 3.1.5.1.2).
    fn verify_mic(
        &self,
        [negotiate, challenge, token]: [&[u8]; 3],
        message: &Authenticate<'_>,
        response: &Response<'_>,
        session_key: &Key,
    ) -> Result<(), ContextError> {
        let announced = response.target.fixed(AUTHENTICATE, pair::FLAGS)?.map_or(0, u32::from_le_bytes);
        let place = message.mic_at.filter(|_| announced & pair::HAS_MIC != 0);
        let Some((before, rest)) = place.and_then(|at| token.split_at_checked(at)) else {
            return Err(denied("the client sent no MIC"));
        };
        let Some((mic, after)) = rest.split_first_chunk::<16>() else {
            return Err(denied("the client sent no MIC"));
        };
        keys::hmac(session_key, &[negotiate, challenge, before, &[0; 16], after])
            .verify_slice(mic)
            .map_err(|_| denied("the MIC of the NTLM messages is wrong"))
    }

    fn verify_binding(&self, response: &Response<'_>) -> Result<(), ContextError> {
        let (expected, required) = match &self.binding {
            Binding::Ignored => return Ok(()),
            Binding::Optional(data) => (data, false),
            Binding::Required(data) => (data, true),
        };
        let text = match response.target.get(pair::CHANNEL_BINDINGS) {
            Some(found) if found == keys::binding_hash(expected) => return Ok(()),
            // A binding of zeros is wrong, not absent.
            Some(_) => "the channel binding is wrong",
            None if required => "the channel binding is missing",
            None => return Ok(()),
        };
        Err(ContextError::Mechanism { code: super::BAD_BINDINGS, text: text.to_owned() })
    }
}

impl Inner for Acceptor {
    fn session(&mut self) -> Result<&mut Session, ContextError> {
        match &mut self.state {
            State::Established(session) => Ok(session),
            _ => Err(ContextError::NotEstablished),
        }
    }
}

impl Context for Acceptor {
    fn step(&mut self, token: Option<&[u8]>) -> Result<Step, ContextError> {
        let Some(token) = token else { return Err(ContextError::NotEstablished) };
        match std::mem::replace(&mut self.state, State::Failed) {
            State::Start => {
                let nonce = rand::random();
                let challenge = self.challenge(token, nonce)?;
                self.state =
                    State::Challenged { negotiate: token.to_vec(), challenge: challenge.clone(), nonce };
                Ok(Step { token: Some(challenge), established: false })
            }
            State::Challenged { negotiate, challenge, nonce } => {
                let (session, identity) = self.verify([&negotiate, &challenge, token], nonce)?;
                self.state = State::Established(Box::new(session));
                self.identity = Some(identity);
                Ok(Step { token: None, established: true })
            }
            State::Established(_) | State::Failed => Err(ContextError::NotEstablished),
        }
    }

    fn wrap(&mut self, message: &[u8]) -> Result<Sealed, ContextError> {
        self.session()?.wrap(message)
    }

    fn unwrap(&mut self, header: &[u8], data: &[u8]) -> Result<Vec<u8>, ContextError> {
        self.session()?.unwrap(header, data)
    }
}
