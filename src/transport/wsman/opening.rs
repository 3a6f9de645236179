//! Creates a shell: sends Create, checks redirects, and removes the shell of a caller that has stopped waiting.

use std::time::Duration;

use tokio::sync::oneshot;
use uuid::Uuid;

use super::endpoint::Endpoint;
use super::fault::code;
use super::pending_creates::PendingCreate;
use super::redirect::{check_redirect, refused_redirect};
use super::removal::{RemovalState, remove_with_retry};
use super::shell::{Creation, Shell};
use crate::transport::error::{Error, RedirectRefusal};

/// Sends Create and waits for its answer; returns the target of a redirect. If the caller stops waiting,
/// Create continues, and its shell is removed.
pub(super) async fn create(
    shell: &Shell,
    endpoint: &Endpoint,
    pool: Uuid,
    data: Vec<u8>,
    limit: Duration,
) -> Result<Option<String>, Error> {
    let (reply, answer) = oneshot::channel();
    let create = PendingCreate::new(pool);
    let (shell, endpoint) = (shell.clone(), endpoint.clone());
    tokio::spawn(async move {
        let result = create_with_idle_timeout(&shell, &endpoint, data, limit).await;
        drop(create);
        if let (Ok(Creation::Done { idle_timeout: Some(granted) }), Some(recorder)) =
            (&result, &endpoint.removal_recorder)
        {
            recorder.record_idle_timeout(*granted);
        }
        let result = result.map(|creation| match creation {
            Creation::Done { .. } => None,
            Creation::Redirected(target) => Some(target),
        });
        if let Err(Ok(None)) = reply.send(result)
            && let Err(error) = remove_with_retry(&endpoint, pool, &RemovalState::default()).await
        {
            tracing::warn!("the session {pool} may still be on the server: {error}");
        }
    });
    // The task always answers, unless the runtime ends first.
    answer.await.unwrap_or(Err(Error::Closed))
}

/// Sends Create. If the endpoint rejects the idle timeout, it has created nothing; Create is repeated without an
/// idle timeout.
async fn create_with_idle_timeout(
    shell: &Shell,
    endpoint: &Endpoint,
    data: Vec<u8>,
    limit: Duration,
) -> Result<Creation, Error> {
    let result = shell.create(data.clone(), endpoint.idle_timeout, limit).await;
    match result {
        Err(Error::Fault(fault)) if fault.code == Some(code::IDLE_TIMEOUT_OUT_OF_BOUNDS) => {
            tracing::info!("the endpoint rejected the idle timeout {:?}", endpoint.idle_timeout);
            shell.create(data, None, limit).await
        }
        result => result,
    }
}

/// Returns the endpoint of a redirect, if it may receive the credential.
pub(super) fn redirected(endpoint: Endpoint, target: &str, followed: u8) -> Result<Endpoint, Error> {
    if followed >= endpoint.max_redirections {
        return Err(refused_redirect(&endpoint.uri, target, RedirectRefusal::TooMany));
    }
    let uri = check_redirect(&endpoint.uri, target, &endpoint.hosts)?;
    Ok(Endpoint { uri, ..endpoint })
}
