//! ConvertTo-Csv and Export-Csv, as PowerShell 7 writes them (CsvCommands.cs).

use super::bind::{BoundParameters, Parameter, ParameterKind};
use super::each::{Each, Stage};
use super::file::{File, Lines, written};
use crate::line::error::LineError;
use crate::line::members::properties;
use crate::line::value::access;
use crate::psrp::clixml::Value;

/// Parameters of both cmdlets.
pub const COMMON: [Parameter; 7] = [
    ("Delimiter", ParameterKind::Named),
    ("UseQuotes", ParameterKind::Named),
    ("QuoteFields", ParameterKind::Named),
    ("NoTypeInformation", ParameterKind::Switch),
    ("IncludeTypeInformation", ParameterKind::Switch),
    ("NoHeader", ParameterKind::Switch),
    ("UseCulture", ParameterKind::Switch),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Quotes {
    Always,
    AsNeeded,
    Never,
}

struct Form {
    delimiter: String,
    quotes: Quotes,
    quoted_fields: Option<Vec<String>>,
    typed: bool,
    header: bool,
}

impl Form {
    fn read(bound: &BoundParameters) -> Result<Self, LineError> {
        let quotes = [("Always", Quotes::Always), ("AsNeeded", Quotes::AsNeeded), ("Never", Quotes::Never)];
        let delimiter = bound.text("Delimiter").unwrap_or_else(|| ",".to_owned());
        if delimiter.chars().count() != 1 {
            return Err(bound.wrong(&format!("Invalid delimiter \"{delimiter}\": expected one character.")));
        }
        Ok(Self {
            delimiter,
            quotes: bound.one_of("UseQuotes", &quotes, Quotes::Always)?,
            quoted_fields: bound.get("QuoteFields").map(|_| bound.names("QuoteFields")),
            typed: bound.switch("IncludeTypeInformation"),
            header: !bound.switch("NoHeader"),
        })
    }

    fn cell(&self, column: &str, text: &str) -> String {
        let always = match &self.quoted_fields {
            Some(fields) => fields.iter().any(|field| field.eq_ignore_ascii_case(column)),
            None => self.quotes == Quotes::Always,
        };
        let needs = self.quoted_fields.is_none()
            && self.quotes == Quotes::AsNeeded
            && (text.contains(['"', '\r', '\n']) || text.contains(&self.delimiter));
        if always || needs { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
    }

    fn header(&self, names: &[String]) -> String {
        names.iter().map(|name| self.cell(name, name)).collect::<Vec<_>>().join(&self.delimiter)
    }

    fn row(&self, names: &[String], value: &Value) -> String {
        let cell = |name: &String| match access(value, name) {
            Value::Null => String::new(),
            one => self.cell(name, &field_text(&one)),
        };
        names.iter().map(cell).collect::<Vec<_>>().join(&self.delimiter)
    }

    /// Returns the lines before the first row: the type and the header, if requested.
    fn head(&self, names: &[String], first: &Value) -> Vec<String> {
        let mut lines = Vec::new();
        if self.typed {
            lines.extend(first.type_names().first().map(|name| format!("#TYPE {name}")));
        }
        if self.header && !names.is_empty() {
            lines.push(self.header(names));
        }
        lines
    }
}

/// The columns of a table, once the first object has arrived.
#[derive(Default)]
struct Columns(Option<Vec<String>>);

impl Columns {
    /// Returns the lines for the next object.
    fn lines(&mut self, form: &Form, value: &Value) -> Vec<String> {
        let mut lines = Vec::new();
        let names = self.0.get_or_insert_with(|| {
            let names = columns(value);
            lines = form.head(&names, value);
            names
        });
        lines.push(form.row(names, value));
        lines
    }
}

/// Rows of the objects of a pipeline as ConvertTo-Csv writes them. The first object determines the columns.
pub struct Rows {
    form: Form,
    names: Vec<String>,
    /// Set if the first object is a string, a number or another primitive: its value is the only column.
    is_plain: bool,
}

/// Column of primitives, used instead of their .NET properties.
const PLAIN: &str = "Value";

impl Default for Rows {
    fn default() -> Self {
        let form = Form {
            delimiter: ",".to_owned(),
            quotes: Quotes::Always,
            quoted_fields: None,
            typed: false,
            header: true,
        };
        Self { form, names: Vec::new(), is_plain: false }
    }
}

impl Rows {
    /// Returns the header for a first object. `source`: name and value of an additional first column.
    pub fn header(&mut self, first: &Value, source: Option<(&str, &str)>) -> String {
        self.is_plain = !matches!(first.primitive(), Value::Object(_));
        self.names = if self.is_plain { vec![PLAIN.to_owned()] } else { columns(first) };
        if let Some((source, _)) = source {
            self.names.retain(|name| !name.eq_ignore_ascii_case(source));
        }
        let names: Vec<String> =
            source.map(|(name, _)| name.to_owned()).into_iter().chain(self.names.iter().cloned()).collect();
        self.form.header(&names)
    }

    /// Returns the row of an object.
    pub fn row(&self, value: &Value, source: Option<(&str, &str)>) -> String {
        let row = if self.is_plain {
            self.form.cell(PLAIN, &field_text(value.primitive()))
        } else {
            self.form.row(&self.names, value)
        };
        match source {
            Some((name, text)) if self.names.is_empty() => self.form.cell(name, text),
            Some((name, text)) => format!("{},{row}", self.form.cell(name, text)),
            None => row,
        }
    }
}

/// Formats a value as .NET's ToString.
fn field_text(value: &Value) -> String {
    match value {
        Value::Bytes(_) => "System.Byte[]".to_owned(),
        other => other.exact_text(),
    }
}

/// Returns the names of the columns: the keys of a dictionary, or the properties of an object (Length of a string).
fn columns(first: &Value) -> Vec<String> {
    match first.entries() {
        Some(entries) => entries.iter().map(|(key, _)| key.display_text()).collect(),
        None => properties(first).into_iter().map(|(name, _)| name.to_string()).collect(),
    }
}

pub fn convert(bound: &BoundParameters) -> Result<Box<dyn Stage>, LineError> {
    let (form, mut columns) = (Form::read(bound)?, Columns::default());
    Ok(Box::new(Each(move |value: Value, out: &mut Vec<Value>| {
        out.extend(columns.lines(&form, &value).into_iter().map(Value::String));
        Ok(())
    })))
}

/// Lines of Export-Csv.
struct Exported {
    form: Form,
    columns: Columns,
    force: bool,
    is_begun: bool,
}

impl Lines for Exported {
    fn push(&mut self, file: &mut File, value: &Value) -> Result<Vec<String>, LineError> {
        if !std::mem::replace(&mut self.is_begun, true)
            && file.append
            && let Some(line) = file.first_line()
        {
            let names = fields(&line, &self.form.delimiter);
            let own = columns(value);
            let missing = names.iter().find(|name| !own.iter().any(|one| one.eq_ignore_ascii_case(name)));
            if let Some(missing) = missing.filter(|_| !self.force) {
                return Err(LineError(format!(
                    "Export-Csv: Cannot append CSV content to the following file: {}. The appended object does \
                     not have a property that corresponds to the following column: {missing}. To continue with \
                     mismatched properties, add the -Force parameter, and then retry the command.",
                    file.path.display()
                )));
            }
            self.columns.0 = Some(names);
        }
        Ok(self.columns.lines(&self.form, value))
    }
}

pub fn export(bound: &BoundParameters) -> Result<Box<dyn Stage>, LineError> {
    let form = Form::read(bound)?;
    let file = File::read(bound, "Path")?;
    let force = bound.switch("Force");
    Ok(written(file, Exported { form, columns: Columns::default(), force, is_begun: false }))
}

/// Splits a header line into columns.
fn fields(line: &str, delimiter: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter == '"' {
            if quoted && letters.next_if_eq(&'"').is_some() {
                fields.iter_mut().last().into_iter().for_each(|field| field.push('"'));
            } else {
                quoted = !quoted;
            }
        } else if !quoted && delimiter.starts_with(letter) {
            fields.push(String::new());
        } else {
            fields.iter_mut().last().into_iter().for_each(|field| field.push(letter));
        }
    }
    fields
}
