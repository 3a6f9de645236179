//! Which part of a pipeline runs where.

use super::stage::{self, Stage, StageError};
use super::syntax::{Arg, CommandLine, Element, Statement};
use super::value::{Variables, evaluate};
use crate::psrp::clixml::Value;
use crate::psrp::pipeline::{Argument, Command, Merge, Pipeline};

/// Why a line can't be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PlanError(pub String);

/// What is done with one statement.
pub struct Plan {
    /// Values that go in here, of `$x | …`.
    pub input: Vec<Value>,
    /// The leading commands, for the endpoint.
    pub remote: Option<Pipeline>,
    /// What follows them.
    pub local: Local,
    /// `$x = …`
    pub assign: Option<String>,
}

/// The stages that run here.
#[derive(Default)]
pub struct Local {
    stages: Vec<Box<dyn Stage>>,
}

impl Local {
    /// An object through all stages.
    pub fn push(&mut self, value: Value, out: &mut Vec<Value>) -> Result<(), StageError> {
        self.through(0, vec![value], out)
    }

    /// The end of the input.
    pub fn finish(&mut self, out: &mut Vec<Value>) -> Result<(), StageError> {
        for at in 0..self.stages.len() {
            let mut rest = Vec::new();
            self.stages[at].finish(&mut rest)?;
            self.through(at + 1, rest, out)?;
        }
        Ok(())
    }

    /// Whether no further object changes anything (`Select-Object -First`).
    pub fn is_done(&self) -> bool {
        self.stages.iter().any(|stage| stage.is_done())
    }

    fn through(&mut self, from: usize, values: Vec<Value>, out: &mut Vec<Value>) -> Result<(), StageError> {
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

/// Divides a statement between the endpoint and here. `offers` says which commands the endpoint has,
/// `width` is the screen's.
pub fn plan(
    statement: &Statement,
    offers: &dyn Fn(&str) -> bool,
    variables: &Variables,
    width: usize,
) -> Result<Plan, PlanError> {
    let mut input = Vec::new();
    let mut remote = Vec::new();
    let mut stages: Vec<Box<dyn Stage>> = Vec::new();
    let mut local = false;
    for (index, element) in statement.pipeline.iter().enumerate() {
        match element {
            Element::Expression(expression) => {
                local = true;
                let value = evaluate(expression, variables)?;
                match value.items() {
                    Some(items) => input.extend(items.iter().cloned()),
                    None if value == Value::Null => {}
                    None => input.push(value),
                }
            }
            Element::Command(command) => {
                let first = index == 0;
                match stage::local_name(&command.name).filter(|_| !(first && offers(&command.name))) {
                    Some(name) => {
                        local = true;
                        stages.push(stage::build(name, command, variables, width)?);
                    }
                    None if local => {
                        return Err(PlanError(format!(
                            "'{}' runs on the endpoint, and what comes before it ran here: the console can't send \
                             objects back. Put it first, or run the line in pwsh.",
                            command.name
                        )));
                    }
                    None => remote.push(remote_command(command, variables)?),
                }
            }
        }
    }
    let draws_itself = !remote.is_empty() && stages.is_empty() && statement.assign.is_none();
    if draws_itself {
        remote.push(out_default());
    }
    let remote = (!remote.is_empty()).then_some(Pipeline {
        commands: remote,
        no_input: true,
        host: None,
        add_to_history: true,
        is_nested: false,
    });
    Ok(Plan { input, remote, local: Local { stages }, assign: statement.assign.clone() })
}

/// `Out-Default`, into which the errors of what comes before it are merged: the endpoint draws.
fn out_default() -> Command {
    /// PipelineResultTypes: Output and Error.
    const OUTPUT_AND_ERROR: i32 = 3;
    Command {
        name: "Out-Default".into(),
        is_script: false,
        use_local_scope: None,
        arguments: Vec::new(),
        merge: Merge { previous_results: OUTPUT_AND_ERROR, ..Merge::default() },
    }
}

fn remote_command(command: &CommandLine, variables: &Variables) -> Result<Command, PlanError> {
    let mut arguments = Vec::new();
    for argument in &command.arguments {
        arguments.push(match argument {
            Arg::Value(value) => Argument { name: None, value: Some(evaluate(value, variables)?) },
            Arg::Parameter { name, value: None } => Argument { name: Some(name.clone()), value: None },
            Arg::Parameter { name, value: Some(value) } => {
                Argument { name: Some(name.clone()), value: Some(evaluate(value, variables)?) }
            }
        });
    }
    Ok(Command {
        name: command.name.clone(),
        is_script: false,
        use_local_scope: None,
        arguments,
        merge: Merge::default(),
    })
}
