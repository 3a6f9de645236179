//! Tables and lists as PowerShell draws them, without I/O. Used by the console's local Format-Table and
//! Format-List and by the simulator's Out-Default.

mod cell;
mod table;
mod text;

pub use cell::{Alignment, Column, cell};
pub use table::{Form, Grid, open_table};
use text::{fit, wrap_text};

use crate::line::inspect::property_names;
use crate::psrp::clixml::{Name, Value};
use crate::screen::width as columns_of;

/// Maximum number of columns of a default table.
pub const MOST_COLUMNS: usize = 10;
/// Minimum width of the values in a list, even if its labels are wide.
const MIN_VALUE_WIDTH: usize = 10;

/// One line of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    pub label: String,
    pub property: String,
}

/// View of a type.
#[derive(Clone, Debug, PartialEq)]
pub enum View {
    Table {
        columns: Vec<Column>,
        form: Form,
    },
    List(Vec<Item>),
    /// The text of each object.
    Text,
}

/// Returns PowerShell's view for an object without format data: primitives as text, up to four properties as
/// a table, more as a list.
pub fn default_view(object: &Value) -> View {
    let names = property_names(object);
    match names.len() {
        0 => View::Text,
        1..=4 => {
            let column = |name: Name| Column {
                label: name.to_string(),
                width: None,
                alignment: Alignment::Undefined,
                property: name.to_string(),
            };
            View::Table { columns: names.into_iter().map(column).collect(), form: Form::default() }
        }
        _ => View::List(
            names
                .into_iter()
                .map(|name| Item { label: name.to_string(), property: name.to_string() })
                .collect(),
        ),
    }
}

/// Draws objects with PowerShell's blank lines before and after. Lines are at most `width` wide, except text
/// that PowerShell does not cut either.
pub fn draw(view: &View, objects: &[Value], width: usize) -> Vec<String> {
    if objects.is_empty() {
        return Vec::new();
    }
    match view {
        View::Table { columns, form } => {
            let (mut lines, _) = open_table(columns, objects, width, *form);
            lines.push(String::new());
            lines
        }
        View::List(items) => std::iter::once(String::new()).chain(list(items, objects, width)).collect(),
        View::Text => {
            objects.iter().flat_map(|one| cell(one).lines().map(str::to_owned).collect::<Vec<_>>()).collect()
        }
    }
}

fn property_cell(object: &Value, name: &str) -> String {
    object.property(name).map(cell).unwrap_or_default()
}

/// Draws objects as lists, each with a blank line after it.
pub fn list(items: &[Item], objects: &[Value], width: usize) -> Vec<String> {
    let widest = items.iter().map(|item| columns_of(&item.label)).max().unwrap_or(0);
    let label = widest.min(width.saturating_sub(MIN_VALUE_WIDTH + 3)).max(1);
    let mut lines = Vec::new();
    for object in objects {
        for item in items.iter().filter(|item| object.property(&item.property).is_some()) {
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
            adapted: properties.iter().map(|(name, value)| ((*name).into(), value.clone())).collect(),
            ..Default::default()
        }))
    }

    fn text(text: &str) -> Value {
        Value::String(text.into())
    }

    #[test]
    fn few_properties_are_drawn_as_a_table() {
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
    fn columns_without_a_width_share_the_remaining_width() {
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
        let view = View::Table { columns, form: Form::default() };
        let user = object(&[
            ("Name", text("Pilar Ackerman")),
            ("SIP", text("pilarackerman@litwareinc.com")),
            ("EV", Value::Bool(false)),
        ]);
        let drawn = draw(&view, &[user], 79);
        assert_eq!(
            drawn[3],
            "Pilar Ackerman           pilarackerman@litwareinc.c…                      False"
        );
    }

    #[test]
    fn many_properties_are_drawn_as_a_wrapped_list() {
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
