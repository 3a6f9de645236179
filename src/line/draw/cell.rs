//! One value in a table or list.

use super::text::ELLIPSIS;
use crate::psrp::clixml::Value;

/// `$FormatEnumerationLimit`.
const ENUMERATION_LIMIT: usize = 4;

/// Alignment of a column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Alignment {
    /// Right for numbers, Booleans and chars; left for other values.
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
    /// Width on the screen; `None`: as wide as the values.
    pub width: Option<usize>,
    pub alignment: Alignment,
    /// Property shown.
    pub property: String,
}

/// Formats a value for a cell: `{a, b}` for lists, `True`, dates in the invariant culture.
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

/// Formats at most [`ENUMERATION_LIMIT`] items of a list.
fn braced(items: impl Iterator<Item = String>, count: usize) -> String {
    let shown: Vec<String> = items.take(ENUMERATION_LIMIT).collect();
    let more = if count > ENUMERATION_LIMIT { ELLIPSIS } else { "" };
    format!("{{{}{more}}}", shown.join(", "))
}
