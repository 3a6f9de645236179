//! Removes what dead owners left: the first thing that any start of lyncsh does.

use std::time::{Duration, SystemTime};

use futures_util::future::join_all;

use super::guard::Guard;
use super::journal::{Journal, JournalEntry};
use super::resolver::EndpointResolver;
use crate::folders::Folders;
use crate::profile;

/// How long a start of lyncsh may take longer because of sessions that were left.
const PATIENCE: Duration = Duration::from_secs(5);

/// Removes every session that was left, as far as their secrets can be had without asking a person,
/// all at the same time. What could not be removed a moment ago is left alone, except where
/// `everything` is wanted. Says what was done, and what could not be, a line each; mostly there is
/// nothing to say.
pub async fn sweep(folders: &Folders, everything: bool) -> Vec<String> {
    let journal = Journal::of(folders);
    let unread = journal.set_aside();
    let (old, orphans): (Vec<_>, Vec<_>) =
        journal.orphans().into_iter().partition(|kept| kept.entry.refused && kept.entry.is_forgotten());
    old.into_iter().for_each(JournalEntry::removed);
    let orphans = orphans.into_iter();
    let due =
        orphans.filter(|kept| kept.entry.is_due() || kept.is_over() || (everything && !kept.entry.refused));
    let removing = due.map(async |kept| match profile::load(folders, &kept.entry.profile) {
        Ok(profile) => remove(kept, &mut EndpointResolver::new(profile, None)).await,
        Err(error) => leave(kept, &error.to_string()),
    });
    let mut lines = join_all(removing).await;
    lines.extend(unread.iter().map(|path| {
        let path = path.display();
        format!("a note of a session can't be read: {path}; the server may still have that session")
    }));
    lines
}

/// The same for one profile, whose secret is known.
pub async fn sweep_profile(folders: &Folders, access: &mut EndpointResolver) -> Vec<String> {
    let mut lines = Vec::new();
    for kept in Journal::of(folders).orphans() {
        if kept.entry.profile == access.profile.name && kept.entry.is_due() {
            lines.push(remove(kept, access).await);
        }
    }
    lines
}

async fn remove(kept: JournalEntry, access: &mut EndpointResolver) -> String {
    let name = kept.entry.profile.clone();
    if !access.is_silent() {
        return leave(
            kept,
            &format!("its password has to be asked for: `lyncsh {name}` does, and removes it"),
        );
    }
    if kept.entry.user != access.profile.user {
        // Its endpoint would take the one's password for the other's.
        return leave(kept, "the profile has another user now");
    }
    let session = kept.entry.session.clone();
    let (report, _) = tokio::sync::mpsc::unbounded_channel();
    let there = access.at(session.endpoint, session.configuration, &report);
    let endpoint = match tokio::time::timeout(PATIENCE, there).await {
        Ok(Ok(endpoint)) => endpoint,
        Ok(Err(error)) => {
            let line = line(&kept, &error.to_string());
            if error.is_refusal(access.profile.authentication) {
                kept.refused();
            } else {
                kept.failed();
            }
            return line;
        }
        Err(_) => return leave(kept, "its password could not be had in time"),
    };
    let since = age(&kept);
    let mut guard = Guard::adopt(kept, endpoint);
    guard.hurry(PATIENCE / 2);
    match guard.remove().await {
        Ok(()) => format!("removed the session of '{name}' that was left {since}"),
        Err(error) => {
            format!("a session of '{name}' that was left {since} may still be on the server: {error}")
        }
    }
}

/// An entry that nothing can be done about now stays for a later start, but not for ever.
fn leave(kept: JournalEntry, reason: &str) -> String {
    let line = line(&kept, reason);
    kept.failed();
    line
}

fn line(kept: &JournalEntry, reason: &str) -> String {
    format!(
        "a session of '{}' that was left {} may still be on the server: {reason}",
        kept.entry.profile,
        age(kept)
    )
}

fn age(kept: &JournalEntry) -> String {
    let age = SystemTime::now().duration_since(kept.entry.written).unwrap_or_default();
    match age.as_secs() {
        0..60 => "less than a minute ago".to_owned(),
        seconds => {
            let minutes = Duration::from_secs(seconds / 60 * 60);
            format!("{} ago", humantime::format_duration(minutes))
        }
    }
}
