//! Removing a shell by its id: what its owner's last step, the guard, the journal and the launcher do.
//!
//! Some servers (OMI with PowerShell behind it) answer Delete only when a Receive has taken what the
//! pipelines have to say and one of the pool is pending. So what runs is stopped, everything is received
//! until that is answered, and only then comes Delete.

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
use super::{creates, peek, turn};
use crate::transport::Error;

/// How long what runs in a session may take to end before the session is deleted under it.
pub(super) const DRAIN: Duration = Duration::from_secs(2);
/// The wait before a Receive that was refused is sent again: the one of the session's dead owner may be
/// pending.
const REFUSED: Duration = Duration::from_millis(200);

/// What is known of a shell that is to be removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Commands that may still run in it, or have output.
    pub commands: Vec<Uuid>,
    /// It is not the first Delete: that the shell is not found does not prove that it is gone.
    pub doubtful: bool,
}

/// Removes a shell by its id, on connections of its own. A shell that is not there is a success. Tries
/// once more on fresh connections.
///
/// A Create of the same shell that this process has still on its way is waited for, for a moment:
/// otherwise the removal could overtake it.
pub async fn remove(endpoint: &Endpoint, pool: Uuid) -> Result<(), Error> {
    remove_left(endpoint, pool, &Left::default()).await.map(drop)
}

/// As [`remove`], for a shell of which more is known; one attempt. Says whether the shell was there.
///
/// # Errors
/// [`Error::Unconfirmed`] where the shell was not found after a Delete without an answer.
pub async fn try_remove(endpoint: &Endpoint, pool: Uuid, left: &Left) -> Result<Removal, Error> {
    creates::settle(pool).await;
    remove_once(endpoint, pool, left).await
}

/// As [`try_remove`], with a second attempt.
pub(super) async fn remove_left(endpoint: &Endpoint, pool: Uuid, left: &Left) -> Result<Removal, Error> {
    creates::settle(pool).await;
    let mut left = left.clone();
    match remove_once(endpoint, pool, &left).await {
        Err(error) if !matches!(error, Error::Unconfirmed) => {
            tracing::debug!("removing the session is tried once more: {error}");
            left.doubtful |= !error.is_refusal();
            remove_once(endpoint, pool, &left).await
        }
        result => result,
    }
}

/// One attempt, or the success of one that is under way in this process.
pub(super) async fn remove_once(endpoint: &Endpoint, pool: Uuid, left: &Left) -> Result<Removal, Error> {
    turn::removing(pool, remove_alone(endpoint, pool, left)).await
}

async fn remove_alone(endpoint: &Endpoint, pool: Uuid, left: &Left) -> Result<Removal, Error> {
    let shell = Arc::new(Shell::new(endpoint, pool)?);
    let sequence = Arc::new(Sequence::default());
    let (ends, ended): (Vec<_>, Vec<_>) = left.commands.iter().map(|_| watch::channel(false)).unzip();
    let targets = std::iter::once((None, None))
        .chain(left.commands.iter().map(|id| Some(*id)).zip(ends.into_iter().map(Some)));
    let receiving =
        join_all(targets.map(|(command, end)| receive(shell.clone(), sequence.clone(), command, end)));
    let removing = async {
        let signals = left.commands.iter().map(|id| shell.signal(*id, SignalCode::Stop));
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
        if tokio::time::timeout(DRAIN, drained).await.is_err() {
            tracing::debug!("what runs in the session {pool} does not end");
        }
        shell.delete().await
    };
    let (mut receiving, mut removing) = (pin!(receiving), pin!(removing));
    let removal = tokio::select! {
        removal = &mut removing => removal,
        _ = &mut receiving => removing.await,
    };
    match removal? {
        Removal::NotFound if left.doubtful => Err(Error::Unconfirmed),
        removal => Ok(removal),
    }
}

/// Waits until a flag is set, or nobody can set it any more.
async fn until(mut flag: watch::Receiver<bool>) {
    let _ = flag.wait_for(|flag| *flag).await;
}

/// Takes and drops what the pool or a command has to say, until the server does not know it. `end`
/// hears of the command's end.
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
                tokio::time::sleep(REFUSED).await;
            }
        }
    }
}
