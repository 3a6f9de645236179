//! Common parts of the HTTP clients: trusted CA certificates and error causes.

pub mod refusals;
mod trust;

use url::Url;

pub use trust::{Trust, TrustError};

/// Reason why a server's certificate is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateProblem {
    #[error("expired")]
    Expired,
    #[error("not valid yet")]
    NotYetValid,
    #[error("issued for another host name")]
    OtherName,
    /// The issuer is not a trusted CA.
    #[error("unknown issuer")]
    UnknownIssuer,
    #[error("revoked")]
    Revoked,
    /// Error text of rustls.
    #[error("{0}")]
    Other(String),
}

/// Returns whether a URI's host is a loopback address: only there a credential may be sent without TLS.
pub fn is_loopback(uri: &Url) -> bool {
    match uri.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        None => false,
    }
}

/// An error in a chain of errors.
pub type Cause<'a> = &'a (dyn std::error::Error + 'static);

/// Returns an error and its sources.
pub fn sources(error: Cause<'_>) -> impl Iterator<Item = Cause<'_>> {
    std::iter::successors(Some(error), |cause| cause.source())
}

/// Returns the text of the innermost cause, which is the specific one: "Connection refused", "failed to
/// lookup address information".
pub fn innermost(error: Cause<'_>) -> String {
    let last = sources(error).last().map(ToString::to_string);
    last.unwrap_or_else(|| error.to_string())
}

/// Returns the source of an error. An `io::Error` skips its inner error and returns that error's source.
fn tls_error(cause: Cause<'_>) -> Option<&rustls::Error> {
    let held = || cause.downcast_ref::<std::io::Error>()?.get_ref();
    cause.downcast_ref().or_else(|| tls_error(held()?))
}

/// Returns why a certificate was refused, if that is the cause of `error`.
pub fn refused_certificate(error: Cause<'_>) -> Option<CertificateProblem> {
    use rustls::CertificateError as Refused;
    let refused = sources(error).find_map(|cause| match tls_error(cause)? {
        rustls::Error::InvalidCertificate(refused) => Some(refused.clone()),
        _ => None,
    })?;
    Some(match refused {
        Refused::Expired | Refused::ExpiredContext { .. } => CertificateProblem::Expired,
        Refused::NotValidYet | Refused::NotValidYetContext { .. } => CertificateProblem::NotYetValid,
        Refused::NotValidForName | Refused::NotValidForNameContext { .. } => CertificateProblem::OtherName,
        Refused::UnknownIssuer => CertificateProblem::UnknownIssuer,
        Refused::Revoked => CertificateProblem::Revoked,
        other => CertificateProblem::Other(other.to_string()),
    })
}

/// The channel binding of a server's certificate.
pub fn channel_binding(_certificate: &[u8]) -> Option<Vec<u8>> {
    None
}
