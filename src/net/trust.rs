//! Which authorities a server's certificate may come from.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls_platform_verifier::Verifier;

use crate::files::text;

/// The system's authorities, and those of a profile's `ca` beside them.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    own: Vec<CertificateDer<'static>>,
}

/// A profile's `ca` is of no use.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum TrustError {
    #[error("the authorities' certificates in {path} can't be read: {source}")]
    #[diagnostic(help("correct ca in the profile: it names a file with certificates in PEM form"))]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("{path} is no file of authorities' certificates: {reason}")]
    #[diagnostic(help(
        "ca in the profile names a file in PEM form, with one or more parts that begin with -----BEGIN CERTIFICATE-----"
    ))]
    Wrong { path: PathBuf, reason: String },
}

impl Trust {
    /// Reads the certificates in a PEM file.
    ///
    /// # Errors
    /// It can't be read, or one in it is no certificate, or there is none.
    pub async fn read(path: &Path) -> Result<Self, TrustError> {
        let bytes = tokio::fs::read(path)
            .await
            .map_err(|source| TrustError::Unreadable { path: path.to_owned(), source })?;
        // Names of issuers beside the certificates may be in any encoding.
        let text = text::decode(&bytes).map_or(bytes, String::into_bytes);
        let wrong = |reason: String| TrustError::Wrong { path: path.to_owned(), reason };
        let mut own = Vec::new();
        // The client says only that it can't be built, and not why: each is looked at here.
        let mut store = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&text) {
            let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
            store.add(certificate.clone()).map_err(|error| wrong(error.to_string()))?;
            own.push(certificate);
        }
        if own.is_empty() {
            return Err(wrong("it has no certificate in it".into()));
        }
        Ok(Self { own })
    }

    /// An HTTP client to be built, that trusts them.
    pub fn client(&self) -> reqwest::ClientBuilder {
        // Another part of the program may have been first: it's the same provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = reqwest::Client::builder();
        if self.own.is_empty() {
            return builder;
        }
        // Each was looked at when it was read.
        builder.tls_certs_merge(self.own.iter().filter_map(|own| reqwest::Certificate::from_der(own).ok()))
    }

    /// TLS for a client that trusts them.
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
