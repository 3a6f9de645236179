//! A pipeline that runs: commands in a row, each object going on to the next command at once, every
//! step ended by the stop token.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::bind::{self, Bound};
use super::fault::Fault;
use super::spec::CommandSpec;
use super::state::Tenant;
use super::value::{self, display, extended, properties, text};
use super::{Outcome, Said, World};
use crate::psrp::clixml::{Content, Value};
use crate::psrp::host::{HostInfo, HostMethod, HostResponse};
use crate::psrp::message::MessageType;
use crate::psrp::record::{ErrorRecord, InformationRecord, ProgressRecord};

/// Why a pipeline ends early.
#[derive(Debug)]
pub enum Halt {
    Stopped,
    Failed(Fault),
}

impl From<Fault> for Halt {
    fn from(fault: Fault) -> Self {
        Self::Failed(fault)
    }
}

pub type Running<'a> = BoxFuture<'a, Result<(), Halt>>;
/// A command's work on one object, or at the end of its input.
pub type Run = for<'a, 'b> fn(&'a mut Call<'b>) -> Running<'a>;

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
    spec: Arc<CommandSpec>,
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
    said: mpsc::Sender<Said>,
    stop: CancellationToken,
    stages: Vec<Option<Stage>>,
}

/// A command at work on one object.
pub struct Call<'b> {
    pub engine: &'b mut Engine,
    pub spec: Arc<CommandSpec>,
    pub bound: Bound,
    pub memory: &'b mut Memory,
    index: usize,
    merged: bool,
}

/// A command of the pipeline before it runs.
pub struct Planned {
    pub spec: Arc<CommandSpec>,
    pub bound: Bound,
    pub merged: bool,
    pub piped: bool,
}

impl Engine {
    pub fn new(
        world: Arc<World>,
        user: String,
        host: HostInfo,
        said: mpsc::Sender<Said>,
        stop: CancellationToken,
    ) -> Self {
        Self { world, user, host, said, stop, stages: Vec::new() }
    }

    /// Runs the commands on the input.
    pub async fn run(&mut self, plan: Vec<Planned>, input: Option<mpsc::Receiver<Value>>) -> Outcome {
        match self.run_to_end(plan, input).await {
            Ok(()) => Outcome::Completed,
            Err(Halt::Stopped) => Outcome::Stopped,
            Err(Halt::Failed(fault)) => Outcome::Failed(Box::new(fault.record())),
        }
    }

    async fn run_to_end(
        &mut self,
        plan: Vec<Planned>,
        input: Option<mpsc::Receiver<Value>>,
    ) -> Result<(), Halt> {
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

    async fn at(&mut self, index: usize, input: Option<Value>, end: bool) -> Result<(), Halt> {
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
    ) -> Result<(), Halt> {
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
        let answers = match self.ask(HostMethod::Prompt, asked).await? {
            Ok(Some(answers)) => answers,
            _ => return Err(bind::missing_mandatory(spec, &missing).into()),
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
    pub async fn or_stopped<T>(&self, what: impl Future<Output = T>) -> Result<T, Halt> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(Halt::Stopped),
            done = what => Ok(done),
        }
    }

    async fn say(&self, said: Said) -> Result<(), Halt> {
        self.or_stopped(self.said.send(said)).await?.map_err(|_| Halt::Stopped)
    }

    /// A host call that wants no answer; nothing where there is no host.
    pub async fn tell_host(&self, method: HostMethod, parameters: Vec<Value>) -> Result<(), Halt> {
        if self.host.is_null {
            return Ok(());
        }
        self.say(Said::HostCall { method, parameters, answer: None }).await
    }

    pub async fn write_line(&self, line: &str) -> Result<(), Halt> {
        self.tell_host(HostMethod::WriteLine2, vec![text(line)]).await
    }

    /// A host call and its answer.
    pub async fn ask(
        &self,
        method: HostMethod,
        parameters: Vec<Value>,
    ) -> Result<Result<Option<Value>, String>, Halt> {
        let (answer, answered) = oneshot::channel::<HostResponse>();
        self.say(Said::HostCall { method, parameters, answer: Some(answer) }).await?;
        let response = self.or_stopped(answered).await?.map_err(|_| Halt::Stopped)?;
        Ok(response.result)
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
    entries.iter().find(|(key, _)| display(key) == name).map(|(_, value)| value.clone())
}

impl Call<'_> {
    /// Puts an object out, to the next command or the client.
    pub async fn output(&mut self, value: Value) -> Result<(), Halt> {
        let next = self.index + 1;
        if next < self.engine.stages.len() {
            self.engine.feed(next, Some(value)).await
        } else {
            self.engine.say(Said::Output(value)).await
        }
    }

    fn preference(&self, parameter: &str) -> String {
        self.bound.text(parameter).unwrap_or_else(|| "Continue".into())
    }

    /// Reports an error of this command and goes on, as far as `-ErrorAction` lets it.
    pub async fn error(&mut self, fault: Fault) -> Result<(), Halt> {
        let fault = fault.said_by(&self.spec.name, &self.spec.error_source());
        self.write(fault).await
    }

    /// The same for an error that names its command already.
    pub async fn write(&mut self, fault: Fault) -> Result<(), Halt> {
        match self.preference("ErrorAction").as_str() {
            "SilentlyContinue" | "Ignore" => Ok(()),
            "Stop" => Err(fault.preference_stop().into()),
            _ if self.merged => self.output_error(fault.record()).await,
            _ => self.engine.say(Said::Error(Box::new(fault.record()))).await,
        }
    }

    /// An error that goes to the output is marked, so that Out-Default draws it as one.
    async fn output_error(&mut self, record: ErrorRecord) -> Result<(), Halt> {
        let Value::Object(object) = &record.value else { return Ok(()) };
        let mut object = object.as_ref().clone();
        if self.index + 1 < self.engine.stages.len() {
            object.extended.push(("writeErrorStream".into(), Value::Bool(true)));
        }
        self.output(Value::Object(Arc::new(object))).await
    }

    async fn record(&self, kind: MessageType, method: HostMethod, message: &str) -> Result<(), Halt> {
        self.engine.say(Said::Text(kind, message.to_owned())).await?;
        self.engine.tell_host(method, vec![text(message)]).await
    }

    pub async fn warning(&self, message: &str) -> Result<(), Halt> {
        match self.preference("WarningAction").as_str() {
            "SilentlyContinue" | "Ignore" => Ok(()),
            _ => self.record(MessageType::WarningRecord, HostMethod::WriteWarningLine, message).await,
        }
    }

    /// Said with -Verbose only.
    pub async fn verbose(&self, message: &str) -> Result<(), Halt> {
        if self.bound.flag("Verbose") { self.verbose_always(message).await } else { Ok(()) }
    }

    /// Said whatever the caller's preference, as `Write-Verbose -Verbose` in a function does.
    pub async fn verbose_always(&self, message: &str) -> Result<(), Halt> {
        self.record(MessageType::VerboseRecord, HostMethod::WriteVerboseLine, message).await
    }

    /// The same on the debug stream.
    pub async fn debug_always(&self, message: &str) -> Result<(), Halt> {
        self.record(MessageType::DebugRecord, HostMethod::WriteDebugLine, message).await
    }

    /// An information record; the host sees it with `-InformationAction Continue`.
    pub async fn information(&self, record: InformationRecord) -> Result<(), Halt> {
        let line = display(&record.message);
        let shown = self.bound.text("InformationAction").is_some_and(|action| action == "Continue");
        self.engine.say(Said::Information(record)).await?;
        if shown { self.engine.write_line(&line).await } else { Ok(()) }
    }

    /// What Write-Host does: a record, and a coloured line for the host.
    pub async fn write_host(
        &self,
        record: InformationRecord,
        foreground: i32,
        line: &str,
    ) -> Result<(), Halt> {
        self.engine.say(Said::Information(record)).await?;
        let parameters = vec![Value::I32(foreground), Value::I32(-1), text(line)];
        self.engine.tell_host(HostMethod::WriteLine3, parameters).await
    }

    /// Progress goes out twice: as a record and as a host call (MS-PSRP 2.2.3.17).
    pub async fn progress(&self, source: i64, record: ProgressRecord) -> Result<(), Halt> {
        if self.preference("ProgressAction") == "SilentlyContinue" {
            return Ok(());
        }
        let shown = progress_value(&record);
        self.engine.say(Said::Progress(record)).await?;
        self.engine.tell_host(HostMethod::WriteProgress, vec![Value::I64(source), shown]).await
    }

    /// ShouldProcess: whether to go on, after -WhatIf and -Confirm had their say.
    pub async fn should_process(&mut self, target: &str) -> Result<bool, Halt> {
        let deed = format!("Performing the operation \"{}\" on target \"{target}\".", self.spec.name);
        if self.bound.flag("WhatIf") {
            self.engine.write_line(&format!("What if: {deed}")).await?;
            return Ok(false);
        }
        self.verbose(&deed).await?;
        if !self.bound.flag("Confirm") {
            return Ok(true);
        }
        if let Some(answered) = self.memory.answered {
            return Ok(answered);
        }
        let question = format!("Are you sure you want to perform this action?\n{deed}");
        let answer = if self.engine.host.is_null {
            Err(String::new())
        } else {
            let asked = vec![text("Confirm"), text(&question), array_list(confirm_choices()), Value::I32(0)];
            self.engine.ask(HostMethod::PromptForChoice, asked).await?
        };
        match answer {
            Ok(Some(Value::I32(choice))) => {
                if choice == 1 || choice == 3 {
                    self.memory.answered = Some(choice == 1);
                }
                Ok(choice < 2)
            }
            _ => Err(Fault::exception(
                "System.Management.Automation.Host.HostException",
                -2_146_233_087,
                "InvalidOperation",
                super::fault::Category::InvalidOperation,
                &format!(
                    "A command that prompts the user failed because the host program or the command type does not support user interaction. The host was attempting to request confirmation with the following message: {question}"
                ),
            )
            .said_by(&self.spec.name, "")
            .into()),
        }
    }

    /// Reads or changes the tenant of the person who signed in.
    pub fn tenant<T>(&self, act: impl FnOnce(&mut Tenant) -> T) -> T {
        self.engine.world.with_tenants(|tenants| act(tenants.of(&self.engine.user)))
    }
}

fn confirm_choices() -> Vec<Value> {
    [
        ("&Yes", "Continue with only the next step of the operation."),
        ("Yes to &All", "Continue with all the steps of the operation."),
        ("&No", "Skip this operation and proceed with the next operation."),
        ("No to A&ll", "Skip this operation and all subsequent operations."),
    ]
    .into_iter()
    .map(|(label, help)| extended(&[], properties([("label", text(label)), ("helpMessage", text(help))])))
    .collect()
}

fn progress_value(record: &ProgressRecord) -> Value {
    let (name, number) = if record.completed { ("Completed", 1) } else { ("Processing", 0) };
    extended(
        &[],
        properties([
            ("Activity", text(&record.activity)),
            ("ActivityId", Value::I32(record.activity_id)),
            ("StatusDescription", text(&record.status)),
            ("CurrentOperation", record.current_operation.as_ref().map_or(Value::Null, text)),
            ("ParentActivityId", Value::I32(record.parent_id)),
            ("PercentComplete", Value::I32(record.percent)),
            ("Type", value::enumeration("System.Management.Automation.ProgressRecordType", name, number)),
            ("SecondsRemaining", Value::I32(record.seconds_remaining)),
        ]),
    )
}
