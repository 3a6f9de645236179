//! Removing a session by its id: the one way of its guard, of the launcher of a dead agent, and of a
//! later start that finds it in the journal.

use std::time::Duration;

use uuid::Uuid;

use super::notes::Notes;
use crate::transport::Error;
use crate::transport::wsman::{self, Endpoint, Ledger as _, Removal};

/// Pauses before a removal that failed, or of a session that may be about to be created, is tried again.
const AGAIN: [Duration; 3] =
    [Duration::from_millis(300), Duration::from_millis(700), Duration::from_millis(1500)];

/// Removes a session. `unsettled`: its Create may still be on its way, and a Delete can overtake it.
///
/// # Errors
/// The last Delete's: the session may still be there. [`Error::Unconfirmed`] also where the session was
/// never there while its Create may still be on its way.
pub async fn remove(endpoint: &Endpoint, shell: Uuid, notes: &Notes, unsettled: bool) -> Result<(), Error> {
    let mut result = attempt(endpoint, shell, notes).await;
    for pause in AGAIN {
        let again = match &result {
            Ok(Removal::Deleted) => false,
            Ok(Removal::NotFound) => unsettled || is_listed(endpoint, shell).await,
            Err(error) => may_pass(error),
        };
        if !again {
            break;
        }
        tokio::time::sleep(pause).await;
        result = attempt(endpoint, shell, notes).await;
    }
    match result {
        Ok(Removal::NotFound) if unsettled || is_listed(endpoint, shell).await => Err(Error::Unconfirmed),
        Err(Error::Unconfirmed) if notes.inherits_doubt() => check(endpoint, shell).await,
        result => result.map(drop),
    }
}

async fn attempt(endpoint: &Endpoint, shell: Uuid, notes: &Notes) -> Result<Removal, Error> {
    let result = wsman::try_remove(endpoint, shell, &notes.left()).await;
    if result.as_ref().is_err_and(|error| !error.is_refusal()) {
        notes.doubts();
    }
    result
}

/// Whether the next attempt may go better. An endpoint that does not answer is not asked for longer, and
/// a password that was refused is not sent again.
fn may_pass(error: &Error) -> bool {
    match error {
        Error::Fault(_) | Error::Http { .. } | Error::Protocol(_) | Error::Cut { .. } | Error::Ended(_) => {
            true
        }
        Error::Timeout { .. }
        | Error::Unreachable { .. }
        | Error::Certificate { .. }
        | Error::Insecure { .. }
        | Error::Redirect { .. }
        | Error::Unauthorized { .. }
        | Error::Unsettled(_)
        | Error::Unconfirmed
        | Error::Closed => false,
    }
}

/// Whether the endpoint lists a session that it did not find: OMI answers so while another Delete, perhaps of an owner
/// that died, waits for the session's output. `false` where it lists nothing.
async fn is_listed(endpoint: &Endpoint, shell: Uuid) -> bool {
    let mut endpoint = endpoint.clone();
    endpoint.limits.operation = endpoint.limits.operation.min(endpoint.limits.close);
    let listed = wsman::enumerate(&endpoint).await.unwrap_or_default();
    listed.iter().any(|one| one.shell_id.parse() == Ok(shell))
}

/// Checks a session that an earlier owner left in doubt, and that the endpoint does not know: it is gone
/// where the endpoint's own list does not have it either.
async fn check(endpoint: &Endpoint, shell: Uuid) -> Result<(), Error> {
    let mut endpoint = endpoint.clone();
    endpoint.limits.operation = endpoint.limits.operation.min(endpoint.limits.close);
    let listed = wsman::enumerate(&endpoint).await.map_err(|error| {
        tracing::debug!("the endpoint's sessions can't be listed: {error}");
        Error::Unconfirmed
    })?;
    match listed.iter().any(|one| one.shell_id.parse() == Ok(shell)) {
        true => Err(Error::Unconfirmed),
        false => Ok(()),
    }
}
