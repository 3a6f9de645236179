//! The object that owns a session on the endpoint: dropped, it removes it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::control::Guarded;
use super::journal::{Journal, JournalEntry};
use super::notes::Notes;
use super::removal;
use crate::profile::Profile;
use crate::transport::Error;
use crate::transport::wsman::Endpoint;

/// No endpoint works longer on a Create whose client has gone.
const SETTLED: Duration = Duration::from_mins(1);

/// A session that exists, or may exist, on the endpoint. It is in the journal before Create is sent.
///
/// [`Guard::remove`] is the way it ends; its `Drop` does the same on every other way out (an error, a
/// panic), and waits for it, at most twice the limit for Delete and a little more.
#[derive(Debug)]
pub struct Guard {
    endpoint: Endpoint,
    /// `None`: it is removed.
    kept: Option<JournalEntry>,
    notes: Arc<Notes>,
    /// Its Create may still be on its way: sent a short while ago, and not waited for to its end.
    unsettled: bool,
}

impl Guard {
    /// The session is to be opened on [`Guard::endpoint`], which takes note of what runs in it.
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
        Ok(Self { endpoint, kept: Some(kept), notes, unsettled: false })
    }

    /// Takes over what a dead owner left.
    pub fn adopt(kept: JournalEntry, endpoint: Endpoint) -> Self {
        let young = kept.entry.written.elapsed().is_ok_and(|age| age < SETTLED);
        let notes = Arc::new(Notes::read(kept.notes().to_owned()));
        Self { endpoint, unsettled: young && !kept.entry.created, notes, kept: Some(kept) }
    }

    /// What others need to remove it.
    pub fn session(&self) -> Option<&Guarded> {
        self.kept.as_ref().map(|kept| &kept.entry.session)
    }

    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// It is asked for at another place, where a redirection leads to.
    pub fn moved(&mut self, endpoint: Endpoint) {
        if let Some(kept) = &mut self.kept {
            noted(kept.moved(endpoint.uri.clone()));
        }
        self.endpoint = endpoint;
    }

    /// The session is there.
    pub fn created(&mut self) {
        self.unsettled = false;
        if let Some(kept) = &mut self.kept {
            noted(kept.created());
        }
    }

    /// Create was not answered: the endpoint may still be at it.
    pub fn doubt(&mut self) {
        self.unsettled = true;
    }

    /// The same where it is given up while nothing is known of it.
    pub fn doubt_unless_created(&mut self) {
        self.unsettled |= self.kept.as_ref().is_some_and(|kept| !kept.entry.created);
    }

    /// No step of the removal takes longer than this.
    pub fn hurry(&mut self, limit: Duration) {
        let limits = &mut self.endpoint.limits;
        limits.close = limits.close.min(limit);
        limits.connect = limits.connect.min(limit);
    }

    /// The endpoint has confirmed that the session is gone.
    pub fn confirmed(mut self) {
        if let Some(kept) = self.kept.take() {
            kept.removed();
        }
    }

    /// Removes the session.
    ///
    /// # Errors
    /// It may still be there; the journal keeps it for the next start of lyncsh.
    pub async fn remove(mut self) -> Result<(), Error> {
        let Some(shell) = self.session().map(|session| session.shell) else { return Ok(()) };
        let result = removal::remove(&self.endpoint, shell, &self.notes, self.unsettled).await;
        match (self.kept.take(), &result) {
            (Some(kept), Ok(())) => kept.removed(),
            (Some(kept), Err(error)) => kept.failed_by(error),
            (None, _) => {}
        }
        result
    }
}

/// What the journal knew before is still in it.
fn noted(written: io::Result<()>) {
    if let Err(error) = written {
        tracing::warn!("the journal can't be written: {error}");
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let Some(kept) = self.kept.take() else { return };
        let (endpoint, shell) = (self.endpoint.clone(), kept.entry.session.shell);
        let (notes, unsettled) = (self.notes.clone(), self.unsettled);
        let limit = endpoint.limits.close * 2 + Duration::from_secs(3);
        // A thread and a runtime of its own: the one that drops may be ending, or in a panic.
        let removing = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let removing = removal::remove(&endpoint, shell, &notes, unsettled);
                match tokio::time::timeout(limit, removing).await {
                    Ok(result) => Ok(result),
                    Err(elapsed) => Err(io::Error::from(elapsed)),
                }
            })
        });
        match removing.join() {
            Ok(Ok(Ok(()))) => return kept.removed(),
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
