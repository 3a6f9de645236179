//! Commands that the console answers itself: its cmdlets for the terminal, its state and its help.

use std::path::Path;

use secrecy::ExposeSecret as _;

use super::execute::{Ended, Executor, Run, Sink};
use super::history::may_hold_secret;
use super::links::Link;
use super::pager::PagerExit;
use super::script::powershell_command;
use crate::folders::home;
use crate::keys::Answer;
use crate::line::help::{self, Topic};
use crate::line::{
    self, Action, Arg, CommandLine, Element, Expr, HostCommand, HostPart, LineError, Statement, StreamTarget,
    VariableAssignments,
};
use crate::psrp::clixml::{Object, Value, type_names};
use crate::wildcard::like;

/// Outcome of a cmdlet of the console.
type Outcome = Result<Vec<Value>, Failure>;

enum Failure {
    Error(LineError),
    Interrupted,
}

impl From<LineError> for Failure {
    fn from(error: LineError) -> Self {
        Self::Error(error)
    }
}

impl Executor {
    /// Notes a typed line for the history and the transcripts.
    pub(super) fn begin_line(&mut self, text: &str) {
        let is_hidden = text.starts_with(' ') || may_hold_secret(text);
        let text = text.trim();
        if text.is_empty() {
            return;
        }
        let prompt = format!("[{}] PS> ", self.title);
        self.terminal.report(self.terminal.recorder.input(&prompt, text, is_hidden));
        if !is_hidden {
            self.own.begin(text);
        }
    }

    /// Notes the end of a typed line.
    pub(super) fn end_line(&mut self, ended: Ended) {
        self.terminal.recorder.unmask();
        self.seen.update(&self.variables);
        self.own.end(match ended {
            Ended::Interrupted => "Stopped",
            Ended::Failed | Ended::Stopped | Ended::Lost(_) => "Failed",
            Ended::Succeeded | Ended::Silenced | Ended::Exit(_) => "Completed",
        });
    }

    /// Replaces a command that the console answers, at the beginning of a pipeline, with its output.
    pub(super) async fn answer_here(&mut self, statement: &mut Statement, sink: &Sink) -> Option<Run> {
        let is_shown = statement.pipeline.len() == 1
            && statement.redirections.is_empty()
            && matches!(sink, Sink::Screen(_) | Sink::Pages(_));
        let Some(Element::Command(command)) = statement.pipeline.first() else { return None };
        let texts = |lines: Vec<String>| Expr::Literal(Value::array(lines.into_iter().map(Value::String)));
        let answer = if line::is_module_list(command) {
            // With arguments such as -ListAvailable, the endpoint answers if it has the command.
            if !command.arguments.is_empty() && self.links.owner("Get-Module").is_some() {
                return None;
            }
            self.learn_names().await;
            self.modules()
        } else if let Some(topic) = help::topic(command) {
            let powershell = (!self.is_recorded).then(|| powershell_command(&self.title));
            let mut lines = help::text(topic, &self.title, powershell.as_deref());
            if topic == Topic::Overview {
                lines.extend(self.counts());
            }
            if is_shown && let Some(columns) = self.terminal.columns() {
                lines = lines.iter().flat_map(|line| help::wrapped(line, columns)).collect();
            }
            texts(lines)
        } else if ["Get-Command", "gcm"].iter().any(|name| name.eq_ignore_ascii_case(&command.name)) {
            match self.commands(&command.clone()).await? {
                Ok(values) => Expr::Literal(Value::array(values)),
                Err(run) => return Some(run),
            }
        } else {
            return None;
        };
        statement.pipeline[0] = Element::Expression(answer);
        None
    }

    /// Returns the number of commands of each endpoint whose names are known.
    fn counts(&self) -> Vec<String> {
        let known = self.links.all().iter().filter(|link| !link.catalogue.is_empty());
        known
            .map(|link| {
                format!("'{}' has {} commands on the endpoint.", link.name, link.catalogue.names().len())
            })
            .collect()
    }

    /// Returns the output of Get-Command with the console's cmdlets; `None` if none of them matches.
    async fn commands(&mut self, command: &CommandLine) -> Option<Result<Vec<Value>, Run>> {
        if self.own.is_listing {
            return None;
        }
        // The endpoint answers with parameters other than -Name.
        let is_named = |argument: &Arg| match argument {
            Arg::Parameter { name, value } => value.is_none() && name.eq_ignore_ascii_case("Name"),
            Arg::Value(_) => true,
        };
        if !command.arguments.iter().all(is_named) {
            return None;
        }
        let mut names = Vec::new();
        for value in line::words(command, &self.variables).ok()? {
            match value.items() {
                Some(items) => names.extend(items.iter().map(Value::display_text)),
                None => names.push(value.display_text()),
            }
        }
        names.retain(|name| !name.eq_ignore_ascii_case("-Name"));
        let is_meant = |name: &str| names.is_empty() || names.iter().any(|pattern| like(pattern, name));
        let mut here: Vec<&str> = line::local_cmdlets().filter(|name| is_meant(name)).collect();
        if here.is_empty() {
            return None;
        }
        here.sort_unstable_by_key(|name| name.to_lowercase());
        let mut values: Vec<Value> = here.iter().map(|name| cmdlet_info(name)).collect();
        let there: Vec<Value> = names
            .iter()
            .filter(|name| line::path::is_pattern(name) || line::local_name(name).is_none())
            .map(|name| Value::String(name.clone()))
            .collect();
        if names.is_empty() || !there.is_empty() {
            let arguments = if there.is_empty() {
                Vec::new()
            } else {
                vec![Arg::Value(Expr::Literal(Value::array(there)))]
            };
            let places = vec![command.at; arguments.len()];
            let pipeline = vec![Element::Command(CommandLine { arguments, places, ..command.clone() })];
            let statement = Statement { assign: None, pipeline, redirections: Vec::new(), at: command.at };
            let mut kept = Sink::Kept(Vec::new());
            self.own.is_listing = true;
            let run = Box::pin(self.pipeline(&statement, &mut kept, false)).await;
            self.own.is_listing = false;
            if matches!(run.ended(), Ended::Lost(_) | Ended::Interrupted | Ended::Stopped) {
                return Some(Err(run));
            }
            values.extend(kept.values());
        }
        Some(Ok(values))
    }

    /// Returns the output of a local Get-Module: one module for each session.
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

    /// Runs a statement with a cmdlet of the console.
    pub(super) async fn run_host(&mut self, part: HostPart, sink: &mut Sink) -> Run {
        let is_paging = part.is_paging();
        let HostPart { before, command, errors, after, is_output } = part;
        if is_paging {
            // Mistakes in its arguments are reported before the pipeline runs.
            if let Err(error) = HostCommand::read(&command, &self.variables) {
                return Run::NotBegun(self.failed(&error));
            }
            let run = self.run_paged(before).await;
            return match run.ended() {
                ended if !ended.is_end() && after.is_some() => {
                    self.pass_on(Vec::new(), ended, after, sink).await
                }
                _ => run,
            };
        }
        let (mut ended, mut input) = (Ended::Succeeded, None);
        if let Some(before) = before {
            let mut kept = Sink::Kept(Vec::new());
            let run = Box::pin(self.pipeline(&before, &mut kept, false)).await;
            ended = run.ended();
            if matches!(run, Run::NotBegun(_)) || ended.is_end() {
                return run;
            }
            input = Some(kept.values());
        }
        let mut own = Statement {
            assign: None,
            at: command.at,
            pipeline: vec![Element::Command(command)],
            redirections: errors.into_iter().collect(),
        };
        if let Err(run) = self.resolve(&mut own).await {
            return run;
        }
        let errors = match line::error_target(own.redirections.first(), &self.variables) {
            Ok(errors) => errors,
            Err(error) => return Run::NotBegun(self.failed(&error)),
        };
        let Some(Element::Command(command)) = own.pipeline.first() else { return Run::Begun(ended) };
        let (values, own) = self.host_command(command, input, is_output, &errors).await;
        match own {
            Ended::Succeeded => {}
            own if own.is_end() => return Run::Begun(own),
            own => ended = own,
        }
        self.pass_on(values, ended, after, sink).await
    }

    /// Passes the output of a cmdlet of the console to the rest of the pipeline. `ended`: outcome of the pipeline
    /// so far.
    async fn pass_on(
        &mut self,
        values: Vec<Value>,
        ended: Ended,
        after: Option<Statement>,
        sink: &mut Sink,
    ) -> Run {
        match after {
            None => {
                values.into_iter().for_each(|value| self.take(sink, value));
                match self.turn_pages(sink).await {
                    Some(PagerExit::Interrupted) => Run::Begun(Ended::Interrupted),
                    _ => Run::Begun(ended),
                }
            }
            Some(mut after) => {
                after.pipeline.insert(0, Element::Expression(Expr::Literal(Value::array(values))));
                match Box::pin(self.pipeline(&after, sink, false)).await {
                    Run::Begun(Ended::Succeeded) => Run::Begun(ended),
                    last => last,
                }
            }
        }
    }

    /// Runs a cmdlet of the console. Errors have been reported, or sent to their target, when it returns.
    async fn host_command(
        &mut self,
        command: &CommandLine,
        input: Option<Vec<Value>>,
        is_output: bool,
        errors: &StreamTarget,
    ) -> (Vec<Value>, Ended) {
        let (read, common) = match HostCommand::read(command, &self.variables) {
            Ok(read) => read,
            Err(error) => return (Vec::new(), self.failed(&error)),
        };
        let mut assignments = VariableAssignments::default();
        common.variables().for_each(|variable| assignments.begin(variable));
        if let (HostCommand::Write(write), Some(variable)) = (&read, &common.information) {
            write.texts(input.as_deref()).into_iter().for_each(|text| assignments.add(variable, text.into()));
        }
        // As in PowerShell, an error that ends its pipeline is shown even if errors are redirected.
        let is_redirected = !matches!(errors, StreamTarget::Shown)
            && matches!(read, HostCommand::Move { .. } | HostCommand::History { .. });
        let mut lines = Vec::new();
        let done = self.host(read, input, is_output).await;
        let mut outcome = match done {
            Ok(values) => {
                if let Some(variable) = &common.output {
                    values.iter().for_each(|value| assignments.add(variable, value.clone()));
                }
                (values, Ended::Succeeded)
            }
            Err(Failure::Interrupted) => (Vec::new(), Ended::Interrupted),
            Err(Failure::Error(error)) => {
                if let Some(variable) = &common.errors {
                    assignments.add(variable, super::trouble::record(&error.0));
                }
                let action = common.error_action.unwrap_or(Action::preferred(&self.variables));
                if is_redirected && action == Action::Continue {
                    lines.push(error.0.clone());
                    let record =
                        matches!(errors, StreamTarget::Output).then(|| super::trouble::record(&error.0));
                    (record.into_iter().collect(), self.noted(&error, action))
                } else {
                    (Vec::new(), self.failed_with(&error, action))
                }
            }
        };
        assignments.store(&mut self.variables);
        if let StreamTarget::File(file) = errors
            && let Err(error) = file.write(&lines)
        {
            outcome.1 = self.failed(&error);
        }
        outcome
    }

    async fn host(&mut self, command: HostCommand, input: Option<Vec<Value>>, is_output: bool) -> Outcome {
        match command {
            HostCommand::Write(write) => {
                let texts = write.texts(input.as_deref());
                if is_output {
                    return Ok(texts.into_iter().map(Value::String).collect());
                }
                let codes: Vec<String> = write.colours.iter().map(ToString::to_string).collect();
                for text in texts {
                    let text = if codes.is_empty() {
                        text
                    } else {
                        format!("\u{1b}[{}m{text}{}", codes.join(";"), crate::screen::RESET)
                    };
                    self.terminal.display(&if write.newline { format!("{text}\n") } else { text });
                }
                Ok(Vec::new())
            }
            HostCommand::Sleep(time) => tokio::select! {
                () = tokio::time::sleep(time) => Ok(Vec::new()),
                () = self.interrupts.next() => Err(Failure::Interrupted),
            },
            HostCommand::Ask { prompt, is_masked, is_secure } => {
                if !self.terminal.interactive {
                    return Err(LineError(
                        "Read-Host: cannot prompt for input: no terminal. Pass the value as an argument of \
                         the script ($args), or run the line in a terminal."
                            .into(),
                    )
                    .into());
                }
                let question = prompt.map(|text| format!("{text}: ")).unwrap_or_default();
                self.terminal.fresh_line();
                match self.terminal.ask(&question, is_masked || is_secure).await {
                    Answer::Given(text) if is_secure => Ok(vec![Value::secure(text)]),
                    Answer::Given(text) => Ok(vec![text.expose_secret().into()]),
                    Answer::Interrupted => Err(Failure::Interrupted),
                    Answer::End => Err(LineError("Read-Host: the input has ended.".into()).into()),
                }
            }
            HostCommand::Move { path, is_literal, passes } => {
                self.move_to(path.as_deref(), is_literal)?;
                Ok(if passes { vec![line::path::current()] } else { Vec::new() })
            }
            HostCommand::History { ids, count } => self.own.history(&ids, count).map_err(|missing| {
                let text = format!("Get-History: Cannot locate the history for Id {missing}.");
                LineError(text).into()
            }),
            HostCommand::StartTranscript(file) => {
                let path = self.terminal.recorder.start(&file, &self.title);
                let path = path.map_err(|error| LineError(format!("Start-Transcript: {error}")))?;
                Ok(vec![format!("Transcript started, output file is {}", path.display()).into()])
            }
            HostCommand::StopTranscript => {
                let path = self.terminal.recorder.stop().ok_or_else(|| {
                    LineError(
                        "Stop-Transcript: An error occurred stopping transcription: The host is not \
                         currently transcribing."
                            .into(),
                    )
                })?;
                Ok(vec![format!("Transcript stopped, output file is {}", path.display()).into()])
            }
            // The pipeline before it has been shown.
            HostCommand::Page => Ok(Vec::new()),
        }
    }

    /// Changes the folder of the console.
    fn move_to(&mut self, path: Option<&str>, is_literal: bool) -> Result<(), LineError> {
        const NAME: &str = "Set-Location";
        if self.terminal.is_one_of_many() {
            // The folder belongs to the whole process.
            return Err(LineError(format!(
                "{NAME}: cannot change the folder: the commands of all profiles run in one process."
            )));
        }
        let target = match path {
            None => home().ok_or_else(|| LineError(format!("{NAME}: cannot find the home folder.")))?,
            Some("-") if !is_literal => match self.own.before.pop() {
                Some(before) => {
                    set_folder(NAME, &before)?;
                    self.variables.set("PWD", line::path::current());
                    return Ok(());
                }
                None => {
                    return Err(LineError(format!(
                        "{NAME}: There is no location history left to navigate backwards."
                    )));
                }
            },
            Some(path) => {
                line::path::check_drive(NAME, path)?;
                let literal = line::path::located(path);
                if !is_literal && line::path::is_pattern(path) && !literal.exists() {
                    let mut found = line::path::matching(path, false);
                    found.retain(|path| path.is_dir());
                    match found.as_slice() {
                        [one] => one.clone(),
                        [] => return Err(line::path::missing(NAME, &literal)),
                        _ => {
                            return Err(LineError(format!(
                                "{NAME}: Cannot set the location because path '{path}' resolved to multiple \
                                 containers. You can only set the location to a single container at a time."
                            )));
                        }
                    }
                } else {
                    literal
                }
            }
        };
        let before = line::path::folder();
        set_folder(NAME, &target)?;
        self.own.before.extend(before);
        self.variables.set("PWD", line::path::current());
        Ok(())
    }
}

fn set_folder(cmdlet: &str, folder: &Path) -> Result<(), LineError> {
    if !folder.is_dir() {
        return Err(line::path::missing(cmdlet, folder));
    }
    let whole = line::path::absolute(folder);
    line::path::enter(&whole).map_err(|error| {
        LineError(match error.kind() {
            std::io::ErrorKind::PermissionDenied => {
                format!("{cmdlet}: Access to the path '{}' is denied.", whole.display())
            }
            _ => format!("{cmdlet}: cannot enter '{}': {error}", whole.display()),
        })
    })
}

/// Returns the CmdletInfo of a cmdlet of the console.
fn cmdlet_info(name: &str) -> Value {
    Object {
        type_names: type_names([
            "System.Management.Automation.CmdletInfo",
            "System.Management.Automation.CommandInfo",
            "System.Object",
        ]),
        to_string: Some(name.to_owned()),
        adapted: vec![
            ("Name".into(), name.into()),
            (
                "CommandType".into(),
                Value::enumeration("System.Management.Automation.CommandTypes", "Cmdlet", 8),
            ),
            ("Version".into(), Value::Version(env!("CARGO_PKG_VERSION").into())),
            ("Source".into(), "lyncsh".into()),
            ("ModuleName".into(), "lyncsh".into()),
        ],
        ..Object::default()
    }
    .into()
}
