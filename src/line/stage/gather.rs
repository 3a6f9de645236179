//! Sort-Object, Group-Object and Measure-Object, which need all objects.

use std::cmp::Ordering;

use super::bind::Bound;
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

/// Returns the values by which an object is sorted or grouped; the object itself if no property is named.
fn keys(properties: &[Property], value: &Value, variables: &Variables) -> Vec<Value> {
    if properties.is_empty() {
        return vec![value.clone()];
    }
    properties.iter().map(|property| property.of(value, variables).unwrap_or_default()).collect()
}

fn in_order(a: &[Value], b: &[Value], sensitive: bool, descending: impl Fn(usize) -> bool) -> Ordering {
    let orders = a.iter().zip(b).enumerate().map(|(index, (a, b))| {
        let order = order(a, b, sensitive);
        if descending(index) { order.reverse() } else { order }
    });
    orders.fold(Ordering::Equal, Ordering::then)
}

pub fn sort(bound: &Bound) -> Result<Box<dyn Stage>, LineError> {
    let properties = Property::all(bound, "Property")?;
    let variables = bound.variables.clone();
    let (down, unique) = (bound.switch("Descending"), bound.switch("Unique"));
    let sensitive = bound.switch("CaseSensitive");
    let (top, bottom) = (bound.count("Top")?, bound.count("Bottom")?);
    Ok(all(move |values: Vec<Value>| {
        let descending = |index: usize| properties.get(index).and_then(|one| one.descending).unwrap_or(down);
        let mut keyed: Vec<(Vec<Value>, Value)> =
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

pub fn group(bound: &Bound) -> Result<Box<dyn Stage>, LineError> {
    let properties = Property::all(bound, "Property")?;
    let variables = bound.variables.clone();
    let (bare, sensitive) = (bound.switch("NoElement"), bound.switch("CaseSensitive"));
    Ok(all(move |values: Vec<Value>| {
        let mut groups: Vec<(Vec<Value>, Vec<Value>)> = Vec::new();
        for value in values {
            let key = keys(&properties, &value, &variables);
            let same = |(known, _): &&mut (Vec<Value>, Vec<Value>)| {
                in_order(known, &key, sensitive, |_| false).is_eq()
            };
            match groups.iter_mut().find(same) {
                Some((_, members)) => members.push(value),
                None => groups.push((key, vec![value])),
            }
        }
        groups.sort_by(|(a, _), (b, _)| in_order(a, b, sensitive, |_| false));
        let shown = groups.into_iter().map(|(key, members)| {
            let count = i32::try_from(members.len()).unwrap_or(i32::MAX);
            let named = key.iter().filter(|part| !part.is_null());
            let name = named.map(Value::display_text).collect::<Vec<_>>().join(", ");
            let mut properties =
                vec![("Count".to_owned(), Value::I32(count)), ("Name".to_owned(), Value::String(name))];
            if !bare {
                properties.push(("Group".to_owned(), Value::array(members)));
            }
            let kind = if bare { "GroupInfoNoElement" } else { "GroupInfo" };
            typed_object(&format!("Microsoft.PowerShell.Commands.{kind}"), properties)
        });
        Ok(shown.collect())
    }))
}

/// Measure-Object: a running measure of the objects, or of each property.
struct Measures {
    bound: Bound,
    all: Vec<(Option<String>, Measure)>,
}

/// The statistics of the values so far.
struct Measure {
    count: usize,
    sum: Number,
    /// Numbers for the standard deviation, if it is wanted.
    numbers: Vec<f64>,
    numeric: usize,
    /// The first value that is not a number.
    odd: Option<Value>,
    largest: Option<Value>,
    smallest: Option<Value>,
}

pub fn measure(bound: Bound) -> Box<dyn Stage> {
    let names = bound.names("Property");
    let new = || Measure {
        count: 0,
        sum: Number::Int32(0),
        numbers: Vec::new(),
        numeric: 0,
        odd: None,
        largest: None,
        smallest: None,
    };
    let all = if names.is_empty() {
        vec![(None, new())]
    } else {
        names.into_iter().map(|name| (Some(name), new())).collect()
    };
    Box::new(Measures { bound, all })
}

impl Stage for Measures {
    fn push(&mut self, value: Value, _: &mut Vec<Value>) -> Result<(), LineError> {
        if value.is_null() {
            return Ok(());
        }
        let Self { bound, all } = self;
        let asked = |switch: &str| bound.switch("AllStats") || bound.switch(switch);
        for (name, measure) in all {
            match name {
                None => measure.add(&asked, value.clone()),
                Some(name) => {
                    let of = member(&value, name).or_else(|| well_known(&value, name));
                    of.filter(|of| *of != Value::Null).into_iter().for_each(|of| measure.add(&asked, of));
                }
            }
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<Value>) -> Result<(), LineError> {
        for (name, measure) in std::mem::take(&mut self.all) {
            if let Some(name) = &name
                && measure.count == 0
            {
                return Err(self.bound.wrong(&format!(
                    "The property \"{name}\" cannot be found in the input for any objects."
                )));
            }
            out.push(measure.result(&self.bound, name)?);
        }
        Ok(())
    }
}

impl Measure {
    fn add(&mut self, asked: &dyn Fn(&str) -> bool, value: Value) {
        self.count += 1;
        if asked("Sum")
            || asked("Average")
            || asked("StandardDeviation")
            || asked("Maximum")
            || asked("Minimum")
        {
            match numeric(&value) {
                Some(number) => {
                    self.numeric += 1;
                    self.sum = plus(self.sum, number);
                    if asked("StandardDeviation") {
                        self.numbers.push(number.as_f64());
                    }
                }
                None => drop(self.odd.get_or_insert_with(|| value.clone())),
            }
        }
        // Maximum and minimum may be texts or dates.
        let is_beyond = |best: &Option<Value>, wanted: Ordering| {
            best.as_ref().is_none_or(|best| order(&value, best, false) == wanted)
        };
        if asked("Maximum") && is_beyond(&self.largest, Ordering::Greater) {
            self.largest = Some(value.clone());
        }
        if asked("Minimum") && is_beyond(&self.smallest, Ordering::Less) {
            self.smallest = Some(value);
        }
    }

    fn result(self, bound: &Bound, property: Option<String>) -> Result<Value, LineError> {
        let asked = |switch: &str| bound.switch("AllStats") || bound.switch(switch);
        if (asked("Sum") || asked("Average") || asked("StandardDeviation"))
            && let Some(odd) = &self.odd
        {
            let text = odd.display_text();
            return Err(bound.wrong(&format!("Input object \"{text}\" is not numeric.")));
        }
        let count = self.numeric.max(1) as f64;
        let mean = self.sum.as_f64() / count;
        let squares: f64 = self.numbers.iter().map(|number| (number - mean).powi(2)).sum();
        let deviation = (squares / (count - 1.0).max(1.0)).sqrt();
        let some = |switch: &str, value: Value| {
            if asked(switch) && !(self.count == 0 && switch != "Sum") { value } else { Value::Null }
        };
        let end = |best: &Option<Value>| {
            let best = best.clone().unwrap_or_default();
            match numeric(&best) {
                Some(number) if self.numeric == self.count => statistic(number),
                _ => best,
            }
        };
        let whole = i32::try_from(self.count).unwrap_or(i32::MAX);
        Ok(typed_object(
            "Microsoft.PowerShell.Commands.GenericMeasureInfo",
            vec![
                ("Count".into(), Value::I32(whole)),
                ("Average".into(), some("Average", Value::Double(mean))),
                ("Sum".into(), some("Sum", statistic(self.sum))),
                ("Maximum".into(), end(&self.largest)),
                ("Minimum".into(), end(&self.smallest)),
                ("StandardDeviation".into(), some("StandardDeviation", Value::Double(deviation))),
                ("Property".into(), property.map_or(Value::Null, Value::String)),
            ],
        ))
    }
}

fn numeric(value: &Value) -> Option<Number> {
    match value.primitive() {
        Value::String(text) if text.trim().is_empty() => None,
        other => Number::convert(other),
    }
}

/// Adds exactly as long as a decimal can hold the sum.
fn plus(sum: Number, one: Number) -> Number {
    let exact = match (sum, one) {
        (Number::Double(_), _) | (_, Number::Double(_)) => None,
        (sum, one) => sum.as_decimal().zip(one.as_decimal()).and_then(|(sum, one)| sum.checked_add(one)),
    };
    exact.map_or_else(|| Number::Double(sum.as_f64() + one.as_f64()), Number::Decimal)
}

/// Converts to a double, as PowerShell's statistics are, or keeps the exact number if 15 digits lose
/// precision.
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
