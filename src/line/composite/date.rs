//! Formats of dates
//! (<https://learn.microsoft.com/dotnet/standard/base-types/custom-date-and-time-format-strings>).

use chrono::{Datelike as _, Timelike as _};

use super::letters::by_letters;
use crate::line::moment::Moment;

/// Returns the offset of a zone.
fn offset(zone: &str) -> &str {
    match zone {
        "" | "Z" => "+00:00",
        zone => zone,
    }
}

/// Formats a date; `None` if the format does not exist.
pub fn format(text: &str, form: &str) -> Option<String> {
    let moment = Moment::of_wire(text)?;
    let date = if form == "U" { moment.utc() } else { moment };
    let mut letters = form.chars();
    let (Some(letter), None) = (letters.next(), letters.next()) else {
        return by_letters(form, |letter, count, text| part(&date, letter, count, text));
    };
    let whole = match letter {
        'd' => "MM/dd/yyyy",
        'D' => "dddd, dd MMMM yyyy",
        'f' => "dddd, dd MMMM yyyy HH:mm",
        'F' | 'U' => "dddd, dd MMMM yyyy HH:mm:ss",
        'g' => "MM/dd/yyyy HH:mm",
        'G' => "MM/dd/yyyy HH:mm:ss",
        'm' | 'M' => "MMMM dd",
        'o' | 'O' => "yyyy'-'MM'-'dd'T'HH':'mm':'ss'.'fffffffK",
        'r' | 'R' => "ddd, dd MMM yyyy HH':'mm':'ss 'GMT'",
        's' => "yyyy'-'MM'-'dd'T'HH':'mm':'ss",
        't' => "HH:mm",
        'T' => "HH:mm:ss",
        'u' => "yyyy'-'MM'-'dd HH':'mm':'ss'Z'",
        'y' | 'Y' => "yyyy MMMM",
        _ => return None,
    };
    by_letters(whole, |letter, count, text| part(&date, letter, count, text))
}

/// Formats a letter of a custom format string that is repeated `count` times.
fn part(date: &Moment, letter: char, count: usize, text: &mut String) -> Option<()> {
    let number = |number: u32, wide: usize| format!("{number:0>wide$}");
    let at = &date.at;
    // The fraction of the second in units of 100 ns.
    let ticks = at.nanosecond() / 100;
    let (_, hour) = at.hour12();
    let half = if at.hour() < 12 { "AM" } else { "PM" };
    let shown = match (letter, count) {
        ('d', 1 | 2) => number(at.day(), count),
        ('d', 3) => at.format("%a").to_string(),
        ('d', _) => at.format("%A").to_string(),
        ('M', 1 | 2) => number(at.month(), count),
        ('M', 3) => at.format("%b").to_string(),
        ('M', _) => at.format("%B").to_string(),
        ('y', 1 | 2) => format!("{:0>count$}", at.year().rem_euclid(100)),
        ('y', _) => format!("{:0>count$}", at.year()),
        ('h', _) => number(hour, count.min(2)),
        ('H', _) => number(at.hour(), count.min(2)),
        ('m', _) => number(at.minute(), count.min(2)),
        ('s', _) => number(at.second(), count.min(2)),
        ('f', 1..=7) => format!("{ticks:07}").get(..count)?.to_owned(),
        ('F', 1..=7) => {
            let digits = format!("{ticks:07}").get(..count)?.trim_end_matches('0').to_owned();
            // A point without digits is left out.
            if digits.is_empty() && text.ends_with('.') {
                text.pop();
            }
            digits
        }
        ('f' | 'F', _) => return None,
        ('t', 1) => half.get(..1)?.to_owned(),
        ('t', _) => half.to_owned(),
        ('g', _) => "A.D.".to_owned(),
        ('K', _) => date.zone.repeat(count),
        ('z', 1) => {
            let hours = offset(&date.zone).get(..3)?;
            format!("{}{}", hours.get(..1)?, hours.get(1..)?.strip_prefix('0').unwrap_or(hours.get(1..)?))
        }
        ('z', 2) => offset(&date.zone).get(..3)?.to_owned(),
        ('z', _) => offset(&date.zone).to_owned(),
        (other, count) => other.to_string().repeat(count),
    };
    text.push_str(&shown);
    Some(())
}
