//! Who needs the agent: shells that are attached, launchers that watch, shells that were announced. When
//! the last one goes, the agent does.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::platform;

/// How long an agent waits for a shell that was announced, or for anybody at all after its start.
pub const ANNOUNCED: Duration = Duration::from_secs(30);
/// How often it is looked whether a shell that was announced by its launcher still runs.
const PRESENCE_INTERVAL: Duration = Duration::from_secs(1);

/// How the last one left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Last {
    /// Nobody has come yet.
    Nobody,
    /// It announced a shell, the first one.
    Announced,
    /// It went, or died.
    Gone,
}

/// A shell that is about to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpectedShell {
    /// The process that its launcher has started. When that has ended, nobody comes.
    Launched(u32),
    /// `lyncsh attach` was asked to announce it: by the shell itself, or by what is to start it.
    AskedBy(u32),
    /// One whose session was lost.
    Again,
}

impl ExpectedShell {
    fn process(self) -> Option<u32> {
        match self {
            Self::Launched(process) | Self::AskedBy(process) => Some(process),
            Self::Again => None,
        }
    }

    /// Whether it is known that it will not come.
    fn is_gone(self) -> bool {
        matches!(self, Self::Launched(process) if platform::has_ended(process))
    }
}

#[derive(Clone, Copy, Debug)]
struct Announcement {
    coming: ExpectedShell,
    until: Instant,
}

#[derive(Clone, Debug)]
struct Counts {
    here: usize,
    last: Last,
    announced: Vec<Announcement>,
    /// The session was lost, and is made again for the shells that it had.
    expects: bool,
    /// The processes of launchers that are here.
    watchers: Vec<u32>,
}

impl Counts {
    /// A shell is announced anew, not twice.
    fn announce(&mut self, coming: ExpectedShell) {
        let until = Instant::now() + ANNOUNCED;
        let same =
            |one: &&mut Announcement| coming.process().is_some() && one.coming.process() == coming.process();
        match self.announced.iter_mut().find(same) {
            Some(one) => one.until = until,
            None => self.announced.push(Announcement { coming, until }),
        }
    }

    /// A shell has come. Which one was meant by what somebody asked for is known only where that was
    /// the shell itself; else it is the one that is waited for the longest. A launcher that is a shell as
    /// well was not announced, but may have lost its session.
    fn arrived(&mut self, process: Option<u32>) {
        let own = |one: &Announcement| process.is_some() && one.coming.process() == process;
        let watches = process.is_some_and(|process| self.watchers.contains(&process));
        let loose = |one: &Announcement| match one.coming {
            ExpectedShell::Launched(_) => false,
            ExpectedShell::AskedBy(_) => !watches,
            ExpectedShell::Again => true,
        };
        let found = self.announced.iter().position(own).or_else(|| self.announced.iter().position(loose));
        tracing::debug!(?process, ?found, announced = ?self.announced, "a shell has come");
        found.map(|at| self.announced.remove(at));
    }

    fn is_needed(&self) -> bool {
        self.here > 0 || self.expects
    }

    /// Who has left is not waited for, though its session was lost.
    fn released(&mut self) {
        if self.here == 0 {
            self.expects = false;
            self.announced.retain(|one| one.coming != ExpectedShell::Again);
        }
    }

    fn awaits(&self) -> bool {
        self.next_look().is_some()
    }

    /// When it is to be looked again whether shells come that were announced; `None`: nobody comes.
    fn next_look(&self) -> Option<Instant> {
        let now = Instant::now();
        let coming = |one: &&Announcement| one.until > now && !one.coming.is_gone();
        let until = self.announced.iter().filter(coming).map(|one| one.until).min();
        until.map(|until| until.min(now + PRESENCE_INTERVAL))
    }
}

/// Counts those who are here.
#[derive(Clone, Debug)]
pub struct Presence(watch::Sender<Counts>);

/// Somebody who is here; dropped, they are gone.
#[derive(Debug)]
pub struct PresenceGuard {
    presence: Presence,
    leaves: Leaves,
    /// Whether it is a launcher, and the process of the launcher, if known.
    watches: bool,
    process: Option<u32>,
}

/// How somebody will have left.
#[derive(Clone, Copy, Debug)]
enum Leaves {
    /// As the last one, where nobody else is here.
    Gone,
    /// As if it had never come.
    Silent,
}

impl Presence {
    pub fn new() -> Self {
        Self(watch::Sender::new(Counts {
            here: 0,
            last: Last::Nobody,
            announced: Vec::new(),
            expects: false,
            watchers: Vec::new(),
        }))
    }

    pub fn arrive(&self) -> PresenceGuard {
        self.0.send_modify(|counts| counts.here += 1);
        PresenceGuard { presence: self.clone(), leaves: Leaves::Gone, watches: false, process: None }
    }

    /// A launcher, and its process where that is known.
    pub fn arrive_watching(&self, process: Option<u32>) -> PresenceGuard {
        let mut stay = self.arrive();
        self.0.send_modify(|counts| counts.watchers.extend(process));
        (stay.watches, stay.process) = (true, process);
        stay
    }

    /// Somebody who has not said anything yet. Who goes so was not the shell that is waited for.
    pub fn arrive_silent(&self) -> PresenceGuard {
        let mut stay = self.arrive();
        stay.leaves = Leaves::Silent;
        stay
    }

    /// The shell that a launcher has announced does not come any more.
    pub fn call_off(&self, launched: u32) {
        self.0.send_modify(|counts| {
            counts.announced.retain(|one| one.coming.process() != Some(launched));
        });
    }

    /// The session is lost: the shells that it had went with it, and may come again.
    pub fn expect(&self) {
        self.0.send_modify(|counts| counts.expects = true);
    }

    /// The session that was lost is there again.
    pub fn welcome(&self) {
        self.0.send_modify(|counts| {
            if std::mem::take(&mut counts.expects) {
                counts.announce(ExpectedShell::Again);
            }
        });
    }

    /// The shells of the session that was lost are not waited for any longer.
    pub fn expect_nobody(&self) {
        self.0.send_modify(|counts| counts.expects = false);
    }

    /// A launcher is about to leave, and so are its shells.
    pub fn release(&self) {
        self.0.send_modify(|counts| {
            counts.last = Last::Gone;
            counts.released();
        });
    }

    /// How the last one left, where nobody is here and nobody comes.
    pub fn deserted(&self) -> Option<Last> {
        let counts = self.0.borrow();
        (!counts.is_needed() && !counts.awaits()).then_some(counts.last)
    }

    /// Waits until somebody is here, or has been.
    pub async fn wait_visited(&self) {
        let mut changes = self.0.subscribe();
        // The sender is here: it can't fail.
        let _ = changes.wait_for(|counts| counts.here > 0 || counts.last != Last::Nobody).await;
    }

    /// Waits until nobody has been here for as long as `linger` says, and nobody is announced.
    pub async fn wait_deserted(&self, linger: impl Fn(Last) -> Duration) {
        let mut changes = self.0.subscribe();
        loop {
            let (needed, last, look) = {
                let counts = changes.borrow_and_update();
                (counts.is_needed(), counts.last, counts.next_look())
            };
            if needed {
                // The sender is here: a change can always come.
                let _ = changes.changed().await;
                continue;
            }
            let end = look.unwrap_or_else(|| Instant::now() + linger(last));
            tokio::select! {
                () = tokio::time::sleep_until(end) => if look.is_none() { return },
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

impl PresenceGuard {
    /// Leaves, and announces a shell.
    pub fn announce(mut self, coming: ExpectedShell) {
        self.foretell(coming);
    }

    /// Announces a shell, and will not have been here itself.
    pub fn foretell(&mut self, coming: ExpectedShell) {
        self.leaves = Leaves::Silent;
        self.presence.0.send_modify(|counts| {
            counts.announce(coming);
            if counts.last == Last::Nobody {
                counts.last = Last::Announced;
            }
        });
    }

    /// It leaves as the last one, whatever it was to announce.
    pub fn leave(mut self) {
        self.leaves = Leaves::Gone;
    }

    /// It has spoken as a shell does; `process`, where it is known whose.
    pub fn speak(&mut self, process: Option<u32>) {
        self.leaves = Leaves::Gone;
        self.presence.0.send_modify(|counts| counts.arrived(process));
    }
}

impl Drop for PresenceGuard {
    fn drop(&mut self) {
        self.presence.0.send_modify(|counts| {
            counts.here -= 1;
            if let Some(at) = counts.watchers.iter().position(|one| Some(*one) == self.process) {
                counts.watchers.swap_remove(at);
            }
            match self.leaves {
                Leaves::Gone => {
                    counts.last = Last::Gone;
                    if self.watches {
                        counts.released();
                    }
                }
                Leaves::Silent => {}
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(30);
    const OTHER: u32 = u32::MAX - 7;

    fn linger(last: Last) -> Duration {
        match last {
            Last::Gone | Last::Announced => Duration::ZERO,
            Last::Nobody => SHORT,
        }
    }

    fn me() -> u32 {
        std::process::id()
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
        presence.arrive().announce(ExpectedShell::AskedBy(me()));
        assert_eq!(presence.deserted(), None);
        let waiting = presence.wait_deserted(linger);
        assert!(tokio::time::timeout(SHORT, waiting).await.is_err());
        // Its time is up soon.
        presence.0.send_modify(|counts| counts.announced[0].until = Instant::now() + SHORT);
        presence.wait_deserted(linger).await;
        assert_eq!(presence.deserted(), Some(Last::Announced));
    }

    #[tokio::test]
    async fn a_visitor_who_says_nothing_is_not_the_announced_shell() {
        let presence = Presence::new();
        presence.arrive().announce(ExpectedShell::AskedBy(me()));
        drop(presence.arrive_silent());
        assert_eq!(presence.deserted(), None);
        let mut shell = presence.arrive_silent();
        shell.speak(None);
        drop(shell);
        assert_eq!(presence.deserted(), Some(Last::Gone));
    }

    #[tokio::test]
    async fn a_shell_that_leaves_does_not_call_off_another_launcher_s() {
        let presence = Presence::new();
        presence.arrive().announce(ExpectedShell::Launched(me()));
        let mut another = presence.arrive_silent();
        another.speak(Some(OTHER));
        drop(another);
        assert_eq!(presence.deserted(), None);
        presence.call_off(OTHER);
        assert_eq!(presence.deserted(), None);
        presence.call_off(me());
        assert_eq!(presence.deserted(), Some(Last::Gone));
    }

    #[tokio::test]
    async fn a_launcher_that_is_a_shell_itself_is_not_the_one_that_was_asked_for() {
        let presence = Presence::new();
        presence.arrive().announce(ExpectedShell::AskedBy(me()));
        let launcher = presence.arrive_watching(Some(OTHER));
        let mut console = presence.arrive_silent();
        console.speak(Some(OTHER));
        drop((console, launcher));
        assert_eq!(presence.deserted(), None);
        let mut another = presence.arrive_silent();
        another.speak(Some(OTHER));
        drop(another);
        assert_eq!(presence.deserted(), Some(Last::Gone));
    }

    #[tokio::test]
    async fn a_launcher_that_is_a_shell_itself_comes_again_when_its_session_was_lost() {
        let presence = Presence::new();
        let launcher = presence.arrive_watching(Some(OTHER));
        presence.arrive().announce(ExpectedShell::Again);
        let mut console = presence.arrive_silent();
        console.speak(Some(OTHER));
        drop((console, launcher));
        assert_eq!(presence.deserted(), Some(Last::Gone));
    }

    #[tokio::test]
    async fn shells_whose_session_was_lost_are_waited_for_until_the_last_launcher_leaves() {
        let presence = Presence::new();
        let (launcher, shell) = (presence.arrive_watching(None), presence.arrive());
        presence.expect();
        drop(shell);
        assert_eq!(presence.deserted(), None);
        drop(launcher);
        assert_eq!(presence.deserted(), Some(Last::Gone));
        // Without a launcher they are, as those that were announced are.
        drop(presence.arrive());
        presence.expect();
        assert_eq!(presence.deserted(), None);
        presence.welcome();
        assert_eq!((presence.deserted(), presence.0.borrow().announced.len()), (None, 1));
        presence.0.send_modify(|counts| counts.announced.clear());
        presence.welcome();
        assert_eq!(presence.deserted(), Some(Last::Gone));
        presence.expect();
        presence.welcome();
        presence.release();
        assert_eq!(presence.deserted(), Some(Last::Gone));
        // And a launcher whose shell was announced lets go of it.
        presence.expect();
        presence.release();
        assert_eq!(presence.deserted(), Some(Last::Gone));
    }

    #[tokio::test]
    async fn a_shell_that_its_launcher_and_its_module_announce_comes_once() {
        let presence = Presence::new();
        presence.arrive().announce(ExpectedShell::Launched(me()));
        presence.arrive().announce(ExpectedShell::AskedBy(me()));
        let mut shell = presence.arrive_silent();
        shell.speak(Some(me()));
        drop(shell);
        assert_eq!(presence.deserted(), Some(Last::Gone));
    }

    #[tokio::test]
    async fn a_launched_shell_that_has_ended_is_not_waited_for() {
        let presence = Presence::new();
        presence.arrive().announce(ExpectedShell::Launched(OTHER));
        assert_eq!(presence.deserted(), Some(Last::Announced));
    }
}
