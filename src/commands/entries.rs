//! A password that the endpoint refused, entered again.

use std::io::IsTerminal as _;

use secrecy::SecretString;

use crate::agent::control::Failure;
use crate::agent::resolver::EndpointResolver;
use crate::credential;
use crate::profile::{CredentialSource, Profile};
use crate::screen::Stream;

/// How often a password is asked for.
const MAX: u32 = 3;

/// The passwords that were entered for one connection.
pub struct Entries {
    /// How often one was asked for.
    asked: u32,
    /// One was entered after a refusal.
    again: bool,
}

impl Entries {
    /// `given`: the password is known, and need not be asked for the first time.
    pub fn of(profile: &Profile, given: bool) -> Self {
        let asks = profile.credential == CredentialSource::Prompt && !given;
        Self { asked: u32::from(asks), again: false }
    }

    /// Asks for another password. `None`: it comes from a command, there is no terminal, the user gives
    /// up, or it was asked for often enough.
    pub async fn again(&mut self, profile: &Profile, failure: &Failure) -> Option<SecretString> {
        use secrecy::ExposeSecret as _;
        let terminal = std::io::stdin().is_terminal() && Stream::Error.is_terminal();
        if !terminal
            || self.asked >= MAX
            || matches!(profile.credential, CredentialSource::Command(_) | CredentialSource::System)
        {
            return None;
        }
        self.asked += 1;
        self.again = true;
        crate::tell!("{failure}.");
        let user = profile.user.as_deref().unwrap_or(&profile.name);
        let question = format!("Password for {user} (profile '{}'), or Enter to give up: ", profile.name);
        let secret = credential::ask(&question).await.ok()?;
        (!secret.expose_secret().is_empty()).then_some(secret)
    }

    /// Asks whether the password of a command is fetched and sent again after a refusal.
    pub async fn once_more(&self, failure: &Failure) -> bool {
        crate::tell!("{failure}.");
        credential::agrees("Send the password of the command again (y, or Enter to give up)? ").await
    }

    /// Stores the password that was accepted after another was refused; says what came of it.
    pub async fn store(&self, access: &EndpointResolver) -> Option<String> {
        let profile = &access.profile;
        let secret = access.secret().filter(|_| self.again)?;
        if profile.credential != CredentialSource::Keyring {
            return None;
        }
        Some(match credential::store(&profile.name, secret.clone()).await {
            Ok(()) => format!("The new password of '{}' is stored in the keyring.", profile.name),
            Err(error) => format!("The new password works, and is not stored: {error}"),
        })
    }

    /// The failure, with what can be done about a password that is stored.
    pub fn advised(&self, profile: &Profile, failure: Failure) -> Failure {
        let more = match &profile.credential {
            CredentialSource::Keyring => format!("`lyncsh login {}` stores a new password.", profile.name),
            CredentialSource::Command(command) => format!("The password comes from the command: {command}"),
            CredentialSource::Prompt | CredentialSource::System => return failure,
        };
        let advice = failure.advice.into_iter().chain([more]).collect::<Vec<_>>().join(" ");
        Failure { advice: Some(advice), ..failure }
    }
}
