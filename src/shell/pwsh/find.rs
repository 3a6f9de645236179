//! Discovery and version check of a profile's PowerShell.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::files::replace::{New, replace};
use crate::folders::expanded;
use crate::profile::CONSOLE;

/// Oldest version with the named pipes and sessions that the module needs.
const OLDEST: Version = Version { major: 7, minor: 4 };
/// The only version of Windows PowerShell that is a part of a supported Windows.
const WINDOWS: Version = Version { major: 5, minor: 1 };
/// Name of the file with the known versions.
const VERSIONS: &str = "shells.json";
/// Programs to look for if the profile names none.
const USUAL: [&str; 2] = ["pwsh", "pwsh-preview"];
/// Maximum time for `--version`, which usually takes half a second.
const VERSION_TIMEOUT: Duration = Duration::from_secs(30);

/// The shell to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    Console,
    PowerShell(PowerShell),
}

/// An installed PowerShell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PowerShell {
    pub path: PathBuf,
    pub edition: Edition,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edition {
    /// `pwsh`.
    Core,
    /// `powershell.exe` 5.1, a part of Windows.
    Windows,
}

/// Major and minor version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Version {
    pub major: u32,
    pub minor: u32,
}

/// Error of finding a shell.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum FindError {
    /// `shell` or `--shell` names a program that is neither a path nor on PATH.
    #[error("cannot find the shell '{wanted}': {reason}")]
    #[diagnostic(help(
        "set `shell` to its path in the profile, or set shell = \"console\" for the built-in shell"
    ))]
    Missing { wanted: String, reason: which::Error },
    /// The program is an older PowerShell, which lacks features that the module needs.
    #[error("expected PowerShell {OLDEST} or later, got {version} at {}", .path.display())]
    #[diagnostic(help(
        "install a newer PowerShell (https://aka.ms/powershell), or set shell = \"console\" in the profile"
    ))]
    TooOld { path: PathBuf, version: Version },
    /// The program could not be started with `--version`, did not answer in time, or is not PowerShell.
    #[error("cannot determine the PowerShell version of {}: {reason}", .path.display())]
    #[diagnostic(help(
        "set `shell` to a PowerShell in the profile, or set shell = \"console\" for the built-in shell"
    ))]
    Unknown { path: PathBuf, reason: String },
}

impl Choice {
    /// Returns the shell that `wanted` names: `console`, or a PowerShell by name or path. `None` selects an
    /// installed PowerShell, else the console. Starts no program.
    pub fn of(wanted: Option<&str>) -> Result<Self, FindError> {
        match wanted {
            Some(CONSOLE) => Ok(Self::Console),
            Some(wanted) => match which::which(expanded(Path::new(wanted))) {
                Ok(path) => Ok(Self::PowerShell(PowerShell::at(path))),
                Err(reason) => Err(FindError::Missing { wanted: wanted.to_owned(), reason }),
            },
            None => {
                let windows: &[&str] = if cfg!(windows) { &["powershell"] } else { &[] };
                let found = USUAL.iter().chain(windows).find_map(|name| which::which(name).ok());
                Ok(found.map_or(Self::Console, |path| Self::PowerShell(PowerShell::at(path))))
            }
        }
    }
}

impl PowerShell {
    fn at(path: PathBuf) -> Self {
        let stem = path.file_stem().unwrap_or_default();
        let edition = if cfg!(windows) && stem.eq_ignore_ascii_case("powershell") {
            Edition::Windows
        } else {
            Edition::Core
        };
        Self { path, edition }
    }

    /// Returns the command that starts this PowerShell. Windows PowerShell gets no PSModulePath: it would inherit the
    /// variable of a PowerShell 7, whose modules it cannot load. Without the variable, it sets its own
    /// (about_PSModulePath; docs/powershell.md).
    pub fn command(&self) -> std::process::Command {
        let mut command = std::process::Command::new(&self.path);
        if self.edition == Edition::Windows {
            command.env_remove("PSModulePath");
        }
        command
    }

    /// Checks that the version is supported. The version is kept in `cache` until the program file changes.
    /// Windows PowerShell is always 5.1.
    pub async fn check(&self, cache: &Path) -> Result<(), FindError> {
        let file = cache.join(VERSIONS);
        let mut known = Known::read(&file);
        let (version, is_new) = self.known_or_asked(&known).await?;
        if let Some(stamp) = Stamp::of(&self.path).filter(|_| is_new) {
            known.0.insert(self.path.display().to_string(), Seen { stamp, version });
            known.write(&file);
        }
        self.supported(version).map(drop)
    }

    /// Returns the version, which is supported. Unlike [`PowerShell::check`], writes no file.
    pub async fn version(&self, cache: &Path) -> Result<Version, FindError> {
        let (version, _) = self.known_or_asked(&Known::read(&cache.join(VERSIONS))).await?;
        self.supported(version)
    }

    /// Returns the version, and whether the program had to be asked for it.
    async fn known_or_asked(&self, known: &Known) -> Result<(Version, bool), FindError> {
        match (self.edition, known.version(&self.path)) {
            (Edition::Windows, _) => Ok((WINDOWS, false)),
            (Edition::Core, Some(version)) => Ok((version, false)),
            (Edition::Core, None) => Ok((self.ask().await?, true)),
        }
    }

    fn supported(&self, version: Version) -> Result<Version, FindError> {
        if self.edition == Edition::Core && version < OLDEST {
            Err(FindError::TooOld { path: self.path.clone(), version })
        } else {
            Ok(version)
        }
    }

    async fn ask(&self) -> Result<Version, FindError> {
        let unknown = |reason: String| FindError::Unknown { path: self.path.clone(), reason };
        let mut command = tokio::process::Command::new(&self.path);
        command.arg("--version").stdin(Stdio::null()).kill_on_drop(true);
        let output = match tokio::time::timeout(VERSION_TIMEOUT, command.output()).await {
            Ok(output) => output.map_err(|error| unknown(error.to_string()))?,
            Err(_) => return Err(unknown("it did not answer in time".to_owned())),
        };
        let text = String::from_utf8_lossy(&output.stdout);
        let text = text.trim();
        Version::parse(text).ok_or_else(|| unknown(format!("--version printed '{text}'")))
    }
}

impl Version {
    /// Reads `PowerShell 7.6.0-preview.1`.
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.strip_prefix("PowerShell ")?.split(['.', '-', '+', ' ']);
        let mut number = || parts.next()?.parse().ok();
        Some(Self { major: number()?, minor: number()? })
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Modification time and length of a program file, which change with its version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    modified: SystemTime,
    length: u64,
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(path).ok()?;
        Some(Self { modified: metadata.modified().ok()?, length: metadata.len() })
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Seen {
    stamp: Stamp,
    version: Version,
}

/// Known versions by path.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Known(BTreeMap<String, Seen>);

impl Known {
    fn read(file: &Path) -> Self {
        // A missing or invalid file is replaced.
        std::fs::read(file).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
    }

    /// Returns the version of a program that has not changed.
    fn version(&self, program: &Path) -> Option<Version> {
        let seen = self.0.get(&program.display().to_string())?;
        (Stamp::of(program).as_ref() == Some(&seen.stamp)).then_some(seen.version)
    }

    fn write(&self, file: &Path) {
        let written = || -> std::io::Result<()> {
            let folder = file.parent().unwrap_or(Path::new("."));
            std::fs::create_dir_all(folder)?;
            replace(file, &serde_json::to_vec(self)?, New::Private)
        };
        if let Err(error) = written() {
            tracing::debug!("cannot cache the PowerShell version: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_parsed_from_the_output_of_pwsh() {
        let read = |text| Version::parse(text).map(|version| version.to_string());
        assert_eq!(read("PowerShell 7.4.2").as_deref(), Some("7.4"));
        assert_eq!(read("PowerShell 7.6.0-preview.1").as_deref(), Some("7.6"));
        assert_eq!(read("bash 5.2"), None);
        assert_eq!(read("PowerShell"), None);
        assert!(Version { major: 7, minor: 10 } > OLDEST);
        assert!(Version { major: 6, minor: 9 } < OLDEST);
    }

    #[test]
    fn a_missing_shell_is_an_error() {
        assert_eq!(Choice::of(Some("console")).unwrap(), Choice::Console);
        let error = Choice::of(Some("no-such-shell")).unwrap_err();
        assert!(error.to_string().starts_with("cannot find the shell 'no-such-shell'"), "{error}");
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_version_is_cached_until_the_program_changes() {
        use std::os::unix::fs::PermissionsExt as _;
        let temp = tempfile::tempdir().unwrap();
        let (path, calls) = (temp.path().join("pwsh"), temp.path().join("calls"));
        let write = |version: &str| {
            let text = format!("#!/bin/sh\necho x >>'{}'\necho PowerShell {version}\n", calls.display());
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        };
        let asked = || std::fs::read_to_string(&calls).unwrap_or_default().len() / 2;
        write("7.4.12");
        let Choice::PowerShell(shell) = Choice::of(path.to_str()).unwrap() else { panic!("it is one") };
        shell.check(temp.path()).await.unwrap();
        shell.check(temp.path()).await.unwrap();
        assert_eq!(asked(), 1);
        write("7.3");
        let error = shell.check(temp.path()).await.unwrap_err();
        assert!(error.to_string().contains("expected PowerShell 7.4 or later, got 7.3"), "{error}");
        assert_eq!(asked(), 2);
        shell.check(temp.path()).await.unwrap_err();
        assert_eq!(asked(), 2);
    }
}
