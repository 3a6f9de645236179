//! JSON schema of a profile, made from the declaration of its keys.
//!
//! The schema covers keys, types, words and their dependence on the kind. The reader also checks the contents of values
//! and other combinations of keys, for which a schema has no rules or no helpful messages.

use serde_json::{Map, Value as Json, json};

use super::keys::{self, GROUP, KEYS, Key, Value};
use super::kind::Kind;

/// Regular expression of a duration (humantime).
const DURATION: &str = r"^\s*(0|([0-9]+\s*[A-Za-z\u00b5]+\s*)+)$";

/// Returns the JSON schema of a profile.
pub fn schema() -> Json {
    let mut conditions = vec![json!({
        "if": { "required": ["connections"] },
        "then": { "propertyNames": { "enum": GROUP } },
        "else": { "anyOf": [{ "required": ["kind"] }, { "required": ["include"] }] },
    })];
    conditions.extend(Kind::ALL.map(of_kind));
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Profile of lyncsh",
        "type": "object",
        "properties": properties(&KEYS, None),
        "additionalProperties": false,
        "allOf": conditions,
    })
}

/// Returns the conditions of a kind.
fn of_kind(kind: Kind) -> Json {
    let permitted: Vec<&str> = keys::names(&KEYS).into_iter().filter(|key| kind.permits(key)).collect();
    let by_kind: Vec<Key> = KEYS.into_iter().filter(|key| kind.permits(key.name)).collect();
    let by_kind: Vec<Key> = by_kind
        .into_iter()
        .filter(|key| schema_of(key.value, Some(kind)) != schema_of(key.value, None))
        .collect();
    let mut then = Map::new();
    then.insert("propertyNames".to_owned(), json!({ "enum": permitted }));
    if !by_kind.is_empty() {
        then.insert("properties".to_owned(), properties(&by_kind, Some(kind)));
    }
    if kind.module().is_none() && !kind.traits().discovers {
        then.insert("anyOf".to_owned(), json!([{ "required": ["uri"] }, { "required": ["include"] }]));
    }
    json!({
        "if": { "properties": { "kind": { "const": kind.traits().name } }, "required": ["kind"] },
        "then": then,
    })
}

fn properties(keys: &[Key], kind: Option<Kind>) -> Json {
    let one = |key: &Key| {
        let mut schema = schema_of(key.value, kind);
        if let Json::Object(schema) = &mut schema
            && kind.is_none()
        {
            schema.insert("description".to_owned(), key.about.into());
        }
        (key.name.to_owned(), schema)
    };
    Json::Object(keys.iter().map(one).collect())
}

fn schema_of(value: Value, kind: Option<Kind>) -> Json {
    match value {
        Value::Text | Value::Path => json!({ "type": "string", "pattern": r"\S" }),
        Value::Uri => json!({ "type": "string", "pattern": "^[A-Za-z][A-Za-z0-9+.-]*:" }),
        Value::Word(words) => json!({ "enum": words(kind) }),
        Value::Flag => json!({ "type": "boolean" }),
        Value::Duration => json!({ "type": "string", "pattern": DURATION }),
        Value::Number(min, max) => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Value::List(list) => json!({
            "type": "array",
            "items": { "type": "string", "pattern": list.item },
            "uniqueItems": list.is_unique,
            "minItems": u32::from(!list.may_be_empty),
        }),
        Value::Table(keys) => table(keys, None),
        Value::Choice(keys) => table(keys, Some(1)),
        Value::OneOf(values) => {
            let kinds = values.iter().map(|value| schema_of(*value, kind));
            json!({ "anyOf": kinds.filter(|schema| schema["enum"] != json!([])).collect::<Vec<_>>() })
        }
    }
}

/// Returns the schema of a table; `count`: the number of its keys.
fn table(keys: &[Key], count: Option<u32>) -> Json {
    let mut table = Map::new();
    table.insert("type".to_owned(), "object".into());
    table.insert("properties".to_owned(), properties(keys, None));
    table.insert("additionalProperties".to_owned(), false.into());
    for limit in ["minProperties", "maxProperties"] {
        if let Some(count) = count {
            table.insert(limit.to_owned(), count.into());
        }
    }
    Json::Object(table)
}
