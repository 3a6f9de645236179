//! How long anything may take.

use std::time::Duration;

/// How long each step may take; every one comes from the profile.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// TCP and TLS.
    pub connect: Duration,
    /// All of discovery.
    pub discovery: Duration,
    /// Each of the two questions that a token takes.
    pub token: Duration,
    /// Create until the pool is open.
    pub open: Duration,
    /// Command, Send, Signal.
    pub operation: Duration,
    /// Delete, its retry not included.
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
