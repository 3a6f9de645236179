//! Views of the endpoint's types, for Get-FormatData and Out-Default.

use super::help;
use super::stage::{Call, StopReason};
use super::value::{CORE, SMA, adapted, all_properties, custom, list, properties, text};
use crate::line::draw::{self, Alignment, Column, Form, View};
use crate::psrp::clixml::{Content, Object, Value, type_names};
use crate::psrp::host::HostMethod;
use crate::wildcard::like;
use std::sync::Arc;

/// One column of a table view.
struct Shown {
    label: &'static str,
    width: usize,
    right: bool,
    property: &'static str,
    /// Script of the column, which replaces the property.
    script: Option<&'static str>,
}

/// A table view of a type.
struct TypeView {
    type_name: &'static str,
    name: &'static str,
    columns: &'static [Shown],
    /// Whether Get-FormatData returns the view; the other views are built into PowerShell.
    own: bool,
}

const fn column(label: &'static str, width: usize, property: &'static str) -> Shown {
    Shown { label, width, right: false, property, script: None }
}

const USER_COLUMNS: &[Shown] = &[
    column("Name", 24, "DisplayName"),
    Shown { script: Some("$_.SipAddress -replace '^sip:'"), ..column("SIP", 0, "SIP") },
    Shown { right: true, ..column("EV", 0, "EnterpriseVoiceEnabled") },
];

const COMMAND_COLUMNS: &[Shown] = &[
    column("CommandType", 15, "CommandType"),
    column("Name", 50, "Name"),
    column("Version", 10, "Version"),
    column("Source", 0, "Source"),
];

const VIEWS: &[TypeView] = &[
    TypeView {
        type_name: "Microsoft.Rtc.Management.ADConnect.Schema.OCSADUser",
        name: "OCSADUser",
        columns: USER_COLUMNS,
        own: true,
    },
    TypeView {
        type_name: "Microsoft.Rtc.Management.ADConnect.Schema.OCSADMeetingRoom",
        name: "OCSADMeetingRoom",
        columns: USER_COLUMNS,
        own: true,
    },
    TypeView {
        type_name: "System.Management.Automation.CommandInfo",
        name: "command",
        columns: COMMAND_COLUMNS,
        own: false,
    },
];

/// Returns the output of Get-FormatData for type names with wildcards.
pub fn format_data(patterns: &[String], fixtures: bool) -> Vec<Value> {
    VIEWS
        .iter()
        .filter(|view| view.own && (!fixtures || view.name == "OCSADUser"))
        .filter(|view| patterns.is_empty() || patterns.iter().any(|pattern| like(pattern, view.type_name)))
        .map(definition)
        .collect()
}

const AUTOMATION: &str = "System.Management.Automation";

fn generic_list(item: &str, items: Vec<Value>) -> Value {
    let assembly = if item.starts_with(AUTOMATION) { SMA } else { CORE };
    list(&[&format!("System.Collections.Generic.List`1[[{item}, {assembly}]]")], items)
}

/// Returns the ExtendedTypeDefinition of a view, as recorded.
fn definition(view: &TypeView) -> Value {
    let object = |name: &str, shown: &str, all| adapted(&[&format!("{AUTOMATION}.{name}")], shown, all);
    let plain = |name: &str, all| object(name, &format!("{AUTOMATION}.{name}"), all);
    let alignment = |right: bool| text(if right { "Right" } else { "Undefined" });
    let headers = view
        .columns
        .iter()
        .map(|column| {
            plain(
                "TableControlColumnHeader",
                properties([
                    ("Label", text(column.label)),
                    ("Alignment", alignment(column.right)),
                    ("Width", Value::I32(i32::try_from(column.width).unwrap_or_default())),
                ]),
            )
        })
        .collect();
    let columns = view
        .columns
        .iter()
        .map(|column| {
            let (kind, prefix, value) = match column.script {
                Some(script) => ("ScriptBlock", "script", script),
                None => ("Property", "property", column.property),
            };
            let entry = object(
                "DisplayEntry",
                &format!("{prefix}: {value}"),
                properties([("ValueType", text(kind)), ("Value", text(value))]),
            );
            object(
                "TableControlColumn",
                value,
                properties([
                    ("Alignment", text("Undefined")),
                    ("DisplayEntry", entry),
                    ("FormatString", Value::Null),
                ]),
            )
        })
        .collect();
    let row = plain(
        "TableControlRow",
        properties([
            ("Columns", generic_list("System.Management.Automation.TableControlColumn", columns)),
            ("SelectedBy", Value::Null),
            ("Wrap", Value::Bool(false)),
        ]),
    );
    let control = adapted(
        &["System.Management.Automation.TableControl", "System.Management.Automation.PSControl"],
        "System.Management.Automation.TableControl",
        properties([
            ("Headers", generic_list("System.Management.Automation.TableControlColumnHeader", headers)),
            ("Rows", generic_list("System.Management.Automation.TableControlRow", vec![row])),
            ("AutoSize", Value::Bool(false)),
            ("HideTableHeaders", Value::Bool(false)),
            ("GroupBy", Value::Null),
            ("OutOfBand", Value::Bool(false)),
        ]),
    );
    let view_definition = Value::Object(Arc::new(Object {
        type_names: type_names(["System.Management.Automation.FormatViewDefinition", "System.Object"]),
        to_string: Some("System.Management.Automation.FormatViewDefinition".into()),
        adapted: properties([("Name", text(view.name)), ("Control", control)]),
        extended: properties([("InstanceId", Value::Guid(uuid::Uuid::new_v4()))]),
        ..Object::default()
    }));
    object(
        "ExtendedTypeDefinition",
        view.type_name,
        properties([
            ("TypeName", text(view.type_name)),
            (
                "TypeNames",
                generic_list(
                    "System.String",
                    [view.type_name.to_owned(), format!("Deserialized.{}", view.type_name)]
                        .map(text)
                        .to_vec(),
                ),
            ),
            (
                "FormatViewDefinition",
                generic_list("System.Management.Automation.FormatViewDefinition", vec![view_definition]),
            ),
        ]),
    )
}

fn view_of(value: &Value) -> Option<&'static TypeView> {
    let Value::Object(object) = value else { return None };
    object.type_names.iter().find_map(|name| {
        let name = name.strip_prefix("Deserialized.").unwrap_or(name);
        VIEWS.iter().find(|view| view.type_name == name)
    })
}

/// Maximum number of buffered objects, so that long output begins early.
const AT_ONCE: usize = 200;

/// Draws an object with Out-Default: texts and errors immediately, others in runs of one type.
pub async fn out_default(call: &mut Call<'_>, value: Value) -> Result<(), StopReason> {
    if is_error(&value) {
        flush(call).await?;
        return draw_error(call, &value).await;
    }
    if help::is_help(&value) {
        flush(call).await?;
        let name = value.property("Name").map(Value::display_text).unwrap_or_default();
        let spec = call.engine.world.find(&name);
        for line in spec.map(|spec| help::lines(&spec, &value)).unwrap_or_default() {
            call.engine.write_line(&line).await?;
        }
        return Ok(());
    }
    if let Some(shown) = as_text(&value) {
        flush(call).await?;
        for line in shown.split('\n') {
            call.engine.write_line(line.trim_end_matches('\r')).await?;
        }
        return Ok(());
    }
    if call.memory.values.first().is_some_and(|first| !same_view(first, &value)) {
        flush(call).await?;
    }
    call.memory.values.push(value);
    if call.memory.values.len() >= AT_ONCE { draw_held(call, false).await } else { Ok(()) }
}

/// Draws the buffered objects.
pub async fn flush(call: &mut Call<'_>) -> Result<(), StopReason> {
    draw_held(call, true).await?;
    call.memory.count = 0;
    Ok(())
}

/// Draws the buffered objects; a table continues below a header that was drawn already.
async fn draw_held(call: &mut Call<'_>, last: bool) -> Result<(), StopReason> {
    let held = std::mem::take(&mut call.memory.values);
    let width = usize::try_from(call.engine.host.buffer.0).ok().filter(|width| *width > 0).unwrap_or(80);
    let Some(first) = held.first() else {
        // The blank line after a table whose last rows were drawn already.
        return if last && call.memory.count > 0 { call.engine.write_line("").await } else { Ok(()) };
    };
    let (view, objects) = match view_of(first) {
        Some(view) => (table(view), held.iter().map(with_computed).collect()),
        None => (draw::default_view(first), held),
    };
    // The last column stays free, so the terminal does not wrap.
    let lines = draw::draw(&view, &objects, width.saturating_sub(1).max(1));
    let begun = call.memory.count > 0;
    call.memory.count += 1;
    let from = if begun { header_lines(&view, &lines) } else { 0 };
    let blank = lines.iter().rev().take_while(|line| line.is_empty()).count();
    let to = if last { lines.len() } else { lines.len() - blank };
    for line in lines.get(from..to).unwrap_or_default() {
        call.engine.write_line(line).await?;
    }
    Ok(())
}

/// Returns the number of lines before the first object.
fn header_lines(view: &View, lines: &[String]) -> usize {
    let is_rule = |line: &String| line.contains('-') && line.chars().all(|one| matches!(one, '-' | ' '));
    match view {
        View::Table { form: Form { hide_headers: false, .. }, .. } => {
            lines.iter().position(is_rule).map_or(0, |at| at + 1)
        }
        _ => 0,
    }
}

fn table(view: &TypeView) -> View {
    View::Table {
        columns: view
            .columns
            .iter()
            .map(|column| Column {
                label: column.label.into(),
                width: (column.width > 0).then_some(column.width),
                alignment: if column.right { Alignment::Right } else { Alignment::Undefined },
                property: column.property.into(),
            })
            .collect(),
        form: Form::default(),
    }
}

/// Adds the values of the view's scripts to an object.
fn with_computed(value: &Value) -> Value {
    let Some(address) = value.property("SipAddress") else { return value.clone() };
    let address = address.display_text();
    let bare = address.strip_prefix("sip:").unwrap_or(&address);
    let mut all: Vec<_> =
        all_properties(value).into_iter().map(|(name, value)| (name.into(), value.clone())).collect();
    all.push(("SIP".into(), text(bare)));
    custom("", all)
}

fn same_view(one: &Value, other: &Value) -> bool {
    let name = |value: &Value| match value {
        Value::Object(object) => object.type_names.first().cloned(),
        _ => None,
    };
    name(one) == name(other)
}

fn is_error(value: &Value) -> bool {
    matches!(value, Value::Object(object) if object
        .type_names
        .iter()
        .any(|name| name.trim_start_matches("Deserialized.") == "System.Management.Automation.ErrorRecord"))
}

/// Draws an error as ConciseView: `Command: message`, or `Error: message` without a command.
async fn draw_error(call: &mut Call<'_>, value: &Value) -> Result<(), StopReason> {
    let command = value
        .property("InvocationInfo")
        .and_then(|invocation| invocation.property("MyCommand"))
        .map(Value::display_text)
        .filter(|command| !command.is_empty())
        .unwrap_or_else(|| "Error".into());
    let shown = format!("{command}: {}", value.display_text());
    let merged = value.property("writeErrorStream").is_some();
    for line in shown.split('\n') {
        if merged {
            call.engine.notify_host(HostMethod::WriteErrorLine, vec![text(line)]).await?;
        } else {
            call.engine.write_line(line).await?;
        }
    }
    Ok(())
}

/// Returns the text of a value that is drawn as text; `None` if it is drawn by its properties.
fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::Object(object) => match &object.content {
            Content::Primitive(_) => Some(value.display_text()),
            Content::List(items)
            | Content::Enumerable(items)
            | Content::Queue(items)
            | Content::Stack(items) => {
                Some(items.iter().map(Value::display_text).collect::<Vec<_>>().join("\n"))
            }
            Content::Dictionary(_) => None,
            Content::None if all_properties(value).is_empty() => Some(value.display_text()),
            Content::None => None,
        },
        Value::Null => Some(String::new()),
        other => Some(other.display_text()),
    }
}
