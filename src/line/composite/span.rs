//! Formats of a TimeSpan
//! (<https://learn.microsoft.com/dotnet/standard/base-types/custom-timespan-format-strings>).

use super::letters::by_letters;

/// Parts of a TimeSpan.
struct Span {
    negative: bool,
    days: u64,
    hours: u64,
    minutes: u64,
    seconds: u64,
    /// Fraction of the second, seven digits.
    ticks: u64,
}

impl Span {
    /// Parses the constant format: `-1.02:03:04.5000000`.
    fn read(text: &str) -> Option<Self> {
        let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (first, rest) = text.split_once(':')?;
        let (days, hours) = first.split_once('.').unwrap_or(("0", first));
        let (minutes, seconds) = rest.split_once(':')?;
        let (seconds, ticks) = seconds.split_once('.').unwrap_or((seconds, "0"));
        Some(Self {
            negative,
            days: days.parse().ok()?,
            hours: hours.parse().ok()?,
            minutes: minutes.parse().ok()?,
            seconds: seconds.parse().ok()?,
            ticks: ticks.parse().ok()?,
        })
    }
}

/// Formats a TimeSpan given in the constant format; `None` if the format does not exist.
pub fn format(text: &str, form: &str) -> Option<String> {
    let span = Span::read(text)?;
    let sign = if span.negative { "-" } else { "" };
    let Span { days, hours, minutes, seconds, ticks, .. } = span;
    Some(match form {
        "c" | "t" | "T" => text.to_owned(),
        "g" => {
            let days = if days > 0 { format!("{days}:") } else { String::new() };
            let fraction = format!("{ticks:07}");
            let fraction = fraction.trim_end_matches('0');
            let point = if fraction.is_empty() { "" } else { "." };
            format!("{sign}{days}{hours}:{minutes:02}:{seconds:02}{point}{fraction}")
        }
        "G" => format!("{sign}{days}:{hours:02}:{minutes:02}:{seconds:02}.{ticks:07}"),
        _ => return custom(&span, form),
    })
}

fn custom(span: &Span, form: &str) -> Option<String> {
    if form.chars().count() == 1 {
        return None;
    }
    by_letters(form, |letter, count, text| {
        text.push_str(&match (letter, count) {
            ('d', 1..=8) => format!("{:0>count$}", span.days),
            ('h', 1 | 2) => format!("{:0>count$}", span.hours),
            ('m', 1 | 2) => format!("{:0>count$}", span.minutes),
            ('s', 1 | 2) => format!("{:0>count$}", span.seconds),
            ('f', 1..=7) => format!("{:07}", span.ticks).get(..count)?.to_owned(),
            ('F', 1..=7) => format!("{:07}", span.ticks).get(..count)?.trim_end_matches('0').to_owned(),
            _ => return None,
        });
        Some(())
    })
}
