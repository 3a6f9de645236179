//! Kinds whose session belongs to a PowerShell module: lyncsh calls its sign-in and sign-out commands.

use super::kind::Kind;

/// Settings of a profile of a module kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service {
    /// The module's name in the PowerShell Gallery.
    pub module: &'static str,
    pub sign_in: SignIn,
}

/// Sign-in method; `authentication` in a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignIn {
    /// A code that the module shows, entered in a browser on any device.
    DeviceCode,
    /// User name and password; not for accounts with a second factor.
    Credential,
    /// An access token from the profile's credential.
    Token,
}

impl Service {
    /// Returns whether the sign-in needs a user name.
    pub fn needs_user(self, kind: Kind) -> bool {
        match self.sign_in {
            SignIn::DeviceCode => false,
            SignIn::Credential => true,
            // MicrosoftTeams reads the user name from the token.
            SignIn::Token => kind == Kind::ExchangeOnline,
        }
    }
}

impl SignIn {
    pub const ALL: [Self; 3] = [Self::DeviceCode, Self::Credential, Self::Token];

    /// Returns the value in a profile.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DeviceCode => "device-code",
            Self::Credential => "credential",
            Self::Token => "token",
        }
    }
}

impl Kind {
    /// Returns the module that opens the session of this kind.
    pub const fn module(self) -> Option<&'static str> {
        match self {
            Self::Teams => Some("MicrosoftTeams"),
            Self::ExchangeOnline => Some("ExchangeOnlineManagement"),
            _ => None,
        }
    }

    /// Returns the valid keys of a module kind.
    pub const fn service_keys(self) -> &'static [&'static str] {
        match self {
            // Connect-ExchangeOnline has its own prefix parameter.
            Self::ExchangeOnline => &["kind", "user", "authentication", "credential", "shell", "prefix"],
            _ => &["kind", "user", "authentication", "credential", "shell"],
        }
    }
}
