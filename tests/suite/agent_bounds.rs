//! Limits of the agent process: its memory, its lifetime without clients, its end.

use std::time::{Duration, Instant};

use lyncsh::psrp::client::PipelineEvent;
use lyncsh::psrp::clixml::Value;
use lyncsh::psrp::pipeline::{Argument, Pipeline, PipelineCommand};
use lyncsh::simulator::Options;

use crate::agent_simulator::{empty, online, run};
use crate::agent_world::{PATIENCE, World, open, output};

/// Maximum growth of an agent because of a shell that does not read: the queue for one shell, as text and as
/// its source, and messages in transit.
const GROWTH: u64 = 48 * 1024;

/// Returns the resident memory of a process in KiB.
fn resident(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_shell_costs_no_memory_and_blocks_no_other() {
    let options = Options { fixtures: true, ..Options::default() };
    let (world, server) = online(options, "max_runspaces = 2").await;
    let (code, socket, err) = run(&world, &["attach", "work", "--socket"]).await;
    assert_eq!(code, 0, "{err}");
    let (slow, quick) = (open(socket.trim().as_ref()).await, open(socket.trim().as_ref()).await);
    let agent = world.agent().unwrap();
    let before = resident(agent);
    let count = Argument { name: Some("Count".to_owned()), value: Some(Value::I32(100_000_000)) };
    let endless = PipelineCommand { arguments: vec![count], ..PipelineCommand::new("Get-CsBig") };
    let mut unread = slow.invoke(&Pipeline::new(vec![endless])).await.unwrap();
    assert!(matches!(unread.next().await, Some(Ok(PipelineEvent::Output(_)))));
    let start = Instant::now();
    let mut most = 0;
    while start.elapsed() < Duration::from_secs(4) {
        let running = quick.invoke(&Pipeline::new(vec![PipelineCommand::new("Get-CsTenant")])).await.unwrap();
        let events = tokio::time::timeout(PATIENCE, output(running)).await.expect("its turn");
        assert!(events.iter().any(|event| matches!(event, PipelineEvent::Output(_))), "{events:?}");
        most = most.max(resident(agent));
    }
    assert!(most < before + GROWTH, "{before} KiB before, {most} KiB at most");
    unread.stop().await.unwrap();
    for shell in [slow, quick] {
        shell.close().await.unwrap();
    }
    empty(&server).await;
}

#[test]
fn an_agent_without_clients_exits_after_30_seconds() {
    let world = World::start();
    let start = Instant::now();
    world.attach();
    world.wait(Duration::from_secs(45), "the agent's end", |world| world.shells() == 0);
    assert!(start.elapsed() >= Duration::from_secs(30), "{:?}", start.elapsed());
    world.wait_agent_gone();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_session_ends_after_its_time() {
    let world = World::with("keep = \"2s\"");
    let shell = open(world.attach().as_ref()).await;
    shell.close().await.unwrap();
    drop(shell);
    let start = Instant::now();
    world.wait(PATIENCE, "the agent's end", |world| world.shells() == 0);
    assert!(start.elapsed() >= Duration::from_secs(1), "{:?}", start.elapsed());
    world.wait_agent_gone();
}
