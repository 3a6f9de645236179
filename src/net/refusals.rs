//! Passwords and tokens that endpoints refused. This process does not send a refused credential again,
//! neither in another request or connection nor in the background: each attempt would count as another wrong
//! password, until the account is locked.
//!
//! The endpoint's first response to a credential decides. A credential that was accepted before is sent once
//! more after a refusal, because servers behind a load balancer may refuse it by mistake.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Notify;
use tokio::time::Instant;
use url::Url;

/// Time for which other requests wait for the response to the first one. An endpoint that takes longer is
/// executing the request and did not refuse it. The limit also lets Delete pass a pending Receive: some
/// endpoints answer Delete only while a Receive is pending.
const DECISION_TIMEOUT: Duration = Duration::from_millis(750);

/// A user's secret at an endpoint. Only a keyed hash is kept, with a random key of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Credential(u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Accepted,
    /// Refused after it was accepted.
    RefusedOnce,
    Refused,
    /// Start time of the first request.
    Pending(Instant),
}

static STATES: LazyLock<Mutex<HashMap<Credential, State>>> = LazyLock::new(Mutex::default);
static CHANGED: Notify = Notify::const_new();

fn states() -> MutexGuard<'static, HashMap<Credential, State>> {
    STATES.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Credential {
    pub fn new(endpoint: &Url, user: &str, secret: &SecretString) -> Self {
        static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        let origin = endpoint.origin().ascii_serialization();
        Self(KEY.hash_one((origin, user, secret.expose_secret())))
    }

    /// Returns whether the endpoint refused the credential.
    pub fn is_refused(self) -> bool {
        states().get(&self) == Some(&State::Refused)
    }

    /// Records a refusal that another process received.
    pub fn note_refusal(self) {
        states().insert(self, State::Refused);
        CHANGED.notify_waiters();
    }

    /// Returns whether any credential of this process was refused.
    pub fn any_refused() -> bool {
        states().values().any(|state| *state == State::Refused)
    }

    /// Permits the credential again, after the user entered it again.
    pub fn allow_again(self) {
        states().remove(&self);
        CHANGED.notify_waiters();
    }

    /// Returns the permission to send the credential once, or `None` if it was refused.
    pub async fn pass(self) -> Option<Pass> {
        loop {
            let changed = CHANGED.notified();
            let now = Instant::now();
            let until = {
                let mut states = states();
                match states.get(&self).copied() {
                    Some(State::Refused) => return None,
                    Some(State::Pending(since)) if now < since + DECISION_TIMEOUT => since + DECISION_TIMEOUT,
                    Some(state @ (State::Accepted | State::Pending(_))) => {
                        let was_accepted = state == State::Accepted;
                        return Some(Pass { credential: self, before: None, was_accepted });
                    }
                    before => {
                        states.insert(self, State::Pending(now));
                        return Some(Pass { credential: self, before: Some(before), was_accepted: false });
                    }
                }
            };
            let _ = tokio::time::timeout_at(until, changed).await;
        }
    }
}

/// Permission to send a credential once. Dropping it without a response restores the previous state.
#[derive(Debug)]
pub struct Pass {
    credential: Credential,
    /// The previous state, if the response to this request decides.
    before: Option<Option<State>>,
    /// Whether the credential was already accepted when this request was sent.
    was_accepted: bool,
}

impl Pass {
    /// Records that the endpoint did not refuse the credential.
    pub fn accepted(mut self) {
        self.before = None;
        states().insert(self.credential, State::Accepted);
        CHANGED.notify_waiters();
    }

    /// Records that the endpoint refused the credential.
    pub fn refused(mut self) {
        let mut states = states();
        let state = match (self.before.take(), states.get(&self.credential).copied()) {
            (None, Some(State::Accepted)) => State::RefusedOnce,
            // A concurrent request was refused first: both count as one attempt.
            (None, Some(state)) if self.was_accepted => state,
            _ => State::Refused,
        };
        states.insert(self.credential, state);
        drop(states);
        CHANGED.notify_waiters();
    }
}

impl Pass {
    /// Records that a KDC refused the password. The password is not sent once more: a KDC has no load balancer.
    pub fn refused_by_kdc(mut self) {
        self.before = None;
        states().insert(self.credential, State::Refused);
        CHANGED.notify_waiters();
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let Some(before) = self.before.take() else { return };
        let mut states = states();
        if let Some(State::Pending(_)) = states.get(&self.credential) {
            match before {
                Some(state) => states.insert(self.credential, state),
                None => states.remove(&self.credential),
            };
        }
        drop(states);
        CHANGED.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credential(user: &str) -> Credential {
        Credential::new(&"https://host.example/wsman".parse().unwrap(), user, &"secret".into())
    }

    #[tokio::test]
    async fn an_unverified_credential_is_sent_once() {
        let one = credential("once");
        one.pass().await.unwrap().refused();
        assert!(one.is_refused() && one.pass().await.is_none());
        one.allow_again();
        one.pass().await.unwrap().accepted();
        assert!(!one.is_refused());
    }

    #[tokio::test]
    async fn a_refused_accepted_credential_is_sent_once_more() {
        let one = credential("twice");
        one.pass().await.unwrap().accepted();
        one.pass().await.unwrap().refused();
        one.pass().await.unwrap().accepted();
        one.pass().await.unwrap().refused();
        one.pass().await.unwrap().refused();
        assert!(one.pass().await.is_none());
    }

    #[tokio::test]
    async fn two_requests_at_once_count_as_one_refusal() {
        let one = credential("both");
        one.pass().await.unwrap().accepted();
        let (first, second) = (one.pass().await.unwrap(), one.pass().await.unwrap());
        first.refused();
        second.refused();
        assert!(!one.is_refused());
        one.pass().await.unwrap().refused();
        assert!(one.is_refused());
    }

    #[tokio::test]
    async fn other_requests_wait_briefly_for_the_first_answer() {
        let one = credential("many");
        let asking = one.pass().await.unwrap();
        let others: Vec<_> = (0..5).map(|_| tokio::spawn(one.pass())).collect();
        tokio::task::yield_now().await;
        asking.refused();
        for other in others {
            assert!(other.await.unwrap().is_none());
        }
        let slow = credential("slow");
        let asking = slow.pass().await.unwrap();
        slow.pass().await.unwrap().accepted();
        drop(asking);
        assert_eq!(states().get(&slow), Some(&State::Accepted));
        // A request without a response does not decide.
        let open = credential("open");
        drop(open.pass().await.unwrap());
        open.pass().await.unwrap().accepted();
    }
}
