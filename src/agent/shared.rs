//! State shared by a session's owner and the servers of shells and launchers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::control::ControlEvent;
use super::mux::Mux;
use super::presence::{ANNOUNCEMENT_TIMEOUT, Last, Presence};
use crate::step::{Report, Step};
use crate::transport::wsman::Endpoint;

/// Log of all events, replayed to clients that connect later.
#[derive(Clone, Debug)]
pub struct EventLog(Arc<watch::Sender<Vec<ControlEvent>>>);

impl EventLog {
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Vec::new())))
    }

    pub fn publish(&self, event: ControlEvent) {
        match &event {
            // The sign-in URL is for the user only.
            ControlEvent::Step(Step::SignIn { .. }) => tracing::debug!("event: the user must sign in"),
            event => tracing::debug!(?event, "event"),
        }
        self.0.send_modify(|events| events.push(event));
    }

    pub fn subscribe(&self) -> watch::Receiver<Vec<ControlEvent>> {
        self.0.subscribe()
    }

    /// Publishes the steps of some work in order, before the events that follow it.
    pub(super) async fn publish_steps<T>(&self, work: impl AsyncFnOnce(&Report) -> T) -> T {
        let (report, mut steps) = mpsc::unbounded_channel();
        let mut work = std::pin::pin!(work(&report));
        loop {
            tokio::select! {
                biased;
                Some(step) = steps.recv() => self.publish(ControlEvent::Step(step)),
                done = &mut work => {
                    while let Ok(step) = steps.try_recv() {
                        self.publish(ControlEvent::Step(step));
                    }
                    return done;
                }
            }
        }
    }
}

impl Default for EventLog {
    fn default() -> Self {
        Self::new()
    }
}

/// The open session.
#[derive(Clone, Debug)]
pub struct Opened {
    pub mux: Mux,
    pub endpoint: Endpoint,
    pub shell: Uuid,
    pub since: Instant,
}

#[derive(Clone, Debug)]
pub struct Shared {
    pub events: EventLog,
    pub presence: Presence,
    /// Requests the owner to end.
    pub stop: CancellationToken,
    /// The agent is ending; new clients are rejected.
    pub leaving: CancellationToken,
    pub opened: watch::Sender<Option<Opened>>,
    /// Time for which the session stays open without clients.
    pub keep: watch::Sender<Duration>,
    /// Answers to [`ControlEvent::LimitReached`]: sessions to be removed before the next attempt.
    pub retry: mpsc::Sender<Vec<Uuid>>,
    /// Requests an immediate reconnection of a lost session.
    pub reconnect_now: Arc<Notify>,
    /// Number of watchers that want a lost session reconnected without a time limit.
    pub patient: watch::Sender<usize>,
}

impl Shared {
    /// Returns how long the agent stays without clients.
    pub fn linger(&self, last: Last) -> Duration {
        match last {
            Last::NoClient => ANNOUNCEMENT_TIMEOUT,
            Last::Gone if self.opened.borrow().is_some() => *self.keep.borrow(),
            Last::Announced | Last::Gone => Duration::ZERO,
        }
    }

    /// Waits until no watcher wants a lost session reconnected without a time limit.
    pub async fn impatient(&self) {
        // The sender is alive, so waiting cannot fail.
        let _ = self.patient.subscribe().wait_for(|patient| *patient == 0).await;
    }

    /// Waits until the agent must end.
    pub async fn ending(&self) {
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = self.presence.wait_deserted(|last| self.linger(last)) => {}
        }
    }
}
