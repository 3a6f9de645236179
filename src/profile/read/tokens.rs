//! Parses the keys about tokens.

use super::reader::Reader;
use crate::profile::authentication::{Authentication, TokenFlow};
use crate::profile::kind::Kind;
use crate::profile::types::{CredentialSource, Profile};

impl Reader<'_> {
    pub(super) fn token_flow(&mut self, kind: Kind) -> TokenFlow {
        if kind.module().is_some() {
            return TokenFlow::default();
        }
        self.word("sign_in", None, &TokenFlow::ALL, TokenFlow::name).unwrap_or_default()
    }

    /// Checks the keys about tokens of a WSMan kind.
    pub(super) fn tokens(&mut self, profile: &Profile) {
        let flow = profile.token_flow;
        for key in ["sign_in", "authority"] {
            if profile.authentication != Authentication::Token && self.has(key) {
                self.mistake(self.span(key), format!("{key} needs authentication = \"token\""));
            }
        }
        for key in ["client_id", "scope"] {
            if flow == TokenFlow::Password && self.has(key) {
                let others = TokenFlow::ALL.map(TokenFlow::name)[1..].join("\", \"");
                self.mistake(self.span(key), format!("{key} needs sign_in = one of \"{others}\""));
            }
        }
        for key in ["tenant", "organization"] {
            if self.has(key) {
                let message =
                    format!("{key} is only valid for kinds whose module opens the session; use authority");
                self.mistake(self.span(key), message);
            }
        }
        for key in ["authority", "client_id"] {
            if flow.is_application() && !self.has(key) {
                self.mistake(self.span("sign_in"), format!("sign_in \"{}\" needs {key}", flow.name()));
            }
        }
        self.token_credential(profile);
    }

    /// Checks that the source of the secret suits the sign-in.
    fn token_credential(&mut self, profile: &Profile) {
        use CredentialSource::{Command, File, Keyring, Prompt, Shared};
        let expected = match (profile.token_flow, &profile.credential) {
            (TokenFlow::Federated, Command { .. } | File(_)) => return,
            (TokenFlow::Federated, _) => {
                "{ file = \"…\" } or { command = \"…\" }, the source of the federated token"
            }
            (TokenFlow::DeviceCode | TokenFlow::Browser, Keyring | Shared(_) | Prompt) => return,
            (TokenFlow::DeviceCode | TokenFlow::Browser, _) => {
                "\"keyring\" or { keyring = \"…\" } for the refresh token, or \"prompt\", which stores none"
            }
            _ => return,
        };
        let key = if self.has("credential") { "credential" } else { "sign_in" };
        let message = format!("sign_in \"{}\" needs credential = {expected}", profile.token_flow.name());
        self.mistake(self.span(key), message);
    }
}
