//! Common parts of the HTTP clients: connections, proxies, trusted CA certificates and error causes.

pub mod basic;
mod certificate;
mod connector;
mod handshake;
mod hosts;
mod identity;
mod io;
mod proxy;
pub mod refusals;
pub mod response;
pub mod steps;
mod tls;
mod trust;

use hyper::header::HeaderValue;
use url::Url;

pub use certificate::{
    CertificateProblem, Facts as CertificateFacts, Fingerprint, NotFingerprint, RefusedCertificate,
    tls_server_end_point,
};
pub use connector::{Conn, Connector, Failure, HttpClient, KEEP_IDLE, is_late, proxy_error};
pub use handshake::{ClientAuthentication, HandshakeProblem, cut_handshake, handshake_problem};
pub use hosts::{HostPattern, HostRefusal, Hosts, NotHosts, permit};
pub use identity::{ClientCertificate, IdentityError, is_pem_file, needs_passphrase};
pub use proxy::{
    NotProxy, Proxies, Proxy, ProxyAddress, ProxyError, ProxyLogin, ProxyProblem, ProxySetting, ProxyStep,
};
pub use tls::{Handshake, Stream, TlsConnector, TlsSetupError};
pub use trust::{TlsLibrary, Trust, TrustError};

/// User agent.
pub const AGENT: HeaderValue = HeaderValue::from_static(concat!("lyncsh/", env!("CARGO_PKG_VERSION")));

/// `Accept-Encoding` of requests: a compressed response saves little on a local network, and delays the first byte.
pub const IDENTITY: HeaderValue = HeaderValue::from_static("identity");

/// Returns whether a URI's host is a loopback address. Without TLS, a credential may be sent only to such an address.
pub fn is_loopback(uri: &Url) -> bool {
    match uri.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        None => false,
    }
}

/// Returns a URI's host without the brackets of an IPv6 address.
pub fn host_name(uri: &Url) -> &str {
    uri.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']')
}

/// Returns a URI for messages: without its user, query and fragment.
pub fn display(uri: &Url) -> String {
    let mut shown = without_user(uri.clone());
    shown.set_query(None);
    shown.to_string()
}

/// Returns a URI without the user and the fragment, which are not sent. A redirect's target may contain a password.
pub fn without_user(mut uri: Url) -> Url {
    uri.set_fragment(None);
    // Both calls fail only for a URI without a host, which has neither user nor password.
    let _ = (uri.set_username(""), uri.set_password(None));
    uri
}

/// An error in a chain of errors.
pub type Cause<'a> = &'a (dyn std::error::Error + 'static);

/// Returns an error and its sources.
pub fn sources(error: Cause<'_>) -> impl Iterator<Item = Cause<'_>> {
    std::iter::successors(Some(error), |cause| cause.source())
}

/// Returns the text of the innermost cause, which is the most specific: "Connection refused", "failed to
/// lookup address information".
pub fn innermost(error: Cause<'_>) -> String {
    let last = sources(error).last().map(ToString::to_string);
    last.unwrap_or_else(|| error.to_string())
}

/// Returns the rustls error in a cause, also inside an `io::Error`, whose `source` skips the inner error.
fn tls_error(cause: Cause<'_>) -> Option<&rustls::Error> {
    let held = || cause.downcast_ref::<std::io::Error>()?.get_ref();
    cause.downcast_ref().or_else(|| tls_error(held()?))
}

/// Returns the certificate problem that caused `error`.
pub fn refused_certificate(error: Cause<'_>) -> Option<RefusedCertificate> {
    sources(error).find_map(|cause| {
        let held = || cause.downcast_ref::<std::io::Error>()?.get_ref()?.downcast_ref();
        if let Some(refused) = cause.downcast_ref::<RefusedCertificate>().or_else(held) {
            return Some(refused.clone());
        }
        match tls_error(cause)? {
            rustls::Error::InvalidCertificate(rustls::CertificateError::Other(other)) => {
                let other: Cause<'_> = &*other.0;
                other.downcast_ref::<RefusedCertificate>().cloned()
            }
            rustls::Error::InvalidCertificate(refused) => Some(RefusedCertificate {
                problem: CertificateProblem::Other(refused.to_string()),
                fingerprint: None,
            }),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_name_has_no_brackets() {
        for (uri, expected) in [
            ("https://Pool.example.com:444/x", "pool.example.com"),
            ("http://127.0.0.1/", "127.0.0.1"),
            ("http://[::1]:5985/wsman", "::1"),
        ] {
            assert_eq!(host_name(&uri.parse().unwrap()), expected);
        }
    }
}
