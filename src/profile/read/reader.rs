//! Parses the keys of a profile and collects the mistakes.

use std::path::PathBuf;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use url::Url;

use super::mistake::Mistake;
use super::source::Source;
use crate::folders::beside;
use crate::net::{Fingerprint, HostPattern, NotProxy, ProxySetting, TlsLibrary, is_loopback};
use crate::profile::authentication::{Authentication, TokenFlow};
use crate::profile::import::{self, Attach, Import};
use crate::profile::keys::{self, KEYS, TIMEOUTS};
use crate::profile::kind::{CONFIGURATION_PREFIX, Kind};
use crate::profile::limits::Limits;
use crate::profile::name::wrong_tag;
use crate::profile::service::Service;
use crate::profile::types::{CredentialSource, Profile};

/// Minimum idle timeout: with a shorter one, keep-alive requests would be the only traffic.
const SHORTEST_IDLE: Duration = Duration::from_secs(1);
/// Keys that New-PSSession does not support.
const UNSUPPORTED: [&str; 9] = [
    "pin",
    "tls",
    "certificate",
    "key",
    "service_principal",
    "delegate",
    "proxy",
    "proxy_user",
    "proxy_credential",
];

/// A profile's keys and the mistakes found so far. Positions are in the concatenation of the profile's files.
pub(super) struct Reader<'a> {
    pub(super) table: &'a DeTable<'a>,
    pub(super) sources: &'a [Source],
    pub(super) mistakes: Vec<Mistake>,
}

impl Reader<'_> {
    pub(super) fn profile(&mut self, name: &str) -> Option<Profile> {
        self.unknown_keys(self.table, &keys::names(&KEYS), "a profile");
        // The included file is already among the sources; this only reports an invalid value.
        self.text("include");
        let kind = self.kind()?;
        let traits = kind.traits();
        let authentication = self.authentication(kind);
        let user = self.text("user");
        let uri = self.url("uri");
        let discovery = self.url("discovery");
        let domain = self.text("domain");
        let credential = self.credential("credential");
        let profile = Profile {
            name: name.to_owned(),
            path: self.sources.first().map(|source| source.path.clone()).unwrap_or_default(),
            kind,
            tags: self.tags(),
            service: kind.module().map(|module| Service { module, sign_in: self.service_sign_in(kind) }),
            domain: domain.or_else(|| {
                user.as_deref()
                    .filter(|_| traits.discovers)?
                    .split_once('@')
                    .map(|(_, domain)| domain.to_owned())
            }),
            user,
            uri,
            discovery,
            redirects: self.redirects(),
            authority: self.authority(),
            proxy: self.proxy(),
            proxy_user: self.text("proxy_user"),
            proxy_credential: self.credential("proxy_credential"),
            ca: self.file_path("ca"),
            pin: self.pin(),
            tls: self.tls(),
            certificate: self.file_path("certificate"),
            key: self.file_path("key"),
            configuration: self.configuration(kind),
            authentication,
            token_flow: self.token_flow(kind),
            client_id: self.text("client_id"),
            scope: self.text("scope"),
            tenant: self.text("tenant"),
            organization: self.text("organization"),
            service_principal: self.text("service_principal"),
            delegate: self.boolean("delegate").unwrap_or(false),
            credential,
            shell: self.text("shell"),
            import: self.import(kind),
            keep: self.duration(self.table, "keep").unwrap_or_default(),
            keep_alive: self.boolean("keep_alive").unwrap_or(true),
            max_runspaces: self.max_runspaces(),
            idle_timeout: self.idle_timeout(),
            limits: self.limits(),
            transcript: self.file_path("transcript"),
        };
        match profile.service {
            Some(service) => self.service(&profile, service),
            None => self.combinations(&profile),
        }
        Some(profile)
    }

    /// Checks combinations of keys.
    fn combinations(&mut self, profile: &Profile) {
        let traits = profile.kind.traits();
        self.client_certificate(profile);
        self.tokens(profile);
        self.proxy_login(profile);
        let is_system = profile.credential == CredentialSource::System;
        if is_system
            && !matches!(profile.authentication, Authentication::Kerberos | Authentication::Negotiate)
        {
            self.mistake(
                self.span("credential"),
                "credential = \"system\" needs authentication = \"kerberos\" or \"negotiate\"",
            );
        }
        // .NET's AuthenticationMechanism has no value for NTLM or for the system's ticket.
        let is_ntlm = profile.authentication == Authentication::Ntlm;
        if profile.import.attach == Attach::Own && (is_ntlm || is_system) {
            self.mistake(
                self.span("attach"),
                "New-PSSession does not support authentication = \"ntlm\" or credential = \"system\": remove attach",
            );
        }
        for key in ["service_principal", "delegate"] {
            if !profile.authentication.has_context() && self.has(key) {
                self.mistake(
                    self.span(key),
                    format!("{key} needs authentication = \"kerberos\", \"negotiate\" or \"ntlm\""),
                );
            }
        }
        let has_account = is_system
            || profile.authentication == Authentication::Certificate
            || profile.token_flow != TokenFlow::Password;
        if traits.needs_user && !self.has("user") && !has_account {
            self.missing(format!(
                "kind \"{}\" needs user, for example user = \"admin@example.com\"",
                profile.kind
            ));
        }
        match &profile.uri {
            // An invalid URI is reported already.
            None if self.has("uri") => {}
            None if !traits.discovers => {
                self.missing(format!("kind \"{}\" needs uri: {}", profile.kind, traits.summary));
            }
            Some(uri) => self.scheme(profile, uri),
            None if profile.domain.is_none()
                && !self.has("domain")
                && !self.has("discovery")
                && (profile.user.is_some() || has_account) =>
            {
                self.mistake(
                    self.span("user"),
                    "cannot find the domain to administer: write user as name@domain, or add domain",
                );
            }
            None => {}
        }
        if profile.import.attach == Attach::Own && profile.authentication == Authentication::Token {
            self.mistake(
                self.span("attach"),
                "New-PSSession does not send tokens: set authentication = \"basic\" or remove attach",
            );
        }
        if profile.import.attach != Attach::Agent && profile.ca.is_some() {
            self.mistake(
                self.span("ca"),
                "New-PSSession trusts only the system's CA certificates: add this one to the system, or remove attach",
            );
        }
        if profile.import.attach != Attach::Agent {
            for key in UNSUPPORTED {
                if self.has(key) {
                    let message = format!("New-PSSession does not support {key}: remove it, or attach");
                    self.mistake(self.span(key), message);
                }
            }
        }
        for key in ["domain", "discovery"] {
            if !profile.kind.permits(key) && self.has(key) {
                self.mistake(
                    self.span(key),
                    format!("{key} is only valid for kind \"lync-online\", not for \"{}\"", profile.kind),
                );
            }
        }
    }

    fn client_certificate(&mut self, profile: &Profile) {
        let is_application = profile.token_flow == TokenFlow::ClientCertificate;
        let is_tls = profile.authentication == Authentication::Certificate;
        let is_wanted = is_tls || is_application;
        if is_wanted && !self.has("certificate") {
            let (key, word) =
                if is_tls { ("authentication", "certificate") } else { ("sign_in", "client-certificate") };
            self.mistake(
                self.span(key),
                format!("{key} \"{word}\" needs certificate, a PEM or PKCS#12 file"),
            );
        }
        if is_tls && profile.uri.as_ref().is_some_and(|uri| uri.scheme() != "https") {
            self.mistake(self.span("uri"), "a client certificate needs a URI that begins with https://");
        }
        if self.has("key") && !self.has("certificate") {
            self.mistake(self.span("key"), "key belongs to certificate, which is missing");
        }
        if profile.certificate.is_some() && !is_wanted {
            self.mistake(
                self.span("certificate"),
                "certificate needs authentication = \"certificate\" or sign_in = \"client-certificate\"",
            );
        }
    }

    fn proxy(&mut self) -> ProxySetting {
        let Some(text) = self.text("proxy") else { return ProxySetting::default() };
        text.parse().unwrap_or_else(|error| {
            let message = match error {
                NotProxy::Form => format!("{error}, \"none\" or \"system\""),
                NotProxy::Credential => error.to_string(),
            };
            self.mistake(self.span("proxy"), message);
            ProxySetting::default()
        })
    }

    fn proxy_login(&mut self, profile: &Profile) {
        let is_system = profile.proxy_credential == CredentialSource::System;
        for key in ["proxy_user", "proxy_credential"] {
            if profile.proxy == ProxySetting::None && self.has(key) {
                self.mistake(self.span(key), format!("{key} needs a proxy: change proxy = \"none\""));
            }
        }
        if self.has("proxy_credential") && !self.has("proxy_user") && !is_system {
            self.mistake(self.span("proxy_credential"), "proxy_credential needs proxy_user");
        }
        if is_system
            && matches!(&profile.proxy, ProxySetting::Address(address) if address.protocol.is_socks())
        {
            self.mistake(
                self.span("proxy_credential"),
                "a SOCKS proxy needs a password: change proxy_credential = \"system\"",
            );
        }
    }

    /// Parses a path. A relative path starts at the folder of the file with the key; `~` is the home directory.
    fn file_path(&mut self, key: &str) -> Option<PathBuf> {
        self.text(key).map(|file| beside(&self.folder(key), &file))
    }

    fn redirects(&mut self) -> Vec<HostPattern> {
        let mut hosts = Vec::new();
        for (text, span) in self.list("redirects").unwrap_or_default() {
            match text.parse::<HostPattern>() {
                Ok(host) => hosts.push(host),
                Err(error) => self.mistake(span, format!("{error}, for example \"*.example.com\"")),
            }
        }
        hosts
    }

    fn tags(&mut self) -> Vec<String> {
        let mut tags: Vec<String> = Vec::new();
        for (tag, span) in self.list("tags").unwrap_or_default() {
            if tags.contains(&tag) {
                self.mistake(span, format!("the tag '{tag}' is listed twice"));
            } else if let Some(message) = wrong_tag(&tag) {
                self.mistake(span, message);
            } else {
                tags.push(tag);
            }
        }
        tags
    }

    fn authority(&mut self) -> Option<Url> {
        let authority = self.url("authority")?;
        if authority.scheme() != "https" && !is_loopback(&authority) {
            self.mistake(self.span("authority"), "expected an authority that begins with https://");
        }
        Some(authority)
    }

    fn pin(&mut self) -> Option<Fingerprint> {
        match self.text("pin")?.parse() {
            Ok(pin) => Some(pin),
            Err(error) => {
                self.mistake(
                    self.span("pin"),
                    format!("{error}, as `openssl x509 -noout -fingerprint -sha256 -in FILE` prints it"),
                );
                None
            }
        }
    }

    fn tls(&mut self) -> TlsLibrary {
        self.word("tls", None, &TlsLibrary::ALL, TlsLibrary::name).unwrap_or_default()
    }

    fn scheme(&mut self, profile: &Profile, uri: &Url) {
        let wanted: &[&str] = &["https", "http"];
        if !wanted.contains(&uri.scheme()) || uri.host_str().is_none() {
            let message = format!(
                "kind \"{}\" needs a URI that begins with {}://",
                profile.kind,
                wanted.join(":// or ")
            );
            self.mistake(self.span("uri"), message);
        } else if uri.scheme() == "http" && !is_loopback(uri) && !profile.authentication.has_context() {
            self.mistake(
                self.span("uri"),
                "expected https:// (http:// is valid for this machine, and with authentication = \"kerberos\", \
                 \"negotiate\" or \"ntlm\", which encrypt)",
            );
        }
    }

    fn kind(&mut self) -> Option<Kind> {
        if self.table.get("kind").is_none() {
            let all = keys::words("kind", None).join(", ");
            self.missing(format!("kind is missing; expected one of {all}"));
            return None;
        }
        self.word("kind", None, &Kind::ALL, |kind| kind.traits().name)
    }

    fn authentication(&mut self, kind: Kind) -> Authentication {
        let traits = kind.traits();
        if kind.module().is_some() {
            return traits.default_authentication;
        }
        let found = self.word("authentication", Some(kind), traits.authentications, Authentication::name);
        found.unwrap_or(traits.default_authentication)
    }

    /// Parses a configuration, which is a name or a resource URI.
    fn configuration(&mut self, kind: Kind) -> String {
        match self.text("configuration") {
            Some(whole) if whole.contains("://") => whole,
            Some(name) => format!("{CONFIGURATION_PREFIX}{name}"),
            None => kind.traits().configuration.to_owned(),
        }
    }

    /// Parses the keys about the import.
    fn import(&mut self, kind: Kind) -> Import {
        let default = Import::of(&kind.traits());
        let attach = self.attach(kind);
        Import {
            session: self.checked("session", import::wrong_variable).unwrap_or(default.session),
            commands: self.patterns("import").unwrap_or(default.commands),
            prefix: self.checked("prefix", import::wrong_prefix),
            allow_clobber: self.boolean("allow_clobber").unwrap_or(default.allow_clobber),
            format_data: self.patterns("format_data").unwrap_or(default.format_data),
            // A standalone session is imported as the vendor documents it, without a cache.
            cache: self.boolean("cache").unwrap_or(default.cache) && attach == Attach::Agent,
            attach,
        }
    }

    fn attach(&mut self, kind: Kind) -> Attach {
        let Some(value) = self.table.get("attach") else { return Attach::Agent };
        match value.get_ref() {
            DeValue::Boolean(true) => Attach::Agent,
            DeValue::Boolean(false) => Attach::Own,
            DeValue::String(word) if keys::words("attach", Some(kind)).contains(&word.as_ref()) => {
                Attach::Connector
            }
            _ => {
                let words = keys::words("attach", Some(kind));
                let more: String = words.iter().map(|word| format!(", or \"{word}\"")).collect();
                self.mistake(
                    value.span(),
                    format!("expected true (the agent's session), false (a standalone session){more}"),
                );
                Attach::Agent
            }
        }
    }

    fn checked(&mut self, key: &str, wrong: fn(&str) -> Option<&'static str>) -> Option<String> {
        let text = self.text(key)?;
        if let Some(message) = wrong(&text) {
            self.mistake(self.span(key), message);
        }
        Some(text)
    }

    /// Parses a list of name patterns.
    fn patterns(&mut self, key: &str) -> Option<Vec<String>> {
        let mut patterns = Vec::new();
        for (text, span) in self.list(key)? {
            match import::wrong_pattern(&text) {
                None => patterns.push(text),
                Some(message) => self.mistake(span, message),
            }
        }
        Some(patterns)
    }

    fn max_runspaces(&mut self) -> u32 {
        self.number("max_runspaces").unwrap_or(1)
    }

    fn idle_timeout(&mut self) -> Option<Duration> {
        let given = self.duration(self.table, "idle_timeout")?;
        if given < SHORTEST_IDLE {
            self.mistake(
                self.span("idle_timeout"),
                "expected an idle timeout of at least 1s; most services grant a minute or more",
            );
        }
        Some(given)
    }

    fn limits(&mut self) -> Limits {
        let mut limits = Limits::default();
        let Some(value) = self.table.get("timeouts") else { return limits };
        let DeValue::Table(table) = value.get_ref() else {
            self.mistake(value.span(), "expected a table: [timeouts]");
            return limits;
        };
        self.unknown_keys(table, &keys::names(&TIMEOUTS), "[timeouts]");
        for (key, limit) in [
            ("connect", &mut limits.connect),
            ("discovery", &mut limits.discovery),
            ("token", &mut limits.token),
            ("open", &mut limits.open),
            ("operation", &mut limits.operation),
            ("close", &mut limits.close),
        ] {
            if let Some(given) = self.duration(table, key) {
                if given.is_zero() {
                    self.mistake(
                        table.get(key).map_or(0..0, Spanned::span),
                        "expected a timeout of more than zero",
                    );
                }
                *limit = given;
            }
        }
        limits
    }
}
