//! Values, fragments and the session key against an independent implementation: psrpcore's client, which
//! echoes all values.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{ChildStdin, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lyncsh::psrp::clixml::{Content, Object, Secure, Value, type_names};
use lyncsh::psrp::fragment::{Defragmenter, Fragmenter};
use lyncsh::psrp::message::Message;
use lyncsh::psrp::record::PipelineState;
use lyncsh::psrp::server::{ServerEvent, ServerPool};
use secrecy::ExposeSecret as _;
use uuid::Uuid;

use crate::program::{ChildGuard, Program};

fn start() -> ChildGuard {
    Program::peer("psrpcore_echo.py").stderr(Stdio::inherit()).start()
}

/// Returns the values to be echoed.
pub fn values() -> Vec<Value> {
    let secret = || Value::secure("hunter2 \u{1f511}".to_owned().into());
    vec![
        "plain".into(),
        "<&> \"'_x000A_ _x \u{1f600} \r\n\t \u{85} é".into(),
        Value::Char(0x2620),
        true.into(),
        false.into(),
        Value::DateTime("2021-05-03T10:00:00.1234567+02:00".into()),
        Value::DateTime("2021-05-03T10:00:00Z".into()),
        Value::Duration("P1DT2H3M4.5S".into()),
        Value::U8(255),
        Value::I8(-128),
        Value::U16(65535),
        Value::I16(-32768),
        Value::U32(u32::MAX),
        Value::I32(i32::MIN),
        Value::U64(u64::MAX),
        Value::I64(i64::MIN),
        Value::Single(1.5),
        Value::Double(-2.5e-7),
        Value::Decimal("79228162514264337593543950335".into()),
        Value::Bytes((0..=255).collect()),
        Value::Guid(Uuid::from_u128(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10)),
        Value::Uri("http://litwareinc.com/?a=1&b=2".into()),
        Value::Version("1.2.3.4".into()),
        Value::ScriptBlock("{ $_ -lt 3 }".into()),
        secret(),
        Value::array([]),
        Value::array([1.into(), Value::array(["two".into(), Value::Null]), secret()]),
        Value::dictionary([
            ("a".into(), 1.into()),
            (2.into(), Value::dictionary([("b".into(), true.into())])),
        ]),
        object(Content::Stack(vec![1.into(), 2.into()]), "System.Collections.Stack"),
        object(Content::Queue(vec![1.into(), 2.into()]), "System.Collections.Queue"),
        Value::custom_object([
            ("DisplayName", "Ken Myer".into()),
            ("Odd _x0041_ \"name\"", Value::I64(5)),
            ("Nested", Value::custom_object([("Deep", Value::array(["x".into()]))])),
        ]),
        "a long one ".repeat(20_000).into(),
    ]
}

pub fn object(content: Content, type_name: &str) -> Value {
    Object { type_names: type_names([type_name, "System.Object"]), content, ..Object::default() }.into()
}

/// Returns whether two values are equal except for type names, `ToString`, and the kind of their properties.
pub fn same(a: &Value, b: &Value) -> bool {
    if let (Value::Secure(Secure::Plain(a)), Value::Secure(Secure::Plain(b))) = (a, b) {
        return a.expose_secret() == b.expose_secret();
    }
    if let (Some(a), Some(b)) = (a.items(), b.items()) {
        return a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b));
    }
    if let (Some(a), Some(b)) = (a.entries(), b.entries()) {
        let found = |key: &Value, value: &Value| b.iter().any(|(k, v)| same(k, key) && same(v, value));
        return a.len() == b.len() && a.iter().all(|(key, value)| found(key, value));
    }
    match (a, b) {
        (Value::Object(left), Value::Object(right)) if left.content == Content::None => {
            left.properties().count() == right.properties().count()
                && left.properties().all(|(name, value)| right.property(name).is_some_and(|v| same(v, value)))
        }
        // The same time with a different notation of the zone.
        (Value::DateTime(a), Value::DateTime(b)) => {
            a.replace('Z', "+00:00").replace(".0000000", "")
                == b.replace('Z', "+00:00").replace(".0000000", "")
        }
        (a, b) => a.primitive() == b.primitive(),
    }
}

struct Wire {
    to_peer: ChildStdin,
    fragmenter: Fragmenter,
    streams: HashMap<Option<Uuid>, Defragmenter>,
}

impl Wire {
    fn send(&mut self, messages: Vec<Message>) {
        for message in messages {
            let pipeline = (!message.pipeline.is_nil()).then_some(message.pipeline);
            for fragment in self.fragmenter.cut(&message.encode(), 32_747) {
                let row = serde_json::json!({"pipeline": pipeline, "data": STANDARD.encode(fragment)});
                writeln!(self.to_peer, "{row}").unwrap();
            }
        }
    }

    fn take(&mut self, line: &str) -> Vec<Message> {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let pipeline = row["pipeline"].as_str().map(|id| id.parse().unwrap());
        let data = STANDARD.decode(row["data"].as_str().unwrap()).unwrap();
        let whole = self.streams.entry(pipeline).or_default().push(&data).unwrap();
        whole.iter().map(|message| Message::decode(message).unwrap()).collect()
    }
}

#[test]
fn messages_round_trip_with_psrpcore() {
    let mut peer = start();
    let from_peer = BufReader::new(peer.0.stdout.take().unwrap());
    let to_peer = peer.0.stdin.take().unwrap();
    let mut wire = Wire { to_peer, fragmenter: Fragmenter::default(), streams: HashMap::new() };
    let mut pool = ServerPool::new(Value::primitive_dictionary([("A".into(), 1.into())]));
    let mut returned = Vec::new();
    for line in from_peer.lines() {
        for message in wire.take(&line.unwrap()) {
            for event in pool.receive(&message).unwrap() {
                match event {
                    ServerEvent::Open { .. } => pool.opened(),
                    ServerEvent::CreatePipeline(id, pipeline) => {
                        let command = &pipeline.commands[0];
                        assert_eq!((command.name.as_str(), pipeline.no_input), ("Read-Back", false));
                        assert_eq!(command.arguments[0].name.as_deref(), Some("Secret"));
                        let secret = Value::secure("correct horse \u{1f40e}".to_owned().into());
                        assert!(command.arguments[0].value == Some(secret), "the secret differs");
                        values().iter().for_each(|value| pool.output(id, value));
                        pool.output(id, &"that was all".into());
                    }
                    ServerEvent::Input(_, value) => returned.push(value),
                    ServerEvent::EndInput(id) => pool.pipeline_state(id, PipelineState::Completed, None),
                    other => panic!("{other:?}"),
                }
            }
        }
        wire.send(pool.take_outgoing());
    }
    assert!(peer.0.wait().unwrap().success());
    let sent = values();
    assert_eq!(returned.len(), sent.len());
    for (sent, returned) in sent.iter().zip(&returned) {
        assert!(same(sent, returned), "{sent:?}\nbecame\n{returned:?}");
    }
}
