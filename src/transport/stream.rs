//! Out-of-process framing: line-based XML elements over any byte stream (OutOfProcTransportManager.cs
//! in PowerShell's source). [`Element`] is pure and serves both sides; [`connect`] is the client's.

use base64::Engine as _;
use tokio::io::{AsyncRead, AsyncWrite};
use uuid::Uuid;

use super::{Connection, Error, Limits};
use crate::psrp::client::Stream;

/// One line of the framing.
#[derive(Clone, Debug, PartialEq)]
pub enum Element {
    Data { stream: Stream, id: Uuid, bytes: Vec<u8> },
    DataAck(Uuid),
    Command(Uuid),
    CommandAck(Uuid),
    Close(Uuid),
    CloseAck(Uuid),
    Signal(Uuid),
    SignalAck(Uuid),
}

/// The largest piece of a stream that goes into one Data.
pub const MAX_DATA: usize = 32_768;
/// The largest part of a message in one fragment (32,768 less the fragment's header).
pub const MAX_FRAGMENT_PAYLOAD: usize = 32_747;

impl Element {
    /// Reads one line, without its end.
    pub fn parse(line: &str) -> Result<Self, String> {
        let _ = (line, base64::engine::general_purpose::STANDARD.encode([]));
        todo!()
    }
}

impl std::fmt::Display for Element {
    /// The line as it is sent, without its end.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let _ = f;
        todo!()
    }
}

/// A client's connection over a byte stream: the agent's socket, or an ssh subsystem. Sends nothing
/// on a stream before the last Data on it was acknowledged.
pub fn connect<S>(stream: S, limits: Limits) -> Connection
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let _ = (stream, limits, None::<Error>);
    todo!()
}
