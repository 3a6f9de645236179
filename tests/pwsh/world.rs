//! Environment of the tests with a real PowerShell. They need only lyncsh, this program and a PowerShell: not
//! the source tree, a package registry or a keyring.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use lyncsh::agent::paths::AgentPaths;
use lyncsh::folders::Folders;
use lyncsh::simulator::{Options, PASSWORD, USER};

use crate::front::{self, Front};

/// Maximum wait of a test.
pub const PATIENCE: Duration = Duration::from_mins(2);
/// Maximum time to remove a session after its owner was killed.
pub const GONE: Duration = Duration::from_secs(10);

/// Returns the path of lyncsh as built with these tests, or as extracted from an archive.
pub fn lyncsh() -> PathBuf {
    let run_time = ["NEXTEST_BIN_EXE_lyncsh", "CARGO_BIN_EXE_lyncsh"].into_iter().find_map(std::env::var_os);
    run_time.map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_lyncsh")), PathBuf::from)
}

/// A child process that is killed at the end of the test.
pub struct Killed(pub Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An endpoint, a user with the profile `work` on it, and a PowerShell.
pub struct World {
    pub folders: Folders,
    pub front: Front,
    pub pwsh: PathBuf,
    _runtime: tokio::runtime::Runtime,
    pub temp: tempfile::TempDir,
}

impl World {
    /// Starts an endpoint; `None` without a PowerShell.
    pub fn start(more: &str) -> Option<Self> {
        Self::with(Options { fixtures: true, ..Options::default() }, more)
    }

    /// The same with endpoint options.
    pub fn with(options: Options, more: &str) -> Option<Self> {
        let pwsh = front::powershell()?;
        Some(Self::on(tempfile::tempdir().unwrap(), pwsh, more, Front::simulated(options)))
    }

    /// The same with a real PowerShell as endpoint; `options` gets its path and a folder.
    pub fn real(options: impl FnOnce(&Path, &Path) -> front::Options, more: &str) -> Option<Self> {
        let (pwsh, temp) = (front::powershell()?, tempfile::tempdir().unwrap());
        let options = options(&pwsh, temp.path());
        Some(Self::on(temp, pwsh, more, Front::start(options)))
    }

    fn on(
        temp: tempfile::TempDir,
        pwsh: PathBuf,
        more: &str,
        front: impl Future<Output = std::io::Result<Front>>,
    ) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let front = runtime.block_on(front).unwrap();
        let folders = Folders::find(Some(temp.path())).unwrap();
        let world = Self { folders, front, pwsh, _runtime: runtime, temp };
        world.profile("work", more);
        world
    }

    pub fn profile(&self, name: &str, more: &str) {
        std::fs::create_dir_all(self.folders.profiles()).unwrap();
        // `echo` on Windows prints the quotes.
        let quote = if cfg!(windows) { "" } else { "'" };
        let text = format!(
            "kind = \"lync-online\"\nuser = \"{USER}\"\ndiscovery = \"{}\"\n\
             credential = {{ command = \"echo {quote}{PASSWORD}{quote}\" }}\nshell = '{}'\n{more}\n",
            self.front.server.discovery,
            self.pwsh.display()
        );
        std::fs::write(self.folders.profile(name), text).unwrap();
    }

    /// Returns the line that imports the cmdlets of a profile.
    pub fn import(&self, name: &str) -> String {
        let output = Command::new(lyncsh())
            .args(["attach", name])
            .env("LYNCSH_CONFIG_DIR", self.temp.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Returns a PowerShell command without the user's profile.
    pub fn shell(&self) -> Command {
        let mut command = Command::new(&self.pwsh);
        command
            .args(["-NoLogo", "-NoProfile"])
            .env("LYNCSH_CONFIG_DIR", self.temp.path())
            .env("NO_COLOR", "1")
            .env("LC_ALL", "C.UTF-8")
            .env("POWERSHELL_TELEMETRY_OPTOUT", "1")
            .stdin(Stdio::null());
        command
    }

    /// Writes a script file; errors are terminating by default.
    pub fn script(&self, body: &str) -> PathBuf {
        let path = self.temp.path().join("test.ps1");
        let text = format!("\u{feff}$ErrorActionPreference = 'Stop'\n{body}\n");
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Runs a script to its end.
    pub fn output(&self, body: &str) -> Output {
        let script = self.script(body);
        self.shell().args(["-NonInteractive", "-File"]).arg(script).output().unwrap()
    }

    /// Runs a script with the cmdlets of `work`; returns its output lines.
    pub fn with_work(&self, body: &str) -> Vec<String> {
        let output = self.output(&format!("{}\n{body}", self.import("work")));
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{out}\n{}", String::from_utf8_lossy(&output.stderr));
        out.lines().map(str::to_owned).collect()
    }

    pub fn agent(&self, name: &str) -> Option<u32> {
        AgentPaths::of(&self.folders, name).holder()
    }

    /// Waits for something, at most `limit`.
    pub fn wait(&self, limit: Duration, what: &str, mut condition: impl FnMut() -> bool) {
        let start = Instant::now();
        while !condition() {
            assert!(start.elapsed() < limit, "not within {limit:?}: {what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until the endpoint has no session.
    pub fn wait_removed(&self) {
        self.wait(GONE, "no session on the endpoint", || self.front.server.shells().is_empty());
    }
}

impl Drop for World {
    /// Ends an agent that a failed test left; normally agents end after the last shell.
    fn drop(&mut self) {
        let mut stop = Command::new(lyncsh());
        stop.args(["stop", "--all"]).env("LYNCSH_CONFIG_DIR", self.temp.path());
        let _ = stop.stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}
