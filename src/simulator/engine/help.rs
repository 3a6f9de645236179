//! Get-Help: help objects that PowerShell generates from a command's parameters, in the recorded form.

use super::metadata::{in_syntax_order, syntax_text, syntaxes};
use super::spec::{CommandSpec, Kind, ParameterSpec};
use super::value::{array, extended, properties, text};
use crate::psrp::clixml::{Content, Object, Value};
use std::sync::Arc;

const INFO: &str = "ExtendedCmdletHelpInfo";

fn part(name: &str, all: super::value::Properties) -> Value {
    extended(&[&format!("{INFO}#{name}")], all)
}

/// Returns the help entry of a parameter.
fn parameter(parameter: &ParameterSpec) -> Value {
    let input = match (parameter.by_value, parameter.by_property) {
        (true, true) => "true (ByValue, ByPropertyName)",
        (true, false) => "true (ByValue)",
        (false, true) => "true (ByPropertyName)",
        (false, false) => "false",
    };
    let yes = |value: bool| text(if value { "true" } else { "false" });
    let mut all = properties([
        ("name", text(&parameter.name)),
        ("required", yes(parameter.mandatory)),
        ("pipelineInput", text(input)),
        ("isDynamic", text("false")),
        ("globbing", text("false")),
        (
            "parameterSetName",
            text(if parameter.sets.is_empty() { "(All)".into() } else { parameter.sets.join(", ") }),
        ),
    ]);
    if parameter.kind != Kind::Switch {
        let value = Object {
            content: Content::Primitive(text(parameter.kind.short_name())),
            extended: properties([
                ("variableLength", Value::Bool(parameter.kind.is_list())),
                ("required", text("true")),
            ]),
            ..Object::default()
        };
        all.extend(properties([("parameterValue", Value::Object(Arc::new(value)))]));
    }
    all.extend(properties([
        ("type", part("type", properties([("name", text(parameter.kind.short_name()))]))),
        ("position", text(parameter.position.map_or("Named".into(), |position| position.to_string()))),
        (
            "aliases",
            text(if parameter.aliases.is_empty() { "None".into() } else { parameter.aliases.join(", ") }),
        ),
    ]));
    part("parameter", all)
}

/// Returns the help object of a command.
pub fn help(spec: &CommandSpec) -> Value {
    let syntax_items = spec
        .parameter_sets()
        .into_iter()
        .map(|set| {
            let parameters = in_syntax_order(spec, set).iter().map(parameter).collect();
            part(
                "syntaxItem",
                properties([
                    ("name", text(&spec.name)),
                    ("CommonParameters", Value::Bool(true)),
                    ("parameter", array(parameters)),
                ]),
            )
        })
        .collect();
    let mut sorted = spec.parameters.clone();
    sorted.sort_by(|a, b| a.name.cmp(&b.name));
    let described = !spec.synopsis.is_empty();
    let inputs: String = spec
        .parameters
        .iter()
        .filter(|parameter| parameter.by_value)
        .map(|parameter| format!("{}\n", parameter.kind.full_name()))
        .collect();
    let of_type = |name: &str| part("type", properties([("name", text(name))]));
    let mut all = properties([
        ("CommonParameters", Value::Bool(true)),
        (
            "details",
            part("details", properties([("name", text(&spec.name)), ("noun", text("")), ("verb", text(""))])),
        ),
        ("Syntax", part("syntax", properties([("syntaxItem", array(syntax_items))]))),
        (
            "parameters",
            part("parameters", properties([("parameter", array(sorted.iter().map(parameter).collect()))])),
        ),
        (
            "inputTypes",
            part(
                "inputTypes",
                properties([(
                    "inputType",
                    part(
                        "inputType",
                        properties([("type", of_type(if inputs.is_empty() { "None" } else { &inputs }))]),
                    ),
                )]),
            ),
        ),
        (
            "returnValues",
            part(
                "returnValues",
                properties([(
                    "returnValue",
                    part("returnValue", properties([("type", of_type("System.Object"))])),
                )]),
            ),
        ),
        ("aliases", text("None\n")),
        ("remarks", text("None")),
        ("alertSet", Value::Null),
        ("description", if described { array(vec![text(&spec.synopsis)]) } else { Value::Null }),
        ("examples", Value::Null),
        ("Synopsis", text(if described { spec.synopsis.clone() } else { syntax_text(spec) })),
        ("ModuleName", text(spec.module)),
        ("nonTerminatingErrors", text("")),
    ]);
    for (prefix, schema) in [("command", "dev/command"), ("dev", "dev"), ("maml", "")] {
        let path = if schema.is_empty() { String::new() } else { format!("{schema}/") };
        all.extend(properties([(
            format!("xmlns:{prefix}").as_str(),
            text(format!("http://schemas.microsoft.com/maml/{path}2004/10")),
        )]));
    }
    all.extend(properties([
        ("Name", text(&spec.name)),
        ("Category", text(spec.kind.name())),
        ("Component", Value::Null),
        ("Role", Value::Null),
        ("Functionality", Value::Null),
    ]));
    extended(&[INFO, "CmdletHelpInfo", "HelpInfo"], all)
}

/// Returns whether an object is a help object, which is drawn as text.
pub fn is_help(value: &Value) -> bool {
    matches!(value, Value::Object(object) if object.type_names.iter().any(|name| name.ends_with("HelpInfo")))
}

/// Formats a help object as text.
pub fn lines(spec: &CommandSpec, shown: &Value) -> Vec<String> {
    let mut lines = vec![String::new(), "NAME".into(), format!("    {}", spec.name), "    ".into()];
    if !spec.synopsis.is_empty() {
        let synopsis = shown.property("Synopsis").map(Value::display_text).unwrap_or_default();
        lines.extend(["SYNOPSIS".into(), format!("    {synopsis}"), "    ".into()]);
    }
    lines.push("SYNTAX".into());
    for syntax in syntaxes(spec) {
        lines.extend([format!("    {} {syntax}", spec.name), "    ".into()]);
    }
    lines.extend(["    ".into(), "ALIASES".into(), "    None".into(), "    ".into(), String::new()]);
    lines.extend(["REMARKS".into(), "    None".into(), String::new(), String::new()]);
    lines
}
