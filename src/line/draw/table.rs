//! Tables: columns of automatic or given width, cells cut or wrapped (TableWriter.cs, ColumnWidthManager.cs).

use super::cell::{Alignment, Column, cell};
use super::text::{fit, one_line, wrap_text};
use crate::line::inspect::is_number;
use crate::line::number::Number;
use crate::psrp::clixml::Value;
use crate::screen::width as columns_of;

/// Digits after the decimal point of a fraction in a column without a format.
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

/// Columns of a table with fixed widths, so that further rows align with the rows already drawn.
#[derive(Clone, Debug)]
pub struct Grid {
    columns: Vec<Column>,
    widths: Vec<usize>,
    right: Vec<bool>,
    wrap: bool,
}

impl Grid {
    /// Fits the columns to objects.
    fn new(columns: &[Column], cells: &[Vec<String>], objects: &[Value], width: usize, form: Form) -> Self {
        Self {
            columns: columns.to_vec(),
            widths: widths(columns, cells, width),
            right: columns.iter().map(|column| is_right(column, objects)).collect(),
            wrap: form.wrap,
        }
    }

    fn row(&self, texts: &[String]) -> String {
        let parts = self.widths.iter().enumerate().map(|(index, width)| {
            fit(texts.get(index).map_or("", String::as_str), *width, self.right.get(index) == Some(&true))
        });
        parts.collect::<Vec<_>>().join(" ").trim_end().to_owned()
    }

    fn header(&self) -> Vec<String> {
        let labels: Vec<String> = self.columns.iter().map(|column| column.label.clone()).collect();
        let dashes: Vec<String> = self
            .columns
            .iter()
            .zip(&self.widths)
            .map(|(column, width)| "-".repeat(columns_of(&column.label).min(*width)))
            .collect();
        let mut lines = self.wrapped_row(&labels);
        lines.push(self.row(&dashes));
        lines
    }

    /// Formats a row with wrapped cells.
    fn wrapped_row(&self, texts: &[String]) -> Vec<String> {
        let cells: Vec<Vec<String>> =
            texts.iter().zip(&self.widths).map(|(text, width)| wrap_text(text, *width)).collect();
        let height = cells.iter().map(Vec::len).max().unwrap_or(1);
        (0..height)
            .map(|line| {
                let part = |cell: &Vec<String>| cell.get(line).cloned().unwrap_or_default();
                self.row(&cells.iter().map(part).collect::<Vec<_>>())
            })
            .collect()
    }

    fn body(&self, texts: &[String]) -> Vec<String> {
        if self.wrap {
            return self.wrapped_row(texts);
        }
        vec![self.row(&texts.iter().map(|text| one_line(text)).collect::<Vec<_>>())]
    }

    /// Draws the row of an object.
    pub fn object(&self, object: &Value) -> Vec<String> {
        self.body(&cells(&self.columns, object))
    }
}

fn cells(columns: &[Column], object: &Value) -> Vec<String> {
    columns.iter().map(|column| column_cell(object, &column.property)).collect()
}

/// Draws a table without the blank line at its end, and returns it with its columns.
pub fn open_table(columns: &[Column], objects: &[Value], width: usize, form: Form) -> (Vec<String>, Grid) {
    let cells: Vec<Vec<String>> = objects.iter().map(|object| cells(columns, object)).collect();
    let grid = Grid::new(columns, &cells, objects, width, form);
    let mut lines = vec![String::new()];
    if !form.hide_headers {
        lines.extend(grid.header());
    }
    lines.extend(cells.iter().flat_map(|texts| grid.body(texts)));
    (lines, grid)
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
