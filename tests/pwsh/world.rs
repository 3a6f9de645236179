//! Environment of the tests with a real PowerShell. They need only lyncsh, this program and a PowerShell: not
//! the source tree, a package registry or a keyring.

use std::path::{Path, PathBuf};
use std::time::Duration;

use lyncsh::agent::paths::AgentPaths;
use lyncsh::folders::Folders;
use lyncsh::simulator::{Options, PASSWORD, USER};

use crate::front::{self, Front};
pub use crate::program::REMOVAL_TIMEOUT;
use crate::program::{Program, Ran, wait};

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

    /// Returns lyncsh as this user runs it.
    pub fn lyncsh(&self, arguments: &[&str]) -> Program {
        Program::lyncsh().args(arguments).env("LYNCSH_CONFIG_DIR", self.temp.path())
    }

    /// Returns the line that imports the cmdlets of a profile.
    pub fn import(&self, name: &str) -> String {
        self.lyncsh(&["attach", name]).run().success_output()
    }

    /// Returns a PowerShell without the user's profile.
    pub fn shell(&self) -> Program {
        Program::new(&self.pwsh)
            .args(["-NoLogo", "-NoProfile"])
            .env("LYNCSH_CONFIG_DIR", self.temp.path())
            .env("NO_COLOR", "1")
            .env("LC_ALL", "C.UTF-8")
            .env("POWERSHELL_TELEMETRY_OPTOUT", "1")
    }

    /// Writes a script file; errors are terminating by default.
    pub fn script(&self, body: &str) -> PathBuf {
        let path = self.temp.path().join("test.ps1");
        let text = format!("\u{feff}$ErrorActionPreference = 'Stop'\n{body}\n");
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Runs a script to its end.
    pub fn output(&self, body: &str) -> Ran {
        let script = self.script(body);
        self.shell().args(["-NonInteractive", "-File"]).args([script]).run()
    }

    /// Runs a script with the cmdlets of `work`; returns its output lines.
    pub fn with_work(&self, body: &str) -> Vec<String> {
        let output = self.output(&format!("{}\n{body}", self.import("work")));
        output.success_output().lines().map(str::to_owned).collect()
    }

    pub fn agent(&self, name: &str) -> Option<u32> {
        AgentPaths::of(&self.folders, name).holder()
    }

    /// Waits for something, at most `limit`.
    pub fn wait(&self, limit: Duration, what: &str, condition: impl FnMut() -> bool) {
        wait(limit, what, condition);
    }

    /// Waits until the endpoint has no session.
    pub fn wait_removed(&self) {
        self.wait(REMOVAL_TIMEOUT, "no session on the endpoint", || self.front.server.shells().is_empty());
    }
}

impl Drop for World {
    /// Ends an agent that a failed test left; normally agents end after the last shell.
    fn drop(&mut self) {
        self.lyncsh(&["stop", "--all"]).run();
    }
}
