//! Types and properties of values.

use crate::psrp::clixml::{Content, Name, Value};

/// Returns whether a value is a number, but not an enum.
pub fn is_number(value: &Value) -> bool {
    matches!(
        value,
        Value::U8(_)
            | Value::I8(_)
            | Value::U16(_)
            | Value::I16(_)
            | Value::U32(_)
            | Value::I32(_)
            | Value::U64(_)
            | Value::I64(_)
            | Value::Single(_)
            | Value::Double(_)
            | Value::Decimal(_)
    )
}

/// Returns whether a value is an enum as the endpoint sends it: a number with a name.
pub fn is_enum(value: &Value) -> bool {
    matches!(value, Value::Object(object) if matches!(&object.content, Content::Primitive(inner) if is_number(inner)))
        && value.is_type("System.Enum")
}

/// Returns a property, or an entry of a dictionary.
pub fn member(value: &Value, name: &str) -> Option<Value> {
    value.property(name).cloned().or_else(|| {
        let entries = value.entries()?;
        entries
            .iter()
            .find(|(key, _)| key.display_text().eq_ignore_ascii_case(name))
            .map(|(_, one)| one.clone())
    })
}

/// Returns an object's properties, adapted ones first; none for primitives, lists and dictionaries. An extended
/// property replaces an adapted one with its name.
pub fn named(object: &Value) -> Vec<(&Name, &Value)> {
    let Value::Object(object) = object else { return Vec::new() };
    if object.content != Content::None {
        return Vec::new();
    }
    let mut all: Vec<(&Name, &Value)> = object.adapted.iter().map(|(name, one)| (name, one)).collect();
    for (name, one) in &object.extended {
        match all.iter_mut().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
            Some((_, known)) => *known = one,
            None => all.push((name, one)),
        }
    }
    all
}

/// Returns the names of [`named`].
pub fn property_names(object: &Value) -> Vec<Name> {
    named(object).into_iter().map(|(name, _)| Name::clone(name)).collect()
}
