//! Counts the clients that need the agent: attached shells, watching launchers and announced shells. The
//! agent ends after the last client.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::platform;

/// Maximum wait for an announced shell, or for the agent's first client.
pub const ANNOUNCEMENT_TIMEOUT: Duration = Duration::from_secs(30);
/// Interval for checking whether an announced shell's process is still running.
const PRESENCE_INTERVAL: Duration = Duration::from_secs(1);

/// Departure of the last client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Last {
    /// No client has connected yet.
    NoClient,
    /// The launcher announced its first shell and disconnected.
    Announced,
    /// The client disconnected or died.
    Gone,
}

/// A shell that is expected to attach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpectedShell {
    /// The process that its launcher has started. If the process has ended, no shell is expected.
    Launched(u32),
    /// Announced by `lyncsh attach`: by the shell itself, or by the process that starts it.
    AskedBy(u32),
    /// A shell whose session was lost.
    Again,
}

impl ExpectedShell {
    fn process(self) -> Option<u32> {
        match self {
            Self::Launched(process) | Self::AskedBy(process) => Some(process),
            Self::Again => None,
        }
    }

    /// Returns whether the launched process has ended, so that the shell cannot attach.
    fn is_gone(self) -> bool {
        matches!(self, Self::Launched(process) if platform::has_ended(process))
    }
}

#[derive(Clone, Copy, Debug)]
struct Announcement {
    expected: ExpectedShell,
    until: Instant,
}

#[derive(Clone, Debug)]
struct Counts {
    /// Number of connected clients.
    here: usize,
    last: Last,
    announced: Vec<Announcement>,
    /// The session was lost; its shells are expected to attach again.
    expects: bool,
    /// The process ids of connected launchers.
    watchers: Vec<u32>,
    /// The process ids of attached shells.
    shells: Vec<u32>,
}

impl Counts {
    /// Announces a shell; a repeated announcement of a process only extends the first.
    fn announce(&mut self, expected: ExpectedShell) {
        let until = Instant::now() + ANNOUNCEMENT_TIMEOUT;
        let same = |one: &&mut Announcement| {
            expected.process().is_some() && one.expected.process() == expected.process()
        };
        match self.announced.iter_mut().find(same) {
            Some(one) => one.until = until,
            None => self.announced.push(Announcement { expected, until }),
        }
    }

    /// Removes the announcement of an attached shell: of its process, else the oldest announcement that may be for it.
    /// `lyncsh attach` may announce the process that starts the shell. A launcher that is also a shell was not
    /// announced, but may have lost its session.
    fn arrived(&mut self, process: Option<u32>) {
        let own = |one: &Announcement| process.is_some() && one.expected.process() == process;
        let watches = process.is_some_and(|process| self.watchers.contains(&process));
        let loose = |one: &Announcement| match one.expected {
            ExpectedShell::Launched(_) => false,
            ExpectedShell::AskedBy(_) => !watches,
            ExpectedShell::Again => true,
        };
        let found = self.announced.iter().position(own).or_else(|| self.announced.iter().position(loose));
        tracing::debug!(?process, ?found, announced = ?self.announced, "a shell has attached");
        found.map(|at| self.announced.remove(at));
    }

    fn is_needed(&self) -> bool {
        self.here > 0 || self.expects
    }

    /// Handles the departure of a launcher: without another client, the shells of a lost session are no longer
    /// expected.
    fn released(&mut self) {
        if self.here == 0 {
            self.expects = false;
            self.announced.retain(|one| one.expected != ExpectedShell::Again);
        }
    }

    fn awaits(&self) -> bool {
        self.next_check().is_some()
    }

    /// Returns when to check the announced shells again; `None`: no shell is expected.
    fn next_check(&self) -> Option<Instant> {
        let now = Instant::now();
        let expected = |one: &&Announcement| one.until > now && !one.expected.is_gone();
        let until = self.announced.iter().filter(expected).map(|one| one.until).min();
        until.map(|until| until.min(now + PRESENCE_INTERVAL))
    }
}

/// Counter of the agent's clients.
#[derive(Clone, Debug)]
pub struct Presence(watch::Sender<Counts>);

/// A counted client; dropping the guard removes it.
#[derive(Debug)]
pub struct PresenceGuard {
    presence: Presence,
    leaves: Leaves,
    /// Whether the client is a launcher, and its process id if known.
    watches: bool,
    process: Option<u32>,
    /// The process id of an attached shell.
    shell: Option<u32>,
}

/// Effect of a client's departure.
#[derive(Clone, Copy, Debug)]
enum Leaves {
    /// Counts as the last client if no other is connected.
    Gone,
    /// Has no effect, as if the client had never connected.
    Silent,
}

impl Presence {
    pub fn new() -> Self {
        Self(watch::Sender::new(Counts {
            here: 0,
            last: Last::NoClient,
            announced: Vec::new(),
            expects: false,
            watchers: Vec::new(),
            shells: Vec::new(),
        }))
    }

    fn arrive(&self) -> PresenceGuard {
        self.0.send_modify(|counts| counts.here += 1);
        PresenceGuard {
            presence: self.clone(),
            leaves: Leaves::Gone,
            watches: false,
            process: None,
            shell: None,
        }
    }

    /// Counts a launcher with its process id if known.
    pub fn arrive_watching(&self, process: Option<u32>) -> PresenceGuard {
        let mut guard = self.arrive();
        self.0.send_modify(|counts| counts.watchers.extend(process));
        (guard.watches, guard.process) = (true, process);
        guard
    }

    /// Counts a client that has sent nothing yet. If it leaves without sending, it was not the expected
    /// shell.
    pub fn arrive_silent(&self) -> PresenceGuard {
        let mut guard = self.arrive();
        guard.leaves = Leaves::Silent;
        guard
    }

    /// Cancels the announcement of a launcher's shell.
    pub fn cancel_announcement(&self, launched: u32) {
        self.0.send_modify(|counts| {
            counts.announced.retain(|one| one.expected.process() != Some(launched));
        });
    }

    /// Records that the session is lost: its shells may attach again.
    pub fn expect(&self) {
        self.0.send_modify(|counts| counts.expects = true);
    }

    /// Records that the lost session is reconnected.
    pub fn welcome(&self) {
        self.0.send_modify(|counts| {
            if std::mem::take(&mut counts.expects) {
                counts.announce(ExpectedShell::Again);
            }
        });
    }

    /// Stops expecting the shells of a lost session.
    pub fn stop_expecting(&self) {
        self.0.send_modify(|counts| counts.expects = false);
    }

    /// Records that a launcher and its shells are about to leave.
    pub fn release(&self) {
        self.0.send_modify(|counts| {
            counts.last = Last::Gone;
            counts.released();
        });
    }

    /// Returns how the last client left, if no client is connected or expected.
    pub fn deserted(&self) -> Option<Last> {
        let counts = self.0.borrow();
        (!counts.is_needed() && !counts.awaits()).then_some(counts.last)
    }

    /// Waits until a client is or was connected.
    pub async fn wait_visited(&self) {
        let mut changes = self.0.subscribe();
        // The sender is alive, so waiting cannot fail.
        let _ = changes.wait_for(|counts| counts.here > 0 || counts.last != Last::NoClient).await;
    }

    /// Waits until no shell of these processes is attached.
    pub async fn wait_without(&self, processes: &[u32]) {
        let mut changes = self.0.subscribe();
        let is_without = |counts: &Counts| !counts.shells.iter().any(|shell| processes.contains(shell));
        // The sender is alive, so waiting cannot fail.
        let _ = changes.wait_for(is_without).await;
    }

    /// Waits until no client has been connected for the time of `linger`, and none is expected.
    pub async fn wait_deserted(&self, linger: impl Fn(Last) -> Duration) {
        let mut changes = self.0.subscribe();
        loop {
            let (needed, last, check) = {
                let counts = changes.borrow_and_update();
                (counts.is_needed(), counts.last, counts.next_check())
            };
            if needed {
                // The sender is alive, so another change is possible.
                let _ = changes.changed().await;
                continue;
            }
            let end = check.unwrap_or_else(|| Instant::now() + linger(last));
            tokio::select! {
                () = tokio::time::sleep_until(end) => if check.is_none() { return },
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
    /// Removes the client, and announces a shell.
    pub fn announce(mut self, expected: ExpectedShell) {
        self.announce_other(expected);
    }

    /// Announces a shell. The later departure of this client has no effect ([`Leaves::Silent`]).
    pub fn announce_other(&mut self, expected: ExpectedShell) {
        self.leaves = Leaves::Silent;
        self.presence.0.send_modify(|counts| {
            counts.announce(expected);
            if counts.last == Last::NoClient {
                counts.last = Last::Announced;
            }
        });
    }

    /// Removes the client. Counts as the last client if no other is connected, regardless of its announcements.
    pub fn leave(mut self) {
        self.leaves = Leaves::Gone;
    }

    /// Marks the client as a shell, with its process id if known.
    pub fn mark_shell(&mut self, process: Option<u32>) {
        self.leaves = Leaves::Gone;
        self.shell = process;
        self.presence.0.send_modify(|counts| {
            counts.shells.extend(process);
            counts.arrived(process);
        });
    }
}

impl Drop for PresenceGuard {
    fn drop(&mut self) {
        self.presence.0.send_modify(|counts| {
            counts.here -= 1;
            if let Some(at) = counts.watchers.iter().position(|one| Some(*one) == self.process) {
                counts.watchers.swap_remove(at);
            }
            if let Some(at) = counts.shells.iter().position(|one| Some(*one) == self.shell) {
                counts.shells.swap_remove(at);
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
            Last::NoClient => SHORT,
        }
    }

    fn me() -> u32 {
        std::process::id()
    }

    #[tokio::test]
    async fn the_wait_ends_with_the_last_client() {
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
        // Expires soon.
        presence.0.send_modify(|counts| counts.announced[0].until = Instant::now() + SHORT);
        presence.wait_deserted(linger).await;
        assert_eq!(presence.deserted(), Some(Last::Announced));
    }

    #[tokio::test]
    async fn a_silent_connection_is_not_the_announced_shell() {
        let presence = Presence::new();
        presence.arrive().announce(ExpectedShell::AskedBy(me()));
        drop(presence.arrive_silent());
        assert_eq!(presence.deserted(), None);
        let mut shell = presence.arrive_silent();
        shell.mark_shell(None);
        drop(shell);
        assert_eq!(presence.deserted(), Some(Last::Gone));
    }

    #[tokio::test]
    async fn a_detaching_shell_keeps_another_launchers_announcement() {
        let presence = Presence::new();
        presence.arrive().announce(ExpectedShell::Launched(me()));
        let mut another = presence.arrive_silent();
        another.mark_shell(Some(OTHER));
        drop(another);
        assert_eq!(presence.deserted(), None);
        presence.cancel_announcement(OTHER);
        assert_eq!(presence.deserted(), None);
        presence.cancel_announcement(me());
        assert_eq!(presence.deserted(), Some(Last::Gone));
    }

    #[tokio::test]
    async fn a_console_launcher_is_not_the_requested_shell() {
        let presence = Presence::new();
        presence.arrive().announce(ExpectedShell::AskedBy(me()));
        let launcher = presence.arrive_watching(Some(OTHER));
        let mut console = presence.arrive_silent();
        console.mark_shell(Some(OTHER));
        drop((console, launcher));
        assert_eq!(presence.deserted(), None);
        let mut another = presence.arrive_silent();
        another.mark_shell(Some(OTHER));
        drop(another);
        assert_eq!(presence.deserted(), Some(Last::Gone));
    }

    #[tokio::test]
    async fn a_console_launcher_is_expected_after_session_loss() {
        let presence = Presence::new();
        let launcher = presence.arrive_watching(Some(OTHER));
        presence.arrive().announce(ExpectedShell::Again);
        let mut console = presence.arrive_silent();
        console.mark_shell(Some(OTHER));
        drop((console, launcher));
        assert_eq!(presence.deserted(), Some(Last::Gone));
    }

    #[tokio::test]
    async fn shells_are_expected_while_a_launcher_remains() {
        let presence = Presence::new();
        let (launcher, shell) = (presence.arrive_watching(None), presence.arrive());
        presence.expect();
        drop(shell);
        assert_eq!(presence.deserted(), None);
        drop(launcher);
        assert_eq!(presence.deserted(), Some(Last::Gone));
        // Without a launcher they are expected as announced shells are.
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
        // A launcher whose shell was announced releases it.
        presence.expect();
        presence.release();
        assert_eq!(presence.deserted(), Some(Last::Gone));
    }

    #[tokio::test]
    async fn a_shell_announced_twice_counts_once() {
        let presence = Presence::new();
        presence.arrive().announce(ExpectedShell::Launched(me()));
        presence.arrive().announce(ExpectedShell::AskedBy(me()));
        let mut shell = presence.arrive_silent();
        shell.mark_shell(Some(me()));
        drop(shell);
        assert_eq!(presence.deserted(), Some(Last::Gone));
    }

    #[tokio::test]
    async fn an_exited_shell_is_not_expected() {
        let presence = Presence::new();
        presence.arrive().announce(ExpectedShell::Launched(OTHER));
        assert_eq!(presence.deserted(), Some(Last::Announced));
    }
}
