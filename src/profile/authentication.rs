//! How a credential is sent.

/// How the credential is proven to the endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Authentication {
    Basic,
    /// OAuth bearer token, from the authority that the endpoint's 401 names.
    Token,
    /// A client certificate, in the TLS handshake.
    Certificate,
}

impl Authentication {
    /// As it stands in a profile.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Basic => "basic",
            Self::Token => "token",
            Self::Certificate => "certificate",
        }
    }
}
