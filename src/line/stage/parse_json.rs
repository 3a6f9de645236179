//! ConvertFrom-Json: JSON as objects whose properties keep their order (JsonObject.cs).

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::LazyLock;

use chrono::{Local, NaiveDateTime, TimeDelta};
use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};

use super::bind::BoundParameters;
use super::each::{Stage, all};
use super::input::SourceOutput;
use crate::line::error::LineError;
use crate::line::time::is_date;
use crate::psrp::clixml::Value;

/// Pattern of the texts that Newtonsoft.Json reads as dates: the time, its fraction, and the hours and minutes of the
/// offset.
static DATE: LazyLock<Option<regex::Regex>> = LazyLock::new(|| {
    let form = r"^([0-9-]{10}T[0-9:]{8})(\.[0-9]{1,7})?(?:Z|([+-][0-9]{2})(?::?([0-9]{2}))?)?$";
    regex::Regex::new(form).ok()
});

/// Converts a text to a date, if it is one. A date with an offset becomes local time.
fn date(text: &str) -> Option<Value> {
    let parts = DATE.as_ref()?.captures(text)?;
    let fraction = parts.get(2).map_or("", |fraction| fraction.as_str());
    // Midnight at the end of a day.
    let (time, days) = match parts[1].strip_suffix("T24:00:00") {
        Some(day) if fraction.trim_matches(['.', '0']).is_empty() => (format!("{day}T00:00:00"), 1),
        _ => (parts[1].to_owned(), 0),
    };
    let at = NaiveDateTime::parse_from_str(&time, "%Y-%m-%dT%H:%M:%S").ok()?;
    let at = at.checked_add_signed(TimeDelta::days(days)).filter(|at| is_date(*at))?;
    let wire = |at: NaiveDateTime, zone: &str| {
        Value::DateTime(format!("{}{fraction}{zone}", at.format("%Y-%m-%dT%H:%M:%S")))
    };
    let Some(hours) = parts.get(3) else {
        return Some(wire(at, if text.ends_with('Z') { "Z" } else { "" }));
    };
    let hours: i64 = hours.as_str().parse().ok()?;
    let minutes: i64 = parts.get(4).map_or(Ok(0), |minutes| minutes.as_str().parse()).ok()?;
    let minutes = hours * 60 + if text.contains('+') { minutes } else { -minutes };
    let at = at.checked_sub_signed(TimeDelta::minutes(minutes))?.and_utc().with_timezone(&Local);
    is_date(at.naive_local()).then(|| wire(at.naive_local(), &at.format("%:z").to_string()))
}

pub fn source(bound: &BoundParameters) -> Result<SourceOutput, LineError> {
    bound.required("InputObject")?;
    converted(bound, &bound.names("InputObject")).map(SourceOutput::of)
}

pub fn convert(bound: BoundParameters) -> Result<Box<dyn Stage>, LineError> {
    if bound.has("InputObject") {
        return Err(
            bound.wrong("The input object cannot be bound: the pipeline and -InputObject both give one.")
        );
    }
    Ok(all(move |values: Vec<Value>| {
        let texts: Vec<String> = values.iter().map(Value::display_text).collect();
        converted(&bound, &texts)
    }))
}

/// Converts lines: each line by itself if the first line is a whole document, else all lines as one document.
fn converted(bound: &BoundParameters, lines: &[String]) -> Result<Vec<Value>, LineError> {
    let read = |text: &str| parse(text, bound.switch("AsHashtable"));
    let wrong = |error: serde_json::Error| {
        let text = error.to_string();
        match text.split_once(CASING) {
            Some((_, keys)) => {
                let keys = keys.split_once(" at line ").map_or(keys, |(keys, _)| keys);
                bound.wrong(&format!(
                    "Cannot convert the JSON string because it contains keys with different casing. Please \
                     use the -AsHashTable switch instead. The key that was attempted to be added to the \
                     existing key {keys}."
                ))
            }
            None => bound.wrong(&format!("Conversion from JSON failed with error: {text}.")),
        }
    };
    let documents: Vec<Value> = match lines {
        [] => return Ok(Vec::new()),
        [first, _, ..] if read(first).is_ok() => {
            let texts = lines.iter().filter(|line| !line.trim().is_empty());
            texts.map(|text| read(text).map_err(wrong)).collect::<Result<_, _>>()?
        }
        _ => {
            let text = lines.join("\n");
            if text.trim().is_empty() {
                return Ok(Vec::new());
            }
            vec![read(&text).map_err(wrong)?]
        }
    };
    if bound.switch("NoEnumerate") {
        return Ok(documents);
    }
    Ok(documents
        .into_iter()
        .flat_map(|one| one.items().map_or_else(|| vec![one.clone()], <[Value]>::to_vec))
        .filter(|one| !one.is_null() || lines.len() > 1)
        .collect())
}

/// Parses a JSON document. `as_hashtable`: objects become hash tables.
pub fn parse(text: &str, as_hashtable: bool) -> Result<Value, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_str(text.trim_start_matches('\u{feff}'));
    let value = Reader { as_hashtable }.deserialize(&mut reader)?;
    reader.end()?;
    Ok(value)
}

/// Beginning of the message about two keys that differ only in case.
const CASING: &str = "keys with different casing: ";

#[derive(Clone, Copy)]
struct Reader {
    as_hashtable: bool,
}

impl<'de> DeserializeSeed<'de> for Reader {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::I64(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(i64::try_from(value).map_or(Value::U64(value), Value::I64))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Double(value))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(date(text).unwrap_or_else(|| text.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut all = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            all.push(item);
        }
        Ok(Value::array(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut all: Vec<(String, Value)> = Vec::new();
        // Positions in `all`.
        let mut places: HashMap<String, usize> = HashMap::new();
        while let Some(key) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(self)?;
            let same = if self.as_hashtable { key.clone() } else { key.to_ascii_lowercase() };
            match places.entry(same) {
                Entry::Occupied(place) => {
                    let (known, old) = &mut all[*place.get()];
                    if *known != key {
                        return Err(serde::de::Error::custom(format!("{CASING}'{known}' was '{key}'")));
                    }
                    // Of equal keys, the last one counts.
                    *old = value;
                }
                Entry::Vacant(place) => {
                    place.insert(all.len());
                    all.push((key, value));
                }
            }
        }
        if !self.as_hashtable {
            return Ok(Value::custom_object(all));
        }
        let types = [
            "System.Management.Automation.OrderedHashtable",
            "System.Collections.Hashtable",
            "System.Object",
        ];
        Ok(Value::typed_dictionary(types, all.into_iter().map(|(key, value)| (key.into(), value))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seen in PowerShell 7.6.9.
    #[test]
    fn only_possible_dates_become_dates() {
        for (text, wire) in [
            ("2021-02-28T23:59:59", Some("2021-02-28T23:59:59")),
            ("2021-02-28T23:59:59.1230Z", Some("2021-02-28T23:59:59.1230Z")),
            ("2021-02-28T24:00:00.0Z", Some("2021-03-01T00:00:00.0Z")),
            ("2021-02-28T24:00:01", None),
            ("2021-13-45T00:00:00", None),
            ("2021-02-29T00:00:00", None),
            ("2021-02-28T23:59:60", None),
            ("0000-01-01T00:00:00", None),
            ("2021-02-28T23:59:59.12345678", None),
            ("2021-02-28T23:59", None),
            ("2021-02-28", None),
        ] {
            let wire = wire.map(|wire| Value::DateTime(wire.to_owned()));
            assert_eq!(date(text), wire, "{text}");
        }
        for (text, utc) in [
            ("2021-02-28T00:00:00+02:00", "2021-02-27T22:00:00"),
            ("2021-02-28T00:00:00-0130", "2021-02-28T01:30:00"),
            ("2021-02-28T00:00:00+14", "2021-02-27T10:00:00"),
            ("2021-02-28T00:00:00+99:00", "2021-02-23T21:00:00"),
        ] {
            let Some(Value::DateTime(local)) = date(text) else { panic!("{text}") };
            let zoned = chrono::DateTime::parse_from_rfc3339(&local).unwrap();
            assert_eq!(zoned.naive_utc().format("%Y-%m-%dT%H:%M:%S").to_string(), utc, "{text}");
        }
    }
}
