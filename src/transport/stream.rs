//! Out-of-process framing: line-based XML elements over any byte stream (OutOfProcTransportManager.cs in
//! PowerShell's source). [`Element`] is pure and serves both sides; [`connect`] is the client, [`serve`] the
//! server.
//!
//! Only a client's Data is acknowledged, and a client waits for each DataAck before its next Data with that
//! id. The Data elements of one id, stream and direction form one byte stream of fragments: the client splits
//! it every [`MAX_DATA`] bytes, regardless of fragments; the server puts one fragment into each Data.

mod client;
pub mod element;
mod limits;
mod lines;
mod outbound;
mod server;

pub use client::connect;
pub use element::Element;
pub use limits::{MAX_DATA, MAX_FRAGMENT_PAYLOAD, MAX_LINE};
pub use server::{Ack, Incoming, Sender, Server, serve};
