//! Errors of the communication with an endpoint, and advice for the user.

use std::fmt;
use std::time::Duration;

use super::wsman::fault::Fault;
use crate::net::{HandshakeProblem, ProxyError, RefusedCertificate, TlsSetupError};
use crate::security::ContextError;

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
    /// Returns the key of the operation's limit in `[timeouts]`.
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
    /// The servers redirected Create more often than the endpoint's `max_redirections`.
    #[error("too many redirects")]
    TooMany,
    /// The server sent a location that cannot be parsed as a URI.
    #[error("the target is not a URI")]
    NotUri,
    /// Credentials are sent over TLS only.
    #[error("the target is not an https URI")]
    NotHttps,
    /// The profile does not permit the host.
    #[error("the credential may not be sent to that host")]
    Foreign,
    /// The server redirected a request of an open session, which exists on this server only.
    #[error("redirects are followed only while opening a session")]
    NotAtOpening,
}

/// The method by which a refused credential was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthScheme {
    Basic,
    Bearer,
    Certificate,
    Ntlm,
}

impl AuthScheme {
    /// Returns whether a scheme that a server offers is this one.
    pub fn is(self, offer: &str) -> bool {
        let names: &[&str] = match self {
            Self::Basic => &["Basic"],
            Self::Bearer => &["Bearer"],
            Self::Certificate => &[],
            Self::Ntlm => &["NTLM", "Negotiate"],
        };
        names.iter().any(|name| name.eq_ignore_ascii_case(offer))
    }
}

/// Error of the communication with an endpoint. The text names the operation; [`advice`](crate::advice) has the
/// instructions for the user.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The host name is not known, the connection was refused, or there is no route.
    #[error("cannot reach {endpoint}: {reason}")]
    Unreachable { endpoint: String, reason: String },
    /// The server's certificate failed the checks: see `CertificateProblem`.
    #[error("the certificate of {endpoint} is not trusted: {}", .refused.problem)]
    Certificate { endpoint: String, refused: Box<RefusedCertificate> },
    /// The TLS handshake failed for another reason than the server's certificate: see `HandshakeProblem`.
    #[error("cannot open a TLS connection to {endpoint}: {problem}")]
    Handshake { endpoint: String, problem: HandshakeProblem },
    /// The TLS library could not be set up: see `TlsSetupError`.
    #[error("cannot set up TLS: {0}")]
    Tls(TlsSetupError),
    /// The proxy failed, and the endpoint received nothing: see `ProxyError`.
    #[error(transparent)]
    Proxy(ProxyError),
    /// The URI is http to another computer, and the authentication method does not seal the messages.
    #[error("the credential was not sent to {endpoint}: the connection would not be encrypted")]
    Insecure { endpoint: String },
    /// The server sent a redirect that must not be followed: see `RedirectRefusal`.
    #[error("refused redirect from {endpoint} to {target}: {refusal}")]
    Redirect { endpoint: String, target: String, refusal: RedirectRefusal },
    /// 401 to a request with the credential. `scheme`: the method, `None` for a credential that was refused before and
    /// was not sent again.
    #[error("{endpoint} refused the credential of {user}{}{}", answered(*.scheme), offers(.offered))]
    Unauthorized { endpoint: String, user: String, scheme: Option<AuthScheme>, offered: Vec<String> },
    /// A security context failed before the endpoint received an envelope.
    #[error("cannot authenticate {user} to {endpoint}: {error}")]
    Authentication { endpoint: String, user: String, error: ContextError },
    /// The answer to a request cannot be verified or unsealed.
    #[error("cannot read the answer of {endpoint} while {operation}: {error}")]
    Unreadable { endpoint: String, operation: Operation, error: ContextError },
    /// A 401 to a ticket that the KDC granted for this service.
    #[error("{endpoint} refused the Kerberos ticket of {user} for {service} (HTTP 401)")]
    TicketRefused { endpoint: String, user: String, service: String },
    /// 401 whose WWW-Authenticate lacks the profile's method: the server or a proxy has disabled it.
    #[error("{endpoint} does not offer {wanted} (HTTP 401); it offers {}", list(.offered))]
    NotOffered { endpoint: String, wanted: &'static str, offered: Vec<String> },
    /// A status without a SOAP fault, from the server or an intermediary. `detail`: content of the answer besides the
    /// status, and its sender.
    #[error("{endpoint} answered {status} {reason}{}", .detail.as_deref().map(|detail| format!(": {detail}")).unwrap_or_default())]
    Http { endpoint: String, status: u16, reason: String, detail: Option<String> },
    /// The endpoint answered with a SOAP fault, whose text is shown with its code.
    #[error("{0}")]
    Fault(Fault),
    /// The endpoint did not answer within the limit of `[timeouts]` for this operation.
    #[error("{operation} took longer than {}", humantime::format_duration(*.limit))]
    Timeout { operation: Operation, limit: Duration },
    /// The peer's answer is not WSMan or PSRP, is too large, or does not belong to the request.
    #[error("the endpoint violated the protocol: {0}")]
    Protocol(String),
    /// The endpoint has an unsupported version of the protocol; no session is left.
    #[error("the endpoint is not supported: {0}")]
    Unsupported(String),
    /// The peer closed the connection or the session, or retries after lost connections have failed.
    #[error("the connection ended: {0}")]
    Ended(String),
    /// The server, a proxy or a firewall closed the connection during a request.
    #[error("the connection to {endpoint} ended while {operation}: {reason}")]
    ConnectionLost { endpoint: String, operation: Operation, reason: String },
    /// The command was sent, and its result was lost with the connection.
    #[error("{0}; the command may have run")]
    OutcomeUnknown(Box<Error>),
    /// The endpoint does not know the session, but an earlier Delete was not answered: some servers report
    /// "not found" while the session still exists.
    #[error("the endpoint did not confirm the removal of the session")]
    Unconfirmed,
    /// This process closed the session, or the driver of the session has ended.
    #[error("the session was closed")]
    Closed,
}

impl Error {
    /// Returns whether a limit on sessions, operations or users is reached.
    pub fn is_quota(&self) -> bool {
        matches!(self, Self::Fault(fault) if fault.is_quota())
    }

    /// Returns whether the command that ended with this error may have run.
    pub fn may_have_run(&self) -> bool {
        matches!(self, Self::OutcomeUnknown(_))
    }

    /// Returns whether the password or token was refused: sending it again counts towards a lockout.
    pub fn is_refused_credential(&self) -> bool {
        match self {
            Self::Unauthorized { .. } => true,
            Self::Authentication { error, .. } => error.is_refused_credential(),
            _ => false,
        }
    }
}

fn answered(scheme: Option<AuthScheme>) -> &'static str {
    if scheme.is_some() { " (HTTP 401)" } else { "" }
}

fn offers(offered: &[String]) -> String {
    if offered.is_empty() { String::new() } else { format!("; it offers {}", list(offered)) }
}

fn list(offered: &[String]) -> String {
    if offered.is_empty() { "nothing".to_owned() } else { offered.join(", ") }
}
