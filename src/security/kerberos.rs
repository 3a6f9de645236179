//! Kerberos (RFC 4121), raw or in SPNEGO (RFC 4178), with the system's GSSAPI library.
//!
//! The first [`Context::step`] may block while the library queries the KDC: up to 27 seconds if the KDC does not
//! answer (MIT krb5 1.20). Call it with `spawn_blocking` and a time limit.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use secrecy::ExposeSecret as _;

use super::{
    Account, Context, ContextError, Initiator, KerberosProblem, Mechanism, Sealed, Step, ntlm, principal,
};
use crate::platform::gssapi::{
    self, Credential, Library, Mech, Missing, Name, NameForm, Progress, State, Status, flag,
};

/// Required features of a context; without one, messages could be read, altered, replayed or forged.
const REQUIRED: u32 = flag::MUTUAL | flag::REPLAY | flag::SEQUENCE | flag::CONFIDENTIALITY | flag::INTEGRITY;

impl From<Missing> for ContextError {
    fn from(missing: Missing) -> Self {
        Self::NoLibrary { reason: missing.to_string() }
    }
}

impl From<Status> for ContextError {
    fn from(status: Status) -> Self {
        let minor = i64::from(status.minor);
        let known = KerberosProblem::of_krb5(minor);
        // Some problems, such as a wrong channel binding, have only a major status.
        let problem = known.unwrap_or_else(|| KerberosProblem::of_gss(status.major));
        let code = if minor != 0 { minor } else { i64::from(status.major) };
        Self::Kerberos { problem, code, text: status.text }
    }
}

/// The state of a context that seals messages.
struct Sealing {
    context: gssapi::Context,
    established: bool,
}

impl Sealing {
    fn wrap(&mut self, message: &[u8]) -> Result<Sealed, ContextError> {
        if !self.established {
            return Err(ContextError::NotEstablished);
        }
        let gssapi::Wrapped { header, data, padding } = self.context.wrap(message)?;
        Ok(Sealed { header, data, padding })
    }

    fn unwrap(&mut self, header: &[u8], data: &[u8]) -> Result<Vec<u8>, ContextError> {
        if !self.established {
            return Err(ContextError::NotEstablished);
        }
        Ok(self.context.unwrap(header, data)?)
    }

    /// Processes the result of a step. `wanted` are the requested flags.
    fn advance(&mut self, state: State, token: Vec<u8>, wanted: u32) -> Result<Step, ContextError> {
        if state.established && state.flags & REQUIRED != REQUIRED {
            let missing = REQUIRED & !state.flags;
            return Err(ContextError::Unverified(format!("the context lacks flags {missing:#x}")));
        }
        if state.established && wanted & flag::DELEGATE & !state.flags != 0 {
            tracing::warn!(
                "the ticket was not delegated: the KDC does not allow it for this account or service"
            );
        }
        self.established = state.established;
        Ok(Step { token: (!token.is_empty()).then_some(token), established: state.established })
    }
}

/// The initiator.
pub struct Client {
    library: &'static Library,
    initiator: Initiator,
    sealing: Sealing,
    /// The credential and the service; acquired in the first step.
    session: Option<(Arc<Mutex<Credential>>, Name)>,
}

impl Client {
    /// Prepares a context, without a request to the KDC.
    ///
    /// # Errors
    /// There is no Kerberos library.
    pub fn new(initiator: &Initiator) -> Result<Self, ContextError> {
        let library = Library::get()?;
        let context = gssapi::Context::new(library, mech(initiator.mechanism));
        let sealing = Sealing { context, established: false };
        Ok(Self { library, initiator: initiator.clone(), sealing, session: None })
    }

    fn acquire(&self, mech: Mech) -> Result<(Arc<Mutex<Credential>>, Name), ContextError> {
        let service = &self.initiator.service;
        // `HTTP@host` is canonicalised according to krb5.conf, `HTTP/host` is not: a name from DNS, especially
        // from a reverse lookup, would let a DNS server choose the endpoint.
        let target = if service.contains('/') {
            Name::import(self.library, &principal::service(service), NameForm::Principal)?
        } else {
            Name::import(self.library, service, NameForm::Hostbased)?
        };
        let credential = match &self.initiator.account {
            // The system's own cache holds its tickets.
            Account::System => Arc::new(Mutex::new(Credential::system(self.library, mech)?)),
            Account::Password { user, password } => {
                let realm = if user.contains('\\') { default_realm(self.library) } else { None };
                let user = principal::account(user, realm.as_deref());
                self.initiator.tickets.credential(mech, || {
                    let name = Name::import(self.library, &user, NameForm::User)?;
                    Ok(Credential::password(&name, password.expose_secret().as_bytes(), mech)?)
                })?
            }
        };
        Ok((credential, target))
    }

    /// Returns the reason why SPNEGO has no first token. SPNEGO's own codes do not contain it, so this repeats the
    /// step with Kerberos alone, which fails with the reason. Nothing is sent to the server.
    fn reason(&self, status: Status) -> ContextError {
        let known = KerberosProblem::of_krb5(status.minor.into()).is_some();
        if known || self.initiator.mechanism == Mechanism::Kerberos {
            return status.into();
        }
        let raw = self.acquire(Mech::Krb5).and_then(|(credential, target)| {
            let mut context = gssapi::Context::new(self.library, Mech::Krb5);
            Ok(context.initiate(&lock(&credential), &target, self.flags(), self.binding(), &[]).result?)
        });
        raw.err().unwrap_or_else(|| status.into())
    }

    fn flags(&self) -> u32 {
        if self.initiator.delegate { REQUIRED | flag::DELEGATE } else { REQUIRED }
    }

    fn binding(&self) -> Option<&[u8]> {
        self.initiator.channel_binding.as_deref()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // A ticket that the server refused must not be sent again: the key of the service may have changed.
        if self.session.is_some() && !self.sealing.established {
            self.initiator.tickets.forget();
        }
    }
}

/// Locks a credential: only one context uses it at a time.
fn lock(credential: &Mutex<Credential>) -> MutexGuard<'_, Credential> {
    credential.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Context for Client {
    fn step(&mut self, token: Option<&[u8]>) -> Result<Step, ContextError> {
        if self.sealing.established {
            return Err(ContextError::Malformed {
                what: "token",
                reason: "the context is established".to_owned(),
            });
        }
        match (&self.session, token) {
            (None, None) => self.session = Some(self.acquire(mech(self.initiator.mechanism))?),
            (Some(_), Some(_)) => {}
            (None, Some(_)) => return Err(ContextError::NotEstablished),
            (Some(_), None) => {
                let reason = "the server sent none".to_owned();
                return Err(ContextError::Malformed { what: "token", reason });
            }
        }
        let (flags, binding) = (self.flags(), self.initiator.channel_binding.as_deref());
        let Some((credential, target)) = &self.session else { return Err(ContextError::NotEstablished) };
        let Progress { token: next, result } = self.sealing.context.initiate(
            &lock(credential),
            target,
            flags,
            binding,
            token.unwrap_or_default(),
        );
        // Some libraries ignore the requested mechanism. NTLM must not replace Kerberos.
        if ntlm::is_in(&next) {
            let text = "the library offers NTLM in place of Kerberos".to_owned();
            return Err(ContextError::Kerberos { problem: KerberosProblem::Downgrade, code: 0, text });
        }
        match result {
            Ok(state) => self.sealing.advance(state, next, flags),
            Err(status) if token.is_none() => Err(self.reason(status)),
            Err(status) => Err(status.into()),
        }
    }

    fn wrap(&mut self, message: &[u8]) -> Result<Sealed, ContextError> {
        self.sealing.wrap(message)
    }

    fn unwrap(&mut self, header: &[u8], data: &[u8]) -> Result<Vec<u8>, ContextError> {
        self.sealing.unwrap(header, data)
    }
}

/// Returns the default realm, which Kerberos adds to a name without a realm.
fn default_realm(library: &'static Library) -> Option<String> {
    let name = Name::import(library, "user", NameForm::User).ok()?.principal().ok()?;
    name.split_once('@').map(|(_, realm)| realm.to_owned())
}

fn mech(mechanism: Mechanism) -> Mech {
    match mechanism {
        Mechanism::Kerberos => Mech::Krb5,
        _ => Mech::Spnego,
    }
}

/// The acceptor, with the keys of the keytab that KRB5_KTNAME names.
pub struct Server {
    sealing: Sealing,
    credential: Credential,
    channel_binding: Option<Vec<u8>>,
    peer: Option<String>,
    refusal: Option<Vec<u8>>,
}

impl Server {
    /// Opens the keytab.
    ///
    /// # Errors
    /// There is no Kerberos library, or no keytab with a key.
    pub fn new(mechanism: Mechanism, channel_binding: Option<Vec<u8>>) -> Result<Self, ContextError> {
        let library = Library::get()?;
        // A missing keytab has the same major status as a missing ticket, and a system error as minor status.
        let credential = Credential::keytab(library, mech(mechanism)).map_err(|status| {
            match ContextError::from(status) {
                ContextError::Kerberos { problem: KerberosProblem::NoTicket, code, text } => {
                    ContextError::Kerberos { problem: KerberosProblem::NoKey, code, text }
                }
                other => other,
            }
        })?;
        let sealing = Sealing { context: gssapi::Context::new(library, mech(mechanism)), established: false };
        Ok(Self { sealing, credential, channel_binding, peer: None, refusal: None })
    }

    /// Returns the initiator's principal; `None` until the context is established.
    pub fn peer(&self) -> Option<&str> {
        self.peer.as_deref()
    }

    /// Returns the token that reports the reason of a failed step to the initiator (KRB-ERROR), if there is one.
    pub fn refusal(&self) -> Option<&[u8]> {
        self.refusal.as_deref()
    }
}

impl Context for Server {
    fn step(&mut self, token: Option<&[u8]>) -> Result<Step, ContextError> {
        let Some(token) = token.filter(|_| !self.sealing.established) else {
            let reason = "expected one from the client before the context is established".to_owned();
            return Err(ContextError::Malformed { what: "token", reason });
        };
        let binding = self.channel_binding.as_deref();
        let (Progress { token: next, result }, peer) =
            self.sealing.context.accept(&self.credential, binding, token);
        match result {
            Ok(state) => {
                if let Some(name) = peer {
                    self.peer = Some(name.display()?);
                }
                self.sealing.advance(state, next, REQUIRED)
            }
            Err(status) => {
                self.refusal = (!next.is_empty()).then_some(next);
                Err(status.into())
            }
        }
    }

    fn wrap(&mut self, message: &[u8]) -> Result<Sealed, ContextError> {
        self.sealing.wrap(message)
    }

    fn unwrap(&mut self, header: &[u8], data: &[u8]) -> Result<Vec<u8>, ContextError> {
        self.sealing.unwrap(header, data)
    }
}
