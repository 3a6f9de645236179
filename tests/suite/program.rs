//! One run of the program: its arguments, input and output.

use std::io::{Read, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::agent_world::{Killed, PATIENCE, World};

/// A run that is being prepared.
pub struct Lyncsh {
    command: Command,
    input: Vec<u8>,
}

/// A run that has ended.
#[derive(Debug)]
pub struct Ran {
    /// The exit code; `None` if a signal ended the program.
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// Returns exit code (-1 if a signal ended the program), standard output and error.
    pub fn parts(self) -> (i32, String, String) {
        (self.code.unwrap_or(-1), self.out, self.err)
    }
}

impl Lyncsh {
    /// Prepares a run in the folders of a world.
    pub fn new(world: &World) -> Self {
        Self::of(world.lyncsh(&[]))
    }

    /// Prepares a run in the folders of this user.
    pub fn alone() -> Self {
        Self::of(Command::new(env!("CARGO_BIN_EXE_lyncsh")))
    }

    fn of(mut command: Command) -> Self {
        command.stdout(Stdio::piped());
        Self { command, input: Vec::new() }
    }

    pub fn args<'a>(mut self, arguments: impl IntoIterator<Item = &'a str>) -> Self {
        self.command.args(arguments);
        self
    }

    pub fn stdin(mut self, input: impl AsRef<[u8]>) -> Self {
        self.input = input.as_ref().to_owned();
        self
    }

    pub fn stdout(mut self, output: Stdio) -> Self {
        self.command.stdout(output);
        self
    }

    pub fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub fn folder(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Runs the program to its end. A run that takes longer than [`PATIENCE`] is killed, and fails the test.
    pub fn run(mut self) -> Ran {
        let command = self.command.stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut child = Killed(command.spawn().unwrap());
        let mut stdin = child.0.stdin.take().unwrap();
        let input = std::mem::take(&mut self.input);
        // Fails if the program ends before it has read everything.
        std::thread::spawn(move || stdin.write_all(&input));
        let out = child.0.stdout.take().map(read);
        let err = child.0.stderr.take().map(read).unwrap();
        let start = Instant::now();
        let status = loop {
            if let Some(status) = child.0.try_wait().unwrap() {
                break status;
            }
            assert!(start.elapsed() < PATIENCE, "still running: {:?}", self.command);
            std::thread::sleep(Duration::from_millis(5));
        };
        let text = |reader: std::thread::JoinHandle<Vec<u8>>| {
            let bytes = reader.join().unwrap();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        Ran { code: status.code(), out: out.map(text).unwrap_or_default(), err: text(err) }
    }
}

fn read(mut from: impl Read + Send + 'static) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).unwrap();
        bytes
    })
}
