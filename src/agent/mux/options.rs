//! The profile's options for sharing a session.

use std::time::Duration;

#[derive(Clone, Debug)]
pub struct Options {
    /// Number of pipelines that the endpoint runs at once: the number requested in INIT_RUNSPACEPOOL.
    pub max_runspaces: usize,
    /// Interval for keeping an idle session with attached shells alive; `None`: never.
    pub keep_alive: Option<Duration>,
    /// Time limit for opening the pool on the endpoint.
    pub open: Duration,
    /// Result of `prompt` if the endpoint does not have this command, as on a restricted endpoint (JEA).
    /// `None`: the endpoint's error is forwarded, and a shell that has entered the session shows `PS>`.
    pub prompt: Option<String>,
    /// Idle time of all shells before lyncsh's own pipelines start.
    pub quiet: Duration,
}

/// Default of [`Options::quiet`].
pub const QUIET_DELAY: Duration = Duration::from_secs(2);

impl Default for Options {
    fn default() -> Self {
        Self {
            max_runspaces: 1,
            keep_alive: Some(Duration::from_mins(4)),
            open: Duration::from_mins(1),
            prompt: None,
            quiet: QUIET_DELAY,
        }
    }
}
