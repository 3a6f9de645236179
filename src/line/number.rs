//! PowerShell's numbers: .NET's integers, `double` and `decimal`, each exact in its range (ParserOps,
//! LanguagePrimitives.Compare).

mod read;

use std::cmp::Ordering;

use rust_decimal::Decimal;
use rust_decimal::prelude::{FromPrimitive as _, ToPrimitive as _};

pub use read::read;

use super::syntax::BinaryOperator;
use crate::psrp::clixml::Value;

/// A number in a type that arithmetic can return. Smaller integers become `Int32`, and floats `Double`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    Int32(i32),
    UInt32(u32),
    Int64(i64),
    UInt64(u64),
    Double(f64),
    Decimal(Decimal),
}

/// Reason why a computation has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Impossible {
    DivisionByZero,
    Overflow,
}

impl Number {
    /// Returns the number of a numeric or enum value; `None` for text.
    pub fn of(value: &Value) -> Option<Self> {
        Some(match value.primitive() {
            Value::U8(n) => Self::Int32(i32::from(*n)),
            Value::I8(n) => Self::Int32(i32::from(*n)),
            Value::U16(n) => Self::Int32(i32::from(*n)),
            Value::I16(n) => Self::Int32(i32::from(*n)),
            Value::I32(n) => Self::Int32(*n),
            Value::U32(n) => Self::UInt32(*n),
            Value::I64(n) => Self::Int64(*n),
            Value::U64(n) => Self::UInt64(*n),
            Value::Single(n) => Self::Double(f64::from(*n)),
            Value::Double(n) => Self::Double(*n),
            Value::Decimal(text) => text
                .parse()
                .map_or_else(|_| text.parse().map(Self::Double).ok(), |n| Some(Self::Decimal(n)))?,
            _ => return None,
        })
    }

    /// Converts a value or its text to a number. Empty text is 0, as in PowerShell.
    pub fn convert(value: &Value) -> Option<Self> {
        match value.primitive() {
            Value::String(text) if text.trim().is_empty() => Some(Self::Int32(0)),
            Value::String(text) => Self::of(&read(text.trim())?),
            other => Self::of(other),
        }
    }

    /// Returns the integer, if the number is one.
    fn whole(self) -> Option<i128> {
        match self {
            Self::Int32(n) => Some(n.into()),
            Self::UInt32(n) => Some(n.into()),
            Self::Int64(n) => Some(n.into()),
            Self::UInt64(n) => Some(n.into()),
            Self::Double(_) | Self::Decimal(_) => None,
        }
    }

    pub fn as_f64(self) -> f64 {
        match self {
            Self::Double(n) => n,
            Self::Decimal(n) => n.to_f64().unwrap_or(f64::NAN),
            whole => whole.whole().unwrap_or_default() as f64,
        }
    }

    /// Rounds to the nearest integer, halves to even, as .NET converts.
    pub fn rounded(self) -> Option<i64> {
        match self {
            Self::Double(n) => n.is_finite().then(|| n.round_ties_even() as i64),
            Self::Decimal(n) => n.round().to_i64(),
            whole => whole.whole().and_then(|n| i64::try_from(n).ok()),
        }
    }

    /// Converts to a decimal; of a double, 15 significant digits count. `None` if out of range.
    pub fn as_decimal(self) -> Option<Decimal> {
        match self {
            Self::Decimal(n) => Some(n),
            Self::Double(n) => Decimal::from_f64(n),
            whole => whole.whole().and_then(Decimal::from_i128),
        }
    }

    pub fn into_value(self) -> Value {
        match self {
            Self::Int32(n) => Value::I32(n),
            Self::UInt32(n) => Value::U32(n),
            Self::Int64(n) => Value::I64(n),
            Self::UInt64(n) => Value::U64(n),
            Self::Double(n) => Value::Double(n),
            Self::Decimal(n) => Value::Decimal(n.to_string()),
        }
    }

    /// Compares by .NET's rules: integers exactly, as decimals if one number is a decimal, otherwise as doubles.
    pub fn compare(self, other: Self) -> Ordering {
        if let (Some(a), Some(b)) = (self.whole(), other.whole()) {
            return a.cmp(&b);
        }
        if matches!((self, other), (Self::Decimal(_), _) | (_, Self::Decimal(_)))
            && let (Some(a), Some(b)) = (self.as_decimal(), other.as_decimal())
        {
            return a.cmp(&b);
        }
        let (a, b) = (self.as_f64(), other.as_f64());
        a.partial_cmp(&b).unwrap_or_else(|| a.total_cmp(&b))
    }

    /// Compares for sorting, in a total order of numbers of all types: integers and decimals exactly.
    pub fn rank(self, other: Self) -> Ordering {
        let bound = |number: Self| {
            number.as_decimal().unwrap_or(if number.as_f64() > 0.0 { Decimal::MAX } else { Decimal::MIN })
        };
        let zero = |number: f64| if number == 0.0 { 0.0 } else { number };
        bound(self).cmp(&bound(other)).then_with(|| zero(self.as_f64()).total_cmp(&zero(other.as_f64())))
    }

    /// Computes `+`, `-`, `*`, `/` or `%`. Integers that overflow become doubles, as in PowerShell.
    pub fn compute(self, operator: BinaryOperator, other: Self) -> Result<Self, Impossible> {
        if matches!((self, other), (Self::Decimal(_), _) | (_, Self::Decimal(_))) {
            return self.compute_decimal(operator, other);
        }
        let (Some(a), Some(b)) = (self.whole(), other.whole()) else {
            return Ok(Self::Double(double(operator, self.as_f64(), other.as_f64())));
        };
        if b == 0 && matches!(operator, BinaryOperator::Divide | BinaryOperator::Remainder) {
            return Err(Impossible::DivisionByZero);
        }
        let exact = match operator {
            BinaryOperator::Add => a.checked_add(b),
            BinaryOperator::Subtract => a.checked_sub(b),
            BinaryOperator::Multiply => a.checked_mul(b),
            BinaryOperator::Divide => (a % b == 0).then(|| a / b),
            _ => Some(a % b),
        };
        let fits = exact.and_then(|exact| self.result_type(other).holding(exact));
        Ok(fits.unwrap_or_else(|| Self::Double(double(operator, a as f64, b as f64))))
    }

    fn compute_decimal(self, operator: BinaryOperator, other: Self) -> Result<Self, Impossible> {
        let (a, b) = self.as_decimal().zip(other.as_decimal()).ok_or(Impossible::Overflow)?;
        if b.is_zero() && matches!(operator, BinaryOperator::Divide | BinaryOperator::Remainder) {
            return Err(Impossible::DivisionByZero);
        }
        let result = match operator {
            BinaryOperator::Add => a.checked_add(b),
            BinaryOperator::Subtract => a.checked_sub(b),
            BinaryOperator::Multiply => a.checked_mul(b),
            BinaryOperator::Divide => a.checked_div(b),
            _ => a.checked_rem(b),
        };
        result.map(Self::Decimal).ok_or(Impossible::Overflow)
    }

    /// Returns a zero of the result type of two integers.
    fn result_type(self, other: Self) -> Self {
        let is_negative = |number: Self| number.whole().is_some_and(|n| n < 0);
        match (self, other) {
            (Self::Int32(_), Self::Int32(_)) => Self::Int32(0),
            (Self::UInt64(_), one) | (one, Self::UInt64(_)) if !is_negative(one) => Self::UInt64(0),
            (Self::UInt64(_), _) | (_, Self::UInt64(_)) => Self::Decimal(Decimal::ZERO),
            (Self::Int64(_), _) | (_, Self::Int64(_)) => Self::Int64(0),
            (one, two) if is_negative(one) || is_negative(two) => Self::Int64(0),
            _ => Self::UInt32(0),
        }
    }

    /// Converts `exact` to this number's type, if it fits.
    fn holding(self, exact: i128) -> Option<Self> {
        match self {
            Self::Int32(_) => i32::try_from(exact).ok().map(Self::Int32),
            Self::UInt32(_) => u32::try_from(exact).ok().map(Self::UInt32),
            Self::Int64(_) => i64::try_from(exact).ok().map(Self::Int64),
            Self::UInt64(_) => u64::try_from(exact).ok().map(Self::UInt64),
            Self::Decimal(_) => Decimal::from_i128(exact).map(Self::Decimal),
            Self::Double(_) => None,
        }
    }

    /// Formats with `places` digits after the decimal point (.NET's `F2`). Halves of a decimal are rounded away from
    /// zero, halves of a double to even.
    pub fn fixed(self, places: usize) -> String {
        let text = match self {
            Self::Double(n) if !n.is_finite() => return Value::Double(n).display_text(),
            Self::Double(n) => return format!("{n:.places$}"),
            Self::Decimal(n) => format!("{n:.*}", places.max(n.scale() as usize)),
            whole => format!("{}.{}", whole.whole().unwrap_or_default(), "0".repeat(places)),
        };
        round_text(&text, places)
    }
}

fn double(operator: BinaryOperator, a: f64, b: f64) -> f64 {
    match operator {
        BinaryOperator::Add => a + b,
        BinaryOperator::Subtract => a - b,
        BinaryOperator::Multiply => a * b,
        BinaryOperator::Divide => a / b,
        _ => a % b,
    }
}

/// Rounds the digits of a number's text to `places` digits after the decimal point, halves away from zero.
fn round_text(text: &str, places: usize) -> String {
    let (sign, text) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let up = fraction.as_bytes().get(places).is_some_and(|digit| *digit >= b'5');
    let mut digits: Vec<u8> = whole.bytes().chain(fraction.bytes().take(places)).collect();
    if up {
        let mut carry = true;
        for digit in digits.iter_mut().rev() {
            if !carry {
                break;
            }
            carry = *digit == b'9';
            *digit = if carry { b'0' } else { *digit + 1 };
        }
        if carry {
            digits.insert(0, b'1');
        }
    }
    let point = digits.len() - fraction.len().min(places);
    let text = |digits: &[u8]| String::from_utf8_lossy(digits).into_owned();
    let (whole, fraction) = digits.split_at(point);
    if places == 0 {
        return format!("{sign}{}", text(whole));
    }
    format!("{sign}{}.{:0<places$}", text(whole), text(fraction))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Number {
        Number::convert(&Value::from(text)).unwrap()
    }

    #[test]
    fn integers_and_decimals_are_exact() {
        for (a, operator, b, result) in [
            ("9007199254740993", BinaryOperator::Add, "1", Value::I64(9_007_199_254_740_994)),
            ("2147483647", BinaryOperator::Add, "1", Value::Double(2_147_483_648.0)),
            ("2147483648", BinaryOperator::Subtract, "1", Value::I64(2_147_483_647)),
            ("10l", BinaryOperator::Divide, "4", Value::Double(2.5)),
            ("10l", BinaryOperator::Divide, "5", Value::I64(2)),
            ("5u", BinaryOperator::Add, "1", Value::U32(6)),
            ("5ul", BinaryOperator::Add, "1", Value::U64(6)),
            ("0.1d", BinaryOperator::Add, "0.2d", Value::Decimal("0.3".into())),
            ("10d", BinaryOperator::Multiply, "1.10d", Value::Decimal("11.00".into())),
            ("1.5", BinaryOperator::Add, "1d", Value::Decimal("2.5".into())),
            ("-7", BinaryOperator::Remainder, "3", Value::I32(-1)),
        ] {
            let computed = number(a).compute(operator, number(b)).map(Number::into_value);
            assert_eq!(computed, Ok(result), "{a} {operator:?} {b}");
        }
        assert_eq!(number("1").compute(BinaryOperator::Divide, number("0")), Err(Impossible::DivisionByZero));
        assert!(number("9007199254740993").compare(number("9007199254740992")).is_gt());
        assert!(number("9007199254740993").compare(number("9007199254740992d")).is_gt());
        assert!(number("1.1").compare(number("1.1d")).is_eq());
        assert!(number("9007199254740993").rank(number("9007199254740992.0")).is_gt());
        assert!(number("1e-40").rank(number("0")).is_gt());
    }

    #[test]
    fn decimal_places_are_rounded_as_in_dotnet() {
        for (text, fixed) in [
            ("0.125", "0.12"),
            ("0.625", "0.62"),
            ("0.125d", "0.13"),
            ("1", "1.00"),
            ("-0.005", "-0.01"),
            ("-0.001", "-0.00"),
            ("9.999", "10.00"),
            ("1.5d", "1.50"),
            ("2.345d", "2.35"),
            ("1e20", "100000000000000000000.00"),
        ] {
            assert_eq!(number(text).fixed(2), fixed, "{text}");
        }
    }
}
