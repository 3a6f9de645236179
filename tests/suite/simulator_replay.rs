//! Replay of the recorded requests of a real WSMan client: each gets a proper answer, and every pipeline ends
//! as recorded.
//!
//! The recorded server ran scripts, which a restricted endpoint refuses. A script is replaced by an
//! equivalent command if there is one; otherwise the refusal is expected.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lyncsh::psrp::clixml::{Value, read, write};
use lyncsh::psrp::fragment::{Defragmenter, Fragmenter};
use lyncsh::psrp::message::{Message, MessageType};
use lyncsh::psrp::pipeline::{Argument, Pipeline, PipelineCommand};
use lyncsh::psrp::record::PipelineState;
use lyncsh::simulator::{Options, PASSWORD, Server, USER};
use lyncsh::transport::wsman::envelope::{
    CommandState, RequestEnvelope, Response, ResponseEnvelope, SignalCode, WsmanRequest,
};
use lyncsh::transport::wsman::fault::code;
use tokio::sync::watch;
use uuid::Uuid;

use crate::program::PATIENCE;
use crate::simulator::http;

fn rows(recording: &str) -> Vec<serde_json::Value> {
    let path = format!("{}/tests/wsman/{recording}.jsonl", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let rows = text.lines().map(|row| serde_json::from_str::<serde_json::Value>(row).unwrap());
    rows.filter(|row| row["body"].as_str().is_some_and(|body| !body.is_empty())).collect()
}

pub fn requests(recording: &str) -> Vec<String> {
    let client = rows(recording).into_iter().filter(|row| row["from"] == "client");
    client.map(|row| row["body"].as_str().unwrap().to_owned()).collect()
}

/// Messages and outcome of a pipeline.
#[derive(Clone, Debug, Default)]
struct Replies {
    output: Vec<Value>,
    end: Option<(PipelineState, String)>,
}

impl Replies {
    fn add(&mut self, message: &Message) {
        match message.kind {
            MessageType::PipelineOutput => self.output.push(read(&message.body).unwrap()),
            MessageType::PipelineState => {
                let (state, record) = PipelineState::read(&read(&message.body).unwrap()).unwrap();
                if state.is_final() {
                    let why = record.map(|record| record.fully_qualified_id).unwrap_or_default();
                    self.end = Some((state, why));
                }
            }
            _ => {}
        }
    }
}

/// Returns the recorded server's messages by pipeline, which only the request names.
fn recorded(recording: &str) -> HashMap<Uuid, Replies> {
    let mut joined = HashMap::<Uuid, Defragmenter>::new();
    let mut replies = HashMap::<Uuid, Replies>::new();
    let mut asking = HashMap::new();
    for row in rows(recording) {
        let (connection, body) = (row["conn"].as_u64(), row["body"].as_str().unwrap().as_bytes());
        if row["from"] == "client" {
            if let WsmanRequest::Receive { command, .. } = RequestEnvelope::read(body).unwrap().request {
                asking.insert(connection, command.unwrap_or_default());
            }
            continue;
        }
        let Response::Received(received) = ResponseEnvelope::read(body).unwrap().response else { continue };
        let id = asking[&connection];
        for part in received.streams {
            for message in joined.entry(id).or_default().push(&part.data).unwrap() {
                replies.entry(id).or_default().add(&Message::decode(&message).unwrap());
            }
        }
    }
    replies
}

/// Returns a command that is equivalent to a recorded script.
fn instead(script: &str) -> Option<PipelineCommand> {
    let command = |name: &str, argument: Option<i32>| {
        let arguments = argument.map(|value| Argument { name: None, value: Some(Value::I32(value)) });
        PipelineCommand { arguments: arguments.into_iter().collect(), ..PipelineCommand::new(name) }
    };
    match script.trim() {
        script if script.starts_with("1..600 |") => Some(command("Wait-Cs", Some(60))),
        script if script.starts_with("Start-Sleep 31") => Some(command("Wait-Cs", Some(3))),
        script if script.starts_with("'A'*400000") => Some(command("Get-CsOneBig", Some(400_000))),
        script if script.starts_with("1..120 |") => Some(command("Get-CsBig", Some(120))),
        script if script.starts_with("$n=0;") => Some(command("Measure-CsInput", None)),
        _ => None,
    }
}

/// Returns the Command request with a command in place of the script, and the text of its pipeline.
fn adapted(body: &str, arguments: &[u8]) -> (String, String) {
    let Some(message) = Defragmenter::default().push(arguments).unwrap().pop() else {
        return (body.to_owned(), String::new());
    };
    let mut message = Message::decode(&message).unwrap();
    let mut pipeline = Pipeline::read(&read(&message.body).unwrap()).unwrap();
    let asked = pipeline.commands[0].clone();
    let Some(command) = asked.is_script.then(|| instead(&asked.name)).flatten() else {
        return (body.to_owned(), if asked.is_script { "script".into() } else { asked.name });
    };
    let name = command.name.clone();
    pipeline.commands = vec![command];
    message.body = write(&pipeline.to_value());
    let fragment = Fragmenter::default().cut(&message.encode(), 200_000).remove(0);
    let encoded = regex::Regex::new("(<[^>]*Arguments[^>]*>)[^<]*<").unwrap();
    let replaced = encoded
        .replace(body, |found: &regex::Captures<'_>| format!("{}{}<", &found[1], STANDARD.encode(&fragment)));
    assert_ne!(replaced, body);
    (replaced.into_owned(), name)
}

#[derive(Clone)]
struct Client {
    http: reqwest::Client,
    url: String,
    replies: watch::Sender<HashMap<Uuid, Replies>>,
    /// Number of Receives that timed out without data.
    silences: Arc<Mutex<usize>>,
}

impl Client {
    fn new(server: &Server) -> Self {
        let url = format!("{}?PSVersion=7.6.5", server.url);
        Self { http: http(), url, replies: watch::Sender::new(HashMap::new()), silences: Arc::default() }
    }

    async fn send(&self, body: &str, user: &str, password: &str) -> reqwest::Response {
        let pair = STANDARD.encode(format!("{user}:{password}"));
        let request = self
            .http
            .post(&self.url)
            .header("Authorization", format!("Basic {pair}"))
            .header("Content-Type", "application/soap+xml;charset=UTF-8")
            .body(body.to_owned());
        tokio::time::timeout(PATIENCE, request.send()).await.expect("an answer").unwrap()
    }

    /// Sends a request and checks that the answer relates to it.
    async fn ask(&self, body: &str) -> Response {
        let answer = self.send(body, USER, PASSWORD).await;
        let status = answer.status();
        let bytes = answer.bytes().await.unwrap();
        let envelope = ResponseEnvelope::read(&bytes).unwrap();
        let id = RequestEnvelope::read(body.as_bytes()).unwrap().header.message_id;
        assert_eq!(envelope.relates_to, Some(id));
        let fault = matches!(envelope.response, Response::Fault(_));
        assert_eq!(status.as_u16(), if fault { 500 } else { 200 });
        envelope.response
    }

    /// Repeats a Receive until the pool or the pipeline is done.
    async fn receive(self, body: String, target: Uuid) {
        let mut joined = Defragmenter::default();
        loop {
            match self.ask(&body).await {
                Response::Received(received) => {
                    for part in &received.streams {
                        for message in joined.push(&part.data).unwrap() {
                            let message = Message::decode(&message).unwrap();
                            self.replies
                                .send_modify(|replies| replies.entry(target).or_default().add(&message));
                        }
                    }
                    if received.state == Some(CommandState::Done) {
                        return;
                    }
                }
                Response::Fault(fault) if fault.code == Some(code::TIMED_OUT) => {
                    *self.silences.lock().unwrap() += 1;
                }
                // The shell was deleted meanwhile.
                Response::Fault(fault) if fault.code == Some(code::UNEXPECTED_SELECTORS) => return,
                other => panic!("{other:?}"),
            }
        }
    }

    async fn until(&self, id: Uuid, condition: impl Fn(&Replies) -> bool) {
        let mut replies = self.replies.subscribe();
        let met = replies.wait_for(|replies| replies.get(&id).is_some_and(&condition));
        tokio::time::timeout(PATIENCE, met).await.expect("the messages never arrive").unwrap();
    }
}

/// Result of a replayed session.
struct Played {
    /// Command text and messages by pipeline.
    pipelines: HashMap<Uuid, (String, Replies)>,
    silences: usize,
}

/// Sends every request of a recording; repeats a Receive after each answer.
async fn play(recording: &str, change: impl Fn(String) -> String) -> Played {
    let server = Server::start(Options { fixtures: true, ..Options::default() }).await.unwrap();
    let client = Client::new(&server);
    let mut receiving = HashMap::new();
    let mut asked = HashMap::new();
    for body in requests(recording) {
        let body = change(body);
        match RequestEnvelope::read(body.as_bytes()).unwrap().request {
            WsmanRequest::Create(create) => {
                let Response::Created { shell_id, shell, .. } = client.ask(&body).await else { panic!() };
                assert_eq!(Some(&shell_id), create.shell_id.as_ref());
                assert_eq!(shell.unwrap().name, create.name);
            }
            WsmanRequest::Receive { command, .. } => {
                let target = command.unwrap_or_default();
                let receive = || tokio::spawn(client.clone().receive(body, target));
                receiving.entry(target).or_insert_with(receive);
            }
            WsmanRequest::Command { id, arguments, .. } => {
                let (body, name) = adapted(&body, &arguments);
                let Response::Commanded { id: started } = client.ask(&body).await else { panic!() };
                assert_eq!(started, id);
                asked.insert(id.unwrap(), name);
            }
            WsmanRequest::Send(_) => assert_eq!(client.ask(&body).await, Response::Sent),
            WsmanRequest::Signal { command, code } => {
                let id = command.unwrap();
                match code {
                    SignalCode::Stop => client.until(id, |replies| replies.output.len() > 2).await,
                    _ => client.until(id, |replies| replies.end.is_some()).await,
                }
                assert_eq!(client.ask(&body).await, Response::Signaled);
            }
            WsmanRequest::Delete => assert_eq!(client.ask(&body).await, Response::Deleted),
            other => panic!("{other:?}"),
        }
    }
    for (target, receiving) in receiving {
        let over = tokio::time::timeout(PATIENCE, receiving).await;
        over.unwrap_or_else(|_| panic!("{target} is still received of")).unwrap();
    }
    assert_eq!(server.shells().len(), 0);
    let replies = client.replies.borrow().clone();
    let pipeline = |(id, name)| (id, (name, replies.get(&id).cloned().unwrap_or_default()));
    let silences = *client.silences.lock().unwrap();
    Played { pipelines: asked.into_iter().map(pipeline).collect(), silences }
}

/// Checks that each pipeline ends as recorded, or with the restricted endpoint's refusal.
fn assert_ends(recording: &str, played: &Played) {
    let recorded = recorded(recording);
    for (id, (name, replies)) in &played.pipelines {
        let end = replies.end.as_ref().unwrap_or_else(|| panic!("{recording}: {name} has no end"));
        match name.as_str() {
            "script" => assert_eq!((end.0, end.1.as_str()), (PipelineState::Failed, "ScriptsNotAllowed")),
            "Read-Host" => assert_eq!(end, &(PipelineState::Failed, "CommandNotFoundException".into())),
            name if name.starts_with("__") => {
                assert_eq!(end, &(PipelineState::Failed, "CommandNotFoundException".into()));
            }
            _ => assert_eq!(end.0, recorded[id].end.as_ref().unwrap().0, "{recording}: {name}"),
        }
    }
}

fn of<'a>(played: &'a Played, name: &str) -> &'a Replies {
    &played.pipelines.values().find(|(asked, _)| asked == name).expect(name).1
}

#[tokio::test(flavor = "multi_thread")]
async fn recorded_sessions_are_opened_used_and_closed() {
    for recording in ["open-close", "idle", "session-options", "exit-in-session", "prompt"] {
        let played = play(recording, |body| body).await;
        assert!(!played.pipelines.is_empty(), "{recording}");
        assert_ends(recording, &played);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorded_stop_leaves_the_session_usable() {
    let played = play("stop", |body| body).await;
    assert_ends("stop", &played);
    let (state, _) = of(&played, "Wait-Cs").end.clone().unwrap();
    assert_eq!(state, PipelineState::Stopped);
    assert_eq!(played.pipelines.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn recorded_empty_receives_time_out_and_repeat() {
    // Three minutes in the recording.
    let played = play("client-timedout-fault", |body| body.replace("PT3M", "PT1S")).await;
    assert_ends("client-timedout-fault", &played);
    assert!(played.silences > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn recorded_large_answers_and_inputs_are_complete() {
    let played = play("large-output", |body| body).await;
    assert_ends("large-output", &played);
    assert_eq!(of(&played, "Get-CsOneBig").output[0].as_str().unwrap().len(), 400_000);
    assert_eq!(of(&played, "Get-CsBig").output.len(), 120);
    let played = play("large-input", |body| body).await;
    assert_ends("large-input", &played);
    assert_eq!(of(&played, "Measure-CsInput").output.last(), Some(&Value::string("total 400")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorded_clients_credentials_are_checked() {
    let server = Server::start(Options::default()).await.unwrap();
    let client = Client::new(&server);
    let named = regex::Regex::new(r#"(Name="ShellId"[^>]*>)[^<]*<"#).unwrap();
    for recording in ["wrong-password", "client-401bearer", "client-redir302", "client-fault"] {
        let [create] = requests(recording).try_into().unwrap();
        let answer = client.send(&create, USER, "not it").await;
        assert_eq!(answer.status().as_u16(), 401, "{recording}");
        let offered = answer.headers()["www-authenticate"].to_str().unwrap();
        assert!(offered.starts_with("Basic "), "{offered}");
        assert_eq!(server.shells().len(), 0);
        assert!(matches!(client.ask(&create).await, Response::Created { .. }), "{recording}");
        assert_eq!(server.shells().len(), 1);
        let id = server.shells()[0].id.clone();
        let delete = requests("open-close").pop().unwrap();
        let delete = named.replace(&delete, format!("${{1}}{id}<"));
        assert_eq!(client.ask(&delete).await, Response::Deleted);
    }
}

/// Sealed bodies need Negotiate, which the simulator does not offer: the client gets the offered schemes.
#[tokio::test(flavor = "multi_thread")]
async fn a_recorded_negotiation_gets_the_offered_schemes() {
    let server = Server::start(Options::default()).await.unwrap();
    for row in rows("negotiate-http").iter().filter(|row| row["from"] == "client").take(4) {
        let mut request = http().post(&server.url).header("Authorization", "Negotiate AAAA");
        for header in row["headers"].as_array().unwrap() {
            let (name, value) = (header[0].as_str().unwrap(), header[1].as_str().unwrap());
            if name.eq_ignore_ascii_case("content-type") {
                request = request.header(name, value);
            }
        }
        let body = STANDARD.decode(row["body"].as_str().unwrap()).unwrap();
        let answer = request.body(body).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 401);
        assert!(answer.headers()["www-authenticate"].to_str().unwrap().starts_with("Basic "));
    }
}
