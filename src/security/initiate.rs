//! The choice of an initiator's implementation.

use super::{Context, ContextError, Initiator, Mechanism};

/// Returns an initiator's context for a mechanism.
///
/// # Errors
/// The mechanism is not available here, or the account does not suit it.
pub fn initiate(initiator: &Initiator) -> Result<Box<dyn Context>, ContextError> {
    match initiator.mechanism {
        #[cfg(unix)]
        Mechanism::Kerberos | Mechanism::NegotiateKerberos => {
            Ok(Box::new(super::kerberos::Client::new(initiator)?))
        }
        #[cfg(unix)]
        Mechanism::Ntlm | Mechanism::NegotiateNtlm => {
            Err(ContextError::Mechanism { code: 0, text: "NTLM is not available".to_owned() })
        }
        #[cfg(windows)]
        Mechanism::Kerberos | Mechanism::NegotiateKerberos | Mechanism::Ntlm | Mechanism::NegotiateNtlm => {
            Ok(Box::new(super::sspi::Client::new(initiator)))
        }
    }
}
