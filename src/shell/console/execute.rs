//! Runs one line: each statement's leading commands on the endpoint, the rest here.

use tokio::signal;

use super::catalogue::Catalogue;
use super::host::{self, Handled};
use super::terminal::{Terminal, Tone};
use crate::line::{self, Element, Plan, Printer, Statement, Variables};
use crate::psrp::client::PipelineEvent;
use crate::psrp::clixml::Value;
use crate::psrp::host::HostMethod;
use crate::psrp::record::PipelineState;
use crate::transport::session::{Running, Session};

/// How a line ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Succeeded,
    Failed,
    /// `exit`, with its code.
    Exit(u8),
    /// The session went away.
    Lost,
}

/// One person's lines on one session.
pub struct Executor {
    session: Session,
    terminal: Terminal,
    catalogue: Catalogue,
    profile: String,
    variables: Variables,
}

/// Where a pipeline's objects go.
enum Sink {
    Screen(Printer),
    Variable(String, Vec<Value>),
}

impl Executor {
    pub fn new(session: Session, terminal: Terminal, catalogue: Catalogue, profile: &str) -> Self {
        let profile = profile.to_owned();
        Self { session, terminal, catalogue, profile, variables: Variables::default() }
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
            if matches!(last, Ended::Exit(_) | Ended::Lost) {
                break;
            }
        }
        last
    }

    fn failed(&self, text: &str) -> Ended {
        self.terminal.toned(Tone::Error, text);
        Ended::Failed
    }

    async fn statement(&mut self, statement: &Statement) -> Ended {
        if let Some(ended) = self.own(statement) {
            return ended;
        }
        let offers = |name: &str| self.catalogue.offers(name);
        let plan = match line::plan(statement, &offers, &self.variables, usize::from(self.terminal.size().0))
        {
            Ok(plan) => plan,
            Err(error) => return self.failed(&error.to_string()),
        };
        self.carry_out(plan).await
    }

    /// What belongs to the console itself.
    fn own(&self, statement: &Statement) -> Option<Ended> {
        let [Element::Command(command)] = statement.pipeline.as_slice() else { return None };
        match command.name.to_lowercase().as_str() {
            "exit" => Some(Ended::Exit(command.exit_code().unwrap_or(0))),
            "exit-pssession" => Some(Ended::Exit(0)),
            "clear-host" | "cls" | "clear" if self.terminal.interactive => {
                self.terminal.write("\u{1b}[H\u{1b}[2J\u{1b}[3J");
                Some(Ended::Succeeded)
            }
            "get-module" => {
                let names = self.catalogue.names();
                let some: Vec<_> = names.iter().take(3).map(String::as_str).collect();
                let more = if names.len() > some.len() { "…" } else { "" };
                self.terminal.line("");
                self.terminal.line("ModuleType Version    Name                           ExportedCommands");
                self.terminal.line("---------- -------    ----                           ----------------");
                self.terminal.line(&format!(
                    "Script     1.0        {:30} {{{}{more}}}",
                    format!("lyncsh-{}", self.profile),
                    some.join(", ")
                ));
                self.terminal.line("");
                Some(Ended::Succeeded)
            }
            _ => None,
        }
    }

    async fn carry_out(&mut self, mut plan: Plan) -> Ended {
        let mut sink = match plan.assign.take() {
            Some(name) => Sink::Variable(name, Vec::new()),
            None => Sink::Screen(Printer::new(usize::from(self.terminal.size().0))),
        };
        let mut ended = Ended::Succeeded;
        for value in std::mem::take(&mut plan.input) {
            if let Err(error) = self.push(&mut plan, &mut sink, value) {
                return self.failed(&error);
            }
        }
        if let Some(mut pipeline) = plan.remote.take() {
            pipeline.host = Some(super::host_info(&self.terminal));
            ended = match self.session.invoke(&pipeline).await {
                Ok(running) => self.follow(running, &mut plan, &mut sink).await,
                Err(error) => {
                    self.failed(&error.to_string());
                    return Ended::Lost;
                }
            };
            self.terminal.progress.clear();
        }
        let mut rest = Vec::new();
        if let Err(error) = plan.local.finish(&mut rest) {
            return self.failed(&error.to_string());
        }
        for value in rest {
            self.take(&mut sink, value);
        }
        match sink {
            Sink::Screen(mut printer) => printer.finish().iter().for_each(|line| self.terminal.line(line)),
            Sink::Variable(name, mut values) => {
                let value = match values.len() {
                    0 => Value::Null,
                    1 => values.swap_remove(0),
                    _ => Value::array(values),
                };
                self.variables.set(&name, value);
            }
        }
        ended
    }

    fn push(&self, plan: &mut Plan, sink: &mut Sink, value: Value) -> Result<(), String> {
        let mut out = Vec::new();
        plan.local.push(value, &mut out).map_err(|error| error.to_string())?;
        for value in out {
            self.take(sink, value);
        }
        Ok(())
    }

    fn take(&self, sink: &mut Sink, value: Value) {
        match sink {
            Sink::Screen(printer) => printer.push(&value).iter().for_each(|line| self.terminal.line(line)),
            Sink::Variable(_, values) => values.push(value),
        }
    }

    /// Shows what a pipeline says until its end. Ctrl-C stops it, and only it.
    async fn follow(&self, mut running: Running, plan: &mut Plan, sink: &mut Sink) -> Ended {
        let mut ended = Ended::Succeeded;
        let mut leave = None;
        let mut stopping = false;
        loop {
            let event = tokio::select! {
                event = running.next() => event,
                interrupted = signal::ctrl_c(), if !stopping => {
                    stopping = interrupted.is_ok();
                    if let Err(error) = running.stop().await {
                        self.failed(&error.to_string());
                        return Ended::Lost;
                    }
                    continue;
                }
            };
            match event {
                None => break,
                Some(Err(error)) => {
                    self.failed(&error.to_string());
                    return Ended::Failed;
                }
                Some(Ok(PipelineEvent::HostCall(call))) => {
                    if call.method == HostMethod::WriteErrorLine {
                        ended = Ended::Failed;
                    }
                    match host::handle(&self.terminal, &call).await {
                        Handled::Done => {}
                        Handled::Respond(response) => {
                            let _ = running.respond(&response).await;
                        }
                        Handled::Interrupted => {
                            stopping = true;
                            let _ = running.stop().await;
                        }
                        Handled::Exit(code) => leave = Some(u8::try_from(code & 0xff).unwrap_or(1)),
                    }
                }
                Some(Ok(event)) => {
                    if self.shown(event, plan, sink) == Ended::Failed {
                        ended = Ended::Failed;
                    }
                    if plan.local.is_done() && !stopping {
                        stopping = true;
                        let _ = running.stop().await;
                    }
                }
            }
        }
        leave.map_or(ended, Ended::Exit)
    }

    fn shown(&self, event: PipelineEvent, plan: &mut Plan, sink: &mut Sink) -> Ended {
        match event {
            PipelineEvent::Output(value) => {
                if let Err(error) = self.push(plan, sink, value) {
                    return self.failed(&error);
                }
            }
            PipelineEvent::Error(record) => return self.failed(&line::error::render(&record)),
            PipelineEvent::Warning(record) => {
                self.terminal.toned(Tone::Warning, &format!("WARNING: {}", record.message));
            }
            PipelineEvent::Verbose(record) => {
                self.terminal.toned(Tone::Verbose, &format!("VERBOSE: {}", record.message));
            }
            PipelineEvent::Debug(record) => {
                self.terminal.toned(Tone::Debug, &format!("DEBUG: {}", record.message));
            }
            PipelineEvent::Progress(record) => self.terminal.progress.take(&record),
            PipelineEvent::State(PipelineState::Failed, error) => {
                return match error {
                    Some(record) => self.failed(&line::error::render(&record)),
                    None => self.failed("the pipeline failed, and the endpoint does not say why"),
                };
            }
            PipelineEvent::State(PipelineState::Stopped, _) if !plan.local.is_done() => return Ended::Failed,
            PipelineEvent::State(..) | PipelineEvent::Information(_) | PipelineEvent::HostCall(_) => {}
        }
        Ended::Succeeded
    }
}
