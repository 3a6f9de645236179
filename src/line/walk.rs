//! Traversal of the expressions and commands of a statement, at any depth.

use super::stage;
use super::syntax::{Arg, CommandLine, Element, Expr, Statement, Target};

/// A visited node.
pub enum Found<'a> {
    Expression(&'a Expr),
    Command(&'a CommandLine),
}

/// Visits everything in a statement, including the script blocks of local cmdlets and foreach. Script blocks of remote
/// commands are values.
pub fn statement<'a>(statement: &'a Statement, visit: &mut impl FnMut(Found<'a>)) {
    for element in &statement.pipeline {
        match element {
            Element::Expression(one) => expression(one, visit),
            Element::Command(command) => {
                visit(Found::Command(command));
                let runs_blocks = stage::is_local(&command.name);
                for argument in &command.arguments {
                    match argument {
                        Arg::Value(value @ Expr::Block(_))
                        | Arg::Parameter { value: Some(value @ Expr::Block(_)), .. }
                            if !runs_blocks =>
                        {
                            visit(Found::Expression(value));
                        }
                        Arg::Value(value) | Arg::Parameter { value: Some(value), .. } => {
                            expression(value, visit);
                        }
                        Arg::Parameter { value: None, .. } => {}
                    }
                }
            }
            Element::Repeat(repeat) => repeat.body.iter().for_each(|one| self::statement(one, visit)),
        }
    }
    for redirection in &statement.redirections {
        if let Target::File { path, .. } = &redirection.to {
            expression(path, visit);
        }
    }
}

/// Visits everything in an expression.
pub fn expression<'a>(expr: &'a Expr, visit: &mut impl FnMut(Found<'a>)) {
    visit(Found::Expression(expr));
    match expr {
        Expr::Literal(_) | Expr::Variable(_) | Expr::Type(_) => {}
        Expr::Block(block) => {
            if let Ok(body) = &block.body {
                body.iter().for_each(|one| statement(one, visit));
            }
        }
        Expr::Nested(statements) => statements.iter().for_each(|one| statement(one, visit)),
        Expr::Parts(parts) | Expr::Array(parts) => parts.iter().for_each(|one| expression(one, visit)),
        Expr::List(of) | Expr::Unary(_, of) => expression(of, visit),
        Expr::Table(entries) => entries.iter().for_each(|(key, value)| {
            expression(key, visit);
            expression(value, visit);
        }),
        Expr::Member(a, b) | Expr::Index(a, b) | Expr::Binary(_, a, b) => {
            expression(a, visit);
            expression(b, visit);
        }
    }
}

/// Returns whether a statement reads a variable.
pub fn reads(of: &Statement, name: &str) -> bool {
    let mut reads = false;
    statement(of, &mut |found| {
        reads |= matches!(found, Found::Expression(Expr::Variable(one)) if one.eq_ignore_ascii_case(name));
    });
    reads
}

/// Returns whether the value of an expression is independent of earlier statements.
pub fn is_constant(expr: &Expr) -> bool {
    let mut constant = true;
    expression(expr, &mut |found| {
        let varies = match found {
            Found::Expression(one) => matches!(one, Expr::Variable(_) | Expr::Nested(_)),
            Found::Command(_) => true,
        };
        constant &= !varies;
    });
    constant
}
