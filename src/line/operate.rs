//! Operators. The type of the left operand determines the operation, as in PowerShell (about_Comparison_Operators).

use super::accelerators::full_name;
use super::compare::{compare, equal};
use super::error::LineError;
use super::number::{Impossible, Number};
use super::pattern::{Pattern, Translated};
use super::repeat::repeated;
use super::syntax::{BinaryOperator, NamedOperator, Operator, UnaryOperator};
use super::value::truth;
use super::{bits, composite, moment};
use crate::psrp::clixml::Value;
use crate::wildcard::{self, Case};

/// Maximum length of a `..` range.
const LONGEST_RANGE: i64 = 100_000;

pub fn unary(operator: UnaryOperator, value: &Value) -> Result<Value, LineError> {
    Ok(match operator {
        UnaryOperator::BitNot => bits::not(value)?,
        UnaryOperator::Not => Value::Bool(!truth(value)),
        UnaryOperator::Plus => arithmetic(BinaryOperator::Add, &Value::I32(0), value)?,
        UnaryOperator::Minus => arithmetic(BinaryOperator::Subtract, &Value::I32(0), value)?,
        UnaryOperator::Join => Value::String(texts(value).concat()),
        UnaryOperator::Split => {
            let all = texts(value);
            let words = |text: &str| -> Vec<Value> {
                let words: Vec<Value> = text.split_whitespace().map(Value::from).collect();
                if words.is_empty() { vec!["".into()] } else { words }
            };
            Value::array(all.iter().flat_map(|text| words(text)))
        }
    })
}

pub fn binary(operator: BinaryOperator, a: &Value, b: &Value) -> Result<Value, LineError> {
    match operator {
        BinaryOperator::And => Ok(Value::Bool(truth(a) && truth(b))),
        BinaryOperator::Or => Ok(Value::Bool(truth(a) || truth(b))),
        BinaryOperator::Xor => Ok(Value::Bool(truth(a) != truth(b))),
        BinaryOperator::Range => range(a, b),
        BinaryOperator::Format => composite::format(a, b),
        BinaryOperator::Bitwise(operator) => bits::apply(operator, a, b),
        BinaryOperator::Named(word) => compared(word, a, b),
        BinaryOperator::Multiply => repeated(a, b).unwrap_or_else(|| arithmetic(operator, a, b)),
        other => arithmetic(other, a, b),
    }
}

fn texts(value: &Value) -> Vec<String> {
    match value.items() {
        Some(items) => items.iter().map(Value::item_text).collect(),
        None => vec![value.display_text()],
    }
}

/// Evaluates a comparison or text operator. A comparison with a list on the left returns the matching items.
pub fn compared(word: NamedOperator, a: &Value, b: &Value) -> Result<Value, LineError> {
    let filters = !matches!(
        word.operator,
        Operator::Contains
            | Operator::NotContains
            | Operator::In
            | Operator::NotIn
            | Operator::Is
            | Operator::IsNot
            | Operator::Join
            | Operator::Split
            | Operator::Replace
    );
    match a.items() {
        Some(items) if filters => {
            let mut kept = Vec::new();
            for item in items {
                if holds(word, item, b)? {
                    kept.push(item.clone());
                }
            }
            Ok(Value::array(kept))
        }
        _ => match word.operator {
            Operator::Replace => each(a, |text| replaced(word, text, b)),
            Operator::Split => split(word, a, b),
            Operator::Join => Ok(Value::String(texts(a).join(&b.display_text()))),
            _ => holds(word, a, b).map(Value::Bool),
        },
    }
}

/// Returns whether a comparison of two values is true.
fn holds(word: NamedOperator, a: &Value, b: &Value) -> Result<bool, LineError> {
    let sensitive = word.sensitive;
    let has = |list: &Value, one: &Value| match list.items() {
        Some(items) => items.iter().any(|item| equal(item, one, sensitive)),
        None => equal(list, one, sensitive),
    };
    let case = if sensitive { Case::Sensitive } else { Case::Ignored };
    let like = || wildcard::matches(&b.display_text(), &a.display_text(), case);
    let found = || {
        let wanted = b.display_text();
        let pattern = pattern(&wanted, sensitive)?;
        Ok::<_, LineError>(super::pattern::is_match(&pattern, &a.display_text()))
    };
    let compared_to = || {
        let kind =
            || a.type_names().first().map_or("Int32", |name| name.trim_start_matches("System.")).to_owned();
        compare(a, b, sensitive).ok_or_else(|| cannot_convert(b, &kind()))
    };
    Ok(match word.operator {
        Operator::Eq => equal(a, b, sensitive),
        Operator::Ne => !equal(a, b, sensitive),
        Operator::Gt => compared_to()?.is_gt(),
        Operator::Ge => compared_to()?.is_ge(),
        Operator::Lt => compared_to()?.is_lt(),
        Operator::Le => compared_to()?.is_le(),
        Operator::Like => like(),
        Operator::NotLike => !like(),
        Operator::Match => found()?,
        Operator::NotMatch => !found()?,
        Operator::Contains => has(a, b),
        Operator::NotContains => !has(a, b),
        Operator::In => has(b, a),
        Operator::NotIn => !has(b, a),
        Operator::Is => is_a(a, &b.display_text()),
        Operator::IsNot => !is_a(a, &b.display_text()),
        Operator::Replace | Operator::Join | Operator::Split => false,
    })
}

/// Evaluates `-is [type]`, by the type's name or accelerator.
fn is_a(value: &Value, name: &str) -> bool {
    let is = |short: &str| name.eq_ignore_ascii_case(short);
    if is("array") || is("object[]") {
        return value.items().is_some();
    }
    if is("object") {
        return *value != Value::Null;
    }
    let whole = full_name(name).unwrap_or(name);
    value.is_type(whole) || value.is_type(&format!("System.{whole}"))
}

/// Builds a regular expression from a .NET pattern.
pub fn pattern(text: &str, sensitive: bool) -> Result<Pattern, LineError> {
    if super::pattern::needs_dotnet(text) {
        return Err(LineError::script("A lookaround, backreference or other .NET construct in a pattern"));
    }
    let Translated { form, has_end, has_absolute_end } = super::pattern::translated(text);
    let regex = regex::RegexBuilder::new(&form).case_insensitive(!sensitive).build().map_err(|_| {
        LineError(format!("Invalid pattern '{text}': expected a regular expression (-like takes wildcards)."))
    })?;
    Ok(Pattern { regex, has_end, has_absolute_end })
}

/// Applies a function to a text, or to each text of a list.
fn each(value: &Value, of: impl Fn(&str) -> Result<String, LineError>) -> Result<Value, LineError> {
    match value.items() {
        Some(items) => {
            let done = items.iter().map(|item| of(&item.display_text()).map(Value::String));
            done.collect::<Result<Vec<_>, _>>().map(Value::array)
        }
        None => of(&value.display_text()).map(Value::String),
    }
}

fn replaced(word: NamedOperator, text: &str, with: &Value) -> Result<String, LineError> {
    let (wanted, instead) = match with.items() {
        Some([_, Value::ScriptBlock(_), ..]) => return Err(LineError::script("A script block in -replace")),
        Some([wanted, instead, ..]) => (wanted.display_text(), instead.display_text()),
        Some([wanted]) => (wanted.display_text(), String::new()),
        Some([]) => return Ok(text.to_owned()),
        None => (with.display_text(), String::new()),
    };
    let pattern = pattern(&wanted, word.sensitive)?;
    check_end(&pattern, text)?;
    Ok(super::pattern::replaced(&pattern.regex, text, &instead))
}

/// Refuses `$` and `\Z` for a text that ends with a line feed: in .NET, they also match before the line feed.
fn check_end(pattern: &Pattern, text: &str) -> Result<(), LineError> {
    if text.ends_with('\n') && pattern.has_end {
        return Err(LineError::script("The pattern '$' or '\\Z' on a text that ends with a line feed"));
    }
    Ok(())
}

/// Splits texts: `-split PATTERN, MAXIMUM, OPTIONS`. A negative maximum counts from the end.
fn split(word: NamedOperator, a: &Value, b: &Value) -> Result<Value, LineError> {
    let one = [b.clone()];
    let arguments = b.items().unwrap_or(&one);
    if matches!(arguments.first(), Some(Value::ScriptBlock(_))) {
        return Err(LineError::script("A script block in -split"));
    }
    let wanted = arguments.first().map(Value::display_text).unwrap_or_default();
    let most = match arguments.get(1) {
        None => 0,
        Some(most) => {
            let number = Number::convert(most).and_then(Number::rounded);
            number.ok_or_else(|| cannot_convert(most, "Int32"))?
        }
    };
    let mut is_simple = false;
    for option in arguments.get(2).map(Value::display_text).unwrap_or_default().split(',') {
        match option.trim().to_lowercase().as_str() {
            "" | "regexmatch" => {}
            "simplematch" => is_simple = true,
            _ => return Err(LineError::script(&format!("The option '{}' of -split", option.trim()))),
        }
    }
    let wanted = if is_simple { regex::escape(&wanted) } else { wanted };
    let pattern = pattern(&wanted, word.sensitive)?;
    let all = texts(a);
    all.iter().try_for_each(|text| check_end(&pattern, text))?;
    let parts = all.iter().flat_map(|text| super::pattern::split(&pattern.regex, text, most));
    Ok(Value::array(parts.map(Value::from)))
}

fn range(a: &Value, b: &Value) -> Result<Value, LineError> {
    let end = |value: &Value| {
        Number::convert(value).and_then(Number::rounded).ok_or_else(|| cannot_convert(value, "Int32"))
    };
    let (from, to) = (end(a)?, end(b)?);
    if from.abs_diff(to) >= LONGEST_RANGE.unsigned_abs() {
        return Err(LineError(format!("The console supports ranges of at most {LONGEST_RANGE} numbers.")));
    }
    let numbers: Vec<i64> = if from <= to { (from..=to).collect() } else { (to..=from).rev().collect() };
    Ok(Value::array(numbers.into_iter().map(integer)))
}

fn integer(number: i64) -> Value {
    i32::try_from(number).map_or(Value::I64(number), Value::I32)
}

fn arithmetic(operator: BinaryOperator, a: &Value, b: &Value) -> Result<Value, LineError> {
    match (operator, a) {
        (BinaryOperator::Add, Value::Null) => return Ok(b.clone()),
        (BinaryOperator::Add, Value::String(text)) => {
            return Ok(Value::String(text.clone() + &b.display_text()));
        }
        (BinaryOperator::Add, list) if list.items().is_some() => {
            let mut items = list.items().unwrap_or_default().to_vec();
            match b.items() {
                Some(more) => items.extend_from_slice(more),
                None => items.push(b.clone()),
            }
            return Ok(Value::array(items));
        }
        (BinaryOperator::Add | BinaryOperator::Subtract, _) => {
            if let Some(sum) = moment::sum(a, b, operator == BinaryOperator::Subtract) {
                return sum;
            }
        }
        _ => {}
    }
    let sign = match operator {
        BinaryOperator::Add => "+",
        BinaryOperator::Subtract => "-",
        BinaryOperator::Multiply => "*",
        BinaryOperator::Divide => "/",
        _ => "%",
    };
    let number = |value: &Value| match value {
        Value::Null => Some(Number::Int32(0)),
        Value::Bool(one) => Some(Number::Int32(i32::from(*one))),
        other => Number::convert(other),
    };
    let (Some(x), Some(y)) = (number(a), number(b)) else {
        let odd = if number(a).is_none() { a } else { b };
        if matches!(odd, Value::String(_)) {
            return Err(cannot_convert(odd, "Int32"));
        }
        let kind = |value: &Value| {
            value.type_names().first().map_or_else(|| "null".to_owned(), |name| (*name).to_owned())
        };
        return Err(LineError::script(&format!("'{sign}' between {} and {}", kind(a), kind(b))));
    };
    match x.compute(operator, y) {
        Ok(result) => Ok(result.into_value()),
        Err(Impossible::DivisionByZero) => Err(LineError("Attempted to divide by zero.".into())),
        Err(Impossible::Overflow) => {
            Err(LineError("Value was either too large or too small for a Decimal.".into()))
        }
    }
}

fn cannot_convert(value: &Value, kind: &str) -> LineError {
    let text = value.display_text();
    LineError(format!(
        "Cannot convert value \"{text}\" to type \"System.{kind}\". Error: \"The input string '{text}' was not in a correct format.\""
    ))
}
