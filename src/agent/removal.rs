//! Removing a session by its id: the one way of its guard, of the launcher of a dead agent, and of a
//! later start that finds it in the journal.

use std::time::Duration;

use uuid::Uuid;

use super::notes::Notes;
use crate::transport::Error;
use crate::transport::wsman::{self, Endpoint, Ledger as _, Removal};

/// Pauses before a removal that failed, or of a session that may be about to be created, is tried again.
const RETRY_INTERVALS: [Duration; 3] =
    [Duration::from_millis(300), Duration::from_millis(700), Duration::from_millis(1500)];

/// Removes a session. `unsettled`: its Create may still be on its way, and a Delete can overtake it.
///
/// # Errors
/// The last Delete's: the session may still be there. [`Error::Unconfirmed`] also where the session was
/// never there while its Create may still be on its way, and where the endpoint still lists it.
pub async fn remove(endpoint: &Endpoint, shell: Uuid, notes: &Notes, unsettled: bool) -> Result<(), Error> {
    let mut result = attempt(endpoint, shell, notes).await;
    for pause in RETRY_INTERVALS {
        let again = match &result {
            Ok(Outcome::Gone) => false,
            Ok(Outcome::NotFound) => unsettled,
            Ok(Outcome::Listed) => true,
            Err(error) => may_pass(error),
        };
        if !again {
            break;
        }
        tokio::time::sleep(pause).await;
        result = attempt(endpoint, shell, notes).await;
    }
    match result {
        Ok(Outcome::Gone) => Ok(()),
        Ok(Outcome::NotFound) if !unsettled => Ok(()),
        Ok(Outcome::NotFound | Outcome::Listed) => Err(Error::Unconfirmed),
        // An earlier owner left the session in doubt, and the endpoint does not know it.
        Err(Error::Unconfirmed) if notes.inherits_doubt() => match is_listed(endpoint, shell).await {
            Ok(false) => Ok(()),
            _ => Err(Error::Unconfirmed),
        },
        Err(error) => Err(error),
    }
}

/// Result of one attempt that the endpoint answered.
enum Outcome {
    Gone,
    NotFound,
    /// Delete did not find the session, but the endpoint lists it. OMI answers so while another Delete, for example of
    /// an agent that was killed, waits until the session's output is received.
    Listed,
}

async fn attempt(endpoint: &Endpoint, shell: Uuid, notes: &Notes) -> Result<Outcome, Error> {
    let result = wsman::try_remove(endpoint, shell, &notes.left()).await;
    if result.as_ref().is_err_and(|error| !error.is_refusal()) {
        notes.doubts();
    }
    Ok(match result? {
        Removal::Deleted => Outcome::Gone,
        // An endpoint that lists nothing is taken at its word.
        Removal::NotFound => match is_listed(endpoint, shell).await {
            Ok(true) => Outcome::Listed,
            _ => Outcome::NotFound,
        },
    })
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
        | Error::Handshake { .. }
        | Error::TlsNotBuilt
        | Error::Redirect { .. }
        | Error::Unauthorized { .. }
        | Error::Unsettled(_)
        | Error::Unconfirmed
        | Error::Closed => false,
    }
}

/// Returns whether the endpoint lists a session.
async fn is_listed(endpoint: &Endpoint, shell: Uuid) -> Result<bool, Error> {
    let mut endpoint = endpoint.clone();
    endpoint.limits.operation = endpoint.limits.operation.min(endpoint.limits.close);
    let listed = wsman::enumerate(&endpoint).await.inspect_err(|error| {
        tracing::debug!("the endpoint's sessions can't be listed: {error}");
    })?;
    Ok(listed.iter().any(|one| one.shell_id.parse() == Ok(shell)))
}
