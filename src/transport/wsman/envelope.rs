//! SOAP envelopes of both sides, pure: the client writes requests and reads responses, the simulator reads
//! requests and writes responses (MS-WSMV 2.2.4, DSP0226).
//!
//! [`WsmanRequest`] and [`Response`] are the contents of an envelope; [`RequestEnvelope`] and
//! [`ResponseEnvelope`] add the headers. The reader resolves namespaces, not prefixes, and ignores unknown
//! elements.

mod duration;
pub mod identify;
mod read;
pub(super) mod tree;
mod write;

use std::time::Duration;

use uuid::Uuid;

pub use read::{ReadError, Reason};

use super::fault::Fault;

/// The namespaces of WSMan envelopes.
pub mod ns {
    pub const SOAP: &str = "http://www.w3.org/2003/05/soap-envelope";
    pub const ADDRESSING: &str = "http://schemas.xmlsoap.org/ws/2004/08/addressing";
    pub const ENUMERATION: &str = "http://schemas.xmlsoap.org/ws/2004/09/enumeration";
    pub const TRANSFER: &str = "http://schemas.xmlsoap.org/ws/2004/09/transfer";
    pub const WSMAN: &str = "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd";
    /// Microsoft's extensions of the WSMan headers.
    pub const WSMV: &str = "http://schemas.microsoft.com/wbem/wsman/1/wsman.xsd";
    pub const SHELL: &str = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell";
    pub const POWERSHELL: &str = "http://schemas.microsoft.com/powershell";
    pub const CONFIG: &str = "http://schemas.microsoft.com/wbem/wsman/1/config";
    pub const FAULT: &str = "http://schemas.microsoft.com/wbem/wsman/1/wsmanfault";
    pub const XML: &str = "http://www.w3.org/XML/1998/namespace";
    pub const SCHEMA_INSTANCE: &str = "http://www.w3.org/2001/XMLSchema-instance";
}

/// Reply address of a client that waits on the HTTP connection itself.
const ANONYMOUS: &str = "http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous";
/// The resource that lists shells of any configuration.
pub const SHELL_RESOURCE: &str = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell";
/// The resource that lists the commands of a shell.
pub const COMMAND_RESOURCE: &str = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell/Command";
/// Envelope size that every server accepts, in bytes (150 KB of 1,024; WSManNativeAPI.cs).
pub const DEFAULT_MAX_ENVELOPE_SIZE: u32 = 153_600;

/// The Content-Type of envelopes over HTTP.
pub const MEDIA_TYPE: &str = "application/soap+xml;charset=UTF-8";

/// A request with its headers.
#[derive(Clone, Debug, PartialEq)]
pub struct RequestEnvelope {
    pub header: RequestHeader,
    pub request: WsmanRequest,
}

/// A request's headers besides the action.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestHeader {
    /// As on the wire, including `uuid:`: a response's RelatesTo repeats it.
    pub message_id: String,
    pub to: String,
    /// The configuration's resource URI.
    pub resource_uri: String,
    /// In bytes.
    pub max_envelope_size: Option<u32>,
    pub operation_timeout: Option<Duration>,
    pub locale: Option<String>,
    pub data_locale: Option<String>,
    /// One id for all requests of a client (`p:SessionId`), which Reconnect checks.
    pub session_id: Option<String>,
    pub selectors: Vec<(String, String)>,
    pub options: Vec<(String, String)>,
}

impl RequestHeader {
    fn selector(&self, name: &str) -> Option<&str> {
        find(&self.selectors, name)
    }
    /// The ShellId selector, as on the wire.
    pub fn shell_id(&self) -> Option<&str> {
        self.selector("ShellId")
    }
    pub fn option(&self, name: &str) -> Option<&str> {
        find(&self.options, name)
    }
}

fn find<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// Request of a client.
#[derive(Clone, Debug, PartialEq)]
pub enum WsmanRequest {
    Create(Create),
    /// Starts a pipeline.
    Command {
        /// The pipeline's id, chosen by the client.
        id: Option<Uuid>,
        /// The first command's name in clear text.
        name: String,
        /// The first fragments.
        arguments: Vec<u8>,
    },
    Send(Vec<StreamPart>),
    Receive {
        /// The requested streams, for PSRP `stdout`.
        streams: Vec<String>,
        /// The pipeline; `None`: the pool.
        command: Option<Uuid>,
    },
    Signal {
        command: Option<Uuid>,
        code: SignalCode,
    },
    Delete,
    /// Requests one shell's [`ShellInfo`].
    Get,
    Enumerate(Enumerate),
    Pull {
        context: String,
        max_elements: Option<u32>,
    },
    Disconnect {
        idle_timeout: Option<Duration>,
        /// `Block` or `Drop`.
        buffer_mode: Option<String>,
    },
    /// Reconnects a shell, or one of its commands: reconnecting the shell does not reconnect its commands
    /// (MS-PSRP 3.1.5.3.18).
    Reconnect {
        command: Option<Uuid>,
    },
    Connect {
        /// The pipeline; `None`: the pool.
        command: Option<Uuid>,
        /// SESSION_CAPABILITY and CONNECT_RUNSPACEPOOL.
        data: Vec<u8>,
    },
}

/// The body of Create.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Create {
    /// The runspace pool's id in capitals, chosen by the client.
    pub shell_id: Option<String>,
    pub name: Option<String>,
    pub input_streams: String,
    pub output_streams: String,
    pub idle_timeout: Option<Duration>,
    /// The fragments of creationXml.
    pub data: Vec<u8>,
}

/// Bytes on a stream of a shell or a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamPart {
    /// `stdin`, `pr` or `stdout`.
    pub name: String,
    pub command: Option<Uuid>,
    pub data: Vec<u8>,
    pub end: bool,
}

/// Code of a signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignalCode {
    /// Ends a pipeline.
    Terminate,
    /// Stops a pipeline. Written as PowerShell spells it, `crtl_c`; read in both spellings.
    Stop,
    Other(String),
}

/// The body of Enumerate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Enumerate {
    /// Requests items in the response itself, without a Pull.
    pub optimize: bool,
    pub max_elements: Option<u32>,
    /// The selectors of a selector filter: the shell whose commands are listed.
    pub filter: Vec<(String, String)>,
}

/// A response with its headers.
#[derive(Clone, Debug, PartialEq)]
pub struct ResponseEnvelope {
    pub message_id: String,
    /// The request's MessageID.
    pub relates_to: Option<String>,
    pub response: Response,
}

/// Response of a server.
#[derive(Clone, Debug, PartialEq)]
pub enum Response {
    Created {
        shell_id: String,
        resource_uri: Option<String>,
        /// WinRM describes the new shell, OMI does not.
        shell: Option<ShellInfo>,
    },
    Commanded {
        id: Option<Uuid>,
    },
    Sent,
    Received(Received),
    Signaled,
    Deleted,
    Got(ShellInfo),
    /// The service's configuration, from which clients read the maximum envelope size.
    Configured {
        /// In kilobytes of 1,024 bytes.
        max_envelope_size: u32,
    },
    Enumerated(Items),
    Pulled(Items),
    Disconnected,
    Reconnected,
    Connected {
        /// SESSION_CAPABILITY and RUNSPACEPOOL_INIT_DATA.
        data: Vec<u8>,
    },
    Fault(Fault),
}

/// The body of ReceiveResponse.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Received {
    pub streams: Vec<StreamPart>,
    pub state: Option<CommandState>,
    /// The command of the state; OMI omits it.
    pub command: Option<Uuid>,
    pub exit_code: Option<i32>,
}

/// State of a command or a shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandState {
    Pending,
    Running,
    Done,
}

/// One part of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Items {
    pub shells: Vec<ShellInfo>,
    pub commands: Vec<CommandInfo>,
    /// Context for the next Pull; `None` at the end.
    pub context: Option<String>,
    /// Whether this is the last part.
    pub end: bool,
}

/// A command of a shell in the response to Enumerate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandInfo {
    pub shell_id: Option<String>,
    pub command_id: Uuid,
    pub state: Option<String>,
}

/// A shell in the response to Enumerate (MS-WSMV 2.2.4.37).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShellInfo {
    pub shell_id: String,
    pub name: Option<String>,
    pub owner: Option<String>,
    pub client_address: Option<String>,
    pub process_id: Option<u32>,
    pub resource_uri: Option<String>,
    /// `Connected` or `Disconnected`.
    pub state: Option<String>,
    pub idle_timeout: Option<Duration>,
    pub running_time: Option<Duration>,
    pub inactivity: Option<Duration>,
}
