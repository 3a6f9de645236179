//! The simulator's rules, tested over HTTP with an independent client.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lyncsh::psrp::clixml::{Value, read, write};
use lyncsh::psrp::fragment::{Defragmenter, Fragmenter};
use lyncsh::psrp::message::{Destination, Message, MessageType};
use lyncsh::psrp::pipeline::{Pipeline, PipelineCommand};
use lyncsh::simulator::{Options, PASSWORD, Server, USER};
use lyncsh::transport::wsman::envelope::{
    RequestEnvelope, RequestHeader, Response, ResponseEnvelope, StreamPart, WsmanRequest,
};
use lyncsh::transport::wsman::fault::{Fault, code};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use uuid::Uuid;

use crate::program::{ChildGuard, PATIENCE, Program};
use crate::simulator::{http, no_shell_is_left};
use crate::simulator_replay::requests;

/// Client of an administrator.
pub struct Client {
    pub http: reqwest::Client,
    pub url: String,
    pub user: String,
    pub password: String,
}

impl Client {
    pub fn new(server: &Server, user: &str) -> Self {
        let password = if user.ends_with("contoso.com") { "C0ntoso!" } else { PASSWORD };
        Self { http: http(), url: server.url.clone(), user: user.into(), password: password.into() }
    }

    pub async fn ask(&self, body: impl Into<reqwest::Body>) -> Response {
        let request = self.http.post(&self.url).basic_auth(&self.user, Some(&self.password)).body(body);
        answer(request).await
    }

    /// Creates a shell with a new id.
    pub async fn create(&self) -> (Uuid, Response) {
        let (id, body) = create();
        (id, self.ask(body).await)
    }

    pub async fn in_shell(&self, shell: Uuid, request: WsmanRequest) -> Response {
        self.ask(envelope(shell, request)).await
    }
}

/// Returns the recorded client's Create with a new shell id.
pub fn create() -> (Uuid, String) {
    let recorded = requests("open-close").remove(0);
    let id = Uuid::new_v4();
    let attribute = regex::Regex::new("ShellId=\"[^\"]*\"").unwrap();
    let named = format!("ShellId=\"{}\"", id.to_string().to_uppercase());
    (id, attribute.replace(&recorded, named.as_str()).into_owned())
}

pub fn envelope(shell: Uuid, request: WsmanRequest) -> Vec<u8> {
    let header = RequestHeader {
        message_id: format!("uuid:{}", Uuid::new_v4()),
        resource_uri: "http://schemas.microsoft.com/powershell/Microsoft.PowerShell".into(),
        operation_timeout: Some(Duration::from_mins(1)),
        selectors: vec![("ShellId".into(), shell.to_string().to_uppercase())],
        ..RequestHeader::default()
    };
    RequestEnvelope { header, request }.write()
}

async fn answer(request: reqwest::RequestBuilder) -> Response {
    let sent = tokio::time::timeout(PATIENCE, request.send()).await.expect("an answer").unwrap();
    ResponseEnvelope::read(&sent.bytes().await.unwrap()).unwrap().response
}

pub fn fault(response: Response) -> Fault {
    match response {
        Response::Fault(fault) => fault,
        other => panic!("{other:?}"),
    }
}

fn quota(whose: &str) -> String {
    format!(
        "The WS-Management service cannot process the request. The maximum number of concurrent shells for this \
         {whose} has been exceeded. Close existing shells or raise the quota for this {whose}."
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_has_three_sessions() {
    let server = Server::start(Options::default()).await.unwrap();
    let client = Client::new(&server, USER);
    let mut open = Vec::new();
    for _ in 0..3 {
        let (id, answer) = client.create().await;
        assert!(matches!(answer, Response::Created { .. }), "{answer:?}");
        open.push(id);
    }
    // The case of the name does not matter.
    for client in [&client, &Client::new(&server, &USER.to_uppercase())] {
        let refused = fault(client.create().await.1);
        assert_eq!((refused.code, refused.text), (Some(code::QUOTA_MAX_SHELLS), quota("user")));
    }
    assert_eq!(client.in_shell(open[0], WsmanRequest::Delete).await, Response::Deleted);
    assert!(matches!(client.create().await.1, Response::Created { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_has_nine_sessions() {
    let server = Server::start(Options::default()).await.unwrap();
    for user in ["admin", "admin2", "admin3"] {
        let client = Client::new(&server, &format!("{user}@litwareinc.com"));
        for _ in 0..3 {
            assert!(matches!(client.create().await.1, Response::Created { .. }));
        }
    }
    assert_eq!(server.shells().len(), 9);
    let tenth = fault(Client::new(&server, "admin4@litwareinc.com").create().await.1);
    assert_eq!((tenth.code, tenth.text), (Some(code::QUOTA_MAX_SHELLS), quota("tenant")));
    let other = Client::new(&server, "admin@contoso.com").create().await.1;
    assert!(matches!(other, Response::Created { .. }), "another tenant has its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn hang_leaves_a_create_over_the_quota_unanswered() {
    let server = Server::start(Options { hang: true, ..Options::default() }).await.unwrap();
    let client = Client::new(&server, USER);
    for _ in 0..3 {
        assert!(matches!(client.create().await.1, Response::Created { .. }));
    }
    let fourth = tokio::time::timeout(Duration::from_secs(1), client.create()).await;
    assert!(fourth.is_err(), "{fourth:?}");
    assert_eq!(server.shells().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_session_ends_and_its_requests_are_refused() {
    let options = Options { idle_timeout: Duration::from_millis(400), ..Options::default() };
    let server = Server::start(options).await.unwrap();
    let client = Client::new(&server, USER);
    let (id, _) = client.create().await;
    no_shell_is_left(&server).await;
    let gone = fault(client.in_shell(id, WsmanRequest::Get).await);
    assert_eq!(gone.code, Some(code::UNEXPECTED_SELECTORS));
    let received =
        format!("ShellId {} failed because the shell was not found", id.to_string().to_uppercase());
    assert!(gone.text.contains(&received), "{}", gone.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_administrators_session_is_inaccessible() {
    let server = Server::start(Options::default()).await.unwrap();
    let (id, _) = Client::new(&server, USER).create().await;
    let other = Client::new(&server, "admin2@litwareinc.com");
    assert_eq!(fault(other.in_shell(id, WsmanRequest::Delete).await).code, Some(code::UNEXPECTED_SELECTORS));
    assert_eq!(server.shells().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn latency_delays_every_answer() {
    let latency = Duration::from_millis(300);
    let server = Server::start(Options { latency, ..Options::default() }).await.unwrap();
    let client = Client::new(&server, USER);
    let start = Instant::now();
    let (id, _) = client.create().await;
    client.in_shell(id, WsmanRequest::Delete).await;
    let discovered = http().get(format!("{}?Domain=litwareinc.com", server.discovery)).send().await.unwrap();
    assert!(discovered.status().is_success());
    assert!(start.elapsed() >= 3 * latency, "{:?}", start.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_open_shells_are_listed_as_json() {
    let server = Server::start(Options::default()).await.unwrap();
    let shells = async || {
        let url = format!("{}sim/shells", server.discovery);
        let text = http().get(url).send().await.unwrap().text().await.unwrap();
        serde_json::from_str::<serde_json::Value>(&text).unwrap()
    };
    assert_eq!(shells().await, serde_json::json!([]));
    let client = Client::new(&server, USER);
    let (id, _) = client.create().await;
    let listed = shells().await;
    assert_eq!(listed[0]["id"], id.to_string().to_uppercase());
    assert_eq!((&listed[0]["owner"], &listed[0]["commands"]), (&USER.into(), &0.into()));
    assert!(listed[0]["age_seconds"].is_u64() && listed[0]["idle_seconds"].is_u64(), "{listed}");
    client.in_shell(id, WsmanRequest::Delete).await;
    assert_eq!(shells().await, serde_json::json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_command_id_is_refused() {
    let server = Server::start(Options::default()).await.unwrap();
    let client = Client::new(&server, USER);
    let (id, _) = client.create().await;
    let command = Some(Uuid::new_v4());
    let start = Instant::now();
    let receive = WsmanRequest::Receive { streams: vec!["stdout".into()], command };
    let refused = fault(client.in_shell(id, receive).await);
    assert_eq!(refused.code, Some(code::UNEXPECTED_SELECTORS), "{refused:?}");
    assert!(start.elapsed() < Duration::from_secs(15), "it is no long poll");
}

impl Client {
    /// Sends a Receive and closes its connection; waits until the server has noticed.
    async fn broken(&self, shell: Uuid, request: WsmanRequest) {
        let body = envelope(shell, request);
        let url = url::Url::parse(&self.url).unwrap();
        let port = url.port().unwrap();
        let proof = STANDARD.encode(format!("{}:{}", self.user, self.password));
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Basic {proof}\r\n\
             Content-Length: {}\r\n\r\n",
            url.path(),
            body.len()
        );
        let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.write_all(&[head.as_bytes(), &body].concat()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut received = Vec::new();
        tokio::time::timeout(PATIENCE, stream.read_to_end(&mut received))
            .await
            .expect("it is noticed")
            .unwrap();
        assert_eq!(received, b"", "there was nothing to say");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn output_of_a_broken_receive_is_sent_again() {
    let server = Server::start(Options { fixtures: true, ..Options::default() }).await.unwrap();
    let client = Client::new(&server, USER);
    let (shell, _) = client.create().await;
    let id = Uuid::new_v4();
    let mut fragmenter = Fragmenter::default();
    let mut data = |kind, body| {
        let message = Message { destination: Destination::Server, kind, pool: shell, pipeline: id, body };
        fragmenter.cut(&message.encode(), 100_000).remove(0)
    };
    let mut measure = Pipeline::new(vec![PipelineCommand::new("Measure-CsInput")]);
    measure.no_input = false;
    let arguments = data(MessageType::CreatePipeline, write(&measure.to_value()));
    let begin = WsmanRequest::Command { id: Some(id), name: "Measure-CsInput".into(), arguments };
    assert_eq!(client.in_shell(shell, begin).await, Response::Commanded { id: Some(id) });

    let mut joined = Defragmenter::default();
    let mut texts = Vec::new();
    let receive = WsmanRequest::Receive { streams: vec!["stdout".into()], command: Some(id) };
    for number in 1..=4 {
        client.broken(shell, receive.clone()).await;
        let data = match number {
            4 => data(MessageType::EndOfPipelineInput, String::new()),
            number => data(MessageType::PipelineInput, write(&Value::I32(number))),
        };
        let part = StreamPart { name: "stdin".into(), command: Some(id), data, end: false };
        assert_eq!(client.in_shell(shell, WsmanRequest::Send(vec![part])).await, Response::Sent);
        let Response::Received(received) = client.in_shell(shell, receive.clone()).await else { panic!() };
        for part in received.streams {
            for message in joined.push(&part.data).expect("no fragment is missing") {
                let message = Message::decode(&message).unwrap();
                if message.kind == MessageType::PipelineOutput {
                    texts.push(read(&message.body).unwrap().display_text());
                }
            }
        }
    }
    assert_eq!(texts, ["got 1", "got 2", "got 3", "total 3"]);
}

#[test]
fn generated_cmdlets_and_users_reach_their_count() {
    let world = crate::agent_world::World::without_endpoint();
    let demo = world.program(&["demo", "--cmdlets", "613", "--users", "50"]);
    let received = demo.stdin("(Get-Command).Count\n(Get-CsOnlineUser).Count\n").run().out;
    // The console adds its own cmdlets.
    let all = (613 + lyncsh::line::local_cmdlets().count()).to_string();
    assert_eq!(received.split_whitespace().collect::<Vec<_>>(), [all.as_str(), "50"], "{received}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_endpoint_closes_its_connections() {
    let server = Server::start(Options::default()).await.unwrap();
    let client = Client::new(&server, USER);
    let (id, _) = client.create().await;
    let waiting = envelope(id, WsmanRequest::Receive { streams: vec!["stdout".into()], command: None });
    let request = client.http.post(&client.url).basic_auth(USER, Some(PASSWORD));
    // The pool's first answers are available immediately; the next Receive waits.
    let polling = tokio::spawn(async move {
        loop {
            let request = request.try_clone().unwrap().body(waiting.clone());
            let Ok(answer) = request.send().await else { return };
            if answer.bytes().await.is_err() {
                return;
            }
        }
    });
    server.shutdown();
    tokio::time::timeout(PATIENCE, polling).await.expect("the connection ends").unwrap();
    assert!(client.http.get(format!("{}sim/shells", server.discovery)).send().await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn discovery_finds_a_domains_endpoint() {
    let server = Server::start(Options::default()).await.unwrap();
    let http = http();
    let mut next = format!("{}?Domain=LitwareInc.com", server.discovery);
    let link = regex::Regex::new(r#"<(\w+)><Link token="([^"]+)" href="([^"]+)"/>"#).unwrap();
    let mut tokens = Vec::new();
    while tokens.len() < 3 {
        let accept = "application/vnd.microsoft.rtc.autodiscover+xml;v=1";
        let answer = http.get(&next).header("Accept", accept).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 200, "{next}");
        let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
        assert!(kind.starts_with("application/vnd.microsoft.rtc.autodiscover+xml"), "{kind}");
        let document = answer.text().await.unwrap();
        let found = link.captures(&document).expect("a link");
        tokens.push((found[1].to_owned(), found[2].to_owned()));
        next = found[3].to_owned();
    }
    let expected = [("Root", "Redirect"), ("Root", "Domain"), ("Domain", "External/RemotePowerShell")];
    assert_eq!(tokens, expected.map(|(element, token)| (element.to_owned(), token.to_owned())));
    assert_eq!(next, server.url);
    for nobody in ["?Domain=nobody.example", ""] {
        let answer = http.get(format!("{}{nobody}", server.discovery)).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 404, "{nobody}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_issued_as_the_challenge_describes_and_opens_only_the_token_endpoint() {
    let server = Server::start(Options::default()).await.unwrap();
    let http = http();
    let oauth = server.url.replace("OcsPowershellLiveId", "OcsPowershellOAuth");
    let refused = http.post(&oauth).body(create().1).send().await.unwrap();
    assert_eq!(refused.status().as_u16(), 401);
    let challenge = refused.headers()["www-authenticate"].to_str().unwrap().to_owned();
    let field = |name: &str| {
        let pattern = regex::Regex::new(&format!("{name}=\"([^\"]+)\"")).unwrap();
        pattern.captures(&challenge).unwrap_or_else(|| panic!("{challenge}"))[1].to_owned()
    };
    assert!(challenge.starts_with("Bearer "), "{challenge}");
    assert!(field("trusted_issuers").ends_with("@*"));
    let ask = async |grant: &str, password: &str| {
        let form = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", grant)
            .append_pair("client_id", &field("client_id"))
            .append_pair("username", USER)
            .append_pair("password", password)
            .finish();
        let request = http.post(field("authorization_uri")).body(form);
        let request = request.header("Content-Type", "application/x-www-form-urlencoded");
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let body = answer.text().await.unwrap();
        (status, serde_json::from_str::<serde_json::Value>(&body).unwrap())
    };
    let (status, refused) = ask("password", "not it").await;
    assert_eq!((status, &refused["error"]), (400, &"invalid_grant".into()));
    let (status, refused) = ask("client_credentials", PASSWORD).await;
    assert_eq!((status, &refused["error"]), (400, &"unsupported_grant_type".into()));
    let (status, granted) = ask("password", PASSWORD).await;
    assert_eq!((status, &granted["token_type"]), (200, &"Bearer".into()));
    let token = granted["access_token"].as_str().unwrap();

    let with = |url: &str, token: &str| http.post(url).bearer_auth(token).body(create().1);
    for (url, token) in [(&oauth, "made-up"), (&server.url, token)] {
        assert_eq!(with(url, token).send().await.unwrap().status().as_u16(), 401, "{url}");
    }
    let basic = http.post(&oauth).basic_auth(USER, Some(PASSWORD)).body(create().1);
    assert_eq!(basic.send().await.unwrap().status().as_u16(), 401);
    assert!(matches!(answer(with(&oauth, token)).await, Response::Created { .. }));
    assert_eq!(server.shells()[0].owner, USER);
}

/// Starts the endpoint as a separate process; returns it with its ready message.
fn served(options: &[&str]) -> (ChildGuard, serde_json::Value) {
    let mut served = Program::lyncsh().args(["demo", "--serve"]).args(options).start();
    let ready = served.ready();
    (served, ready)
}

#[tokio::test(flavor = "multi_thread")]
async fn command_line_options_take_effect() {
    // The port was free before, but another process may use it now.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (port_text, options) = (port.to_string(), ["--idle-timeout", "400ms", "--latency", "200ms"]);
    let (_served, ready) = served(&[&["--port", &port_text], &options[..]].concat());
    let received: Vec<_> = ready.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(received, ["discovery", "domain", "password", "url", "user"]);
    assert_eq!(ready["url"], format!("http://127.0.0.1:{port}/OcsPowershellLiveId"));
    let text = |key: &str| ready[key].as_str().unwrap().to_owned();
    let client = Client { http: http(), url: text("url"), user: text("user"), password: text("password") };
    let start = Instant::now();
    assert!(matches!(client.create().await.1, Response::Created { .. }));
    assert!(start.elapsed() >= Duration::from_millis(200), "{:?}", start.elapsed());
    let shells = format!("{}sim/shells", text("discovery"));
    while client.http.get(&shells).send().await.unwrap().text().await.unwrap() != "[]" {
        assert!(start.elapsed() < PATIENCE, "the idle session stays");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
