//! Streams inside TLS, and errors of setting up TLS.

use tokio::io::{AsyncRead, AsyncWrite};

/// Error of setting up TLS.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TlsSetupError {
    /// rustls cannot use the CA certificates of the system or the client certificate.
    #[error(transparent)]
    Rustls(#[from] rustls::Error),
    /// This build has no feature `system-tls`, and the profile has `tls = "system"`.
    #[error("tls = \"system\" needs a lyncsh that was built with OpenSSL: cargo build --features system-tls")]
    NotBuilt,
    /// The system's TLS library cannot use a CA certificate or the client certificate.
    #[error("{0}")]
    System(String),
}

/// The parameters of an open TLS connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// The server's certificate in DER form, which channel binding needs ([`crate::net::tls_server_end_point`]).
    pub certificate: Vec<u8>,
    /// Number of certificates that the server sent; like protocol and suite `None` if the library does not
    /// provide it.
    pub sent: Option<usize>,
    pub protocol: Option<&'static str>,
    pub suite: Option<&'static str>,
}

/// A stream inside TLS.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}
