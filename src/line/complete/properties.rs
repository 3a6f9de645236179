//! Properties of the objects in a pipeline.

use tokio_util::sync::CancellationToken;

use crate::line::evaluate::{Scope, Variables, evaluate};
use crate::line::members;
use crate::line::parse::parse;
use crate::line::stage;
use crate::line::syntax::{CommandLine, Element};
use crate::psrp::clixml::Value;

/// Returns the members of the value of an expression of variables.
pub fn members_of(expression: &str, variables: &Variables) -> Vec<String> {
    let Ok(statements) = parse(expression) else { return Vec::new() };
    let [statement] = statements.as_slice() else { return Vec::new() };
    let [Element::Expression(expression)] = statement.pipeline.as_slice() else { return Vec::new() };
    evaluate(expression, Scope::outer(variables)).map(|value| members_of_value(&value)).unwrap_or_default()
}

/// Returns the names of a value's members; for a list, the members of its first item.
pub fn members_of_value(value: &Value) -> Vec<String> {
    if let Some(entries) = value.entries() {
        let keys = entries.iter().map(|(key, _)| key.display_text());
        return keys.chain(["Count", "Keys", "Values"].map(str::to_owned)).collect();
    }
    if let Some(items) = value.items() {
        let of_items = items.first().map(members_of_value).unwrap_or_default();
        return of_items.into_iter().chain(["Count", "Length"].map(str::to_owned)).collect();
    }
    members::properties(value).into_iter().map(|(name, _)| name.to_string()).collect()
}

/// Properties of the objects that local cmdlets output.
const OUTPUTS: [(&str, &[&str]); 7] = [
    (
        "Get-ChildItem",
        &[
            "Name",
            "FullName",
            "Length",
            "Extension",
            "BaseName",
            "DirectoryName",
            "PSIsContainer",
            "Mode",
            "CreationTime",
            "LastAccessTime",
            "LastWriteTime",
            "LinkType",
            "Target",
            "IsReadOnly",
            "Exists",
        ],
    ),
    ("Get-Location", &["Path", "Drive", "Provider", "ProviderPath"]),
    (
        "Get-History",
        &["Id", "CommandLine", "ExecutionStatus", "StartExecutionTime", "EndExecutionTime", "Duration"],
    ),
    (
        "Select-String",
        &["Line", "LineNumber", "Filename", "Path", "Pattern", "IgnoreCase", "Matches", "Context"],
    ),
    ("Group-Object", &["Name", "Count", "Group"]),
    ("Measure-Object", &["Count", "Sum", "Average", "Maximum", "Minimum", "StandardDeviation", "Property"]),
    ("Get-Member", &["Name", "MemberType", "Definition", "TypeName"]),
];

/// Maximum size of a CSV file that completion reads.
const MAX_CSV: u64 = 1024 * 1024;

/// Returns the properties of the objects that a pipeline outputs. `remote` returns the properties of the output of an
/// endpoint's command.
pub fn properties(
    pipeline: &[String],
    mut remote: impl FnMut(&str) -> Vec<String>,
    variables: &Variables,
) -> Vec<String> {
    let mut known: Vec<String> = Vec::new();
    for text in pipeline {
        let Some(statement) = parse(text).ok().and_then(|all| all.into_iter().next()) else {
            known.clear();
            continue;
        };
        match statement.pipeline.first() {
            Some(Element::Expression(expression)) => {
                let value = evaluate(expression, Scope::outer(variables)).unwrap_or_default();
                let mut names = members_of_value(&value);
                if value.items().is_some() {
                    names.retain(|name| name != "Count" && name != "Length");
                }
                known = names;
            }
            Some(Element::Command(command)) => match stage::local_name(&command.name) {
                Some(name) => through(name, command, variables, &mut known),
                None => known = remote(&command.name),
            },
            _ => known.clear(),
        }
    }
    known
}

/// Changes the known properties to the properties of a local cmdlet's output.
fn through(name: &'static str, command: &CommandLine, variables: &Variables, known: &mut Vec<String>) {
    match name {
        "Where-Object" | "Sort-Object" | "Tee-Object" | "Write-Output" => {}
        "Select-Object" => {
            let Ok(bound) = stage::bound(name, command, variables) else { return };
            let names = bound.names("Property");
            if bound.has("ExpandProperty") {
                known.clear();
            } else if !names.is_empty() && !names.iter().any(|name| stage::path::is_pattern(name)) {
                *known = names;
            }
        }
        "Get-Date" => {
            *known = members_of_value(&stage::now());
        }
        "Import-Csv" => {
            known.clear();
            let Ok(bound) = stage::bound(name, command, variables) else { return };
            let path = bound.text("Path").or_else(|| bound.text("LiteralPath"));
            let data = path.and_then(|path| std::fs::metadata(stage::path::located(&path)).ok());
            if data.is_some_and(|data| data.is_file() && data.len() <= MAX_CSV)
                && let Some(Ok(rows)) =
                    stage::source(name, command, variables, true, &CancellationToken::new())
            {
                *known = rows.values.first().map(members_of_value).unwrap_or_default();
            }
        }
        other => {
            let found = OUTPUTS.iter().find(|(name, _)| *name == other);
            *known = found
                .map(|(_, names)| names.iter().map(|name| (*name).to_owned()).collect())
                .unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_have_the_members_of_their_values() {
        let mut variables = Variables::default();
        variables
            .set("x", Value::custom_object([("Inner", Value::custom_object([("Deep", Value::I32(1))]))]));
        variables.set("t", Value::dictionary([("City".into(), "Oslo".into())]));
        assert_eq!(members_of("$x", &variables), ["Inner"]);
        assert_eq!(members_of("$x.Inner", &variables), ["Deep"]);
        assert_eq!(members_of("$t", &variables), ["City", "Count", "Keys", "Values"]);
        assert!(members_of("$x.none", &variables).is_empty());
    }

    #[test]
    fn properties_follow_the_pipeline() {
        let mut variables = Variables::default();
        variables.set(
            "users",
            Value::array([Value::custom_object([("Upn", "a")].map(|(k, v)| (k, Value::from(v))))]),
        );
        let of = |stages: &[&str]| {
            let stages: Vec<String> = stages.iter().map(|one| (*one).to_owned()).collect();
            properties(&stages, |name| vec![format!("of {name}"), "City".into()], &variables)
        };
        assert_eq!(of(&["Get-CsOnlineUser", "sort City", "where { $_.x }"]), ["of Get-CsOnlineUser", "City"]);
        assert_eq!(of(&["Get-CsOnlineUser", "select City, Name"]), ["City", "Name"]);
        assert_eq!(of(&["Get-CsOnlineUser", "select *"]), ["of Get-CsOnlineUser", "City"]);
        assert_eq!(of(&["Get-CsOnlineUser", "group City"]), ["Name", "Count", "Group"]);
        assert_eq!(of(&["$users"]), ["Upn"]);
        assert!(of(&["ls"]).contains(&"LastWriteTime".to_owned()));
        assert!(of(&["Get-Date"]).contains(&"DayOfWeek".to_owned()));
        assert!(of(&["ls", "% Name"]).is_empty());
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("users.csv");
        std::fs::write(&file, "Upn,City\na,b\n").unwrap();
        assert_eq!(of(&[&format!("Import-Csv '{}'", file.display())]), ["Upn", "City"]);
        let other = folder.path().join("other.csv");
        std::fs::write(&other, "Id;Name\n1;b\n").unwrap();
        assert_eq!(of(&[&format!("Import-Csv -Delimiter ';' '{}'", other.display())]), ["Id", "Name"]);
        variables.set("file", file.display().to_string().into());
        let of = |stage: &str| properties(&[stage.to_owned()], |_| Vec::new(), &variables);
        assert_eq!(of("Import-Csv $file"), ["Upn", "City"]);
        assert_eq!(of("Import-Csv -LiteralPath $file"), ["Upn", "City"]);
        assert!(of("Import-Csv /dev/zero").is_empty());
    }
}
