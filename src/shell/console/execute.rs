//! Runs one line: each statement's leading commands on the endpoint, the rest here.

use super::interrupts::Interrupts;
use super::links::{Link, Links};
use super::terminal::{Terminal, Tone};
use crate::line::{self, Element, Expr, Loop, Place, Printer, Statement, Variables, Views};
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
    pub(super) links: Links,
    pub(super) terminal: Terminal,
    variables: Variables,
    pub(super) interrupts: Interrupts,
}

/// Where a pipeline's objects go.
pub(super) enum Sink {
    Screen(Printer),
    Kept(Vec<Value>),
}

impl Ended {
    /// Whether nothing more of a line is run.
    fn is_end(self) -> bool {
        matches!(self, Self::Exit(_) | Self::Lost | Self::Interrupted)
    }
}

impl Sink {
    /// The objects that were kept, one by one.
    fn values(self) -> Vec<Value> {
        match self {
            Self::Screen(_) => Vec::new(),
            Self::Kept(values) => values,
        }
    }

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
        let interrupts = Interrupts::catch(terminal.clone());
        Self { links, terminal, variables: Variables::default(), interrupts }
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
            if last.is_end() {
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
        let mut sink = match statement.assign {
            None => self.screen(),
            Some(_) => Sink::Kept(Vec::new()),
        };
        let (ended, is_begun) = self.pipeline(statement, &mut sink, true).await;
        self.flush(&mut sink);
        if let Some(name) = statement.assign.as_ref().filter(|_| is_begun) {
            self.variables.set(name, sink.value());
        }
        ended
    }

    fn screen(&self) -> Sink {
        Sink::Screen(Printer::new(self.width().saturating_sub(1).max(1), Views::default()))
    }

    fn width(&self) -> usize {
        usize::from(self.terminal.size().0)
    }

    /// Runs a statement's pipeline, after those inside of its values, and says whether it was begun.
    ///
    /// `alone`: nothing else goes to this sink, so that the endpoint may draw on the screen itself.
    async fn pipeline(&mut self, statement: &Statement, sink: &mut Sink, alone: bool) -> (Ended, bool) {
        if let Some(repeated) = line::repeated(statement) {
            return Box::pin(self.repeat(repeated, sink)).await;
        }
        let mut statement = statement.clone();
        line::fold(&mut statement);
        while let Some(place) = line::nested(&mut statement) {
            let Expr::Nested(inner) = std::mem::replace(place, Expr::Literal(Value::Null)) else { break };
            let mut kept = Vec::new();
            for one in &inner {
                let mut sink = Sink::Kept(Vec::new());
                let (ended, _) = Box::pin(self.pipeline(one, &mut sink, false)).await;
                // A value that is not what was asked for must not be passed on.
                if ended != Ended::Succeeded {
                    return (ended, false);
                }
                match (sink.value(), &one.assign) {
                    (value, Some(name)) => self.variables.set(name, value),
                    (Value::Null, None) => {}
                    (value, None) => kept.push(value),
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
            self.learn_names().await;
            statement.pipeline[0] = Element::Expression(self.modules());
        }
        if let Some(ended) = self.find_out(&statement).await {
            return (ended, false);
        }
        let commands = statement.pipeline.iter_mut().filter_map(|element| match element {
            Element::Command(command) => Some(command),
            _ => None,
        });
        let link = match self.links.route(commands) {
            Ok(at) => self.links.all()[at].clone(),
            Err(error) => return (self.failed(&error.to_string()), false),
        };
        let to_screen = matches!(sink, Sink::Screen(_));
        let views = link.catalogue.views();
        let place = Place {
            variables: &self.variables,
            views: &views,
            width: self.width(),
            to_screen: to_screen && alone,
        };
        let plan = match line::plan(&statement, place) {
            Ok(plan) => plan,
            Err(error) => return (self.failed(&error.to_string()), false),
        };
        let session = match plan.remote {
            Some(_) => match self.session(&link).await {
                Ok(session) => Some(session),
                Err(ended) => return (ended, false),
            },
            None => None,
        };
        if to_screen
            && !plan.is_drawn_there()
            && let Some(session) = session.clone().or_else(|| link.connection.current())
        {
            // It waits for other shells as any command does, with the same words, and Ctrl-C ends it.
            let learned = tokio::select! {
                () = link.catalogue.learn_views(&session, |record| self.terminal.progress.take(record)) => true,
                () = self.interrupts.next() => false,
            };
            self.terminal.progress.clear();
            if !learned {
                return (Ended::Interrupted, false);
            }
            if let Sink::Screen(printer) = sink {
                printer.learn(link.catalogue.views());
            }
        }
        (self.carry_out(session.as_ref(), plan, sink).await, true)
    }

    /// Runs statements for each object, each after the one before it.
    async fn repeat(&mut self, repeated: Loop, sink: &mut Sink) -> (Ended, bool) {
        let Loop { before, repeat, after } = repeated;
        let mut objects = Sink::Kept(Vec::new());
        let (mut ended, is_begun) = self.pipeline(&before, &mut objects, false).await;
        if !is_begun || ended.is_end() {
            return (ended, is_begun);
        }
        let outer = self.variables.get(&repeat.variable).cloned();
        let mut given = Sink::Kept(Vec::new());
        let into = if after.is_some() { &mut given } else { &mut *sink };
        'all: for object in objects.values() {
            for statement in &repeat.body {
                self.variables.set(&repeat.variable, object.clone());
                let one = self.repeated(statement, into).await;
                if one != Ended::Succeeded {
                    ended = one;
                }
                if ended.is_end() {
                    break 'all;
                }
            }
        }
        self.variables.restore(&repeat.variable, outer);
        match after {
            Some(mut after) if !ended.is_end() => {
                let given = Expr::Literal(Value::array(given.values()));
                after.pipeline.insert(0, Element::Expression(given));
                let (last, is_begun) = self.pipeline(&after, sink, false).await;
                (if last == Ended::Succeeded { ended } else { last }, is_begun)
            }
            _ => (ended, true),
        }
    }

    async fn repeated(&mut self, statement: &Statement, sink: &mut Sink) -> Ended {
        if self.interrupts.was_pressed() {
            return Ended::Interrupted;
        }
        if let Some(ended) = self.own(statement) {
            return ended;
        }
        let Some(name) = &statement.assign else {
            return self.pipeline(statement, sink, false).await.0;
        };
        let mut kept = Sink::Kept(Vec::new());
        let (ended, is_begun) = self.pipeline(statement, &mut kept, false).await;
        if is_begun {
            self.variables.set(name, kept.value());
        }
        ended
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
