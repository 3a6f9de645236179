//! Server certificates: fingerprints, names, dates, and the hash that binds a login to a connection.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::SystemTime;

use chrono::{DateTime, Utc};
use sha2::{Digest as _, Sha224, Sha256, Sha384, Sha512};
use x509_cert::der::asn1::{AnyRef, ContextSpecific};
use x509_cert::der::{Decode as _, TagNumber};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::spki::AlgorithmIdentifierRef;

/// The SHA-256 hash of a certificate, as printed by `openssl x509 -fingerprint -sha256`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Returns the fingerprint of a certificate in DER form.
    pub fn of(certificate: &[u8]) -> Self {
        Self(Sha256::digest(certificate).into())
    }

    /// Returns the digits without the prefix `sha256:`, which would make the text too long for one line of help.
    pub fn digits(self) -> String {
        self.to_string().split_off("sha256:".len())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Error of parsing a fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotFingerprint {
    /// The text has 40 digits, as the thumbprint that Windows shows.
    #[error("expected a SHA-256 fingerprint of 64 hexadecimal digits, got a SHA-1 thumbprint")]
    Sha1,
    /// The text has another number of digits, or other characters.
    #[error("expected a SHA-256 fingerprint of 64 hexadecimal digits")]
    Other,
}

impl FromStr for Fingerprint {
    type Err = NotFingerprint;

    /// Accepts `sha256:` or the line of openssl before the digits, in any case, with or without colons.
    fn from_str(text: &str) -> Result<Self, NotFingerprint> {
        let text = text.trim();
        let small = text.to_ascii_lowercase();
        let digits = ["sha256 fingerprint=", "sha256:", "sha256="]
            .into_iter()
            .find_map(|prefix| small.strip_prefix(prefix))
            .unwrap_or(&small);
        let digits: Vec<u8> = digits.bytes().filter(|byte| !matches!(byte, b':' | b' ')).collect();
        let is_hex = digits.iter().all(u8::is_ascii_hexdigit);
        if is_hex && digits.len() == 40 {
            return Err(NotFingerprint::Sha1);
        }
        if !is_hex || digits.len() != 64 {
            return Err(NotFingerprint::Other);
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| NotFingerprint::Other)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| NotFingerprint::Other)?;
        }
        Ok(Self(bytes))
    }
}

/// Reason why a server's certificate is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateProblem {
    /// The date of notAfter has passed, or this computer's clock is wrong.
    #[error("expired{}", .0.as_deref().map(|at| format!(" on {at}")).unwrap_or_default())]
    Expired(Option<String>),
    /// The date of notBefore has not been reached, or this computer's clock is wrong.
    #[error("not valid yet{}", .0.as_deref().map(|at| format!(": only from {at}")).unwrap_or_default())]
    NotYetValid(Option<String>),
    /// The host in the URI is not among subjectAltName, whose names the message lists.
    #[error("issued for another host name{}", listed(.0))]
    OtherName(Vec<String>),
    /// The certificate has only a common name, which is not compared (RFC 6125 6.4.4, RFC 9110 4.3.4).
    #[error(
        "no subject alternative name{}",
        .0.as_deref().map(|name| format!(", only the common name {name}")).unwrap_or_default()
    )]
    NoName(Option<String>),
    /// Neither the system nor `ca` has the CA certificate, or the server does not send the intermediate certificate.
    #[error("unknown issuer")]
    UnknownIssuer,
    /// The server's certificate is its own issuer, and is not in `ca`.
    #[error("unknown issuer: the certificate is self-signed")]
    SelfSigned,
    /// The issuer has withdrawn the certificate before its end.
    #[error("revoked")]
    Revoked,
    /// The profile's `pin` names another certificate.
    #[error("its fingerprint is {found}, and pin in the profile is {expected}")]
    OtherFingerprint { expected: Fingerprint, found: Fingerprint },
    /// The TLS library refused the certificate for another reason, for example a malformed extension.
    #[error("{0}")]
    Other(String),
}

fn listed(names: &[String]) -> String {
    match names {
        [] => String::new(),
        names => format!(": {}", names.join(", ")),
    }
}

/// A server's certificate that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedCertificate {
    pub problem: CertificateProblem,
    /// `None` if the system's TLS library does not provide the certificate.
    pub fingerprint: Option<Fingerprint>,
}

impl std::error::Error for RefusedCertificate {}

impl fmt::Display for RefusedCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.problem)?;
        match self.fingerprint {
            Some(found) if !matches!(self.problem, CertificateProblem::OtherFingerprint { .. }) => {
                write!(f, " (fingerprint {found})")
            }
            _ => Ok(()),
        }
    }
}

/// The parts of a certificate that messages show.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    pub names: Vec<String>,
    pub common_name: Option<String>,
    /// The common name of the issuer, or its whole name.
    pub issuer: Option<String>,
    pub not_before: Option<SystemTime>,
    pub not_after: Option<SystemTime>,
    pub is_self_issued: bool,
}

impl Facts {
    /// Reads a certificate; parts of a malformed certificate are missing.
    pub fn of(certificate: &[u8]) -> Self {
        let Ok(read) = x509_cert::Certificate::from_der(certificate) else { return Self::default() };
        let tbs = read.tbs_certificate();
        let alternatives = tbs.get_extension::<SubjectAltName>().ok().flatten();
        let names = alternatives.iter().flat_map(|(_, names)| &names.0).filter_map(name).collect();
        let common_name = tbs.subject().common_name().ok().flatten();
        let issuer = tbs.issuer().common_name().ok().flatten().map(|name| name.value().into_owned());
        Self {
            names,
            issuer: issuer.or_else(|| Some(tbs.issuer().to_string()).filter(|name| !name.is_empty())),
            common_name: common_name.map(|name| name.value().into_owned()),
            not_before: Some(tbs.validity().not_before.to_system_time()),
            not_after: Some(tbs.validity().not_after.to_system_time()),
            is_self_issued: tbs.subject() == tbs.issuer(),
        }
    }

    /// Returns the problem with the dates of a certificate, if any.
    pub fn dates(&self, now: SystemTime) -> Option<CertificateProblem> {
        if self.not_after.is_none_or(|after| now > after) {
            return Some(CertificateProblem::Expired(self.not_after.map(day)));
        }
        if self.not_before.is_none_or(|before| now < before) {
            return Some(CertificateProblem::NotYetValid(self.not_before.map(day)));
        }
        None
    }

    pub fn wrong_name(&self) -> CertificateProblem {
        if self.names.is_empty() {
            CertificateProblem::NoName(self.common_name.clone())
        } else {
            CertificateProblem::OtherName(self.names.clone())
        }
    }
}

pub(super) fn day(time: SystemTime) -> String {
    DateTime::<Utc>::from(time).format("%Y-%m-%d").to_string()
}

fn name(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DnsName(name) => Some(name.to_string()),
        GeneralName::IpAddress(bytes) => {
            let bytes = bytes.as_bytes();
            let four = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
            let address = four.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()?;
            Some(address.to_string())
        }
        _ => None,
    }
}

/// Returns the channel binding `tls-server-end-point` of a server's certificate (RFC 5929 4.1): the certificate's
/// hash with the hash function of its signature, or with SHA-256 for MD5 and SHA-1. For signatures without a
/// separate hash function (Ed25519), which the RFC leaves undefined, and malformed certificates, SHA-256 is
/// customary.
pub fn tls_server_end_point(certificate: &[u8]) -> Vec<u8> {
    match signature_hash(certificate).as_deref() {
        Some("2.16.840.1.101.3.4.2.2") => Sha384::digest(certificate).to_vec(),
        Some("2.16.840.1.101.3.4.2.3") => Sha512::digest(certificate).to_vec(),
        Some("2.16.840.1.101.3.4.2.4") => Sha224::digest(certificate).to_vec(),
        _ => Sha256::digest(certificate).to_vec(),
    }
}

/// Reads the object identifier of the hash that a certificate's signature uses.
fn signature_hash(certificate: &[u8]) -> Option<String> {
    // Parses only the outer structure: channel binding must work with certificates that violate RFC 5280.
    let whole = AnyRef::from_der(certificate).ok()?;
    let algorithm = whole.sequence(|reader| {
        use x509_cert::der::Reader as _;
        let _signed: AnyRef<'_> = reader.decode()?;
        let algorithm: AlgorithmIdentifierRef<'_> = reader.decode()?;
        let _signature: AnyRef<'_> = reader.decode()?;
        Ok::<_, x509_cert::der::Error>(algorithm)
    });
    let algorithm = algorithm.ok()?;
    let hash = match algorithm.oid.to_string().as_str() {
        // RFC 4055, RFC 5758, RFC 5912.
        "1.2.840.113549.1.1.12" | "1.2.840.10045.4.3.3" | "2.16.840.1.101.3.4.3.3" => {
            "2.16.840.1.101.3.4.2.2"
        }
        "1.2.840.113549.1.1.13" | "1.2.840.10045.4.3.4" | "2.16.840.1.101.3.4.3.4" => {
            "2.16.840.1.101.3.4.2.3"
        }
        "1.2.840.113549.1.1.14" | "1.2.840.10045.4.3.1" | "2.16.840.1.101.3.4.3.1" => {
            "2.16.840.1.101.3.4.2.4"
        }
        "1.2.840.113549.1.1.10" => return pss_hash(algorithm.parameters?),
        _ => return None,
    };
    Some(hash.to_owned())
}

/// Reads `hashAlgorithm` of RSASSA-PSS-params (RFC 4055 3.1); its default is SHA-1.
fn pss_hash(parameters: AnyRef<'_>) -> Option<String> {
    let hash = parameters.sequence(|reader| {
        use x509_cert::der::Reader as _;
        let hash = ContextSpecific::<AlgorithmIdentifierRef<'_>>::decode_explicit(reader, TagNumber(0))?;
        // The other fields are not needed.
        while !reader.is_finished() {
            let _: AnyRef<'_> = reader.decode()?;
        }
        Ok::<_, x509_cert::der::Error>(hash)
    });
    Some(hash.ok()??.value.oid.to_string())
}

// The tests run `openssl`, which Windows does not have.
#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::path::Path;
    use std::process::Command;

    fn openssl(folder: &Path, arguments: &str) -> Vec<u8> {
        let run = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output().unwrap();
        assert!(run.status.success(), "{arguments}: {}", String::from_utf8_lossy(&run.stderr));
        run.stdout
    }

    #[test]
    fn openssl_fingerprints_are_parsed() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        openssl(
            folder,
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout k -out c -subj /CN=x",
        );
        let printed = String::from_utf8(openssl(folder, "x509 -in c -noout -fingerprint -sha256")).unwrap();
        let expected = Fingerprint::of(&openssl(folder, "x509 -in c -outform DER"));
        let digits = printed.trim().split_once('=').unwrap().1;
        for text in [
            printed.clone(),
            digits.to_owned(),
            digits.replace(':', ""),
            format!("SHA256:{}", digits.to_lowercase()),
            expected.to_string(),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
        assert_eq!(digits.replace(':', "")[..40].parse::<Fingerprint>(), Err(NotFingerprint::Sha1));
        for wrong in ["", "sha256:", &digits[3..], "sha1:00", "é"] {
            assert_eq!(wrong.parse::<Fingerprint>(), Err(NotFingerprint::Other), "{wrong}");
        }
    }

    #[test]
    fn the_channel_binding_uses_the_signature_hash() {
        let ec = "-newkey ec -pkeyopt ec_paramgen_curve:P-256";
        let pss = "-newkey rsa:2048 -sigopt rsa_padding_mode:pss";
        for (key, digest, hash) in [
            ("-newkey rsa:2048", "md5", "sha256"),
            ("-newkey rsa:2048", "sha1", "sha256"),
            ("-newkey rsa:2048", "sha224", "sha224"),
            ("-newkey rsa:2048", "sha256", "sha256"),
            ("-newkey rsa:2048", "sha384", "sha384"),
            ("-newkey rsa:2048", "sha512", "sha512"),
            (pss, "sha1", "sha256"),
            (pss, "sha256", "sha256"),
            (pss, "sha384", "sha384"),
            (pss, "sha512", "sha512"),
            (ec, "sha1", "sha256"),
            (ec, "sha256", "sha256"),
            (ec, "sha384", "sha384"),
            (ec, "sha512", "sha512"),
            ("-newkey ed25519", "sha512", "sha256"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let folder = folder.path();
            openssl(folder, &format!("req -x509 {key} -{digest} -nodes -keyout k -out c -subj /CN=x"));
            let certificate = openssl(folder, "x509 -in c -outform DER -out c.der");
            assert!(certificate.is_empty());
            let expected = openssl(folder, &format!("dgst -{hash} -binary c.der"));
            let certificate = std::fs::read(folder.join("c.der")).unwrap();
            assert_eq!(tls_server_end_point(&certificate), expected, "{key} {digest}");
        }
        // A certificate that cannot be parsed.
        assert_eq!(tls_server_end_point(b"no certificate"), Sha256::digest(b"no certificate").to_vec());
    }
}
