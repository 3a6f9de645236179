//! An endpoint that slowly sends its list of commands object by object, without delaying the user.

use std::time::{Duration, Instant};

use lyncsh::psrp::client::PipelineEvent;
use lyncsh::psrp::pipeline::{Argument, Pipeline, PipelineCommand};
use lyncsh::psrp::record::PipelineState;
use lyncsh::simulator::{Options, Server};

use crate::agent_simulator::{empty, online, run};
use crate::agent_world::{World, open, output, until_output};
use crate::program::until;
use crate::stand_in::Terminal;

/// Delay of an answer, as with a delayed acknowledgement.
const TRICKLE: Duration = Duration::from_millis(44);

async fn slow(cmdlets: usize, more: &str) -> (World, Server) {
    let options =
        Options { fixtures: true, cmdlets: Some(cmdlets), trickle: Some(TRICKLE), ..Options::default() };
    online(options, more).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_line_runs_during_the_listing() {
    for cmdlets in [237, 600] {
        let (world, server) = slow(cmdlets, "shell = \"console\"").await;
        let start = Instant::now();
        let mut terminal = Terminal::work(&world, "");
        terminal.ends_with("[work] PS>");
        let prompt = start.elapsed();
        terminal.line("(Get-CsTenant).DisplayName");
        terminal.wait_for_text("\nLitware");
        let answer = start.elapsed();
        eprintln!("{cmdlets} commands: the prompt after {prompt:?}, the first answer after {answer:?}");
        let listing = TRICKLE * u32::try_from(cmdlets).unwrap();
        assert!(answer < listing / 2, "{answer:?}: it did not wait for {listing:?}");
        terminal.ends_with("[work] PS>");
        // The list is fetched while the session is idle; completion uses it then.
        let folder = world.folders.cache.join("commands/work");
        let is_listed = || {
            let files = std::fs::read_dir(&folder).into_iter().flatten();
            let mut texts = files.filter_map(|file| std::fs::read_to_string(file.ok()?.path()).ok());
            texts.any(|text| text.contains("Get-CsTenantHybridConfiguration"))
        };
        until(listing * 2 + Duration::from_secs(20), "the list", is_listed).await;
        terminal.press("Get-CsTenantHyb\t");
        terminal.wait_for_text("Get-CsTenantHybridConfiguration");
        terminal.press("\x03");
        terminal.ends_with("[work] PS>");
        terminal.line("exit");
        assert_eq!(terminal.wait_exit(), 0);
        empty(&server).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_shells_commands_interrupt_anothers_listing() {
    let (world, server) = slow(120, "").await;
    let (code, out, err) = run(&world, &["attach", "work", "--socket"]).await;
    assert_eq!(code, 0, "{err}");
    let (lister, shell) = (open(out.trim().as_ref()).await, open(out.trim().as_ref()).await);
    let mut select = PipelineCommand::new("Select-Object");
    select.arguments.push(Argument::named("Property", "Name"));
    let listing = Pipeline::new(vec![PipelineCommand::new("Get-Command"), select]).in_background();
    let tenant = Pipeline::new(vec![PipelineCommand::new("Get-CsTenant")]);
    let mut slowest = Duration::ZERO;
    // Each round begins after the pause of the previous rounds.
    for round in 0..8 {
        let mut list = lister.invoke(&listing).await.unwrap();
        until_output(&mut list).await;
        let start = Instant::now();
        let events = output(shell.invoke(&tenant).await.unwrap()).await;
        slowest = slowest.max(start.elapsed());
        assert!(
            matches!(events.last(), Some(PipelineEvent::State(PipelineState::Completed, None))),
            "{round}"
        );
        let ended = output(list).await;
        assert!(matches!(ended.last(), Some(PipelineEvent::State(PipelineState::Stopped, _))), "{round}");
    }
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    drop((lister, shell));
    empty(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_does_not_list_commands() {
    let (world, server) = slow(600, "shell = \"console\"").await;
    let script = world.program(&["work"]).stdin("(Get-CsTenant).DisplayName\n");
    let start = Instant::now();
    let out = tokio::task::spawn_blocking(move || script.run().out).await.unwrap();
    assert_eq!(out, "Litware\n");
    assert!(start.elapsed() < Duration::from_secs(13), "{:?}", start.elapsed());
    empty(&server).await;
}
