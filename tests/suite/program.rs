//! The programs that tests run: one builder, one way to wait, and one limit for waiting.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Maximum wait of a test.
pub const PATIENCE: Duration = Duration::from_mins(2);
/// Time limit for the removal of a session after its owner was killed.
pub const REMOVAL_TIMEOUT: Duration = Duration::from_secs(10);
const INTERVAL: Duration = Duration::from_millis(5);

/// Returns the path of lyncsh as built with these tests, or as extracted from an archive.
pub fn lyncsh() -> PathBuf {
    let run_time = ["NEXTEST_BIN_EXE_lyncsh", "CARGO_BIN_EXE_lyncsh"].into_iter().find_map(std::env::var_os);
    run_time.map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_lyncsh")), PathBuf::from)
}

/// Returns the Python that has the peers' packages.
pub fn python() -> String {
    let own = concat!(env!("CARGO_MANIFEST_DIR"), "/target/venv/bin/python");
    std::env::var("LYNCSH_TEST_PYTHON").unwrap_or_else(|_| own.to_owned())
}

/// Returns an error's text on one line, without the frame around its help.
pub fn one_line(error: &str) -> String {
    error.replace('\u{2502}', " ").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Calls `search` until it returns a value, at most for `limit`.
#[must_use]
pub fn found<T>(limit: Duration, mut search: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    loop {
        if let found @ Some(_) = search() {
            return found;
        }
        if start.elapsed() >= limit {
            return None;
        }
        std::thread::sleep(INTERVAL);
    }
}

/// Waits for a condition; returns whether it was met within `limit`.
#[must_use]
pub fn holds(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    found(limit, || condition().then_some(())).is_some()
}

/// Waits for a condition, which must be met within `limit`.
pub fn wait(limit: Duration, what: &str, condition: impl FnMut() -> bool) {
    assert!(holds(limit, condition), "not within {limit:?}: {what}");
}

/// The same without blocking the thread.
pub async fn until(limit: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < limit, "not within {limit:?}: {what}");
        tokio::time::sleep(INTERVAL).await;
    }
}

#[cfg(unix)]
pub fn signal(process: u32, signal: rustix::process::Signal) {
    let process = rustix::process::Pid::from_raw(process.cast_signed()).unwrap();
    rustix::process::kill_process(process, signal).unwrap();
}

/// A child process that is killed at the end of the test.
pub struct ChildGuard(pub Child);

impl ChildGuard {
    pub fn wait(&mut self) -> ExitStatus {
        found(PATIENCE, || self.0.try_wait().unwrap()).expect("the process must end")
    }

    /// Returns the standard input; dropping it closes it.
    pub fn input(&mut self) -> ChildStdin {
        self.0.stdin.take().unwrap()
    }

    /// Returns the standard output.
    pub fn output(&mut self) -> BufReader<ChildStdout> {
        BufReader::new(self.0.stdout.take().unwrap())
    }

    /// Returns the first line of the standard output, and ignores the others.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.output().read_line(&mut line).unwrap();
        line
    }

    /// Returns the JSON that a server prints when it listens.
    pub fn ready(&mut self) -> serde_json::Value {
        ready(&mut self.output())
    }

    /// Closes the standard input and waits for the end. The result lacks the output that was read before.
    pub fn ran(mut self) -> Ran {
        drop(self.0.stdin.take());
        let out = self.0.stdout.take().map(read);
        let err = self.0.stderr.take().map(read);
        let status = self.wait();
        let text = |reader: std::thread::JoinHandle<Vec<u8>>| {
            let bytes = reader.join().unwrap();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        Ran {
            code: status.code(),
            out: out.map(text).unwrap_or_default(),
            err: err.map(text).unwrap_or_default(),
        }
    }
}

/// Returns the JSON that a server prints when it listens.
pub fn ready(output: &mut impl BufRead) -> serde_json::Value {
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    serde_json::from_str(&line)
        .unwrap_or_else(|error| panic!("{line:?}: {error}; `tests/run` installs what the peers need"))
}

impl Drop for ChildGuard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn read(mut from: impl Read + Send + 'static) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).unwrap();
        bytes
    })
}

/// A run that is being prepared. Output and errors are piped unless set otherwise.
pub struct Program {
    command: Command,
    input: Option<Vec<u8>>,
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

    /// Returns the standard output of a run that must have succeeded.
    pub fn success_output(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.out
    }

    /// Returns the standard error on one line, without the frame around an error's help.
    pub fn text(&self) -> String {
        one_line(&self.err)
    }

    /// Returns output and errors, and whether it succeeded.
    pub fn combined_output(self) -> (String, bool) {
        (self.out + &self.err, self.code == Some(0))
    }

    /// Returns the JSON output of a run that must have succeeded.
    pub fn json(self) -> serde_json::Value {
        serde_json::from_str(&self.success_output()).unwrap()
    }
}

impl Program {
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self::from(Command::new(program))
    }

    /// Runs lyncsh in the folders of this user.
    pub fn lyncsh() -> Self {
        Self::new(lyncsh())
    }

    /// Runs a program of `tests/peers`.
    pub fn peer(script: &str) -> Self {
        Self::new(python()).args([format!("{}/tests/peers/{script}", env!("CARGO_MANIFEST_DIR"))])
    }

    pub fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(arguments);
        self
    }

    pub fn stdin(mut self, input: impl AsRef<[u8]>) -> Self {
        self.input = Some(input.as_ref().to_owned());
        self
    }

    pub fn stdout(mut self, output: impl Into<Stdio>) -> Self {
        self.command.stdout(output);
        self
    }

    pub fn stderr(mut self, output: impl Into<Stdio>) -> Self {
        self.command.stderr(output);
        self
    }

    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub fn envs(
        mut self,
        variables: impl IntoIterator<Item = (impl AsRef<OsStr>, impl AsRef<OsStr>)>,
    ) -> Self {
        self.command.envs(variables);
        self
    }

    pub fn env_remove(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    pub fn env_clear(mut self) -> Self {
        self.command.env_clear();
        self
    }

    pub fn folder(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Starts it, with its standard input open.
    pub fn start(mut self) -> ChildGuard {
        let child = self.command.stdin(Stdio::piped()).spawn();
        let child = child.unwrap_or_else(|error| {
            panic!("{:?}: {error}; `tests/run` installs what tests need", self.command)
        });
        let mut child = ChildGuard(child);
        if let Some(input) = self.input {
            let mut stdin = child.input();
            // A program that ends early reads no more.
            std::thread::spawn(move || stdin.write_all(&input));
        }
        child
    }

    /// Runs it to its end, with an empty standard input if none was set. A run that takes longer than
    /// [`PATIENCE`] is killed, and fails the test.
    pub fn run(mut self) -> Ran {
        self.input.get_or_insert_default();
        self.start().ran()
    }
}

/// Keeps the command's folders and variables; replaces its output streams.
impl From<Command> for Program {
    fn from(mut command: Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { command, input: None }
    }
}
