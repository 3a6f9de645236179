//! Security contexts: the mechanisms that authenticate one connection and seal its messages (RFC 2743).
//!
//! A context belongs to one TCP connection. It has no I/O of its own: tokens go in and come out, and the
//! transport carries them in HTTP headers (RFC 4559).

pub mod challenge;
mod error;
mod initiate;
#[cfg(unix)]
pub mod kerberos;
pub mod negotiation;
pub mod ntlm;
#[cfg(unix)]
mod principal;
mod problem;
pub mod sealed;
pub mod spnego;
#[cfg(windows)]
pub mod sspi;
mod tickets;

use std::fmt;

use secrecy::SecretString;

pub use error::ContextError;
pub use initiate::initiate;
pub use problem::KerberosProblem;
pub use tickets::Tickets;

/// One side of a security context.
pub trait Context: Send {
    /// Processes the peer's token and returns the next one. An initiator starts with `None`.
    ///
    /// May block while a Kerberos library queries a KDC: call it on a thread that may block.
    ///
    /// # Errors
    /// The mechanism refuses, the peer's token is malformed, or the peer did not prove its identity.
    fn step(&mut self, token: Option<&[u8]>) -> Result<Step, ContextError>;

    /// Encrypts and signs a message.
    ///
    /// # Errors
    /// The context is not established or the mechanism cannot seal.
    fn wrap(&mut self, message: &[u8]) -> Result<Sealed, ContextError>;

    /// Verifies and decrypts a message that the peer has sealed. Messages arrive in the order of their
    /// sequence numbers; an old, repeated, missing or reordered one is an error.
    ///
    /// # Errors
    /// The signature, the sequence number or a length is wrong.
    fn unwrap(&mut self, header: &[u8], data: &[u8]) -> Result<Vec<u8>, ContextError>;
}

/// The result of [`Context::step`].
#[derive(PartialEq, Eq)]
pub struct Step {
    /// The token for the peer.
    pub token: Option<Vec<u8>>,
    /// Whether this side needs no further token from the peer.
    pub established: bool,
}

// A token proves a password, and can be used to guess it.
impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let token = self.token.as_ref().map(Vec::len);
        f.debug_struct("Step").field("token", &token).field("established", &self.established).finish()
    }
}

/// A sealed message.
#[derive(Debug, PartialEq, Eq)]
pub struct Sealed {
    /// The signature or token header: 16 bytes for NTLM, 60 for Kerberos with AES.
    pub header: Vec<u8>,
    /// The encrypted message with its padding.
    pub data: Vec<u8>,
    /// Bytes of padding in `data`.
    pub padding: usize,
}

/// A mechanism, and the form of its tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mechanism {
    /// Kerberos tokens (RFC 4121), under the HTTP scheme `Kerberos`.
    Kerberos,
    /// Kerberos in SPNEGO (RFC 4178), under the HTTP scheme `Negotiate`.
    NegotiateKerberos,
    /// NTLM messages without SPNEGO (MS-NLMP); Windows accepts them under `Negotiate` too.
    Ntlm,
    /// NTLM in SPNEGO, with mechListMIC.
    NegotiateNtlm,
}

impl Mechanism {
    /// Returns whether the KDC, not the server, checks the password.
    pub const fn is_kerberos(self) -> bool {
        matches!(self, Self::Kerberos | Self::NegotiateKerberos)
    }

    /// Returns the mechanism's name for users.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kerberos | Self::NegotiateKerberos => "Kerberos",
            Self::Ntlm | Self::NegotiateNtlm => "NTLM",
        }
    }
}

/// The account of an initiator.
#[derive(Clone, Debug)]
pub enum Account {
    /// The account of the system's ticket or logon.
    System,
    /// `DOMAIN\user`, `user@REALM` or a local account's name.
    Password { user: String, password: SecretString },
}

/// Parameters of an initiator.
#[derive(Clone, Debug)]
pub struct Initiator {
    pub mechanism: Mechanism,
    pub account: Account,
    /// The service principal: `HTTP/host`, without port and realm unless the user wrote them.
    pub service: String,
    /// Whether the server may act as this account towards other servers (Kerberos only).
    pub delegate: bool,
    /// The channel binding over TLS: `tls-server-end-point:` and the hash of the server's certificate
    /// (RFC 5929 §4). `None` without TLS: servers may accept an absent binding, but never a wrong one.
    pub channel_binding: Option<Vec<u8>>,
    /// The tickets of earlier connections to the same endpoint.
    pub tickets: Tickets,
}
