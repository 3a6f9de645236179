//! Recordings of real PowerShell, replayed against both ends of the protocol.

use std::collections::HashMap;

use base64::Engine as _;
use lyncsh::psrp::client::{self, ClientPool, PipelineEvent};
use lyncsh::psrp::clixml::{self, Secure, Value};
use lyncsh::psrp::host::HostInfo;
use lyncsh::psrp::message::{Message, MessageType};
use lyncsh::psrp::pool::Protocol;
use lyncsh::psrp::record::{PipelineState, PoolState};
use lyncsh::psrp::server::{self, ServerPool};
use secrecy::ExposeSecret;
use uuid::Uuid;

use crate::psrp_recordings::{RECORDINGS, RecordedMessage, messages};

/// Events of one end of a pool in a recording.
#[derive(Debug, Default, PartialEq)]
struct Observed {
    /// Number of messages by type.
    counts: HashMap<&'static str, usize>,
    ends: HashMap<Uuid, PipelineState>,
    pool: Option<PoolState>,
    secrets: Vec<String>,
    errors: Vec<String>,
}

impl Observed {
    fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    /// Stores the clear-text secrets in a value.
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

/// Replays the server's half of a recording to our client.
fn replay_to_client(recording: &str) -> Observed {
    let recorded = messages(recording);
    let pool_id = recorded[0].message.pool;
    let mut pool = ClientPool::new(pool_id, HostInfo::default(), (1, 1)).with_protocol(Protocol::V2_4);
    pool.open();
    let opening: Vec<_> = pool.take_outgoing().into_iter().map(|out| out.message.kind).collect();
    assert_eq!(opening, [MessageType::SessionCapability, MessageType::InitRunspacePool]);
    let mut observed = Observed::default();
    for RecordedMessage { by_client, message, .. } in recorded {
        if by_client {
            if [MessageType::CreatePipeline, MessageType::GetCommandMetadata].contains(&message.kind) {
                pool.adopt(message.pipeline);
            }
            continue;
        }
        let events = match pool.receive(&message) {
            Ok(events) => events,
            Err(error) => {
                observed.errors.push(error.to_string());
                continue;
            }
        };
        for event in events {
            match event {
                client::ClientEvent::PoolState(state, _) => observed.pool = Some(state),
                client::ClientEvent::ApplicationPrivateData(data) => {
                    assert!(data.get("PSVersionTable").unwrap().get("PSVersion").is_some());
                    observed.count("private data");
                }
                client::ClientEvent::Pipeline(id, event) => {
                    let what = match &event {
                        PipelineEvent::Output(value) => {
                            observed.keep_secrets(value);
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
                            observed.ends.insert(id, *state);
                            "state"
                        }
                    };
                    observed.count(what);
                }
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(observed.pool, Some(pool.state()));
    observed
}

#[test]
fn recorded_server_messages_are_read_to_the_end() {
    for recording in RECORDINGS {
        let observed = replay_to_client(recording);
        let recorded = messages(recording);
        let sent = |kind| {
            recorded.iter().filter(|recorded| !recorded.by_client && recorded.message.kind == kind).count()
        };
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
            assert_eq!(
                observed.counts.get(what).copied().unwrap_or_default(),
                sent(kind),
                "{recording}: {what}"
            );
        }
        let created = recorded.iter().filter(|recorded| {
            [MessageType::CreatePipeline, MessageType::GetCommandMetadata].contains(&recorded.message.kind)
        });
        let killed = recording == "client-killed";
        assert_eq!(observed.ends.len(), created.count() - usize::from(killed), "{recording}");
        assert!(observed.ends.values().all(|state| state.is_final()), "{recording}");
        assert_eq!(
            observed.pool,
            Some(if killed { PoolState::Closing } else { PoolState::Closed }),
            "{recording}"
        );
        // The one unknown key: its key pair was PowerShell's.
        let unknown = usize::from(recording == "securestring-2.3");
        assert_eq!(observed.errors.len(), unknown, "{recording}: {:?}", observed.errors);
    }
    let stopped = replay_to_client("stop").ends;
    assert_eq!(stopped.values().filter(|state| **state == PipelineState::Stopped).count(), 1);
    let failed = replay_to_client("streams").ends;
    assert_eq!(failed.values().filter(|state| **state == PipelineState::Failed).count(), 1);
    assert!(!replay_to_client("securestring-2.4").secrets.is_empty());
}

/// Replays the client's half of a recording to our server, whose pipelines end when the recorded ones did.
fn replay_to_server(recording: &str) -> Observed {
    let private_data = Value::primitive_dictionary([]);
    let mut pool = ServerPool::new(private_data).with_protocol(Protocol::V2_4);
    let mut observed = Observed::default();
    for RecordedMessage { by_client, message, .. } in messages(recording) {
        if !by_client {
            if message.kind == MessageType::PipelineState {
                let (state, error) = PipelineState::read(&clixml::read(&message.body).unwrap()).unwrap();
                observed.ends.insert(message.pipeline, state);
                pool.pipeline_state(message.pipeline, state, error.as_deref());
            }
            continue;
        }
        let events = match pool.receive(&message) {
            Ok(events) => events,
            Err(error) => {
                observed.errors.push(error.to_string());
                continue;
            }
        };
        for event in events {
            match event {
                server::ServerEvent::Open { host, application_arguments, .. } => {
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
                    observed.count("open");
                }
                server::ServerEvent::CreatePipeline(_, pipeline) => {
                    let arguments = pipeline.commands.iter().flat_map(|command| &command.arguments);
                    arguments
                        .filter_map(|argument| argument.value.as_ref())
                        .for_each(|value| observed.keep_secrets(value));
                    observed.count("pipeline");
                }
                server::ServerEvent::CommandMetadata(..) => observed.count("metadata"),
                server::ServerEvent::Input(..) => observed.count("input"),
                server::ServerEvent::EndInput(_) => observed.count("end of input"),
                server::ServerEvent::HostResponse(Some(_), response) => {
                    if let Ok(Some(value)) = &response.result {
                        observed.keep_secrets(value);
                    }
                    observed.count("host response");
                }
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(pool.pipelines().count(), usize::from(recording == "client-killed"), "{recording}");
    observed
}

#[test]
fn recorded_client_messages_are_read_to_the_end() {
    for recording in RECORDINGS {
        let observed = replay_to_server(recording);
        let recorded = messages(recording);
        let sent = |kind| {
            recorded.iter().filter(|recorded| recorded.by_client && recorded.message.kind == kind).count()
        };
        // Secrets encrypted under PowerShell's unknown key.
        let unknown = usize::from(recording == "securestring-2.3");
        for (what, kind) in [
            ("open", MessageType::InitRunspacePool),
            ("metadata", MessageType::GetCommandMetadata),
            ("input", MessageType::PipelineInput),
            ("end of input", MessageType::EndOfPipelineInput),
            ("host response", MessageType::PipelineHostResponse),
        ] {
            assert_eq!(
                observed.counts.get(what).copied().unwrap_or_default(),
                sent(kind),
                "{recording}: {what}"
            );
        }
        let pipelines = observed.counts.get("pipeline").copied().unwrap_or_default();
        assert_eq!(pipelines, sent(MessageType::CreatePipeline) - unknown, "{recording}");
        assert_eq!(observed.errors.len(), unknown, "{recording}: {:?}", observed.errors);
    }
    let secrets = replay_to_server("securestring-2.4").secrets;
    assert!(secrets.iter().all(|secret| secret == "correct horse"), "{}", secrets.len());
    assert_eq!(secrets.len(), 2);
    let mut typed = replay_to_server("prompts").secrets;
    typed.sort();
    typed.dedup();
    assert_eq!(typed, ["pw", "secret"]);
}

#[test]
fn a_real_clients_public_key_gets_a_session_key() {
    let recorded = messages("securestring-2.3");
    let mut pool = ServerPool::new(Value::primitive_dictionary([]));
    for RecordedMessage { message, .. } in recorded.iter().filter(|recorded| recorded.by_client) {
        let Ok(events) = pool.receive(message) else { break };
        if !events.is_empty() && pool.state() == PoolState::Opening {
            pool.opened();
        }
    }
    assert_eq!(pool.protocol(), Protocol::V2_3);
    let sent = pool.take_outgoing();
    let key = sent.iter().find(|message| message.kind == MessageType::EncryptedSessionKey).unwrap();
    let theirs =
        recorded.iter().find(|recorded| recorded.message.kind == MessageType::EncryptedSessionKey).unwrap();
    let blob = |message: &Message| {
        let body = clixml::read(&message.body).unwrap();
        let text = body.property("EncryptedSessionKey").unwrap().as_str().unwrap().to_owned();
        base64::engine::general_purpose::STANDARD.decode(text).unwrap()
    };
    assert_eq!(blob(key).len(), blob(&theirs.message).len());
    assert_eq!(blob(key)[..12], blob(&theirs.message)[..12]);
}
