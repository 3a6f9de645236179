//! Recorded responses of a real server, sent to our client in the recorded order: the pool opens, pipelines
//! end, every message arrives, and the shell is deleted.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use lyncsh::psrp::client::{Outgoing, Stream};
use lyncsh::psrp::fragment::Defragmenter;
use lyncsh::psrp::message::{Message, MessageType};
use lyncsh::transport::wsman::connect;
use lyncsh::transport::wsman::envelope::{
    RequestEnvelope, Response, ResponseEnvelope, SignalCode, StreamPart, WsmanRequest as Asks,
};
use lyncsh::transport::{ConnectionEvent, ConnectionRequest};
use tokio::sync::{Notify, oneshot};
use tokio::time::timeout;
use uuid::Uuid;

use crate::wsman_client_http::{Answer, PATIENCE, Server, endpoint, http};

/// Joins the client's fragments into messages, per stream.
#[derive(Default)]
struct Joiner(HashMap<(Option<Uuid>, String), Defragmenter>);

impl Joiner {
    /// Returns the messages that a request completes.
    fn push(&mut self, request: &Asks) -> Vec<Outgoing> {
        match request {
            Asks::Create(create) => self.part(None, "stdin", &create.data),
            Asks::Command { id, arguments, .. } => self.part(*id, "stdin", arguments),
            Asks::Send(parts) => {
                let part = |part: &StreamPart| self.part(part.command, &part.name, &part.data);
                parts.iter().flat_map(part).collect()
            }
            _ => Vec::new(),
        }
    }

    fn part(&mut self, command: Option<Uuid>, name: &str, data: &[u8]) -> Vec<Outgoing> {
        let whole = self.0.entry((command, name.to_owned())).or_default().push(data).unwrap();
        let stream = if name == "pr" { Stream::PromptResponse } else { Stream::Default };
        let outgoing = |bytes: &Vec<u8>| Outgoing { stream, message: Message::decode(bytes).unwrap() };
        whole.iter().map(outgoing).collect()
    }
}

/// Progress of a client, which a response has to wait for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Progress {
    commands: usize,
    messages: usize,
    signals: usize,
    deleted: bool,
}

impl Progress {
    fn add(&mut self, request: &Asks, messages: usize) {
        self.messages += messages;
        match request {
            Asks::Command { .. } => self.commands += 1,
            Asks::Signal { .. } => self.signals += 1,
            Asks::Delete => self.deleted = true,
            _ => {}
        }
    }
    fn reaches(&self, other: &Self) -> bool {
        self.commands >= other.commands
            && self.messages >= other.messages
            && self.signals >= other.signals
            && self.deleted >= other.deleted
    }
}

/// A response, and the recorded client's progress at that time.
struct Kept {
    after: Progress,
    answer: Vec<u8>,
}

/// The recorded request that corresponds to a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Create,
    Command(Option<Uuid>),
    Receive(Option<Uuid>),
    Signal(Option<Uuid>, String),
    Delete,
    Send,
}

impl Kind {
    fn of(request: &Asks) -> Self {
        match request {
            Asks::Create(_) => Self::Create,
            Asks::Command { id, .. } => Self::Command(*id),
            Asks::Receive { command, .. } => Self::Receive(*command),
            Asks::Signal { command, code } => Self::Signal(*command, format!("{code:?}")),
            Asks::Delete => Self::Delete,
            Asks::Send(_) => Self::Send,
            other => panic!("the recordings have no {other:?}"),
        }
    }
}

/// A recorded session.
struct Recording {
    pool: Uuid,
    opening: Vec<Outgoing>,
    /// The recorded client's steps after Create, each with the number of messages received before.
    steps: Vec<(usize, Step)>,
    answers: HashMap<Kind, VecDeque<Kept>>,
    /// Types of all messages from the server.
    said: Vec<MessageType>,
}

enum Step {
    Send(Outgoing),
    Stop(Uuid),
    Close(Uuid),
}

fn load(name: &str) -> Recording {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "wsman", name].iter().collect();
    let text = std::fs::read_to_string(path).unwrap();
    let rows = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let mut asking = HashMap::new();
    let mut sent = Joiner::default();
    let mut received: HashMap<Option<Uuid>, Defragmenter> = HashMap::new();
    let mut progress = Progress::default();
    let mut recording = Recording {
        pool: Uuid::nil(),
        opening: Vec::new(),
        steps: Vec::new(),
        answers: HashMap::new(),
        said: Vec::new(),
    };
    for row in rows.filter(|row| row.get("start_line").is_some()) {
        let body = row["body"].as_str().unwrap().as_bytes();
        if row["from"] == "client" {
            let request = RequestEnvelope::read(body).unwrap().request;
            let messages = sent.push(&request);
            progress.add(&request, messages.len());
            let before = recording.said.len();
            match &request {
                Asks::Create(create) => {
                    recording.pool = create.shell_id.as_ref().unwrap().parse().unwrap();
                    recording.opening = messages;
                }
                Asks::Signal { command, code: SignalCode::Stop } => {
                    recording.steps.push((before, Step::Stop(command.unwrap())));
                }
                Asks::Signal { command, .. } => {
                    recording.steps.push((before, Step::Close(command.unwrap())));
                }
                _ => {
                    let steps = messages.into_iter().map(|message| (before, Step::Send(message)));
                    recording.steps.extend(steps);
                }
            }
            asking.insert(row["conn"].as_u64(), Kind::of(&request));
        } else {
            let kind = asking.remove(&row["conn"].as_u64()).unwrap();
            if let Response::Received(answer) = ResponseEnvelope::read(body).unwrap().response {
                let Kind::Receive(command) = kind else { panic!("{kind:?}") };
                for part in answer.streams {
                    let joined = received.entry(command).or_default().push(&part.data).unwrap();
                    let kinds = joined.iter().map(|bytes| Message::decode(bytes).unwrap().kind);
                    recording.said.extend(kinds);
                }
            }
            let status = row["start_line"].as_str().unwrap().split_once(' ').unwrap().1;
            let answer = http(status, &[("Content-Type", "application/soap+xml")], body).unwrap();
            let kept = Kept { after: progress, answer };
            recording.answers.entry(kind).or_default().push_back(kept);
        }
    }
    recording
}

/// State of the replaying server.
struct Replay {
    state: Mutex<(Progress, Joiner, HashMap<Kind, VecDeque<Kept>>)>,
    moved: Notify,
}

impl Replay {
    async fn answer(self: Arc<Self>, body: Vec<u8>) -> Answer {
        let request = RequestEnvelope::read(&body).unwrap();
        assert!(body.len() <= 153_600, "{} bytes", body.len());
        let kind = Kind::of(&request.request);
        {
            let mut state = self.state.lock().unwrap();
            let messages = state.1.push(&request.request).len();
            state.0.add(&request.request, messages);
        }
        self.moved.notify_waiters();
        if kind == Kind::Send {
            // Our client splits messages differently, so the number of requests may differ.
            let answer = ResponseEnvelope {
                message_id: "uuid:1".to_owned(),
                relates_to: Some(request.header.message_id),
                response: Response::Sent,
            };
            return http("200 OK", &[("Content-Type", "application/soap+xml")], &answer.write());
        }
        loop {
            let moved = self.moved.notified();
            tokio::pin!(moved);
            moved.as_mut().enable();
            {
                let mut state = self.state.lock().unwrap();
                let (progress, _, answers) = &mut *state;
                let kept = answers.get(&kind).and_then(VecDeque::front);
                let ready = kept
                    .is_some_and(|kept| !matches!(kind, Kind::Receive(_)) || progress.reaches(&kept.after));
                if ready {
                    return answers.get_mut(&kind).unwrap().pop_front().map(|kept| kept.answer);
                }
            }
            moved.await;
        }
    }
}

async fn replayed(name: &str) {
    let recording = load(name);
    let replay = Arc::new(Replay {
        state: Mutex::new((Progress::default(), Joiner::default(), recording.answers)),
        moved: Notify::new(),
    });
    let serving = replay.clone();
    let server = Server::start(None, move |asked| serving.clone().answer(asked.body)).await;
    let endpoint = endpoint(&format!("http://127.0.0.1:{}/wsman", server.port));
    let opened = connect(endpoint, recording.pool, recording.opening, |_| true).await;
    let (mut connection, _) = opened.unwrap_or_else(|error| panic!("{name}: {error}"));

    let mut said = Vec::new();
    let mut closed = 0;
    let mut closes = 0;
    for (before, step) in recording.steps {
        while said.len() < before {
            let event = timeout(PATIENCE, connection.events.recv()).await;
            let event = event.unwrap_or_else(|_| panic!("{name}: {} of {before} messages", said.len()));
            match event.unwrap() {
                ConnectionEvent::Message(message) => said.push(message.kind),
                ConnectionEvent::PipelineClosed(_) => closed += 1,
                ConnectionEvent::StopAcknowledged(_) => {}
                other => panic!("{name}: {other:?}"),
            }
        }
        let (ordered, in_order) = oneshot::channel();
        let (request, wait) = match step {
            Step::Send(outgoing) => (ConnectionRequest::Send { outgoing, ordered: Some(ordered) }, true),
            Step::Stop(id) => (ConnectionRequest::Stop(id), false),
            Step::Close(id) => {
                closes += 1;
                (ConnectionRequest::ClosePipeline(id), false)
            }
        };
        connection.requests.send(request).await.unwrap();
        if wait {
            timeout(PATIENCE, in_order).await.unwrap().unwrap();
        }
    }
    while closed < closes || said.len() < recording.said.len() {
        let event = timeout(PATIENCE, connection.events.recv()).await;
        match event.unwrap_or_else(|_| panic!("{name}: {said:?}")).unwrap() {
            ConnectionEvent::Message(message) => said.push(message.kind),
            ConnectionEvent::PipelineClosed(_) => closed += 1,
            ConnectionEvent::StopAcknowledged(_) => {}
            other => panic!("{name}: {other:?}"),
        }
    }
    let (reply, done) = oneshot::channel();
    connection.requests.send(ConnectionRequest::Close(reply)).await.unwrap();
    timeout(PATIENCE, done).await.unwrap().unwrap().unwrap();
    let last = timeout(PATIENCE, connection.events.recv()).await.unwrap();
    assert!(matches!(last, Some(ConnectionEvent::Closed)), "{name}: {last:?}");

    let count = |kinds: &[MessageType]| {
        let mut counts: HashMap<u32, usize> = HashMap::new();
        kinds.iter().for_each(|kind| *counts.entry(*kind as u32).or_default() += 1);
        counts
    };
    assert_eq!(count(&said), count(&recording.said), "{name}");
    // A real server's shell accepts fewer connections than the vendor's client uses: connections are reused.
    let asked = server.requests();
    let connections = asked.iter().map(|asked| asked.connection).max().unwrap() + 1;
    assert!(connections <= 8, "{name}: {connections} connections for {} requests", asked.len());
    assert!(matches!(
        RequestEnvelope::read(&asked.last().unwrap().body).unwrap().request,
        Asks::Delete | Asks::Receive { .. }
    ));
}

macro_rules! replay {
    ($($name:ident: $file:literal;)*) => {$(
        #[tokio::test]
        async fn $name() {
            replayed($file).await;
        }
    )*};
}

replay! {
    a_recorded_session_is_opened_and_closed: "open-close.jsonl";
    a_recorded_pipeline_is_stopped: "stop.jsonl";
    recorded_prompts_are_answered: "prompt.jsonl";
    recorded_idle_answers_mean_repeat: "idle.jsonl";
    recorded_timeout_faults_mean_repeat: "client-timedout-fault.jsonl";
    recorded_large_output_arrives: "large-output.jsonl";
    recorded_large_input_is_sent: "large-input.jsonl";
    a_recorded_session_exits: "exit-in-session.jsonl";
    a_recorded_session_with_options_goes_on: "session-options.jsonl";
}
