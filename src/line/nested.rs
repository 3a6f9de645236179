//! Pipelines inside of values: `(Get-CsTenant).DisplayName`. They run before their statement.

use super::syntax::{Arg, Element, Expr, Statement, Target};

/// The next value of a statement that is a pipeline, which is to be run and replaced by what it gave.
/// What stands in script blocks is none of them.
pub fn nested(statement: &mut Statement) -> Option<&mut Expr> {
    for element in &mut statement.pipeline {
        let found = match element {
            Element::Expression(expression) => inside(expression),
            Element::Command(command) => command.arguments.iter_mut().find_map(|argument| match argument {
                Arg::Value(value) | Arg::Parameter { value: Some(value), .. } => inside(value),
                Arg::Parameter { value: None, .. } => None,
            }),
        };
        if found.is_some() {
            return found;
        }
    }
    statement.redirections.iter_mut().find_map(|redirection| match &mut redirection.to {
        Target::File { path, .. } => inside(path),
        Target::Output => None,
    })
}

fn inside(expression: &mut Expr) -> Option<&mut Expr> {
    match expression {
        Expr::Nested(_) => Some(expression),
        Expr::Literal(_) | Expr::Block(_) | Expr::Variable(_) | Expr::Type(_) => None,
        Expr::Parts(parts) | Expr::Array(parts) => parts.iter_mut().find_map(inside),
        Expr::List(of) | Expr::Unary(_, of) => inside(of),
        Expr::Table(entries) => {
            entries.iter_mut().find_map(|(key, value)| inside(key).or_else(|| inside(value)))
        }
        Expr::Member(a, b) | Expr::Index(a, b) | Expr::Binary(_, a, b) => inside(a).or_else(|| inside(b)),
    }
}
