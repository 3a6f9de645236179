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
pub struct Said {
    pub by_client: bool,
    pub bytes: Vec<u8>,
    pub message: Message,
}

/// Returns the messages of a recording, in the order of their last bytes.
pub fn messages(recording: &str) -> Vec<Said> {
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

/// Returns every message of every recording, which are read once.
pub fn all() -> impl Iterator<Item = (&'static str, &'static Said)> {
    static ALL: LazyLock<Vec<(&str, Said)>> = LazyLock::new(|| {
        RECORDINGS
            .into_iter()
            .flat_map(|recording| messages(recording).into_iter().map(move |said| (recording, said)))
            .collect()
    });
    ALL.iter().map(|(recording, said)| (*recording, said))
}

pub fn bodies(kind: MessageType) -> Vec<Value> {
    let bodies: Vec<_> = all()
        .filter(|(_, said)| said.message.kind == kind)
        .map(|(_, said)| clixml::read(&said.message.body).unwrap())
        .collect();
    assert!(!bodies.is_empty(), "no {kind:?} was recorded");
    bodies
}
