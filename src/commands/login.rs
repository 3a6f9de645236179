//! `lyncsh login`: stores a new password for a profile or for its proxy, or signs its user in.

use miette::IntoDiagnostic as _;

use super::usage::usage;
use super::{keyring, names, sign_in};
use crate::agent::journal::Journal;
use crate::credential::oauth::TokenError;
use crate::credential::{self, CredentialError};
use crate::folders::Folders;
use crate::profile::{self, CredentialSource, Profile, TokenFlow};

/// Options of `lyncsh login`.
pub struct Options {
    /// Read the password from standard input.
    pub stdin: bool,
    /// The password for the proxy.
    pub proxy: bool,
    /// Open the page for the device code in the browser.
    pub browser: bool,
}

/// Asks for the password, or reads it from standard input, and stores it; or lets the user sign in.
pub async fn run(folders: &Folders, name: &str, options: &Options) -> miette::Result<()> {
    let Options { stdin, proxy, browser } = *options;
    let profile = profile::load(folders, name)?;
    if !proxy && credential::keeps_refresh_token(&profile) {
        return renew(folders, profile, browser).await;
    }
    if browser {
        return Err(usage!("'{name}' does not sign in with a page that `lyncsh login` can open"));
    }
    let (entry, source, question) = if proxy {
        check_proxy(&profile)?;
        (profile.proxy_entry(), &profile.proxy_credential, credential::proxy_question(&profile))
    } else {
        check(&profile)?;
        let entry = profile.keyring_entry().map(str::to_owned);
        (entry, &profile.credential, credential::question(&profile))
    };
    let entry = entry.unwrap_or_else(|| name.to_owned());
    let entry = entry.as_str();
    if let Err(CredentialError::Keyring { reason }) = credential::is_stored(entry).await {
        return Err(keyring::unusable(name, &reason, true));
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
        CredentialError::Keyring { reason } => keyring::unusable(name, &reason, true),
        error => error.into(),
    })?;
    // Retries the removals that the endpoint or the proxy refused, with the new password.
    let sharing = names::sharing(folders, entry);
    for one in &sharing {
        Journal::of(folders).reschedule_refused(one).into_diagnostic()?;
    }
    let what = if proxy { "proxy password" } else { "password" };
    if matches!(source, CredentialSource::Shared(_)) || sharing.len() > 1 {
        crate::outln!(
            "The {what} in the keyring entry '{entry}' is stored, for {}.",
            names::listed(&sharing)
        );
    } else {
        crate::outln!("The {what} of '{name}' is stored.");
    }
    Ok(())
}

/// Replaces the stored sign-in of a user. A failure keeps it.
async fn renew(folders: &Folders, profile: Profile, browser: bool) -> miette::Result<()> {
    let (name, entry) = (profile.name.clone(), profile.keyring_entry().unwrap_or(&profile.name).to_owned());
    match credential::oauth::is_stored(&entry).await {
        Err(TokenError::Credential(CredentialError::Keyring { reason })) => {
            return Err(keyring::unusable(&name, &reason, true));
        }
        result => result?,
    };
    let unstored = sign_in::run(folders, profile, browser).await?;
    if let Some(reason) = unstored {
        crate::outln!("The sign-in of '{name}' is not stored: {reason}.");
    } else if credential::oauth::is_stored(&entry).await? {
        crate::outln!("The sign-in of '{name}' is stored.");
    } else {
        crate::outln!("The sign-in of '{name}' is not stored: the token service sent no refresh token.");
    }
    Ok(())
}

/// Checks whether the profile has a password that can be stored.
fn check(profile: &Profile) -> miette::Result<()> {
    let name = &profile.name;
    if profile.token_flow == TokenFlow::Federated {
        return Err(usage!(
            help = "change the file or the command that credential names",
            "'{name}' has no password: it signs in with a federated token"
        ));
    }
    if !credential::is_needed(profile) {
        let reason = match profile.certificate {
            Some(_) => "the key of its certificate has no passphrase",
            None => "it signs in without one",
        };
        return Err(usage!("'{name}' has no password: {reason}"));
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
            "cannot store a proxy password for '{name}': the profile has no proxy_user"
        ));
    }
    check_source(name, "proxy_credential", source)
}

fn check_source(name: &str, key: &str, source: &CredentialSource) -> miette::Result<()> {
    let help = format!("to store it, set {key} = \"keyring\" with `lyncsh edit {name}`");
    match source {
        CredentialSource::Keyring | CredentialSource::Shared(_) => Ok(()),
        CredentialSource::Prompt => Err(usage!(
            help = help,
            "cannot store the password of '{name}': its profile has {key} = \"prompt\""
        )),
        CredentialSource::System => {
            Err(usage!(help = help, "'{name}' uses the system's ticket: it has no password"))
        }
        CredentialSource::Command { line: command, .. } => Err(usage!(
            help = help,
            "cannot store the password of '{name}': it comes from a command: {command}"
        )),
        CredentialSource::File(path) => Err(usage!(
            help = help,
            "cannot store the password of '{name}': it comes from the file {}",
            path.display()
        )),
    }
}
