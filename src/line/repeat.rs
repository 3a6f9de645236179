//! Repetition of texts and lists: `'x' * 3` and `(1, 2) * 2`.

use super::error::LineError;
use crate::psrp::clixml::Value;

/// Maximum number of letters or items of the result.
const MAX_RESULT_LENGTH: usize = 10_000_000;

/// Multiplies a text or a list; `None` if the left operand is neither.
pub fn repeated(what: &Value, times: &Value) -> Option<Result<Value, LineError>> {
    match (what, what.items()) {
        (Value::String(text), _) => {
            let times = count(times, text.len());
            Some(times.map(|times| Value::String(text.repeat(times))))
        }
        (_, Some(items)) => Some(
            count(times, items.len())
                .map(|times| Value::array(std::iter::repeat_n(items, times).flatten().cloned())),
        ),
        _ => None,
    }
}

fn count(times: &Value, length: usize) -> Result<usize, LineError> {
    let text = times.display_text();
    let number = match times.primitive() {
        Value::Null => Some(0.0),
        Value::Bool(one) => Some(f64::from(u8::from(*one))),
        Value::Object(_) => None,
        _ if text.trim().is_empty() => Some(0.0),
        _ => text.trim().parse::<f64>().ok().filter(|number| number.is_finite()),
    };
    let Some(number) = number.map(f64::round_ties_even) else {
        return Err(LineError(format!(
            "Cannot convert value \"{text}\" to type \"System.Int32\". Error: \"The input string '{text}' was not in a correct format.\""
        )));
    };
    if number < 0.0 {
        return Err(LineError(format!("times ('{text}') must be a non-negative value. (Parameter 'times')")));
    }
    let times = number as usize;
    if length.saturating_mul(times) > MAX_RESULT_LENGTH {
        return Err(LineError(format!(
            "Cannot repeat {text} times: the console supports at most {MAX_RESULT_LENGTH} letters or items."
        )));
    }
    Ok(times)
}
