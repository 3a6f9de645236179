//! All mechanisms with Windows' SSPI: Kerberos and NTLM, raw or in SPNEGO.
//!
//! The first [`Context::step`] may block while the system queries a domain controller.

use secrecy::ExposeSecret as _;

use super::{Account, Context, ContextError, Initiator, KerberosProblem, Mechanism, Sealed, Step, ntlm};
use crate::platform::sspi::{self, Credential, Identity, Package, RequestedFeatures, Status};

impl From<Status> for ContextError {
    fn from(status: Status) -> Self {
        let problem = KerberosProblem::of_sspi(status.code).unwrap_or(KerberosProblem::Other);
        Self::Kerberos { problem, code: status.code.into(), text: status.text }
    }
}

/// The initiator.
pub struct Client {
    initiator: Initiator,
    context: Option<sspi::Context>,
    established: bool,
}

impl Client {
    /// Prepares a context, without a call to the system.
    pub fn new(initiator: &Initiator) -> Self {
        Self { initiator: initiator.clone(), context: None, established: false }
    }

    fn open(&self, package: Package) -> Result<sspi::Context, ContextError> {
        let credential = match &self.initiator.account {
            Account::System => Credential::acquire(package, None)?,
            Account::Password { user, password } => {
                // A UPN is not split: its suffix can differ from the domain's name; the system resolves it.
                let (domain, user) = user.split_once('\\').unwrap_or(("", user));
                let identity = Identity { user, domain, password: password.expose_secret() };
                Credential::acquire(package, Some(identity))?
            }
        };
        Ok(sspi::Context::new(credential, &self.initiator.service))
    }

    fn wanted(&self) -> RequestedFeatures<'_> {
        let kerberos = self.initiator.mechanism.is_kerberos();
        RequestedFeatures {
            mutual: kerberos,
            delegate: kerberos && self.initiator.delegate,
            binding: self.initiator.channel_binding.as_deref(),
        }
    }

    fn begin(&self) -> Result<sspi::Context, ContextError> {
        match self.initiator.mechanism {
            Mechanism::Kerberos => self.open(Package::Kerberos),
            Mechanism::Ntlm => self.open(Package::Ntlm),
            Mechanism::NegotiateNtlm => self.open(Package::NegotiateNtlm),
            Mechanism::NegotiateKerberos => {
                // If Kerberos fails, the package Negotiate does not return the reason, but the package Kerberos
                // does. If it succeeds, its ticket is in the system's cache.
                self.open(Package::Kerberos)?.initiate(&[], self.wanted())?;
                self.open(Package::NegotiateKerberos)
            }
        }
    }
}

impl Context for Client {
    fn step(&mut self, token: Option<&[u8]>) -> Result<Step, ContextError> {
        let malformed = |reason: &str| ContextError::Malformed { what: "token", reason: reason.to_owned() };
        if self.established {
            return Err(malformed("the context is established"));
        }
        if token.is_none() {
            if self.context.is_some() {
                return Err(malformed("the server sent none"));
            }
            self.context = Some(self.begin()?);
        }
        let mut context = self.context.take().ok_or(ContextError::NotEstablished)?;
        let (next, established) = context.initiate(token.unwrap_or_default(), self.wanted())?;
        // The package may ignore the requested mechanism. NTLM must not replace Kerberos.
        if self.initiator.mechanism.is_kerberos() && ntlm::is_in(&next) {
            let text = "the system offers NTLM in place of Kerberos".to_owned();
            return Err(ContextError::Kerberos { problem: KerberosProblem::Downgrade, code: 0, text });
        }
        self.context = Some(context);
        self.established = established;
        Ok(Step { token: (!next.is_empty()).then_some(next), established })
    }

    fn wrap(&mut self, message: &[u8]) -> Result<Sealed, ContextError> {
        let context = self.context.as_mut().filter(|_| self.established);
        let sspi::Wrapped { header, data, padding } =
            context.ok_or(ContextError::NotEstablished)?.wrap(message)?;
        Ok(Sealed { header, data, padding })
    }

    fn unwrap(&mut self, header: &[u8], data: &[u8]) -> Result<Vec<u8>, ContextError> {
        let context = self.context.as_mut().filter(|_| self.established);
        Ok(context.ok_or(ContextError::NotEstablished)?.unwrap(header, data)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ntlm_begins_and_seals_nothing_before_it_is_established() {
        let account =
            Account::Password { user: r"LITWARE\alice".to_owned(), password: "correct horse".into() };
        let initiator = Initiator {
            mechanism: Mechanism::Ntlm,
            account,
            service: "HTTP/localhost".to_owned(),
            delegate: false,
            channel_binding: None,
            tickets: crate::security::Tickets::default(),
        };
        let mut client = Client::new(&initiator);
        let step = match client.step(None) {
            Ok(step) => step,
            // Wine has no NTLM without Samba.
            Err(ContextError::Kerberos { problem, .. }) => {
                return assert_eq!(problem, KerberosProblem::Unsupported);
            }
            Err(error) => panic!("{error}"),
        };
        assert!(step.token.unwrap().starts_with(b"NTLMSSP\0"));
        assert!(!step.established);
        assert_eq!(client.wrap(b"text"), Err(ContextError::NotEstablished));
        assert!(client.step(None).is_err());
    }
}
