//! The client (MS-NLMP 3.1.5.1).

use std::time::{SystemTime, UNIX_EPOCH};

use secrecy::SecretString;

use super::keys::{self, Key, Sender};
use super::message::{self, Authenticate, CHALLENGE, Challenge, flags, pair};
use super::session::Session;
use crate::security::spnego::Inner;
use crate::security::{Context, ContextError, Sealed, Step};

/// An initiator of NTLMv2.
pub struct Client(State);

enum State {
    Start(Setup),
    Negotiated { setup: Setup, negotiate: Vec<u8> },
    Established(Box<Session>),
    Failed,
}

struct Setup {
    domain: String,
    user: String,
    response_key: Key,
    service: String,
    binding: Option<[u8; 16]>,
}

/// The random values of one authentication.
pub(super) struct Random {
    pub nonce: [u8; 8],
    pub session_key: Key,
}

impl Client {
    /// Returns a client for `DOMAIN\user`, `user@REALM` or a local account's name.
    ///
    /// `service` becomes MsvAvTargetName; `channel_binding` is the application data of
    /// [`Initiator::channel_binding`](crate::security::Initiator::channel_binding).
    ///
    /// # Errors
    /// The user name is empty: NTLM would log on anonymously.
    pub fn new(
        user: &str,
        password: &SecretString,
        service: &str,
        channel_binding: Option<&[u8]>,
    ) -> Result<Self, ContextError> {
        // A UPN is sent as the user name, with an empty domain (MS-NLMP 3.1.5.1.2, MS-ADTS 5.1.1.1.1).
        let (domain, user) = user.split_once('\\').unwrap_or(("", user));
        if user.is_empty() {
            return Err(ContextError::Mechanism {
                code: super::NO_CREDENTIALS,
                text: "NTLM needs a user name".to_owned(),
            });
        }
        Ok(Self(State::Start(Setup {
            response_key: keys::response_key(domain, user, password),
            domain: domain.to_owned(),
            user: user.to_owned(),
            service: service.to_owned(),
            binding: channel_binding.map(keys::binding_hash),
        })))
    }
}

impl Inner for Client {
    fn session(&mut self) -> Result<&mut Session, ContextError> {
        match &mut self.0 {
            State::Established(session) => Ok(session),
            _ => Err(ContextError::NotEstablished),
        }
    }
}

impl Context for Client {
    fn step(&mut self, token: Option<&[u8]>) -> Result<Step, ContextError> {
        match (std::mem::replace(&mut self.0, State::Failed), token) {
            (State::Start(setup), None) => {
                let negotiate = message::write_negotiate();
                self.0 = State::Negotiated { setup, negotiate: negotiate.clone() };
                Ok(Step { token: Some(negotiate), established: false })
            }
            (State::Negotiated { setup, negotiate }, Some(challenge)) => {
                let random = Random { nonce: rand::random(), session_key: Key::new(rand::random()) };
                let token = setup.authenticate(&negotiate, challenge, now(), &random)?;
                self.0 = State::Established(Box::new(Session::new(&random.session_key, Sender::Client)));
                Ok(Step { token: Some(token), established: true })
            }
            (State::Negotiated { .. }, None) => Err(ContextError::Malformed {
                what: CHALLENGE,
                reason: "the server sent no NTLM challenge".to_owned(),
            }),
            _ => Err(ContextError::NotEstablished),
        }
    }

    fn wrap(&mut self, message: &[u8]) -> Result<Sealed, ContextError> {
        self.session()?.wrap(message)
    }

    fn unwrap(&mut self, header: &[u8], data: &[u8]) -> Result<Vec<u8>, ContextError> {
        self.session()?.unwrap(header, data)
    }
}

impl Setup {
    fn authenticate(
        &self,
        negotiate: &[u8],
        challenge_message: &[u8],
        now: [u8; 8],
        random: &Random,
    ) -> Result<Vec<u8>, ContextError> {
        let challenge = Challenge::read(challenge_message)?;
        let missing = flags::missing(challenge.flags);
        if !missing.is_empty() {
            return Err(ContextError::Mechanism {
                code: super::UNSUPPORTED,
                text: format!("the server's NTLM lacks {}", missing.join(", ")),
            });
        }
        let answer = Answer::new(self, &challenge, now, random.nonce)?;
        let encrypted_key = keys::rc4_key(&answer.session_base_key, &random.session_key);
        let mut message = Authenticate {
            domain: self.domain.clone(),
            user: self.user.clone(),
            lm: &answer.lm,
            nt: &answer.nt,
            session_key: encrypted_key.as_slice(),
            flags: flags::CLIENT & challenge.flags,
            mic_at: Some(message::MIC),
        }
        .write()?;
        let mic = keys::hmac_md5(&random.session_key, &[negotiate, challenge_message, &message]);
        message[message::MIC..message::MIC + 16].copy_from_slice(mic.as_slice());
        Ok(message)
    }
}

/// The responses to a challenge (MS-NLMP 3.3.2).
pub(super) struct Answer {
    pub lm: Vec<u8>,
    pub nt: Vec<u8>,
    pub session_base_key: Key,
}

impl Answer {
    fn new(
        setup: &Setup,
        challenge: &Challenge<'_>,
        now: [u8; 8],
        nonce: [u8; 8],
    ) -> Result<Self, ContextError> {
        let timestamp = challenge.target.fixed(CHALLENGE, pair::TIMESTAMP)?;
        let flags = challenge.target.fixed(CHALLENGE, pair::FLAGS)?.map_or(0, u32::from_le_bytes);
        let flags = (flags | pair::HAS_MIC).to_le_bytes();
        let service = keys::utf16(&setup.service);
        let mut target = challenge.target.clone();
        for id in [pair::FLAGS, pair::TARGET, pair::CHANNEL_BINDINGS] {
            target.remove(id);
        }
        target.push(pair::FLAGS, &flags);
        if let Some(binding) = &setup.binding {
            target.push(pair::CHANNEL_BINDINGS, binding);
        }
        target.push(pair::TARGET, &service);
        let target = target.write(CHALLENGE)?;
        let blob = message::write_blob(timestamp.unwrap_or(now), nonce, &target);
        // A server that sends a timestamp ignores the LMv2 response (MS-NLMP 3.1.5.1.2).
        let with_lm = timestamp.is_none();
        Ok(Self::compute(&setup.response_key, challenge.nonce, nonce, &blob, with_lm))
    }

    pub(super) fn compute(
        key: &Key,
        server_nonce: [u8; 8],
        nonce: [u8; 8],
        blob: &[u8],
        with_lm: bool,
    ) -> Self {
        let proof = keys::hmac_md5(key, &[&server_nonce, blob]);
        let lm = if with_lm {
            [keys::hmac_md5(key, &[&server_nonce, &nonce]).as_slice(), &nonce].concat()
        } else {
            vec![0; 24]
        };
        let session_base_key = keys::hmac_md5(key, &[proof.as_slice()]);
        Self { lm, nt: [proof.as_slice(), blob].concat(), session_base_key }
    }
}

/// Returns the time as a FILETIME: units of 100 ns since 1601.
pub(super) fn now() -> [u8; 8] {
    const UNIX_EPOCH_AS_FILETIME: u64 = 116_444_736_000_000_000;
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let units = u64::try_from(since.as_nanos() / 100).unwrap_or(0);
    (units + UNIX_EPOCH_AS_FILETIME).to_le_bytes()
}
