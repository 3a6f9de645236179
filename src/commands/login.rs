//! `lyncsh login`: stores a new password for a profile, and changes nothing else.

use miette::IntoDiagnostic as _;

use super::keyring;
use super::usage::usage;
use crate::agent::journal::Journal;
use crate::credential::{self, CredentialError};
use crate::folders::Folders;
use crate::profile::service::SignIn;
use crate::profile::{self, CredentialSource};

/// Asks for the password, or reads it from standard input, and stores it.
pub async fn run(folders: &Folders, name: &str, stdin: bool) -> miette::Result<()> {
    let profile = profile::load(folders, name)?;
    let keyring_line = "to have it stored, write credential = \"keyring\" into the profile: ";
    let help = format!("{keyring_line}`lyncsh edit {name}`");
    if profile.service.is_some_and(|service| service.sign_in == SignIn::DeviceCode) {
        return Err(usage!("'{name}' signs in with a code in a browser: it has no password"));
    }
    match &profile.credential {
        CredentialSource::Keyring => {}
        CredentialSource::Prompt => {
            return Err(usage!(help = help, "the password of '{name}' is asked for each time"));
        }
        CredentialSource::Command(command) => {
            return Err(usage!(
                help = help,
                "the password of '{name}' comes from a command, and is changed where that has it: {command}"
            ));
        }
    }
    if let Err(CredentialError::Keyring { reason }) = credential::is_stored(name).await {
        return Err(keyring::unusable(name, &reason));
    }
    let user = profile.user.as_deref().unwrap_or(name);
    let password = if stdin {
        credential::read_line()?
    } else {
        match credential::ask(&format!("New password for {user}: ")).await {
            Err(CredentialError::NoTerminal) => {
                return Err(usage!(
                    help = "pipe it in with --password-stdin",
                    "there is no terminal to ask for the password in"
                ));
            }
            password => password?,
        }
    };
    credential::store(name, password).await.map_err(|error| match error {
        CredentialError::Keyring { reason } => keyring::unusable(name, &reason),
        error => error.into(),
    })?;
    // Sessions whose removal was refused are tried again with it.
    Journal::of(folders).forgive(name).into_diagnostic()?;
    crate::outln!("The password of '{name}' is stored.");
    Ok(())
}
