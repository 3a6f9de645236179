//! A shell beside lyncsh in the user's terminal: `tests/stand_in/shell.rs` replaces PowerShell.

use std::ffi::OsStr;
use std::path::PathBuf;

use portable_pty::CommandBuilder;

use crate::agent_world::{World, path_without_powershell};
use crate::program::{Program, lyncsh};
pub use crate::terminal::Terminal;

/// Returns the path of lyncsh for an environment variable.
fn variable() -> String {
    lyncsh().to_str().unwrap().to_owned()
}

/// Returns the path of the stand-in.
pub fn stand_in() -> PathBuf {
    let beside = lyncsh().with_file_name("examples").join("stand-in");
    assert!(beside.exists(), "{} is missing: cargo build --example stand-in", beside.display());
    beside
}

/// Creates a world whose profile `work` has the stand-in as its shell.
pub fn world() -> World {
    World::with(&format!("shell = \"{}\"", stand_in().display()))
}

/// Returns the stand-in's environment.
pub fn environment(profiles: &str, does: &str) -> [(&'static str, String); 3] {
    [
        ("STAND_IN_LYNCSH", variable()),
        ("STAND_IN_PROFILES", profiles.to_owned()),
        ("STAND_IN", does.to_owned()),
    ]
}

impl Terminal {
    pub fn open(world: &World, program: impl AsRef<OsStr>, arguments: &[&str], does: &str) -> Self {
        Self::open_with(world, program, arguments, environment("work", does))
    }

    /// Opens a terminal with additional environment variables.
    pub fn open_with(
        world: &World,
        program: impl AsRef<OsStr>,
        arguments: &[&str],
        environment: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Self {
        let own = [("LYNCSH_CONFIG_DIR", world.root().to_str().unwrap().to_owned()), ("LYNCSH", variable())];
        Self::sized((100, 30), program, arguments, own.into_iter().chain(environment))
    }

    /// Opens a terminal of this many columns and rows.
    pub fn sized(
        size: (u16, u16),
        program: impl AsRef<OsStr>,
        arguments: &[&str],
        environment: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Self {
        let mut command = CommandBuilder::new(program);
        command.args(arguments);
        command.env("TERM", "xterm-256color");
        command.env("PATH", path_without_powershell());
        for (name, value) in environment {
            command.env(name, value);
        }
        Self::start(size, command)
    }

    /// Runs `lyncsh work`.
    pub fn work(world: &World, does: &str) -> Self {
        Self::open(world, lyncsh(), &["work"], does)
    }

    /// Runs `lyncsh work`, a group of these profiles.
    pub fn several(world: &World, profiles: &str, does: &str) -> Self {
        Self::open_with(world, lyncsh(), &["work"], environment(profiles, does))
    }

    /// Runs a shell with job control, and `lyncsh` in it.
    pub fn bash(world: &World, does: &str) -> Self {
        let terminal = Self::open(world, "bash", &["--norc", "--noprofile", "-i"], does);
        terminal.line("PS1='$?> '");
        terminal.wait_for_text("0> ");
        terminal.line("\"$LYNCSH\" work");
        terminal
    }
}

/// Returns the child processes of a process that run this program.
pub fn children(parent: u32, program: &str) -> Vec<u32> {
    let text = Program::new("ps").args(["-e", "-o", "pid=,ppid=,args="]).run().success_output();
    // A process that only queries the PowerShell version does not count; an ending process has its name in
    // brackets.
    let lives = |line: &&str| !line.ends_with("--version") && !line.contains("<defunct>");
    let rows = text.lines().filter(lives).filter_map(|line| {
        let mut words = line.split_whitespace();
        let (id, of): (u32, u32) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let path = words.next().filter(|path| !path.starts_with('['))?;
        (of == parent && path.contains(program)).then_some(id)
    });
    rows.collect()
}
