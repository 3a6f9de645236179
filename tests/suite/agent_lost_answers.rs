//! The connection ends between a request and its response, so its result is unknown: the error reports that,
//! nothing is executed twice, and no output is lost silently.

use lyncsh::psrp::client::PipelineEvent;
use lyncsh::psrp::clixml::Value;
use lyncsh::psrp::pipeline::{Pipeline, PipelineCommand};
use lyncsh::psrp::record::PipelineState;
use lyncsh::transport::session::Running;

use crate::agent_world::{PATIENCE, REMOVAL_TIMEOUT, World, measuring, open, output};
use crate::forwarder::Forwarder;

/// Returns a pipeline's output and its error.
async fn end(mut running: Running) -> (Vec<Value>, Option<String>) {
    let (mut objects, mut wrong) = (Vec::new(), None);
    while let Some(event) = tokio::time::timeout(PATIENCE, running.next()).await.expect("an end") {
        match event {
            Ok(PipelineEvent::Output(value)) => objects.push(value),
            Ok(PipelineEvent::State(PipelineState::Failed | PipelineState::Stopped, record)) => {
                wrong.get_or_insert(record.map(|record| record.message).unwrap_or_default());
            }
            Err(error) => drop(wrong.get_or_insert(error.to_string())),
            Ok(_) => {}
        }
    }
    (objects, wrong)
}

/// Checks that a new shell gets a working session, the only one on the endpoint, and that it is removed
/// afterwards.
async fn assert_next_shell_works(world: &World) {
    let again = open(world.attach().as_ref()).await;
    let events = output(again.invoke(&measuring("again")).await.unwrap()).await;
    assert!(matches!(events.last(), Some(PipelineEvent::State(PipelineState::Completed, None))));
    world.wait(PATIENCE, "one session", |world| world.shells() == 1);
    drop(again);
}

/// Returns how often the endpoint received an action.
fn asked(world: &World, action: &str) -> usize {
    let state = world.endpoint_state();
    state["log"].as_array().unwrap().iter().filter(|asked| asked[0] == action).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_with_a_lost_answer_runs_once() {
    let world = World::start();
    let forwarder = Forwarder::of(&world).await;
    let shell = open(world.attach().as_ref()).await;
    let before = asked(&world, "Command");
    forwarder.lose_answer("Command");
    let running = shell.invoke(&measuring("four")).await.unwrap();
    let (objects, wrong) = end(running).await;
    assert!(forwarder.has_lost());
    assert_eq!(asked(&world, "Command"), before + 1);
    match wrong {
        None => assert_eq!(objects, [Value::I32(4)]),
        Some(text) => {
            assert!(text.contains("starting the command"), "{text}");
            assert!(text.ends_with("; the command may have run"), "{text}");
        }
    }
    assert_next_shell_works(&world).await;
    drop(shell);
    world.wait_removed(REMOVAL_TIMEOUT);
}

#[tokio::test(flavor = "multi_thread")]
async fn input_with_a_lost_answer_is_sent_once() {
    let world = World::start();
    let forwarder = Forwarder::of(&world).await;
    let shell = open(world.attach().as_ref()).await;
    let pipeline = Pipeline { no_input: false, ..Pipeline::new(vec![PipelineCommand::new("Measure-Input")]) };
    let running = shell.invoke(&pipeline).await.unwrap();
    let mut failed = None;
    for number in 0..40 {
        if number == 20 {
            forwarder.lose_answer("Send");
        }
        if let Err(error) = running.input(&Value::string("x".repeat(100_000))).await {
            failed = Some(error.to_string());
            break;
        }
    }
    if failed.is_none() {
        failed = running.end_input().await.err().map(|error| error.to_string());
    }
    let (objects, wrong) = end(running).await;
    assert!(forwarder.has_lost());
    match wrong.or(failed) {
        None => assert_eq!(objects, [Value::I32(40), Value::I32(4_000_000)]),
        Some(text) => assert!(text.contains("sending to the session"), "{text}"),
    }
    assert_next_shell_works(&world).await;
    drop(shell);
    world.wait_removed(REMOVAL_TIMEOUT);
}
