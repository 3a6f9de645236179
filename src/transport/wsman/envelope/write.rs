//! Writes envelopes of both sides: the common parts. The prefixes and the order of headers are those of
//! PowerShell's client and of WinRM's responses.

mod request;
mod response;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use quick_xml::events::{BytesEnd, BytesStart, BytesText, Event};

use super::*;

/// The prefixes that every envelope declares.
const PREFIXES: [(&str, &str); 9] = [
    ("xmlns:s", ns::SOAP),
    ("xmlns:a", ns::ADDRESSING),
    ("xmlns:n", ns::ENUMERATION),
    ("xmlns:x", ns::TRANSFER),
    ("xmlns:w", ns::WSMAN),
    ("xmlns:p", ns::WSMV),
    ("xmlns:rsp", ns::SHELL),
    ("xmlns:xs", "http://www.w3.org/2001/XMLSchema"),
    ("xmlns:xsi", ns::SCHEMA_INSTANCE),
];

pub(super) type Attributes<'a> = &'a [(&'a str, &'a str)];

/// A document being written.
pub(super) struct Xml(quick_xml::Writer<Vec<u8>>);

impl Xml {
    pub(super) fn new() -> Self {
        let mut xml = Self(quick_xml::Writer::new(Vec::with_capacity(2048)));
        xml.open("s:Envelope", &PREFIXES);
        xml
    }
    fn event(&mut self, event: Event<'_>) {
        // Writing to memory cannot fail.
        let _ = self.0.write_event(event);
    }
    pub(super) fn open(&mut self, name: &str, attributes: Attributes<'_>) {
        self.event(Event::Start(start(name, attributes)));
    }
    pub(super) fn close(&mut self, name: &str) {
        self.event(Event::End(BytesEnd::new(name)));
    }
    pub(super) fn empty(&mut self, name: &str, attributes: Attributes<'_>) {
        self.event(Event::Empty(start(name, attributes)));
    }
    pub(super) fn text(&mut self, name: &str, attributes: Attributes<'_>, text: &str) {
        self.open(name, attributes);
        self.event(Event::Text(BytesText::new(&allowed(text))));
        self.close(name);
    }
    fn optional(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, &[], text);
        }
    }
    fn bytes(&mut self, name: &str, attributes: Attributes<'_>, bytes: &[u8]) {
        self.open(name, attributes);
        // The base64 alphabet needs no escapes.
        self.event(Event::Text(BytesText::from_escaped(STANDARD.encode(bytes))));
        self.close(name);
    }
    fn set(&mut self, set: &str, item: &str, pairs: &[(String, String)], type_: Option<&str>) {
        self.open(set, if item == "w:Option" { &[("s:mustUnderstand", "true")] } else { &[] });
        for (name, value) in pairs {
            match type_ {
                Some(type_) => self.text(item, &[("Name", name), ("Type", type_)], value),
                None => self.text(item, &[("Name", name)], value),
            }
        }
        self.close(set);
    }
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.close("s:Envelope");
        self.0.into_inner()
    }
}

fn start<'a>(name: &'a str, attributes: Attributes<'_>) -> BytesStart<'a> {
    BytesStart::new(name).with_attributes(attributes.iter().copied())
}

/// Replaces control characters: XML cannot represent most of them, escaped or not.
fn allowed(text: &str) -> std::borrow::Cow<'_, str> {
    let refused =
        |c: char| (c < ' ' && !matches!(c, '\t' | '\n' | '\r')) || matches!(c, '\u{fffe}' | '\u{ffff}');
    if text.contains(refused) { text.replace(refused, "\u{fffd}").into() } else { text.into() }
}

fn capitals(id: Uuid) -> String {
    id.hyphenated().to_string().to_uppercase()
}

impl StreamPart {
    fn write(&self, xml: &mut Xml) {
        let id = self.command.map(capitals);
        let mut attributes = vec![("Name", self.name.as_str())];
        attributes.extend(id.iter().map(|id| ("CommandId", id.as_str())));
        if self.end {
            attributes.push(("End", "true"));
        }
        xml.bytes("rsp:Stream", &attributes, &self.data);
    }
}
