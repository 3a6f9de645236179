//! Standard formats of numbers: a letter, and how many digits
//! (<https://learn.microsoft.com/dotnet/standard/base-types/standard-numeric-format-strings>).

use super::custom;
use crate::psrp::clixml::Value;

/// Digits that a format may ask for. .NET takes 999,999,999.
const MOST_DIGITS: usize = 1000;

/// A number as far as its formats tell types apart.
#[derive(Clone, Debug)]
pub enum Number {
    /// With its width in bits.
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

    /// With so many digits behind the point. Halves of floating numbers go to the even digit, those of
    /// exact ones away from zero.
    fn fixed(&self, places: usize) -> Decimal {
        match self {
            Self::Whole(number, _) => Decimal::of(*number).at(places),
            Self::Exact(number) => number.at(places),
            Self::Floating(number) => Decimal::parse(&format!("{number:.places$}")).unwrap_or_default(),
        }
    }

    /// One digit before the point, `places` behind it, and the exponent.
    fn scientific(&self, places: usize) -> (Decimal, i32) {
        let text = match self {
            Self::Floating(number) => format!("{number:.places$e}"),
            Self::Whole(number, _) => return Decimal::of(*number).scientific(places),
            Self::Exact(number) => return number.scientific(places),
        };
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        (Decimal::parse(mantissa).unwrap_or_default(), exponent.parse().unwrap_or(0))
    }

    /// All its digits: of a floating number the 15 that count in a custom format.
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
    pub fn of(number: i128) -> Self {
        let digits = number.unsigned_abs().to_string().bytes().map(|digit| digit - b'0').collect();
        Self { negative: number < 0, digits, scale: 0 }
    }

    /// `-12.50`
    pub fn parse(text: &str) -> Option<Self> {
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

    /// Times a power of ten.
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

    /// With so many digits behind the point, halves away from zero.
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
        // 9.99 has become 10.0.
        if mantissa.digits.len() - mantissa.scale > 1 {
            return (mantissa.scaled(-1).at(places), exponent + 1);
        }
        (mantissa, exponent)
    }

    /// The digits before the point, none where they are all zero, and those behind it.
    pub fn parts(&self) -> (String, String) {
        let mut digits = self.digits.clone();
        while digits.len() < self.scale {
            digits.insert(0, 0);
        }
        let fraction = digits.split_off(digits.len() - self.scale);
        let text = |digits: &[u8]| digits.iter().map(|digit| char::from(b'0' + digit)).collect::<String>();
        (text(&digits).trim_start_matches('0').to_owned(), text(&fraction))
    }

    fn plain(&self, grouped: bool) -> String {
        let (whole, fraction) = self.parts();
        let whole = if whole.is_empty() { "0".to_owned() } else { whole };
        let whole = if grouped { in_groups(&whole) } else { whole };
        if fraction.is_empty() { whole } else { format!("{whole}.{fraction}") }
    }
}

/// `1,234,567`
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

/// `None`: numbers of this type have no such format.
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

/// With its sign, which a zero of a floating number keeps.
fn signed(number: &Decimal, text: impl FnOnce(&Decimal) -> String) -> String {
    let shown = text(number);
    if number.negative { format!("-{shown}") } else { shown }
}

/// The shorter of fixed and scientific notation, with so many significant digits.
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
    if exponent >= widest || exponent < -5 {
        let mark = if letter.is_lowercase() { 'e' } else { 'E' };
        let sign = if exponent < 0 { '-' } else { '+' };
        return signed(&mantissa, |one| format!("{}{mark}{sign}{:02}", trimmed(one), exponent.abs()));
    }
    signed(&mantissa.scaled(exponent), trimmed)
}
