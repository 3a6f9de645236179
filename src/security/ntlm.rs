//! NTLMv2 in connection-oriented mode (MS-NLMP): client and acceptor, without I/O.
//!
//! Only the strongest options are supported: Unicode, NTLMv2, extended session security, key exchange and 128-bit
//! sealing, with a MIC over the three messages. NTLMv1, LM and 56-bit keys are not implemented.

mod acceptor;
mod client;
mod keys;
mod message;
mod session;

pub use acceptor::{Acceptor, Accounts, Binding, Identity};
pub use client::Client;
pub use message::CHALLENGE;
pub use session::Session;

/// Returns whether a token contains a message of NTLM.
pub(super) fn is_in(token: &[u8]) -> bool {
    token.windows(message::SIGNATURE.len()).any(|part| part == message::SIGNATURE)
}

/// SEC_E_UNSUPPORTED_FUNCTION: the peer lacks a feature that is required here.
pub const UNSUPPORTED: i64 = 0x8009_0302;
/// SEC_E_LOGON_DENIED: unknown user, wrong password or wrong MIC.
pub const LOGON_DENIED: i64 = 0x8009_030C;
/// SEC_E_NO_CREDENTIALS: the account has no user name or no password.
pub const NO_CREDENTIALS: i64 = 0x8009_030E;
/// SEC_E_BAD_BINDINGS: the channel binding is wrong, or required and absent.
pub const BAD_BINDINGS: i64 = 0x8009_0346;

#[cfg(test)]
mod tests;
