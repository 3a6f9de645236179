//! What a profile is made of.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::authentication::Authentication;
use super::import::Import;
use super::kind::Kind;
use super::limits::Limits;
use super::service::Service;
use crate::net::{Fingerprint, TlsLibrary};

/// The word for lyncsh's own shell in `shell`.
pub const CONSOLE: &str = "console";

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
    /// The only certificate that the endpoint may have.
    pub pin: Option<Fingerprint>,
    /// The library that speaks TLS with the endpoint.
    pub tls: TlsLibrary,
    /// The client's certificate, a PEM or PKCS#12 file.
    pub certificate: Option<PathBuf>,
    /// The PEM file of its key, where that is not `certificate`.
    pub key: Option<PathBuf>,
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

/// Where the secret comes from.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CredentialSource {
    Keyring,
    Prompt,
    /// A command whose first output line is the secret.
    Command(String),
}
