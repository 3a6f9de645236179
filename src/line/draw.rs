//! Tables and lists as PowerShell draws them. Pure: objects in, lines out. The console's local
//! Format-Table and Format-List and the simulator's Out-Default use the same drawing.

mod text;

use unicode_width::UnicodeWidthStr;

use super::value::is_number;
use text::{ELLIPSIS, fit, one_line, wrap_text};

use crate::psrp::clixml::{Content, Value};

/// `$FormatEnumerationLimit`.
const ENUMERATION_LIMIT: usize = 4;
/// A column narrower than this is not worth its place.
const LEAST_WIDTH: usize = 3;

/// Where a column stands in its width.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Alignment {
    /// Numbers right, everything else left.
    #[default]
    Undefined,
    Left,
    Center,
    Right,
}

/// One column of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    pub label: String,
    /// Columns of the screen; `None`: as wide as the values need.
    pub width: Option<usize>,
    pub alignment: Alignment,
    /// The property that is shown.
    pub property: String,
}

/// One line of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    pub label: String,
    pub property: String,
}

/// How objects of a type are drawn.
#[derive(Clone, Debug, PartialEq)]
pub enum View {
    Table {
        columns: Vec<Column>,
        hide_headers: bool,
        wrap: bool,
    },
    List(Vec<Item>),
    /// One property a line (Format-Wide is not offered).
    Text,
}

/// The view PowerShell would choose for an object without format data: primitives as text, up to
/// four properties as a table, more as a list.
pub fn default_view(object: &Value) -> View {
    let names = property_names(object);
    match names.len() {
        0 => View::Text,
        1..=4 => {
            let column = |name: String| Column {
                label: name.clone(),
                width: None,
                alignment: Alignment::Undefined,
                property: name,
            };
            View::Table { columns: names.into_iter().map(column).collect(), hide_headers: false, wrap: false }
        }
        _ => View::List(names.into_iter().map(|name| Item { label: name.clone(), property: name }).collect()),
    }
}

/// An object's property names, adapted ones first; none for primitives, lists and dictionaries.
pub fn property_names(object: &Value) -> Vec<String> {
    let Value::Object(object) = object else { return Vec::new() };
    if object.content != Content::None {
        return Vec::new();
    }
    let mut names: Vec<String> = Vec::new();
    for (name, _) in object.adapted.iter().chain(&object.extended) {
        if !names.iter().any(|one| one.eq_ignore_ascii_case(name)) {
            names.push(name.clone());
        }
    }
    names
}

/// Draws objects, blank lines before and after as PowerShell has them. No line is wider than `width`
/// but for text that PowerShell would not cut either.
pub fn draw(view: &View, objects: &[Value], width: usize) -> Vec<String> {
    if objects.is_empty() {
        return Vec::new();
    }
    match view {
        View::Table { columns, hide_headers, wrap } => table(columns, objects, width, *hide_headers, *wrap),
        View::List(items) => list(items, objects, width),
        View::Text => {
            objects.iter().flat_map(|one| cell(one).lines().map(str::to_owned).collect::<Vec<_>>()).collect()
        }
    }
}

/// A value's text in a cell: `{a, b}` for lists, `True`, dates in the invariant culture.
pub fn cell(value: &Value) -> String {
    if let Value::Bytes(bytes) = value {
        return braced(bytes.iter().map(ToString::to_string), bytes.len());
    }
    if let Some(entries) = value.entries() {
        let shown =
            entries.iter().map(|(key, one)| format!("[{}, {}]", key.display_text(), one.display_text()));
        return braced(shown, entries.len());
    }
    match value.items() {
        Some(items) => braced(items.iter().map(Value::display_text), items.len()),
        None => value.display_text(),
    }
}

/// At most [`ENUMERATION_LIMIT`] of a list's items.
fn braced(items: impl Iterator<Item = String>, count: usize) -> String {
    let shown: Vec<String> = items.take(ENUMERATION_LIMIT).collect();
    let more = if count > ENUMERATION_LIMIT { ELLIPSIS } else { "" };
    format!("{{{}{more}}}", shown.join(", "))
}

fn property_cell(object: &Value, name: &str) -> String {
    object.property(name).map(cell).unwrap_or_default()
}

fn table(columns: &[Column], objects: &[Value], width: usize, hide_headers: bool, wrap: bool) -> Vec<String> {
    let cells: Vec<Vec<String>> = objects
        .iter()
        .map(|object| columns.iter().map(|column| property_cell(object, &column.property)).collect())
        .collect();
    let widths = widths(columns, &cells, width);
    let right: Vec<bool> = columns.iter().map(|column| is_right(column, objects)).collect();
    let row = |texts: &[String]| -> String {
        let parts = widths.iter().enumerate().map(|(index, width)| {
            fit(texts.get(index).map_or("", String::as_str), *width, right.get(index) == Some(&true))
        });
        parts.collect::<Vec<_>>().join(" ").trim_end().to_owned()
    };
    let mut lines = vec![String::new()];
    if !hide_headers {
        let labels: Vec<String> = columns.iter().map(|column| column.label.clone()).collect();
        let dashes: Vec<String> = columns
            .iter()
            .zip(&widths)
            .map(|(column, width)| "-".repeat(column.label.width().min(*width)))
            .collect();
        lines.push(row(&labels));
        lines.push(row(&dashes));
    }
    for texts in &cells {
        if wrap {
            lines.extend(wrapped_row(texts, &widths, row));
        } else {
            lines.push(row(&texts.iter().map(|text| one_line(text)).collect::<Vec<_>>()));
        }
    }
    lines.push(String::new());
    lines
}

/// A row whose cells go on in further lines.
fn wrapped_row(texts: &[String], widths: &[usize], row: impl Fn(&[String]) -> String) -> Vec<String> {
    let cells: Vec<Vec<String>> =
        texts.iter().zip(widths).map(|(text, width)| wrap_text(text, *width)).collect();
    let height = cells.iter().map(Vec::len).max().unwrap_or(1);
    (0..height)
        .map(|line| {
            row(&cells.iter().map(|cell| cell.get(line).cloned().unwrap_or_default()).collect::<Vec<_>>())
        })
        .collect()
}

fn is_right(column: &Column, objects: &[Value]) -> bool {
    match column.alignment {
        Alignment::Right => true,
        Alignment::Left | Alignment::Center => false,
        Alignment::Undefined => objects
            .iter()
            .find_map(|object| object.property(&column.property).filter(|value| **value != Value::Null))
            .is_some_and(is_number),
    }
}

/// How wide each column is; columns past the last of these do not fit.
fn widths(columns: &[Column], cells: &[Vec<String>], width: usize) -> Vec<usize> {
    let declared = columns.iter().any(|column| column.width.is_some());
    let wanted: Vec<usize> = if declared { shared(columns, width) } else { needed(columns, cells) };
    let mut left = width;
    let mut widths = Vec::new();
    for (index, wanted) in wanted.into_iter().enumerate() {
        let gap = usize::from(index > 0);
        if left <= gap {
            break;
        }
        let fits = wanted.min(left - gap);
        // A column of which next to nothing can be seen is left out.
        if fits < wanted && fits < LEAST_WIDTH {
            break;
        }
        widths.push(fits);
        left -= gap + fits;
    }
    widths
}

/// Columns without a width share what the others leave of the line, whose last place stays free.
fn shared(columns: &[Column], width: usize) -> Vec<usize> {
    let taken: usize = columns.iter().filter_map(|column| column.width).sum();
    let free = width.saturating_sub(1 + taken + columns.len().saturating_sub(1));
    let open = columns.iter().filter(|column| column.width.is_none()).count().max(1);
    let mut rest = free % open;
    columns
        .iter()
        .map(|column| {
            column.width.unwrap_or_else(|| {
                let more = usize::from(rest > 0);
                rest -= more;
                (free / open + more).max(1)
            })
        })
        .collect()
}

fn needed(columns: &[Column], cells: &[Vec<String>]) -> Vec<usize> {
    columns
        .iter()
        .enumerate()
        .map(|(index, column)| {
            let widest =
                cells.iter().filter_map(|row| row.get(index)).map(|text| one_line(text).width()).max();
            widest.unwrap_or(0).max(column.label.width()).max(1)
        })
        .collect()
}

fn list(items: &[Item], objects: &[Value], width: usize) -> Vec<String> {
    let label = items.iter().map(|item| item.label.width()).max().unwrap_or(0);
    let mut lines = vec![String::new()];
    for object in objects {
        for item in items {
            let shown = fit(&item.label, label, false);
            let text = property_cell(object, &item.property);
            for (index, part) in
                wrap_text(&text, width.saturating_sub(label + 3).max(1)).into_iter().enumerate()
            {
                let line =
                    if index == 0 { format!("{shown} : {part}") } else { format!("{:label$}   {part}", "") };
                lines.push(line);
            }
        }
        lines.push(String::new());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(properties: &[(&str, Value)]) -> Value {
        Value::Object(std::sync::Arc::new(crate::psrp::clixml::Object {
            adapted: properties.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
            ..Default::default()
        }))
    }

    fn text(text: &str) -> Value {
        Value::String(text.into())
    }

    #[test]
    fn few_properties_are_a_table_as_wide_as_they_need() {
        let users = [
            object(&[("Name", text("Ken Myer")), ("Lines", Value::I32(2))]),
            object(&[("Name", text("Pilar Ackerman")), ("Lines", Value::I32(10))]),
        ];
        let drawn = draw(&default_view(&users[0]), &users, 80);
        assert_eq!(
            drawn,
            [
                "",
                "Name           Lines",
                "----           -----",
                "Ken Myer           2",
                "Pilar Ackerman    10",
                ""
            ]
        );
    }

    #[test]
    fn columns_without_a_width_share_what_is_left() {
        let column = |label: &str, width, alignment| Column {
            label: label.into(),
            width,
            alignment,
            property: label.into(),
        };
        let columns = vec![
            column("Name", Some(24), Alignment::Undefined),
            column("SIP", None, Alignment::Undefined),
            column("EV", None, Alignment::Right),
        ];
        let view = View::Table { columns, hide_headers: false, wrap: false };
        let user = object(&[
            ("Name", text("Pilar Ackerman")),
            ("SIP", text("pilarackerman@litwareinc.com")),
            ("EV", Value::Bool(false)),
        ]);
        let drawn = draw(&view, &[user], 80);
        assert_eq!(
            drawn[3],
            "Pilar Ackerman           pilarackerman@litwareinc.c…                      False"
        );
    }

    #[test]
    fn many_properties_are_a_list_whose_long_values_go_on_below() {
        let tenant = object(&[
            ("DisplayName", text("Litware")),
            ("Uri", text("https://admin0d.online.lync.com/OcsPowershellLiveId")),
            ("A", Value::Bytes(vec![1, 2, 3, 4, 5])),
            ("B", Value::Bool(true)),
            ("C", Value::Null),
        ]);
        let drawn = draw(&default_view(&tenant), &[tenant], 64);
        assert_eq!(
            drawn,
            [
                "",
                "DisplayName : Litware",
                "Uri         : https://admin0d.online.lync.com/OcsPowershellLiveI",
                "              d",
                "A           : {1, 2, 3, 4…}",
                "B           : True",
                "C           : ",
                "",
            ]
        );
    }
}
