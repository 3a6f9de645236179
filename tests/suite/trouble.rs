//! Full disks and failing endpoints: without a journal no session is created; a session that cannot be removed
//! is reported, recorded, and removed later.

use std::io::Write as _;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::agent_world::{PATIENCE, REMOVAL_TIMEOUT, World, path_without_powershell};
use crate::forwarder::Forwarder;
use crate::program::{Program, Ran, lyncsh, one_line, signal};

fn journal_entries(world: &World) -> usize {
    std::fs::read_dir(world.folders.state.join("sessions")).map_or(0, Iterator::count)
}

#[test]
fn no_session_is_requested_without_a_journal() {
    let world = World::start();
    std::fs::create_dir_all(&world.folders.state).unwrap();
    std::fs::write(world.folders.state.join("sessions"), "in the way").unwrap();
    let (code, out, err) = world.run(&["attach", "work", "--socket"]);
    assert_eq!((code, out.as_str()), (3, ""), "{err}");
    assert!(one_line(&err).contains("cannot write the session journal") && err.contains("sessions"), "{err}");
    assert_eq!(world.requests(), 0);
}

#[test]
fn no_session_is_requested_on_a_full_disk() {
    let world = World::start();
    // No file may grow, as on a full disk, in this process and its children.
    let limited = "trap '' XFSZ; ulimit -f 0; exec \"$@\" 2>&1 | cat";
    let shell =
        Program::new("sh").args(["-c", limited, "sh"]).args([lyncsh()]).args(["attach", "work", "--socket"]);
    let shell = shell.env("LYNCSH_CONFIG_DIR", world.root()).env("PATH", path_without_powershell());
    let told = one_line(&shell.run().out);
    assert!(told.contains(": File too large"), "{told}");
    assert!(told.contains(&*world.root().to_string_lossy()), "{told}");
    assert_eq!(world.requests(), 0);
    assert_eq!(journal_entries(&world), 0);
}

#[test]
fn no_session_is_requested_without_a_socket_folder() {
    let world = World::start();
    std::fs::write(&world.folders.runtime, "in the way").unwrap();
    let (code, out, err) = world.run(&["attach", "work", "--socket"]);
    assert_eq!((code, out.as_str()), (3, ""), "{err}");
    let told = one_line(&err);
    assert!(told.contains(&*world.folders.runtime.to_string_lossy()), "{told}");
    assert_eq!(world.requests(), 0);
}

#[test]
fn sockets_without_a_runtime_directory_are_private() {
    let world = World::start();
    let home = world.root().join("home");
    std::fs::create_dir_all(home.join(".config/lyncsh/profiles")).unwrap();
    std::fs::copy(world.folders.profile("work"), home.join(".config/lyncsh/profiles/work.toml")).unwrap();
    let lyncsh = |arguments: &[&str]| {
        let program = Program::lyncsh().env_clear().env("HOME", &home).env("PATH", "/usr/bin:/bin");
        program.args(arguments).run().success_output()
    };
    let socket = lyncsh(&["attach", "work", "--socket"]);
    let socket = std::path::Path::new(socket.trim_end());
    assert!(socket.starts_with(&home), "{socket:?}");
    let mode =
        |path| std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(path).unwrap().permissions());
    assert_eq!((mode(socket) & 0o777, mode(socket.parent().unwrap()) & 0o777), (0o600, 0o700));
    lyncsh(&["stop", "work"]);
    world.wait(REMOVAL_TIMEOUT, "no shell on the endpoint", |world| world.shells() == 0);
}

#[test]
fn a_hanging_delete_is_reported_and_retried_later() {
    let world = World::with("shell = \"console\"\n[timeouts]\nclose = \"1s\"");
    // Caches the command names for the next console.
    world.program(&["work"]).run().success_output();
    world.wait_agent_gone();
    // The script starts at the end of its input, and needs only a session.
    let mut console = world.program(&["work"]).start();
    let mut typed = console.input();
    typed.write_all(b"$x = 'it reads'\n$x\n").unwrap();
    world.wait(PATIENCE, "the console's attaching", |world| {
        let (code, told, _) = world.run(&["status", "--json"]);
        let status: serde_json::Value = serde_json::from_str(&told).unwrap_or_default();
        code == 0 && status["agents"][0]["shells"].as_array().is_some_and(|shells| !shells.is_empty())
    });
    assert_eq!(world.shells(), 1);
    let endpoint = world.endpoint_process();
    signal(endpoint, Signal::STOP);
    let start = Instant::now();
    drop(typed);
    let Ran { code, out, err: told } = console.ran();
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    assert_eq!((code, out.as_str()), (Some(0), "it reads\n"), "{told}");
    assert!(one_line(&told).contains("the session of 'work' may still be on the server"), "{told}");
    world.wait_agent_gone();
    assert_eq!(journal_entries(&world), 1);
    signal(endpoint, Signal::CONT);
    let (_, _, told) = world.run(&["status"]);
    assert!(told.contains("removed an orphaned session of 'work'"), "{told}");
    assert_eq!((world.shells(), journal_entries(&world)), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_delete_is_retried_reported_and_removed_later() {
    let world = World::start();
    let forwarder = Forwarder::of(&world).await;
    world.attach();
    forwarder.refuse_delete(true);
    let (code, out, told) = world.run(&["stop", "work"]);
    assert_eq!((code, out.as_str()), (1, ""), "{told}");
    assert!(told.contains("'work': the session may still be on the server"), "{told}");
    assert!(told.contains("500 Internal Server Error"), "{told}");
    world.wait_agent_gone();
    // Deletes: one by the session, one on a new connection, and those of its guard, with pauses.
    assert!((4..=8).contains(&forwarder.refused()), "{}", forwarder.refused());
    assert_eq!((world.shells(), journal_entries(&world)), (1, 1));
    forwarder.refuse_delete(false);
    let (_, _, told) = world.run(&["status"]);
    assert!(told.contains("removed an orphaned session of 'work'"), "{told}");
    assert_eq!((world.shells(), journal_entries(&world)), (0, 0));
}
