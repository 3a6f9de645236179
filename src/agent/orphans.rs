//! Removes orphaned sessions: the first step of most commands.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use futures_util::future::join_all;

use super::guard::Guard;
use super::journal::{Entry, Journal, LockedEntry};
use super::resolver::EndpointResolver;
use crate::folders::Folders;
use crate::net::{ProxyError, display};
use crate::profile::{self, CredentialSource, Profile};
use crate::quote::desktop;

/// Time limit for resolving the endpoint of an orphaned session. Each step of its removal has half of this time.
const ORPHAN_TIMEOUT: Duration = Duration::from_secs(5);

/// Removes all orphaned sessions whose secrets are available without a prompt, in parallel. Removals that
/// failed recently are retried only if `everything` is set. Returns one line for each session that was
/// removed or could not be removed, and for each entry that cannot be read.
pub async fn sweep(folders: &Folders, everything: bool) -> Vec<String> {
    let journal = Journal::of(folders);
    let unread = journal.set_aside();
    let (old, orphans): (Vec<_>, Vec<_>) =
        journal.lock_orphans().into_iter().partition(|kept| kept.entry.refused && kept.is_expired());
    old.into_iter().for_each(LockedEntry::delete);
    let mut of_profiles: BTreeMap<String, Vec<LockedEntry>> = BTreeMap::new();
    for kept in orphans {
        of_profiles.entry(kept.entry.profile.clone()).or_default().push(kept);
    }
    let extent = if everything { Extent::NotRefused } else { Extent::Due };
    let removing = of_profiles.into_iter().map(async |(name, orphans)| match profile::load(folders, &name) {
        Ok(profile) => {
            let orphans = extent.choose(orphans, Some(&profile));
            remove(orphans, &mut EndpointResolver::new(folders, profile, None)).await
        }
        Err(error) => {
            let orphans = extent.choose(orphans, None).into_iter();
            orphans.map(|kept| leave(kept, &error.to_string())).collect()
        }
    });
    let mut lines = join_all(removing).await.concat();
    lines.extend(unread.iter().map(|path| {
        let path = path.display();
        format!("cannot read the session journal entry {path}; its session may still be on the server")
    }));
    lines
}

/// Removes the orphaned sessions of one profile whose secret is known.
pub async fn sweep_profile(folders: &Folders, access: &mut EndpointResolver, extent: Extent) -> Vec<String> {
    let orphans = Journal::of(folders).lock_orphans().into_iter();
    let own = orphans.filter(|kept| kept.entry.profile == access.profile.name).collect();
    remove(extent.choose(own, Some(&access.profile)), access).await
}

/// The orphaned sessions that are removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Without recently failed removals.
    Due,
    /// Without removals whose password was refused.
    NotRefused,
    All,
}

impl Extent {
    fn choose(self, mut orphans: Vec<LockedEntry>, profile: Option<&Profile>) -> Vec<LockedEntry> {
        for kept in &mut orphans {
            let entry = &mut kept.entry;
            let is_corrected = || profile.is_some_and(|profile| has_new_secret(profile, entry.tried));
            if entry.refused && (self == Self::All || is_corrected()) {
                (entry.refused, entry.tried) = (false, None);
            }
        }
        orphans.retain(|kept| {
            let entry = &kept.entry;
            entry.is_due() || kept.is_expired() || (self != Self::Due && !entry.refused)
        });
        orphans
    }
}

/// Returns whether the file with the password has changed after a refused removal.
fn has_new_secret(profile: &Profile, refused: Option<SystemTime>) -> bool {
    let CredentialSource::File(path) = &profile.credential else { return false };
    let changed = std::fs::metadata(path).and_then(|data| data.modified()).ok();
    changed.zip(refused).is_some_and(|(changed, refused)| changed > refused)
}

/// Returns whether the profile's credential may be sent to the endpoint of a session that was opened with an earlier
/// version of the profile.
fn may_receive(profile: &Profile, entry: &Entry) -> bool {
    let endpoint = &entry.session.endpoint;
    match (&entry.target, &profile.uri) {
        (Some(target), _) if *target == profile.credential_target() => true,
        (_, Some(uri)) => uri.origin() == endpoint.origin() || profile.hosts().check(uri, endpoint).is_ok(),
        // Discovered, and written by a version that does not record the target.
        (target, None) => target.is_none(),
    }
}

/// Removes the sessions of one profile. One resolver gets the credential for all of them, so that a wrong password or a
/// refresh token is sent only once; the removals run in parallel.
async fn remove(orphans: Vec<LockedEntry>, access: &mut EndpointResolver) -> Vec<String> {
    let (mut lines, mut guards) = (Vec::new(), Vec::new());
    let mut is_late = false;
    for kept in orphans {
        match if is_late { Err(Unresolved::Late(Box::new(kept))) } else { adopt(kept, access).await } {
            Ok(orphan) => guards.push(orphan),
            Err(Unresolved::Reported(line)) => lines.push(line),
            Err(Unresolved::Late(kept)) => {
                is_late = true;
                lines.push(leave(*kept, "fetching its password timed out"));
            }
        }
    }
    lines.extend(join_all(guards.into_iter().map(Orphan::remove)).await);
    lines
}

/// Reason why the endpoint of an orphaned session was not resolved.
enum Unresolved {
    Reported(String),
    /// The credential was not available in time.
    Late(Box<LockedEntry>),
}

/// An adopted session.
struct Orphan {
    guard: Guard,
    profile: String,
    opened: String,
}

impl Orphan {
    async fn remove(self) -> String {
        let Self { guard, profile, opened } = self;
        match guard.remove().await {
            Ok(()) => format!("removed an orphaned session of '{profile}', opened {opened}"),
            Err(error) => not_removed(&profile, &opened, &error.to_string()),
        }
    }
}

async fn adopt(kept: LockedEntry, access: &mut EndpointResolver) -> Result<Orphan, Unresolved> {
    let profile = kept.entry.profile.clone();
    if !access.is_silent() {
        let reason = format!("removing it requires the password; run `lyncsh {profile}` to enter it");
        return Err(Unresolved::Reported(leave(kept, &reason)));
    }
    if kept.entry.user != access.profile.user {
        // The endpoint would receive one user's password for another user's session.
        return Err(Unresolved::Reported(leave(kept, "the profile's user has changed")));
    }
    if !may_receive(&access.profile, &kept.entry) {
        // The earlier endpoint would receive the password for the new one.
        let reason =
            format!("the profile names another endpoint than {}", display(&kept.entry.session.endpoint));
        return Err(Unresolved::Reported(leave(kept, &reason)));
    }
    let session = kept.entry.session.clone();
    let (report, _) = tokio::sync::mpsc::unbounded_channel();
    let resolving = access.at(session.endpoint, session.configuration, &report);
    let endpoint = match tokio::time::timeout(ORPHAN_TIMEOUT, resolving).await {
        Ok(Ok(endpoint)) => endpoint,
        Ok(Err(error)) => {
            let line = line(&kept, &error.to_string());
            let refused_by_proxy = error.proxy().is_some_and(ProxyError::is_refused_credential);
            if refused_by_proxy || error.is_refusal(access.profile.authentication) {
                kept.record_refusal();
            } else {
                kept.record_failure();
            }
            return Err(Unresolved::Reported(line));
        }
        Err(_) => return Err(Unresolved::Late(Box::new(kept))),
    };
    let opened = age(&kept);
    let mut guard = Guard::adopt(kept, endpoint);
    guard.limit_removal_time(ORPHAN_TIMEOUT / 2);
    Ok(Orphan { guard, profile, opened })
}

/// Keeps an entry for a later start, unless it has expired.
fn leave(kept: LockedEntry, reason: &str) -> String {
    let line = line(&kept, reason);
    kept.record_failure();
    line
}

fn line(kept: &LockedEntry, reason: &str) -> String {
    not_removed(&kept.entry.profile, &age(kept), reason)
}

fn not_removed(profile: &str, opened: &str, reason: &str) -> String {
    let advice = advice(profile);
    format!(
        "an orphaned session of '{profile}', opened {opened}, may still be on the server: {reason}\n  {advice}"
    )
}

/// Returns the instruction for an orphaned session that cannot be removed, because its server is gone.
pub fn advice(profile: &str) -> String {
    let command = desktop::windows(&["lyncsh", "stop", profile, "--forget"].map(str::to_owned));
    format!("if its server is gone, run `{command}`")
}

fn age(kept: &LockedEntry) -> String {
    let age = SystemTime::now().duration_since(kept.entry.written).unwrap_or_default();
    match age.as_secs() {
        0..60 => "less than a minute ago".to_owned(),
        seconds => {
            let minutes = Duration::from_secs(seconds / 60 * 60);
            format!("{} ago", humantime::format_duration(minutes))
        }
    }
}
