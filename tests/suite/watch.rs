//! `lyncsh watch` and `lyncsh status --format`, as a user at a terminal sees them.

use rustix::process::Signal;

use crate::agent_world::World;
use crate::program::{lyncsh, signal};
use crate::stand_in::Terminal;

#[test]
fn the_live_screen_follows_shells_and_stops_an_agent() {
    let world = World::simulated(&[], "");
    world.attach();
    let mut first = world.child("idle");
    first.wait_for("ready");
    let status = |format: &str| world.run(&["status", "--format", format]);
    assert_eq!(status("{name} {shells} {state}"), (0, "work 1 open\n".to_owned(), String::new()));
    let (_, out, _) = status("{used}/{allowed} {endpoint} {pipelines}");
    assert!(out.starts_with("1/") && out.contains(&world.uri), "{out}");
    let mut terminal = Terminal::open(&world, lyncsh(), &["watch"], "");
    terminal.wait_for_text("lyncsh watch: 1 agent, 1 shell");
    terminal.wait_for_text("\nwork ");
    terminal.wait_for_text(&format!("(process {}), attached for ", first.process.0.id()));
    let mut second = world.child("idle");
    second.wait_for("ready");
    terminal.wait_for_text("1 agent, 2 shells");
    terminal.wait_for_text(&format!("(process {})", second.process.0.id()));
    terminal.press("s");
    terminal.wait_for_text("Stop the agent of 'work' and remove its session (y/N)?");
    terminal.press("n");
    terminal.wait_for_text("Nothing was stopped.");
    assert_eq!(world.shells(), 1);
    terminal.press("sy");
    terminal.wait_for_text("'work': the session is removed");
    terminal.wait_for_text("no running agents");
    assert_eq!(world.shells(), 0);
    terminal.press("q");
    assert_eq!(terminal.wait_exit(), 0);
    let text = terminal.text();
    assert!(
        !text.contains("lyncsh watch") && !terminal.hides_cursor(),
        "the screen is not restored:\n{text}"
    );
    assert_eq!(status("{name}"), (0, String::new(), String::new()));
}

#[test]
fn a_signal_restores_the_terminal() {
    let world = World::without_endpoint();
    let mut terminal = Terminal::open(&world, "bash", &["--norc", "--noprofile", "-i"], "");
    terminal.line(&format!(
        "cd '{}'; PS1='$?> '; stty -a > before; \"$LYNCSH\" watch; echo \"code $?\"; stty -a > after",
        world.root().display()
    ));
    terminal.wait_for_text("no running agents");
    let found = crate::stand_in::children(terminal.child.process_id().unwrap(), "lyncsh");
    signal(found[0], Signal::TERM);
    terminal.wait_for_text("code 143");
    terminal.ends_with("0> ");
    terminal.line("cmp before after && echo 'the same'");
    terminal.wait_for_text("\nthe same");
    assert!(!terminal.text().contains("no running agents") && !terminal.hides_cursor());
    terminal.line("exit");
    terminal.wait_exit();
}

#[test]
fn a_confirmed_stop_is_finished_after_quitting() {
    let world = World::simulated(&[], "");
    world.attach();
    let mut shell = world.child("idle");
    shell.wait_for("ready");
    // The log is written after the screen has ended.
    let environment = [("LYNCSH_LOG", "trace".to_owned())];
    let mut terminal = Terminal::open_with(&world, lyncsh(), &["watch"], environment);
    terminal.wait_for_text("lyncsh watch: 1 agent, 1 shell");
    assert!(!terminal.text().contains("TRACE"), "{}", terminal.text());
    terminal.press("syq");
    assert_eq!(terminal.wait_exit(), 0);
    terminal.wait_for_text("'work': the session is removed");
    assert!(terminal.text().contains("TRACE"), "{}", terminal.text());
    assert_eq!(world.shells(), 0);
}

#[test]
fn the_live_screen_needs_a_terminal() {
    let world = World::without_endpoint();
    let (code, out, error) = world.run(&["watch"]);
    assert!(code == 2 && out.is_empty(), "{out}");
    assert!(error.contains("cannot show a live screen: not a terminal"), "{error}");
    assert!(error.contains("lyncsh watch --json"), "{error}");
    let snapshot = world.program(&["watch", "--json"]).run().json();
    assert!(snapshot["agents"].as_array().unwrap().is_empty(), "{snapshot}");
    let environment = [("TERM", "dumb".to_owned())];
    let mut terminal = Terminal::open_with(&world, lyncsh(), &["watch"], environment);
    assert_eq!(terminal.wait_exit(), 2);
    terminal.wait_for_text("the terminal does not support escape sequences");
    let (code, _, error) = world.run(&["status", "--format", "{shels}"]);
    assert!(code == 2 && error.contains("did you mean 'shells'?"), "{error}");
}
