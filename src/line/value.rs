//! Members and conversions of values, and new objects.

use std::sync::Arc;

use super::inspect::{is_number, member};
use super::members::well_known;
use super::number::Number;
use crate::psrp::clixml::{Content, Name, Object, Value, type_names};

/// Evaluates `.Name`: a property, Count and Length of any value, or the property of each item of a list. A
/// missing property is null, as in PowerShell.
pub fn access(value: &Value, name: &str) -> Value {
    if let Some(there) = member(value, name).or_else(|| well_known(value, name)) {
        return there;
    }
    let whole = |count: usize| Value::I32(i32::try_from(count).unwrap_or(i32::MAX));
    let lower = name.to_lowercase();
    match (lower.as_str(), value) {
        ("count" | "length", Value::Bytes(bytes)) => return whole(bytes.len()),
        ("count" | "length", _) => {
            let counted = value.items().map(<[Value]>::len).or_else(|| value.entries().map(<[_]>::len));
            return whole(counted.unwrap_or(usize::from(*value != Value::Null)));
        }
        _ => {}
    }
    if let Some(entries) = value.entries() {
        return match lower.as_str() {
            "keys" => Value::array(entries.iter().map(|(key, _)| key.clone())),
            "values" => Value::array(entries.iter().map(|(_, one)| one.clone())),
            _ => Value::Null,
        };
    }
    if let Some(items) = value.items() {
        let mut found: Vec<Value> =
            items.iter().map(|item| access(item, name)).filter(|one| *one != Value::Null).collect();
        return if found.len() == 1 {
            found.swap_remove(0)
        } else if found.is_empty() {
            Value::Null
        } else {
            Value::array(found)
        };
    }
    Value::Null
}

/// Returns an item of a list, or a character of a text. A negative index counts from the end. Returns null if the
/// index is out of range.
pub fn item(value: &Value, index: i64) -> Value {
    if let Value::String(text) = value {
        let units: Vec<u16> = text.encode_utf16().collect();
        return at(&units, index).map_or(Value::Null, |unit| Value::Char(*unit));
    }
    let one = [value.clone()];
    at(value.items().unwrap_or(&one), index).cloned().unwrap_or(Value::Null)
}

fn at<T>(items: &[T], index: i64) -> Option<&T> {
    let from_start = if index < 0 { index.checked_add(i64::try_from(items.len()).ok()?)? } else { index };
    items.get(usize::try_from(from_start).ok()?)
}

/// Returns a new object with these properties, as Select-Object does.
pub fn object(properties: Vec<(Name, Value)>) -> Value {
    typed_object("Selected.System.Management.Automation.PSCustomObject", properties)
}

/// Returns a new custom object with a type name.
pub fn typed_object(type_name: &str, properties: Vec<(Name, Value)>) -> Value {
    Value::Object(Arc::new(Object {
        type_names: type_names([type_name, "System.Management.Automation.PSCustomObject", "System.Object"]),
        extended: properties,
        ..Object::default()
    }))
}

/// Returns the entries of a dictionary as the objects that Format-Table and Format-List draw.
pub fn entry_objects(dictionary: &Value) -> Option<Vec<Value>> {
    let entry = |(key, value): &(Value, Value)| {
        let properties = vec![("Name".into(), key.clone()), ("Value".into(), value.clone())];
        typed_object("System.Collections.DictionaryEntry", properties)
    };
    dictionary.entries().map(|entries| entries.iter().map(entry).collect())
}

/// Returns a number together with the text that the user typed, if that differs from the number's display text.
pub fn typed(text: &str, number: Value) -> Value {
    if number.display_text() == text {
        return number;
    }
    Object { to_string: Some(text.to_owned()), content: Content::Primitive(number), ..Object::default() }
        .into()
}

/// Removes the typed text of a number; other values are unchanged.
pub fn bare(value: Value) -> Value {
    match &value {
        Value::Object(object) if object.type_names.is_empty() && object.extended.is_empty() => {
            match &object.content {
                Content::Primitive(inner) if is_number(inner) => inner.clone(),
                _ => value,
            }
        }
        _ => value,
    }
}

/// Returns the number of a value or of its text.
pub fn as_number(value: &Value) -> Option<f64> {
    match value {
        Value::String(text) if text.trim().is_empty() => None,
        other => Number::convert(other).map(Number::as_f64),
    }
}

/// Converts a value to a Boolean.
pub fn truth(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(one) => *one,
        Value::String(text) => !text.is_empty(),
        other => match other.items() {
            Some([]) => false,
            Some([one]) => truth(one),
            Some(_) => true,
            None => as_number(other).is_none_or(|number| number != 0.0),
        },
    }
}
