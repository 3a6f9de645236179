//! A PSRP message: the 40-byte header and its body (MS-PSRP 2.2.1).

use uuid::Uuid;

use super::numbered::numbered;

/// The recipient of a message (MS-PSRP 2.2.1, Destination).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    Client,
    Server,
}

numbered! {
    /// Message types (MS-PSRP 2.2.1).
    pub enum MessageType: u32 {
        SessionCapability = 0x0001_0002,
        InitRunspacePool = 0x0001_0004,
        PublicKey = 0x0001_0005,
        EncryptedSessionKey = 0x0001_0006,
        PublicKeyRequest = 0x0001_0007,
        ConnectRunspacePool = 0x0001_0008,
        SetMaxRunspaces = 0x0002_1002,
        SetMinRunspaces = 0x0002_1003,
        RunspaceAvailability = 0x0002_1004,
        RunspacePoolState = 0x0002_1005,
        CreatePipeline = 0x0002_1006,
        GetAvailableRunspaces = 0x0002_1007,
        UserEvent = 0x0002_1008,
        ApplicationPrivateData = 0x0002_1009,
        GetCommandMetadata = 0x0002_100A,
        RunspacePoolInitData = 0x0002_100B,
        ResetRunspaceState = 0x0002_100C,
        RunspacePoolHostCall = 0x0002_1100,
        RunspacePoolHostResponse = 0x0002_1101,
        PipelineInput = 0x0004_1002,
        EndOfPipelineInput = 0x0004_1003,
        PipelineOutput = 0x0004_1004,
        ErrorRecord = 0x0004_1005,
        PipelineState = 0x0004_1006,
        DebugRecord = 0x0004_1007,
        VerboseRecord = 0x0004_1008,
        WarningRecord = 0x0004_1009,
        ProgressRecord = 0x0004_1010,
        InformationRecord = 0x0004_1011,
        PipelineHostCall = 0x0004_1100,
        PipelineHostResponse = 0x0004_1101,
    }
}

/// One complete message.
#[derive(Clone, PartialEq)]
pub struct Message {
    pub destination: Destination,
    pub kind: MessageType,
    /// The runspace pool's id; nil in a server's SESSION_CAPABILITY.
    pub pool: Uuid,
    /// The pipeline's id; nil for messages of the pool.
    pub pipeline: Uuid,
    /// CLIXML text, without a byte order mark; may be empty.
    pub body: String,
}

/// Omits the body's text: with protocol 2.4 it may contain secrets in clear text.
impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Message")
            .field("destination", &self.destination)
            .field("kind", &self.kind)
            .field("pool", &self.pool)
            .field("pipeline", &self.pipeline)
            .field("body", &format_args!("{} bytes", self.body.len()))
            .finish()
    }
}

/// Error of decoding a message.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    /// The fragments joined to fewer than the 40 bytes of the header (MS-PSRP 2.2.1).
    #[error("a message of {0} bytes is shorter than its header")]
    Short(usize),
    /// The peer sent a MessageType that MS-PSRP 2.2.1 does not define; the WSMan client skips it.
    #[error("unknown message type {0:#010x}")]
    UnknownType(u32),
    /// The first field of the header is neither 1 (client) nor 2 (server) (MS-PSRP 2.2.1).
    #[error("unknown destination {0}")]
    UnknownDestination(u32),
    /// The peer sent CLIXML in another encoding, or the bytes were damaged.
    #[error("a message's body is not UTF-8")]
    NotUtf8,
}

/// Destination, type, pool id and pipeline id.
const HEADER: usize = 40;
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

impl Message {
    /// Returns the payload of the fragments, with the byte order mark that PowerShell writes before a body
    /// that is not empty.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER + BYTE_ORDER_MARK.len() + self.body.len());
        let destination: u32 = match self.destination {
            Destination::Client => 1,
            Destination::Server => 2,
        };
        bytes.extend(destination.to_le_bytes());
        bytes.extend((self.kind as u32).to_le_bytes());
        bytes.extend(self.pool.to_bytes_le());
        bytes.extend(self.pipeline.to_bytes_le());
        if !self.body.is_empty() {
            bytes.extend(BYTE_ORDER_MARK);
        }
        bytes.extend(self.body.as_bytes());
        bytes
    }

    /// Returns the number of bytes of the header and the body.
    pub fn size(&self) -> u64 {
        (HEADER + self.body.len()) as u64
    }

    /// Decodes a complete message; removes the body's byte order mark.
    pub fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
        let Some((header, body)) = bytes.split_first_chunk::<HEADER>() else {
            return Err(MessageError::Short(bytes.len()));
        };
        let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
        let kind = number(header, 4);
        Ok(Self {
            destination: match number(header, 0) {
                1 => Destination::Client,
                2 => Destination::Server,
                other => return Err(MessageError::UnknownDestination(other)),
            },
            kind: MessageType::from_number(kind).ok_or(MessageError::UnknownType(kind))?,
            pool: id(header, 8),
            pipeline: id(header, 24),
            body: std::str::from_utf8(body).map_err(|_| MessageError::NotUtf8)?.to_owned(),
        })
    }
}

fn number(header: &[u8; HEADER], at: usize) -> u32 {
    let mut bytes = [0; 4];
    bytes.copy_from_slice(&header[at..at + 4]);
    u32::from_le_bytes(bytes)
}

fn id(header: &[u8; HEADER], at: usize) -> Uuid {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&header[at..at + 16]);
    Uuid::from_bytes_le(bytes)
}

impl MessageType {
    /// Returns whether a client starts a pipeline with the message.
    pub fn starts_pipeline(self) -> bool {
        matches!(self, Self::CreatePipeline | Self::GetCommandMetadata)
    }
}

/// A transport's stream for a message: `Default`, or the responses to host calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Default,
    PromptResponse,
}

/// A complete message to the peer; the transport splits it into fragments.
#[derive(Clone, Debug, PartialEq)]
pub struct Outgoing {
    pub stream: Stream,
    pub message: Message,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_message_round_trips_with_or_without_bom() {
        let message = Message {
            destination: Destination::Server,
            kind: MessageType::CreatePipeline,
            pool: Uuid::from_u128(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10),
            pipeline: Uuid::from_u128(7),
            body: "<S>é</S>".to_owned(),
        };
        let bytes = message.encode();
        assert_eq!(bytes[..12], *b"\x02\0\0\0\x06\x10\x02\0\x04\x03\x02\x01");
        assert_eq!(bytes[40..43], *BYTE_ORDER_MARK);
        assert_eq!(Message::decode(&bytes).unwrap(), message);
        let bare = [&bytes[..40], message.body.as_bytes()].concat();
        assert_eq!(Message::decode(&bare).unwrap(), message);
    }

    #[test]
    fn an_unknown_type_is_refused() {
        let mut bytes = [0; HEADER];
        (bytes[0], bytes[4]) = (1, 3);
        assert!(matches!(Message::decode(&bytes), Err(MessageError::UnknownType(3))));
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = Message::decode(&bytes);
        }
    }
}
