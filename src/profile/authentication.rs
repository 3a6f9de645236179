//! Authentication methods.

/// Authentication method of a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Authentication {
    /// The user name and the password in each request.
    Basic,
    /// Only Kerberos.
    Kerberos,
    /// Kerberos, or NTLM if no ticket can be requested.
    Negotiate,
    Ntlm,
    /// OAuth bearer token, from the authority that the endpoint's 401 names.
    Token,
    /// A client certificate, in the TLS handshake.
    Certificate,
}

/// OAuth flow that requests a token; `sign_in` in a profile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TokenFlow {
    /// Password grant: user name and password, sent to the token service.
    #[default]
    Password,
    /// Device code (RFC 8628): lyncsh shows a code, which the user enters in a browser on any device.
    DeviceCode,
    /// Authorization code with PKCE, through a browser on this machine.
    Browser,
    /// Client credentials: an application with a secret.
    ClientSecret,
    /// Client credentials: an application with the key of a certificate.
    ClientCertificate,
    /// Client credentials: an application with a token of another service.
    Federated,
}

impl TokenFlow {
    pub const ALL: [Self; 6] = [
        Self::Password,
        Self::DeviceCode,
        Self::Browser,
        Self::ClientSecret,
        Self::ClientCertificate,
        Self::Federated,
    ];

    /// Returns whether a user signs in with a browser.
    pub const fn needs_user(self) -> bool {
        matches!(self, Self::DeviceCode | Self::Browser)
    }

    /// Returns whether an application signs in, without a user.
    pub const fn is_application(self) -> bool {
        matches!(self, Self::ClientSecret | Self::ClientCertificate | Self::Federated)
    }

    /// Returns the value in a profile.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::DeviceCode => "device-code",
            Self::Browser => "browser",
            Self::ClientSecret => "client-secret",
            Self::ClientCertificate => "client-certificate",
            Self::Federated => "federated",
        }
    }
}

impl Authentication {
    /// Returns whether a security context authenticates each connection and, over http, seals the bodies.
    pub const fn has_context(self) -> bool {
        matches!(self, Self::Kerberos | Self::Negotiate | Self::Ntlm)
    }

    /// Returns the value in a profile.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Basic => "basic",
            Self::Kerberos => "kerberos",
            Self::Negotiate => "negotiate",
            Self::Ntlm => "ntlm",
            Self::Token => "token",
            Self::Certificate => "certificate",
        }
    }
}
