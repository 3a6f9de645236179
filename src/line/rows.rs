//! Rows of CSV text.

use std::collections::HashSet;
use std::io::Read as _;

/// A row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// Line of the text in which the row begins, starting at 1.
    pub line: usize,
    pub fields: Vec<String>,
}

/// The rows of a text, without empty lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    pub rows: Vec<Row>,
    /// Line of the row with a quote that is not closed: its last field has the rest of the text.
    pub unclosed: Option<usize>,
}

/// Names the columns without a name `H1`, `H2` and so on by their position, as Import-Csv does.
pub fn fill_names(names: &mut [String]) {
    for (at, name) in names.iter_mut().enumerate().filter(|(_, name)| name.trim().is_empty()) {
        *name = format!("H{}", at + 1);
    }
}

/// Returns a name that occurs twice, without regard to case.
pub fn repeated_name(names: &[String]) -> Option<&str> {
    let mut known = HashSet::new();
    names.iter().find(|name| !known.insert(name.to_lowercase())).map(String::as_str)
}

/// Reads CSV text. The rows may have different numbers of fields.
///
/// # Errors
/// The text cannot be parsed.
pub fn read(text: &str, delimiter: u8) -> Result<Rows, csv::Error> {
    // Windows PowerShell writes the type into a line above the names.
    let (text, skipped) = match text.strip_prefix("#TYPE ") {
        Some(rest) => (rest.split_once('\n').map_or("", |(_, rest)| rest), 1),
        None => (text, 0),
    };
    // The csv crate accepts an open quote without an error. This added line is a row of its own only if all quotes are
    // closed.
    let last = if delimiter == b'.' { "\n," } else { "\n." };
    let records = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .has_headers(false)
        .flexible(true)
        .from_reader(text.as_bytes().chain(last.as_bytes()))
        .into_records();
    let mut lines = LineCounter { text: text.as_bytes(), at: 0, line: skipped + 1 };
    let mut read = Rows::default();
    for record in records {
        let record = record?;
        let line = lines.line(record.position().map_or(0, csv::Position::byte));
        read.rows.push(Row { line, fields: record.iter().map(str::to_owned).collect() });
    }
    if let Some(Row { line, mut fields }) = read.rows.pop()
        && fields != [&last[1..]]
    {
        if let Some(field) = fields.last_mut() {
            field.truncate(field.len().saturating_sub(last.len()));
        }
        read.unclosed = Some(line);
        read.rows.push(Row { line, fields });
    }
    Ok(read)
}

/// Counter of the lines up to a record. The csv crate reports a position before the empty lines above the record.
struct LineCounter<'a> {
    text: &'a [u8],
    at: usize,
    line: usize,
}

impl LineCounter<'_> {
    /// Returns the line of the record at or after this byte. The bytes must increase.
    fn line(&mut self, byte: u64) -> usize {
        let is_empty = |at: usize| self.text.get(at).is_some_and(|one| b"\r\n".contains(one));
        let mut start = usize::try_from(byte).unwrap_or(usize::MAX).min(self.text.len());
        while is_empty(start) {
            start += 1;
        }
        let passed = self.text.get(self.at..start).unwrap_or_default();
        self.line += passed.iter().filter(|one| **one == b'\n').count();
        self.at = start;
        self.line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str) -> (Vec<(usize, String)>, Option<usize>) {
        let read = read(text, b',').unwrap();
        (read.rows.iter().map(|row| (row.line, row.fields.join("|"))).collect(), read.unclosed)
    }

    #[test]
    fn each_row_has_its_line() {
        let row = |line: usize, fields: &str| (line, fields.to_owned());
        assert_eq!(rows(""), (vec![], None));
        assert_eq!(
            rows("#TYPE X\r\na,b\r\n\r\n\"1\n\",2\r\n3\r\n"),
            (vec![row(2, "a|b"), row(4, "1\n|2"), row(6, "3")], None)
        );
        assert_eq!(rows("a\n.\n\".\""), (vec![row(1, "a"), row(2, "."), row(3, ".")], None));
        assert_eq!(read("a.b\n,", b'.').unwrap().rows.len(), 2);
    }

    #[test]
    fn a_quote_that_is_not_closed_is_found() {
        for (text, line, last) in [
            ("a\n\n1,\"x\n2,y\n", 3, "1|x\n2,y\n"),
            ("\"", 1, ""),
            ("a\n\"x\"\"", 2, "x\""),
            ("x,\"\n.", 1, "x|\n."),
        ] {
            let (rows, unclosed) = rows(text);
            assert_eq!((unclosed, rows.last()), (Some(line), Some(&(line, last.to_owned()))), "{text:?}");
        }
        // A quote inside a field is an ordinary character.
        assert_eq!(rows("5\" disk\n").1, None);
    }
}
