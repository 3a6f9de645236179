//! Results of checks, and their share of the time.

use std::time::Duration;

use miette::Diagnostic;
use serde::Serialize;
use tokio::time::Instant;

use crate::agent::control::Failure;
use crate::transport;

/// Reason for skipping a check because no time is left. The text follows "because".
pub const OVER: &str = "the checks before it took all the time";

/// Time limit of all checks together. The rest of the 15 s is for the start and the output.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(14);
/// Minimum remaining time for a check that needs an answer: with less, a missing answer means nothing.
const MIN_ANSWER_TIME: Duration = Duration::from_secs(1);
/// Minimum share of a check.
const MIN_SHARE: Duration = Duration::from_millis(50);

/// State of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Ok,
    /// It does not prevent a connection.
    Warning,
    /// It prevents a connection.
    Failed,
    /// It could not be checked.
    Skipped,
}

impl State {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// Result of one check, with its advice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub check: &'static str,
    pub state: State,
    pub found: String,
    pub advice: Option<String>,
}

impl Finding {
    pub fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, state: State::Ok, found: found.into(), advice: None }
    }

    pub fn warning(check: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { check, state: State::Warning, found: found.into(), advice: Some(advice.into()) }
    }

    pub fn failed(check: &'static str, found: impl Into<String>, advice: Option<String>) -> Self {
        Self { check, state: State::Failed, found: found.into(), advice }
    }

    /// Creates the finding of a skipped check. `reason` follows "because".
    pub fn skipped(check: &'static str, reason: &str) -> Self {
        Self { check, state: State::Skipped, found: format!("because {reason}"), advice: None }
    }

    /// Creates the finding of a failed check from an error and its help.
    pub fn error(check: &'static str, error: &dyn Diagnostic) -> Self {
        Self::failed(check, error.to_string(), error.help().map(|help| help.to_string()))
    }

    pub fn failure(check: &'static str, failure: Failure) -> Self {
        Self::failed(check, failure.text, failure.advice)
    }

    pub fn transport(check: &'static str, error: &transport::Error) -> Self {
        Self::failed(check, error.to_string(), error.advice())
    }

    /// Turns a failure into a warning, for a problem that does not prevent a connection.
    pub fn into_warning(self) -> Self {
        let state = if self.state == State::Failed { State::Warning } else { self.state };
        Self { state, ..self }
    }
}

/// Remaining time of the checks.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    end: Instant,
}

/// Error of a check that did not end within its time limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckTimeout(pub Duration);

impl CheckTimeout {
    /// Returns the end of the sentence "… did not answer".
    pub fn within(self) -> String {
        format!("within {}", humantime::format_duration(self.0))
    }
}

impl Budget {
    pub fn start() -> Self {
        Self::of(TOTAL_TIMEOUT)
    }

    /// Returns a budget of this time from now on.
    pub fn of(time: Duration) -> Self {
        Self { end: Instant::now() + time }
    }

    /// Returns whether the time that is left does not suffice for a check that needs an answer.
    pub fn is_over(self) -> bool {
        self.end.saturating_duration_since(Instant::now()) < MIN_ANSWER_TIME
    }

    /// Returns the share of a check: at most `share`, and at most the time that is left.
    pub fn share(self, share: Duration) -> Duration {
        // Whole milliseconds, because messages show the share.
        let left =
            Duration::from_millis(self.end.saturating_duration_since(Instant::now()).as_millis() as u64);
        share.min(left).max(MIN_SHARE)
    }

    pub async fn limited<T>(
        self,
        share: Duration,
        check: impl Future<Output = T>,
    ) -> Result<T, CheckTimeout> {
        let share = self.share(share);
        tokio::time::timeout(share, check).await.map_err(|_| CheckTimeout(share))
    }

    /// Runs calls that may block, such as those of a file system that does not answer.
    pub async fn blocking<T: Send + 'static>(
        self,
        share: Duration,
        calls: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, CheckTimeout> {
        let late = CheckTimeout(self.share(share));
        match self.limited(share, tokio::task::spawn_blocking(calls)).await {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(_)) | Err(_) => Err(late),
        }
    }
}
