//! Real PowerShell's recordings and an independent client, on the agent in front of the simulated tenant.

use super::replay::{Ends, Replay, recorded_ends};
use super::{abandoned, attach, finish, host, invoke, pipeline, simulated, within};
use lyncsh::agent::mux::{ClientInfo, Mux, Options};
use lyncsh::psrp::client::ClientPool;
use lyncsh::psrp::clixml::{Value, write};
use lyncsh::psrp::message::MessageType;
use lyncsh::psrp::record::PipelineState;
use tokio::net::UnixListener;
use uuid::Uuid;

use crate::program::Program;

/// The recordings whose client half can be replayed. In `securestring-2.3` the secrets are encrypted under an
/// unknown key.
const RECORDINGS: [&str; 8] =
    ["open-close", "import", "streams", "stop", "large", "large-input", "help", "securestring-2.4"];

/// The recordings in which the endpoint formats the output.
const DRAWN: [&str; 3] = ["prompts", "enter-pssession", "console-style"];

async fn mux() -> Mux {
    let mut pool = ClientPool::new(Uuid::new_v4(), host(80), (1, 1));
    pool.open();
    within(Mux::open(simulated::endpoint(), pool, Options::default())).await.unwrap()
}

async fn replay(mux: &Mux, recording: &str) -> Ends {
    let (here, there) = tokio::io::duplex(64 * 1024);
    mux.attach(here, ClientInfo::default()).await;
    Replay::new(recording, there).run().await
}

async fn assert_ends_as_recorded(mux: &Mux, recording: &str) {
    let ends = replay(mux, recording).await;
    assert_eq!(ends, recorded_ends(recording), "{recording}");
}

#[tokio::test]
async fn recorded_shells_end_as_recorded() {
    let mux = mux().await;
    for recording in RECORDINGS {
        assert_ends_as_recorded(&mux, recording).await;
    }
    within(abandoned(&mux)).await;
}

#[tokio::test]
async fn two_concurrent_recorded_shells_end_as_recorded() {
    let mux = mux().await;
    for pair in RECORDINGS.chunks(2).chain([["import", "large"].as_slice()]) {
        tokio::join!(assert_ends_as_recorded(&mux, pair[0]), assert_ends_as_recorded(&mux, pair[1]));
    }
}

#[tokio::test]
async fn recorded_shells_with_host_drawing_end_as_recorded() {
    let mux = mux().await;
    for recording in DRAWN {
        assert_ends_as_recorded(&mux, recording).await;
    }
    let [one, two, three] = DRAWN;
    tokio::join!(
        assert_ends_as_recorded(&mux, one),
        assert_ends_as_recorded(&mux, two),
        assert_ends_as_recorded(&mux, three)
    );
}

#[tokio::test]
async fn a_recorded_public_key_is_answered_with_the_session_key() {
    let mux = mux().await;
    let (here, there) = tokio::io::duplex(64 * 1024);
    mux.attach(here, ClientInfo::default()).await;
    let mut replay = Replay::new("securestring-2.3", there).until(|line| line.starts_with("<Command"));
    assert!(replay.run().await.is_empty());
    let kinds: Vec<_> = replay.messages[&Uuid::nil()].iter().map(|message| message.kind).collect();
    assert_eq!(kinds.last(), Some(&MessageType::EncryptedSessionKey), "{kinds:?}");
}

#[tokio::test]
async fn a_killed_recorded_shell_leaves_the_session_usable() {
    let mux = mux().await;
    replay(&mux, "client-killed").await;
    let (shell, _events) = attach(&mux, 100).await;
    let mut tenant = invoke(&shell, "Get-CsTenant", None).await;
    assert_eq!(finish(&mut tenant).await.1, PipelineState::Completed);
}

/// An agent's socket for an independent client.
struct Socket {
    _folder: tempfile::TempDir,
    path: std::path::PathBuf,
    _mux: Mux,
}

impl Socket {
    async fn new() -> Self {
        let mux = mux().await;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent");
        let listener = UnixListener::bind(&path).unwrap();
        let accepting = mux.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                accepting.attach(stream, ClientInfo::default()).await;
            }
        });
        Self { _folder: folder, path, _mux: mux }
    }

    /// Runs psrpcore's client; returns the results of its steps.
    async fn psrpcore(&self, steps: &[&str]) -> Vec<serde_json::Value> {
        let peer = Program::peer("psrpcore_client.py").args([&self.path]).args(steps);
        let text = tokio::task::spawn_blocking(move || peer.run().success_output()).await.unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn assert_psrpcore_was_served(said: &[serde_json::Value]) {
    let [open, metadata, format, parameters, input, stop, secret, close] = said else { panic!("{said:?}") };
    assert_eq!(open["protocol"], "2.3");
    assert_eq!(metadata["state"], "Completed");
    let names = metadata["names"].as_array().unwrap();
    assert_eq!(metadata["count"], names.len());
    assert!(names.iter().any(|name| name == "Get-CsTenant"), "{names:?}");
    assert_eq!((&format["state"], format["errors"].as_array().unwrap().len()), (&"Completed".into(), 0));
    assert!(format["count"].as_u64().unwrap() > 0, "{format}");
    assert_eq!(parameters["names"], serde_json::json!(["Ken Myer"]));
    assert_eq!(input["state"], "Completed");
    assert!(input["lengths"].as_array().unwrap().iter().any(|length| length.as_u64() > Some(100_000)));
    assert_eq!(input["last"], "total 3");
    assert_eq!(stop["state"], "Stopped");
    assert_eq!((&secret["state"], &secret["same"]), (&"Completed".into(), &true.into()));
    assert_eq!(close["states"], serde_json::json!(["Closing", "Closed"]));
}

const STEPS: [&str; 6] = ["metadata", "format", "parameters", "input", "stop", "secret"];

#[tokio::test]
async fn a_psrpcore_client_is_served() {
    let socket = Socket::new().await;
    assert_psrpcore_was_served(&socket.psrpcore(&STEPS).await);
}

#[tokio::test]
async fn pool_calls_do_not_affect_other_clients() {
    let socket = Socket::new().await;
    let (one, two) = tokio::join!(socket.psrpcore(&["runspaces"]), socket.psrpcore(&["runspaces"]));
    for said in [one, two] {
        assert_eq!(said[1]["available"], 1);
        assert_eq!((&said[1]["grown"], &said[1]["reset"]), (&false.into(), &false.into()));
    }
}

#[tokio::test]
async fn two_psrpcore_clients_keep_their_own_secrets() {
    let socket = Socket::new().await;
    let (one, two) = tokio::join!(socket.psrpcore(&STEPS), socket.psrpcore(&STEPS));
    assert_psrpcore_was_served(&one);
    assert_psrpcore_was_served(&two);
    assert_ne!(one[6]["pin"], two[6]["pin"]);
}

#[tokio::test]
async fn a_large_object_arrives_complete() {
    let mux = mux().await;
    let (shell, _events) = attach(&mux, 100).await;
    let mut one_big = pipeline("Get-CsOneBig", Some(Value::I32(1_000_000)));
    one_big.commands[0].arguments[0].name = Some("Bytes".into());
    let mut big = shell.invoke(&one_big).await.unwrap();
    let (output, state) = finish(&mut big).await;
    assert_eq!(state, PipelineState::Completed);
    assert!(output.iter().any(|value| write(value).len() > 1_000_000));
}
