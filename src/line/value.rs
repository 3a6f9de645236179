//! Values of a line: variables, and what an expression comes to.

use std::collections::HashMap;
use std::sync::Arc;

use super::plan::PlanError;
use super::syntax::{Access, Expr};
use crate::psrp::clixml::{Object, Value};

/// `$x` and its kin, without regard to case.
#[derive(Debug, Default)]
pub struct Variables(HashMap<String, Value>);

impl Variables {
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(&name.to_lowercase())
    }

    pub fn set(&mut self, name: &str, value: Value) {
        self.0.insert(name.to_lowercase(), value);
    }
}

/// What an expression comes to.
pub fn evaluate(expr: &Expr, variables: &Variables) -> Result<Value, PlanError> {
    let all =
        |parts: &[Expr]| parts.iter().map(|part| evaluate(part, variables)).collect::<Result<Vec<_>, _>>();
    Ok(match expr {
        Expr::Null => Value::Null,
        Expr::Bool(one) => Value::Bool(*one),
        Expr::Integer(number) => i32::try_from(*number).map_or(Value::I64(*number), Value::I32),
        Expr::Double(number) => Value::Double(*number),
        Expr::Text(text) => Value::String(text.clone()),
        Expr::Parts(parts) => Value::String(all(parts)?.iter().map(Value::display_text).collect()),
        Expr::Array(items) => Value::array(all(items)?),
        Expr::Block(text) => Value::ScriptBlock(text.clone()),
        Expr::Table(entries) => {
            let mut read = Vec::new();
            for (key, value) in entries {
                read.push((evaluate(key, variables)?, evaluate(value, variables)?));
            }
            Value::dictionary(read)
        }
        Expr::Variable { name, path } => {
            let start = variables.get(name).cloned().ok_or_else(|| {
                PlanError(format!("The variable '${name}' cannot be retrieved because it has not been set."))
            })?;
            path.iter().fold(start, |value, access| access_one(&value, access))
        }
    })
}

/// One step along a path; what is not there is null, as in PowerShell.
fn access_one(value: &Value, access: &Access) -> Value {
    match access {
        Access::Property(name) if name.eq_ignore_ascii_case("count") && value.property(name).is_none() => {
            let count = value.items().map_or(usize::from(*value != Value::Null), <[Value]>::len);
            Value::I32(i32::try_from(count).unwrap_or(i32::MAX))
        }
        Access::Property(name) => match value.items() {
            // A list gives that of each of its items.
            Some(items) => Value::array(items.iter().filter_map(|item| member(item, name))),
            None => member(value, name).unwrap_or(Value::Null),
        },
        Access::Index(index) => {
            let one = [value.clone()];
            let items = value.items().unwrap_or(&one);
            let at = if *index < 0 { index + i64::try_from(items.len()).unwrap_or(0) } else { *index };
            usize::try_from(at).ok().and_then(|at| items.get(at)).cloned().unwrap_or(Value::Null)
        }
    }
}

/// A property, or an entry of a dictionary.
pub fn member(value: &Value, name: &str) -> Option<Value> {
    value.property(name).cloned().or_else(|| {
        let entries = value.entries()?;
        entries
            .iter()
            .find(|(key, _)| key.display_text().eq_ignore_ascii_case(name))
            .map(|(_, one)| one.clone())
    })
}

/// A new object of these properties, as Select-Object makes it.
pub fn object(properties: Vec<(String, Value)>) -> Value {
    Value::Object(Arc::new(Object {
        type_names: vec![
            "Selected.System.Management.Automation.PSCustomObject".into(),
            "System.Management.Automation.PSCustomObject".into(),
            "System.Object".into(),
        ],
        extended: properties,
        ..Object::default()
    }))
}

/// A number, where the value is one or its text is.
pub fn as_number(value: &Value) -> Option<f64> {
    match value {
        Value::Bool(_) | Value::Null => None,
        other => other.display_text().parse().ok(),
    }
}

/// How two values stand to each other: as numbers where both are, else as text without regard to case.
pub fn compare(a: &Value, b: &Value) -> std::cmp::Ordering {
    match (as_number(a), as_number(b)) {
        (Some(a), Some(b)) => a.total_cmp(&b),
        _ => a.display_text().to_lowercase().cmp(&b.display_text().to_lowercase()),
    }
}

/// What counts as true.
pub fn truth(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(one) => *one,
        Value::String(text) => !text.is_empty(),
        other => match (other.items(), as_number(other)) {
            (Some(items), _) => !items.is_empty(),
            (None, Some(number)) => number != 0.0,
            (None, None) => true,
        },
    }
}

/// PowerShell's wildcards: `*`, `?`, without regard to case.
pub fn like(pattern: &str, text: &str) -> bool {
    let escaped = regex::escape(pattern).replace(r"\*", ".*").replace(r"\?", ".");
    regex::RegexBuilder::new(&format!("^(?s:{escaped})$"))
        .case_insensitive(true)
        .build()
        .is_ok_and(|pattern| pattern.is_match(text))
}
