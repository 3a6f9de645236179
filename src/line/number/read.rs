//! Number literals: `12`, `1.5e3`, `0x1F`, `0b101`, `10mb`, `5l`, `1.10d`, `7us`
//! (about_Numeric_Literals; Tokenizer.TryGetNumberValue).

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;

use crate::psrp::clixml::{Content, Object, Value, type_names};

/// Multipliers of literals.
const UNITS: [(&str, i64); 5] =
    [("kb", 1 << 10), ("mb", 1 << 20), ("gb", 1 << 30), ("tb", 1 << 40), ("pb", 1 << 50)];

/// Type suffixes of literals.
const SUFFIXES: [&str; 9] = ["ul", "us", "uy", "u", "l", "s", "y", "d", "n"];

/// Parses a text that is one number, with or without a sign.
pub fn read(text: &str) -> Option<Value> {
    let (negative, bare) = match text.strip_prefix(['-', '\u{2013}', '\u{2014}', '\u{2015}']) {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = bare.to_ascii_lowercase();
    let unit = |(unit, times): &(&str, i64)| Some((lower.strip_suffix(unit)?, *times));
    let (digits, times) = UNITS.iter().find_map(unit).unwrap_or((lower.as_str(), 1));
    for (prefix, radix, bits) in [("0x", 16, 4), ("0b", 2, 1)] {
        if let Some(rest) = digits.strip_prefix(prefix) {
            let (rest, suffix) = suffixed(rest, |suffix| suffix != "d");
            let Bits { whole, is_long } = Bits::read(rest, radix, bits)?;
            let suffix = if is_long && suffix.is_empty() { "l" } else { suffix };
            let whole = whole.checked_mul(times.into())?;
            return whole_of(if negative { -whole } else { whole }, suffix);
        }
    }
    let (digits, suffix) = suffixed(digits, |_| true);
    if !digits.is_empty() && digits.bytes().all(|one| one.is_ascii_digit()) {
        let whole = digits.parse::<i128>().ok().and_then(|whole| whole.checked_mul(times.into()));
        return match whole {
            Some(whole) => whole_of(if negative { -whole } else { whole }, suffix),
            None => real(digits, times, negative, suffix),
        };
    }
    real(digits, times, negative, suffix)
}

fn suffixed(digits: &str, allowed: impl Fn(&str) -> bool) -> (&str, &'static str) {
    let found = SUFFIXES.into_iter().filter(|suffix| allowed(suffix));
    found.into_iter().find_map(|one| Some((digits.strip_suffix(one)?, one))).unwrap_or((digits, ""))
}

/// A number of base 16 or 2.
struct Bits {
    whole: i128,
    /// Whether the number is a negative Int64, which stays an Int64 if it has no suffix.
    is_long: bool,
}

impl Bits {
    /// Parses digits of `bits` bits each. Digits that fill an integer type are a two's complement: `0xFFFFFFFF` is -1.
    fn read(digits: &str, radix: u32, bits: usize) -> Option<Self> {
        if digits.is_empty() {
            return Some(Self { whole: 0, is_long: false });
        }
        let whole = i128::try_from(u128::from_str_radix(digits, radix).ok()?).ok()?;
        let width = digits.len() * bits;
        let has_sign = if radix == 16 { matches!(width, 32 | 64) } else { matches!(width, 8 | 16 | 32 | 64) };
        let is_negative = has_sign && whole >> (width - 1) == 1;
        let whole = if is_negative { whole - (1 << width) } else { whole };
        Some(Self { whole, is_long: is_negative && width == 64 })
    }
}

/// Returns an integer in the type of its suffix, or in the first type that holds it.
fn whole_of(whole: i128, suffix: &str) -> Option<Value> {
    let decimal = || Decimal::try_from_i128_with_scale(whole, 0).ok().map(|n| Value::Decimal(n.to_string()));
    match suffix {
        "" => i32::try_from(whole)
            .map(Value::I32)
            .or_else(|_| i64::try_from(whole).map(Value::I64))
            .ok()
            .or_else(decimal)
            .or(Some(Value::Double(whole as f64))),
        "l" => i64::try_from(whole).ok().map(Value::I64),
        "u" => u32::try_from(whole).map(Value::U32).or_else(|_| u64::try_from(whole).map(Value::U64)).ok(),
        "ul" => u64::try_from(whole).ok().map(Value::U64),
        "s" => i16::try_from(whole).ok().map(Value::I16),
        "us" => u16::try_from(whole).ok().map(Value::U16),
        "y" => i8::try_from(whole).ok().map(Value::I8),
        "uy" => u8::try_from(whole).ok().map(Value::U8),
        "d" => decimal(),
        _ => Some(big(whole)),
    }
}

/// Returns a BigInteger, which has no CLIXML primitive.
fn big(whole: i128) -> Value {
    Object {
        type_names: type_names(["System.Numerics.BigInteger", "System.ValueType", "System.Object"]),
        to_string: Some(whole.to_string()),
        content: Content::None,
        ..Object::default()
    }
    .into()
}

/// Parses a number with a point or an exponent, or outside of the integer range.
fn real(digits: &str, times: i64, negative: bool, suffix: &str) -> Option<Value> {
    let (mantissa, exponent) = digits.split_once('e').map_or((digits, None), |(a, b)| (a, Some(b)));
    let (before, after) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all_digits = |text: &str| text.bytes().all(|one| one.is_ascii_digit());
    let is_exponent = |text: &str| {
        let text = text.strip_prefix(['+', '-']).unwrap_or(text);
        !text.is_empty() && all_digits(text)
    };
    let is_number = all_digits(before) && all_digits(after) && !(before.is_empty() && after.is_empty());
    if !is_number || !exponent.is_none_or(is_exponent) {
        return None;
    }
    let signed = |number: f64| if negative { -number } else { number };
    if suffix == "d" {
        let plain = mantissa.strip_suffix('.').unwrap_or(mantissa);
        let number = match exponent {
            Some(exponent) => Decimal::from_scientific(&format!("{plain}e{exponent}")).ok()?,
            None => Decimal::from_str_exact(plain).ok()?,
        };
        let number = number.checked_mul(Decimal::from(times))?;
        return Some(Value::Decimal((if negative { -number } else { number }).to_string()));
    }
    let number = signed(digits.parse::<f64>().ok()? * times as f64);
    match suffix {
        "" => Some(Value::Double(number)),
        suffix => whole_of(number.round_ties_even().to_i128()?, suffix),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seen in PowerShell 7.6.9.
    #[test]
    fn literals_have_powershells_types() {
        for (text, value) in [
            ("12", Value::I32(12)),
            ("0049301234", Value::I32(49_301_234)),
            ("-5", Value::I32(-5)),
            ("-2147483648", Value::I32(i32::MIN)),
            ("2147483648", Value::I64(2_147_483_648)),
            ("9223372036854775808", Value::Decimal("9223372036854775808".into())),
            ("99999999999999999999999999999", Value::Double(1e29)),
            ("1.10", Value::Double(1.1)),
            (".5", Value::Double(0.5)),
            ("1.", Value::Double(1.0)),
            ("1e3", Value::Double(1000.0)),
            ("1E-3", Value::Double(0.001)),
            ("1e400", Value::Double(f64::INFINITY)),
            ("0x1F", Value::I32(31)),
            ("0xFFFFFFFF", Value::I32(-1)),
            ("0xFFFFFFFFFFFFFFFF", Value::I64(-1)),
            ("-0x10", Value::I32(-16)),
            ("0b101", Value::I32(5)),
            ("0b11111111", Value::I32(-1)),
            ("1kb", Value::I32(1024)),
            ("1.5kb", Value::Double(1536.0)),
            ("5gb", Value::I64(5_368_709_120)),
            ("5d", Value::Decimal("5".into())),
            ("1.0d", Value::Decimal("1.0".into())),
            ("1e3d", Value::Decimal("1000".into())),
            ("5dkb", Value::Decimal("5120".into())),
            ("10l", Value::I64(10)),
            ("0x10l", Value::I64(16)),
            ("5lkb", Value::I64(5120)),
            ("1.50l", Value::I64(2)),
            ("2.5l", Value::I64(2)),
            ("5u", Value::U32(5)),
            ("5ul", Value::U64(5)),
            ("5y", Value::I8(5)),
            ("5uy", Value::U8(5)),
            ("5s", Value::I16(5)),
            ("5us", Value::U16(5)),
        ] {
            assert_eq!(read(text), Some(value), "{text}");
        }
        for text in [
            "", "-", "+", ".", "..", "1_000", "1.2.3", "12abc", "1e", "0xZZ", "1eb", "5kbl", "1dl", "1ld",
            "1f", "NaN", "inf", "--5", "+-5", "100%", "1..3", "1 2", "٣", "300uy", "0x1F.5",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
