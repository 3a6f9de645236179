//! Numbers: `12`, `-3.5`, `0x1F`, `10mb`, `5l`.

use crate::line::syntax::Expr;
use crate::psrp::clixml::Value;

/// A whole word that is a number.
pub fn number(word: &str) -> Option<Expr> {
    let lower = word.to_lowercase();
    let (digits, times) = ["kb", "mb", "gb", "tb", "pb"]
        .iter()
        .zip([1_i64 << 10, 1 << 20, 1 << 30, 1 << 40, 1 << 50])
        .find_map(|(unit, times)| Some((lower.strip_suffix(unit)?, times)))
        .unwrap_or((lower.as_str(), 1));
    let bare = digits.trim_start_matches(['-', '+']);
    if let Some(hexadecimal) = bare.strip_prefix("0x") {
        let sign = if digits.starts_with('-') { -1 } else { 1 };
        return i64::from_str_radix(hexadecimal, 16).ok()?.checked_mul(sign)?.checked_mul(times).map(whole);
    }
    let first = bare.chars().next()?;
    if !first.is_ascii_digit() && first != '.' || digits.len() - bare.len() > 1 {
        return None;
    }
    let (long, short) = digits.strip_suffix('l').map_or((false, digits), |rest| (true, rest));
    if let Ok(number) = short.parse::<i64>() {
        let number = number.checked_mul(times)?;
        return Some(if long { Expr::Literal(Value::I64(number)) } else { whole(number) });
    }
    // `1e5` is a number; `1.2.3` and `12abc` are words.
    let number = digits.parse::<f64>().ok().filter(|number| number.is_finite())?;
    Some(Expr::Literal(Value::Double(number * times as f64)))
}

/// An Int32 where it fits.
fn whole(number: i64) -> Expr {
    Expr::Literal(i32::try_from(number).map_or(Value::I64(number), Value::I32))
}
