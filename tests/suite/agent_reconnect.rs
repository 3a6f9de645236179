//! The connection to the endpoint is cut, closed for a while, or redirected to a restarted server.

use std::time::Duration;

use lyncsh::psrp::client::PipelineEvent;
use lyncsh::psrp::record::PipelineState;

use crate::agent_world::{PATIENCE, REMOVAL_TIMEOUT, World, measuring, open, output, until_output};
use crate::forwarder::Forwarder;

fn completed(events: &[PipelineEvent]) -> bool {
    matches!(events.last(), Some(PipelineEvent::State(PipelineState::Completed, None)))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_session_survives_cuts_and_an_outage() {
    let world = World::start();
    let mut forwarder = Forwarder::of(&world).await;
    let shell = open(world.attach().as_ref()).await;
    let id = |world: &World| world.endpoint_state()["shells"][0].as_str().unwrap().to_owned();
    let first = id(&world);
    for round in ["one", "two"] {
        forwarder.cut();
        assert!(completed(&output(shell.invoke(&measuring(round)).await.unwrap()).await), "{round}");
    }
    forwarder.close().await;
    let running = shell.invoke(&measuring("three")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    forwarder.open().await;
    assert!(completed(&output(running).await));
    assert_eq!(world.shells(), 1);
    assert_eq!(id(&world), first);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_with_shells_replaces_a_lost_session() {
    let world = World::start();
    let forwarder = Forwarder::of(&world).await;
    let shell = open(world.attach().as_ref()).await;
    let agent = world.agent();
    // The server was restarted: the session is unknown to it.
    let restarted = World::start();
    let there: url::Url = restarted.uri.parse().unwrap();
    forwarder.to.store(there.port().unwrap(), std::sync::atomic::Ordering::Relaxed);
    forwarder.cut();
    restarted.wait(PATIENCE, "a new session", |restarted| restarted.shells() == 1);
    drop(shell);
    let again = open(world.attach().as_ref()).await;
    assert_eq!(world.agent(), agent, "the agent continues");
    assert!(completed(&output(again.invoke(&measuring("again")).await.unwrap()).await));
    drop(again);
    restarted.wait(PATIENCE, "no session", |restarted| restarted.shells() == 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_output_is_complete_or_reported() {
    let world = World::start();
    let forwarder = Forwarder::of(&world).await;
    let socket = world.attach();
    let shell = open(socket.as_ref()).await;
    let mut command = lyncsh::psrp::pipeline::PipelineCommand::new("Get-Big");
    for (name, value) in [("Size", 100_000), ("Count", 300)] {
        command.arguments.push(lyncsh::psrp::pipeline::Argument::named(name, value));
    }
    let mut running = shell.invoke(&lyncsh::psrp::pipeline::Pipeline::new(vec![command])).await.unwrap();
    until_output(&mut running).await;
    let first = world.endpoint_state()["shells"][0].clone();
    forwarder.cut();
    // One object has been received.
    let (mut objects, mut cut) = (1, None);
    while let Some(event) = tokio::time::timeout(PATIENCE, running.next()).await.unwrap() {
        match event {
            Ok(PipelineEvent::Output(_)) => objects += 1,
            Ok(PipelineEvent::State(PipelineState::Failed, record)) => {
                cut = Some(record.unwrap().message);
            }
            Ok(PipelineEvent::State(PipelineState::Completed, _)) => assert_eq!(objects, 300),
            Err(error) => cut = Some(error.to_string()),
            Ok(_) => {}
        }
    }
    assert!(objects == 300 || cut.as_ref().is_some_and(|text| !text.is_empty()), "{objects}: {cut:?}");
    let again = open(world.attach().as_ref()).await;
    assert!(completed(&output(again.invoke(&measuring("again")).await.unwrap()).await));
    world.wait(REMOVAL_TIMEOUT, "one session, which is new only if the output was cut", |world| {
        let is_new = world.endpoint_state()["shells"][0] != first;
        world.shells() == 1 && (cut.is_some() || !is_new)
    });
}
