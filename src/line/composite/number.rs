//! Numbers for formatting.

use crate::psrp::clixml::Value;

/// A number in one of the kinds that formats distinguish.
#[derive(Clone, Debug)]
pub enum Number {
    /// An integer and its width in bits.
    Whole(i128, u32),
    Exact(Decimal),
    Floating(f64),
}

/// A sign and decimal digits: `digits` × 10^-`scale`.
#[derive(Clone, Debug)]
pub struct Decimal {
    pub negative: bool,
    pub digits: Vec<u8>,
    pub scale: usize,
}

impl Number {
    pub fn read(value: &Value) -> Option<Self> {
        Some(match value {
            Value::U8(number) => Self::Whole((*number).into(), 8),
            Value::I8(number) => Self::Whole((*number).into(), 8),
            Value::U16(number) => Self::Whole((*number).into(), 16),
            Value::I16(number) => Self::Whole((*number).into(), 16),
            Value::U32(number) => Self::Whole((*number).into(), 32),
            Value::I32(number) => Self::Whole((*number).into(), 32),
            Value::U64(number) => Self::Whole((*number).into(), 64),
            Value::I64(number) => Self::Whole((*number).into(), 64),
            Value::Single(number) => Self::Floating((*number).into()),
            Value::Double(number) => Self::Floating(*number),
            Value::Decimal(text) => Self::Exact(Decimal::parse(text)?),
            _ => return None,
        })
    }

    /// Rounds to `places` digits after the decimal point. Halves of a floating-point number are rounded to even, halves
    /// of other numbers away from zero.
    pub fn fixed(&self, places: usize) -> Decimal {
        match self {
            Self::Whole(number, _) => Decimal::of(*number).at(places),
            Self::Exact(number) => number.at(places),
            Self::Floating(number) => Decimal::parse(&format!("{number:.places$}")).unwrap_or_default(),
        }
    }

    /// Returns the mantissa, with one digit before the decimal point and `places` after it, and the exponent.
    pub fn scientific(&self, places: usize) -> (Decimal, i32) {
        let text = match self {
            Self::Floating(number) => format!("{number:.places$e}"),
            Self::Whole(number, _) => return Decimal::of(*number).scientific(places),
            Self::Exact(number) => return number.scientific(places),
        };
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        (Decimal::parse(mantissa).unwrap_or_default(), exponent.parse().unwrap_or(0))
    }

    /// Returns all digits; of a floating-point number, the 15 significant digits that custom formats use.
    pub fn digits(&self) -> Decimal {
        match self {
            Self::Whole(number, _) => Decimal::of(*number),
            Self::Exact(number) => number.clone(),
            Self::Floating(number) => {
                let (mantissa, exponent) = Self::Floating(*number).scientific(14);
                mantissa.scaled(exponent)
            }
        }
    }
}

impl Default for Decimal {
    fn default() -> Self {
        Self { negative: false, digits: vec![0], scale: 0 }
    }
}

impl Decimal {
    fn of(number: i128) -> Self {
        let digits = number.unsigned_abs().to_string().bytes().map(|digit| digit - b'0').collect();
        Self { negative: number < 0, digits, scale: 0 }
    }

    /// Parses `-12.50`.
    fn parse(text: &str) -> Option<Self> {
        let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits: Option<Vec<u8>> = whole
            .chars()
            .chain(fraction.chars())
            .map(|letter| letter.to_digit(10).and_then(|digit| u8::try_from(digit).ok()))
            .collect();
        let digits = digits.filter(|digits| !digits.is_empty())?;
        Some(Self { negative, digits, scale: fraction.chars().count() })
    }

    pub fn is_zero(&self) -> bool {
        self.digits.iter().all(|digit| *digit == 0)
    }

    /// Multiplies by a power of ten.
    pub fn scaled(mut self, power: i32) -> Self {
        let steps = power.unsigned_abs() as usize;
        if power < 0 {
            self.scale += steps;
        } else if steps <= self.scale {
            self.scale -= steps;
        } else {
            self.digits.resize(self.digits.len() + steps - self.scale, 0);
            self.scale = 0;
        }
        self
    }

    /// Rounds to `places` digits after the point, halves away from zero.
    pub fn at(&self, places: usize) -> Self {
        let mut number = self.clone();
        if number.scale <= places {
            number.digits.resize(number.digits.len() + places - number.scale, 0);
            number.scale = places;
            return number;
        }
        let cut = number.scale - places;
        while number.digits.len() <= cut {
            number.digits.insert(0, 0);
        }
        let rest = number.digits.split_off(number.digits.len() - cut);
        number.scale = places;
        if rest.first().is_some_and(|digit| *digit >= 5) {
            let mut carry = true;
            for digit in number.digits.iter_mut().rev() {
                if !carry {
                    break;
                }
                carry = *digit == 9;
                *digit = if carry { 0 } else { *digit + 1 };
            }
            if carry {
                number.digits.insert(0, 1);
            }
        }
        number
    }

    fn scientific(&self, places: usize) -> (Self, i32) {
        let leading = self.digits.iter().take_while(|digit| **digit == 0).count();
        if leading == self.digits.len() {
            return (Self { negative: self.negative, ..Self::default() }.at(places), 0);
        }
        let digits = self.digits[leading..].to_vec();
        let before = i32::try_from(digits.len()).unwrap_or(i32::MAX) - 1;
        let exponent = before - i32::try_from(self.scale).unwrap_or(i32::MAX);
        let scale = digits.len() - 1;
        let mantissa = Self { negative: self.negative, digits, scale }.at(places);
        // Rounding carried, as from 9.99 to 10.0.
        if mantissa.digits.len() - mantissa.scale > 1 {
            return (mantissa.scaled(-1).at(places), exponent + 1);
        }
        (mantissa, exponent)
    }

    /// Returns the digits before the decimal point, empty if all are zero, and the digits after it.
    pub fn parts(&self) -> (String, String) {
        let mut digits = self.digits.clone();
        while digits.len() < self.scale {
            digits.insert(0, 0);
        }
        let fraction = digits.split_off(digits.len() - self.scale);
        let text = |digits: &[u8]| digits.iter().map(|digit| char::from(b'0' + digit)).collect::<String>();
        (text(&digits).trim_start_matches('0').to_owned(), text(&fraction))
    }

    pub fn plain(&self, grouped: bool) -> String {
        let (whole, fraction) = self.parts();
        let whole = if whole.is_empty() { "0".to_owned() } else { whole };
        let whole = if grouped { in_groups(&whole) } else { whole };
        if fraction.is_empty() { whole } else { format!("{whole}.{fraction}") }
    }
}

/// Groups digits: `1,234,567`.
pub fn in_groups(digits: &str) -> String {
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
