//! SIGKILL to shell, launcher and agent, alone and in pairs, at every stage: no session may be left.
//!
//! `LYNCSH_KILL_ROUNDS=200` makes more rounds than the 20 of each cell; the moments are drawn from a
//! fixed seed, which `LYNCSH_KILL_SEED` changes.

use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _};

use crate::agent_world::{GONE, PATIENCE, Role, World};

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

/// All rounds of one cell.
fn cell(stage: Stage, victims: &[Victim]) {
    let rounds = number("LYNCSH_KILL_ROUNDS", 20);
    let mut random = rand::rngs::StdRng::seed_from_u64(number("LYNCSH_KILL_SEED", 2021));
    let create = if stage == Connecting { "0.1" } else { "0" };
    let world = World::on(&["--create", create], "");
    for round in 0..rounds {
        let pause = Duration::from_millis(random.random_range(0..40));
        let before = world.requests();
        let mut launcher = world.child("launcher");
        let mut shell = world.child(if stage == Running { "running" } else { "idle" });
        match stage {
            Connecting => world.wait(PATIENCE, "Create", |world| world.requests() > before),
            Idle | Running => {
                launcher.wait_for("ready");
                shell.wait_for("ready");
            }
            Closing => {
                launcher.wait_for("ready");
                shell.wait_for("ready");
                shell.tell();
                // As a launcher does: it goes when its shell has gone.
                if random.random_bool(0.5) {
                    shell.process.wait();
                    launcher.tell();
                }
            }
        }
        std::thread::sleep(pause);
        let agent = world.agent();
        for victim in victims {
            match victim {
                Shell => shell.kill(),
                Launcher => launcher.kill(),
                Agent => agent.into_iter().for_each(|agent| lyncsh::platform::kill(agent).unwrap()),
            }
        }
        let alone = victims.contains(&Launcher) && victims.contains(&Agent);
        leave(&world, shell, launcher, alone);
        if alone {
            world.wait(PATIENCE, "no agent", |world| world.agent().is_none());
            let (code, _, err) = world.run(&["status"]);
            assert_eq!(code, 0, "{err}");
            assert_eq!(world.shells(), 0, "{victims:?} while {stage:?}, round {round}: {err}");
        } else {
            world.wait(GONE, &format!("{victims:?} while {stage:?}, round {round}"), |world| {
                world.shells() == 0 && world.agent().is_none()
            });
        }
        let left = std::fs::read_dir(world.folders.state.join("sessions")).map_or(0, Iterator::count);
        assert_eq!(left, 0, "the journal is empty after {victims:?} while {stage:?}, round {round}");
    }
}

/// Whoever was not killed leaves, as people do.
fn leave(world: &World, mut shell: Role, mut launcher: Role, orphaned: bool) {
    shell.tell();
    if orphaned || world.agent().is_none() {
        shell.kill();
    }
    shell.process.wait();
    launcher.tell();
    launcher.process.wait();
}

macro_rules! cells {
    ($($name:ident: $stage:ident, $victims:expr;)*) => {
        $(#[test] fn $name() { cell($stage, &$victims); })*
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
