//! The agent in front of an endpoint that behaves like Lync Online: discovery, tokens, session limits.

use std::process::Stdio;
use std::time::Duration;

use lyncsh::profile::kind::CONFIGURATION_PREFIX;
use lyncsh::psrp::client::PipelineEvent;
use lyncsh::psrp::pipeline::{Pipeline, PipelineCommand};
use lyncsh::psrp::record::PipelineState;
use lyncsh::simulator::{Options, PASSWORD, Server, USER};
use lyncsh::transport::wsman::envelope::{RequestEnvelope, RequestHeader, WsmanRequest};

use crate::agent_world::{ChildGuard, PATIENCE, REMOVAL_TIMEOUT, World, open, output};
use crate::program::until;
use crate::stand_in::Terminal;

/// Creates a user with the profile `work` on Lync Online.
pub async fn online(options: Options, more: &str) -> (World, Server) {
    let server = Server::start(options).await.unwrap();
    let world = World::without_endpoint();
    profile(&world, &server, "work", more);
    (world, server)
}

fn profile(world: &World, server: &Server, name: &str, more: &str) {
    std::fs::create_dir_all(world.folders.profiles()).unwrap();
    let text = format!(
        "kind = \"lync-online\"\nuser = \"{USER}\"\ndiscovery = \"{}\"\n\
         credential = {{ command = \"echo '{PASSWORD}'\" }}\n{more}\n",
        server.discovery
    );
    std::fs::write(world.folders.profile(name), text).unwrap();
}

/// Runs the program without blocking the simulator.
pub async fn run(world: &World, arguments: &[&str]) -> (i32, String, String) {
    let program = world.program(arguments);
    tokio::task::spawn_blocking(move || program.run().parts()).await.unwrap()
}

pub async fn empty(server: &Server) {
    until(REMOVAL_TIMEOUT, "no shell", || server.shells().is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn verbose_connecting_matches_new_csonlinesession() {
    for (authentication, said) in [
        ("basic", &["Determining domain to admin", "AdminDomain = 'litwareinc.com'"][..]),
        ("token", &["Requesting authentication token", "Success", "Initializing remote session"][..]),
    ] {
        let more = format!("authentication = \"{authentication}\"");
        let (world, server) = online(Options::default(), &more).await;
        let (code, out, err) = run(&world, &["-v", "attach", "work", "--socket"]).await;
        assert_eq!(code, 0, "{err}");
        for text in said {
            assert!(err.contains(&format!("VERBOSE: {text}")), "{err}");
        }
        assert!(err.contains("TargetUri = '"), "{err}");
        assert!(err.contains("Opened"), "{err}");
        let shell = open(out.trim().as_ref()).await;
        let events =
            output(shell.invoke(&Pipeline::new(vec![PipelineCommand::new("Get-CsTenant")])).await.unwrap())
                .await;
        assert!(matches!(events.last(), Some(PipelineEvent::State(PipelineState::Completed, None))));
        assert!(events.iter().any(|event| matches!(event, PipelineEvent::Output(_))));
        assert_eq!(server.shells().len(), 1);
        shell.close().await.unwrap();
        drop(shell);
        empty(&server).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_shells_share_one_of_three_sessions() {
    let (world, server) = online(Options::default(), "").await;
    let (code, out, err) = run(&world, &["attach", "work", "--socket"]).await;
    assert_eq!(code, 0, "{err}");
    let mut shells = futures_util::future::join_all((0..10).map(|_| open(out.trim().as_ref()))).await;
    let requests = server.requests();
    let (_, again, _) = run(&world, &["attach", "work", "--socket"]).await;
    assert_eq!(again, out);
    assert_eq!(server.requests(), requests, "attaching sends no requests to the endpoint");
    shells.push(open(again.trim().as_ref()).await);
    // The first shell detaches; the others keep working.
    let first = shells.remove(0);
    first.close().await.unwrap();
    drop(first);
    for shell in &shells {
        let events =
            output(shell.invoke(&Pipeline::new(vec![PipelineCommand::new("Get-CsTenant")])).await.unwrap())
                .await;
        assert!(matches!(events.last(), Some(PipelineEvent::State(PipelineState::Completed, None))));
    }
    assert_eq!(server.shells().len(), 1);
    let (_, status, _) = run(&world, &["status"]).await;
    assert!(status.contains(&format!("1 of 3 sessions of {USER}")), "{status}");
    for shell in &shells {
        shell.close().await.unwrap();
    }
    drop(shells);
    empty(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fourth_session_is_refused_with_a_list() {
    for hang in [false, true] {
        let (world, server) = online(Options { hang, ..Options::default() }, "").await;
        for name in ["one", "two", "three"] {
            profile(&world, &server, name, "");
            let (code, _, err) = run(&world, &["attach", name, "--socket"]).await;
            assert_eq!(code, 0, "{err}");
        }
        profile(&world, &server, "work", "[timeouts]\nopen = \"1s\"");
        let attempt = run(&world, &["attach", "work", "--socket"]);
        let (code, _, err) = tokio::time::timeout(PATIENCE, attempt).await.unwrap();
        assert_ne!(code, 0);
        for name in ["one", "two", "three"] {
            assert!(err.contains(&format!("this machine's '{name}'")), "{err}");
        }
        let reason = if hang { "took longer than 1s" } else { "maximum number of concurrent shells" };
        assert!(err.contains(reason), "{err}");
        assert_eq!(server.shells().len(), 3);
        let (code, _, err) = run(&world, &["stop", "--all"]).await;
        assert_eq!(code, 0, "{err}");
        empty(&server).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_and_an_unknown_domain_are_clear_errors() {
    let (world, server) = online(Options::default(), "").await;
    let good = std::fs::read_to_string(world.folders.profile("work")).unwrap();
    std::fs::write(world.folders.profile("work"), good.replace(PASSWORD, "wrong")).unwrap();
    let (code, _, err) = run(&world, &["attach", "work", "--socket"]).await;
    assert_ne!(code, 0);
    assert!(err.contains(&format!("refused the credential of {USER}")), "{err}");
    std::fs::write(world.folders.profile("work"), good + "domain = \"nobody.example\"\n").unwrap();
    let (code, _, err) = run(&world, &["attach", "work", "--socket"]).await;
    assert_ne!(code, 0);
    assert!(err.contains("nobody.example"), "{err}");
    assert!(server.shells().is_empty());
}

/// Starts the program with its input kept open.
fn work(world: &World) -> (ChildGuard, std::process::ChildStdin) {
    let program = world.program(&["work", "--shell", "console"]);
    let mut child = program.stdout(Stdio::null()).stderr(Stdio::null()).start();
    let stdin = child.input();
    (child, stdin)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_signal_at_any_stage_leaves_a_shell() {
    use rustix::process::Signal;
    for signal in [Signal::TERM, Signal::HUP, Signal::QUIT, Signal::INT, Signal::KILL] {
        for stage in ["connecting", "idle", "running"] {
            // Ctrl-C stops the command, not the shell.
            if signal == Signal::INT && stage != "connecting" {
                continue;
            }
            let latency = Duration::from_millis(if stage == "connecting" { 100 } else { 0 });
            let options = Options { fixtures: true, latency, ..Options::default() };
            let (world, server) = online(options, "").await;
            let (mut program, input) = work(&world);
            let mut input = Some(input);
            match stage {
                "connecting" => until(PATIENCE, "a request", || server.requests() > 0).await,
                "idle" => {
                    until(PATIENCE, "a shell", || !server.shells().is_empty()).await;
                }
                _ => {
                    // It runs when the input has ended.
                    let mut input = input.take().unwrap();
                    std::io::Write::write_all(&mut input, b"Wait-Cs -Seconds 600\n").unwrap();
                    drop(input);
                    let runs = || server.shells().iter().any(|shell| shell.commands > 0);
                    until(PATIENCE, "a command", runs).await;
                }
            }
            crate::program::signal(program.0.id(), signal);
            let (program, status) = tokio::task::spawn_blocking(move || {
                let status = program.wait();
                (program, status)
            })
            .await
            .unwrap();
            assert!(!status.success(), "{signal:?} while {stage}");
            empty(&server).await;
            drop((program, input));
            let gone = || world.agent().is_none();
            until(PATIENCE, "no agent", gone).await;
            let left = std::fs::read_dir(world.folders.state.join("sessions")).map_or(0, Iterator::count);
            assert_eq!(left, 0, "{signal:?} while {stage}");
        }
    }
}

/// Makes the server disconnect every shell, as after a long absence of a client.
async fn disconnect(server: &Server) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    for shell in server.shells() {
        let header = RequestHeader {
            message_id: format!("uuid:{}", uuid::Uuid::new_v4()),
            to: server.url.clone(),
            resource_uri: format!("{CONFIGURATION_PREFIX}Microsoft.PowerShell"),
            selectors: vec![("ShellId".to_owned(), shell.id)],
            ..RequestHeader::default()
        };
        let request = WsmanRequest::Disconnect { idle_timeout: None, buffer_mode: None };
        let sent = reqwest::Client::new()
            .post(&server.url)
            .basic_auth(USER, Some(PASSWORD))
            .body(RequestEnvelope { header, request }.write())
            .send();
        assert!(sent.await.unwrap().status().is_success());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disconnected_session_is_reconnected() {
    let (world, server) = online(Options { fixtures: true, ..Options::default() }, "").await;
    let (code, out, err) = run(&world, &["attach", "work", "--socket"]).await;
    assert_eq!(code, 0, "{err}");
    let shell = open(out.trim_end().as_ref()).await;
    let ids = || server.shells().into_iter().map(|shell| shell.id).collect::<Vec<_>>();
    let first = ids();
    let tenant = async || {
        let pipeline = Pipeline::new(vec![PipelineCommand::new("Get-CsTenant")]);
        output(shell.invoke(&pipeline).await.unwrap()).await
    };
    let completed = |events: &[PipelineEvent]| {
        matches!(events.last(), Some(PipelineEvent::State(PipelineState::Completed, None)))
    };
    // No command is running.
    disconnect(&server).await;
    // A command that arrives before the agent reconnects may have run.
    until(PATIENCE, "the reconnection", || !server.shells()[0].is_disconnected).await;
    let events = tenant().await;
    assert!(completed(&events), "{events:?}");
    // A command is running and returns its output afterwards.
    let mut wait = PipelineCommand::new("Wait-Cs");
    wait.arguments.push(lyncsh::psrp::pipeline::Argument::named("Seconds", 1));
    let running = shell.invoke(&Pipeline::new(vec![wait])).await.unwrap();
    until(PATIENCE, "a running command", || server.shells()[0].commands == 1).await;
    disconnect(&server).await;
    let events = output(running).await;
    assert!(completed(&events), "{events:?}");
    let events = tenant().await;
    assert!(completed(&events), "{events:?}");
    assert_eq!(ids(), first, "it is the same session");
    drop(shell);
    empty(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn status_counts_the_tenants_sessions() {
    let (world, server) = online(Options::default(), "").await;
    profile(&world, &server, "second", "");
    for name in ["work", "second"] {
        let (code, _, err) = run(&world, &["attach", name, "--socket"]).await;
        assert_eq!(code, 0, "{err}");
    }
    let (code, out, err) = run(&world, &["status"]).await;
    assert_eq!((code, err.as_str()), (0, ""));
    assert_eq!(out.matches(&format!("2 of 3 sessions of {USER}")).count(), 1, "{out}");
    let (_, out, _) = run(&world, &["status", "--json"]).await;
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    for agent in 0..2 {
        assert_eq!(
            (&json["agents"][agent]["used"], &json["agents"][agent]["allowed"]),
            (&2.into(), &3.into())
        );
    }
    let (code, _, err) = run(&world, &["stop", "--all"]).await;
    assert_eq!(code, 0, "{err}");
    empty(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keep_alive_outlasts_the_idle_timeout() {
    let idle_timeout = Duration::from_secs(3);
    for keep_alive in [true, false] {
        let more = format!("idle_timeout = \"3s\"\nkeep_alive = {keep_alive}");
        let (world, server) = online(Options { idle_timeout, ..Options::default() }, &more).await;
        let (code, out, err) = run(&world, &["attach", "work", "--socket"]).await;
        assert_eq!(code, 0, "{err}");
        let shell = open(out.trim_end().as_ref()).await;
        let ids = || server.shells().into_iter().map(|shell| shell.id).collect::<Vec<_>>();
        let first = ids();
        let start = std::time::Instant::now();
        // Without keep-alive the server removes the session within this time; a new one may follow.
        while start.elapsed() < idle_timeout * 3 && (keep_alive || ids() == first) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(ids() == first, keep_alive, "{:?}", server.shells());
        drop(shell);
        empty(&server).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_console_shows_the_holder_and_ctrl_c_cancels() {
    let (world, server) =
        online(Options { fixtures: true, ..Options::default() }, "shell = \"console\"").await;
    let first = Terminal::work(&world, "");
    first.wait_for_text("[work] PS>");
    let second = Terminal::work(&world, "");
    second.wait_for_text("[work] PS>");
    first.line("Wait-Cs -Seconds 600 | Out-Null");
    let start = std::time::Instant::now();
    while !run(&world, &["status"]).await.1.contains("Wait-Cs") {
        assert!(start.elapsed() < REMOVAL_TIMEOUT, "the command does not run");
    }
    // The first command also waits for the endpoint's format data.
    for _ in 0..2 {
        second.line("Get-CsTenant | Format-List DisplayName");
        second.wait_for_text("Waiting for the session: Wait-Cs of lyncsh (process");
        second.press("\x03");
        second.ends_with("[work] PS> ");
    }
    first.press("\x03");
    until(PATIENCE, "no running command", || server.shells()[0].commands == 0).await;
    second.line("Get-CsTenant | Format-List DisplayName");
    second.wait_for_text("DisplayName : Litware");
    for mut terminal in [first, second] {
        terminal.line("exit");
        assert_eq!(terminal.wait_exit(), 0);
    }
    empty(&server).await;
}
