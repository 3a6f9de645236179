//! Division of a pipeline between the endpoint and the console.

use super::common::{self, Action, CommonArgument, CommonParameters, VariableAssignments};
use super::error::LineError;
use super::evaluate::{Scope, Variables, evaluate};
use super::help;
use super::stage::{self, File, PlanContext, SourceOutput, Stage};
use super::syntax::{Arg, CommandLine, Element, Expr, Redirection, Statement, Stream, Target};
use crate::psrp::client::PipelineEvent;
use crate::psrp::clixml::Value;
use crate::psrp::pipeline::{Argument, Merge, Pipeline, PipelineCommand};

/// Execution plan of a statement.
pub struct Plan {
    /// Values of `$x | …` or of a source cmdlet: the input of the leading commands, or of the local stages without
    /// leading commands.
    pub input: Vec<Value>,
    /// Leading commands, run on the endpoint.
    pub remote: Option<Pipeline>,
    /// Local stages after them.
    pub local: LocalStages,
    /// Targets of the streams other than output.
    pub streams: Streams,
    /// Common parameters of each leading command, by its name on the endpoint.
    pub common: Vec<(String, CommonParameters)>,
    /// Error action of commands without -ErrorAction.
    pub preferred: Action,
    /// Values to assign to variables at the end.
    pub assignments: VariableAssignments,
    /// Set if an error has ended the pipeline.
    pub was_ended: bool,
}

impl Plan {
    /// Returns whether the endpoint formats the output.
    pub fn is_drawn_there(&self) -> bool {
        let last = self.remote.as_ref().and_then(|remote| remote.commands.last());
        last.is_some_and(|command| command.name == OUT_DEFAULT)
    }

    /// Returns the common parameters of the leading command that a record names, or of the only leading command.
    pub fn common_of(&self, command: Option<&str>) -> Option<&CommonParameters> {
        match self.common.as_slice() {
            [(_, common)] => Some(common),
            all => {
                let command = command?;
                all.iter().find(|(name, _)| name.eq_ignore_ascii_case(command)).map(|(_, common)| common)
            }
        }
    }

    /// Makes remote commands stop at their first error if `$ErrorActionPreference` is Stop. `offers`: whether the
    /// endpoint has a command that takes common parameters.
    pub fn stop_there(&mut self, offers: impl Fn(&str) -> bool) {
        if self.preferred != Action::Stop {
            return;
        }
        let commands = self.remote.iter_mut().flat_map(|remote| &mut remote.commands);
        for (command, (_, common)) in commands.zip(&self.common) {
            if common.error_action.is_none() && offers(&command.name) {
                command.arguments.push(Argument::named("ErrorAction", "Stop"));
            }
        }
    }

    /// Keeps a warning or information record for a variable.
    pub fn keep(&mut self, event: &PipelineEvent) {
        let (value, pick): (Value, fn(&CommonParameters) -> Option<&common::Variable>) = match event {
            PipelineEvent::Warning(record) => {
                (record.message.as_str().into(), |common| common.warnings.as_ref())
            }
            PipelineEvent::Information(record) => {
                (record.message.clone(), |common| common.information.as_ref())
            }
            _ => return,
        };
        // Earlier commands with variables run separately (`fold`).
        let last = self.common.last().and_then(|(_, common)| pick(common)).cloned();
        if let Some(variable) = last {
            self.assignments.add(&variable, value);
        }
    }

    /// Returns the error action of the leading command that a record names.
    pub fn error_action(&self, command: Option<&str>) -> Action {
        self.common_of(command).and_then(|common| common.error_action).unwrap_or(self.preferred)
    }
}

/// Target of a stream other than output.
#[derive(Clone, Debug, Default)]
pub enum StreamTarget {
    #[default]
    Shown,
    /// `2>$null`
    Dropped,
    /// `2>&1`
    Output,
    /// `2> file`
    File(File),
}

/// Target of each stream.
#[derive(Clone, Debug, Default)]
pub struct Streams {
    pub error: StreamTarget,
    pub warning: StreamTarget,
    pub verbose: StreamTarget,
    pub debug: StreamTarget,
    pub information: StreamTarget,
}

/// Local stages.
#[derive(Default)]
pub struct LocalStages {
    stages: Vec<PipelineStage>,
    /// Set once an object has arrived.
    fed: bool,
    /// Common parameters of the stage that failed.
    failed: Option<CommonParameters>,
    /// Errors of single objects, which did not end the pipeline.
    non_terminating: Vec<NonTerminatingError>,
    preferred: Action,
    /// Set if a stage passes its text on line by line, to a file or the screen.
    is_split: bool,
}

/// Error of a stage that did not end the pipeline.
pub struct NonTerminatingError {
    pub error: LineError,
    /// Common parameters of the stage.
    pub common: CommonParameters,
    /// Index of the stage.
    at: usize,
}

/// A stage with its common parameters.
struct PipelineStage {
    stage: Box<dyn Stage>,
    common: CommonParameters,
    /// Output kept for a variable.
    output: Vec<Value>,
}

impl PipelineStage {
    fn new(stage: Box<dyn Stage>, common: CommonParameters) -> Self {
        Self { stage, common, output: Vec::new() }
    }

    fn keep(&mut self, values: &[Value]) {
        if self.common.output.is_some() {
            self.output.extend_from_slice(values);
        }
    }
}

impl LocalStages {
    /// Makes the last stage that outputs a text pass its lines on one by one, if a file or the screen gets the text.
    /// `is_drawn`: whether the output of the last stage goes to the screen.
    fn split_lines(&mut self, is_drawn: bool) {
        let count = self.stages.len();
        let at = match self.stages.last() {
            Some(last) if last.stage.takes_lines() => count.checked_sub(2),
            Some(_) if is_drawn => count.checked_sub(1),
            _ => None,
        };
        if let Some(placed) = at.map(|at| &mut self.stages[at])
            && placed.common.output.is_none()
        {
            placed.stage.split_lines();
            self.is_split = true;
        }
    }

    /// Passes an object through all stages.
    pub fn push(&mut self, value: Value, out: &mut Vec<Value>) -> Result<(), LineError> {
        self.fed = true;
        self.through(0, vec![value], out)
    }

    /// Informs the stages that the commands before them failed, so that no file is emptied.
    pub fn fail(&mut self) {
        let fed = self.fed;
        self.stages.iter_mut().for_each(|placed| placed.stage.fail(fed));
    }

    /// Ends the input.
    pub fn finish(&mut self, out: &mut Vec<Value>) -> Result<(), LineError> {
        for at in 0..self.stages.len() {
            let mut rest = Vec::new();
            let placed = &mut self.stages[at];
            if let Err(error) = placed.stage.finish(&mut rest) {
                self.failed = Some(placed.common.clone());
                return Err(error);
            }
            placed.keep(&rest);
            self.through(at + 1, rest, out)?;
        }
        Ok(())
    }

    /// Ends a pipeline after an error: buffered output is dropped, files get the lines so far.
    pub fn close(&mut self) -> Result<(), LineError> {
        // After lines of an incomplete text, the last stage is not finished: a file gets a text only as a whole.
        let whole = self.stages.len() - usize::from(self.is_split && !self.stages.is_empty());
        self.stages[..whole].iter_mut().try_for_each(|placed| {
            placed.stage.finish(&mut Vec::new()).inspect_err(|_| self.failed = Some(placed.common.clone()))
        })
    }

    /// Returns the warnings of the stages with their common parameters.
    pub fn warnings(&mut self) -> Vec<(String, CommonParameters)> {
        let all = self.stages.iter_mut();
        all.filter_map(|placed| Some((placed.stage.warning()?, placed.common.clone()))).collect()
    }

    /// Returns whether an object has arrived.
    pub fn is_fed(&self) -> bool {
        self.fed
    }

    /// Returns whether further objects have no effect (`Select-Object -First`).
    pub fn is_done(&self) -> bool {
        self.stages.iter().any(|placed| placed.stage.is_done())
    }

    /// Passes the record of an error through the stages after its own.
    pub fn push_after(
        &mut self,
        failure: &NonTerminatingError,
        record: Value,
        out: &mut Vec<Value>,
    ) -> Result<(), LineError> {
        self.through(failure.at + 1, vec![record], out)
    }

    /// Takes the errors of single objects since the last call.
    pub fn take_non_terminating(&mut self) -> Vec<NonTerminatingError> {
        std::mem::take(&mut self.non_terminating)
    }

    /// Takes the common parameters of the stage that failed.
    pub fn failure(&mut self) -> Option<CommonParameters> {
        self.failed.take()
    }

    /// Moves the stages' output into `assignments` for variables.
    pub fn collect_outputs(&mut self, assignments: &mut VariableAssignments) {
        for placed in &mut self.stages {
            if let Some(variable) = &placed.common.output {
                assignments.begin(variable);
                placed.output.drain(..).for_each(|value| assignments.add(variable, value));
            }
        }
    }

    fn through(&mut self, from: usize, values: Vec<Value>, out: &mut Vec<Value>) -> Result<(), LineError> {
        let mut values = values;
        for (at, placed) in self.stages.iter_mut().enumerate().skip(from) {
            let mut next = Vec::new();
            for value in values {
                if let Err(error) = placed.stage.push(value, &mut next) {
                    let action = placed.common.error_action.unwrap_or(self.preferred);
                    if placed.stage.continues_after_error() && action != Action::Stop {
                        self.non_terminating.push(NonTerminatingError {
                            error,
                            common: placed.common.clone(),
                            at,
                        });
                        continue;
                    }
                    self.failed = Some(placed.common.clone());
                    return Err(error);
                }
            }
            placed.keep(&next);
            values = next;
        }
        out.extend(values);
        Ok(())
    }
}

/// Divides a statement between the endpoint and local stages.
pub fn plan(statement: &Statement, context: PlanContext<'_>) -> Result<Plan, LineError> {
    let mut input = Vec::new();
    let mut remote = Vec::new();
    let mut given = Vec::new();
    let mut local = LocalStages::default();
    for (at, element) in statement.pipeline.iter().enumerate() {
        match element {
            Element::Expression(expression) => {
                let value = evaluate(expression, Scope::outer(context.variables))?;
                match value.items() {
                    Some(items) => input.extend(items.iter().cloned()),
                    None if value == Value::Null => {}
                    None => input.push(value),
                }
            }
            // Loops are split before planning.
            Element::Repeat(_) => return Err(LineError::script("A loop here")),
            Element::Command(command) => match stage::local_name(&command.name) {
                Some(name) => {
                    let (command, common) = own(name, command, context)?;
                    match stage::source(name, &command, context.variables, at == 0, context.stop) {
                        Some(_) if at > 0 => {
                            return Err(LineError(format!("Cannot pipe into '{name}': put it first.")));
                        }
                        Some(sourced) => {
                            let SourceOutput { values, mut errors } = sourced?;
                            let action = common.error_action.unwrap_or(Action::preferred(context.variables));
                            if action == Action::Stop {
                                errors.truncate(1);
                            }
                            input = values;
                            let at = local.stages.len();
                            let failure = |error| NonTerminatingError { error, common: common.clone(), at };
                            local.non_terminating.extend(errors.into_iter().map(failure));
                            local.stages.push(PipelineStage::new(stage::everything(), common));
                        }
                        None => {
                            let stage = stage::build(name, &command, context)?;
                            local.stages.push(PipelineStage::new(stage, common));
                        }
                    }
                }
                None if !local.stages.is_empty() => {
                    return Err(LineError(format!(
                        "Cannot pipe local output into '{}', which runs on the endpoint: put it first.",
                        command.name
                    )));
                }
                None => {
                    let (command, common) = remote_command(command, context.variables)?;
                    given.push((command.name.clone(), common));
                    remote.push(command);
                }
            },
        }
    }
    // The output of the last remote command is collected before the first stage.
    if let Some((_, common)) = given.last_mut()
        && common.output.is_some()
    {
        let common = CommonParameters { output: common.output.take(), ..CommonParameters::default() };
        local.stages.insert(0, PipelineStage::new(stage::everything(), common));
    }
    let mut assignments = VariableAssignments::default();
    let all = given.iter().map(|(_, common)| common).chain(local.stages.iter().map(|one| &one.common));
    all.flat_map(CommonParameters::variables).for_each(|variable| assignments.begin(variable));
    let mut streams = Streams::default();
    let mut output: Option<File> = None;
    for redirection in &statement.redirections {
        let to = destination(&redirection.to, context.variables)?;
        if matches!(redirection.from, Stream::Output | Stream::All) {
            match &to {
                Destination::File(file) => {
                    let stage = stage::drawn(file.clone(), context.width, context.views.clone());
                    local.stages.push(PipelineStage::new(stage, CommonParameters::default()));
                    output = Some(file.clone());
                }
                Destination::Null => {
                    local.stages.push(PipelineStage::new(stage::nothing(), CommonParameters::default()));
                }
                Destination::Output => {}
            }
        }
        let target = match to {
            // `*> file` merges all streams into the output, which goes to the file.
            Destination::File(_) if redirection.from == Stream::All => StreamTarget::Output,
            // The same file as the output's: separate writes would overwrite each other.
            Destination::File(file) if output.as_ref().is_some_and(|output| output.path == file.path) => {
                StreamTarget::Output
            }
            Destination::File(file) => StreamTarget::File(file),
            Destination::Null => StreamTarget::Dropped,
            Destination::Output => StreamTarget::Output,
        };
        streams.set(redirection.from, &target);
    }
    let ends_on_screen = context.to_screen && statement.assign.is_none();
    local.split_lines(ends_on_screen);
    let is_fed = matches!(statement.pipeline.first(), Some(Element::Expression(_)));
    let draws_itself = !remote.is_empty()
        && local.stages.is_empty()
        && statement.assign.is_none()
        && context.to_screen
        && statement.redirections.is_empty();
    if draws_itself {
        remote.push(out_default());
    }
    let remote = (!remote.is_empty()).then_some(Pipeline {
        no_input: !is_fed,
        add_to_history: true,
        ..Pipeline::new(remote)
    });
    // Check that files can be written before remote commands run.
    local.stages.iter().try_for_each(|placed| placed.stage.begin())?;
    streams.files().iter().try_for_each(File::ready)?;
    let preferred = Action::preferred(context.variables);
    local.preferred = preferred;
    Ok(Plan { input, remote, local, streams, common: given, preferred, assignments, was_ended: false })
}

/// The evaluated target of a redirection.
enum Destination {
    /// The output stream.
    Output,
    /// `$null`: the stream is discarded.
    Null,
    File(File),
}

fn destination(to: &Target, variables: &Variables) -> Result<Destination, LineError> {
    Ok(match to {
        Target::Output => Destination::Output,
        Target::File { path, append } => match evaluate(path, Scope::outer(variables))? {
            Value::Null => Destination::Null,
            path => Destination::File(File::redirected(&path.display_text(), *append)),
        },
    })
}

/// Returns the target of the errors of a command that the console runs itself.
pub fn error_target(
    redirection: Option<&Redirection>,
    variables: &Variables,
) -> Result<StreamTarget, LineError> {
    let Some(redirection) = redirection else { return Ok(StreamTarget::Shown) };
    Ok(match destination(&redirection.to, variables)? {
        Destination::File(file) => {
            file.ready()?;
            StreamTarget::File(file)
        }
        Destination::Null => StreamTarget::Dropped,
        Destination::Output => StreamTarget::Output,
    })
}

impl Streams {
    /// Returns the files that streams are redirected to, each once.
    pub fn files(&self) -> Vec<File> {
        let mut files: Vec<File> = Vec::new();
        for target in [&self.error, &self.warning, &self.verbose, &self.debug, &self.information] {
            if let StreamTarget::File(file) = target
                && files.iter().all(|known| known.path != file.path)
            {
                files.push(file.clone());
            }
        }
        files
    }

    fn set(&mut self, stream: Stream, target: &StreamTarget) {
        match stream {
            Stream::Output => {}
            Stream::Error => self.error = target.clone(),
            Stream::Warning => self.warning = target.clone(),
            Stream::Verbose => self.verbose = target.clone(),
            Stream::Debug => self.debug = target.clone(),
            Stream::Information => self.information = target.clone(),
            Stream::All => {
                for one in
                    [Stream::Error, Stream::Warning, Stream::Verbose, Stream::Debug, Stream::Information]
                {
                    self.set(one, target);
                }
            }
        }
    }
}

const OUT_DEFAULT: &str = "Out-Default";

/// Returns an `Out-Default`, which formats on the endpoint. Errors arrive as records, so they can be kept.
fn out_default() -> PipelineCommand {
    PipelineCommand {
        name: OUT_DEFAULT.into(),
        is_script: false,
        use_local_scope: None,
        arguments: Vec::new(),
        merge: Merge::default(),
    }
}

/// Splits a stage's own arguments from the common parameters.
fn own(
    name: &'static str,
    command: &CommandLine,
    context: PlanContext<'_>,
) -> Result<(CommandLine, CommonParameters), LineError> {
    let parameters = stage::parameters(name).unwrap_or_default();
    let names: Vec<&str> = parameters.iter().map(|(name, _)| *name).collect();
    let (command, given) = common::split_off(command, &names);
    let mut common = CommonParameters::read(&given, context.variables)?;
    if name == "Tee-Object"
        && let Some(variable) = stage::bound(name, &command, context.variables)?.text("Variable")
    {
        common.output = Some(common::Variable { name: variable, appends: false });
    }
    Ok((command, common))
}

/// Converts a command for the endpoint, without parameters for local variables. With an error variable, -ErrorAction
/// SilentlyContinue is not sent either, because the endpoint would not return the errors.
fn remote_command(
    command: &CommandLine,
    variables: &Variables,
) -> Result<(PipelineCommand, CommonParameters), LineError> {
    let scope = Scope::outer(variables);
    let (_, given) = common::split_off(command, &[]);
    let common = CommonParameters::read(&given, variables)?;
    let keeps_errors = common.errors.is_some() && common.error_action == Some(Action::SilentlyContinue);
    let stays = |one: &CommonArgument| {
        one.names_variable() || (keeps_errors && one.kind == common::Kind::ErrorAction)
    };
    let here: Vec<usize> = given.iter().filter(|one| stays(one)).map(|one| one.at).collect();
    let mut arguments = Vec::new();
    let mut rest = command.arguments.iter().zip(&command.places).peekable();
    while let Some((argument, at)) = rest.next() {
        if here.contains(at) {
            // Drop the value with its parameter.
            if matches!(argument, Arg::Parameter { value: None, .. }) {
                rest.next_if(|(next, _)| matches!(next, Arg::Value(_)));
            }
            continue;
        }
        arguments.push(match argument {
            Arg::Value(value) => Argument { name: None, value: Some(evaluate(value, scope)?) },
            Arg::Parameter { name, value: None } => Argument { name: Some(name.clone()), value: None },
            Arg::Parameter { name, value: Some(value) } => {
                Argument { name: Some(name.clone()), value: Some(evaluate(value, scope)?) }
            }
        });
    }
    let command = PipelineCommand {
        name: stage::remote_name(&command.name).to_owned(),
        is_script: false,
        use_local_scope: None,
        arguments,
        merge: Merge::default(),
    };
    Ok((command, common))
}

/// Returns the arguments of a script call as its `$args`.
pub fn words(command: &CommandLine, variables: &Variables) -> Result<Vec<Value>, LineError> {
    let scope = Scope::outer(variables);
    let mut words = Vec::new();
    for argument in &command.arguments {
        match argument {
            Arg::Value(value) => words.push(evaluate(value, scope)?),
            Arg::Parameter { name, value } => {
                let colon = if value.is_some() { ":" } else { "" };
                words.push(Value::String(format!("-{name}{colon}")));
                if let Some(value) = value {
                    words.push(evaluate(value, scope)?);
                }
            }
        }
    }
    Ok(words)
}

/// Returns the names of the remote commands of a statement that runs in several parts. `None` if the statement runs as
/// one part, or has only one remote command.
pub fn remote_commands(statement: &Statement) -> Option<Vec<String>> {
    let mut names: Vec<String> = Vec::new();
    let mut is_split = false;
    super::walk::statement(statement, &mut |found| match found {
        super::walk::Found::Command(command) => {
            let is_here = stage::is_local(&command.name) || super::check::is_own(command) || is_here(command);
            if is_here {
                is_split = true;
            } else if !names.iter().any(|name| name.eq_ignore_ascii_case(&command.name)) {
                names.push(command.name.clone());
            }
        }
        super::walk::Found::Expression(Expr::Nested(_)) => is_split = true,
        super::walk::Found::Expression(_) => {}
    });
    is_split |= statement.pipeline.iter().any(|one| matches!(one, Element::Repeat(_)));
    (is_split && names.len() > 1).then_some(names)
}

/// Returns whether the planning of a statement reads files, which can take long.
pub fn reads_files(statement: &Statement) -> bool {
    const READERS: [&str; 4] = ["Get-ChildItem", "Get-Content", "Import-Csv", "Select-String"];
    matches!(statement.pipeline.first(), Some(Element::Command(command))
        if stage::local_name(&command.name).is_some_and(|name| READERS.contains(&name)))
}

/// Returns whether the console answers a command itself.
pub fn is_here(command: &CommandLine) -> bool {
    is_module_list(command) || help::topic(command).is_some()
}

/// Returns whether a command is Get-Module.
pub fn is_module_list(command: &CommandLine) -> bool {
    ["Get-Module", "gmo"].iter().any(|one| one.eq_ignore_ascii_case(&command.name))
}
