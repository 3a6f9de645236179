//! ConvertTo-Json, as PowerShell 7 writes it (JsonObject.cs), and the JSON of `lyncsh exec`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::bind::BoundParameters;
use super::each::Stage;
use crate::line::error::LineError;
use crate::line::inspect::{is_enum, is_number, named};
use crate::line::members::properties;
use crate::psrp::clixml::{Name, Value};

/// PowerShell's maximum depth.
const MAX_DEPTH: usize = 100;

struct Json {
    /// The first object, kept until a second object makes the text an array.
    first: Option<Value>,
    /// Number of objects in the array.
    written: usize,
    writer: Writer,
    as_array: bool,
    by_line: bool,
}

pub fn json(bound: &BoundParameters) -> Result<Box<dyn Stage>, LineError> {
    let depth = bound.count("Depth")?.unwrap_or(2);
    if depth > MAX_DEPTH {
        return Err(bound.wrong(&format!(
            "The {depth} argument is greater than the maximum allowed range of {MAX_DEPTH}."
        )));
    }
    let writer = Writer {
        text: String::new(),
        deepest: depth,
        compress: bound.switch("Compress"),
        enums_as_text: bound.switch("EnumsAsStrings"),
        is_data: false,
        truncated: false,
    };
    let as_array = bound.switch("AsArray");
    Ok(Box::new(Json { first: None, written: 0, writer, as_array, by_line: false }))
}

/// Returns a value as JSON in one line, with everything that its CLIXML has: enums by name, durations, versions
/// and bytes as the text of CLIXML, at any depth.
pub fn data(value: &Value) -> String {
    let mut writer = Writer {
        text: String::new(),
        deepest: usize::MAX,
        compress: true,
        enums_as_text: true,
        is_data: true,
        truncated: false,
    };
    writer.value(value, 0);
    writer.text
}

impl Json {
    /// Writes the next member of the array.
    fn member(&mut self, value: &Value, out: &mut Vec<Value>) {
        if self.written == 0 {
            self.writer.text.push('[');
        }
        self.writer.next(self.written, 0);
        self.writer.value(value, 1);
        self.written += 1;
        self.pass_lines(out);
    }

    /// Outputs the complete lines, if `by_line` is set.
    fn pass_lines(&mut self, out: &mut Vec<Value>) {
        let text = &mut self.writer.text;
        let Some(end) = text.rfind('\n').filter(|_| self.by_line) else { return };
        let rest = text.split_off(end + 1);
        let whole = std::mem::replace(text, rest);
        out.extend(whole.lines().map(Value::from));
    }
}

impl Stage for Json {
    fn push(&mut self, value: Value, out: &mut Vec<Value>) -> Result<(), LineError> {
        if self.written == 0 && self.first.is_none() {
            self.first = Some(value);
            return Ok(());
        }
        if let Some(first) = self.first.take() {
            self.member(&first, out);
        }
        self.member(&value, out);
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<Value>) -> Result<(), LineError> {
        match self.first.take() {
            Some(first) if self.as_array => self.member(&first, out),
            Some(first) => self.writer.value(&first, 0),
            None if self.written == 0 => return Ok(()),
            None => {}
        }
        if self.written > 0 {
            self.writer.close(']', false, 0);
        }
        if self.by_line {
            self.writer.text.push('\n');
            self.pass_lines(out);
        } else {
            out.push(Value::String(std::mem::take(&mut self.writer.text)));
        }
        Ok(())
    }

    fn split_lines(&mut self) {
        self.by_line = true;
    }

    fn warning(&mut self) -> Option<String> {
        let depth = self.writer.deepest;
        std::mem::take(&mut self.writer.truncated).then(|| {
            format!("Resulting JSON is truncated as serialization has exceeded the set depth of {depth}.")
        })
    }
}

struct Writer {
    text: String,
    /// Maximum depth; deeper values are written as text.
    deepest: usize,
    compress: bool,
    enums_as_text: bool,
    /// Set to write durations, versions and bytes as the text of CLIXML instead of their .NET members.
    is_data: bool,
    truncated: bool,
}

impl Writer {
    fn value(&mut self, value: &Value, level: usize) {
        if self.enums_as_text && is_enum(value) {
            return self.string(&value.display_text());
        }
        match value.primitive() {
            Value::Null => self.text.push_str("null"),
            Value::Bool(one) => self.text.push_str(if *one { "true" } else { "false" }),
            Value::Single(number) => self.floating(f64::from(*number), value),
            Value::Double(number) => self.floating(*number, value),
            Value::Decimal(text) => {
                let text = text.clone();
                self.text.push_str(&text);
                if !text.contains('.') {
                    self.text.push_str(".0");
                }
            }
            number if is_number(number) => self.text.push_str(&number.display_text()),
            Value::DateTime(text) => self.string(&shorter(text)),
            Value::Duration(text) | Value::Version(text) if self.is_data => self.string(text),
            Value::Bytes(bytes) if self.is_data => self.string(&STANDARD.encode(bytes)),
            Value::Secure(_) => self.text.push_str("null"),
            Value::Bytes(bytes) => {
                let bytes: Vec<Value> = bytes.iter().map(|byte| Value::U8(*byte)).collect();
                self.nested(level, |writer| writer.array(&bytes, level), value);
            }
            Value::Object(_) => self.object(value, level),
            Value::Duration(_) | Value::Version(_) => {
                let members = properties(value);
                let members: Vec<(Name, &Value)> =
                    members.iter().map(|(name, one)| (Name::clone(name), one)).collect();
                self.nested(level, |writer| writer.members(&members, level), value);
            }
            other => self.string(&other.display_text()),
        }
    }

    fn object(&mut self, value: &Value, level: usize) {
        if let Some(items) = value.items() {
            return self.nested(level, |writer| writer.array(items, level), value);
        }
        let entries: Vec<(Name, &Value)> = match value.entries() {
            Some(entries) => entries.iter().map(|(key, one)| (key.display_text().into(), one)).collect(),
            None => named(value).into_iter().map(|(name, one)| (Name::clone(name), one)).collect(),
        };
        if entries.is_empty() && value.entries().is_none() && !value.display_text().is_empty() {
            return self.string(&value.display_text());
        }
        self.nested(level, |writer| writer.members(&entries, level), value);
    }

    /// Writes a nested value, or its text if it is too deep.
    fn nested(&mut self, level: usize, write: impl FnOnce(&mut Self), value: &Value) {
        if level > self.deepest {
            self.truncated = true;
            return self.string(&value.display_text());
        }
        write(self);
    }

    fn array(&mut self, items: &[Value], level: usize) {
        self.text.push('[');
        for (index, item) in items.iter().enumerate() {
            self.next(index, level);
            self.value(item, level + 1);
        }
        self.close(']', items.is_empty(), level);
    }

    fn members(&mut self, entries: &[(Name, &Value)], level: usize) {
        self.text.push('{');
        for (index, (name, value)) in entries.iter().enumerate() {
            self.next(index, level);
            self.string(name);
            self.text.push_str(if self.compress { ":" } else { ": " });
            self.value(value, level + 1);
        }
        self.close('}', entries.is_empty(), level);
    }

    fn next(&mut self, index: usize, level: usize) {
        if index > 0 {
            self.text.push(',');
        }
        self.line(level + 1);
    }

    fn close(&mut self, bracket: char, empty: bool, level: usize) {
        if !empty {
            self.line(level);
        }
        self.text.push(bracket);
    }

    fn line(&mut self, level: usize) {
        if !self.compress {
            self.text.push('\n');
            self.text.push_str(&"  ".repeat(level));
        }
    }

    fn string(&mut self, text: &str) {
        let text = serde_json::Value::from(text).to_string();
        // Newtonsoft.Json escapes the line ends of Unicode.
        for letter in text.chars() {
            match letter {
                '\u{85}' | '\u{2028}' | '\u{2029}' => {
                    self.text.push_str(&format!("\\u{:04x}", u32::from(letter)));
                }
                letter => self.text.push(letter),
            }
        }
    }

    /// Writes a double. Whole numbers get a decimal point, so that they are read as doubles.
    fn floating(&mut self, number: f64, value: &Value) {
        let text = value.primitive().exact_text();
        if !number.is_finite() {
            return self.string(&text);
        }
        self.text.push_str(&text);
        if !text.contains(['.', 'E']) {
            self.text.push_str(".0");
        }
    }
}

/// Removes trailing zeros of a date's fraction.
fn shorter(date: &str) -> String {
    let Some((seconds, rest)) = date.split_once('.') else { return date.to_owned() };
    let end = rest.find(|one: char| !one.is_ascii_digit()).unwrap_or(rest.len());
    let fraction = rest[..end].trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{seconds}{point}{fraction}{}", &rest[end..])
}
