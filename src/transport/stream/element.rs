//! One line of the framing: parser and formatter.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use uuid::Uuid;

use crate::psrp::client::Stream;

/// One line of the framing. The id is a pipeline's, or nil for the runspace pool.
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

/// Error of parsing a line. Quotes at most a name from the line.
#[derive(Debug, thiserror::Error)]
pub enum ElementError {
    /// The line is not well-formed XML.
    #[error(transparent)]
    Xml(#[from] quick_xml::Error),
    /// An attribute is not well-formed.
    #[error(transparent)]
    Attribute(#[from] quick_xml::events::attributes::AttrError),
    /// Text, a comment or a declaration instead of an element.
    #[error("the line contains no element")]
    NoElement,
    /// A second element or text on the same line.
    #[error("unexpected text after the line's element")]
    Trailing,
    /// The attribute PSGuid is missing.
    #[error("the element has no PSGuid")]
    NoId,
    /// PSGuid cannot be parsed.
    #[error("PSGuid is not a GUID")]
    Id,
    /// A stream other than Default and PromptResponse.
    #[error("unknown stream {0}")]
    Stream(String),
    /// The text of Data cannot be decoded.
    #[error("Data is not base64")]
    Base64,
    /// An element that is not part of the framing.
    #[error("unknown element {0}")]
    Unknown(String),
}

impl Element {
    /// Parses one line without its line end. Errors quote at most a name from the line.
    pub fn parse(line: &str) -> Result<Self, ElementError> {
        let mut reader = Reader::from_str(line.trim());
        let (start, text) = match reader.read_event()? {
            Event::Empty(start) => (start, None),
            Event::Start(start) => {
                let text = reader.read_text(start.name())?;
                (start, Some(text))
            }
            _ => return Err(ElementError::NoElement),
        };
        if !matches!(reader.read_event(), Ok(Event::Eof)) {
            return Err(ElementError::Trailing);
        }
        let id = attribute(&start, "PSGuid")?.ok_or(ElementError::NoId)?;
        let id = Uuid::parse_str(&id).map_err(|_| ElementError::Id)?;
        Ok(match start.name().as_ref() {
            "Data" => {
                let stream = match attribute(&start, "Stream")?.as_deref() {
                    Some("Default") | None => Stream::Default,
                    Some("PromptResponse") => Stream::PromptResponse,
                    Some(other) => return Err(ElementError::Stream(short(other))),
                };
                let text = text.as_deref().unwrap_or_default();
                let bytes = STANDARD.decode(text.trim()).map_err(|_| ElementError::Base64)?;
                Self::Data { stream, id, bytes }
            }
            "DataAck" => Self::DataAck(id),
            "Command" => Self::Command(id),
            "CommandAck" => Self::CommandAck(id),
            "Close" => Self::Close(id),
            "CloseAck" => Self::CloseAck(id),
            "Signal" => Self::Signal(id),
            "SignalAck" => Self::SignalAck(id),
            other => return Err(ElementError::Unknown(short(other))),
        })
    }
}

fn attribute(start: &BytesStart<'_>, name: &str) -> Result<Option<String>, ElementError> {
    let attribute = start.try_get_attribute(name)?;
    Ok(attribute.map(|a| a.value.into_owned()))
}

fn short(name: &str) -> String {
    name.chars().take(32).collect()
}

impl std::fmt::Display for Element {
    /// Writes the line without its line end.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (name, id) = match self {
            Self::Data { stream, id, bytes } => {
                let stream = match stream {
                    Stream::Default => "Default",
                    Stream::PromptResponse => "PromptResponse",
                };
                let text = STANDARD.encode(bytes);
                return write!(f, "<Data Stream='{stream}' PSGuid='{id}'>{text}</Data>");
            }
            Self::DataAck(id) => ("DataAck", id),
            Self::Command(id) => ("Command", id),
            Self::CommandAck(id) => ("CommandAck", id),
            Self::Close(id) => ("Close", id),
            Self::CloseAck(id) => ("CloseAck", id),
            Self::Signal(id) => ("Signal", id),
            Self::SignalAck(id) => ("SignalAck", id),
        };
        write!(f, "<{name} PSGuid='{id}' />")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_recorded_line_parses_and_prints_back_byte_for_byte() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/transcripts");
        let mut seen = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
            for row in text.lines() {
                let row: serde_json::Value = serde_json::from_str(row).unwrap();
                let line = row["line"].as_str().unwrap();
                if line == "<eof>" {
                    continue;
                }
                assert_eq!(Element::parse(line).unwrap().to_string(), line);
                seen += 1;
            }
        }
        assert!(seen > 1000, "{seen} lines");
    }

    #[test]
    fn alternative_quotes_and_spaces_are_accepted() {
        let id = Uuid::from_u128(7);
        let line = format!(" <Data PSGuid=\"{id}\"  Stream=\"PromptResponse\" >aGk=</Data> ");
        let stream = Stream::PromptResponse;
        assert_eq!(Element::parse(&line).unwrap(), Element::Data { stream, id, bytes: b"hi".into() });
        assert_eq!(Element::parse(&format!("<Close PSGuid='{id}'></Close>")).unwrap(), Element::Close(id));
    }

    #[test]
    fn invalid_elements_are_refused() {
        let id = Uuid::nil();
        for line in [
            "",
            "hello",
            "<Data",
            "<Data PSGuid='x'>",
            "<Data PSGuid='x'/>",
            "<Data Stream='Default'>aGk=</Data>",
            &format!("<Data Stream='Other' PSGuid='{id}'>aGk=</Data>"),
            &format!("<Data Stream='Default' PSGuid='{id}'>not base64</Data>"),
            &format!("<Data Stream='Default' PSGuid='{id}'><x/></Data>"),
            &format!("<Nothing PSGuid='{id}' />"),
            &format!("<Close PSGuid='{id}' /><Close PSGuid='{id}' />"),
            "<?xml version='1.0'?>",
        ] {
            assert!(Element::parse(line).is_err(), "{line}");
        }
    }
}
