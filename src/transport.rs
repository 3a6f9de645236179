//! Transports for PSRP messages: WSMan ([`wsman`]) or out-of-process framing over a byte stream ([`stream`]).
//! Both provide a [`Connection`]; [`session`] is a PSRP client on a connection.

pub mod backpressure;
mod connection;
mod error;
pub mod session;
pub mod stream;
pub mod wsman;

pub use connection::{Connection, ConnectionEvent, ConnectionRequest};
pub use error::{AuthScheme, Error, Operation, RedirectRefusal};

pub use crate::profile::Limits;

/// Waits until a deadline. Never returns if there is none.
pub async fn sleep_until(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
