//! ConvertFrom-Json: JSON as objects whose properties keep their order (JsonObject.cs).

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::LazyLock;

use chrono::{DateTime, Local};
use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};

use super::bind::Bound;
use super::each::{Stage, all};
use super::input::Sourced;
use crate::line::error::LineError;
use crate::psrp::clixml::Value;

/// Pattern of the texts that Newtonsoft.Json reads as dates.
static DATE: LazyLock<Option<regex::Regex>> = LazyLock::new(|| {
    regex::Regex::new(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,7})?(Z|[+-]\d\d:\d\d)?$").ok()
});

pub fn source(bound: &Bound) -> Result<Sourced, LineError> {
    bound.required("InputObject")?;
    converted(bound, &bound.names("InputObject")).map(Sourced::of)
}

pub fn convert(bound: Bound) -> Result<Box<dyn Stage>, LineError> {
    if bound.get("InputObject").is_some() {
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
fn converted(bound: &Bound, lines: &[String]) -> Result<Vec<Value>, LineError> {
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
        if !DATE.as_ref().is_some_and(|date| date.is_match(text)) {
            return Ok(text.into());
        }
        // A date with an offset becomes local time.
        let has_offset = !text.ends_with('Z') && text.get(19..).is_some_and(|end| end.contains(['+', '-']));
        let local = DateTime::parse_from_rfc3339(text).ok().filter(|_| has_offset);
        Ok(Value::DateTime(match local {
            Some(at) => {
                let at = at.with_timezone(&Local);
                format!("{}{}", at.format("%Y-%m-%dT%H:%M:%S%.f"), at.format("%:z"))
            }
            None => text.to_owned(),
        }))
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
