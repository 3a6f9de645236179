//! `'{0:N2} of {1,-10}' -f …`: composite formatting as .NET does it in the invariant culture
//! (<https://learn.microsoft.com/dotnet/standard/base-types/composite-formatting>).

mod custom;
mod date;
mod letters;
mod number;
mod span;
mod standard;

pub use date::format as date_text;

use super::error::LineError;
use crate::psrp::clixml::Value;

/// Exclusive limit of an item's index and width (IndexLimit and WidthLimit in StringBuilder.AppendFormat).
const INDEX_LIMIT: usize = 1_000_000;

/// Reason why a format is invalid for a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Invalid {
    /// Invalid format of a number.
    Specifier,
    /// Invalid format of a date, time span or GUID.
    Form,
}

/// Replaces the format items of a text with the arguments.
pub fn format(form: &Value, arguments: &Value) -> Result<Value, LineError> {
    let letters: Vec<char> = form.display_text().chars().collect();
    let one = [arguments.clone()];
    let arguments = arguments.items().unwrap_or(&one);
    let mut text = String::new();
    let mut at = 0;
    while let Some(&letter) = letters.get(at) {
        at += 1;
        if !matches!(letter, '{' | '}') {
            text.push(letter);
            continue;
        }
        match letters.get(at) {
            None => return Err(unreadable(at, ENDS_EARLY)),
            Some(next) if *next == letter => {
                text.push(letter);
                at += 1;
            }
            Some(_) if letter == '}' => {
                return Err(unreadable(
                    at - 1,
                    "Unexpected closing brace without a corresponding opening brace.",
                ));
            }
            Some(_) => item(&letters, &mut at, arguments, &mut text)?,
        }
    }
    Ok(Value::String(text))
}

const ENDS_EARLY: &str = "Format item ends prematurely.";
const NO_DIGIT: &str = "Expected an ASCII digit.";

fn unreadable(at: usize, reason: &str) -> LineError {
    wrong(&format!("Input string was not in a correct format. Failure to parse near offset {at}. {reason}"))
}

fn wrong(reason: &str) -> LineError {
    LineError(format!("Error formatting a string: {reason}."))
}

/// Formats one item; `at` moves from after its `{` to after its `}`.
fn item(letters: &[char], at: &mut usize, arguments: &[Value], text: &mut String) -> Result<(), LineError> {
    let index = number_at(letters, at)?;
    let (mut wide, mut left) = (0, false);
    blanks(letters, at);
    if letters.get(*at) == Some(&',') {
        *at += 1;
        blanks(letters, at);
        left = letters.get(*at) == Some(&'-');
        *at += usize::from(left);
        wide = number_at(letters, at)?;
        blanks(letters, at);
    }
    let mut form = String::new();
    match letters.get(*at) {
        Some('}') => {}
        Some(':') => {
            *at += 1;
            while let Some(letter) = letters.get(*at).filter(|letter| **letter != '}') {
                if *letter == '{' {
                    return Err(unreadable(*at, ENDS_EARLY));
                }
                form.push(*letter);
                *at += 1;
            }
            if *at == letters.len() {
                return Err(unreadable(*at, ENDS_EARLY));
            }
        }
        _ => return Err(unreadable(*at, ENDS_EARLY)),
    }
    *at += 1;
    let argument = arguments.get(index).ok_or_else(|| {
        wrong(
            "Index (zero based) must be greater than or equal to zero and less than the size of the argument list.",
        )
    })?;
    let shown = shown(argument, &form).map_err(|invalid| {
        wrong(match invalid {
            Invalid::Specifier => "Format specifier was invalid.",
            Invalid::Form => "Input string was not in a correct format.",
        })
    })?;
    let missing = " ".repeat(wide.saturating_sub(shown.encode_utf16().count()));
    text.push_str(&if left { shown + &missing } else { missing + &shown });
    Ok(())
}

fn blanks(letters: &[char], at: &mut usize) {
    while letters.get(*at) == Some(&' ') {
        *at += 1;
    }
}

fn number_at(letters: &[char], at: &mut usize) -> Result<usize, LineError> {
    let start = *at;
    let mut number = 0;
    while let Some(digit) = letters.get(*at).and_then(|letter| letter.to_digit(10)) {
        number = number * 10 + digit as usize;
        if number >= INDEX_LIMIT {
            return Err(unreadable(*at, "The number is too large."));
        }
        *at += 1;
    }
    if *at == start {
        let reason = if start == letters.len() { ENDS_EARLY } else { NO_DIGIT };
        return Err(unreadable(start, reason));
    }
    Ok(number)
}

/// Formats a value. A value of a type without formats is shown as its text.
fn shown(value: &Value, form: &str) -> Result<String, Invalid> {
    if value.items().is_some() {
        // A nested array is formatted as an object.
        return Ok(value
            .type_names()
            .first()
            .map_or_else(|| "System.Object[]".to_owned(), ToString::to_string));
    }
    if form.is_empty() {
        return Ok(value.display_text());
    }
    let is_named = matches!(value, Value::Object(object) if object.to_string.is_some());
    match value.primitive() {
        // Other formats show an enum's number.
        _ if is_named && matches!(form, "g" | "G" | "f" | "F") => Ok(value.display_text()),
        Value::DateTime(text) => date::format(text, form).ok_or(Invalid::Form),
        Value::Duration(_) => span::format(&value.display_text(), form).ok_or(Invalid::Form),
        Value::Guid(id) => match form {
            "D" | "d" => Ok(id.to_string()),
            "N" | "n" => Ok(id.simple().to_string()),
            "B" | "b" => Ok(id.braced().to_string()),
            "P" | "p" => Ok(format!("({id})")),
            _ => Err(Invalid::Form),
        },
        other => match number::Number::read(other) {
            Some(number) => standard::format(&number, form).ok_or(Invalid::Specifier),
            None => Ok(value.display_text()),
        },
    }
}
