//! Control protocol between launcher and agent, beside PSRP: one JSON object per line over the agent's
//! control socket. No message contains a secret.

use std::time::Duration;
use std::{fmt, io};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use uuid::Uuid;

use crate::net::display;
use crate::step::Step;

/// Maximum length of a received line.
const MAX_LINE: u64 = 1024 * 1024;

/// Request to the agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case")]
pub enum ControlRequest {
    /// Subscribes to all past and future events. The agent stays while the connection is open. `keeps`: after
    /// this client, the session stays for the profile's `keep`, even if `lyncsh exec` has started the agent.
    // Agents of earlier versions ignore `keeps`.
    Watch {
        #[serde(default)]
        keeps: bool,
    },
    /// Ends the watch. If the agent ends because of it, the connection stays open until the session is
    /// removed.
    Release,
    /// Announces a shell: the watcher's process or a process that it starts. The watcher disconnects after
    /// [`ControlEvent::Awaited`].
    Announce { process: u32 },
    /// Announces a shell that the watcher has started. The watch continues, but no longer keeps the agent running:
    /// instead, the agent waits for the shell.
    Guard { process: u32 },
    /// Answers [`ControlEvent::LimitReached`]: removes these sessions and connects again.
    Retry { remove: Vec<Uuid> },
    /// Marks the watcher as a console at a terminal: while it watches, the agent reconnects a lost session
    /// without a time limit.
    Persist,
    /// Reconnects a lost session immediately.
    Reconnect,
    /// Requests [`Status`]. `brief`: without the sessions on the endpoint, which the agent would have to query.
    // Agents of earlier versions ignore `brief`.
    Status {
        #[serde(default)]
        brief: bool,
    },
    /// Removes the session and ends the agent.
    Stop,
}

/// Event from the agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum ControlEvent {
    Step(Step),
    /// A session may exist from now on. Contains the data for its removal, except the credential.
    Guarded(Guarded),
    /// The endpoint has created the session.
    Created,
    /// The session is open and shells may attach. After [`ControlEvent::Lost`] it is a new session.
    Open,
    /// The session was lost; the agent reconnects.
    Lost {
        reason: String,
    },
    /// An attempt to reconnect failed; another follows.
    Away(Failure),
    /// The endpoint's session limit is reached; lists the sessions that count. [`ControlRequest::Retry`]
    /// continues.
    LimitReached {
        failure: Failure,
        holders: Vec<Holder>,
    },
    /// The endpoint has refused the password. [`ControlEvent::Failed`] follows.
    PasswordRefused {
        endpoint: url::Url,
    },
    /// The proxy has refused its password. [`ControlEvent::Failed`] follows.
    ProxyRefused,
    /// No session could be opened; the agent ends.
    Failed(Failure),
    /// One line for the users of the shells.
    Notice {
        text: String,
    },
    /// The session is removed and the agent ends. `left`: reason why the session may still exist. `stopped`:
    /// a request ended the agent, not the last client's exit.
    Removed {
        left: Option<String>,
        stopped: bool,
    },
    /// The agent waits for the announced shell.
    Awaited,
    /// The watcher is released; the agent stays for other clients.
    Released,
    Status(Box<Status>),
}

/// Identity of a session that must be removed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guarded {
    /// The connection URI.
    pub endpoint: url::Url,
    pub configuration: String,
    /// The id of the runspace pool, which is also the id of the WSMan shell.
    pub shell: Uuid,
}

impl fmt::Debug for Guarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The query of a redirect's target may contain a ticket, and events are logged.
        f.debug_struct("Guarded")
            .field("endpoint", &display(&self.endpoint))
            .field("configuration", &self.configuration)
            .field("shell", &self.shell)
            .finish()
    }
}

/// An error to report to the user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error, miette::Diagnostic)]
#[error("{text}")]
pub struct Failure {
    /// The failed operation and the reason.
    pub text: String,
    /// Instruction for the user.
    #[help]
    pub advice: Option<String>,
}

/// A session that counts against the endpoint's limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    pub shell: Uuid,
    pub owner: Option<String>,
    /// The address from which the session was opened.
    pub client: Option<String>,
    #[serde(with = "seconds")]
    pub age: Option<Duration>,
    #[serde(with = "seconds")]
    pub idle: Option<Duration>,
    /// The profile of the session, if it is in this machine's journal.
    pub ours: Option<String>,
}

/// State of an agent for `lyncsh status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    pub profile: String,
    pub process: u32,
    /// The agent's version; `None` for versions that did not send it.
    #[serde(default)]
    pub version: Option<String>,
    pub user: Option<String>,
    pub endpoint: Option<url::Url>,
    /// The session's id; `None` before it is open.
    pub session: Option<Uuid>,
    /// Time since the session was opened.
    #[serde(with = "seconds")]
    pub open: Option<Duration>,
    pub shells: Vec<Attached>,
    /// The account's sessions on the endpoint, including this one; `None` if the endpoint does not list them.
    pub used: Option<usize>,
    /// The account's session limit, if known.
    pub allowed: Option<usize>,
    pub holders: Vec<Holder>,
    /// Counters of the session; zero if the agent is of an earlier version.
    #[serde(default)]
    pub traffic: Traffic,
}

/// Counters of one session, from its opening.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Traffic {
    /// Pipelines that are running on the endpoint.
    pub running: usize,
    /// Pipelines that wait for a runspace.
    pub queued: usize,
    /// Pipelines that were started on the endpoint.
    pub pipelines: u64,
    /// Bytes of PSRP messages from the endpoint.
    pub received: u64,
    /// Bytes of PSRP messages to the endpoint.
    pub sent: u64,
    /// Errors of the users' pipelines, and pipelines that ended without a final state.
    pub errors: u64,
}

/// An attached shell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attached {
    pub program: Option<String>,
    pub process: Option<u32>,
    #[serde(with = "seconds")]
    pub attached: Option<Duration>,
    pub commands: Vec<String>,
}

/// Durations as whole seconds.
mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(duration: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
        duration.map(|duration| duration.as_secs()).serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<u64>::deserialize(from)?.map(Duration::from_secs))
    }
}

/// Writes a message as one line.
pub async fn send<T: Serialize>(to: &mut (impl AsyncWrite + Unpin), what: &T) -> io::Result<()> {
    let mut line = serde_json::to_vec(what)?;
    line.push(b'\n');
    to.write_all(&line).await?;
    to.flush().await
}

/// Reads a message from one line; `None` at the end of the stream. Not safe to cancel.
pub async fn receive<T: DeserializeOwned>(from: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<T>> {
    let mut line = Vec::new();
    from.take(MAX_LINE).read_until(b'\n', &mut line).await?;
    if line.last() != Some(&b'\n') {
        // An incomplete line: the sender is gone.
        return Ok(None);
    }
    serde_json::from_slice(&line).map(Some).map_err(io::Error::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_of_a_session_has_no_query() {
        let session = Guarded {
            endpoint: "https://pool.example/PowerShell?ticket=secret".parse().unwrap(),
            configuration: "c".to_owned(),
            shell: Uuid::nil(),
        };
        let shown = format!("{:?}", ControlEvent::Guarded(session));
        assert!(shown.contains("https://pool.example/PowerShell") && !shown.contains("secret"), "{shown}");
    }

    #[test]
    fn agents_and_clients_of_other_versions_understand_each_other() {
        #[derive(Debug, PartialEq, Deserialize)]
        #[serde(tag = "request", rename_all = "kebab-case")]
        enum Earlier {
            Status,
            Watch,
        }
        let brief = serde_json::to_string(&ControlRequest::Status { brief: true }).unwrap();
        assert_eq!(serde_json::from_str::<Earlier>(&brief).unwrap(), Earlier::Status);
        let watch = serde_json::to_string(&ControlRequest::Watch { keeps: true }).unwrap();
        assert_eq!(serde_json::from_str::<Earlier>(&watch).unwrap(), Earlier::Watch);
        let request: ControlRequest = serde_json::from_str(r#"{"request":"watch"}"#).unwrap();
        assert_eq!(request, ControlRequest::Watch { keeps: false });
        let request: ControlRequest = serde_json::from_str(r#"{"request":"status"}"#).unwrap();
        assert_eq!(request, ControlRequest::Status { brief: false });
        let status: Status = serde_json::from_str(
            r#"{"profile":"work","process":1,"user":null,"endpoint":null,"session":null,"open":null,
                "shells":[],"used":null,"allowed":3,"holders":[]}"#,
        )
        .unwrap();
        assert_eq!(status.traffic, Traffic::default());
    }
}
