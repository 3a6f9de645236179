//! Trusted CA certificates.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls_platform_verifier::Verifier;

use crate::files::text;

/// The system's CA certificates and those of a profile's `ca`.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    own: Vec<CertificateDer<'static>>,
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
        Ok(Self { own })
    }

    /// Returns a builder of HTTP clients that trust these certificates.
    pub fn client(&self) -> reqwest::ClientBuilder {
        // Fails if another part of the program already installed the same provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = reqwest::Client::builder();
        match self.own.is_empty() {
            true => builder,
            // The certificates were checked when they were read.
            false => builder
                .tls_certs_merge(self.own.iter().filter_map(|own| reqwest::Certificate::from_der(own).ok())),
        }
    }

    /// Returns a TLS configuration of clients that trust these certificates.
    ///
    /// # Errors
    /// The system's certificates cannot be used.
    pub fn tls(&self) -> Result<rustls::ClientConfig, rustls::Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let own = self.own.iter().cloned();
        let verifier = Verifier::new_with_extra_roots(own, provider.clone())?;
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        Ok(config)
    }
}
