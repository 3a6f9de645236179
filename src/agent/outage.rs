//! Schedule of the attempts to reconnect a lost session.

use std::time::{Duration, Instant, SystemTime};

use super::shared::Shared;

/// The first delay between two attempts; the delay doubles up to [`MAX_DELAY`].
const FIRST_DELAY: Duration = Duration::from_secs(1);
const MAX_DELAY: Duration = Duration::from_mins(1);
/// Interval for checking whether this machine has slept.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Minimum difference between the clocks that counts as sleep.
const MIN_SLEEP: Duration = Duration::from_secs(5);

/// The delays of one outage.
#[derive(Debug, Default)]
pub struct Outage {
    attempts: u32,
}

impl Outage {
    /// Waits until the next attempt is due: after the delay, when a shell requests it, or when the machine
    /// wakes up. Also returns when the agent must end, and when no client wants further attempts.
    pub async fn next_attempt(&mut self, shared: &Shared) {
        let pause = pause(self.attempts);
        self.attempts += 1;
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = shared.reconnect_now.notified() => {}
            () = slept() => {}
            () = shared.ending() => {}
            () = shared.impatient() => {}
        }
    }
}

/// Returns the delay after this number of failed attempts.
fn pause(attempts: u32) -> Duration {
    MAX_DELAY.min(FIRST_DELAY * 2u32.pow(attempts.min(10)))
}

/// Waits until this machine has slept and is awake again.
async fn slept() {
    let mut clocks = Clocks::now();
    loop {
        tokio::time::sleep(POLL_INTERVAL).await;
        let now = Clocks::now();
        if now.ahead_of(&clocks) > MIN_SLEEP {
            return;
        }
        clocks = now;
    }
}

/// The same moment on the monotonic clock, which stops while the machine sleeps, and on the wall clock.
struct Clocks {
    awake: Instant,
    wall: SystemTime,
}

impl Clocks {
    fn now() -> Self {
        Self { awake: Instant::now(), wall: SystemTime::now() }
    }

    /// Returns how much more time has passed on the wall clock.
    fn ahead_of(&self, earlier: &Self) -> Duration {
        // The wall clock was set back.
        let wall = self.wall.duration_since(earlier.wall).unwrap_or_default();
        wall.saturating_sub(self.awake.duration_since(earlier.awake))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_minute() {
        let seconds: Vec<_> = (0..8).map(|attempts| pause(attempts).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(pause(u32::MAX), MAX_DELAY);
    }

    #[test]
    fn suspend_is_detected_from_the_wall_clock() {
        let second = Duration::from_secs(1);
        let before = Clocks::now();
        let after = |awake: Duration, wall: Duration| Clocks {
            awake: before.awake + awake,
            wall: before.wall + wall,
        };
        assert_eq!(after(second, second).ahead_of(&before), Duration::ZERO);
        assert_eq!(after(second, second * 600).ahead_of(&before), second * 599);
        let set_back = Clocks { awake: before.awake + second, wall: before.wall - second };
        assert_eq!(set_back.ahead_of(&before), Duration::ZERO);
    }
}
