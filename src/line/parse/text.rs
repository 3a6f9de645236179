//! Parser of quoted strings, here-strings and script blocks.

use super::{Parsed, Parser, is_double_quote, is_name, is_single_quote};
use crate::line::syntax::{Block, Expr};
use crate::psrp::clixml::Value;

/// Joins literal and computed parts of a string.
pub fn joined(mut parts: Vec<Expr>, text: String) -> Expr {
    if parts.is_empty() {
        return Expr::text(text);
    }
    if !text.is_empty() {
        parts.push(Expr::text(text));
    }
    Expr::Parts(parts)
}

impl Parser {
    /// Parses `{ … }`. Errors in the block are kept with it.
    pub(super) fn block(&mut self) -> Parsed<Expr> {
        self.at += 1;
        let start = self.at;
        let outside = std::mem::take(&mut self.errors);
        let parsed = self.deeper(Self::statements);
        let mut errors = std::mem::replace(&mut self.errors, outside);
        let body = match parsed {
            Ok(statements) if self.peek() == Some('}') => {
                if errors.is_empty() {
                    Ok(statements)
                } else {
                    Err(errors)
                }
            }
            Ok(_) if self.peek().is_none() => return self.open_block(),
            Ok(_) => {
                errors.extend(self.wrong::<()>("Unexpected token ')': there is no opening bracket.").err());
                Err(errors)
            }
            Err(error) => {
                errors.push(error);
                Err(errors)
            }
        };
        if body.is_err() {
            self.at = start;
            if !self.pass_block() {
                return self.open_block();
            }
            self.at -= 1;
        }
        let text = self.letters[start..self.at].iter().map(|(_, letter)| *letter).collect();
        self.at += 1;
        Ok(Expr::Block(Block { text, body }))
    }

    fn open_block<T>(&self) -> Parsed<T> {
        self.unfinished("Missing closing '}' in statement block or type definition.")
    }

    /// Parses a string in single or double quotes.
    pub(super) fn quoted(&mut self) -> Parsed<Expr> {
        let (mut parts, mut text) = (Vec::new(), String::new());
        if self.peek().is_some_and(is_single_quote) {
            self.single_quoted(&mut text)?;
        } else {
            self.double_quoted(&mut parts, &mut text)?;
        }
        Ok(joined(parts, text))
    }

    pub(super) fn single_quoted(&mut self, text: &mut String) -> Parsed<()> {
        let start = self.at;
        self.at += 1;
        while let Some(letter) = self.next() {
            if !is_single_quote(letter) {
                text.push(letter);
            } else if self.peek().is_some_and(is_single_quote) {
                text.push(letter);
                self.at += 1;
            } else {
                return Ok(());
            }
        }
        self.unfinished_since(start, "The string is missing the terminator: '.")
    }

    pub(super) fn double_quoted(&mut self, parts: &mut Vec<Expr>, text: &mut String) -> Parsed<()> {
        let start = self.at;
        self.at += 1;
        while let Some(letter) = self.peek() {
            if is_double_quote(letter) {
                self.at += 1;
                if !self.peek().is_some_and(is_double_quote) {
                    return Ok(());
                }
                self.at += 1;
                text.push(letter);
            } else {
                self.expandable(parts, text)?;
            }
        }
        self.unfinished_since(start, "The string is missing the terminator: \".")
    }

    /// Parses a letter, escape sequence or variable of a string in double quotes.
    pub(super) fn expandable(&mut self, parts: &mut Vec<Expr>, text: &mut String) -> Parsed<()> {
        match (self.peek(), self.peek_at(1)) {
            (Some('`'), Some('u')) => text.push(self.unicode_escape()?),
            (Some('`'), Some(escaped)) => {
                self.at += 2;
                text.push(match escaped {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    '0' => '\0',
                    'a' => '\u{7}',
                    'b' => '\u{8}',
                    'e' => '\u{1b}',
                    'f' => '\u{c}',
                    'v' => '\u{b}',
                    other => other,
                });
            }
            (Some('$'), Some(next))
                if is_name(next) || matches!(next, '(' | '{') || self.is_variable_sign(next) =>
            {
                if !text.is_empty() {
                    parts.push(Expr::text(std::mem::take(text)));
                }
                if parts.is_empty() {
                    // The result is a string even if it consists of one variable.
                    parts.push(Expr::Literal(Value::String(String::new())));
                }
                // Within a string, `.Property` is text.
                parts.push(if next == '(' { self.group(2)? } else { self.variable()? });
            }
            _ => text.extend(self.next()),
        }
        Ok(())
    }

    /// Parses `` `u{1F600} ``.
    fn unicode_escape(&mut self) -> Parsed<char> {
        let start = self.at;
        self.at += 2;
        let mut digits = String::new();
        if self.take('{') {
            while let Some(digit) = self.peek().filter(char::is_ascii_hexdigit) {
                digits.push(digit);
                self.at += 1;
            }
        }
        if digits.len() > 6 {
            return self.wrong_at(
                start,
                "The Unicode escape sequence contains more than the maximum of six hex digits between braces.",
            );
        }
        if digits.is_empty() || !self.take('}') {
            return self.wrong_at(
                start,
                "The Unicode escape sequence is not valid. A valid sequence is `u{ followed by one to six hex \
                 digits and a closing '}'.",
            );
        }
        let code = u32::from_str_radix(&digits, 16).unwrap_or(u32::MAX);
        match char::from_u32(code) {
            Some(letter) => Ok(letter),
            None if code <= 0x0010_FFFF => self.script_at(start, "A surrogate as a Unicode escape sequence"),
            None => self.wrong_at(
                start,
                "The Unicode escape sequence value is out of range. The maximum value is 0x10FFFF.",
            ),
        }
    }

    pub(super) fn here_string(&mut self) -> Parsed<Expr> {
        let start = self.at;
        let plain = self.peek_at(1).is_some_and(is_single_quote);
        let open = format!("The string is missing the terminator: {}@.", if plain { '\'' } else { '"' });
        self.at += 2;
        loop {
            match self.next() {
                Some('\n') => break,
                Some(letter) if letter.is_whitespace() => {}
                Some(_) => {
                    return self.wrong(
                        "No characters are allowed after a here-string header but before the end of the line.",
                    );
                }
                None => return self.unfinished_since(start, open),
            }
        }
        let mut parts = Vec::new();
        let mut text = String::new();
        let mut fresh = true;
        while let Some(letter) = self.peek() {
            let quote = if plain { is_single_quote(letter) } else { is_double_quote(letter) };
            if fresh && quote && self.peek_at(1) == Some('@') {
                self.at += 2;
                // The line end before the closing quote is not part of it.
                if text.ends_with('\n') {
                    text.pop();
                    if text.ends_with('\r') {
                        text.pop();
                    }
                }
                return Ok(joined(parts, text));
            }
            fresh = letter == '\n';
            if plain {
                text.push(letter);
                self.at += 1;
            } else {
                self.expandable(&mut parts, &mut text)?;
            }
        }
        self.unfinished_since(start, open)
    }
}
