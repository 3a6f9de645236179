//! XML events reduced to CLIXML's: elements with attributes, and text.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::limits::ReadError;
use crate::psrp::clixml::escape;

/// An opening tag.
pub(super) struct Tag {
    pub name: String,
    /// Attribute `N` without escapes.
    pub property: Option<String>,
    pub ref_id: Option<String>,
    /// `<x/>`: no closing tag follows.
    pub empty: bool,
}

/// Child node of an element.
pub(super) enum Node {
    Open(Tag),
    /// The element's closing tag.
    Close,
    /// End of the text, outside of all elements.
    End,
}

pub(super) struct Source<'a> {
    reader: Reader<&'a [u8]>,
}

impl<'a> Source<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { reader: Reader::from_str(text) }
    }

    /// Returns the next tag; text between tags must be blank.
    pub fn node(&mut self) -> Result<Node, ReadError> {
        loop {
            match self.event()? {
                Event::Start(tag) => return Ok(Node::Open(read_tag(&tag, false)?)),
                Event::Empty(tag) => return Ok(Node::Open(read_tag(&tag, true)?)),
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
    pub fn raw_text(&mut self, tag: &Tag) -> Result<String, ReadError> {
        let mut out = String::new();
        if tag.empty {
            return Ok(out);
        }
        loop {
            match self.event()? {
                Event::Text(text) => out.push_str(&text.xml10_content()),
                Event::CData(text) => out.push_str(&text.xml10_content()),
                Event::GeneralRef(reference) => {
                    if let Some(c) = reference.resolve_char_ref().map_err(malformed)? {
                        out.push(c);
                    } else {
                        out.push_str(
                            quick_xml::escape::resolve_predefined_entity(&reference)
                                .ok_or_else(|| ReadError::malformed("unknown entity"))?,
                        );
                    }
                }
                Event::Comment(_) | Event::PI(_) => {}
                Event::End(_) => return Ok(out),
                _ => return Err(ReadError::malformed(format!("<{}> contains more than text", tag.name))),
            }
        }
    }

    /// Returns the text up to the closing tag of `tag`, with all escapes resolved.
    pub fn text(&mut self, tag: &Tag) -> Result<String, ReadError> {
        let raw = self.raw_text(tag)?;
        Ok(match escape::decode(&raw) {
            std::borrow::Cow::Borrowed(_) => raw,
            std::borrow::Cow::Owned(text) => text,
        })
    }

    /// Skips the rest of `tag`, with all elements and text in it.
    pub fn skip(&mut self, tag: &Tag) -> Result<(), ReadError> {
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
}

fn malformed(error: impl std::fmt::Display) -> ReadError {
    ReadError::Malformed(error.to_string())
}

fn read_tag(tag: &BytesStart<'_>, empty: bool) -> Result<Tag, ReadError> {
    let mut property = None;
    let mut ref_id = None;
    for attribute in tag.attributes() {
        let attribute = attribute.map_err(malformed)?;
        let slot = match attribute.key.local_name().as_ref() {
            "N" => &mut property,
            "RefId" => &mut ref_id,
            _ => continue,
        };
        let value = attribute.normalized_value(quick_xml::XmlVersion::Implicit1_0).map_err(malformed)?;
        *slot = Some(escape::decode(&value).into_owned());
    }
    Ok(Tag { name: tag.local_name().as_ref().to_owned(), property, ref_id, empty })
}
