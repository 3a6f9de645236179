//! The simulator with an independent client and with lyncsh's own.

use std::time::Duration;

use lyncsh::net::Trust;
use lyncsh::psrp::client::PipelineEvent;
use lyncsh::psrp::clixml::Value;
use lyncsh::psrp::host::HostInfo;
use lyncsh::psrp::pipeline::{Merge, Pipeline, PipelineCommand as Cmd};
use lyncsh::psrp::record::PipelineState;
use lyncsh::simulator::{Options, PASSWORD, Server, USER};
use lyncsh::transport::Limits;
use lyncsh::transport::session::Session;
use lyncsh::transport::wsman::{self, Authentication, Endpoint};

use crate::program::{PATIENCE, Program, until};

pub async fn no_shell_is_left(server: &Server) {
    until(PATIENCE, "no shell", || server.shells().is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pypsrp_runs_cmdlets_and_reaches_the_quota() {
    let server = Server::start(Options { fixtures: true, ..Options::default() }).await.unwrap();
    let arguments = serde_json::json!({ "url": server.url, "user": USER, "password": PASSWORD }).to_string();
    let peer = Program::peer("pypsrp_check.py").args([arguments]);
    let seen = tokio::task::spawn_blocking(move || peer.run().json()).await.unwrap();
    assert_eq!(seen["tenant"], "Litware");
    assert_eq!(seen["user"], "Ken Myer");
    assert_eq!(seen["error"], "Management object not found for identity \"nobody\".");
    assert_eq!(seen["unknown"][0], true);
    assert!(seen["unknown"][1].as_str().unwrap().contains("The term 'Get-CsNothing' is not recognized"));
    for (stream, count) in
        [("warning", 1), ("verbose", 1), ("debug", 1), ("progress", 4), ("information", 2), ("error", 2)]
    {
        assert_eq!(seen["streams"][stream], count, "{stream}: {seen}");
    }
    assert!(seen["commands"].as_i64().unwrap() >= 40);
    assert_eq!(seen["pools"], serde_json::json!([1, 0]));
    assert_eq!((&seen["running"], &seen["stopped"]), (&true.into(), &true.into()), "{seen}");
    assert_eq!(seen["away"], serde_json::json!([true]));
    assert_eq!(seen["refused"], 2_150_859_204_u32);
    assert_eq!((&seen["back"], &seen["again"]), (&true.into(), &"Litware".into()), "{seen}");
    assert_eq!(seen["envelope"], 500 * 1024);
    assert_eq!(seen["wrong"], "AuthenticationError");
    let fourth = seen["fourth"].as_str().unwrap();
    assert!(
        fourth.contains("The maximum number of concurrent shells for this user has been exceeded."),
        "{fourth}"
    );
    no_shell_is_left(&server).await;
}

/// Returns an HTTP client.
pub fn http() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap()
}

pub fn host() -> HostInfo {
    let size = (100, 40);
    HostInfo {
        window: size,
        buffer: size,
        foreground: -1,
        background: -1,
        title: String::new(),
        is_null: false,
    }
}

pub fn pipeline(names: &[&str]) -> Pipeline {
    let command = |name: &&str| Cmd {
        name: (*name).into(),
        is_script: false,
        use_local_scope: None,
        arguments: Vec::new(),
        merge: Merge::default(),
    };
    Pipeline::new(names.iter().map(command).collect())
}

/// Opens a session of lyncsh's client.
async fn open(server: &Server) -> Session {
    let endpoint = Endpoint {
        uri: server.url.parse().unwrap(),
        configuration: "http://schemas.microsoft.com/powershell/Microsoft.PowerShell".into(),
        authentication: Authentication::Basic { user: USER.into(), password: PASSWORD.into() },
        renew: None,
        removal_recorder: None,
        idle_timeout: None,
        trust: Trust::default(),
        proxies: lyncsh::net::Proxies::default(),
        max_redirections: 3,
        hosts: lyncsh::net::Hosts::default(),
        affinity: lyncsh::transport::wsman::Affinity::default(),
        limits: Limits::default(),
    };
    let mut pool = lyncsh::psrp::client::ClientPool::new(uuid::Uuid::new_v4(), host(), (1, 1));
    pool.open();
    let (connection, _) = wsman::connect(endpoint, pool.id(), pool.take_outgoing(), |_| true).await.unwrap();
    Session::open_pool(connection, pool).await.unwrap().0
}

#[tokio::test(flavor = "multi_thread")]
async fn lyncsh_queries_the_tenant_and_leaves_no_shell() {
    let server = Server::start(Options::default()).await.unwrap();
    let session = open(&server).await;
    assert_eq!(server.shells().len(), 1);
    let mut running = session.invoke(&pipeline(&["Get-CsTenant"])).await.unwrap();
    let mut names = Vec::new();
    let mut end = None;
    while let Some(event) = running.next().await {
        match event.unwrap() {
            PipelineEvent::Output(value) => {
                names.extend(value.property("DisplayName").map(Value::display_text));
            }
            PipelineEvent::State(state, _) => end = Some(state),
            _ => {}
        }
    }
    assert_eq!(
        (names.as_slice(), end),
        ([String::from("Litware")].as_slice(), Some(PipelineState::Completed))
    );
    session.close().await.unwrap();
    no_shell_is_left(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_session_ends() {
    let options = Options { idle_timeout: Duration::from_millis(500), ..Options::default() };
    let server = Server::start(options).await.unwrap();
    let _session = open(&server).await;
    no_shell_is_left(&server).await;
}
