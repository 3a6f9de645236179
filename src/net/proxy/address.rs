//! The proxy of a profile and its address.

use std::fmt;
use std::str::FromStr;

use url::Url;

use crate::net::host_name;

/// Default port of SOCKS (RFC 1928, 3).
const SOCKS_PORT: u16 = 1080;

/// `proxy` in a profile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ProxySetting {
    /// The proxy of the environment variables, or of the operating system.
    #[default]
    System,
    None,
    Address(ProxyAddress),
}

/// The protocol of a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Http,
    /// HTTP inside TLS.
    Https,
    /// SOCKS 5; this computer looks up host names.
    Socks5,
    /// SOCKS 5; the proxy looks up host names.
    Socks5h,
}

/// The address of a proxy, without a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyAddress {
    pub protocol: Protocol,
    /// `http` or `https`, with the host and the port: identifies the proxy.
    uri: Url,
    port: u16,
}

/// Not the address of a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotProxy {
    /// The text is not a URL, or has another scheme, no host, a path or a query.
    #[error("expected http://HOST:PORT, https://HOST:PORT, socks5h://HOST:PORT or socks5://HOST:PORT")]
    Form,
    /// The URL has a user name or a password, which belong to other keys of the profile.
    #[error("a profile must not contain a secret: use proxy_user and proxy_credential")]
    Credential,
}

impl FromStr for ProxySetting {
    type Err = NotProxy;

    fn from_str(text: &str) -> Result<Self, NotProxy> {
        match text {
            "none" => Ok(Self::None),
            "system" => Ok(Self::System),
            _ => {
                let url = Url::parse(text).map_err(|_| NotProxy::Form)?;
                if !url.username().is_empty() || url.password().is_some() {
                    return Err(NotProxy::Credential);
                }
                ProxyAddress::of(&url).map(Self::Address)
            }
        }
    }
}

impl fmt::Display for ProxySetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => f.write_str("system"),
            Self::None => f.write_str("none"),
            Self::Address(address) => address.fmt(f),
        }
    }
}

impl Protocol {
    const ALL: [Self; 4] = [Self::Http, Self::Https, Self::Socks5, Self::Socks5h];

    const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Socks5 => "socks5",
            Self::Socks5h => "socks5h",
        }
    }

    pub const fn is_socks(self) -> bool {
        matches!(self, Self::Socks5 | Self::Socks5h)
    }
}

impl ProxyAddress {
    /// Returns the address in a URL, whose user and password are ignored.
    pub fn of(url: &Url) -> Result<Self, NotProxy> {
        let protocol = Protocol::ALL.into_iter().find(|protocol| protocol.name() == url.scheme());
        let (Some(protocol), Some(host)) = (protocol, url.host_str().filter(|host| !host.is_empty())) else {
            return Err(NotProxy::Form);
        };
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(NotProxy::Form);
        }
        let port = url.port_or_known_default().unwrap_or(SOCKS_PORT);
        let scheme = if protocol == Protocol::Https { "https" } else { "http" };
        let uri = Url::parse(&format!("{scheme}://{host}:{port}/")).map_err(|_| NotProxy::Form)?;
        Ok(Self { protocol, uri, port })
    }

    pub fn uri(&self) -> &Url {
        &self.uri
    }

    /// Returns the host name for TLS.
    pub fn host(&self) -> &str {
        host_name(&self.uri)
    }
}

impl fmt::Display for ProxyAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.uri.host_str().unwrap_or_default();
        write!(f, "{}://{host}:{}", self.protocol.name(), self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_an_address_without_a_credential() {
        for (text, expected) in [
            ("none", Ok("none")),
            ("system", Ok("system")),
            ("http://proxy.example.com:3128", Ok("http://proxy.example.com:3128")),
            ("http://Proxy/", Ok("http://proxy:80")),
            ("https://proxy", Ok("https://proxy:443")),
            ("socks5h://127.0.0.1:80", Ok("socks5h://127.0.0.1:80")),
            ("socks5://[::1]", Ok("socks5://[::1]:1080")),
            ("http://a:b@proxy:1", Err(NotProxy::Credential)),
            ("socks5h://a@proxy:1", Err(NotProxy::Credential)),
            ("socks4://proxy:1", Err(NotProxy::Form)),
            ("socks5h://:1", Err(NotProxy::Form)),
            ("http://proxy/path", Err(NotProxy::Form)),
            ("proxy:3128", Err(NotProxy::Form)),
            ("proxy", Err(NotProxy::Form)),
            ("None", Err(NotProxy::Form)),
        ] {
            let read = text.parse::<ProxySetting>().map(|setting| setting.to_string());
            assert_eq!(read.as_deref().map_err(|error| *error), expected, "{text}");
        }
    }
}
