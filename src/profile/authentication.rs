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
