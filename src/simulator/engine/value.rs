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

/// An enum's value with its name.
pub fn enumeration(type_name: &str, name: &str, number: i32) -> Value {
    Value::Object(Arc::new(Object {
        type_names: type_names(&[type_name, "System.Enum", "System.ValueType"]),
        to_string: Some(name.to_owned()),
        content: Content::Primitive(Value::I32(number)),
        ..Object::default()
    }))
}

/// The object's property, whatever the case of its name.
pub fn property<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    let Value::Object(object) = value else { return None };
    object
        .extended
        .iter()
        .chain(&object.adapted)
        .find(|(candidate, _)| candidate.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
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
        Value::Object(object) => match &object.content {
            Content::List(items) | Content::Enumerable(items) | Content::Queue(items) => items.clone(),
            Content::Stack(items) => items.clone(),
            _ => vec![value.clone()],
        },
        other => vec![other.clone()],
    }
}

/// Whether it is a list of any kind.
pub fn is_list(value: &Value) -> bool {
    matches!(value, Value::Object(object) if matches!(
        object.content,
        Content::List(_) | Content::Enumerable(_) | Content::Queue(_) | Content::Stack(_)
    ))
}

/// A value without the object around a primitive.
pub fn bare(value: &Value) -> &Value {
    match value {
        Value::Object(object) => match &object.content {
            Content::Primitive(inner) => inner,
            _ => value,
        },
        _ => value,
    }
}

/// The first type name, as `GetType()` would say it.
pub fn type_name(value: &Value) -> String {
    match value {
        Value::Object(object) => match (object.type_names.first(), &object.content) {
            (Some(name), _) => name.clone(),
            (None, Content::Primitive(inner)) => type_name(inner),
            (None, _) => "System.Management.Automation.PSCustomObject".into(),
        },
        Value::Null => String::new(),
        Value::String(_) => "System.String".into(),
        Value::Char(_) => "System.Char".into(),
        Value::Bool(_) => "System.Boolean".into(),
        Value::DateTime(_) => "System.DateTime".into(),
        Value::Duration(_) => "System.TimeSpan".into(),
        Value::U8(_) => "System.Byte".into(),
        Value::I8(_) => "System.SByte".into(),
        Value::U16(_) => "System.UInt16".into(),
        Value::I16(_) => "System.Int16".into(),
        Value::U32(_) => "System.UInt32".into(),
        Value::I32(_) => "System.Int32".into(),
        Value::U64(_) => "System.UInt64".into(),
        Value::I64(_) => "System.Int64".into(),
        Value::Single(_) => "System.Single".into(),
        Value::Double(_) => "System.Double".into(),
        Value::Decimal(_) => "System.Decimal".into(),
        Value::Bytes(_) => "System.Byte[]".into(),
        Value::Guid(_) => "System.Guid".into(),
        Value::Uri(_) => "System.Uri".into(),
        Value::Version(_) => "System.Version".into(),
        Value::Xml(_) => "System.Xml.XmlDocument".into(),
        Value::ScriptBlock(_) => "System.Management.Automation.ScriptBlock".into(),
        Value::Secure(_) => "System.Security.SecureString".into(),
    }
}

/// The text of `"$value"`: lists joined by a blank, dates in the invariant culture.
pub fn display(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text)
        | Value::Duration(text)
        | Value::Decimal(text)
        | Value::Uri(text)
        | Value::Version(text)
        | Value::Xml(text)
        | Value::ScriptBlock(text) => text.clone(),
        Value::Char(unit) => String::from_utf16_lossy(&[*unit]),
        Value::Bool(value) => if *value { "True" } else { "False" }.into(),
        Value::DateTime(text) => invariant_date(text),
        Value::U8(value) => value.to_string(),
        Value::I8(value) => value.to_string(),
        Value::U16(value) => value.to_string(),
        Value::I16(value) => value.to_string(),
        Value::U32(value) => value.to_string(),
        Value::I32(value) => value.to_string(),
        Value::U64(value) => value.to_string(),
        Value::I64(value) => value.to_string(),
        Value::Single(value) => value.to_string(),
        Value::Double(value) => value.to_string(),
        Value::Bytes(bytes) => bytes.iter().map(u8::to_string).collect::<Vec<_>>().join(" "),
        Value::Guid(id) => id.to_string(),
        Value::Secure(_) => "System.Security.SecureString".into(),
        Value::Object(object) => match (&object.to_string, &object.content) {
            (Some(text), _) => text.clone(),
            (None, Content::Primitive(inner)) => display(inner),
            (
                None,
                Content::List(items)
                | Content::Enumerable(items)
                | Content::Stack(items)
                | Content::Queue(items),
            ) => items.iter().map(display).collect::<Vec<_>>().join(" "),
            (None, Content::Dictionary(_)) => type_name(value),
            (None, Content::None) => {
                let pairs: Vec<_> = all_properties(value)
                    .iter()
                    .map(|(name, value)| format!("{name}={}", display(value)))
                    .collect();
                format!("@{{{}}}", pairs.join("; "))
            }
        },
    }
}

/// `MM/dd/yyyy HH:mm:ss` of an xs:dateTime text, in its own time zone.
fn invariant_date(text: &str) -> String {
    match (text.get(0..4), text.get(5..7), text.get(8..10), text.get(11..19)) {
        (Some(year), Some(month), Some(day), Some(time)) => format!("{month}/{day}/{year} {time}"),
        _ => text.to_owned(),
    }
}

/// `*`, `?` and `[…]` as PowerShell matches names: whole, without regard to case.
pub fn like(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.to_lowercase().chars().collect();
    let name: Vec<char> = name.to_lowercase().chars().collect();
    // Where a star was last seen, and how much of the name it has taken since.
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some('[') if set_matches(&pattern[p..], name[n]).is_some_and(|(matched, _)| matched) => {
                p += set_matches(&pattern[p..], name[n]).map_or(1, |(_, length)| length);
                n += 1;
            }
            Some(&c) if c == '?' || (c == name[n] && c != '[') => {
                p += 1;
                n += 1;
            }
            _ => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    p = at + 1;
                    n = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&c| c == '*')
}

/// Whether a `[…]` at the start of the pattern takes the character, and the set's length.
fn set_matches(pattern: &[char], c: char) -> Option<(bool, usize)> {
    let end = pattern.iter().position(|&c| c == ']')?;
    let set = &pattern[1..end];
    let mut matched = false;
    let mut at = 0;
    while at < set.len() {
        if at + 2 < set.len() && set[at + 1] == '-' {
            matched |= (set[at]..=set[at + 2]).contains(&c);
            at += 3;
        } else {
            matched |= set[at] == c;
            at += 1;
        }
    }
    Some((matched, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match_names_without_regard_to_case() {
        assert!(like("*-Cs*", "Get-CsTenant"));
        assert!(like("get-cst?nant", "Get-CsTenant"));
        assert!(like("[gs]et-Cs*", "Set-CsUser"));
        assert!(like("[a-h]et-*r", "Get-CsUser"));
        assert!(!like("Get-Cs", "Get-CsTenant"));
        assert!(!like("[", "a"));
        assert!(like("*", ""));
    }

    #[test]
    fn values_read_as_powershell_puts_them_into_a_string() {
        assert_eq!(display(&Value::DateTime("2026-01-02T00:00:00".into())), "01/02/2026 00:00:00");
        assert_eq!(display(&array(vec![Value::I32(1), text("two")])), "1 two");
        assert_eq!(display(&custom("", properties([("A", Value::I32(1))]))), "@{A=1}");
        assert_eq!(
            display(&dictionary(&["System.Collections.Hashtable"], vec![])),
            "System.Collections.Hashtable"
        );
    }
}
