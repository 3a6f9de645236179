//! Command objects in the answers of GET_COMMAND_METADATA and Get-Command.

use std::sync::Arc;

use super::spec::{CommandKind, CommandSpec, Kind, ParameterSpec, Validate};
use super::stage::Executable;
use super::value::{CORE, SMA, adapted, dictionary, extended, list, properties, text};
use crate::psrp::clixml::{Object, Value, type_names};
use crate::wildcard::like;

/// Returns the commands with the given names (all without names) and CommandTypes bits.
pub fn matching<'a>(
    commands: &'a [Arc<Executable>],
    names: &[String],
    types: i32,
) -> Vec<&'a Arc<Executable>> {
    let wanted: Vec<&str> =
        if names.is_empty() { vec!["*"] } else { names.iter().map(String::as_str).collect() };
    let mut found: Vec<&Arc<Executable>> = Vec::new();
    for name in wanted {
        for spec in commands {
            let known = found.iter().any(|known| known.name == spec.name);
            if !known && spec.kind.bit() & types != 0 && like(spec.unqualified(name), &spec.name) {
                found.push(spec);
            }
        }
    }
    found
}

/// Returns the count object, the first of GET_COMMAND_METADATA's answer.
pub fn count(count: usize) -> Value {
    extended(
        &[
            "Selected.Microsoft.PowerShell.Commands.GenericMeasureInfo",
            "System.Management.Automation.PSCustomObject",
            "System.Object",
        ],
        properties([("Count", Value::I32(i32::try_from(count).unwrap_or(i32::MAX)))]),
    )
}

fn info_type(kind: CommandKind) -> &'static str {
    match kind {
        CommandKind::Alias => "System.Management.Automation.AliasInfo",
        CommandKind::Function => "System.Management.Automation.FunctionInfo",
        CommandKind::Cmdlet => "System.Management.Automation.CmdletInfo",
    }
}

fn command_type(kind: CommandKind) -> Value {
    Value::enumeration("System.Management.Automation.CommandTypes", kind.name(), kind.bit())
}

/// Returns a command object of GET_COMMAND_METADATA's answer.
pub fn command(spec: &CommandSpec) -> Value {
    let parameters = spec
        .all_parameters()
        .iter()
        .map(|parameter| (text(&parameter.name), parameter_metadata(parameter)))
        .collect();
    extended(
        &[
            &format!("Selected.{}", info_type(spec.kind)),
            "System.Management.Automation.PSCustomObject",
            "System.Object",
        ],
        properties([
            ("Name", text(&spec.name)),
            ("Namespace", text(spec.module)),
            ("HelpUri", text(spec.help_uri)),
            ("CommandType", command_type(spec.kind)),
            ("ResolvedCommandName", spec.resolves.as_deref().map_or(Value::Null, text)),
            ("OutputType", output_types(spec)),
            ("Parameters", parameter_dictionary(parameters)),
        ]),
    )
}

fn output_types(spec: &CommandSpec) -> Value {
    let name = format!(
        "System.Collections.ObjectModel.ReadOnlyCollection`1[[System.Management.Automation.PSTypeName, {SMA}]]"
    );
    list(&[&name], spec.output_types.iter().copied().map(text).collect())
}

fn parameter_dictionary(entries: Vec<(Value, Value)>) -> Value {
    let name = format!(
        "System.Collections.Generic.Dictionary`2[[System.String, {CORE}],[System.Management.Automation.ParameterMetadata, {SMA}]]"
    );
    dictionary(&[&name], entries)
}

fn parameter_metadata(parameter: &ParameterSpec) -> Value {
    let aliases = format!("System.Collections.ObjectModel.Collection`1[[System.String, {CORE}]]");
    adapted(
        &["System.Management.Automation.ParameterMetadata"],
        "System.Management.Automation.ParameterMetadata",
        properties([
            ("Name", text(&parameter.name)),
            ("ParameterType", text(parameter.kind.full_name())),
            ("Aliases", list(&[&aliases], parameter.aliases.iter().copied().map(text).collect())),
            ("IsDynamic", Value::Bool(false)),
            ("SwitchParameter", Value::Bool(parameter.kind == Kind::Switch)),
        ]),
    )
}

/// Returns the FunctionInfo or CmdletInfo of Get-Command.
pub fn info(spec: &CommandSpec) -> Value {
    let (specific, described) = match spec.kind {
        CommandKind::Alias | CommandKind::Function => (
            properties([
                ("ScriptBlock", Value::ScriptBlock(String::new())),
                ("CmdletBinding", Value::Bool(true)),
                ("DefaultParameterSet", text(spec.default_set)),
                ("Definition", text("")),
                ("Options", text("None")),
                ("Description", Value::Null),
                ("Verb", text(spec.verb())),
                ("Noun", text(spec.noun())),
                ("HelpFile", Value::Null),
                ("OutputType", output_types(spec)),
            ]),
            "0.0",
        ),
        CommandKind::Cmdlet => (
            properties([
                ("Verb", text(spec.verb())),
                ("Noun", text(spec.noun())),
                ("HelpFile", text("Microsoft.Rtc.Management.dll-Help.xml")),
                ("PSSnapIn", Value::Null),
                ("ImplementingType", text(spec.error_source())),
                ("Definition", text(syntax_text(spec))),
                ("DefaultParameterSet", text(spec.default_set)),
                ("OutputType", output_types(spec)),
                ("Options", text("ReadOnly")),
            ]),
            "5.0.8308.0",
        ),
    };
    let sets = format!(
        "System.Collections.ObjectModel.ReadOnlyCollection`1[[System.Management.Automation.CommandParameterSetInfo, {SMA}]]"
    );
    let parameters = spec
        .all_parameters()
        .iter()
        .map(|parameter| (text(&parameter.name), text("System.Management.Automation.ParameterMetadata")))
        .collect();
    let mut all = specific;
    all.extend(properties([
        ("Name", text(&spec.name)),
        ("CommandType", text(spec.kind.name())),
        ("Source", text(spec.module)),
        ("Version", Value::Version(described.into())),
        ("Visibility", text("Public")),
        ("ModuleName", text(spec.module)),
        ("Module", text(spec.module)),
        ("RemotingCapability", text("PowerShell")),
        ("Parameters", parameter_dictionary(parameters)),
        ("ParameterSets", list(&[&sets], syntaxes(spec).into_iter().map(text).collect())),
    ]));
    Value::Object(Arc::new(Object {
        type_names: type_names([
            info_type(spec.kind),
            "System.Management.Automation.CommandInfo",
            "System.Object",
        ]),
        to_string: Some(spec.name.clone()),
        adapted: all,
        extended: properties([("Namespace", text(spec.module)), ("HelpUri", text(spec.help_uri))]),
        ..Object::default()
    }))
}

/// Returns the object of Get-Command -ShowCommandInfo (seen in PowerShell 7.6.9).
pub fn show_info(spec: &CommandSpec) -> Value {
    let sets = spec.parameter_sets().into_iter().map(|set| {
        let parameters = spec.all_parameters();
        let parameters = parameters.iter().filter(|parameter| parameter.in_sets(set)).map(show_parameter);
        Value::custom_object([
            ("Name", text(set)),
            ("IsDefault", Value::Bool(set == spec.default_set)),
            ("Parameters", Value::array(parameters)),
        ])
    });
    Value::custom_object([
        ("Name", text(&spec.name)),
        ("ModuleName", text(spec.module)),
        ("Module", Value::custom_object([("Name", text(spec.module))])),
        ("CommandType", command_type(spec.kind)),
        ("Definition", text("")),
        ("ParameterSets", Value::array(sets)),
    ])
}

fn show_parameter(parameter: &ParameterSpec) -> Value {
    let values = match parameter.kind {
        Kind::Enum(name, values) => {
            (0..).zip(values).map(|(number, value)| Value::enumeration(name, value, number)).collect()
        }
        _ => Vec::new(),
    };
    let set: &[&str] = match parameter.validate {
        Some(Validate::Set(values)) => values,
        _ => &[],
    };
    Value::custom_object([
        ("Name", text(&parameter.name)),
        ("IsMandatory", Value::Bool(parameter.mandatory)),
        ("ValueFromPipeline", Value::Bool(parameter.by_value)),
        ("Position", Value::I32(parameter.position.unwrap_or(i32::MIN))),
        (
            "ParameterType",
            Value::custom_object([
                ("FullName", text(parameter.kind.full_name())),
                ("IsEnum", Value::Bool(!values.is_empty())),
                ("IsArray", Value::Bool(matches!(parameter.kind, Kind::Strings | Kind::Objects))),
                ("EnumValues", Value::array(values)),
                ("HasFlagAttribute", Value::Bool(false)),
                ("ElementType", Value::Null),
                ("ImplementsDictionary", Value::Bool(false)),
            ]),
        ),
        ("HasParameterSet", Value::Bool(!set.is_empty())),
        ("ValidParamSetValues", Value::strings(set.iter().copied())),
    ])
}

/// Returns the parameters of a set in the order of its syntax line: positional, then the others, without
/// common ones.
pub fn in_syntax_order(spec: &CommandSpec, set: &str) -> Vec<ParameterSpec> {
    let mut positional: Vec<_> = spec
        .parameters
        .iter()
        .filter(|parameter| parameter.in_sets(set) && parameter.position.is_some())
        .collect();
    positional.sort_by_key(|parameter| parameter.position);
    let named =
        spec.parameters.iter().filter(|parameter| parameter.in_sets(set) && parameter.position.is_none());
    let (mandatory, optional): (Vec<_>, Vec<_>) = named.partition(|parameter| parameter.mandatory);
    positional.into_iter().chain(mandatory).chain(optional).cloned().collect()
}

/// Returns one syntax line for each parameter set, without the command's name.
pub fn syntaxes(spec: &CommandSpec) -> Vec<String> {
    let mut sets = spec.parameter_sets();
    sets.sort_by_key(|set| *set != spec.default_set);
    sets.into_iter()
        .map(|set| {
            let mut parts: Vec<String> = in_syntax_order(spec, set).iter().map(syntax_of).collect();
            if spec.should_process {
                parts.extend(["[-WhatIf]".into(), "[-Confirm]".into()]);
            }
            parts.push("[<CommonParameters>]".into());
            parts.join(" ")
        })
        .collect()
}

fn syntax_of(parameter: &ParameterSpec) -> String {
    let name = &parameter.name;
    let kind = match parameter.kind {
        Kind::Switch => String::new(),
        Kind::Enum(_, values) => format!(" {{{}}}", values.join(" | ")),
        kind => format!(" <{}>", kind.short_name()),
    };
    match (parameter.position.is_some(), parameter.mandatory) {
        (true, true) => format!("[-{name}]{kind}"),
        (true, false) => format!("[[-{name}]{kind}]"),
        (false, true) => format!("-{name}{kind}"),
        (false, false) => format!("[-{name}{kind}]"),
    }
}

/// Returns the syntax text of a command for Get-Help and Definition.
pub fn syntax_text(spec: &CommandSpec) -> String {
    syntaxes(spec).iter().map(|syntax| format!("\n{} {syntax}\n", spec.name)).collect()
}
