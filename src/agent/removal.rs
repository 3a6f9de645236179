//! Removes a session by its id: for the session's guard, for the launcher of a dead agent, and for a later
//! start of lyncsh that finds the session in the journal.

use std::time::Duration;

use uuid::Uuid;

use super::notes::Notes;
use crate::transport::Error;
use crate::transport::wsman::{self, Endpoint, Removal, RemovalRecorder as _};

/// Delays before retrying a failed removal, or the removal of a session that may be about to be created.
const RETRY_INTERVALS: [Duration; 3] =
    [Duration::from_millis(300), Duration::from_millis(700), Duration::from_millis(1500)];

/// State of the Create of a session that is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CreateState {
    /// It was answered, or its client has disconnected long ago.
    Settled,
    /// It may still be in progress, and a Delete can overtake it.
    InProgress,
    /// It was answered by a page or a status that WSMan does not use. If Delete is answered by the same status, the peer
    /// is not a WSMan service, and there is no session; else the answer may have replaced that of the service.
    Page(u16),
}

impl CreateState {
    /// Returns whether the answer to Delete shows that no service has received Create.
    fn excludes_service(self, result: &Result<Outcome, Error>) -> bool {
        matches!(result, Err(Error::Http { status, .. }) if self == Self::Page(*status))
    }
}

/// Returns whether a status is that of a server without a WSMan service at this URI, and not that of a gateway whose
/// server did not answer.
pub fn is_page(status: u16) -> bool {
    status < 500 && status != 408
}

/// Removes a session.
///
/// # Errors
/// The error of the last Delete: the session may still exist. [`Error::Unconfirmed`] also if the session was
/// not found while its Create may still be in progress, or if the endpoint still lists it.
pub async fn remove(
    endpoint: &Endpoint,
    shell: Uuid,
    notes: &Notes,
    create: CreateState,
) -> Result<(), Error> {
    let endpoint = &Endpoint { affinity: notes.affinity(), ..endpoint.clone() };
    let unsettled = create != CreateState::Settled;
    let mut result = attempt(endpoint, shell, notes).await;
    if create.excludes_service(&result) {
        return Ok(());
    }
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
        // A Delete of an earlier owner was not answered, and this Delete did not find the session.
        Err(Error::Unconfirmed) if notes.has_earlier_unanswered_delete() => {
            match is_listed(endpoint, shell).await {
                Ok(false) => Ok(()),
                _ => Err(Error::Unconfirmed),
            }
        }
        Err(error) => Err(error),
    }
}

/// Result of an attempt that the endpoint answered.
enum Outcome {
    Gone,
    NotFound,
    /// Delete did not find the session, but the endpoint lists it. OMI does this while another Delete, for
    /// example of a killed agent, waits until the session's output is received.
    Listed,
}

async fn attempt(endpoint: &Endpoint, shell: Uuid, notes: &Notes) -> Result<Outcome, Error> {
    let result = wsman::try_remove(endpoint, shell, &notes.removal_state()).await;
    if result.as_ref().is_err_and(|error| !error.is_refusal()) {
        notes.record_unanswered_delete();
    }
    Ok(match result? {
        Removal::Deleted => Outcome::Gone,
        // If the endpoint cannot list sessions, its answer to Delete is accepted.
        Removal::NotFound => match is_listed(endpoint, shell).await {
            Ok(true) => Outcome::Listed,
            _ => Outcome::NotFound,
        },
    })
}

/// Returns whether a retry may succeed. An endpoint that does not answer is not tried again, and a refused
/// password is not sent again.
fn may_pass(error: &Error) -> bool {
    match error {
        Error::Fault(_)
        | Error::Http { .. }
        | Error::Protocol(_)
        | Error::Unreadable { .. }
        | Error::ConnectionLost { .. }
        | Error::Ended(_) => true,
        Error::Timeout { .. }
        | Error::Unreachable { .. }
        | Error::Proxy(_)
        | Error::Certificate { .. }
        | Error::Insecure { .. }
        | Error::Handshake { .. }
        | Error::Tls(_)
        | Error::Redirect { .. }
        | Error::Unauthorized { .. }
        | Error::Authentication { .. }
        | Error::TicketRefused { .. }
        | Error::NotOffered { .. }
        | Error::OutcomeUnknown(_)
        | Error::Unsupported(_)
        | Error::Unconfirmed
        | Error::Closed => false,
    }
}

/// Returns whether the endpoint lists a session.
async fn is_listed(endpoint: &Endpoint, shell: Uuid) -> Result<bool, Error> {
    let mut endpoint = endpoint.clone();
    endpoint.limits.operation = endpoint.limits.operation.min(endpoint.limits.close);
    let listed = wsman::enumerate(&endpoint).await.inspect_err(|error| {
        tracing::debug!("cannot list the endpoint's sessions: {error}");
    })?;
    Ok(listed.iter().any(|one| one.shell_id.parse() == Ok(shell)))
}
