//! Tests of the engine with pipelines as a client sends them.

mod binding;
mod changes;
mod recordings;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::value::text;
use super::{Context, Outcome, PipelineOutput, World};
use crate::psrp::clixml::Value;
use crate::psrp::host::{HostException, HostInfo, HostMethod, HostResponse};
use crate::psrp::pipeline::{Argument, Merge, Pipeline, PipelineCommand};
use crate::simulator::Options;
use std::sync::Arc;

/// Events and outcome of a pipeline.
pub struct Run {
    pub events: Vec<PipelineOutput>,
    pub outcome: Outcome,
}

impl Run {
    pub fn output(&self) -> Vec<&Value> {
        self.events
            .iter()
            .filter_map(|event| if let PipelineOutput::Output(value) = event { Some(value) } else { None })
            .collect()
    }
    /// Returns one property of each object.
    pub fn all(&self, name: &str) -> Vec<String> {
        self.output()
            .iter()
            .map(|value| value.property(name).map(Value::display_text).unwrap_or_default())
            .collect()
    }
    pub fn errors(&self) -> Vec<(&str, &str)> {
        self.events
            .iter()
            .filter_map(|event| match event {
                PipelineOutput::Error(record) => {
                    Some((record.message.as_str(), record.fully_qualified_id.as_str()))
                }
                _ => None,
            })
            .collect()
    }
    pub fn failure(&self) -> (&str, &str) {
        match &self.outcome {
            Outcome::Failed(record) => (&record.message, &record.fully_qualified_id),
            other => panic!("it ended {other:?}"),
        }
    }
    /// Returns the host calls: method and texts.
    pub fn host_calls(&self) -> Vec<(HostMethod, String)> {
        self.events
            .iter()
            .filter_map(|event| match event {
                PipelineOutput::HostCall { method, parameters, .. } => {
                    Some((*method, parameters.iter().map(Value::display_text).collect::<Vec<_>>().join("|")))
                }
                _ => None,
            })
            .collect()
    }
}

pub fn world(fixtures: bool) -> Arc<World> {
    World::new(&Options { fixtures, ..Options::default() })
}

pub fn host(width: i32) -> HostInfo {
    HostInfo { window: (width, 24), buffer: (width, 24), ..HostInfo::default() }
}

/// Splits `Name -Parameter value …` at spaces; `-Name:` takes the next word.
pub fn command(line: &str) -> PipelineCommand {
    let mut words = line.split(' ');
    let name = words.next().unwrap_or_default().to_owned();
    let arguments = words
        .map(|word| match word {
            _ if word.starts_with('-') && word.parse::<f64>().is_err() => match word.split_once(':') {
                Some((name, value)) => Argument { name: Some(format!("{name}:")), value: Some(read(value)) },
                None => Argument { name: Some(word.to_owned()), value: None },
            },
            _ => Argument { name: None, value: Some(read(word)) },
        })
        .collect();
    PipelineCommand { name, is_script: false, use_local_scope: None, arguments, merge: Merge::default() }
}

fn read(word: &str) -> Value {
    match word {
        "$true" => Value::Bool(true),
        "$false" => Value::Bool(false),
        "$null" => Value::Null,
        _ => word.parse().map_or_else(|_| text(word.replace('_', " ")), Value::I32),
    }
}

pub fn pipeline(line: &str) -> Pipeline {
    Pipeline::new(line.split(" | ").map(command).collect())
}

/// Runs a pipeline; prompts are answered in order.
pub async fn run_with(
    world: &Arc<World>,
    pipeline: Pipeline,
    input: Vec<Value>,
    mut answers: Vec<Result<Option<Value>, HostException>>,
    host: HostInfo,
) -> Run {
    let (sender, mut receiver) = mpsc::channel(4);
    let (give, taken) = mpsc::channel(input.len().max(1));
    for value in input {
        give.send(value).await.unwrap();
    }
    drop(give);
    let context = Context {
        user: "admin@litwareinc.com".into(),
        host,
        input: taken,
        output: sender,
        stop: CancellationToken::new(),
    };
    let world = Arc::clone(world);
    let running = tokio::spawn(async move { world.run(pipeline, context).await });
    let mut all = Vec::new();
    answers.reverse();
    while let Some(one) = receiver.recv().await {
        let one = match one {
            PipelineOutput::HostCall { method, parameters, answer: Some(answer) } => {
                let result = answers.pop().expect("an answer to each question");
                answer.send(HostResponse { call_id: 1, method, result }).unwrap();
                PipelineOutput::HostCall { method, parameters, answer: None }
            }
            other => other,
        };
        all.push(one);
    }
    Run { events: all, outcome: running.await.unwrap() }
}

/// Runs a line.
pub async fn run(world: &Arc<World>, line: &str) -> Run {
    run_with(world, pipeline(line), Vec::new(), Vec::new(), host(80)).await
}
