//! Writer of CLIXML in PowerShell's format.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Content, Name, Object, Secure, Value, escape};

/// Maximum nesting depth. Deeper objects are written as text, as PowerShell does beyond its own depth, so that no value
/// can exhaust the stack. [`super::read`] accepts less.
const MAX_DEPTH: usize = 200;

/// Writes one value. A [`super::Secure::Plain`] is written as an empty `<SS>`: the state machines encrypt
/// secrets before writing.
pub fn write(value: &Value) -> String {
    let mut writer = Writer::default();
    writer.value(value, None, 0);
    writer.out
}

/// The values of one CLIXML document, written one after the other.
#[derive(Debug, Default)]
pub struct Document {
    objects: usize,
    type_names: usize,
}

impl Document {
    /// Start of a document, as Export-Clixml writes it.
    pub const START: &str =
        "<Objs Version=\"1.1.0.1\" xmlns=\"http://schemas.microsoft.com/powershell/2004/04\">";
    pub const END: &str = "</Objs>";

    /// Writes the next value. Its `RefId`s differ from those of earlier values.
    pub fn write(&mut self, value: &Value) -> String {
        let mut writer =
            Writer { first_object: self.objects, first_type_name: self.type_names, ..Writer::default() };
        writer.value(value, None, 0);
        self.objects += writer.objects.len();
        self.type_names += writer.type_names.len();
        writer.out
    }
}

#[derive(Default)]
struct Writer<'a> {
    out: String,
    /// The first `RefId` of an object, and of type names.
    first_object: usize,
    first_type_name: usize,
    /// Objects written so far, by address: they live as long as the value being written.
    objects: HashMap<*const Object, usize>,
    type_names: HashMap<&'a [Name], usize>,
}

impl<'a> Writer<'a> {
    fn value(&mut self, value: &'a Value, name: Option<&str>, depth: usize) {
        match value {
            Value::Null => self.tag("Nil", name, " />"),
            Value::String(text) => self.text("S", name, text),
            Value::Uri(text) => self.text("URI", name, text),
            Value::Xml(text) => self.text("XD", name, text),
            Value::ScriptBlock(text) => self.text("SBK", name, text),
            Value::Version(text) => self.text("Version", name, text),
            Value::DateTime(text) => self.text("DT", name, text),
            Value::Duration(text) => self.text("TS", name, text),
            Value::Decimal(text) => self.text("D", name, text),
            Value::Char(n) => self.shown("C", name, n),
            Value::Bool(b) => self.shown("B", name, b),
            Value::U8(n) => self.shown("By", name, n),
            Value::I8(n) => self.shown("SB", name, n),
            Value::U16(n) => self.shown("U16", name, n),
            Value::I16(n) => self.shown("I16", name, n),
            Value::U32(n) => self.shown("U32", name, n),
            Value::I32(n) => self.shown("I32", name, n),
            Value::U64(n) => self.shown("U64", name, n),
            Value::I64(n) => self.shown("I64", name, n),
            Value::Single(n) => self.floating("Sg", name, value, n.is_infinite(), n.is_sign_negative()),
            Value::Double(n) => self.floating("Db", name, value, n.is_infinite(), n.is_sign_negative()),
            Value::Guid(id) => self.shown("G", name, id),
            Value::Bytes(bytes) => self.shown("BA", name, STANDARD.encode(bytes)),
            Value::Secure(Secure::Wire(bytes)) => self.shown("SS", name, STANDARD.encode(bytes)),
            Value::Secure(Secure::Plain(_)) => self.shown("SS", name, ""),
            Value::Object(object) if depth < MAX_DEPTH => self.object(object, name, depth),
            Value::Object(object) => {
                self.text("S", name, object.to_string.as_deref().unwrap_or_default());
            }
        }
    }

    fn object(&mut self, object: &'a Arc<Object>, name: Option<&str>, depth: usize) {
        let next = self.first_object + self.objects.len();
        if let Some(id) = self.objects.get(&Arc::as_ptr(object)) {
            let id = *id;
            self.tag("Ref", name, &format!(" RefId=\"{id}\" />"));
            return;
        }
        self.objects.insert(Arc::as_ptr(object), next);
        self.tag("Obj", name, &format!(" RefId=\"{next}\">"));
        self.type_names(&object.type_names);
        if let Some(text) = &object.to_string {
            self.text("ToString", None, text);
        }
        match &object.content {
            Content::None => {}
            Content::Primitive(inner) => self.value(inner, None, depth + 1),
            Content::List(items) => self.list("LST", items, depth),
            Content::Enumerable(items) => self.list("IE", items, depth),
            Content::Stack(items) => self.list("STK", items, depth),
            Content::Queue(items) => self.list("QUE", items, depth),
            Content::Dictionary(entries) => self.dictionary(entries, depth),
        }
        self.properties("Props", &object.adapted, depth);
        self.properties("MS", &object.extended, depth);
        self.out.push_str("</Obj>");
    }

    fn type_names(&mut self, names: &'a [Name]) {
        if names.is_empty() {
            return;
        }
        let next = self.first_type_name + self.type_names.len();
        if let Some(id) = self.type_names.get(names) {
            let _ = write!(self.out, "<TNRef RefId=\"{id}\" />");
            return;
        }
        self.type_names.insert(names, next);
        let _ = write!(self.out, "<TN RefId=\"{next}\">");
        for name in names {
            self.text("T", None, name);
        }
        self.out.push_str("</TN>");
    }

    fn list(&mut self, tag: &str, items: &'a [Value], depth: usize) {
        if items.is_empty() {
            self.tag(tag, None, " />");
            return;
        }
        self.tag(tag, None, ">");
        for item in items {
            self.value(item, None, depth + 1);
        }
        self.close(tag);
    }

    fn dictionary(&mut self, entries: &'a [(Value, Value)], depth: usize) {
        if entries.is_empty() {
            self.tag("DCT", None, " />");
            return;
        }
        self.tag("DCT", None, ">");
        for (key, value) in entries {
            self.out.push_str("<En>");
            self.value(key, Some("Key"), depth + 1);
            self.value(value, Some("Value"), depth + 1);
            self.out.push_str("</En>");
        }
        self.close("DCT");
    }

    fn properties(&mut self, tag: &str, properties: &'a [(Name, Value)], depth: usize) {
        if properties.is_empty() {
            return;
        }
        self.tag(tag, None, ">");
        for (name, value) in properties {
            self.value(value, Some(name), depth + 1);
        }
        self.close(tag);
    }

    /// Writes `<tag N="name"` and `end`.
    fn tag(&mut self, tag: &str, name: Option<&str>, end: &str) {
        self.out.push('<');
        self.out.push_str(tag);
        if let Some(name) = name {
            self.out.push_str(" N=\"");
            self.out.push_str(&quick_xml::escape::escape(escape::encode(name)));
            self.out.push('"');
        }
        self.out.push_str(end);
    }

    fn close(&mut self, tag: &str) {
        let _ = write!(self.out, "</{tag}>");
    }

    fn text(&mut self, tag: &str, name: Option<&str>, text: &str) {
        self.tag(tag, name, ">");
        self.out.push_str(&quick_xml::escape::partial_escape(escape::encode(text)));
        self.close(tag);
    }

    fn shown(&mut self, tag: &str, name: Option<&str>, value: impl std::fmt::Display) {
        self.tag(tag, name, ">");
        let _ = write!(self.out, "{value}");
        self.close(tag);
    }

    /// Writes XML Schema's text for infinity, or a finite number in its shortest round-trip digits.
    fn floating(&mut self, tag: &str, name: Option<&str>, value: &Value, infinite: bool, negative: bool) {
        match (infinite, negative) {
            (true, true) => self.shown(tag, name, "-INF"),
            (true, false) => self.shown(tag, name, "INF"),
            (false, _) => self.shown(tag, name, value.exact_text()),
        }
    }
}
