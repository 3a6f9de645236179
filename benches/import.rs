//! Time to import 605 cmdlets into PowerShell: `LYNCSH_TEST_PWSH=/path/to/pwsh cargo bench --bench import`.
//! Compares lyncsh's module with Import-PSSession, a module of Export-PSSession, and a PowerShell without
//! imports. Ratios are of one run; compared measurements alternate.

#![allow(clippy::disallowed_macros, clippy::disallowed_methods, reason = "nothing of an endpoint is shown")]

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{Failure, LYNCSH, endpoint, folder};

const CMDLETS: &str = "605";
const ROUNDS: usize = 7;
const SCRIPT: &str = include_str!("import.ps1");

/// A user's folder with the profile `work`, and the PowerShell to measure.
struct User {
    folder: tempfile::TempDir,
    pwsh: PathBuf,
}

fn main() -> Result<(), Failure> {
    let pwsh = std::env::var_os("LYNCSH_TEST_PWSH").unwrap_or_else(|| "pwsh".into());
    let pwsh = which::which(&pwsh).map_err(|error| format!("no PowerShell: {}: {error}", pwsh.display()))?;
    let (_endpoint, known) = endpoint(&["--cmdlets", CMDLETS])?;
    let user = User::new(&known, pwsh)?;
    let result = measure(&user);
    user.lyncsh(&["stop", "--all"])?;
    result
}

fn measure(user: &User) -> Result<(), Failure> {
    println!("{CMDLETS} cmdlets, medians of {ROUNDS} rounds in milliseconds");
    user.lyncsh(&["attach", "work", "--socket"])?;
    let module = user.module()?;
    let bare = median(|| user.bare())?;
    show("pwsh -NoProfile -Command 1", bare, None);

    // Each round begins without cached commands.
    let (mut first, mut export, mut import) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS.min(3) {
        user.forget()?;
        first.push(user.script("lyncsh", &module)?);
        export.push(user.script("export", &module)?);
        import.push(user.script("import-pssession", &module)?);
    }
    let export = middle(export);
    show("first: Import-PSSession", middle(import), Some(("of the exporting import", export)));
    show("first: Export-PSSession and import", export, None);
    show("first: lyncsh", middle(first), Some(("of the exporting import", export)));

    let (mut ours, mut exported) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(user.script("lyncsh", &module)?);
        exported.push(user.script("exported", &module)?);
    }
    let exported = middle(exported);
    show("cached, first call: exported module", exported, None);
    show("cached, first call: lyncsh", middle(ours), Some(("of the exported module", exported)));

    let (mut ours, mut exported) = (Vec::new(), Vec::new());
    let (proxies, text) = (user.proxies()?, user.folder.path().join("exported/exported.psm1"));
    for _ in 0..ROUNDS {
        ours.push(user.script("parse", &proxies)?);
        exported.push(user.script("parse", &text)?);
    }
    let exported = middle(exported);
    show("parsing: exported module", exported, None);
    show("parsing: lyncsh", middle(ours), Some(("of the exported module", exported)));

    let (mut whole, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        whole.push(user.whole()?);
        bare.push(user.bare()?);
    }
    let bare = middle(bare);
    show("lyncsh work -- -Command Get-CsTenant", middle(whole), Some(("of the bare PowerShell", bare)));
    Ok(())
}

fn show(what: &str, took: f64, of: Option<(&str, f64)>) {
    match of {
        Some((whose, base)) => println!("{what:<40} {took:>8.0}   {:.2} {whose}", took / base),
        None => println!("{what:<40} {took:>8.0}"),
    }
}

fn middle(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

fn median(mut round: impl FnMut() -> Result<f64, Failure>) -> Result<f64, Failure> {
    let times: Result<Vec<_>, _> = (0..ROUNDS).map(|_| round()).collect();
    Ok(middle(times?))
}

impl User {
    fn new(endpoint: &serde_json::Value, pwsh: PathBuf) -> Result<Self, Failure> {
        let folder = folder(endpoint, &pwsh, "keep = \"10m\"\n")?;
        std::fs::write(folder.path().join("import.ps1"), SCRIPT)?;
        Ok(Self { folder, pwsh })
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env("LYNCSH_CONFIG_DIR", self.folder.path())
            .env("POWERSHELL_TELEMETRY_OPTOUT", "1")
            .stdin(Stdio::null());
        command
    }

    /// Runs a command; returns its output and duration.
    fn run(&self, mut command: Command) -> Result<(String, Duration), Failure> {
        let begun = Instant::now();
        let output = command.output()?;
        let took = begun.elapsed();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() {
            Ok((text(&output.stdout), took))
        } else {
            Err(format!("{command:?}: {}\n{}", text(&output.stdout), text(&output.stderr)).into())
        }
    }

    fn lyncsh(&self, arguments: &[&str]) -> Result<String, Failure> {
        Ok(self.run(self.command(LYNCSH, arguments))?.0)
    }

    fn module(&self) -> Result<PathBuf, Failure> {
        Ok(self.lyncsh(&["attach", "work", "--module"])?.into())
    }

    fn script(&self, what: &str, module: &Path) -> Result<f64, Failure> {
        let script = self.folder.path().join("import.ps1");
        let mut command = self.command(&self.pwsh, &["-NoProfile", "-NonInteractive", "-File"]);
        command.arg(script).arg(what).arg(LYNCSH).arg(self.folder.path()).arg(module);
        let (printed, _) = self.run(command)?;
        let last = printed.lines().last().unwrap_or_default();
        Ok(last.parse().map_err(|_| format!("'{what}' printed {printed}"))?)
    }

    fn bare(&self) -> Result<f64, Failure> {
        let (_, took) = self.run(self.command(&self.pwsh, &["-NoProfile", "-Command", "1"]))?;
        Ok(took.as_secs_f64() * 1e3)
    }

    fn whole(&self) -> Result<f64, Failure> {
        let arguments = ["work", "--", "-NoProfile", "-Command", "Get-CsTenant"];
        let (_, took) = self.run(self.command(LYNCSH, &arguments))?;
        Ok(took.as_secs_f64() * 1e3)
    }

    /// Removes the cached commands of the endpoint.
    fn forget(&self) -> Result<(), Failure> {
        match std::fs::remove_dir_all(self.folder.path().join("cache/exports")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Returns the folder of the proxies.
    fn proxies(&self) -> Result<PathBuf, Failure> {
        let mut folders = vec![self.folder.path().join("cache/exports")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder)? {
                let path = entry?.path();
                match path.file_name() {
                    Some(name) if name == "proxies.ps1" => return Ok(path),
                    _ if path.is_dir() => folders.push(path),
                    _ => {}
                }
            }
        }
        Err("lyncsh wrote no proxies".into())
    }
}
