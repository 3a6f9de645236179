//! What the profile says about sharing a session.

use std::time::Duration;

/// What the profile says about sharing.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many pipelines the endpoint runs at once: what INIT_RUNSPACEPOOL asked for.
    pub max_runspaces: usize,
    /// How often an attached, idle shell's session is kept alive by a cheap request; `None`: never.
    pub keep_alive: Option<Duration>,
    /// How long the endpoint may take to open the pool.
    pub open: Duration,
    /// What `prompt` gives where the endpoint has no such command, as a restricted one (JEA) hasn't; `None`:
    /// its own error. A shell that has entered the session would show `PS>` then.
    pub prompt: Option<String>,
    /// How long no shell has run anything before lyncsh's own questions are asked.
    pub quiet: Duration,
}

/// [`Options::quiet`], where nothing else is wanted.
pub const QUIET: Duration = Duration::from_secs(2);

impl Default for Options {
    fn default() -> Self {
        Self {
            max_runspaces: 1,
            keep_alive: Some(Duration::from_mins(4)),
            open: Duration::from_mins(1),
            prompt: None,
            quiet: QUIET,
        }
    }
}
