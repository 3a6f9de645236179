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

/// Reads the file on a thread that may block: the caller's time limit applies even if the disk does not answer.
pub async fn read_in_background(path: PathBuf) -> Result<SecretString, CredentialError> {
    let reading = path.clone();
    let read = tokio::task::spawn_blocking(move || read(&reading)).await;
    read.unwrap_or_else(|error| Err(CredentialError::File { path, reason: error.to_string() }))
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use secrecy::ExposeSecret as _;

    use crate::files::replace::{New, create_new};

    #[test]
    fn reading_does_not_block_the_task() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("password");
        create_new(&path, b"hunter2\n", New::Private).unwrap();
        let text = "kind = 'lync-online'\nuser = 'a@b.c'\ncredential = { file = 'password' }\n";
        let profile = crate::profile::parse("work", &temp.path().join("work.toml"), text).unwrap();
        // The only thread that may block is busy, like one that waits for a disk.
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().max_blocking_threads(1).build().unwrap();
        let (answer, disk) = std::sync::mpsc::channel();
        runtime.block_on(async {
            let waiting = tokio::task::spawn_blocking(move || disk.recv());
            let late = tokio::time::timeout(Duration::from_millis(50), crate::credential::fetch(&profile));
            assert!(late.await.is_err());
            answer.send(()).unwrap();
            waiting.await.unwrap().unwrap();
            assert_eq!(crate::credential::fetch(&profile).await.unwrap().expose_secret(), "hunter2");
        });
    }
}
