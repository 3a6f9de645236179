//! Nested pipelines, such as `(Get-CsTenant).DisplayName`, which run before their statement, and pipelines
//! that run once for each object.

use super::common;
use super::parse::expressions;
use super::stage::local_name;
use super::syntax::{Arg, CommandLine, Element, Expr, Repeat, Statement, Target};

/// A statement split at its repeated part.
pub struct Loop {
    /// The part that produces the objects.
    pub before: Statement,
    pub repeat: Repeat,
    /// The part that processes the output of all repetitions, if any.
    pub after: Option<Statement>,
}

/// Splits a statement at its first command that repeats other commands. A block of expressions is an
/// ordinary stage.
pub fn repeated(statement: &Statement) -> Option<Loop> {
    let found = |element: &Element| match element {
        Element::Repeat(repeat) => Some(repeat.clone()),
        Element::Command(command) => for_each(command),
        Element::Expression(_) => None,
    };
    let (at, repeat) =
        statement.pipeline.iter().enumerate().skip(1).find_map(|(at, one)| Some((at, found(one)?)))?;
    let pipeline = statement.pipeline[..at].to_vec();
    let before = Statement { assign: None, pipeline, redirections: Vec::new(), at: statement.at };
    let rest = &statement.pipeline[at + 1..];
    let after = (!rest.is_empty() || !statement.redirections.is_empty()).then(|| Statement {
        assign: None,
        pipeline: rest.to_vec(),
        redirections: statement.redirections.clone(),
        at: statement.at,
    });
    Some(Loop { before, repeat, after })
}

/// Returns the loop of a `ForEach-Object { … }` with commands in its block.
pub fn for_each(command: &CommandLine) -> Option<Repeat> {
    if local_name(&command.name) != Some("ForEach-Object") {
        return None;
    }
    // Its own error parameters do not apply to the commands of its block.
    let (command, _) = common::split_off(command, &["MemberName", "Process"]);
    let block = match command.arguments.as_slice() {
        [Arg::Value(Expr::Block(block))] => block,
        [Arg::Parameter { name, value: None }, Arg::Value(Expr::Block(block))]
            if name.eq_ignore_ascii_case("Process") =>
        {
            block
        }
        _ => return None,
    };
    let body = block.body.as_ref().ok()?;
    let has_commands = expressions(body.clone(), 0..block.text.len()).is_err()
        || body.clone().iter_mut().any(|one| nested(one).is_some());
    has_commands.then(|| Repeat { variable: "_".into(), body: body.clone() })
}

/// Turns the leading part of a pipeline into a nested value, whose output is passed on when it is complete. This is
/// needed if a remote command follows a local cmdlet, or a command with a parameter that sets a variable.
pub fn fold(statement: &mut Statement) {
    let Some(at) = seam(&statement.pipeline) else { return };
    let rest = statement.pipeline.split_off(at);
    let begun = std::mem::replace(&mut statement.pipeline, rest);
    let inner = Statement { assign: None, pipeline: begun, redirections: Vec::new(), at: statement.at };
    statement.pipeline.insert(0, Element::Expression(Expr::Nested(vec![inner])));
    // The rest may need folding again.
    fold(statement);
}

/// Returns the end of the leading part of a pipeline that cannot run together with the rest.
fn seam(pipeline: &[Element]) -> Option<usize> {
    let runs_here = |element: &Element| match element {
        Element::Command(command) => local_name(&command.name).is_some(),
        Element::Expression(_) | Element::Repeat(_) => false,
    };
    let sets_variable = |element: &Element| match element {
        Element::Command(command) => {
            common::split_off(command, &[]).1.iter().any(common::CommonArgument::names_variable)
        }
        Element::Expression(_) | Element::Repeat(_) => false,
    };
    pipeline
        .windows(2)
        .position(|pair| {
            let [first, second] = pair else { return false };
            !runs_here(second) && (runs_here(first) || sets_variable(first))
        })
        .map(|at| at + 1)
}

/// Returns the next nested pipeline of a statement, to be replaced by its output. Script blocks are skipped.
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
