//! Which part of a pipeline runs where.

use super::error::LineError;
use super::evaluate::{Scope, Variables, evaluate};
use super::stage::{self, File, Place, Stage};
use super::syntax::{Arg, CommandLine, Element, Statement, Stream, Target};
use crate::psrp::clixml::Value;
use crate::psrp::pipeline::{Argument, Command, Merge, Pipeline};

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
}

impl Plan {
    /// Whether the endpoint draws the output itself.
    pub fn is_drawn_there(&self) -> bool {
        let last = self.remote.as_ref().and_then(|remote| remote.commands.last());
        last.is_some_and(|command| command.name == OUT_DEFAULT)
    }
}

/// What becomes of a stream other than the output.
#[derive(Clone, Debug, Default)]
pub enum Fate {
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
    pub error: Fate,
    pub warning: Fate,
    pub verbose: Fate,
    pub debug: Fate,
    pub information: Fate,
}

/// The stages that run here.
#[derive(Default)]
pub struct Local {
    stages: Vec<Box<dyn Stage>>,
}

impl Local {
    /// An object through all stages.
    pub fn push(&mut self, value: Value, out: &mut Vec<Value>) -> Result<(), LineError> {
        self.through(0, vec![value], out)
    }

    /// The end of the input.
    pub fn finish(&mut self, out: &mut Vec<Value>) -> Result<(), LineError> {
        for at in 0..self.stages.len() {
            let mut rest = Vec::new();
            self.stages[at].finish(&mut rest)?;
            self.through(at + 1, rest, out)?;
        }
        Ok(())
    }

    /// What the stages have to say beside their output.
    pub fn warnings(&mut self) -> Vec<String> {
        self.stages.iter_mut().filter_map(|stage| stage.warning()).collect()
    }

    /// Whether no further object changes anything (`Select-Object -First`).
    pub fn is_done(&self) -> bool {
        self.stages.iter().any(|stage| stage.is_done())
    }

    fn through(&mut self, from: usize, values: Vec<Value>, out: &mut Vec<Value>) -> Result<(), LineError> {
        let mut values = values;
        for stage in self.stages.iter_mut().skip(from) {
            let mut next = Vec::new();
            for value in values {
                stage.push(value, &mut next)?;
            }
            values = next;
        }
        out.extend(values);
        Ok(())
    }
}

/// Divides a statement between the endpoint and here.
pub fn plan(statement: &Statement, place: Place<'_>) -> Result<Plan, LineError> {
    let mut input = Vec::new();
    let mut remote = Vec::new();
    let mut stages: Vec<Box<dyn Stage>> = Vec::new();
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
                Some(name) => match stage::source(name, command, place.variables) {
                    Some(_) if at > 0 => {
                        return Err(LineError(format!("'{name}' begins a pipeline: put it first.")));
                    }
                    Some(values) => input = values?,
                    None => stages.push(stage::build(name, command, place)?),
                },
                None if !stages.is_empty() => {
                    return Err(LineError(format!(
                        "'{}' runs on the endpoint, and what comes before it runs here: put it first.",
                        command.name
                    )));
                }
                None => remote.push(remote_command(command, place.variables)?),
            },
        }
    }
    let mut streams = Streams::default();
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
                (Some(file), _) => stages.push(stage::drawn(file.clone(), place.width, place.views.clone())),
                (None, true) => stages.push(stage::nothing()),
                (None, false) => {}
            }
        }
        let fate = match (file, discards) {
            // All streams into one file is all of them in the output, and that in the file.
            (Some(_), _) if redirection.from == Stream::All => Fate::Output,
            (Some(file), _) => Fate::File(file),
            (None, true) => Fate::Dropped,
            (None, false) => Fate::Output,
        };
        streams.set(redirection.from, &fate);
    }
    let is_fed = matches!(statement.pipeline.first(), Some(Element::Expression(_)));
    let draws_itself = !remote.is_empty()
        && stages.is_empty()
        && statement.assign.is_none()
        && place.to_screen
        && statement.redirections.is_empty();
    if draws_itself {
        remote.push(out_default());
    }
    let remote = (!remote.is_empty()).then_some(Pipeline {
        commands: remote,
        no_input: !is_fed,
        host: None,
        add_to_history: true,
        is_nested: false,
        background: false,
    });
    Ok(Plan { input, remote, local: Local { stages }, streams })
}

impl Streams {
    fn set(&mut self, stream: Stream, fate: &Fate) {
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

/// `Out-Default`, into which the errors of what comes before it are merged: the endpoint draws.
fn out_default() -> Command {
    /// PipelineResultTypes: Output and Error.
    const OUTPUT_AND_ERROR: i32 = 3;
    Command {
        name: OUT_DEFAULT.into(),
        is_script: false,
        use_local_scope: None,
        arguments: Vec::new(),
        merge: Merge { previous_results: OUTPUT_AND_ERROR, ..Merge::default() },
    }
}

fn remote_command(command: &CommandLine, variables: &Variables) -> Result<Command, LineError> {
    let scope = Scope::outer(variables);
    let mut arguments = Vec::new();
    for argument in &command.arguments {
        arguments.push(match argument {
            Arg::Value(value) => Argument { name: None, value: Some(evaluate(value, scope)?) },
            Arg::Parameter { name, value: None } => Argument { name: Some(name.clone()), value: None },
            Arg::Parameter { name, value: Some(value) } => {
                Argument { name: Some(name.clone()), value: Some(evaluate(value, scope)?) }
            }
        });
    }
    Ok(Command {
        name: stage::remote_name(&command.name).to_owned(),
        is_script: false,
        use_local_scope: None,
        arguments,
        merge: Merge::default(),
    })
}
