//! lyncsh's client against an independent implementation of the server: psrpcore, behind
//! `tests/peers/psrpcore_server.py`, with the behaviour of WinRM and of OMI.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::Duration;

use lyncsh::psrp::client::{ClientEvent, ClientPool, PipelineEvent};
use lyncsh::psrp::clixml::{Secure, Value};
use lyncsh::psrp::host::{HostInfo, HostMethod, HostResponse};
use lyncsh::psrp::pipeline::{self, Argument, MetadataQuery, Pipeline};
use lyncsh::psrp::record::PipelineState;
use lyncsh::transport::Error;
use lyncsh::transport::session::{Running, Session};
use lyncsh::transport::wsman::{connect, enumerate, remove};
use secrecy::ExposeSecret as _;
use tokio::sync::mpsc;
use tokio::time::timeout;
use uuid::Uuid;

use crate::program::{ChildGuard, Program, until};
use crate::wsman_client_http::{PATIENCE, endpoint};

/// The peer's process; ends with the test.
pub struct Peer {
    _process: ChildGuard,
    port: u16,
}

impl Peer {
    pub fn start(arguments: &[&str]) -> Self {
        let server = Program::peer("psrpcore_server.py").args(arguments).stderr(Stdio::inherit());
        let mut process = server.start();
        let ready = process.ready();
        let port = ready["url"].as_str().unwrap().parse::<url::Url>().unwrap().port().unwrap();
        Self { _process: process, port }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/wsman", self.port)
    }

    pub fn endpoint(&self) -> lyncsh::transport::wsman::Endpoint {
        let mut endpoint = endpoint(&self.url());
        endpoint.limits.operation = PATIENCE;
        endpoint.limits.open = PATIENCE;
        endpoint
    }

    fn state(&self) -> serde_json::Value {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.write_all(b"GET /state HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
    }

    pub fn shells(&self) -> usize {
        self.state()["shells"].as_array().unwrap().len()
    }

    pub fn logged(&self, name: &str) -> Vec<serde_json::Value> {
        let log = self.state()["log"].as_array().unwrap().clone();
        log.into_iter().filter(|row| row[0] == name).map(|row| row[1].clone()).collect()
    }

    async fn open(&self) -> (Session, mpsc::Receiver<ClientEvent>) {
        let id = Uuid::new_v4();
        let mut pool = ClientPool::new(id, host(), (1, 1));
        pool.open();
        let opening = pool.take_outgoing();
        let (connection, _) = connect(self.endpoint(), id, opening, |_| true).await.unwrap();
        timeout(PATIENCE, Session::open_pool(connection, pool)).await.unwrap().unwrap()
    }
}

fn host() -> HostInfo {
    HostInfo {
        window: (120, 50),
        buffer: (120, 50),
        foreground: 7,
        background: 0,
        title: "lyncsh".to_owned(),
        is_null: false,
    }
}

fn command(name: &str, arguments: &[(&str, Value)], no_input: bool) -> Pipeline {
    let argument = |(name, value): &(&str, Value)| Argument {
        name: Some((*name).to_owned()),
        value: Some(value.clone()),
    };
    let arguments = arguments.iter().map(argument).collect();
    let command = pipeline::PipelineCommand { arguments, ..pipeline::PipelineCommand::new(name) };
    Pipeline { no_input, ..Pipeline::new(vec![command]) }
}

/// Returns a pipeline's events and its final state.
async fn ends(running: &mut Running) -> (Vec<PipelineEvent>, PipelineState) {
    let mut events = Vec::new();
    while let Some(event) = timeout(PATIENCE, running.next()).await.expect("the pipeline must go on") {
        match event.unwrap() {
            PipelineEvent::State(state, _) if state.is_final() => return (events, state),
            event => events.push(event),
        }
    }
    panic!("no final state after {events:?}");
}

async fn outputs(session: &Session, pipeline: Pipeline) -> Vec<Value> {
    let mut running = session.invoke(&pipeline).await.unwrap();
    let (events, state) = ends(&mut running).await;
    assert_eq!(state, PipelineState::Completed);
    let output = |event| match event {
        PipelineEvent::Output(value) => Some(value),
        _ => None,
    };
    events.into_iter().filter_map(output).collect()
}

fn numbers(values: &[Value]) -> Vec<i64> {
    values.iter().map(|value| value.as_i64().unwrap_or_else(|| panic!("{value:?}"))).collect()
}

pub const MANNERS: [&[&str]; 2] =
    [&["--manner", "winrm", "--receive", "0.3"], &["--manner", "omi", "--receive", "0.3"]];

#[tokio::test]
async fn a_pool_opens_runs_pipelines_with_all_streams_and_closes() {
    for manner in MANNERS {
        let peer = Peer::start(manner);
        let (session, _events) = peer.open().await;
        assert_eq!(peer.shells(), 1);
        // The Receives of an idle pool time out and are repeated.
        until(PATIENCE, "Receives are repeated", || peer.logged("Receive").len() >= 6).await;
        let mut running = session.invoke(&command("Write-All", &[], true)).await.unwrap();
        let (events, state) = ends(&mut running).await;
        assert_eq!(state, PipelineState::Completed);
        let said: Vec<String> = events
            .iter()
            .map(|event| match event {
                PipelineEvent::Output(value) => format!("output {:?}", value.primitive()),
                PipelineEvent::Error(record) => format!("error {}", record.message),
                PipelineEvent::Warning(record) => format!("warning {}", record.message),
                PipelineEvent::Verbose(record) => format!("verbose {}", record.message),
                PipelineEvent::Debug(record) => format!("debug {}", record.message),
                PipelineEvent::Progress(record) => format!("progress {} {}", record.activity, record.percent),
                PipelineEvent::Information(record) => {
                    format!("information {}", record.message.as_str().unwrap_or_default())
                }
                other => format!("{other:?}"),
            })
            .filter(|text| !text.starts_with("State"))
            .collect();
        assert_eq!(
            said,
            [
                "output String(\"some output\")",
                "output I32(42)",
                "error some error",
                "warning some warning",
                "verbose some verbose",
                "debug some debug",
                "progress some activity 50",
                "information some information"
            ]
        );
        let query = MetadataQuery {
            names: vec!["Get-Cs*".to_owned()],
            command_type: 271,
            namespace: Vec::new(),
            arguments: Vec::new(),
        };
        let mut running = session.command_metadata(&query).await.unwrap();
        assert_eq!(ends(&mut running).await.1, PipelineState::Completed);

        timeout(PATIENCE, session.close()).await.unwrap().unwrap();
        assert_eq!(peer.shells(), 0);
        // Names are in clear text for the server's logs, and every pipeline was ended.
        assert_eq!(peer.logged("name"), ["Write-All", "Get-Command"]);
        assert_eq!(peer.logged("Delete").len(), 1);
    }
}

#[tokio::test]
async fn prompts_and_input_are_supported() {
    for manner in MANNERS {
        let peer = Peer::start(manner);
        let (session, _events) = peer.open().await;
        let mut running = session.invoke(&command("Read-Line", &[], true)).await.unwrap();
        let call = loop {
            match timeout(PATIENCE, running.next()).await.unwrap().unwrap().unwrap() {
                PipelineEvent::HostCall(call) => break call,
                PipelineEvent::State(PipelineState::Running, _) => {}
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(call.method, HostMethod::ReadLine);
        let result = Ok(Some(Value::string("Ken Myer")));
        running.respond(&HostResponse { call_id: call.call_id, method: call.method, result }).await.unwrap();
        let (events, _) = ends(&mut running).await;
        let [PipelineEvent::Output(said)] = &events[..] else { panic!("{events:?}") };
        assert_eq!(said.as_str(), Some("You said Ken Myer"));

        let mut running = session.invoke(&command("Measure-Input", &[], false)).await.unwrap();
        for number in 0..50 {
            running.input(&Value::string(format!("{number:0>1000}"))).await.unwrap();
        }
        // A message that needs several envelopes.
        running.input(&Value::string("x".repeat(400_000))).await.unwrap();
        running.end_input().await.unwrap();
        let (events, _) = ends(&mut running).await;
        let counted: Vec<_> = events
            .into_iter()
            .filter_map(|event| match event {
                PipelineEvent::Output(value) => value.as_i64(),
                _ => None,
            })
            .collect();
        assert_eq!(counted, [51, 450_000]);
    }
}

#[tokio::test]
async fn large_arguments_and_large_output_stay_under_the_envelopes_size() {
    for manner in MANNERS {
        let peer = Peer::start(manner);
        let (session, _events) = peer.open().await;
        let text = Value::string("å".repeat(300_000));
        assert_eq!(
            numbers(&outputs(&session, command("Get-Length", &[("Text", text)], true)).await),
            [300_000]
        );
        let size = ("Size", Value::I32(400_000));
        let big = outputs(&session, command("Get-Big", &[size, ("Count", Value::I32(3))], true)).await;
        let lengths: Vec<_> = big.iter().map(|value| value.as_str().unwrap().len()).collect();
        assert_eq!(lengths, [400_000; 3]);
        for action in ["Create", "Command", "Send"] {
            let sizes = peer.logged(action);
            assert!(
                !sizes.is_empty() && sizes.iter().all(|size| size.as_u64().unwrap() <= 153_600),
                "{sizes:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_secret_goes_both_ways_under_a_session_key() {
    let peer = Peer::start(MANNERS[0]);
    let (session, _events) = peer.open().await;
    let secret = Value::secure("P@ssw0rd-åß".into());
    let said = outputs(&session, command("Test-Secret", &[("Secret", secret)], true)).await;
    assert_eq!(said[0].as_i64(), Some(11));
    let Value::Secure(Secure::Plain(back)) = said[1].primitive() else { panic!("{:?}", said[1]) };
    assert_eq!(back.expose_secret(), "ßå-dr0wss@P");
}

#[tokio::test]
async fn a_pool_is_reused_after_a_stop() {
    for manner in MANNERS {
        let peer = Peer::start(manner);
        let (session, _events) = peer.open().await;
        let mut running = session.invoke(&command("Wait-Forever", &[], true)).await.unwrap();
        while !matches!(
            timeout(PATIENCE, running.next()).await.unwrap().unwrap().unwrap(),
            PipelineEvent::Output(_)
        ) {}
        running.stop().await.unwrap();
        assert_eq!(ends(&mut running).await.1, PipelineState::Stopped);
        // PowerShell's own spelling: any other code would close the command.
        assert_eq!(peer.logged("code")[0], "powershell/signal/crtl_c");
        let text = Value::string("abc");
        assert_eq!(numbers(&outputs(&session, command("Get-Length", &[("Text", text)], true)).await), [3]);
        timeout(PATIENCE, session.close()).await.unwrap().unwrap();
        assert_eq!(peer.shells(), 0);
    }
}

#[tokio::test]
async fn a_stalled_reader_delays_only_its_pipeline() {
    let peer = Peer::start(MANNERS[0]);
    let (session, _events) = peer.open().await;
    let big = [("Size", Value::I32(200_000)), ("Count", Value::I32(60))];
    let mut stalled = session.invoke(&command("Get-Big", &big, true)).await.unwrap();
    // Output is not read: most of its 12 MB stay on the server.
    let waiting = || peer.state()["waiting"].as_u64().unwrap();
    until(PATIENCE, "output waits on the server", || waiting() >= 6_000_000).await;
    for _ in 0..3 {
        let text = Value::string("abc");
        assert_eq!(numbers(&outputs(&session, command("Get-Length", &[("Text", text)], true)).await), [3]);
    }
    assert!(waiting() >= 6_000_000);
    let (events, state) = ends(&mut stalled).await;
    assert_eq!(state, PipelineState::Completed);
    assert_eq!(events.iter().filter(|event| matches!(event, PipelineEvent::Output(_))).count(), 60);
}

#[tokio::test]
async fn sessions_are_listed_and_removed_by_id() {
    for manner in MANNERS {
        let peer = Peer::start(manner);
        let mut sessions = Vec::new();
        for _ in 0..3 {
            sessions.push(peer.open().await);
        }
        let mut listed = enumerate(&peer.endpoint()).await.unwrap();
        assert_eq!(listed.len(), 3);
        let shell = listed.pop().unwrap();
        assert_eq!(shell.owner.as_deref(), Some("kenmyer@litwareinc.com"));
        assert_eq!(shell.client_address.as_deref(), Some("127.0.0.1"));
        assert_eq!(shell.running_time, Some(Duration::from_secs(63)));
        assert_eq!(shell.inactivity, Some(Duration::from_secs(7)));

        // Removed by id only, twice.
        let id: Uuid = shell.shell_id.parse().unwrap();
        timeout(PATIENCE, remove(&peer.endpoint(), id)).await.unwrap().unwrap();
        assert_eq!(peer.shells(), 2);
        timeout(PATIENCE, remove(&peer.endpoint(), id)).await.unwrap().unwrap();
        drop(sessions);
        until(PATIENCE, "dropped sessions are removed", || peer.shells() == 0).await;
    }
}

#[tokio::test]
async fn an_externally_removed_session_is_detected() {
    let peer = Peer::start(MANNERS[0]);
    let (session, _events) = peer.open().await;
    let mut running = session.invoke(&command("Wait-Forever", &[], true)).await.unwrap();
    let listed = enumerate(&peer.endpoint()).await.unwrap();
    remove(&peer.endpoint(), listed[0].shell_id.parse().unwrap()).await.unwrap();
    let error = loop {
        match timeout(PATIENCE, running.next()).await.unwrap() {
            Some(Ok(_)) => {}
            Some(Err(error)) => break error,
            None => panic!("the connection ended without an event"),
        }
    };
    assert!(!error.to_string().is_empty());
    // The pool has failed too: no other pipeline can start.
    let refused = async {
        loop {
            match session.invoke(&command("Wait-Forever", &[], true)).await {
                Err(error) => return error,
                Ok(running) => drop(running),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let error = timeout(PATIENCE, refused).await.unwrap();
    assert!(!matches!(error, Error::Closed), "{error}");
}

#[tokio::test]
async fn a_wrong_password_is_refused_by_the_peer() {
    let peer = Peer::start(MANNERS[0]);
    let mut endpoint = peer.endpoint();
    endpoint.authentication = lyncsh::transport::wsman::Authentication::Basic {
        user: "kenmyer@litwareinc.com".to_owned(),
        password: "wrong".into(),
    };
    let id = Uuid::new_v4();
    let mut pool = ClientPool::new(id, host(), (1, 1));
    pool.open();
    let Err(error) = connect(endpoint, id, pool.take_outgoing(), |_| true).await else {
        panic!("it must not open")
    };
    let Error::Unauthorized { user, offered, .. } = &error else { panic!("{error}") };
    assert_eq!(user, "kenmyer@litwareinc.com");
    assert_eq!(offered, &["Negotiate", "Basic"]);
}
