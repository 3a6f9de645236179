//! Format data of an endpoint: the output of Get-FormatData (ExtendedTypeDefinition and its parts,
//! DisplayDatabase/FormatTable in PowerShell's source).

use serde::{Deserialize, Serialize};

use super::clixml::Value;
use super::command_metadata::text;

/// The views of one type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormatData {
    pub type_names: Vec<String>,
    pub views: Vec<FormatView>,
}

/// One view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormatView {
    pub name: String,
    pub layout: Layout,
    /// The grouping column.
    pub group: Option<Column>,
}

/// Layout of an object in a view. Wide and custom controls are omitted: lyncsh does not display them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Layout {
    Table { columns: Vec<Column>, auto_size: bool, hide_headers: bool, wrap: bool },
    List(Vec<Column>),
}

/// A column of a table or an item of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// The heading; `None`: the property's name.
    pub label: Option<String>,
    pub source: ColumnSource,
    /// In characters; `None` if the view does not specify it.
    pub width: Option<usize>,
    pub alignment: Option<ColumnAlignment>,
}

/// Source of a column's value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ColumnSource {
    Property(String),
    /// Script text of the endpoint, which is never executed locally.
    Script(String),
}

/// The alignment specified in a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ColumnAlignment {
    Left,
    Center,
    Right,
}

impl Layout {
    pub fn columns(&self) -> &[Column] {
        match self {
            Self::Table { columns, .. } | Self::List(columns) => columns,
        }
    }

    pub fn is_list(&self) -> bool {
        matches!(self, Self::List(_))
    }
}

impl FormatData {
    /// Reads an ExtendedTypeDefinition. Views and columns that cannot be read are omitted.
    pub fn read(value: &Value) -> Option<Self> {
        let names = value.property("TypeNames").and_then(Value::items).map(<[Value]>::to_vec);
        let names = names.or_else(|| value.property("TypeName").map(|name| vec![name.clone()]))?;
        let views = value.property("FormatViewDefinition").and_then(Value::items).unwrap_or_default();
        Some(Self {
            type_names: names.iter().filter_map(text).collect(),
            views: views.iter().filter_map(FormatView::read).collect(),
        })
    }
}

impl FormatView {
    fn read(value: &Value) -> Option<Self> {
        let control = value.property("Control")?;
        let layout = if let Some(rows) = items(control, "Rows") {
            table(control, rows)?
        } else {
            let entry = items(control, "Entries")?.first()?;
            Layout::List(items(entry, "Items")?.iter().filter_map(|item| Column::read(item, item)).collect())
        };
        let group = control.property("GroupBy").and_then(|group| {
            let source = ColumnSource::read(group.property("Expression")?)?;
            Some(Column {
                label: group.property("Label").and_then(text),
                source,
                width: None,
                alignment: None,
            })
        });
        Some(Self { name: value.property("Name").and_then(text).unwrap_or_default(), layout, group })
    }
}

fn table(control: &Value, rows: &[Value]) -> Option<Layout> {
    let row = rows.first()?;
    let headers = items(control, "Headers").unwrap_or_default();
    let columns = items(row, "Columns")?
        .iter()
        .enumerate()
        .filter_map(|(index, column)| Column::read(column, headers.get(index).unwrap_or(&Value::Null)))
        .collect();
    let truth = |of: &Value, name: &str| of.property(name).and_then(Value::as_bool).unwrap_or(false);
    Some(Layout::Table {
        columns,
        auto_size: truth(control, "AutoSize"),
        hide_headers: truth(control, "HideTableHeaders"),
        wrap: truth(row, "Wrap"),
    })
}

impl ColumnSource {
    /// Reads a DisplayEntry.
    fn read(shown: &Value) -> Option<Self> {
        let value = shown.property("Value").and_then(text)?;
        Some(match shown.property("ValueType").and_then(text).as_deref() {
            Some("ScriptBlock") => Self::Script(value),
            _ => Self::Property(value),
        })
    }
}

impl Column {
    fn read(entry: &Value, header: &Value) -> Option<Self> {
        let source = ColumnSource::read(entry.property("DisplayEntry")?)?;
        let width = header.property("Width").and_then(Value::as_i64);
        Some(Self {
            label: header.property("Label").and_then(text),
            source,
            width: width.and_then(|width| usize::try_from(width).ok()).filter(|width| *width > 0),
            alignment: alignment(entry).or_else(|| alignment(header)),
        })
    }

    /// Returns the property that the column shows, even if it is a script that only names a property:
    /// `$_.Name`.
    pub fn property(&self) -> Option<&str> {
        match &self.source {
            ColumnSource::Property(name) => Some(name),
            ColumnSource::Script(script) => named_property(script),
        }
    }
}

/// Returns the name in `$_.Name`, `$PSItem.Name` or `$_.'Name'`.
fn named_property(script: &str) -> Option<&str> {
    let script = script.trim().trim_end_matches(';').trim_end();
    let (variable, member) = script.split_once('.')?;
    if variable != "$_" && !variable.eq_ignore_ascii_case("$psitem") {
        return None;
    }
    let bare = |name: &str| !name.is_empty() && name.chars().all(|one| one.is_alphanumeric() || one == '_');
    let quoted = member.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
    match quoted {
        Some(name) => (!name.is_empty() && !name.contains('\'')).then_some(name),
        None => bare(member).then_some(member),
    }
}

fn alignment(of: &Value) -> Option<ColumnAlignment> {
    match of.property("Alignment").and_then(text)?.as_str() {
        "Left" => Some(ColumnAlignment::Left),
        "Center" => Some(ColumnAlignment::Center),
        "Right" => Some(ColumnAlignment::Right),
        _ => None,
    }
}

fn items<'a>(value: &'a Value, name: &str) -> Option<&'a [Value]> {
    value.property(name).and_then(Value::items)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_property_script_yields_its_property_name() {
        for (script, name) in [
            ("$_.SipAddress", Some("SipAddress")),
            (" $PSItem.Name; ", Some("Name")),
            ("$_.'Display Name'", Some("Display Name")),
            ("$_.SipAddress -replace '^sip:'", None),
            ("$_.A.B", None),
            ("$_.Name()", None),
            ("$other.Name", None),
            ("$_.", None),
        ] {
            assert_eq!(named_property(script), name, "{script}");
        }
    }
}
