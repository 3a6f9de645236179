//! Get-Date: the current or a given date, as an object or a formatted text.

use chrono::{
    DateTime, Datelike as _, Local, Months, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Timelike as _,
};

use super::bind::{BoundParameters, Parameter, ParameterKind};
use super::each::{Each, Stage};
use crate::line::composite::date_text;
use crate::line::error::LineError;
use crate::line::moment::Moment;
use crate::line::time;
use crate::psrp::clixml::{Content, Object, Value, type_names};

pub const PARAMETERS: [Parameter; 12] = [
    ("Date", ParameterKind::Positional),
    ("UnixTimeSeconds", ParameterKind::Named),
    ("Year", ParameterKind::Named),
    ("Month", ParameterKind::Named),
    ("Day", ParameterKind::Named),
    ("Hour", ParameterKind::Named),
    ("Minute", ParameterKind::Named),
    ("Second", ParameterKind::Named),
    ("Millisecond", ParameterKind::Named),
    ("DisplayHint", ParameterKind::Named),
    ("Format", ParameterKind::Named),
    ("AsUTC", ParameterKind::Switch),
];

/// Formats of a date with a time, in addition to those of [`time::date`].
const WHOLE: [&str; 8] = [
    "%m/%d/%Y %I:%M:%S %p",
    "%m/%d/%Y %I:%M %p",
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d %H:%M",
    "%Y-%m-%dT%H:%M",
    "%A, %d %B %Y %H:%M:%S",
    "%d %B %Y %H:%M:%S",
    "%d %B %Y %H:%M",
];
/// Formats of a date without a time.
const DAYS: [&str; 6] = ["%Y/%m/%d", "%d %B %Y", "%B %d, %Y", "%B %d %Y", "%A, %d %B %Y", "%d-%b-%Y"];
/// Formats of a time.
const TIMES: [&str; 4] = ["%H:%M:%S%.f", "%H:%M", "%I:%M:%S %p", "%I:%M %p"];

/// Parses a date, or a time of today. A text with a zone is converted to local time, as in .NET.
fn parse(text: &str) -> Option<Moment> {
    let text = text.trim();
    if let Ok(zoned) = DateTime::parse_from_rfc3339(text) {
        return Some(Moment::local(zoned.with_timezone(&Local)));
    }
    let today = || Local::now().date_naive();
    let at = time::date(text)
        .or_else(|| WHOLE.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok()))
        .or_else(|| {
            let day = DAYS.iter().find_map(|form| NaiveDate::parse_from_str(text, form).ok())?;
            day.and_hms_opt(0, 0, 0)
        })
        .or_else(|| {
            let time = TIMES.iter().find_map(|form| NaiveTime::parse_from_str(text, form).ok())?;
            Some(today().and_time(time))
        })
        .filter(|at| time::is_date(*at))?;
    Some(Moment { at, zone: String::new() })
}

/// Converts a time of the file system to a value.
pub fn file_time(time: std::time::SystemTime) -> Value {
    Value::DateTime(Moment::local(DateTime::<Local>::from(time)).wire())
}

/// Returns the current time.
pub fn now() -> Value {
    Value::DateTime(Moment::local(Local::now()).wire())
}

/// Returns the date that the arguments describe; `input` takes the place of -Date.
pub fn date(bound: &BoundParameters, input: Option<&Value>) -> Result<Value, LineError> {
    let mut moment = match (bound.get("UnixTimeSeconds"), input.or_else(|| bound.get("Date"))) {
        (Some(seconds), _) => {
            let seconds = number(bound, "UnixTimeSeconds", seconds)?;
            let known = DateTime::from_timestamp(seconds, 0).filter(|at| time::is_date(at.naive_utc()));
            let at = known.map(|at| at.with_timezone(&Local));
            Moment::local(at.ok_or_else(|| bound.wrong(&format!("{seconds} is out of range.")))?)
        }
        (None, Some(given)) => {
            let read = match given.primitive() {
                Value::DateTime(text) => Moment::of_wire(text),
                other => parse(&other.display_text()),
            };
            read.ok_or_else(|| {
                let text = given.display_text();
                bound.wrong(&format!(
                    "Cannot bind parameter 'Date'. Cannot convert value \"{text}\" to type \
                     \"System.DateTime\". Error: \"The string '{text}' was not recognized as a valid DateTime.\""
                ))
            })?
        }
        (None, None) => Moment::local(Local::now()),
    };
    let mut at = moment.at;
    for (name, least, most, set) in PARTS {
        let Some(given) = bound.get(name) else { continue };
        let given = number(bound, name, given)?;
        for (limit, is_over, word, relation) in
            [(most, given > most, "greater", "maximum"), (least, given < least, "less", "minimum")]
        {
            if is_over {
                return Err(bound.wrong(&format!(
                    "Cannot validate argument on parameter '{name}'. The {given} argument is {word} than the \
                     {relation} allowed range of {limit}."
                )));
            }
        }
        at = set(at, given)
            .ok_or_else(|| bound.wrong(&format!("The date has no {} {given}.", name.to_lowercase())))?;
    }
    moment = moment.moved(at);
    if bound.switch("AsUTC") {
        moment = moment.utc();
    }
    match bound.text("Format") {
        Some(form) => formatted(bound, &moment, &form),
        None => hinted(bound, &moment),
    }
}

type Set = fn(NaiveDateTime, i64) -> Option<NaiveDateTime>;

/// Parameters that set a part of the date, with their limits. As in .NET, a day that the new month lacks becomes the
/// last day of that month, and a -Day after the end of the month is a day of the next month.
const PARTS: [(&str, i64, i64, Set); 7] = [
    ("Year", 1, 9999, |at, year| months(at, 12 * (year - i64::from(at.year())))),
    ("Month", 1, 12, |at, month| months(at, month - i64::from(at.month()))),
    ("Day", 1, 31, |at, day| at.checked_add_signed(TimeDelta::try_days(day - i64::from(at.day()))?)),
    ("Hour", 0, 23, |at, hour| at.with_hour(u32::try_from(hour).ok()?)),
    ("Minute", 0, 59, |at, minute| at.with_minute(u32::try_from(minute).ok()?)),
    ("Second", 0, 59, |at, second| at.with_second(u32::try_from(second).ok()?)),
    ("Millisecond", 0, 999, |at, part| at.with_nanosecond(u32::try_from(part * 1_000_000).ok()?)),
];

/// Adds months, or subtracts them.
fn months(at: NaiveDateTime, count: i64) -> Option<NaiveDateTime> {
    let months = Months::new(u32::try_from(count.unsigned_abs()).ok()?);
    if count < 0 { at.checked_sub_months(months) } else { at.checked_add_months(months) }
}

fn number(bound: &BoundParameters, parameter: &str, value: &Value) -> Result<i64, LineError> {
    let number = crate::line::number::Number::convert(value).and_then(crate::line::number::Number::rounded);
    number.ok_or_else(|| {
        bound.wrong(&format!(
            "Cannot bind parameter '{parameter}': invalid number \"{}\".",
            value.display_text()
        ))
    })
}

fn formatted(bound: &BoundParameters, moment: &Moment, form: &str) -> Result<Value, LineError> {
    let utc;
    let (moment, form) = match form.to_lowercase().as_str() {
        "filedate" => (moment, "yyyyMMdd"),
        "filedatetime" => (moment, "yyyyMMddTHHmmssffff"),
        universal @ ("filedateuniversal" | "filedatetimeuniversal") => {
            utc = moment.utc();
            (&utc, if universal == "filedateuniversal" { "yyyyMMddZ" } else { "yyyyMMddTHHmmssffffZ" })
        }
        _ => (moment, form),
    };
    if form.is_empty() {
        return Ok(Value::String(Value::DateTime(moment.wire()).display_text()));
    }
    date_text(&moment.wire(), form)
        .map(Value::String)
        .ok_or_else(|| bound.wrong("Input string was not in a correct format."))
}

/// Returns a DateTime with the note property DisplayHint.
fn hinted(bound: &BoundParameters, moment: &Moment) -> Result<Value, LineError> {
    const HINTS: [(&str, i32); 3] = [("Date", 0), ("Time", 1), ("DateTime", 2)];
    let number = bound.one_of("DisplayHint", &HINTS, 2)?;
    let name = HINTS.iter().find(|(_, known)| *known == number).map_or("DateTime", |(name, _)| name);
    let hint = Value::enumeration("Microsoft.PowerShell.Commands.DisplayHintType", name, number);
    Ok(Object {
        type_names: type_names(["System.DateTime", "System.ValueType", "System.Object"]),
        content: Content::Primitive(Value::DateTime(moment.wire())),
        extended: vec![("DisplayHint".into(), hint)],
        ..Object::default()
    }
    .into())
}

/// Returns the stage that converts dates of the pipeline.
pub fn of_input(bound: BoundParameters) -> Box<dyn Stage> {
    Box::new(Each(move |value: Value, out: &mut Vec<Value>| {
        out.push(date(&bound, Some(&value))?);
        Ok(())
    }))
}
