//! Bitwise operators on integers: `-band`, `-bor`, `-bxor`, `-shl`, `-shr` and `-bnot`
//! (about_Arithmetic_Operators).

use super::error::LineError;
use super::syntax::BitwiseOperator;
use crate::psrp::clixml::Value;

/// An integer of a type that these operators support.
#[derive(Clone, Copy)]
enum Whole {
    I32(i32),
    I64(i64),
    U64(u64),
}

pub fn apply(operator: BitwiseOperator, a: &Value, b: &Value) -> Result<Value, LineError> {
    let name = match operator {
        BitwiseOperator::And => "op_BitwiseAnd",
        BitwiseOperator::Or => "op_BitwiseOr",
        BitwiseOperator::Xor => "op_ExclusiveOr",
        BitwiseOperator::ShiftLeft => "op_LeftShift",
        BitwiseOperator::ShiftRight => "op_RightShift",
    };
    let (a, b) = (Whole::read(a, name)?, Whole::read(b, name)?);
    Ok(match operator {
        BitwiseOperator::ShiftLeft | BitwiseOperator::ShiftRight => {
            a.shifted(operator == BitwiseOperator::ShiftLeft, b).value()
        }
        _ => combined(operator, a, b).value(),
    })
}

pub fn not(value: &Value) -> Result<Value, LineError> {
    Ok(match Whole::read(value, "op_OnesComplement")? {
        Whole::I32(number) => Whole::I32(!number),
        Whole::I64(number) => Whole::I64(!number),
        Whole::U64(number) => Whole::U64(!number),
    }
    .value())
}

/// Combines two integers; the result has the wider type.
fn combined(operator: BitwiseOperator, a: Whole, b: Whole) -> Whole {
    let bits = |a: i64, b: i64| match operator {
        BitwiseOperator::And => a & b,
        BitwiseOperator::Or => a | b,
        _ => a ^ b,
    };
    match (a, b) {
        // Both operands fit into 32 bits, and so does the result.
        (Whole::I32(a), Whole::I32(b)) => Whole::I32(bits(a.into(), b.into()) as i32),
        (Whole::U64(_), _) | (_, Whole::U64(_)) => Whole::U64(bits(a.bits(), b.bits()).cast_unsigned()),
        _ => Whole::I64(bits(a.bits(), b.bits())),
    }
}

impl Whole {
    /// Converts a value, rounding fractions. `operation` is for the error message.
    fn read(value: &Value, operation: &str) -> Result<Self, LineError> {
        let floating = |number: f64| Self::rounded(number).ok_or_else(|| too_large(&value.display_text()));
        match value.primitive() {
            Value::Null => Ok(Self::I32(0)),
            Value::Bool(one) => Ok(Self::I32(i32::from(*one))),
            Value::U64(number) => Ok(Self::U64(*number)),
            Value::Single(number) => floating(f64::from(*number)),
            Value::Double(number) => floating(*number),
            Value::Decimal(text) => text.parse().map_err(|_| too_large(text)).and_then(floating),
            Value::String(text) => Self::parse(text),
            other => {
                if let Some(number) = other.as_i64() {
                    Ok(Self::narrow(number))
                } else {
                    let kind = other.type_names().first().map_or("System.Object", |name| *name).to_owned();
                    Err(LineError(format!(
                        "Method invocation failed because [{kind}] does not contain a method named '{operation}'."
                    )))
                }
            }
        }
    }

    fn parse(text: &str) -> Result<Self, LineError> {
        let bare = text.trim();
        if bare.is_empty() {
            return Ok(Self::I32(0));
        }
        if let Ok(number) = bare.parse::<i64>() {
            return Ok(Self::narrow(number));
        }
        let starts = bare.starts_with(|one: char| one.is_ascii_digit() || "+-.".contains(one));
        bare.parse::<f64>().ok().filter(|_| starts).and_then(Self::rounded).ok_or_else(|| {
            LineError(format!(
                "Cannot convert value \"{text}\" to type \"System.Int32\". Error: \"The input string '{text}' was not in a correct format.\""
            ))
        })
    }

    /// Rounds halves to even (Convert.ToInt32).
    fn rounded(number: f64) -> Option<Self> {
        /// Int64.MaxValue + 1 and UInt64.MaxValue + 1.
        const I64_END: f64 = 9_223_372_036_854_775_808.0;
        const U64_END: f64 = 18_446_744_073_709_551_616.0;
        let number = number.round_ties_even();
        if (-I64_END..I64_END).contains(&number) {
            Some(Self::narrow(number as i64))
        } else {
            (I64_END..U64_END).contains(&number).then_some(Self::U64(number as u64))
        }
    }

    fn narrow(number: i64) -> Self {
        i32::try_from(number).map_or(Self::I64(number), Self::I32)
    }

    fn bits(self) -> i64 {
        match self {
            Self::I32(number) => number.into(),
            Self::I64(number) => number,
            Self::U64(number) => number.cast_signed(),
        }
    }

    /// Shifts by the lowest bits of `by`, as .NET does.
    fn shifted(self, left: bool, by: Self) -> Self {
        let places = |width: i64| (by.bits() & (width - 1)) as u32;
        match self {
            Self::I32(number) if left => Self::I32(number.wrapping_shl(places(32))),
            Self::I32(number) => Self::I32(number.wrapping_shr(places(32))),
            Self::I64(number) if left => Self::I64(number.wrapping_shl(places(64))),
            Self::I64(number) => Self::I64(number.wrapping_shr(places(64))),
            Self::U64(number) if left => Self::U64(number.wrapping_shl(places(64))),
            Self::U64(number) => Self::U64(number.wrapping_shr(places(64))),
        }
    }

    fn value(self) -> Value {
        match self {
            Self::I32(number) => Value::I32(number),
            Self::I64(number) => Value::I64(number),
            Self::U64(number) => Value::U64(number),
        }
    }
}

fn too_large(text: &str) -> LineError {
    LineError(format!(
        "Cannot convert value \"{text}\" to type \"System.UInt64\". Error: \"Arithmetic operation resulted in an overflow.\""
    ))
}
