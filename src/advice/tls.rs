//! Advice for refused certificates and failed TLS handshakes.

use crate::net::{CertificateProblem, HandshakeProblem, RefusedCertificate};

/// IIS with SslNegotiateCert requests a client certificate after the HTTP request. rustls refuses the renegotiation of
/// TLS 1.2 (rustls/rustls#1999), and neither rustls nor the system's TLS library supports the post-handshake
/// authentication of TLS 1.3.
pub(super) const RENEGOTIATION: &str = "Add tls = \"system\" to the profile if the server asks for a client certificate after the request, as IIS does for \
     a directory with SslNegotiateCert. With TLS 1.3, limit the server to TLS 1.2, or configure it to \
     request the certificate in the handshake.";

impl HandshakeProblem {
    /// Returns the advice.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::NoCommonCipher => {
                "Windows Server 2012 R2 often offers only suites that rustls does not have: add tls = \"system\" to \
                 the profile if it is not there, or enable an ECDHE suite with AES-GCM on the server. A server can \
                 also refuse this way if it requires a client certificate: authentication = \"certificate\"."
            }
            Self::NoClientCertificate => {
                "Add authentication = \"certificate\" and the file of the certificate to the profile: \
                 certificate = \"…\"."
            }
            Self::ClientCertificateRefused => {
                "Check that the certificate in the profile has not expired, that it is for client authentication, \
                 and that the server trusts its issuer."
            }
            Self::OldVersion => {
                "Enable TLS 1.2 on the server: Windows Server 2008 R2 needs the update KB3080079 and a setting in \
                 its registry."
            }
            Self::SmallKey => {
                "Enable an ECDHE cipher suite on the server, or a Diffie-Hellman key of 2048 bits."
            }
            Self::NotTls => {
                "Check the port and the scheme of uri in the profile: WinRM has HTTPS on port 5986."
            }
        }
    }
}

/// Returns the advice for a certificate, with the `pin` that trusts it.
pub(super) fn certificate(endpoint: &str, refused: &RefusedCertificate) -> String {
    let now = match &refused.problem {
        CertificateProblem::OtherName(_) => "use a name from the certificate in the profile's URI",
        CertificateProblem::NoName(_) => {
            "ask its administrator for a certificate with the server's name as a subject alternative name"
        }
        CertificateProblem::UnknownIssuer => {
            "add its CA certificate to this machine's trusted certificates, or name the file in the profile: ca = \"…\""
        }
        CertificateProblem::SelfSigned => "name the file of its certificate in the profile: ca = \"…\"",
        CertificateProblem::OtherFingerprint { .. } => {
            "ask its administrator whether it has a new certificate, and compare the fingerprints"
        }
        _ => "ask its administrator to renew the certificate",
    };
    let pin = match (&refused.problem, refused.fingerprint) {
        (CertificateProblem::Revoked, _) | (_, None) => String::new(),
        (CertificateProblem::OtherFingerprint { .. }, Some(found)) => {
            format!(" Then write to the profile: pin = \"{}\"", found.digits())
        }
        (_, Some(found)) => format!(
            " To trust only this certificate, compare its fingerprint with the server's administrator, then add \
             to the profile: pin = \"{}\"",
            found.digits()
        ),
    };
    format!("If {endpoint} is the intended server, {now}.{pin}")
}
