//! Verification of a server's certificate: the profile's pin, the profile's certificates, the system.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};
use rustls_platform_verifier::Verifier;

use crate::net::certificate::{CertificateProblem, Facts, Fingerprint, RefusedCertificate, day};

#[derive(Debug)]
pub(super) struct ProfileVerifier {
    rule: Rule,
    algorithms: WebPkiSupportedAlgorithms,
}

#[derive(Debug)]
enum Rule {
    /// Only this certificate; needs no CA certificates.
    Pin(Fingerprint),
    /// A certificate of the profile's `ca`, or a certificate that a trusted CA has issued.
    Chain { own: Vec<CertificateDer<'static>>, verifier: Verifier },
}

impl ProfileVerifier {
    pub fn new(
        own: &[CertificateDer<'static>],
        pin: Option<Fingerprint>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, Error> {
        let rule = if let Some(pin) = pin {
            Rule::Pin(pin)
        } else {
            let verifier = Verifier::new_with_extra_roots(own.iter().cloned(), provider.clone())?;
            Rule::Chain { own: own.to_vec(), verifier }
        };
        Ok(Self { rule, algorithms: provider.signature_verification_algorithms })
    }

    /// Verifies a server certificate that is itself in `ca`. It is trusted as its own issuer, but webpki refuses a CA
    /// certificate as a server certificate (`CaUsedAsEndEntity`), and most tools create self-signed certificates as CA
    /// certificates.
    fn named(
        certificate: &CertificateDer<'_>,
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), CertificateProblem> {
        let facts = Facts::of(certificate);
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(now.as_secs());
        if let Some(problem) = facts.dates(now) {
            return Err(problem);
        }
        let parsed = ParsedCertificate::try_from(certificate);
        let parsed = parsed.map_err(|error| CertificateProblem::Other(error.to_string()))?;
        verify_server_name(&parsed, name).map_err(|_| facts.wrong_name())
    }
}

/// Returns a rustls error with the problem and the fingerprint.
fn refused(certificate: &[u8], problem: CertificateProblem) -> Error {
    let fingerprint = Some(Fingerprint::of(certificate));
    let refused = RefusedCertificate { problem, fingerprint };
    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(refused))))
}

fn problem(certificate: &[u8], error: CertificateError) -> CertificateProblem {
    use CertificateError as Refused;
    let facts = Facts::of(certificate);
    match error {
        Refused::Expired | Refused::ExpiredContext { .. } => {
            CertificateProblem::Expired(facts.not_after.map(day))
        }
        Refused::NotValidYet | Refused::NotValidYetContext { .. } => {
            CertificateProblem::NotYetValid(facts.not_before.map(day))
        }
        Refused::NotValidForName | Refused::NotValidForNameContext { .. } => facts.wrong_name(),
        Refused::Revoked => CertificateProblem::Revoked,
        Refused::UnknownIssuer if facts.is_self_issued => CertificateProblem::SelfSigned,
        Refused::UnknownIssuer => CertificateProblem::UnknownIssuer,
        // Such as webpki's CaUsedAsEndEntity, or a CA certificate of the same name with another key.
        _ if facts.is_self_issued => CertificateProblem::SelfSigned,
        other => CertificateProblem::Other(other.to_string()),
    }
}

impl ServerCertVerifier for ProfileVerifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = match &self.rule {
            Rule::Pin(expected) => {
                let (expected, found) = (*expected, Fingerprint::of(certificate));
                if found == expected {
                    Ok(())
                } else {
                    Err(CertificateProblem::OtherFingerprint { expected, found })
                }
            }
            Rule::Chain { own, .. } if own.iter().any(|own| own == certificate) => {
                Self::named(certificate, name, now)
            }
            Rule::Chain { verifier, .. } => {
                match verifier.verify_server_cert(certificate, intermediates, name, ocsp, now) {
                    Err(Error::InvalidCertificate(error)) => Err(problem(certificate, error)),
                    other => return other,
                }
            }
        };
        match verified {
            Ok(()) => Ok(ServerCertVerified::assertion()),
            Err(problem) => Err(refused(certificate, problem)),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
