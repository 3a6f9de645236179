//! Errors of the communication with an endpoint, and advice for the user.

use std::fmt;
use std::time::Duration;

use url::Url;

use super::wsman::fault::Fault;
use crate::net::{
    CertificateProblem, HandshakeProblem, ProxyError, RefusedCertificate, TlsSetupError, permit,
};
use crate::security::ContextError;
use crate::security::advice::Symptom;

/// The operation during which an error occurred.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Connecting: no request was sent yet.
    Connect,
    /// Establishing a security context: no envelope was sent yet.
    Authenticate,
    /// Create.
    Create,
    /// Opening a runspace pool on an existing shell or stream.
    Open,
    /// Command, or a pipeline's first message.
    Command,
    Send,
    Receive,
    /// Stopping a pipeline.
    Stop,
    /// Releasing an ended pipeline.
    Terminate,
    Enumerate,
    Reconnect,
    /// Delete, or closing a stream.
    Delete,
}

impl Operation {
    /// Returns the key of the operation's limit under `[timeouts]`.
    pub const fn limit(self) -> &'static str {
        match self {
            Self::Connect | Self::Authenticate => "connect",
            Self::Create | Self::Open => "open",
            Self::Delete => "close",
            Self::Command
            | Self::Send
            | Self::Receive
            | Self::Stop
            | Self::Terminate
            | Self::Enumerate
            | Self::Reconnect => "operation",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "connecting",
            Self::Authenticate => "authenticating",
            Self::Create => "creating the session",
            Self::Open => "opening the session",
            Self::Command => "starting the command",
            Self::Send => "sending to the session",
            Self::Receive => "waiting for the session",
            Self::Stop => "stopping the command",
            Self::Terminate => "ending the command",
            Self::Enumerate => "listing the sessions",
            Self::Reconnect => "reconnecting the session",
            Self::Delete => "removing the session",
        })
    }
}

/// Reason for refusing a redirect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedirectRefusal {
    #[error("too many redirects")]
    TooMany,
    #[error("the target is not a URI")]
    NotUri,
    /// Credentials are sent over TLS only.
    #[error("the target is not an https URI")]
    NotHttps,
    /// The profile does not permit the host.
    #[error("the credential may not be sent to that host")]
    Foreign,
    #[error("redirects are followed only while opening a session")]
    NotAtOpening,
}

/// Error of the communication with an endpoint. The text names the operation; [`Error::advice`] returns the
/// instruction for the user.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot reach {endpoint}: {reason}")]
    Unreachable { endpoint: String, reason: String },
    #[error("the certificate of {endpoint} is not trusted: {}", .refused.problem)]
    Certificate { endpoint: String, refused: Box<RefusedCertificate> },
    #[error("cannot open a TLS connection to {endpoint}: {problem}")]
    Handshake { endpoint: String, problem: HandshakeProblem },
    #[error("cannot set up TLS: {0}")]
    Tls(TlsSetupError),
    #[error(transparent)]
    Proxy(ProxyError),
    #[error("the credential was not sent to {endpoint}: the connection would not be encrypted")]
    Insecure { endpoint: String },
    #[error("refused redirect from {endpoint} to {target}: {refusal}")]
    Redirect { endpoint: String, target: String, refusal: RedirectRefusal },
    #[error("{endpoint} refused the credential of {user}")]
    Unauthorized { endpoint: String, user: String, offered: Vec<String> },
    /// A security context failed before an envelope was sent.
    #[error("cannot authenticate {user} to {endpoint}: {error}")]
    Authentication { endpoint: String, user: String, error: ContextError },
    /// The answer to a request cannot be verified or unsealed.
    #[error("cannot read the answer of {endpoint} while {operation}: {error}")]
    Unreadable { endpoint: String, operation: Operation, error: ContextError },
    /// A 401 to a ticket that the KDC granted for this service.
    #[error("{endpoint} refused the Kerberos ticket of {user} for {service} (HTTP 401)")]
    TicketRefused { endpoint: String, user: String, service: String },
    #[error("{endpoint} does not offer {wanted} (HTTP 401); it offers {}", list(.offered))]
    NotOffered { endpoint: String, wanted: &'static str, offered: Vec<String> },
    /// `said`: content of the answer besides the status, and the intermediary that sent it.
    #[error("{endpoint} answered {status} {reason}{}", .said.as_deref().map(|said| format!(": {said}")).unwrap_or_default())]
    Http { endpoint: String, status: u16, reason: String, said: Option<String> },
    #[error("{}", .0.text)]
    Fault(Fault),
    #[error("{operation} took longer than {}", humantime::format_duration(*.limit))]
    Timeout { operation: Operation, limit: Duration },
    #[error("the endpoint violated the protocol: {0}")]
    Protocol(String),
    #[error("the connection ended: {0}")]
    Ended(String),
    #[error("the connection to {endpoint} ended while {operation}: {reason}")]
    Cut { endpoint: String, operation: Operation, reason: String },
    /// The command was sent, and its result was lost with the connection.
    #[error("{0}; the command may have run")]
    Unsettled(Box<Error>),
    /// The endpoint does not know the session, but an earlier Delete was not answered: some servers report
    /// "not found" while the session still exists.
    #[error("the endpoint did not confirm the removal of the session")]
    Unconfirmed,
    #[error("the session was closed")]
    Closed,
}

impl Error {
    /// Returns whether a limit on sessions, operations or users is reached.
    pub fn is_quota(&self) -> bool {
        matches!(self, Self::Fault(fault) if fault.is_quota())
    }

    /// Returns whether the password or token was refused: sending it again counts towards a lockout.
    pub fn is_refused_credential(&self) -> bool {
        match self {
            Self::Unauthorized { .. } => true,
            Self::Authentication { error, .. } => error.is_refused_credential(),
            _ => false,
        }
    }

    /// Returns the instruction for the user; `None` if the error text suffices.
    pub fn advice(&self) -> Option<String> {
        Some(match self {
            Self::Unreachable { .. } => {
                "Check the endpoint's name and port in the profile, and the network or proxy.".into()
            }
            Self::Certificate { endpoint, refused } => certificate_advice(endpoint, refused),
            Self::Handshake { problem, .. } => problem.advice().into(),
            Self::Tls(TlsSetupError::NotBuilt) => {
                "Install a lyncsh with this feature, or remove tls from the profile.".into()
            }
            Self::Tls(TlsSetupError::Rustls(_)) => "Install the CA certificates of the system.".into(),
            Self::Tls(TlsSetupError::System(_)) => {
                "Check the certificates that the profile names in ca and certificate.".into()
            }
            Self::Proxy(error) => error.advice(),
            Self::Insecure { .. } => {
                "Use an https URI for the endpoint; this credential is sent over TLS only.".into()
            }
            Self::Redirect { refusal: RedirectRefusal::TooMany, .. } => {
                "Ask the endpoint's administrator to correct the redirect loop.".into()
            }
            Self::Redirect { target, refusal: RedirectRefusal::Foreign, .. } => foreign_host_advice(target),
            Self::Redirect { target, .. } => {
                format!("If you trust {target}, put its https URI into the profile.")
            }
            Self::Unauthorized { offered, .. } => unauthorized_advice(offered),
            Self::Authentication { error, .. } | Self::Unreadable { error, .. } => lines(error.advice())?,
            Self::TicketRefused { .. } => lines(Symptom::TicketRefused.advice())?,
            Self::NotOffered { offered, .. } => not_offered_advice(offered),
            Self::Http { status, .. } => http_advice(*status)?,
            Self::Fault(fault) if fault.is_quota() => {
                "Close an unneeded session, or wait until an idle session ends, and try again.".into()
            }
            Self::Fault(_) | Self::Closed => return None,
            Self::Timeout { operation, .. } => format!(
                "Try again; if the endpoint is slow, raise `{}` under [timeouts] in the profile.",
                operation.limit()
            ),
            Self::Protocol(_) => {
                "Check in the profile that the URI is a PowerShell remoting endpoint.".into()
            }
            Self::Ended(_) => "Check the network and start again.".into(),
            Self::Unconfirmed => "Run lyncsh again; it checks the session.".into(),
            Self::Unsettled(_) => "Check what the command has changed before you run it again.".into(),
            Self::Cut { endpoint, operation, .. } => {
                let more = match operation {
                    Operation::Create => renegotiation_advice(endpoint),
                    _ => "",
                };
                format!(
                    "Try again; if the error persists, check the endpoint's URI and port in the profile, \
                     and the proxy or firewall.{more}"
                )
            }
        })
    }
}

/// Joins the lines of advice.
fn lines(advice: &[&str]) -> Option<String> {
    (!advice.is_empty()).then(|| advice.join("\n"))
}

fn list(offered: &[String]) -> String {
    if offered.is_empty() { "nothing".to_owned() } else { offered.join(", ") }
}

/// Returns advice that names the offered schemes that a profile can use.
fn not_offered_advice(offered: &[String]) -> String {
    let has = |name: &str| offered.iter().any(|one| one.eq_ignore_ascii_case(name));
    let usable = [
        ("Kerberos", "kerberos"),
        ("Negotiate", "negotiate"),
        ("NTLM", "ntlm"),
        ("Basic", "basic"),
        ("Bearer", "token"),
    ];
    let lines: Vec<String> = usable
        .iter()
        .filter(|(scheme, _)| has(scheme))
        .map(|(_, word)| format!("authentication = \"{word}\""))
        .collect();
    if lines.is_empty() {
        return "Check the URI in the profile: lyncsh cannot use what the endpoint offers.".to_owned();
    }
    format!("Set one of these in the profile: {}.", lines.join(", "))
}

fn certificate_advice(endpoint: &str, refused: &RefusedCertificate) -> String {
    let now = match &refused.problem {
        CertificateProblem::OtherName(_) => "use a name from the certificate in the profile's URI",
        CertificateProblem::NoName(_) => {
            "ask its administrator for a certificate with the server's name as a subject alternative name"
        }
        CertificateProblem::UnknownIssuer => {
            "add its CA certificate to this machine's trusted certificates, or name the file in the profile: ca = \"…\""
        }
        CertificateProblem::SelfSigned => "name the file of its certificate in the profile: ca = \"…\"",
        CertificateProblem::OtherFingerprint { .. } => {
            "ask its administrator whether it has a new certificate, and compare the fingerprints"
        }
        _ => "ask its administrator to renew the certificate",
    };
    let pin = match (&refused.problem, refused.fingerprint) {
        (CertificateProblem::Revoked, _) | (_, None) => String::new(),
        (CertificateProblem::OtherFingerprint { .. }, Some(found)) => {
            format!(" Then write to the profile: pin = \"{}\"", found.digits())
        }
        (_, Some(found)) => format!(
            " To trust only this certificate, compare its fingerprint with the server's administrator, then add \
             to the profile: pin = \"{}\"",
            found.digits()
        ),
    };
    format!("If {endpoint} is the intended server, {now}.{pin}")
}

/// Returns advice on TLS renegotiation: IIS with SslNegotiateCert requests a client certificate after reading
/// the request, which rustls does not support (rustls/rustls#1999).
fn renegotiation_advice(endpoint: &str) -> &'static str {
    if endpoint.starts_with("https:") {
        " If the server asks for a client certificate after the request, as IIS does for a directory with \
             SslNegotiateCert: add tls = \"system\" to the profile."
    } else {
        ""
    }
}

fn unauthorized_advice(offered: &[String]) -> String {
    if offered.is_empty() {
        return "Check the user name and the password.".into();
    }
    format!(
        "Check the user name and the password; the endpoint supports these authentication schemes: {}.",
        offered.join(", ")
    )
}

fn foreign_host_advice(target: &str) -> String {
    let host = Url::parse(target).ok().and_then(|uri| uri.host_str().map(str::to_owned));
    permit(host.as_deref().unwrap_or(target))
}

fn http_advice(status: u16) -> Option<String> {
    Some(match status {
        400 => lines(Symptom::RequestTooLong.advice())?,
        403 => {
            "Ask for permission to use this endpoint; the user is authenticated but not authorized.".into()
        }
        404 => "Check the endpoint's URI in the profile; the path does not exist.".into(),
        200..=299 => {
            "Check the endpoint's URI in the profile and in a browser; a sign-in page or a proxy answered, \
                      not a PowerShell endpoint."
                .into()
        }
        407 => "Set proxy_user and proxy_credential in the profile, put the credential into HTTPS_PROXY, or exclude \
                the host with NO_PROXY."
            .into(),
        502..=504 => {
            "Try again later; if the error persists, inform the endpoint's administrator. A proxy or load \
                      balancer could not reach the endpoint."
                .into()
        }
        500..=599 => "Try again later; the server has an internal error.".into(),
        _ => return None,
    })
}
