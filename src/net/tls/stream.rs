//! Streams inside TLS, and errors of setting up TLS.

use tokio::io::{AsyncRead, AsyncWrite};

/// Error of setting up TLS.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TlsSetupError {
    #[error(transparent)]
    Rustls(#[from] rustls::Error),
    #[error("tls = \"system\" needs a lyncsh that was built with OpenSSL: cargo build --features system-tls")]
    NotBuilt,
    #[error("{0}")]
    System(String),
}

/// A stream inside TLS.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}
