//! Removes a shell by its id: for its owner, the guard, the journal and the launcher.
//!
//! Some servers (OMI with PowerShell) answer Delete only after a Receive has fetched the pipelines' output
//! and while a Receive of the pool is pending. So pipelines are stopped and their output is received until
//! they end; only then Delete is sent.

use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use tokio::sync::watch;
use uuid::Uuid;

use super::endpoint::Endpoint;
use super::envelope::{CommandState, SignalCode};
use super::receive::Receiver;
use super::sequence::Sequence;
use super::shell::{Removal, Shell};
use super::{peek, pending_creates, removal_lock};
use crate::transport::Error;

/// Time limit for a session's pipelines to end before the session is deleted.
pub(super) const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);
/// Delay before a failed Receive is repeated: the Receive of the session's dead owner may be pending.
const RECEIVE_RETRY_DELAY: Duration = Duration::from_millis(200);

/// Removal data of a shell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RemovalState {
    /// Commands that may still be running or have output.
    pub commands: Vec<Uuid>,
    /// An earlier Delete was sent: "not found" does not prove that the shell is gone.
    pub delete_unanswered: bool,
}

/// Removes a shell by its id, on new connections. Succeeds if the shell does not exist. Retries once on new
/// connections.
///
/// Waits briefly for a pending Create of the same shell in this process, which the removal could overtake.
pub async fn remove(endpoint: &Endpoint, pool: Uuid) -> Result<(), Error> {
    remove_with_retry(endpoint, pool, &RemovalState::default()).await.map(drop)
}

/// Removes a shell in one attempt. First stops the commands of `state`, and waits for their end with a time limit.
/// Returns whether the shell existed.
///
/// # Errors
/// [`Error::Unconfirmed`] if the shell was not found after an unanswered Delete.
pub async fn try_remove(endpoint: &Endpoint, pool: Uuid, state: &RemovalState) -> Result<Removal, Error> {
    pending_creates::wait_for_create(pool).await;
    remove_once(endpoint, pool, state).await
}

/// Removes a shell like [`try_remove`], with a second attempt.
pub(super) async fn remove_with_retry(
    endpoint: &Endpoint,
    pool: Uuid,
    state: &RemovalState,
) -> Result<Removal, Error> {
    pending_creates::wait_for_create(pool).await;
    let mut state = state.clone();
    match remove_once(endpoint, pool, &state).await {
        Err(error) if !matches!(error, Error::Unconfirmed) => {
            tracing::debug!("retrying the removal of the session: {error}");
            state.delete_unanswered |= !error.is_refusal();
            remove_once(endpoint, pool, &state).await
        }
        result => result,
    }
}

/// Makes one attempt to remove a shell, or waits for a pending attempt of this process.
pub(super) async fn remove_once(
    endpoint: &Endpoint,
    pool: Uuid,
    state: &RemovalState,
) -> Result<Removal, Error> {
    removal_lock::remove_exclusively(pool, remove_alone(endpoint, pool, state)).await
}

async fn remove_alone(endpoint: &Endpoint, pool: Uuid, state: &RemovalState) -> Result<Removal, Error> {
    let shell = Arc::new(Shell::new(endpoint, pool)?);
    let sequence = Arc::new(Sequence::default());
    let (ends, ended): (Vec<_>, Vec<_>) = state.commands.iter().map(|_| watch::channel(false)).unzip();
    let targets = std::iter::once((None, None))
        .chain(state.commands.iter().map(|id| Some(*id)).zip(ends.into_iter().map(Some)));
    let receiving =
        join_all(targets.map(|(command, end)| receive(shell.clone(), sequence.clone(), command, end)));
    let removing = async {
        let signals = state.commands.iter().map(|id| shell.signal(*id, SignalCode::Stop));
        let mut signals: FuturesUnordered<_> = signals.collect();
        let signaling = async {
            while signals.next().await.is_some() {}
            pending::<()>().await;
        };
        let ended = join_all(ended.into_iter().map(until));
        let drained = async {
            tokio::select! {
                () = signaling => {}
                _ = ended => {}
            }
        };
        if tokio::time::timeout(DRAIN_TIMEOUT, drained).await.is_err() {
            tracing::debug!("the pipelines of session {pool} do not end");
        }
        shell.delete().await
    };
    let (mut receiving, mut removing) = (pin!(receiving), pin!(removing));
    let removal = tokio::select! {
        removal = &mut removing => removal,
        _ = &mut receiving => removing.await,
    };
    match removal? {
        Removal::NotFound if state.delete_unanswered => Err(Error::Unconfirmed),
        removal => Ok(removal),
    }
}

/// Waits until a flag is set or its sender is dropped.
async fn until(mut flag: watch::Receiver<bool>) {
    let _ = flag.wait_for(|flag| *flag).await;
}

/// Receives and drops the output of the pool or a command until the server reports its end. Sets `end` when
/// the command has ended.
async fn receive(
    shell: Arc<Shell>,
    sequence: Arc<Sequence>,
    command: Option<Uuid>,
    end: Option<watch::Sender<bool>>,
) {
    let mut receiver = Receiver::new(shell, sequence, command, 0);
    loop {
        match receiver.next(|| true).await {
            Ok((messages, state)) => {
                if let Some(end) = &end
                    && (state == Some(CommandState::Done) || messages.iter().any(peek::is_final))
                {
                    end.send_replace(true);
                }
                if state == Some(CommandState::Done) {
                    return;
                }
            }
            Err(error) if error.is_gone() => return,
            Err(error) => {
                tracing::debug!("a Receive before the session is removed: {error}");
                tokio::time::sleep(RECEIVE_RETRY_DELAY).await;
            }
        }
    }
}
