//! Supervision of the user's shell: terminal, signals, exit codes, and every kind of end.

use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;

use rustix::process::Signal;

use crate::agent_world::{PATIENCE, World};
use crate::program::{Program, signal};
use crate::stand_in::{Terminal, children, environment, stand_in, world};

const PROMPT: &str = "[work] PS> ";

/// Returns the shell started by `lyncsh work`.
fn shell_of(launcher: u32) -> u32 {
    let all = children(launcher, "stand-in");
    assert_eq!(all.len(), 1, "one shell");
    all[0]
}

/// Returns `lyncsh work` without a terminal.
fn piped(world: &World, arguments: &[&str], does: &str) -> Program {
    world.program(&[&["work"], arguments].concat()).envs(environment("work", does))
}

#[test]
fn the_shell_has_the_session_and_its_exit_code_is_passed_on() {
    let world = world();
    let mut terminal = Terminal::work(&world, "");
    terminal.ends_with(PROMPT);
    assert_eq!(world.shells(), 1);
    terminal.line("Get-Length -Text abc");
    terminal.wait_for_text("Completed");
    terminal.line("exit 5");
    assert_eq!(terminal.wait_exit(), 5);
    world.wait_removed(PATIENCE);
    // Only the shell has written to the screen.
    assert!(terminal.text().starts_with(PROMPT), "{}", terminal.text());
}

#[test]
fn ctrl_c_reaches_only_the_shell() {
    let world = world();
    let mut terminal = Terminal::work(&world, "");
    terminal.ends_with(PROMPT);
    for _ in 0..3 {
        terminal.press("\x03");
        terminal.wait_for_text("^C caught");
    }
    terminal.line("exit");
    assert_eq!(terminal.wait_exit(), 0);
}

#[test]
fn a_suspended_shell_and_lyncsh_resume_with_fg() {
    let world = world();
    let terminal = Terminal::bash(&world, "says-back");
    terminal.ends_with(PROMPT);
    terminal.line("noecho");
    terminal.wait_until("a second prompt", |text| text.matches(PROMPT.trim()).count() == 2);
    terminal.press("\x1a");
    terminal.ends_with("148>");
    terminal.line("stty -a | tr ' ;' '\\n\\n' | grep -x -e -echo -e echo");
    terminal.wait_for_text("\necho\n");
    assert_eq!(world.shells(), 1);
    terminal.line("fg");
    terminal.wait_for_text("[back]");
    terminal.line("modes");
    terminal.wait_for_text("echo is off");
    terminal.line("exit 3");
    terminal.ends_with("3>");
    terminal.line("stty -a | tr ' ;' '\\n\\n' | grep -c -x -e echo");
    terminal.wait_for_text("\n1\n");
}

#[test]
fn the_shell_gets_window_size_changes() {
    let world = world();
    let terminal = Terminal::work(&world, "");
    terminal.ends_with(PROMPT);
    terminal.resize(70, 20);
    terminal.line("size");
    terminal.wait_for_text("70 by 20");
}

#[test]
fn a_crash_in_raw_mode_leaves_a_usable_terminal() {
    let world = world();
    for (way, code) in [("crash", 134), ("killed", 137)] {
        let terminal = Terminal::bash(&world, "");
        terminal.ends_with(PROMPT);
        terminal.line("raw");
        terminal.wait_until("a hidden cursor", |_| terminal.hides_cursor());
        if way == "crash" {
            terminal.press("crash\n");
        } else {
            let bash = terminal.child.process_id().unwrap();
            let launcher = children(bash, "lyncsh")[0];
            signal(shell_of(launcher), Signal::KILL);
        }
        terminal.ends_with(&format!("{code}>"));
        terminal.wait_until("the cursor", |_| !terminal.hides_cursor());
        terminal.line("stty -a | tr ' ;' '\\n\\n' | grep -c -x -e echo -e icanon -e isig");
        terminal.wait_for_text("\n3\n");
        world.wait_removed(PATIENCE);
    }
}

#[test]
fn a_prompt_at_startup_waits_for_the_terminal() {
    let world = World::on(&["--create", "0.5"], &format!("shell = \"{}\"", stand_in().display()));
    let mut terminal = Terminal::work(&world, "ask-first");
    terminal.wait_for_text("[a question]");
    terminal.line("");
    terminal.ends_with(PROMPT);
    terminal.line("exit 4");
    assert_eq!(terminal.wait_exit(), 4);
}

#[test]
fn a_failed_session_is_reported_once() {
    let world = world();
    std::fs::write(world.root().join("password"), "wrong").unwrap();
    let mut terminal = Terminal::work(&world, "");
    assert_eq!(terminal.wait_exit(), 3);
    terminal.wait_for_text("password");
    std::thread::sleep(Duration::from_millis(300));
    let text = terminal.text();
    assert!(!text.contains("no session") && !text.contains(PROMPT), "{text}");
    let (code, out, err) = piped(&world, &[], "").run().parts();
    assert_eq!((code, out.as_str()), (3, ""));
    assert!(err.contains("password") && !err.contains("no session") && !err.contains("lyncsh:"), "{err}");
    world.wait(PATIENCE, "no agent", |world| world.agent().is_none());
}

#[test]
fn ctrl_c_while_connecting_ends_both_processes() {
    let world = World::on(&["--create", "5"], &format!("shell = \"{}\"", stand_in().display()));
    let mut terminal = Terminal::work(&world, "");
    world.wait(PATIENCE, "Create", |world| world.requests() > 0);
    terminal.press("\x03");
    assert_eq!(terminal.wait_exit(), 130);
    assert!(!terminal.text().contains(PROMPT), "{}", terminal.text());
    world.wait_removed(PATIENCE);
}

#[test]
fn an_early_shell_exit_cancels_the_connection() {
    let world = World::on(&["--create", "5"], &format!("shell = \"{}\"", stand_in().display()));
    let (code, _, err) = piped(&world, &[], "die-first").run().parts();
    assert_eq!(code, 7);
    assert!(err.contains("exited with code 7 before the session was open"), "{err}");
    world.wait_removed(PATIENCE);
}

#[test]
fn an_unattached_shell_keeps_running_without_a_session() {
    let world = world();
    let mut terminal = Terminal::work(&world, "never-attach");
    terminal.ends_with(PROMPT);
    // The agent waits half a minute.
    world.wait(PATIENCE, "a session", |world| world.shells() == 1);
    world.wait(PATIENCE, "no session", |world| world.shells() == 0 && world.agent().is_none());
    terminal.line("exit 6");
    assert_eq!(terminal.wait_exit(), 6);
}

#[test]
fn termination_signals_end_the_shell_and_its_session() {
    for (sent, code) in [(Signal::TERM, 143), (Signal::HUP, 129), (Signal::QUIT, 131)] {
        let world = world();
        let mut terminal = Terminal::work(&world, "");
        terminal.ends_with(PROMPT);
        signal(terminal.child.process_id().unwrap(), sent);
        assert_eq!(terminal.wait_exit(), code, "{sent:?}");
        world.wait_removed(PATIENCE);
    }
}

#[test]
fn a_shell_that_hangs_on_exit_is_killed() {
    let world = world();
    let mut terminal = Terminal::work(&world, "hang-at-exit deaf");
    terminal.ends_with(PROMPT);
    terminal.line("exit");
    terminal.wait_for_text("hanging");
    signal(terminal.child.process_id().unwrap(), Signal::TERM);
    assert_eq!(terminal.wait_exit(), 137);
    world.wait_removed(PATIENCE);
}

#[test]
fn a_shell_that_closes_its_streams_is_waited_for() {
    let world = world();
    let mut terminal = Terminal::work(&world, "");
    terminal.ends_with(PROMPT);
    terminal.line("close");
    assert_eq!(terminal.wait_exit(), 9);
    world.wait_removed(PATIENCE);
}

#[test]
fn a_closed_terminal_ends_shell_and_session() {
    let world = world();
    let mut terminal = Terminal::bash(&world, "");
    terminal.ends_with(PROMPT);
    terminal.close();
    world.wait_removed(PATIENCE);
    world.wait(PATIENCE, "no agent", |world| world.agent().is_none());
}

#[test]
fn a_shell_without_its_launcher_removes_its_session() {
    let world = world();
    let mut launcher = piped(&world, &["--", "-NoExit"], "").start();
    world.wait(PATIENCE, "a shell", |world| world.run(&["status", "--json"]).1.contains("stand-in"));
    let shell = shell_of(launcher.0.id());
    let input = launcher.0.stdin.take();
    launcher.0.kill().unwrap();
    assert_eq!(launcher.wait().signal(), Some(9));
    assert_eq!(world.shells(), 1);
    drop(input);
    world.wait_removed(PATIENCE);
    world.wait(PATIENCE, "no shell", |_| !std::path::Path::new(&format!("/proc/{shell}")).exists());
}

#[test]
fn piped_lines_reach_a_noexit_shell() {
    let world = world();
    let run = piped(&world, &["--", "-NoExit"], "").stdin("Get-Length -Text abc\nexit 8\n").run();
    assert_eq!(run.code, Some(8));
    assert!(run.out.contains("Completed"), "{run:?}");
    world.wait_removed(PATIENCE);
}

#[test]
fn arguments_are_passed_to_the_shell() {
    let world = world();
    let words = world.root().join("words");
    let arguments = ["--", "-NoProfile", "-Command", "Get-Length", "-Text abc", "\nexit 42"];
    let run = piped(&world, &arguments, "").env("STAND_IN_ARGUMENTS", &words).run();
    assert!(run.code == Some(42) && run.out.contains("Completed"), "{run:?}");
    let words = std::fs::read_to_string(words).unwrap();
    assert!(words.starts_with("-NoProfile\0-NoLogo\0-Command\0"), "{words}");
    world.wait_removed(PATIENCE);
}

#[test]
fn a_missing_or_old_shell_is_reported_with_advice() {
    let world = World::with("shell = \"no-such-shell\"");
    let (code, _, err) = world.run(&["work"]);
    assert_eq!(code, 2);
    assert!(err.contains("cannot find the shell 'no-such-shell'") && err.contains("console"), "{err}");
    let old = world.root().join("pwsh");
    std::fs::write(&old, "#!/bin/sh\necho PowerShell 7.2.1\n").unwrap();
    std::fs::set_permissions(&old, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let (code, _, err) = world.run(&["work", "--shell", old.to_str().unwrap()]);
    assert_eq!(code, 2);
    assert!(
        err.contains("7.2") && err.contains("7.4") && err.contains("install a newer PowerShell"),
        "{err}"
    );
    assert!(world.agent().is_none() && world.shells() == 0);
}

#[test]
fn a_test_without_a_shell_starts_no_powershell() {
    let world = World::start();
    let (code, out, err) = world.run(&["work"]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.contains("a test that names no shell gets none"), "{err}");
}

#[test]
fn removing_the_last_shells_session_deletes_it() {
    let world = world();
    let mut terminal = Terminal::work(&world, "");
    terminal.ends_with(PROMPT);
    let second = Terminal::work(&world, "");
    second.ends_with(PROMPT);
    terminal.line("Remove-PSSession");
    terminal.wait_for_text("removed");
    second.line("Get-Length -Text abc");
    second.wait_for_text("0: Completed");
    assert_eq!(world.shells(), 1, "another shell has it");
    second.line("Remove-PSSession");
    world.wait_removed(PATIENCE);
    // Both continue as shells without a session.
    terminal.line("Get-Length -Text abc");
    terminal.wait_for_text("0: ");
    terminal.line("exit 3");
    assert_eq!(terminal.wait_exit(), 3);
}

#[test]
fn starting_a_shell_adds_no_requests() {
    let world = world();
    world.attach();
    let connecting = world.requests();
    assert_eq!(world.run(&["stop", "work"]).0, 0);
    world.wait_removed(PATIENCE);
    let before = world.requests();
    let terminal = Terminal::work(&world, "");
    terminal.ends_with(PROMPT);
    let took = world.requests() - before;
    assert!(took <= connecting, "{took} requests, and {connecting} alone");
}

#[test]
fn a_second_shell_sends_no_request() {
    let world = world();
    let first = Terminal::work(&world, "");
    first.ends_with(PROMPT);
    let before = world.requests();
    let mut second = Terminal::work(&world, "");
    second.ends_with(PROMPT);
    assert!(world.requests() <= before + 1, "a keep-alive at most");
    second.line("exit");
    assert_eq!(second.wait_exit(), 0);
    assert_eq!(world.shells(), 1);
}
