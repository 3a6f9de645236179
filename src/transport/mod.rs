//! How PSRP messages travel: over WSMan ([`wsman`]) or over a byte stream in out-of-process framing
//! ([`stream`]). Either way a [`Connection`] is what the rest of the crate sees, and [`session`] is a
//! PSRP client on one.

pub mod session;
pub mod stream;
pub mod wsman;

pub use crate::profile::Limits;

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use crate::net;
use crate::psrp::client::Outgoing;
use crate::psrp::message::Message;

/// What the owner of a runspace pool asks of its connection. Dropping the sender closes the pool.
#[derive(Debug)]
pub enum Request {
    /// Sends a whole message. A pipeline's first message starts it. `ordered` is answered when the
    /// other side has the message safely in order (DataAck, CommandResponse, SendResponse).
    Send { outgoing: Outgoing, ordered: Option<oneshot::Sender<()>> },
    /// Stops a pipeline: Signal. Its PIPELINE_STATE 3 and [`Event::StopAcknowledged`] follow.
    Stop(Uuid),
    /// The owner has seen a pipeline's end: Signal terminate, or Close.
    ClosePipeline(Uuid),
    /// Whether more of a pipeline is wanted; at first it is. While it is not, nothing more is fetched
    /// for that pipeline, what is on its way still comes, and all others go on. A byte stream can't
    /// hold back one pipeline alone and passes over this.
    Flow { pipeline: Uuid, wanted: bool },
    /// Closes the runspace pool and removes the session; answered when the server confirmed or the
    /// limit ran out.
    Close(oneshot::Sender<Result<(), Error>>),
}

/// What a connection says.
#[derive(Debug)]
pub enum Event {
    Message(Message),
    StopAcknowledged(Uuid),
    PipelineClosed(Uuid),
    /// A pipeline could not be started or went on without its end; nobody else is touched.
    PipelineFailed(Uuid, Error),
    /// The server, or the connection for good, is gone. The last event.
    Broken(Error),
    /// Closed as was asked. The last event.
    Closed,
}

/// An open way to a runspace pool on some endpoint.
///
/// `events` is bounded and shared by all pipelines: an owner that does not read is waited for, by all
/// of them. An owner with several consumers therefore always reads, keeps a queue for each pipeline,
/// and says by [`Request::Flow`] when one of them is full and when it has room again; what still
/// comes for a pipeline after that is bounded by the channel and by one answer of the server. In the
/// other direction requests are taken at once, and `ordered` is what an owner waits for before it
/// sends more on the same pipeline.
#[derive(Debug)]
pub struct Connection {
    pub requests: mpsc::Sender<Request>,
    pub events: mpsc::Receiver<Event>,
}

/// What went wrong on the way. Each says what was being done; what to do now is said by
/// [`Error::advice`].
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    #[error("{endpoint} can't be reached: {reason}")]
    Unreachable { endpoint: String, reason: String },
    #[error("the certificate of {endpoint} is not trusted: {reason}")]
    Certificate { endpoint: String, reason: String },
    #[error("the credential was not sent to {endpoint}: the connection would not be encrypted")]
    Insecure { endpoint: String },
    #[error("{endpoint} points to {target}, which was not followed: {reason}")]
    Redirect { endpoint: String, target: String, reason: &'static str },
    #[error("{endpoint} refused the credential of {user}")]
    Unauthorized { endpoint: String, user: String, offered: Vec<String> },
    /// `said`: what the answer holds beside the status, and who on the way gave it.
    #[error("{endpoint} answered {status} {reason}{}", .said.as_deref().map(|said| format!(": {said}")).unwrap_or_default())]
    Http { endpoint: String, status: u16, reason: String, said: Option<String> },
    #[error("{}", .0.text)]
    Fault(wsman::fault::Fault),
    #[error("{step} took longer than {}", humantime::format_duration(*.limit))]
    Timeout { step: &'static str, limit: Duration },
    #[error("the endpoint broke the protocol: {0}")]
    Protocol(String),
    #[error("the connection ended: {0}")]
    Ended(String),
    #[error("the connection to {endpoint} ended while {step}: {reason}")]
    Cut { endpoint: String, step: &'static str, reason: String },
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
            Self::Certificate { endpoint, reason } => certificate_advice(endpoint, reason),
            Self::Insecure { .. } => {
                "Use an https URI for the endpoint: this kind of credential is sent over TLS only.".into()
            }
            Self::Redirect { reason, .. } if *reason == TOO_FAR => {
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
            Self::Timeout { step, .. } => format!(
                "Try again; if the endpoint is only slow, raise `{}` under [timeouts] in the profile.",
                limit_of(step)
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

/// The step of making a connection, as [`Error::Timeout`] names it: nothing was sent yet.
const CONNECTING: &str = "connecting";

/// Why a redirection is not followed that comes after too many others.
const TOO_FAR: &str = "there were more redirections than are followed";

/// The profile's limit that a step has.
fn limit_of(step: &str) -> &'static str {
    match step {
        CONNECTING => "connect",
        wsman::CREATING => "open",
        wsman::REMOVING => "close",
        _ => "operation",
    }
}

fn certificate_advice(endpoint: &str, reason: &str) -> String {
    let now = match reason {
        net::OTHER_NAME => {
            "use the name that the certificate is for, in the profile's URI; what names it has, a browser shows"
        }
        net::UNKNOWN_ISSUER => {
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
