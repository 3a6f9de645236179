//! The endpoint's views for PowerShell's own formatter (`templates/powershell/views.ps1xml`). A column whose
//! script only names a property becomes that property; other script columns are left out, since script of the
//! endpoint is not run here and the column would be empty in every row.

use minijinja::{Value, context};

use crate::psrp::format_data::{Column, ColumnAlignment, FormatData, FormatView, Layout};

/// Returns the non-empty views for the template.
pub fn context(data: &[FormatData]) -> Value {
    data.iter().flat_map(|one| one.views.iter().filter_map(|view| self::view(one, view))).collect()
}

fn view(data: &FormatData, view: &FormatView) -> Option<Value> {
    // Local objects of the same types keep their own views.
    let types: Vec<_> =
        data.type_names
            .iter()
            .map(|name| {
                if name.starts_with("Deserialized.") { name.clone() } else { format!("Deserialized.{name}") }
            })
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .collect();
    let is_list = view.layout.is_list();
    let columns: Vec<_> = view.layout.columns().iter().filter_map(column).collect();
    if types.is_empty() || columns.is_empty() {
        return None;
    }
    let (auto_size, hide_headers, wrap) = match view.layout {
        Layout::Table { auto_size, hide_headers, wrap, .. } => (auto_size, hide_headers, wrap),
        Layout::List(_) => (false, false, false),
    };
    let group = view.group.as_ref().and_then(column);
    Some(
        context! { name => view.name.clone(), types, is_list, columns, auto_size, hide_headers, wrap, group },
    )
}

fn column(column: &Column) -> Option<Value> {
    let alignment = column.alignment.map(|alignment| match alignment {
        ColumnAlignment::Left => "Left",
        ColumnAlignment::Center => "Center",
        ColumnAlignment::Right => "Right",
    });
    Some(
        context! { property => column.property()?, label => column.label.clone(), width => column.width, alignment },
    )
}

/// Escapes text for XML and drops the characters that XML 1.0 cannot represent.
pub fn xml(text: &str) -> String {
    let legal = |one: &char| matches!(one, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..);
    let text: String = text.chars().filter(legal).collect();
    quick_xml::escape::escape(&text).into_owned()
}
