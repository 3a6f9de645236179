//! Custom formats of numbers: `#,##0.00`, `000`, `0%`, sections
//! (<https://learn.microsoft.com/dotnet/standard/base-types/custom-numeric-format-strings>).

use super::number::{Decimal, Number, in_groups};

/// One part of a section.
#[derive(Clone, Debug, PartialEq)]
enum Part {
    Zero,
    Digit,
    Point,
    Text(String),
    Exponent(Exponent),
}

/// `E+00`
#[derive(Clone, Debug, PartialEq)]
struct Exponent {
    letter: char,
    /// `+` also writes the sign of a positive exponent.
    sign: Option<char>,
    digits: usize,
}

/// A parsed section.
#[derive(Debug, Default)]
struct Section {
    parts: Vec<Part>,
    /// Digit placeholders before and after the decimal point.
    before: usize,
    behind: usize,
    grouped: bool,
    /// Commas right before the decimal point; each divides by a thousand.
    thousands: i32,
    /// Power of ten of percent and per mille signs.
    power: i32,
    is_scientific: bool,
}

pub fn format(number: &Number, form: &str) -> String {
    let sections = sections(form);
    let all = number.digits();
    let pick = |index: usize| sections.get(index).filter(|text| !text.is_empty());
    let first = sections.first().map_or("", String::as_str);
    let (chosen, hides_sign) = if all.is_zero() {
        (pick(2).map_or(first, String::as_str), false)
    } else if all.negative {
        pick(1).map_or((first, false), |text| (text.as_str(), true))
    } else {
        (first, false)
    };
    let mut section = Section::read(chosen);
    let mut rounded = section.rounded(&all);
    // A number that rounds to zero uses the section for zero.
    if rounded.is_zero() && !all.is_zero() && sections.len() > 2 {
        section = Section::read(pick(2).map_or(first, String::as_str));
        rounded = section.rounded(&all);
    }
    let shown = section.show(&rounded, &all);
    if all.negative && !hides_sign { format!("-{shown}") } else { shown }
}

/// Splits a format at semicolons outside of quotes.
fn sections(form: &str) -> Vec<String> {
    let mut all = vec![String::new()];
    let mut letters = form.chars();
    let mut quote = None;
    while let Some(letter) = letters.next() {
        match letter {
            ';' if quote.is_none() => {
                all.push(String::new());
                continue;
            }
            '\\' => {
                if let Some(last) = all.last_mut() {
                    last.push(letter);
                    last.extend(letters.next());
                }
                continue;
            }
            '\'' | '"' if quote == Some(letter) => quote = None,
            '\'' | '"' if quote.is_none() => quote = Some(letter),
            _ => {}
        }
        all.last_mut().into_iter().for_each(|last| last.push(letter));
    }
    all
}

impl Section {
    fn read(text: &str) -> Self {
        let mut section = Self::default();
        let letters: Vec<char> = text.chars().collect();
        let (mut at, mut has_point, mut commas) = (0, false, 0);
        while let Some(&letter) = letters.get(at) {
            at += 1;
            match letter {
                '0' | '#' => {
                    if has_point {
                        section.behind += 1;
                    } else {
                        section.before += 1;
                        section.grouped |= commas > 0 && section.before > 1;
                        commas = 0;
                    }
                    section.parts.push(if letter == '0' { Part::Zero } else { Part::Digit });
                }
                '.' if !has_point => {
                    has_point = true;
                    section.parts.push(Part::Point);
                }
                '.' => {}
                ',' if !has_point => commas += 1,
                ',' => {}
                '%' | '\u{2030}' => {
                    section.power += if letter == '%' { 2 } else { 3 };
                    section.text(letter);
                }
                'E' | 'e' => match Exponent::read(letter, &letters[at..]) {
                    Some(exponent) => {
                        at += exponent.digits + usize::from(exponent.sign.is_some());
                        section.is_scientific = true;
                        section.parts.push(Part::Exponent(exponent));
                    }
                    None => section.text(letter),
                },
                '\\' => {
                    if let Some(next) = letters.get(at) {
                        section.text(*next);
                        at += 1;
                    }
                }
                '\'' | '"' => {
                    while let Some(inner) = letters.get(at) {
                        at += 1;
                        if *inner == letter {
                            break;
                        }
                        section.text(*inner);
                    }
                }
                other => section.text(other),
            }
        }
        section.thousands = commas;
        section
    }

    fn text(&mut self, letter: char) {
        match self.parts.last_mut() {
            Some(Part::Text(text)) => text.push(letter),
            _ => self.parts.push(Part::Text(letter.to_string())),
        }
    }

    /// Returns the number scaled and rounded for this section. A section with an exponent rounds the mantissa later.
    fn rounded(&self, number: &Decimal) -> Decimal {
        if self.is_scientific {
            return number.clone();
        }
        number.clone().scaled(self.power - 3 * self.thousands).at(self.behind)
    }

    fn show(&self, rounded: &Decimal, all: &Decimal) -> String {
        let mut exponent = 0;
        let mut shown = rounded.clone();
        if self.is_scientific {
            (shown, exponent) = mantissa(all, self.before.max(1), self.behind);
        }
        let (whole, fraction) = shown.parts();
        let zeros = self
            .parts
            .iter()
            .take_while(|part| **part != Part::Point)
            .filter(|part| matches!(part, Part::Zero | Part::Digit))
            .skip_while(|part| **part == Part::Digit)
            .count();
        let whole = format!("{whole:0>zeros$}");
        let mut behind: Vec<Part> = Vec::new();
        let mut text = String::new();
        let (mut place, mut at_fraction) = (0, false);
        // Digits beyond the placeholders are written at the first placeholder.
        let lead = whole.len().saturating_sub(self.before);
        let grouped = in_groups(&whole);
        let mut before = String::new();
        for part in &self.parts {
            match part {
                Part::Zero | Part::Digit if !at_fraction => {
                    let missing = self.before.saturating_sub(whole.len());
                    let digits = if place == 0 && missing == 0 {
                        whole.get(..=lead).unwrap_or_default()
                    } else if place < missing {
                        ""
                    } else {
                        let from = if missing > 0 { place - missing } else { lead + place };
                        whole.get(from..=from).unwrap_or_default()
                    };
                    if self.grouped {
                        let done = before.chars().filter(char::is_ascii_digit).count() + digits.len();
                        let upto = end_of(&grouped, done);
                        let begun = end_of(&grouped, done - digits.len());
                        let piece = grouped.get(begun..upto).unwrap_or_default();
                        before.push_str(digits);
                        text.push_str(piece);
                    } else {
                        text.push_str(digits);
                    }
                    place += 1;
                }
                Part::Zero | Part::Digit => behind.push(part.clone()),
                Part::Point => {
                    if self.before == 0 {
                        text.push_str(&whole);
                    }
                    at_fraction = true;
                    let kept = self.fraction(&fraction);
                    if !kept.is_empty() {
                        text.push('.');
                        text.push_str(&kept);
                    }
                }
                Part::Text(inner) => text.push_str(inner),
                Part::Exponent(Exponent { letter, sign, digits }) => {
                    let sign = match exponent {
                        ..0 => "-",
                        _ if *sign == Some('+') => "+",
                        _ => "",
                    };
                    text.push_str(&format!("{letter}{sign}{:0>digits$}", exponent.abs()));
                }
            }
        }
        text
    }

    /// Formats the digits after the point, without trailing zeros at `#`.
    fn fraction(&self, digits: &str) -> String {
        let places = self.parts.iter().skip_while(|part| **part != Part::Point);
        let places: Vec<&Part> = places.filter(|part| matches!(part, Part::Zero | Part::Digit)).collect();
        let needed = places.iter().rposition(|part| **part == Part::Zero).map_or(0, |last| last + 1);
        let end = digits.trim_end_matches('0').len().max(needed);
        digits.get(..end).unwrap_or(digits).to_owned()
    }
}

/// Returns the byte offset after the given number of digits of a grouped number.
fn end_of(grouped: &str, digits: usize) -> usize {
    let mut seen = 0;
    for (at, letter) in grouped.char_indices() {
        if seen == digits {
            return at;
        }
        seen += usize::from(letter.is_ascii_digit());
    }
    grouped.len()
}

/// Scales a number to `before` digits before the point; returns it with its power of ten.
fn mantissa(number: &Decimal, before: usize, behind: usize) -> (Decimal, i32) {
    let (whole, fraction) = number.parts();
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_start_matches('0');
    if significant.is_empty() {
        return (Decimal::default().at(behind), 0);
    }
    let place = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    let first = place(whole.len()) - place(digits.len() - significant.len());
    let power = first - place(before);
    let scaled = number.clone().scaled(-power).at(behind);
    let (whole, _) = scaled.parts();
    if whole.len() > before { (scaled.scaled(-1).at(behind), power + 1) } else { (scaled, power) }
}

impl Exponent {
    /// Reads `+00` after the letter.
    fn read(letter: char, rest: &[char]) -> Option<Self> {
        let sign = rest.first().copied().filter(|one| matches!(one, '+' | '-'));
        let zeros = rest[usize::from(sign.is_some())..].iter().take_while(|one| **one == '0');
        let digits = zeros.count();
        (digits > 0).then_some(Self { letter, sign, digits })
    }
}
