//! XML Schema durations (`xs:duration`), without months and years, whose length is not fixed.

use std::time::Duration;

/// Parses `PT180.000S`, `PT3M`, `P0DT1H2M3S`.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let rest = text.trim().strip_prefix('P')?;
    let (days, time) = rest.split_once('T').unwrap_or((rest, ""));
    let days = components(days, &[('D', 86_400.0)])?;
    let time = components(time, &[('H', 3_600.0), ('M', 60.0), ('S', 1.0)])?;
    if rest.is_empty() || rest.ends_with('T') {
        return None;
    }
    Duration::try_from_secs_f64(days + time).ok()
}

/// Returns the sum of `text`'s numbers, each followed by a unit; units are in order, each at most once.
fn components(mut text: &str, units: &[(char, f64)]) -> Option<f64> {
    let mut sum = 0.0;
    for &(unit, seconds) in units {
        if let Some((number, rest)) = text.split_once(unit) {
            if !number.chars().all(|c| c.is_ascii_digit() || c == '.') {
                return None;
            }
            sum += number.parse::<f64>().ok()? * seconds;
            text = rest;
        }
    }
    text.is_empty().then_some(sum)
}

/// Formats seconds with three decimals, as WinRM does.
pub(super) fn format(duration: Duration) -> String {
    format!("PT{}.{:03}S", duration.as_secs(), duration.subsec_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_in_every_server_form() {
        for (text, seconds) in [
            ("PT3M", 180.0),
            ("PT180.000S", 180.0),
            ("P0DT1H2M3S", 3_723.0),
            ("P1D", 86_400.0),
            ("PT0.500S", 0.5),
        ] {
            assert_eq!(parse(text), Some(Duration::from_secs_f64(seconds)), "{text}");
        }
        for text in ["", "P", "PT", "3M", "PT-3M", "P1Y", "PT3M3M", "PTS", "PTxS", "PT1e999S"] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(format(Duration::from_millis(900_250)), "PT900.250S");
    }
}
