//! Failures of security contexts.

use super::problem::KerberosProblem;

/// The reason why a security context failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContextError {
    /// The Kerberos library is not installed.
    #[error("cannot load a Kerberos library: {reason}")]
    NoLibrary { reason: String },
    /// Kerberos or SSPI refused. `code` is the minor status of Kerberos, else GSSAPI's major status, or SSPI's
    /// status.
    #[error("{problem}: {text} ({})", display_code(*.code))]
    Kerberos { problem: KerberosProblem, code: i64, text: String },
    /// lyncsh's own NTLM or SPNEGO failed. `code` is the corresponding status of SSPI.
    #[error("{text} ({})", display_code(*.code))]
    Mechanism { code: i64, text: String },
    /// The peer's token or sealed message cannot be read.
    #[error("invalid {what}: {reason}")]
    Malformed { what: &'static str, reason: String },
    /// The peer's proof of identity or a signature is wrong.
    #[error("cannot verify the peer: {0}")]
    Unverified(String),
    /// A call that the context's state does not allow.
    #[error("the security context is not established")]
    NotEstablished,
}

impl ContextError {
    /// Returns whether `negotiate` may fall back to NTLM after this failure of Kerberos: no library, KDC or ticket,
    /// or an unknown realm or service principal. The fallback also needs a password.
    pub fn allows_ntlm(&self) -> bool {
        match self {
            Self::NoLibrary { .. } => true,
            Self::Kerberos { problem, .. } => problem.allows_ntlm(),
            _ => false,
        }
    }

    /// Returns whether the account or its password was refused. The credential must not be sent again: repeated
    /// attempts lock the account.
    pub fn is_refused_credential(&self) -> bool {
        matches!(self, Self::Kerberos { problem, .. } if problem.is_refused_credential())
    }
}

/// Formats a code as documentation lists it: decimal for Kerberos and GSSAPI, hexadecimal for SSPI.
fn display_code(code: i64) -> String {
    if code > i64::from(i32::MAX) { format!("0x{code:08X}") } else { code.to_string() }
}
