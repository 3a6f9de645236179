//! Recordings of real PowerShell, read by the protocol's types and replayed against both of its ends.

use std::collections::HashMap;
use std::sync::LazyLock;

use base64::Engine as _;
use lyncsh::psrp::client::{self, ClientPool, PipelineEvent, ProtocolError};
use lyncsh::psrp::clixml::{self, Secure, Value};
use lyncsh::psrp::fragment::{Defragmenter, Fragmenter};
use lyncsh::psrp::host::{HostCall, HostInfo, HostMethod, HostResponse};
use lyncsh::psrp::message::{Destination, Message, MessageType};
use lyncsh::psrp::pipeline::{MetadataQuery, Pipeline};
use lyncsh::psrp::pool::{InitRunspacePool, Protocol, SessionCapability};
use lyncsh::psrp::record::{
    ErrorRecord, InformationRecord, PipelineState, PoolState, ProgressRecord, TextRecord,
};
use lyncsh::psrp::server::{self, ServerPool};
use secrecy::ExposeSecret;
use uuid::Uuid;

const RECORDINGS: [&str; 12] = [
    "client-killed",
    "console-style",
    "enter-pssession",
    "help",
    "import",
    "large",
    "large-input",
    "open-close",
    "prompts",
    "securestring-2.3",
    "securestring-2.4",
    "stop",
];

/// All of them: `streams` too.
fn recordings() -> impl Iterator<Item = &'static str> {
    RECORDINGS.into_iter().chain(["streams"])
}

/// One message of a recording.
struct Said {
    by_client: bool,
    bytes: Vec<u8>,
    message: Message,
}

/// The messages of a recording, in the order in which their last byte came.
fn messages(recording: &str) -> Vec<Said> {
    let path = format!("{}/tests/transcripts/{recording}.jsonl", env!("CARGO_MANIFEST_DIR"));
    let element =
        regex::Regex::new("<(\\w+)(?: Stream='(\\w+)')? PSGuid='([^']+)'\\s*(?:/>|>([^<]*)<)").unwrap();
    let mut streams: HashMap<(bool, String, String), Defragmenter> = HashMap::new();
    let mut said = Vec::new();
    for line in std::fs::read_to_string(path).unwrap().lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let by_client = row["from"] == "client";
        let Some(parts) = element.captures(row["line"].as_str().unwrap()) else { continue };
        let Some(data) = parts.get(4) else { continue };
        let data = base64::engine::general_purpose::STANDARD.decode(data.as_str()).unwrap();
        let stream = parts.get(2).map_or("", |stream| stream.as_str()).to_owned();
        let defragmenter = streams.entry((by_client, stream, parts[3].to_owned())).or_default();
        for bytes in defragmenter.push(&data).unwrap() {
            let message = Message::decode(&bytes).unwrap();
            said.push(Said { by_client, bytes, message });
        }
    }
    assert!(streams.values().all(|stream| !stream.is_partial()), "{recording}");
    said
}

/// Every message of every recording, read once.
fn all() -> impl Iterator<Item = (&'static str, &'static Said)> {
    static ALL: LazyLock<Vec<(&str, Said)>> = LazyLock::new(|| {
        recordings()
            .flat_map(|recording| messages(recording).into_iter().map(move |said| (recording, said)))
            .collect()
    });
    ALL.iter().map(|(recording, said)| (*recording, said))
}

fn bodies(kind: MessageType) -> Vec<Value> {
    let bodies: Vec<_> = all()
        .filter(|(_, said)| said.message.kind == kind)
        .map(|(_, said)| clixml::read(&said.message.body).unwrap())
        .collect();
    assert!(!bodies.is_empty(), "no {kind:?} was recorded");
    bodies
}

#[test]
fn every_message_of_powershell_reads_and_is_written_as_it_was() {
    let (mut count, mut cycles) = (0, 0);
    for (recording, Said { by_client, bytes, message }) in all() {
        count += 1;
        assert_eq!(message.destination == Destination::Server, *by_client);
        assert_eq!(message.encode(), *bytes, "{recording} {:?}", message.kind);
        if message.body.is_empty() {
            assert_eq!(message.kind, MessageType::EndOfPipelineInput);
            continue;
        }
        let value = clixml::read(&message.body).unwrap();
        let written = clixml::write(&value);
        assert_eq!(clixml::read(&written).unwrap(), value, "{recording} {:?}", message.kind);
        if written != message.body {
            // Exceptions that hold the record that holds them: a cycle, which is cut with a null.
            let cut =
                message.body.replacen("<Ref N=\"Exception\" RefId=\"1\" />", "<Nil N=\"Exception\" />", 1);
            assert_eq!(written, cut, "{recording} {:?}", message.kind);
            cycles += 1;
        }
    }
    assert_eq!((count, cycles), (896, 2));
}

#[test]
fn powershells_messages_survive_any_fragment_size() {
    for said in messages("large-input") {
        for size in [1, 7, 1000, 32_747, usize::MAX] {
            let stream = Fragmenter::default().cut(&said.bytes, size).concat();
            let mut defragmenter = Defragmenter::default();
            let joined: Vec<_> =
                stream.chunks(size.min(32_768)).flat_map(|piece| defragmenter.push(piece).unwrap()).collect();
            assert_eq!(joined, std::slice::from_ref(&said.bytes));
        }
    }
}

#[test]
fn what_powershell_opens_and_asks_is_understood_and_written_in_its_shape() {
    for body in bodies(MessageType::SessionCapability) {
        assert_eq!(SessionCapability::read(&body).unwrap().to_value(), body);
    }
    for body in bodies(MessageType::InitRunspacePool) {
        let init = InitRunspacePool::read(&body).unwrap();
        assert_eq!((init.min_runspaces, init.max_runspaces), (1, 1));
        assert!(!init.host.is_null);
        assert_eq!(init.to_value(), body);
    }
    for body in bodies(MessageType::GetCommandMetadata) {
        let query = MetadataQuery::read(&body).unwrap();
        assert_eq!(query.command_type, 271);
        assert_eq!(MetadataQuery::read(&query.to_value()).unwrap(), query);
        assert_eq!(query.to_value().property("CommandType"), body.property("CommandType"));
        assert_eq!(query.to_value().property("Name"), body.property("Name"));
    }
    for body in bodies(MessageType::CreatePipeline) {
        let pipeline = Pipeline::read(&body).unwrap();
        let written = pipeline.to_value();
        assert_eq!(Pipeline::read(&written).unwrap(), pipeline);
        assert_eq!(shape(&written), shape(&body));
        for name in ["NoInput", "AddToHistory", "HostInfo", "IsNested", "ApartmentState"] {
            assert_eq!(written.property(name), body.property(name), "{name}");
        }
    }
}

/// The names of a CREATE_PIPELINE's properties, and of its commands'.
fn shape(value: &Value) -> Vec<String> {
    let names = |value: &Value| -> Vec<String> {
        value.as_object().unwrap().properties().map(|(name, _)| name.to_owned()).collect()
    };
    let powershell = value.property("PowerShell").unwrap();
    let commands = powershell.property("Cmds").unwrap().items().unwrap();
    [names(value), names(powershell), commands.iter().flat_map(names).collect()].concat()
}

#[test]
fn a_proxys_arguments_and_a_typed_lines_mean_the_same() {
    let (mut proxied, mut typed) = (0, 0);
    for body in bodies(MessageType::CreatePipeline) {
        for command in Pipeline::read(&body).unwrap().commands {
            for argument in &command.arguments {
                let Some(name) = &argument.name else { continue };
                assert!(name.chars().all(char::is_alphanumeric), "{name}");
                match (name.as_str(), &argument.value) {
                    ("PolicyName", Some(value)) => {
                        assert_eq!(value.as_str(), Some("Gold"));
                        proxied += 1;
                    }
                    ("Confirm", None) => typed += 1,
                    _ => {}
                }
            }
        }
    }
    assert_eq!((proxied, typed), (1, 1));
}

#[test]
fn host_calls_and_answers_are_read_and_written_in_powershells_shape() {
    let mut asked = Vec::new();
    for body in bodies(MessageType::PipelineHostCall) {
        let call = HostCall::read(&body).unwrap();
        assert_eq!(call.wants_answer(), call.method.wants_answer(), "{:?}", call.method);
        assert_eq!(call.to_value(), body);
        if call.wants_answer() {
            asked.push((call.call_id, call.method));
        }
    }
    let mut answered = Vec::new();
    for body in bodies(MessageType::PipelineHostResponse) {
        let response = HostResponse::read(&body).unwrap();
        assert_eq!(response.to_value(), body);
        answered.push((response.call_id, response.method));
    }
    assert_eq!(answered, asked);

    let refused = HostResponse { call_id: 3, method: HostMethod::ReadLine, result: Err("no".into()) };
    assert_eq!(HostResponse::read(&refused.to_value()).unwrap(), refused);
}

#[test]
fn records_are_read_and_written_in_powershells_shape() {
    for kind in [MessageType::WarningRecord, MessageType::VerboseRecord, MessageType::DebugRecord] {
        for body in bodies(kind) {
            let record = TextRecord::read(&body);
            assert!(["careful", "wordy", "deep"].contains(&record.message.as_str()));
            // A record that carries its invocation says so.
            if body.property("InformationalRecord_SerializeInvocationInfo") == Some(&false.into()) {
                assert_eq!(record.to_value(kind), body);
            }
        }
    }
    for body in bodies(MessageType::ProgressRecord) {
        assert_eq!(ProgressRecord::read(&body).to_value(), body);
    }
    for body in bodies(MessageType::InformationRecord) {
        let record = InformationRecord::read(&body);
        assert!(["info", "hosted"].contains(&record.message.display_text().as_str()));
        let written = record.to_value();
        assert_eq!(names(&written), names(&body));
        assert_eq!(InformationRecord::read(&written), record);
    }
}

fn names(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().properties().map(|(name, _)| name).collect()
}

#[test]
fn error_records_are_read_in_full_and_made_in_powershells_shape() {
    for (recording, said) in all() {
        let record = match said.message.kind {
            MessageType::ErrorRecord => {
                Some(Box::new(ErrorRecord::read(&clixml::read(&said.message.body).unwrap())))
            }
            MessageType::PipelineState => {
                PipelineState::read(&clixml::read(&said.message.body).unwrap()).unwrap().1
            }
            _ => None,
        };
        let Some(record) = record else { continue };
        assert_eq!(record.to_value(), record.value, "what was read is passed on as it came");

        // The same record made here has every property that PowerShell's has, but for traces of scripts.
        let mut made = ErrorRecord { value: Value::Null, ..(*record).clone() };
        let written = made.to_value();
        let theirs: Vec<_> = names(&record.value)
            .into_iter()
            .filter(|name| !["PSMessageDetails", "ErrorDetails_ScriptStackTrace"].contains(name))
            .collect();
        assert_eq!(names(&written), theirs, "{recording}");
        assert_eq!(written.type_names(), record.value.type_names());
        let (ours, theirs) =
            (written.property("Exception").unwrap(), record.value.property("Exception").unwrap());
        assert_eq!(ours.type_names(), theirs.type_names());
        for name in ["FullyQualifiedErrorId", "TargetObject", "ErrorCategory_Message"] {
            assert_eq!(written.property(name), record.value.property(name));
        }
        assert_eq!(written.display_text(), record.value.display_text());
        assert_eq!(ErrorRecord { value: Value::Null, ..ErrorRecord::read(&written) }, made);

        let message = made.category_message.clone();
        made.set_category(made.category);
        if made.category_target_name.is_empty() || made.category_target_type == "String" {
            assert_eq!(made.category_message, message);
        }
    }
}

/// What a pool's end was told of a recording.
#[derive(Debug, Default, PartialEq)]
struct Told {
    /// How often each type of message came.
    counts: HashMap<&'static str, usize>,
    ends: HashMap<Uuid, PipelineState>,
    pool: Option<PoolState>,
    secrets: Vec<String>,
    errors: Vec<String>,
}

impl Told {
    fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    /// Readable secrets anywhere in a value.
    fn keep_secrets(&mut self, value: &Value) {
        match value {
            Value::Secure(Secure::Plain(secret)) => self.secrets.push(secret.expose_secret().to_owned()),
            Value::Object(object) => {
                object.properties().for_each(|(_, value)| self.keep_secrets(value));
                value.items().unwrap_or_default().iter().for_each(|item| self.keep_secrets(item));
                value.entries().unwrap_or_default().iter().for_each(|(_, value)| self.keep_secrets(value));
            }
            _ => {}
        }
    }
}

/// The server's half of a recording, told to a client of ours.
fn client_hears(recording: &str) -> Told {
    let said = messages(recording);
    let pool_id = said[0].message.pool;
    let mut pool = ClientPool::new(pool_id, HostInfo::default(), (1, 1)).speaking(Protocol::V2_4);
    pool.open();
    let opening: Vec<_> = pool.take_outgoing().into_iter().map(|out| out.message.kind).collect();
    assert_eq!(opening, [MessageType::SessionCapability, MessageType::InitRunspacePool]);
    let mut told = Told::default();
    for Said { by_client, message, .. } in said {
        if by_client {
            if [MessageType::CreatePipeline, MessageType::GetCommandMetadata].contains(&message.kind) {
                pool.adopt(message.pipeline);
            }
            continue;
        }
        let events = match pool.receive(&message) {
            Ok(events) => events,
            Err(error) => {
                told.errors.push(error.to_string());
                continue;
            }
        };
        for event in events {
            match event {
                client::Event::PoolState(state, _) => told.pool = Some(state),
                client::Event::ApplicationPrivateData(data) => {
                    assert!(data.get("PSVersionTable").unwrap().get("PSVersion").is_some());
                    told.count("private data");
                }
                client::Event::Pipeline(id, event) => {
                    let what = match &event {
                        PipelineEvent::Output(value) => {
                            told.keep_secrets(value);
                            "output"
                        }
                        PipelineEvent::Error(_) => "error",
                        PipelineEvent::Warning(_) => "warning",
                        PipelineEvent::Verbose(_) => "verbose",
                        PipelineEvent::Debug(_) => "debug",
                        PipelineEvent::Progress(_) => "progress",
                        PipelineEvent::Information(_) => "information",
                        PipelineEvent::HostCall(_) => "host call",
                        PipelineEvent::State(state, _) => {
                            told.ends.insert(id, *state);
                            "state"
                        }
                    };
                    told.count(what);
                }
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(told.pool, Some(pool.state()));
    told
}

#[test]
fn a_client_hears_what_a_real_server_says_to_the_end() {
    for recording in recordings() {
        let told = client_hears(recording);
        let said = messages(recording);
        let sent = |kind| said.iter().filter(|said| !said.by_client && said.message.kind == kind).count();
        for (what, kind) in [
            ("output", MessageType::PipelineOutput),
            ("error", MessageType::ErrorRecord),
            ("warning", MessageType::WarningRecord),
            ("verbose", MessageType::VerboseRecord),
            ("debug", MessageType::DebugRecord),
            ("progress", MessageType::ProgressRecord),
            ("information", MessageType::InformationRecord),
            ("host call", MessageType::PipelineHostCall),
            ("state", MessageType::PipelineState),
        ] {
            assert_eq!(told.counts.get(what).copied().unwrap_or_default(), sent(kind), "{recording}: {what}");
        }
        let created = said.iter().filter(|said| {
            [MessageType::CreatePipeline, MessageType::GetCommandMetadata].contains(&said.message.kind)
        });
        let killed = recording == "client-killed";
        assert_eq!(told.ends.len(), created.count() - usize::from(killed), "{recording}");
        assert!(told.ends.values().all(|state| state.is_final()), "{recording}");
        assert_eq!(
            told.pool,
            Some(if killed { PoolState::Closing } else { PoolState::Closed }),
            "{recording}"
        );
        // The one key that can't be known: the pair that opens it was PowerShell's.
        let unknown = usize::from(recording == "securestring-2.3");
        assert_eq!(told.errors.len(), unknown, "{recording}: {:?}", told.errors);
    }
    let stopped = client_hears("stop").ends;
    assert_eq!(stopped.values().filter(|state| **state == PipelineState::Stopped).count(), 1);
    let failed = client_hears("streams").ends;
    assert_eq!(failed.values().filter(|state| **state == PipelineState::Failed).count(), 1);
    assert!(!client_hears("securestring-2.4").secrets.is_empty());
}

/// The client's half of a recording, told to a server of ours, whose pipelines end when the real ones did.
fn server_hears(recording: &str) -> Told {
    let private_data = Value::primitive_dictionary([]);
    let mut pool = ServerPool::new(private_data).speaking(Protocol::V2_4);
    let mut told = Told::default();
    for Said { by_client, message, .. } in messages(recording) {
        if !by_client {
            if message.kind == MessageType::PipelineState {
                let (state, error) = PipelineState::read(&clixml::read(&message.body).unwrap()).unwrap();
                told.ends.insert(message.pipeline, state);
                pool.pipeline_state(message.pipeline, state, error.as_deref());
            }
            continue;
        }
        let events = match pool.receive(&message) {
            Ok(events) => events,
            Err(error) => {
                told.errors.push(error.to_string());
                continue;
            }
        };
        for event in events {
            match event {
                server::Event::Open { host, application_arguments, .. } => {
                    assert!(host.window == (80, 24) || host.window == (100, 60), "{host:?}");
                    assert!(application_arguments.get("PSVersionTable").is_some());
                    pool.opened();
                    let kinds: Vec<_> = pool.take_outgoing().iter().map(|message| message.kind).collect();
                    assert_eq!(
                        kinds,
                        [
                            MessageType::SessionCapability,
                            MessageType::ApplicationPrivateData,
                            MessageType::RunspacePoolState
                        ]
                    );
                    told.count("open");
                }
                server::Event::CreatePipeline(_, pipeline) => {
                    let arguments = pipeline.commands.iter().flat_map(|command| &command.arguments);
                    arguments
                        .filter_map(|argument| argument.value.as_ref())
                        .for_each(|value| told.keep_secrets(value));
                    told.count("pipeline");
                }
                server::Event::CommandMetadata(..) => told.count("metadata"),
                server::Event::Input(..) => told.count("input"),
                server::Event::EndInput(_) => told.count("end of input"),
                server::Event::HostResponse(Some(_), response) => {
                    if let Ok(Some(value)) = &response.result {
                        told.keep_secrets(value);
                    }
                    told.count("host response");
                }
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(pool.pipelines().count(), usize::from(recording == "client-killed"), "{recording}");
    told
}

#[test]
fn a_server_hears_what_a_real_client_says_to_the_end() {
    for recording in recordings() {
        let told = server_hears(recording);
        let said = messages(recording);
        let sent = |kind| said.iter().filter(|said| said.by_client && said.message.kind == kind).count();
        // What was sealed under a key that only PowerShell knew.
        let unknown = usize::from(recording == "securestring-2.3");
        for (what, kind) in [
            ("open", MessageType::InitRunspacePool),
            ("metadata", MessageType::GetCommandMetadata),
            ("input", MessageType::PipelineInput),
            ("end of input", MessageType::EndOfPipelineInput),
            ("host response", MessageType::PipelineHostResponse),
        ] {
            assert_eq!(told.counts.get(what).copied().unwrap_or_default(), sent(kind), "{recording}: {what}");
        }
        let pipelines = told.counts.get("pipeline").copied().unwrap_or_default();
        assert_eq!(pipelines, sent(MessageType::CreatePipeline) - unknown, "{recording}");
        assert_eq!(told.errors.len(), unknown, "{recording}: {:?}", told.errors);
    }
    let secrets = server_hears("securestring-2.4").secrets;
    assert!(secrets.iter().all(|secret| secret == "correct horse"), "{}", secrets.len());
    assert_eq!(secrets.len(), 2);
    let mut typed = server_hears("prompts").secrets;
    typed.sort();
    typed.dedup();
    assert_eq!(typed, ["pw", "secret"]);
}

#[test]
fn a_real_clients_public_key_gets_a_session_key() {
    let said = messages("securestring-2.3");
    let mut pool = ServerPool::new(Value::primitive_dictionary([]));
    for Said { message, .. } in said.iter().filter(|said| said.by_client) {
        let Ok(events) = pool.receive(message) else { break };
        if !events.is_empty() && pool.state() == PoolState::Opening {
            pool.opened();
        }
    }
    assert_eq!(pool.protocol(), Protocol::V2_3);
    let sent = pool.take_outgoing();
    let key = sent.iter().find(|message| message.kind == MessageType::EncryptedSessionKey).unwrap();
    let theirs = said.iter().find(|said| said.message.kind == MessageType::EncryptedSessionKey).unwrap();
    let blob = |message: &Message| {
        let body = clixml::read(&message.body).unwrap();
        let text = body.property("EncryptedSessionKey").unwrap().as_str().unwrap().to_owned();
        base64::engine::general_purpose::STANDARD.decode(text).unwrap()
    };
    assert_eq!(blob(key).len(), blob(&theirs.message).len());
    assert_eq!(blob(key)[..12], blob(&theirs.message)[..12]);
}

/// A client and a server of ours, joined; every message goes through fragments.
struct Pair {
    client: ClientPool,
    server: ServerPool,
    client_events: Vec<client::Event>,
    server_events: Vec<server::Event>,
    /// Types of the messages that went, in order.
    went: Vec<MessageType>,
}

impl Pair {
    fn open() -> Self {
        let mut client = ClientPool::new(Uuid::new_v4(), HostInfo::default(), (1, 1));
        client.open();
        let server = ServerPool::new(Value::primitive_dictionary([]));
        let mut pair =
            Self { client, server, client_events: Vec::new(), server_events: Vec::new(), went: Vec::new() };
        pair.exchange();
        assert!(matches!(pair.server_events[..], [server::Event::Open { .. }]));
        pair.server.opened();
        pair.exchange();
        assert_eq!(pair.client.state(), PoolState::Opened);
        pair
    }

    fn carry(message: &Message) -> Message {
        let mut defragmenter = Defragmenter::default();
        let fragments = Fragmenter::default().cut(&message.encode(), 100).concat();
        Message::decode(&defragmenter.push(&fragments).unwrap()[0]).unwrap()
    }

    /// Until neither has more to say.
    fn exchange(&mut self) {
        loop {
            let (asked, answered) = (self.client.take_outgoing(), self.server.take_outgoing());
            if asked.is_empty() && answered.is_empty() {
                return;
            }
            for out in asked {
                self.went.push(out.message.kind);
                self.server_events.extend(self.server.receive(&Self::carry(&out.message)).unwrap());
            }
            for message in answered {
                self.went.push(message.kind);
                self.client_events.extend(self.client.receive(&Self::carry(&message)).unwrap());
            }
        }
    }
}

fn secret(text: &str) -> Value {
    Value::secure(text.to_owned().into())
}

#[test]
fn a_secret_waits_for_the_key_and_nothing_passes_it() {
    let mut pair = Pair::open();
    let id = pair.client.create_pipeline(&Pipeline { no_input: false, ..Pipeline::new(vec![]) });
    pair.client.input(id, &1.into());
    pair.client.input(id, &Value::array([secret("hunter2")]));
    pair.client.input(id, &3.into());
    pair.client.end_input(id);
    let other = pair.client.create_pipeline(&Pipeline::new(vec![]));
    let first: Vec<_> = pair.client.take_outgoing();
    let kinds: Vec<_> = first.iter().map(|out| (out.message.kind, out.message.pipeline)).collect();
    assert_eq!(
        kinds,
        [
            (MessageType::PublicKey, Uuid::nil()),
            (MessageType::CreatePipeline, id),
            (MessageType::PipelineInput, id),
            (MessageType::CreatePipeline, other),
        ]
    );
    assert!(first.iter().all(|out| !format!("{out:?}").contains("hunter2")));
    for out in first {
        pair.server_events.extend(pair.server.receive(&out.message).unwrap());
    }
    pair.exchange();
    let inputs: Vec<_> = pair
        .server_events
        .iter()
        .filter_map(|event| match event {
            server::Event::Input(_, value) => Some(value.clone()),
            server::Event::EndInput(_) => Some(Value::Null),
            _ => None,
        })
        .collect();
    assert_eq!(inputs, [1.into(), Value::array([secret("hunter2")]), 3.into(), Value::Null]);

    // A second secret needs no second key, and the server's own way back is there too.
    pair.went.clear();
    let call = pair.server.host_call(Some(id), HostMethod::ReadLineAsSecureString, vec![]);
    assert_eq!(call, 1);
    pair.exchange();
    pair.client.respond(
        Some(id),
        &HostResponse {
            call_id: call,
            method: HostMethod::ReadLineAsSecureString,
            result: Ok(Some(secret("pw"))),
        },
    );
    pair.exchange();
    pair.server.output(id, &secret("back"));
    pair.server.pipeline_state(id, PipelineState::Completed, None);
    pair.exchange();
    assert_eq!(
        pair.went,
        [
            MessageType::PipelineHostCall,
            MessageType::PipelineHostResponse,
            MessageType::PipelineOutput,
            MessageType::PipelineState
        ]
    );
    assert!(pair.client_events.contains(&client::Event::Pipeline(id, PipelineEvent::Output(secret("back")))));
    assert!(pair.server_events.iter().any(|event| matches!(event,
        server::Event::HostResponse(Some(_), HostResponse { result: Ok(Some(value)), .. }) if *value == secret("pw"))));
}

#[test]
fn a_server_with_a_secret_to_say_asks_for_the_clients_key() {
    let mut pair = Pair::open();
    let id = pair.client.create_pipeline(&Pipeline::new(vec![]));
    pair.exchange();
    pair.went.clear();
    pair.server.output(id, &"before".into());
    pair.server.output(id, &secret("hunter2"));
    pair.server.pipeline_state(id, PipelineState::Completed, None);
    let first = pair.server.take_outgoing();
    let request = &first[0];
    assert_eq!((request.kind, request.body.as_str()), (MessageType::PublicKeyRequest, "<S></S>"));
    for message in first {
        pair.client_events.extend(pair.client.receive(&message).unwrap());
    }
    pair.exchange();
    let said: Vec<_> = pair.client_events.iter().rev().take(3).rev().cloned().collect();
    assert_eq!(
        said,
        [
            client::Event::Pipeline(id, PipelineEvent::Output("before".into())),
            client::Event::Pipeline(id, PipelineEvent::Output(secret("hunter2"))),
            client::Event::Pipeline(id, PipelineEvent::State(PipelineState::Completed, None)),
        ]
    );
}

#[test]
fn runspaces_can_be_counted_and_asked_for() {
    let mut pair = Pair::open();
    let (available, max) = (pair.client.get_available_runspaces(), pair.client.set_max_runspaces(5));
    pair.exchange();
    assert_eq!(
        pair.server_events[1..],
        [
            server::Event::GetAvailableRunspaces { call_id: available },
            server::Event::SetMaxRunspaces { call_id: max, max: 5 }
        ]
    );
    pair.server.runspace_availability(available, Value::I32(1));
    pair.server.runspace_availability(max, true.into());
    pair.server.user_event(&Value::with_properties(
        [("PSEventArgs.EventIdentifier", 1)].map(|(n, v)| (n, Value::I32(v))),
    ));
    pair.exchange();
    let heard: Vec<_> = pair.client_events.iter().rev().take(3).rev().cloned().collect();
    assert!(matches!(
        &heard[..],
        [
            client::Event::RunspaceAvailability { result: Value::I64(1), .. },
            client::Event::RunspaceAvailability { result: Value::Bool(true), .. },
            client::Event::UserEvent(_),
        ]
    ));
}

#[test]
fn a_peer_out_of_turn_or_of_another_age_is_refused_with_a_reason() {
    let mut server = ServerPool::new(Value::primitive_dictionary([]));
    let message = |kind, value: &Value| Message {
        destination: Destination::Server,
        kind,
        pool: Uuid::new_v4(),
        pipeline: Uuid::nil(),
        body: clixml::write(value),
    };
    let early = message(MessageType::InitRunspacePool, &Value::Null);
    assert!(matches!(server.receive(&early), Err(ProtocolError::Unexpected { .. })));
    let future = SessionCapability { protocol: Protocol { major: 3, minor: 0 } };
    let refused = server.receive(&message(MessageType::SessionCapability, &future.to_value())).unwrap_err();
    assert_eq!(refused.to_string(), "the peer speaks protocol 3.0");
    let none = message(MessageType::SessionCapability, &Value::with_properties::<String>([]));
    assert!(matches!(server.receive(&none), Err(ProtocolError::Missing { .. })));
    let broken = Message { body: "<Obj>".into(), ..message(MessageType::SessionCapability, &Value::Null) };
    assert!(matches!(server.receive(&broken), Err(ProtocolError::Clixml(_))));
}
