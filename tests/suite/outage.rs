//! A console at a terminal outlives its sessions: the endpoint is out of reach, the server has lost the
//! session, the agent is killed or stopped. A script does not.

use std::io::Write as _;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::agent_way::Way;
use crate::agent_world::{PATIENCE, World};
use crate::stand_in::Terminal;

const PROMPT: &str = "[work] PS>";
const LOST: &str = "the session was lost";
const REOPENED: &str = "a new session is open";
const CONSOLE: &str = "shell = \"console\"";

/// A console at its prompt, with `$x` in it.
fn console(world: &World) -> Terminal {
    let terminal = Terminal::work(world, "");
    terminal.ends_with(PROMPT);
    answers(&terminal, "$x = Get-Length 12345; \"x is $x\"", "x is 5");
    terminal
}

/// Types a line, sees its answer, and the prompt again.
fn answers(terminal: &Terminal, line: &str, answer: &str) {
    let before = count(terminal, answer);
    terminal.line(line);
    terminal.waits(answer, |text| text.matches(answer).count() > before + usize::from(line.contains(answer)));
    terminal.ends_with(PROMPT);
}

fn count(terminal: &Terminal, text: &str) -> usize {
    terminal.text().matches(text).count()
}

/// The variable, the history and the prompt are there, and the endpoint answers.
fn goes_on(terminal: &Terminal) {
    answers(terminal, "\"x is still $x\"", "x is still 5");
    answers(terminal, "Get-Length abc", "\n3");
    // The line before the last one, from the history.
    terminal.press("\x1b[A\x1b[A\r");
    terminal.waits("the line from the history", |text| text.matches("x is still 5").count() == 2);
    terminal.ends_with(PROMPT);
}

fn leaves(mut terminal: Terminal) {
    terminal.line("exit");
    assert_eq!(terminal.ended(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_is_out_of_reach_for_long_costs_the_session_and_nothing_else() {
    let world = World::with(CONSOLE);
    let mut way = Way::of(&world).await;
    let terminal = console(&world);
    way.close().await;
    terminal.sees(LOST);
    terminal.ends_with(PROMPT);
    // Without the endpoint the console goes on with what it has.
    answers(&terminal, "\"x is $x without it\"", "x is 5 without it");
    terminal.line("Get-Length abc");
    terminal.sees("the line was not run");
    terminal.ends_with(PROMPT);
    way.open().await;
    // The next line does not wait for the pause.
    let start = Instant::now();
    goes_on(&terminal);
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    assert_eq!((count(&terminal, LOST), count(&terminal, REOPENED)), (1, 1), "{}", terminal.text());
    leaves(terminal);
    world.wait_removed(PATIENCE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_the_server_has_lost_is_made_again_without_a_line() {
    let world = World::with(CONSOLE);
    let way = Way::of(&world).await;
    let terminal = console(&world);
    for _ in 0..2 {
        let before = count(&terminal, REOPENED);
        terminal.line("Wait-Forever");
        terminal.sees("waiting");
        // The server was restarted, under a command.
        let restarted = World::start();
        let there: url::Url = restarted.uri.parse().unwrap();
        let back: url::Url = world.uri.parse().unwrap();
        way.to.store(there.port().unwrap(), Ordering::Relaxed);
        way.cut();
        terminal.waits("a new session", |text| text.matches(REOPENED).count() == before + 1);
        terminal.ends_with(PROMPT);
        assert_eq!(restarted.shells(), 1);
        terminal.line("cls");
        terminal.waits("an empty screen", |text| !text.contains(REOPENED));
        goes_on(&terminal);
        terminal.line("cls");
        terminal.waits("an empty screen", |text| !text.contains("x is still"));
        terminal.ends_with(PROMPT);
        // And back, while nothing runs.
        way.to.store(back.port().unwrap(), Ordering::Relaxed);
        way.cut();
        terminal.sees(REOPENED);
        terminal.ends_with(PROMPT);
        terminal.line("cls");
        terminal.waits("an empty screen", |text| !text.contains(REOPENED));
        terminal.ends_with(PROMPT);
    }
    leaves(terminal);
    world.wait_removed(PATIENCE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_runs_when_the_session_is_lost_may_have_run() {
    let world = World::with(CONSOLE);
    let mut way = Way::of(&world).await;
    let terminal = console(&world);
    terminal.line("Wait-Forever; \"not after it\"");
    terminal.sees("waiting");
    way.close().await;
    terminal.sees("the command may have run");
    terminal.sees(LOST);
    terminal.ends_with(PROMPT);
    assert_eq!(count(&terminal, "not after it"), 1, "as it was typed:\n{}", terminal.text());
    way.open().await;
    terminal.sees(REOPENED);
    goes_on(&terminal);
    leaves(terminal);
    world.wait_removed(PATIENCE);
}

#[test]
fn an_agent_that_is_killed_is_replaced_at_the_next_line() {
    let world = World::with(CONSOLE);
    let terminal = console(&world);
    let agent = world.agent().unwrap();
    lyncsh::platform::kill(agent).unwrap();
    terminal.sees("the agent of 'work' died; its session is removed. The next line connects again.");
    terminal.ends_with(PROMPT);
    assert_eq!(world.shells(), 0);
    answers(&terminal, "\"x is $x meanwhile\"", "x is 5 meanwhile");
    assert!(world.agent().is_none(), "what needs no endpoint starts nothing");
    goes_on(&terminal);
    assert_ne!(world.agent(), Some(agent));
    assert_eq!((count(&terminal, "died"), count(&terminal, REOPENED)), (1, 1), "{}", terminal.text());
    leaves(terminal);
    world.wait_removed(PATIENCE);
}

#[test]
fn a_stop_from_elsewhere_ends_the_session_and_not_the_console() {
    let world = World::with(CONSOLE);
    let terminal = console(&world);
    assert_eq!(world.run(&["stop", "work"]).0, 0);
    terminal.sees("the session of 'work' was ended, by `lyncsh stop`. The next line connects again.");
    terminal.ends_with(PROMPT);
    world.wait_removed(PATIENCE);
    goes_on(&terminal);
    assert_eq!(count(&terminal, LOST), 0, "{}", terminal.text());
    leaves(terminal);
    world.wait_removed(PATIENCE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_console_that_leaves_during_an_outage_takes_the_agent_with_it() {
    let world = World::with(CONSOLE);
    let mut way = Way::of(&world).await;
    let terminal = console(&world);
    way.close().await;
    terminal.sees(LOST);
    let start = Instant::now();
    leaves(terminal);
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    world.wait_agent_gone();
}

/// Answers every request by 401, and counts them.
async fn refusing() -> (u16, Arc<AtomicUsize>) {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = requests.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let counted = counted.clone();
            tokio::spawn(async move {
                let mut asked = vec![0; 65_536];
                while stream.read(&mut asked).await.is_ok_and(|length| length > 0) {
                    counted.fetch_add(1, Ordering::Relaxed);
                    let refusal = b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\n\
                                    Content-Length: 0\r\nConnection: close\r\n\r\n";
                    let _ = stream.write_all(refusal).await;
                    return;
                }
            });
        }
    });
    (port, requests)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_password_stops_the_attempts() {
    let world = World::with(CONSOLE);
    let way = Way::of(&world).await;
    let terminal = console(&world);
    let (port, requests) = refusing().await;
    let back: url::Url = world.uri.parse().unwrap();
    way.to.store(port, Ordering::Relaxed);
    way.cut();
    terminal.sees("refused the credential");
    terminal.ends_with(PROMPT);
    world.wait_agent_gone();
    let asked = requests.load(Ordering::Relaxed);
    // Longer than the first pauses together.
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(requests.load(Ordering::Relaxed), asked, "nothing is sent by itself any more");
    way.to.store(back.port().unwrap(), Ordering::Relaxed);
    answers(&terminal, "\"x is $x now\"", "x is 5 now");
    terminal.line("exit");
}

/// A script in the console; gives its exit code, standard output and error.
fn script(world: &World, lines: &str, meanwhile: impl FnOnce()) -> (i32, String, String) {
    let mut command = world.lyncsh(&["work"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    meanwhile();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_script_whose_session_is_lost_ends_with_its_own_exit_code() {
    let world = World::with(CONSOLE);
    let (code, out, err) = script(&world, "Wait-Forever\n'after'\nGet-Length abc\n", || {
        world.wait(PATIENCE, "a command runs", |world| {
            let (_, status, _) = world.run(&["status"]);
            status.contains("Wait-Forever")
        });
        lyncsh::platform::kill(world.agent().unwrap()).unwrap();
    });
    assert_eq!(code, 4, "{out}{err}");
    assert!(!out.contains("after"), "{out}");
    world.wait_removed(PATIENCE);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_two_connections_is_mended_for_itself() {
    let world = World::with("");
    let other = World::start();
    let text = std::fs::read_to_string(world.folders.profile("work")).unwrap();
    std::fs::write(world.folders.profile("one"), &text).unwrap();
    let second = format!("{}prefix = \"Ot\"\n", text.replace(&world.uri, &other.uri));
    std::fs::write(world.folders.profile("two"), second).unwrap();
    std::fs::write(world.folders.profile("work"), format!("connections = [\"one\", \"two\"]\n{CONSOLE}\n"))
        .unwrap();
    let terminal = console(&world);
    answers(&terminal, "Get-OtLength abcd", "\n4");
    assert_eq!(world.run(&["stop", "two"]).0, 0);
    terminal.sees("the session of 'two' was ended");
    answers(&terminal, "Get-Length abcdefg", "\n7");
    assert_eq!((world.shells(), other.shells()), (1, 0));
    answers(&terminal, "Get-OtLength abcdefgh", "\n8");
    terminal.sees("'two': a new session is open");
    assert_eq!((world.shells(), other.shells()), (1, 1));
    leaves(terminal);
    other.wait(PATIENCE, "no session", |other| other.shells() == 0);
}
