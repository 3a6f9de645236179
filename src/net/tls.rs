//! TLS to the endpoint of a profile, with rustls or the system's library.

mod stream;
mod system;
mod verifier;

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::client::ResolvesClientCert;
use rustls::pki_types::ServerName;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, SignatureScheme};

use self::system::SystemConnector;
use self::verifier::ProfileVerifier;
use super::handshake::ClientAuthentication;
use super::identity::ClientCertificate;
use super::trust::{TlsLibrary, Trust};
pub use stream::{Handshake, Stream, TlsSetupError};

/// Opens TLS connections to one endpoint.
#[derive(Clone)]
pub struct TlsConnector {
    library: Library,
    /// Set if the server requested a client certificate in a handshake.
    is_requested: Arc<AtomicBool>,
    has_certificate: bool,
}

#[derive(Clone)]
enum Library {
    Rustls(tokio_rustls::TlsConnector),
    System(SystemConnector),
}

impl TlsConnector {
    /// Returns a connector for the endpoint of a profile, with its pin and client certificate.
    ///
    /// # Errors
    /// The system's certificates cannot be read, or the library is not part of this build.
    pub fn new(trust: &Trust) -> Result<Self, TlsSetupError> {
        let is_requested = Arc::new(AtomicBool::new(false));
        let has_certificate = trust.certificate.is_some();
        let library = match trust.library {
            TlsLibrary::System => Library::System(SystemConnector::new(trust)?),
            TlsLibrary::Rustls => {
                let mut config = config(trust)?;
                config.alpn_protocols = vec![b"http/1.1".to_vec()];
                let certificate = trust.certificate.as_ref().map(ClientCertificate::certified);
                config.client_auth_cert_resolver =
                    Arc::new(ClientCertificateResolver { certificate, is_requested: is_requested.clone() });
                Library::Rustls(Arc::new(config).into())
            }
        };
        Ok(Self { library, is_requested, has_certificate })
    }

    /// Opens TLS on a connected stream. Returns the stream inside TLS, and its parameters.
    ///
    /// # Errors
    /// The handshake fails, or the certificate is refused ([`super::refused_certificate`]).
    pub async fn connect<S: Stream + 'static>(
        &self,
        host: &str,
        stream: S,
    ) -> Result<(Box<dyn Stream>, Handshake), Box<dyn Error + Send + Sync>> {
        match &self.library {
            Library::System(library) => library.connect(host, stream).await,
            Library::Rustls(library) => {
                let name = ServerName::try_from(host.to_owned())?;
                let stream = library.connect(name, stream).await?;
                let session = stream.get_ref().1;
                let certificates = session.peer_certificates().unwrap_or_default();
                let certificate = certificates.first().ok_or(rustls::Error::NoCertificatesPresented)?;
                let handshake = Handshake {
                    certificate: certificate.to_vec(),
                    sent: Some(certificates.len()),
                    protocol: session.protocol_version().and_then(|version| version.as_str()),
                    suite: session.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str()),
                };
                Ok((Box::new(stream), handshake))
            }
        }
    }

    /// Returns the state of client authentication.
    pub fn client_authentication(&self) -> ClientAuthentication {
        ClientAuthentication {
            is_requested: self.is_requested.load(Ordering::Relaxed),
            has_certificate: self.has_certificate,
        }
    }
}

impl Trust {
    /// Returns the settings for other servers than the endpoint, to which pin and client certificate do not apply.
    pub fn of_others(&self) -> Self {
        Self { own: self.own.clone(), ..Self::default() }
    }

    /// Returns the settings for a request to the endpoint that precedes the session.
    pub fn before_session(&self) -> Self {
        Self { pin: self.pin, ..self.of_others() }
    }

    /// Returns a TLS connector for the endpoint.
    ///
    /// # Errors
    /// The system's certificates cannot be used, or the library is not part of this build.
    pub fn tls(&self) -> Result<TlsConnector, TlsSetupError> {
        TlsConnector::new(self)
    }
}

/// Returns rustls's configuration for `trust`.
fn config(trust: &Trust) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = ProfileVerifier::new(&trust.own, trust.pin, &provider)?;
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth())
}

/// Presents the client certificate, and records that the server requested it.
#[derive(Debug)]
struct ClientCertificateResolver {
    certificate: Option<Arc<CertifiedKey>>,
    is_requested: Arc<AtomicBool>,
}

impl ResolvesClientCert for ClientCertificateResolver {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.is_requested.store(true, Ordering::Relaxed);
        self.certificate.clone()
    }

    fn has_certs(&self) -> bool {
        // Otherwise rustls does not call `resolve`, and the server's request is not recorded.
        true
    }
}
