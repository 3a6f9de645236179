//! Lines of the console over many users through a running agent, next to pypsrp and PowerShell:
//! `cargo bench --bench stages`. PowerShell is measured if `LYNCSH_TEST_PWSH` names one.
//!
//! Memory is the largest resident size of the `lyncsh work` process, without the agent and the endpoint.
#![allow(clippy::disallowed_macros, clippy::disallowed_methods, reason = "nothing of an endpoint is shown")]
#![cfg(target_os = "linux")]

mod common;

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{Failure, LYNCSH};

/// Numbers of users for the measurements of memory and of time.
const USERS: [u32; 2] = [30_000, 50_000];
const ROUNDS: usize = 3;
const COUNT: &str = "Get-CsOnlineUser | Measure-Object | % Count";
const JSON: &str = "Get-CsOnlineUser | ConvertTo-Json > users.json";

fn main() -> Result<(), Failure> {
    memory(USERS[0])?;
    time(USERS[1])
}

fn memory(users: u32) -> Result<(), Failure> {
    let shell = Shell::start(users)?;
    for line in [
        "Get-CsTenant | % DisplayName",
        COUNT,
        "Get-CsOnlineUser | Where-Object City -eq Redmond | Measure-Object | % Count",
        "Get-CsOnlineUser | Export-Csv users.csv",
        JSON,
        "Get-CsOnlineUser | Sort-Object DisplayName | Select-Object -Last 1 | % DisplayName",
        "Get-CsOnlineUser | Group-Object City -NoElement | % Count",
    ] {
        let (took, most) = shell.run(line)?;
        println!("{most:>6.1} MB, {:>6.0} ms, {users} users: {line}", took.as_secs_f64() * 1e3);
    }
    Ok(())
}

fn time(users: u32) -> Result<(), Failure> {
    let shell = Shell::start(users)?;
    let seconds = |took: Duration| took.as_secs_f64();
    let base = shell.median("1")?;
    let count = shell.median(COUNT)?;
    let json = shell.median(JSON)?;
    println!("{users} users, without the start: {:.2} s to a count", seconds(count.saturating_sub(base)));
    println!("{users} users, without the start: {:.2} s to JSON", seconds(json.saturating_sub(base)));
    let other = common::pypsrp(&shell.endpoint, "Get-CsOnlineUser")?.0;
    println!(
        "pypsrp: {:.2} s to a count, {:.1} times as long",
        seconds(other),
        seconds(other) / seconds(count)
    );
    if let Some(pwsh) = std::env::var_os("LYNCSH_TEST_PWSH") {
        let run = |line: &str| {
            let mut command = shell.command();
            command.arg("--shell").arg(&pwsh).args(["--", "-NoProfile", "-Command", line]);
            let begun = Instant::now();
            let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
            if output.status.success() {
                Ok(begun.elapsed())
            } else {
                Err(Failure::from("PowerShell failed"))
            }
        };
        run("1")?;
        let base = run("Get-CsTenant | Out-Null")?;
        let theirs = run("(Get-CsOnlineUser | Measure-Object).Count")?.saturating_sub(base);
        let ours = count.saturating_sub(base.min(shell.median("Get-CsTenant | Out-Null")?));
        println!(
            "PowerShell on the same agent, without the start: {:.2} s to a count, {:.1} times as long",
            seconds(theirs),
            seconds(theirs) / seconds(ours)
        );
    }
    Ok(())
}

/// A console that keeps the agent running.
struct Shell {
    endpoint: serde_json::Value,
    folder: tempfile::TempDir,
    _console: common::ChildGuard,
    _endpoint: common::ChildGuard,
}

impl Shell {
    fn start(users: u32) -> Result<Self, Failure> {
        let (process, endpoint) = common::endpoint(&["--users", &users.to_string()])?;
        let folder = common::folder(&endpoint, Path::new("console"), "keep = \"0s\"\n")?;
        let mut console = Command::new(LYNCSH);
        console.arg("work").env("LYNCSH_CONFIG_DIR", folder.path());
        let console = console.stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
        let shell = Self { endpoint, folder, _console: common::ChildGuard(console), _endpoint: process };
        shell.run("1")?;
        Ok(shell)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(LYNCSH);
        command.arg("work").env("LYNCSH_CONFIG_DIR", self.folder.path()).current_dir(self.folder.path());
        command
    }

    /// Runs a line in a console of its own. Returns the time and the largest resident size in MB.
    fn run(&self, line: &str) -> Result<(Duration, f64), Failure> {
        let begun = Instant::now();
        let mut child =
            common::ChildGuard(self.command().stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?);
        writeln!(child.0.stdin.take().ok_or("no input")?, "{line}")?;
        let status = format!("/proc/{}/status", child.0.id());
        let mut most = 0.0f64;
        let status = loop {
            if let Some(status) = child.0.try_wait()? {
                break status;
            }
            let text = std::fs::read_to_string(&status).unwrap_or_default();
            let kilobytes =
                text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next());
            most = most.max(kilobytes.and_then(|number| number.parse().ok()).unwrap_or(0.0));
            std::thread::sleep(Duration::from_millis(2));
        };
        if status.success() {
            Ok((begun.elapsed(), most / 1024.0))
        } else {
            Err(format!("{line}: {status}").into())
        }
    }

    fn median(&self, line: &str) -> Result<Duration, Failure> {
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            times.push(self.run(line)?.0);
        }
        times.sort();
        Ok(times[ROUNDS / 2])
    }
}
