//! Requests to a running agent for `lyncsh status` and `lyncsh stop`; never starts an agent.

use std::io;
use std::time::Duration;

use tokio::io::BufReader;

use super::control::{self, ControlEvent, ControlRequest, Status};
use super::journal::Journal;
use super::orphans::{self, Extent};
use super::paths::AgentPaths;
use super::resolver::EndpointResolver;
use super::socket;
use crate::files::lock;
use crate::folders::Folders;
use crate::{platform, profile};

/// Time limit for the agent's status, for which it queries the endpoint.
const STATUS_TIMEOUT: Duration = Duration::from_secs(15);
/// Time limit for the removal of the session.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);

/// Result of stopping an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// No agent was running.
    NotRunning,
    Removed,
    /// The agent has ended; its session may still exist.
    Left(String),
    /// The agent did not answer and was killed; contains the results of removing its session, one per line.
    Killed {
        process: Option<u32>,
        lines: Vec<String>,
    },
}

impl Stopped {
    /// Returns how much of the result the user must know.
    fn severity(&self) -> u8 {
        match self {
            Self::NotRunning => 0,
            Self::Removed => 1,
            Self::Killed { .. } => 2,
            Self::Left(_) => 3,
        }
    }
}

/// Returns the status of a profile's agent; `None` if no agent is running.
pub async fn status(folders: &Folders, profile: &str) -> io::Result<Option<Status>> {
    request_status(folders, profile, false, STATUS_TIMEOUT).await
}

/// Returns the status without the sessions on the endpoint, within `limit`.
pub async fn brief_status(folders: &Folders, profile: &str, limit: Duration) -> io::Result<Option<Status>> {
    request_status(folders, profile, true, limit).await
}

async fn request_status(
    folders: &Folders,
    profile: &str,
    brief: bool,
    limit: Duration,
) -> io::Result<Option<Status>> {
    let paths = AgentPaths::of(folders, profile);
    let asking = async {
        let Ok(stream) = socket::connect(&paths.control).await else { return Ok(None) };
        let (reader, mut writer) = tokio::io::split(stream);
        control::send(&mut writer, &ControlRequest::Status { brief }).await?;
        match control::receive(&mut BufReader::new(reader)).await? {
            Some(ControlEvent::Status(status)) => Ok(Some(*status)),
            // The agent has ended in the meantime.
            _ => Ok(None),
        }
    };
    tokio::time::timeout(limit, asking).await?
}

/// Returns the folders with which the agents of open sessions were started, each with a profile: the runtime folder
/// depends on the environment (`XDG_RUNTIME_DIR`), and is recorded in the journal.
pub fn agents(folders: &Folders) -> Vec<(Folders, String)> {
    let mut all: Vec<_> =
        AgentPaths::known(folders).into_iter().map(|name| (folders.clone(), name)).collect();
    for entry in Journal::of(folders).live() {
        if !entry.runtime.as_os_str().is_empty() && entry.runtime != folders.runtime {
            let there = (Folders { runtime: entry.runtime, ..folders.clone() }, entry.profile);
            if !all.contains(&there) {
                all.push(there);
            }
        }
    }
    all
}

/// Stops the agents of a profile and removes their sessions. An agent that does not answer is killed, and this
/// process removes its session.
pub async fn stop(folders: &Folders, profile: &str) -> io::Result<Stopped> {
    let mut stopped = stop_in(folders, profile).await?;
    for (there, _) in agents(folders).iter().filter(|(there, name)| name == profile && there != folders) {
        let further = stop_in(there, profile).await?;
        if further.severity() > stopped.severity() {
            stopped = further;
        }
    }
    Ok(stopped)
}

async fn stop_in(folders: &Folders, profile: &str) -> io::Result<Stopped> {
    let paths = AgentPaths::of(folders, profile);
    let Ok(stream) = socket::connect(&paths.control).await else {
        return match paths.holder() {
            // The agent is not listening yet, or no longer.
            Some(process) => kill(folders, profile, process).await,
            None => Ok(Stopped::NotRunning),
        };
    };
    let asking = async {
        let (reader, mut writer) = tokio::io::split(stream);
        let mut reader = BufReader::new(reader);
        control::send(&mut writer, &ControlRequest::Stop).await?;
        loop {
            match control::receive(&mut reader).await? {
                Some(ControlEvent::Removed { left: Some(left), .. }) => return Ok(Stopped::Left(left)),
                Some(ControlEvent::Failed(_)) if Journal::of(folders).has_orphan(profile) => {
                    return Ok(Stopped::Left("the removal failed".to_owned()));
                }
                Some(ControlEvent::Removed { left: None, .. } | ControlEvent::Failed(_)) => {
                    return Ok(Stopped::Removed);
                }
                Some(_) => {}
                None => return Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
            }
        }
    };
    match (tokio::time::timeout(STOP_TIMEOUT, asking).await, paths.holder()) {
        (Ok(Ok(stopped)), _) => Ok(stopped),
        (_, Some(process)) => kill(folders, profile, process).await,
        // A session that the agent has left is in the journal.
        (_, None) => Ok(Stopped::Killed { process: None, lines: sweep(folders, profile, Extent::Due).await }),
    }
}

async fn kill(folders: &Folders, profile: &str, process: u32) -> io::Result<Stopped> {
    platform::kill(process)?;
    // The lock is free when the process has ended.
    let paths = AgentPaths::of(folders, profile);
    lock::lock(&paths.lock, STOP_TIMEOUT).await.map_err(io::Error::other)?;
    Ok(Stopped::Killed { process: Some(process), lines: sweep(folders, profile, Extent::Due).await })
}

/// Tries once more to remove the orphaned sessions of a profile, also those whose password was refused: the user has
/// asked for it, and may have changed the password with another program. Returns one line for each session.
pub async fn remove_orphans(folders: &Folders, name: &str) -> Vec<String> {
    sweep(folders, name, Extent::All).await
}

async fn sweep(folders: &Folders, name: &str, extent: Extent) -> Vec<String> {
    match profile::load(folders, name) {
        Ok(profile) => {
            let mut access = EndpointResolver::new(folders, profile, None);
            orphans::sweep_profile(folders, &mut access, extent).await
        }
        Err(error) => vec![error.to_string()],
    }
}
