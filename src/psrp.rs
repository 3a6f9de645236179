//! The PowerShell Remoting Protocol (MS-PSRP) without I/O: bytes in, events out.
//!
//! This module uses no clock, socket or runtime, and nothing from the rest of the crate. Its layers from the
//! bottom: [`fragment`] splits and joins messages, [`message`] is the 40-byte header with a body, [`clixml`]
//! is the format of the body, [`pool`], [`pipeline`], [`record`] and [`host`] are typed bodies, [`key`] is
//! the session key of protocol 2.3, and [`client`] and [`server`] are the two ends of a runspace pool as
//! state machines.

pub mod client;
pub mod clixml;
pub mod command_metadata;
pub mod format_data;
pub mod fragment;
pub mod host;
pub mod key;
pub mod message;
mod numbered;
mod outbox;
pub mod pipeline;
pub mod pool;
pub mod record;
mod secrets;
pub mod server;

/// A property of a typed body is missing or has the wrong type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is missing or has the wrong type")]
pub struct Missing(pub &'static str);
