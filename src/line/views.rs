//! Views of the endpoint's types, from its Get-FormatData.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::column::Script;
use super::draw::Alignment;
use super::stage::ITEM_TYPES;
use super::stage::property::{Property, Source};
use crate::psrp::clixml::Value;
use crate::psrp::format_data::{Column, ColumnAlignment, ColumnSource, FormatData, FormatView};

/// Columns of a table or lines of a list.
#[derive(Clone, Debug)]
pub struct Shape {
    pub is_list: bool,
    pub properties: Vec<Property>,
    /// Property by whose value objects are grouped.
    pub group: Option<Property>,
}

/// Views by type name, the preferred one first. Clones share them.
#[derive(Clone, Debug)]
pub struct Views(Arc<Mutex<HashMap<String, Vec<Shape>>>>);

/// A view built into PowerShell, which endpoints do not send (PowerShellCore_format_ps1xml.cs,
/// DotNetTypes_format_ps1xml.cs).
struct Known {
    type_name: &'static str,
    is_list: bool,
    /// Name, width (0 for automatic), and whether the column is right-aligned.
    columns: &'static [(&'static str, usize, bool)],
    group: Option<&'static str>,
}

const fn known(type_name: &'static str, columns: &'static [(&'static str, usize, bool)]) -> Known {
    Known { type_name, is_list: false, columns, group: None }
}

const KNOWN: [Known; 10] = [
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
    known("System.Management.Automation.PathInfo", &[("Path", 0, false)]),
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

/// Type of Get-Member's output.
pub const MEMBER_DEFINITION: &str = "Microsoft.PowerShell.Commands.MemberDefinition";

/// Returns a column whose value a script computes.
fn column(label: &str, script: &str, width: usize, right: bool) -> Property {
    Property {
        label: Some(label.to_owned()),
        source: Script::read(script).map_or_else(|| Source::Named(label.to_owned()), Source::Viewed),
        descending: None,
        width: (width > 0).then_some(width),
        alignment: if right { Alignment::Right } else { Alignment::Left },
    }
}

/// Type of Get-History's output.
pub const HISTORY_INFO: &str = "Microsoft.PowerShell.Commands.HistoryInfo";

/// Returns the table of Get-History (PowerShellCore_format_ps1xml.cs).
fn history_shape() -> Shape {
    let duration = r"if ($_.Duration.TotalHours -ge 1) { '{0:h\:mm\:ss\.fff}' -f $_.Duration } else {
        if ($_.Duration.TotalMinutes -ge 1) { '{0:m\:ss\.fff}' -f $_.Duration } else { '{0:s\.fff}' -f $_.Duration }
    }";
    let columns = vec![
        column("Id", "$_.Id", 4, true),
        column("Duration", duration, 12, true),
        column("CommandLine", "$_.CommandLine", 0, false),
    ];
    Shape { is_list: false, properties: columns, group: None }
}

/// Returns the table and the list of local files and folders (FileSystem_format_ps1xml.cs).
fn item_shapes() -> Vec<Shape> {
    // PowerShell indents this title by one more column than others.
    let group =
        column(" Directory", "if ($_.PSIsContainer) { $_.Parent } else { $_.DirectoryName }", 0, false);
    let name = "if ($_.LinkTarget) { '{0} -> {1}' -f $_.Name, $_.LinkTarget } else { $_.Name }";
    let written = "'{0:MM/dd/yyyy HH:mm}' -f $_.LastWriteTime";
    let columns = if cfg!(windows) {
        vec![
            column("Mode", "$_.Mode", 7, false),
            column("LastWriteTime", written, 26, true),
            column("Length", "$_.Length", 14, true),
            column("Name", name, 0, false),
        ]
    } else {
        vec![
            column("UnixMode", "$_.UnixMode", 10, false),
            column("User", "$_.User", 10, true),
            column("Group", "$_.Group", 10, false),
            column("LastWriteTime", written, 16, true),
            column("Size", "$_.Size", 12, true),
            column("Name", name, 0, false),
        ]
    };
    let listed = ["Name", "CreationTime", "LastWriteTime", "LastAccessTime", "Mode", "LinkType", "Target"];
    let line = |name: &&str| column(name, &format!("$_.{name}"), 0, false);
    let mut lines: Vec<Property> = listed.iter().map(line).collect();
    let length = Property { source: Source::Named("Length".to_owned()), ..line(&"Length") };
    lines.insert(1, length);
    vec![
        Shape { is_list: false, properties: columns, group: Some(group.clone()) },
        Shape { is_list: true, properties: lines, group: Some(group) },
    ]
}

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
        views.insert(HISTORY_INFO.to_lowercase(), vec![history_shape()]);
        for name in ITEM_TYPES {
            views.insert(name.to_lowercase(), item_shapes());
        }
        Self(Arc::new(Mutex::new(views)))
    }
}

impl Views {
    /// Adds an ExtendedTypeDefinition. The first view of a type is preferred; unsupported ones are skipped.
    pub fn learn(&self, definition: &Value) {
        let (Some(data), Ok(mut known)) = (FormatData::read(definition), self.0.lock()) else { return };
        let shapes: Vec<Shape> = data.views.iter().filter_map(shape).collect();
        for name in data.type_names {
            let all = known.entry(name.to_lowercase()).or_default();
            for shape in &shapes {
                if !all.iter().any(|one| one.is_list == shape.is_list) {
                    all.push(shape.clone());
                }
            }
        }
    }

    /// Returns the view of an object, by its most derived type that has one.
    pub fn of(&self, value: &Value) -> Option<Shape> {
        self.find(value, |shapes| shapes.first().cloned())
    }

    /// Returns the list or table view of an object.
    pub fn in_form(&self, value: &Value, is_list: bool) -> Option<Shape> {
        self.find(value, |shapes| shapes.iter().find(|shape| shape.is_list == is_list).cloned())
    }

    /// Returns the properties that the views of a type show.
    pub fn property_names(&self, type_name: &str) -> Vec<String> {
        let Ok(known) = self.0.lock() else { return Vec::new() };
        let shapes = known.get(&plain(type_name)).map(Vec::as_slice).unwrap_or_default();
        let properties = shapes.iter().flat_map(|shape| &shape.properties);
        let mut names: Vec<String> = Vec::new();
        for property in properties {
            if let Source::Named(name) = &property.source
                && !names.iter().any(|known| known.eq_ignore_ascii_case(name))
            {
                names.push(name.clone());
            }
        }
        names
    }

    /// Returns the type name by which the view of an object is found.
    pub fn key(&self, value: &Value) -> Option<String> {
        let known = self.0.lock().ok()?;
        value.type_names().into_iter().map(plain).find(|name| known.contains_key(name))
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

/// Normalizes a type name: without the `Deserialized.` prefix, in lower case.
fn plain(name: &str) -> String {
    name.strip_prefix("Deserialized.").unwrap_or(name).to_lowercase()
}

fn shape(view: &FormatView) -> Option<Shape> {
    let properties: Vec<_> = view.layout.columns().iter().filter_map(property).collect();
    let group = view.group.as_ref().and_then(property);
    (!properties.is_empty()).then(|| Shape { is_list: view.layout.is_list(), properties, group })
}

/// Reads a column; `None` if the console cannot compute its script.
fn property(column: &Column) -> Option<Property> {
    let (name, source) = match &column.source {
        ColumnSource::Property(name) => (name, Source::Named(name.clone())),
        ColumnSource::Script(script) => (script, Source::Viewed(Script::read(script)?)),
    };
    Some(Property {
        label: Some(column.label.clone().unwrap_or_else(|| name.clone())),
        source,
        descending: None,
        width: column.width,
        alignment: match column.alignment {
            Some(ColumnAlignment::Center) => Alignment::Center,
            Some(ColumnAlignment::Right) => Alignment::Right,
            // Numbers in a view are aligned to the left by default.
            Some(ColumnAlignment::Left) | None => Alignment::Left,
        },
    })
}
