//! SecureStrings within values: found, sealed before they go, opened when they come.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::clixml::{Content, Object, Secure, Value};
use super::key::{KeyError, SessionKey, read_clear, write_clear};

/// How secrets travel.
pub(super) enum Seal<'a> {
    /// Protocol 2.4.
    Clear,
    /// Protocol 2.3 and below.
    Key(&'a SessionKey),
}

impl Seal<'_> {
    /// The value with every readable secret in the wire's form.
    pub fn seal(&self, value: &Value) -> Value {
        let change = |secure: &Secure| {
            Ok(match (secure, self) {
                (Secure::Plain(secret), Self::Clear) => Secure::Wire(write_clear(secret).to_vec()),
                (Secure::Plain(secret), Self::Key(key)) => Secure::Wire(key.encrypt(secret)),
                (wire @ Secure::Wire(_), _) => wire.clone(),
            })
        };
        // Sealing can't fail; were it to, nothing would be sent in its place.
        changed(value, &change).unwrap_or_default()
    }

    /// The value with every secret readable.
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

/// Whether a readable secret is in the value.
pub(super) fn has_plain(value: &Value) -> bool {
    contains(value, &|secure| matches!(secure, Secure::Plain(_)), &mut HashSet::new())
}

/// Whether a secret in the wire's form is in the value.
pub(super) fn has_sealed(value: &Value) -> bool {
    contains(value, &|secure| matches!(secure, Secure::Wire(_)), &mut HashSet::new())
}

/// `seen` holds shared objects that were looked into.
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

/// All values directly within an object.
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

/// The value with its secrets changed; what has none stays shared, and what was shared stays so.
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
