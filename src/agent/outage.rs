//! The time between a lost session and the next one: when the owner tries to connect again.

use std::time::{Duration, Instant, SystemTime};

use super::shared::Shared;

/// The first pause between two attempts; each further one is twice as long, up to [`LONGEST`].
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_mins(1);
/// How often it is looked whether this machine has slept.
const LOOK: Duration = Duration::from_secs(1);
/// The wall clock goes ahead of the other by more than this while a machine sleeps.
const SLEPT: Duration = Duration::from_secs(5);

/// The pauses of one outage.
#[derive(Debug, Default)]
pub struct Outage {
    attempts: u32,
}

impl Outage {
    /// Waits until the next attempt is due: after the pause, when a shell asks for it, or when the machine
    /// wakes up; and no longer than somebody waits for a session.
    pub async fn next_attempt(&mut self, shared: &Shared) {
        let pause = pause(self.attempts);
        self.attempts += 1;
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = shared.hurry.notified() => {}
            () = slept() => {}
            () = shared.ending() => {}
            () = shared.impatient() => {}
        }
    }
}

/// The pause after this many attempts that have failed already.
fn pause(attempts: u32) -> Duration {
    LONGEST.min(FIRST * 2u32.pow(attempts.min(10)))
}

/// Waits until this machine has slept and is awake again.
async fn slept() {
    let mut clocks = Clocks::now();
    loop {
        tokio::time::sleep(LOOK).await;
        let now = Clocks::now();
        if now.ahead_of(&clocks) > SLEPT {
            return;
        }
        clocks = now;
    }
}

/// The same moment by the clock that stands still while the machine sleeps, and by the one on the wall.
struct Clocks {
    awake: Instant,
    wall: SystemTime,
}

impl Clocks {
    fn now() -> Self {
        Self { awake: Instant::now(), wall: SystemTime::now() }
    }

    /// How much further the wall clock has gone since.
    fn ahead_of(&self, earlier: &Self) -> Duration {
        // One that was set back says nothing.
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
        assert_eq!(pause(u32::MAX), LONGEST);
    }

    #[test]
    fn a_machine_has_slept_where_only_the_wall_clock_went_on() {
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
