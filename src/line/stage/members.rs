//! Get-Member.

use super::bind::BoundParameters;
use super::each::{Stage, all};
use crate::line::accelerators::short_name;
use crate::line::error::LineError;
use crate::line::members::properties;
use crate::line::value::typed_object;
use crate::line::views::MEMBER_DEFINITION;
use crate::psrp::clixml::Value;
use crate::wildcard::like;

/// Methods of a deserialized object.
const METHODS: [(&str, &str); 2] = [
    ("GetType", "type GetType()"),
    ("ToString", "string ToString(), string ToString(string format, System.IFormatProvider formatProvider)"),
];

/// Methods of a custom object.
const CUSTOM_METHODS: [(&str, &str); 4] = [
    ("Equals", "bool Equals(System.Object obj)"),
    ("GetHashCode", "int GetHashCode()"),
    ("GetType", "type GetType()"),
    ("ToString", "string ToString()"),
];

struct Member {
    name: String,
    kind: &'static str,
    definition: String,
}

pub fn members(bound: &BoundParameters) -> Result<Box<dyn Stage>, LineError> {
    let names = bound.names("Name");
    let kinds: Vec<String> = bound.names("MemberType").iter().flat_map(|kind| of_kind(kind)).collect();
    Ok(all(move |values: Vec<Value>| {
        let mut seen: Vec<String> = Vec::new();
        let mut out = Vec::new();
        for value in &values {
            let type_name = type_name(value);
            if seen.contains(&type_name) {
                continue;
            }
            for member in members_of(value) {
                let is_wanted = names.is_empty() || names.iter().any(|pattern| like(pattern, &member.name));
                let is_kind =
                    kinds.is_empty() || kinds.iter().any(|kind| kind.eq_ignore_ascii_case(member.kind));
                if is_wanted && is_kind {
                    out.push(definition(&type_name, member));
                }
            }
            seen.push(type_name);
        }
        Ok(out)
    }))
}

/// Returns the member types of a -MemberType, which may name a group.
fn of_kind(name: &str) -> Vec<String> {
    let kinds: &[&str] = match name.to_lowercase().as_str() {
        "all" => &[],
        "properties" => &["Property", "NoteProperty", "ScriptProperty", "AliasProperty", "CodeProperty"],
        "methods" => &["Method", "ScriptMethod", "CodeMethod"],
        _ => return name.split(',').map(|one| one.trim().to_owned()).collect(),
    };
    kinds.iter().map(|kind| (*kind).to_owned()).collect()
}

fn type_name(value: &Value) -> String {
    let name = value.type_names().first().map(|name| (*name).to_owned());
    name.or_else(|| value.primitive().type_names().first().map(|name| (*name).to_owned())).unwrap_or_default()
}

/// Returns members ordered by type, then by name, as in PowerShell.
fn members_of(value: &Value) -> Vec<Member> {
    let own = value.as_object().filter(|object| object.content == crate::psrp::clixml::Content::None);
    let methods: &[(&str, &str)] = match own {
        Some(_) if value.is_type("System.Management.Automation.PSCustomObject") => &CUSTOM_METHODS,
        Some(_) => &METHODS,
        None => &[],
    };
    let method = |(name, definition): &(&str, &str)| Member {
        name: (*name).to_owned(),
        kind: "Method",
        definition: (*definition).to_owned(),
    };
    let mut all: Vec<Member> = methods.iter().map(method).collect();
    for (name, of) in properties(value) {
        let is_extended = value
            .as_object()
            .is_some_and(|object| object.extended.iter().any(|(own, _)| own.eq_ignore_ascii_case(&name)));
        let (kind, definition) = if is_extended {
            ("NoteProperty", format!("{} {name}={}", short(&of), noted(&of)))
        } else if own.is_some() {
            ("Property", format!("{} {name} {{get;set;}}", type_or_blank(&of)))
        } else {
            ("Property", format!("{} {name} {{get;}}", short(&of)))
        };
        all.push(Member { name: name.to_string(), kind, definition });
    }
    all.sort_by_key(|member| (member.kind, member.name.to_lowercase()));
    all
}

/// Formats the value of a NoteProperty.
fn noted(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bytes(_) => "System.Byte[]".to_owned(),
        other => other.exact_text(),
    }
}

fn type_or_blank(value: &Value) -> String {
    let name = type_name(value);
    if name.is_empty() { " ".to_owned() } else { name }
}

/// Returns a type's name as PowerShell shortens it.
fn short(value: &Value) -> String {
    let name = type_name(value);
    match short_name(&name) {
        Some(short) => short.to_owned(),
        None if name.is_empty() => "object".to_owned(),
        None => name,
    }
}

fn definition(type_name: &str, member: Member) -> Value {
    typed_object(
        MEMBER_DEFINITION,
        vec![
            ("TypeName".into(), type_name.into()),
            ("Name".into(), member.name.into()),
            ("MemberType".into(), member.kind.into()),
            ("Definition".into(), member.definition.into()),
        ],
    )
}
