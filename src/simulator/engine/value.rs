//! Making objects as PowerShell serializes them, and reading what a caller sent.

use std::sync::Arc;

use crate::psrp::clixml::{Content, Object, Value};

/// Where .NET's own types live, as PowerShell 7.6 names it in generic type names.
pub const CORE: &str =
    "System.Private.CoreLib, Version=10.0.0.0, Culture=neutral, PublicKeyToken=7cec85d7bea7798e";
/// The same for PowerShell's types.
pub const SMA: &str =
    "System.Management.Automation, Version=7.6.5.0, Culture=neutral, PublicKeyToken=31bf3856ad364e35";

/// Properties in their order.
pub type Properties = Vec<(String, Value)>;

pub fn text(value: impl Into<String>) -> Value {
    Value::String(value.into())
}

/// Names with values, as properties.
pub fn properties<const N: usize>(pairs: [(&str, Value); N]) -> Properties {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn type_names(names: &[&str]) -> Vec<String> {
    names.iter().copied().chain(["System.Object"]).map(str::to_owned).collect()
}

/// A custom object (`[pscustomobject]`) with extended properties.
pub fn custom(type_name: &str, extended: Properties) -> Value {
    let names = if type_name.is_empty() {
        type_names(&["System.Management.Automation.PSCustomObject"])
    } else {
        type_names(&[type_name, "System.Management.Automation.PSCustomObject"])
    };
    Value::Object(Arc::new(Object { type_names: names, extended, ..Object::default() }))
}

/// A .NET object with adapted properties.
pub fn adapted(types: &[&str], to_string: &str, properties: Properties) -> Value {
    Value::Object(Arc::new(Object {
        type_names: type_names(types),
        to_string: Some(to_string.to_owned()),
        adapted: properties,
        ..Object::default()
    }))
}

/// An object with extended properties only, and type names that are no .NET types.
pub fn extended(types: &[&str], extended: Properties) -> Value {
    Value::Object(Arc::new(Object {
        type_names: types.iter().map(|&name| name.to_owned()).collect(),
        extended,
        ..Object::default()
    }))
}

/// A list of a .NET collection type.
pub fn list(types: &[&str], items: Vec<Value>) -> Value {
    Value::Object(Arc::new(Object {
        type_names: type_names(types),
        content: Content::List(items),
        ..Object::default()
    }))
}

/// `object[]`
pub fn array(items: Vec<Value>) -> Value {
    list(&["System.Object[]", "System.Array"], items)
}

/// `object[]` of strings.
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

/// Every property in its order, adapted ones first.
pub fn all_properties(value: &Value) -> Vec<(&str, &Value)> {
    let Value::Object(object) = value else { return Vec::new() };
    object.adapted.iter().chain(&object.extended).map(|(name, value)| (name.as_str(), value)).collect()
}

/// What is in a list, or the value alone; nothing for null.
pub fn items(value: &Value) -> Vec<Value> {
    match value {
        Value::Null => Vec::new(),
        other => other.items().map_or_else(|| vec![other.clone()], <[Value]>::to_vec),
    }
}

/// Whether it is a list of any kind.
pub fn is_list(value: &Value) -> bool {
    value.items().is_some()
}

/// The first type name, as `GetType()` would say it.
pub fn type_name(value: &Value) -> String {
    let known = match value {
        Value::Object(object) if object.type_names.is_empty() => value.primitive().type_names(),
        _ => value.type_names(),
    };
    known
        .first()
        .map_or_else(|| "System.Management.Automation.PSCustomObject".into(), |name| (*name).to_owned())
}
