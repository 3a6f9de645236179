//! `lyncsh login`: stores a new password for a profile.

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
    let help = format!("to store it, set credential = \"keyring\" with `lyncsh edit {name}`");
    if profile.service.is_some_and(|service| service.sign_in == SignIn::DeviceCode) {
        return Err(usage!("'{name}' has no password: it signs in with a code in a browser"));
    }
    if !credential::is_needed(&profile) {
        return Err(usage!("'{name}' has no password: the key of its certificate has no passphrase"));
    }
    match &profile.credential {
        CredentialSource::Keyring => {}
        CredentialSource::Prompt => {
            return Err(usage!(
                help = help,
                "cannot store the password of '{name}': its profile has credential = \"prompt\""
            ));
        }
        CredentialSource::System => {
            return Err(usage!(help = help, "'{name}' uses the system's ticket: it has no password"));
        }
        CredentialSource::Command(command) => {
            return Err(usage!(
                help = help,
                "cannot store the password of '{name}': it comes from a command: {command}"
            ));
        }
    }
    if let Err(CredentialError::Keyring { reason }) = credential::is_stored(name).await {
        return Err(keyring::unusable(name, &reason));
    }
    let password = if stdin {
        credential::read_line()?
    } else {
        match credential::ask(&format!("New {}: ", credential::question(&profile).replacen('P', "p", 1)))
            .await
        {
            Err(CredentialError::NoTerminal) => {
                return Err(usage!(
                    help = "pass --password-stdin",
                    "cannot prompt for the password: no terminal"
                ));
            }
            password => password?,
        }
    };
    credential::store(name, password).await.map_err(|error| match error {
        CredentialError::Keyring { reason } => keyring::unusable(name, &reason),
        error => error.into(),
    })?;
    // Retries the removals that the endpoint refused, with the new password.
    Journal::of(folders).forgive(name).into_diagnostic()?;
    crate::outln!("The password of '{name}' is stored.");
    Ok(())
}
