//! SOAP envelopes of both sides, pure: the client writes requests and reads answers, the simulator
//! reads requests and writes answers (MS-WSMV 2.2.4, DSP0226).
//!
//! [`Request`] and [`Response`] are what an envelope says, [`RequestEnvelope`] and
//! [`ResponseEnvelope`] add the headers. Reading goes by namespaces, not prefixes, and passes over
//! what it does not know.

mod duration;
pub mod identify;
mod read;
pub(super) mod tree;
mod write;

use std::time::Duration;

use uuid::Uuid;

pub use read::{ReadError, Reason};

use super::fault::Fault;

/// The namespaces of WSMan's envelopes.
pub mod ns {
    pub const SOAP: &str = "http://www.w3.org/2003/05/soap-envelope";
    pub const ADDRESSING: &str = "http://schemas.xmlsoap.org/ws/2004/08/addressing";
    pub const ENUMERATION: &str = "http://schemas.xmlsoap.org/ws/2004/09/enumeration";
    pub const TRANSFER: &str = "http://schemas.xmlsoap.org/ws/2004/09/transfer";
    pub const WSMAN: &str = "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd";
    /// Microsoft's additions to WSMan's headers.
    pub const WSMV: &str = "http://schemas.microsoft.com/wbem/wsman/1/wsman.xsd";
    pub const SHELL: &str = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell";
    pub const POWERSHELL: &str = "http://schemas.microsoft.com/powershell";
    pub const CONFIG: &str = "http://schemas.microsoft.com/wbem/wsman/1/config";
    pub const FAULT: &str = "http://schemas.microsoft.com/wbem/wsman/1/wsmanfault";
    pub const XML: &str = "http://www.w3.org/XML/1998/namespace";
    pub const SCHEMA_INSTANCE: &str = "http://www.w3.org/2001/XMLSchema-instance";
}

/// The address of whoever waits on the HTTP connection itself.
pub const ANONYMOUS: &str = "http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous";
/// The resource that lists shells, whatever their configuration.
pub const SHELL_RESOURCE: &str = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell";
/// The resource that lists the commands of a shell.
pub const COMMAND_RESOURCE: &str = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell/Command";
/// What every server accepts as an envelope's size, in bytes (150 KB of 1,024; WSManNativeAPI.cs).
pub const DEFAULT_MAX_ENVELOPE_SIZE: u32 = 153_600;

/// The Content-Type of envelopes over HTTP.
pub const MEDIA_TYPE: &str = "application/soap+xml;charset=UTF-8";

/// A request with its headers.
#[derive(Clone, Debug, PartialEq)]
pub struct RequestEnvelope {
    pub header: RequestHeader,
    pub request: WsmanRequest,
}

/// What a request's header says besides its action.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestHeader {
    /// As it is on the wire, `uuid:` and all: an answer's RelatesTo repeats it.
    pub message_id: String,
    pub to: String,
    /// The configuration's resource URI.
    pub resource_uri: String,
    /// Bytes.
    pub max_envelope_size: Option<u32>,
    pub operation_timeout: Option<Duration>,
    pub locale: Option<String>,
    pub data_locale: Option<String>,
    /// One id for all requests of a client (`p:SessionId`): what Reconnect goes by.
    pub session_id: Option<String>,
    pub selectors: Vec<(String, String)>,
    pub options: Vec<(String, String)>,
}

impl RequestHeader {
    pub fn selector(&self, name: &str) -> Option<&str> {
        find(&self.selectors, name)
    }
    /// The shell that is meant, as it is on the wire.
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

/// What a client asks.
#[derive(Clone, Debug, PartialEq)]
pub enum WsmanRequest {
    Create(Create),
    /// Starts a pipeline.
    Command {
        /// The client's choice: the pipeline's id.
        id: Option<Uuid>,
        /// The first command's name in clear.
        name: String,
        /// The first fragments.
        arguments: Vec<u8>,
    },
    Send(Vec<StreamPart>),
    Receive {
        /// The streams that are wanted, for PSRP `stdout`.
        streams: Vec<String>,
        /// A pipeline's, or the pool's.
        command: Option<Uuid>,
    },
    Signal {
        command: Option<Uuid>,
        code: SignalCode,
    },
    Delete,
    /// Asks for one shell's [`ShellInfo`].
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
    /// A shell's, or with a command that command's: the shell's alone does not bring them back
    /// (MS-PSRP 3.1.5.3.18).
    Reconnect {
        command: Option<Uuid>,
    },
    Connect {
        /// A pipeline's, or the pool's.
        command: Option<Uuid>,
        /// SESSION_CAPABILITY and CONNECT_RUNSPACEPOOL.
        data: Vec<u8>,
    },
}

/// The body of Create.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Create {
    /// The client's choice, in capitals: the runspace pool's id.
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

/// What a signal asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignalCode {
    /// The end of a pipeline.
    Terminate,
    /// Stops a pipeline. Written as PowerShell spells it, `crtl_c`; read in both spellings.
    Stop,
    Other(String),
}

/// The body of Enumerate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Enumerate {
    /// Asks for items in the answer itself, without a Pull.
    pub optimize: bool,
    pub max_elements: Option<u32>,
    /// The selectors of a selector filter: the shell whose commands are listed.
    pub filter: Vec<(String, String)>,
}

/// An answer with its headers.
#[derive(Clone, Debug, PartialEq)]
pub struct ResponseEnvelope {
    pub message_id: String,
    /// The request's MessageID.
    pub relates_to: Option<String>,
    pub response: Response,
}

/// What a server answers.
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
    /// The service's configuration, of which clients ask how large an envelope may be.
    Configured {
        /// Kilobytes of 1,024 bytes.
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
    /// Whose state it is; OMI leaves it out.
    pub command: Option<Uuid>,
    pub exit_code: Option<i32>,
}

/// How a command, or a shell, is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandState {
    Pending,
    Running,
    Done,
}

/// A piece of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Items {
    pub shells: Vec<ShellInfo>,
    pub commands: Vec<CommandInfo>,
    /// Where to go on with Pull; `None` at the end.
    pub context: Option<String>,
    /// Nothing follows.
    pub end: bool,
}

/// A command of a shell as Enumerate shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandInfo {
    pub shell_id: Option<String>,
    pub command_id: Uuid,
    pub state: Option<String>,
}

/// A shell as Enumerate shows it (MS-WSMV 2.2.4.37).
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
