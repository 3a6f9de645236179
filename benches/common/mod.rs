//! Setup for benchmarks with processes: an endpoint, and a user's folder with the profile `work`.
#![allow(dead_code, reason = "each benchmark uses a part of it")]

#[path = "../../tests/suite/program.rs"]
pub mod program;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub const LYNCSH: &str = env!("CARGO_BIN_EXE_lyncsh");

pub type Failure = Box<dyn std::error::Error>;

/// A process that is killed at the end of the benchmark.
pub struct ChildGuard(pub Child);

impl Drop for ChildGuard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a simulated endpoint. Returns it with its status report.
pub fn endpoint(options: &[&str]) -> Result<(ChildGuard, serde_json::Value), Failure> {
    endpoint_in(&[], options)
}

/// The same with variables in its environment.
pub fn endpoint_in(
    variables: &[(&str, String)],
    options: &[&str],
) -> Result<(ChildGuard, serde_json::Value), Failure> {
    let mut command = Command::new(LYNCSH);
    command.envs(variables.iter().cloned()).args(["demo", "--serve"]).args(options).stdout(Stdio::piped());
    let mut endpoint = command.spawn().map(ChildGuard)?;
    let mut line = String::new();
    BufReader::new(endpoint.0.stdout.take().ok_or("no output")?).read_line(&mut line)?;
    Ok((endpoint, serde_json::from_str(&line)?))
}

/// Creates a user's folder. `more`: additional lines of the profile.
pub fn folder(endpoint: &serde_json::Value, shell: &Path, more: &str) -> Result<tempfile::TempDir, Failure> {
    let folder = tempfile::tempdir()?;
    let text = |key: &str| endpoint[key].as_str().unwrap_or_default().to_owned();
    let profile = format!(
        "kind = \"lync-online\"\nuser = \"{}\"\ndiscovery = \"{}\"\n\
         credential = {{ command = \"echo '{}'\" }}\nshell = '{}'\n{more}",
        text("user"),
        text("discovery"),
        text("password"),
        shell.display()
    );
    std::fs::create_dir_all(folder.path().join("profiles"))?;
    std::fs::write(folder.path().join("profiles/work.toml"), profile)?;
    Ok(folder)
}

/// Runs a command with pypsrp in a session of its own. Returns the duration of the call, and that of the whole process
/// with the start of Python.
pub fn pypsrp(endpoint: &serde_json::Value, cmdlet: &str) -> Result<(Duration, Duration), Failure> {
    const SCRIPT: &str = "\
import json, sys, time
from urllib.parse import urlsplit
from pypsrp.powershell import PowerShell, RunspacePool
from pypsrp.wsman import WSMan
known, cmdlet = json.loads(sys.argv[1]), sys.argv[2]
at = urlsplit(known['url'])
with WSMan(at.hostname, port=at.port, path=at.path.lstrip('/'), ssl=False, auth='basic', username=known['user'],
           password=known['password'], encryption='never', no_proxy=True) as server, RunspacePool(server) as pool:
    shell = PowerShell(pool)
    shell.add_cmdlet(cmdlet)
    begun = time.monotonic()
    assert shell.invoke()
    took = time.monotonic() - begun
print(took)
";
    let begun = Instant::now();
    let mut command = Command::new(program::python());
    let output = command.args(["-c", SCRIPT, &endpoint.to_string(), cmdlet]).stdin(Stdio::null()).output()?;
    let whole = begun.elapsed();
    let text = String::from_utf8(output.stdout)?;
    let call = text.trim().parse().map_err(|_| format!("pypsrp ended with {}", output.status))?;
    Ok((Duration::from_secs_f64(call), whole))
}
