//! Shells with a standalone session, as Windows PowerShell uses if it cannot attach: it has no agent, but is also
//! removed. The stand-in is a WSMan client, like PowerShell.

use lyncsh::agent::journal::Journal;
use lyncsh::simulator::{Options, PASSWORD, Server, USER};
use rustix::process::Signal;

use crate::agent_world::{PATIENCE, REMOVAL_TIMEOUT, World};
use crate::program::{holds, signal, wait};
use crate::stand_in::{Terminal, children, stand_in};

const PROMPT: &str = "[work] PS> ";

struct Own {
    world: World,
    server: Server,
}

impl Own {
    async fn start(credential: &str) -> Self {
        let own = Self {
            world: World::without_endpoint(),
            server: Server::start(Options::default()).await.unwrap(),
        };
        std::fs::create_dir_all(own.world.folders.profiles()).unwrap();
        let text = format!(
            "kind = \"lync-online\"\nuser = \"{USER}\"\ndiscovery = \"{}\"\ncredential = {credential}\n\
             attach = false\nshell = '{}'\n",
            own.server.discovery,
            stand_in().display()
        );
        std::fs::write(own.world.folders.profile("work"), text).unwrap();
        own
    }

    /// Uses a credential from a command.
    async fn silent() -> Self {
        Self::start(&format!("{{ command = \"echo '{PASSWORD}'\" }}")).await
    }

    fn work(&self) -> Terminal {
        let terminal = Terminal::work(&self.world, "own");
        terminal.ends_with(PROMPT);
        // Wait until the guard has the id.
        assert!(holds(PATIENCE, || self.journal() == 1), "no guard:\n{}", terminal.text());
        assert_eq!(self.server.shells().len(), 1);
        terminal
    }

    /// Returns the number of sessions in the journal.
    fn journal(&self) -> usize {
        let folder = self.world.folders.state.join("sessions");
        std::fs::read_dir(folder).map_or(0, |entries| {
            let json = |entry: &std::fs::DirEntry| entry.path().extension().is_some_and(|end| end == "json");
            entries.filter_map(Result::ok).filter(json).count()
        })
    }

    fn wait_removed(&self) {
        wait(REMOVAL_TIMEOUT, "no session and no journal", || {
            self.server.shells().is_empty() && self.journal() == 0
        });
    }

    fn shell(&self, terminal: &Terminal) -> u32 {
        let all = children(terminal.child.process_id().unwrap(), "stand-in");
        assert_eq!(all.len(), 1, "{all:?}");
        all[0]
    }
}

fn kill(process: u32) {
    signal(process, Signal::KILL);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_credential_can_be_read_only_once() {
    let own = Own::silent().await;
    let mut terminal = own.work();
    terminal.wait_for_text("[a second read gives 0 bytes]");
    assert!(own.world.agent().is_none(), "no agent has it");
    let (_, out, _) = own.world.run(&["status"]);
    assert!(out.starts_with("work: standalone session, open for ") && out.contains("(guard "), "{out}");
    let (code, out, _) = own.world.run(&["stop", "work"]);
    assert_eq!(code, 0);
    assert!(out.contains("is removed when its shell exits"), "{out}");
    terminal.line("Get-CsTenant");
    terminal.wait_for_text("0: Completed, 1 objects");
    let shell = own.shell(&terminal);
    for process in children(shell, "lyncsh").into_iter().chain([shell]) {
        for file in ["cmdline", "environ"] {
            let bytes = std::fs::read(format!("/proc/{process}/{file}")).unwrap();
            assert!(!String::from_utf8_lossy(&bytes).contains(PASSWORD), "{file}");
        }
    }
    terminal.line("exit 4");
    assert_eq!(terminal.wait_exit(), 4);
    own.wait_removed();
    assert!(!terminal.text().contains(PASSWORD));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_shells_session_is_deleted_by_id() {
    let own = Own::silent().await;
    let mut terminal = own.work();
    kill(own.shell(&terminal));
    own.wait_removed();
    assert_eq!(terminal.wait_exit(), 137);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_credential_is_sent_for_a_session_that_cannot_be_guarded() {
    let own = Own::silent().await;
    std::fs::create_dir_all(&own.world.folders.state).unwrap();
    std::fs::write(own.world.folders.state.join("sessions"), "").unwrap();
    let terminal = Terminal::work(&own.world, "own");
    terminal.wait_for_text("cannot write the session journal; no session was created");
    assert!(own.server.shells().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_or_hang_up_leaves_no_session() {
    let own = Own::silent().await;
    let terminal = own.work();
    terminal.line("crash");
    own.wait_removed();

    let mut terminal = own.work();
    terminal.close();
    own.wait_removed();

    let mut terminal = own.work();
    // The terminal closes with its first process, and the shell ends with the terminal.
    terminal.child.kill().unwrap();
    terminal.child.wait().unwrap();
    own.wait_removed();
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_reaches_the_shell_and_keeps_the_guard() {
    let own = Own::silent().await;
    let mut terminal = own.work();
    terminal.press("\x03");
    terminal.wait_for_text("^C caught");
    terminal.line("Get-CsTenant");
    terminal.wait_for_text("0: Completed, 1 objects");
    assert_eq!(own.journal(), 1);
    kill(own.shell(&terminal));
    own.wait_removed();
    terminal.wait_exit();
}

#[tokio::test(flavor = "multi_thread")]
async fn unverified_use_is_reported_once() {
    let own = Own::silent().await;
    for is_first in [true, false] {
        let mut terminal = own.work();
        let text = terminal.text();
        assert_eq!(
            text.contains("'work': attach = false: not verified against a real server"),
            is_first,
            "{text}"
        );
        kill(own.shell(&terminal));
        own.wait_removed();
        terminal.wait_exit();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_start_removes_a_session_without_its_guard() {
    let own = Own::silent().await;
    let terminal = own.work();
    let shell = own.shell(&terminal);
    let guards = children(shell, "lyncsh");
    assert_eq!(guards.len(), 1, "{guards:?}");
    kill(guards[0]);
    kill(shell);
    drop(terminal);
    assert_eq!(own.server.shells().len(), 1);
    // A killed process may take a moment to end.
    wait(PATIENCE, "the guard's end", || Journal::of(&own.world.folders).live().is_empty());
    let (code, _, err) = own.world.run(&["list"]);
    assert_eq!(code, 0);
    assert!(err.contains("removed an orphaned session of 'work'"), "{err}");
    own.wait_removed();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shell_passes_a_prompted_password_to_the_guard() {
    let own = Own::start("\"prompt\"").await;
    let mut terminal = Terminal::work(&own.world, "own");
    terminal.wait_for_text("[password?]");
    terminal.line(PASSWORD);
    terminal.ends_with(PROMPT);
    kill(own.shell(&terminal));
    own.wait_removed();
    terminal.wait_exit();
}
