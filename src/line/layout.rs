//! Layout of objects as tables and lists: properties, groups, views.

use super::draw::{self, Column, Item, View};
use super::evaluate::Variables;
use super::stage::property::Property;
use super::value::object;
use super::views::Shape;
use crate::psrp::clixml::Value;

/// Resolves the requested properties, with wildcards by the first object, and reduces the objects to them.
fn shaped(properties: &[Property], values: &[Value], variables: &Variables) -> (Vec<Property>, Vec<Value>) {
    let mut resolved: Vec<Property> = Vec::new();
    for property in properties {
        let names = values.first().map(|first| property.pairs(first, variables)).unwrap_or_default();
        resolved.extend(
            names
                .into_iter()
                .map(|(name, _)| Property { label: Some(name.to_string()), ..property.named(&name) }),
        );
    }
    let rows = values
        .iter()
        .map(|value| {
            let there = resolved.iter().filter(|one| one.is_of(value));
            let cells = there.map(|one| (one.title().into(), one.of(value, variables).unwrap_or_default()));
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

/// Draws objects as a table, with their type's columns if none are requested.
fn table_lines(properties: &[Property], values: &[Value], width: usize, form: Form) -> Vec<String> {
    let (resolved, rows) = shaped(properties, values, form.variables);
    let mut columns = columns(&resolved);
    if form.auto_size {
        columns.iter_mut().for_each(|column| column.width = None);
    }
    let view = View::Table { columns, form: form.drawn };
    draw::draw(&view, &rows, width)
}

/// Layout options.
#[derive(Clone, Copy)]
pub struct Form<'a> {
    pub variables: &'a Variables,
    pub auto_size: bool,
    pub drawn: draw::Form,
}

fn list_lines(properties: &[Property], values: &[Value], width: usize, variables: &Variables) -> Vec<String> {
    let (resolved, rows) = shaped(properties, values, variables);
    let items = resolved.iter().map(|one| Item { label: one.title(), property: one.title() }).collect();
    draw::draw(&View::List(items), &rows, width)
}

/// Draws objects by a view, with a title for each group.
pub fn shape_lines(shape: &Shape, values: &[Value], width: usize, form: Form) -> Vec<String> {
    let title = |value: &Value| {
        let group = shape.group.as_ref()?;
        let of = group.of(value, form.variables).unwrap_or_default();
        Some(format!("{}: {}", group.title(), of.display_text()))
    };
    let mut lines = Vec::new();
    for run in values.chunk_by(|a, b| title(a) == title(b)) {
        if let Some(title) = run.first().and_then(title) {
            // A list is followed by two blank lines.
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
