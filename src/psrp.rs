//! The PowerShell Remoting Protocol (MS-PSRP) with no I/O in it: bytes in, events out.
//!
//! Nothing here knows a clock, a socket or a runtime, and nothing is imported from the rest of the
//! crate. The layers, from the bottom: [`fragment`] cuts messages into fragments and joins them,
//! [`message`] is the 40-byte header with a body, [`clixml`] is the body's language, [`pool`], [`pipeline`],
//! [`record`] and [`host`] are typed bodies, [`key`] is the session key of protocol 2.3, and
//! [`client`] and [`server`] are the two ends of a runspace pool as state machines.

pub mod client;
pub mod clixml;
pub mod command_metadata;
pub mod format_data;
pub mod fragment;
pub mod host;
pub mod key;
pub mod message;
mod outbox;
pub mod pipeline;
pub mod pool;
pub mod record;
mod secrets;
pub mod server;

/// A typed body's value lacks a part, or has another type of value there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is missing or of another type")]
pub struct Missing(pub &'static str);
