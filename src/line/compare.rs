//! Comparison of values: for operators, which convert the right operand to the type of the left, and for
//! sorting, which needs a total order (LanguagePrimitives.Equals and Compare).

use std::cmp::Ordering;

use chrono::NaiveDateTime;

use super::inspect::is_enum;
use super::number::Number;
use super::time::{date, ticks};
use super::value::truth;
use crate::psrp::clixml::Value;

/// Comparison key of a value.
#[derive(Debug, PartialEq)]
enum Key {
    Nothing,
    Bool(bool),
    Number(Number),
    Date(NaiveDateTime),
    /// Ticks of a TimeSpan.
    Ticks(i128),
    Version(Vec<i64>),
    Text,
}

impl Key {
    fn of(value: &Value) -> Self {
        let primitive = value.primitive();
        let known = match primitive {
            Value::Null => Some(Self::Nothing),
            Value::Bool(one) => Some(Self::Bool(*one)),
            Value::DateTime(text) => date(text).map(Self::Date),
            Value::Duration(text) => ticks(text).map(Self::Ticks),
            Value::Version(text) => version(text).map(Self::Version),
            _ => Number::of(primitive).map(Self::Number),
        };
        known.unwrap_or(Self::Text)
    }

    /// Parses a text as the type of this key.
    fn read(&self, text: &str) -> Option<Self> {
        let text = text.trim();
        match self {
            Self::Date(_) => date(text).map(Self::Date),
            Self::Ticks(_) => ticks(text).map(Self::Ticks),
            Self::Version(_) => version(text).map(Self::Version),
            _ => None,
        }
    }

    fn class(&self) -> u8 {
        match self {
            Self::Nothing => 0,
            Self::Bool(_) => 1,
            Self::Number(_) => 2,
            Self::Date(_) => 3,
            Self::Ticks(_) => 4,
            Self::Version(_) => 5,
            Self::Text => 6,
        }
    }

    fn cmp(&self, other: &Self, as_text: impl FnOnce() -> Ordering) -> Ordering {
        match (self, other) {
            (Self::Bool(x), Self::Bool(y)) => x.cmp(y),
            (Self::Number(x), Self::Number(y)) => x.rank(*y),
            (Self::Date(x), Self::Date(y)) => x.cmp(y),
            (Self::Ticks(x), Self::Ticks(y)) => x.cmp(y),
            (Self::Version(x), Self::Version(y)) => x.cmp(y),
            (Self::Text, Self::Text) => as_text(),
            _ => self.class().cmp(&other.class()),
        }
    }
}

/// Parses `1.10.3`. A missing part sorts before 0, as the -1 of .NET does.
fn version(text: &str) -> Option<Vec<i64>> {
    let parts = text.split('.').map(|part| part.parse().ok()).collect::<Option<Vec<i64>>>()?;
    (2..=4).contains(&parts.len()).then_some(parts)
}

fn texts(a: &Value, b: &Value, sensitive: bool) -> Ordering {
    let (a, b) = (a.display_text(), b.display_text());
    if sensitive { a.cmp(&b) } else { a.to_lowercase().cmp(&b.to_lowercase()) }
}

/// Compares for sorting, in a total order of values of all types: null, Booleans, numbers, dates, time spans, versions,
/// then other values as text. Integers and decimals are exact.
pub fn order(a: &Value, b: &Value, sensitive: bool) -> Ordering {
    Key::of(a).cmp(&Key::of(b), || texts(a, b, sensitive))
}

pub fn equal(a: &Value, b: &Value, sensitive: bool) -> bool {
    match (a, b) {
        (Value::Null, _) | (_, Value::Null) => a.is_null() && b.is_null(),
        (Value::Bool(one), other) => *one == truth(other),
        _ => compare(a, b, sensitive).is_some_and(Ordering::is_eq),
    }
}

/// Compares two values for an operator. `None` if the right one does not convert to the type of the left.
pub fn compare(a: &Value, b: &Value, sensitive: bool) -> Option<Ordering> {
    let (x, y) = (Key::of(a), Key::of(b));
    let negative = |key: &Key| matches!(key, Key::Number(number) if number.as_f64() < 0.0);
    let named = |one: &Value, other: &Value| is_enum(one) && Number::convert(other).is_none();
    match (&x, &y) {
        (Key::Nothing, Key::Nothing) => Some(Ordering::Equal),
        // Null is less than everything except negative numbers.
        (Key::Nothing, one) => Some(if negative(one) { Ordering::Greater } else { Ordering::Less }),
        (one, Key::Nothing) => Some(if negative(one) { Ordering::Less } else { Ordering::Greater }),
        // An enum compares by its name or its number.
        _ if named(a, b) || named(b, a) => Some(texts(a, b, sensitive)),
        (Key::Number(x), Key::Number(y)) => Some(x.compare(*y)),
        (Key::Number(x), Key::Bool(one)) => Some(x.compare(Number::Int32(i32::from(*one)))),
        (Key::Number(x), _) => Number::convert(b).map(|y| x.compare(y)),
        (Key::Bool(one), _) => Some(one.cmp(&truth(b))),
        (Key::Date(_) | Key::Ticks(_) | Key::Version(_), Key::Text) => {
            x.read(&b.display_text()).map(|read| x.cmp(&read, || Ordering::Equal))
        }
        (Key::Text, Key::Date(_)) => {
            let read = y.read(&a.display_text());
            Some(read.map_or_else(|| texts(a, b, sensitive), |read| read.cmp(&y, || Ordering::Equal)))
        }
        (Key::Text, _) => Some(texts(a, b, sensitive)),
        _ if x.class() == y.class() => Some(x.cmp(&y, || texts(a, b, sensitive))),
        _ => None,
    }
}
