//! Guard of a remote session: dropping it removes the session.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::control::Guarded;
use super::journal::{Journal, JournalEntry};
use super::notes::Notes;
use super::removal;
use crate::profile::Profile;
use crate::transport::Error;
use crate::transport::wsman::{Authentication, Endpoint};

/// Maximum time for which an endpoint works on a Create whose client has disconnected.
const MAX_CREATE_TIME: Duration = Duration::from_mins(1);

/// A session that exists or may exist on the endpoint. It is written to the journal before Create is sent.
///
/// [`Guard::remove`] is the regular end. `Drop` does the same on every other path (error, panic) and waits
/// for it, at most twice the limit for Delete plus three seconds.
#[derive(Debug)]
pub struct Guard {
    endpoint: Endpoint,
    /// `None` after the removal.
    kept: Option<JournalEntry>,
    notes: Arc<Notes>,
    /// Create was sent recently and may still be in progress.
    unsettled: bool,
    /// Another process sent Create, maybe with another credential.
    is_adopted: bool,
}

impl Guard {
    /// Creates the guard of a session that is about to be opened. The guard's endpoint has a ledger that records the
    /// session's running commands.
    pub fn new(
        journal: &Journal,
        profile: &Profile,
        mut endpoint: Endpoint,
        shell: uuid::Uuid,
    ) -> io::Result<Self> {
        let session =
            Guarded { endpoint: endpoint.uri.clone(), configuration: endpoint.configuration.clone(), shell };
        let kept = journal.write(&profile.name, profile.user.as_deref(), session)?;
        let notes = Arc::new(Notes::new(journal.notes(shell), endpoint.idle_timeout));
        endpoint.ledger = Some(notes.clone());
        Ok(Self { endpoint, kept: Some(kept), notes, unsettled: false, is_adopted: false })
    }

    /// Adopts an orphaned session.
    pub fn adopt(kept: JournalEntry, endpoint: Endpoint) -> Self {
        let young = kept.entry.written.elapsed().is_ok_and(|age| age < MAX_CREATE_TIME);
        let notes = Arc::new(Notes::read(kept.notes().to_owned()));
        Self { endpoint, unsettled: young && !kept.entry.created, notes, kept: Some(kept), is_adopted: true }
    }

    /// Returns the data for removing the session.
    pub fn session(&self) -> Option<&Guarded> {
        self.kept.as_ref().map(|kept| &kept.entry.session)
    }

    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Records the target of a redirect.
    pub fn moved(&mut self, endpoint: Endpoint) {
        if let Some(kept) = &mut self.kept {
            log_failure(kept.moved(endpoint.uri.clone()));
        }
        self.endpoint = endpoint;
    }

    /// Records that Create succeeded.
    pub fn created(&mut self) {
        self.unsettled = false;
        if let Some(kept) = &mut self.kept {
            log_failure(kept.created());
        }
    }

    /// Records that Create was not answered: the endpoint may still be creating the session.
    pub fn doubt(&mut self) {
        self.unsettled = true;
    }

    /// Does the same as [`Guard::doubt`] unless the session was created.
    pub fn doubt_unless_created(&mut self) {
        self.unsettled |= self.kept.as_ref().is_some_and(|kept| !kept.entry.created);
    }

    /// Returns whether a refused credential proves that there is no session: this process sent Create with the same
    /// credential, and Create was not confirmed. Excludes tokens, which may have expired since.
    fn refusal_proves_absence(&self) -> bool {
        let is_token = matches!(self.endpoint.authentication, Authentication::Bearer { .. });
        !self.is_adopted && !is_token && self.kept.as_ref().is_some_and(|kept| !kept.entry.created)
    }

    /// Limits the time of each step of the removal.
    pub fn hurry(&mut self, limit: Duration) {
        let limits = &mut self.endpoint.limits;
        limits.close = limits.close.min(limit);
        limits.connect = limits.connect.min(limit);
    }

    /// Records that the endpoint has confirmed the removal.
    pub fn confirmed(mut self) {
        if let Some(kept) = self.kept.take() {
            self.notes.close();
            kept.removed();
        }
    }

    /// Removes the session.
    ///
    /// # Errors
    /// The session may still exist; the journal keeps it for the next start of lyncsh.
    pub async fn remove(mut self) -> Result<(), Error> {
        let Some(shell) = self.session().map(|session| session.shell) else { return Ok(()) };
        let result = removal::remove(&self.endpoint, shell, &self.notes, self.unsettled).await;
        let result = removal_result(result, self.refusal_proves_absence());
        match (self.kept.take(), &result) {
            (Some(kept), Ok(())) => {
                self.notes.close();
                kept.removed();
            }
            (Some(kept), Err(error)) => kept.failed_by(error),
            (None, _) => {}
        }
        result
    }
}

/// Returns the result of a removal. If `refusal_proves_absence`, a refused credential counts as success: Create was
/// sent with the same credential, so there is no session.
fn removal_result(result: Result<(), Error>, refusal_proves_absence: bool) -> Result<(), Error> {
    match result {
        Err(Error::Unauthorized { .. }) if refusal_proves_absence => Ok(()),
        result => result,
    }
}

/// Logs a failed write; earlier journal lines stay valid.
fn log_failure(written: io::Result<()>) {
    if let Err(error) = written {
        tracing::warn!("cannot write the journal: {error}");
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let refusal_proves_absence = self.refusal_proves_absence();
        let Some(kept) = self.kept.take() else { return };
        let (endpoint, shell) = (self.endpoint.clone(), kept.entry.session.shell);
        let (notes, unsettled) = (self.notes.clone(), self.unsettled);
        let limit = endpoint.limits.close * 2 + Duration::from_secs(3);
        // Uses a separate thread and runtime: this runtime may be shutting down, or this thread may be panicking.
        let removing = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let removing = removal::remove(&endpoint, shell, &notes, unsettled);
                match tokio::time::timeout(limit, removing).await {
                    Ok(result) => Ok(removal_result(result, refusal_proves_absence)),
                    Err(elapsed) => Err(io::Error::from(elapsed)),
                }
            })
        });
        match removing.join() {
            Ok(Ok(Ok(()))) => {
                self.notes.close();
                return kept.removed();
            }
            Ok(Ok(Err(error))) => {
                tracing::warn!("the session {shell} may still be on the server: {error}");
                return kept.failed_by(&error);
            }
            Ok(Err(error)) => tracing::warn!("the session {shell} may still be on the server: {error}"),
            Err(_) => tracing::warn!("the session {shell} may still be on the server"),
        }
        kept.failed();
    }
}
