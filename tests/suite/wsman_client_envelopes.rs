//! Envelopes recorded from a real WSMan client and server are understood, and writing and reading returns the
//! same envelope.

use std::path::PathBuf;
use std::time::Duration;

use lyncsh::transport::wsman::ShellInfo;
use lyncsh::transport::wsman::envelope::*;
use lyncsh::transport::wsman::fault::{Fault, FaultDialect, code};
use uuid::Uuid;

/// Returns the bodies of one recording that contain an envelope, as (sender, HTTP status line, body). Omits
/// encrypted bodies (`negotiate-http`: `multipart/encrypted` under an unknown key) and empty ones (401, 302).
pub fn envelopes(name: &str) -> Vec<(String, String, String)> {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "wsman", name].iter().collect();
    let text = std::fs::read_to_string(&path).unwrap();
    let rows = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let field = |row: &serde_json::Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
    rows.filter(|row| row.get("start_line").is_some() && row.get("body_encoding").is_none())
        .map(|row| (field(&row, "from"), field(&row, "start_line"), field(&row, "body")))
        .filter(|(_, _, body)| !body.is_empty())
        .collect()
}

pub fn recordings() -> Vec<String> {
    let folder: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "wsman"].iter().collect();
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = entries.map(|name| name.into_string().unwrap()).collect();
    names.retain(|name| name.ends_with(".jsonl"));
    names.sort();
    assert!(names.len() >= 14, "{names:?}");
    names
}

#[test]
fn every_recorded_request_round_trips() {
    let mut read = 0;
    for name in recordings() {
        for (from, line, body) in envelopes(&name) {
            if from != "client" {
                continue;
            }
            let request = RequestEnvelope::read(body.as_bytes())
                .unwrap_or_else(|error| panic!("{name}: {line}: {error}\n{body}"));
            assert!(request.header.message_id.starts_with("uuid:"), "{name}");
            assert_eq!(
                request.header.resource_uri,
                "http://schemas.microsoft.com/powershell/Microsoft.PowerShell"
            );
            match &request.request {
                WsmanRequest::Create(create) => {
                    assert!(create.shell_id.is_some() && !create.data.is_empty(), "{name}");
                    assert_eq!((&*create.input_streams, &*create.output_streams), ("stdin pr", "stdout"));
                    assert_eq!(request.header.option("protocolversion"), Some("2.4"));
                }
                WsmanRequest::Command { id, name: command, arguments } => {
                    assert!(id.is_some() && !command.is_empty() && !arguments.is_empty(), "{name}");
                }
                WsmanRequest::Receive { streams, .. } => assert_eq!(streams, &["stdout"]),
                WsmanRequest::Signal { code, .. } => {
                    assert!(matches!(code, SignalCode::Stop | SignalCode::Terminate), "{name}: {code:?}");
                }
                WsmanRequest::Send(parts) => {
                    assert!(parts.iter().all(|part| part.command.is_some() && !part.data.is_empty()));
                }
                WsmanRequest::Delete => {}
                other => panic!("{name}: {other:?}"),
            }
            assert_eq!(RequestEnvelope::read(&request.write()).unwrap(), request, "{name}");
            read += 1;
        }
    }
    assert!(read > 200, "{read}");
}

#[test]
fn every_recorded_answer_round_trips() {
    let mut read = 0;
    for name in recordings() {
        for (from, line, body) in envelopes(&name) {
            if from != "server" {
                continue;
            }
            let answer = ResponseEnvelope::read(body.as_bytes())
                .unwrap_or_else(|error| panic!("{name}: {line}: {error}\n{body}"));
            let faulty = matches!(answer.response, Response::Fault(_));
            assert_eq!(faulty, line.contains("500"), "{name}: {answer:?}");
            assert_eq!(ResponseEnvelope::read(&answer.write()).unwrap().response, answer.response);
            read += 1;
        }
    }
    assert!(read > 200, "{read}");
}

fn recorded_faults(name: &str) -> Vec<Fault> {
    let answers = envelopes(name).into_iter().filter(|(from, _, _)| from == "server");
    answers
        .filter_map(|(_, _, body)| match ResponseEnvelope::read(body.as_bytes()).unwrap().response {
            Response::Fault(fault) => Some(fault),
            _ => None,
        })
        .collect()
}

#[test]
fn winrm_and_omi_faults_are_read() {
    let fault = &recorded_faults("client-fault.jsonl")[0];
    assert_eq!(fault.text, "The WSMan message text (test).");
    assert_eq!(fault.code, Some(code::UNEXPECTED_SELECTORS));
    assert_eq!(fault.subcode.as_deref(), Some("w:InvalidParameter"));
    assert_eq!(fault.machine.as_deref(), Some("server.contoso.com"));

    let fault = &recorded_faults("client-timedout-fault.jsonl")[0];
    assert!(fault.is_timed_out() && !fault.is_gone() && !fault.is_quota());

    let fault = &recorded_faults("stop.jsonl")[0];
    assert_eq!(fault.text, "Failed to find command");
    assert!(fault.is_gone());

    // Lync Online's text or WinRM's code: either is a quota error.
    let tenant = "The maximum number of concurrent shells for this tenant has been exceeded.";
    assert!(Fault::new(0, "w:AccessDenied", tenant).is_quota());
    assert!(Fault::new(code::QUOTA_MAX_SHELLS, "w:QuotaLimit", "zu viele").is_quota());
}

#[test]
fn faults_round_trip_in_both_dialects() {
    let mut fault = Fault::new(code::TIMED_OUT, "w:TimedOut", "nothing to say <yet> & so on");
    fault.machine = Some("server.contoso.com".to_owned());
    fault.redirect = Some("https://other.contoso.com/PowerShell?a=1&b=2".to_owned());
    let answer = ResponseEnvelope {
        message_id: "uuid:1".to_owned(),
        relates_to: Some("uuid:2".to_owned()),
        response: Response::Fault(fault.clone()),
    };
    assert_eq!(ResponseEnvelope::read(&answer.write()).unwrap(), answer);
    match ResponseEnvelope::read(&answer.write_as(FaultDialect::Omi)).unwrap().response {
        Response::Fault(read) => {
            assert_eq!((read.text, read.subcode), (fault.text, fault.subcode));
            assert_eq!(read.code, None);
        }
        other => panic!("{other:?}"),
    }
}

fn round_trip(request: WsmanRequest) -> RequestEnvelope {
    let header = RequestHeader {
        message_id: "uuid:11111111-2222-3333-4444-555555555555".to_owned(),
        to: "https://example.com/PowerShell?a=1&b=2".to_owned(),
        resource_uri: SHELL_RESOURCE.to_owned(),
        max_envelope_size: Some(DEFAULT_MAX_ENVELOPE_SIZE),
        operation_timeout: Some(Duration::from_millis(20_500)),
        locale: Some("en-US".to_owned()),
        data_locale: Some("de-DE".to_owned()),
        session_id: Some("uuid:3".to_owned()),
        selectors: vec![("ShellId".to_owned(), "A".to_owned())],
        options: vec![("protocolversion".to_owned(), "2.3".to_owned())],
    };
    let envelope = RequestEnvelope { header, request };
    let read = RequestEnvelope::read(&envelope.write()).unwrap();
    assert_eq!(read, envelope);
    read
}

#[test]
fn unrecorded_requests_round_trip() {
    let id = Some(Uuid::new_v4());
    round_trip(WsmanRequest::Get);
    round_trip(WsmanRequest::Enumerate(Enumerate {
        optimize: true,
        max_elements: Some(100),
        filter: vec![("ShellId".to_owned(), "A".to_owned())],
    }));
    round_trip(WsmanRequest::Pull { context: "uuid:9".to_owned(), max_elements: Some(7) });
    round_trip(WsmanRequest::Disconnect {
        idle_timeout: Some(Duration::from_mins(1)),
        buffer_mode: Some("Block".to_owned()),
    });
    round_trip(WsmanRequest::Reconnect { command: None });
    round_trip(WsmanRequest::Reconnect { command: Some(Uuid::new_v4()) });
    round_trip(WsmanRequest::Connect { command: id, data: vec![0, 255] });
    round_trip(WsmanRequest::Connect { command: None, data: Vec::new() });
    round_trip(WsmanRequest::Signal { command: id, code: SignalCode::Other("x".to_owned()) });
    round_trip(WsmanRequest::Create(Create {
        shell_id: Some("A".to_owned()),
        name: Some("a <name> & \"more\"".to_owned()),
        input_streams: "stdin pr".to_owned(),
        output_streams: "stdout".to_owned(),
        idle_timeout: Some(Duration::from_mins(1)),
        data: vec![1, 2, 3],
    }));
    round_trip(WsmanRequest::Send(vec![
        StreamPart { name: "stdin".to_owned(), command: id, data: vec![1], end: false },
        StreamPart { name: "pr".to_owned(), command: None, data: vec![2], end: true },
    ]));
}

#[test]
fn lists_of_shells_are_read_in_every_form() {
    let shell = ShellInfo {
        shell_id: "2D6534D0-6B12-40E3-B773-CBA26459CFA8".to_owned(),
        name: Some("Session1".to_owned()),
        owner: Some("LITWAREINC\\kenmyer".to_owned()),
        client_address: Some("192.0.2.7".to_owned()),
        process_id: Some(4711),
        resource_uri: Some("http://schemas.microsoft.com/powershell/Microsoft.PowerShell".to_owned()),
        state: Some("Disconnected".to_owned()),
        idle_timeout: Some(Duration::from_mins(15)),
        running_time: Some(Duration::from_secs(3_723)),
        inactivity: Some(Duration::from_secs(12)),
    };
    let command = CommandInfo {
        shell_id: Some(shell.shell_id.clone()),
        command_id: Uuid::new_v4(),
        state: Some("Connected".to_owned()),
    };
    let all = Items { shells: vec![shell.clone()], commands: vec![command], context: None, end: true };
    let some = Items { context: Some("uuid:9".to_owned()), end: false, ..all.clone() };
    for response in [
        Response::Enumerated(all.clone()),
        Response::Enumerated(some.clone()),
        Response::Pulled(all),
        Response::Pulled(some),
        Response::Got(shell.clone()),
        Response::Configured { max_envelope_size: 500 },
        Response::Created {
            shell_id: shell.shell_id.clone(),
            resource_uri: shell.resource_uri.clone(),
            shell: Some(shell),
        },
        Response::Connected { data: vec![1, 2] },
        Response::Disconnected,
        Response::Reconnected,
    ] {
        let answer = ResponseEnvelope { message_id: "uuid:1".to_owned(), relates_to: None, response };
        assert_eq!(ResponseEnvelope::read(&answer.write()).unwrap(), answer);
    }
}

#[test]
fn invalid_envelopes_are_refused_with_a_reason() {
    let deep = format!("{}{}", "<a>".repeat(100), "</a>".repeat(100));
    let billion = "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>";
    for bytes in ["", "<", "not xml", "<a/>", "<a><b></a>", "<p:a/>", "<a>&unknown;</a>", billion, &deep] {
        let error = RequestEnvelope::read(bytes.as_bytes()).unwrap_err();
        assert!(matches!(error.reason, Reason::NotSoap(_)), "{bytes}: {error}");
        assert!(ResponseEnvelope::read(bytes.as_bytes()).is_err());
    }
    assert!(RequestEnvelope::read(&[0xff, 0xfe, 0x00]).is_err());

    // A request of an unknown kind can still be answered with its id.
    let text = r#"<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"
        xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing"><s:Header><a:Action>x/y</a:Action>
        <a:MessageID>uuid:7</a:MessageID></s:Header><s:Body/></s:Envelope>"#;
    let error = RequestEnvelope::read(text.as_bytes()).unwrap_err();
    assert_eq!(error.message_id.as_deref(), Some("uuid:7"));
    assert_eq!(error.reason, Reason::Action("x/y".to_owned()));

    // UTF-16 is allowed too.
    let wide: Vec<u8> =
        std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    assert_eq!(RequestEnvelope::read(&wide).unwrap_err(), error);
}

#[test]
fn mangled_envelopes_never_panic() {
    // Reproducible mutations: a linear congruential generator.
    let mut state = 1_u64;
    let mut random = move |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below.max(1)
    };
    let bodies: Vec<_> = envelopes("stop.jsonl").into_iter().map(|(_, _, body)| body).collect();
    for _ in 0..3_000 {
        let mut bytes = bodies[random(bodies.len())].clone().into_bytes();
        for _ in 0..=random(4) {
            let at = random(bytes.len());
            match random(4) {
                0 => bytes[at] = u8::try_from(random(256)).unwrap(),
                1 => bytes.truncate(at),
                2 => drop(bytes.drain(at..(at + random(40)).min(bytes.len()))),
                _ => bytes.splice(at..at, *b"<a b='&lt;'>&#0;]]>").for_each(drop),
            }
            if bytes.is_empty() {
                break;
            }
        }
        let _ = RequestEnvelope::read(&bytes);
        let _ = ResponseEnvelope::read(&bytes);
    }
}
