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
    /// The module's own page, in a browser on this machine.
    Browser,
    /// User name and password; not for accounts with a second factor.
    Credential,
    /// An access token from the profile's credential.
    Token,
    /// An application with the key of a certificate.
    Certificate,
    /// The identity of the Azure machine on which PowerShell runs.
    ManagedIdentity,
}

impl Service {
    /// Returns whether the sign-in needs a user name.
    pub fn needs_user(self, kind: Kind) -> bool {
        match self.sign_in {
            SignIn::Credential => true,
            // MicrosoftTeams reads the user name from the token.
            SignIn::Token => kind == Kind::ExchangeOnline,
            _ => false,
        }
    }

    /// Returns the keys that the sign-in needs.
    pub const fn needed_keys(self, kind: Kind) -> &'static [&'static str] {
        match (self.sign_in, kind) {
            (SignIn::Certificate, Kind::ExchangeOnline) => &["certificate", "client_id", "organization"],
            (SignIn::Certificate, _) => &["certificate", "client_id", "tenant"],
            (SignIn::ManagedIdentity, Kind::ExchangeOnline) => &["organization"],
            _ => &[],
        }
    }

    /// Returns whether `client_id`, `certificate` or `key` has a meaning.
    pub fn permits(self, kind: Kind, key: &str) -> bool {
        match self.sign_in {
            SignIn::Certificate => true,
            // A user-assigned identity.
            SignIn::ManagedIdentity => kind == Kind::ExchangeOnline && key == "client_id",
            _ => false,
        }
    }
}

impl SignIn {
    pub const ALL: [Self; 6] = [
        Self::DeviceCode,
        Self::Browser,
        Self::Credential,
        Self::Token,
        Self::Certificate,
        Self::ManagedIdentity,
    ];

    /// Returns the value in a profile.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DeviceCode => "device-code",
            Self::Browser => "browser",
            Self::Credential => "credential",
            Self::Token => "token",
            Self::Certificate => "certificate",
            Self::ManagedIdentity => "managed-identity",
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

    /// Returns the valid keys of a module kind; none for the other kinds.
    pub const fn service_keys(self) -> &'static [&'static str] {
        match self {
            // Connect-ExchangeOnline has its own prefix parameter.
            Self::ExchangeOnline => &[
                "include",
                "kind",
                "tags",
                "user",
                "authentication",
                "client_id",
                "organization",
                "certificate",
                "key",
                "credential",
                "shell",
                "prefix",
            ],
            Self::Teams => &[
                "include",
                "kind",
                "tags",
                "user",
                "authentication",
                "client_id",
                "tenant",
                "certificate",
                "key",
                "credential",
                "shell",
            ],
            _ => &[],
        }
    }
}
