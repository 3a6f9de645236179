//! The cmdlets that run here, on objects as they come.

mod output;
mod pick;

use super::plan::PlanError;
use super::syntax::{Arg, CommandLine};
use super::value::{Variables, evaluate};
use crate::psrp::clixml::Value;

/// Why a stage can't go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StageError(pub String);

/// One cmdlet at work.
pub trait Stage: Send {
    fn push(&mut self, value: Value, out: &mut Vec<Value>) -> Result<(), StageError>;

    fn finish(&mut self, out: &mut Vec<Value>) -> Result<(), StageError> {
        let _ = out;
        Ok(())
    }

    fn is_done(&self) -> bool {
        false
    }
}

/// Every name and alias of what runs here.
const NAMES: [(&str, &str); 24] = [
    ("select-object", "Select-Object"),
    ("select", "Select-Object"),
    ("where-object", "Where-Object"),
    ("where", "Where-Object"),
    ("?", "Where-Object"),
    ("sort-object", "Sort-Object"),
    ("sort", "Sort-Object"),
    ("foreach-object", "ForEach-Object"),
    ("%", "ForEach-Object"),
    ("measure-object", "Measure-Object"),
    ("measure", "Measure-Object"),
    ("group-object", "Group-Object"),
    ("group", "Group-Object"),
    ("format-table", "Format-Table"),
    ("ft", "Format-Table"),
    ("format-list", "Format-List"),
    ("fl", "Format-List"),
    ("convertto-json", "ConvertTo-Json"),
    ("convertto-csv", "ConvertTo-Csv"),
    ("export-csv", "Export-Csv"),
    ("epcsv", "Export-Csv"),
    ("out-file", "Out-File"),
    ("get-member", "Get-Member"),
    ("gm", "Get-Member"),
];

/// The cmdlet that a name stands for, if it is one that runs here.
pub fn local_name(name: &str) -> Option<&'static str> {
    NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, name)| *name)
}

/// A stage with its arguments bound.
pub fn build(
    name: &'static str,
    command: &CommandLine,
    variables: &Variables,
    width: usize,
) -> Result<Box<dyn Stage>, PlanError> {
    let bound = |parameters: &[(&'static str, bool)]| Bound::new(name, command, parameters, variables);
    Ok(match name {
        "Select-Object" => pick::select(&bound(&[
            ("Property", false),
            ("First", false),
            ("Last", false),
            ("Skip", false),
            ("ExpandProperty", false),
            ("ExcludeProperty", false),
        ])?)?,
        "Where-Object" => pick::filter(command, variables)?,
        "Sort-Object" => pick::sort(&bound(&[("Property", false), ("Descending", true), ("Unique", true)])?),
        "ForEach-Object" => pick::for_each(&bound(&[("MemberName", false)])?)?,
        "Measure-Object" => pick::measure(bound(&[
            ("Property", false),
            ("Sum", true),
            ("Average", true),
            ("Maximum", true),
            ("Minimum", true),
        ])?),
        "Group-Object" => pick::group(bound(&[("Property", false), ("NoElement", true)])?),
        "Format-Table" => output::table(
            bound(&[("Property", false), ("AutoSize", true), ("Wrap", true), ("HideTableHeaders", true)])?,
            width,
        ),
        "Format-List" => output::list(bound(&[("Property", false)])?, width),
        "ConvertTo-Json" => output::json(&bound(&[("Depth", false), ("Compress", true)])?)?,
        "ConvertTo-Csv" => output::csv(bound(&[("Delimiter", false), ("NoTypeInformation", true)])?),
        "Export-Csv" => output::csv_file(bound(&[
            ("Path", false),
            ("Delimiter", false),
            ("NoTypeInformation", true),
            ("Append", true),
        ])?)?,
        "Out-File" => output::file(bound(&[("FilePath", false), ("Append", true)])?, width)?,
        _ => {
            bound(&[])?;
            output::members()
        }
    })
}

/// A local cmdlet's arguments by parameter; the first parameter takes what has no name.
pub struct Bound {
    name: &'static str,
    given: Vec<(&'static str, Value)>,
}

impl Bound {
    fn new(
        name: &'static str,
        command: &CommandLine,
        parameters: &[(&'static str, bool)],
        variables: &Variables,
    ) -> Result<Self, PlanError> {
        let mut given: Vec<(&'static str, Value)> = Vec::new();
        let mut arguments = command.arguments.iter().peekable();
        while let Some(argument) = arguments.next() {
            let (parameter, value) = match argument {
                Arg::Value(value) => {
                    let first = parameters
                        .iter()
                        .find(|(one, switch)| !switch && !given.iter().any(|(has, _)| has == one));
                    let Some((first, _)) = first else {
                        return Err(PlanError(format!(
                            "{name}: A positional parameter cannot be found that accepts argument '{}'.",
                            evaluate(value, variables)?.display_text()
                        )));
                    };
                    (*first, evaluate(value, variables)?)
                }
                Arg::Parameter { name: written, value } => {
                    let (parameter, switch) = find(name, written, parameters)?;
                    let value = match (value, switch) {
                        (Some(value), _) => evaluate(value, variables)?,
                        (None, true) => Value::Bool(true),
                        (None, false) => match arguments.next_if(|next| matches!(next, Arg::Value(_))) {
                            Some(Arg::Value(value)) => evaluate(value, variables)?,
                            _ => {
                                return Err(PlanError(format!(
                                    "{name}: Missing an argument for parameter '{parameter}'."
                                )));
                            }
                        },
                    };
                    (parameter, value)
                }
            };
            given.push((parameter, value));
        }
        Ok(Self { name, given })
    }

    fn get(&self, parameter: &str) -> Option<&Value> {
        self.given.iter().find(|(one, _)| *one == parameter).map(|(_, value)| value)
    }

    fn switch(&self, parameter: &str) -> bool {
        self.get(parameter).is_some_and(super::value::truth)
    }

    /// A list of names.
    fn names(&self, parameter: &str) -> Vec<String> {
        match self.get(parameter) {
            None => Vec::new(),
            Some(value) => match value.items() {
                Some(items) => items.iter().map(Value::display_text).collect(),
                None => vec![value.display_text()],
            },
        }
    }

    fn count(&self, parameter: &str) -> Result<Option<usize>, PlanError> {
        let Some(value) = self.get(parameter) else { return Ok(None) };
        let text = value.display_text();
        text.parse().map(Some).map_err(|_| {
            PlanError(format!(
                "{}: Cannot bind parameter '{parameter}': \"{text}\" is no number of objects.",
                self.name
            ))
        })
    }
}

fn find(
    cmdlet: &str,
    written: &str,
    parameters: &[(&'static str, bool)],
) -> Result<(&'static str, bool), PlanError> {
    let begins =
        |name: &str| name.get(..written.len()).is_some_and(|start| start.eq_ignore_ascii_case(written));
    let exact = parameters.iter().find(|(name, _)| name.eq_ignore_ascii_case(written));
    let mut near = parameters.iter().filter(|(name, _)| begins(name));
    match (exact, near.next(), near.next()) {
        (Some(one), ..) | (None, Some(one), None) => Ok(*one),
        (None, Some(_), Some(_)) => Err(PlanError(format!(
            "{cmdlet}: Parameter cannot be processed because the parameter name '{written}' is ambiguous."
        ))),
        (None, None, _) => Err(PlanError(format!(
            "{cmdlet}: A parameter cannot be found that matches parameter name '{written}'. The console's own {cmdlet} \
             takes {}; pwsh has the whole one.",
            parameters.iter().map(|(name, _)| format!("-{name}")).collect::<Vec<_>>().join(", ")
        ))),
    }
}

/// What a comparison is written with, and whether it is said of two values.
fn operator(name: &str) -> Option<fn(&Value, &Value) -> bool> {
    use super::value::{compare, like};
    let name = name.to_lowercase();
    let plain = name.strip_prefix('i').filter(|rest| rest.len() >= 2 && *rest != "n").unwrap_or(&name);
    Some(match plain {
        "eq" => |a, b| compare(a, b).is_eq(),
        "ne" => |a, b| compare(a, b).is_ne(),
        "gt" => |a, b| compare(a, b).is_gt(),
        "ge" => |a, b| compare(a, b).is_ge(),
        "lt" => |a, b| compare(a, b).is_lt(),
        "le" => |a, b| compare(a, b).is_le(),
        "like" => |a, b| like(&b.display_text(), &a.display_text()),
        "notlike" => |a, b| !like(&b.display_text(), &a.display_text()),
        "match" => |a, b| matches(b, a),
        "notmatch" => |a, b| !matches(b, a),
        "contains" => |a, b| has(a, b),
        "notcontains" => |a, b| !has(a, b),
        "in" => |a, b| has(b, a),
        "notin" => |a, b| !has(b, a),
        _ => return None,
    })
}

fn matches(pattern: &Value, value: &Value) -> bool {
    let pattern = regex::RegexBuilder::new(&pattern.display_text()).case_insensitive(true).build();
    pattern.is_ok_and(|pattern| pattern.is_match(&value.display_text()))
}

fn has(list: &Value, one: &Value) -> bool {
    match list.items() {
        Some(items) => items.iter().any(|item| super::value::compare(item, one).is_eq()),
        None => super::value::compare(list, one).is_eq(),
    }
}
