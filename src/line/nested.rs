//! Pipelines inside of values, `(Get-CsTenant).DisplayName`, which run before their statement; and
//! pipelines that are run once for each object.

use super::parse::{block, parse};
use super::stage::local_name;
use super::syntax::{Arg, CommandLine, Element, Expr, Repeat, Statement, Target};

/// A statement around what it repeats.
pub struct Loop {
    /// What gives the objects.
    pub before: Statement,
    pub repeat: Repeat,
    /// What is done with all that the repeated statements gave; `None` where nothing follows.
    pub after: Option<Statement>,
}

/// Takes a statement apart at the first of its commands that repeats other commands. A block of
/// expressions is none of those: it is a stage like any other.
pub fn repeated(statement: &Statement) -> Option<Loop> {
    let found = |element: &Element| match element {
        Element::Repeat(repeat) => Some(repeat.clone()),
        Element::Command(command) => for_each(command),
        Element::Expression(_) => None,
    };
    let (at, repeat) =
        statement.pipeline.iter().enumerate().skip(1).find_map(|(at, one)| Some((at, found(one)?)))?;
    let pipeline = statement.pipeline[..at].to_vec();
    let before = Statement { assign: None, pipeline, redirections: Vec::new() };
    let rest = &statement.pipeline[at + 1..];
    let after = (!rest.is_empty() || !statement.redirections.is_empty()).then(|| Statement {
        assign: None,
        pipeline: rest.to_vec(),
        redirections: statement.redirections.clone(),
    });
    Some(Loop { before, repeat, after })
}

/// `ForEach-Object { … }` whose block has commands in it.
fn for_each(command: &CommandLine) -> Option<Repeat> {
    let text = match command.arguments.as_slice() {
        [Arg::Value(Expr::Block(text))] => text,
        [Arg::Parameter { name, value: None }, Arg::Value(Expr::Block(text))]
            if name.eq_ignore_ascii_case("Process") =>
        {
            text
        }
        _ => return None,
    };
    if local_name(&command.name) != Some("ForEach-Object") {
        return None;
    }
    let body = parse(text).ok()?;
    let has_commands = block(text).is_err() || body.clone().iter_mut().any(|one| nested(one).is_some());
    has_commands.then_some(Repeat { variable: "_".into(), body })
}

/// Where the endpoint's commands follow stages that run here, what comes before them becomes a value of
/// its own, which is sent to them when it is whole.
pub fn fold(statement: &mut Statement) {
    let is_local = |element: &Element| match element {
        Element::Command(command) => local_name(&command.name).is_some(),
        Element::Expression(_) | Element::Repeat(_) => false,
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
            Element::Repeat(_) => None,
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
