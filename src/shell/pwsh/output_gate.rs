//! Output gate between launcher and shell: while the launcher draws steps and reports errors, `lyncsh attach`
//! inside of the shell waits, and so does the shell.
//!
//! The gate is a file locked by the launcher. It opens when the launcher opens it or dies.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::files::lock;
use crate::files::replace::{New, replace};
use crate::platform;

/// Environment variable with the path of the gate.
pub const VARIABLE: &str = "LYNCSH_GATE";
/// Maximum wait, in which the user may answer the launcher's prompts.
const GATE_TIMEOUT: Duration = Duration::from_hours(1);

/// A closed gate.
#[derive(Debug)]
pub struct OutputGate {
    pub path: PathBuf,
    file: File,
    left: Vec<PathBuf>,
}

/// Result of waiting at the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passed {
    Go,
    /// The launcher could not connect and has reported it.
    Failed,
}

impl OutputGate {
    /// Creates a closed gate in this folder.
    pub fn close(folder: &Path) -> io::Result<Self> {
        platform::private_folder(folder)?;
        let path = folder.join(format!("{}.gate", std::process::id()));
        let file = platform::private_file().create(true).truncate(true).open(&path)?;
        platform::hold(&file)?;
        Ok(Self { path, file, left: Vec::new() })
    }

    /// Writes the answer of `lyncsh attach` for the module in the shell to `PATH.PROFILE`. The module removes
    /// the file. Without the file, the module runs `lyncsh attach`.
    pub fn leave(&mut self, profile: &str, facts: &str) {
        let mut path = self.path.clone().into_os_string();
        path.push(format!(".{profile}"));
        let path = PathBuf::from(path);
        match replace(&path, facts.as_bytes(), New::Private) {
            Ok(()) => self.left.push(path),
            Err(error) => tracing::debug!(%error, "the module runs lyncsh attach"),
        }
    }

    /// Opens the gate. The next attach to each of the `failed` profiles gets [`Passed::Failed`], once.
    pub fn open(&mut self, failed: &[String]) -> io::Result<()> {
        self.file.write_all(failed.join("\n").as_bytes())?;
        platform::unlock(&self.file)
    }
}

impl Drop for OutputGate {
    fn drop(&mut self) {
        for path in self.left.iter().chain([&self.path]) {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Waits at the gate that the environment names, if any.
pub async fn wait(profile: &str) -> Passed {
    match std::env::var_os(VARIABLE).map(PathBuf::from) {
        Some(path) if path.exists() => wait_at(&path, profile).await,
        _ => Passed::Go,
    }
}

async fn wait_at(path: &Path, profile: &str) -> Passed {
    // A gate that cannot be locked does not block.
    let Ok(mut file) = lock::lock(path, GATE_TIMEOUT).await else { return Passed::Go };
    take(&mut file, profile).unwrap_or(Passed::Go)
}

/// Removes a profile from the list of failed profiles.
fn take(file: &mut File, profile: &str) -> io::Result<Passed> {
    let mut list = String::new();
    file.read_to_string(&mut list)?;
    let rest: Vec<&str> = list.lines().filter(|line| *line != profile).collect();
    if rest.len() == list.lines().count() {
        return Ok(Passed::Go);
    }
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(rest.join("\n").as_bytes())?;
    Ok(Passed::Failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_gate_blocks_until_opened_and_reports_a_failure_once() {
        let temp = tempfile::tempdir().unwrap();
        let mut gate = OutputGate::close(temp.path()).unwrap();
        let path = gate.path.clone();
        let waiting = tokio::spawn(async move { wait_at(&path, "work").await });
        tokio::time::sleep(Duration::from_millis(30)).await;
        assert!(!waiting.is_finished());
        gate.leave("work", "socket=/run/x\n");
        let left = temp.path().join(format!("{}.gate.work", std::process::id()));
        assert_eq!(std::fs::read_to_string(&left).unwrap(), "socket=/run/x\n");
        gate.open(&["lync".into(), "exchange".into()]).unwrap();
        assert_eq!(waiting.await.unwrap(), Passed::Go);
        assert_eq!(wait_at(&gate.path, "lync").await, Passed::Failed);
        assert_eq!(wait_at(&gate.path, "lync").await, Passed::Go);
        assert_eq!(wait_at(&gate.path, "exchange").await, Passed::Failed);
        let path = gate.path.clone();
        drop(gate);
        assert!(!path.exists() && !left.exists());
    }

    #[tokio::test]
    async fn dropping_the_gate_opens_it() {
        let temp = tempfile::tempdir().unwrap();
        let gate = OutputGate::close(temp.path()).unwrap();
        let (path, kept) = (gate.path.clone(), temp.path().join("kept"));
        std::fs::hard_link(&path, &kept).unwrap();
        drop(gate);
        assert_eq!(wait_at(&kept, "work").await, Passed::Go);
    }
}
