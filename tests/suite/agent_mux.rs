//! One remote pool with many shells: events of each shell and requests to the endpoint.

mod background;
mod endpoint;
mod lifetime;

use crate::program::PATIENCE;

pub mod replay;
mod shells;
mod simulated;
mod wsman;

use std::time::Duration;

use endpoint::{Endpoint, Seen};
use lyncsh::agent::mux::{ClientInfo, Mux, Options, State};
use lyncsh::psrp::client::{ClientEvent, ClientPool, PipelineEvent};
use lyncsh::psrp::clixml::{Secure, Value};
use lyncsh::psrp::host::{HostInfo, HostMethod, HostResponse};
use lyncsh::psrp::pipeline::{Argument, Merge, MetadataQuery, Pipeline, PipelineCommand};
use lyncsh::psrp::record::{ErrorRecord, PipelineState, PoolState};
use lyncsh::transport::backpressure::{PAUSE_AT, STOP_READING_AT};
use lyncsh::transport::session::{Running, Session};
use lyncsh::transport::{Limits, stream};
use secrecy::ExposeSecret;
use tokio::sync::mpsc;
use uuid::Uuid;

fn host(width: i32) -> HostInfo {
    HostInfo {
        window: (width, 40),
        buffer: (width, 40),
        foreground: 7,
        background: 0,
        title: "a test".into(),
        is_null: false,
    }
}

fn record() -> ErrorRecord {
    ErrorRecord {
        message: "it was said to fail".into(),
        exception_type: "System.Exception".into(),
        fully_qualified_id: "Failed".into(),
        category: 0,
        category_reason: String::new(),
        category_activity: String::new(),
        category_target_name: String::new(),
        category_target_type: String::new(),
        category_message: String::new(),
        target: None,
        details: None,
        recommended_action: None,
        command: None,
        position: None,
        value: Value::Null,
    }
}

fn pipeline(name: &str, value: Option<Value>) -> Pipeline {
    let arguments =
        value.into_iter().map(|value| Argument { name: Some("Value".into()), value: Some(value) });
    let command = PipelineCommand {
        name: name.into(),
        is_script: false,
        use_local_scope: None,
        arguments: arguments.collect(),
        merge: Merge::default(),
    };
    let no_input = name != "Measure-CsInput";
    Pipeline { no_input, ..Pipeline::new(vec![command]) }
}

async fn open(options: Options) -> (Mux, Endpoint) {
    let (endpoint, connection) = Endpoint::start();
    let mut pool = ClientPool::new(Uuid::new_v4(), host(80), (1, 1));
    pool.open();
    (Mux::open(connection, pool, options).await.unwrap(), endpoint)
}

/// Attaches a shell whose window of `width` columns identifies it.
async fn attach(mux: &Mux, width: i32) -> (Session, mpsc::Receiver<ClientEvent>) {
    let (here, there) = tokio::io::duplex(64 * 1024);
    let info = ClientInfo { program: Some("pwsh".into()), process_id: Some(width as u32) };
    mux.attach(here, info).await;
    within(Session::open(stream::connect(there, Limits::default()), host(width))).await.unwrap()
}

async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("this takes too long")
}

/// Waits until there was a shell and the last one has detached.
async fn abandoned(mux: &Mux) {
    let _ = mux.clients().wait_for(|count| count.connected == 0 && count.ever_opened > 0).await;
}

async fn invoke(session: &Session, name: &str, value: Option<Value>) -> Running {
    session.invoke(&pipeline(name, value)).await.unwrap()
}

async fn next(running: &mut Running) -> PipelineEvent {
    within(running.next()).await.expect("one more event").unwrap()
}

/// Returns a pipeline's output and final state.
async fn finish(running: &mut Running) -> (Vec<Value>, PipelineState) {
    let mut output = Vec::new();
    loop {
        match next(running).await {
            PipelineEvent::Output(value) => output.push(value),
            PipelineEvent::State(state, _) if state.is_final() => return (output, state),
            _ => {}
        }
    }
}

async fn run(session: &Session, name: &str, value: Option<Value>) -> (Vec<Value>, PipelineState) {
    finish(&mut invoke(session, name, value).await).await
}

fn created(seen: &[Seen]) -> usize {
    seen.iter().filter(|seen| matches!(seen, Seen::Created(..))).count()
}

#[tokio::test]
async fn two_shells_share_one_session_and_each_sees_its_own_answers() {
    let (mux, endpoint) = open(Options::default()).await;
    let (first, mut events) = attach(&mux, 100).await;
    let (second, _events) = attach(&mux, 120).await;
    for round in 0..5 {
        let (one, two) = (Value::I32(round), Value::string(format!("{round}")));
        let (of_first, of_second) =
            tokio::join!(run(&first, "Get-Cs", Some(one.clone())), run(&second, "Get-Cs", Some(two.clone())));
        assert_eq!(of_first, (vec![one], PipelineState::Completed));
        assert_eq!(of_second, (vec![two], PipelineState::Completed));
    }
    let seen = endpoint.seen(|seen| created(seen) == 10).await;
    let widths =
        |width| seen.iter().filter(move |s| matches!(s, Seen::Created(_, _, w) if *w == Some(width)));
    assert_eq!((widths(100).count(), widths(120).count()), (5, 5), "each has its own host");

    let Some(ClientEvent::ApplicationPrivateData(told)) = events.recv().await else { panic!() };
    assert!(told.get("Litware").is_some() && told.get("DebugMode").is_none(), "{told:?}");
}

#[tokio::test]
async fn metadata_input_prompts_progress_failures_and_large_answers_pass() {
    let (mux, _endpoint) = open(Options::default()).await;
    let (shell, _events) = attach(&mux, 100).await;
    let query = MetadataQuery {
        names: vec!["*".into()],
        command_type: 271,
        namespace: Vec::new(),
        arguments: Vec::new(),
    };
    let mut metadata = shell.command_metadata(&query).await.unwrap();
    assert_eq!(finish(&mut metadata).await.0, [Value::I32(0)]);

    let mut measure = invoke(&shell, "Measure-CsInput", None).await;
    let large = Value::string("i".repeat(200_000));
    within(measure.input(&large)).await.unwrap();
    within(measure.input(&Value::I32(2))).await.unwrap();
    within(measure.end_input()).await.unwrap();
    assert_eq!(finish(&mut measure).await, (vec![large, Value::I32(2)], PipelineState::Completed));

    let mut read = invoke(&shell, "Read-Cs", None).await;
    let call = loop {
        if let PipelineEvent::HostCall(call) = next(&mut read).await {
            break call;
        }
    };
    assert_eq!(call.method, HostMethod::ReadLine);
    let result = Ok(Some(Value::string("typed")));
    let response = HostResponse { call_id: call.call_id, method: call.method, result };
    read.respond(&response).await.unwrap();
    assert_eq!(finish(&mut read).await.0, [Value::string("typed")]);

    let mut write = invoke(&shell, "Write-Cs", None).await;
    loop {
        if let PipelineEvent::Progress(record) = next(&mut write).await {
            assert_eq!(record.activity, "Writing");
            break;
        }
    }
    assert_eq!(run(&shell, "Stop-Cs", None).await.1, PipelineState::Failed);
    let (big, _) = run(&shell, "Get-CsBig", Some(Value::I32(50))).await;
    assert_eq!(big.len(), 50);
}

#[tokio::test]
async fn ctrl_c_stops_the_command_and_keeps_the_session() {
    let (mux, endpoint) = open(Options::default()).await;
    let (shell, _events) = attach(&mux, 100).await;
    let mut wait = invoke(&shell, "Wait-Cs", None).await;
    endpoint.seen(|seen| created(seen) == 1).await;
    wait.stop().await.unwrap();
    assert_eq!(finish(&mut wait).await.1, PipelineState::Stopped);
    endpoint.seen(|seen| seen.contains(&Seen::Closed(wait.id))).await;
    assert_eq!(run(&shell, "Get-Cs", None).await.1, PipelineState::Completed);
}

#[tokio::test]
async fn a_queued_command_reports_the_wait_and_runs_in_turn() {
    let (mux, endpoint) = open(Options::default()).await;
    let (first, _events) = attach(&mux, 100).await;
    let (second, _events) = attach(&mux, 120).await;
    let wait = invoke(&first, "Wait-Cs", None).await;
    endpoint.seen(|seen| created(seen) == 1).await;
    let mut queued = invoke(&second, "Get-Cs", Some(Value::I32(5))).await;
    let PipelineEvent::Progress(notice) = next(&mut queued).await else { panic!() };
    assert_eq!(notice.activity, "Waiting for the session");
    assert_eq!(notice.status, "Wait-Cs of pwsh (process 100) is running");
    assert!(!notice.completed);
    let status = mux.status().await.unwrap();
    assert_eq!((status.running, status.queued), (1, 1));
    assert_eq!(created(&endpoint.seen(|_| true).await), 1, "the endpoint received no request");

    wait.stop().await.unwrap();
    let PipelineEvent::Progress(done) = next(&mut queued).await else { panic!() };
    assert!(done.completed && done.activity_id == notice.activity_id);
    assert_eq!(finish(&mut queued).await, (vec![Value::I32(5)], PipelineState::Completed));
}

#[tokio::test]
async fn ctrl_c_cancels_a_queued_command() {
    let (mux, endpoint) = open(Options::default()).await;
    let (first, _events) = attach(&mux, 100).await;
    let (second, _events) = attach(&mux, 120).await;
    let _wait = invoke(&first, "Wait-Cs", None).await;
    endpoint.seen(|seen| created(seen) == 1).await;
    let mut queued = invoke(&second, "Get-Cs", None).await;
    assert!(matches!(next(&mut queued).await, PipelineEvent::Progress(_)));
    queued.stop().await.unwrap();
    let PipelineEvent::State(PipelineState::Stopped, Some(record)) = next(&mut queued).await else {
        panic!()
    };
    assert_eq!(record.message, "The pipeline has been stopped.");
    assert_eq!(endpoint.seen(|_| true).await.len(), 1, "the endpoint received none of it");
}

#[tokio::test]
async fn as_many_commands_run_as_there_are_runspaces() {
    let (mux, endpoint) = open(Options { max_runspaces: 2, ..Options::default() }).await;
    let (shell, _events) = attach(&mux, 100).await;
    let mut waits = Vec::new();
    for _ in 0..3 {
        waits.push(invoke(&shell, "Wait-Cs", None).await);
    }
    assert!(matches!(next(&mut waits[2]).await, PipelineEvent::Progress(_)));
    assert_eq!(created(&endpoint.seen(|_| true).await), 2);
    waits[0].stop().await.unwrap();
    endpoint.seen(|seen| created(seen) == 3).await;
}

#[tokio::test]
async fn a_killed_shell_stops_only_its_own_commands() {
    let (mux, endpoint) = open(Options { max_runspaces: 2, ..Options::default() }).await;
    let (other, _events) = attach(&mux, 120).await;
    let mut others = invoke(&other, "Wait-Cs", None).await;
    // A shell whose stream ends in the middle of an output.
    let (here, mut near) = tokio::io::duplex(4096);
    let (mut far, there) = tokio::io::duplex(4096);
    let wire = tokio::spawn(async move { tokio::io::copy_bidirectional(&mut near, &mut far).await });
    mux.attach(here, ClientInfo::default()).await;
    let (killed, _events) =
        within(Session::open(stream::connect(there, Limits::default()), host(90))).await.unwrap();
    let mut big = invoke(&killed, "Get-CsBig", Some(Value::I32(1_000_000))).await;
    let id = big.id;
    assert!(matches!(next(&mut big).await, PipelineEvent::Output(_)));
    wire.abort();
    endpoint.seen(|seen| seen.contains(&Seen::Closed(id))).await;
    let seen = endpoint.seen(|_| true).await;
    assert!(!seen.contains(&Seen::Stopped(others.id)) && !seen.contains(&Seen::Closed(others.id)));
    others.stop().await.unwrap();
    assert_eq!(finish(&mut others).await.1, PipelineState::Stopped);
}

#[tokio::test]
async fn a_closed_shell_leaves_the_session_open() {
    let (mux, endpoint) = open(Options::default()).await;
    let (first, mut events) = attach(&mux, 100).await;
    within(first.close()).await.unwrap();
    let mut states = Vec::new();
    while let Some(event) = within(events.recv()).await {
        if let ClientEvent::PoolState(state, _) = event {
            states.push(state);
        }
        if states.last() == Some(&PoolState::Closed) {
            break;
        }
    }
    assert_eq!(states, [PoolState::Opened, PoolState::Closing, PoolState::Closed]);
    within(abandoned(&mux)).await;
    let (second, _events) = attach(&mux, 120).await;
    assert_eq!(run(&second, "Get-Cs", None).await.1, PipelineState::Completed);
    assert!(!endpoint.seen(|_| true).await.contains(&Seen::Closed(Uuid::nil())));
    within(mux.close()).await.unwrap();
    endpoint.seen(|seen| seen.contains(&Seen::Closed(Uuid::nil()))).await;
    assert_eq!(*mux.state().borrow(), State::Closed);
}

#[tokio::test]
async fn dropping_the_owner_closes_the_session() {
    let (mux, endpoint) = open(Options::default()).await;
    drop(mux);
    endpoint.seen(|seen| seen.contains(&Seen::Closed(Uuid::nil()))).await;
}

#[tokio::test]
async fn a_secret_works_from_two_shells_under_one_key() {
    let (mux, endpoint) = open(Options::default()).await;
    let (first, _events) = attach(&mux, 100).await;
    let (second, _events) = attach(&mux, 120).await;
    let secret = |text: &str| Some(Value::secure(text.to_owned().into()));
    let (one, two) = tokio::join!(
        run(&first, "Set-CsSecret", secret("correct horse")),
        run(&second, "Set-CsSecret", secret("battery staple"))
    );
    let text = |(output, _): (Vec<Value>, PipelineState)| match &output[0] {
        Value::Secure(Secure::Plain(secret)) => secret.expose_secret().to_owned(),
        other => panic!("{other:?}"),
    };
    assert_eq!((text(one), text(two)), ("correct horse".into(), "battery staple".into()));
    let seen = endpoint.seen(|_| true).await;
    assert_eq!(seen.iter().filter(|seen| **seen == Seen::PublicKey).count(), 1, "one exchange");
}

#[tokio::test]
async fn a_secret_waits_for_the_shells_key() {
    let (mux, endpoint) = open(Options::default()).await;
    for width in [100, 120] {
        let (shell, _events) = attach(&mux, width).await;
        let (output, state) = run(&shell, "Get-CsSecret", None).await;
        let Value::Secure(Secure::Plain(secret)) = &output[0] else { panic!("{output:?}") };
        assert_eq!(secret.expose_secret(), "from there");
        assert_eq!((&output[1..], state), (&[Value::I32(2)][..], PipelineState::Completed));
    }
    let seen = endpoint.seen(|_| true).await;
    assert_eq!(seen.iter().filter(|seen| **seen == Seen::PublicKey).count(), 1, "one exchange");
}

#[tokio::test]
async fn a_stalled_shell_delays_only_itself() {
    let (mux, _endpoint) = open(Options { max_runspaces: 2, ..Options::default() }).await;
    let (slow, _events) = attach(&mux, 100).await;
    let (quick, _events) = attach(&mux, 120).await;
    // 30 MB: more than the queue limit, so that a client that never reads would be noticed.
    let mut big = invoke(&slow, "Get-CsBig", Some(Value::I32(300))).await;
    assert!(matches!(next(&mut big).await, PipelineEvent::Output(_)));
    for round in 0..20 {
        let (output, _) = run(&quick, "Get-Cs", Some(Value::I32(round))).await;
        assert_eq!(output, [Value::I32(round)]);
    }
    let (rest, state) = finish(&mut big).await;
    assert_eq!((rest.len(), state), (299, PipelineState::Completed));
}

#[tokio::test]
async fn output_queued_for_a_stalled_shell_is_bounded() {
    let (mux, _endpoint) = open(Options::default()).await;
    let (slow, _events) = attach(&mux, 100).await;
    let mut big = invoke(&slow, "Get-CsBig", Some(Value::I32(100_000))).await;
    assert!(matches!(next(&mut big).await, PipelineEvent::Output(_)));
    let mut most = 0;
    let mut settled = 0;
    // The state is stable when nothing was added for a while.
    while settled < 100 {
        let unread = mux.status().await.unwrap().clients[0].unread;
        settled = if unread > most || unread < PAUSE_AT { 0 } else { settled + 1 };
        most = most.max(unread);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(most < STOP_READING_AT + PAUSE_AT, "{most} bytes");
    big.stop().await.unwrap();
    assert_eq!(finish(&mut big).await.1, PipelineState::Stopped);
}
