//! One agent per profile and any number of shells, from the view of users and processes.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;
use std::time::Duration;

use lyncsh::psrp::client::PipelineEvent;
use lyncsh::psrp::record::PipelineState;
use rustix::process::Signal;

use crate::agent_world::{
    PASSWORD, PATIENCE, REMOVAL_TIMEOUT, World, measuring, open, output, until_output, waiting,
};
use crate::program::{Program, Ran, signal};

fn completed(events: &[PipelineEvent]) -> bool {
    matches!(events.last(), Some(PipelineEvent::State(PipelineState::Completed, None)))
}

#[test]
fn the_printed_socket_is_private_to_its_owner() {
    let world = World::start();
    let socket = world.attach();
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    let socket = std::path::Path::new(&socket);
    assert_eq!(mode(socket), 0o600);
    assert_eq!(mode(&world.place().control), 0o600);
    assert_eq!(mode(socket.parent().unwrap()), 0o700);
    assert_eq!(world.shells(), 1);
}

#[tokio::test]
async fn an_agent_outlives_a_console_while_expecting_a_shell() {
    let world = World::start();
    let socket = world.attach();
    world.program(&["work", "--shell", "console"]).run().success_output();
    assert_eq!(world.shells(), 1);
    let shell = open(socket.as_ref()).await;
    shell.close().await.unwrap();
    drop(shell);
    world.wait_removed(REMOVAL_TIMEOUT);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_session_ends_with_the_last_shell() {
    let world = World::start();
    let socket = world.attach();
    let first = open(socket.as_ref()).await;
    let second = open(socket.as_ref()).await;
    assert!(completed(&output(first.invoke(&measuring("one")).await.unwrap()).await));
    first.close().await.unwrap();
    drop(first);
    assert!(completed(&output(second.invoke(&measuring("two")).await.unwrap()).await));
    assert_eq!(world.shells(), 1);
    second.close().await.unwrap();
    drop(second);
    world.wait_removed(REMOVAL_TIMEOUT);
    assert!(!world.place().socket.exists());
    let left = std::fs::read_dir(world.folders.state.join("sessions")).unwrap().count();
    assert_eq!(left, 0, "the journal is empty");
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_shells_share_one_session() {
    let world = World::start();
    let socket = world.attach();
    let shells = futures_util::future::join_all((0..10).map(|_| open(socket.as_ref()))).await;
    let answers = shells.iter().enumerate().map(|(number, shell)| async move {
        let events = output(shell.invoke(&measuring(&"x".repeat(number))).await.unwrap()).await;
        assert!(completed(&events));
        // A command that waits long gets a progress record first.
        let outputs = events.iter().filter_map(|event| match event {
            PipelineEvent::Output(value) => Some(value.display_text()),
            _ => None,
        });
        assert_eq!(outputs.collect::<Vec<_>>(), [number.to_string()], "{events:?}");
    });
    futures_util::future::join_all(answers).await;
    assert_eq!(world.shells(), 1);
}

#[test]
fn concurrent_launchers_share_one_agent() {
    let world = World::start();
    let launchers: Vec<_> = (0..4)
        .map(|_| world.program(&["attach", "work", "--socket"]).stdout(Stdio::null()).start())
        .collect();
    for mut launcher in launchers {
        assert!(launcher.wait().success());
    }
    assert_eq!(world.shells(), 1);
    let (code, out, _) = world.run(&["stop", "work"]);
    assert_eq!(code, 0, "{out}");
    world.wait_removed(REMOVAL_TIMEOUT);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_shell_attaches_without_a_request_to_the_endpoint() {
    let world = World::start();
    let socket = world.attach();
    let _first = open(socket.as_ref()).await;
    let before = world.requests();
    assert_eq!(world.attach(), socket);
    let second = open(socket.as_ref()).await;
    assert_eq!(world.requests(), before);
    assert!(completed(&output(second.invoke(&measuring("now")).await.unwrap()).await));
    assert!(world.requests() > before);
}

#[test]
fn stop_removes_a_session_in_use() {
    let world = World::start();
    world.attach();
    let mut shell = world.child("running");
    shell.wait_for("ready");
    let (code, out, err) = world.run(&["stop", "--all"]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(out.contains("removed"), "{out}");
    assert_eq!(world.shells(), 0);
}

#[test]
fn status_names_the_shells_and_the_sessions_of_the_account() {
    let world = World::start();
    world.attach();
    let mut shell = world.child("running");
    shell.wait_for("ready");
    let (code, out, err) = world.run(&["status"]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.contains("work: open for"), "{out}");
    assert!(out.contains(&format!("(process {})", shell.process.0.id())), "{out}");
    assert!(out.contains("Wait-Forever"), "{out}");
    assert!(out.contains("1 session of kenmyer@litwareinc.com"), "{out}");
    let (_, json, _) = world.run(&["status", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["agents"][0]["used"], 1);
    assert_eq!(json["agents"][0]["holders"][0]["ours"], "work");
}

#[tokio::test(flavor = "multi_thread")]
async fn keep_retains_the_session_for_the_next_shell() {
    let world = World::with("keep = \"10m\"");
    let socket = world.attach();
    let agent = world.agent();
    let shell = open(socket.as_ref()).await;
    shell.close().await.unwrap();
    drop(shell);
    let again = open(world.attach().as_ref()).await;
    assert!(completed(&output(again.invoke(&measuring("kept")).await.unwrap()).await));
    assert_eq!(world.agent(), agent);
    assert_eq!(world.shells(), 1);
}

#[test]
fn a_wrong_password_is_one_clear_error_and_leaves_nothing() {
    let world = World::start();
    std::fs::write(world.root().join("password"), "wrong").unwrap();
    let (code, out, err) = world.run(&["attach", "work", "--socket"]);
    assert_ne!(code, 0);
    assert_eq!(out, "");
    let refused = "refused the credential of kenmyer@litwareinc.com (HTTP 401); it offers Negotiate, Basic; Check the user \
                   name";
    assert!(err.contains(refused), "{err}");
    assert_eq!(err.lines().count(), 1, "{err}");
    let created = world.endpoint_state()["log"].as_array().unwrap().len();
    assert_eq!(created, 0, "a wrong password is tried once");
    world.wait_removed(REMOVAL_TIMEOUT);
}

#[test]
fn a_refused_connection_is_one_clear_error() {
    let world = World::start();
    let text = std::fs::read_to_string(world.folders.profile("work")).unwrap();
    // No process listens on port 1.
    let text = text.replace(&world.uri, "http://127.0.0.1:1/wsman");
    std::fs::write(world.folders.profile("work"), text).unwrap();
    let (code, _, err) = world.run(&["attach", "work", "--socket"]);
    assert_ne!(code, 0);
    assert!(err.contains("cannot reach"), "{err}");
    world.wait(PATIENCE, "no agent", |world| world.agent().is_none());
}

#[test]
fn a_signal_to_the_agent_removes_the_session_at_any_stage() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT] {
        for stage in ["connecting", "idle", "running"] {
            let world = World::on(&["--create", "0.3"], "");
            let mut launcher = None;
            let mut shell = None;
            if stage == "connecting" {
                launcher = Some(world.program(&["attach", "work", "--socket"]).start());
                world.wait(PATIENCE, "Create", |world| world.requests() > 0);
            } else {
                world.attach();
                let mut role = world.child(stage);
                role.wait_for("ready");
                shell = Some(role);
            }
            if let Some(agent) = world.agent() {
                let id = rustix::process::Pid::from_raw(i32::try_from(agent).unwrap()).unwrap();
                let _ = rustix::process::kill_process(id, signal);
            }
            if let Some(launcher) = &mut launcher {
                assert!(!launcher.wait().success());
            }
            world.wait(REMOVAL_TIMEOUT, &format!("{signal:?} while {stage}"), |world| {
                world.shells() == 0 && world.agent().is_none()
            });
            drop(shell);
        }
    }
}

#[test]
fn the_next_command_removes_a_killed_agents_session() {
    let world = World::start();
    world.attach();
    lyncsh::platform::kill(world.agent().unwrap()).unwrap();
    world.wait(PATIENCE, "no agent", |world| world.agent().is_none());
    assert_eq!(world.shells(), 1, "no process was left to remove it");
    let (code, _, err) = world.run(&["status"]);
    assert_eq!(code, 0);
    assert!(err.contains("removed an orphaned session of 'work', opened"), "{err}");
    assert_eq!(world.shells(), 0);
}

#[test]
fn the_password_leaks_nowhere() {
    let world = World::start();
    let trace = world.program(&["-vvv", "attach", "work", "--socket"]).env("LYNCSH_LOG", "trace");
    let Ran { code, err, .. } = trace.run();
    assert_eq!(code, Some(0), "{err}");
    let mut shell = world.child("running");
    shell.wait_for("ready");
    let agent = world.agent().unwrap();
    let encoded = {
        use base64::Engine as _;
        let pair = format!("{}:{PASSWORD}", crate::agent_world::USER);
        base64::engine::general_purpose::STANDARD.encode(pair)
    };
    let is_free = |what: &str, bytes: &[u8]| {
        for secret in [PASSWORD, encoded.as_str()] {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "the password stands in {what}");
        }
    };
    for file in ["cmdline", "environ"] {
        is_free(file, &std::fs::read(format!("/proc/{agent}/{file}")).unwrap());
    }
    is_free("what was said", err.as_bytes());
    let mut folders = vec![world.root().to_owned()];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() && entry.file_name() != "password" {
                files += 1;
                is_free(&entry.path().display().to_string(), &std::fs::read(entry.path()).unwrap());
            }
        }
    }
    let log = std::fs::metadata(world.folders.state.join("log/work.log")).unwrap();
    assert!(files >= 3 && log.len() > 1_000, "journal, log and profile were looked at");
}

#[test]
fn another_user_cannot_attach() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("this needs root, to become another user: not tried");
        return;
    }
    let world = World::start();
    let socket = world.attach();
    // Even if the folder's permissions allowed it.
    for folder in [world.root(), world.folders.runtime.as_path()] {
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    for path in [&world.place().socket, &world.place().control] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666)).unwrap();
    }
    let script = "import socket, sys\n\
                  s = socket.socket(socket.AF_UNIX)\n\
                  s.settimeout(30)\n\
                  s.connect(sys.argv[1])\n\
                  s.sendall(b'{\"request\":\"status\"}\\n')\n\
                  print(len(s.recv(1)))\n";
    for path in [socket.as_str(), world.place().control.to_str().unwrap()] {
        let arguments = ["--reuid", "65534", "--regid", "65534", "--clear-groups", "/usr/bin/python3", "-c"];
        let peer = Program::new("setpriv").args(arguments).args([script, path]).folder("/".as_ref());
        let Ran { out, err: error, .. } = peer.run();
        let said = out.trim();
        assert!(
            said == "0" || error.contains("ConnectionReset") || error.contains("BrokenPipe"),
            "{said} {error}"
        );
    }
    assert_eq!(world.shells(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shell_killed_during_a_command_affects_no_other() {
    let world = World::start();
    let socket = world.attach();
    let other = open(socket.as_ref()).await;
    let mut shell = world.child("running");
    shell.wait_for("ready");
    shell.kill();
    assert!(completed(&output(other.invoke(&measuring("after")).await.unwrap()).await));
    let mut running = other.invoke(&waiting()).await.unwrap();
    until_output(&mut running).await;
    drop(running);
    assert_eq!(world.shells(), 1);
    // The end of a shell may be noticed late, but the other shell keeps the session.
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(world.shells(), 1);
}

#[test]
fn a_session_over_the_limit_lists_the_slot_holders() {
    let world = World::on(&["--most", "2"], "");
    world.profile("second", "");
    world.profile("third", "");
    for name in ["work", "second"] {
        let (code, _, err) = world.run(&["attach", name, "--socket"]);
        assert_eq!(code, 0, "{err}");
    }
    let (code, out, err) = world.run(&["attach", "third", "--socket"]);
    assert_ne!(code, 0);
    assert_eq!(out, "");
    assert!(err.contains("maximum number of concurrent shells for this user has been exceeded"), "{err}");
    assert!(err.contains("this machine's 'work', from 127.0.0.1"), "{err}");
    assert!(err.contains("this machine's 'second'"), "{err}");
    assert_eq!(err.lines().count(), 1, "{err}");
    assert_eq!(world.shells(), 2);
}

#[test]
fn an_orphaned_session_frees_its_slot() {
    let world = World::on(&["--most", "1"], "");
    world.attach();
    lyncsh::platform::kill(world.agent().unwrap()).unwrap();
    world.wait(PATIENCE, "no agent", |world| world.agent().is_none());
    assert_eq!(world.shells(), 1);
    world.attach();
    assert_eq!(world.shells(), 1);
    assert!(world.agent().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_connections_do_not_end_a_waiting_agent() {
    let world = World::start();
    let socket = world.attach();
    let agent = world.agent();
    for said in ["", "", "<", "GET / HTTP/1.1\r\n\r\n", "<Data"] {
        let mut visitor = tokio::net::UnixStream::connect(&socket).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut visitor, said.as_bytes()).await.unwrap();
        drop(visitor);
        // Queried after the visit: the agent has noticed its end.
        assert_eq!(world.run(&["status"]).0, 0);
    }
    assert_eq!(world.agent(), agent);
    let shell = open(socket.as_ref()).await;
    assert!(completed(&output(shell.invoke(&measuring("one")).await.unwrap()).await));
    drop(shell);
    world.wait_removed(REMOVAL_TIMEOUT);
}

#[test]
fn an_orphan_that_needs_a_prompt_is_reported_and_kept() {
    let world = World::start();
    world.attach();
    lyncsh::platform::kill(world.agent().unwrap()).unwrap();
    world.wait(PATIENCE, "no agent", |world| world.agent().is_none());
    let path = world.folders.profile("work");
    let silent = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = silent.lines().filter(|line| !line.starts_with("credential")).collect();
    std::fs::write(&path, format!("{}\ncredential = \"prompt\"\n", lines.join("\n"))).unwrap();
    let (code, out, err) = world.run(&["status"]);
    assert_eq!(code, 0);
    assert!(err.contains("run `lyncsh work` to enter it"), "{err}");
    assert!(out.contains("orphaned session on"), "{out}");
    assert_eq!(world.shells(), 1);
    std::fs::write(&path, silent).unwrap();
    world.run(&["status"]);
    assert_eq!(world.shells(), 0);
}

#[test]
fn stop_kills_an_unresponsive_agent() {
    let world = World::with("shell = \"console\"");
    world.attach();
    let mut shell = world.child("idle");
    shell.wait_for("ready");
    let process = world.agent().unwrap();
    signal(process, Signal::STOP);
    // All at the same time: each waits for the agent.
    let ran = std::thread::scope(|scope| {
        let commands: [&[&str]; 4] =
            [&["status"], &["status", "--json"], &["attach", "work", "--socket"], &["work"]];
        let running = commands.map(|arguments| scope.spawn(|| world.run(arguments)));
        running.map(|running| running.join().unwrap())
    });
    let [(0, status, _), (0, json, _), (3, attached, attaching), (3, worked, working)] = ran else {
        panic!("{ran:?}")
    };
    assert!(status.contains(&format!("work: the agent (process {process}) does not answer")), "{status}");
    assert!(status.contains("stop it with `lyncsh stop work`"), "{status}");
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["silent"][0]["process"], process, "{json}");
    assert_eq!((attached.as_str(), worked.as_str()), ("", ""));
    for told in [attaching, working] {
        let told = crate::program::one_line(&told);
        let named = format!("the agent of 'work' (process {process}) does not answer");
        assert!(told.contains(&named) && told.contains("lyncsh stop work"), "{told}");
    }
    let (code, _, err) = world.run(&["stop", "work"]);
    assert_eq!(code, 0, "{err}");
    assert!(err.contains(&format!("the agent (process {process}) did not answer and was killed")), "{err}");
    assert_eq!(world.shells(), 0);
}
