//! Execution of a pipeline: each object is passed to the next command immediately; the stop token ends every step.

mod call;

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::bind::{self, BoundParameters};
use super::fault::Fault;
use super::output::{Outcome, PipelineOutput};
use super::spec::{CommandKind, CommandSpec, ParameterSpec};
use super::state::Tenants;
use super::value::{self, extended, properties, text};
use crate::psrp::clixml::{Content, Value};
use crate::psrp::host::{HostException, HostInfo, HostMethod, HostResponse};

/// Tenants, users and policies of a simulator, shared by all its sessions.
pub struct World {
    pub(super) tenants: Mutex<Tenants>,
    pub(super) commands: Vec<Arc<Executable>>,
    pub(super) fixtures: bool,
}

impl World {
    pub(super) fn commands(&self) -> &[Arc<Executable>] {
        &self.commands
    }

    /// Finds a command by `NAME` or `MODULE\NAME`.
    pub(super) fn find(&self, name: &str) -> Option<Arc<Executable>> {
        self.commands.iter().find(|spec| spec.name.eq_ignore_ascii_case(spec.unqualified(name))).cloned()
    }

    pub(super) fn has_fixtures(&self) -> bool {
        self.fixtures
    }

    pub(super) fn with_tenants<T>(&self, act: impl FnOnce(&mut Tenants) -> T) -> T {
        // After a panic elsewhere the values are consistent: each change is one assignment.
        act(&mut self.tenants.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Reason for the early end of a pipeline.
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
/// Function of a command for one object, or for the end of its input.
pub type Run = for<'a, 'b> fn(&'a mut Call<'b>) -> Running<'a>;

/// A command with its implementation.
#[derive(Clone, Debug)]
pub struct Executable {
    pub spec: CommandSpec,
    /// Runs for each input object, or once without input.
    run: Run,
    /// Runs at the end of the input.
    end: Option<Run>,
}

impl std::ops::Deref for Executable {
    type Target = CommandSpec;

    fn deref(&self) -> &CommandSpec {
        &self.spec
    }
}

impl Executable {
    /// Returns a cmdlet of Lync Online.
    pub fn cmdlet(name: impl Into<String>, synopsis: impl Into<String>, run: Run) -> Self {
        Self { spec: CommandSpec::cmdlet(name.into(), synopsis.into()), run, end: None }
    }

    /// Returns a function of a restricted endpoint or of the recorded module.
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

    /// Adds -WhatIf and -Confirm.
    pub fn changes(mut self) -> Self {
        self.spec.should_process = true;
        self
    }

    /// Adds a function for the end of the input.
    pub fn ends(mut self, end: Run) -> Self {
        self.end = Some(end);
        self
    }

    pub fn help_uri(mut self, uri: &'static str) -> Self {
        self.spec.help_uri = uri;
        self
    }
}

/// State of a command between objects.
#[derive(Debug, Default)]
pub struct Memory {
    pub count: i32,
    pub values: Vec<Value>,
    /// Whether the user answered "Yes to All" (true) or "No to All" (false).
    answered: Option<bool>,
}

/// A command of the running pipeline.
struct Stage {
    spec: Arc<Executable>,
    bound: BoundParameters,
    memory: Memory,
    /// Whether errors go to the output.
    merged: bool,
    piped: bool,
}

/// A running pipeline.
pub struct Engine {
    pub world: Arc<World>,
    /// User that runs the pipeline.
    pub user: String,
    pub host: HostInfo,
    output: mpsc::Sender<PipelineOutput>,
    stop: CancellationToken,
    stages: Vec<Option<Stage>>,
}

/// A call of a command for one object.
pub struct Call<'b> {
    pub engine: &'b mut Engine,
    pub spec: Arc<Executable>,
    pub bound: BoundParameters,
    pub memory: &'b mut Memory,
    index: usize,
    merged: bool,
}

/// A bound command of a pipeline.
pub struct Planned {
    pub spec: Arc<Executable>,
    pub bound: BoundParameters,
    pub merged: bool,
    pub piped: bool,
}

impl Engine {
    pub fn new(
        world: Arc<World>,
        user: String,
        host: HostInfo,
        output: mpsc::Sender<PipelineOutput>,
        stop: CancellationToken,
    ) -> Self {
        Self { world, user, host, output, stop, stages: Vec::new() }
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

    /// Passes an object to a command.
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

    /// Prompts the user for mandatory parameters, as PowerShell does before a command starts.
    async fn ask_for_missing(
        &mut self,
        spec: &CommandSpec,
        bound: &mut BoundParameters,
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

    /// Waits for a future or the stop token.
    pub async fn or_stopped<T>(&self, what: impl Future<Output = T>) -> Result<T, StopReason> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(StopReason::Stopped),
            done = what => Ok(done),
        }
    }

    async fn send(&self, event: PipelineOutput) -> Result<(), StopReason> {
        self.or_stopped(self.output.send(event)).await?.map_err(|_| StopReason::Stopped)
    }

    /// Sends a host call without an answer, if there is a host.
    pub async fn notify_host(&self, method: HostMethod, parameters: Vec<Value>) -> Result<(), StopReason> {
        if self.host.is_null {
            return Ok(());
        }
        self.send(PipelineOutput::HostCall { method, parameters, answer: None }).await
    }

    pub async fn write_line(&self, line: &str) -> Result<(), StopReason> {
        self.notify_host(HostMethod::WriteLine2, vec![text(line)]).await
    }

    /// Sends a host call and returns its answer.
    pub async fn ask(
        &self,
        method: HostMethod,
        parameters: Vec<Value>,
    ) -> Result<Result<Option<Value>, HostException>, StopReason> {
        if self.host.is_null {
            return Err(no_host(method, &parameters).into());
        }
        let (answer, answered) = oneshot::channel::<HostResponse>();
        self.send(PipelineOutput::HostCall { method, parameters, answer: Some(answer) }).await?;
        let response = self.or_stopped(answered).await?.map_err(|_| StopReason::Stopped)?;
        Ok(response.result)
    }
}

/// Returns the error for a prompt without a host.
fn no_host(method: HostMethod, parameters: &[Value]) -> Fault {
    let asks = |command, source| {
        let source = format!("Microsoft.PowerShell.Commands.{source}Command");
        Fault::no_host(None).of_command(command, &source)
    };
    let message = parameters.get(1).map(Value::display_text).unwrap_or_default();
    match method {
        HostMethod::ReadLine | HostMethod::ReadLineAsSecureString => asks("Read-Host", "ReadHost"),
        // Read-Host with a prompt has no title and no message.
        HostMethod::Prompt if message.is_empty() => asks("Read-Host", "ReadHost"),
        HostMethod::PromptForCredential1 | HostMethod::PromptForCredential2 => Fault::no_host(Some(&message))
            .of_command("Get-Credential", "Microsoft.PowerShell.Commands.GetCredentialCommand"),
        _ => Fault::no_host(Some(&message)),
    }
}

/// Returns a FieldDescription, as PowerShell sends it to the client's host.
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

/// Returns an ArrayList, the type of lists in host call parameters.
pub fn array_list(items: Vec<Value>) -> Value {
    value::list(&["System.Collections.ArrayList"], items)
}

/// Returns a value of the dictionary that answers a Prompt.
pub fn answer_of(answers: &Value, name: &str) -> Option<Value> {
    let Value::Object(object) = answers else { return None };
    let Content::Dictionary(entries) = &object.content else { return None };
    entries.iter().find(|(key, _)| key.display_text() == name).map(|(_, value)| value.clone())
}
