//! One WSMan shell: fragments in, fragments out, around a [`Backend`].

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

/// How long a Receive waits, whatever the client says, where the endpoint behaves as OMI ([`super::omi`]).
const OMI_RECEIVE: Duration = Duration::from_secs(30);
/// The most of a message in a fragment that no answer has asked for yet.
const FRAGMENT: usize = 32_768;
/// What an answer's envelope takes besides its fragments.
const ENVELOPE: usize = 4_096;
/// How long a Receive waits where the client does not say.
const RECEIVE: Duration = Duration::from_secs(20);

/// A shell that is open.
pub struct Shell {
    pub made: Opening,
    pub created: Instant,
    pub pool: Arc<dyn Backend>,
    pub closed: CancellationToken,
    inner: Mutex<Inner>,
}

struct Inner {
    last_used: Instant,
    /// By pipeline (nil: the pool) and whether the stream is `pr`.
    incoming: HashMap<(Uuid, bool), Defragmenter>,
    fragmenter: Fragmenter,
    /// Fragments that were cut and did not fit the last answer.
    cut: HashMap<Uuid, VecDeque<Vec<u8>>>,
    /// Pipelines that the client has begun.
    begun: HashSet<Uuid>,
    /// Those of them that it has ended.
    ended: HashSet<Uuid>,
    /// Pipelines (nil: the pool) that are disconnected.
    disconnected: HashSet<Uuid>,
    /// How many Receives are pending for each (nil: the pool).
    pending: HashMap<Uuid, usize>,
    /// A Delete has been taken, which is not finished at once everywhere.
    deleting: bool,
    /// How long it may be idle.
    idle_timeout: Duration,
}

/// What a Receive comes to.
pub enum Polled {
    Said(Received),
    /// Nothing was to be said in time.
    Silent,
    /// The shell was disconnected meanwhile.
    Disconnected,
    /// What stands behind the shell has ended by itself.
    Gone,
}

/// What a shell is made as.
pub struct Opening {
    /// As the client chose it, in capitals.
    pub id: String,
    pub owner: String,
    pub domain: String,
    pub resource_uri: String,
    pub name: Option<String>,
    /// The client that made it (`p:SessionId`): the one that may reconnect.
    pub client: Option<String>,
    /// Behaves as OMI: see [`super::omi`].
    pub omi: bool,
}

/// A Receive that is pending.
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
    pub fn new(made: Opening, idle_timeout: Duration, pool: Arc<dyn Backend>) -> Self {
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
        Self { made, created: now, pool, closed, inner }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request other than Receive has come: the shell is not idle.
    pub fn touch(&self) {
        self.inner().last_used = Instant::now();
    }

    /// For how long nothing has been asked and nothing has run.
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

    /// Takes the id of a new command; returns false where a command that has not ended has it.
    pub fn claim(&self, pipeline: Uuid) -> bool {
        let mut inner = self.inner();
        // An id whose pipeline has ended is free again.
        let free = inner.ended.remove(&pipeline) || !inner.begun.contains(&pipeline);
        free && !pipeline.is_nil() && {
            inner.begun.insert(pipeline);
            true
        }
    }

    /// Whether the pool (nil), or a pipeline that was begun, even if it has ended since.
    pub fn knows(&self, target: Uuid) -> bool {
        target.is_nil() || self.inner().begun.contains(&target)
    }

    /// Nobody can ask anything of it or of what runs in it until it is reconnected; what runs goes on.
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

    /// Takes a Delete; says whether it is the first.
    pub fn begin_deletion(&self) -> bool {
        !std::mem::replace(&mut self.inner().deleting, true)
    }

    /// Whether a Receive is pending for a pipeline, or for the pool (nil).
    pub fn is_receiving(&self, target: Uuid) -> bool {
        self.inner().pending.get(&target).is_some_and(|pending| *pending > 0)
    }

    /// Whether no pipeline runs, and Receives have taken all that they have said.
    pub fn is_taken(&self) -> bool {
        let running = self.pool.running();
        let mut inner = self.inner();
        let open: Vec<_> = inner.begun.difference(&inner.ended).copied().collect();
        open.into_iter().all(|pipeline| {
            !running.contains(&pipeline) && !self.has_fragment(&mut inner, pipeline, FRAGMENT)
        })
    }

    /// Takes bytes of a stream; the messages that they complete, whose number is returned, are in order then.
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

    /// The client has ended a pipeline: its pending Receive ends with Done.
    pub fn end(&self, pipeline: Uuid) {
        let mut inner = self.inner();
        inner.ended.insert(pipeline);
        inner.cut.remove(&pipeline);
        inner.incoming.retain(|(target, _), _| *target != pipeline);
        drop(inner);
        self.pool.forget(pipeline);
    }

    /// Ends everything.
    pub fn close(&self) {
        self.closed.cancel();
        self.pool.close();
    }

    /// A long poll: answers when there is something to say, or at the end.
    /// `trickle`: an answer holds one message, and takes this long.
    pub async fn receive(
        &self,
        target: Uuid,
        limit: Option<Duration>,
        envelope: u32,
        trickle: Option<Duration>,
    ) -> Polled {
        // A client that is gone already is noticed meanwhile: what it took would be lost.
        tokio::task::yield_now().await;
        let limit = if self.made.omi { OMI_RECEIVE } else { limit.unwrap_or(RECEIVE) };
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
                return Polled::Said(Received {
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
                return Polled::Said(Received { streams: vec![part], state, command, exit_code: None });
            }
            if gone {
                return Polled::Gone;
            }
            tokio::select! {
                () = changed => {}
                () = self.closed.cancelled() => {}
                () = tokio::time::sleep_until(deadline) => return Polled::Silent,
            }
        }
    }

    /// As many fragments as fit in `room` bytes, or one.
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
            if one || self.made.omi {
                break;
            }
        }
        data
    }

    /// Whether a fragment waits; cuts the next message where none does.
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
