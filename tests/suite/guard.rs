//! Every signal at every stage ends `lyncsh work`: no shell is left on the endpoint.

use lyncsh::agent::guard::Guard;
use lyncsh::agent::journal::Journal;
use lyncsh::agent::resolver::EndpointResolver;
use lyncsh::psrp::client::ClientPool;
use lyncsh::transport::wsman;
use rustix::process::Signal;

use crate::agent_world::{PATIENCE, REMOVAL_TIMEOUT, World, host};

fn ended_by(signal: Signal) {
    for stage in ["connecting", "work-idle", "work-running"] {
        let world = World::on(&["--create", if stage == "connecting" { "0.3" } else { "0" }], "");
        let mut work = world.child(if stage == "connecting" { "work-idle" } else { stage });
        if stage == "connecting" {
            world.wait(PATIENCE, "Create", |world| world.requests() > 0);
        } else {
            work.wait_for("ready");
        }
        crate::program::signal(work.process.0.id(), signal);
        // Ctrl-C is handled by the shell once it is running.
        if signal == Signal::INT && stage != "connecting" {
            work.end_input();
            assert_eq!(work.process.wait().code(), Some(7), "{stage}");
        } else {
            let code = work.process.wait().code();
            match signal {
                Signal::INT => assert_eq!(code, Some(130), "{stage}"),
                Signal::TERM => assert_eq!(code, Some(143), "{stage}"),
                _ => assert_ne!(code, None, "ended without a signal: {stage}"),
            }
        }
        world.wait_removed(REMOVAL_TIMEOUT);
    }
}

#[test]
fn a_terminated_launcher_leaves_nothing() {
    ended_by(Signal::TERM);
}

#[test]
fn ctrl_c_while_connecting_leaves_no_session() {
    ended_by(Signal::INT);
}

#[test]
fn a_closed_terminal_leaves_nothing() {
    ended_by(Signal::HUP);
}

#[test]
fn a_quit_launcher_leaves_nothing() {
    ended_by(Signal::QUIT);
}

#[test]
fn the_launcher_returns_the_shells_exit_code() {
    let world = World::start();
    let mut work = world.child("work-idle");
    work.wait_for("ready");
    assert_eq!(world.shells(), 1);
    work.end_input();
    assert_eq!(work.process.wait().code(), Some(7));
    assert_eq!(world.shells(), 0);
}

#[test]
fn a_killed_agents_session_is_removed_by_the_launcher() {
    let world = World::start();
    let mut work = world.child("work-running");
    work.wait_for("ready");
    lyncsh::platform::kill(world.agent().unwrap()).unwrap();
    work.wait_for("the agent of 'work' died; its session is removed. `lyncsh work` connects again.");
    assert_eq!(world.shells(), 0);
    assert_eq!(work.process.wait().code(), Some(4));
    let left = std::fs::read_dir(world.folders.state.join("sessions")).unwrap().count();
    assert_eq!(left, 0);
}

#[test]
fn an_error_between_create_and_the_first_prompt_leaves_nothing() {
    // The pool does not open in time.
    let world = World::on(&["--create", "1"], "[timeouts]\nopen = \"500ms\"");
    let (code, _, err) = world.run(&["attach", "work", "--socket"]);
    assert_ne!(code, 0);
    assert!(err.contains("took longer than 500ms"), "{err}");
    // Also when Create completes at last.
    world.wait_removed(REMOVAL_TIMEOUT);
    std::thread::sleep(std::time::Duration::from_millis(1500));
    assert_eq!(world.shells(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_drops_the_guard_and_removes_the_session() {
    let world = World::start();
    let profile = lyncsh::profile::load(&world.folders, "work").unwrap();
    let (report, _steps) = tokio::sync::mpsc::unbounded_channel();
    let mut access = EndpointResolver::new(&world.folders, profile, None);
    let endpoint = access.endpoint(&report).await.unwrap();
    let journal = Journal::of(&world.folders);
    let shell = uuid::Uuid::new_v4();
    let mut pool = ClientPool::new(shell, host(), (1, 1));
    pool.open();
    let guard = Guard::new(&journal, &access.profile, endpoint.clone(), shell).unwrap();
    let _connection = wsman::connect(endpoint, shell, pool.take_outgoing(), |_| true).await.unwrap();
    assert_eq!((world.shells(), journal.live().len()), (1, 1));
    let panicked = tokio::spawn(async move {
        let _guard = guard;
        panic!("as it may happen");
    });
    assert!(panicked.await.unwrap_err().is_panic());
    assert_eq!((world.shells(), journal.live().len()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_refused_before_the_answer_to_create_leaves_an_entry_for_the_next_session() {
    let world = World::simulated(&[], "");
    let profile = lyncsh::profile::load(&world.folders, "work").unwrap();
    let (report, _steps) = tokio::sync::mpsc::unbounded_channel();
    let mut access = EndpointResolver::new(&world.folders, profile, Some("wrong".to_owned().into()));
    let endpoint = access.endpoint(&report).await.unwrap();
    let journal = Journal::of(&world.folders);
    let mut guard = Guard::new(&journal, &access.profile, endpoint, uuid::Uuid::new_v4()).unwrap();
    // Stopped before the endpoint has answered Create.
    guard.record_unanswered_create();
    assert_eq!(journal.live().len(), 1);
    // The endpoint may have accepted the password when Create arrived.
    guard.remove().await.unwrap_err();
    assert!(journal.live().is_empty() && journal.list_orphans()[0].refused);
    let (code, _, err) = world.run(&["exec", "work", "--", "Get-CsTenant"]);
    assert_eq!(code, 0, "{err}");
    world.wait_agent_gone();
    // It was tried again with the accepted password. Create may still be in progress.
    let [entry] = &journal.list_orphans()[..] else { panic!() };
    assert!(!entry.refused && entry.tries == 2, "{entry:?}");
}
