//! Full disks and failing endpoints: without a journal no session is created; a session that cannot be removed
//! is reported, recorded, and removed later.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::agent_way::Way;
use crate::agent_world::{GONE, Killed, PATIENCE, World};

/// Returns an error's text on one line, without the frame.
fn words(error: &str) -> String {
    error.replace('\u{2502}', " ").split_whitespace().collect::<Vec<_>>().join(" ")
}

fn written_down(world: &World) -> usize {
    std::fs::read_dir(world.folders.state.join("sessions")).map_or(0, Iterator::count)
}

#[test]
fn without_a_place_for_the_journal_no_session_is_asked_for() {
    let world = World::start();
    std::fs::create_dir_all(&world.folders.state).unwrap();
    std::fs::write(world.folders.state.join("sessions"), "in the way").unwrap();
    let (code, out, err) = world.run(&["attach", "work", "--socket"]);
    assert_eq!((code, out.as_str()), (3, ""), "{err}");
    assert!(words(&err).contains("cannot write the session journal") && err.contains("sessions"), "{err}");
    assert_eq!(world.requests(), 0);
}

#[test]
fn on_a_full_disk_no_session_is_asked_for() {
    let world = World::start();
    // No file may grow, as on a full disk, in this process and its children.
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' XFSZ; ulimit -f 0; exec \"$@\" 2>&1 | cat", "sh"]);
    let lyncsh = world.lyncsh(&["attach", "work", "--socket"]);
    shell.arg(lyncsh.get_program()).args(lyncsh.get_args());
    shell.envs(lyncsh.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = shell.stdin(Stdio::null()).output().unwrap();
    let told = words(&String::from_utf8_lossy(&output.stdout));
    assert!(told.contains(": File too large"), "{told}");
    assert!(told.contains(&*world.root().to_string_lossy()), "{told}");
    assert_eq!(world.requests(), 0);
    assert_eq!(written_down(&world), 0);
}

#[test]
fn without_a_place_for_sockets_no_session_is_asked_for() {
    let world = World::start();
    std::fs::write(&world.folders.runtime, "in the way").unwrap();
    let (code, out, err) = world.run(&["attach", "work", "--socket"]);
    assert_eq!((code, out.as_str()), (3, ""), "{err}");
    let told = words(&err);
    assert!(told.contains(&*world.folders.runtime.to_string_lossy()), "{told}");
    assert_eq!(world.requests(), 0);
}

#[test]
fn without_a_runtime_directory_the_sockets_are_the_owners_alone() {
    let world = World::start();
    let home = world.root().join("home");
    std::fs::create_dir_all(home.join(".config/lyncsh/profiles")).unwrap();
    std::fs::copy(world.folders.profile("work"), home.join(".config/lyncsh/profiles/work.toml")).unwrap();
    let lyncsh = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lyncsh"));
        command.env_clear().env("HOME", &home).env("PATH", "/usr/bin:/bin").args(arguments);
        command.output().unwrap()
    };
    let attached = lyncsh(&["attach", "work", "--socket"]);
    let told = String::from_utf8(attached.stderr).unwrap();
    assert!(attached.status.success(), "{told}");
    let socket = String::from_utf8(attached.stdout).unwrap();
    let socket = std::path::Path::new(socket.trim_end());
    assert!(socket.starts_with(&home), "{socket:?}");
    let mode =
        |path| std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(path).unwrap().permissions());
    assert_eq!((mode(socket) & 0o777, mode(socket.parent().unwrap()) & 0o777), (0o600, 0o700));
    assert!(lyncsh(&["stop", "work"]).status.success());
    world.wait(GONE, "no shell on the endpoint", |world| world.shells() == 0);
}

#[test]
fn an_endpoint_that_hangs_at_the_end_is_told_of_and_its_session_removed_later() {
    let world = World::with("shell = \"console\"\n[timeouts]\nclose = \"1s\"");
    // Caches the command names for the next console.
    let first = world.lyncsh(&["work"]).stdin(Stdio::null()).output().unwrap();
    assert!(first.status.success(), "{first:?}");
    world.wait_agent_gone();
    // The script starts at the end of its input, and needs only a session.
    let mut console = world.lyncsh(&["work"]);
    console.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut console = Killed(console.spawn().unwrap());
    let mut typed = console.0.stdin.take().unwrap();
    typed.write_all(b"$x = 'it reads'\n$x\n").unwrap();
    world.wait(PATIENCE, "the console's attaching", |world| {
        let (code, told, _) = world.run(&["status", "--json"]);
        let status: serde_json::Value = serde_json::from_str(&told).unwrap_or_default();
        code == 0 && status["agents"][0]["shells"].as_array().is_some_and(|shells| !shells.is_empty())
    });
    assert_eq!(world.shells(), 1);
    let endpoint = Pid::from_raw(i32::try_from(world.endpoint_process()).unwrap()).unwrap();
    kill_process(endpoint, Signal::STOP).unwrap();
    let start = Instant::now();
    drop(typed);
    let status = console.wait();
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    assert_eq!(std::io::read_to_string(console.0.stdout.take().unwrap()).unwrap(), "it reads\n");
    let told = std::io::read_to_string(console.0.stderr.take().unwrap()).unwrap();
    assert_eq!(status.code(), Some(0), "{told}");
    assert!(words(&told).contains("the session of 'work' may still be on the server"), "{told}");
    world.wait_agent_gone();
    assert_eq!(written_down(&world), 1);
    kill_process(endpoint, Signal::CONT).unwrap();
    let (_, _, told) = world.run(&["status"]);
    assert!(told.contains("removed an orphaned session of 'work'"), "{told}");
    assert_eq!((world.shells(), written_down(&world)), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_fails_at_the_end_is_asked_with_pauses_told_of_and_its_session_removed_later() {
    let world = World::start();
    let way = Way::of(&world).await;
    world.attach();
    way.refuse_delete(true);
    let (code, out, told) = world.run(&["stop", "work"]);
    assert_eq!((code, out.as_str()), (1, ""), "{told}");
    assert!(told.contains("'work': the session may still be on the server"), "{told}");
    assert!(told.contains("500 Internal Server Error"), "{told}");
    world.wait_agent_gone();
    // Deletes: one by the session, one on a new connection, and those of its guard, with pauses.
    assert!((4..=8).contains(&way.refused()), "{}", way.refused());
    assert_eq!((world.shells(), written_down(&world)), (1, 1));
    way.refuse_delete(false);
    let (_, _, told) = world.run(&["status"]);
    assert!(told.contains("removed an orphaned session of 'work'"), "{told}");
    assert_eq!((world.shells(), written_down(&world)), (0, 0));
}
