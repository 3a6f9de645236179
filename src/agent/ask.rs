//! Questions to an agent that runs, from `lyncsh status` and `lyncsh stop`: never starts one.

use std::io;
use std::time::Duration;

use tokio::io::BufReader;

use super::access::Access;
use super::control::{self, Event, Request, Status};
use super::journal::Journal;
use super::orphans;
use super::place::Place;
use super::socket;
use crate::folders::Folders;
use crate::{platform, profile};

/// How long an agent may take to answer; it asks the endpoint.
const ANSWER: Duration = Duration::from_secs(15);
/// How long it may take to remove its session.
const ENDS: Duration = Duration::from_secs(20);

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
    let place = Place::of(folders, profile);
    let asking = async {
        let Ok(stream) = socket::connect(&place.control).await else { return Ok(None) };
        let (reader, mut writer) = tokio::io::split(stream);
        control::say(&mut writer, &Request::Status).await?;
        match control::hear(&mut BufReader::new(reader)).await? {
            Some(Event::Status(status)) => Ok(Some(*status)),
            // It has ended meanwhile.
            _ => Ok(None),
        }
    };
    tokio::time::timeout(ANSWER, asking).await?
}

/// Ends the agent of a profile, and its session. One that does not answer is killed, and its session
/// removed from here.
pub async fn stop(folders: &Folders, profile: &str) -> io::Result<Stopped> {
    let place = Place::of(folders, profile);
    let Ok(stream) = socket::connect(&place.control).await else {
        return match place.holder() {
            // It has not begun to listen, or does not any more.
            Some(process) => kill(folders, profile, process).await,
            None => Ok(Stopped::NotRunning),
        };
    };
    let asking = async {
        let (reader, mut writer) = tokio::io::split(stream);
        let mut reader = BufReader::new(reader);
        control::say(&mut writer, &Request::Stop).await?;
        loop {
            match control::hear(&mut reader).await? {
                Some(Event::Removed { left: Some(left), .. }) => return Ok(Stopped::Left(left)),
                Some(Event::Failed(_)) if Journal::of(folders).has_orphan(profile) => {
                    return Ok(Stopped::Left("its removal has failed".to_owned()));
                }
                Some(Event::Removed { left: None, .. } | Event::Failed(_)) => return Ok(Stopped::Removed),
                Some(_) => {}
                None => return Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
            }
        }
    };
    match (tokio::time::timeout(ENDS, asking).await, place.holder()) {
        (Ok(Ok(stopped)), _) => Ok(stopped),
        (_, Some(process)) => kill(folders, profile, process).await,
        // Its session, where it has left one, is in the journal.
        (_, None) => Ok(Stopped::Killed { process: None, lines: sweep(folders, profile).await }),
    }
}

async fn kill(folders: &Folders, profile: &str, process: u32) -> io::Result<Stopped> {
    platform::kill(process)?;
    // Its lock is free when it is gone.
    let place = Place::of(folders, profile);
    super::place::lock(&place.lock, ENDS).await.map_err(io::Error::other)?;
    Ok(Stopped::Killed { process: Some(process), lines: sweep(folders, profile).await })
}

async fn sweep(folders: &Folders, name: &str) -> Vec<String> {
    match profile::load(folders, name) {
        Ok(profile) => orphans::sweep_profile(folders, &mut Access::new(profile, None)).await,
        Err(error) => vec![error.to_string()],
    }
}
