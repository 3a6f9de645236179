//! Layout of objects as tables and lists: properties, groups, views.

use super::draw::{self, Column, Grid, Item, View};
use super::evaluate::Variables;
use super::inspect::property_names;
use super::stage::property::Property;
use super::value::object;
use super::views::Shape;
use crate::psrp::clixml::Value;

/// Resolves the requested properties. A wildcard matches the properties of the first object.
fn resolved(properties: &[Property], first: Option<&Value>, variables: &Variables) -> Vec<Property> {
    let mut resolved: Vec<Property> = Vec::new();
    for property in properties {
        let names = first.map(|first| property.pairs(first, variables)).unwrap_or_default();
        resolved.extend(
            names
                .into_iter()
                .map(|(name, _)| Property { label: Some(name.to_string()), ..property.named(&name) }),
        );
    }
    resolved
}

/// Reduces an object to the given properties.
fn reduced(properties: &[Property], value: &Value, variables: &Variables) -> Value {
    let there = properties.iter().filter(|one| one.is_of(value));
    object(there.map(|one| (one.title().into(), one.of(value, variables).unwrap_or_default())).collect())
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

/// Layout options.
#[derive(Clone, Copy)]
pub struct Form<'a> {
    pub variables: &'a Variables,
    pub auto_size: bool,
    pub drawn: draw::Form,
}

/// A drawn table or list that further objects can continue.
pub struct OpenView {
    /// Columns of a table, or requested properties of a list. `None`: the object is drawn with its own properties.
    properties: Option<Vec<Property>>,
    group: Option<Property>,
    /// Title of the group.
    title: Option<String>,
    body: Body,
}

enum Body {
    Table(Grid),
    /// A list whose lines have this width; each object has its own properties.
    List(usize),
}

impl OpenView {
    /// Returns whether an object of the same view belongs to the same group.
    pub fn takes(&self, value: &Value, variables: &Variables) -> bool {
        title(self.group.as_ref(), value, variables) == self.title
    }

    pub fn is_list(&self) -> bool {
        matches!(self.body, Body::List(_))
    }

    /// Draws a further object.
    pub fn object(&self, value: &Value, variables: &Variables) -> Vec<String> {
        match &self.body {
            Body::Table(grid) => match &self.properties {
                Some(properties) => grid.object(&reduced(properties, value, variables)),
                None => grid.object(value),
            },
            Body::List(width) => listed(self.properties.as_deref(), value, *width, variables),
        }
    }

    /// Returns the blank line after the last row of a table. A list ends with the blank line of its last object.
    pub fn end(&self) -> Option<String> {
        (!self.is_list()).then(String::new)
    }
}

/// Returns the title of an object's group.
fn title(group: Option<&Property>, value: &Value, variables: &Variables) -> Option<String> {
    let group = group?;
    let of = group.of(value, variables).unwrap_or_default();
    Some(format!("{}: {}", group.title(), of.display_text()))
}

/// Draws an object as a list with a blank line after it. `properties`: requested properties; `None` for all.
fn listed(
    properties: Option<&[Property]>,
    value: &Value,
    width: usize,
    variables: &Variables,
) -> Vec<String> {
    let item = |name: String| Item { label: name.clone(), property: name };
    if let Some(properties) = properties {
        let properties = resolved(properties, Some(value), variables);
        let items: Vec<Item> = properties.iter().map(|one| item(one.title())).collect();
        draw::list(&items, &[reduced(&properties, value, variables)], width)
    } else {
        let names = property_names(value).into_iter();
        let items: Vec<Item> = names.map(|name| item(name.to_string())).collect();
        draw::list(&items, std::slice::from_ref(value), width)
    }
}

/// Draws objects of one group, without the blank line after a table.
fn open_group(shape: &Shape, run: &[Value], width: usize, form: Form) -> (Vec<String>, OpenView) {
    let (lines, body, properties) = if shape.is_list {
        let drawn = |value| listed(Some(&shape.properties), value, width, form.variables);
        let lines = std::iter::once(String::new()).chain(run.iter().flat_map(drawn)).collect();
        (lines, Body::List(width), shape.properties.clone())
    } else {
        let properties = resolved(&shape.properties, run.first(), form.variables);
        let rows: Vec<Value> = run.iter().map(|value| reduced(&properties, value, form.variables)).collect();
        let mut columns = columns(&properties);
        if form.auto_size {
            columns.iter_mut().for_each(|column| column.width = None);
        }
        let (lines, grid) = draw::open_table(&columns, &rows, width, form.drawn);
        (lines, Body::Table(grid), properties)
    };
    let group = shape.group.clone();
    let title = run.first().and_then(|first| title(group.as_ref(), first, form.variables));
    (lines, OpenView { properties: Some(properties), group, title, body })
}

/// Draws objects by a view, with a title for each group, without the blank line after the last table.
pub fn open_shape(
    shape: &Shape,
    values: &[Value],
    width: usize,
    form: Form,
) -> (Vec<String>, Option<OpenView>) {
    let title = |value: &Value| title(shape.group.as_ref(), value, form.variables);
    let mut lines = Vec::new();
    let mut open: Option<OpenView> = None;
    for run in values.chunk_by(|a, b| title(a) == title(b)) {
        lines.extend(open.as_ref().and_then(OpenView::end));
        let (drawn, next) = open_group(shape, run, width, form);
        if let Some(title) = &next.title {
            // A list is followed by two blank lines.
            if lines.is_empty() || shape.is_list {
                lines.push(String::new());
            }
            lines.push(format!("   {title}"));
        }
        lines.extend(drawn);
        open = Some(next);
    }
    (lines, open)
}

/// Draws objects by a view, with a title for each group.
pub fn shape_lines(shape: &Shape, values: &[Value], width: usize, form: Form) -> Vec<String> {
    let (mut lines, open) = open_shape(shape, values, width, form);
    lines.extend(open.as_ref().and_then(OpenView::end));
    lines
}

/// Draws objects by a view that names their properties, without the blank line after a table. `None` if the view is
/// neither a table nor a list.
pub fn open_view(view: &View, values: &[Value], width: usize) -> Option<(Vec<String>, OpenView)> {
    let (lines, body) = match view {
        View::Table { columns, form } => {
            let (lines, grid) = draw::open_table(columns, values, width, *form);
            (lines, Body::Table(grid))
        }
        View::List(_) => {
            let nothing = Variables::default();
            let drawn = |value| listed(None, value, width, &nothing);
            (std::iter::once(String::new()).chain(values.iter().flat_map(drawn)).collect(), Body::List(width))
        }
        View::Text => return None,
    };
    Some((lines, OpenView { properties: None, group: None, title: None, body }))
}
