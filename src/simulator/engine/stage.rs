//! A pipeline that runs: commands in a row, each object going on to the next command at once, every
//! step ended by the stop token.

mod call;

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::bind::{self, Bound};
use super::fault::Fault;
use super::said::{Outcome, PipelineOutput};
use super::spec::{CommandKind, CommandSpec, ParameterSpec};
use super::state::Tenants;
use super::value::{self, extended, properties, text};
use crate::psrp::clixml::{Content, Value};
use crate::psrp::host::{HostInfo, HostMethod, HostResponse};

/// Tenants, users, policies: one world a simulator, shared by all its sessions.
pub struct World {
    pub(super) tenants: Mutex<Tenants>,
    pub(super) commands: Vec<Arc<Executable>>,
    pub(super) fixtures: bool,
}

impl World {
    pub(super) fn commands(&self) -> &[Arc<Executable>] {
        &self.commands
    }

    pub(super) fn find(&self, name: &str) -> Option<Arc<Executable>> {
        self.commands.iter().find(|spec| spec.name.eq_ignore_ascii_case(name)).cloned()
    }

    pub(super) fn has_fixtures(&self) -> bool {
        self.fixtures
    }

    pub(super) fn with_tenants<T>(&self, act: impl FnOnce(&mut Tenants) -> T) -> T {
        // A panic elsewhere left whole values behind: each change is one assignment.
        act(&mut self.tenants.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Why a pipeline ends early.
#[derive(Debug)]
pub enum StopReason {
    Stopped,
    Failed(Fault),
}

impl From<Fault> for StopReason {
    fn from(fault: Fault) -> Self {
        Self::Failed(fault)
    }
}

pub type Running<'a> = BoxFuture<'a, Result<(), StopReason>>;
/// A command's work on one object, or at the end of its input.
pub type Run = for<'a, 'b> fn(&'a mut Call<'b>) -> Running<'a>;

/// A command, and what it does.
#[derive(Clone, Debug)]
pub struct Executable {
    pub spec: CommandSpec,
    /// Runs for each object that comes in; once where there is no input.
    run: Run,
    /// Runs when the input has ended.
    end: Option<Run>,
}

impl std::ops::Deref for Executable {
    type Target = CommandSpec;

    fn deref(&self) -> &CommandSpec {
        &self.spec
    }
}

impl Executable {
    /// A cmdlet of Lync Online.
    pub fn cmdlet(name: impl Into<String>, synopsis: impl Into<String>, run: Run) -> Self {
        Self { spec: CommandSpec::cmdlet(name.into(), synopsis.into()), run, end: None }
    }

    /// A function of a restricted endpoint, or of the recordings' module.
    pub fn function(name: &str, module: &'static str, run: Run) -> Self {
        let mut command = Self::cmdlet(name, "", run);
        command.spec.kind = CommandKind::Function;
        command.spec.module = module;
        command
    }

    pub fn with(mut self, parameters: Vec<ParameterSpec>) -> Self {
        self.spec.parameters.extend(parameters);
        self
    }

    pub fn default_set(mut self, name: &'static str) -> Self {
        self.spec.default_set = name;
        self
    }

    /// Has -WhatIf and -Confirm.
    pub fn changes(mut self) -> Self {
        self.spec.should_process = true;
        self
    }

    /// Does more when the input has ended.
    pub fn ends(mut self, end: Run) -> Self {
        self.end = Some(end);
        self
    }

    pub fn help_uri(mut self, uri: &'static str) -> Self {
        self.spec.help_uri = uri;
        self
    }
}

/// What a command keeps from one object to the next.
#[derive(Debug, Default)]
pub struct Memory {
    pub count: i32,
    pub values: Vec<Value>,
    /// "Yes to All" or "No to All".
    answered: Option<bool>,
}

/// One command of the running pipeline.
struct Stage {
    spec: Arc<Executable>,
    bound: Bound,
    memory: Memory,
    /// Its errors go to its output.
    merged: bool,
    piped: bool,
}

/// A pipeline that runs.
pub struct Engine {
    pub world: Arc<World>,
    /// Who runs it.
    pub user: String,
    pub host: HostInfo,
    said: mpsc::Sender<PipelineOutput>,
    stop: CancellationToken,
    stages: Vec<Option<Stage>>,
}

/// A command at work on one object.
pub struct Call<'b> {
    pub engine: &'b mut Engine,
    pub spec: Arc<Executable>,
    pub bound: Bound,
    pub memory: &'b mut Memory,
    index: usize,
    merged: bool,
}

/// A command of the pipeline before it runs.
pub struct Planned {
    pub spec: Arc<Executable>,
    pub bound: Bound,
    pub merged: bool,
    pub piped: bool,
}

impl Engine {
    pub fn new(
        world: Arc<World>,
        user: String,
        host: HostInfo,
        said: mpsc::Sender<PipelineOutput>,
        stop: CancellationToken,
    ) -> Self {
        Self { world, user, host, said, stop, stages: Vec::new() }
    }

    /// Runs the commands on the input.
    pub async fn run(&mut self, plan: Vec<Planned>, input: Option<mpsc::Receiver<Value>>) -> Outcome {
        match self.run_to_end(plan, input).await {
            Ok(()) => Outcome::Completed,
            Err(StopReason::Stopped) => Outcome::Stopped,
            Err(StopReason::Failed(fault)) => Outcome::Failed(Box::new(fault.record())),
        }
    }

    async fn run_to_end(
        &mut self,
        plan: Vec<Planned>,
        input: Option<mpsc::Receiver<Value>>,
    ) -> Result<(), StopReason> {
        for (index, mut planned) in plan.into_iter().enumerate() {
            self.ask_for_missing(&planned.spec, &mut planned.bound, index).await?;
            let Planned { spec, bound, merged, piped } = planned;
            self.stages.push(Some(Stage { spec, bound, memory: Memory::default(), merged, piped }));
        }
        match input {
            None => self.feed(0, None).await?,
            Some(mut input) => {
                while let Some(value) = self.or_stopped(input.recv()).await? {
                    self.feed(0, Some(value)).await?;
                }
            }
        }
        for index in 0..self.stages.len() {
            self.at(index, None, true).await?;
        }
        Ok(())
    }

    /// Gives an object to a command.
    fn feed(&mut self, index: usize, input: Option<Value>) -> Running<'_> {
        Box::pin(self.at(index, input, false))
    }

    async fn at(&mut self, index: usize, input: Option<Value>, end: bool) -> Result<(), StopReason> {
        let Some(mut stage) = self.stages.get_mut(index).and_then(Option::take) else { return Ok(()) };
        let run = if end { stage.spec.end } else { Some(stage.spec.run) };
        let result = match run {
            None => Ok(()),
            Some(run) => {
                let bound = match &input {
                    Some(value) if stage.piped => bind::bind_input(&stage.spec, &stage.bound, value),
                    _ => Ok(stage.bound.clone()),
                };
                let (bound, refused) = match bound {
                    Ok(bound) => (bound, None),
                    Err(fault) => (stage.bound.clone(), Some(fault)),
                };
                let mut call = Call {
                    engine: self,
                    spec: Arc::clone(&stage.spec),
                    bound,
                    memory: &mut stage.memory,
                    index,
                    merged: stage.merged,
                };
                match refused {
                    None => run(&mut call).await,
                    Some(fault) => call.write(fault).await,
                }
            }
        };
        self.stages[index] = Some(stage);
        result
    }

    /// Asks the person for mandatory parameters, as PowerShell does before a command starts.
    async fn ask_for_missing(
        &mut self,
        spec: &CommandSpec,
        bound: &mut Bound,
        index: usize,
    ) -> Result<(), StopReason> {
        let missing = std::mem::take(&mut bound.missing);
        if missing.is_empty() {
            return Ok(());
        }
        if self.host.is_null {
            return Err(bind::missing_mandatory(spec, &missing).into());
        }
        let caption = format!("cmdlet {} at command pipeline position {}", spec.name, index + 1);
        let fields: Vec<Value> =
            missing.iter().map(|parameter| field(&parameter.name, &parameter.kind.full_name())).collect();
        let asked =
            vec![text(caption), text("Supply values for the following parameters:"), array_list(fields)];
        let Ok(Some(answers)) = self.ask(HostMethod::Prompt, asked).await? else {
            return Err(bind::missing_mandatory(spec, &missing).into());
        };
        for parameter in &missing {
            let Some(answer) = answer_of(&answers, &parameter.name) else {
                return Err(bind::missing_mandatory(spec, &missing).into());
            };
            bound.answer(spec, parameter, &answer)?;
        }
        Ok(())
    }

    /// Waits for something, or for the stop.
    pub async fn or_stopped<T>(&self, what: impl Future<Output = T>) -> Result<T, StopReason> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(StopReason::Stopped),
            done = what => Ok(done),
        }
    }

    async fn send(&self, said: PipelineOutput) -> Result<(), StopReason> {
        self.or_stopped(self.said.send(said)).await?.map_err(|_| StopReason::Stopped)
    }

    /// A host call that wants no answer; nothing where there is no host.
    pub async fn tell_host(&self, method: HostMethod, parameters: Vec<Value>) -> Result<(), StopReason> {
        if self.host.is_null {
            return Ok(());
        }
        self.send(PipelineOutput::HostCall { method, parameters, answer: None }).await
    }

    pub async fn write_line(&self, line: &str) -> Result<(), StopReason> {
        self.tell_host(HostMethod::WriteLine2, vec![text(line)]).await
    }

    /// A host call and its answer.
    pub async fn ask(
        &self,
        method: HostMethod,
        parameters: Vec<Value>,
    ) -> Result<Result<Option<Value>, String>, StopReason> {
        if self.host.is_null {
            return Err(no_host(method, &parameters).into());
        }
        let (answer, answered) = oneshot::channel::<HostResponse>();
        self.send(PipelineOutput::HostCall { method, parameters, answer: Some(answer) }).await?;
        let response = self.or_stopped(answered).await?.map_err(|_| StopReason::Stopped)?;
        Ok(response.result)
    }
}

/// What a question comes to where there is no host.
fn no_host(method: HostMethod, parameters: &[Value]) -> Fault {
    let asks = |command, source| {
        let source = format!("Microsoft.PowerShell.Commands.{source}Command");
        Fault::no_host(None).said_by(command, &source)
    };
    let message = parameters.get(1).map(Value::display_text).unwrap_or_default();
    match method {
        HostMethod::ReadLine | HostMethod::ReadLineAsSecureString => asks("Read-Host", "ReadHost"),
        // What Read-Host with a prompt asks has no title and no message.
        HostMethod::Prompt if message.is_empty() => asks("Read-Host", "ReadHost"),
        HostMethod::PromptForCredential1 | HostMethod::PromptForCredential2 => Fault::no_host(Some(&message))
            .said_by("Get-Credential", "Microsoft.PowerShell.Commands.GetCredentialCommand"),
        _ => Fault::no_host(Some(&message)),
    }
}

/// A FieldDescription, as PowerShell sends one to the client's host.
pub fn field(name: &str, type_name: &str) -> Value {
    let short = type_name.rsplit('.').next().unwrap_or(type_name);
    extended(
        &[],
        properties([
            ("name", text(name)),
            ("label", text("")),
            ("parameterTypeName", text(short)),
            ("parameterTypeFullName", text(type_name)),
            ("parameterAssemblyFullName", text(format!("{type_name}, {}", value::CORE))),
            ("helpMessage", text("")),
            ("isMandatory", Value::Bool(true)),
            ("metadata", array_list(Vec::new())),
            ("modifiedByRemotingProtocol", Value::Bool(false)),
            ("isFromRemoteHost", Value::Bool(false)),
        ]),
    )
}

/// An ArrayList, as lists in host calls' parameters are.
pub fn array_list(items: Vec<Value>) -> Value {
    value::list(&["System.Collections.ArrayList"], items)
}

/// The value of a name in the dictionary that a Prompt gives back.
pub fn answer_of(answers: &Value, name: &str) -> Option<Value> {
    let Value::Object(object) = answers else { return None };
    let Content::Dictionary(entries) = &object.content else { return None };
    entries.iter().find(|(key, _)| key.display_text() == name).map(|(_, value)| value.clone())
}
