//! Questions to an agent that runs, from `lyncsh status` and `lyncsh stop`: never starts one.

use std::io;
use std::time::Duration;

use tokio::io::BufReader;

use super::control::{self, ControlEvent, ControlRequest, Status};
use super::journal::Journal;
use super::orphans;
use super::paths::AgentPaths;
use super::resolver::EndpointResolver;
use super::socket;
use crate::folders::Folders;
use crate::{platform, profile};

/// How long an agent may take to answer; it asks the endpoint.
const ANSWER: Duration = Duration::from_secs(15);
/// How long it may take to remove its session.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);

/// How an agent was ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// There was none.
    NotRunning,
    Removed,
    /// It is gone, and its session may still be there.
    Left(String),
    /// It did not answer and was killed; what was done about its session, a line each.
    Killed {
        process: Option<u32>,
        lines: Vec<String>,
    },
}

/// Asks the agent of a profile about itself; `None` where there is none.
pub async fn status(folders: &Folders, profile: &str) -> io::Result<Option<Status>> {
    let paths = AgentPaths::of(folders, profile);
    let asking = async {
        let Ok(stream) = socket::connect(&paths.control).await else { return Ok(None) };
        let (reader, mut writer) = tokio::io::split(stream);
        control::send(&mut writer, &ControlRequest::Status).await?;
        match control::receive(&mut BufReader::new(reader)).await? {
            Some(ControlEvent::Status(status)) => Ok(Some(*status)),
            // It has ended meanwhile.
            _ => Ok(None),
        }
    };
    tokio::time::timeout(ANSWER, asking).await?
}

/// Ends the agent of a profile, and its session. One that does not answer is killed, and its session
/// removed from here.
pub async fn stop(folders: &Folders, profile: &str) -> io::Result<Stopped> {
    let paths = AgentPaths::of(folders, profile);
    let Ok(stream) = socket::connect(&paths.control).await else {
        return match paths.holder() {
            // It has not begun to listen, or does not any more.
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
                    return Ok(Stopped::Left("its removal has failed".to_owned()));
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
        // Its session, where it has left one, is in the journal.
        (_, None) => Ok(Stopped::Killed { process: None, lines: sweep(folders, profile).await }),
    }
}

async fn kill(folders: &Folders, profile: &str, process: u32) -> io::Result<Stopped> {
    platform::kill(process)?;
    // Its lock is free when it is gone.
    let paths = AgentPaths::of(folders, profile);
    super::paths::lock(&paths.lock, STOP_TIMEOUT).await.map_err(io::Error::other)?;
    Ok(Stopped::Killed { process: Some(process), lines: sweep(folders, profile).await })
}

async fn sweep(folders: &Folders, name: &str) -> Vec<String> {
    match profile::load(folders, name) {
        Ok(profile) => orphans::sweep_profile(folders, &mut EndpointResolver::new(profile, None)).await,
        Err(error) => vec![error.to_string()],
    }
}
