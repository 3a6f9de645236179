//! An envelope as a tree of elements with resolved names. Limited in depth; content not allowed in an
//! envelope (document type, unknown entities) is an error.

use quick_xml::events::{BytesStart, Event};
use quick_xml::name::ResolveResult;
use quick_xml::reader::NsReader;

/// Deeper than any valid envelope.
const MAX_DEPTH: usize = 64;

/// Error of parsing an envelope's XML.
#[derive(Debug, thiserror::Error)]
pub(in crate::transport::wsman) enum TreeError {
    /// The document is not well-formed.
    #[error(transparent)]
    Xml(#[from] quick_xml::Error),
    /// An attribute is not well-formed.
    #[error(transparent)]
    Attribute(#[from] quick_xml::events::attributes::AttrError),
    /// A character reference or an encoding is invalid.
    #[error(transparent)]
    Reference(#[from] quick_xml::escape::EscapeError),
    /// Deeper nesting could exhaust the stack of the tree's readers.
    #[error("elements are nested deeper than {MAX_DEPTH}")]
    Depth,
    /// A second root element.
    #[error("unexpected content after the document's root")]
    AfterRoot,
    /// An entity that XML does not predefine: SOAP forbids the document type that would declare it.
    #[error("unknown entity {0}")]
    Entity(String),
    /// A document type (SOAP 1.2 part 1, 5).
    #[error("an envelope must not contain a document type")]
    DocumentType,
    /// The document ends inside an element.
    #[error("unexpected end of the document")]
    Truncated,
    /// A document without an element.
    #[error("the document has no element")]
    Empty,
    /// An undeclared namespace prefix.
    #[error("the prefix {0} is not declared")]
    Prefix(String),
}

/// One element.
#[derive(Debug, Default)]
pub(in crate::transport::wsman) struct Element {
    /// The namespace; empty if none.
    pub ns: String,
    pub name: String,
    attributes: Vec<(String, String, String)>,
    pub children: Vec<Element>,
    /// The element's text without that of its children.
    pub text: String,
}

impl Element {
    pub fn is(&self, ns: &str, name: &str) -> bool {
        self.ns == ns && self.name == name
    }
    pub fn child(&self, ns: &str, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.is(ns, name))
    }
    pub fn children_named<'a>(&'a self, ns: &'a str, name: &'a str) -> impl Iterator<Item = &'a Element> {
        self.children.iter().filter(move |child| child.is(ns, name))
    }
    /// Returns a child's trimmed text; `None` if it is empty.
    pub fn child_text(&self, ns: &str, name: &str) -> Option<&str> {
        self.child(ns, name).map(Element::trimmed).filter(|text| !text.is_empty())
    }
    pub fn trimmed(&self) -> &str {
        self.text.trim()
    }
    /// Returns an attribute in any or no namespace.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(_, key, _)| key == name).map(|(_, _, value)| value.as_str())
    }
    pub fn attribute_ns(&self, ns: &str, name: &str) -> Option<&str> {
        let mut found = self.attributes.iter().filter(|(space, key, _)| space == ns && key == name);
        found.next().map(|(_, _, value)| value.as_str())
    }
    /// Returns the first element with that local name in any namespace, at any depth, including this one.
    pub fn find(&self, name: &str) -> Option<&Element> {
        if self.name == name {
            return Some(self);
        }
        self.children.iter().find_map(|child| child.find(name))
    }
}

/// Parses a document and returns its root element.
pub(in crate::transport::wsman) fn parse(text: &str) -> Result<Element, TreeError> {
    let text = text.trim_start_matches('\u{feff}');
    let mut reader = NsReader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let mut open: Vec<Element> = Vec::new();
    let mut root = None;
    loop {
        match reader.read_event()? {
            Event::Start(start) => {
                if open.len() >= MAX_DEPTH {
                    return Err(TreeError::Depth);
                }
                if root.is_some() {
                    return Err(TreeError::AfterRoot);
                }
                open.push(element(&reader, &start)?);
            }
            Event::End(_) => {
                // The reader checks that end tags match start tags.
                let Some(done) = open.pop() else { continue };
                match open.last_mut() {
                    Some(parent) => parent.children.push(done),
                    None => root = Some(done),
                }
            }
            Event::Text(text) => {
                if let Some(element) = open.last_mut() {
                    element.text.push_str(&text.xml10_content());
                }
            }
            Event::CData(text) => {
                if let Some(element) = open.last_mut() {
                    element.text.push_str(&text.xml10_content());
                }
            }
            Event::GeneralRef(reference) => {
                let character = match reference.resolve_char_ref()? {
                    Some(character) => character.to_string(),
                    None => quick_xml::escape::resolve_predefined_entity(&reference)
                        .ok_or_else(|| TreeError::Entity(reference.to_string()))?
                        .to_owned(),
                };
                if let Some(element) = open.last_mut() {
                    element.text.push_str(&character);
                }
            }
            Event::DocType(_) => return Err(TreeError::DocumentType),
            Event::Eof => break,
            Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
    }
    if !open.is_empty() {
        return Err(TreeError::Truncated);
    }
    root.ok_or(TreeError::Empty)
}

fn element(reader: &NsReader<&[u8]>, start: &BytesStart<'_>) -> Result<Element, TreeError> {
    let (ns, name) = reader.resolver().resolve_element(start.name());
    let mut element =
        Element { ns: namespace(&ns)?, name: name.into_inner().to_owned(), ..Element::default() };
    for attribute in start.attributes() {
        let attribute = attribute?;
        if attribute.key.as_namespace_binding().is_some() {
            continue;
        }
        let (ns, name) = reader.resolver().resolve_attribute(attribute.key);
        let value = attribute.normalized_value(quick_xml::XmlVersion::Implicit1_0)?;
        element.attributes.push((namespace(&ns)?, name.into_inner().to_owned(), value.into_owned()));
    }
    Ok(element)
}

fn namespace(resolved: &ResolveResult<'_>) -> Result<String, TreeError> {
    match resolved {
        ResolveResult::Bound(namespace) => Ok(namespace.0.to_owned()),
        ResolveResult::Unbound => Ok(String::new()),
        ResolveResult::Unknown(prefix) => Err(TreeError::Prefix(prefix.clone())),
    }
}
