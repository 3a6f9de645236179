//! Finds SecureStrings within values, encrypts them before sending, and decrypts them after receiving.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::clixml::{Content, Object, Secure, Value};
use super::key::{KeyError, SessionKey, read_clear, write_clear};

/// Wire form of secrets.
pub(super) enum Seal<'a> {
    /// Protocol 2.4.
    Clear,
    /// Protocol 2.3 and below.
    Key(&'a SessionKey),
}

impl Seal<'_> {
    /// Returns the value with all secrets in the wire form.
    pub fn seal(&self, value: &Value) -> Value {
        let change = |secure: &Secure| {
            Ok(match (secure, self) {
                (Secure::Plain(secret), Self::Clear) => Secure::Wire(write_clear(secret).to_vec()),
                (Secure::Plain(secret), Self::Key(key)) => Secure::Wire(key.encrypt(secret)),
                (wire @ Secure::Wire(_), _) => wire.clone(),
            })
        };
        // Sealing cannot fail; if it did, nothing would be sent instead.
        changed(value, &change).unwrap_or_default()
    }

    /// Returns the value with all secrets in clear text.
    pub fn open(&self, value: &Value) -> Result<Value, KeyError> {
        changed(value, &|secure| {
            Ok(match (secure, self) {
                (Secure::Wire(wire), Self::Clear) => Secure::Plain(read_clear(wire)?),
                (Secure::Wire(wire), Self::Key(key)) => Secure::Plain(key.decrypt(wire)?),
                (plain @ Secure::Plain(_), _) => plain.clone(),
            })
        })
    }
}

/// Returns whether the value contains a secret in clear text.
pub(super) fn has_plain(value: &Value) -> bool {
    contains(value, &|secure| matches!(secure, Secure::Plain(_)), &mut HashSet::new())
}

/// Returns whether the value contains a secret in the wire form.
pub(super) fn has_sealed(value: &Value) -> bool {
    contains(value, &|secure| matches!(secure, Secure::Wire(_)), &mut HashSet::new())
}

/// Returns whether the value contains a secret that `wanted` accepts. `seen` contains the shared objects visited so
/// far.
fn contains(value: &Value, wanted: &dyn Fn(&Secure) -> bool, seen: &mut HashSet<*const Object>) -> bool {
    let object = match value {
        Value::Secure(secure) => return wanted(secure),
        Value::Object(object) => object,
        _ => return false,
    };
    if Arc::strong_count(object) > 1 && !seen.insert(Arc::as_ptr(object)) {
        return false;
    }
    parts(object).any(|part| contains(part, wanted, seen))
}

/// Returns all direct members of an object.
fn parts(object: &Object) -> impl Iterator<Item = &Value> {
    let (items, entries, one): (&[Value], &[(Value, Value)], Option<&Value>) = match &object.content {
        Content::None => (&[], &[], None),
        Content::Primitive(inner) => (&[], &[], Some(inner)),
        Content::List(items) | Content::Enumerable(items) | Content::Stack(items) | Content::Queue(items) => {
            (items, &[], None)
        }
        Content::Dictionary(entries) => (&[], entries, None),
    };
    let properties = object.adapted.iter().chain(&object.extended).map(|(_, value)| value);
    let entries = entries.iter().flat_map(|(key, value)| [key, value]);
    items.iter().chain(one).chain(entries).chain(properties)
}

type Change<'a> = &'a dyn Fn(&Secure) -> Result<Secure, KeyError>;

/// Returns the value with its secrets changed; parts without secrets stay shared, and sharing is kept.
fn changed(value: &Value, change: Change<'_>) -> Result<Value, KeyError> {
    if contains(value, &|_| true, &mut HashSet::new()) {
        rebuilt(value, change, &mut HashMap::new())
    } else {
        Ok(value.clone())
    }
}

fn rebuilt(
    value: &Value,
    change: Change<'_>,
    done: &mut HashMap<*const Object, Value>,
) -> Result<Value, KeyError> {
    let object = match value {
        Value::Secure(secure) => return Ok(Value::Secure(change(secure)?)),
        Value::Object(object) => object,
        other => return Ok(other.clone()),
    };
    if let Some(ready) = done.get(&Arc::as_ptr(object)) {
        return Ok(ready.clone());
    }
    let mut new = Object::clone(object);
    let all = |values: &mut Vec<Value>, done: &mut HashMap<_, _>| {
        values.iter_mut().try_for_each(|part| rebuilt(part, change, done).map(|value| *part = value))
    };
    match &mut new.content {
        Content::None => {}
        Content::Primitive(inner) => *inner = rebuilt(inner, change, done)?,
        Content::List(items) | Content::Enumerable(items) | Content::Stack(items) | Content::Queue(items) => {
            all(items, done)?;
        }
        Content::Dictionary(entries) => {
            for (key, value) in entries {
                *key = rebuilt(key, change, done)?;
                *value = rebuilt(value, change, done)?;
            }
        }
    }
    for (_, property) in new.adapted.iter_mut().chain(&mut new.extended) {
        *property = rebuilt(property, change, done)?;
    }
    let new = Value::from(new);
    done.insert(Arc::as_ptr(object), new.clone());
    Ok(new)
}
