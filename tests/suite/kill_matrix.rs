//! Kills the processes of the shell, the launcher (`lyncsh work`) and the agent, alone and in pairs, at every stage,
//! and checks that no session is left.
//!
//! Each test runs 20 rounds, or `LYNCSH_KILL_ROUNDS`. The times are random; `LYNCSH_KILL_SEED` changes their seed.

use std::io::{Read as _, Write as _};
use std::process::{ChildStdin, ChildStdout, Stdio};
use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _};

use rustix::process::{Pid, Signal, kill_process};

use crate::agent_world::{ChildGuard, PATIENCE, REMOVAL_TIMEOUT, World};
use crate::stand_in::{children, environment, stand_in};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Connecting,
    Idle,
    Running,
    Closing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Shell,
    Launcher,
    Agent,
}

use Stage::{Closing, Connecting, Idle, Running};
use Victim::{Agent, Launcher, Shell};

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}")))
}

/// `lyncsh work` without a terminal, and its shell.
struct Work {
    launcher: ChildGuard,
    input: Option<ChildStdin>,
    out: ChildStdout,
    shell: Option<u32>,
}

impl Work {
    fn start(world: &World) -> Self {
        let program = world.program(&["work", "--", "-NoExit"]).envs(environment("work", ""));
        let mut launcher = program.stderr(Stdio::null()).start();
        let (input, out) = (Some(launcher.input()), launcher.0.stdout.take().unwrap());
        Self { launcher, input, out, shell: None }
    }

    /// Waits for the shell's process, which starts in parallel to the connection.
    fn wait_for_shell(&mut self, world: &World) {
        world.wait(PATIENCE, "a shell", |_| {
            self.shell = children(self.launcher.0.id(), "stand-in").first().copied();
            self.shell.is_some()
        });
    }

    fn wait_for_prompt(&mut self) {
        let mut printed = Vec::new();
        let mut piece = [0; 256];
        while !printed.ends_with(b"[work] PS> ") {
            let length = self.out.read(&mut piece).unwrap();
            assert!(length > 0, "it ended before its prompt: {}", String::from_utf8_lossy(&printed));
            printed.extend_from_slice(&piece[..length]);
        }
    }

    fn line(&mut self, text: &str) {
        writeln!(self.input.as_mut().unwrap(), "{text}").unwrap();
    }

    /// Ends the processes that were not killed as if the user closed the window.
    fn leave(&mut self) {
        self.input = None;
        if let Some(shell) = self.shell.and_then(|shell| Pid::from_raw(shell.cast_signed())) {
            // The process may have ended already.
            let _ = kill_process(shell, Signal::HUP);
        }
        self.launcher.wait();
    }
}

/// The endpoint's behaviour: WinRM's, or OMI's, which delays Delete until a session's output was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Server {
    WinRm,
    Omi,
}

/// Returns whether the Create of a journal entry was interrupted and Delete did not find the session: the entry stays
/// until a later Delete confirms that.
fn is_waited_for(path: &std::path::Path) -> bool {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let last = text.lines().rev().find_map(|line| serde_json::from_str(line).ok());
    last.is_some_and(|entry: serde_json::Value| entry["created"] == false && entry["tries"] != 0)
}

/// Runs all rounds for one server, stage and set of victims.
fn cell(server: Server, stage: Stage, victims: &[Victim]) {
    let rounds = number("LYNCSH_KILL_ROUNDS", 20);
    let mut random = rand::rngs::StdRng::seed_from_u64(number("LYNCSH_KILL_SEED", 2021));
    let shell = format!("shell = \"{}\"", stand_in().display());
    let slow = stage == Connecting;
    let world = match server {
        Server::WinRm => World::on(&["--create", if slow { "0.2" } else { "0" }], &shell),
        Server::Omi => World::simulated(&["--omi", "--latency", if slow { "200ms" } else { "0s" }], &shell),
    };
    for round in 0..rounds {
        let pause = Duration::from_millis(random.random_range(0..40));
        let before = world.requests();
        let mut work = Work::start(&world);
        work.wait_for_shell(&world);
        match stage {
            Connecting => world.wait(PATIENCE, "Create", |world| world.requests() > before),
            Idle => work.wait_for_prompt(),
            Running => {
                work.wait_for_prompt();
                match server {
                    Server::WinRm => {
                        let before = world.requests();
                        work.line("Wait-Forever");
                        world.wait(PATIENCE, "a command", |world| world.requests() > before);
                    }
                    Server::Omi => {
                        work.line("Wait-Cs");
                        world.wait(PATIENCE, "a command", |world| world.running() > 0);
                    }
                }
            }
            Closing => {
                work.wait_for_prompt();
                work.line("exit");
            }
        }
        std::thread::sleep(pause);
        let agent = world.agent();
        for victim in victims {
            match victim {
                Shell => work.shell.into_iter().for_each(|shell| lyncsh::platform::kill(shell).unwrap()),
                // An ended process cannot be killed.
                Launcher => drop(work.launcher.0.kill()),
                Agent => agent.into_iter().for_each(|agent| lyncsh::platform::kill(agent).unwrap()),
            }
        }
        work.leave();
        let mut report = String::new();
        if victims.contains(&Launcher) && victims.contains(&Agent) {
            world.wait(PATIENCE, "no agent", |world| world.agent().is_none());
            let (code, out, err) = world.run(&["status"]);
            assert_eq!(code, 0, "{err}");
            report = format!("{out}{err}");
        }
        // The surviving shell may have started another agent, which ends without a further action.
        world.wait(
            REMOVAL_TIMEOUT,
            &format!("{victims:?} while {stage:?}, round {round}: {report}"),
            |world| world.shells() == 0 && world.agent().is_none(),
        );
        // A shell that was connecting may be writing an entry under a temporary name; its Create was not sent.
        let left = |world: &World| {
            std::fs::read_dir(world.folders.state.join("sessions")).map_or(0, |files| {
                let paths = files.map(|file| file.unwrap().path());
                let entries = paths.filter(|path| path.extension().is_some_and(|end| end == "json"));
                entries.filter(|path| !is_waited_for(path)).count()
            })
        };
        let what = format!("an empty journal after {victims:?} while {stage:?}, round {round}: {report}");
        world.wait(REMOVAL_TIMEOUT, &what, |world| left(world) == 0);
    }
    assert_eq!(world.shells(), 0, "{victims:?} while {stage:?}: a session was created afterwards");
}

macro_rules! cells {
    ($($name:ident: $stage:ident, $victims:expr;)*) => {
        $(#[test] fn $name() { cell(Server::WinRm, $stage, &$victims); })*

        /// The same on a server with OMI's behaviour.
        mod omi {
            use super::*;
            $(#[test] fn $name() { cell(Server::Omi, $stage, &$victims); })*
        }
    };
}

cells! {
    shell_while_connecting: Connecting, [Shell];
    shell_while_idle: Idle, [Shell];
    shell_while_running: Running, [Shell];
    shell_while_closing: Closing, [Shell];
    launcher_while_connecting: Connecting, [Launcher];
    launcher_while_idle: Idle, [Launcher];
    launcher_while_running: Running, [Launcher];
    launcher_while_closing: Closing, [Launcher];
    agent_while_connecting: Connecting, [Agent];
    agent_while_idle: Idle, [Agent];
    agent_while_running: Running, [Agent];
    agent_while_closing: Closing, [Agent];
    shell_and_launcher_while_connecting: Connecting, [Shell, Launcher];
    shell_and_launcher_while_idle: Idle, [Shell, Launcher];
    shell_and_launcher_while_running: Running, [Shell, Launcher];
    shell_and_launcher_while_closing: Closing, [Shell, Launcher];
    launcher_and_agent_while_connecting: Connecting, [Launcher, Agent];
    launcher_and_agent_while_idle: Idle, [Launcher, Agent];
    launcher_and_agent_while_running: Running, [Launcher, Agent];
    launcher_and_agent_while_closing: Closing, [Launcher, Agent];
}
