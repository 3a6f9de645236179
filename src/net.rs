//! What all HTTP clients here share: whom they trust, and what their failures mean.

pub mod refusals;
mod trust;

use url::Url;

pub use trust::{Trust, TrustError};

/// Why a server's certificate is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateProblem {
    #[error("it has expired")]
    Expired,
    #[error("it is not valid yet")]
    NotYetValid,
    #[error("it is for another name")]
    OtherName,
    /// No trusted authority has issued it.
    #[error("this machine does not know its issuer")]
    UnknownIssuer,
    #[error("it was revoked")]
    Revoked,
    /// What rustls says of it.
    #[error("{0}")]
    Other(String),
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

/// One error in a chain of them.
pub type Cause<'a> = &'a (dyn std::error::Error + 'static);

/// An error and what is behind it.
pub fn sources(error: Cause<'_>) -> impl Iterator<Item = Cause<'_>> {
    std::iter::successors(Some(error), |cause| cause.source())
}

/// The innermost cause is the one that says something: "Connection refused", "failed to lookup
/// address information".
pub fn innermost(error: Cause<'_>) -> String {
    let last = sources(error).last().map(ToString::to_string);
    last.unwrap_or_else(|| error.to_string())
}

/// An io::Error shows the source of what it holds, not what it holds.
fn tls_error(cause: Cause<'_>) -> Option<&rustls::Error> {
    let held = || cause.downcast_ref::<std::io::Error>()?.get_ref();
    cause.downcast_ref().or_else(|| tls_error(held()?))
}

/// What is wrong with the certificate, where that is why `error` came.
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
