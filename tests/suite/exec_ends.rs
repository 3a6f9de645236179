//! The early end of `lyncsh exec`: by the failure of another profile, by Ctrl-C and by the time limit.

use std::time::Duration;

use lyncsh::agent::paths::AgentPaths;
use lyncsh::files::lock::lock;
use lyncsh::simulator::{Options, TenantFault};
use serde_json::Value;

use crate::agent_simulator::{empty, run};
use crate::agent_world::{PATIENCE, World};
use crate::exec::tenants;
use crate::program::{Ran, signal, until};

/// Maximum time from the end of a command to the end of its agents. An agent without a client waits 30 s.
const PROMPTLY: Duration = Duration::from_secs(10);

/// Lets the profile `t1` fail when the returned file exists.
fn fails_on_request(world: &World) -> std::path::PathBuf {
    let file = world.root().join("fail");
    let path = world.folders.profile("t1");
    let text = std::fs::read_to_string(&path).unwrap();
    // Ends with the test's folder too: a failed test kills lyncsh, which then cannot end its command.
    let (root, end) = (world.root().display(), file.display());
    let waiting = format!("while [ -d '{root}' ] && [ ! -e '{end}' ]; do sleep 0.05; done; false");
    std::fs::write(path, text.replace("echo T3nant!", &waiting)).unwrap();
    file
}

async fn agents_gone(world: &World) {
    until(PROMPTLY, "no agent", || {
        AgentPaths::known(&world.folders)
            .iter()
            .all(|name| AgentPaths::of(&world.folders, name).holder().is_none())
    })
    .await;
}

fn results(out: &str) -> Vec<(String, Value, String)> {
    let results: Vec<Value> = serde_json::from_str(out).unwrap();
    let mut results: Vec<_> = results
        .iter()
        .map(|one| {
            let name = one["profile"].as_str().unwrap().to_owned();
            let message = one["errors"][0]["message"].as_str().unwrap_or_default().to_owned();
            (name, one["exit_code"].clone(), message)
        })
        .collect();
    results.sort_by(|one, other| one.0.cmp(&other.0));
    results
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_a_failure_stops_may_have_run() {
    let (world, server) = tenants(3, Options { fixtures: true, ..Options::default() }).await;
    let fail = fails_on_request(&world);
    let line = ["exec", "--all", "--json", "--fail-fast", "--", "Wait-Cs 600"];
    let child = world.program(&line).start();
    let running = || server.shells().iter().filter(|shell| shell.commands > 0).count();
    until(PATIENCE, "two running commands", || running() == 2).await;
    std::fs::write(fail, "").unwrap();
    let Ran { code, out, err } = tokio::task::spawn_blocking(move || child.ran()).await.unwrap();
    assert_eq!((code, err.as_str()), (Some(3), "3 profiles: 0 succeeded, 1 failed (t1: 3), 2 stopped\n"));
    for (_, code, message) in &results(&out)[1..] {
        assert_eq!(
            (code, message.as_str()),
            (&130.into(), "stopped, because another profile failed; the command may have run")
        );
    }
    empty(&server).await;
    agents_gone(&world).await;
}

/// The endpoint answers Create after the failure of the other profile.
#[tokio::test(flavor = "multi_thread")]
async fn a_failure_stops_a_profile_that_is_connecting() {
    let slow =
        |number: usize| (format!("tenant{number:04}.example"), TenantFault::Slow(Duration::from_millis(700)));
    let (world, server) = tenants(3, Options { faults: vec![slow(2), slow(3)], ..Options::default() }).await;
    let fail = fails_on_request(&world);
    let child = world.program(&["exec", "--all", "--json", "--fail-fast", "--", "Get-CsTenant"]).start();
    until(PATIENCE, "requests", || server.requests() >= 2).await;
    std::fs::write(fail, "").unwrap();
    let Ran { code, out, err } = tokio::task::spawn_blocking(move || child.ran()).await.unwrap();
    assert_eq!(code, Some(3), "{err}");
    assert!(err.ends_with("3 profiles: 0 succeeded, 1 failed (t1: 3), 2 not run\n"), "{err}");
    for (_, code, message) in &results(&out)[1..] {
        assert_eq!(
            (code, message.as_str()),
            (&Value::Null, "stopped while connecting; the command was not run")
        );
    }
    empty(&server).await;
    agents_gone(&world).await;
}

/// The agent has been started, and has no client yet.
#[tokio::test(flavor = "multi_thread")]
async fn a_failure_stops_an_agent_that_is_starting() {
    let (world, server) = tenants(2, Options::default()).await;
    let fail = fails_on_request(&world);
    let paths = AgentPaths::of(&world.folders, "t2");
    paths.prepare().unwrap();
    let held = lock(&paths.lock, PATIENCE).await.unwrap();
    let child = world.program(&["exec", "--all", "--json", "--fail-fast", "--", "Get-CsTenant"]).start();
    // The first line of the log, or the empty file, is written before the lock is awaited.
    let log = world.folders.state.join("log/t2.log");
    until(PATIENCE, "a starting agent", || log.exists()).await;
    std::fs::write(fail, "").unwrap();
    let Ran { code, out, err } = tokio::task::spawn_blocking(move || child.ran()).await.unwrap();
    assert_eq!(code, Some(3), "{err}");
    assert_eq!(results(&out)[1].1, Value::Null, "{out}");
    drop(held);
    agents_gone(&world).await;
    assert_eq!((server.requests(), server.shells().len()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_and_the_time_limit_stop_connecting() {
    let fault = ("tenant0001.example".to_owned(), TenantFault::Slow(Duration::from_millis(1500)));
    let (world, server) = tenants(1, Options { faults: vec![fault], ..Options::default() }).await;
    let (code, out, err) = run(&world, &["exec", "t1", "--timeout", "1s", "--", "Get-CsTenant"]).await;
    assert_eq!((code, out.as_str()), (3, ""), "{err}");
    assert!(err.contains("could not connect within the time limit of --timeout"), "{err}");
    agents_gone(&world).await;
    empty(&server).await;
    let before = server.requests();
    let child = world.program(&["exec", "t1", "--", "Get-CsTenant"]).start();
    until(PATIENCE, "a request", || server.requests() > before).await;
    signal(child.0.id(), rustix::process::Signal::INT);
    let Ran { code, out, .. } = tokio::task::spawn_blocking(move || child.ran()).await.unwrap();
    assert_eq!((code, out.as_str()), (Some(130), ""));
    agents_gone(&world).await;
    empty(&server).await;
}

/// The agent notices the end of the server only when it has tried to reach it for a while.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_was_not_sent_was_not_run() {
    for (line, wanted, code) in [
        ("Get-CsTenant", "the command was not run", 3),
        ("Get-CsTenant; Get-CsTenant", "nothing was run", 3),
        ("'here'; Get-CsTenant", "the remaining commands were not run", 4),
    ] {
        let mut world = World::simulated(&[], "keep = \"10m\"");
        world.attach();
        world.stop_endpoint();
        let program = world.program(&["exec", "work", "--json", "--", line]);
        let ran = tokio::task::spawn_blocking(move || program.run()).await.unwrap();
        let err = ran.text();
        assert_eq!(ran.code, Some(code), "{line}: {err}");
        assert!(err.contains(wanted) && err.contains("cannot reach"), "{line}: {err}");
        assert!(err.contains("; the command was not run") && !err.contains("may have run"), "{line}: {err}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_whose_session_is_lost_may_have_run() {
    for (line, wanted) in [
        ("Wait-Cs 600", "session lost; the command may have run"),
        (
            "Wait-Cs 600; Get-CsTenant",
            "session lost; the last command may have run, the commands after it were not run",
        ),
    ] {
        let mut world = World::simulated(&[], "");
        let child = world.program(&["exec", "work", "--json", "--", line]).start();
        world.wait(PATIENCE, "a running command", |world| world.running() > 0);
        world.stop_endpoint();
        let ran = tokio::task::spawn_blocking(move || child.ran()).await.unwrap();
        let err = ran.text();
        assert!(ran.code == Some(4) && err.contains(wanted), "{line}: {:?} {err}", ran.code);
    }
}
