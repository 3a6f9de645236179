//! Format-Table, Format-List, Out-String and Get-Member: objects as lines of text.

use super::bind::Bound;
use super::property::Property;
use super::{Stage, all};
use crate::line::Printer;
use crate::line::draw::{self, Alignment, Column, Item, View};
use crate::line::error::LineError;
use crate::line::evaluate::Variables;
use crate::line::value::{object, typed_object};
use crate::line::views::Views;
use crate::psrp::clixml::Value;

fn texts(lines: Vec<String>) -> Vec<Value> {
    lines.into_iter().map(Value::String).collect()
}

/// The columns or lines that are asked for, wildcards resolved by the first object, and objects that
/// have just these.
pub fn shaped(
    properties: &[Property],
    values: &[Value],
    variables: &Variables,
) -> (Vec<Property>, Vec<Value>) {
    let mut resolved: Vec<Property> = Vec::new();
    for property in properties {
        let names = values.first().map(|first| property.pairs(first, variables)).unwrap_or_default();
        resolved.extend(
            names
                .into_iter()
                .map(|(name, _)| Property { label: Some(name.clone()), ..property.named(&name) }),
        );
    }
    let rows = values
        .iter()
        .map(|value| {
            let cells =
                resolved.iter().map(|one| (one.title(), one.of(value, variables).unwrap_or_default()));
            object(cells.collect())
        })
        .collect();
    (resolved, rows)
}

fn columns(properties: &[Property]) -> Vec<Column> {
    let column = |one: &Property| Column {
        label: one.title(),
        width: one.width,
        alignment: one.alignment,
        property: one.title(),
    };
    properties.iter().map(column).collect()
}

/// Draws objects as a table, by a type's own columns where none are asked for.
pub fn table_lines(properties: &[Property], values: &[Value], width: usize, form: Form) -> Vec<String> {
    let (resolved, rows) = shaped(properties, values, form.variables);
    let mut columns = columns(&resolved);
    if form.auto_size {
        columns.iter_mut().for_each(|column| column.width = None);
    }
    let view = View::Table { columns, hide_headers: form.hide_headers, wrap: form.wrap };
    draw::draw(&view, &rows, width)
}

/// How a table is drawn.
pub struct Form<'a> {
    pub variables: &'a Variables,
    pub auto_size: bool,
    pub hide_headers: bool,
    pub wrap: bool,
}

pub fn list_lines(
    properties: &[Property],
    values: &[Value],
    width: usize,
    variables: &Variables,
) -> Vec<String> {
    let (resolved, rows) = shaped(properties, values, variables);
    let items = resolved.iter().map(|one| Item { label: one.title(), property: one.title() }).collect();
    draw::draw(&View::List(items), &rows, width)
}

/// Objects of one kind at a time: each has its own columns.
fn in_runs(values: &[Value]) -> Vec<&[Value]> {
    values
        .chunk_by(|a, b| {
            a.type_names() == b.type_names() && draw::property_names(a) == draw::property_names(b)
        })
        .collect()
}

pub fn table(bound: Bound, width: usize, views: Views) -> Result<Box<dyn Stage>, LineError> {
    let properties = Property::all(&bound, "Property")?;
    Ok(all(move |values: Vec<Value>| {
        let mut lines = Vec::new();
        for run in in_runs(&values) {
            let Some(first) = run.first() else { continue };
            let own = views.of(first).filter(|view| !view.is_list).map(|view| view.properties);
            if properties.is_empty() && own.is_none() && draw::property_names(first).is_empty() {
                lines.extend(
                    run.iter().flat_map(|one| draw::cell(one).lines().map(str::to_owned).collect::<Vec<_>>()),
                );
                continue;
            }
            let asked = if properties.is_empty() {
                own.unwrap_or_else(|| vec![Property::everything()])
            } else {
                properties.clone()
            };
            let form = Form {
                variables: &bound.variables,
                auto_size: bound.switch("AutoSize"),
                hide_headers: bound.switch("HideTableHeaders"),
                wrap: bound.switch("Wrap"),
            };
            lines.extend(table_lines(&asked, run, width, form));
        }
        Ok(texts(lines))
    }))
}

pub fn list(bound: Bound, width: usize, views: Views) -> Result<Box<dyn Stage>, LineError> {
    let properties = Property::all(&bound, "Property")?;
    Ok(all(move |values: Vec<Value>| {
        let mut lines = Vec::new();
        for run in in_runs(&values) {
            let Some(first) = run.first() else { continue };
            let own = views.of(first).filter(|view| view.is_list).map(|view| view.properties);
            if properties.is_empty() && own.is_none() && draw::property_names(first).is_empty() {
                lines.extend(
                    run.iter().flat_map(|one| draw::cell(one).lines().map(str::to_owned).collect::<Vec<_>>()),
                );
                continue;
            }
            let asked = if properties.is_empty() {
                own.unwrap_or_else(|| vec![Property::everything()])
            } else {
                properties.clone()
            };
            lines.extend(list_lines(&asked, run, width, &bound.variables));
        }
        Ok(texts(lines))
    }))
}

/// Out-String: what the screen would show, as one text, or a text a line.
pub fn out_string(bound: &Bound, width: usize, views: &Views) -> Result<Box<dyn Stage>, LineError> {
    let width = bound.count("Width")?.unwrap_or(width);
    let (stream, views) = (bound.switch("Stream"), views.clone());
    Ok(all(move |values: Vec<Value>| {
        let mut printer = Printer::new(width, views);
        let mut lines: Vec<String> = values.iter().flat_map(|value| printer.push(value)).collect();
        lines.extend(printer.finish());
        Ok(if stream {
            texts(lines)
        } else {
            texts(vec![lines.iter().map(|line| format!("{line}\n")).collect()])
        })
    }))
}

pub fn members(bound: &Bound, width: usize) -> Box<dyn Stage> {
    let names = bound.names("Name");
    all(move |values: Vec<Value>| {
        let mut lines = Vec::new();
        let mut seen: Vec<String> = Vec::new();
        for value in &values {
            let kind = value.type_names().first().map(|name| (*name).to_owned()).unwrap_or_default();
            if seen.contains(&kind) {
                continue;
            }
            let rows = member_rows(value, &names);
            lines.push(String::new());
            lines.push(format!("   TypeName: {kind}"));
            let columns = ["Name", "MemberType", "Definition"].map(|name| Column {
                label: name.into(),
                width: None,
                alignment: Alignment::Undefined,
                property: name.into(),
            });
            let view = View::Table { columns: columns.into(), hide_headers: false, wrap: false };
            lines.extend(draw::draw(&view, &rows, width));
            seen.push(kind);
        }
        Ok(texts(lines))
    })
}

fn member_rows(value: &Value, wanted: &[String]) -> Vec<Value> {
    let mut names = draw::property_names(value);
    names.sort_by_key(|name| name.to_lowercase());
    names.retain(|name| {
        wanted.is_empty() || wanted.iter().any(|pattern| crate::line::value::like(pattern, name))
    });
    let row = |name: String| {
        let of = value.property(&name).cloned().unwrap_or(Value::Null);
        let kind = of.type_names().first().map_or("object", |name| *name).to_owned();
        let extended =
            matches!(value, Value::Object(object) if object.extended.iter().any(|(own, _)| *own == name));
        let definition = format!("{} {name}={}", kind.trim_start_matches("System."), of.display_text());
        let member = if extended { "NoteProperty" } else { "Property" };
        typed_object(
            "Microsoft.PowerShell.Commands.MemberDefinition",
            vec![
                ("Name".into(), name.into()),
                ("MemberType".into(), member.into()),
                ("Definition".into(), definition.into()),
            ],
        )
    };
    names.into_iter().map(row).collect()
}
