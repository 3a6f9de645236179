//! Runs lines: each statement's leading commands on the endpoint, the rest locally.

use std::path::Path;

use tokio_util::sync::CancellationToken;

use super::completion::Seen;
use super::facts::Facts;
use super::history::may_hold_secret;
use super::interrupts::Interrupts;
use super::links::Links;
use super::own::ConsoleState;
use super::pager::Pager;
use super::script::{Refused, Script, Step, instead};
use super::terminal::{Terminal, Tone};
use super::trouble::{self, ErrorLog};
use crate::exit::Exit;
use crate::folders::home;
use crate::line::{
    self, Action, Arg, CommandLine, Element, Expr, LineError, Loop, PlanContext, Printer, Statement,
    Variables, Views,
};
use crate::psrp::clixml::Value;
use crate::transport::Error;

/// Outcome of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Succeeded,
    Failed,
    /// Failed under SilentlyContinue or Ignore: no error was shown.
    Silenced,
    /// Failed under Stop: nothing after the error is run.
    Stopped,
    /// Ctrl-C.
    Interrupted,
    /// `exit`, with its code.
    Exit(u8),
    /// The session was lost.
    Lost(Loss),
}

/// The command at which the session was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    MayHaveRun,
    NotRun,
}

impl Loss {
    /// Returns the loss for an error of the command.
    pub fn of(error: &Error) -> Self {
        if error.may_have_run() { Self::MayHaveRun } else { Self::NotRun }
    }
}

/// Loss of the session while a script ran, or before one of its commands could be sent.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("{}", self.outcome())]
pub struct Lost {
    loss: Loss,
    /// Whether a command of the script may have run.
    has_run: bool,
    /// Whether there are, or may be, commands that were not reached.
    has_more: bool,
}

impl Lost {
    fn outcome(&self) -> &'static str {
        match (self.loss, self.has_more) {
            (Loss::NotRun, _) if self.has_run => "the remaining commands were not run",
            (Loss::NotRun, true) => "nothing was run",
            (Loss::NotRun, false) => "the command was not run",
            (Loss::MayHaveRun, true) => {
                "session lost; the last command may have run, the commands after it were not run"
            }
            (Loss::MayHaveRun, false) => "session lost; the command may have run",
        }
    }

    /// Returns the exit code.
    pub fn exit(&self) -> Exit {
        if self.has_run { Exit::Lost } else { Exit::NotConnected }
    }
}

/// Runs the lines of one console on its sessions.
pub struct Executor {
    pub(super) links: Links,
    /// The profile's name.
    pub(super) title: String,
    /// Whether the profile has `transcript`.
    pub(super) is_recorded: bool,
    /// Set for typed lines; a script exits with a code for its errors.
    is_typed: bool,
    pub(super) terminal: Terminal,
    pub(super) variables: Variables,
    pub(super) interrupts: Interrupts,
    pub(super) troubles: ErrorLog,
    facts: Facts,
    pub(super) own: ConsoleState,
    pub(super) seen: Seen,
    /// Whether a command of the script may have run.
    pub(super) has_run: bool,
    /// Whether a script has, or typed lines may have, statements that were not reached.
    has_more: bool,
}

/// Destination of a pipeline's objects.
pub(super) enum Sink {
    Screen(Printer),
    /// Out-Host -Paging.
    Pages(Pager),
    /// Data of `lyncsh exec`.
    Data,
    Kept(Vec<Value>),
}

impl Ended {
    /// Returns whether the output may be incomplete and must not be assigned to a variable.
    fn is_cut(self) -> bool {
        matches!(self, Self::Lost(_) | Self::Interrupted)
    }

    /// Returns whether the rest of the line is skipped.
    pub(super) fn is_end(self) -> bool {
        matches!(self, Self::Exit(_) | Self::Lost(_) | Self::Interrupted | Self::Stopped)
    }
}

/// Outcome of a statement's pipeline.
#[derive(Clone, Copy)]
pub(super) enum Run {
    /// The pipeline ended before its first command ran.
    NotBegun(Ended),
    Begun(Ended),
}

impl Run {
    pub(super) fn ended(self) -> Ended {
        match self {
            Self::NotBegun(ended) | Self::Begun(ended) => ended,
        }
    }

    /// Returns whether the output is complete.
    fn is_whole(self) -> bool {
        matches!(self, Self::Begun(ended) if !ended.is_cut())
    }
}

impl Sink {
    /// Returns the kept objects.
    pub(super) fn values(self) -> Vec<Value> {
        match self {
            Self::Screen(_) | Self::Pages(_) | Self::Data => Vec::new(),
            Self::Kept(values) => values,
        }
    }

    /// Returns the kept objects as one value: null, the only object, or an array.
    pub(super) fn value(self) -> Value {
        match self {
            Self::Screen(_) | Self::Pages(_) | Self::Data => Value::Null,
            Self::Kept(mut values) => match values.len() {
                0 => Value::Null,
                1 => values.swap_remove(0),
                _ => Value::array(values),
            },
        }
    }
}

impl Executor {
    pub fn new(links: Links, (title, is_recorded): (&str, bool), terminal: Terminal, facts: Facts) -> Self {
        let interrupts = Interrupts::catch(terminal.clone());
        Self {
            links,
            title: title.to_owned(),
            is_recorded,
            is_typed: false,
            terminal,
            variables: built_in(),
            interrupts,
            troubles: ErrorLog::default(),
            facts,
            own: ConsoleState::default(),
            seen: Seen::default(),
            has_run: false,
            has_more: true,
        }
    }

    /// Runs typed text. Errors have been shown when it returns.
    pub async fn run_typed(&mut self, text: &str) -> Ended {
        self.begin_line(text);
        let ended = self.run_text(text).await;
        self.end_line(ended);
        ended
    }

    async fn run_text(&mut self, text: &str) -> Ended {
        // A Ctrl-C that was pressed at the end of the previous line must not interrupt this one.
        self.interrupts.forget();
        self.is_typed = self.terminal.is_prompt();
        match Script::read(text) {
            Ok(script) => match self.unavailable(&script).await {
                Err(ended) => ended,
                Ok(Some(refused)) => self.refuse(&refused),
                Ok(None) => self.steps(&script, false).await,
            },
            Err(refused) => self.refuse(&refused),
        }
    }

    /// Reports why a text was refused.
    fn refuse(&mut self, refused: &Refused) -> Ended {
        self.troubles.written();
        // The excerpts repeat lines of the text.
        if refused.may_hold_secret() {
            self.terminal.recorder.mask();
        }
        for line in refused.lines(&self.title, self.is_recorded) {
            self.terminal.toned(Tone::Error, &line);
        }
        self.note(Ended::Failed);
        Ended::Failed
    }

    /// Sets `$?` and `$Error` after a statement.
    fn note(&mut self, ended: Ended) {
        self.variables.set("?", Value::Bool(ended == Ended::Succeeded));
        if ended != Ended::Succeeded {
            self.variables.set("Error", self.troubles.value());
        }
    }

    /// Runs a script and returns its outcome.
    pub async fn run_script(&mut self, script: &Script, arguments: &[String]) -> Ended {
        let arguments = arguments.iter().map(|word| Value::from(word.as_str())).collect();
        self.has_more = false;
        self.enter(script.path.as_deref(), arguments);
        match self.unavailable(script).await {
            Err(ended) => ended,
            Ok(Some(refused)) => {
                self.refuse(&refused);
                Ended::Exit(Exit::Usage.code())
            }
            Ok(None) => self.steps(script, true).await,
        }
    }

    /// Runs the steps of a script. `is_recorded`: each step is a line of the transcript.
    async fn steps(&mut self, script: &Script, is_recorded: bool) -> Ended {
        let mut last = Ended::Succeeded;
        for (at, (step, piece)) in script.steps.iter().zip(script.pieces()).enumerate() {
            if is_recorded {
                let recorder = &self.terminal.recorder;
                self.terminal.report(recorder.input("PS> ", piece, may_hold_secret(piece)));
            }
            last = match step {
                Step::Statement(statement) => self.statement(statement).await,
                Step::Call(call, script) => Box::pin(self.call(call, script)).await,
            };
            self.note(last);
            self.has_run |= last != Ended::Lost(Loss::NotRun);
            if last.is_end() || self.terminal.lost().is_some() {
                let is_last = at + 1 == script.steps.len();
                self.has_more |= !is_last;
                break;
            }
        }
        last
    }

    /// Returns the error of a lost session.
    pub fn lost_session(&self, loss: Loss) -> Lost {
        Lost { has_run: self.has_run, has_more: self.has_more, loss }
    }

    /// Runs a called script. Its variables remain if it is dot-sourced.
    async fn call(&mut self, call: &CommandLine, script: &Script) -> Ended {
        let arguments = match line::words(call, &self.variables) {
            Ok(arguments) => arguments,
            Err(error) => return self.failed(&error),
        };
        let before = self.variables.clone();
        self.enter(script.path.as_deref(), arguments);
        let mask = self.terminal.recorder.enter();
        let ended = self.steps(script, true).await;
        self.terminal.recorder.leave(mask);
        if call.is_dotted {
            for name in ["args", "PSScriptRoot", "PSCommandPath"] {
                self.variables.restore(name, before.get(name).cloned());
            }
        } else {
            self.variables = before;
            self.variables.set("PWD", line::path::current());
            self.variables.set("Error", self.troubles.value());
        }
        match ended {
            // `exit` ends only the called script.
            Ended::Exit(0) => Ended::Succeeded,
            Ended::Exit(_) => Ended::Failed,
            ended => ended,
        }
    }

    /// Sets `$args`, `$PSScriptRoot` and `$PSCommandPath` for a script.
    fn enter(&mut self, path: Option<&Path>, arguments: Vec<Value>) {
        self.variables.set("args", Value::array(arguments));
        let whole = path.and_then(|path| std::path::absolute(path).ok());
        let folder = whole.as_deref().and_then(Path::parent);
        let text =
            |path: Option<&Path>| path.map_or(Value::from(""), |path| path.display().to_string().into());
        self.variables.set("PSScriptRoot", text(folder));
        self.variables.set("PSCommandPath", text(whole.as_deref()));
    }

    /// Reports an error of this line as `$ErrorActionPreference` requires.
    pub(super) fn failed(&self, error: &LineError) -> Ended {
        self.failed_with(error, Action::preferred(&self.variables))
    }

    /// Reports an error of this line as `action` requires.
    pub(super) fn failed_with(&self, error: &LineError, action: Action) -> Ended {
        if action.shows() {
            self.terminal.error(&error.0, None);
            if error.needs_engine() {
                self.terminal.toned(Tone::Error, &instead(&self.title, self.is_recorded));
            }
        }
        self.noted(error, action)
    }

    /// Adds an error to `$Error`, as `action` requires, and returns the outcome. Does not show the error.
    pub(super) fn noted(&self, error: &LineError, action: Action) -> Ended {
        if action != Action::Ignore {
            self.troubles.add(trouble::record(&error.0), action.shows());
        }
        match action {
            Action::Stop => Ended::Stopped,
            Action::Continue => Ended::Failed,
            Action::SilentlyContinue | Action::Ignore => Ended::Silenced,
        }
    }

    /// Reports the loss of the session, independent of the error preference.
    pub(super) fn lost(&self, error: &impl std::fmt::Display) {
        self.troubles.written();
        self.terminal.error(&error.to_string(), None);
    }

    /// Returns the program's exit code for the outcome of a script.
    pub fn exit(&self, ended: Ended) -> Exit {
        match ended {
            Ended::Exit(0) => Exit::Success,
            Ended::Exit(code) => Exit::Code(code),
            Ended::Interrupted => Exit::Interrupted,
            Ended::Lost(loss) => self.lost_session(loss).exit(),
            _ if self.troubles.any() => Exit::Failed,
            _ => Exit::Success,
        }
    }

    async fn statement(&mut self, statement: &Statement) -> Ended {
        if let Some(ended) = self.own(statement).await {
            return ended;
        }
        if let Some(ended) = self.unknown(statement).await {
            return ended;
        }
        let mut sink = match statement.assign {
            None => self.screen(),
            Some(_) => Sink::Kept(Vec::new()),
        };
        let run = self.pipeline(statement, &mut sink, true).await;
        self.flush(&mut sink);
        self.assign(statement, sink, run).unwrap_or(run.ended())
    }

    /// Assigns a statement's output to its variable, if it names one.
    fn assign(&mut self, statement: &Statement, sink: Sink, run: Run) -> Option<Ended> {
        let name = statement.assign.as_ref().filter(|_| run.is_whole())?;
        let value = sink.value();
        if name.eq_ignore_ascii_case(line::ERROR_ACTION) && Action::read(&value).is_none() {
            return Some(self.failed(&Action::unknown(line::ERROR_ACTION, &value)));
        }
        self.variables.set(name, value);
        None
    }

    /// Looks for unknown remote commands in a pipeline with local parts, which the endpoint would only report
    /// after the earlier parts have run.
    async fn unknown(&mut self, statement: &Statement) -> Option<Ended> {
        let names = line::remote_commands(statement)?;
        if names.iter().all(|name| self.links.owner(name).is_some()) {
            return None;
        }
        if let Some(ended) = self.find_owners(statement).await {
            return Some(ended);
        }
        for name in names {
            if self.links.owner(&name).is_some() {
                continue;
            }
            // If the answer is unclear, running the pipeline shows whether the command exists.
            let link = self.links.all().first()?.clone();
            let session = match self.session(&link).await {
                Ok(session) => session,
                Err(ended) => return Some(ended),
            };
            let asked = tokio::select! {
                asked = link.catalogue.find(&session, &name, true) => asked,
                () = self.interrupts.next() => return Some(Ended::Interrupted),
            };
            if let Ok(Some(record)) = asked {
                let action = Action::preferred(&self.variables);
                self.troubles.add(record.to_value(), action.shows());
                if action.shows() {
                    self.learn_similar(&record).await;
                    self.terminal.error(&self.explained(&record), Some(&record));
                }
                return Some(match action {
                    Action::Stop => Ended::Stopped,
                    Action::Continue => Ended::Failed,
                    Action::SilentlyContinue | Action::Ignore => Ended::Silenced,
                });
            }
        }
        None
    }

    fn screen(&self) -> Sink {
        if self.terminal.takes_objects() {
            return Sink::Data;
        }
        Sink::Screen(Printer::new(self.width().saturating_sub(1).max(1), Views::default()))
    }

    pub(super) fn width(&self) -> usize {
        usize::from(self.terminal.size().0)
    }

    /// Runs the nested pipelines of a statement, then its own. Returns the outcome and whether it was begun.
    ///
    /// `alone`: nothing else goes to this sink, so the endpoint may format the output for the screen.
    pub(super) async fn pipeline(&mut self, statement: &Statement, sink: &mut Sink, alone: bool) -> Run {
        let host = line::host_part(statement);
        // Paged output is shown while a loop before it runs.
        let is_paged = host.as_ref().is_some_and(|part| part.is_paging() && part.before.is_some());
        if !is_paged && let Some(repeated) = line::repeated(statement) {
            return Box::pin(self.repeat(repeated, sink)).await;
        }
        if let Some(part) = host {
            return Box::pin(self.run_host(part, sink)).await;
        }
        let mut statement = statement.clone();
        line::fold(&mut statement);
        if let Err(run) = self.resolve(&mut statement).await {
            return run;
        }
        self.planned(statement, sink, alone).await
    }

    /// Runs the nested pipelines of a statement, and replaces them with their output.
    ///
    /// # Errors
    /// A nested pipeline has ended the statement.
    pub(super) async fn resolve(&mut self, statement: &mut Statement) -> Result<(), Run> {
        while let Some(place) = line::nested(statement) {
            let Expr::Nested(inner) = std::mem::replace(place, Expr::Literal(Value::Null)) else { break };
            let mut kept = Vec::new();
            for one in &inner {
                let mut sink = Sink::Kept(Vec::new());
                let ended = Box::pin(self.pipeline(one, &mut sink, false)).await.ended();
                // An incomplete value must not be passed on.
                if !matches!(ended, Ended::Succeeded | Ended::Silenced) {
                    return Err(Run::NotBegun(ended));
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
        Ok(())
    }

    /// Divides a statement without nested pipelines, and runs its parts.
    async fn planned(&mut self, mut statement: Statement, sink: &mut Sink, alone: bool) -> Run {
        if let Some(run) = Box::pin(self.answer_here(&mut statement, sink)).await {
            return run;
        }
        if let Some(ended) = self.find_owners(&statement).await {
            return Run::NotBegun(ended);
        }
        let commands = statement.pipeline.iter_mut().filter_map(|element| match element {
            Element::Command(command) => Some(command),
            _ => None,
        });
        let link = match self.links.route(commands) {
            Ok(at) => self.links.all()[at].clone(),
            Err(error) => return Run::NotBegun(self.failed(&LineError(error.to_string()))),
        };
        if line::reads(&statement, VERSIONS) {
            let table = self.facts.versions(&link.name).await;
            self.variables.set(VERSIONS, table);
        }
        let to_screen = matches!(sink, Sink::Screen(_) | Sink::Pages(_));
        let views = link.catalogue.views();
        let (variables, width, is_shown) = (self.variables.clone(), self.width(), to_screen && alone);
        let stop = CancellationToken::new();
        // Ctrl-C and the time limit of `lyncsh exec` end the reading.
        let _stops = stop.clone().drop_guard();
        let reads_files = line::reads_files(&statement);
        let planning = move || {
            let (variables, views, stop) = (&variables, &views, &stop);
            line::plan(&statement, PlanContext { variables, views, width, to_screen: is_shown, stop })
        };
        let planned = if reads_files {
            // Reading can take long: a folder may be large, and a named pipe may have no writer.
            tokio::select! {
                planned = tokio::task::spawn_blocking(planning) => {
                    planned.unwrap_or_else(|error| Err(LineError(format!("cannot read the files: {error}"))))
                }
                () = self.interrupts.next() => return Run::NotBegun(Ended::Interrupted),
            }
        } else {
            planning()
        };
        let mut plan = match planned {
            Ok(plan) => plan,
            Err(error) => return Run::NotBegun(self.failed(&error)),
        };
        plan.stop_there(|name| link.catalogue.offers(name));
        let session = match plan.remote {
            Some(_) => match self.session(&link).await {
                Ok(session) => Some(session),
                Err(ended) => return Run::NotBegun(ended),
            },
            None => None,
        };
        if to_screen
            && !plan.is_drawn_there()
            && let Some(session) = session.clone().or_else(|| link.connection.current())
        {
            // Fetching views waits for other shells as any command does; Ctrl-C cancels it.
            let learned = tokio::select! {
                () = link.catalogue.learn_views(&session, |record| self.terminal.progress.take(record)) => true,
                () = self.interrupts.next() => false,
            };
            self.terminal.progress.clear();
            if !learned {
                return Run::NotBegun(Ended::Interrupted);
            }
            match sink {
                Sink::Screen(printer) => printer.learn(link.catalogue.views()),
                Sink::Pages(pager) => pager.learn(link.catalogue.views()),
                Sink::Data | Sink::Kept(_) => {}
            }
        }
        Run::Begun(self.carry_out(session.as_ref(), plan, sink).await)
    }

    /// Runs statements for each object, in order.
    async fn repeat(&mut self, repeated: Loop, sink: &mut Sink) -> Run {
        let Loop { before, repeat, after } = repeated;
        let mut objects = Sink::Kept(Vec::new());
        let run = self.pipeline(&before, &mut objects, false).await;
        let mut ended = run.ended();
        if matches!(run, Run::NotBegun(_)) || ended.is_end() {
            return run;
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
                // The user has ended the paged output.
                if ended.is_end() || self.turn_pages(into).await.is_some() {
                    break 'all;
                }
            }
        }
        self.variables.restore(&repeat.variable, outer);
        match after {
            Some(mut after) if !ended.is_end() => {
                let given = Expr::Literal(Value::array(given.values()));
                after.pipeline.insert(0, Element::Expression(given));
                match self.pipeline(&after, sink, false).await {
                    Run::Begun(Ended::Succeeded) => Run::Begun(ended),
                    Run::NotBegun(Ended::Succeeded) => Run::NotBegun(ended),
                    last => last,
                }
            }
            _ => Run::Begun(ended),
        }
    }

    async fn repeated(&mut self, statement: &Statement, sink: &mut Sink) -> Ended {
        if self.interrupts.was_pressed() {
            return Ended::Interrupted;
        }
        let ended = self.repeated_once(statement, sink).await;
        self.note(ended);
        ended
    }

    async fn repeated_once(&mut self, statement: &Statement, sink: &mut Sink) -> Ended {
        if let Some(ended) = self.own(statement).await {
            return ended;
        }
        if statement.assign.is_none() {
            return self.pipeline(statement, sink, false).await.ended();
        }
        let mut kept = Sink::Kept(Vec::new());
        let run = self.pipeline(statement, &mut kept, false).await;
        self.assign(statement, kept, run).unwrap_or(run.ended())
    }

    /// Runs a statement that is a command of the console itself.
    async fn own(&mut self, statement: &Statement) -> Option<Ended> {
        let [Element::Command(command)] = statement.pipeline.as_slice() else { return None };
        if !line::is_own(command) {
            return None;
        }
        match command.name.to_lowercase().as_str() {
            "exit" => Some(self.exits(command).await),
            "exit-pssession" | "quit" | "logout" => Some(self.leave()),
            _ => {
                self.terminal.clear();
                Some(Ended::Succeeded)
            }
        }
    }

    /// Ends the console without an explicit exit code.
    fn leave(&self) -> Ended {
        Ended::Exit(if !self.is_typed && self.troubles.any() { Exit::Failed.code() } else { 0 })
    }

    async fn exits(&mut self, command: &CommandLine) -> Ended {
        let code = match command.arguments.as_slice() {
            [] => return self.leave(),
            [Arg::Value(Expr::Literal(_))] => command.exit_code(),
            [Arg::Value(value)] => {
                let pipeline = vec![Element::Expression(value.clone())];
                let statement =
                    Statement { assign: None, pipeline, redirections: Vec::new(), at: command.at };
                let mut kept = Sink::Kept(Vec::new());
                let run = Box::pin(self.pipeline(&statement, &mut kept, false)).await;
                let ended = run.ended();
                if matches!(run, Run::NotBegun(_)) {
                    return ended;
                }
                CommandLine { arguments: vec![Arg::Value(Expr::Literal(kept.value()))], ..command.clone() }
                    .exit_code()
            }
            _ => None,
        };
        match code {
            Some(code) => Ended::Exit(code),
            None => self.failed(&LineError("exit expects a number, as in: exit 3".into())),
        }
    }
}

/// Variable whose value depends on the endpoint.
const VERSIONS: &str = "PSVersionTable";

/// Returns the predefined variables.
fn built_in() -> Variables {
    let mut variables = Variables::default();
    let path = |path: Option<std::path::PathBuf>| {
        path.map_or(Value::Null, |path| Value::String(path.display().to_string()))
    };
    for (name, value) in [
        ("Error", Value::array([])),
        ("?", Value::Bool(true)),
        ("args", Value::array([])),
        (line::ERROR_ACTION, "Continue".into()),
        ("HOME", path(home())),
        ("PWD", line::path::current()),
        ("PID", Value::I64(std::process::id().into())),
        ("IsWindows", Value::Bool(cfg!(windows))),
        ("IsLinux", Value::Bool(cfg!(target_os = "linux"))),
        ("IsMacOS", Value::Bool(cfg!(target_os = "macos"))),
    ] {
        variables.set(name, value);
    }
    variables
}
