//! The hosts that may receive a credential.

use std::fmt;
use std::str::FromStr;

use url::Url;

use super::is_loopback;

/// A host, or all hosts below a domain: `*.example.com`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostPattern {
    Host(String),
    Below(String),
}

/// Not a pattern of hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a host name or *.DOMAIN")]
pub struct NotHosts;

impl FromStr for HostPattern {
    type Err = NotHosts;

    fn from_str(text: &str) -> Result<Self, NotHosts> {
        let (domain, pattern): (_, fn(String) -> Self) = match text.strip_prefix("*.") {
            Some(domain) => (domain, Self::Below),
            None => (text, Self::Host),
        };
        // A top-level domain would permit nearly every host. `Host::parse` accepts further asterisks as ordinary
        // characters.
        if domain.contains('*') || (text.starts_with("*.") && !domain.contains('.')) {
            return Err(NotHosts);
        }
        let host = url::Host::parse(domain).map_err(|_| NotHosts)?.to_string();
        Ok(pattern(host.trim_end_matches('.').to_owned()))
    }
}

impl HostPattern {
    fn matches(&self, host: &str) -> bool {
        match self {
            Self::Host(name) => host == name,
            Self::Below(domain) => host.strip_suffix(domain.as_str()).is_some_and(|head| head.ends_with('.')),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(name) => f.write_str(name),
            Self::Below(domain) => write!(f, "*.{domain}"),
        }
    }
}

/// The hosts to which a credential may be sent besides the host that the profile names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosts(Vec<HostPattern>);

/// The reason why a credential is not sent to a URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostRefusal {
    NotHttps,
    /// Another host, which the profile does not permit.
    Foreign,
}

impl FromIterator<HostPattern> for Hosts {
    fn from_iter<I: IntoIterator<Item = HostPattern>>(patterns: I) -> Self {
        Self(patterns.into_iter().collect())
    }
}

impl Hosts {
    /// Reads built-in patterns; text that is not a pattern permits nothing.
    pub fn of(patterns: &[&str]) -> Self {
        patterns.iter().filter_map(|text| text.parse().ok()).collect()
    }

    pub fn extend(&mut self, patterns: impl IntoIterator<Item = HostPattern>) {
        self.0.extend(patterns);
    }

    /// Returns whether the URI's host is one of these.
    pub fn contains(&self, uri: &Url) -> bool {
        let host = uri.host_str().unwrap_or_default().trim_end_matches('.');
        self.0.iter().any(|pattern| pattern.matches(host))
    }

    /// Checks that the credential for `from` may be sent to `to`, a URI in a response of `from`: `to` must use TLS, and
    /// its host must be the same or one of these. Between ports of one loopback address, plain HTTP is permitted as
    /// well.
    ///
    /// # Errors
    /// The reason why the credential must not be sent.
    pub fn check(&self, from: &Url, to: &Url) -> Result<(), HostRefusal> {
        let same = from.host() == to.host();
        let plain = same && is_loopback(from) && from.scheme() == "http" && to.scheme() == "http";
        match to.scheme() {
            "https" if same || self.contains(to) => Ok(()),
            "https" => Err(HostRefusal::Foreign),
            _ if plain => Ok(()),
            _ => Err(HostRefusal::NotHttps),
        }
    }
}

/// Returns the instruction to permit a host.
pub fn permit(host: &str) -> String {
    format!("If you trust {host} with the credential, add to the profile: redirects = [\"{host}\"]")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(hosts: &[&str], from: &str, to: &str) -> Result<(), HostRefusal> {
        Hosts::of(hosts).check(&from.parse().unwrap(), &to.parse().unwrap())
    }

    #[test]
    fn a_credential_goes_to_permitted_hosts_over_tls() {
        let from = "https://pool.example.com/ps";
        let below = &["*.example.com", "other.test"][..];
        for (to, expected) in [
            ("https://pool.example.com:444/x", Ok(())),
            ("https://POOL2.example.com/", Ok(())),
            ("https://a.b.example.com./", Ok(())),
            ("https://other.test/", Ok(())),
            ("https://a.other.test/", Err(HostRefusal::Foreign)),
            ("https://example.com/", Err(HostRefusal::Foreign)),
            ("https://evilexample.com/", Err(HostRefusal::Foreign)),
            ("https://pool.example.com.evil.test/", Err(HostRefusal::Foreign)),
            ("https://pool.example.com@evil.test/", Err(HostRefusal::Foreign)),
            ("https://127.0.0.1/", Err(HostRefusal::Foreign)),
            ("http://pool.example.com/", Err(HostRefusal::NotHttps)),
            ("http://127.0.0.1/", Err(HostRefusal::NotHttps)),
            ("ftp://pool.example.com/", Err(HostRefusal::NotHttps)),
        ] {
            assert_eq!(check(below, from, to), expected, "{to}");
        }
    }

    #[test]
    fn plain_http_stays_on_one_loopback_address() {
        for (from, to, expected) in [
            ("http://127.0.0.1:1/", "http://127.0.0.1:2/x", Ok(())),
            ("http://[::1]:1/", "http://[::1]:2/x", Ok(())),
            ("http://127.0.0.1:1/", "http://127.0.0.2:1/", Err(HostRefusal::NotHttps)),
            ("http://127.0.0.1:1/", "http://localhost:1/", Err(HostRefusal::NotHttps)),
            ("https://127.0.0.1:1/", "http://127.0.0.1:1/", Err(HostRefusal::NotHttps)),
            ("http://server.example.com/", "http://server.example.com/x", Err(HostRefusal::NotHttps)),
            ("http://server.example.com/", "https://server.example.com/x", Ok(())),
        ] {
            assert_eq!(check(&[], from, to), expected, "{from} {to}");
        }
    }

    #[test]
    fn patterns_are_hosts_or_subdomains() {
        for (text, expected) in [
            ("Pool.Example.com", Ok("pool.example.com")),
            ("*.EXAMPLE.com", Ok("*.example.com")),
            ("*.bücher.example", Ok("*.xn--bcher-kva.example")),
            ("*", Err(NotHosts)),
            ("*.com", Err(NotHosts)),
            ("a*.example.com", Err(NotHosts)),
            ("https://example.com", Err(NotHosts)),
            ("example.com/x", Err(NotHosts)),
            ("", Err(NotHosts)),
        ] {
            let read = text.parse::<HostPattern>().map(|pattern| pattern.to_string());
            assert_eq!(read.as_deref().map_err(|error| *error), expected, "{text}");
        }
    }
}
