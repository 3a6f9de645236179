//! `lyncsh login`: stores a new password for a profile, or for its proxy.

use miette::IntoDiagnostic as _;

use super::keyring;
use super::usage::usage;
use crate::agent::journal::Journal;
use crate::credential::{self, CredentialError, Entry};
use crate::folders::Folders;
use crate::profile::service::SignIn;
use crate::profile::{self, CredentialSource, Profile};

/// Asks for the password, or reads it from standard input, and stores it. `proxy`: the password for the proxy.
pub async fn run(folders: &Folders, name: &str, stdin: bool, proxy: bool) -> miette::Result<()> {
    let profile = profile::load(folders, name)?;
    let (entry, question) = if proxy {
        check_proxy(&profile)?;
        (Entry::Proxy(name), credential::proxy_question(&profile))
    } else {
        check(&profile)?;
        (Entry::Main(name), credential::question(&profile))
    };
    if let Err(CredentialError::Keyring { reason }) = credential::is_stored(entry).await {
        return Err(keyring::unusable(name, &reason));
    }
    let password = if stdin {
        credential::read_line()?
    } else {
        match credential::ask(&format!("New {}: ", question.replacen('P', "p", 1))).await {
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
    // Retries the removals that the endpoint or the proxy refused, with the new password.
    Journal::of(folders).forgive(name).into_diagnostic()?;
    let what = if proxy { "proxy password" } else { "password" };
    crate::outln!("The {what} of '{name}' is stored.");
    Ok(())
}

/// Checks whether the profile has a password that can be stored.
fn check(profile: &Profile) -> miette::Result<()> {
    let name = &profile.name;
    if profile.service.is_some_and(|service| service.sign_in == SignIn::DeviceCode) {
        return Err(usage!("'{name}' has no password: it signs in with a code in a browser"));
    }
    if !credential::is_needed(profile) {
        return Err(usage!("'{name}' has no password: the key of its certificate has no passphrase"));
    }
    check_source(name, "credential", &profile.credential)
}

/// Checks whether the proxy of the profile has a password that can be stored.
fn check_proxy(profile: &Profile) -> miette::Result<()> {
    let name = &profile.name;
    let source = &profile.proxy_credential;
    if profile.proxy_user.is_none() && *source != CredentialSource::System {
        return Err(usage!(
            help = format!("set proxy_user with `lyncsh edit {name}`"),
            "'{name}' has no account at a proxy"
        ));
    }
    check_source(name, "proxy_credential", source)
}

fn check_source(name: &str, key: &str, source: &CredentialSource) -> miette::Result<()> {
    let help = format!("to store it, set {key} = \"keyring\" with `lyncsh edit {name}`");
    match source {
        CredentialSource::Keyring => Ok(()),
        CredentialSource::Prompt => Err(usage!(
            help = help,
            "cannot store the password of '{name}': its profile has {key} = \"prompt\""
        )),
        CredentialSource::System => {
            Err(usage!(help = help, "'{name}' uses the system's ticket: it has no password"))
        }
        CredentialSource::Command(command) => Err(usage!(
            help = help,
            "cannot store the password of '{name}': it comes from a command: {command}"
        )),
    }
}
