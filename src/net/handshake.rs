//! Reasons for failed TLS handshakes, except a refused server certificate.

use super::{Cause, sources, tls_error};

/// Reason why a TLS connection could not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeProblem {
    /// Alert handshake_failure or insufficient_security.
    #[error("no common cipher suite")]
    NoCommonCipher,
    /// The server requires a client certificate, and the client presented none.
    #[error("the server requires a client certificate")]
    NoClientCertificate,
    /// The server sent an alert about the certificate, or closed the connection, after it had requested one.
    #[error("the server refused the client certificate")]
    ClientCertificateRefused,
    /// Alert protocol_version, or a ServerHello with TLS 1.1 or older.
    #[error("the server does not support TLS 1.2 or 1.3")]
    OldVersion,
    /// OpenSSL's security level forbids the DHE key of the server, usually one of less than 2048 bits.
    #[error("the Diffie-Hellman key of the server is too small")]
    SmallKey,
    /// The first bytes of the server are not a TLS record: the port has plain HTTP or another service.
    #[error("the server does not use TLS on this port")]
    NotTls,
}

impl HandshakeProblem {
    /// Returns whether the problem can appear after the client has completed the handshake: in TLS 1.3, the server
    /// verifies the client's certificate after that (RFC 8446 2).
    pub const fn is_late(self) -> bool {
        matches!(self, Self::NoClientCertificate | Self::ClientCertificateRefused)
    }
}

/// Client authentication in a handshake.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClientAuthentication {
    /// The server requested a client certificate.
    pub is_requested: bool,
    /// The profile has a client certificate.
    pub has_certificate: bool,
}

/// Finds the reason in an error's chain.
pub fn handshake_problem(error: Cause<'_>, client: ClientAuthentication) -> Option<HandshakeProblem> {
    sources(error).find_map(|cause| match tls_error(cause) {
        Some(error) => of_rustls(error, client),
        None => of_text(&cause.to_string(), client),
    })
}

/// Returns the reason if the connection ended during the handshake, after the server requested a client certificate.
/// If the server closes immediately, the client's write fails before the alert is read.
pub fn cut_handshake(error: Cause<'_>, client: ClientAuthentication) -> Option<HandshakeProblem> {
    use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    let is_cut = |error: &std::io::Error| {
        matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
    };
    let is_cut = client.is_requested && sources(error).any(|cause| cause.downcast_ref().is_some_and(is_cut));
    is_cut.then_some(if client.has_certificate {
        HandshakeProblem::ClientCertificateRefused
    } else {
        HandshakeProblem::NoClientCertificate
    })
}

fn of_rustls(error: &rustls::Error, client: ClientAuthentication) -> Option<HandshakeProblem> {
    use HandshakeProblem::{
        ClientCertificateRefused, NoClientCertificate, NoCommonCipher, NotTls, OldVersion,
    };
    use rustls::AlertDescription as Alert;
    use rustls::{Error, InvalidMessage, PeerIncompatible};
    let (asked, given) = (client.is_requested, client.has_certificate);
    Some(match error {
        Error::AlertReceived(Alert::HandshakeFailure | Alert::CertificateRequired) if asked && !given => {
            NoClientCertificate
        }
        Error::AlertReceived(Alert::CertificateRequired) => NoClientCertificate,
        Error::AlertReceived(
            Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied
            | Alert::HandshakeFailure
            | Alert::DecryptError,
        ) if given && asked => ClientCertificateRefused,
        Error::AlertReceived(Alert::HandshakeFailure | Alert::InsufficientSecurity) => NoCommonCipher,
        Error::AlertReceived(Alert::ProtocolVersion)
        | Error::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
        ) => OldVersion,
        Error::InvalidMessage(
            InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
        ) => NotTls,
        _ => return None,
    })
}

/// Finds the reason in a message of OpenSSL 1.1 or 3, which contains the name of a reason code.
fn of_text(text: &str, client: ClientAuthentication) -> Option<HandshakeProblem> {
    use HandshakeProblem::{
        ClientCertificateRefused, NoClientCertificate, NoCommonCipher, NotTls, OldVersion, SmallKey,
    };
    const TEXTS: [(&str, HandshakeProblem); 9] = [
        ("dh key too small", SmallKey),
        ("alert certificate required", NoClientCertificate),
        ("alert unknown ca", ClientCertificateRefused),
        ("alert bad certificate", ClientCertificateRefused),
        ("alert certificate expired", ClientCertificateRefused),
        ("alert protocol version", OldVersion),
        ("unsupported protocol", OldVersion),
        ("wrong version number", NotTls),
        ("alert handshake failure", NoCommonCipher),
    ];
    let small = text.to_ascii_lowercase();
    let found = TEXTS.into_iter().find(|(words, _)| small.contains(words)).map(|(_, problem)| problem);
    match found {
        Some(NoCommonCipher) if client.has_certificate => Some(ClientCertificateRefused),
        found => found,
    }
}
