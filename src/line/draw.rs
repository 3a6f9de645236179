//! Tables and lists as PowerShell draws them. Pure: objects in, lines out. The console's local
//! Format-Table and Format-List and the simulator's Out-Default use the same drawing.

use crate::psrp::clixml::Value;

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
    let _ = object;
    todo!()
}

/// Draws objects, blank lines before and after as PowerShell has them. No line is wider than `width`
/// but for text that PowerShell would not cut either.
pub fn draw(view: &View, objects: &[Value], width: usize) -> Vec<String> {
    let _ = (view, objects, width);
    todo!()
}

/// A value's text in a cell: `{a, b}` for lists, `True`, dates in the invariant culture.
pub fn cell(value: &Value) -> String {
    let _ = value;
    todo!()
}
