//! WSMan shell: carries the fragments of a [`Backend`].

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::backend::Backend;
use super::pool::TakeError;
use crate::psrp::client::{ProtocolError, Stream};
use crate::psrp::fragment::{self, Defragmenter, Fragmenter};
use crate::psrp::message::Message;
use crate::transport::wsman::envelope::{CommandState, Received, StreamPart};

/// Timeout of a Receive in OMI mode, independent of the client ([`super::omi`]).
const OMI_RECEIVE_TIMEOUT: Duration = Duration::from_secs(30);
/// Maximum fragment size, in bytes, before the size of a response is known.
const FRAGMENT: usize = 32_768;
/// Size of a response's envelope without its fragments, in bytes.
const ENVELOPE: usize = 4_096;
/// Default timeout of a Receive.
const RECEIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// An open shell.
pub struct Shell {
    pub parameters: Opening,
    pub created: Instant,
    pub pool: Arc<dyn Backend>,
    pub closed: CancellationToken,
    inner: Mutex<Inner>,
}

struct Inner {
    last_used: Instant,
    /// By pipeline (nil for the pool) and whether the stream is `pr`.
    incoming: HashMap<(Uuid, bool), Defragmenter>,
    fragmenter: Fragmenter,
    /// Fragments that did not fit into the last answer.
    cut: HashMap<Uuid, VecDeque<Vec<u8>>>,
    /// Pipelines begun by the client.
    begun: HashSet<Uuid>,
    /// Pipelines ended by the client.
    ended: HashSet<Uuid>,
    /// Disconnected pipelines (nil for the pool).
    disconnected: HashSet<Uuid>,
    /// Number of pending Receives by pipeline (nil for the pool).
    pending: HashMap<Uuid, usize>,
    /// Whether a Delete has begun; in OMI mode, it may complete later.
    deleting: bool,
    /// Idle timeout.
    idle_timeout: Duration,
}

/// Outcome of a Receive.
pub enum Polled {
    Received(Received),
    /// No data within the timeout.
    TimedOut,
    /// The shell was disconnected meanwhile.
    Disconnected,
    /// The backend has ended.
    Gone,
}

/// Parameters of a new shell.
pub struct Opening {
    /// Shell id chosen by the client, in upper case.
    pub id: String,
    pub owner: String,
    pub domain: String,
    pub resource_uri: String,
    pub name: Option<String>,
    /// Client that created the shell (`p:SessionId`); only this client may reconnect.
    pub client: Option<String>,
    /// Enables OMI mode: see [`super::omi`].
    pub omi: bool,
}

/// A pending Receive.
struct Pending<'a>(&'a Shell, Uuid);

impl<'a> Pending<'a> {
    fn new(shell: &'a Shell, target: Uuid) -> Self {
        *shell.inner().pending.entry(target).or_default() += 1;
        shell.pool.wake();
        Self(shell, target)
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if let Some(pending) = self.0.inner().pending.get_mut(&self.1) {
            *pending -= 1;
        }
    }
}

impl Shell {
    pub fn new(parameters: Opening, idle_timeout: Duration, pool: Arc<dyn Backend>) -> Self {
        let now = Instant::now();
        let inner = Inner {
            last_used: now,
            incoming: HashMap::new(),
            fragmenter: Fragmenter::default(),
            cut: HashMap::new(),
            begun: HashSet::new(),
            ended: HashSet::new(),
            disconnected: HashSet::new(),
            pending: HashMap::new(),
            deleting: false,
            idle_timeout,
        };
        let closed = CancellationToken::new();
        let inner = Mutex::new(inner);
        Self { parameters, created: now, pool, closed, inner }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Resets the idle time, for a request other than Receive.
    pub fn touch(&self) {
        self.inner().last_used = Instant::now();
    }

    /// Returns the time without requests and running pipelines.
    pub fn idle(&self) -> Duration {
        if !self.pool.running().is_empty() {
            self.touch();
        }
        self.inner().last_used.elapsed()
    }

    pub fn idle_timeout(&self) -> Duration {
        self.inner().idle_timeout
    }

    pub fn set_idle_timeout(&self, timeout: Duration) {
        self.inner().idle_timeout = timeout;
    }

    /// Reserves the id of a new command; returns `false` if a running command has the id.
    pub fn claim(&self, pipeline: Uuid) -> bool {
        let mut inner = self.inner();
        // An id whose pipeline has ended is free again.
        let free = inner.ended.remove(&pipeline) || !inner.begun.contains(&pipeline);
        free && !pipeline.is_nil() && {
            inner.begun.insert(pipeline);
            true
        }
    }

    /// Returns whether the target is the pool (nil) or a pipeline begun before, even if ended.
    pub fn knows(&self, target: Uuid) -> bool {
        target.is_nil() || self.inner().begun.contains(&target)
    }

    /// Disconnects the shell: requests are refused until it is reconnected; pipelines continue.
    pub fn disconnect(&self) {
        let running = self.pool.running();
        self.inner().disconnected.extend(running.into_iter().chain([Uuid::nil()]));
        self.pool.wake();
    }

    pub fn reconnect(&self, target: Uuid) {
        self.inner().disconnected.remove(&target);
        self.touch();
    }

    pub fn is_disconnected(&self, target: Uuid) -> bool {
        let inner = self.inner();
        inner.disconnected.contains(&Uuid::nil()) || inner.disconnected.contains(&target)
    }

    /// Begins a Delete; returns whether it is the first.
    pub fn begin_deletion(&self) -> bool {
        !std::mem::replace(&mut self.inner().deleting, true)
    }

    /// Returns whether a Receive is pending for a pipeline, or for the pool (nil).
    pub fn is_receiving(&self, target: Uuid) -> bool {
        self.inner().pending.get(&target).is_some_and(|pending| *pending > 0)
    }

    /// Returns whether no pipeline runs and Receives have fetched all output.
    pub fn is_taken(&self) -> bool {
        let running = self.pool.running();
        let mut inner = self.inner();
        let open: Vec<_> = inner.begun.difference(&inner.ended).copied().collect();
        open.into_iter().all(|pipeline| {
            !running.contains(&pipeline) && !self.has_fragment(&mut inner, pipeline, FRAGMENT)
        })
    }

    /// Accepts bytes of a stream. Returns the number of messages completed, which are then queued in order.
    pub async fn take(&self, target: Uuid, prompt_response: bool, bytes: &[u8]) -> Result<usize, TakeError> {
        let whole = {
            let mut inner = self.inner();
            let defragmenter = inner.incoming.entry((target, prompt_response)).or_default();
            defragmenter.push(bytes).map_err(ProtocolError::from)?
        };
        let stream = if prompt_response { Stream::PromptResponse } else { Stream::Default };
        let count = whole.len();
        for bytes in whole {
            let message = Message::decode(&bytes).map_err(ProtocolError::from)?;
            self.pool.take(stream, message).await?;
        }
        Ok(count)
    }

    /// Ends a pipeline for the client: its pending Receive ends with Done.
    pub fn end(&self, pipeline: Uuid) {
        let mut inner = self.inner();
        inner.ended.insert(pipeline);
        inner.cut.remove(&pipeline);
        inner.incoming.retain(|(target, _), _| *target != pipeline);
        drop(inner);
        self.pool.forget(pipeline);
    }

    /// Closes the shell and its backend.
    pub fn close(&self) {
        self.closed.cancel();
        self.pool.close();
    }

    /// Waits for output until the timeout (long poll). With `trickle`, the response holds one fragment and is delayed
    /// by this time.
    pub async fn receive(
        &self,
        target: Uuid,
        limit: Option<Duration>,
        envelope: u32,
        trickle: Option<Duration>,
    ) -> Polled {
        // Detects a client that has disconnected; data fetched for it would be lost.
        tokio::task::yield_now().await;
        let limit = if self.parameters.omi { OMI_RECEIVE_TIMEOUT } else { limit.unwrap_or(RECEIVE_TIMEOUT) };
        let deadline = tokio::time::Instant::now() + limit;
        tokio::time::sleep(trickle.unwrap_or_default()).await;
        let _pending = Pending::new(self, target);
        let room = usize::try_from(envelope).unwrap_or(usize::MAX).saturating_sub(ENVELOPE) / 4 * 3;
        loop {
            let mut changed = std::pin::pin!(self.pool.changed());
            changed.as_mut().enable();
            let command = (!target.is_nil()).then_some(target);
            let over = self.closed.is_cancelled() || self.inner().ended.contains(&target);
            if over {
                return Polled::Received(Received {
                    state: Some(CommandState::Done),
                    command,
                    ..Received::default()
                });
            }
            if self.is_disconnected(target) {
                return Polled::Disconnected;
            }
            let gone = self.pool.is_gone();
            let data = self.fragments(target, room.max(4 * fragment::HEADER), trickle.is_some());
            if !data.is_empty() {
                let part = StreamPart { name: "stdout".into(), command, data, end: false };
                let state = Some(CommandState::Running);
                return Polled::Received(Received { streams: vec![part], state, command, exit_code: None });
            }
            if gone {
                return Polled::Gone;
            }
            tokio::select! {
                () = changed => {}
                () = self.closed.cancelled() => {}
                () = tokio::time::sleep_until(deadline) => return Polled::TimedOut,
            }
        }
    }

    /// Takes as many fragments as fit in `room` bytes, or one.
    fn fragments(&self, target: Uuid, room: usize, one: bool) -> Vec<u8> {
        let mut data = Vec::new();
        let mut inner = self.inner();
        while self.has_fragment(&mut inner, target, room - fragment::HEADER) {
            let Some(fragment) = inner.cut.get_mut(&target).and_then(VecDeque::pop_front) else { break };
            if data.len() + fragment.len() > room && !data.is_empty() {
                inner.cut.entry(target).or_default().push_front(fragment);
                break;
            }
            data.extend(fragment);
            if one || self.parameters.omi {
                break;
            }
        }
        data
    }

    /// Returns whether a fragment waits; fragments the next message if none does.
    fn has_fragment(&self, inner: &mut Inner, target: Uuid, size: usize) -> bool {
        if inner.cut.get(&target).is_some_and(|waiting| !waiting.is_empty()) {
            return true;
        }
        let Some(message) = self.pool.next(target) else { return false };
        let cut = inner.fragmenter.cut(&message.encode(), size);
        inner.cut.insert(target, cut.into());
        true
    }
}
