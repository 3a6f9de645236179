//! Shells after the loss of the session, the session while shells are idle, and messages of the pool that
//! belong to no pipeline.

use std::time::Duration;

use super::endpoint::Seen;
use super::*;
use lyncsh::agent::mux::State;
use lyncsh::psrp::fragment::Fragmenter;
use lyncsh::psrp::host::HostException;
use lyncsh::psrp::message::{Destination, Message, MessageType};
use lyncsh::transport::Error;
use lyncsh::transport::stream::Element;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};

/// The endpoint runs its startup script before it opens the pool, when no shell can answer.
#[tokio::test]
async fn a_question_of_the_startup_script_fails_and_the_session_opens() {
    let (endpoint, connection) = Endpoint::asking();
    let mut pool = ClientPool::new(Uuid::new_v4(), host(100), (1, 1));
    pool.open();
    let mux = within(Mux::open(connection, pool, Options::default())).await.unwrap();
    let reason = "no shell is attached to answer".to_owned();
    endpoint.seen(|seen| seen.contains(&Seen::Answered(Err(HostException(reason.clone()))))).await;
    let (shell, _events) = attach(&mux, 100).await;
    let mut echo = invoke(&shell, "Get-Cs", Some(Value::I32(7))).await;
    assert_eq!(finish(&mut echo).await, (vec![Value::I32(7)], PipelineState::Completed));
}

#[tokio::test]
async fn a_lost_session_is_reported_to_every_shell() {
    let (mux, endpoint) = open(Options::default()).await;
    let (first, mut of_first) = attach(&mux, 100).await;
    let (_second, mut of_second) = attach(&mux, 120).await;
    let mut wait = invoke(&first, "Wait-Cs", None).await;
    endpoint.seen(|seen| created(seen) == 1).await;
    endpoint.break_pool("the server is going down");
    let PipelineEvent::State(PipelineState::Failed, Some(record)) = next(&mut wait).await else { panic!() };
    let told = "the server is going down; the command may have run";
    assert_eq!(record.message, told);
    for events in [&mut of_first, &mut of_second] {
        loop {
            let event = within(events.recv()).await.expect("the state");
            if let ClientEvent::PoolState(PoolState::Broken, Some(record)) = event {
                assert_eq!(record.message, "the server is going down");
                break;
            }
        }
    }
    assert_eq!(*mux.state().borrow(), State::Broken("the server is going down".into()));
    // A shell that attaches now gets the same error.
    let (here, there) = tokio::io::duplex(4096);
    mux.attach(here, ClientInfo::default()).await;
    let late = within(Session::open(stream::connect(there, Limits::default()), host(90))).await;
    assert!(matches!(late, Err(Error::Ended(reason)) if reason == "the server is going down"));
}

#[tokio::test]
async fn a_cut_connection_fails_running_commands() {
    let (mux, endpoint) = open(Options::default()).await;
    let (shell, _events) = attach(&mux, 100).await;
    let mut wait = invoke(&shell, "Wait-Cs", None).await;
    endpoint.seen(|seen| created(seen) == 1).await;
    drop(endpoint);
    let PipelineEvent::State(PipelineState::Failed, Some(record)) = next(&mut wait).await else { panic!() };
    assert!(record.message.contains("the connection ended"), "{}", record.message);
}

#[tokio::test]
async fn an_idle_shell_keeps_the_session_alive_and_an_empty_agent_does_not() {
    let keep_alive = Some(Duration::from_millis(50));
    let (mux, endpoint) = open(Options { keep_alive, ..Options::default() }).await;
    let (shell, _events) = attach(&mux, 100).await;
    endpoint.seen(|seen| seen.iter().filter(|s| **s == Seen::Available).count() >= 2).await;
    assert_eq!(run(&shell, "Get-Cs", None).await.1, PipelineState::Completed);
    within(shell.close()).await.unwrap();
    within(abandoned(&mux)).await;
    let after = endpoint.seen(|_| true).await.len();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(endpoint.seen(|_| true).await.len() <= after + 1, "at most one was on its way");
}

#[tokio::test]
async fn a_pool_host_call_is_answered_by_one_shell() {
    let (mux, endpoint) = open(Options::default()).await;
    let (first, mut of_first) = attach(&mux, 100).await;
    let (_second, mut of_second) = attach(&mux, 120).await;
    endpoint.pool_host_call(HostMethod::ReadLine, Vec::new());
    let call = loop {
        if let ClientEvent::PoolHostCall(call) = within(of_first.recv()).await.unwrap() {
            break call;
        }
    };
    let result = Ok(Some(Value::string("typed")));
    let response = HostResponse { call_id: call.call_id, method: call.method, result };
    first.respond_pool(&response).await.unwrap();
    // The endpoint sends the received answer to all shells.
    loop {
        match within(of_second.recv()).await.unwrap() {
            ClientEvent::UserEvent(value) => {
                assert!(value.as_str().unwrap().contains("typed"), "{value:?}");
                break;
            }
            ClientEvent::PoolHostCall(call) => panic!("{call:?}"),
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_pool_host_call_without_a_shell_fails() {
    let (mux, endpoint) = open(Options::default()).await;
    endpoint.pool_host_call(HostMethod::ReadLine, Vec::new());
    let (_shell, mut events) = attach(&mux, 100).await;
    endpoint.user_event(&Value::string("still there"));
    loop {
        if let ClientEvent::UserEvent(_) = within(events.recv()).await.unwrap() {
            break;
        }
    }
}

/// Returns the elements that a client receives after sending these lines, until its stream ends.
async fn received_after(mux: &Mux, lines: &[Element]) -> Vec<Element> {
    let (here, there) = tokio::io::duplex(64 * 1024);
    mux.attach(here, ClientInfo::default()).await;
    let (reader, mut writer) = tokio::io::split(there);
    for line in lines {
        writer.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }
    let mut text = String::new();
    within(BufReader::new(reader).read_to_string(&mut text)).await.unwrap();
    text.lines().map(|line| Element::parse(line).unwrap()).collect()
}

#[tokio::test]
async fn a_protocol_violation_disconnects_only_its_client() {
    let (mux, endpoint) = open(Options::default()).await;
    let (shell, _events) = attach(&mux, 100).await;
    let mut wait = invoke(&shell, "Wait-Cs", None).await;
    endpoint.seen(|seen| created(seen) == 1).await;

    // An acknowledgement, which only servers send.
    assert_eq!(received_after(&mux, &[Element::DataAck(Uuid::nil())]).await, []);
    // A pipeline before the pool is open.
    let id = Uuid::new_v4();
    let destination = Destination::Server;
    let (kind, pool) = (MessageType::CreatePipeline, Uuid::new_v4());
    let message = Message { destination, kind, pool, pipeline: id, body: "<S>no</S>".into() };
    let bytes = Fragmenter::default().cut(&message.encode(), 1000).remove(0);
    let stream = lyncsh::psrp::client::Stream::Default;
    let received = received_after(&mux, &[Element::Command(id), Element::Data { stream, id, bytes }]).await;
    assert!(received.contains(&Element::CommandAck(id)), "{received:?}");
    let data = |element: &Element| match element {
        Element::Data { bytes, .. } => Some(bytes.clone()),
        _ => None,
    };
    let bytes = received.iter().find_map(data).unwrap();
    let told = Message::decode(&bytes[21..]).unwrap();
    assert_eq!(told.kind, MessageType::RunspacePoolState);
    assert!(told.body.contains("lyncsh cannot continue with this client"), "{}", told.body);

    wait.stop().await.unwrap();
    assert_eq!(finish(&mut wait).await.1, PipelineState::Stopped);
}
