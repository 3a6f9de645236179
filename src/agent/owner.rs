//! Owns the remote session: opens it, keeps it while any client needs it, removes it. Publishes its progress
//! in the [`EventLog`](super::shared::EventLog).

use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::control::{ControlEvent, Failure};
use super::guard::Guard;
use super::journal::Journal;
use super::mux::{self, Mux};
use super::outage::Outage;
use super::removal;
use super::resolver::{EndpointResolver, SessionError};
use super::shared::{Opened, Shared};
use super::slots;
use crate::net::ProxyError;
use crate::psrp::client::ClientPool;
use crate::psrp::host::HostInfo;
use crate::step::Step;
use crate::transport;
use crate::transport::wsman::{self, Endpoint};

/// Minimum number of keep-alives per idle timeout.
const KEEP_ALIVES_PER_TIMEOUT: u32 = 3;
/// Maximum keep-alive interval: a third of Lync Online's idle timeout of 15 minutes.
const MAX_KEEP_ALIVE: Duration = Duration::from_mins(5);
/// Minimum lifetime of a reconnected session. A session lost sooner is reconnected again only while a client wants
/// that without a time limit ([`ControlRequest::Persist`](super::control::ControlRequest::Persist)).
const MIN_STEADY_TIME: Duration = Duration::from_secs(10);
/// Maximum time for which the next connection waits for the removal of the lost session.
const REMOVAL_TIMEOUT: Duration = Duration::from_secs(2);
/// Interval of checks for failed removals that are due for another attempt.
const RETRY_INTERVAL: Duration = Duration::from_secs(30);
/// Time limit at the end for the removal of lost sessions.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(5);
/// Time limit for ending the shells' pipelines before the session is removed.
const CLOSE_SHELLS_TIMEOUT: Duration = Duration::from_secs(3);

/// The session of one profile, from its opening to its removal, through outages.
///
/// The agent's process runs it once, until its end ([`Owner::run`]); the servers of the sockets see its
/// progress in [`Shared`]. Guarantees: each session has a [`Guard`] before it is created; at most one session
/// is open, and shells get it only then; lost sessions are removed, or stay in the journal.
pub struct Owner {
    pub access: EndpointResolver,
    pub journal: Journal,
    pub shared: Shared,
    pub retries: mpsc::Receiver<Vec<Uuid>>,
}

/// Result of an attempt to open a session.
enum Attempt {
    Opened(Box<Opened>),
    Failed(SessionError),
    /// No client needs the session any longer.
    Unwanted,
}

/// Reason why an open session has ended.
enum SessionEnd {
    /// The agent must end: on request, or after its last client.
    AgentEnding,
    Lost(String),
}

impl Owner {
    /// Runs the session until its end. The last published event is [`ControlEvent::Failed`] or
    /// [`ControlEvent::Removed`]. Returns the guard of a session that failed to open but may exist, so that
    /// no client waits for its removal.
    pub async fn run(mut self) -> Option<Guard> {
        let mut reconnecting = false;
        let mut outage = Outage::default();
        // Removals of lost sessions.
        let mut removals = JoinSet::new();
        // Launchers wait for the first session, and show the user how to sign in.
        self.access.set_interactive(true);
        loop {
            // Declared outside of the cancellable future, so that cancelling it keeps the guard.
            let mut guard = None;
            let shared = self.shared.clone();
            let attempt = tokio::select! {
                attempt = self.open(&mut guard) => attempt,
                () = shared.ending() => Attempt::Unwanted,
            };
            match (attempt, guard) {
                (Attempt::Opened(opened), Some(guard)) => {
                    let (mux, since) = (opened.mux.clone(), opened.since);
                    let opened_endpoint = opened.endpoint.clone();
                    self.access.set_interactive(false);
                    // Before the shells can reconnect.
                    self.shared.presence.welcome();
                    self.shared.opened.send_replace(Some(*opened));
                    self.shared.events.publish(ControlEvent::Open);
                    if reconnecting {
                        let (before, endpoint) = (std::mem::take(&mut removals), opened_endpoint);
                        self.remove_lost(endpoint, before, &mut removals);
                    } else {
                        self.remove_refused(&mut removals);
                    }
                    let over = self.wait_for_end(&mux, &mut removals).await;
                    self.shared.opened.send_replace(None);
                    match over {
                        SessionEnd::AgentEnding => {
                            let endpoint = guard.endpoint().clone();
                            let shell = guard.session().map(|session| session.shell);
                            let left = self.close(&mux, guard).await;
                            if reconnecting {
                                self.remove_lost(endpoint, std::mem::take(&mut removals), &mut removals);
                            }
                            let lost = self.wait_for_removals(removals, reconnecting).await;
                            // The last attempt may have removed it.
                            let is_left = self
                                .journal
                                .list_orphans()
                                .iter()
                                .any(|one| Some(one.session.shell) == shell);
                            let left = left.filter(|_| is_left).or(lost);
                            self.shared.events.publish(self.removed(left));
                            mux.parted().await;
                            return None;
                        }
                        SessionEnd::Lost(reason)
                            if reconnecting && since.elapsed() < MIN_STEADY_TIME && !self.is_patient() =>
                        {
                            let text = format!("the session was lost again immediately: {reason}");
                            let advice = Some("Check the network and start again.".to_owned());
                            self.shared.events.publish(ControlEvent::Failed(Failure { text, advice }));
                            return Some(guard);
                        }
                        SessionEnd::Lost(reason) => {
                            self.access.forget_discovery();
                            self.shared.events.publish(ControlEvent::Lost { reason });
                            tokio::spawn(async move { mux.parted().await });
                            let is_steady = since.elapsed() >= MIN_STEADY_TIME;
                            self.shared.presence.expect();
                            while removals.try_join_next().is_some() {}
                            let (removed, removal) = oneshot::channel();
                            removals.spawn(async {
                                let _ = removed.send(remove(Some(guard)).await);
                            });
                            // Waits only briefly: the endpoint may be unreachable.
                            let _ = tokio::time::timeout(REMOVAL_TIMEOUT, removal).await;
                            if reconnecting && !is_steady {
                                // A repeated loss is handled as an outage.
                                outage.next_attempt(&shared).await;
                            } else {
                                outage = Outage::default();
                            }
                            reconnecting = true;
                        }
                    }
                }
                (Attempt::Failed(error), guard) => {
                    if reconnecting && !self.is_final(&error) && self.is_patient() {
                        // Shells do not wait that long before they attach again.
                        self.shared.presence.stop_expecting();
                        // The lost sessions may still count against the session limit.
                        if error.wants_slot()
                            && self.remove_orphans().await.is_some_and(|(_, removed)| removed > 0)
                        {
                            removals.spawn(async { drop(remove(guard).await) });
                            continue;
                        }
                        self.shared.events.publish(ControlEvent::Away(error.failure()));
                        removals.spawn(async { drop(remove(guard).await) });
                        // The next attempt notices clients that leave in the meantime.
                        outage.next_attempt(&shared).await;
                        continue;
                    }
                    // While the guard exists, this session is not treated as orphaned.
                    if !error.wants_slot() || !self.make_room(&error).await {
                        self.publish_refusal(&error);
                        self.shared.events.publish(ControlEvent::Failed(error.failure()));
                        return guard;
                    }
                    tokio::spawn(remove(guard));
                }
                (_, mut guard) => {
                    self.shared.leaving.cancel();
                    guard.iter_mut().for_each(Guard::record_interrupted_create);
                    let left = remove(guard).await;
                    let left = left.or(self.wait_for_removals(removals, reconnecting).await);
                    self.shared.events.publish(self.removed(left));
                    return None;
                }
            }
        }
    }

    /// Returns whether any client wants a lost session reconnected without a time limit.
    fn is_patient(&self) -> bool {
        *self.shared.patient.borrow() > 0
    }

    /// Returns whether another attempt would fail in the same way: the password was refused, or the profile
    /// is incomplete. All other errors may be temporary network errors.
    fn is_final(&self, error: &SessionError) -> bool {
        if let Some(error) = error.proxy() {
            return !error.is_temporary();
        }
        matches!(error, SessionError::NoUser | SessionError::NoEndpoint(_) | SessionError::Credential(_))
            || matches!(error, SessionError::Token(error) if error.is_final())
            || matches!(error, SessionError::Transport(error) if error.is_refused_credential() || matches!(
                error,
                transport::Error::TicketRefused { .. } | transport::Error::NotOffered { .. }
            ))
    }

    /// Waits for pending removals, with a time limit. Returns why lost sessions may still exist.
    async fn wait_for_removals(&self, mut removals: JoinSet<()>, has_lost: bool) -> Option<String> {
        let all = async { while removals.join_next().await.is_some() {} };
        let is_settled = tokio::time::timeout(SETTLE_TIMEOUT, all).await.is_ok();
        let own = std::process::id();
        let is_left = || self.journal.list_orphans().iter().any(|entry| entry.process == own);
        (has_lost && (!is_settled || is_left()))
            .then(|| "a lost session could not be removed; the next start of lyncsh will retry".to_owned())
    }

    /// Returns the endpoint of the open session.
    fn opened(&self) -> Option<Endpoint> {
        self.shared.opened.borrow().as_ref().map(|opened| opened.endpoint.clone())
    }

    /// Removes in the background the sessions that could not be removed during an outage. Waits for pending
    /// removals first: a session is orphaned only when its removal has failed.
    fn remove_lost(&self, endpoint: Endpoint, mut before: JoinSet<()>, removals: &mut JoinSet<()>) {
        let (journal, profile) = (self.journal.clone(), self.access.profile.clone());
        removals.spawn(async move {
            while before.join_next().await.is_some() {}
            slots::remove_orphans(&journal, &endpoint, &profile).await;
        });
    }

    /// Removes in the background the sessions whose removal was refused with the earlier password. A short session
    /// waits for it at its end.
    fn remove_refused(&self, removals: &mut JoinSet<()>) {
        let (journal, profile) = (self.journal.clone(), self.access.profile.clone());
        let Some(endpoint) = self.opened() else { return };
        removals.spawn(async move {
            slots::remove_refused(&journal, &endpoint, &profile).await;
        });
    }

    /// Reports to the launchers that another password may work.
    fn publish_refusal(&self, error: &SessionError) {
        if error.proxy().is_some_and(ProxyError::is_refused_credential) {
            self.shared.events.publish(ControlEvent::ProxyRefused);
        }
        if error.is_refusal(self.access.profile.authentication)
            && let Some(endpoint) = self.access.presented_to()
        {
            self.shared.events.publish(ControlEvent::PasswordRefused { endpoint: endpoint.clone() });
        }
    }

    async fn open(&mut self, guard: &mut Option<Guard>) -> Attempt {
        loop {
            match self.try_open(guard).await {
                Ok(opened) => return Attempt::Opened(Box::new(opened)),
                Err(error) if self.access.discovers_again(&error) && guard.is_none() => {}
                Err(error) => return Attempt::Failed(error),
            }
        }
    }

    async fn try_open(&mut self, slot: &mut Option<Guard>) -> Result<Opened, SessionError> {
        let profile = self.access.profile.clone();
        let events = &self.shared.events;
        let access = &mut self.access;
        let endpoint = events.publish_steps(async |report| access.endpoint(report).await).await?;
        let runspaces = i32::try_from(profile.max_runspaces.max(1)).unwrap_or(i32::MAX);
        let shell = Uuid::new_v4();
        let mut pool = ClientPool::new(shell, host(), (1, runspaces));
        pool.open();
        let opening = pool.take_outgoing();
        let guard = slot.insert(
            Guard::new(&self.journal, &profile, endpoint.clone(), shell).map_err(SessionError::Journal)?,
        );
        if let Some(session) = guard.session() {
            events.publish(ControlEvent::Guarded(session.clone()));
        }
        events.publish(ControlEvent::Step(Step::InitializingSession));
        let endpoint = guard.endpoint().clone();
        let idle_timeout = endpoint.idle_timeout;
        let authentication = endpoint.authentication.clone();
        let mut unwritten = None;
        let redirected = |endpoint: &Endpoint| {
            if let Err(error) = guard.record_redirect(endpoint.clone()) {
                unwritten = Some(error);
                return false;
            }
            if let Some(session) = guard.session() {
                events.publish(ControlEvent::Guarded(session.clone()));
            }
            true
        };
        let connected = wsman::connect(endpoint, shell, opening, redirected).await;
        if let Some(error) = unwritten {
            // The redirecting server has created nothing.
            slot.take().into_iter().for_each(Guard::confirm_removed);
            return Err(SessionError::Journal(error));
        }
        if let wsman::Authentication::Context(negotiation) = &authentication
            && let Some(reason) = negotiation.fallback_reason()
        {
            let text = format!("using NTLM: cannot get a Kerberos ticket: {reason}");
            events.publish(ControlEvent::Notice { text });
        }
        let (connection, endpoint) = match connected {
            Ok(connected) => connected,
            Err(error) => {
                match error {
                    transport::Error::Redirect { .. } => {
                        slot.take().into_iter().for_each(Guard::confirm_removed);
                    }
                    // A Delete would be refused as well and count a wrong password twice.
                    _ if error.is_refusal() => slot.take().into_iter().for_each(Guard::confirm_removed),
                    transport::Error::Http { status, .. } if removal::is_page(status) => {
                        guard.record_foreign_answer(status);
                    }
                    _ => guard.record_unanswered_create(),
                }
                return Err(error.into());
            }
        };
        guard.record_created();
        events.publish(ControlEvent::Created);
        let keep_alive =
            idle_timeout.map_or(MAX_KEEP_ALIVE, |idle| MAX_KEEP_ALIVE.min(idle / KEEP_ALIVES_PER_TIMEOUT));
        let options = mux::Options {
            max_runspaces: profile.max_runspaces.max(1) as usize,
            keep_alive: profile.keep_alive.then_some(keep_alive),
            open: profile.limits.open,
            prompt: Some(format!("[{}]: PS> ", profile.name)),
            quiet: mux::QUIET_DELAY,
        };
        let mux = Mux::open(connection, pool, options).await?;
        events.publish(ControlEvent::Step(Step::Session {
            id: 1,
            name: profile.name.clone(),
            computer: endpoint.uri.host_str().unwrap_or_default().to_owned(),
            configuration: endpoint.configuration.rsplit('/').next().unwrap_or_default().to_owned(),
        }));
        Ok(Opened { mux, endpoint, shell, since: Instant::now() })
    }

    /// Removes in the background the sessions whose removal is due for another attempt.
    fn remove_due(&self, removals: &mut JoinSet<()>) {
        let (journal, profile) = (self.journal.clone(), self.access.profile.clone());
        let Some(endpoint) = self.opened() else { return };
        while removals.try_join_next().is_some() {}
        removals.spawn(async move {
            slots::remove_due(&journal, &endpoint, &profile).await;
        });
    }

    /// Waits until the session is lost or no client needs it. Meanwhile retries failed removals.
    async fn wait_for_end(&self, mux: &Mux, removals: &mut JoinSet<()>) -> SessionEnd {
        let mut state = mux.state();
        let lost = async {
            match state.wait_for(|state| *state != mux::State::Open).await.as_deref() {
                Ok(mux::State::Broken(reason)) => reason.clone(),
                _ => "its connection was lost".to_owned(),
            }
        };
        let mut lost = std::pin::pin!(lost);
        loop {
            tokio::select! {
                () = self.shared.ending() => return SessionEnd::AgentEnding,
                reason = &mut lost => return SessionEnd::Lost(reason),
                () = tokio::time::sleep(RETRY_INTERVAL) => self.remove_due(removals),
            }
        }
    }

    /// Closes the session; returns why it may still exist.
    async fn close(&self, mux: &Mux, guard: Guard) -> Option<String> {
        // Rejects new clients from now on.
        self.shared.leaving.cancel();
        let limit = guard.endpoint().limits.close * 2 + CLOSE_SHELLS_TIMEOUT;
        match tokio::time::timeout(limit, mux.close()).await {
            Ok(Ok(())) => {
                guard.confirm_removed();
                None
            }
            _ => remove(Some(guard)).await,
        }
    }

    fn removed(&self, left: Option<String>) -> ControlEvent {
        ControlEvent::Removed { left, stopped: self.shared.stop.is_cancelled() }
    }

    /// Removes the orphaned sessions of this machine on the endpoint. Returns the endpoint and the number of
    /// sessions; `None`: the endpoint or its credential is not available.
    async fn remove_orphans(&mut self) -> Option<(Endpoint, usize)> {
        let (report, _) = mpsc::unbounded_channel();
        let endpoint = self.access.endpoint(&report).await.ok()?;
        let removed = slots::remove_orphans(&self.journal, &endpoint, &self.access.profile).await;
        Some((endpoint, removed))
    }

    /// Handles a reached session limit: removes this machine's orphaned sessions; if there are none, asks the
    /// launchers which sessions to remove. Returns whether to try again.
    async fn make_room(&mut self, error: &SessionError) -> bool {
        let Some((endpoint, removed)) = self.remove_orphans().await else { return false };
        if removed > 0 {
            let text = format!("removed {removed} orphaned sessions");
            self.shared.events.publish(ControlEvent::Notice { text });
            return true;
        }
        let holders = tokio::select! {
            holders = slots::holders_soon(&self.journal, &endpoint) => holders,
            () = self.shared.ending() => return false,
        };
        let holders = holders.unwrap_or_else(|error| {
            tracing::warn!("cannot list the endpoint's sessions: {error}");
            Vec::new()
        });
        if holders.is_empty() {
            // There are no sessions to choose from.
            return false;
        }
        // Shells whose session was lost cannot choose, and no other client may come.
        self.shared.presence.stop_expecting();
        let failure: Failure = error.failure();
        self.shared.events.publish(ControlEvent::LimitReached { failure, holders });
        let remove = tokio::select! {
            remove = self.retries.recv() => match remove {
                Some(remove) => remove,
                None => return false,
            },
            () = self.shared.ending() => return false,
        };
        for shell in &remove {
            if let Err(error) = wsman::remove(&endpoint, *shell).await {
                let text = format!("cannot remove the session {shell}: {error}");
                self.shared.events.publish(ControlEvent::Notice { text });
            }
        }
        true
    }
}

/// Removes the guard's session; returns why it may still exist.
pub async fn remove(guard: Option<Guard>) -> Option<String> {
    let error = guard?.remove().await.err()?;
    tracing::warn!("the session may still be on the server: {error}");
    Some(error.to_string())
}

/// Host data that allows prompts; each shell's pipelines carry the shell's own.
fn host() -> HostInfo {
    HostInfo {
        window: (120, 50),
        buffer: (120, 50),
        foreground: 7,
        background: 0,
        title: "lyncsh".to_owned(),
        ..HostInfo::default()
    }
}
