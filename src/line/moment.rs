//! Dates with their zone, as CLIXML has them, and the arithmetic of dates and time spans.

use chrono::{DateTime, Local, NaiveDateTime, TimeDelta, TimeZone as _, Timelike as _};

use super::error::LineError;
use super::time::{SECOND, date, date_ticks, duration, is_date, ticks};
use crate::psrp::clixml::Value;

/// Wall time and its zone: `Z`, `+02:00`, or empty.
pub struct Moment {
    pub at: NaiveDateTime,
    pub zone: String,
}

impl Moment {
    pub fn local(at: DateTime<Local>) -> Self {
        Self { at: at.naive_local(), zone: at.format("%:z").to_string() }
    }

    /// Parses an xs:dateTime.
    pub fn of_wire(text: &str) -> Option<Self> {
        let time = text.find('T')?;
        let end = text[time..].find(['Z', '+', '-']).map_or(text.len(), |at| time + at);
        Some(Self { at: date(&text[..end])?, zone: text[end..].to_owned() })
    }

    /// Formats as xs:dateTime.
    pub fn wire(&self) -> String {
        let ticks = format!("{:07}", self.at.nanosecond() / 100);
        let ticks = ticks.trim_end_matches('0');
        let point = if ticks.is_empty() { "" } else { "." };
        format!("{}{point}{ticks}{}", self.at.format("%Y-%m-%dT%H:%M:%S"), self.zone)
    }

    /// Returns whether the zone is that of the system at this time.
    fn is_local(&self) -> bool {
        let known = Local.from_local_datetime(&self.at);
        [known.earliest(), known.latest()].into_iter().flatten().any(|at| Self::local(at).zone == self.zone)
    }

    /// Returns another time of the same zone. A local time can have another offset then (daylight saving time).
    pub fn moved(self, at: NaiveDateTime) -> Self {
        if at != self.at
            && self.is_local()
            && let Some(at) = Local.from_local_datetime(&at).earliest()
        {
            return Self::local(at);
        }
        Self { at, ..self }
    }

    /// Converts to UTC. A time without a zone is local.
    pub fn utc(&self) -> Self {
        let at = match self.zone.as_str() {
            "" => Local.from_local_datetime(&self.at).earliest().map(|at| at.naive_utc()),
            "Z" => Some(self.at),
            zone => zone.parse().ok().and_then(|zone| self.at.checked_sub_offset(zone)),
        };
        Self { at: at.unwrap_or(self.at), zone: "Z".to_owned() }
    }

    /// Adds ticks of 100 ns.
    fn plus(self, ticks: i128) -> Option<Self> {
        let seconds = i64::try_from(ticks.div_euclid(SECOND)).ok()?;
        let rest = u32::try_from(ticks.rem_euclid(SECOND) * 100).ok()?;
        let at = self.at.checked_add_signed(TimeDelta::new(seconds, rest)?).filter(|at| is_date(*at))?;
        Some(self.moved(at))
    }
}

/// Adds `b` to `a`, or subtracts it. `None` if .NET has no such sum of these types. As in .NET, the zones of two dates do
/// not count.
pub fn sum(a: &Value, b: &Value, subtracts: bool) -> Option<Result<Value, LineError>> {
    let signed = |ticks: i128| if subtracts { -ticks } else { ticks };
    let span = |ticks: i128| match i64::try_from(ticks) {
        Ok(_) => Ok(Value::Duration(duration(ticks))),
        Err(_) => Err(LineError("TimeSpan overflowed because the duration is too long.".into())),
    };
    match (a.primitive(), b.primitive()) {
        (Value::DateTime(a), Value::DateTime(b)) if subtracts => {
            Some(span(date_ticks(date(a)?) - date_ticks(date(b)?)))
        }
        (Value::DateTime(a), Value::Duration(b)) => {
            let sum = Moment::of_wire(a)?.plus(signed(ticks(b)?));
            Some(sum.map(|sum| Value::DateTime(sum.wire())).ok_or_else(|| {
                LineError("The added or subtracted value results in an un-representable DateTime.".into())
            }))
        }
        (Value::Duration(a), Value::Duration(b)) => Some(span(ticks(a)?.checked_add(signed(ticks(b)?))?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seen in PowerShell 7.6.9.
    #[test]
    fn dates_and_time_spans_are_added_and_subtracted() {
        let value = |text: &str| {
            if text.contains('P') { Value::Duration(text.into()) } else { Value::DateTime(text.into()) }
        };
        for (a, sign, b, result) in [
            ("2021-05-03T12:00:00", '-', "2021-05-01T00:00:00", Some("P2DT12H0M0S")),
            ("2021-05-01T00:00:00Z", '-', "2021-05-03T00:00:00", Some("-P2DT0H0M0S")),
            ("2021-05-03T00:00:00Z", '-', "P1DT2H", Some("2021-05-01T22:00:00Z")),
            ("2021-05-03T00:00:00", '+', "PT0.0000001S", Some("2021-05-03T00:00:00.0000001")),
            ("P1DT2H", '+', "PT90S", Some("P1DT2H1M30S")),
            ("PT0S", '-', "P1D", Some("-P1DT0H0M0S")),
            ("9999-12-31T00:00:00", '+', "P2D", None),
            ("P10000000D", '+', "P10000000D", None),
        ] {
            let sum = sum(&value(a), &value(b), sign == '-').expect("types with a sum");
            assert_eq!(sum.ok(), result.map(value), "{a} {sign} {b}");
        }
        let date = value("2021-05-03T00:00:00");
        assert!(sum(&date, &date, false).is_none());
        assert!(sum(&value("P1D"), &date, false).is_none());
        assert!(sum(&date, &Value::I32(1), true).is_none());
    }
}
