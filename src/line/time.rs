//! Dates and time spans with the semantics of .NET's DateTime and TimeSpan.

use chrono::{Datelike as _, NaiveDate, NaiveDateTime, Timelike as _};

/// Ticks of 100 ns in a second.
pub const SECOND: i128 = 10_000_000;
pub const DAY: i128 = 86_400 * SECOND;

/// Parses a date and time from the endpoint or the user. The zone is ignored, as in .NET's comparison.
pub fn date(text: &str) -> Option<NaiveDateTime> {
    parsed(text.trim()).filter(|date| is_date(*date))
}

/// Returns whether .NET's DateTime can represent a date: in the years 1 to 9999, and not in a leap second.
pub fn is_date(date: NaiveDateTime) -> bool {
    (1..=9999).contains(&date.year()) && date.nanosecond() < 1_000_000_000
}

fn parsed(text: &str) -> Option<NaiveDateTime> {
    if let Ok(zoned) = chrono::DateTime::parse_from_rfc3339(text) {
        return Some(zoned.naive_local());
    }
    let whole = [
        "%Y-%m-%dT%H:%M:%S%.f",
        "%Y-%m-%d %H:%M:%S%.f",
        "%Y-%m-%d %H:%M",
        "%m/%d/%Y %H:%M:%S",
        "%m/%d/%Y %H:%M",
    ];
    let days = ["%Y-%m-%d", "%m/%d/%Y"];
    whole.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok()).or_else(|| {
        days.iter().find_map(|form| NaiveDate::parse_from_str(text, form).ok())?.and_hms_opt(0, 0, 0)
    })
}

/// Returns a date's ticks since the year 1.
pub fn date_ticks(date: NaiveDateTime) -> i128 {
    let first = NaiveDate::from_ymd_opt(1, 1, 1).unwrap_or_default();
    let days = date.date().signed_duration_since(first).num_days();
    let seconds = date.time().num_seconds_from_midnight();
    i128::from(days) * DAY + i128::from(seconds) * SECOND + i128::from(date.nanosecond() / 100)
}

/// Parses a time span's ticks, from the wire (`P1DT2H3M4.5S`) or typed (`1.02:03:04.5`).
pub fn ticks(text: &str) -> Option<i128> {
    let (sign, bare) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let ticks = match bare.strip_prefix('P') {
        Some(duration) => duration_ticks(duration)?,
        None => typed_ticks(bare)?,
    };
    Some(sign * ticks)
}

fn duration_ticks(text: &str) -> Option<i128> {
    let mut total: i128 = 0;
    let mut number = String::new();
    for letter in text.chars() {
        let unit = match letter {
            '0'..='9' | '.' => {
                number.push(letter);
                continue;
            }
            'T' if number.is_empty() => continue,
            'D' => DAY,
            'H' => 3600 * SECOND,
            'M' => 60 * SECOND,
            'S' => SECOND,
            _ => return None,
        };
        total = total.checked_add(fraction(&number)?.checked_mul(unit)? / SECOND)?;
        number.clear();
    }
    number.is_empty().then_some(total)
}

/// Parses a number with a fraction and multiplies it by [`SECOND`].
fn fraction(text: &str) -> Option<i128> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let part = format!("{part:0<7}");
    let whole = if whole.is_empty() { 0 } else { whole.parse::<i128>().ok()? };
    whole.checked_mul(SECOND)?.checked_add(part.get(..7)?.parse().ok()?)
}

fn typed_ticks(text: &str) -> Option<i128> {
    let mut parts: Vec<&str> = text.split(':').collect();
    if parts.len() == 1 {
        return text.parse::<i128>().ok()?.checked_mul(DAY);
    }
    let first = parts.remove(0);
    let (days, hours) = first.split_once('.').unwrap_or(("0", first));
    let number = |text: &str| text.parse::<i128>().ok();
    let minutes = number(parts.first()?)?;
    let seconds = parts.get(1).map_or(Some(0), |seconds| fraction(seconds))?;
    (parts.len() <= 2).then_some(())?;
    [(number(days)?, DAY), (number(hours)?, 3600 * SECOND), (minutes, 60 * SECOND)]
        .into_iter()
        .try_fold(seconds, |sum, (count, unit)| sum.checked_add(count.checked_mul(unit)?))
}

/// Formats ticks as the xs:duration of a TimeSpan in CLIXML.
pub fn duration(ticks: i128) -> String {
    let (sign, rest) = if ticks < 0 { ("-", -ticks) } else { ("", ticks) };
    let (days, rest) = (rest / DAY, rest % DAY);
    let (seconds, part) = (rest / SECOND, rest % SECOND);
    let day = if days > 0 { format!("{days}D") } else { String::new() };
    let part = if part > 0 { format!(".{part:07}") } else { String::new() };
    format!("{sign}P{day}T{}H{}M{}{part}S", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_spans_are_read_in_iso_and_dotnet_form() {
        for (text, span) in [
            ("P1DT2H3M4.5S", 937_845_000_000),
            ("1.02:03:04.5", 937_845_000_000),
            ("-PT90S", -900_000_000),
            ("PT0.0000001S", 1),
            ("0:30", 18_000_000_000),
            ("PT0S", 0),
            ("2", 2 * DAY),
        ] {
            assert_eq!(ticks(text), Some(span), "{text}");
            assert_eq!(ticks(&duration(span)), Some(span), "{text}");
        }
        let digits = "9".repeat(38);
        for text in [&digits, &format!("{digits}:00"), &format!("1:{digits}"), &format!("P{digits}D")] {
            assert_eq!(ticks(text), None, "{text}");
        }
        assert_eq!(ticks("P1Y"), None);
        assert_eq!(ticks("soon"), None);
    }

    #[test]
    fn dates_convert_to_dotnet_ticks() {
        for text in ["0000-01-01", "+10000-01-01", "2016-12-31T23:59:60", "2016-12-31 23:59:60"] {
            assert_eq!(date(text), None, "{text}");
        }
        assert_eq!(date("2021-05-03").map(date_ticks), Some(637_555_968_000_000_000));
        assert_eq!(date("0001-01-01T00:00:00.0000001").map(date_ticks), Some(1));
    }
}
