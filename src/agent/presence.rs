//! Who needs the agent: shells that are attached, launchers that watch. When the last one goes, the
//! agent does.

use std::time::Duration;

use tokio::sync::watch;

/// How long an agent waits for a shell that was announced, or for anybody at all after its start.
pub const ANNOUNCED: Duration = Duration::from_secs(30);

/// How the last one left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Last {
    /// Nobody has come yet.
    Nobody,
    /// A launcher that has announced a shell.
    Announced,
    /// It went, or died.
    Gone,
}

#[derive(Clone, Copy, Debug)]
struct Counts {
    here: usize,
    last: Last,
}

/// Counts those who are here.
#[derive(Clone, Debug)]
pub struct Presence(watch::Sender<Counts>);

/// Somebody who is here; dropped, they are gone.
#[derive(Debug)]
pub struct Stay {
    presence: Presence,
    /// How it will have left; `None`: as if it had never come.
    leaves: Option<Last>,
}

impl Presence {
    pub fn new() -> Self {
        Self(watch::Sender::new(Counts { here: 0, last: Last::Nobody }))
    }

    pub fn arrive(&self) -> Stay {
        self.0.send_modify(|counts| counts.here += 1);
        Stay { presence: self.clone(), leaves: Some(Last::Gone) }
    }

    /// Somebody who has not said anything yet. Who goes so was not the shell that is waited for.
    pub fn arrive_silent(&self) -> Stay {
        let mut stay = self.arrive();
        stay.leaves = None;
        stay
    }

    /// How the last one left, where nobody is here.
    pub fn deserted(&self) -> Option<Last> {
        let counts = *self.0.borrow();
        (counts.here == 0).then_some(counts.last)
    }

    /// Waits until somebody is here, or has been.
    pub async fn wait_visited(&self) {
        let mut changes = self.0.subscribe();
        // The sender is here: it can't fail.
        let _ = changes.wait_for(|counts| counts.here > 0 || counts.last != Last::Nobody).await;
    }

    /// Waits until nobody has been here for as long as `linger` says.
    pub async fn wait_deserted(&self, linger: impl Fn(Last) -> Duration) {
        let mut changes = self.0.subscribe();
        loop {
            let counts = *changes.borrow_and_update();
            // The sender is here: a change can always come.
            if counts.here > 0 {
                let _ = changes.changed().await;
                continue;
            }
            tokio::select! {
                () = tokio::time::sleep(linger(counts.last)) => return,
                _ = changes.changed() => {}
            }
        }
    }
}

impl Default for Presence {
    fn default() -> Self {
        Self::new()
    }
}

impl Stay {
    /// Leaves, and announces a shell.
    pub fn announce(mut self) {
        self.leaves = Some(Last::Announced);
    }

    /// It has spoken as a shell does.
    pub fn speak(&mut self) {
        self.leaves = Some(Last::Gone);
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        self.presence.0.send_modify(|counts| {
            counts.here -= 1;
            counts.last = self.leaves.unwrap_or(counts.last);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(30);

    fn linger(last: Last) -> Duration {
        match last {
            Last::Gone => Duration::ZERO,
            Last::Nobody | Last::Announced => SHORT,
        }
    }

    #[tokio::test]
    async fn the_last_one_to_leave_ends_the_wait() {
        let presence = Presence::new();
        let (one, two) = (presence.arrive(), presence.arrive());
        let waiting = tokio::spawn({
            let presence = presence.clone();
            async move { presence.wait_deserted(linger).await }
        });
        drop(one);
        tokio::time::sleep(SHORT * 2).await;
        assert!(!waiting.is_finished());
        assert_eq!(presence.deserted(), None);
        drop(two);
        waiting.await.unwrap();
        assert_eq!(presence.deserted(), Some(Last::Gone));
    }

    #[tokio::test]
    async fn an_announced_shell_is_waited_for() {
        let presence = Presence::new();
        presence.arrive().announce();
        let start = tokio::time::Instant::now();
        presence.wait_deserted(linger).await;
        assert!(start.elapsed() >= SHORT);
    }

    #[tokio::test]
    async fn a_visitor_who_says_nothing_is_not_the_announced_shell() {
        let presence = Presence::new();
        presence.arrive().announce();
        drop(presence.arrive_silent());
        assert_eq!(presence.deserted(), Some(Last::Announced));
        let mut shell = presence.arrive_silent();
        shell.speak();
        drop(shell);
        assert_eq!(presence.deserted(), Some(Last::Gone));
    }
}
