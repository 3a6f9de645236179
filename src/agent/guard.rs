//! The object that owns a session on the endpoint: dropped, it removes it.

use std::io;
use std::time::Duration;

use super::control::Guarded;
use super::journal::{Journal, Kept};
use crate::profile::Profile;
use crate::transport::Error;
use crate::transport::wsman::{self, Endpoint};

/// Pauses before a session that may be about to be created is removed again.
const AGAIN: [Duration; 3] =
    [Duration::from_millis(300), Duration::from_millis(700), Duration::from_millis(1500)];
/// No endpoint works longer on a Create whose client has gone.
const SETTLED: Duration = Duration::from_secs(60);

/// A session that exists, or may exist, on the endpoint. It is in the journal before Create is sent.
///
/// [`Guard::remove`] is the way it ends; its `Drop` does the same on every other way out (an error, a
/// panic), and waits for it, at most twice the limit for Delete and a little more.
#[derive(Debug)]
pub struct Guard {
    endpoint: Endpoint,
    /// `None`: it is removed.
    kept: Option<Kept>,
    /// Its Create may still be on its way: sent a short while ago, and not waited for to its end.
    unsettled: bool,
}

impl Guard {
    pub fn new(
        journal: &Journal,
        profile: &Profile,
        endpoint: Endpoint,
        shell: uuid::Uuid,
    ) -> io::Result<Self> {
        let session =
            Guarded { endpoint: endpoint.uri.clone(), configuration: endpoint.configuration.clone(), shell };
        let kept = journal.write(&profile.name, profile.user.as_deref(), session)?;
        Ok(Self { endpoint, kept: Some(kept), unsettled: false })
    }

    /// Takes over what a dead owner left.
    pub fn adopt(kept: Kept, endpoint: Endpoint) -> Self {
        let young = kept.entry.written.elapsed().is_ok_and(|age| age < SETTLED);
        Self { endpoint, unsettled: young && !kept.entry.created, kept: Some(kept) }
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
        if let Some(kept) = &mut self.kept {
            noted(kept.created());
        }
    }

    /// Create was not answered: the endpoint may still be at it.
    pub fn doubt(&mut self) {
        self.unsettled = true;
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
        let result = match self.unsettled {
            true => remove_unsettled(&self.endpoint, shell).await,
            false => wsman::remove(&self.endpoint, shell).await,
        };
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

/// Removes a session whose Create may still be on its way: a Delete can overtake it, and is repeated
/// for a while. An endpoint that does not answer the first is not asked for longer.
///
/// # Errors
/// The last Delete's.
pub async fn remove_unsettled(endpoint: &Endpoint, shell: uuid::Uuid) -> Result<(), Error> {
    let mut result = wsman::remove(endpoint, shell).await;
    for pause in AGAIN {
        if matches!(result, Err(Error::Timeout { .. } | Error::Unreachable { .. })) {
            break;
        }
        tokio::time::sleep(pause).await;
        result = wsman::remove(endpoint, shell).await;
    }
    result
}

impl Drop for Guard {
    fn drop(&mut self) {
        let Some(kept) = self.kept.take() else { return };
        let (endpoint, shell) = (self.endpoint.clone(), kept.entry.session.shell);
        let limit = endpoint.limits.close * 2 + Duration::from_secs(3);
        // A thread and a runtime of its own: the one that drops may be ending, or in a panic.
        let removing = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                match tokio::time::timeout(limit, wsman::remove(&endpoint, shell)).await {
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
