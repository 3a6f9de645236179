//! How the endpoint's types are drawn: what its Get-FormatData tells.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::column::Script;
use super::draw::Alignment;
use super::stage::property::{Property, Source};
use crate::psrp::clixml::Value;

/// The columns or lines of a type.
#[derive(Clone, Debug)]
pub struct Shape {
    pub is_list: bool,
    pub properties: Vec<Property>,
    /// Objects with the same value of it stand together below its title.
    pub group: Option<Property>,
}

/// Views by type name, the one that counts first; clones share them.
#[derive(Clone, Debug)]
pub struct Views(Arc<Mutex<HashMap<String, Vec<Shape>>>>);

/// A view that no endpoint tells about, since every PowerShell has it (PowerShellCore_format_ps1xml.cs,
/// DotNetTypes_format_ps1xml.cs).
struct Known {
    type_name: &'static str,
    is_list: bool,
    /// Name, width or 0, whether it stands right.
    columns: &'static [(&'static str, usize, bool)],
    group: Option<&'static str>,
}

const fn known(type_name: &'static str, columns: &'static [(&'static str, usize, bool)]) -> Known {
    Known { type_name, is_list: false, columns, group: None }
}

const KNOWN: [Known; 9] = [
    known(
        "Microsoft.PowerShell.Commands.GroupInfo",
        &[("Count", 5, true), ("Name", 25, false), ("Group", 0, false)],
    ),
    known("Microsoft.PowerShell.Commands.GroupInfoNoElement", &[("Count", 5, true), ("Name", 25, false)]),
    known("System.Collections.DictionaryEntry", &[("Name", 30, false), ("Value", 0, false)]),
    known(
        "System.Management.Automation.CommandInfo",
        &[("CommandType", 15, false), ("Name", 50, false), ("Version", 10, false), ("Source", 0, false)],
    ),
    Known {
        group: Some("TypeName"),
        ..known(MEMBER_DEFINITION, &[("Name", 0, false), ("MemberType", 0, false), ("Definition", 0, false)])
    },
    known(
        "System.Version",
        &[("Major", 6, false), ("Minor", 6, false), ("Build", 6, false), ("Revision", 8, false)],
    ),
    known("System.Guid", &[("Guid", 0, false)]),
    Known {
        is_list: true,
        ..known(
            "System.TimeSpan",
            &[
                ("Days", 0, false),
                ("Hours", 0, false),
                ("Minutes", 0, false),
                ("Seconds", 0, false),
                ("Milliseconds", 0, false),
                ("Ticks", 0, false),
                ("TotalDays", 0, false),
                ("TotalHours", 0, false),
                ("TotalMinutes", 0, false),
                ("TotalSeconds", 0, false),
                ("TotalMilliseconds", 0, false),
            ],
        )
    },
    known(
        "System.TimeSpan",
        &[
            ("Days", 0, false),
            ("Hours", 0, false),
            ("Minutes", 0, false),
            ("Seconds", 0, false),
            ("Milliseconds", 0, false),
        ],
    ),
];

/// What Get-Member gives.
pub const MEMBER_DEFINITION: &str = "Microsoft.PowerShell.Commands.MemberDefinition";

impl Default for Views {
    fn default() -> Self {
        let column = |(name, width, right): &(&str, usize, bool)| Property {
            label: Some((*name).to_owned()),
            source: Source::Named((*name).to_owned()),
            descending: None,
            width: (*width > 0).then_some(*width),
            alignment: if *right { Alignment::Right } else { Alignment::Left },
        };
        let shape = |known: &Known| Shape {
            is_list: known.is_list,
            properties: known.columns.iter().map(column).collect(),
            group: known.group.map(|name| column(&(name, 0, false))),
        };
        let mut views: HashMap<String, Vec<Shape>> = HashMap::new();
        for known in &KNOWN {
            views.entry(known.type_name.to_lowercase()).or_default().push(shape(known));
        }
        Self(Arc::new(Mutex::new(views)))
    }
}

impl Views {
    /// Takes an ExtendedTypeDefinition. Of several views of a type the first counts; what can't be
    /// understood is passed over.
    pub fn learn(&self, definition: &Value) {
        let names = definition.property("TypeNames").and_then(Value::items).map(<[Value]>::to_vec);
        let names = names.or_else(|| definition.property("TypeName").map(|name| vec![name.clone()]));
        let views = definition.property("FormatViewDefinition").and_then(Value::items).unwrap_or_default();
        let shapes: Vec<Shape> = views.iter().filter_map(|view| shape(view.property("Control")?)).collect();
        let (Some(names), Ok(mut known)) = (names, self.0.lock()) else { return };
        for name in names {
            let all = known.entry(name.display_text().to_lowercase()).or_default();
            for shape in &shapes {
                if !all.iter().any(|one| one.is_list == shape.is_list) {
                    all.push(shape.clone());
                }
            }
        }
    }

    /// The view of an object, by the most derived of its types that has one.
    pub fn of(&self, value: &Value) -> Option<Shape> {
        self.find(value, |shapes| shapes.first().cloned())
    }

    /// Its view as a list, or as a table.
    pub fn in_form(&self, value: &Value, is_list: bool) -> Option<Shape> {
        self.find(value, |shapes| shapes.iter().find(|shape| shape.is_list == is_list).cloned())
    }

    fn find(&self, value: &Value, pick: impl Fn(&[Shape]) -> Option<Shape>) -> Option<Shape> {
        let known = self.0.lock().ok()?;
        let names = match value.type_names() {
            names if names.is_empty() => value.primitive().type_names(),
            names => names,
        };
        names.iter().find_map(|name| pick(known.get(&plain(name))?))
    }
}

/// Types are the same on both sides of the wire.
fn plain(name: &str) -> String {
    name.strip_prefix("Deserialized.").unwrap_or(name).to_lowercase()
}

fn shape(control: &Value) -> Option<Shape> {
    let list = |value: &Value, name: &str| value.property(name).and_then(Value::items).map(<[Value]>::to_vec);
    if let Some(rows) = list(control, "Rows") {
        let columns = list(rows.first()?, "Columns")?;
        let headers = list(control, "Headers").unwrap_or_default();
        let nothing = Value::Null;
        let properties = columns
            .iter()
            .enumerate()
            .filter_map(|(index, column)| property(column, headers.get(index).unwrap_or(&nothing)))
            .collect::<Vec<_>>();
        return (!properties.is_empty()).then(|| Shape { is_list: false, properties, group: group(control) });
    }
    let entries = list(control, "Entries")?;
    let items = list(entries.first()?, "Items")?;
    let properties = items.iter().filter_map(|item| property(item, item)).collect::<Vec<_>>();
    (!properties.is_empty()).then(|| Shape { is_list: true, properties, group: group(control) })
}

/// What a view's objects are grouped by, and its title.
fn group(control: &Value) -> Option<Property> {
    let group = control.property("GroupBy")?;
    let shown = group.property("Expression")?;
    let text = |value: &Value, name: &str| {
        value.property(name).map(Value::display_text).filter(|text| !text.is_empty())
    };
    let value = text(shown, "Value")?;
    let is_script = text(shown, "ValueType").as_deref() == Some("ScriptBlock");
    let source = if is_script { Source::Viewed(Script::read(&value)?) } else { Source::Named(value.clone()) };
    let label = text(group, "Label").unwrap_or(value);
    Some(Property { label: Some(label), source, descending: None, width: None, alignment: Alignment::Left })
}

/// A column with its header, or a list's item, which is both. One that the console can't compute is left
/// out.
fn property(entry: &Value, header: &Value) -> Option<Property> {
    let text = |value: Option<&Value>| value.map(Value::display_text).filter(|text| !text.is_empty());
    let shown = entry.property("DisplayEntry")?;
    let value = text(shown.property("Value"))?;
    let source = match text(shown.property("ValueType")).as_deref() {
        Some("ScriptBlock") => Source::Viewed(Script::read(&value)?),
        _ => Source::Named(value.clone()),
    };
    let alignment = |of: &Value| match text(of.property("Alignment")).as_deref() {
        Some("Left") => Alignment::Left,
        Some("Center") => Alignment::Center,
        Some("Right") => Alignment::Right,
        // A view's numbers stand left unless it says otherwise.
        _ => Alignment::Left,
    };
    let own = alignment(entry);
    let width =
        header.property("Width").and_then(Value::as_i64).and_then(|width| usize::try_from(width).ok());
    Some(Property {
        label: Some(text(header.property("Label")).unwrap_or(value)),
        source,
        descending: None,
        width: width.filter(|width| *width > 0),
        alignment: if own == Alignment::Left { alignment(header) } else { own },
    })
}
