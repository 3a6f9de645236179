//! The system's TLS library: SChannel, Secure Transport, or OpenSSL if the build includes it.

#[cfg(any(windows, target_os = "macos", feature = "system-tls"))]
pub(super) use present::SystemConnector;

#[cfg(not(any(windows, target_os = "macos", feature = "system-tls")))]
pub(super) use absent::SystemConnector;

#[cfg(not(any(windows, target_os = "macos", feature = "system-tls")))]
mod absent {
    use std::convert::Infallible;
    use std::error::Error;

    use crate::net::tls::stream::{Handshake, Stream, TlsSetupError};
    use crate::net::trust::Trust;

    /// A connector that this build cannot create.
    #[derive(Clone)]
    pub struct SystemConnector(Infallible);

    impl SystemConnector {
        pub fn new(_: &Trust) -> Result<Self, TlsSetupError> {
            Err(TlsSetupError::NotBuilt)
        }

        pub async fn connect<S: Stream + 'static>(
            &self,
            _: &str,
            _: S,
        ) -> Result<(Box<dyn Stream>, Handshake), Box<dyn Error + Send + Sync>> {
            match self.0 {}
        }
    }
}

#[cfg(any(windows, target_os = "macos", feature = "system-tls"))]
mod present {
    use std::error::Error;

    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use native_tls::{Certificate, Identity, Protocol};
    use pkcs8::der::asn1::{AnyRef, ContextSpecific, ObjectIdentifier, OctetStringRef};
    use pkcs8::der::{Decode as _, Encode as _, Reader as _, TagNumber};
    use pkcs8::spki::AlgorithmIdentifierRef;
    use rustls::pki_types::PrivateKeyDer;
    use secrecy::zeroize::Zeroizing;

    use crate::net::certificate::{CertificateProblem, Fingerprint, RefusedCertificate};
    use crate::net::identity::ClientCertificate;
    use crate::net::tls::stream::{Handshake, Stream, TlsSetupError};
    use crate::net::trust::Trust;

    #[derive(Clone)]
    pub struct SystemConnector {
        connector: tokio_native_tls::TlsConnector,
        pin: Option<Fingerprint>,
    }

    impl SystemConnector {
        pub fn new(trust: &Trust) -> Result<Self, TlsSetupError> {
            let failed = |error: native_tls::Error| TlsSetupError::System(error.to_string());
            let mut builder = native_tls::TlsConnector::builder();
            builder.min_protocol_version(Some(Protocol::Tlsv12));
            for own in &trust.own {
                builder.add_root_certificate(Certificate::from_der(own).map_err(failed)?);
            }
            if let Some(certificate) = &trust.certificate {
                builder.identity(identity(certificate)?);
            }
            if trust.pin.is_some() {
                // The library cannot verify a fingerprint; `connect` does so before the stream is used. The
                // handshake still proves that the server has the certificate's key.
                builder.danger_accept_invalid_certs(true).danger_accept_invalid_hostnames(true);
            }
            let connector = builder.build().map_err(failed)?.into();
            Ok(Self { connector, pin: trust.pin })
        }

        pub async fn connect<S: Stream + 'static>(
            &self,
            host: &str,
            stream: S,
        ) -> Result<(Box<dyn Stream>, Handshake), Box<dyn Error + Send + Sync>> {
            let stream = match self.connector.connect(host, stream).await {
                Ok(stream) => stream,
                Err(error) => {
                    let problem = problem(&error.to_string());
                    let refused = |problem| RefusedCertificate { problem, fingerprint: None };
                    return Err(problem.map_or_else(|| error.into(), |problem| refused(problem).into()));
                }
            };
            let certificate = stream.get_ref().peer_certificate()?;
            let certificate = certificate.ok_or(rustls::Error::NoCertificatesPresented)?.to_der()?;
            let found = Fingerprint::of(&certificate);
            if let Some(expected) = self.pin.filter(|pin| *pin != found) {
                let problem = CertificateProblem::OtherFingerprint { expected, found };
                return Err(RefusedCertificate { problem, fingerprint: Some(found) }.into());
            }
            Ok((Box::new(stream), Handshake { certificate, sent: None, protocol: None, suite: None }))
        }
    }

    /// Parses OpenSSL's reason for refusing a certificate: its message ends with the verification result.
    fn problem(text: &str) -> Option<CertificateProblem> {
        if !text.contains("certificate verify failed") {
            return None;
        }
        let result = text.rsplit_once(" (").map_or(text, |(_, result)| result.trim_end_matches(')'));
        let has = |words: &str| result.contains(words);
        Some(match result {
            _ if has("has expired") => CertificateProblem::Expired(None),
            _ if has("not yet valid") => CertificateProblem::NotYetValid(None),
            _ if has("name mismatch") || has("address mismatch") => CertificateProblem::OtherName(Vec::new()),
            "self-signed certificate" | "self signed certificate" => CertificateProblem::SelfSigned,
            _ if has("issuer certificate") || has("first certificate") || has("in certificate chain") => {
                CertificateProblem::UnknownIssuer
            }
            _ if has("revoked") => CertificateProblem::Revoked,
            _ => CertificateProblem::Other(result.to_owned()),
        })
    }

    /// Converts the client certificate to the format that all three libraries accept.
    fn identity(certificate: &ClientCertificate) -> Result<Identity, TlsSetupError> {
        let failed = |reason: String| TlsSetupError::System(format!("the client certificate: {reason}"));
        let key = pkcs8(certificate.key()).map_err(|error| failed(error.to_string()))?;
        let chain = &certificate.certified().cert;
        let chain: String = chain.iter().map(|one| pem("CERTIFICATE", one).to_string()).collect();
        let key = pem("PRIVATE KEY", &key);
        Identity::from_pkcs8(chain.as_bytes(), key.as_bytes()).map_err(|error| failed(error.to_string()))
    }

    fn pem(label: &str, der: &[u8]) -> Zeroizing<String> {
        let text = Zeroizing::new(STANDARD.encode(der));
        let mut pem = Zeroizing::new(String::with_capacity(text.len() + text.len() / 32 + 128));
        pem.push_str(&format!("-----BEGIN {label}-----\n"));
        for line in text.as_bytes().chunks(64) {
            pem.push_str(std::str::from_utf8(line).unwrap_or_default());
            pem.push('\n');
        }
        pem.push_str(&format!("-----END {label}-----\n"));
        pem
    }

    /// Converts a key to PKCS#8, which wraps keys in PKCS#1 (RFC 8017 A.1.2) and SEC 1 (RFC 5915).
    fn pkcs8(key: &PrivateKeyDer<'_>) -> pkcs8::der::Result<Zeroizing<Vec<u8>>> {
        let wrap = |algorithm: AlgorithmIdentifierRef<'_>, key: &[u8]| {
            let inner = OctetStringRef::new(key)?;
            pkcs8::PrivateKeyInfoRef::new(algorithm, inner).to_der().map(Zeroizing::new)
        };
        match key {
            PrivateKeyDer::Pkcs1(key) => {
                let oid = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
                let algorithm = AlgorithmIdentifierRef { oid, parameters: Some(AnyRef::NULL) };
                wrap(algorithm, key.secret_pkcs1_der())
            }
            PrivateKeyDer::Sec1(key) => {
                let bytes = key.secret_sec1_der();
                let curve = AnyRef::from_der(bytes)?.sequence(|reader| {
                    let _version: AnyRef<'_> = reader.decode()?;
                    let _key: AnyRef<'_> = reader.decode()?;
                    let curve = ContextSpecific::<AnyRef<'_>>::decode_explicit(reader, TagNumber(0))?;
                    while !reader.is_finished() {
                        let _: AnyRef<'_> = reader.decode()?;
                    }
                    Ok::<_, pkcs8::der::Error>(curve.map(|curve| curve.value))
                })?;
                let oid = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
                wrap(AlgorithmIdentifierRef { oid, parameters: curve }, bytes)
            }
            PrivateKeyDer::Pkcs8(key) => Ok(Zeroizing::new(key.secret_pkcs8_der().to_vec())),
            _ => Err(pkcs8::der::Tag::Sequence.value_error().into()),
        }
    }
}
