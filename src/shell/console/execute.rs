//! Runs one line: each statement's leading commands on the endpoint, the rest here.

use super::interrupts::Interrupts;
use super::links::{Link, Links};
use super::terminal::{Terminal, Tone};
use crate::line::{self, Element, Expr, Place, Printer, Statement, Variables};
use crate::psrp::clixml::Value;

/// How a line ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Succeeded,
    Failed,
    /// Ctrl-C.
    Interrupted,
    /// `exit`, with its code.
    Exit(u8),
    /// The session went away.
    Lost,
}

/// One person's lines, on the sessions that they are for.
pub struct Executor {
    links: Links,
    pub(super) terminal: Terminal,
    variables: Variables,
    pub(super) interrupts: Interrupts,
}

/// Where a pipeline's objects go.
pub(super) enum Sink {
    Screen(Printer),
    Kept(Vec<Value>),
}

impl Sink {
    /// What was kept, as one value: nothing, the one object, or a list of them.
    fn value(self) -> Value {
        match self {
            Self::Screen(_) => Value::Null,
            Self::Kept(mut values) => match values.len() {
                0 => Value::Null,
                1 => values.swap_remove(0),
                _ => Value::array(values),
            },
        }
    }
}

impl Executor {
    pub fn new(links: Links, terminal: Terminal) -> Self {
        Self { links, terminal, variables: Variables::default(), interrupts: Interrupts::catch() }
    }

    /// [`Executor::run`] at a prompt: a Ctrl-C that the line before it no longer saw is not meant for it.
    pub async fn run_typed(&mut self, text: &str) -> Ended {
        self.interrupts.forget();
        self.run(text).await
    }

    /// Runs what the person typed; what goes wrong has been shown when it returns.
    pub async fn run(&mut self, text: &str) -> Ended {
        let statements = match line::parse(text) {
            Ok(statements) => statements,
            Err(error) => return self.failed(&error.to_string()),
        };
        let mut last = Ended::Succeeded;
        for statement in &statements {
            last = self.statement(statement).await;
            if matches!(last, Ended::Exit(_) | Ended::Lost | Ended::Interrupted) {
                break;
            }
        }
        last
    }

    pub(super) fn failed(&self, text: &str) -> Ended {
        self.terminal.toned(Tone::Error, text);
        Ended::Failed
    }

    async fn statement(&mut self, statement: &Statement) -> Ended {
        if let Some(ended) = self.own(statement) {
            return ended;
        }
        let to_screen = statement.assign.is_none();
        let (ended, sink) = self.pipeline(statement, to_screen).await;
        if let (Some(name), Some(sink)) = (&statement.assign, sink) {
            self.variables.set(name, sink.value());
        }
        ended
    }

    /// Runs a statement's pipeline, after those inside of its values. No sink: it was not begun.
    async fn pipeline(&mut self, statement: &Statement, to_screen: bool) -> (Ended, Option<Sink>) {
        let mut statement = statement.clone();
        line::fold(&mut statement);
        while let Some(place) = line::nested(&mut statement) {
            let Expr::Nested(inner) = std::mem::replace(place, Expr::Literal(Value::Null)) else { break };
            let mut kept = Vec::new();
            for one in &inner {
                let (ended, sink) = Box::pin(self.pipeline(one, false)).await;
                // A value that is not what was asked for must not be passed on.
                if ended != Ended::Succeeded {
                    return (ended, None);
                }
                match (sink.map(Sink::value), &one.assign) {
                    (Some(value), Some(name)) => self.variables.set(name, value),
                    (Some(Value::Null), None) | (None, _) => {}
                    (Some(value), None) => kept.push(value),
                }
            }
            let value = if kept.len() > 1 {
                Value::array(
                    kept.iter().flat_map(|one| one.items().map_or_else(|| vec![one.clone()], <[_]>::to_vec)),
                )
            } else {
                Sink::Kept(kept).value()
            };
            *place = Expr::Literal(value);
        }
        if let Some(Element::Command(command)) = statement.pipeline.first()
            && ["get-module", "gmo"].contains(&command.name.to_lowercase().as_str())
        {
            statement.pipeline[0] = Element::Expression(self.modules());
        }
        let commands = statement.pipeline.iter_mut().filter_map(|element| match element {
            Element::Command(command) => Some(command),
            Element::Expression(_) => None,
        });
        let link = match self.links.route(commands) {
            Ok(at) => self.links.all()[at].clone(),
            Err(error) => return (self.failed(&error.to_string()), None),
        };
        let views = link.catalogue.views();
        let width = usize::from(self.terminal.size().0);
        let place = Place { variables: &self.variables, views: &views, width, to_screen };
        let plan = match line::plan(&statement, place) {
            Ok(plan) => plan,
            Err(error) => return (self.failed(&error.to_string()), None),
        };
        if to_screen && !plan.is_drawn_there() {
            link.catalogue.learn_views(&link.session).await;
        }
        let mut sink =
            if to_screen { Sink::Screen(Printer::new(width, views)) } else { Sink::Kept(Vec::new()) };
        let ended = self.carry_out(&link.session, plan, &mut sink).await;
        (ended, Some(sink))
    }

    /// What belongs to the console itself.
    fn own(&self, statement: &Statement) -> Option<Ended> {
        let [Element::Command(command)] = statement.pipeline.as_slice() else { return None };
        match command.name.to_lowercase().as_str() {
            "exit" => Some(match command.arguments.is_empty() {
                true => Ended::Exit(0),
                false => match command.exit_code() {
                    Some(code) => Ended::Exit(code),
                    None => self.failed("exit takes a number: exit 3"),
                },
            }),
            "exit-pssession" | "quit" | "logout" => Some(Ended::Exit(0)),
            "clear-host" | "cls" | "clear" => {
                if self.terminal.interactive {
                    self.terminal.write("\u{1b}[H\u{1b}[2J\u{1b}[3J");
                }
                Some(Ended::Succeeded)
            }
            _ => None,
        }
    }

    /// The modules that a PowerShell would have, in Get-Module's place.
    fn modules(&self) -> Expr {
        let module = |link: &Link| {
            let commands: Vec<Value> = link.catalogue.names().into_iter().map(Value::String).collect();
            Value::custom_object([
                ("ModuleType", Value::from("Script")),
                ("Version", env!("CARGO_PKG_VERSION").into()),
                ("Name", format!("lyncsh-{}", link.name).into()),
                ("ExportedCommands", Value::array(commands)),
            ])
        };
        Expr::Literal(Sink::Kept(self.links.all().iter().map(module).collect()).value())
    }
}
