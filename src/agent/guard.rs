//! Guard of a remote session: dropping it removes the session.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::control::Guarded;
use super::journal::{Entry, Journal, LockedEntry};
use super::notes::Notes;
use super::removal::{self, CreateState};
use crate::profile::Profile;
use crate::transport::Error;
use crate::transport::wsman::Endpoint;

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
    kept: Option<LockedEntry>,
    notes: Arc<Notes>,
    create: CreateState,
}

impl Guard {
    /// Creates the guard of a session that is about to be opened. The guard's endpoint has a recorder of the
    /// session's running commands.
    pub fn new(
        journal: &Journal,
        profile: &Profile,
        mut endpoint: Endpoint,
        shell: uuid::Uuid,
    ) -> io::Result<Self> {
        let session =
            Guarded { endpoint: endpoint.uri.clone(), configuration: endpoint.configuration.clone(), shell };
        let kept = journal.write(Entry::new(profile, session))?;
        let notes = Arc::new(Notes::new(journal.notes(shell)));
        endpoint.removal_recorder = Some(notes.clone());
        Ok(Self { endpoint, kept: Some(kept), notes, create: CreateState::Settled })
    }

    /// Adopts an orphaned session.
    pub fn adopt(mut kept: LockedEntry, mut endpoint: Endpoint) -> Self {
        let is_in_progress = kept.entry.may_be_in_progress(MAX_CREATE_TIME);
        let create = if is_in_progress { CreateState::InProgress } else { CreateState::Settled };
        let notes = Arc::new(kept.notes());
        // Another attempt, with another credential: a refusal is recorded again.
        kept.entry.refused = false;
        // Not the recorder of an open session on the same endpoint.
        endpoint.removal_recorder = Some(notes.clone());
        Self { endpoint, create, notes, kept: Some(kept) }
    }

    /// Returns the data for removing the session.
    pub fn session(&self) -> Option<&Guarded> {
        self.kept.as_ref().map(|kept| &kept.entry.session)
    }

    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Records the target of a redirect.
    ///
    /// # Errors
    /// The journal cannot be written: Create must not be sent there.
    pub fn record_redirect(&mut self, endpoint: Endpoint) -> io::Result<()> {
        if let Some(kept) = &mut self.kept {
            kept.record_redirect(endpoint.uri.clone())?;
        }
        self.endpoint = endpoint;
        Ok(())
    }

    /// Records that Create succeeded.
    pub fn record_created(&mut self) {
        self.create = CreateState::Settled;
        if let Some(kept) = &mut self.kept {
            log_failure(kept.record_created(&self.notes));
        }
    }

    /// Records that Create was not answered: the endpoint may still be creating the session.
    pub fn record_unanswered_create(&mut self) {
        self.create = CreateState::InProgress;
    }

    /// Records that Create was answered by a page or a status of a server that may not be a WSMan service. A gateway
    /// also replaces the answer of a service; the answer to Delete shows which it was.
    pub fn record_foreign_answer(&mut self, status: u16) {
        self.create = CreateState::Page(status);
    }

    /// Records that Create was interrupted: as [`Guard::record_unanswered_create`], unless the session was created.
    pub fn record_interrupted_create(&mut self) {
        if self.kept.as_ref().is_some_and(|kept| !kept.entry.created) {
            self.record_unanswered_create();
        }
    }

    /// Limits the time of each step of the removal.
    pub fn limit_removal_time(&mut self, limit: Duration) {
        let limits = &mut self.endpoint.limits;
        limits.close = limits.close.min(limit);
        limits.connect = limits.connect.min(limit);
    }

    /// Records that the endpoint has confirmed the removal.
    pub fn confirm_removed(mut self) {
        if let Some(kept) = self.kept.take() {
            self.notes.close();
            kept.delete();
        }
    }

    /// Removes the session.
    ///
    /// # Errors
    /// The session may still exist; the journal keeps it for the next start of lyncsh.
    pub async fn remove(mut self) -> Result<(), Error> {
        let Some(shell) = self.session().map(|session| session.shell) else { return Ok(()) };
        let result = removal::remove(&self.endpoint, shell, &self.notes, self.create).await;
        match (self.kept.take(), &result) {
            (Some(kept), Ok(())) => {
                self.notes.close();
                kept.delete();
            }
            (Some(kept), Err(error)) => kept.record_error(error),
            (None, _) => {}
        }
        result
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
        let Some(kept) = self.kept.take() else { return };
        let (endpoint, shell) = (self.endpoint.clone(), kept.entry.session.shell);
        let (notes, create) = (self.notes.clone(), self.create);
        let limit = endpoint.limits.close * 2 + Duration::from_secs(3);
        // Uses a separate thread and runtime: this runtime may be shutting down, or this thread may be panicking.
        let removing = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let removing = removal::remove(&endpoint, shell, &notes, create);
                tokio::time::timeout(limit, removing).await.map_err(io::Error::from)
            })
        });
        match removing.join() {
            Ok(Ok(Ok(()))) => {
                self.notes.close();
                return kept.delete();
            }
            Ok(Ok(Err(error))) => {
                tracing::warn!("the session {shell} may still be on the server: {error}");
                return kept.record_error(&error);
            }
            Ok(Err(error)) => tracing::warn!("the session {shell} may still be on the server: {error}"),
            Err(_) => tracing::warn!("the session {shell} may still be on the server"),
        }
        kept.record_failure();
    }
}
