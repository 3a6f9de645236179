//! Supported scripts of a view's columns: an expression, its conversion to an integer (`[long]($_.NPM / 1024)`), or
//! `if ($_.Used) { … } else { … }`.

use super::block::{block, computed};
use super::error::LineError;
use super::evaluate::Variables;
use super::number::Number;
use super::syntax::Expr;
use super::value::truth;
use crate::psrp::clixml::Value;

/// Maximum nesting of `if`.
const MAX_DEPTH: usize = 8;

/// Script of a column.
#[derive(Clone, Debug)]
pub enum Script {
    Plain(Vec<Expr>),
    /// `[long](…)`, `[int](…)`
    Whole(Vec<Expr>),
    Choice {
        test: Vec<Expr>,
        then: Box<Script>,
        otherwise: Option<Box<Script>>,
    },
}

impl Script {
    /// Parses a script; `None` if the console cannot evaluate it.
    pub fn read(text: &str) -> Option<Self> {
        Self::at(text, 0)
    }

    fn at(text: &str, depth: usize) -> Option<Self> {
        if depth > MAX_DEPTH {
            return None;
        }
        let text = text.trim();
        if let Some(rest) = word(text, "if") {
            let (test, rest) = enclosed(rest, '(', ')')?;
            let (then, rest) = enclosed(rest, '{', '}')?;
            let otherwise = match word(rest.trim(), "else") {
                Some(rest) => Some(Box::new(Self::at(enclosed(rest, '{', '}')?.0, depth + 1)?)),
                None if rest.trim().is_empty() => None,
                None => return None,
            };
            let then = Box::new(Self::at(then, depth + 1)?);
            return Some(Self::Choice { test: expressions(test)?, then, otherwise });
        }
        for kind in ["[long]", "[int]"] {
            if let Some(rest) = text.get(..kind.len()).filter(|start| start.eq_ignore_ascii_case(kind)) {
                return Some(Self::Whole(expressions(&text[rest.len()..])?));
            }
        }
        Some(Self::Plain(expressions(text)?))
    }

    pub fn compute(&self, this: &Value, variables: &Variables) -> Result<Value, LineError> {
        match self {
            Self::Plain(block) => computed(block, this, variables),
            Self::Whole(block) => {
                let number = Number::convert(&computed(block, this, variables)?).and_then(Number::rounded);
                Ok(number.map_or(Value::Null, Value::I64))
            }
            Self::Choice { test, then, otherwise } => {
                if truth(&computed(test, this, variables)?) {
                    return then.compute(this, variables);
                }
                otherwise.as_ref().map_or(Ok(Value::Null), |script| script.compute(this, variables))
            }
        }
    }
}

/// Parses expressions. Conversions to a float are dropped: the parser does not support them, and the text of the
/// formatted number does not need them.
fn expressions(text: &str) -> Option<Vec<Expr>> {
    let mut text = text.to_owned();
    for kind in ["[float]", "[double]", "[single]"] {
        text = text.replace(kind, "");
    }
    block("Format-Table", &text).ok()
}

/// Strips a leading word.
fn word<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let start = text.get(..word.len()).filter(|start| start.eq_ignore_ascii_case(word))?;
    let rest = &text[start.len()..];
    rest.starts_with(|next: char| next.is_whitespace() || matches!(next, '(' | '{')).then_some(rest)
}

/// Splits a text into the content of its leading pair of brackets and the rest.
fn enclosed(text: &str, open: char, close: char) -> Option<(&str, &str)> {
    let text = text.trim_start();
    let inner = text.strip_prefix(open)?;
    let (mut depth, mut quote) = (1, None);
    for (at, letter) in inner.char_indices() {
        match quote {
            Some(one) if letter == one => quote = None,
            Some(_) => {}
            None if matches!(letter, '\'' | '"') => quote = Some(letter),
            None if letter == open => depth += 1,
            None if letter == close => depth -= 1,
            None => {}
        }
        if depth == 0 {
            return Some((&inner[..at], &inner[at + close.len_utf8()..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_of_powershells_views_are_computed() {
        let object = |used: Value| {
            Value::custom_object([
                ("NPM", Value::I64(5000)),
                ("Used", used),
                ("Kind", "Alias".into()),
                ("Name", "x".into()),
            ])
        };
        let shown = |script: &str, used: Value| {
            let script = Script::read(script).expect(script);
            script.compute(&object(used), &Variables::default()).unwrap().display_text()
        };
        assert_eq!(shown("[long]($_.NPM / 1024)", Value::Null), "5");
        assert_eq!(shown("if ($_.Kind -eq \"Alias\") { \"a\" } else { $_.Name }", Value::Null), "a");
        assert_eq!(shown("if ($_.Kind -eq '}') { 'a' } else { $_.Name }", Value::Null), "x");
        assert_eq!(shown("if($_.Used) { $_.Used * 2 }", Value::Null), "");
        assert_eq!(shown("if($_.Used) { $_.Used * 2 }", Value::I32(4)), "8");
        assert_eq!(shown("[float]($_.NPM / 1000)", Value::Null), "5");
        assert!(Script::read("$_.Name.Substring(1)").is_none());
        assert!(Script::read("if ($_.Name) { ").is_none());
    }
}
