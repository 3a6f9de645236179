//! How PSRP messages travel: over WSMan ([`wsman`]) or over a byte stream in out-of-process framing
//! ([`stream`]). Either way a [`Connection`] is what the rest of the crate sees, and [`session`] is a
//! PSRP client on one.

pub mod backpressure;
mod connection;
mod error;
pub mod session;
pub mod stream;
pub mod wsman;

pub use connection::{Connection, ConnectionEvent, ConnectionRequest};
pub use error::{Error, Operation, RedirectRefusal};

pub use crate::profile::Limits;
