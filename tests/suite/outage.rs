//! A console at a terminal survives the loss of its session: the endpoint is unreachable, the server has lost
//! the session, the agent is killed or stopped. A script does not survive it.

use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use lyncsh::simulator::{Options, PASSWORD, Server, USER};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::agent_simulator::{empty, run};
use crate::agent_world::{PATIENCE, World};
use crate::forwarder::Forwarder;
use crate::front;
use crate::program::{Ran, until};
use crate::stand_in::Terminal;

const PROMPT: &str = "[work] PS>";
const LOST: &str = "the session was lost";
const REOPENED: &str = "a new session is open";

async fn server() -> Server {
    Server::start(Options { fixtures: true, ..Options::default() }).await.unwrap()
}

fn port(server: &Server) -> u16 {
    server.url.parse::<url::Url>().unwrap().port().unwrap()
}

/// Writes a profile for a server behind a forwarder.
fn profile(world: &World, name: &str, server: &Server, forwarder: &Forwarder, more: &str) {
    let uri = server.url.replace(&format!(":{}/", port(server)), &format!(":{}/", forwarder.port()));
    let text = format!(
        "kind = \"wsman\"\nauthentication = \"basic\"\nuri = \"{uri}\"\nuser = \"{USER}\"\n\
         credential = {{ command = \"echo '{PASSWORD}'\" }}\n{more}\n"
    );
    std::fs::create_dir_all(world.folders.profiles()).unwrap();
    std::fs::write(world.folders.profile(name), text).unwrap();
}

/// Creates a user with the profile `work`, its server, and the forwarder.
async fn away() -> (World, Server, Forwarder) {
    let (world, server) = (World::without_endpoint(), server().await);
    let forwarder = Forwarder::to(port(&server)).await;
    profile(&world, "work", &server, &forwarder, "shell = \"console\"");
    (world, server, forwarder)
}

/// Opens a console at its prompt, with `$x` set.
fn console(world: &World) -> Terminal {
    let terminal = Terminal::work(world, "");
    terminal.ends_with(PROMPT);
    answers(&terminal, "$x = (Get-CsTenant).DisplayName; \"<$x>\"", "<Litware>");
    terminal
}

/// Types a line, and waits for its answer and the prompt.
fn answers(terminal: &Terminal, line: &str, answer: &str) {
    let before = count(terminal, answer);
    terminal.line(line);
    terminal.wait_until(answer, |text| text.matches(answer).count() > before);
    terminal.ends_with(PROMPT);
}

/// Returns the terminal's text without line wraps.
fn unwrapped(terminal: &Terminal) -> String {
    terminal.text().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn count(terminal: &Terminal, text: &str) -> usize {
    unwrapped(terminal).matches(text).count()
}

fn reads(terminal: &Terminal, text: &str) {
    terminal.wait_until(text, |_| count(terminal, text) > 0);
}

/// Clears the screen, and waits until it shows only the prompt.
fn clears(terminal: &Terminal) {
    terminal.line("cls");
    terminal.wait_until("an empty screen", |text| text.trim() == PROMPT);
}

/// Checks that the variable, the history and the prompt are kept, and that the endpoint answers.
fn assert_console_continues(terminal: &Terminal) {
    answers(terminal, "\"still $x\"", "still Litware");
    answers(terminal, "(Get-CsOnlineUser kenmyer).SipAddress", "sip:kenmyer");
    // The line before the last one, from the history.
    let before = count(terminal, "still Litware");
    terminal.press("\x1b[A\x1b[A\r");
    terminal.wait_until("the line from the history", |text| text.matches("still Litware").count() > before);
    terminal.ends_with(PROMPT);
}

async fn leaves(mut terminal: Terminal, server: &Server) {
    terminal.line("exit");
    assert_eq!(terminal.wait_exit(), 0);
    empty(server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_outage_costs_only_the_session() {
    let (world, server, mut forwarder) = away().await;
    let terminal = console(&world);
    forwarder.close().await;
    reads(&terminal, LOST);
    terminal.ends_with(PROMPT);
    // Without the endpoint the console keeps its local functions.
    answers(&terminal, "\"$x without it\"", "Litware without it");
    terminal.line("Get-CsTenant");
    terminal.wait_for_text("the line was not run");
    terminal.ends_with(PROMPT);
    forwarder.open().await;
    // The next line does not wait for the delay.
    let start = Instant::now();
    assert_console_continues(&terminal);
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    reads(&terminal, REOPENED);
    assert_eq!((count(&terminal, LOST), count(&terminal, REOPENED)), (1, 1), "{}", terminal.text());
    leaves(terminal, &server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_session_is_replaced_without_input() {
    let (world, first, forwarder) = away().await;
    let terminal = console(&world);
    clears(&terminal);
    // The server is restarted while the console is idle, while a command runs, and while a line is half
    // typed.
    let mut before = first;
    for how in ["idle", "running", "typing"] {
        match how {
            "running" => {
                terminal.line("Wait-Cs -Seconds 600");
                terminal.wait_for_text("\n3");
            }
            "typing" => {
                terminal.press("\"half $");
                terminal.wait_for_text("half $");
            }
            _ => {}
        }
        let restarted = server().await;
        forwarder.to.store(port(&restarted), Ordering::Relaxed);
        before.shutdown();
        before = restarted;
        forwarder.cut();
        reads(&terminal, REOPENED);
        if how == "running" {
            reads(&terminal, "may have run");
        }
        if how == "typing" {
            answers(&terminal, "x\"", "half Litware");
        }
        terminal.ends_with(PROMPT);
        assert_eq!((count(&terminal, LOST), count(&terminal, REOPENED)), (1, 1), "{}", terminal.text());
        assert_eq!(before.shells().len(), 1);
        clears(&terminal);
        assert_console_continues(&terminal);
        clears(&terminal);
    }
    leaves(terminal, &before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_during_an_outage_may_have_run() {
    let (world, server, mut forwarder) = away().await;
    let terminal = console(&world);
    terminal.line("Wait-Cs -Seconds 600; \"after\" + \"wards\"");
    terminal.wait_for_text("\n3");
    forwarder.close().await;
    reads(&terminal, "may have run");
    reads(&terminal, LOST);
    terminal.ends_with(PROMPT);
    assert_eq!(count(&terminal, "afterwards"), 0, "{}", terminal.text());
    forwarder.open().await;
    reads(&terminal, REOPENED);
    assert_console_continues(&terminal);
    leaves(terminal, &server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_line_replaces_a_killed_agent() {
    let (world, server, _way) = away().await;
    let terminal = console(&world);
    let agent = world.agent().unwrap();
    lyncsh::platform::kill(agent).unwrap();
    terminal.wait_until("the end", |text| {
        let text = text.replace('\n', " ");
        text.contains("the agent of 'work' died; its session is removed. The next line connects again.")
    });
    terminal.ends_with(PROMPT);
    empty(&server).await;
    answers(&terminal, "\"$x meanwhile\"", "Litware meanwhile");
    assert!(world.agent().is_none(), "a local line starts no agent");
    assert_console_continues(&terminal);
    assert!(world.agent().is_some_and(|another| another != agent));
    assert_eq!((count(&terminal, "died"), count(&terminal, REOPENED)), (1, 1), "{}", terminal.text());
    leaves(terminal, &server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_ends_the_session_but_not_the_console() {
    let (world, server, _way) = away().await;
    let terminal = console(&world);
    assert_eq!(run(&world, &["stop", "work"]).await.0, 0);
    terminal.wait_until("the end", |text| {
        let text = text.replace('\n', " ");
        text.contains("the session of 'work' was ended, by `lyncsh stop`. The next line connects again.")
    });
    terminal.ends_with(PROMPT);
    empty(&server).await;
    assert_console_continues(&terminal);
    assert_eq!(count(&terminal, LOST), 0, "{}", terminal.text());
    leaves(terminal, &server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_exits_with_its_console_during_an_outage() {
    let (world, _server, mut forwarder) = away().await;
    let mut terminal = console(&world);
    forwarder.close().await;
    reads(&terminal, LOST);
    terminal.line("exit");
    assert_eq!(terminal.wait_exit(), 0);
    world.wait_agent_gone();
}

/// Starts a server that answers every request with 401. Returns its port and the number of requests.
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
                if stream.read(&mut asked).await.is_ok_and(|length| length > 0) {
                    counted.fetch_add(1, Ordering::Relaxed);
                    let refusal = b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\n\
                                    Content-Length: 0\r\nConnection: close\r\n\r\n";
                    let _ = stream.write_all(refusal).await;
                }
            });
        }
    });
    (port, requests)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_password_stops_the_attempts() {
    let (world, server, forwarder) = away().await;
    let terminal = console(&world);
    let (port_of_refusing, requests) = refusing().await;
    forwarder.to.store(port_of_refusing, Ordering::Relaxed);
    forwarder.cut();
    terminal.wait_for_text("refused the");
    terminal.ends_with(PROMPT);
    world.wait_agent_gone();
    let asked = requests.load(Ordering::Relaxed);
    // Longer than the first delays together.
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(requests.load(Ordering::Relaxed), asked, "no request is sent without user input");
    // A line asks before the command's password is sent again.
    terminal.line("(Get-CsTenant).DisplayName");
    terminal.wait_for_text("or Enter to give up)?");
    assert_eq!(requests.load(Ordering::Relaxed), asked);
    terminal.line("");
    reads(&terminal, "the line was not run");
    terminal.ends_with(PROMPT);
    assert_eq!(requests.load(Ordering::Relaxed), asked);
    forwarder.to.store(port(&server), Ordering::Relaxed);
    terminal.line("(Get-CsTenant).DisplayName + ' again'");
    terminal.wait_until("the question", |text| text.matches("or Enter to give up)?").count() == 2);
    terminal.line("y");
    terminal.wait_for_text("Litware again");
    answers(&terminal, "\"$x now\"", "Litware now");
    leaves(terminal, &server).await;
}

async fn runs_a_command(server: &Server) {
    until(PATIENCE, "a running command", || server.shells().iter().any(|shell| shell.commands > 0)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_with_a_lost_session_has_its_own_exit_code() {
    for how in ["killed", "unreachable"] {
        let (world, server, mut forwarder) = away().await;
        let script = "Wait-Cs -Seconds 600\n'after'\nGet-CsTenant\n";
        let child = world.program(&["work"]).stdin(script).start();
        runs_a_command(&server).await;
        match how {
            "killed" => lyncsh::platform::kill(world.agent().unwrap()).unwrap(),
            _ => forwarder.close().await,
        }
        let Ran { code, out, err } = tokio::task::spawn_blocking(move || child.ran()).await.unwrap();
        assert_eq!(code, Some(4), "{how}: {out}{err}");
        assert!(err.contains("may have run") && !out.contains("after"), "{how}: {out}{err}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_connection_is_reopened_separately() {
    let (world, one, forwarder) = away().await;
    let two = server().await;
    let other = Forwarder::to(port(&two)).await;
    profile(&world, "one", &one, &forwarder, "");
    profile(&world, "two", &two, &other, "prefix = \"Ot\"");
    let both = "connections = [\"one\", \"two\"]\nshell = \"console\"\n";
    std::fs::write(world.folders.profile("work"), both).unwrap();
    let terminal = console(&world);
    answers(&terminal, "(Get-OtCsTenant).DisplayName", "\nLitware");
    assert_eq!(run(&world, &["stop", "two"]).await.0, 0);
    terminal.wait_for_text("the session of 'two' was ended");
    answers(&terminal, "(Get-CsOnlineUser kenmyer).SipAddress", "\nsip:kenmyer");
    assert_eq!((one.shells().len(), two.shells().len()), (1, 0));
    answers(&terminal, "(Get-OtCsOnlineUser pilarackerman).SipAddress", "\nsip:pilarackerman");
    terminal.wait_for_text("'two': a new session is open");
    assert_eq!((one.shells().len(), two.shells().len()), (1, 1));
    leaves(terminal, &two).await;
    empty(&one).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_powershell_output_is_complete_or_reported() {
    let Some(pwsh) = front::powershell() else { return };
    let front = front::Front::start(front::Options::new(pwsh)).await.unwrap();
    let (world, forwarder) = (World::without_endpoint(), Forwarder::to(port(&front.server)).await);
    profile(&world, "work", &front.server, &forwarder, "shell = \"console\"");
    let script = world.root().join("list.ps1");
    std::fs::write(&script, "Get-Command | Select-Object -ExpandProperty Name\n'the end'\n").unwrap();
    let listing = || world.program(&["work", script.to_str().unwrap()]).start();
    let whole = tokio::task::block_in_place(|| listing().ran().success_output()).into_bytes();
    assert!(whole.ends_with(b"the end\n"), "{whole:?}");
    front.wait_empty().await;
    for piece in [1, 2, 4, 8] {
        let mut child = listing();
        let mut out = child.0.stdout.take().unwrap();
        // Number of bytes received when the connection is cut.
        let mut seen = vec![0; whole.len() / 16 * piece];
        let (read, mut seen) = tokio::task::block_in_place(|| (out.read_exact(&mut seen), seen));
        read.unwrap();
        forwarder.cut();
        tokio::task::block_in_place(|| out.read_to_end(&mut seen).unwrap());
        let Ran { code, err, .. } = tokio::task::block_in_place(|| child.ran());
        match code {
            Some(0) => assert!(seen == whole, "{piece}: {err}"),
            code => {
                assert_eq!(code, Some(4), "{piece}: {err}");
                assert!(err.contains("may have run") && !seen.ends_with(b"the end\n"), "{piece}: {err}");
            }
        }
        front.wait_empty().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variable_never_holds_partial_output() {
    let (world, server, mut forwarder) = away().await;
    let mut terminal = console(&world);
    terminal.line("$part = 'whole'; $part = Wait-Cs -Seconds 600");
    runs_a_command(&server).await;
    forwarder.close().await;
    reads(&terminal, LOST);
    terminal.ends_with(PROMPT);
    answers(&terminal, "\"<$part>\"", "\n<whole>");
    terminal.line("exit");
    assert_eq!(terminal.wait_exit(), 0);
}
