//! Which certificates a profile accepts, and with which library and certificate it connects.

use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::certificate::Fingerprint;
use super::identity::ClientCertificate;
use super::tls::{self, TlsConnector, TlsLibrary, TlsSetupError};
use crate::files::text;

/// The system's CA certificates, those of a profile's `ca`, and what applies to the endpoint alone.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// CA certificates, and server certificates that are trusted by themselves.
    pub(super) own: Vec<CertificateDer<'static>>,
    /// The only certificate that the endpoint may have, whatever its issuer, names and dates.
    pub pin: Option<Fingerprint>,
    pub library: TlsLibrary,
    /// The client's certificate.
    pub certificate: Option<ClientCertificate>,
}

/// Error of reading a profile's `ca`.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum TrustError {
    #[error("cannot read the CA certificates in {path}: {source}")]
    #[diagnostic(help("set ca in the profile to a PEM file of CA certificates"))]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("{path} is not a PEM file of CA certificates: {reason}")]
    #[diagnostic(help(
        "set ca in the profile to a PEM file with one or more -----BEGIN CERTIFICATE----- sections"
    ))]
    Wrong { path: PathBuf, reason: String },
}

impl Trust {
    /// Reads the certificates in a PEM file.
    ///
    /// # Errors
    /// The file cannot be read, has no certificate, or has an invalid one.
    pub async fn read(path: &Path) -> Result<Self, TrustError> {
        let bytes = tokio::fs::read(path)
            .await
            .map_err(|source| TrustError::Unreadable { path: path.to_owned(), source })?;
        // The text between the certificates may be in any encoding.
        let text = text::decode(&bytes).map_or(bytes, String::into_bytes);
        let wrong = |reason: String| TrustError::Wrong { path: path.to_owned(), reason };
        let mut own = Vec::new();
        // The error of the client builder has no reason, so each certificate is checked here.
        let mut store = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&text) {
            let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
            store.add(certificate.clone()).map_err(|error| wrong(error.to_string()))?;
            own.push(certificate);
        }
        if own.is_empty() {
            return Err(wrong("it contains no certificate".into()));
        }
        Ok(Self { own, ..Self::default() })
    }

    /// An HTTP client to be built for discovery and token services, to which the pin does not apply.
    pub fn client(&self) -> reqwest::ClientBuilder {
        self.http(false)
    }

    /// An HTTP client to be built for the endpoint.
    pub fn endpoint_client(&self) -> reqwest::ClientBuilder {
        self.http(true)
    }

    fn http(&self, pinned: bool) -> reqwest::ClientBuilder {
        // Another part of the program may have been first: it's the same provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = reqwest::Client::builder();
        match tls::config(self, pinned) {
            Ok(config) => builder.tls_backend_preconfigured(config),
            // Plain http must work where the system has no CA certificates; https then fails in the client.
            Err(_) => builder,
        }
    }

    /// TLS to the endpoint.
    ///
    /// # Errors
    /// The system's certificates cannot be used, or the library is not part of this build.
    pub fn tls(&self) -> Result<TlsConnector, TlsSetupError> {
        TlsConnector::new(self)
    }
}
