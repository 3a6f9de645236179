//! Construction of objects as PowerShell serializes them, and access to arguments.

use std::sync::Arc;

use crate::psrp::clixml::{Content, Name, Object, TypeNames, Value};

/// Assembly name of .NET's types in generic type names of PowerShell 7.6.
pub const CORE: &str =
    "System.Private.CoreLib, Version=10.0.0.0, Culture=neutral, PublicKeyToken=7cec85d7bea7798e";
/// Assembly name of PowerShell's types.
pub const SMA: &str =
    "System.Management.Automation, Version=7.6.5.0, Culture=neutral, PublicKeyToken=31bf3856ad364e35";

/// Properties in order.
pub type Properties = Vec<(Name, Value)>;

pub fn text(value: impl Into<String>) -> Value {
    Value::String(value.into())
}

/// Converts name and value pairs to properties.
pub fn properties<const N: usize>(pairs: [(&str, Value); N]) -> Properties {
    pairs.into_iter().map(|(name, value)| (name.into(), value)).collect()
}

fn type_names(names: &[&str]) -> TypeNames {
    names.iter().copied().chain(["System.Object"]).map(Name::from).collect()
}

/// Returns a custom object (`[pscustomobject]`) with extended properties.
pub fn custom(type_name: &str, extended: Properties) -> Value {
    let names = if type_name.is_empty() {
        type_names(&["System.Management.Automation.PSCustomObject"])
    } else {
        type_names(&[type_name, "System.Management.Automation.PSCustomObject"])
    };
    Value::Object(Arc::new(Object { type_names: names, extended, ..Object::default() }))
}

/// Returns a .NET object with adapted properties.
pub fn adapted(types: &[&str], to_string: &str, properties: Properties) -> Value {
    Value::Object(Arc::new(Object {
        type_names: type_names(types),
        to_string: Some(to_string.to_owned()),
        adapted: properties,
        ..Object::default()
    }))
}

/// Returns an object with only extended properties and type names that are not .NET types.
pub fn extended(types: &[&str], extended: Properties) -> Value {
    Value::Object(Arc::new(Object {
        type_names: types.iter().map(|&name| Name::from(name)).collect(),
        extended,
        ..Object::default()
    }))
}

/// Returns a list of a .NET collection type.
pub fn list(types: &[&str], items: Vec<Value>) -> Value {
    Value::Object(Arc::new(Object {
        type_names: type_names(types),
        content: Content::List(items),
        ..Object::default()
    }))
}

/// Returns an `object[]`.
pub fn array(items: Vec<Value>) -> Value {
    list(&["System.Object[]", "System.Array"], items)
}

/// Returns an `object[]` of strings.
pub fn strings<I: IntoIterator<Item = S>, S: Into<String>>(items: I) -> Value {
    array(items.into_iter().map(text).collect())
}

pub fn dictionary(types: &[&str], entries: Vec<(Value, Value)>) -> Value {
    Value::Object(Arc::new(Object {
        type_names: type_names(types),
        content: Content::Dictionary(entries),
        ..Object::default()
    }))
}

/// Returns every property in order, adapted ones first.
pub fn all_properties(value: &Value) -> Vec<(&str, &Value)> {
    let Value::Object(object) = value else { return Vec::new() };
    object.adapted.iter().chain(&object.extended).map(|(name, value)| (name.as_ref(), value)).collect()
}

/// Returns the items of a list, or the single value; nothing for null.
pub fn items(value: &Value) -> Vec<Value> {
    match value {
        Value::Null => Vec::new(),
        other => other.items().map_or_else(|| vec![other.clone()], <[Value]>::to_vec),
    }
}

/// Returns whether a value is a list.
pub fn is_list(value: &Value) -> bool {
    value.items().is_some()
}

/// Returns the first type name, as `GetType()` does.
pub fn type_name(value: &Value) -> String {
    let known = match value {
        Value::Object(object) if object.type_names.is_empty() => value.primitive().type_names(),
        _ => value.type_names(),
    };
    known
        .first()
        .map_or_else(|| "System.Management.Automation.PSCustomObject".into(), |name| (*name).to_owned())
}
