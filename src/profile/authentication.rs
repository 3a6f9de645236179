//! Authentication methods.

/// Authentication method of a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Authentication {
    Basic,
    /// OAuth bearer token, from the authority that the endpoint's 401 names.
    Token,
}

impl Authentication {
    /// Returns the value in a profile.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Basic => "basic",
            Self::Token => "token",
        }
    }
}
