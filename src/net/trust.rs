//! Trusted certificates, TLS library and client certificate of a profile.

use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::certificate::Fingerprint;
use super::identity::ClientCertificate;
use crate::files::text;

/// The TLS library; `tls` in a profile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsLibrary {
    #[default]
    Rustls,
    /// SChannel, Secure Transport or OpenSSL.
    System,
}

impl TlsLibrary {
    pub const ALL: [Self; 2] = [Self::Rustls, Self::System];

    /// Returns the value in a profile.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rustls => "rustls",
            Self::System => "system",
        }
    }
}

/// TLS settings of a profile: additional CA certificates, pinned certificate, library and client certificate.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// CA certificates, and server certificates that are trusted directly.
    pub(super) own: Vec<CertificateDer<'static>>,
    /// The only accepted server certificate, regardless of its issuer, names and dates.
    pub pin: Option<Fingerprint>,
    pub library: TlsLibrary,
    /// The client's certificate.
    pub certificate: Option<ClientCertificate>,
}

/// Error of reading a profile's `ca`.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum TrustError {
    /// The file of `ca` does not exist, or this user may not read it.
    #[error("cannot read the CA certificates in {path}: {source}")]
    #[diagnostic(help("set ca in the profile to a PEM file of CA certificates"))]
    Unreadable { path: PathBuf, source: std::io::Error },
    /// The file of `ca` has no CERTIFICATE section, or an invalid one.
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
}
