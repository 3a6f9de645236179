//! SPNEGO (RFC 4178, MS-SPNG) with NTLM. Kerberos libraries have their own SPNEGO.

mod token;

use super::{Context, ContextError, Sealed, Step, ntlm};
use token::{Init, Response, State, malformed};

pub use token::Offered;

/// A mechanism whose session signs the list of mechanisms (RFC 4178 4.2.2).
pub trait Inner: Context {
    /// Returns the session, which has the keys.
    ///
    /// # Errors
    /// The context is not established.
    fn session(&mut self) -> Result<&mut ntlm::Session, ContextError>;
}

/// The mechanisms offered in a client's first token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Whether the token is an SPNEGO token, not the token of a mechanism.
    pub spnego: bool,
    /// The mechanisms, the preferred one first.
    pub mechanisms: Vec<Offered>,
}

/// Reads the mechanisms offered in a client's first token.
///
/// # Errors
/// The token is neither an SPNEGO token nor the token of a mechanism.
pub fn offer(token: &[u8]) -> Result<Offer, ContextError> {
    if token.starts_with(b"NTLMSSP\0") {
        return Ok(Offer { spnego: false, mechanisms: vec![Offered::Ntlm] });
    }
    match token::bare(token)? {
        Some(mechanism) => Ok(Offer { spnego: false, mechanisms: vec![mechanism] }),
        None => Ok(Offer { spnego: true, mechanisms: Init::read(token)?.mechanisms }),
    }
}

/// An initiator that offers NTLM in SPNEGO.
pub struct Client<I = ntlm::Client> {
    inner: I,
    list: Vec<u8>,
    state: ClientState,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ClientState {
    Start,
    /// The offer is sent.
    Offered,
    /// The last token of the mechanism is sent, with mechListMIC.
    Signed,
    Established,
    Failed,
}

impl<I: Inner> Client<I> {
    /// Returns a client with a mechanism's context that has not started.
    pub fn new(inner: I) -> Self {
        Self { inner, list: Vec::new(), state: ClientState::Start }
    }

    fn next(&mut self, token: Option<&[u8]>) -> Result<(Step, ClientState), ContextError> {
        let state = self.state;
        match (state, token) {
            (ClientState::Start, None) => {
                self.list = token::ntlm_list()?;
                let first = self.inner.step(None)?.token.unwrap_or_default();
                let token = token::write_init(&self.list, &first)?;
                Ok((Step { token: Some(token), established: false }, ClientState::Offered))
            }
            (ClientState::Offered, Some(token)) => self.answer(token),
            (ClientState::Signed, Some(token)) => {
                let response = read(token)?;
                if response.state != Some(State::AcceptCompleted) {
                    return Err(malformed("the server does not complete the negotiation"));
                }
                if response.token.is_some_and(|token| !token.is_empty()) {
                    return Err(malformed("the server goes on with a mechanism that has ended"));
                }
                // Until now, the server has not proved that it knows the session key.
                let Some(mic) = response.mic else {
                    return Err(ContextError::Unverified(
                        "it did not sign the list of mechanisms (mechListMIC)".to_owned(),
                    ));
                };
                self.inner.session()?.verify_list(&self.list, mic)?;
                Ok((Step { token: None, established: true }, ClientState::Established))
            }
            (ClientState::Offered | ClientState::Signed, None) => Err(malformed("the server sent none")),
            _ => Err(ContextError::NotEstablished),
        }
    }

    /// Returns the context of the mechanism.
    ///
    /// # Errors
    /// The context is not established.
    fn established(&mut self) -> Result<&mut I, ContextError> {
        match self.state {
            ClientState::Established => Ok(&mut self.inner),
            _ => Err(ContextError::NotEstablished),
        }
    }

    fn answer(&mut self, token: &[u8]) -> Result<(Step, ClientState), ContextError> {
        let response = read(token)?;
        // Required in a server's first reply (RFC 4178 4.2.2), but only one mechanism was offered.
        if response.mechanism.is_some_and(|chosen| chosen != token::NTLM.as_bytes()) {
            return Err(malformed("the server chose a mechanism that was not offered"));
        }
        if response.state == Some(State::AcceptCompleted) {
            return Err(malformed("the server completes the negotiation too early"));
        }
        let Some(challenge) = response.token else {
            return Err(malformed("it has no token of NTLM"));
        };
        let step = self.inner.step(Some(challenge))?;
        let mic = if step.established { Some(self.inner.session()?.sign_list(&self.list)?) } else { None };
        let token = Response {
            state: Some(State::AcceptIncomplete),
            mechanism: None,
            token: step.token.as_deref(),
            mic: mic.as_deref(),
        }
        .write()?;
        let next = if step.established { ClientState::Signed } else { ClientState::Offered };
        Ok((Step { token: Some(token), established: false }, next))
    }
}

/// Reads a server's reply; a rejection is an error.
fn read(token: &[u8]) -> Result<Response<'_>, ContextError> {
    let response = Response::read(token)?;
    match response.state {
        Some(State::Reject) => Err(ContextError::Mechanism {
            code: ntlm::LOGON_DENIED,
            text: "the server rejected the SPNEGO negotiation".to_owned(),
        }),
        _ => Ok(response),
    }
}

impl<I: Inner> Context for Client<I> {
    fn step(&mut self, token: Option<&[u8]>) -> Result<Step, ContextError> {
        let result = self.next(token);
        let (step, state) = result.inspect_err(|_| self.state = ClientState::Failed)?;
        self.state = state;
        Ok(step)
    }

    fn wrap(&mut self, message: &[u8]) -> Result<Sealed, ContextError> {
        self.established()?.wrap(message)
    }

    fn unwrap(&mut self, header: &[u8], data: &[u8]) -> Result<Vec<u8>, ContextError> {
        self.established()?.unwrap(header, data)
    }
}

/// An acceptor that chooses NTLM from the client's offer.
pub struct Acceptor<I = ntlm::Acceptor> {
    inner: I,
    list: Vec<u8>,
    /// The client prefers another mechanism: mechListMIC must prove that its list was not altered.
    needs_mic: bool,
    state: AcceptorState,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum AcceptorState {
    Start,
    Negotiating,
    Established,
    Failed,
}

impl<I: Inner> Acceptor<I> {
    /// Returns an acceptor with a mechanism's context that has not started.
    pub fn new(inner: I) -> Self {
        Self { inner, list: Vec::new(), needs_mic: false, state: AcceptorState::Start }
    }

    /// Returns the context of the mechanism.
    pub fn inner(&self) -> &I {
        &self.inner
    }

    /// Returns the context of the mechanism.
    ///
    /// # Errors
    /// The context is not established.
    fn established(&mut self) -> Result<&mut I, ContextError> {
        match self.state {
            AcceptorState::Established => Ok(&mut self.inner),
            _ => Err(ContextError::NotEstablished),
        }
    }

    fn next(&mut self, token: &[u8]) -> Result<Step, ContextError> {
        match self.state {
            AcceptorState::Start => self.first(token),
            AcceptorState::Negotiating => self.later(token),
            AcceptorState::Established | AcceptorState::Failed => Err(ContextError::NotEstablished),
        }
    }

    fn first(&mut self, token: &[u8]) -> Result<Step, ContextError> {
        let init = Init::read(token)?;
        if !init.mechanisms.contains(&Offered::Ntlm) {
            return Err(ContextError::Mechanism {
                code: ntlm::UNSUPPORTED,
                text: "the client does not offer NTLM".to_owned(),
            });
        }
        self.list = init.list.to_vec();
        self.needs_mic = init.mechanisms.first() != Some(&Offered::Ntlm);
        // The optimistic token belongs to the client's preferred mechanism.
        let challenge = match init.token {
            Some(token) if !self.needs_mic => self.inner.step(Some(token))?.token,
            _ => None,
        };
        self.state = AcceptorState::Negotiating;
        let state = if self.needs_mic { State::RequestMic } else { State::AcceptIncomplete };
        let reply = Response {
            state: Some(state),
            mechanism: Some(token::NTLM.as_bytes()),
            token: challenge.as_deref(),
            mic: None,
        };
        Ok(Step { token: Some(reply.write()?), established: false })
    }

    fn later(&mut self, token: &[u8]) -> Result<Step, ContextError> {
        let response = Response::read(token)?;
        let step = match response.token {
            Some(token) => self.inner.step(Some(token))?,
            None => return Err(malformed("it has no token of NTLM")),
        };
        if !step.established {
            let reply = Response {
                state: Some(State::AcceptIncomplete),
                token: step.token.as_deref(),
                ..Response::default()
            };
            return Ok(Step { token: Some(reply.write()?), established: false });
        }
        let mic = match response.mic {
            Some(mic) => {
                self.inner.session()?.verify_list(&self.list, mic)?;
                Some(self.inner.session()?.sign_list(&self.list)?)
            }
            None if self.needs_mic => {
                return Err(ContextError::Unverified(
                    "the client did not sign the list of mechanisms (mechListMIC)".to_owned(),
                ));
            }
            None => None,
        };
        self.state = AcceptorState::Established;
        let reply = Response {
            state: Some(State::AcceptCompleted),
            token: step.token.as_deref(),
            mic: mic.as_deref(),
            ..Response::default()
        };
        Ok(Step { token: Some(reply.write()?), established: true })
    }
}

impl<I: Inner> Context for Acceptor<I> {
    fn step(&mut self, token: Option<&[u8]>) -> Result<Step, ContextError> {
        let result = self.next(token.unwrap_or_default());
        result.inspect_err(|_| self.state = AcceptorState::Failed)
    }

    fn wrap(&mut self, message: &[u8]) -> Result<Sealed, ContextError> {
        self.established()?.wrap(message)
    }

    fn unwrap(&mut self, header: &[u8], data: &[u8]) -> Result<Vec<u8>, ContextError> {
        self.established()?.unwrap(header, data)
    }
}

#[cfg(test)]
mod tests;
