//! Common parts of requests and responses.

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use uuid::Uuid;

use super::super::tree::{self, Element};
use super::super::*;

/// Error of reading an envelope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct ReadError {
    /// The message id for a fault's RelatesTo, if it could be read.
    pub message_id: Option<String>,
    pub reason: Reason,
}

/// Reason why an envelope is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The bytes are not UTF-8 or UTF-16, not XML, or the root is not the Envelope of SOAP 1.2.
    #[error("not a SOAP envelope: {0}")]
    NotSoap(String),
    /// `a:Action` is not an action of DSP0226 or MS-WSMV that lyncsh supports.
    #[error("unknown action {0}")]
    Action(String),
    /// The peer omitted an element or attribute that the action requires.
    #[error("the envelope lacks {0}")]
    Missing(&'static str),
    /// The text of an element or attribute has another type: a duration, number, GUID or base64.
    #[error("invalid {what}: {value:?}")]
    Value { what: &'static str, value: String },
    /// The client requires the server to process a header that it does not know (SOAP 1.2 part 1, 5.2.3).
    #[error("unsupported header with mustUnderstand: {0}")]
    NotUnderstood(String),
}

impl From<Reason> for ReadError {
    fn from(reason: Reason) -> Self {
        Self { message_id: None, reason }
    }
}

/// The parts of an envelope.
pub(super) struct Envelope {
    pub(super) header: Element,
    pub(super) body: Element,
    pub(super) action: String,
}

impl Envelope {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Reason> {
        let text = decode(bytes)?;
        let mut root = tree::parse(&text).map_err(|error| Reason::NotSoap(error.to_string()))?;
        if !root.is(ns::SOAP, "Envelope") {
            return Err(Reason::NotSoap(format!("the root element is {}", root.name)));
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

    pub(super) fn message_id(&self) -> Option<String> {
        text(&self.header, ns::ADDRESSING, "MessageID")
    }

    /// Returns the body's element.
    pub(super) fn content(&self, ns: &str, name: &'static str) -> Result<&Element, Reason> {
        self.body.child(ns, name).ok_or(Reason::Missing(name))
    }
}

impl SignalCode {
    pub(in super::super) const TERMINATE: &'static str =
        "http://schemas.microsoft.com/wbem/wsman/1/windows/shell/signal/terminate";
    /// PowerShell's misspelling, which its servers require.
    pub(in super::super) const STOP: &'static str = "powershell/signal/crtl_c";

    pub(super) fn from_uri(uri: &str) -> Self {
        match uri {
            Self::TERMINATE => Self::Terminate,
            Self::STOP | "powershell/signal/ctrl_c" => Self::Stop,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl CommandState {
    pub(in super::super) const BASE: &'static str =
        "http://schemas.microsoft.com/wbem/wsman/1/windows/shell/CommandState/";

    pub(super) fn from_uri(uri: &str) -> Result<Self, Reason> {
        match uri.strip_prefix(Self::BASE).unwrap_or(uri) {
            "Pending" => Ok(Self::Pending),
            "Running" => Ok(Self::Running),
            "Done" => Ok(Self::Done),
            _ => Err(Reason::Value { what: "command state", value: uri.to_owned() }),
        }
    }
}

pub(super) fn streams(body: &Element) -> Result<Vec<StreamPart>, Reason> {
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

pub(super) fn text(parent: &Element, ns: &str, name: &str) -> Option<String> {
    parent.child_text(ns, name).map(str::to_owned)
}

pub(super) fn number(parent: &Element, ns: &str, name: &'static str) -> Result<Option<u32>, Reason> {
    let parse = |text: &str| text.parse().map_err(|_| Reason::Value { what: name, value: text.to_owned() });
    parent.child_text(ns, name).map(parse).transpose()
}

pub(super) fn duration(parent: &Element, ns: &str, name: &'static str) -> Result<Option<Duration>, Reason> {
    parent.child_text(ns, name).map(|text| parse_duration(name, text)).transpose()
}

pub(super) fn parse_duration(what: &'static str, text: &str) -> Result<Duration, Reason> {
    super::super::duration::parse(text).ok_or_else(|| Reason::Value { what, value: text.to_owned() })
}

pub(super) fn language(header: &Element, ns: &str, name: &str) -> Option<String> {
    header.child(ns, name)?.attribute_ns(ns::XML, "lang").map(str::to_owned)
}

pub(super) fn pairs(set: Option<&Element>, name: &str) -> Vec<(String, String)> {
    let Some(set) = set else { return Vec::new() };
    let pair =
        |element: &Element| Some((element.attribute("Name")?.to_owned(), element.trimmed().to_owned()));
    set.children_named(ns::WSMAN, name).filter_map(pair).collect()
}

pub(super) fn id(element: &Element) -> Result<Option<Uuid>, Reason> {
    element.attribute("CommandId").filter(|id| !id.is_empty()).map(uuid).transpose()
}

pub(super) fn uuid(text: &str) -> Result<Uuid, Reason> {
    let bare = text.strip_prefix("uuid:").unwrap_or(text);
    Uuid::try_parse(bare).map_err(|_| Reason::Value { what: "CommandId", value: text.to_owned() })
}

/// Decoder for base64 with or without padding, in which servers differ.
pub(in super::super) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

pub(super) fn bytes(element: &Element) -> Result<Vec<u8>, Reason> {
    let refused = |_| Reason::Value { what: "base64 data", value: element.name.clone() };
    let text = element.trimmed();
    if text.bytes().any(|byte| byte.is_ascii_whitespace()) {
        let packed: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        return BASE64.decode(packed).map_err(refused);
    }
    STANDARD.decode(text).or_else(|_| BASE64.decode(text)).map_err(refused)
}

/// Decodes UTF-8, or UTF-16 with its byte order mark; WSMan allows both (DSP0226 R13.1).
pub(super) fn decode(bytes: &[u8]) -> Result<std::borrow::Cow<'_, str>, Reason> {
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
