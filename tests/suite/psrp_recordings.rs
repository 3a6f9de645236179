//! The recordings of real PowerShell in `tests/transcripts/`, as messages.

use std::collections::HashMap;
use std::sync::LazyLock;

use base64::Engine as _;
use lyncsh::psrp::clixml::{self, Value};
use lyncsh::psrp::fragment::Defragmenter;
use lyncsh::psrp::message::{Message, MessageType};

pub const RECORDINGS: [&str; 13] = [
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
    "streams",
];

/// One message of a recording.
pub struct RecordedMessage {
    pub by_client: bool,
    pub bytes: Vec<u8>,
    pub message: Message,
}

/// Returns the messages of a recording, in the order of their last bytes.
pub fn messages(recording: &str) -> Vec<RecordedMessage> {
    let path = format!("{}/tests/transcripts/{recording}.jsonl", env!("CARGO_MANIFEST_DIR"));
    let element =
        regex::Regex::new("<(\\w+)(?: Stream='(\\w+)')? PSGuid='([^']+)'\\s*(?:/>|>([^<]*)<)").unwrap();
    let mut streams: HashMap<(bool, String, String), Defragmenter> = HashMap::new();
    let mut recorded = Vec::new();
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
            recorded.push(RecordedMessage { by_client, bytes, message });
        }
    }
    assert!(streams.values().all(|stream| !stream.is_partial()), "{recording}");
    recorded
}

/// Returns every message of every recording, which are read once.
pub fn all() -> impl Iterator<Item = (&'static str, &'static RecordedMessage)> {
    static ALL: LazyLock<Vec<(&str, RecordedMessage)>> = LazyLock::new(|| {
        RECORDINGS
            .into_iter()
            .flat_map(|recording| messages(recording).into_iter().map(move |recorded| (recording, recorded)))
            .collect()
    });
    ALL.iter().map(|(recording, recorded)| (*recording, recorded))
}

pub fn bodies(kind: MessageType) -> Vec<Value> {
    let bodies: Vec<_> = all()
        .filter(|(_, recorded)| recorded.message.kind == kind)
        .map(|(_, recorded)| clixml::read(&recorded.message.body).unwrap())
        .collect();
    assert!(!bodies.is_empty(), "no {kind:?} was recorded");
    bodies
}
