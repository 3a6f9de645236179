//! Format-Table, Format-List, ConvertTo-Json, ConvertTo-Csv, Export-Csv, Out-File, Get-Member.

use std::io::Write as _;

use super::pick::all;
use super::{Bound, Stage, StageError};
use crate::line::Printer;
use crate::line::draw::{self, Alignment, Column, Item, View};
use crate::line::plan::PlanError;
use crate::line::value::object;
use crate::psrp::clixml::Value;

fn texts(lines: Vec<String>) -> Vec<Value> {
    lines.into_iter().map(Value::String).collect()
}

/// The properties that are asked for, or all of the first object's.
fn names(asked: Vec<String>, values: &[Value]) -> Vec<String> {
    let there = values.first().map(draw::property_names).unwrap_or_default();
    if asked.is_empty() {
        return there;
    }
    asked
        .into_iter()
        .flat_map(|pattern| {
            let wild = pattern.contains(['*', '?']);
            let found: Vec<_> =
                there.iter().filter(|name| crate::line::value::like(&pattern, name)).cloned().collect();
            if wild || !found.is_empty() { found } else { vec![pattern] }
        })
        .collect()
}

pub fn table(bound: Bound, width: usize) -> Box<dyn Stage> {
    all(move |values: Vec<Value>| {
        let column = |name: String| Column {
            label: name.clone(),
            width: None,
            alignment: Alignment::Undefined,
            property: name,
        };
        let columns = names(bound.names("Property"), &values).into_iter().map(column).collect();
        let view = View::Table {
            columns,
            hide_headers: bound.switch("HideTableHeaders"),
            wrap: bound.switch("Wrap"),
        };
        Ok(texts(draw::draw(&view, &values, width)))
    })
}

pub fn list(bound: Bound, width: usize) -> Box<dyn Stage> {
    all(move |values: Vec<Value>| {
        let names = names(bound.names("Property"), &values);
        let items = names.into_iter().map(|name| Item { label: name.clone(), property: name }).collect();
        Ok(texts(draw::draw(&View::List(items), &values, width)))
    })
}

pub fn json(bound: &Bound) -> Result<Box<dyn Stage>, PlanError> {
    let depth = bound.count("Depth")?.unwrap_or(2);
    let compress = bound.switch("Compress");
    Ok(all(move |values: Vec<Value>| {
        let mut written: Vec<_> = values.iter().map(|value| to_json(value, depth)).collect();
        let whole = match written.len() {
            1 => written.swap_remove(0),
            _ => serde_json::Value::Array(written),
        };
        let text =
            if compress { serde_json::to_string(&whole) } else { serde_json::to_string_pretty(&whole) };
        let text = text.map_err(|error| StageError(format!("ConvertTo-Json: {error}")))?;
        Ok(texts(text.split('\n').map(str::to_owned).collect()))
    }))
}

/// Objects deeper than `depth` are their text, as PowerShell cuts them.
fn to_json(value: &Value, depth: usize) -> serde_json::Value {
    use serde_json::Value as Json;
    match value {
        Value::Null => return Json::Null,
        Value::Bool(one) => return Json::Bool(*one),
        Value::U8(_)
        | Value::I8(_)
        | Value::U16(_)
        | Value::I16(_)
        | Value::U32(_)
        | Value::I32(_)
        | Value::U64(_)
        | Value::I64(_)
        | Value::Single(_)
        | Value::Double(_)
        | Value::Decimal(_) => {
            let text = value.display_text();
            return text.parse().map_or(Json::String(text), Json::Number);
        }
        Value::DateTime(text) => return Json::String(text.clone()),
        Value::Bytes(bytes) => return Json::from(bytes.clone()),
        Value::Object(_) => {}
        other => return Json::String(other.display_text()),
    }
    if let Some(items) = value.items() {
        return Json::Array(items.iter().map(|item| to_json(item, depth)).collect());
    }
    let names = draw::property_names(value);
    if depth == 0 || (names.is_empty() && value.entries().is_none()) {
        return Json::String(value.display_text());
    }
    let entries = value.entries().unwrap_or_default();
    let entries = entries.iter().map(|(key, one)| (key.display_text(), to_json(one, depth - 1)));
    let properties = names
        .iter()
        .map(|name| (name.clone(), value.property(name).map_or(Json::Null, |one| to_json(one, depth - 1))));
    Json::Object(entries.chain(properties).collect())
}

fn csv_lines(values: &[Value], delimiter: &str, header: bool) -> Vec<String> {
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let names = names(Vec::new(), values);
    let row = |cells: Vec<String>| cells.join(delimiter);
    let mut lines = Vec::new();
    if header && !names.is_empty() {
        lines.push(row(names.iter().map(|name| quoted(name)).collect()));
    }
    lines.extend(values.iter().map(|value| {
        row(names
            .iter()
            .map(|name| match value.property(name) {
                None | Some(Value::Null) => String::new(),
                Some(one) => quoted(&one.display_text()),
            })
            .collect())
    }));
    lines
}

fn delimiter(bound: &Bound) -> String {
    bound.get("Delimiter").map_or_else(|| ",".to_owned(), Value::display_text)
}

pub fn csv(bound: Bound) -> Box<dyn Stage> {
    all(move |values: Vec<Value>| Ok(texts(csv_lines(&values, &delimiter(&bound), true))))
}

/// Writes lines to a file; what goes wrong names it.
fn write(cmdlet: &str, path: &str, lines: &[String], append: bool) -> Result<(), StageError> {
    let mut options = std::fs::OpenOptions::new();
    options.create(true).write(true).append(append).truncate(!append);
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    options
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| StageError(format!("{cmdlet}: Could not write to '{path}': {error}")))
}

fn path(bound: &Bound, cmdlet: &str, parameter: &str) -> Result<String, PlanError> {
    let path = bound.get(parameter).map(Value::display_text).filter(|path| !path.is_empty());
    path.ok_or_else(|| PlanError(format!("{cmdlet}: -{parameter} is missing: name the file.")))
}

pub fn csv_file(bound: Bound) -> Result<Box<dyn Stage>, PlanError> {
    let path = path(&bound, "Export-Csv", "Path")?;
    Ok(all(move |values: Vec<Value>| {
        let append = bound.switch("Append");
        let begun = append && std::fs::metadata(&path).is_ok_and(|file| file.len() > 0);
        write("Export-Csv", &path, &csv_lines(&values, &delimiter(&bound), !begun), append)?;
        Ok(Vec::new())
    }))
}

pub fn file(bound: Bound, width: usize) -> Result<Box<dyn Stage>, PlanError> {
    let path = path(&bound, "Out-File", "FilePath")?;
    Ok(all(move |values: Vec<Value>| {
        let mut printer = Printer::new(width);
        let mut lines: Vec<String> = values.iter().flat_map(|value| printer.push(value)).collect();
        lines.extend(printer.finish());
        write("Out-File", &path, &lines, bound.switch("Append"))?;
        Ok(Vec::new())
    }))
}

pub fn members() -> Box<dyn Stage> {
    all(|values: Vec<Value>| {
        let mut lines = Vec::new();
        let mut seen: Vec<String> = Vec::new();
        for value in &values {
            let kind = value.type_names().first().map(|name| (*name).to_owned()).unwrap_or_default();
            if seen.contains(&kind) {
                continue;
            }
            let mut names = draw::property_names(value);
            names.sort_by_key(|name| name.to_lowercase());
            let rows: Vec<Value> = names
                .into_iter()
                .map(|name| {
                    let of = value.property(&name).cloned().unwrap_or(Value::Null);
                    let kind = of.type_names().first().map_or("object", |name| *name).to_owned();
                    let definition = format!("{kind} {name}={}", of.display_text());
                    object(vec![
                        ("Name".into(), Value::String(name)),
                        ("MemberType".into(), Value::String("Property".into())),
                        ("Definition".into(), Value::String(definition)),
                    ])
                })
                .collect();
            lines.push(String::new());
            lines.push(format!("   TypeName: {kind}"));
            if let Some(first) = rows.first() {
                lines.extend(draw::draw(&draw::default_view(first), &rows, 120));
            }
            seen.push(kind);
        }
        Ok(texts(lines))
    })
}
