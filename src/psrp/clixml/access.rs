//! Constructors and accessors of values.

use std::sync::Arc;

use super::{Content, Name, Object, Secure, Value, type_names};

impl Value {
    pub fn string(text: impl Into<String>) -> Self {
        Self::String(text.into())
    }

    /// Returns a clear-text SecureString, which is encrypted before sending.
    pub fn secure(secret: secrecy::SecretString) -> Self {
        Self::Secure(Secure::Plain(secret))
    }

    /// Returns an array or collection (`<LST>`), most derived type name first.
    pub fn list<T: Into<Name>>(
        names: impl IntoIterator<Item = T>,
        items: impl IntoIterator<Item = Value>,
    ) -> Self {
        Object {
            type_names: type_names(names),
            content: Content::List(items.into_iter().collect()),
            ..Object::default()
        }
        .into()
    }

    /// Returns an `Object[]`, PowerShell's `@(…)`.
    pub fn array(items: impl IntoIterator<Item = Value>) -> Self {
        Self::list(["System.Object[]", "System.Array", "System.Object"], items)
    }

    /// Returns a `String[]`.
    pub fn strings<T: Into<String>>(items: impl IntoIterator<Item = T>) -> Self {
        Self::list(["System.String[]", "System.Array", "System.Object"], items.into_iter().map(Value::string))
    }

    /// Returns a Hashtable.
    pub fn dictionary(entries: impl IntoIterator<Item = (Value, Value)>) -> Self {
        Self::typed_dictionary(["System.Collections.Hashtable", "System.Object"], entries)
    }

    /// Returns a PSPrimitiveDictionary, the type of application arguments and private data.
    pub fn primitive_dictionary(entries: impl IntoIterator<Item = (Value, Value)>) -> Self {
        Self::typed_dictionary(
            [
                "System.Management.Automation.PSPrimitiveDictionary",
                "System.Collections.Hashtable",
                "System.Object",
            ],
            entries,
        )
    }

    /// Returns a dictionary (`<DCT>`) with the given type names.
    pub fn typed_dictionary<T: Into<Name>>(
        names: impl IntoIterator<Item = T>,
        entries: impl IntoIterator<Item = (Value, Value)>,
    ) -> Self {
        Object {
            type_names: type_names(names),
            content: Content::Dictionary(entries.into_iter().collect()),
            ..Object::default()
        }
        .into()
    }

    /// Returns an enum value with the underlying type Int32; `name` is PowerShell's text for the value.
    pub fn enumeration(type_name: &str, name: &str, number: i32) -> Self {
        Object {
            type_names: type_names([type_name, "System.Enum", "System.ValueType", "System.Object"]),
            to_string: Some(name.to_owned()),
            content: Content::Primitive(Value::I32(number)),
            ..Object::default()
        }
        .into()
    }

    /// Returns an object that has only extended properties.
    pub fn with_properties<N: Into<Name>>(properties: impl IntoIterator<Item = (N, Value)>) -> Self {
        Object::with_properties(properties).into()
    }

    /// Returns a `PSCustomObject` with these properties.
    pub fn custom_object<N: Into<Name>>(properties: impl IntoIterator<Item = (N, Value)>) -> Self {
        Object {
            type_names: type_names(["System.Management.Automation.PSCustomObject", "System.Object"]),
            ..Object::with_properties(properties)
        }
        .into()
    }

    pub fn is_null(&self) -> bool {
        matches!(self.primitive(), Self::Null)
    }

    pub fn as_object(&self) -> Option<&Object> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }

    /// Returns the value itself, or the primitive that an `<Obj>` wraps.
    pub fn primitive(&self) -> &Value {
        let mut value = self;
        while let Self::Object(object) = value
            && let Content::Primitive(inner) = &object.content
        {
            value = inner;
        }
        value
    }

    /// Returns a property by its case-insensitive name: an extended one, else an adapted one.
    pub fn property(&self, name: &str) -> Option<&Value> {
        self.as_object()?.property(name)
    }

    /// Returns a dictionary's entry by its case-insensitive key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.entries()?
            .iter()
            .find(|(name, _)| match name.primitive() {
                Self::String(text) => text.eq_ignore_ascii_case(key),
                other => other.display_text().eq_ignore_ascii_case(key),
            })
            .map(|(_, value)| value)
    }

    /// Returns the text of a string, script block, URI, version or XML document.
    pub fn as_str(&self) -> Option<&str> {
        match self.primitive() {
            Self::String(text)
            | Self::Uri(text)
            | Self::Version(text)
            | Self::Xml(text)
            | Self::ScriptBlock(text) => Some(text),
            _ => None,
        }
    }

    /// Returns an integer, or the number of an enum value, if it fits into an `i64`.
    pub fn as_i64(&self) -> Option<i64> {
        match self.primitive() {
            Self::U8(n) => Some(i64::from(*n)),
            Self::I8(n) => Some(i64::from(*n)),
            Self::U16(n) | Self::Char(n) => Some(i64::from(*n)),
            Self::I16(n) => Some(i64::from(*n)),
            Self::U32(n) => Some(i64::from(*n)),
            Self::I32(n) => Some(i64::from(*n)),
            Self::U64(n) => i64::try_from(*n).ok(),
            Self::I64(n) => Some(*n),
            _ => None,
        }
    }

    /// Returns an integer, or the number of an enum value, if it fits into an `i32`.
    pub fn as_i32(&self) -> Option<i32> {
        self.as_i64().and_then(|n| i32::try_from(n).ok())
    }

    /// Returns a Boolean, or the `IsPresent` of a deserialized SwitchParameter.
    pub fn as_bool(&self) -> Option<bool> {
        match self.primitive() {
            Self::Bool(b) => Some(*b),
            other => match other.property("IsPresent")? {
                Self::Bool(b) => Some(*b),
                _ => None,
            },
        }
    }

    /// Returns the members of a list, enumerable, stack or queue. A stack's first member is its top.
    pub fn items(&self) -> Option<&[Value]> {
        match &self.as_object()?.content {
            Content::List(items)
            | Content::Enumerable(items)
            | Content::Stack(items)
            | Content::Queue(items) => Some(items),
            _ => None,
        }
    }

    /// Returns a dictionary's entries.
    pub fn entries(&self) -> Option<&[(Value, Value)]> {
        match &self.as_object()?.content {
            Content::Dictionary(entries) => Some(entries),
            _ => None,
        }
    }

    /// Returns the type names, most derived first; for a bare primitive its .NET name.
    pub fn type_names(&self) -> Vec<&str> {
        match self {
            Self::Object(object) => object.type_names.iter().map(AsRef::as_ref).collect(),
            primitive => primitive.primitive_type().into_iter().collect(),
        }
    }

    /// Returns whether the value has a type name, case-insensitive and without the prefix `Deserialized.`.
    pub fn is_type(&self, name: &str) -> bool {
        self.type_names()
            .into_iter()
            .any(|own| own.strip_prefix("Deserialized.").unwrap_or(own).eq_ignore_ascii_case(name))
    }

    /// Returns the .NET type of a bare primitive.
    fn primitive_type(&self) -> Option<&'static str> {
        Some(match self {
            Self::Null | Self::Object(_) => return None,
            Self::String(_) => "System.String",
            Self::Char(_) => "System.Char",
            Self::Bool(_) => "System.Boolean",
            Self::DateTime(_) => "System.DateTime",
            Self::Duration(_) => "System.TimeSpan",
            Self::U8(_) => "System.Byte",
            Self::I8(_) => "System.SByte",
            Self::U16(_) => "System.UInt16",
            Self::I16(_) => "System.Int16",
            Self::U32(_) => "System.UInt32",
            Self::I32(_) => "System.Int32",
            Self::U64(_) => "System.UInt64",
            Self::I64(_) => "System.Int64",
            Self::Single(_) => "System.Single",
            Self::Double(_) => "System.Double",
            Self::Decimal(_) => "System.Decimal",
            Self::Bytes(_) => "System.Byte[]",
            Self::Guid(_) => "System.Guid",
            Self::Uri(_) => "System.Uri",
            Self::Version(_) => "System.Version",
            Self::Xml(_) => "System.Xml.XmlDocument",
            Self::ScriptBlock(_) => "System.Management.Automation.ScriptBlock",
            Self::Secure(_) => "System.Security.SecureString",
        })
    }
}

impl From<Object> for Value {
    fn from(object: Object) -> Self {
        Self::Object(Arc::new(object))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

macro_rules! from {
    ($($type:ty => $variant:ident),*) => {
        $(impl From<$type> for Value {
            fn from(value: $type) -> Self {
                Self::$variant(value)
            }
        })*
    };
}

from!(String => String, bool => Bool, i32 => I32, i64 => I64);

/// `None` is `<Nil/>`.
impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl Object {
    /// Returns an object that has only extended properties.
    pub fn with_properties<N: Into<Name>>(properties: impl IntoIterator<Item = (N, Value)>) -> Self {
        Self {
            extended: properties.into_iter().map(|(name, value)| (name.into(), value)).collect(),
            ..Self::default()
        }
    }

    /// Returns a property by its case-insensitive name: an extended one, else an adapted one.
    pub fn property(&self, name: &str) -> Option<&Value> {
        self.properties().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Returns all properties, extended ones first.
    pub fn properties(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.extended.iter().chain(&self.adapted).map(|(name, value)| (name.as_ref(), value))
    }
}
