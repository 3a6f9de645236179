//! Reading envelopes of either side.

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use uuid::Uuid;

use super::super::fault;
use super::tree::{self, Element};
use super::*;

/// Why bytes are not an envelope that can be answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct ReadError {
    /// What a fault's RelatesTo has to repeat, as far as it could be read.
    pub message_id: Option<String>,
    pub reason: Reason,
}

/// What is wrong with an envelope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    #[error("this is no SOAP envelope: {0}")]
    NotSoap(String),
    #[error("the action {0} is not known")]
    Action(String),
    #[error("the envelope lacks {0}")]
    Missing(&'static str),
    #[error("{what} can't be {value:?}")]
    Value { what: &'static str, value: String },
}

impl From<Reason> for ReadError {
    fn from(reason: Reason) -> Self {
        Self { message_id: None, reason }
    }
}

/// An envelope's parts that both directions have.
struct Envelope {
    header: Element,
    body: Element,
    action: String,
}

impl Envelope {
    fn read(bytes: &[u8]) -> Result<Self, Reason> {
        let text = decode(bytes)?;
        let mut root = tree::parse(&text).map_err(Reason::NotSoap)?;
        if !root.is(ns::SOAP, "Envelope") {
            return Err(Reason::NotSoap(format!("its root is {}", root.name)));
        }
        let mut take = |name| {
            let at = root.children.iter().position(|child| child.is(ns::SOAP, name));
            at.map(|at| root.children.swap_remove(at))
        };
        let body = take("Body").ok_or(Reason::Missing("a body"))?;
        let header = take("Header").unwrap_or_default();
        let action = header.child_text(ns::ADDRESSING, "Action").unwrap_or_default().to_owned();
        Ok(Self { header, body, action })
    }

    fn message_id(&self) -> Option<String> {
        text(&self.header, ns::ADDRESSING, "MessageID")
    }

    /// The body's element, where there is one.
    fn content(&self, ns: &str, name: &'static str) -> Result<&Element, Reason> {
        self.body.child(ns, name).ok_or(Reason::Missing(name))
    }
}

impl RequestEnvelope {
    /// Reads what a client sent.
    pub fn read(bytes: &[u8]) -> Result<Self, ReadError> {
        let envelope = Envelope::read(bytes)?;
        read_request(&envelope).map_err(|reason| ReadError { message_id: envelope.message_id(), reason })
    }
}

fn read_request(envelope: &Envelope) -> Result<RequestEnvelope, Reason> {
    let from = &envelope.header;
    let header = RequestHeader {
        message_id: envelope.message_id().ok_or(Reason::Missing("a MessageID"))?,
        to: text(from, ns::ADDRESSING, "To").unwrap_or_default(),
        resource_uri: text(from, ns::WSMAN, "ResourceURI").unwrap_or_default(),
        max_envelope_size: number(from, ns::WSMAN, "MaxEnvelopeSize")?,
        operation_timeout: duration(from, ns::WSMAN, "OperationTimeout")?,
        locale: language(from, ns::WSMAN, "Locale"),
        data_locale: language(from, ns::WSMV, "DataLocale"),
        session_id: text(from, ns::WSMV, "SessionId"),
        selectors: pairs(from.child(ns::WSMAN, "SelectorSet"), "Selector"),
        options: pairs(from.child(ns::WSMAN, "OptionSet"), "Option"),
    };
    let (base, name) = envelope.action.rsplit_once('/').unwrap_or(("", &envelope.action));
    let request = match (base, name) {
        (ns::TRANSFER, "Create") => Request::Create(create(envelope.content(ns::SHELL, "Shell")?)?),
        (ns::TRANSFER, "Delete") => Request::Delete,
        (ns::TRANSFER, "Get") => Request::Get,
        (ns::ENUMERATION, "Enumerate") => {
            let body = envelope.content(ns::ENUMERATION, "Enumerate")?;
            let filter = body.child(ns::WSMAN, "Filter").and_then(|filter| filter.find("SelectorSet"));
            Request::Enumerate(Enumerate {
                optimize: body.child(ns::WSMAN, "OptimizeEnumeration").is_some(),
                max_elements: number(body, ns::WSMAN, "MaxElements")?,
                filter: pairs(filter, "Selector"),
            })
        }
        (ns::ENUMERATION, "Pull") => {
            let body = envelope.content(ns::ENUMERATION, "Pull")?;
            Request::Pull {
                context: text(body, ns::ENUMERATION, "EnumerationContext")
                    .ok_or(Reason::Missing("an EnumerationContext"))?,
                max_elements: number(body, ns::ENUMERATION, "MaxElements")?,
            }
        }
        (ns::SHELL, "Command") => {
            let body = envelope.content(ns::SHELL, "CommandLine")?;
            let mut arguments = Vec::new();
            for part in body.children_named(ns::SHELL, "Arguments") {
                arguments.extend(bytes(part)?);
            }
            Request::Command {
                id: id(body)?,
                name: text(body, ns::SHELL, "Command").unwrap_or_default(),
                arguments,
            }
        }
        (ns::SHELL, "Send") => Request::Send(streams(envelope.content(ns::SHELL, "Send")?)?),
        (ns::SHELL, "Receive") => {
            let body = envelope.content(ns::SHELL, "Receive")?;
            let desired = body.child(ns::SHELL, "DesiredStream").ok_or(Reason::Missing("a DesiredStream"))?;
            Request::Receive {
                streams: desired.text.split_whitespace().map(str::to_owned).collect(),
                command: id(desired)?,
            }
        }
        (ns::SHELL, "Signal") => {
            let body = envelope.content(ns::SHELL, "Signal")?;
            let code = body.child_text(ns::SHELL, "Code").ok_or(Reason::Missing("a signal's Code"))?;
            Request::Signal { command: id(body)?, code: SignalCode::from_uri(code) }
        }
        (ns::SHELL, "Disconnect") => {
            let body = envelope.content(ns::SHELL, "Disconnect")?;
            Request::Disconnect {
                idle_timeout: duration(body, ns::SHELL, "IdleTimeOut")?,
                buffer_mode: text(body, ns::SHELL, "BufferMode"),
            }
        }
        (ns::SHELL, "Reconnect") => {
            // The client of Windows sends a shell's without a body.
            let command = envelope.content(ns::SHELL, "Reconnect").ok().map(id).transpose()?.flatten();
            Request::Reconnect { command }
        }
        (ns::SHELL, "Connect") => {
            let body = envelope.content(ns::SHELL, "Connect")?;
            let data = body.child(ns::POWERSHELL, "connectXml").map(bytes).transpose()?;
            Request::Connect { command: id(body)?, data: data.unwrap_or_default() }
        }
        _ => return Err(Reason::Action(envelope.action.clone())),
    };
    Ok(RequestEnvelope { header, request })
}

impl ResponseEnvelope {
    /// Reads what a server answered. The answer is told by its body; the action decides only where
    /// the body is empty.
    pub fn read(bytes: &[u8]) -> Result<Self, ReadError> {
        let envelope = Envelope::read(bytes)?;
        let relates_to = text(&envelope.header, ns::ADDRESSING, "RelatesTo");
        let response = read_response(&envelope)
            .map_err(|reason| ReadError { message_id: envelope.message_id(), reason })?;
        Ok(Self { message_id: envelope.message_id().unwrap_or_default(), relates_to, response })
    }
}

fn read_response(envelope: &Envelope) -> Result<Response, Reason> {
    let body = &envelope.body;
    if let Some(fault) = body.child(ns::SOAP, "Fault") {
        return Ok(Response::Fault(fault::read(fault)));
    }
    let (base, name) = envelope.action.rsplit_once('/').unwrap_or(("", &envelope.action));
    if base == fault::ACTION_BASES[0] || base == fault::ACTION_BASES[1] {
        // OMI says so much and no more of a request that it doesn't like.
        return Ok(Response::Fault(fault::Fault::empty()));
    }
    Ok(match (base, name) {
        (ns::TRANSFER, "CreateResponse") => created(body)?,
        (ns::TRANSFER, "DeleteResponse") => Response::Deleted,
        (ns::TRANSFER, "GetResponse") => match body.child(ns::CONFIG, "Config") {
            Some(config) => configured(config)?,
            None => Response::Got(shell(envelope.content(ns::SHELL, "Shell")?)),
        },
        (ns::ENUMERATION, "EnumerateResponse") => {
            Response::Enumerated(items(envelope.content(ns::ENUMERATION, "EnumerateResponse")?)?)
        }
        (ns::ENUMERATION, "PullResponse") => {
            Response::Pulled(items(envelope.content(ns::ENUMERATION, "PullResponse")?)?)
        }
        (ns::SHELL, "CommandResponse") => {
            let body = envelope.content(ns::SHELL, "CommandResponse")?;
            let id = body.child_text(ns::SHELL, "CommandId").map(uuid).transpose()?;
            Response::Commanded { id }
        }
        (ns::SHELL, "SendResponse") => Response::Sent,
        (ns::SHELL, "ReceiveResponse") => received(envelope.content(ns::SHELL, "ReceiveResponse")?)?,
        (ns::SHELL, "SignalResponse") => Response::Signaled,
        (ns::SHELL, "DisconnectResponse") => Response::Disconnected,
        (ns::SHELL, "ReconnectResponse") => Response::Reconnected,
        (ns::SHELL, "ConnectResponse") => {
            let data = body.find("connectResponseXml").map(bytes).transpose()?;
            Response::Connected { data: data.unwrap_or_default() }
        }
        _ => return Err(Reason::Action(envelope.action.clone())),
    })
}

impl SignalCode {
    pub(super) const TERMINATE: &'static str =
        "http://schemas.microsoft.com/wbem/wsman/1/windows/shell/signal/terminate";
    /// PowerShell's own misspelling, which its servers compare with.
    pub(super) const STOP: &'static str = "powershell/signal/crtl_c";

    fn from_uri(uri: &str) -> Self {
        match uri {
            Self::TERMINATE => Self::Terminate,
            Self::STOP | "powershell/signal/ctrl_c" => Self::Stop,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl CommandState {
    pub(super) const BASE: &'static str =
        "http://schemas.microsoft.com/wbem/wsman/1/windows/shell/CommandState/";

    fn from_uri(uri: &str) -> Result<Self, Reason> {
        match uri.strip_prefix(Self::BASE).unwrap_or(uri) {
            "Pending" => Ok(Self::Pending),
            "Running" => Ok(Self::Running),
            "Done" => Ok(Self::Done),
            _ => Err(Reason::Value { what: "a command's state", value: uri.to_owned() }),
        }
    }
}

fn create(shell: &Element) -> Result<Create, Reason> {
    let given = |name: &str| {
        let attribute = shell.attribute(name).map(str::to_owned);
        attribute.or_else(|| text(shell, ns::SHELL, name)).filter(|value| !value.is_empty())
    };
    let data = shell.child(ns::POWERSHELL, "creationXml").map(bytes).transpose()?;
    Ok(Create {
        shell_id: given("ShellId"),
        name: given("Name"),
        input_streams: text(shell, ns::SHELL, "InputStreams").unwrap_or_default(),
        output_streams: text(shell, ns::SHELL, "OutputStreams").unwrap_or_default(),
        idle_timeout: given("IdleTimeOut")
            .map(|value| parse_duration("an IdleTimeOut", &value))
            .transpose()?,
        data: data.unwrap_or_default(),
    })
}

fn created(body: &Element) -> Result<Response, Reason> {
    let described = body.child(ns::SHELL, "Shell").map(shell);
    let resource = body.child(ns::TRANSFER, "ResourceCreated");
    let selectors = pairs(resource.and_then(|resource| resource.find("SelectorSet")), "Selector");
    let shell_id = find(&selectors, "ShellId").map(str::to_owned);
    let shell_id = shell_id.or_else(|| described.as_ref().map(|shell| shell.shell_id.clone()));
    Ok(Response::Created {
        shell_id: shell_id.ok_or(Reason::Missing("the new shell's ShellId"))?,
        resource_uri: resource
            .and_then(|resource| resource.find("ResourceURI"))
            .map(|uri| uri.trimmed().to_owned()),
        shell: described,
    })
}

fn received(body: &Element) -> Result<Response, Reason> {
    let mut received = Received { streams: streams(body)?, ..Received::default() };
    if let Some(state) = body.child(ns::SHELL, "CommandState") {
        let uri = state.attribute("State").ok_or(Reason::Missing("a command's state"))?;
        received.state = Some(CommandState::from_uri(uri)?);
        received.command = id(state)?;
        // A Windows exit code may be beyond an i32, written without a sign.
        received.exit_code = state
            .child_text(ns::SHELL, "ExitCode")
            .and_then(|code| code.parse::<i64>().ok())
            .and_then(|code| i32::try_from(code).ok());
    }
    Ok(Response::Received(received))
}

fn streams(body: &Element) -> Result<Vec<StreamPart>, Reason> {
    let part = |stream: &Element| {
        Ok(StreamPart {
            name: stream.attribute("Name").unwrap_or("stdout").to_owned(),
            command: id(stream)?,
            data: bytes(stream)?,
            end: stream.attribute("End").is_some_and(|end| end.eq_ignore_ascii_case("true")),
        })
    };
    body.children_named(ns::SHELL, "Stream").map(part).collect()
}

/// Items stand in `w:Items` of an optimised EnumerateResponse, in `n:Items` of a PullResponse; the
/// end is marked in either namespace.
fn configured(config: &Element) -> Result<Response, Reason> {
    let size = config.child_text(ns::CONFIG, "MaxEnvelopeSizekb").and_then(|size| size.parse().ok());
    let missing = || Reason::Missing("MaxEnvelopeSizekb");
    Ok(Response::Configured { max_envelope_size: size.ok_or_else(missing)? })
}

fn items(body: &Element) -> Result<Items, Reason> {
    let mut items = Items::default();
    for list in body.children.iter().filter(|child| child.name == "Items") {
        // With an enumeration mode, an item is wrapped together with its reference.
        let unwrapped = list.children.iter().flat_map(|child| {
            if child.name == "Item" { child.children.as_slice() } else { std::slice::from_ref(child) }
        });
        for item in unwrapped {
            if item.is(ns::SHELL, "Shell") {
                items.shells.push(shell(item));
            } else if item.is(ns::SHELL, "Command") {
                items.commands.push(CommandInfo {
                    shell_id: text(item, ns::SHELL, "ShellId"),
                    command_id: uuid(
                        item.child_text(ns::SHELL, "CommandId").ok_or(Reason::Missing("a CommandId"))?,
                    )?,
                    state: text(item, ns::SHELL, "State"),
                });
            }
        }
    }
    items.end = body.children.iter().any(|child| child.name == "EndOfSequence");
    items.context = text(body, ns::ENUMERATION, "EnumerationContext").filter(|_| !items.end);
    Ok(items)
}

/// Everything in it is for people to read: what can't be understood is left out.
fn shell(element: &Element) -> ShellInfo {
    let given = |name| text(element, ns::SHELL, name);
    let length = |name| given(name).and_then(|text| super::duration::parse(&text));
    ShellInfo {
        shell_id: given("ShellId").unwrap_or_default(),
        name: given("Name"),
        owner: given("Owner"),
        client_address: given("ClientIP"),
        process_id: given("ProcessId").and_then(|id| id.parse().ok()),
        resource_uri: given("ResourceUri"),
        state: given("State"),
        idle_timeout: length("IdleTimeOut"),
        running_time: length("ShellRunTime"),
        inactivity: length("ShellInactivity"),
    }
}

fn text(parent: &Element, ns: &str, name: &str) -> Option<String> {
    parent.child_text(ns, name).map(str::to_owned)
}

fn number(parent: &Element, ns: &str, name: &'static str) -> Result<Option<u32>, Reason> {
    let parse = |text: &str| text.parse().map_err(|_| Reason::Value { what: name, value: text.to_owned() });
    parent.child_text(ns, name).map(parse).transpose()
}

fn duration(parent: &Element, ns: &str, name: &'static str) -> Result<Option<Duration>, Reason> {
    parent.child_text(ns, name).map(|text| parse_duration(name, text)).transpose()
}

fn parse_duration(what: &'static str, text: &str) -> Result<Duration, Reason> {
    super::duration::parse(text).ok_or_else(|| Reason::Value { what, value: text.to_owned() })
}

fn language(header: &Element, ns: &str, name: &str) -> Option<String> {
    header.child(ns, name)?.attribute_ns(ns::XML, "lang").map(str::to_owned)
}

fn pairs(set: Option<&Element>, name: &str) -> Vec<(String, String)> {
    let Some(set) = set else { return Vec::new() };
    let pair =
        |element: &Element| Some((element.attribute("Name")?.to_owned(), element.trimmed().to_owned()));
    set.children_named(ns::WSMAN, name).filter_map(pair).collect()
}

fn id(element: &Element) -> Result<Option<Uuid>, Reason> {
    element.attribute("CommandId").filter(|id| !id.is_empty()).map(uuid).transpose()
}

fn uuid(text: &str) -> Result<Uuid, Reason> {
    let bare = text.strip_prefix("uuid:").unwrap_or(text);
    Uuid::try_parse(bare).map_err(|_| Reason::Value { what: "a CommandId", value: text.to_owned() })
}

/// Servers differ in how they end base64; white space may stand in it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

fn bytes(element: &Element) -> Result<Vec<u8>, Reason> {
    let refused = |_| Reason::Value { what: "base64 data", value: element.name.clone() };
    let text = element.trimmed();
    if text.bytes().any(|byte| byte.is_ascii_whitespace()) {
        let packed: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        return BASE64.decode(packed).map_err(refused);
    }
    STANDARD.decode(text).or_else(|_| BASE64.decode(text)).map_err(refused)
}

/// WSMan allows UTF-8, and UTF-16 with its mark (DSP0226 R13.1).
fn decode(bytes: &[u8]) -> Result<std::borrow::Cow<'_, str>, Reason> {
    let from_pair: fn([u8; 2]) -> u16 = match bytes {
        [0xff, 0xfe, ..] => u16::from_le_bytes,
        [0xfe, 0xff, ..] => u16::from_be_bytes,
        _ => {
            let text = std::str::from_utf8(bytes);
            return text.map(Into::into).map_err(|error| Reason::NotSoap(error.to_string()));
        }
    };
    let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| from_pair([pair[0], pair[1]])).collect();
    String::from_utf16(&units).map(Into::into).map_err(|error| Reason::NotSoap(error.to_string()))
}
