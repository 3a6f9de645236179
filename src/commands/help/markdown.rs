//! Sections of the documentation as text for a terminal. Pure.

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use crate::screen::width;

/// Maximum width of a table's column except the last.
const MAX_COLUMN: usize = 30;
/// Columns between the columns of a table.
const GAP: usize = 3;

/// Returns a section: from its heading to the next heading of any level.
pub fn section<'a>(page: &'a str, heading: &str) -> Option<&'a str> {
    let mut is_code = false;
    let (mut start, mut at) = (None, 0);
    for line in page.split_inclusive('\n') {
        is_code ^= line.starts_with("```");
        if !is_code && line.starts_with('#') {
            match start {
                Some(start) => return Some(&page[start..at]),
                None if line.trim_end() == heading => start = Some(at),
                None => {}
            }
        }
        at += line.len();
    }
    start.map(|start| &page[start..])
}

/// Formats a section as lines with the indentation of their continuation lines.
pub fn lines(section: &str) -> Vec<(String, usize)> {
    let mut text = Text::default();
    for event in Parser::new_ext(section, Options::ENABLE_TABLES) {
        text.event(event);
    }
    text.lines
}

/// The formatted lines.
#[derive(Default)]
struct Text {
    lines: Vec<(String, usize)>,
    /// The text of the current paragraph, item or cell.
    current: String,
    is_item: bool,
    /// Set for an item that links to a section of the same page: a table of contents is left out.
    is_contents: bool,
    rows: Vec<Vec<String>>,
}

impl Text {
    fn event(&mut self, event: Event) {
        match event {
            Event::Start(Tag::Item) => self.is_item = true,
            Event::Start(Tag::Link { dest_url, .. }) if self.is_item && self.current.is_empty() => {
                self.is_contents = dest_url.starts_with('#');
            }
            Event::Start(Tag::TableHead | Tag::TableRow) => self.rows.push(Vec::new()),
            Event::End(TagEnd::TableCell) => {
                let cell = std::mem::take(&mut self.current);
                self.rows.last_mut().into_iter().for_each(|row| row.push(cell.clone()));
            }
            Event::End(TagEnd::Table) => self.table(),
            Event::End(TagEnd::Heading(_)) => {
                let heading = std::mem::take(&mut self.current).to_uppercase();
                self.lines.extend([(heading, 0), (String::new(), 0)]);
            }
            Event::End(TagEnd::Paragraph) => self.block(),
            Event::End(TagEnd::Item) => {
                let item = std::mem::take(&mut self.current);
                if !std::mem::take(&mut self.is_contents) {
                    self.lines.push((format!("- {item}"), 2));
                }
                self.is_item = false;
            }
            Event::End(TagEnd::List(_)) if self.lines.last().is_some_and(|(line, _)| !line.is_empty()) => {
                self.lines.push((String::new(), 0));
            }
            Event::End(TagEnd::CodeBlock) => {
                let code = std::mem::take(&mut self.current);
                self.lines.extend(code.lines().map(|line| (format!("  {line}").trim_end().to_owned(), 4)));
                self.lines.push((String::new(), 0));
            }
            Event::Text(text) | Event::Code(text) => self.current.push_str(&text),
            Event::SoftBreak | Event::HardBreak => self.current.push(' '),
            _ => {}
        }
    }

    /// Ends a paragraph.
    fn block(&mut self) {
        // The end of the item follows.
        if !self.is_item {
            self.lines.extend([(std::mem::take(&mut self.current), 0), (String::new(), 0)]);
        }
    }

    /// Ends a table: columns are aligned, and its head is omitted.
    fn table(&mut self) {
        let rows = std::mem::take(&mut self.rows);
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns)
            .map(|at| {
                let cells = rows.iter().skip(1).filter_map(|row| row.get(at));
                cells.map(|cell| width(cell)).filter(|width| *width <= MAX_COLUMN).max().unwrap_or(0)
            })
            .collect();
        let indent: usize = widths.iter().take(columns.saturating_sub(1)).map(|width| width + GAP).sum();
        for row in rows.iter().skip(1) {
            let mut line = String::new();
            for (at, cell) in row.iter().enumerate() {
                line.push_str(cell);
                if at + 1 < columns {
                    let gap = (widths[at] + GAP).saturating_sub(width(cell));
                    line.push_str(&" ".repeat(gap.max(GAP)));
                }
            }
            self.lines.push((format!("  {}", line.trim_end()), indent + 2));
        }
        self.lines.push((String::new(), 0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_becomes_plain_lines() {
        let page = "# A\n\nBegin.\n\n## B `c`\n\n- [D](#d)\n\nSee [the page](x.md), **all** of\nit: `a | b`.\n\n\
                    | one | two |\n| --- | --- |\n| `a \\| b` | first |\n| 4 | second |\n\n- item `x`\n- other\n\n\
                    ```sh\n# not a heading\nlyncsh work\n```\n\n## D\n\nEnd.\n";
        assert_eq!(section(page, "# A"), Some("# A\n\nBegin.\n\n"));
        assert_eq!(section(page, "## D"), Some("## D\n\nEnd.\n"));
        assert_eq!(section(page, "## E"), None);
        let lines: Vec<String> =
            lines(section(page, "## B `c`").unwrap()).into_iter().map(|(line, _)| line).collect();
        assert_eq!(
            lines,
            [
                "B C",
                "",
                "See the page, all of it: a | b.",
                "",
                "  a | b   first",
                "  4       second",
                "",
                "- item x",
                "- other",
                "",
                "  # not a heading",
                "  lyncsh work",
                "",
            ]
        );
    }
}
