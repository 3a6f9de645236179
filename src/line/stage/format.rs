//! Format-Table, Format-List and Out-String: objects as lines of text.

use super::bind::BoundParameters;
use super::each::{Stage, all};
use super::kinds::is_local_file;
use super::property::Property;
use crate::line::draw;
use crate::line::error::LineError;
use crate::line::inspect::{is_enum, property_names};
use crate::line::layout::{Form, shape_lines};
use crate::line::members;
use crate::line::printer::Printer;
use crate::line::value::entry_objects;
use crate::line::views::{Shape, Views};
use crate::psrp::clixml::Value;

fn texts(lines: Vec<String>) -> Vec<Value> {
    lines.into_iter().map(Value::String).collect()
}

/// Splits objects into runs of one type, which have their own columns.
fn in_runs(values: &[Value]) -> Vec<&[Value]> {
    values.chunk_by(|a, b| is_local_file(a) && is_local_file(b) || a.type_names() == b.type_names()).collect()
}

/// Draws objects, and the entries of dictionaries, by the requested properties, else by their type's view, else with all properties.
fn drawn(
    bound: &BoundParameters,
    values: &[Value],
    is_list: bool,
    views: &Views,
    width: usize,
) -> Result<Vec<String>, LineError> {
    let properties = Property::all(bound, "Property")?;
    let group = Property::all(bound, "GroupBy")?.into_iter().next();
    let values: Vec<Value> =
        values.iter().flat_map(|one| entry_objects(one).unwrap_or_else(|| vec![one.clone()])).collect();
    let mut lines = Vec::new();
    for run in in_runs(&values) {
        let Some(first) = run.first() else { continue };
        let own = views.in_form(first, is_list);
        let is_text =
            property_names(first).is_empty() && (members::properties(first).len() < 2 || is_enum(first));
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

/// Returns all properties of an object, or the first few for a default table.
fn everything(first: &Value, is_list: bool) -> Vec<Property> {
    let mut names: Vec<_> = members::properties(first).into_iter().map(|(name, _)| name).collect();
    // The list of a date ends with its long form.
    if is_list && matches!(first.primitive(), Value::DateTime(_)) {
        names.sort_by_key(|name| **name == *"DateTime");
        return names.iter().map(|name| Property::everything().named(name)).collect();
    }
    if is_list || names.len() <= draw::MOST_COLUMNS {
        return vec![Property::everything()];
    }
    names[..draw::MOST_COLUMNS].iter().map(|name| Property::everything().named(name)).collect()
}

/// Returns the stage of Format-Table or Format-List.
pub fn formatted(bound: BoundParameters, is_list: bool, width: usize, views: Views) -> Box<dyn Stage> {
    all(move |values: Vec<Value>| drawn(&bound, &values, is_list, &views, width).map(texts))
}

/// Returns the stage of Out-String: the screen output as one text, or one text per line.
pub fn out_string(bound: &BoundParameters, width: usize, views: &Views) -> Result<Box<dyn Stage>, LineError> {
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
