//! Prompts for another password after the endpoint refused one.

use secrecy::SecretString;

use crate::agent::control::Failure;
use crate::agent::resolver::EndpointResolver;
use crate::credential;
use crate::profile::{Authentication, CredentialSource, Profile};
use crate::screen;

/// Maximum number of password prompts.
const MAX: u32 = 3;

/// Password prompts of one connection.
pub struct Entries {
    /// Number of prompts.
    asked: u32,
    /// Whether the user entered a password after a refusal.
    again: bool,
}

impl Entries {
    /// Creates the state of a new connection. `given`: the password is known, and the first prompt is not needed.
    pub fn of(profile: &Profile, given: bool) -> Self {
        let asks = profile.credential == CredentialSource::Prompt && !given;
        Self { asked: u32::from(asks), again: false }
    }

    /// Asks for another password. Returns `None` if the password comes from a command, a file or the system, there is
    /// no terminal, the user gives up, or the maximum number of prompts is reached.
    pub async fn again(&mut self, profile: &Profile, failure: &Failure) -> Option<SecretString> {
        if !screen::can_ask()
            || self.asked >= MAX
            || !matches!(
                profile.credential,
                CredentialSource::Keyring | CredentialSource::Shared(_) | CredentialSource::Prompt
            )
        {
            return None;
        }
        self.asked += 1;
        self.again = true;
        crate::errln!("{failure}.");
        let what = credential::question(profile);
        let question = format!("{what} (profile '{}'), or Enter to give up: ", profile.name);
        credential::ask_once(&question).await.ok()?
    }

    /// Asks whether to fetch and send the password of a command again after a refusal.
    pub async fn once_more(&self, failure: &Failure) -> bool {
        crate::errln!("{failure}.");
        credential::agrees("Fetch the password and send it again (y, or Enter to give up)? ").await
    }

    /// Stores the password that was accepted after a refusal. Returns a message with the result.
    pub async fn store(&self, access: &EndpointResolver) -> Option<String> {
        let profile = &access.profile;
        let secret = access.secret().filter(|_| self.again)?;
        let entry = profile.keyring_entry()?;
        Some(match credential::store(entry, secret.clone()).await {
            Ok(()) => format!("The new password of '{}' is stored in the keyring.", profile.name),
            Err(error) => format!("The new password works but could not be stored: {error}"),
        })
    }

    /// Adds advice about the stored password to a failure.
    pub fn advised(&self, profile: &Profile, failure: Failure) -> Failure {
        if profile.authentication == Authentication::Certificate {
            return failure;
        }
        let more = match &profile.credential {
            CredentialSource::Keyring | CredentialSource::Shared(_) => {
                format!("Store a new password with `lyncsh login {}`.", profile.name)
            }
            CredentialSource::Command { line, .. } => format!("The password comes from the command: {line}"),
            CredentialSource::File(path) => format!("The password comes from the file {}", path.display()),
            CredentialSource::Prompt | CredentialSource::System => return failure,
        };
        let advice = failure.advice.into_iter().chain([more]).collect::<Vec<_>>().join(" ");
        Failure { advice: Some(advice), ..failure }
    }
}
