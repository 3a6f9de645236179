//! Declaration of the keys of a profile. The reader, the JSON schema and `lyncsh add --from` use it.

use super::authentication::{Authentication, TokenFlow};
use super::import::Attach;
use super::kind::Kind;
use super::service::SignIn;
use crate::net::TlsLibrary;

/// A key of a profile.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    pub name: &'static str,
    pub value: Value,
    /// Summary for editors.
    pub about: &'static str,
}

/// Values of a key.
#[derive(Clone, Copy, Debug)]
pub enum Value {
    /// Text that is not empty.
    Text,
    /// One of a set of words, which may depend on the kind; for `None`, the function returns the words of all kinds.
    Word(fn(Option<Kind>) -> Vec<&'static str>),
    Uri,
    /// Path of a file; a relative path starts at the folder of the profile.
    Path,
    Flag,
    Duration,
    /// A whole number in this range, including both ends.
    Number(u32, u32),
    List(List),
    /// A table of these keys.
    Table(&'static [Key]),
    /// A table with one of these keys.
    Choice(&'static [Key]),
    /// A value of one of these types.
    OneOf(&'static [Self]),
}

/// A list of texts.
#[derive(Clone, Copy, Debug)]
pub struct List {
    /// Example of a list, in TOML.
    pub example: &'static str,
    /// Regular expression of an item.
    pub item: &'static str,
    /// Whether an item may occur only once.
    pub is_unique: bool,
    /// Whether the list may be empty.
    pub may_be_empty: bool,
}

const fn key(name: &'static str, value: Value, about: &'static str) -> Key {
    Key { name, value, about }
}

const fn list(example: &'static str, item: &'static str) -> List {
    List { example, item, is_unique: false, may_be_empty: true }
}

/// Text that is not empty.
const ANY: &str = r"\S";

/// Valid keys of a profile.
pub const KEYS: [Key; 42] = [
    key("include", Value::Path, "File whose keys are the defaults of this profile"),
    key(
        "connections",
        Value::List(List {
            is_unique: true,
            may_be_empty: false,
            ..list("[\"lync\", \"exchange\"]", r"^[^-.\\/:*?\x22<>|][^\\/:*?\x22<>|]*$")
        }),
        "Profiles to open together in one shell; the only other valid key is shell",
    ),
    key("kind", Value::Word(kinds), "Kind of endpoint"),
    key(
        "tags",
        Value::List(List { is_unique: true, ..list("[\"customers\", \"eu\"]", r"^[\p{L}\p{N}_.-]+$") }),
        "Labels by which a command selects several profiles",
    ),
    key("user", Value::Text, "Account, as name@domain"),
    key("domain", Value::Text, "Domain to administer, if it is not the user's"),
    key("uri", Value::Uri, "Connection URI of the endpoint"),
    key("discovery", Value::Uri, "URI of the discovery, instead of lyncdiscover.DOMAIN"),
    key(
        "redirects",
        Value::List(list("[\"*.example.com\"]", ANY)),
        "Hosts that may receive the credential besides the endpoint",
    ),
    key("authority", Value::Uri, "Token service"),
    key("proxy", Value::Text, "URL of a proxy, \"none\" or \"system\""),
    key("proxy_user", Value::Text, "Account at the proxy"),
    key("proxy_credential", CREDENTIAL, "Source of the password for the proxy"),
    key("ca", Value::Path, "PEM file of CA certificates that are trusted in addition to the system's"),
    key("pin", Value::Text, "SHA-256 fingerprint of the only accepted certificate of the endpoint"),
    key("tls", Value::Word(libraries), "TLS library for the endpoint"),
    key("certificate", Value::Path, "PEM or PKCS#12 file of the client's certificate"),
    key("key", Value::Path, "PEM file of the certificate's key"),
    key("configuration", Value::Text, "Session configuration, as a name or a resource URI"),
    key("authentication", Value::Word(authentications), "Authentication method"),
    key("sign_in", Value::Word(flows), "OAuth flow that requests a token"),
    key("client_id", Value::Text, "Application that requests tokens"),
    key("scope", Value::Text, "Scopes of the token, separated by spaces"),
    key("tenant", Value::Text, "Tenant to sign in to"),
    key("organization", Value::Text, "Domain of the organization to connect to"),
    key("service_principal", Value::Text, "Kerberos service principal, if it is not HTTP/HOST"),
    key("delegate", Value::Flag, "Whether the endpoint may act as the account towards other servers"),
    key("credential", CREDENTIAL, "Source of the password"),
    key("shell", Value::Text, "\"console\", or a PowerShell by name or path"),
    key("transcript", Value::Path, "Folder for the transcripts of the console's sessions"),
    key("keep", Value::Duration, "Time for which the session stays open after its last shell ended"),
    key("keep_alive", Value::Flag, "Whether requests keep the session of an idle shell open"),
    key("max_runspaces", Value::Number(1, 100), "Maximum number of commands that run at the same time"),
    key("idle_timeout", Value::Duration, "Idle timeout to request from the endpoint"),
    key("timeouts", Value::Table(&TIMEOUTS), "Time limits of the steps of a connection"),
    key("session", Value::Text, "PowerShell variable of the session, without $"),
    key("import", Value::List(list("[\"Get-Cs*\"]", ANY)), "Commands to import into PowerShell"),
    key("prefix", Value::Text, "Prefix for the noun of every imported command"),
    key("allow_clobber", Value::Flag, "Whether imported commands replace existing commands"),
    key("format_data", Value::List(list("[\"Microsoft.Rtc*\"]", ANY)), "Types whose views are imported"),
    key("cache", Value::Flag, "Whether the imported commands are cached"),
    key("attach", Value::OneOf(&[Value::Flag, Value::Word(connectors)]), "Session that a PowerShell uses"),
];

/// Valid keys of a group profile. All other keys belong in the profiles of its connections.
pub const GROUP: [&str; 2] = ["connections", "shell"];

/// Keys of `[timeouts]`.
pub const TIMEOUTS: [Key; 6] = [
    key("connect", Value::Duration, "TCP and TLS"),
    key("discovery", Value::Duration, "The whole discovery"),
    key("token", Value::Duration, "Each request to a token service"),
    key("open", Value::Duration, "Creation of the session"),
    key("operation", Value::Duration, "A request that starts or stops a command, or sends input"),
    key("close", Value::Duration, "A request that removes the session"),
];

/// Sources of a secret that need a value.
pub const SOURCES: [Key; 3] = [
    key("command", Value::Text, "Command whose first output line is the secret"),
    key("file", Value::Path, "File whose first line is the secret"),
    key("keyring", Value::Text, "Entry of the OS keyring, which several profiles can use"),
];

const CREDENTIAL: Value = Value::OneOf(&[Value::Word(sources), Value::Choice(&SOURCES)]);

/// Returns the value of a key.
pub fn value(name: &str) -> Option<Value> {
    KEYS.iter().find(|key| key.name == name).map(|key| key.value)
}

/// Returns the names of keys.
pub fn names(keys: &[Key]) -> Vec<&'static str> {
    keys.iter().map(|key| key.name).collect()
}

/// Returns the words of a key whose value is, or may be, a word.
pub fn words(name: &str, kind: Option<Kind>) -> Vec<&'static str> {
    match value(name) {
        Some(Value::Word(words)) => words(kind),
        Some(Value::OneOf(values)) => {
            let all = values.iter().filter_map(|value| match value {
                Value::Word(words) => Some(words(kind)),
                _ => None,
            });
            all.flatten().collect()
        }
        _ => Vec::new(),
    }
}

fn kinds(_: Option<Kind>) -> Vec<&'static str> {
    Kind::ALL.map(|kind| kind.traits().name).to_vec()
}

fn libraries(_: Option<Kind>) -> Vec<&'static str> {
    TlsLibrary::ALL.map(TlsLibrary::name).to_vec()
}

fn flows(_: Option<Kind>) -> Vec<&'static str> {
    TokenFlow::ALL.map(TokenFlow::name).to_vec()
}

fn sources(_: Option<Kind>) -> Vec<&'static str> {
    vec!["keyring", "prompt", "system"]
}

fn authentications(kind: Option<Kind>) -> Vec<&'static str> {
    let of = |kind: Kind| match kind.module() {
        Some(_) => SignIn::ALL.map(SignIn::name).to_vec(),
        None => kind.traits().authentications.iter().copied().map(Authentication::name).collect(),
    };
    of_kinds(kind, of)
}

fn connectors(kind: Option<Kind>) -> Vec<&'static str> {
    of_kinds(kind, |kind| if kind == Kind::LyncOnline { vec![Attach::CONNECTOR] } else { Vec::new() })
}

/// Returns the words of a kind, or of all kinds.
fn of_kinds(kind: Option<Kind>, of: impl Fn(Kind) -> Vec<&'static str>) -> Vec<&'static str> {
    let kinds = kind.map_or(Kind::ALL.to_vec(), |kind| vec![kind]);
    let mut words: Vec<&str> = Vec::new();
    for word in kinds.into_iter().flat_map(of) {
        if !words.contains(&word) {
            words.push(word);
        }
    }
    words
}

impl Kind {
    /// Returns whether a key has a meaning for this kind.
    pub fn permits(self, key: &str) -> bool {
        match key {
            "connections" => false,
            "domain" | "discovery" => self.traits().discovers,
            "tenant" | "organization" => self.service_keys().contains(&key),
            "service_principal" | "delegate" => {
                self.traits().authentications.iter().any(|method| method.has_context())
            }
            _ => self.module().is_none() || self.service_keys().contains(&key),
        }
    }
}
