//! The client's half of a recording of real PowerShell, sent unchanged. The replay waits for everything that
//! PowerShell waited for: each acknowledgement, the final state before Close, a prompt before its answer.
//!
//! The recorded client used protocol 2.4, which sends SecureStrings in clear text. The agent uses 2.3, with
//! which that client exchanges a key and encrypts them; so does the replay, before the first one it sends. If
//! the recorded client exchanged a key itself, the replay replaces its key and its secrets: the private key
//! is unknown.

use std::collections::{BTreeMap, HashMap, VecDeque};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lyncsh::psrp::client::Stream;
use lyncsh::psrp::clixml::{Value, read, write};
use lyncsh::psrp::fragment::{Defragmenter, Fragmenter};
use lyncsh::psrp::key::{KeyPair, SessionKey, read_clear};
use lyncsh::psrp::message::{Message, MessageType};
use lyncsh::transport::stream::Element;
use tokio::io::{
    AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader, Lines, ReadHalf, WriteHalf,
};
use uuid::Uuid;

use crate::program::PATIENCE;

/// Final states of the pipelines in the order of creation, each with its number of objects.
pub type Ends = Vec<(Uuid, Option<i64>)>;

pub struct Replay<S> {
    rows: VecDeque<(bool, String)>,
    lines: Lines<BufReader<ReadHalf<S>>>,
    writer: WriteHalf<S>,
    joined: HashMap<Uuid, Defragmenter>,
    /// Acknowledgements that were received before they were waited for.
    acknowledged: BTreeMap<String, usize>,
    /// Messages by pipeline.
    pub messages: HashMap<Uuid, Vec<Message>>,
    calls: HashMap<Uuid, VecDeque<i64>>,
    sent: HashMap<Uuid, Defragmenter>,
    /// Key pair for the session key; `true`: replaces the recorded client's.
    pair: Option<(KeyPair, bool)>,
    key: Option<SessionKey>,
}

fn rows(recording: &str) -> VecDeque<(bool, String)> {
    let path = format!("{}/tests/transcripts/{recording}.jsonl", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let row = |row: &str| {
        let row: serde_json::Value = serde_json::from_str(row).unwrap();
        (row["from"] == "client", row["line"].as_str().unwrap().to_owned())
    };
    text.lines().map(row).collect()
}

fn state(message: &Message) -> Option<i64> {
    (message.kind == MessageType::PipelineState)
        .then(|| read(&message.body).unwrap().property("PipelineState").and_then(Value::as_i64))?
        .filter(|state| (3..=5).contains(state))
}

/// Returns the final states of a recording's pipelines.
pub fn recorded_ends(recording: &str) -> Ends {
    let mut joined = HashMap::<Uuid, Defragmenter>::new();
    let mut ends = Ends::new();
    for (from_client, line) in rows(recording) {
        match Element::parse(&line) {
            Ok(Element::Command(id)) if from_client => ends.push((id, None)),
            Ok(Element::Data { id, bytes, .. }) if !from_client => {
                for message in joined.entry(id).or_default().push(&bytes).unwrap() {
                    if let Some(state) = state(&Message::decode(&message).unwrap()) {
                        ends.iter_mut().find(|(of, _)| *of == id).unwrap().1 = Some(state);
                    }
                }
            }
            _ => {}
        }
    }
    ends
}

impl<S: AsyncRead + AsyncWrite> Replay<S> {
    pub fn new(recording: &str, stream: S) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        Self {
            rows: rows(recording),
            lines: BufReader::new(reader).lines(),
            writer,
            joined: HashMap::new(),
            acknowledged: BTreeMap::new(),
            messages: HashMap::new(),
            calls: HashMap::new(),
            sent: HashMap::new(),
            pair: None,
            key: None,
        }
    }

    /// Ends the replay before the first of the client's lines for which `ends` is true.
    pub fn until(mut self, ends: impl Fn(&str) -> bool) -> Self {
        let rest = self.rows.iter().position(|(from_client, line)| *from_client && ends(line));
        self.rows.truncate(rest.unwrap_or(usize::MAX));
        self
    }

    /// Replays the recording to its end; returns the pipelines' final states.
    pub async fn run(&mut self) -> Ends {
        let mut ends = Ends::new();
        while let Some((from_client, line)) = self.rows.pop_front() {
            if line == "<eof>" {
                if from_client {
                    break;
                }
                continue;
            }
            let element = Element::parse(&line).unwrap();
            if !from_client {
                if !matches!(element, Element::Data { .. }) {
                    self.acknowledgement(&line).await;
                }
                continue;
            }
            match element {
                Element::Data { stream, id, bytes } => self.data(stream, id, &bytes, &line).await,
                Element::Signal(id) => {
                    let output = |m: &Message| m.kind == MessageType::PipelineOutput;
                    while !self.messages.get(&id).is_some_and(|all| all.iter().any(output)) {
                        self.read().await;
                    }
                    self.write(&line).await;
                }
                Element::Close(id) if !id.is_nil() => {
                    while self.end(id).is_none() {
                        self.read().await;
                    }
                    self.write(&line).await;
                }
                Element::Command(id) => {
                    ends.push((id, None));
                    self.write(&line).await;
                }
                _ => self.write(&line).await,
            }
        }
        for (id, state) in &mut ends {
            *state = self.end(*id);
        }
        self.writer.shutdown().await.unwrap();
        ends
    }

    fn end(&self, id: Uuid) -> Option<i64> {
        self.messages.get(&id)?.iter().find_map(state)
    }

    async fn acknowledgement(&mut self, line: &str) {
        loop {
            if let Some(count) = self.acknowledged.get_mut(line).filter(|count| **count > 0) {
                *count -= 1;
                return;
            }
            self.read().await;
        }
    }

    /// Sends a Data unchanged except for values of this session: the id of the answered prompt, and the key
    /// of a secret.
    async fn data(&mut self, stream: Stream, id: Uuid, bytes: &[u8], line: &str) {
        let mut changed = Vec::new();
        for message in self.sent.entry(id).or_default().push(bytes).unwrap() {
            let before = Message::decode(&message).unwrap();
            let mut message = before.clone();
            if stream == Stream::PromptResponse {
                message.body = self.renumbered(id, &message.body).await;
            }
            if message.kind == MessageType::PublicKey {
                let pair = KeyPair::generate().unwrap();
                message.body = public_key(&pair);
                self.pair = Some((pair, true));
            }
            if message.body.contains("<SS") {
                message.body = self.sealed(&message).await;
            }
            if message != before {
                changed.push(message);
            }
        }
        if changed.is_empty() {
            return self.write(line).await;
        }
        for message in changed {
            self.send(stream, &message).await;
        }
    }

    async fn send(&mut self, stream: Stream, message: &Message) {
        for bytes in Fragmenter::default().cut(&message.encode(), 32_747) {
            let data = Element::Data { stream, id: message.pipeline, bytes };
            self.write(&data.to_string()).await;
        }
    }

    /// Returns the answer to the oldest prompt of this session.
    async fn renumbered(&mut self, id: Uuid, body: &str) -> String {
        let call = loop {
            if let Some(call) = self.calls.get_mut(&id).and_then(VecDeque::pop_front) {
                break call;
            }
            self.read().await;
        };
        let then = read(body).unwrap().property("ci").and_then(Value::as_i64).unwrap();
        let ci = |ci: i64| format!("<I64 N=\"ci\">{ci}</I64>");
        body.replace(&ci(then), &ci(call))
    }

    /// Returns the body with its secrets encrypted under the session key, which is requested if necessary.
    async fn sealed(&mut self, message: &Message) -> String {
        if self.key.is_none() {
            let pipeline = Uuid::nil();
            if self.pair.is_none() {
                let pair = KeyPair::generate().unwrap();
                let (kind, body) = (MessageType::PublicKey, public_key(&pair));
                let asking = Message { kind, pipeline, body, ..message.clone() };
                self.send(Stream::Default, &asking).await;
                self.acknowledgement(&Element::DataAck(pipeline).to_string()).await;
                self.pair = Some((pair, false));
            }
            let given = |m: &&Message| m.kind == MessageType::EncryptedSessionKey;
            let body = loop {
                if let Some(given) = self.messages.entry(pipeline).or_default().iter().find(given) {
                    break read(&given.body).unwrap();
                }
                self.read().await;
            };
            let sealed = body.property("EncryptedSessionKey").and_then(Value::as_str).unwrap();
            let (pair, _) = self.pair.as_ref().unwrap();
            self.key = Some(pair.open(sealed).unwrap());
        }
        let replaced = self.pair.as_ref().is_some_and(|(_, replaced)| *replaced);
        let key = self.key.as_ref().unwrap();
        let secret = regex::Regex::new("(<SS[^>]*>)([^<]*)</SS>").unwrap();
        let seal = |found: &regex::Captures<'_>| {
            let clear = if replaced {
                "some secret".to_owned().into()
            } else {
                read_clear(&STANDARD.decode(&found[2]).unwrap()).unwrap()
            };
            format!("{}{}</SS>", &found[1], STANDARD.encode(key.encrypt(&clear)))
        };
        secret.replace_all(&message.body, seal).into_owned()
    }

    async fn write(&mut self, line: &str) {
        self.writer.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }

    async fn read(&mut self) {
        let line = tokio::time::timeout(PATIENCE, self.lines.next_line()).await;
        let Ok(Ok(Some(line))) = line else {
            panic!("{line:?}, and still to come: {:.300?}", self.rows);
        };
        let Element::Data { id, bytes, .. } = Element::parse(&line).unwrap() else {
            *self.acknowledged.entry(line).or_default() += 1;
            return;
        };
        for message in self.joined.entry(id).or_default().push(&bytes).unwrap() {
            let message = Message::decode(&message).unwrap();
            if message.kind == MessageType::PipelineHostCall {
                let call = read(&message.body).unwrap().property("ci").and_then(Value::as_i64).unwrap();
                if call != -100 {
                    self.calls.entry(id).or_default().push_back(call);
                }
            }
            self.messages.entry(id).or_default().push(message);
        }
    }
}

fn public_key(pair: &KeyPair) -> String {
    write(&Value::with_properties([("PublicKey", Value::string(pair.public_blob()))]))
}
