//! Standard formats of numbers: a letter and a number of digits
//! (<https://learn.microsoft.com/dotnet/standard/base-types/standard-numeric-format-strings>).

use super::custom;
use super::number::{Decimal, Number};
use crate::psrp::clixml::Value;

/// Maximum number of digits of a format. .NET allows 999,999,999.
const MOST_DIGITS: usize = 1000;

/// Formats a number; `None` if its type does not have the format.
pub fn format(number: &Number, form: &str) -> Option<String> {
    if let Number::Floating(one) = number
        && !one.is_finite()
    {
        return Some(Value::Double(*one).display_text());
    }
    let mut letters = form.chars();
    let letter = letters.next()?;
    let rest = letters.as_str();
    if !letter.is_ascii_alphabetic() || rest.len() > 4 || !rest.bytes().all(|digit| digit.is_ascii_digit()) {
        return Some(custom::format(number, form));
    }
    let precision: Option<usize> = if rest.is_empty() { None } else { rest.parse().ok() };
    let precision = precision.filter(|digits| *digits <= MOST_DIGITS);
    if precision.is_none() && !rest.is_empty() {
        return None;
    }
    let places = precision.unwrap_or(2);
    match letter.to_ascii_uppercase() {
        'N' => Some(signed(&number.fixed(places), |one| one.plain(true))),
        'F' => Some(signed(&number.fixed(places), |one| one.plain(false))),
        'P' => {
            let hundred = match number {
                Number::Floating(_) => number.fixed(places + 2).scaled(2).at(places),
                exact => exact.digits().scaled(2).at(places),
            };
            Some(signed(&hundred, |one| format!("{} %", one.plain(true))))
        }
        'C' => {
            let fixed = number.fixed(places);
            let text = format!("\u{a4}{}", fixed.plain(true));
            Some(if fixed.negative { format!("({text})") } else { text })
        }
        'E' => {
            let (mantissa, exponent) = number.scientific(precision.unwrap_or(6));
            Some(signed(&mantissa, |one| {
                let sign = if exponent < 0 { '-' } else { '+' };
                format!("{}{letter}{sign}{:03}", one.plain(false), exponent.abs())
            }))
        }
        'G' | 'R' => Some(general(number, precision.filter(|_| !matches!(letter, 'R' | 'r')), letter)),
        'D' => match number {
            Number::Whole(one, _) => {
                let digits = format!("{:0>wide$}", one.unsigned_abs(), wide = precision.unwrap_or(0));
                Some(if *one < 0 { format!("-{digits}") } else { digits })
            }
            _ => None,
        },
        'X' | 'B' => match number {
            Number::Whole(one, width) => {
                let bits = one & ((1_i128 << width) - 1);
                let wide = precision.unwrap_or(0);
                Some(match letter {
                    'X' => format!("{bits:0>wide$X}"),
                    'x' => format!("{bits:0>wide$x}"),
                    _ => format!("{bits:0>wide$b}"),
                })
            }
            _ => None,
        },
        _ => None,
    }
}

/// Adds the sign, which a floating-point zero keeps.
fn signed(number: &Decimal, text: impl FnOnce(&Decimal) -> String) -> String {
    let shown = text(number);
    if number.negative { format!("-{shown}") } else { shown }
}

/// Formats in the shorter of fixed and scientific notation with `precision` significant digits.
fn general(number: &Number, precision: Option<usize>, letter: char) -> String {
    let Some(precision) = precision.filter(|digits| *digits > 0) else {
        return match number {
            Number::Whole(one, _) => one.to_string(),
            Number::Exact(one) => signed(one, |one| one.plain(false)),
            Number::Floating(one) => Value::Double(*one).display_text(),
        };
    };
    let (mantissa, exponent) = number.scientific(precision - 1);
    let widest = i32::try_from(precision).unwrap_or(i32::MAX);
    let trimmed = |number: &Decimal| {
        let text = number.plain(false);
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
    };
    if exponent >= widest || exponent < -4 {
        let mark = if letter.is_lowercase() { 'e' } else { 'E' };
        let sign = if exponent < 0 { '-' } else { '+' };
        return signed(&mantissa, |one| format!("{}{mark}{sign}{:02}", trimmed(one), exponent.abs()));
    }
    signed(&mantissa.scaled(exponent), trimmed)
}
