//! Time until the prompt with a latency of 50 ms: `cargo build --release --example stand-in && cargo bench
//! --bench launch`. The stand-in replaces PowerShell: it starts immediately, or as slowly as PowerShell, and
//! attaches in the same way.
#![allow(clippy::disallowed_macros, clippy::disallowed_methods, reason = "nothing of an endpoint is shown")]

mod common;

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{ChildGuard, Failure, LYNCSH, endpoint, folder};

const LATENCY: &str = "50ms";
const ROUNDS: usize = 15;
const PROMPT: &[u8] = b"PS> ";

/// A user's folder, with the profile `work`.
struct User {
    folder: tempfile::TempDir,
    stand_in: PathBuf,
}

fn main() -> Result<(), Failure> {
    let stand_in = Path::new(LYNCSH).with_file_name("examples").join("stand-in");
    if !stand_in.exists() {
        return Err("the stand-in is missing: cargo build --release --example stand-in".into());
    }
    let (_endpoint, known) = endpoint(&["--latency", LATENCY])?;
    let folder = folder(&known, &stand_in, "")?;
    let user = User { folder, stand_in };

    println!("medians of {ROUNDS}, the endpoint answers after {LATENCY}");
    report("connecting alone, no shell", || user.connect());
    report("the shell alone, no session", || user.shell_alone("never-attach"));
    report("lyncsh work, to the prompt", || user.work(""));
    report("the shell alone, 500 ms to start", || user.shell_alone("never-attach slow"));
    report("lyncsh work, with that shell", || user.work("slow"));
    let first = user.start("")?;
    report("a second shell, to the prompt", || user.work(""));
    report("a second attach (lyncsh attach --socket)", || user.attach());
    first.leave()
}

/// Prints the median of a few rounds.
fn report(what: &str, mut round: impl FnMut() -> Result<Duration, Failure>) {
    let rounds: Result<Vec<Duration>, Failure> = (0..ROUNDS).map(|_| round()).collect();
    match rounds {
        Ok(mut times) => {
            times.sort();
            let ms = |time: Duration| time.as_secs_f64() * 1e3;
            let (least, most) = (ms(times[0]), ms(times[ROUNDS - 1]));
            println!("{what:<42} {:>6.0} ms ({least:.0} to {most:.0})", ms(times[ROUNDS / 2]));
        }
        Err(error) => println!("{what:<42} {error}"),
    }
}

/// A shell at its prompt.
struct Shell {
    child: ChildGuard,
    took: Duration,
}

impl Shell {
    /// Starts a shell and waits for the prompt.
    fn start(mut command: Command) -> Result<Self, Failure> {
        let begun = Instant::now();
        let mut child = ChildGuard(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?);
        let mut output = child.0.stdout.take().ok_or("no output")?;
        let (mut seen, mut piece) = (Vec::new(), [0; 256]);
        while !seen.ends_with(PROMPT) {
            match output.read(&mut piece)? {
                0 => return Err(format!("no prompt, but {}", String::from_utf8_lossy(&seen)).into()),
                length => seen.extend(&piece[..length]),
            }
        }
        Ok(Self { took: begun.elapsed(), child })
    }

    fn leave(mut self) -> Result<(), Failure> {
        let mut input = self.child.0.stdin.take().ok_or("no input")?;
        input.write_all(b"exit\n")?;
        self.child.0.wait()?;
        Ok(())
    }

    /// Ends the shell; returns the time to its prompt.
    fn once(self) -> Result<Duration, Failure> {
        let took = self.took;
        self.leave()?;
        Ok(took)
    }
}

impl User {
    fn command(&self, program: impl AsRef<std::ffi::OsStr>, arguments: &[&str], does: &str) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env("LYNCSH_CONFIG_DIR", self.folder.path())
            .env("STAND_IN_LYNCSH", LYNCSH)
            .env("STAND_IN_PROFILES", "work")
            .env("STAND_IN", does);
        command
    }

    fn start(&self, does: &str) -> Result<Shell, Failure> {
        Shell::start(self.command(LYNCSH, &["work", "--", "-NoExit"], does))
    }

    fn work(&self, does: &str) -> Result<Duration, Failure> {
        self.start(does)?.once()
    }

    fn shell_alone(&self, does: &str) -> Result<Duration, Failure> {
        Shell::start(self.command(&self.stand_in, &[], does))?.once()
    }

    fn attach(&self) -> Result<Duration, Failure> {
        let begun = Instant::now();
        let mut command = self.command(LYNCSH, &["attach", "work", "--socket"], "");
        let done = command.stdout(Stdio::null()).status()?;
        let took = begun.elapsed();
        if done.success() { Ok(took) } else { Err("lyncsh attach failed".into()) }
    }

    /// Measures the time to open a new session.
    fn connect(&self) -> Result<Duration, Failure> {
        let took = self.attach()?;
        let mut stop = self.command(LYNCSH, &["stop", "work"], "");
        stop.stdout(Stdio::null()).status()?;
        Ok(took)
    }
}
