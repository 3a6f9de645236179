//! What fails between lyncsh and an endpoint, and what to do about it.

use std::fmt;
use std::time::Duration;

use super::wsman::fault::Fault;
use crate::net::{CertificateProblem, HandshakeProblem, RefusedCertificate, TlsSetupError};

/// What was being done when an error occurred.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Making the connection: nothing was sent yet.
    Connect,
    /// Create.
    Create,
    /// Opening a runspace pool, once there is a shell or a stream.
    Open,
    /// Command, or a pipeline's first message.
    Command,
    Send,
    Receive,
    /// Stopping a pipeline.
    Stop,
    /// Taking note of a pipeline's end.
    Terminate,
    Enumerate,
    Reconnect,
    /// Delete, or closing a stream.
    Delete,
}

impl Operation {
    /// The key under `[timeouts]` that limits it.
    pub const fn limit(self) -> &'static str {
        match self {
            Self::Connect => "connect",
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

/// Why a redirection is not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedirectRefusal {
    #[error("there were more redirections than are followed")]
    TooMany,
    #[error("it is not a URI")]
    NotUri,
    /// The credential goes over TLS only.
    #[error("it is not an https URI")]
    NotHttps,
    #[error("only the opening of a session is redirected")]
    NotAtOpening,
}

/// What went wrong on the way. Each says what was being done; what to do now is said by
/// [`Error::advice`].
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    #[error("{endpoint} can't be reached: {reason}")]
    Unreachable { endpoint: String, reason: String },
    #[error("the certificate of {endpoint} is not trusted: {}", .refused.problem)]
    Certificate { endpoint: String, refused: Box<RefusedCertificate> },
    #[error("cannot open a TLS connection to {endpoint}: {problem}")]
    Handshake { endpoint: String, problem: HandshakeProblem },
    #[error("{}", TlsSetupError::NotBuilt)]
    TlsNotBuilt,
    #[error("the credential was not sent to {endpoint}: the connection would not be encrypted")]
    Insecure { endpoint: String },
    #[error("{endpoint} points to {target}, which was not followed: {refusal}")]
    Redirect { endpoint: String, target: String, refusal: RedirectRefusal },
    #[error("{endpoint} refused the credential of {user}")]
    Unauthorized { endpoint: String, user: String, offered: Vec<String> },
    /// `said`: what the answer holds beside the status, and who on the way gave it.
    #[error("{endpoint} answered {status} {reason}{}", .said.as_deref().map(|said| format!(": {said}")).unwrap_or_default())]
    Http { endpoint: String, status: u16, reason: String, said: Option<String> },
    #[error("{}", .0.text)]
    Fault(Fault),
    #[error("{operation} took longer than {}", humantime::format_duration(*.limit))]
    Timeout { operation: Operation, limit: Duration },
    #[error("the endpoint broke the protocol: {0}")]
    Protocol(String),
    #[error("the connection ended: {0}")]
    Ended(String),
    #[error("the connection to {endpoint} ended while {operation}: {reason}")]
    Cut { endpoint: String, operation: Operation, reason: String },
    /// The command was sent, and what became of it was lost with a connection.
    #[error("{0}; the command may have run")]
    Unsettled(Box<Error>),
    /// The endpoint does not know the session, but had not answered its Delete: some servers answer so
    /// while the session is still there.
    #[error("the endpoint did not confirm that the session is removed")]
    Unconfirmed,
    #[error("the session was closed")]
    Closed,
}

impl Error {
    /// Whether the endpoint refuses because a limit on sessions, operations or users is reached.
    pub fn is_quota(&self) -> bool {
        matches!(self, Self::Fault(fault) if fault.is_quota())
    }

    /// What a person does now; `None` where the error says it all.
    pub fn advice(&self) -> Option<String> {
        Some(match self {
            Self::Unreachable { .. } => {
                "Check the endpoint's name and port in the profile, and the network or proxy on the way."
                    .into()
            }
            Self::Certificate { endpoint, refused } => certificate_advice(endpoint, refused),
            Self::Handshake { problem, .. } => problem.advice().into(),
            Self::TlsNotBuilt => "Install a lyncsh with this feature, or remove tls from the profile.".into(),
            Self::Insecure { .. } => {
                "Use an https URI for the endpoint: this kind of credential is sent over TLS only.".into()
            }
            Self::Redirect { refusal: RedirectRefusal::TooMany, .. } => {
                "The endpoint's own settings send the session round: whoever runs it has to correct that."
                    .into()
            }
            Self::Redirect { target, .. } => {
                format!("If {target} is to be trusted, put its https URI into the profile.")
            }
            Self::Unauthorized { offered, .. } => unauthorized_advice(offered),
            Self::Http { status, .. } => http_advice(*status)?,
            Self::Fault(fault) if fault.is_quota() => {
                "Close a session that is no longer needed, or wait until an idle one ends, and try again."
                    .into()
            }
            Self::Fault(_) | Self::Closed => return None,
            Self::Timeout { operation, .. } => format!(
                "Try again; if the endpoint is only slow, raise `{}` under [timeouts] in the profile.",
                operation.limit()
            ),
            Self::Protocol(_) => {
                "Is this a PowerShell remoting endpoint? Check its URI in the profile.".into()
            }
            Self::Ended(_) => "Check the network and start again.".into(),
            Self::Unconfirmed => "The next lyncsh command checks it.".into(),
            Self::Unsettled(_) => "Look at what it should have changed before it is run again.".into(),
            Self::Cut { endpoint, operation, .. } => {
                let more = match operation {
                    Operation::Create => renegotiation_advice(endpoint),
                    _ => "",
                };
                format!(
                    "Try again; if it stays so, check the endpoint's URI and port in the profile, \
                     and the proxy or firewall on the way.{more}"
                )
            }
        })
    }
}

fn certificate_advice(endpoint: &str, refused: &RefusedCertificate) -> String {
    let now = match &refused.problem {
        CertificateProblem::OtherName(_) => "use the name that the certificate is for, in the profile's URI",
        CertificateProblem::NoName(_) => {
            "its certificate has to be issued again with the name of the server as a subject alternative name"
        }
        CertificateProblem::UnknownIssuer => {
            "its issuer has to be added to this machine's trusted certificates, or its file named in the profile: ca = \"…\""
        }
        CertificateProblem::SelfSigned => "name the file of its certificate in the profile: ca = \"…\"",
        CertificateProblem::OtherFingerprint { .. } => {
            "ask its administrator whether it has a new certificate, and compare the fingerprints"
        }
        _ => "its certificate has to be renewed there",
    };
    let pin = match (&refused.problem, refused.fingerprint) {
        (CertificateProblem::Revoked, _) | (_, None) => String::new(),
        (CertificateProblem::OtherFingerprint { .. }, Some(found)) => {
            format!(" Then write to the profile: pin = \"{}\"", found.digits())
        }
        (_, Some(found)) => format!(
            " To trust this certificate alone, compare its fingerprint with the server's administrator, then add \
             to the profile: pin = \"{}\"",
            found.digits()
        ),
    };
    format!("Is {endpoint} the server that is meant? If so, {now}.{pin}")
}

/// A server that asks for a client certificate only when it has read the request does so by TLS
/// renegotiation, which rustls refuses (IIS with SslNegotiateCert, rustls/rustls#1999).
fn renegotiation_advice(endpoint: &str) -> &'static str {
    match endpoint.starts_with("https:") {
        true => {
            " If the server asks for a client certificate after the request, as IIS does for a directory with \
             SslNegotiateCert: add tls = \"system\" to the profile."
        }
        false => "",
    }
}

fn unauthorized_advice(offered: &[String]) -> String {
    let schemes: Vec<_> =
        offered.iter().filter_map(|challenge| challenge.split_whitespace().next()).collect();
    if schemes.is_empty() {
        return "Check the user name and the password.".into();
    }
    format!(
        "Check the user name and the password; the endpoint takes these kinds of authentication: {}.",
        schemes.join(", ")
    )
}

fn http_advice(status: u16) -> Option<String> {
    Some(match status {
        403 => {
            "The credential was read, but its owner may not use this endpoint: ask for the right to.".into()
        }
        404 => "There is nothing at this path: check the endpoint's URI in the profile.".into(),
        200..=299 => {
            "That is no PowerShell endpoint's answer; a sign-in page or a proxy gives such. Check the \
                      endpoint's URI in the profile, in a browser too."
                .into()
        }
        407 => "A proxy on the way wants a credential: put it into HTTPS_PROXY, or go around it by NO_PROXY."
            .into(),
        502..=504 => {
            "A proxy or load balancer before the endpoint could not reach it: try again in a while, and \
                      tell whoever runs it."
                .into()
        }
        500..=599 => "The server is in trouble: try again in a while.".into(),
        _ => return None,
    })
}
