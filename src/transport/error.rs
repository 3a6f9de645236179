//! What fails between lyncsh and an endpoint, and what to do about it.

use std::fmt;
use std::time::Duration;

use super::wsman::fault::Fault;
use crate::net::CertificateProblem;
use crate::security::ContextError;
use crate::security::advice::Symptom;

/// What was being done when an error occurred.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Making the connection: nothing was sent yet.
    Connect,
    /// Establishing a security context: no envelope was sent yet.
    Authenticate,
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
    #[error("the certificate of {endpoint} is not trusted: {problem}")]
    Certificate { endpoint: String, problem: CertificateProblem },
    #[error("the credential was not sent to {endpoint}: the connection would not be encrypted")]
    Insecure { endpoint: String },
    #[error("{endpoint} points to {target}, which was not followed: {refusal}")]
    Redirect { endpoint: String, target: String, refusal: RedirectRefusal },
    #[error("{endpoint} refused the credential of {user}")]
    Unauthorized { endpoint: String, user: String, offered: Vec<String> },
    /// A security context failed before the endpoint had an envelope.
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

    /// Whether the password or token was refused: sending it again counts towards a lockout.
    pub fn is_refused_credential(&self) -> bool {
        match self {
            Self::Unauthorized { .. } => true,
            Self::Authentication { error, .. } => error.is_refused_credential(),
            _ => false,
        }
    }

    /// What a person does now; `None` where the error says it all.
    pub fn advice(&self) -> Option<String> {
        Some(match self {
            Self::Unreachable { .. } => {
                "Check the endpoint's name and port in the profile, and the network or proxy on the way."
                    .into()
            }
            Self::Certificate { endpoint, problem } => certificate_advice(endpoint, problem),
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
            Self::Authentication { error, .. } | Self::Unreadable { error, .. } => lines(error.advice())?,
            Self::TicketRefused { .. } => lines(Symptom::TicketRefused.advice())?,
            Self::NotOffered { offered, .. } => not_offered_advice(offered),
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
            Self::Cut { .. } => {
                "Try again; if it stays so, check the endpoint's URI and port in the profile, \
                                 and the proxy or firewall on the way."
                    .into()
            }
        })
    }
}

/// One line for each cause.
fn lines(advice: &[&str]) -> Option<String> {
    (!advice.is_empty()).then(|| advice.join("\n"))
}

fn list(offered: &[String]) -> String {
    if offered.is_empty() { "nothing".to_owned() } else { offered.join(", ") }
}

/// Names those of the offers that a profile can use.
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

fn certificate_advice(endpoint: &str, problem: &CertificateProblem) -> String {
    let now = match problem {
        CertificateProblem::OtherName => {
            "use the name that the certificate is for, in the profile's URI; what names it has, a browser shows"
        }
        CertificateProblem::UnknownIssuer => {
            "its issuer has to be added to this machine's trusted certificates, or its file named in the profile: ca = \"…\""
        }
        _ => "its certificate has to be renewed there",
    };
    format!("Is {endpoint} the server that is meant? If so, {now}.")
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
