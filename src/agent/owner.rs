//! Owns the remote session: opens it, stays until nobody needs it, removes it. What it does meanwhile
//! is told through [`News`].

use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::control::{ControlEvent, Failure};
use super::guard::Guard;
use super::journal::Journal;
use super::mux::{self, Mux};
use super::outage::Outage;
use super::resolver::{EndpointResolver, SessionError};
use super::shared::{Opened, Shared};
use super::slots;
use crate::psrp::client::ClientPool;
use crate::psrp::host::HostInfo;
use crate::step::Step;
use crate::transport;
use crate::transport::wsman::{self, Endpoint};

/// A keep-alive goes this many times into the idle timeout.
const KEEP_ALIVES: u32 = 3;
/// The longest that keep-alives are apart: a third of the 15 minutes of Lync Online.
const KEEP_ALIVE: Duration = Duration::from_mins(5);
/// A session that is lost sooner after a reconnection is not made anew once more.
const STEADY: Duration = Duration::from_secs(10);
/// How long the removal of a lost session holds up the next one.
const REMOVAL_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the end waits for the removal of sessions that were lost.
const SETTLES: Duration = Duration::from_secs(5);
/// How long the shells' pipelines may take to be ended before the session is removed under them.
const CLOSE_SHELLS: Duration = Duration::from_secs(3);

/// The owner of one profile's session.
pub struct Owner {
    pub access: EndpointResolver,
    pub journal: Journal,
    pub shared: Shared,
    pub retries: mpsc::Receiver<Vec<Uuid>>,
}

/// How an attempt to open a session went.
enum Attempt {
    Opened(Box<Opened>),
    Failed(SessionError),
    /// Nobody wants it any more.
    Unwanted,
}

/// Why an open session is over.
enum Over {
    Asked,
    Lost(String),
}

impl Owner {
    /// Lives the whole life of the session. The last thing that is told is [`Event::Failed`] or
    /// [`Event::Removed`]. Gives back a session that could not be opened and may be there all the same:
    /// nobody has to wait for its removal.
    pub async fn run(mut self) -> Option<Guard> {
        let mut reconnecting = false;
        let mut outage = Outage::default();
        // Of lost sessions, as far as they have not come to an end.
        let mut removals = JoinSet::new();
        loop {
            // Outside of what may be cancelled, so that cancelling leaves it here.
            let mut guard = None;
            let shared = self.shared.clone();
            let attempt = tokio::select! {
                attempt = self.open(&mut guard) => attempt,
                () = shared.ending() => Attempt::Unwanted,
            };
            match (attempt, guard) {
                (Attempt::Opened(opened), Some(guard)) => {
                    let (mux, since) = (opened.mux.clone(), opened.since);
                    // Before they can come.
                    self.shared.presence.welcome();
                    self.shared.opened.send_replace(Some(*opened));
                    self.shared.news.publish(ControlEvent::Open);
                    if reconnecting {
                        let before = std::mem::take(&mut removals);
                        self.remove_left(before, &mut removals);
                    } else {
                        self.remove_refused();
                    }
                    let over = self.stay(&mux).await;
                    self.shared.opened.send_replace(None);
                    match over {
                        Over::Asked => {
                            let left = self.close(&mux, guard).await;
                            let left = left.or(self.settle(removals, reconnecting).await);
                            self.shared.news.publish(self.removed(left));
                            mux.parted().await;
                            return None;
                        }
                        Over::Lost(reason)
                            if reconnecting && since.elapsed() < STEADY && !self.is_patient() =>
                        {
                            let text = format!("the session was lost again at once: {reason}");
                            let advice = Some("Check the network, and start again.".to_owned());
                            self.shared.news.publish(ControlEvent::Failed(Failure { text, advice }));
                            return Some(guard);
                        }
                        Over::Lost(reason) => {
                            self.shared.news.publish(ControlEvent::Lost { reason });
                            tokio::spawn(async move { mux.parted().await });
                            let is_steady = since.elapsed() >= STEADY;
                            self.shared.presence.expect();
                            // An endpoint out of reach is not waited for.
                            while removals.try_join_next().is_some() {}
                            removals.spawn(async { drop(remove(Some(guard)).await) });
                            let _ = tokio::time::timeout(REMOVAL_TIMEOUT, removals.join_next()).await;
                            if reconnecting && !is_steady {
                                // Where that goes on, it is an outage as any other.
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
                        // Shells that were attached do not wait for as long as this may take.
                        self.shared.presence.expect_nobody();
                        // The slots may be those of the sessions that were lost.
                        if error.wants_slot()
                            && self.remove_orphans().await.is_some_and(|(_, removed)| removed > 0)
                        {
                            removals.spawn(async { drop(remove(guard).await) });
                            continue;
                        }
                        self.shared.news.publish(ControlEvent::Away(error.failure()));
                        removals.spawn(async { drop(remove(guard).await) });
                        // Who leaves meanwhile is noticed by the next attempt.
                        outage.next_attempt(&shared).await;
                        continue;
                    }
                    // Held meanwhile: it is none of those that dead owners left.
                    if !error.wants_slot() || !self.make_room(&error).await {
                        self.tell_refusal(&error);
                        self.shared.news.publish(ControlEvent::Failed(error.failure()));
                        return guard;
                    }
                    tokio::spawn(remove(guard));
                }
                (_, mut guard) => {
                    self.shared.leaving.cancel();
                    guard.iter_mut().for_each(Guard::doubt_unless_created);
                    let left = remove(guard).await;
                    let left = left.or(self.settle(removals, reconnecting).await);
                    self.shared.news.publish(self.removed(left));
                    return None;
                }
            }
        }
    }

    /// Whether somebody wants a lost session made again however long that takes.
    fn is_patient(&self) -> bool {
        *self.shared.patient.borrow() > 0
    }

    /// Whether another attempt would only fail as this one: the password was refused, or the profile does
    /// not say enough. All else may be the network's that this machine is in for the moment.
    fn is_final(&self, error: &SessionError) -> bool {
        use crate::credential::token::TokenError;
        matches!(
            error,
            SessionError::NoUser
                | SessionError::NoEndpoint(_)
                | SessionError::Credential(_)
                | SessionError::Token(TokenError::Refused { .. })
                | SessionError::Transport(transport::Error::Unauthorized { .. })
        )
    }

    /// Waits for removals that go on, but not for long; says of lost sessions that they may be there.
    async fn settle(&self, mut removals: JoinSet<()>, has_lost: bool) -> Option<String> {
        let all = async { while removals.join_next().await.is_some() {} };
        let is_settled = tokio::time::timeout(SETTLES, all).await.is_ok();
        let name = &self.access.profile.name;
        let is_left = || self.journal.has_orphan(name);
        (has_lost && (!is_settled || is_left())).then(|| {
            "one that was lost could not be removed; the next start of lyncsh tries again".to_owned()
        })
    }

    /// Removes, beside everything else, the sessions that could not be removed during an outage. Those
    /// whose removal goes on are waited for: they are nobody's only when it has failed.
    fn remove_left(&self, mut before: JoinSet<()>, removals: &mut JoinSet<()>) {
        let (journal, profile) = (self.journal.clone(), self.access.profile.clone());
        let Some(endpoint) = self.shared.opened.borrow().as_ref().map(|opened| opened.endpoint.clone())
        else {
            return;
        };
        removals.spawn(async move {
            while before.join_next().await.is_some() {}
            slots::remove_orphans(&journal, &endpoint, &profile).await;
        });
    }

    /// Removes, beside everything else, what an earlier password could not.
    fn remove_refused(&self) {
        let (journal, profile) = (self.journal.clone(), self.access.profile.clone());
        let Some(endpoint) = self.shared.opened.borrow().as_ref().map(|opened| opened.endpoint.clone())
        else {
            return;
        };
        tokio::spawn(async move { slots::remove_refused(&journal, &endpoint, &profile).await });
    }

    /// Lets the launchers know that another password may do.
    fn tell_refusal(&self, error: &SessionError) {
        if error.is_refusal(self.access.profile.authentication)
            && let Some(endpoint) = self.access.presented_to()
        {
            self.shared.news.publish(ControlEvent::PasswordRefused { endpoint: endpoint.clone() });
        }
    }

    async fn open(&mut self, guard: &mut Option<Guard>) -> Attempt {
        match self.try_open(guard).await {
            Ok(opened) => Attempt::Opened(Box::new(opened)),
            Err(error) => Attempt::Failed(error),
        }
    }

    async fn try_open(&mut self, slot: &mut Option<Guard>) -> Result<Opened, SessionError> {
        let profile = self.access.profile.clone();
        let news = &self.shared.news;
        let access = &mut self.access;
        let endpoint = news.steps_of(async |report| access.endpoint(report).await).await?;
        let runspaces = i32::try_from(profile.max_runspaces.max(1)).unwrap_or(i32::MAX);
        let shell = Uuid::new_v4();
        let mut pool = ClientPool::new(shell, host(), (1, runspaces));
        pool.open();
        let opening = pool.take_outgoing();
        let guard = slot.insert(
            Guard::new(&self.journal, &profile, endpoint.clone(), shell).map_err(SessionError::Journal)?,
        );
        if let Some(session) = guard.session() {
            news.publish(ControlEvent::Guarded(session.clone()));
        }
        news.publish(ControlEvent::Step(Step::InitializingSession));
        let endpoint = guard.endpoint().clone();
        let idle_timeout = endpoint.idle_timeout;
        let moved = |endpoint: &Endpoint| {
            guard.moved(endpoint.clone());
            if let Some(session) = guard.session() {
                news.publish(ControlEvent::Guarded(session.clone()));
            }
        };
        let (connection, endpoint) = match wsman::connect(endpoint, shell, opening, moved).await {
            Ok(connected) => connected,
            Err(error) => {
                if has_made_nothing(&error) {
                    slot.take().into_iter().for_each(Guard::confirmed);
                } else {
                    guard.doubt();
                }
                return Err(error.into());
            }
        };
        guard.created();
        news.publish(ControlEvent::Created);
        let keep_alive = idle_timeout.map_or(KEEP_ALIVE, |idle| KEEP_ALIVE.min(idle / KEEP_ALIVES));
        let options = mux::Options {
            max_runspaces: profile.max_runspaces.max(1) as usize,
            keep_alive: profile.keep_alive.then_some(keep_alive),
            open: profile.limits.open,
            prompt: Some(format!("[{}]: PS> ", profile.name)),
            quiet: mux::QUIET,
        };
        let mux = Mux::open(connection, pool, options).await?;
        news.publish(ControlEvent::Step(Step::Session {
            id: 1,
            name: profile.name.clone(),
            computer: endpoint.uri.host_str().unwrap_or_default().to_owned(),
            configuration: endpoint.configuration.rsplit('/').next().unwrap_or_default().to_owned(),
        }));
        Ok(Opened { mux, endpoint, shell, since: Instant::now() })
    }

    /// Stays as long as the session is there and somebody needs it.
    async fn stay(&self, mux: &Mux) -> Over {
        let mut state = mux.state();
        let lost = async {
            match state.wait_for(|state| *state != mux::State::Open).await.as_deref() {
                Ok(mux::State::Broken(reason)) => reason.clone(),
                _ => "its connection is gone".to_owned(),
            }
        };
        tokio::select! {
            () = self.shared.ending() => Over::Asked,
            reason = lost => Over::Lost(reason),
        }
    }

    /// Closes the session; says why it may still be there.
    async fn close(&self, mux: &Mux, guard: Guard) -> Option<String> {
        // Whoever comes from now on is too late.
        self.shared.leaving.cancel();
        let limit = guard.endpoint().limits.close * 2 + CLOSE_SHELLS;
        match tokio::time::timeout(limit, mux.close()).await {
            Ok(Ok(())) => {
                guard.confirmed();
                None
            }
            _ => remove(Some(guard)).await,
        }
    }

    fn removed(&self, left: Option<String>) -> ControlEvent {
        ControlEvent::Removed { left, stopped: self.shared.stop.is_cancelled() }
    }

    /// Removes the sessions that processes of this machine have left on the endpoint. Returns the endpoint and
    /// the number of sessions; `None`: the endpoint or its credential is not available.
    async fn remove_orphans(&mut self) -> Option<(Endpoint, usize)> {
        let (report, _) = mpsc::unbounded_channel();
        let endpoint = self.access.endpoint(&report).await.ok()?;
        let removed = slots::remove_orphans(&self.journal, &endpoint, &self.access.profile).await;
        Some((endpoint, removed))
    }

    /// The endpoint has no slot free: removes what dead owners of this machine left there; where that
    /// was nothing, asks the launchers what else may go. Says whether to try again.
    async fn make_room(&mut self, error: &SessionError) -> bool {
        let Some((endpoint, removed)) = self.remove_orphans().await else { return false };
        if removed > 0 {
            let text = format!("removed {removed} sessions that were left behind");
            self.shared.news.publish(ControlEvent::Notice { text });
            return true;
        }
        let holders = tokio::select! {
            holders = slots::holders_soon(&self.journal, &endpoint) => holders,
            () = self.shared.ending() => return false,
        };
        let holders = holders.unwrap_or_else(|error| {
            tracing::warn!("the endpoint's sessions can't be listed: {error}");
            Vec::new()
        });
        if holders.is_empty() {
            // Nothing that could be chosen.
            return false;
        }
        // Shells whose session was lost can't choose, and nobody else may come.
        self.shared.presence.expect_nobody();
        let failure: Failure = error.failure();
        self.shared.news.publish(ControlEvent::Refused { failure, holders });
        let remove = tokio::select! {
            remove = self.retries.recv() => match remove {
                Some(remove) => remove,
                None => return false,
            },
            () = self.shared.ending() => return false,
        };
        for shell in &remove {
            if let Err(error) = wsman::remove(&endpoint, *shell).await {
                let text = format!("the session {shell} could not be removed: {error}");
                self.shared.news.publish(ControlEvent::Notice { text });
            }
        }
        true
    }
}

/// Removes what a guard holds; says why it may still be there.
pub async fn remove(guard: Option<Guard>) -> Option<String> {
    let error = guard?.remove().await.err()?;
    tracing::warn!("the session may still be on the server: {error}");
    Some(error.to_string())
}

/// Whether a failed Create has certainly made nothing: it was refused, or something else than a WSMan
/// service answered. A Delete would only be refused as well, and a wrong password counted twice.
fn has_made_nothing(error: &transport::Error) -> bool {
    use transport::Error::{Http, Redirect};
    error.is_refusal() || matches!(error, Redirect { .. } | Http { status: ..500, .. })
}

/// A host that is there, so that prompts work; each shell's pipelines carry its own.
fn host() -> HostInfo {
    HostInfo {
        window: (120, 50),
        buffer: (120, 50),
        foreground: 7,
        background: 0,
        title: "lyncsh".to_owned(),
        is_null: false,
    }
}
