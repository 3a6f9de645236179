//! What a profile is: one TOML file `NAME.toml` in the profiles folder of the configuration directory.

mod connections;
pub mod import;
pub mod kind;
mod limits;
mod read;
pub mod service;
mod store;
mod write;

use std::path::PathBuf;
use std::time::Duration;

pub use connections::{Connections, connections, same_names};
pub use import::{Attach, Import};
pub use kind::Kind;
pub use limits::Limits;
pub use read::{Mistake, ProfileError, Read, nearest, parse, read};
pub use service::Service;
pub use store::{StoreError, check_name, load, names};
use url::Url;
pub use write::{NotToml, Settings};

/// A profile as it was read and found consistent; defaults are filled in by its kind.
#[derive(Clone, Debug)]
pub struct Profile {
    /// The file's name without `.toml`.
    pub name: String,
    pub path: PathBuf,
    pub kind: Kind,
    /// The module that has the session; `None`: lyncsh has it.
    pub service: Option<Service>,
    /// The account, `user@domain`; not every kind needs one.
    pub user: Option<String>,
    /// `lync-online`: the domain to administer; by default the user's.
    pub domain: Option<String>,
    /// The connection URI (`OverridePowershellUri` for `lync-online`: no discovery).
    pub uri: Option<Url>,
    /// `lync-online`: asked instead of `lyncdiscover.DOMAIN`.
    pub discovery: Option<Url>,
    /// A PEM file of authorities that are trusted beside the system's.
    pub ca: Option<PathBuf>,
    /// The configuration's name or resource URI.
    pub configuration: String,
    pub authentication: Authentication,
    pub credential: CredentialSource,
    /// `console`, or a PowerShell by name or path; `None`: what is found.
    pub shell: Option<String>,
    pub import: Import,
    /// How long the session outlives its last shell.
    pub keep: Duration,
    /// Whether an attached, idle shell is kept from the idle timeout.
    pub keep_alive: bool,
    pub max_runspaces: u32,
    pub idle_timeout: Option<Duration>,
    pub limits: Limits,
}

/// How the credential is proven to the endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Authentication {
    Basic,
    /// OAuth bearer token, from the authority that the endpoint's 401 names.
    Token,
}

/// Where the secret comes from.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CredentialSource {
    Keyring,
    Prompt,
    /// A command whose first output line is the secret.
    Command(String),
}

impl Authentication {
    /// As it stands in a profile.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Basic => "basic",
            Self::Token => "token",
        }
    }
}

/// Whether a URI's host is this machine itself, the one place where a credential may go without TLS.
pub fn is_loopback(uri: &Url) -> bool {
    match uri.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        None => false,
    }
}
