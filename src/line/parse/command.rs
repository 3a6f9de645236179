//! Parser of commands, arguments and redirections.

use super::number;
use super::{Parsed, Parser, is_dash, is_double_quote, is_name, is_single_quote};
use crate::line::syntax::{Arg, CommandLine, Expr, Redirection, Stream, Target};
use crate::psrp::clixml::Value;

/// Keywords that need a script engine.
const KEYWORDS: &[&str] = &[
    "if",
    "else",
    "elseif",
    "foreach",
    "for",
    "while",
    "do",
    "until",
    "switch",
    "function",
    "filter",
    "param",
    "try",
    "catch",
    "finally",
    "trap",
    "throw",
    "return",
    "break",
    "continue",
    "class",
    "enum",
    "using",
    "begin",
    "process",
    "end",
    "clean",
    "dynamicparam",
    "data",
    "configuration",
    "workflow",
    "parallel",
    "sequence",
    "inlinescript",
    "from",
    "define",
    "var",
];

/// The name of a command as it is called.
struct CalledName {
    name: String,
    /// Whether it is dot-sourced.
    is_dotted: bool,
}

fn ends_word(letter: char) -> bool {
    letter.is_whitespace() || matches!(letter, '|' | ';' | ',' | '(' | ')' | '{' | '}' | '&' | '<' | '>')
}

impl Parser {
    pub(super) fn command(&mut self, redirections: &mut Vec<Redirection>) -> Parsed<CommandLine> {
        let start = self.at;
        let CalledName { name, is_dotted } = self.command_name()?;
        let at = self.offset_of(start);
        if KEYWORDS.iter().any(|one| one.eq_ignore_ascii_case(&name)) && !name.eq_ignore_ascii_case("foreach")
        {
            return self.script_at(start, &format!("'{name}'"));
        }
        let (mut arguments, mut places, mut is_help) = (Vec::new(), Vec::new(), false);
        loop {
            self.redirections(redirections)?;
            let place = self.offset();
            match self.peek() {
                None | Some('|' | ';' | '\n' | '&' | ')' | '}') => break,
                Some('<') => return self.wrong("The '<' operator is reserved for future use."),
                Some(letter)
                    if is_dash(letter) && self.peek_at(1).is_some_and(|next| next.is_alphabetic()) =>
                {
                    arguments.push(self.parameter()?);
                }
                Some(letter) if is_dash(letter) && self.peek_at(1) == Some('?') => {
                    self.at += 2;
                    is_help = true;
                    continue;
                }
                Some(letter) if is_dash(letter) && self.peek_at(1).is_some_and(is_dash) => {
                    let what = if self.peek_at(2) == Some('%') { "'--%'" } else { "'--'" };
                    return self.script(what);
                }
                Some(_) => arguments.push(Arg::Value(self.arguments()?)),
            }
            places.push(place);
        }
        if is_help {
            // With -?, the command does not run, and its other arguments have no effect.
            let about = Arg::Value(Expr::Literal(Value::String(name)));
            let (arguments, places) = (vec![about], vec![at]);
            return Ok(CommandLine { name: "Get-Help".to_owned(), arguments, at, places, is_dotted: false });
        }
        // `foreach` is the cmdlet within a pipeline, and a statement at its beginning.
        if name.eq_ignore_ascii_case("foreach")
            && matches!(arguments.as_slice(), [Arg::Value(_), Arg::Value(_)])
        {
            return self.script_at(start, "'foreach'");
        }
        Ok(CommandLine { name, arguments, at, places, is_dotted })
    }

    /// Parses a command name: a word, or a string after `&` or `.`.
    fn command_name(&mut self) -> Parsed<CalledName> {
        let start = self.at;
        let is_called = self.peek() == Some('&')
            || self.peek() == Some('.') && self.peek_at(1).is_none_or(char::is_whitespace);
        let mut is_dotted = false;
        if is_called {
            is_dotted = self.peek() == Some('.');
            self.at += 1;
            self.blank(false);
        }
        let named = match self.peek() {
            Some(quote) if is_called && (is_single_quote(quote) || is_double_quote(quote)) => {
                Some(self.quoted()?)
            }
            Some('{' | '(' | '$' | '@' | '[') if is_called => {
                return self.script_at(start, if is_dotted { "'.'" } else { "'&'" });
            }
            _ => self.word()?,
        };
        let name = match named {
            Some(Expr::Literal(name)) => name.display_text(),
            Some(_) => return self.script_at(start, "A command whose name is computed"),
            None => return self.wrong("An empty pipe element is not allowed."),
        };
        let label = name.strip_prefix(':').is_some_and(|rest| rest.chars().all(is_name));
        if label {
            return self.script_at(start, "A label");
        }
        Ok(CalledName { name, is_dotted })
    }

    fn parameter(&mut self) -> Parsed<Arg> {
        self.at += 1;
        let name = self.name();
        if !self.take(':') {
            return Ok(Arg::Parameter { name, value: None });
        }
        self.blank(false);
        Ok(Arg::Parameter { name, value: Some(self.arguments()?) })
    }

    /// Parses one value, or several separated by commas.
    fn arguments(&mut self) -> Parsed<Expr> {
        self.separated(Self::argument)
    }

    fn argument(&mut self) -> Parsed<Expr> {
        let (first, second) = (self.peek(), self.peek_at(1));
        let computed = match first {
            Some('@') => {
                matches!(second, Some('(' | '{'))
                    || second.is_some_and(|one| is_single_quote(one) || is_double_quote(one))
            }
            Some('$') => second
                .is_some_and(|one| is_name(one) || matches!(one, '(' | '{') || self.is_variable_sign(one)),
            Some('(' | '{') => true,
            Some(letter) => is_single_quote(letter) || is_double_quote(letter),
            None => return self.unfinished("A value is missing."),
        };
        if computed {
            let start = self.at;
            let value = self.primary()?;
            // `$home/x` is one word with a variable.
            let continues =
                first == Some('$') && second != Some('(') && self.peek().is_some_and(|next| !ends_word(next));
            if !continues {
                return Ok(value);
            }
            self.at = start;
        }
        if first == Some('@') {
            return self.script("Splatting");
        }
        match self.word()? {
            Some(Expr::Literal(Value::String(word))) => {
                Ok(number::argument(&word).unwrap_or(Expr::text(word)))
            }
            Some(word) => Ok(word),
            None => self.wrong("A value is missing."),
        }
    }

    /// Parses a bare word, which may contain quotes and variables.
    pub(super) fn word(&mut self) -> Parsed<Option<Expr>> {
        let start = self.at;
        let mut parts = Vec::new();
        let mut text = String::new();
        while let Some(letter) = self.peek().filter(|letter| !ends_word(*letter)) {
            if is_single_quote(letter) && self.at > start {
                self.single_quoted(&mut text)?;
            } else if is_double_quote(letter) && self.at > start {
                self.double_quoted(&mut parts, &mut text)?;
            } else {
                self.expandable(&mut parts, &mut text)?;
            }
        }
        Ok((self.at > start).then(|| super::text::joined(parts, text)))
    }

    /// Parses redirections such as `> file` and `2>&1`.
    pub(super) fn redirections(&mut self, all: &mut Vec<Redirection>) -> Parsed<()> {
        loop {
            self.blank(false);
            let (first, second) = (self.peek(), self.peek_at(1));
            let from = match (first, second) {
                (Some('>'), _) => Stream::Output,
                (Some('1'), Some('>')) => Stream::Output,
                (Some('2'), Some('>')) => Stream::Error,
                (Some('3'), Some('>')) => Stream::Warning,
                (Some('4'), Some('>')) => Stream::Verbose,
                (Some('5'), Some('>')) => Stream::Debug,
                (Some('6'), Some('>')) => Stream::Information,
                (Some('*'), Some('>')) => Stream::All,
                _ => return Ok(()),
            };
            self.at += if first == Some('>') { 1 } else { 2 };
            if all.iter().any(|one| one.from == from) {
                return self.wrong("A stream cannot be redirected twice.");
            }
            let append = self.take('>');
            let to = if !append && self.peek() == Some('&') {
                if self.peek_at(1) != Some('1') || from == Stream::Output {
                    return self.wrong("Streams can only be merged into the output: 2>&1, 3>&1, *>&1.");
                }
                self.at += 2;
                Target::Output
            } else {
                self.blank(false);
                if self.peek().is_none_or(|next| matches!(next, '|' | ';' | '\n' | ')' | '>')) {
                    return self.wrong("Missing file specification after redirection operator.");
                }
                Target::File { path: self.argument()?, append }
            };
            all.push(Redirection { from, to });
        }
    }
}
