//! Numbers in arguments and expressions.

use crate::line::number::read;
use crate::line::syntax::Expr;
use crate::line::value::typed;

/// Parses a number in an expression; only its value is kept.
pub fn number(word: &str) -> Option<Expr> {
    read(word).map(Expr::Literal)
}

/// Parses a number as an argument; its text is kept for parameters of type string (`0049301234`, `1.10`). A word
/// with a sign is text (Compiler.GetCommandArgumentExpression).
pub fn argument(word: &str) -> Option<Expr> {
    let is_plain = word.starts_with(|letter: char| letter.is_ascii_digit() || letter == '.');
    is_plain.then(|| read(word)).flatten().map(|number| Expr::Literal(typed(word, number)))
}
