//! Kinds whose session a PowerShell module has and owns: lyncsh signs in, and has it sign out.

use super::kind::Kind;

/// What a profile of such a kind says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service {
    /// The module's name in the PowerShell Gallery.
    pub module: &'static str,
    pub sign_in: SignIn,
}

/// How the person signs in; `authentication` in a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignIn {
    /// In a browser, anywhere, with a code that the module shows.
    DeviceCode,
    /// With user and password; not where a second factor is asked for.
    Credential,
    /// With an access token from the profile's credential.
    Token,
}

impl Service {
    /// Whether signing in takes a user's name.
    pub fn needs_user(self, kind: Kind) -> bool {
        match self.sign_in {
            SignIn::DeviceCode => false,
            SignIn::Credential => true,
            // The other module reads it from the token.
            SignIn::Token => kind == Kind::ExchangeOnline,
        }
    }
}

impl SignIn {
    pub const ALL: [Self; 3] = [Self::DeviceCode, Self::Credential, Self::Token];

    /// As it stands in a profile.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DeviceCode => "device-code",
            Self::Credential => "credential",
            Self::Token => "token",
        }
    }
}

impl Kind {
    /// The module that has the session of this kind.
    pub const fn module(self) -> Option<&'static str> {
        match self {
            Self::Teams => Some("MicrosoftTeams"),
            Self::ExchangeOnline => Some("ExchangeOnlineManagement"),
            _ => None,
        }
    }

    /// The keys that a profile of such a kind may have.
    pub const fn service_keys(self) -> &'static [&'static str] {
        match self {
            // Connect-ExchangeOnline has a prefix of its own.
            Self::ExchangeOnline => &["kind", "user", "authentication", "credential", "shell", "prefix"],
            _ => &["kind", "user", "authentication", "credential", "shell"],
        }
    }
}
