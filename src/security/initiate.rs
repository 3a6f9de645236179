//! Choice of the implementation of an initiator.

use super::{Account, Context, ContextError, Initiator, Mechanism, ntlm, spnego};

/// Returns an initiator's context for a mechanism.
///
/// # Errors
/// The mechanism is not available, or does not support the account.
pub fn initiate(initiator: &Initiator) -> Result<Box<dyn Context>, ContextError> {
    match initiator.mechanism {
        #[cfg(windows)]
        _ if matches!(initiator.account, Account::System) => {
            Ok(Box::new(super::sspi::Client::new(initiator)))
        }
        Mechanism::Ntlm => Ok(Box::new(ntlm_client(initiator)?)),
        Mechanism::NegotiateNtlm => Ok(Box::new(spnego::Client::new(ntlm_client(initiator)?))),
        #[cfg(unix)]
        Mechanism::Kerberos | Mechanism::NegotiateKerberos => {
            Ok(Box::new(super::kerberos::Client::new(initiator)?))
        }
        #[cfg(windows)]
        Mechanism::Kerberos | Mechanism::NegotiateKerberos => {
            Ok(Box::new(super::sspi::Client::new(initiator)))
        }
    }
}

/// Returns lyncsh's own NTLM client, which all systems use for passwords, so that one implementation is tested on
/// all of them. The Windows logon uses SSPI.
fn ntlm_client(initiator: &Initiator) -> Result<ntlm::Client, ContextError> {
    match &initiator.account {
        Account::Password { user, password } => {
            ntlm::Client::new(user, password, &initiator.service, initiator.channel_binding.as_deref())
        }
        Account::System => Err(ContextError::Mechanism {
            code: ntlm::NO_CREDENTIALS,
            text: "NTLM needs a user name and a password".to_owned(),
        }),
    }
}
