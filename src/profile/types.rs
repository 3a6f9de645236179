//! The profile type.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::authentication::{Authentication, TokenFlow};
use super::import::Import;
use super::kind::Kind;
use super::limits::Limits;
use super::service::Service;
use crate::net::{Fingerprint, HostPattern, Hosts, ProxySetting, TlsLibrary};

/// Value of `shell` for the built-in console.
pub const CONSOLE: &str = "console";

/// Start of a path in the folder of systemd's credentials; the variable is expanded when the file is read.
pub const CREDENTIALS_DIRECTORY: &str = "$CREDENTIALS_DIRECTORY";

/// A valid profile, with the defaults of its kind.
#[derive(Clone, Debug)]
pub struct Profile {
    /// File name without `.toml`.
    pub name: String,
    pub path: PathBuf,
    pub kind: Kind,
    /// Labels by which a command selects several profiles.
    pub tags: Vec<String>,
    /// The module that opens the session; `None` if lyncsh does.
    pub service: Option<Service>,
    /// Account, `user@domain`; not required for every kind.
    pub user: Option<String>,
    /// `lync-online`: domain to administer; by default the user's domain.
    pub domain: Option<String>,
    /// Connection URI. For `lync-online`, it replaces discovery (as OverridePowershellUri does).
    pub uri: Option<Url>,
    /// `lync-online`: discovery URI instead of `lyncdiscover.DOMAIN`.
    pub discovery: Option<Url>,
    /// Additional hosts that may receive the credential.
    pub redirects: Vec<HostPattern>,
    /// OAuth authority for token requests. The credential may be sent to it, in addition to Microsoft's authorities.
    pub authority: Option<Url>,
    pub proxy: ProxySetting,
    /// Account at the proxy.
    pub proxy_user: Option<String>,
    pub proxy_credential: CredentialSource,
    /// PEM file of CA certificates that are trusted in addition to the system's.
    pub ca: Option<PathBuf>,
    /// Fingerprint of the only accepted certificate of the endpoint.
    pub pin: Option<Fingerprint>,
    /// TLS library for the endpoint.
    pub tls: TlsLibrary,
    /// The client's certificate, a PEM or PKCS#12 file.
    pub certificate: Option<PathBuf>,
    /// PEM file of the certificate's key; `None` if `certificate` contains it.
    pub key: Option<PathBuf>,
    /// Resource URI of the session configuration.
    pub configuration: String,
    pub authentication: Authentication,
    /// OAuth flow that requests a token.
    pub token_flow: TokenFlow,
    /// Application that requests tokens, or that a module signs in with.
    pub client_id: Option<String>,
    /// Scopes of the requested token, separated by spaces.
    pub scope: Option<String>,
    /// `teams`: tenant that a module signs in to.
    pub tenant: Option<String>,
    /// `exchange-online`: domain of the organization that a module connects to.
    pub organization: Option<String>,
    /// The service principal of a ticket; `None`: `HTTP/` and the URI's host.
    pub service_principal: Option<String>,
    /// Whether the endpoint may act as the account towards other servers.
    pub delegate: bool,
    pub credential: CredentialSource,
    /// `console`, or a PowerShell by name or path; `None` for the first shell found.
    pub shell: Option<String>,
    pub import: Import,
    /// Time for which the session stays open after its last shell ended.
    pub keep: Duration,
    /// Whether requests keep the session of an attached, idle shell open.
    pub keep_alive: bool,
    pub max_runspaces: u32,
    pub idle_timeout: Option<Duration>,
    pub limits: Limits,
    /// Folder of the console's transcripts.
    pub transcript: Option<PathBuf>,
}

impl Profile {
    /// Returns the hosts that may receive the credential in addition to the host of `uri` or `discovery`: those of the
    /// kind's vendor, those in `redirects`, and hosts below the domain of `domain` or `user`.
    pub fn hosts(&self) -> Hosts {
        let of_user = self.user.as_deref().and_then(|user| user.rsplit_once('@')).map(|(_, domain)| domain);
        let own = self.domain.as_deref().or(of_user).and_then(|domain| format!("*.{domain}").parse().ok());
        let mut hosts = Hosts::of(self.kind.traits().redirects);
        hosts.extend(self.redirects.iter().cloned().chain(own));
        hosts
    }

    /// Returns the settings that decide which endpoint receives the credential.
    pub fn credential_target(&self) -> String {
        let text = |uri: &Option<Url>| uri.as_ref().map(Url::to_string).unwrap_or_default();
        let domain = self.domain.as_deref().unwrap_or_default();
        format!("{} {} {} {domain}", self.kind, text(&self.uri), text(&self.discovery))
    }

    /// Returns the keyring entry for the secret; `None` if the source of the secret is not the keyring.
    pub fn keyring_entry(&self) -> Option<&str> {
        match &self.credential {
            CredentialSource::Keyring => Some(&self.name),
            CredentialSource::Shared(entry) => Some(entry),
            _ => None,
        }
    }

    /// Returns the keyring entry for the proxy password; `None` if the source of that password is not the keyring.
    pub fn proxy_entry(&self) -> Option<String> {
        match &self.proxy_credential {
            CredentialSource::Keyring => Some(own_proxy_entry(&self.name)),
            CredentialSource::Shared(entry) => Some(entry.clone()),
            _ => None,
        }
    }
}

/// Returns the keyring entry for the proxy password of a profile that names no entry.
pub fn own_proxy_entry(name: &str) -> String {
    // A profile name contains no slash, so the entry cannot collide with the entry of another profile.
    format!("{name}/proxy")
}

/// Source of the secret.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CredentialSource {
    /// The entry of the OS keyring with the profile's name.
    Keyring,
    /// An entry of the OS keyring that several profiles use.
    Shared(String),
    Prompt,
    /// The system's credential: a ticket cache or a keytab, on Windows the logon. There is no password.
    System,
    /// A command whose first output line is the secret.
    Command {
        line: String,
        /// The folder of the file with the key, in which the command runs. Empty: the folder of the process.
        folder: PathBuf,
    },
    /// A file whose first line is the secret.
    File(PathBuf),
}

impl CredentialSource {
    /// Returns the source for a command that is written to a profile.
    pub fn command(line: &str) -> Self {
        Self::Command { line: line.to_owned(), folder: PathBuf::new() }
    }
}
