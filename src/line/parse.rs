//! Parser of [`Statement`]s in PowerShell's command mode, as typed at a prompt.

mod command;
mod expression;
mod number;
mod recover;
mod statement;
mod text;

use super::syntax::{Element, Expr, Statement, SyntaxError};

/// Maximum nesting of parentheses and braces.
const MAX_DEPTH: usize = 32;

/// Parses statements up to the first error.
pub fn parse(text: &str) -> Result<Vec<Statement>, SyntaxError> {
    let (statements, errors) = parse_all(text);
    errors.into_iter().next().map_or(Ok(statements), Err)
}

/// Parses statements and continues after each error.
pub fn parse_all(text: &str) -> (Vec<Statement>, Vec<SyntaxError>) {
    let mut parser = Parser {
        letters: text.char_indices().collect(),
        at: 0,
        length: text.len(),
        depth: 0,
        errors: Vec::new(),
        open_comment: None,
        takes_type: false,
    };
    let mut statements = Vec::new();
    loop {
        match parser.statements() {
            Ok(more) => statements.extend(more),
            Err(error) => {
                parser.errors.push(error);
                break;
            }
        }
        let Some(letter) = parser.peek() else { break };
        let closed = parser.wrong::<()>(format!("Unexpected token '{letter}': there is no opening bracket."));
        parser.errors.extend(closed.err());
        parser.at += 1;
    }
    if let Some(at) = parser.open_comment {
        let open = parser.wrong_at::<()>(at, "The terminator '#>' is missing from the comment.");
        parser.errors.extend(open.err().map(|error| SyntaxError { incomplete: true, ..error }));
    }
    parser.errors.dedup();
    (statements, parser.errors)
}

/// Parses the content of a script block, which must be expressions.
pub fn block(text: &str) -> Result<Vec<Expr>, SyntaxError> {
    expressions(parse(text)?, 0..text.len())
}

/// Converts the statements of a script block to expressions. `span`: the block's.
pub fn expressions(
    statements: Vec<Statement>,
    span: std::ops::Range<usize>,
) -> Result<Vec<Expr>, SyntaxError> {
    let mut expressions = Vec::new();
    for statement in statements {
        match statement {
            Statement { assign: None, mut pipeline, redirections, .. }
                if pipeline.len() == 1 && redirections.is_empty() =>
            {
                match pipeline.swap_remove(0) {
                    Element::Expression(expression) => expressions.push(expression),
                    Element::Command(command) => {
                        let at = if command.at < span.end { command.at } else { span.start };
                        let what = format!("'{}' in a script block", command.name);
                        return Err(SyntaxError::script(&what, at..span.end));
                    }
                    Element::Repeat(_) => return Err(SyntaxError::script("A loop in a script block", span)),
                }
            }
            Statement { at, .. } => {
                let at = if at < span.end { at } else { span.start };
                return Err(SyntaxError::script("More than an expression in a script block", at..span.end));
            }
        }
    }
    Ok(expressions)
}

struct Parser {
    letters: Vec<(usize, char)>,
    at: usize,
    length: usize,
    depth: usize,
    /// Errors of skipped statements.
    errors: Vec<SyntaxError>,
    /// Start of an unterminated comment.
    open_comment: Option<usize>,
    /// Set after `-is`, where `[string]` is a type.
    takes_type: bool,
}

fn is_dash(letter: char) -> bool {
    matches!(letter, '-' | '\u{2013}' | '\u{2014}' | '\u{2015}')
}

fn is_single_quote(letter: char) -> bool {
    matches!(letter, '\'' | '\u{2018}' | '\u{2019}' | '\u{201a}' | '\u{201b}')
}

pub fn is_double_quote(letter: char) -> bool {
    matches!(letter, '"' | '\u{201c}' | '\u{201d}' | '\u{201e}')
}

/// Returns whether a letter may be part of a variable or property name.
fn is_name(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

type Parsed<T> = Result<T, SyntaxError>;

impl Parser {
    fn peek(&self) -> Option<char> {
        self.peek_at(0)
    }

    fn peek_at(&self, ahead: usize) -> Option<char> {
        self.letters.get(self.at + ahead).map(|(_, letter)| *letter)
    }

    fn next(&mut self) -> Option<char> {
        let letter = self.peek();
        self.at += usize::from(letter.is_some());
        letter
    }

    /// Consumes a letter if it is next.
    fn take(&mut self, wanted: char) -> bool {
        let there = self.peek() == Some(wanted);
        self.at += usize::from(there);
        there
    }

    fn offset(&self) -> usize {
        self.offset_of(self.at)
    }

    fn offset_of(&self, at: usize) -> usize {
        self.letters.get(at).map_or(self.length, |(offset, _)| *offset)
    }

    /// Returns an error for invalid text that begins here.
    fn wrong<T>(&self, message: impl Into<String>) -> Parsed<T> {
        self.wrong_at(self.at, message)
    }

    /// Returns an error for invalid text that begins at `at`.
    fn wrong_at<T>(&self, at: usize, message: impl Into<String>) -> Parsed<T> {
        let from = self.offset_of(at);
        Err(SyntaxError::wrong(message, from..self.length.max(from)))
    }

    /// Returns an error for a statement that more text may complete.
    fn unfinished<T>(&self, message: impl Into<String>) -> Parsed<T> {
        let at = self.length;
        Err(SyntaxError { incomplete: true, ..SyntaxError::wrong(message, at..at) })
    }

    /// Returns an error for an open construct that begins at `at`, and that more text may complete.
    fn unfinished_since<T>(&self, at: usize, message: impl Into<String>) -> Parsed<T> {
        let from = self.offset_of(at);
        let wrong = SyntaxError::wrong(message, from..self.length.max(from));
        Err(SyntaxError { incomplete: true, ..wrong })
    }

    /// Returns an error for text that begins here and needs PowerShell's script engine.
    fn script<T>(&self, what: &str) -> Parsed<T> {
        self.script_at(self.at, what)
    }

    /// Returns an error for text that begins at `at` and needs PowerShell's script engine.
    fn script_at<T>(&self, at: usize, what: &str) -> Parsed<T> {
        let from = self.offset_of(at);
        Err(SyntaxError::script(what, from..self.length.max(from)))
    }

    /// Runs `inner` one level deeper.
    fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= MAX_DEPTH {
            return self.wrong("The text is nested too deeply.");
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    /// Skips white space, continued lines and comments, and line ends if `lines` is set.
    fn blank(&mut self, lines: bool) {
        while let Some(letter) = self.peek() {
            match letter {
                '`' if matches!(self.peek_at(1), Some('\n' | '\r')) => {
                    self.at += 2;
                    self.take('\n');
                }
                '#' => self.comment(),
                '<' if self.peek_at(1) == Some('#') => self.block_comment(),
                '\n' if !lines => return,
                letter if letter.is_whitespace() => self.at += 1,
                _ => return,
            }
        }
    }

    /// Skips a comment up to the end of its line. `#requires` is refused, except for -Version.
    fn comment(&mut self) {
        let start = self.at;
        let mut text = String::new();
        while let Some(letter) = self.peek().filter(|letter| *letter != '\n') {
            text.push(letter);
            self.at += 1;
        }
        let mut words = text.split_whitespace();
        if words.next().is_some_and(|word| word.eq_ignore_ascii_case("#requires"))
            && !words.next().is_some_and(|word| word.eq_ignore_ascii_case("-Version"))
        {
            self.errors.extend(self.script_at::<()>(start, "'#Requires'").err());
        }
    }

    /// Skips `<# … #>`.
    fn block_comment(&mut self) {
        let start = self.at;
        self.at += 2;
        while let Some(letter) = self.next() {
            if letter == '#' && self.take('>') {
                return;
            }
        }
        self.open_comment = Some(start);
    }

    fn name(&mut self) -> String {
        let mut name = String::new();
        while let Some(letter) = self.peek().filter(|letter| is_name(*letter)) {
            name.push(letter);
            self.at += 1;
        }
        name
    }
}
