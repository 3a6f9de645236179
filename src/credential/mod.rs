//! Where a secret comes from: the OS keyring, a command, a prompt. A secret is a [`SecretString`] from
//! birth.

mod command;
mod keyring;
mod prompt;
pub mod token;

use secrecy::SecretString;

use crate::profile::{CredentialSource, Profile};

/// Why there is no secret.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum CredentialError {
    #[error("no password is stored for profile '{profile}'")]
    #[diagnostic(help(
        "store it with `lyncsh login {profile}`, or have it asked for: credential = \"prompt\""
    ))]
    NotStored { profile: String },
    #[error("the keyring can't be used: {reason}")]
    #[diagnostic(help(
        "on Linux a Secret Service (gnome-keyring, KWallet, KeePassXC) must run in this D-Bus session and be \
         unlocked; the other sources of a password are credential = \"prompt\" and credential = {{ command = \"…\" }}"
    ))]
    Keyring { reason: String },
    #[error("the password command of profile '{profile}' {reason}")]
    #[diagnostic(help("run it by hand: its first line of output is taken as the password\n  {command}"))]
    Command { profile: String, command: String, reason: String },
    #[error("a password is to be asked for, and there is no terminal to ask in")]
    #[diagnostic(help(
        "store it in the keyring (`lyncsh add`), or name a command: credential = {{ command = \"…\" }}"
    ))]
    NoTerminal,
    #[error("no password was given")]
    NotGiven,
    #[error("standard input can't be read as a password: {reason}")]
    #[diagnostic(help("pipe in one line of text, in UTF-8"))]
    Input { reason: String },
}

/// The secret of a profile, from the source that it names.
pub async fn fetch(profile: &Profile) -> Result<SecretString, CredentialError> {
    match &profile.credential {
        CredentialSource::Keyring => keyring::read(&profile.name).await,
        CredentialSource::Command(command) => command::run(&profile.name, command).await,
        CredentialSource::Prompt => {
            let user = profile.user.as_deref().unwrap_or(&profile.name);
            // One shell can have the sessions of several profiles.
            prompt::ask(&format!("Password for {user} (profile '{}'): ", profile.name)).await
        }
    }
}

/// Where [`fetch`] takes the secret from, as it is told to the person.
pub fn source(profile: &Profile) -> String {
    match &profile.credential {
        CredentialSource::Keyring => "the keyring".to_owned(),
        CredentialSource::Command(_) => "the password command".to_owned(),
        CredentialSource::Prompt => "the password".to_owned(),
    }
}

/// Whether [`fetch`] needs a terminal, so that a process without one must be handed the secret.
pub fn needs_terminal(profile: &Profile) -> bool {
    profile.credential == CredentialSource::Prompt
}

pub use keyring::{delete, is_stored, store};
pub use prompt::{agrees, ask, is_asking, read_line};
