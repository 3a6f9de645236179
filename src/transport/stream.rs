//! Out-of-process framing: line-based XML elements over any byte stream (OutOfProcTransportManager.cs
//! in PowerShell's source). [`Element`] is pure and serves both sides; [`connect`] is the client's,
//! [`serve`] the server's.
//!
//! Only a client's Data are acknowledged, and a client waits for each DataAck before its next Data
//! with that id. The Data of one id, stream and direction are one byte stream of fragments: the
//! client cuts it every [`MAX_DATA`] bytes wherever that falls, the server puts one fragment into
//! each Data.

mod client;
pub mod element;
mod lines;
mod outbound;
mod server;

pub use client::connect;
pub use element::Element;
pub use server::{Ack, Incoming, Sender, Server, serve};

/// The largest piece of a stream that goes into one Data.
pub const MAX_DATA: usize = 32_768;
/// The largest part of a message in one fragment (32,768 less the fragment's header).
pub const MAX_FRAGMENT_PAYLOAD: usize = 32_747;
/// The longest line that is read, in bytes. The longest that either side writes is a Data of
/// [`MAX_DATA`] bytes in base64, a sixth of this.
pub const MAX_LINE: usize = 256 * 1024;
