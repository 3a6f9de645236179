//! Reads a password from the first line of a command's output.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;
use tokio::process::Command;

use super::error::CredentialError;
use crate::files::text;
use crate::platform::Family;
use crate::screen::Stream;

/// Time limit of the command: a password manager may ask the user for a fingerprint or a PIN.
const COMMAND_TIMEOUT: Duration = Duration::from_mins(1);
/// Maximum length of the shown line of a command's standard error, in characters.
const MAX_ERROR_LENGTH: usize = 300;

/// Runs `command` with the platform's shell in `folder`; if `folder` is empty, in the folder of this process, which for
/// the agent is the root folder. Its standard error goes to the terminal. Without a terminal, the last line of it
/// becomes part of the error.
pub async fn run(profile: &str, command: &str, folder: &Path) -> Result<SecretString, CredentialError> {
    let failed = |reason: String| CredentialError::Command {
        profile: profile.to_owned(),
        command: command.to_owned(),
        folder: folder.to_owned(),
        reason,
    };
    let mut shell = platform_shell(command);
    if is_usable(folder) {
        shell.current_dir(folder);
    }
    let seen = Stream::Error.is_terminal();
    let errors = if seen { Stdio::inherit() } else { Stdio::piped() };
    shell.stdin(Stdio::inherit()).stdout(Stdio::piped()).stderr(errors);
    let (child, family) = Family::spawn(shell).map_err(|error| {
        let is_missing = is_usable(folder) && !folder.is_dir();
        let place = if is_missing { format!(" in the folder {}", folder.display()) } else { String::new() };
        failed(format!("could not be started{place}: {error}"))
    })?;
    let output = match tokio::time::timeout(COMMAND_TIMEOUT, child.wait_with_output()).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => return Err(failed(format!("failed: {error}"))),
        Err(_) => {
            return Err(failed(format!(
                "did not end within {}",
                humantime::format_duration(COMMAND_TIMEOUT)
            )));
        }
    };
    family.ended();
    let stdout = Zeroizing::new(output.stdout);
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        let last = words.lines().rfind(|line| !line.trim().is_empty());
        let last = last.map(|line| format!(": {}", line.chars().take(MAX_ERROR_LENGTH).collect::<String>()));
        return Err(failed(format!("failed ({}){}", output.status, last.unwrap_or_default())));
    }
    let text = Zeroizing::new(
        text::decode(&stdout).map_err(|error| failed(format!("printed invalid text: {error}")))?,
    );
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(SecretString::from(line)),
        _ => Err(failed("printed nothing".into())),
    }
}

/// Returns whether the command can run in the folder: `cmd` does not accept a UNC path as its current folder.
fn is_usable(folder: &Path) -> bool {
    let is_unc = cfg!(windows) && folder.to_string_lossy().starts_with(r"\\");
    !folder.as_os_str().is_empty() && !is_unc
}

#[cfg(windows)]
fn platform_shell(command: &str) -> Command {
    let mut shell = Command::new("cmd");
    // Other users may be able to create files in a team's folder: programs are not searched there.
    shell.env("NoDefaultCurrentDirectoryInExePath", "1");
    shell.arg("/C").raw_arg(command);
    shell
}

#[cfg(not(windows))]
fn platform_shell(command: &str) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(command);
    shell
}
