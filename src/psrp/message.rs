//! A PSRP message: the 40-byte header and its body (MS-PSRP 2.2.1).

use uuid::Uuid;

/// Who a message is for (MS-PSRP 2.2.1, Destination).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    Client,
    Server,
}

/// Message types (MS-PSRP 2.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum MessageType {
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

/// One whole message.
#[derive(Clone, Debug, PartialEq)]
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

/// Why bytes are not a message.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    #[error("a message of {0} bytes is shorter than its header")]
    Short(usize),
    #[error("message type {0:#010x} is not known")]
    UnknownType(u32),
    #[error("destination {0} is not known")]
    UnknownDestination(u32),
    #[error("a message's body is not UTF-8")]
    NotUtf8,
}

impl Message {
    /// The bytes that fragments carry, with the byte order mark that PowerShell writes.
    pub fn encode(&self) -> Vec<u8> {
        todo!()
    }

    /// Reads a whole message; the body's byte order mark is dropped where there is one.
    pub fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
        let _ = bytes;
        todo!()
    }
}
