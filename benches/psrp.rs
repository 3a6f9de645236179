//! Throughput of joining, reading and writing recorded PowerShell messages: `cargo bench --bench psrp`.
#![allow(clippy::disallowed_macros, clippy::disallowed_methods, reason = "nothing of an endpoint is shown")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use base64::Engine as _;
use lyncsh::psrp::clixml::{self, Names, Value};
use lyncsh::psrp::fragment::{Defragmenter, Fragmenter};
use lyncsh::psrp::message::Message;
use quick_xml::events::Event;

const TIME: Duration = Duration::from_secs(2);

fn main() {
    let bodies: Vec<String> =
        ["import", "large", "help"].into_iter().flat_map(recorded).map(|message| message.body).collect();
    let values: Vec<Value> = bodies.iter().filter_map(|body| clixml::read(body).ok()).collect();
    let size = bodies.iter().map(String::len).sum();
    measure("bare quick-xml", size, || bodies.iter().map(|body| events(body)).sum());
    // As in a session, whose messages share their names.
    let mut names = Names::default();
    measure("read CLIXML", size, || {
        bodies.iter().filter_map(|body| clixml::read_shared(body, &mut names).ok()).count()
    });
    measure("write CLIXML", size, || values.iter().map(|value| clixml::write(value).len()).sum());

    let message = vec![b'x'; 8 << 20];
    measure("cut and join", message.len(), || {
        let stream = Fragmenter::default().cut(&message, 32_747).concat();
        let mut defragmenter = Defragmenter::default();
        stream.chunks(32_768).filter_map(|piece| defragmenter.push(piece).ok()).flatten().count()
    });
}

/// Returns the number of XML events, which are read without their attributes and entities.
fn events(text: &str) -> usize {
    let mut reader = quick_xml::Reader::from_str(text);
    std::iter::from_fn(|| reader.read_event().ok().filter(|event| !matches!(event, Event::Eof))).count()
}

/// Returns the server's messages of a recording.
fn recorded(name: &str) -> Vec<Message> {
    let path = format!("{}/tests/transcripts/{name}.jsonl", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let mut streams: std::collections::HashMap<String, Defragmenter> = std::collections::HashMap::new();
    let mut messages = Vec::new();
    for line in text.lines().filter(|line| line.contains("\"server\"")) {
        let Some((head, rest)) = line.split_once("'>") else { continue };
        let data = rest.split('<').next().unwrap_or_default();
        let Ok(data) = base64::engine::general_purpose::STANDARD.decode(data) else { continue };
        let pipeline = head.rsplit('\'').next().unwrap_or_default().to_owned();
        let joined = streams.entry(pipeline).or_default().push(&data).unwrap_or_default();
        messages.extend(joined.iter().filter_map(|message| Message::decode(message).ok()));
    }
    messages
}

/// Repeats `work`, which handles `size` bytes, and prints its mean.
fn measure(name: &str, size: usize, mut work: impl FnMut() -> usize) {
    black_box(work());
    let begun = Instant::now();
    let mut rounds = 0u32;
    while begun.elapsed() < TIME {
        black_box(work());
        rounds += 1;
    }
    let each = begun.elapsed() / rounds;
    let rate = size as f64 / each.as_secs_f64() / 1e6;
    println!("{name:<14} {:>8.2} ms for {size} bytes, {rate:.0} MB/s", each.as_secs_f64() * 1e3);
}
