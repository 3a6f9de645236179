//! Members of .NET types that are not serialized, such as a date's year or a version's major number.

use chrono::{Datelike as _, NaiveDateTime, Timelike as _};

use super::inspect::{is_enum, named};
use super::time::{self, DAY, SECOND};
use crate::psrp::clixml::{Name, Value};

type Members = Vec<(&'static str, Value)>;

/// Returns a member of a value's type, by its case-insensitive name.
pub fn well_known(value: &Value, name: &str) -> Option<Value> {
    if is_enum(value) && name.eq_ignore_ascii_case("value__") {
        return Some(value.primitive().clone());
    }
    of_type(value).into_iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, one)| one)
}

/// Returns every property of a value, serialized or of its type, with its value.
pub fn properties(value: &Value) -> Vec<(Name, Value)> {
    let named = named(value);
    if !named.is_empty() {
        return named.into_iter().map(|(name, one)| (Name::clone(name), one.clone())).collect();
    }
    let added = value.as_object().map(|object| object.properties()).into_iter().flatten();
    let added = added.map(|(name, one)| (name.into(), one.clone()));
    added.chain(of_type(value).into_iter().map(|(name, one)| (name.into(), one))).collect()
}

/// Returns the members of a value's type, in .NET's order.
fn of_type(value: &Value) -> Members {
    if is_enum(value) {
        return vec![("Value", Value::String(value.display_text()))];
    }
    match value.primitive() {
        Value::String(text) => vec![("Length", count(text.encode_utf16().count()))],
        Value::DateTime(text) => time::date(text).map(|date| of_date(date, text)).unwrap_or_default(),
        Value::Duration(text) => time::ticks(text).map(of_span).unwrap_or_default(),
        Value::Version(text) => of_version(text),
        Value::Guid(id) => vec![
            ("Guid", Value::String(id.to_string())),
            ("Variant", Value::I32(i32::from(id.as_bytes()[8] >> 4))),
            ("Version", Value::I32(i32::from(id.as_bytes()[6] >> 4))),
        ],
        Value::Uri(text) => of_uri(text),
        _ => Vec::new(),
    }
}

fn count(number: usize) -> Value {
    Value::I32(i32::try_from(number).unwrap_or(i32::MAX))
}

/// Returns an Int32, or an Int64 if the number is out of the range of Int32.
fn int(number: i128) -> Value {
    i32::try_from(number).map_or_else(|_| long(number), Value::I32)
}

fn long(number: i128) -> Value {
    i64::try_from(number).map_or(Value::Double(number as f64), Value::I64)
}

/// Formats a date in the invariant culture in the long form, in which PowerShell shows a single date.
fn long_date(date: NaiveDateTime) -> String {
    date.format("%A, %d %B %Y %H:%M:%S").to_string()
}

/// Formats a single date: its date, its time, or both, by its DisplayHint.
pub fn date_text(value: &Value) -> String {
    let Value::DateTime(text) = value.primitive() else { return value.display_text() };
    let Some(date) = time::date(text) else { return text.clone() };
    match value.property("DisplayHint").map(Value::display_text).as_deref() {
        Some("Date") => date.format("%A, %d %B %Y").to_string(),
        Some("Time") => date.format("%H:%M:%S").to_string(),
        _ => long_date(date),
    }
}

fn of_date(date: NaiveDateTime, text: &str) -> Members {
    let weekday = i32::try_from(date.weekday().num_days_from_sunday()).unwrap_or_default();
    let weekday = Value::enumeration("System.DayOfWeek", &date.format("%A").to_string(), weekday);
    let time = text.split_once('T').map_or("", |(_, time)| time);
    let (kind, number) = match time {
        time if time.ends_with(['Z', 'z']) => ("Utc", 1),
        time if time.contains(['+', '-']) => ("Local", 2),
        _ => ("Unspecified", 0),
    };
    let zone = time.find(['+', '-', 'Z', 'z']).map_or("", |at| &time[at..]);
    let part = |number: u32| Value::I32(i32::try_from(number).unwrap_or_default());
    let nanosecond = date.nanosecond();
    let ticks = time::date_ticks(date);
    vec![
        ("DateTime", Value::String(long_date(date))),
        ("Date", Value::DateTime(format!("{}T00:00:00{zone}", date.format("%Y-%m-%d")))),
        ("Day", part(date.day())),
        ("DayOfWeek", weekday),
        ("DayOfYear", part(date.ordinal())),
        ("Hour", part(date.hour())),
        ("Kind", Value::enumeration("System.DateTimeKind", kind, number)),
        ("Millisecond", part(nanosecond / 1_000_000)),
        ("Microsecond", part(nanosecond / 1000 % 1000)),
        ("Nanosecond", part(nanosecond / 100 % 10 * 100)),
        ("Minute", part(date.minute())),
        ("Month", part(date.month())),
        ("Second", part(date.second())),
        ("Ticks", long(ticks)),
        ("TimeOfDay", Value::Duration(time::duration(ticks % DAY))),
        ("Year", Value::I32(date.year())),
    ]
}

fn of_span(ticks: i128) -> Members {
    let total = |unit: f64| Value::Double(ticks as f64 / unit);
    vec![
        ("Ticks", long(ticks)),
        ("Days", int(ticks / DAY)),
        ("Hours", int(ticks / (3600 * SECOND) % 24)),
        ("Milliseconds", int(ticks / 10_000 % 1000)),
        ("Microseconds", int(ticks / 10 % 1000)),
        ("Nanoseconds", int(ticks % 10 * 100)),
        ("Minutes", int(ticks / (60 * SECOND) % 60)),
        ("Seconds", int(ticks / SECOND % 60)),
        ("TotalDays", total(DAY as f64)),
        ("TotalHours", total(3600.0 * SECOND as f64)),
        ("TotalMilliseconds", total(10_000.0)),
        ("TotalMicroseconds", total(10.0)),
        ("TotalNanoseconds", total(0.01)),
        ("TotalMinutes", total(60.0 * SECOND as f64)),
        ("TotalSeconds", total(SECOND as f64)),
    ]
}

fn of_version(text: &str) -> Members {
    let parts: Vec<i64> = text.split('.').filter_map(|part| part.parse().ok()).collect();
    let part = |at: usize| parts.get(at).copied().unwrap_or(-1);
    let revision = part(3);
    vec![
        ("Major", int(part(0).into())),
        ("Minor", int(part(1).into())),
        ("Build", int(part(2).into())),
        ("Revision", int(revision.into())),
        ("MajorRevision", int((revision >> 16).into())),
        ("MinorRevision", int(i128::from(if revision < 0 { -1 } else { revision & 0xffff }))),
    ]
}

fn of_uri(text: &str) -> Members {
    let original = ("OriginalString", Value::from(text));
    let Ok(uri) = url::Url::parse(text) else {
        // A relative Uri has only these members in .NET.
        return vec![original, ("IsAbsoluteUri", Value::Bool(false)), ("UserEscaped", Value::Bool(false))];
    };
    let host = uri.host_str().unwrap_or_default();
    let port = uri.port_or_known_default();
    let authority = match uri.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    let after =
        |sign: &str, part: Option<&str>| part.map_or_else(String::new, |part| format!("{sign}{part}"));
    let query = after("?", uri.query());
    let kind = match uri.host() {
        Some(url::Host::Domain(_)) => ("Dns", 2),
        Some(url::Host::Ipv4(_)) => ("IPv4", 3),
        Some(url::Host::Ipv6(_)) => ("IPv6", 4),
        None => ("Basic", 1),
    };
    let user = match (uri.username(), uri.password()) {
        (user, Some(password)) => format!("{user}:{password}"),
        (user, None) => user.to_owned(),
    };
    let mut segments = vec![Value::from("/")];
    let parts: Vec<&str> = uri.path_segments().map(Iterator::collect).unwrap_or_default();
    for (at, part) in parts.iter().enumerate().filter(|(_, part)| !part.is_empty()) {
        let slash = if at + 1 < parts.len() { "/" } else { "" };
        segments.push(Value::String(format!("{part}{slash}")));
    }
    let is_loopback = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
    vec![
        ("AbsolutePath", uri.path().into()),
        ("AbsoluteUri", uri.as_str().into()),
        ("LocalPath", uri.path().into()),
        ("Authority", authority.into()),
        ("HostNameType", Value::enumeration("System.UriHostNameType", kind.0, kind.1)),
        ("IsDefaultPort", Value::Bool(uri.port().is_none())),
        ("IsFile", Value::Bool(uri.scheme() == "file")),
        ("IsLoopback", Value::Bool(is_loopback)),
        ("PathAndQuery", format!("{}{query}", uri.path()).into()),
        ("Segments", Value::strings(segments.iter().map(Value::display_text))),
        ("IsUnc", Value::Bool(false)),
        ("Host", host.into()),
        ("Port", Value::I32(port.map_or(-1, i32::from))),
        ("Query", query.into()),
        ("Fragment", after("#", uri.fragment()).into()),
        ("Scheme", uri.scheme().into()),
        original,
        ("DnsSafeHost", host.trim_matches(['[', ']']).into()),
        ("IdnHost", host.trim_matches(['[', ']']).into()),
        ("IsAbsoluteUri", Value::Bool(true)),
        ("UserEscaped", Value::Bool(false)),
        ("UserInfo", user.into()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seen in PowerShell 7.6.9.
    #[test]
    fn types_have_their_members() {
        let date = Value::DateTime("2021-05-03T10:20:30.1234567+02:00".into());
        let span = Value::Duration("P1DT2H3M4.5S".into());
        let version = Value::Version("1.2.3".into());
        let uri = Value::Uri("https://u@example.com:8080/a/b?c=d#e".into());
        let id = Value::Guid(uuid::Uuid::parse_str("12345678-1234-1234-1234-123456789012").unwrap());
        for (value, name, text) in [
            (&date, "year", "2021"),
            (&date, "DateTime", "Monday, 03 May 2021 10:20:30"),
            (&date, "Microsecond", "456"),
            (&date, "Nanosecond", "700"),
            (&date, "Ticks", "637556340301234567"),
            (&date, "TimeOfDay", "10:20:30.1234567"),
            (&date, "Date", "05/03/2021 00:00:00"),
            (&date, "DayOfWeek", "Monday"),
            (&date, "Kind", "Local"),
            (&span, "TotalHours", "26.05125"),
            (&span, "Milliseconds", "500"),
            (&span, "Days", "1"),
            (&version, "Build", "3"),
            (&version, "Revision", "-1"),
            (&uri, "Host", "example.com"),
            (&uri, "Authority", "example.com:8080"),
            (&uri, "PathAndQuery", "/a/b?c=d"),
            (&uri, "Segments", "/ a/ b"),
            (&uri, "UserInfo", "u"),
            (&uri, "Fragment", "#e"),
            (&id, "Variant", "1"),
            (&id, "Version", "1"),
            (&Value::from("äbc"), "Length", "3"),
        ] {
            assert_eq!(
                well_known(value, name).map(|one| one.display_text()).as_deref(),
                Some(text),
                "{name}"
            );
        }
        assert_eq!(properties(&version).len(), 6);
        assert_eq!(properties(&Value::I32(5)), []);
    }
}
