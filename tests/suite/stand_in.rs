//! A shell beside lyncsh in the user's terminal: `tests/stand_in/shell.rs` replaces PowerShell.

use std::ffi::OsStr;
use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use portable_pty::{CommandBuilder, MasterPty, PtySize, native_pty_system};

use crate::agent_world::{PATIENCE, World, path_without_powershell};
use crate::program::{Program, found, holds, lyncsh};

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

/// Time for the last output of an ended program to arrive.
const LAST_OUTPUT: Duration = Duration::from_secs(2);

/// A terminal running a program.
pub struct Terminal {
    screen: Arc<Mutex<vt100::Parser>>,
    raw: Arc<Mutex<Vec<u8>>>,
    keys: Arc<Mutex<Box<dyn std::io::Write + Send>>>,
    pub child: Box<dyn portable_pty::Child + Send + Sync>,
    reading: std::thread::JoinHandle<()>,
    master: Option<Box<dyn MasterPty + Send>>,
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
        (cols, rows): (u16, u16),
        program: impl AsRef<OsStr>,
        arguments: &[&str],
        environment: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Self {
        let size = PtySize { rows, cols, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(program);
        command.args(arguments);
        command.env("TERM", "xterm-256color");
        command.env("PATH", path_without_powershell());
        for (name, value) in environment {
            command.env(name, value);
        }
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let mut output = pair.master.try_clone_reader().unwrap();
        let keys: Arc<Mutex<Box<dyn std::io::Write + Send>>> =
            Arc::new(Mutex::new(pair.master.take_writer().unwrap()));
        let screen = Arc::new(Mutex::new(vt100::Parser::new(rows, cols, 1000)));
        let raw = Arc::new(Mutex::new(Vec::new()));
        let (seen, answers, bytes) = (screen.clone(), keys.clone(), raw.clone());
        let reading = std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(length @ 1..) = output.read(&mut piece) {
                let asked = piece[..length].windows(4).filter(|four| four == b"\x1b[6n").count();
                bytes.lock().unwrap().extend_from_slice(&piece[..length]);
                let (row, column) = {
                    let mut screen = seen.lock().unwrap();
                    screen.process(&piece[..length]);
                    screen.screen().cursor_position()
                };
                // The line editor queries the cursor position.
                for _ in 0..asked {
                    let _ = write!(answers.lock().unwrap(), "\x1b[{};{}R", row + 1, column + 1);
                }
            }
        });
        Self { screen, raw, keys, child, reading, master: Some(pair.master) }
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
        terminal.sees("0> ");
        terminal.line("\"$LYNCSH\" work");
        terminal
    }

    pub fn press(&self, keys: &str) {
        let mut out = self.keys.lock().unwrap();
        out.write_all(keys.as_bytes()).unwrap();
        out.flush().unwrap();
    }

    pub fn line(&self, text: &str) {
        self.press(text);
        self.press("\r");
    }

    pub fn text(&self) -> String {
        self.screen.lock().unwrap().screen().contents()
    }

    /// Returns every byte that the terminal received.
    pub fn raw(&self) -> Vec<u8> {
        self.raw.lock().unwrap().clone()
    }

    pub fn hides_cursor(&self) -> bool {
        self.screen.lock().unwrap().screen().hide_cursor()
    }

    pub fn sees(&self, wanted: &str) {
        self.waits(wanted, |text| text.contains(wanted));
    }

    /// Waits for the last line, where the user types.
    pub fn ends_with(&self, wanted: &str) {
        self.waits(wanted, |text| text.trim_end().ends_with(wanted.trim_end()));
    }

    pub fn waits(&self, what: &str, wanted: impl Fn(&str) -> bool) {
        let came = holds(PATIENCE, || wanted(&self.text()));
        assert!(came, "{what} did not come:\n{}", self.text());
    }

    pub fn resize(&self, columns: u16, rows: u16) {
        let size = PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 };
        self.master.as_ref().unwrap().resize(size).unwrap();
    }

    /// Closes the window.
    pub fn close(&mut self) {
        self.master = None;
        *self.keys.lock().unwrap() = Box::new(std::io::sink());
        // The reading thread has a copy: only its end closes the terminal.
        let _ = self.child.kill();
    }

    /// Returns the exit code.
    pub fn ended(&mut self) -> u32 {
        let status = found(PATIENCE, || self.child.try_wait().unwrap());
        let code = status.unwrap_or_else(|| panic!("the program does not end:\n{}", self.text())).exit_code();
        // The terminal ends with its last process, which may be another one.
        let _ = holds(LAST_OUTPUT, || self.reading.is_finished());
        code
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the child processes of a process that run this program.
pub fn children(parent: u32, program: &str) -> Vec<u32> {
    let text = Program::new("ps").args(["-e", "-o", "pid=,ppid=,args="]).run().good();
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
