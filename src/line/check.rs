//! Checks of a text for everything that the console cannot run, before its first line runs.

use tokio_util::sync::CancellationToken;

use super::common::{self, Action, CommonArgument, ERROR_ACTION, Kind};
use super::error::LineError;
use super::evaluate::Variables;
use super::help;
use super::number::Number;
use super::parse::{expressions, parse_all};
use super::stage::{self, PlanContext, Role};
use super::syntax::{Arg, Block, CommandLine, Element, Expr, Repeat, Statement, SyntaxError, Target};
use super::views::Views;
use super::walk::is_constant;
use crate::psrp::clixml::Value;

/// Screen width for stages that are built only to check them.
const SOME_WIDTH: usize = 80;

/// Commands of the console itself, which cannot be part of a pipeline.
const OWN: [&str; 7] = ["exit", "exit-pssession", "quit", "logout", "clear-host", "cls", "clear"];

/// Returns the names of the commands that end the console or clear the screen.
pub fn own_names() -> impl Iterator<Item = &'static str> {
    OWN.iter().copied()
}

/// Returns whether a command ends the console or clears the screen, which the console does itself.
pub fn is_own(command: &CommandLine) -> bool {
    OWN.iter().any(|name| name.eq_ignore_ascii_case(&command.name))
}

impl CommandLine {
    /// Returns the exit code of an `exit` command with a literal number.
    pub fn exit_code(&self) -> Option<u8> {
        match self.arguments.first() {
            Some(Arg::Value(Expr::Literal(code))) => {
                let code = Number::convert(code)?.rounded()?;
                u8::try_from(code & 0xff).ok()
            }
            _ => None,
        }
    }
}

/// Returns whether a command runs a script file: `./name.ps1`.
pub fn is_script_call(command: &CommandLine) -> bool {
    let name = command.name.to_lowercase();
    name.ends_with(".ps1") && name.contains(['/', '\\'])
}

/// Parses a text and checks that the console can run every statement.
///
/// # Errors
/// All errors, in order of position.
pub fn script(text: &str) -> Result<Vec<Statement>, Vec<SyntaxError>> {
    let (statements, errors) = parse_all(text);
    checked(&statements, Check { errors, end: text.len() })?;
    Ok(statements)
}

/// Checks that the console can run a statement. `end`: the length of its text.
///
/// # Errors
/// All errors, in order of position.
pub fn statement(statement: &Statement, end: usize) -> Result<(), Vec<SyntaxError>> {
    checked(std::slice::from_ref(statement), Check { errors: Vec::new(), end })
}

fn checked(statements: &[Statement], mut check: Check) -> Result<(), Vec<SyntaxError>> {
    for statement in statements {
        check.statement(statement, Context::Top);
    }
    if check.errors.is_empty() {
        return Ok(());
    }
    check.errors.sort_by_key(|error| error.span.start);
    check.errors.dedup();
    check.errors.truncate(MOST_ERRORS);
    Err(check.errors)
}

/// Maximum number of errors reported for one text.
const MOST_ERRORS: usize = 50;

/// Context of a statement.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Context {
    Top,
    /// In the body of a loop.
    Loop,
    /// Within a value, which uses the output of the statement.
    Value,
}

struct Check {
    errors: Vec<SyntaxError>,
    /// Length of the text.
    end: usize,
}

impl Check {
    fn wrong(&mut self, at: usize, message: impl Into<String>) {
        self.errors.push(SyntaxError::wrong(message, at..self.end.max(at)));
    }

    fn script(&mut self, at: usize, what: &str) {
        self.errors.push(SyntaxError::script(what, at..self.end.max(at)));
    }

    fn line(&mut self, at: usize, error: LineError) {
        let needs_engine = error.needs_engine();
        self.errors.push(SyntaxError { needs_engine, ..SyntaxError::wrong(error.0, at..self.end.max(at)) });
    }

    fn statement(&mut self, statement: &Statement, context: Context) {
        let alone = statement.pipeline.len() == 1
            && statement.assign.is_none()
            && statement.redirections.is_empty()
            && context != Context::Value;
        let is_preference =
            statement.assign.as_deref().is_some_and(|name| name.eq_ignore_ascii_case(ERROR_ACTION));
        // An earlier cmdlet whose objects describe files of this machine.
        let mut local_items: Option<&'static str> = None;
        for (index, element) in statement.pipeline.iter().enumerate() {
            if let Element::Command(command) = element {
                let name = stage::local_name(&command.name);
                match (name, local_items) {
                    (Some(name @ ("Get-ChildItem" | "Get-Location")), _) => local_items = Some(name),
                    // These cmdlets output other values.
                    (Some("ForEach-Object" | "Get-Content" | "Select-String"), _) => local_items = None,
                    (None, Some(local)) => self.wrong(
                        command.at,
                        format!(
                            "Cannot pipe {local} into '{}': its items are on this machine, and the command runs \
                             on the endpoint. Pass names instead: {local} | ForEach-Object {{ {} $_.Name }}.",
                            command.name, command.name
                        ),
                    ),
                    _ => {}
                }
            }
            match element {
                Element::Expression(Expr::Literal(value))
                    if is_preference && statement.pipeline.len() == 1 =>
                {
                    if Action::read(value).is_none() {
                        self.wrong_preference(statement, value);
                    }
                }
                Element::Expression(expr) => self.expression(expr),
                Element::Repeat(Repeat { body, .. }) => self.body(body, context),
                Element::Command(command) if is_own(command) => self.own(command, alone),
                Element::Command(command) if is_script_call(command) => {
                    if !alone || context != Context::Top {
                        self.script(command.at, "A script call with redirected output or in a loop");
                    }
                    self.arguments(command);
                }
                Element::Command(command) if alone && help::is_question(command) => {}
                Element::Command(command) => match stage::local_name(&command.name) {
                    Some(name) => self.local(name, command, index, context),
                    None => self.remote(command),
                },
            }
        }
        for redirection in &statement.redirections {
            if let Target::File { path, .. } = &redirection.to {
                self.expression(path);
            }
        }
    }

    fn wrong_preference(&mut self, statement: &Statement, value: &Value) {
        self.line(statement.at, Action::unknown(ERROR_ACTION, value));
    }

    fn body(&mut self, body: &[Statement], context: Context) {
        let context = if context == Context::Value { Context::Value } else { Context::Loop };
        body.iter().for_each(|one| self.statement(one, context));
    }

    fn own(&mut self, command: &CommandLine, alone: bool) {
        let is_exit = command.name.eq_ignore_ascii_case("exit");
        let code = match command.arguments.as_slice() {
            [] => true,
            [Arg::Value(Expr::Literal(_))] => command.exit_code().is_some(),
            [Arg::Value(_)] => true,
            _ => false,
        };
        if !alone {
            self.script(command.at, &format!("'{}' in a pipeline or a value", command.name));
        } else if is_exit && !code {
            self.wrong(command.at, "exit expects a number, as in: exit 3");
        }
        self.arguments(command);
    }

    fn arguments(&mut self, command: &CommandLine) {
        for argument in &command.arguments {
            if let Arg::Value(value) | Arg::Parameter { value: Some(value), .. } = argument {
                self.expression(value);
            }
        }
    }

    /// Checks pipelines within a value. Script blocks are values here.
    fn expression(&mut self, expr: &Expr) {
        match expr {
            Expr::Literal(_) | Expr::Variable(_) | Expr::Type(_) | Expr::Block(_) => {}
            Expr::Nested(statements) => {
                statements.iter().for_each(|one| self.statement(one, Context::Value));
            }
            Expr::Parts(parts) | Expr::Array(parts) => parts.iter().for_each(|one| self.expression(one)),
            Expr::List(of) | Expr::Unary(_, of) => self.expression(of),
            Expr::Table(entries) => entries.iter().for_each(|(key, value)| {
                self.expression(key);
                self.expression(value);
            }),
            Expr::Member(a, b) | Expr::Index(a, b) | Expr::Binary(_, a, b) => {
                self.expression(a);
                self.expression(b);
            }
        }
    }

    fn remote(&mut self, command: &CommandLine) {
        let (rest, given) = common::split_off(command, &[]);
        self.common(&given, false);
        self.arguments(&rest);
    }

    fn common(&mut self, given: &[CommonArgument], is_local: bool) {
        for one in given {
            if let Some(value) = &one.value {
                self.expression(value);
            }
            match (one.kind, &one.value) {
                (Kind::PipelineVariable, _) => self.script(one.at, "-PipelineVariable"),
                (Kind::Switch, _) => {}
                (_, None) => self.line(one.at, one.missing()),
                (Kind::ErrorAction | Kind::WarningAction, Some(Expr::Literal(value))) => {
                    // The endpoint may accept other actions, such as Inquire.
                    let known = !is_local || Action::read(value).is_some();
                    if known {
                        continue;
                    }
                    self.line(one.at, Action::unknown(one.name, value));
                }
                _ => {}
            }
        }
    }

    fn local(&mut self, name: &'static str, command: &CommandLine, index: usize, context: Context) {
        let parameters = stage::parameters(name);
        let own: Vec<&str> = parameters.iter().flatten().map(|(name, _)| *name).collect();
        let (command, given) = common::split_off(command, &own);
        self.common(&given, true);
        let role = stage::role(name);
        if index > 0 && role == Role::Source {
            return self.wrong(command.at, format!("Cannot pipe into '{name}': put it first."));
        }
        let before = self.errors.len();
        let repeats = self.blocks(&command, context);
        if repeats || self.errors.len() > before {
            if repeats && given.iter().any(CommonArgument::names_variable) {
                self.script(command.at, "A variable for the output of a loop");
            }
            return;
        }
        if let Some(parameters) = &parameters
            && let Err((at, error)) = stage::check(name, &command, parameters)
        {
            let at = command.places.get(at).copied().unwrap_or(command.at);
            return self.line(at, error);
        }
        let is_constant = command.arguments.iter().all(|argument| match argument {
            Arg::Value(value) | Arg::Parameter { value: Some(value), .. } => is_constant(value),
            Arg::Parameter { value: None, .. } => true,
        });
        let is_stage = role == Role::Stage || role == Role::Either && index > 0;
        if is_constant && is_stage {
            let (variables, views) = (Variables::default(), Views::default());
            let stop = CancellationToken::new();
            let plan_context = PlanContext {
                variables: &variables,
                views: &views,
                width: SOME_WIDTH,
                to_screen: false,
                stop: &stop,
            };
            if let Err(error) = stage::build(name, &command, plan_context) {
                self.line(command.at, error);
            }
        }
    }

    /// Checks the blocks that a stage runs for each object; returns whether they contain commands.
    fn blocks(&mut self, command: &CommandLine, context: Context) -> bool {
        if let Some(repeat) = super::nested::for_each(command) {
            self.body(&repeat.body, context);
            return true;
        }
        for argument in &command.arguments {
            if let Arg::Value(value) | Arg::Parameter { value: Some(value), .. } = argument {
                self.computed(value);
            }
        }
        false
    }

    /// Checks that blocks at any depth of a stage's argument are expressions.
    fn computed(&mut self, expr: &Expr) {
        match expr {
            Expr::Block(Block { body: Err(errors), .. }) => self.errors.extend(errors.iter().cloned()),
            Expr::Block(Block { body: Ok(body), .. }) => {
                body.iter().for_each(|one| self.statement(one, Context::Value));
                match expressions(body.clone(), 0..self.end) {
                    Err(error) => self.errors.push(error),
                    Ok(all) if all.iter().any(has_commands) => {
                        self.script(place_of(body).unwrap_or_default(), "A command in a script block");
                    }
                    Ok(_) => {}
                }
            }
            Expr::Array(parts) => parts.iter().for_each(|one| self.computed(one)),
            Expr::List(of) => self.computed(of),
            Expr::Table(entries) => entries.iter().for_each(|(_, value)| self.computed(value)),
            other => self.expression(other),
        }
    }
}

fn has_commands(expr: &Expr) -> bool {
    let mut found = false;
    super::walk::expression(expr, &mut |one| {
        found |= matches!(one, super::walk::Found::Expression(Expr::Nested(_)));
    });
    found
}

/// Returns the position of the first command of statements.
fn place_of(statements: &[Statement]) -> Option<usize> {
    let mut at = None;
    for statement in statements {
        super::walk::statement(statement, &mut |found| {
            if let super::walk::Found::Command(command) = found {
                at.get_or_insert(command.at);
            }
        });
    }
    at
}
