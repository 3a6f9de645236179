//! Sessions on a server that delays Delete until a pipeline's output was fetched, as OMI does.

use std::time::{Duration, Instant};

use lyncsh::net::Trust;
use lyncsh::psrp::client::{ClientPool, PipelineEvent};
use lyncsh::psrp::pipeline::{Argument, Pipeline, PipelineCommand};
use lyncsh::simulator::{Options, PASSWORD, Server, USER};
use lyncsh::transport::session::{Running, Session};
use lyncsh::transport::wsman::{self, Authentication, Endpoint, RemovalState};
use lyncsh::transport::{Error, Limits};
use tokio::time::timeout;
use uuid::Uuid;

use crate::agent_world::{PATIENCE, World, host, open, until_output};
use crate::front;
use crate::program::until;
use crate::simulator::no_shell_is_left;

async fn server() -> (Server, Endpoint) {
    let server = Server::start(Options { omi: true, fixtures: true, ..Options::default() }).await.unwrap();
    let endpoint = endpoint(server.url.parse().unwrap());
    (server, endpoint)
}

pub fn endpoint(uri: url::Url) -> Endpoint {
    Endpoint {
        uri,
        configuration: "http://schemas.microsoft.com/powershell/Microsoft.PowerShell".into(),
        authentication: Authentication::Basic { user: USER.into(), password: PASSWORD.into() },
        renew: None,
        removal_recorder: None,
        idle_timeout: None,
        trust: Trust::default(),
        proxies: lyncsh::net::Proxies::default(),
        max_redirections: 3,
        hosts: lyncsh::net::Hosts::default(),
        affinity: lyncsh::transport::wsman::Affinity::default(),
        limits: Limits { close: Duration::from_millis(800), ..Limits::default() },
    }
}

async fn session(endpoint: &Endpoint) -> (Uuid, Session) {
    let mut pool = ClientPool::new(Uuid::new_v4(), host(), (1, 1));
    pool.open();
    let id = pool.id();
    let (connection, _) = wsman::connect(endpoint.clone(), id, pool.take_outgoing(), |_| true).await.unwrap();
    (id, Session::open_pool(connection, pool).await.unwrap().0)
}

fn command(name: &str) -> Pipeline {
    Pipeline::new(vec![PipelineCommand::new(name)])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_closed_at_once_while_a_pipeline_has_output() {
    // One pipeline with constant output, and one with more output than is read.
    for name in ["Wait-Cs", "Get-CsBig"] {
        let (server, endpoint) = server().await;
        let (_, session) = session(&endpoint).await;
        let mut running = session.invoke(&command(name)).await.unwrap();
        until_output(&mut running).await;
        let start = Instant::now();
        timeout(PATIENCE, session.close()).await.unwrap().unwrap();
        assert!(start.elapsed() < Duration::from_secs(2), "{name}: {:?}", start.elapsed());
        assert!(server.shells().is_empty(), "{name}");
    }
}

/// Creates a session with a pipeline with output, whose owner has ended with its connections.
async fn orphan(endpoint: &Endpoint) -> (Uuid, Uuid) {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let endpoint = endpoint.clone();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (ids, session, running) = runtime.block_on(async {
            let (id, session) = session(&endpoint).await;
            let mut running: Running = session.invoke(&command("Wait-Cs")).await.unwrap();
            until_output(&mut running).await;
            ((id, running.id), session, running)
        });
        // Its tasks end with the runtime, before they can remove anything.
        drop(runtime);
        drop((session, running));
        sender.send(ids).unwrap();
    });
    receiver.await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_without_its_owner_is_removed_if_its_pipelines_are_known() {
    let (server, endpoint) = server().await;
    let (id, running) = orphan(&endpoint).await;
    assert_eq!(server.shells().len(), 1);
    let left = RemovalState { commands: vec![running], delete_unanswered: false };
    timeout(PATIENCE, wsman::try_remove(&endpoint, id, &left)).await.unwrap().unwrap();
    assert!(server.shells().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn not_found_after_an_unanswered_delete_is_unconfirmed() {
    let (server, endpoint) = server().await;
    let (id, running) = orphan(&endpoint).await;
    // The pipelines are unknown, so their output is not fetched.
    let error = timeout(PATIENCE, wsman::try_remove(&endpoint, id, &RemovalState::default())).await.unwrap();
    assert!(matches!(error, Err(Error::Timeout { .. })), "{error:?}");
    let left = RemovalState { delete_unanswered: true, ..RemovalState::default() };
    let error = timeout(PATIENCE, wsman::try_remove(&endpoint, id, &left)).await.unwrap();
    assert!(matches!(error, Err(Error::Unconfirmed)), "{error:?}");
    assert_eq!(server.shells().len(), 1, "it is still there");
    // The complete removal has the same result.
    let error = timeout(PATIENCE, wsman::remove(&endpoint, id)).await.unwrap();
    assert!(error.is_ok(), "without a doubt it is gone: {error:?}");
    assert_eq!(server.shells().len(), 1);
    // The first Delete completes once the output is fetched.
    let left = RemovalState { commands: vec![running], delete_unanswered: true };
    let _ = timeout(PATIENCE, wsman::try_remove(&endpoint, id, &left)).await.unwrap();
    no_shell_is_left(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn single_objects_avoid_delayed_acknowledgements() {
    const OBJECTS: u32 = 300;
    let (_server, endpoint) = server().await;
    let (_, session) = session(&endpoint).await;
    let mut big = PipelineCommand::new("Get-CsBig");
    big.arguments.push(Argument::named("Count", OBJECTS as i32));
    let mut running = session.invoke(&Pipeline::new(vec![big])).await.unwrap();
    until_output(&mut running).await;
    let start = Instant::now();
    while timeout(PATIENCE, running.next()).await.unwrap().is_some() {}
    // With delayed acknowledgements, each would wait 40 ms.
    assert!(start.elapsed() < Duration::from_millis(20) * OBJECTS, "{:?}", start.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_notes_running_pipelines() {
    let world = World::simulated(&["--omi"], "");
    let shell = open(world.attach().as_ref()).await;
    let noted = |folder: &str| {
        let files = std::fs::read_dir(world.folders.state.join(folder)).unwrap();
        files.map(|file| file.unwrap().path()).collect::<Vec<_>>()
    };
    let mut running = shell.invoke(&command("Wait-Cs")).await.unwrap();
    until_output(&mut running).await;
    let notes = noted("notes");
    assert_eq!(notes.len(), 1);
    let text = std::fs::read_to_string(&notes[0]).unwrap();
    assert!(text.contains(&running.id.to_string()), "{text}");
    running.stop().await.unwrap();
    while let Some(event) = timeout(PATIENCE, running.next()).await.unwrap() {
        if matches!(event, Ok(PipelineEvent::State(state, _)) if state.is_final()) {
            break;
        }
    }
    world.wait(PATIENCE, "no notes", |_| noted("notes").is_empty());
    drop((running, shell));
    world.wait_removed(PATIENCE);
    assert!(noted("sessions").is_empty() && noted("notes").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_powershell_with_output_ends_with_its_session() {
    let Some(pwsh) = front::powershell() else { return };
    let mut options = front::Options::new(pwsh);
    options.wsman.omi = true;
    let front = front::Front::start(options).await.unwrap();
    let uri = front.uri.parse().unwrap();
    let endpoint = Endpoint { limits: Limits::default(), ..endpoint(uri) };
    let mut script = PipelineCommand::new("1..1000000 | ForEach-Object { \"line $_\" }");
    script.is_script = true;
    for abandoned in [false, true] {
        let (id, session) = timeout(PATIENCE, session(&endpoint)).await.unwrap();
        let mut running = session.invoke(&Pipeline::new(vec![script.clone()])).await.unwrap();
        until_output(&mut running).await;
        assert_eq!(front.processes().len(), 1);
        let start = Instant::now();
        if abandoned {
            // As the launcher of a dead agent does, with the agent's notes.
            let left = RemovalState { commands: vec![running.id], delete_unanswered: false };
            timeout(PATIENCE, wsman::try_remove(&endpoint, id, &left)).await.unwrap().unwrap();
        } else {
            timeout(PATIENCE, session.close()).await.unwrap().unwrap();
        }
        assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
        until(PATIENCE, "no process", || front.processes().is_empty()).await;
    }
}
