//! Time limits.

use std::time::Duration;

/// Time limits of the steps, from `[timeouts]` in the profile.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// TCP and TLS.
    pub connect: Duration,
    /// The whole discovery.
    pub discovery: Duration,
    /// Each request to a token service, with its whole answer.
    pub token: Duration,
    /// From Create until the runspace pool is open.
    pub open: Duration,
    /// Command, Send, Signal.
    pub operation: Duration,
    /// Delete, without its retries.
    pub close: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(15),
            discovery: Duration::from_secs(30),
            token: Duration::from_secs(30),
            open: Duration::from_mins(1),
            operation: Duration::from_mins(1),
            close: Duration::from_secs(5),
        }
    }
}
