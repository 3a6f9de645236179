//! Pipelines inside of values: `(Get-CsTenant).DisplayName`. They run before their statement.

use super::stage::local_name;
use super::syntax::{Arg, Element, Expr, Statement, Target};

/// Where the endpoint's commands follow stages that run here, what comes before them becomes a value of
/// its own, which is sent to them when it is whole.
pub fn fold(statement: &mut Statement) {
    let is_local = |element: &Element| match element {
        Element::Command(command) => local_name(&command.name).is_some(),
        Element::Expression(_) => false,
    };
    let Some(first) = statement.pipeline.iter().position(is_local) else { return };
    let Some(length) = statement.pipeline.iter().skip(first).position(|element| !is_local(element)) else {
        return;
    };
    let rest = statement.pipeline.split_off(first + length);
    let begun = std::mem::replace(&mut statement.pipeline, rest);
    let inner = Statement { assign: None, pipeline: begun, redirections: Vec::new() };
    statement.pipeline.insert(0, Element::Expression(Expr::Nested(vec![inner])));
    // What follows may go back and forth again.
    fold(statement);
}

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
