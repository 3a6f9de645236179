//! Setup for benchmarks with processes: an endpoint, and a user's folder with the profile `work`.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

pub const LYNCSH: &str = env!("CARGO_BIN_EXE_lyncsh");

pub type Failure = Box<dyn std::error::Error>;

/// A process that is killed at the end of the benchmark.
pub struct Ended(pub Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a simulated endpoint. Returns it with its status report.
pub fn endpoint(options: &[&str]) -> Result<(Ended, serde_json::Value), Failure> {
    endpoint_in(&[], options)
}

/// The same with variables in its environment.
pub fn endpoint_in(
    variables: &[(&str, String)],
    options: &[&str],
) -> Result<(Ended, serde_json::Value), Failure> {
    let mut command = Command::new(LYNCSH);
    command.envs(variables.iter().cloned()).args(["demo", "--serve"]).args(options).stdout(Stdio::piped());
    let mut endpoint = command.spawn().map(Ended)?;
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
