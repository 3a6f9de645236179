//! CLIXML, the serialization of .NET objects that PSRP messages carry (MS-PSRP 2.2.5).

mod access;
mod display;
mod escape;
mod names;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub use names::{Name, Names, TypeNames, type_names};
pub use read::{Limits, ReadError, read, read_shared, read_with};
pub use write::{Document, write};

use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

/// One serialized value: a primitive, or an object with type names and properties.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// `<Nil/>`
    #[default]
    Null,
    /// `<S>`
    String(String),
    /// `<C>`: one UTF-16 code unit.
    Char(u16),
    /// `<B>`
    Bool(bool),
    /// `<DT>`: the original xs:dateTime text.
    DateTime(String),
    /// `<TS>`: the original xs:duration text.
    Duration(String),
    /// `<By>`
    U8(u8),
    /// `<SB>`
    I8(i8),
    /// `<U16>`
    U16(u16),
    /// `<I16>`
    I16(i16),
    /// `<U32>`
    U32(u32),
    /// `<I32>`
    I32(i32),
    /// `<U64>`
    U64(u64),
    /// `<I64>`
    I64(i64),
    /// `<Sg>`
    Single(f32),
    /// `<Db>`
    Double(f64),
    /// `<D>`: the decimal's original text.
    Decimal(String),
    /// `<BA>`
    Bytes(Vec<u8>),
    /// `<G>`
    Guid(Uuid),
    /// `<URI>`
    Uri(String),
    /// `<Version>`
    Version(String),
    /// `<XD>`
    Xml(String),
    /// `<SBK>`
    ScriptBlock(String),
    /// `<SS>`
    Secure(Secure),
    /// `<Obj>`; an `Arc` used twice in one message is written as one `<Obj>` and a `<Ref>`.
    Object(Arc<Object>),
}

/// A SecureString in clear text or in its wire form.
#[derive(Clone)]
pub enum Secure {
    /// Clear text. The state machine encrypts it before sending; [`write`] omits it.
    Plain(SecretString),
    /// Wire form: AES-256-CBC under the session key (2.3), or UTF-16LE (2.4).
    Wire(Vec<u8>),
}

impl std::fmt::Debug for Secure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecureString")
    }
}

impl PartialEq for Secure {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Plain(a), Self::Plain(b)) => a.expose_secret() == b.expose_secret(),
            (Self::Wire(a), Self::Wire(b)) => a == b,
            _ => false,
        }
    }
}

/// `<Obj>`: type names, an optional `<ToString>`, content, adapted (`<Props>`) and extended (`<MS>`)
/// properties in their order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Object {
    /// Most derived first; empty if the object has no `<TN>`.
    pub type_names: TypeNames,
    pub to_string: Option<String>,
    pub content: Content,
    pub adapted: Vec<(Name, Value)>,
    pub extended: Vec<(Name, Value)>,
}

/// The content of an object besides its properties.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Content {
    #[default]
    None,
    /// A primitive with its own type names or properties; an enum wraps a [`Value::I32`].
    Primitive(Value),
    /// `<LST>`
    List(Vec<Value>),
    /// `<IE>`
    Enumerable(Vec<Value>),
    /// `<STK>`
    Stack(Vec<Value>),
    /// `<QUE>`
    Queue(Vec<Value>),
    /// `<DCT>`
    Dictionary(Vec<(Value, Value)>),
}
