//! Values as text, as PowerShell's `ToString` formats them in the invariant culture.

use std::fmt::Write as _;

use super::{Content, Object, Value};

impl Value {
    /// Returns PowerShell's `"$value"`: a primitive's text, an object's `ToString`, the members of a list
    /// separated by spaces, or `@{Name=Value; …}` for a custom object.
    pub fn display_text(&self) -> String {
        match self {
            Self::Null => String::new(),
            Self::String(text)
            | Self::Decimal(text)
            | Self::Uri(text)
            | Self::Version(text)
            | Self::Xml(text)
            | Self::ScriptBlock(text) => text.clone(),
            Self::Char(unit) => String::from_utf16_lossy(&[*unit]),
            Self::Bool(true) => "True".to_owned(),
            Self::Bool(false) => "False".to_owned(),
            Self::DateTime(text) => date_time(text).unwrap_or_else(|| text.clone()),
            Self::Duration(text) => duration(text).unwrap_or_else(|| text.clone()),
            Self::U8(n) => n.to_string(),
            Self::I8(n) => n.to_string(),
            Self::U16(n) => n.to_string(),
            Self::I16(n) => n.to_string(),
            Self::U32(n) => n.to_string(),
            Self::I32(n) => n.to_string(),
            Self::U64(n) => n.to_string(),
            Self::I64(n) => n.to_string(),
            // PowerShell shows 7 and 15 digits (PSObject.ToString: `G7`, `G15`).
            Self::Single(n) if n.is_finite() => floating(&shortened(&format!("{n:.6e}")), 7),
            Self::Single(n) => not_finite(f64::from(*n)),
            Self::Double(n) if n.is_finite() => floating(&shortened(&format!("{n:.14e}")), 15),
            Self::Double(n) => not_finite(*n),
            Self::Bytes(bytes) => joined(bytes.iter().map(u8::to_string)),
            Self::Guid(id) => id.to_string(),
            Self::Secure(_) => "System.Security.SecureString".to_owned(),
            Self::Object(object) => object_text(object),
        }
    }

    /// Returns the text of a value within the text of a list: the type of an inner list.
    pub fn item_text(&self) -> String {
        match self {
            Self::Object(object) if object.to_string.is_none() => match &object.content {
                Content::List(_) | Content::Enumerable(_) | Content::Stack(_) | Content::Queue(_) => {
                    type_name(object).unwrap_or("System.Object[]").to_owned()
                }
                _ => self.display_text(),
            },
            _ => self.display_text(),
        }
    }

    /// Returns [`Value::display_text`] with all digits of a floating-point number, as .NET's `ToString` does,
    /// so that parsing returns the same number.
    pub fn exact_text(&self) -> String {
        match self {
            Self::Single(n) if n.is_finite() => floating(&format!("{n:e}"), 7),
            Self::Double(n) if n.is_finite() => floating(&format!("{n:e}"), 15),
            other => other.display_text(),
        }
    }
}

/// Removes insignificant zeros: `1.500e3` becomes `1.5e3`.
fn shortened(scientific: &str) -> String {
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    let mantissa =
        if mantissa.contains('.') { mantissa.trim_end_matches('0').trim_end_matches('.') } else { mantissa };
    format!("{mantissa}e{exponent}")
}

fn object_text(object: &Object) -> String {
    if let Some(text) = &object.to_string {
        return text.clone();
    }
    match &object.content {
        Content::Primitive(inner) => inner.display_text(),
        Content::List(items) | Content::Enumerable(items) | Content::Stack(items) | Content::Queue(items) => {
            joined(items.iter().map(Value::item_text))
        }
        Content::Dictionary(_) => type_name(object).unwrap_or("System.Collections.Hashtable").to_owned(),
        Content::None if is_custom(object) => {
            let fields: Vec<_> =
                object.properties().map(|(name, value)| format!("{name}={}", nested_text(value))).collect();
            if fields.is_empty() { String::new() } else { format!("@{{{}}}", fields.join("; ")) }
        }
        Content::None => type_name(object).unwrap_or_default().to_owned(),
    }
}

/// Returns the text of a value within the text of an object: an empty text for a custom object.
fn nested_text(value: &Value) -> String {
    match value {
        Value::Object(object)
            if object.to_string.is_none() && object.content == Content::None && is_custom(object) =>
        {
            String::new()
        }
        _ => value.item_text(),
    }
}

/// Returns whether PowerShell shows the object by its properties: it is a PSCustomObject, or has no type name.
fn is_custom(object: &Object) -> bool {
    object.type_names.is_empty()
        || object.type_names.iter().any(|name| {
            name.strip_prefix("Deserialized.").unwrap_or(name)
                == "System.Management.Automation.PSCustomObject"
        })
}

fn type_name(object: &Object) -> Option<&str> {
    object.type_names.first().map(AsRef::as_ref)
}

fn joined(texts: impl Iterator<Item = String>) -> String {
    texts.collect::<Vec<_>>().join(" ")
}

/// Formats `2021-05-03T10:00:00.5+02:00` as `05/03/2021 10:00:00`: the written wall time, since the time zone
/// is unknown.
fn date_time(text: &str) -> Option<String> {
    let (date, time) = text.split_once('T')?;
    let mut parts = date.splitn(3, '-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    Some(format!("{month}/{day}/{year} {}", time.get(..8)?))
}

/// Formats `P1DT2H3M4.5S` as `1.02:03:04.5000000` (a TimeSpan's constant format).
fn duration(text: &str) -> Option<String> {
    let (sign, text) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
    let (days_part, time_part) =
        text.strip_prefix('P')?.split_once('T').unwrap_or((text.strip_prefix('P')?, ""));
    let (mut days, mut hours, mut minutes, mut seconds, mut ticks) = (0u64, 0u64, 0u64, 0u64, 0u64);
    let mut number = String::new();
    for c in days_part.chars() {
        match c {
            '0'..='9' => number.push(c),
            'D' => days = std::mem::take(&mut number).parse().ok()?,
            _ => return None,
        }
    }
    for c in time_part.chars() {
        match c {
            '0'..='9' | '.' => number.push(c),
            'H' => hours = std::mem::take(&mut number).parse().ok()?,
            'M' => minutes = std::mem::take(&mut number).parse().ok()?,
            'S' => {
                let (whole, fraction) = number.split_once('.').unwrap_or((&number, ""));
                seconds = whole.parse().ok()?;
                ticks = format!("{fraction:0<7}").get(..7)?.parse().ok()?;
                number.clear();
            }
            _ => return None,
        }
    }
    if !number.is_empty() {
        return None;
    }
    minutes = minutes.checked_add(seconds / 60)?;
    hours = hours.checked_add(minutes / 60)?;
    days = days.checked_add(hours / 24)?;
    let mut out = String::from(sign);
    if days > 0 {
        let _ = write!(out, "{days}.");
    }
    let _ = write!(out, "{:02}:{:02}:{:02}", hours % 24, minutes % 60, seconds % 60);
    if ticks > 0 {
        let _ = write!(out, ".{ticks:07}");
    }
    Some(out)
}

/// Formats a finite number from its shortest round-trip digits (`d.dde±x`) in .NET's general format: scientific if the
/// exponent is -5 or less, or not less than .NET's precision and the number of digits.
fn floating(shortest: &str, precision: usize) -> String {
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((shortest, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |rest| ("-", rest));
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let point = exponent + 1;
    let widest = i32::try_from(digits.len().max(precision)).unwrap_or(i32::MAX);
    if digits == "0" {
        return format!("{sign}0");
    }
    if point > widest || point < -3 {
        let fraction = if digits.len() > 1 { format!(".{}", &digits[1..]) } else { String::new() };
        let mark = if exponent < 0 { '-' } else { '+' };
        return format!("{sign}{}{fraction}E{mark}{:02}", &digits[..1], exponent.abs());
    }
    if point <= 0 {
        return format!("{sign}0.{}{digits}", "0".repeat(usize::try_from(-point).unwrap_or(0)));
    }
    let point = usize::try_from(point).unwrap_or(0);
    if point >= digits.len() {
        format!("{sign}{digits}{}", "0".repeat(point - digits.len()))
    } else {
        format!("{sign}{}.{}", &digits[..point], &digits[point..])
    }
}

fn not_finite(n: f64) -> String {
    if n.is_nan() {
        "NaN".to_owned()
    } else if n > 0.0 {
        "Infinity".to_owned()
    } else {
        "-Infinity".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_powershell_prints_them() {
        for (number, text) in [
            (0.0, "0"),
            (1.0, "1"),
            (-1.5, "-1.5"),
            (0.0001, "0.0001"),
            (0.00001, "1E-05"),
            (123_456_789_012_345.0, "123456789012345"),
            (1e15, "1E+15"),
            (9_007_199_254_740_992.0, "9.00719925474099E+15"),
            (1.0 / 3.0, "0.333333333333333"),
            (0.1 + 0.2, "0.3"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(Value::Double(number).display_text(), text);
        }
        for (number, text) in [
            (9_007_199_254_740_992.0, "9007199254740992"),
            (1.234_567_890_123_456_8e17, "1.2345678901234568E+17"),
            (1.0 / 3.0, "0.3333333333333333"),
        ] {
            assert_eq!(Value::Double(number).exact_text(), text);
        }
        assert_eq!(Value::Single(1e7).display_text(), "1E+07");
        assert_eq!(Value::Single(0.1).display_text(), "0.1");
    }

    #[test]
    fn dates_durations_lists_and_objects_read_as_powershell_prints_them() {
        assert_eq!(
            Value::DateTime("2021-05-03T10:00:00.5+02:00".into()).display_text(),
            "05/03/2021 10:00:00"
        );
        assert_eq!(Value::Duration("P1DT2H3M4.5S".into()).display_text(), "1.02:03:04.5000000");
        assert_eq!(Value::Duration("-PT90S".into()).display_text(), "-00:01:30");
        assert_eq!(Value::Bool(true).display_text(), "True");
        assert_eq!(Value::array([1.into(), "two".into()]).display_text(), "1 two");
        assert_eq!(
            Value::custom_object([("A", Value::I32(1)), ("B", "x".into())]).display_text(),
            "@{A=1; B=x}"
        );
        assert_eq!(Value::enumeration("System.ConsoleColor", "Green", 10).display_text(), "Green");
    }
}
