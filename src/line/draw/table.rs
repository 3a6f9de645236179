//! Tables: columns of automatic or given width, cells cut or wrapped (TableWriter.cs, ColumnWidthManager.cs).

use super::cell::{Alignment, Column, cell};
use super::text::{fit, one_line, wrap_text};
use crate::line::inspect::is_number;
use crate::line::number::Number;
use crate::psrp::clixml::Value;
use crate::screen::width as columns_of;

/// Digits after the point of a fraction in a column without a format.
const PLACES: usize = 2;

/// Layout options of a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Form {
    pub hide_headers: bool,
    pub wrap: bool,
}

/// Formats a value for a column.
fn column_cell(object: &Value, name: &str) -> String {
    let Some(value) = object.property(name) else { return String::new() };
    match value.primitive() {
        Value::Single(_) | Value::Double(_) | Value::Decimal(_) => {
            Number::of(value).map(|number| number.fixed(PLACES)).unwrap_or_default()
        }
        _ => cell(value),
    }
}

pub fn table(columns: &[Column], objects: &[Value], width: usize, form: Form) -> Vec<String> {
    let cells: Vec<Vec<String>> = objects
        .iter()
        .map(|object| columns.iter().map(|column| column_cell(object, &column.property)).collect())
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
    if !form.hide_headers {
        let labels: Vec<String> = columns.iter().map(|column| column.label.clone()).collect();
        let dashes: Vec<String> = columns
            .iter()
            .zip(&widths)
            .map(|(column, width)| "-".repeat(columns_of(&column.label).min(*width)))
            .collect();
        lines.extend(wrapped_row(&labels, &widths, row));
        lines.push(row(&dashes));
    }
    for texts in &cells {
        if form.wrap {
            lines.extend(wrapped_row(texts, &widths, row));
        } else {
            lines.push(row(&texts.iter().map(|text| one_line(text)).collect::<Vec<_>>()));
        }
    }
    lines.push(String::new());
    lines
}

/// Formats a row with wrapped cells.
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

/// Returns whether a column is right-aligned: numbers, Booleans and chars. Deserialized enums count as text.
fn is_right(column: &Column, objects: &[Value]) -> bool {
    match column.alignment {
        Alignment::Right => true,
        Alignment::Left | Alignment::Center => false,
        Alignment::Undefined => objects
            .first()
            .and_then(|object| object.property(&column.property))
            .is_some_and(|value| is_number(value) || matches!(value, Value::Bool(_) | Value::Char(_))),
    }
}

/// Returns the widths of the columns that fit; the last one is cut to fit.
fn widths(columns: &[Column], cells: &[Vec<String>], width: usize) -> Vec<usize> {
    // Declared widths count only if the first column has one.
    let declared = columns.first().is_some_and(|column| column.width.is_some());
    let mut widths: Vec<usize> = if declared { shared(columns, width) } else { needed(columns, cells) };
    loop {
        let total = widths.iter().sum::<usize>() + widths.len().saturating_sub(1);
        let excess = total.saturating_sub(width);
        match widths.last_mut() {
            Some(last) if excess > 0 && *last > excess => *last -= excess,
            Some(_) if excess > 0 => drop(widths.pop()),
            _ => return widths,
        }
    }
}

/// Divides the rest of the line among the columns without a width.
fn shared(columns: &[Column], width: usize) -> Vec<usize> {
    let taken: usize = columns.iter().filter_map(|column| column.width).sum();
    let free = width.saturating_sub(taken + columns.len().saturating_sub(1));
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
                cells.iter().filter_map(|row| row.get(index)).map(|text| columns_of(&one_line(text))).max();
            widest.unwrap_or(0).max(columns_of(&column.label)).max(1)
        })
        .collect()
}
