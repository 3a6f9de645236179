//! Sort-Object, Group-Object and Measure-Object, which need all objects.

use std::cmp::Ordering;

use super::bind::BoundParameters;
use super::each::{Stage, all};
use super::property::Property;
use crate::line::compare::order;
use crate::line::error::LineError;
use crate::line::evaluate::Variables;
use crate::line::inspect::member;
use crate::line::members::well_known;
use crate::line::number::Number;
use crate::line::value::typed_object;
use crate::psrp::clixml::Value;

/// A value by which objects are sorted or grouped; `None` if the object does not have the property.
type Key = Option<Value>;

/// Returns the keys of an object; the object itself if no property is named.
fn keys(properties: &[Property], value: &Value, variables: &Variables) -> Vec<Key> {
    if properties.is_empty() {
        return vec![Some(value.clone())];
    }
    let key = |property: &Property| {
        property.is_of(value).then(|| property.of(value, variables).unwrap_or_default())
    };
    properties.iter().map(key).collect()
}

/// Compares the keys of two objects. Objects without the property are last in both directions.
fn in_order(a: &[Key], b: &[Key], sensitive: bool, descending: impl Fn(usize) -> bool) -> Ordering {
    let orders = a.iter().zip(b).enumerate().map(|(index, (a, b))| match (a, b) {
        (Some(a), Some(b)) if descending(index) => order(b, a, sensitive),
        (Some(a), Some(b)) => order(a, b, sensitive),
        (a, b) => a.is_none().cmp(&b.is_none()),
    });
    orders.fold(Ordering::Equal, Ordering::then)
}

pub fn sort(bound: &BoundParameters) -> Result<Box<dyn Stage>, LineError> {
    let properties = Property::all(bound, "Property")?;
    let variables = bound.variables.clone();
    let (down, unique) = (bound.switch("Descending"), bound.switch("Unique"));
    let sensitive = bound.switch("CaseSensitive");
    let (top, bottom) = (bound.count("Top")?, bound.count("Bottom")?);
    Ok(all(move |values: Vec<Value>| {
        let descending = |index: usize| properties.get(index).and_then(|one| one.descending).unwrap_or(down);
        let mut keyed: Vec<(Vec<Key>, Value)> =
            values.into_iter().map(|value| (keys(&properties, &value, &variables), value)).collect();
        keyed.sort_by(|(a, _), (b, _)| in_order(a, b, sensitive, descending));
        if unique {
            keyed.dedup_by(|(a, _), (b, _)| in_order(a, b, sensitive, descending).is_eq());
        }
        let skip = bottom.map_or(0, |bottom| keyed.len().saturating_sub(bottom));
        let take = top.unwrap_or(usize::MAX);
        Ok(keyed.into_iter().map(|(_, value)| value).skip(skip).take(take).collect())
    }))
}

/// The objects with the same keys.
struct Group {
    /// Position of the first object in the input.
    first: usize,
    /// Values of the properties; null for a missing property.
    key: Vec<Key>,
    members: Vec<Value>,
}

pub fn group(bound: &BoundParameters) -> Result<Box<dyn Stage>, LineError> {
    let properties = Property::all(bound, "Property")?;
    let variables = bound.variables.clone();
    let (bare, sensitive) = (bound.switch("NoElement"), bound.switch("CaseSensitive"));
    Ok(all(move |values: Vec<Value>| {
        let shown = grouped(values, sensitive, |value| keys(&properties, value, &variables));
        let shown = shown.into_iter().map(|group| {
            let count = i32::try_from(group.members.len()).unwrap_or(i32::MAX);
            let named = group.key.iter().flatten().filter(|part| !part.is_null());
            let name = named.map(Value::display_text).collect::<Vec<_>>().join(", ");
            let mut properties =
                vec![("Count".into(), Value::I32(count)), ("Name".into(), Value::String(name))];
            if !bare {
                properties.push(("Group".into(), Value::array(group.members)));
            }
            let kind = if bare { "GroupInfoNoElement" } else { "GroupInfo" };
            typed_object(&format!("Microsoft.PowerShell.Commands.{kind}"), properties)
        });
        Ok(shown.collect())
    }))
}

/// Returns the groups in the order of their keys; in the order of the input if a property has values of
/// several types, as in PowerShell.
fn grouped(values: Vec<Value>, sensitive: bool, keys: impl Fn(&Value) -> Vec<Key>) -> Vec<Group> {
    let mut keyed: Vec<(usize, Vec<Key>, Value)> =
        values.into_iter().enumerate().map(|(at, value)| (at, keys(&value), value)).collect();
    let is_mixed = is_mixed(&keyed);
    keyed.sort_by(|(_, a, _), (_, b, _)| in_order(a, b, sensitive, |_| false));
    let mut groups: Vec<Group> = Vec::new();
    for (first, mut key, value) in keyed {
        let lacks_some = key.iter().any(Option::is_none);
        for part in &mut key {
            part.get_or_insert_default();
        }
        let same = |group: &&mut Group| in_order(&group.key, &key, sensitive, |_| false).is_eq();
        let known = if lacks_some { groups.iter_mut().find(same) } else { groups.last_mut().filter(same) };
        match known {
            Some(group) => {
                group.first = group.first.min(first);
                group.members.push(value);
            }
            None => groups.push(Group { first, key, members: vec![value] }),
        }
    }
    if is_mixed {
        groups.sort_by_key(|group| group.first);
    }
    groups
}

/// Returns whether the values of a property have several types.
fn is_mixed(keyed: &[(usize, Vec<Key>, Value)]) -> bool {
    let count = keyed.first().map_or(0, |(_, key, _)| key.len());
    (0..count).any(|index| {
        let present = keyed.iter().filter_map(|(_, key, _)| key.get(index)?.as_ref());
        let mut types = present.filter_map(|value| value.type_names().first().copied());
        types.next().is_some_and(|first| types.any(|other| other != first))
    })
}

/// Measure-Object: a running measure of the objects, or of each property.
struct Measures {
    bound: BoundParameters,
    wanted: Statistics,
    all: Vec<(Option<String>, Measure)>,
}

/// The requested statistics.
#[derive(Clone, Copy)]
struct Statistics {
    sum: bool,
    average: bool,
    deviation: bool,
    maximum: bool,
    minimum: bool,
}

/// The statistics of the values so far.
#[derive(Default)]
struct Measure {
    count: usize,
    sum: Option<Number>,
    /// Numbers for the standard deviation, if it is requested.
    numbers: Vec<f64>,
    numeric: usize,
    largest: Option<Value>,
    smallest: Option<Value>,
}

pub fn measure(bound: BoundParameters) -> Box<dyn Stage> {
    let wanted = |switch: &str| bound.switch("AllStats") || bound.switch(switch);
    let wanted = Statistics {
        sum: wanted("Sum"),
        average: wanted("Average"),
        deviation: wanted("StandardDeviation"),
        maximum: wanted("Maximum"),
        minimum: wanted("Minimum"),
    };
    let names = bound.names("Property");
    let all = if names.is_empty() {
        vec![(None, Measure::default())]
    } else {
        names.into_iter().map(|name| (Some(name), Measure::default())).collect()
    };
    Box::new(Measures { bound, wanted, all })
}

impl Stage for Measures {
    fn push(&mut self, value: Value, _: &mut Vec<Value>) -> Result<(), LineError> {
        if value.is_null() {
            return Ok(());
        }
        let mut odd = None;
        for (name, measure) in &mut self.all {
            let of = match name {
                None => Some(value.clone()),
                Some(name) => member(&value, name).or_else(|| well_known(&value, name)),
            };
            if let Some(of) = of
                && !measure.add(self.wanted, &of)
            {
                odd.get_or_insert(of);
            }
        }
        match odd {
            None => Ok(()),
            Some(odd) => {
                let text = odd.display_text();
                Err(self.bound.wrong(&format!("Input object \"{text}\" is not numeric.")))
            }
        }
    }

    fn finish(&mut self, out: &mut Vec<Value>) -> Result<(), LineError> {
        // PowerShell outputs nothing for a property that no object has.
        let all = std::mem::take(&mut self.all).into_iter();
        let found = all.filter(|(name, measure)| name.is_none() || measure.count > 0);
        out.extend(found.map(|(name, measure)| measure.result(self.wanted, name)));
        Ok(())
    }

    fn continues_after_error(&self) -> bool {
        true
    }
}

impl Measure {
    /// Adds a value. Null and an empty text are zero. Returns `false` if the statistics need a number and the value is
    /// not a number.
    fn add(&mut self, wanted: Statistics, value: &Value) -> bool {
        self.count += 1;
        let needs_numbers = wanted.sum || wanted.average || wanted.deviation;
        if !(needs_numbers || wanted.maximum || wanted.minimum) {
            return true;
        }
        let number = numeric(value);
        if let Some(number) = number {
            self.numeric += 1;
            self.sum = Some(self.sum.map_or(number, |sum| plus(sum, number)));
            if wanted.deviation {
                self.numbers.push(number.as_f64());
            }
        }
        // Maximum and minimum may be texts or dates. In PowerShell, null is the minimum until the next value.
        let is_beyond = |best: &Option<Value>, wanted: Ordering| {
            let best = best.as_ref().filter(|best| !best.is_null());
            best.is_none_or(|best| order(value, best, false) == wanted)
        };
        if wanted.maximum && is_beyond(&self.largest, Ordering::Greater) {
            self.largest = Some(value.clone());
        }
        if wanted.minimum && is_beyond(&self.smallest, Ordering::Less) {
            self.smallest = Some(value.clone());
        }
        number.is_some() || !needs_numbers
    }

    fn result(self, wanted: Statistics, property: Option<String>) -> Value {
        let sum = self.sum.unwrap_or(Number::Int32(0));
        let is_numeric = self.numeric == self.count;
        let count = self.numeric.max(1) as f64;
        let mean = sum.as_f64() / count;
        let squares: f64 = self.numbers.iter().map(|number| (number - mean).powi(2)).sum();
        let deviation = (squares / (count - 1.0).max(1.0)).sqrt();
        let some = |is_wanted: bool, value: Value| if is_wanted && is_numeric { value } else { Value::Null };
        let end = |best: Option<Value>| {
            let best = best.unwrap_or_default();
            numeric(&best).filter(|_| is_numeric && !best.is_null()).map_or(best, statistic)
        };
        let whole = i32::try_from(self.count).unwrap_or(i32::MAX);
        typed_object(
            "Microsoft.PowerShell.Commands.GenericMeasureInfo",
            vec![
                ("Count".into(), Value::I32(whole)),
                ("Average".into(), some(wanted.average && self.count > 0, Value::Double(mean))),
                ("Sum".into(), some(wanted.sum, statistic(sum))),
                ("Maximum".into(), end(self.largest)),
                ("Minimum".into(), end(self.smallest)),
                ("StandardDeviation".into(), some(wanted.deviation, Value::Double(deviation))),
                ("Property".into(), property.map_or(Value::Null, Value::String)),
            ],
        )
    }
}

/// Returns the number of a value; null and an empty text are zero.
fn numeric(value: &Value) -> Option<Number> {
    match value.primitive() {
        Value::Null => Some(Number::Int32(0)),
        Value::String(text) if text.trim().is_empty() => Some(Number::Int32(0)),
        other => Number::convert(other),
    }
}

/// Adds two numbers: exactly if a decimal can hold the sum, otherwise as doubles.
fn plus(sum: Number, one: Number) -> Number {
    let exact = match (sum, one) {
        (Number::Double(_), _) | (_, Number::Double(_)) => None,
        (sum, one) => sum.as_decimal().zip(one.as_decimal()).and_then(|(sum, one)| sum.checked_add(one)),
    };
    exact.map_or_else(|| Number::Double(sum.as_f64() + one.as_f64()), Number::Decimal)
}

/// Converts a number to a double, the type of PowerShell's statistics. A number with more than 15 digits stays exact,
/// because a double would lose digits.
fn statistic(number: Number) -> Value {
    const LARGEST: u128 = 999_999_999_999_999;
    let exact = match number {
        Number::Double(_) => None,
        exact => exact.as_decimal().map(|exact| exact.normalize()),
    };
    match exact.filter(|exact| exact.mantissa().unsigned_abs() > LARGEST) {
        None => Value::Double(number.as_f64()),
        Some(exact) => match i64::try_from(exact) {
            Ok(whole) if exact.is_integer() => Value::I64(whole),
            _ => Value::Decimal(exact.to_string()),
        },
    }
}
