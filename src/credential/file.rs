//! Reads a secret from the first line of a file that only its owner can read.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use secrecy::SecretString;

use super::error::CredentialError;
use super::first_line;
use crate::platform;
use crate::profile::CREDENTIALS_DIRECTORY;

/// Reads the file. A path below [`CREDENTIALS_DIRECTORY`] is in the folder that systemd passes to a service.
pub fn read(path: &Path) -> Result<SecretString, CredentialError> {
    let path = located(path)?;
    let failed = |error: io::Error| CredentialError::File { path: path.clone(), reason: error.to_string() };
    // Opening a pipe would wait for its writer.
    if !std::fs::metadata(&path).map_err(failed)?.is_file() {
        return Err(failed(io::Error::other("it is not a file")));
    }
    let file = File::open(&path).map_err(failed)?;
    // Checks the open file, because the file at the path could be replaced.
    if !platform::is_private_file(&file).map_err(failed)? {
        return Err(CredentialError::Exposed { path });
    }
    let line = first_line::read(&mut BufReader::with_capacity(1, file)).map_err(failed)?;
    line.ok_or(CredentialError::File { path, reason: "its first line is empty".to_owned() })
}

/// Checks that [`read`] would read a secret. A file that systemd passes to a service exists only in the service.
pub fn check(path: &Path) -> Result<(), CredentialError> {
    if path.starts_with(CREDENTIALS_DIRECTORY) { Ok(()) } else { read(path).map(drop) }
}

fn located(path: &Path) -> Result<PathBuf, CredentialError> {
    let Ok(rest) = path.strip_prefix(CREDENTIALS_DIRECTORY) else { return Ok(path.to_owned()) };
    match std::env::var_os(&CREDENTIALS_DIRECTORY[1..]) {
        Some(folder) => Ok(Path::new(&folder).join(rest)),
        None => Err(CredentialError::NoCredentialsDirectory { path: path.to_owned() }),
    }
}
