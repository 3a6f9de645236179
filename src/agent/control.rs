//! What launcher and agent say to each other beside PSRP: one JSON object a line, over the agent's
//! control socket. No secret is ever among it.

use std::io;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use uuid::Uuid;

use crate::step::Step;

/// The longest line that is read.
const MAX_LINE: u64 = 1024 * 1024;

/// What the agent is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case")]
pub enum ControlRequest {
    /// To be told everything that has happened and happens. As long as the connection is there, the
    /// agent stays.
    Watch,
    /// The watcher goes. The connection stays until the agent, where it goes now, has removed its
    /// session.
    Release,
    /// A shell is about to come, this process or one that this process starts, and the watcher goes when it is
    /// [`Event::Awaited`].
    Announce {
        process: u32,
    },
    /// The watcher goes on listening, and the agent does not stay for its sake any more: the shell that
    /// it has started, this process, is about to come.
    Guard {
        process: u32,
    },
    /// The endpoint had no room for a session. It may have some now: these are removed, and it is asked
    /// again.
    Retry {
        remove: Vec<Uuid>,
    },
    /// The watcher is a console at a terminal: as long as it watches, a session that is lost is made again,
    /// whatever time that takes.
    Persist,
    /// Connects again now, where the session was lost.
    Reconnect,
    Status,
    /// Removes the session and ends.
    Stop,
}

/// What the agent says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum ControlEvent {
    Step(Step),
    /// From here on there may be a session: what its removal needs, but for the credential.
    Guarded(Guarded),
    /// The endpoint has created it.
    Created,
    /// The session is open, shells may attach. After [`Event::Lost`] it is a new one.
    Open,
    /// The session was lost, and is being made again.
    Lost {
        reason: String,
    },
    /// An attempt to make it again has failed; another follows.
    Away(Failure),
    /// The endpoint has no room for another session: who holds the slots. [`Request::Retry`] goes on.
    Refused {
        failure: Failure,
        holders: Vec<Holder>,
    },
    /// The endpoint has refused the password; what that comes to follows.
    PasswordRefused {
        endpoint: url::Url,
    },
    /// There is no session, and the agent goes.
    Failed(Failure),
    /// One line for the people at the shells.
    Notice {
        text: String,
    },
    /// The session is removed, and the agent goes. `left`: why it may still be there. `stopped`: it was
    /// told to, and not only left by everybody.
    Removed {
        left: Option<String>,
        stopped: bool,
    },
    /// The shell that was announced is waited for.
    Awaited,
    /// The watcher is let go, and the agent stays for others.
    Released,
    Status(Box<Status>),
}

/// A session that is to be removed some day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guarded {
    /// The connection URI.
    pub endpoint: url::Url,
    pub configuration: String,
    /// The runspace pool's id, which is the shell's.
    pub shell: Uuid,
}

/// An error on its way to the person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error, miette::Diagnostic)]
#[error("{text}")]
pub struct Failure {
    /// What lyncsh was doing and what went wrong.
    pub text: String,
    /// What to do now.
    #[help]
    pub advice: Option<String>,
}

/// A session that holds a slot on the endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    pub shell: Uuid,
    pub owner: Option<String>,
    /// The address that it was opened from.
    pub client: Option<String>,
    #[serde(with = "seconds")]
    pub age: Option<Duration>,
    #[serde(with = "seconds")]
    pub idle: Option<Duration>,
    /// The profile that it belongs to, where this machine's journal knows it.
    pub ours: Option<String>,
}

/// An agent as `lyncsh status` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    pub profile: String,
    pub process: u32,
    pub user: Option<String>,
    pub endpoint: Option<url::Url>,
    /// The session's id; `None` before it is open.
    pub session: Option<Uuid>,
    /// How long it has been open.
    #[serde(with = "seconds")]
    pub open: Option<Duration>,
    pub shells: Vec<Attached>,
    /// The account's sessions on the endpoint, this one included; `None` where it does not tell.
    pub used: Option<usize>,
    /// How many it may have, where that is known.
    pub allowed: Option<usize>,
    pub holders: Vec<Holder>,
}

/// A shell that is attached.
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

/// Writes one line.
pub async fn send<T: Serialize>(to: &mut (impl AsyncWrite + Unpin), what: &T) -> io::Result<()> {
    let mut line = serde_json::to_vec(what)?;
    line.push(b'\n');
    to.write_all(&line).await?;
    to.flush().await
}

/// Reads one line; `None` at the end of the stream. Not safe to cancel.
pub async fn receive<T: DeserializeOwned>(from: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<T>> {
    let mut line = Vec::new();
    from.take(MAX_LINE).read_until(b'\n', &mut line).await?;
    if line.last() != Some(&b'\n') {
        // A line that was cut is the end, too: who sent it is gone.
        return Ok(None);
    }
    serde_json::from_slice(&line).map(Some).map_err(io::Error::from)
}
