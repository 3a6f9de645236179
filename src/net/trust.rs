//! Which certificates a profile accepts, and with which library and certificate it connects.

use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::certificate::Fingerprint;
use super::identity::ClientCertificate;
use crate::files::text;

/// The library that speaks TLS; `tls` in a profile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsLibrary {
    #[default]
    Rustls,
    /// SChannel, Secure Transport or OpenSSL.
    System,
}

impl TlsLibrary {
    pub const ALL: [Self; 2] = [Self::Rustls, Self::System];

    /// As it stands in a profile.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rustls => "rustls",
            Self::System => "system",
        }
    }
}

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
        Ok(Self { own, ..Self::default() })
    }
}
