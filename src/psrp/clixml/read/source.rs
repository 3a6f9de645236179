//! XML events reduced to CLIXML's: elements with attributes, and text.

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::limits::ReadError;
use crate::psrp::clixml::{Name, Names, escape};

/// An opening tag.
pub(super) struct Tag<'a> {
    start: BytesStart<'a>,
    /// Attribute `N` without escapes.
    pub property: Option<Name>,
    pub ref_id: Option<Box<str>>,
    /// `<x/>`: no closing tag follows.
    pub empty: bool,
}

impl Tag<'_> {
    pub fn name(&self) -> &str {
        self.start.local_name().into_inner()
    }
}

/// Child node of an element.
pub(super) enum Node<'a> {
    Open(Tag<'a>),
    /// The element's closing tag.
    Close,
    /// End of the text, outside of all elements.
    End,
}

pub(super) struct Source<'a> {
    reader: Reader<&'a [u8]>,
    pub names: &'a mut Names,
}

impl<'a> Source<'a> {
    pub fn new(text: &'a str, names: &'a mut Names) -> Self {
        Self { reader: Reader::from_str(text), names }
    }

    /// Returns the next tag; text between tags must be blank.
    pub fn node(&mut self) -> Result<Node<'a>, ReadError> {
        loop {
            match self.event()? {
                Event::Start(start) => return Ok(Node::Open(self.tag(start, false)?)),
                Event::Empty(start) => return Ok(Node::Open(self.tag(start, true)?)),
                Event::End(_) => return Ok(Node::Close),
                Event::Eof => return Ok(Node::End),
                Event::Text(text) if text.trim_ascii().is_empty() => {}
                Event::Decl(_) | Event::Comment(_) | Event::PI(_) => {}
                // A document type could define entities; CLIXML has none.
                Event::DocType(_) => return Err(ReadError::malformed("the text has a document type")),
                Event::Text(_) | Event::CData(_) | Event::GeneralRef(_) => {
                    return Err(ReadError::malformed("text between elements"));
                }
            }
        }
    }

    /// Returns the text up to the closing tag of `tag`, with XML entities resolved and CLIXML escapes
    /// unchanged.
    pub fn raw_text(&mut self, tag: &Tag<'a>) -> Result<Cow<'a, str>, ReadError> {
        let mut out = Cow::Borrowed("");
        if tag.empty {
            return Ok(out);
        }
        loop {
            let part = match self.event()? {
                Event::Text(text) => text.xml10_content(),
                Event::CData(text) => text.xml10_content(),
                Event::GeneralRef(reference) => match reference.resolve_char_ref().map_err(malformed)? {
                    Some(c) => Cow::Owned(c.to_string()),
                    None => quick_xml::escape::resolve_predefined_entity(&reference)
                        .ok_or_else(|| ReadError::malformed("unknown entity"))?
                        .into(),
                },
                Event::Comment(_) | Event::PI(_) => continue,
                Event::End(_) => return Ok(out),
                _ => return Err(ReadError::malformed(format!("<{}> contains more than text", tag.name()))),
            };
            if out.is_empty() {
                out = part;
            } else {
                out.to_mut().push_str(&part);
            }
        }
    }

    /// Returns the text up to the closing tag of `tag`, with all escapes resolved.
    pub fn text(&mut self, tag: &Tag<'a>) -> Result<Cow<'a, str>, ReadError> {
        Ok(match self.raw_text(tag)? {
            Cow::Borrowed(raw) => escape::decode(raw),
            Cow::Owned(raw) => match escape::decode(&raw) {
                Cow::Borrowed(_) => Cow::Owned(raw),
                Cow::Owned(text) => Cow::Owned(text),
            },
        })
    }

    /// Returns the text up to the closing tag of `tag`, as a shared name.
    pub fn name(&mut self, tag: &Tag<'a>) -> Result<Name, ReadError> {
        let text = self.text(tag)?;
        Ok(self.names.name(&text))
    }

    /// Skips the rest of `tag`, with all elements and text in it.
    pub fn skip(&mut self, tag: &Tag<'a>) -> Result<(), ReadError> {
        let mut open = usize::from(!tag.empty);
        while open > 0 {
            match self.event()? {
                Event::Start(_) => open += 1,
                Event::End(_) => open -= 1,
                Event::Eof => return Err(ReadError::malformed("the text ends within an element")),
                _ => {}
            }
        }
        Ok(())
    }

    fn event(&mut self) -> Result<Event<'a>, ReadError> {
        self.reader.read_event().map_err(malformed)
    }

    /// Reads the attributes of a tag. If an attribute occurs twice, the last value counts.
    fn tag(&mut self, start: BytesStart<'a>, empty: bool) -> Result<Tag<'a>, ReadError> {
        let mut property = None;
        let mut ref_id = None;
        for attribute in start.attributes().with_checks(false) {
            let attribute = attribute.map_err(malformed)?;
            let value = || attribute.normalized_value(quick_xml::XmlVersion::Implicit1_0).map_err(malformed);
            match attribute.key.local_name().as_ref() {
                "N" => property = Some(self.names.name(&escape::decode(&value()?))),
                "RefId" => ref_id = Some(Box::from(escape::decode(&value()?).as_ref())),
                _ => {}
            }
        }
        Ok(Tag { start, property, ref_id, empty })
    }
}

fn malformed(error: impl std::fmt::Display) -> ReadError {
    ReadError::Malformed(error.to_string())
}
