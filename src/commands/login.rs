//! `lyncsh login`: stores a new password for a profile, or signs its user in.

use miette::IntoDiagnostic as _;

use super::usage::usage;
use super::{keyring, names, sign_in};
use crate::agent::journal::Journal;
use crate::credential::oauth::TokenError;
use crate::credential::{self, CredentialError};
use crate::folders::Folders;
use crate::profile::{self, CredentialSource, Profile};

/// Asks for the password, or reads it from standard input, and stores it.
pub async fn run(folders: &Folders, name: &str, stdin: bool) -> miette::Result<()> {
    let profile = profile::load(folders, name)?;
    let help = format!("to store it, set credential = \"keyring\" with `lyncsh edit {name}`");
    if credential::keeps_refresh_token(&profile) {
        return renew(profile).await;
    }
    if !credential::is_needed(&profile) {
        let reason = match profile.certificate {
            Some(_) => "the key of its certificate has no passphrase",
            None => "it signs in without one",
        };
        return Err(usage!("'{name}' has no password: {reason}"));
    }
    match &profile.credential {
        CredentialSource::Keyring | CredentialSource::Shared(_) => {}
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
        CredentialSource::File(path) => {
            return Err(usage!(
                help = help,
                "cannot store the password of '{name}': it comes from the file {}",
                path.display()
            ));
        }
    }
    let entry = profile.keyring_entry().unwrap_or(name);
    if let Err(CredentialError::Keyring { reason }) = credential::is_stored(entry).await {
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
    credential::store(entry, password).await.map_err(|error| match error {
        CredentialError::Keyring { reason } => keyring::unusable(name, &reason),
        error => error.into(),
    })?;
    // Retries the removals that the endpoint refused, with the new password.
    let sharing = names::sharing(folders, entry);
    for one in &sharing {
        Journal::of(folders).forgive(one).into_diagnostic()?;
    }
    match &profile.credential {
        CredentialSource::Shared(entry) => {
            crate::outln!(
                "The password in the keyring entry '{entry}' is stored, for {}.",
                sharing.join(", ")
            );
        }
        _ => crate::outln!("The password of '{name}' is stored."),
    }
    Ok(())
}

/// Replaces the stored sign-in of a user.
async fn renew(profile: Profile) -> miette::Result<()> {
    let (name, entry) = (profile.name.clone(), profile.keyring_entry().unwrap_or(&profile.name).to_owned());
    match credential::oauth::forget(&entry).await {
        Err(TokenError::Credential(CredentialError::Keyring { reason })) => {
            return Err(keyring::unusable(&name, &reason));
        }
        result => result?,
    };
    sign_in::run(profile).await?;
    crate::outln!("The sign-in of '{name}' is stored.");
    Ok(())
}
