//! The sessions that count against an account's limit on an endpoint, and the removal of orphaned sessions.

use std::time::Duration;

use super::control::Holder;
use super::guard::Guard;
use super::journal::{Entry, Journal};
use crate::profile::{Kind, Profile};
use crate::transport::Error;
use crate::transport::wsman::{self, Endpoint};

/// Time limit for a request while the user waits.
const QUICK_TIMEOUT: Duration = Duration::from_secs(2);

/// Returns the account's sessions on the endpoint.
pub async fn holders(journal: &Journal, endpoint: &Endpoint) -> Result<Vec<Holder>, Error> {
    let ours = journal.live();
    let shells = wsman::enumerate(endpoint).await?;
    let holders = shells.into_iter().filter_map(|shell| {
        let id = shell.shell_id.parse().ok()?;
        let entry = ours.iter().find(|entry| entry.session.shell == id);
        Some(Holder {
            shell: id,
            owner: shell.owner,
            client: shell.client_address,
            age: shell.running_time,
            idle: shell.inactivity,
            ours: entry.map(|entry| entry.profile.clone()),
        })
    });
    Ok(holders.collect())
}

/// Returns [`holders`] with a short time limit, for a user who waits for the reason of a failure.
pub async fn holders_soon(journal: &Journal, endpoint: &Endpoint) -> Result<Vec<Holder>, Error> {
    let mut endpoint = endpoint.clone();
    let limits = &mut endpoint.limits;
    limits.connect = limits.connect.min(QUICK_TIMEOUT);
    limits.operation = limits.operation.min(QUICK_TIMEOUT);
    holders(journal, &endpoint).await
}

/// Returns the session limit per account of this kind of endpoint.
pub fn allowed(kind: Kind) -> Option<usize> {
    kind.traits().sessions.of_account
}

/// Removes the orphaned sessions of this endpoint and account; returns their number.
pub async fn remove_orphans(journal: &Journal, endpoint: &Endpoint, profile: &Profile) -> usize {
    remove_matching(journal, endpoint, profile, |_| true).await
}

/// Removes the orphaned sessions whose removal was refused because of an earlier password: the endpoint has
/// accepted the current password.
pub async fn remove_refused(journal: &Journal, endpoint: &Endpoint, profile: &Profile) -> usize {
    remove_matching(journal, endpoint, profile, |entry| entry.refused).await
}

/// Removes the orphaned sessions whose removal is due for another attempt.
pub async fn remove_due(journal: &Journal, endpoint: &Endpoint, profile: &Profile) -> usize {
    // Most sessions have no orphans, and then nothing is locked.
    if !journal.list_orphans().iter().any(|entry| belongs_to(entry, endpoint, profile) && entry.is_due()) {
        return 0;
    }
    remove_matching(journal, endpoint, profile, Entry::is_due).await
}

fn belongs_to(entry: &Entry, endpoint: &Endpoint, profile: &Profile) -> bool {
    entry.session.endpoint == endpoint.uri && entry.user == profile.user
}

async fn remove_matching(
    journal: &Journal,
    endpoint: &Endpoint,
    profile: &Profile,
    filter: fn(&Entry) -> bool,
) -> usize {
    let mut removed = 0;
    for kept in journal.lock_orphans() {
        let session = &kept.entry.session;
        if !belongs_to(&kept.entry, endpoint, profile) || !filter(&kept.entry) {
            continue;
        }
        let there = Endpoint { configuration: session.configuration.clone(), ..endpoint.clone() };
        let mut guard = Guard::adopt(kept, there);
        guard.limit_removal_time(QUICK_TIMEOUT);
        match guard.remove().await {
            Ok(()) => removed += 1,
            Err(error) => tracing::warn!("cannot remove an orphaned session: {error}"),
        }
    }
    removed
}
