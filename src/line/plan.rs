//! Which part of a pipeline runs where.

use super::common::{self, Action, Common, Gathered, Given};
use super::error::LineError;
use super::evaluate::{Scope, Variables, evaluate};
use super::stage::{self, File, PlanContext, Stage};
use super::syntax::{Arg, CommandLine, Element, Expr, Statement, Stream, Target};
use crate::psrp::client::PipelineEvent;
use crate::psrp::clixml::Value;
use crate::psrp::pipeline::{Argument, Merge, Pipeline, PipelineCommand};

/// What is done with one statement.
pub struct Plan {
    /// Values of `$x | …`: they go to the leading commands, or in here where there are none.
    pub input: Vec<Value>,
    /// The leading commands, for the endpoint.
    pub remote: Option<Pipeline>,
    /// What follows them.
    pub local: Local,
    /// What becomes of errors, warnings and their kin.
    pub streams: Streams,
    /// The common parameters of each of the leading commands, by its name there.
    pub common: Vec<(String, Common)>,
    /// The action that errors follow where no command says another.
    pub preferred: Action,
    /// What goes into variables in the end.
    pub gathered: Gathered,
    /// An error has ended the pipeline.
    pub was_ended: bool,
}

impl Plan {
    /// Whether the endpoint draws the output itself.
    pub fn is_drawn_there(&self) -> bool {
        let last = self.remote.as_ref().and_then(|remote| remote.commands.last());
        last.is_some_and(|command| command.name == OUT_DEFAULT)
    }

    /// What was given to the leading command that a record names; to the only one in any case.
    pub fn common_of(&self, command: Option<&str>) -> Option<&Common> {
        match self.common.as_slice() {
            [(_, common)] => Some(common),
            all => {
                let command = command?;
                all.iter().find(|(name, _)| name.eq_ignore_ascii_case(command)).map(|(_, common)| common)
            }
        }
    }

    /// Has the endpoint's commands stop at their first error as well, where that is preferred. `offers`:
    /// whether the endpoint has a command that takes common parameters.
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

    /// Puts a warning or an information record where a variable takes it.
    pub fn keep(&mut self, event: &PipelineEvent) {
        let (value, pick): (Value, fn(&Common) -> Option<&common::Variable>) = match event {
            PipelineEvent::Warning(record) => {
                (record.message.as_str().into(), |common| common.warnings.as_ref())
            }
            PipelineEvent::Information(record) => {
                (record.message.clone(), |common| common.information.as_ref())
            }
            _ => return,
        };
        // Those that feed it have variables of their own (`fold`).
        let last = self.common.last().and_then(|(_, common)| pick(common)).cloned();
        if let Some(variable) = last {
            self.gathered.add(&variable, value);
        }
    }

    /// What is done about an error of the leading command that a record names.
    pub fn error_action(&self, command: Option<&str>) -> Action {
        self.common_of(command).and_then(|common| common.error_action).unwrap_or(self.preferred)
    }
}

/// What becomes of a stream other than the output.
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

/// The fate of each stream.
#[derive(Clone, Debug, Default)]
pub struct Streams {
    pub error: StreamTarget,
    pub warning: StreamTarget,
    pub verbose: StreamTarget,
    pub debug: StreamTarget,
    pub information: StreamTarget,
}

/// The stages that run here.
#[derive(Default)]
pub struct Local {
    stages: Vec<Placed>,
    /// An object has come.
    fed: bool,
    /// What the stage that failed does about errors.
    failed: Option<Common>,
    /// The errors of single objects, which did not end the pipeline.
    missed: Vec<(LineError, Common)>,
    preferred: Action,
}

/// A stage, and what was given to it beside its own.
struct Placed {
    stage: Box<dyn Stage>,
    common: Common,
    /// Its output, as far as a variable takes it.
    output: Vec<Value>,
}

impl Placed {
    fn new(stage: Box<dyn Stage>, common: Common) -> Self {
        Self { stage, common, output: Vec::new() }
    }

    fn keep(&mut self, values: &[Value]) {
        if self.common.output.is_some() {
            self.output.extend_from_slice(values);
        }
    }
}

impl Local {
    /// An object through all stages.
    pub fn push(&mut self, value: Value, out: &mut Vec<Value>) -> Result<(), LineError> {
        self.fed = true;
        self.through(0, vec![value], out)
    }

    /// The commands that feed the stages have failed: no file is emptied for that.
    pub fn fail(&mut self) {
        let fed = self.fed;
        self.stages.iter_mut().for_each(|placed| placed.stage.fail(fed));
    }

    /// The end of the input.
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

    /// The end of a pipeline that an error has ended: it gives nothing that it had held back, and files
    /// get what had come.
    pub fn close(&mut self) -> Result<(), LineError> {
        self.stages.iter_mut().try_for_each(|placed| {
            placed.stage.finish(&mut Vec::new()).inspect_err(|_| self.failed = Some(placed.common.clone()))
        })
    }

    /// What the stages have to say beside their output, and what was given to each.
    pub fn warnings(&mut self) -> Vec<(String, Common)> {
        let all = self.stages.iter_mut();
        all.filter_map(|placed| Some((placed.stage.warning()?, placed.common.clone()))).collect()
    }

    /// Whether no further object changes anything (`Select-Object -First`).
    pub fn is_done(&self) -> bool {
        self.stages.iter().any(|placed| placed.stage.is_done())
    }

    /// The errors of single objects since the last time.
    pub fn missed(&mut self) -> Vec<(LineError, Common)> {
        std::mem::take(&mut self.missed)
    }

    /// What was given to the stage that failed.
    pub fn failure(&mut self) -> Option<Common> {
        self.failed.take()
    }

    /// Puts the stages' output where variables take it.
    pub fn gather(&mut self, gathered: &mut Gathered) {
        for placed in &mut self.stages {
            if let Some(variable) = &placed.common.output {
                gathered.begin(variable);
                placed.output.drain(..).for_each(|value| gathered.add(variable, value));
            }
        }
    }

    fn through(&mut self, from: usize, values: Vec<Value>, out: &mut Vec<Value>) -> Result<(), LineError> {
        let mut values = values;
        for placed in self.stages.iter_mut().skip(from) {
            let mut next = Vec::new();
            for value in values {
                if let Err(error) = placed.stage.push(value, &mut next) {
                    let action = placed.common.error_action.unwrap_or(self.preferred);
                    if placed.stage.goes_on() && action != Action::Stop {
                        self.missed.push((error, placed.common.clone()));
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

/// Divides a statement between the endpoint and here.
pub fn plan(statement: &Statement, place: PlanContext<'_>) -> Result<Plan, LineError> {
    let mut input = Vec::new();
    let mut remote = Vec::new();
    let mut given = Vec::new();
    let mut local = Local::default();
    for (at, element) in statement.pipeline.iter().enumerate() {
        match element {
            Element::Expression(expression) => {
                let value = evaluate(expression, Scope::outer(place.variables))?;
                match value.items() {
                    Some(items) => input.extend(items.iter().cloned()),
                    None if value == Value::Null => {}
                    None => input.push(value),
                }
            }
            // Taken apart before it is planned.
            Element::Repeat(_) => return Err(LineError::script("A loop here")),
            Element::Command(command) => match stage::local_name(&command.name) {
                Some(name) => {
                    let (command, common) = own(name, command, place)?;
                    match stage::source(name, &command, place.variables) {
                        Some(_) if at > 0 => {
                            return Err(LineError(format!("'{name}' begins a pipeline: put it first.")));
                        }
                        Some(values) => {
                            input = values?;
                            local.stages.push(Placed::new(stage::everything(), common));
                        }
                        None => {
                            let stage = stage::build(name, &command, place)?;
                            local.stages.push(Placed::new(stage, common));
                        }
                    }
                }
                None if !local.stages.is_empty() => {
                    return Err(LineError(format!(
                        "'{}' runs on the endpoint, and what comes before it runs here: put it first.",
                        command.name
                    )));
                }
                None => {
                    let (command, common) = remote_command(command, place.variables)?;
                    given.push((command.name.clone(), common));
                    remote.push(command);
                }
            },
        }
    }
    // What the last of the endpoint's commands gives is seen here, before the first stage.
    if let Some((_, common)) = given.last_mut()
        && common.output.is_some()
    {
        let common = Common { output: common.output.take(), ..Common::default() };
        local.stages.insert(0, Placed::new(stage::everything(), common));
    }
    let mut gathered = Gathered::default();
    let all = given.iter().map(|(_, common)| common).chain(local.stages.iter().map(|one| &one.common));
    all.flat_map(Common::variables).for_each(|variable| gathered.begin(variable));
    let mut streams = Streams::default();
    let mut output: Option<File> = None;
    for redirection in &statement.redirections {
        let (file, discards) = match &redirection.to {
            Target::Output => (None, false),
            Target::File { path, append } => match evaluate(path, Scope::outer(place.variables))? {
                Value::Null => (None, true),
                path => (Some(File::redirected(&path.display_text(), *append)), false),
            },
        };
        if matches!(redirection.from, Stream::Output | Stream::All) {
            match (&file, discards) {
                (Some(file), _) => {
                    let stage = stage::drawn(file.clone(), place.width, place.views.clone());
                    local.stages.push(Placed::new(stage, Common::default()));
                    output = Some(file.clone());
                }
                (None, true) => local.stages.push(Placed::new(stage::nothing(), Common::default())),
                (None, false) => {}
            }
        }
        let fate = match (file, discards) {
            // All streams into one file is all of them in the output, and that in the file.
            (Some(_), _) if redirection.from == Stream::All => StreamTarget::Output,
            // As well where the file is the output's: one would take the place of the other.
            (Some(file), _) if output.as_ref().is_some_and(|output| output.path == file.path) => {
                StreamTarget::Output
            }
            (Some(file), _) => StreamTarget::File(file),
            (None, true) => StreamTarget::Dropped,
            (None, false) => StreamTarget::Output,
        };
        streams.set(redirection.from, &fate);
    }
    let is_fed = matches!(statement.pipeline.first(), Some(Element::Expression(_)));
    let draws_itself = !remote.is_empty()
        && local.stages.is_empty()
        && statement.assign.is_none()
        && place.to_screen
        && statement.redirections.is_empty();
    if draws_itself {
        remote.push(out_default());
    }
    let remote = (!remote.is_empty()).then_some(Pipeline {
        no_input: !is_fed,
        add_to_history: true,
        ..Pipeline::new(remote)
    });
    // No command of the endpoint runs for a file that can't be written.
    local.stages.iter().try_for_each(|placed| placed.stage.begin())?;
    streams.files().iter().try_for_each(File::ready)?;
    let preferred = Action::preferred(place.variables);
    local.preferred = preferred;
    Ok(Plan { input, remote, local, streams, common: given, preferred, gathered, was_ended: false })
}

impl Streams {
    /// The files that streams are redirected to, each once.
    pub fn files(&self) -> Vec<File> {
        let mut files: Vec<File> = Vec::new();
        for fate in [&self.error, &self.warning, &self.verbose, &self.debug, &self.information] {
            if let StreamTarget::File(file) = fate
                && files.iter().all(|known| known.path != file.path)
            {
                files.push(file.clone());
            }
        }
        files
    }

    fn set(&mut self, stream: Stream, fate: &StreamTarget) {
        match stream {
            Stream::Output => {}
            Stream::Error => self.error = fate.clone(),
            Stream::Warning => self.warning = fate.clone(),
            Stream::Verbose => self.verbose = fate.clone(),
            Stream::Debug => self.debug = fate.clone(),
            Stream::Information => self.information = fate.clone(),
            Stream::All => {
                for one in
                    [Stream::Error, Stream::Warning, Stream::Verbose, Stream::Debug, Stream::Information]
                {
                    self.set(one, fate);
                }
            }
        }
    }
}

const OUT_DEFAULT: &str = "Out-Default";

/// `Out-Default`: the endpoint draws. Errors come as records, so that they can be kept.
fn out_default() -> PipelineCommand {
    PipelineCommand {
        name: OUT_DEFAULT.into(),
        is_script: false,
        use_local_scope: None,
        arguments: Vec::new(),
        merge: Merge::default(),
    }
}

/// A stage's own arguments, and the others.
fn own(
    name: &'static str,
    command: &CommandLine,
    place: PlanContext<'_>,
) -> Result<(CommandLine, Common), LineError> {
    let parameters = stage::parameters(name).unwrap_or_default();
    let names: Vec<&str> = parameters.iter().map(|(name, _)| *name).collect();
    let (command, given) = common::taken(command, &names);
    Ok((command, Common::read(&given, place.variables)?))
}

/// The endpoint has no part in variables here. An error that goes into one must come, whatever becomes
/// of it then.
fn remote_command(
    command: &CommandLine,
    variables: &Variables,
) -> Result<(PipelineCommand, Common), LineError> {
    let scope = Scope::outer(variables);
    let (_, given) = common::taken(command, &[]);
    let common = Common::read(&given, variables)?;
    let keeps_errors = common.errors.is_some() && common.error_action == Some(Action::SilentlyContinue);
    let stays = |one: &Given| one.is_a_variable() || (keeps_errors && one.kind == common::Kind::ErrorAction);
    let here: Vec<usize> = given.iter().filter(|one| stays(one)).map(|one| one.at).collect();
    let mut arguments = Vec::new();
    let mut rest = command.arguments.iter().zip(&command.places).peekable();
    while let Some((argument, at)) = rest.next() {
        if here.contains(at) {
            // Its value goes with it.
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

/// The words of a call as the script that it runs is told them (`$args`).
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

/// The commands of the endpoint in a statement that is run in parts, one after the other; `None`: it
/// runs at once, or has one of them only.
pub fn remote_commands(statement: &Statement) -> Option<Vec<String>> {
    let mut names: Vec<String> = Vec::new();
    let mut is_split = false;
    super::walk::statement(statement, &mut |found| match found {
        super::walk::Found::Command(command) => {
            let is_here =
                stage::is_local(&command.name) || super::check::is_own(command) || is_here(&command.name);
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

/// Whether the console answers a command itself.
pub fn is_here(name: &str) -> bool {
    ["Get-Module", "gmo"].iter().any(|one| one.eq_ignore_ascii_case(name))
}
