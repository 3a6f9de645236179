//! Type conversion of parameter values with PowerShell's error texts (LanguagePrimitives,
//! ParameterBinderBase).

use uuid::Uuid;

use super::fault::Fault;
use super::spec::{CommandKind, Kind, ParameterSpec, Validate};
use super::value::{is_list, items, list, text, type_name};
use crate::psrp::clixml::Value;

/// Converts a value to the parameter's type and validates it.
pub fn convert(value: &Value, parameter: &ParameterSpec, command: CommandKind) -> Result<Value, Fault> {
    if parameter.mandatory {
        refuse_nothing(value, parameter)?;
    }
    let converted = match parameter.kind {
        Kind::Strings | Kind::Objects => {
            let (array, element) = match parameter.kind {
                Kind::Objects => ("System.Object[]", Kind::Object),
                _ => ("System.String[]", Kind::String),
            };
            let all: Result<Vec<_>, _> =
                items(value).iter().map(|item| single(item, element, parameter, command)).collect();
            list(&[array, "System.Array"], all?)
        }
        kind => single(value, kind, parameter, command)?,
    };
    validate(&converted, parameter)?;
    Ok(converted)
}

/// Returns whether the value needs no conversion.
pub fn fits(value: &Value, kind: Kind) -> bool {
    match (kind, value.primitive()) {
        (Kind::Object | Kind::Objects, _)
        | (Kind::String | Kind::Strings, Value::String(_))
        | (Kind::Int, Value::I32(_))
        | (Kind::Bool, Value::Bool(_))
        | (Kind::Guid, Value::Guid(_))
        | (Kind::TimeSpan, Value::Duration(_))
        | (Kind::Version, Value::Version(_))
        | (Kind::SecureString, Value::Secure(_)) => true,
        (Kind::Switch, other) => type_name(other).ends_with("SwitchParameter"),
        (Kind::Credential, other) => type_name(other).ends_with("PSCredential"),
        (Kind::Enum(name, _), _) => type_name(value) == name,
        _ => false,
    }
}

fn single(
    value: &Value,
    kind: Kind,
    parameter: &ParameterSpec,
    command: CommandKind,
) -> Result<Value, Fault> {
    let plain = value.primitive();
    let failed = |reason: String| refusal(parameter, command, &reason);
    let cannot = |reason: &str| {
        failed(format!(
            "Cannot convert value \"{}\" to type \"{}\".{reason}",
            value.display_text(),
            kind.full_name()
        ))
    };
    match kind {
        Kind::Object | Kind::Objects => Ok(value.clone()),
        Kind::String | Kind::Strings => match plain {
            Value::Null => Ok(text("")),
            _ if is_list(value) && command == CommandKind::Cmdlet => Err(failed(
                "Cannot convert 'System.Object[]' to the type 'System.String' required by the parameter. Specified method is not supported."
                    .into(),
            )),
            // A number inside an object keeps the text of the object.
            plain if is_number(plain) => Ok(text(value.display_text())),
            plain => Ok(text(plain.display_text())),
        },
        Kind::Int => match number(plain) {
            Some(number) => i32::try_from(number).map(Value::I32).map_err(|_| {
                cannot(" Error: \"Value was either too large or too small for an Int32.\"")
            }),
            None => Err(cannot(&format!(
                " Error: \"The input string '{}' was not in a correct format.\"",
                value.display_text()
            ))),
        },
        Kind::Switch if plain.is_null() => Ok(Value::Bool(true)),
        Kind::Bool | Kind::Switch => match plain {
            Value::Bool(value) => Ok(Value::Bool(*value)),
            plain if is_number(plain) => Ok(Value::Bool(number(plain) != Some(0))),
            _ if is_switch(value) => Ok(Value::Bool(switch_value(value))),
            _ => Err(failed(format!(
                "Cannot convert value \"{}\" to type \"{}\". Boolean parameters accept only Boolean values and numbers, such as $True, $False, 1 or 0.",
                type_name(value),
                kind.full_name()
            ))),
        },
        Kind::Guid => match plain {
            Value::Guid(id) => Ok(Value::Guid(*id)),
            plain => Uuid::parse_str(plain.display_text().trim()).map(Value::Guid).map_err(|_| {
                cannot(" Error: \"Unrecognized Guid format.\"")
            }),
        },
        Kind::TimeSpan => match plain {
            Value::Duration(text) => Ok(Value::Duration(text.clone())),
            plain => time_span(&plain.display_text()).map(Value::Duration).ok_or_else(|| {
                cannot(&format!(" Error: \"String '{}' was not recognized as a valid TimeSpan.\"", value.display_text()))
            }),
        },
        Kind::Version => match plain {
            Value::Version(text) => Ok(Value::Version(text.clone())),
            plain => {
                let shown = plain.display_text();
                let parts: Vec<_> = shown.split('.').collect();
                if (2..=4).contains(&parts.len()) && parts.iter().all(|part| part.parse::<u32>().is_ok()) {
                    Ok(Value::Version(shown))
                } else {
                    Err(cannot(" Error: \"Version string portion was too short or too long.\""))
                }
            }
        },
        Kind::SecureString => match plain {
            Value::Secure(_) => Ok(plain.clone()),
            _ => Err(failed(format!(
                "Cannot convert the \"{}\" value of type \"{}\" to type \"System.Security.SecureString\".",
                value.display_text(),
                type_name(value)
            ))),
        },
        Kind::Credential if type_name(value).ends_with("PSCredential") => Ok(value.clone()),
        Kind::Credential => Err(cannot("")),
        Kind::Enum(name, values) => enum_value(value, name, values).ok_or_else(|| {
            cannot(&format!(
                " Error: \"Unable to match the identifier name {} to a valid enumerator name. Specify one of the following enumerator names and try again:\n{}\"",
                value.display_text(),
                values.join(", ")
            ))
        }),
    }
}

/// Returns an enum value by name, unambiguous prefix or number.
fn enum_value(value: &Value, name: &str, values: &[&str]) -> Option<Value> {
    let shown = value.display_text();
    let index = match number(value.primitive()) {
        Some(number) => usize::try_from(number).ok().filter(|&index| index < values.len()),
        None => values.iter().position(|candidate| candidate.eq_ignore_ascii_case(&shown)).or_else(|| {
            let starts: Vec<_> = (0..values.len())
                .filter(|&at| {
                    values[at].get(..shown.len()).is_some_and(|start| start.eq_ignore_ascii_case(&shown))
                })
                .collect();
            (starts.len() == 1 && !shown.is_empty()).then(|| starts[0])
        }),
    }?;
    Some(Value::enumeration(name, values[index], i32::try_from(index).ok()?))
}

/// Returns the fault of a failed conversion: functions transform parameters, cmdlets bind them.
fn refusal(parameter: &ParameterSpec, command: CommandKind, reason: &str) -> Fault {
    let name = &parameter.name;
    match command {
        CommandKind::Alias | CommandKind::Function => Fault::conversion(
            "ParameterArgumentTransformationError",
            format!("Cannot process argument transformation on parameter '{name}'. {reason}"),
        ),
        CommandKind::Cmdlet => Fault::binding(
            "CannotConvertArgumentNoMessage",
            format!("Cannot bind parameter '{name}'. {reason}"),
        ),
    }
}

/// Refuses null and empty values of a mandatory parameter.
fn refuse_nothing(value: &Value, parameter: &ParameterSpec) -> Result<(), Fault> {
    let name = &parameter.name;
    let (id, what) = match value.primitive() {
        Value::Null => ("NullNotAllowed", "null"),
        Value::String(text) if text.is_empty() && matches!(parameter.kind, Kind::String | Kind::Strings) => {
            ("EmptyStringNotAllowed", "an empty string")
        }
        _ if is_list(value) && items(value).is_empty() && parameter.kind.is_list() => {
            ("EmptyArrayNotAllowed", "an empty array")
        }
        _ => return Ok(()),
    };
    Err(Fault::validation(
        &format!("ParameterArgumentValidationError{id}"),
        format!("Cannot bind argument to parameter '{name}' because it is {what}."),
    ))
}

fn validate(value: &Value, parameter: &ParameterSpec) -> Result<(), Fault> {
    let refuse = |reason: String| {
        Err(Fault::validation(
            "ParameterArgumentValidationError",
            format!("Cannot validate argument on parameter '{}'. {reason}", parameter.name),
        ))
    };
    match parameter.validate {
        None => Ok(()),
        Some(Validate::Set(allowed)) => {
            let wrong = items(value)
                .iter()
                .map(Value::display_text)
                .find(|item| !allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(item)));
            match wrong {
                None => Ok(()),
                Some(item) => refuse(format!(
                    "The argument \"{item}\" does not belong to the set \"{}\" specified by the ValidateSet attribute. Supply an argument that is in the set and then try the command again.",
                    allowed.join(",")
                )),
            }
        }
        Some(Validate::Range(min, max)) => match number(value.primitive()) {
            Some(number) if number < min => refuse(format!(
                "The {number} argument is less than the minimum allowed range of {min}. Supply an argument that is greater than or equal to {min} and then try the command again."
            )),
            Some(number) if number > max => refuse(format!(
                "The {number} argument is greater than the maximum allowed range of {max}. Supply an argument that is less than or equal to {max} and then try the command again."
            )),
            _ => Ok(()),
        },
    }
}

fn is_number(value: &Value) -> bool {
    !matches!(value, Value::String(_)) && number(value).is_some()
}

/// Returns the number of a value or string.
fn number(value: &Value) -> Option<i64> {
    Some(match value {
        Value::U8(value) => i64::from(*value),
        Value::I8(value) => i64::from(*value),
        Value::U16(value) => i64::from(*value),
        Value::I16(value) => i64::from(*value),
        Value::U32(value) => i64::from(*value),
        Value::I32(value) => i64::from(*value),
        Value::I64(value) => *value,
        Value::U64(value) => i64::try_from(*value).ok()?,
        Value::Double(value) => rounded(*value)?,
        Value::Single(value) => rounded(f64::from(*value))?,
        Value::Decimal(text) | Value::String(text) => {
            let text = text.trim();
            match text.strip_prefix("0x") {
                Some(digits) => i64::from_str_radix(digits, 16).ok()?,
                None => text.parse().ok().or_else(|| rounded(text.parse().ok()?))?,
            }
        }
        _ => return None,
    })
}

/// Rounds halves to even, as .NET converts.
fn rounded(value: f64) -> Option<i64> {
    let nearest = value.round_ties_even();
    // Above 2^53 a double is not exact.
    #[expect(clippy::cast_possible_truncation, reason = "bounded just before")]
    (nearest.abs() < 9_007_199_254_740_992.0).then_some(nearest as i64)
}

fn is_switch(value: &Value) -> bool {
    type_name(value).ends_with("SwitchParameter")
}

/// Returns `IsPresent` of a SwitchParameter object.
fn switch_value(value: &Value) -> bool {
    match value.property("IsPresent") {
        Some(Value::Bool(present)) => *present,
        _ => value.display_text().eq_ignore_ascii_case("true"),
    }
}

/// Converts `[d.]hh:mm[:ss]` or a number of days to an xs:duration.
fn time_span(text: &str) -> Option<String> {
    if let Ok(days) = text.parse::<u32>() {
        return Some(format!("P{days}D"));
    }
    let (days, time) = match text.split_once('.') {
        Some((days, time)) if time.contains(':') => (days.parse::<u32>().ok()?, time),
        _ => (0, text),
    };
    let parts: Vec<u32> = time.split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let (hours, minutes, seconds) = match parts[..] {
        [hours, minutes] => (hours, minutes, 0),
        [hours, minutes, seconds] => (hours, minutes, seconds),
        _ => return None,
    };
    (hours < 24 && minutes < 60 && seconds < 60).then(|| {
        let mut span = String::from("P");
        if days > 0 {
            span += &format!("{days}D");
        }
        if (hours, minutes, seconds) != (0, 0, 0) || days == 0 {
            span += "T";
            for (amount, unit) in [(hours, 'H'), (minutes, 'M'), (seconds, 'S')] {
                if amount > 0 {
                    span += &format!("{amount}{unit}");
                }
            }
            if (hours, minutes, seconds) == (0, 0, 0) {
                span += "0S";
            }
        }
        span
    })
}
