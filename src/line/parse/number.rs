//! A word that is a number, in an argument or in an expression.

use crate::line::number::read;
use crate::line::syntax::Expr;
use crate::line::value::typed;

/// A number in an expression: its value is all that is left of it.
pub fn number(word: &str) -> Option<Expr> {
    read(word).map(Expr::Literal)
}

/// A number as an argument keeps the text that was typed, which a parameter of type string gets
/// (`0049301234`, `1.10`); with a sign it is text (Compiler.GetCommandArgumentExpression).
pub fn argument(word: &str) -> Option<Expr> {
    let is_plain = word.starts_with(|letter: char| letter.is_ascii_digit() || letter == '.');
    is_plain.then(|| read(word)).flatten().map(|number| Expr::Literal(typed(word, number)))
}
