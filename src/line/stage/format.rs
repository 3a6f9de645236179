//! Format-Table, Format-List and Out-String: objects as lines of text.

use super::bind::Bound;
use super::property::Property;
use super::{Stage, all};
use crate::line::Printer;
use crate::line::draw::{self, Column, Item, View};
use crate::line::error::LineError;
use crate::line::evaluate::Variables;
use crate::line::members;
use crate::line::value::{is_enum, object, typed_object};
use crate::line::views::{Shape, Views};
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
            let there = resolved.iter().filter(|one| one.is_of(value));
            let cells = there.map(|one| (one.title(), one.of(value, variables).unwrap_or_default()));
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
    let view = View::Table { columns, form: form.drawn };
    draw::draw(&view, &rows, width)
}

/// How a table is drawn.
#[derive(Clone, Copy)]
pub struct Form<'a> {
    pub variables: &'a Variables,
    pub auto_size: bool,
    pub drawn: draw::Form,
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

/// Draws objects by a view, each group of them below its title.
pub fn shape_lines(shape: &Shape, values: &[Value], width: usize, form: Form) -> Vec<String> {
    let title = |value: &Value| {
        let group = shape.group.as_ref()?;
        let of = group.of(value, form.variables).unwrap_or_default();
        Some(format!("{}: {}", group.title(), of.display_text()))
    };
    let mut lines = Vec::new();
    for run in values.chunk_by(|a, b| title(a) == title(b)) {
        if let Some(title) = run.first().and_then(title) {
            // Only below a list are there two blank lines.
            if lines.is_empty() || shape.is_list {
                lines.push(String::new());
            }
            lines.push(format!("   {title}"));
        }
        lines.extend(if shape.is_list {
            list_lines(&shape.properties, run, width, form.variables)
        } else {
            table_lines(&shape.properties, run, width, form)
        });
    }
    lines
}

/// Objects of one kind at a time: each has its own columns.
fn in_runs(values: &[Value]) -> Vec<&[Value]> {
    values
        .chunk_by(|a, b| {
            a.type_names() == b.type_names() && draw::property_names(a) == draw::property_names(b)
        })
        .collect()
}

/// Objects drawn by what is asked for, else by their types' own view, else with all that they have.
fn drawn(
    bound: &Bound,
    values: &[Value],
    is_list: bool,
    views: &Views,
    width: usize,
) -> Result<Vec<String>, LineError> {
    let properties = Property::all(bound, "Property")?;
    let group = Property::all(bound, "GroupBy")?.into_iter().next();
    let mut lines = Vec::new();
    for run in in_runs(values) {
        let Some(first) = run.first() else { continue };
        if let Some(entries) = first.entries().filter(|_| properties.is_empty()) {
            let entry = |(key, one): &(Value, Value)| {
                typed_object(
                    "System.Collections.DictionaryEntry",
                    vec![("Name".into(), key.clone()), ("Value".into(), one.clone())],
                )
            };
            let entries: Vec<Value> = entries.iter().map(entry).collect();
            lines.extend(drawn(bound, &entries, is_list, views, width)?);
            continue;
        }
        let own = views.in_form(first, is_list);
        let is_text = draw::property_names(first).is_empty()
            && (members::properties(first).len() < 2 || is_enum(first));
        if properties.is_empty() && own.is_none() && is_text {
            let text = |one: &Value| draw::cell(one).lines().map(str::to_owned).collect::<Vec<_>>();
            lines.extend(run.iter().flat_map(text));
            continue;
        }
        let mut shape = own.filter(|_| properties.is_empty()).unwrap_or_else(|| Shape {
            is_list,
            properties: if properties.is_empty() { everything(first, is_list) } else { properties.clone() },
            group: None,
        });
        shape.group = group.clone().or(shape.group);
        let form = Form {
            variables: &bound.variables,
            auto_size: bound.switch("AutoSize"),
            drawn: draw::Form { hide_headers: bound.switch("HideTableHeaders"), wrap: bound.switch("Wrap") },
        };
        lines.extend(shape_lines(&shape, run, width, form));
    }
    Ok(lines)
}

/// All of an object's properties; of a table that nobody chose the columns of, the first few.
fn everything(first: &Value, is_list: bool) -> Vec<Property> {
    let mut names: Vec<String> = members::properties(first).into_iter().map(|(name, _)| name).collect();
    // A date's long form stands below its parts.
    if is_list && matches!(first.primitive(), Value::DateTime(_)) {
        names.sort_by_key(|name| name == "DateTime");
        return names.iter().map(|name| Property::everything().named(name)).collect();
    }
    if is_list || names.len() <= draw::MOST_COLUMNS {
        return vec![Property::everything()];
    }
    names[..draw::MOST_COLUMNS].iter().map(|name| Property::everything().named(name)).collect()
}

pub fn table(bound: Bound, width: usize, views: Views) -> Result<Box<dyn Stage>, LineError> {
    Ok(all(move |values: Vec<Value>| drawn(&bound, &values, false, &views, width).map(texts)))
}

pub fn list(bound: Bound, width: usize, views: Views) -> Result<Box<dyn Stage>, LineError> {
    Ok(all(move |values: Vec<Value>| drawn(&bound, &values, true, &views, width).map(texts)))
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
