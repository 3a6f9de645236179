//! Objects as data for other programs: JSON, CSV and CLIXML on standard output, and JSON, CSV and lines as the
//! input of a pipeline.

use super::rows;
use super::stage::parse_json::parse;
use super::stage::{csv, json};
use crate::psrp::clixml::{Content, Document, Object, Value};

/// A format of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataFormat {
    /// One array of all objects.
    Json,
    /// One object in each line.
    JsonLines,
    /// As ConvertTo-Csv writes it.
    Csv,
    /// As Export-Clixml writes it.
    Clixml,
}

/// A format of input.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputFormat {
    #[value(help = "An array of objects, or one object")]
    Json,
    #[value(name = "jsonl", help = "One object in each line")]
    JsonLines,
    #[value(help = "One object for each row, named by the first row")]
    Csv,
    #[value(help = "One string for each line")]
    Lines,
}

/// Name of the property that holds an object's profile.
const SOURCE: &str = "Profile";

/// Writer of one document with the objects of a command.
pub struct Encoder {
    format: DataFormat,
    is_begun: bool,
    /// Text before the first object, until it is taken.
    head: String,
    rows: csv::Rows,
    document: Document,
}

impl Encoder {
    pub fn new(format: DataFormat) -> Self {
        let head = match format {
            DataFormat::Json => "[\n".to_owned(),
            DataFormat::Clixml => format!("{}\n", Document::START),
            DataFormat::JsonLines | DataFormat::Csv => String::new(),
        };
        Self { format, is_begun: false, head, rows: csv::Rows::default(), document: Document::default() }
    }

    /// Adds the text of an object. `source`: profile to write with the object, if the document has the objects of
    /// several profiles; JSON ignores it.
    pub fn object(&mut self, value: &Value, source: Option<&str>, out: &mut String) {
        let is_first = !std::mem::replace(&mut self.is_begun, true);
        match (self.format, source) {
            (DataFormat::Json, _) => {
                if !is_first {
                    out.push_str(",\n");
                }
                out.push_str(&json::data(value));
            }
            (DataFormat::JsonLines, None) => {
                out.push_str(&json::data(value));
                out.push('\n');
            }
            (DataFormat::JsonLines, Some(source)) => {
                let source = serde_json::Value::from(source);
                out.push_str(&format!("{{\"profile\":{source},\"output\":{}}}\n", json::data(value)));
            }
            (DataFormat::Csv, source) => {
                let source = source.map(|source| (SOURCE, source));
                if is_first {
                    self.head = self.rows.header(value, source);
                    self.head.push('\n');
                }
                out.push_str(&self.rows.row(value, source));
                out.push('\n');
            }
            (DataFormat::Clixml, None) => self.clixml(value, out),
            (DataFormat::Clixml, Some(source)) => self.clixml(&labelled(value, source), out),
        }
    }

    fn clixml(&mut self, value: &Value, out: &mut String) {
        out.push_str(&self.document.write(value));
        out.push('\n');
    }

    /// Takes the text before the first object. It is empty after it was taken, and for CSV until the first object.
    pub fn take_head(&mut self) -> String {
        std::mem::take(&mut self.head)
    }

    /// Returns the end of the document.
    pub fn end(&self) -> &'static str {
        match self.format {
            DataFormat::Json if self.is_begun => "\n]\n",
            DataFormat::Json => "]\n",
            DataFormat::Clixml => "</Objs>\n",
            DataFormat::JsonLines | DataFormat::Csv => "",
        }
    }
}

/// Adds the profile to an object as a property.
fn labelled(value: &Value, source: &str) -> Value {
    let property = (SOURCE.into(), Value::from(source));
    let mut object = match value {
        Value::Object(object) => (**object).clone(),
        primitive => Object { content: Content::Primitive(primitive.clone()), ..Object::default() },
    };
    object.extended.retain(|(name, _)| **name != *SOURCE);
    object.adapted.retain(|(name, _)| **name != *SOURCE);
    object.extended.push(property);
    object.into()
}

/// Returns a value as JSON in one line.
pub fn json(value: &Value) -> String {
    json::data(value)
}

/// Error of reading the input of a pipeline: the text is not complete or not in the format.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// Invalid JSON, with line and column.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// Invalid JSON in one of several lines.
    #[error("{reason} at line {line} column {column}")]
    Line { reason: String, line: usize, column: usize },
    /// The `csv` crate rejected the text; its message has the position.
    #[error(transparent)]
    Csv(#[from] ::csv::Error),
    /// A quote in the CSV row that begins in this line is not closed.
    #[error("line {0}: a quote is not closed")]
    Unclosed(usize),
    /// A CSV row and the first row have different numbers of fields.
    #[error("line {line}: expected {expected} fields, got {got}")]
    Fields { line: usize, expected: usize, got: usize },
    /// Two fields of the first CSV row are the same name, without regard to case.
    #[error("two columns are named '{0}'")]
    Repeated(String),
}

/// Reads the input of a pipeline.
pub fn read(format: InputFormat, text: &str) -> Result<Vec<Value>, DataError> {
    match format {
        InputFormat::Lines => Ok(text.lines().map(Value::from).collect()),
        InputFormat::Csv => objects(text),
        InputFormat::Json if text.trim().is_empty() => Ok(Vec::new()),
        InputFormat::Json => {
            let read = parse(text, false)?;
            Ok(read.items().map_or_else(|| vec![read.clone()], <[Value]>::to_vec))
        }
        InputFormat::JsonLines => {
            let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
            lines
                .map(|(at, line)| {
                    parse(line, false).map_err(|error| {
                        let place = format!(" at line 1 column {}", error.column());
                        let reason = error.to_string().replace(&place, "");
                        DataError::Line { reason, line: at + 1, column: error.column() }
                    })
                })
                .collect()
        }
    }
}

/// Returns an object for each row, named by the first row.
fn objects(text: &str) -> Result<Vec<Value>, DataError> {
    let read = rows::read(text, b',')?;
    if let Some(line) = read.unclosed {
        return Err(DataError::Unclosed(line));
    }
    let mut rows = read.rows.into_iter();
    let mut names = rows.next().unwrap_or_default().fields;
    rows::fill_names(&mut names);
    if let Some(name) = rows::repeated_name(&names) {
        return Err(DataError::Repeated(name.to_owned()));
    }
    let object = |rows::Row { line, fields }| {
        if fields.len() != names.len() {
            return Err(DataError::Fields { line, expected: names.len(), got: fields.len() });
        }
        Ok(Value::custom_object(names.iter().cloned().zip(fields.into_iter().map(Value::String))))
    };
    rows.map(object).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::psrp::clixml;

    fn written(format: DataFormat, values: &[Value]) -> String {
        written_of(format, values, None)
    }

    fn written_of(format: DataFormat, values: &[Value], source: Option<&str>) -> String {
        let mut encoder = Encoder::new(format);
        let mut text = String::new();
        values.iter().for_each(|value| encoder.object(value, source, &mut text));
        format!("{}{text}{}", encoder.take_head(), encoder.end())
    }

    #[test]
    fn json_has_all_values_of_clixml() {
        let text = "<Objs Version=\"1.1.0.1\" xmlns=\"http://schemas.microsoft.com/powershell/2004/04\">\
            <Obj RefId=\"0\"><MS><I32 N=\"Whole\">5</I32><Db N=\"Part\">1.5</Db><D N=\"Exact\">12345678901234567890.12</D>\
            <B N=\"Is\">true</B><DT N=\"When\">2021-05-03T10:20:30.1200000Z</DT><TS N=\"Long\">PT1H</TS>\
            <Version N=\"Version\">1.2.3</Version><BA N=\"Bytes\">AQI=</BA><Nil N=\"None\" />\
            <Obj N=\"Day\" RefId=\"1\"><TN RefId=\"0\"><T>System.DayOfWeek</T><T>System.Enum</T></TN><ToString>Monday</ToString><I32>1</I32></Obj>\
            <Obj N=\"Inner\" RefId=\"2\"><MS><S N=\"A\">\"é\u{1}</S></MS></Obj>\
            <Obj N=\"List\" RefId=\"3\"><LST><I32>1</I32><S>b</S></LST></Obj></MS></Obj></Objs>";
        let value = clixml::read(text).unwrap();
        let wanted = concat!(
            r#"{"Whole":5,"Part":1.5,"Exact":12345678901234567890.12,"Is":true,"When":"2021-05-03T10:20:30.12Z","#,
            r#""Long":"PT1H","Version":"1.2.3","Bytes":"AQI=","None":null,"Day":"Monday","Inner":{"A":"\"é\u0001"},"#,
            r#""List":[1,"b"]}"#
        );
        assert_eq!(json(&value), wanted);
        assert_eq!(written(DataFormat::JsonLines, &[value.clone(), Value::I32(1)]), format!("{wanted}\n1\n"));
        assert_eq!(written(DataFormat::Json, &[value, Value::Null]), format!("[\n{wanted},\nnull\n]\n"));
        assert_eq!(written(DataFormat::Json, &[]), "[\n]\n");
    }

    #[test]
    fn the_first_object_determines_the_columns_of_csv() {
        let one = Value::custom_object([("A", Value::from("x\"y")), ("B", 1.into())]);
        let two = Value::custom_object([("B", Value::from(2)), ("C", 3.into())]);
        assert_eq!(written(DataFormat::Csv, &[one, two]), "\"A\",\"B\"\n\"x\"\"y\",\"1\"\n,\"2\"\n");
        assert_eq!(written(DataFormat::Csv, &[]), "");
        assert_eq!(written(DataFormat::Csv, &["a".into(), Value::I32(1)]), "\"Value\"\n\"a\"\n\"1\"\n");
    }

    #[test]
    fn an_object_can_carry_its_profile() {
        let object = Value::custom_object([("A", Value::from("x"))]);
        let of = |format| written_of(format, &[object.clone(), Value::I32(1)], Some("lab"));
        assert_eq!(
            of(DataFormat::JsonLines),
            "{\"profile\":\"lab\",\"output\":{\"A\":\"x\"}}\n{\"profile\":\"lab\",\"output\":1}\n"
        );
        assert_eq!(of(DataFormat::Csv), "\"Profile\",\"A\"\n\"lab\",\"x\"\n\"lab\",\n");
        let read = clixml::read(of(DataFormat::Clixml).lines().nth(1).unwrap()).unwrap();
        assert_eq!(read.property("Profile"), Some(&"lab".into()));
        assert_eq!(read.property("A"), Some(&"x".into()));
    }

    #[test]
    fn a_clixml_document_has_each_reference_once() {
        let object =
            |text: &str| Value::custom_object([("A", Value::custom_object([("B", Value::from(text))]))]);
        let text = written(DataFormat::Clixml, &[object("x"), object("y")]);
        assert!(text.starts_with(Document::START) && text.ends_with("</Objs>\n"));
        for id in 0..4 {
            assert_eq!(
                text.matches(&format!("<Obj RefId=\"{id}\"")).count()
                    + text.matches(&format!("<Obj N=\"A\" RefId=\"{id}\"")).count(),
                1,
                "{text}"
            );
        }
    }

    #[test]
    fn input_is_parsed_or_refused_with_its_position() {
        let object = |name: &str, value: Value| Value::custom_object([(name, value)]);
        assert_eq!(
            read(InputFormat::Json, "[{\"A\": 1}, 2.5]").unwrap(),
            [object("A", Value::I64(1)), Value::Double(2.5)]
        );
        let ordered = read(InputFormat::Json, "{\"B\": [true], \"A\": 1}").unwrap();
        assert_eq!(
            ordered,
            [Value::custom_object([("B", Value::array([true.into()])), ("A", Value::I64(1))])]
        );
        assert_eq!(read(InputFormat::Json, " \n").unwrap(), []);
        assert_eq!(read(InputFormat::JsonLines, "1\n\n\"b\"\n").unwrap(), [Value::I64(1), "b".into()]);
        assert_eq!(read(InputFormat::Csv, "A\n\"x,y\"\n").unwrap(), [object("A", "x,y".into())]);
        assert_eq!(read(InputFormat::Lines, "a b\r\n\nc").unwrap(), ["a b".into(), "".into(), "c".into()]);
        let refused = |format, text: &str| read(format, text).unwrap_err().to_string();
        assert_eq!(
            refused(InputFormat::Json, "[{\"A\": 1},\n {\"A\""),
            "EOF while parsing an object at line 2 column 5"
        );
        assert_eq!(
            refused(InputFormat::JsonLines, "1\n{\"A\":"),
            "EOF while parsing a value at line 2 column 5"
        );
        assert_eq!(refused(InputFormat::Csv, "A,B\n1\n"), "line 2: expected 2 fields, got 1");
        assert_eq!(refused(InputFormat::Csv, "A\n\"1\n2\n"), "line 2: a quote is not closed");
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        assert!(read(InputFormat::Json, &deep).is_err());
    }
}
