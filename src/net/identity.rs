//! Client certificates: PEM or PKCS#12 files, with or without a passphrase.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use p12_keystore::Pkcs12Archive;
use pkcs8::EncryptedPrivateKeyInfoRef;
use rustls::SignatureScheme;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use x509_cert::der::asn1::AnyRef;
use x509_cert::der::{Decode as _, Encode as _, Tag, Tagged as _};

use crate::platform;

/// Error of reading a client certificate.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum IdentityError {
    /// A file of `certificate` or `key` does not exist, or this user may not read it.
    #[error("cannot read {path}: {source}")]
    #[diagnostic(help("correct `certificate` or `key` in the profile"))]
    Unreadable { path: PathBuf, source: std::io::Error },
    /// The PEM file has no CERTIFICATE section, or the file is neither PEM nor PKCS#12.
    #[error("{path} contains no certificate")]
    #[diagnostic(help("set certificate in the profile to a PEM file or a PKCS#12 file"))]
    NoCertificate { path: PathBuf },
    /// The file has only certificates: the key is in another file, which `key` must name.
    #[error("{path} contains no private key")]
    #[diagnostic(help("add key = \"…\" with the PEM file of the private key to the profile"))]
    NoKey { path: PathBuf },
    /// A PKCS#12 file always has its own key, and the profile names another one.
    #[error("{path} contains certificate and key (PKCS#12), but the profile also sets key")]
    #[diagnostic(help("remove key from the profile"))]
    TwoKeys { path: PathBuf },
    /// The permissions or the owner of the file let other users read a key that is not encrypted.
    #[error("other users can read {path}, a private key without a passphrase")]
    #[diagnostic(help("run: chmod 600 '{}'", path.display()))]
    Exposed { path: PathBuf },
    /// The key has the header `Proc-Type: 4,ENCRYPTED` (RFC 1421, 4.6.1.1): OpenSSL's form before PKCS#8.
    #[error("{path} is encrypted in the traditional PEM form, which has a weak key derivation")]
    #[diagnostic(help(
        "convert it, and use the new file in the profile: openssl pkcs8 -topk8 -v2 aes-256-cbc -in '{}' -out \
         '{}'",
        path.display(),
        path.with_extension("p8").display()
    ))]
    Traditional { path: PathBuf },
    /// The profile's secret is not the passphrase: the decryption or the MAC of the file failed.
    #[error("the passphrase does not decrypt {path}")]
    #[diagnostic(help("store the passphrase with `lyncsh login`, or correct credential in the profile"))]
    Passphrase { path: PathBuf },
    /// The key is malformed, or its encryption or type is not supported.
    #[error("cannot use the private key in {path}: {reason}")]
    #[diagnostic(help("convert it: openssl pkcs8 -topk8 -v2 aes-256-cbc -in OLD -out NEW"))]
    Unusable { path: PathBuf, reason: String },
    /// The public key of no certificate in the file is that of the private key.
    #[error("the private key in {key} does not belong to a certificate in {certificate}")]
    #[diagnostic(help("correct `certificate` or `key` in the profile"))]
    Mismatch { certificate: PathBuf, key: PathBuf },
}

/// A client certificate and its key.
#[derive(Clone)]
pub struct ClientCertificate {
    certified: Arc<CertifiedKey>,
    key: Arc<Zeroizing<PrivateKeyDer<'static>>>,
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientCertificate")
    }
}

impl ClientCertificate {
    /// Reads the files of a profile on a thread that may block.
    ///
    /// # Errors
    /// A file cannot be read or used, or the passphrase is wrong.
    pub async fn load(
        certificate: PathBuf,
        key: Option<PathBuf>,
        passphrase: SecretString,
    ) -> Result<Self, IdentityError> {
        let path = certificate.clone();
        let read = tokio::task::spawn_blocking(move || Self::read(&certificate, key.as_deref(), &passphrase));
        let failed = |error| IdentityError::Unreadable { path, source: std::io::Error::other(error) };
        read.await.map_err(failed)?
    }

    /// Reads the files of a profile. Blocks: the derivation of a key takes up to a second.
    ///
    /// # Errors
    /// A file cannot be read or used, or the passphrase is wrong.
    pub fn read(
        certificate: &Path,
        key: Option<&Path>,
        passphrase: &SecretString,
    ) -> Result<Self, IdentityError> {
        let bytes = contents(certificate)?;
        let (certificates, private, key) = if is_pem(&bytes) {
            let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
            let none = |_| IdentityError::NoCertificate { path: certificate.to_owned() };
            let certificates = certificates.map_err(none)?;
            let key = key.unwrap_or(certificate);
            (certificates, pem_key(key, passphrase)?, key)
        } else if key.is_some() {
            return Err(IdentityError::TwoKeys { path: certificate.to_owned() });
        } else {
            let (certificates, private) = pkcs12(certificate, &bytes, passphrase)?;
            (certificates, private, certificate)
        };
        if certificates.is_empty() {
            return Err(IdentityError::NoCertificate { path: certificate.to_owned() });
        }
        let unusable = |error: rustls::Error| IdentityError::Unusable {
            path: key.to_owned(),
            reason: error.to_string(),
        };
        let signing = any_supported_type(&private).map_err(unusable)?;
        // Finds the key's certificate: PKCS#12 has no order, and in PEM files the issuer often comes first.
        // x509-cert is used because rustls does not support certificates of X.509 version 1, which openssl creates.
        let public = signing.public_key();
        let belongs = |one: &CertificateDer<'static>| {
            let read = x509_cert::Certificate::from_der(one);
            let own = read.and_then(|read| read.tbs_certificate().subject_public_key_info().to_der());
            own.is_ok_and(|own| public.as_ref().is_some_and(|public| own == public.as_ref()))
        };
        let Some(own) = certificates.iter().position(belongs) else {
            let (certificate, key) = (certificate.to_owned(), key.to_owned());
            return Err(IdentityError::Mismatch { certificate, key });
        };
        let mut chain = certificates;
        chain[..=own].rotate_right(1);
        Ok(Self { certified: Arc::new(CertifiedKey::new(chain, signing)), key: Arc::new(private) })
    }

    /// Signs a message with RSASSA-PSS and SHA-256; `None` if the key is not an RSA key.
    pub fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let signer = self.certified.key.choose_scheme(&[SignatureScheme::RSA_PSS_SHA256])?;
        signer.sign(message).ok()
    }

    /// Returns the SHA-256 digest of the certificate.
    pub fn thumbprint(&self) -> [u8; 32] {
        let own = self.certified.cert.first().map_or(&[][..], |own| own.as_ref());
        Sha256::digest(own).into()
    }

    /// Returns the certificate and the key for rustls.
    pub(super) fn certified(&self) -> Arc<CertifiedKey> {
        self.certified.clone()
    }

    /// Returns the private key.
    #[cfg_attr(not(any(windows, target_os = "macos", feature = "system-tls")), allow(dead_code))]
    pub(super) fn key(&self) -> &PrivateKeyDer<'static> {
        &self.key
    }
}

/// Returns whether a file is a readable PEM file.
pub fn is_pem_file(path: &Path) -> bool {
    contents(path).is_ok_and(|bytes| is_pem(&bytes))
}

/// Returns whether the key needs a passphrase; `false` for a file that is unreadable or neither PEM nor PKCS#12,
/// which [`ClientCertificate::read`] reports.
pub fn needs_passphrase(certificate: &Path, key: Option<&Path>) -> bool {
    let Ok(bytes) = contents(certificate) else { return false };
    if is_pem(&bytes) {
        contents(key.unwrap_or(certificate)).is_ok_and(|key| holds(&key, ENCRYPTED))
    } else {
        is_pkcs12(&bytes) && Pkcs12Archive::from_pkcs12(&bytes, "").is_err()
    }
}

const ENCRYPTED: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----";
/// Header of an encrypted key in the traditional form (RFC 1421 4.6.1.1), which OpenSSL used before PKCS#8.
const TRADITIONAL: &str = "Proc-Type: 4,ENCRYPTED";

fn contents(path: &Path) -> Result<Zeroizing<Vec<u8>>, IdentityError> {
    let unreadable = |source| IdentityError::Unreadable { path: path.to_owned(), source };
    std::fs::read(path).map(Zeroizing::new).map_err(unreadable)
}

fn is_pem(bytes: &[u8]) -> bool {
    holds(bytes, "-----BEGIN ")
}

/// Returns whether the bytes are a PFX: a sequence that begins with the version 3 (RFC 7292 §4).
fn is_pkcs12(bytes: &[u8]) -> bool {
    let sequence = AnyRef::from_der(bytes).ok().filter(|any| any.tag() == Tag::Sequence);
    sequence.is_some_and(|any| any.value().starts_with(&[0x02, 0x01, 0x03]))
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// Checks that other users cannot read a key without a passphrase.
fn check_private(path: &Path) -> Result<(), IdentityError> {
    match platform::is_private(path) {
        Ok(true) => Ok(()),
        Ok(false) => Err(IdentityError::Exposed { path: path.to_owned() }),
        Err(source) => Err(IdentityError::Unreadable { path: path.to_owned(), source }),
    }
}

fn pem_key(
    path: &Path,
    passphrase: &SecretString,
) -> Result<Zeroizing<PrivateKeyDer<'static>>, IdentityError> {
    let bytes = contents(path)?;
    if holds(&bytes, TRADITIONAL) {
        return Err(IdentityError::Traditional { path: path.to_owned() });
    }
    if !holds(&bytes, ENCRYPTED) {
        let key = PrivateKeyDer::from_pem_slice(&bytes);
        let key = key.map_err(|_| IdentityError::NoKey { path: path.to_owned() })?;
        check_private(path)?;
        return Ok(Zeroizing::new(key));
    }
    let unusable = |reason: String| IdentityError::Unusable { path: path.to_owned(), reason };
    let text = std::str::from_utf8(&bytes).map_err(|error| unusable(error.to_string()))?;
    // The file may have certificates before or after the key.
    let from = text.find(ENCRYPTED).unwrap_or_default();
    let end = "-----END ENCRYPTED PRIVATE KEY-----";
    let to = text[from..].find(end).map_or(text.len(), |at| from + at + end.len());
    let (_, document) = pkcs8::Document::from_pem(&text[from..to])
        .map_err(|error| unusable(format!("it is malformed: {error}")))?;
    let encrypted = EncryptedPrivateKeyInfoRef::try_from(document.as_bytes())
        .map_err(|error| unusable(format!("its encryption is not supported: {error}")))?;
    let opened = encrypted
        .decrypt(passphrase.expose_secret())
        .map_err(|_| IdentityError::Passphrase { path: path.to_owned() })?;
    Ok(Zeroizing::new(PrivatePkcs8KeyDer::from(opened.as_bytes().to_vec()).into()))
}

type CertificatesAndKey = (Vec<CertificateDer<'static>>, Zeroizing<PrivateKeyDer<'static>>);

fn pkcs12(path: &Path, bytes: &[u8], passphrase: &SecretString) -> Result<CertificatesAndKey, IdentityError> {
    use p12_keystore::error::Error;
    let unencrypted = Pkcs12Archive::from_pkcs12(bytes, "");
    if unencrypted.is_ok() {
        check_private(path)?;
    }
    let opened = unencrypted.or_else(|_| Pkcs12Archive::from_pkcs12(bytes, passphrase.expose_secret()));
    let archive = opened.map_err(|error| match error {
        Error::MacError(_) | Error::UnpadError | Error::Pkcs5Error(_) => {
            IdentityError::Passphrase { path: path.to_owned() }
        }
        Error::DerError(_) => IdentityError::NoCertificate { path: path.to_owned() },
        other => IdentityError::Unusable { path: path.to_owned(), reason: other.to_string() },
    })?;
    let key = archive.keys.first().ok_or_else(|| IdentityError::NoKey { path: path.to_owned() })?;
    let key = PrivatePkcs8KeyDer::from(key.key.as_der().to_vec());
    let certificates = archive.certs.iter().map(|bag| CertificateDer::from(bag.cert.as_der().to_vec()));
    Ok((certificates.collect(), Zeroizing::new(key.into())))
}
