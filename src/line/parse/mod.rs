//! From text to [`Statement`]s. PowerShell's command mode: what a person types at a prompt.

mod command;
mod expression;
mod number;
mod text;

use super::syntax::{Element, Expr, Redirection, Repeat, Statement, SyntaxError};

/// Nesting of parentheses and braces.
const MAX_DEPTH: usize = 32;

/// Reads a text of one or more statements.
pub fn parse(text: &str) -> Result<Vec<Statement>, SyntaxError> {
    let mut parser = Parser { letters: text.char_indices().collect(), at: 0, length: text.len(), depth: 0 };
    let statements = parser.statements()?;
    match parser.peek() {
        None => Ok(statements),
        Some(letter) => parser.wrong(format!("Unexpected token '{letter}': nothing is open here.")),
    }
}

/// Reads what a script block computes: expressions only.
pub fn block(text: &str) -> Result<Vec<Expr>, SyntaxError> {
    let mut expressions = Vec::new();
    for statement in parse(text)? {
        match statement {
            Statement { assign: None, mut pipeline, redirections }
                if pipeline.len() == 1 && redirections.is_empty() =>
            {
                match pipeline.swap_remove(0) {
                    Element::Expression(expression) => expressions.push(expression),
                    Element::Command(command) => {
                        return Err(script(&format!("'{}' in a script block", command.name), 0..text.len()));
                    }
                    Element::Repeat(_) => return Err(script("A loop in a script block", 0..text.len())),
                }
            }
            _ => return Err(script("More than an expression in a script block", 0..text.len())),
        }
    }
    Ok(expressions)
}

fn script(what: &str, span: std::ops::Range<usize>) -> SyntaxError {
    let message =
        format!("{what} needs PowerShell's script engine, which the console does not have. Run it in pwsh.");
    SyntaxError { message, span, incomplete: false }
}

struct Parser {
    letters: Vec<(usize, char)>,
    at: usize,
    length: usize,
    depth: usize,
}

fn is_dash(letter: char) -> bool {
    matches!(letter, '-' | '\u{2013}' | '\u{2014}' | '\u{2015}')
}

fn is_single_quote(letter: char) -> bool {
    matches!(letter, '\'' | '\u{2018}' | '\u{2019}' | '\u{201a}' | '\u{201b}')
}

fn is_double_quote(letter: char) -> bool {
    matches!(letter, '"' | '\u{201c}' | '\u{201d}' | '\u{201e}')
}

/// What is part of a variable's or a property's name.
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

    /// Goes past a letter, if it is the next one.
    fn take(&mut self, wanted: char) -> bool {
        let there = self.peek() == Some(wanted);
        self.at += usize::from(there);
        there
    }

    fn offset(&self) -> usize {
        self.letters.get(self.at).map_or(self.length, |(offset, _)| *offset)
    }

    fn wrong<T>(&self, message: impl Into<String>) -> Parsed<T> {
        let from = self.offset();
        Err(SyntaxError { message: message.into(), span: from..self.length.max(from), incomplete: false })
    }

    fn unfinished<T>(&self, message: impl Into<String>) -> Parsed<T> {
        let at = self.length;
        Err(SyntaxError { message: message.into(), span: at..at, incomplete: true })
    }

    fn script<T>(&self, what: &str) -> Parsed<T> {
        let from = self.offset();
        Err(script(what, from..self.length.max(from)))
    }

    /// Runs `inner` one level deeper.
    fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= MAX_DEPTH {
            return self.wrong("This is nested too deeply.");
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    /// White space, continued lines and comments; line ends too where `lines` is set.
    fn blank(&mut self, lines: bool) {
        while let Some(letter) = self.peek() {
            match letter {
                '`' if matches!(self.peek_at(1), Some('\n' | '\r')) => {
                    self.at += 2;
                    self.take('\n');
                }
                '#' => {
                    while self.peek().is_some_and(|letter| letter != '\n') {
                        self.at += 1;
                    }
                }
                '\n' if !lines => return,
                letter if letter.is_whitespace() => self.at += 1,
                _ => return,
            }
        }
    }

    /// Statements up to the end, or to a closing bracket.
    fn statements(&mut self) -> Parsed<Vec<Statement>> {
        let mut statements = Vec::new();
        loop {
            self.blank(true);
            match self.peek() {
                None | Some(')' | '}') => return Ok(statements),
                Some(';') => self.at += 1,
                Some(_) => statements.push(self.statement()?),
            }
        }
    }

    fn statement(&mut self) -> Parsed<Statement> {
        let assign = self.assignment();
        if let Some(pipeline) = self.foreach()? {
            return Ok(Statement { assign, pipeline, redirections: Vec::new() });
        }
        let mut pipeline = Vec::new();
        let mut redirections: Vec<Redirection> = Vec::new();
        loop {
            self.blank(!pipeline.is_empty());
            if self.peek().is_none() {
                return self.unfinished("An empty pipe element is not allowed.");
            }
            if self.begins_expression() {
                if !pipeline.is_empty() {
                    return self.wrong("Expressions are only allowed as the first element of a pipeline.");
                }
                pipeline.push(Element::Expression(self.expression()?));
                self.redirections(&mut redirections)?;
            } else {
                pipeline.push(Element::Command(self.command(&mut redirections)?));
            }
            self.blank(false);
            match self.peek() {
                Some('|') if self.peek_at(1) == Some('|') => return self.script("'||'"),
                Some('|') => self.at += 1,
                Some('\n' | ';' | ')' | '}') | None => {
                    return Ok(Statement { assign, pipeline, redirections });
                }
                Some('&') => return self.script("'&'"),
                Some('=') => return self.script("This assignment"),
                Some(_) => {
                    let word = self.word()?;
                    return match word {
                        Some(Expr::Literal(text)) => self.wrong(format!(
                            "Unexpected token '{}' in expression or statement. Text belongs in quotes.",
                            text.display_text()
                        )),
                        _ => self.wrong("Unexpected token in expression or statement."),
                    };
                }
            }
            // Only what leaves the last command can go elsewhere.
            if redirections.iter().any(|one| one.from == super::syntax::Stream::Output) {
                return self.wrong(
                    "The output is redirected, and nothing is left for the pipe: put the redirection last.",
                );
            }
        }
    }

    /// `foreach ($x in …) { … }`, if that is what comes.
    fn foreach(&mut self) -> Parsed<Option<Vec<Element>>> {
        const KEYWORD: &str = "foreach";
        let start = self.at;
        self.blank(true);
        let word: String = (0..KEYWORD.len()).map_while(|ahead| self.peek_at(ahead)).collect();
        if word.eq_ignore_ascii_case(KEYWORD) {
            self.at += KEYWORD.len();
            self.blank(true);
            if self.take('(') {
                return self.deeper(Self::each).map(Some);
            }
        }
        self.at = start;
        Ok(None)
    }

    /// What follows `foreach (`.
    fn each(&mut self) -> Parsed<Vec<Element>> {
        let wrong = "foreach is written so: foreach ($user in Get-CsOnlineUser) { … }.";
        self.blank(true);
        let variable = if self.take('$') { self.name() } else { String::new() };
        self.blank(true);
        let word = self.name();
        if self.peek().is_none() {
            return self.unfinished(wrong);
        }
        if variable.is_empty() || !word.eq_ignore_ascii_case("in") {
            return self.wrong(wrong);
        }
        let of = self.statement()?;
        self.blank(true);
        self.expect(')', wrong)?;
        self.blank(true);
        self.expect('{', wrong)?;
        let body = self.statements()?;
        self.expect('}', wrong)?;
        let of = match of {
            Statement { assign: None, mut pipeline, redirections }
                if redirections.is_empty() && matches!(pipeline.as_slice(), [Element::Expression(_)]) =>
            {
                pipeline.swap_remove(0)
            }
            pipeline => Element::Expression(Expr::Nested(vec![pipeline])),
        };
        Ok(vec![of, Element::Repeat(Repeat { variable, body })])
    }

    fn expect(&mut self, letter: char, otherwise: &str) -> Parsed<()> {
        match self.peek() {
            Some(next) if next == letter => {
                self.at += 1;
                Ok(())
            }
            Some(_) => self.wrong(otherwise),
            None => self.unfinished(otherwise),
        }
    }

    /// `$x = `, if that is what comes.
    fn assignment(&mut self) -> Option<String> {
        let start = self.at;
        if self.take('$') {
            let name = self.name();
            self.blank(false);
            if !name.is_empty() && self.peek() == Some('=') && self.peek_at(1) != Some('=') {
                self.at += 1;
                return Some(name);
            }
        }
        self.at = start;
        None
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
