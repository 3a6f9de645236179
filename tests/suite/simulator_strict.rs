//! The simulator refuses requests that a Windows server refuses, so that client mistakes are found.

use std::time::Duration;

use lyncsh::simulator::{Options, PASSWORD, Server, USER};
use lyncsh::transport::wsman::envelope::{
    COMMAND_RESOURCE, Create, Enumerate, RequestEnvelope, RequestHeader, Response, SHELL_RESOURCE,
    SignalCode, StreamPart, WsmanRequest, ns,
};
use lyncsh::transport::wsman::fault::{Fault, code};
use uuid::Uuid;

use crate::simulator::http;
use crate::simulator_rules::{Client, create, envelope, fault};

const CONFIGURATION: &str = "http://schemas.microsoft.com/powershell/Microsoft.PowerShell";
const NO_SUCH_RESOURCE: Option<u32> = Some(2_150_858_811);

async fn start() -> (Server, Client) {
    let server = Server::start(Options { fixtures: true, ..Options::default() }).await.unwrap();
    let client = Client::new(&server, USER);
    (server, client)
}

fn to(resource_uri: &str, request: WsmanRequest) -> Vec<u8> {
    let header = RequestHeader {
        message_id: format!("uuid:{}", Uuid::new_v4()),
        resource_uri: resource_uri.into(),
        operation_timeout: Some(Duration::from_mins(1)),
        ..RequestHeader::default()
    };
    RequestEnvelope { header, request }.write()
}

fn enumerate() -> WsmanRequest {
    WsmanRequest::Enumerate(Enumerate { optimize: true, max_elements: Some(10), filter: Vec::new() })
}

/// Sends a body unchanged; returns HTTP status and body.
async fn posted(url: &str, body: impl Into<reqwest::Body>) -> (u16, String) {
    let request = http().post(url).basic_auth(USER, Some(PASSWORD)).body(body);
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_resource_is_refused() {
    let (server, client) = start().await;
    let cmd = || WsmanRequest::Create(Create { output_streams: "stdout stderr".into(), ..Create::default() });
    let own = |request| (CONFIGURATION, request);
    let refused = [
        ("http://schemas.microsoft.com/wbem/wsman/1/windows/shell/cmd", cmd()),
        ("http://schemas.microsoft.com/powershell/NoSuch", cmd()),
        (SHELL_RESOURCE, cmd()),
        ("", cmd()),
        ("http://schemas.microsoft.com/wbem/wsman/1/wmi/root/cimv2/*", enumerate()),
        own(enumerate()),
        ("http://example.com/x", WsmanRequest::Get),
        (SHELL_RESOURCE, WsmanRequest::Signal { command: None, code: SignalCode::Stop }),
        (ns::CONFIG, WsmanRequest::Delete),
    ];
    for (uri, request) in refused {
        let printed = format!("{uri} {request:?}");
        let refused = fault(client.ask(to(uri, request)).await);
        assert_eq!(refused.code, NO_SUCH_RESOURCE, "{printed}");
        assert_eq!(refused.subcode.as_deref(), Some("a:DestinationUnreachable"), "{printed}");
        assert!(refused.text.contains(&format!("({uri})")), "{}", refused.text);
    }
    assert_eq!(server.shells().len(), 0);
    for uri in [SHELL_RESOURCE, COMMAND_RESOURCE, &SHELL_RESOURCE.to_uppercase()] {
        assert!(matches!(client.ask(to(uri, enumerate())).await, Response::Enumerated(_)), "{uri}");
    }
    // A shell is removed by its configuration's URI or the generic shell URI; URIs are case-insensitive.
    for uri in [SHELL_RESOURCE.to_owned(), CONFIGURATION.to_uppercase()] {
        let (id, _) = client.create().await;
        let mut delete = RequestEnvelope::read(&envelope(id, WsmanRequest::Delete)).unwrap();
        delete.header.resource_uri = uri;
        assert_eq!(client.ask(delete.write()).await, Response::Deleted);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_envelope_over_the_announced_limit_is_refused() {
    let (server, client) = start().await;
    let Response::Configured { max_envelope_size } = client.ask(to(ns::CONFIG, WsmanRequest::Get)).await
    else {
        panic!()
    };
    let most = usize::try_from(max_envelope_size).unwrap() * 1024;
    assert_eq!(most, 512_000);
    let plain = String::from_utf8(to(ns::CONFIG, WsmanRequest::Get)).unwrap();
    let filled = |size: usize| plain.clone() + &" ".repeat(size - plain.len());
    for (size, status) in [(most, 200), (most + 1, 413), (600 * 1024, 413), (5 << 20, 413)] {
        assert_eq!(posted(&server.url, filled(size)).await.0, status, "{size} bytes");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_creation_xml_creates_no_shell() {
    let (server, client) = start().await;
    let (_, body) = create();
    let data = regex::Regex::new("(?s)(<[^<>]*creationXml[^>]*>)[^<]*(</[^>]*>)").unwrap();
    assert!(data.is_match(&body), "{body}");
    for (what, instead) in
        [("none", ""), ("empty", "$1$2"), ("a piece", "${1}AAAA$2"), ("no base64", "$1*$2")]
    {
        let refused = fault(client.ask(data.replace(&body, instead).into_owned()).await);
        assert!(refused.code.is_some(), "{what}: {refused:?}");
        assert_eq!(server.shells().len(), 0, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_commands_id_cannot_be_reused() {
    let (_server, client) = start().await;
    let (shell, _) = client.create().await;
    let id = Uuid::new_v4();
    let begin = || WsmanRequest::Command { id: Some(id), name: "Get-CsTenant".into(), arguments: Vec::new() };
    assert_eq!(client.in_shell(shell, begin()).await, Response::Commanded { id: Some(id) });
    let refused = fault(client.in_shell(shell, begin()).await);
    assert_eq!(refused.subcode.as_deref(), Some("w:AlreadyExists"));
    let end = WsmanRequest::Signal { command: Some(id), code: SignalCode::Terminate };
    assert_eq!(client.in_shell(shell, end).await, Response::Signaled);
    assert_eq!(
        client.in_shell(shell, begin()).await,
        Response::Commanded { id: Some(id) },
        "it is free again"
    );
    let broken =
        WsmanRequest::Command { id: Some(Uuid::new_v4()), name: String::new(), arguments: vec![1; 40] };
    assert!(fault(client.in_shell(shell, broken).await).code.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_timeout_out_of_range_is_refused_and_disconnect_changes_it() {
    let (server, client) = start().await;
    let (_, body) = create();
    let asking = |seconds: u32| {
        let timeout = format!("<p:IdleTimeOut>PT{seconds}S</p:IdleTimeOut>");
        let at = body.find("<p:InputStreams").expect("the streams");
        format!("{}{timeout}{}", &body[..at], &body[at..])
    };
    for seconds in [0, 59, 901, 999_999] {
        let refused = fault(client.ask(asking(seconds)).await);
        assert_eq!(refused.code, Some(code::IDLE_TIMEOUT_OUT_OF_BOUNDS), "{seconds} s");
    }
    assert_eq!(server.shells().len(), 0);
    let Response::Created { shell: Some(shell), .. } = client.ask(asking(60)).await else { panic!() };
    assert_eq!(shell.idle_timeout, Some(Duration::from_mins(1)));
    let id = shell.shell_id.parse().unwrap();
    let disconnect = |seconds| {
        let idle_timeout = Some(Duration::from_secs(seconds));
        WsmanRequest::Disconnect { idle_timeout, buffer_mode: Some("Block".into()) }
    };
    let refused = fault(client.in_shell(id, disconnect(5)).await);
    assert_eq!(refused.code, Some(code::IDLE_TIMEOUT_OUT_OF_BOUNDS));
    assert_eq!(client.in_shell(id, disconnect(600)).await, Response::Disconnected);
    let Response::Got(shell) = client.in_shell(id, WsmanRequest::Get).await else { panic!() };
    assert_eq!(shell.idle_timeout, Some(Duration::from_mins(10)));
    assert_eq!(shell.state.as_deref(), Some("Disconnected"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_request_gets_its_fault_code() {
    let (server, client) = start().await;
    let plain = String::from_utf8(to(ns::CONFIG, WsmanRequest::Get)).unwrap();
    let read = async |body: String| fault(client.ask(body).await);
    let codes = |fault: Fault| (fault.code, fault.subcode.unwrap_or_default(), fault.machine);
    let machine = Some("localhost".to_owned());
    for (body, number, subcode) in [
        ("hello".to_owned(), 2_150_858_819, "w:InvalidXml"),
        (plain.replace("/transfer/Get", "/transfer/Foo"), 2_150_858_753, "a:ActionNotSupported"),
        (plain.replace("a:MessageID", "a:Other"), 2_150_858_817, "w:SchemaValidationError"),
        (plain.replace("PT60.000S", "soon"), 2_150_858_817, "w:SchemaValidationError"),
    ] {
        assert_ne!(body, plain);
        assert_eq!(codes(read(body).await), (Some(number), subcode.to_owned(), machine.clone()), "{number}");
    }
    let gone = fault(client.in_shell(Uuid::new_v4(), WsmanRequest::Delete).await);
    assert_eq!(codes(gone).2, machine);

    let with = |must: &str| {
        let header = format!("<z:Foo xmlns:z='urn:z' s:mustUnderstand='{must}'>1</z:Foo></s:Header>");
        plain.replace("</s:Header>", &header)
    };
    for must in ["true", "1"] {
        let (status, text) = posted(&server.url, with(must)).await;
        assert_eq!(status, 500);
        assert!(text.contains("<s:Code><s:Value>s:MustUnderstand</s:Value></s:Code>"), "{text}");
        assert!(text.contains("Foo"), "{text}");
    }
    assert_eq!(posted(&server.url, with("false")).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn identify_needs_no_header_and_paths_ignore_case() {
    let (server, _) = start().await;
    let identify = "<s:Envelope xmlns:s='http://www.w3.org/2003/05/soap-envelope' \
                    xmlns:i='http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd'>\
                    <s:Header/><s:Body><i:Identify/></s:Body></s:Envelope>";
    let (status, text) = posted(&server.url, identify).await;
    assert_eq!(status, 200);
    for wanted in
        ["IdentifyResponse", "<wsmid:ProtocolVersion>http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd<"]
    {
        assert!(text.contains(wanted), "{text}");
    }
    let plain = String::from_utf8(to(ns::CONFIG, WsmanRequest::Get)).unwrap();
    let (base, path) = server.url.split_at(server.url.rfind('/').unwrap());
    for path in
        [path.to_lowercase(), path.to_uppercase(), format!("{path}/"), format!("{path}?PSVersion=7.6.9")]
    {
        assert_eq!(posted(&format!("{base}{path}"), plain.clone()).await.0, 200, "{path}");
    }
    assert_eq!(posted(&format!("{base}{path}x"), plain).await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_signal_closes_only_its_command() {
    let (_server, client) = start().await;
    let (shell, _) = client.create().await;
    let signal = |command, code: &str| WsmanRequest::Signal { command, code: SignalCode::Other(code.into()) };
    let receive = |command| WsmanRequest::Receive { streams: vec!["stdout".into()], command };
    for code in ["urn:other", "http://schemas.microsoft.com/wbem/wsman/1/windows/shell/signal/terminate"] {
        assert_eq!(client.in_shell(shell, signal(None, code)).await, Response::Signaled);
    }
    let Response::Received(received) = client.in_shell(shell, receive(None)).await else { panic!() };
    assert!(!received.streams.is_empty(), "the pool still has its answers: {received:?}");
    let id = Some(Uuid::new_v4());
    let begin = WsmanRequest::Command { id, name: "Get-CsTenant".into(), arguments: Vec::new() };
    client.in_shell(shell, begin).await;
    assert_eq!(client.in_shell(shell, signal(id, "urn:other")).await, Response::Signaled);
    let Response::Received(received) = client.in_shell(shell, receive(id)).await else { panic!() };
    assert_eq!(received.streams, Vec::<StreamPart>::new());
}
