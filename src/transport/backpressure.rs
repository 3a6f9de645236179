//! Limits for the unread output of a pipeline, or of a client's pipelines.
//!
//! At [`PAUSE_AT`] bytes the peer is asked to pause this output. A transport that cannot pause a single
//! pipeline continues to [`STOP_READING_AT`]; then reading stops unless another reader would be blocked. At
//! [`ABORT_AT`] the reader's pipelines are aborted.

/// Unread bytes at which output is paused.
pub const PAUSE_AT: usize = 1024 * 1024;
/// Unread bytes at which reading stops, unless another reader waits for output.
pub const STOP_READING_AT: usize = 4 * PAUSE_AT;
/// Unread bytes at which the reader's pipelines are aborted.
pub const ABORT_AT: usize = 64 * PAUSE_AT;
/// Unread bytes at which output is resumed.
pub const RESUME: usize = PAUSE_AT / 2;

/// Action required by the number of unread bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pressure {
    /// No action.
    Unchanged,
    /// Pause the output.
    Hold,
    /// Abort the reader's pipelines.
    Lost,
}

/// Backlog state of one reader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    is_held: bool,
}

impl Backlog {
    /// Updates the state after output has arrived.
    pub fn note(&mut self, waiting: usize) -> Pressure {
        if waiting >= ABORT_AT {
            Pressure::Lost
        } else if waiting >= PAUSE_AT && !self.is_held {
            self.is_held = true;
            Pressure::Hold
        } else {
            Pressure::Unchanged
        }
    }

    pub const fn is_held(self) -> bool {
        self.is_held
    }

    /// Resets the state after the reader has caught up. Returns whether the output was paused and must be
    /// resumed.
    pub const fn release(&mut self) -> bool {
        let was_held = self.is_held;
        self.is_held = false;
        was_held
    }
}

/// Returns whether a read that left `after` of `before` bytes has made the reader catch up.
pub const fn has_caught_up(before: usize, after: usize) -> bool {
    before >= RESUME && after < RESUME
}

/// Returns whether to read from the peer. `waiting`: the unread bytes of each reader. `others_wait`: a reader that is
/// not paused waits for output.
pub fn reads(waiting: impl IntoIterator<Item = usize>, others_wait: impl FnOnce() -> bool) -> bool {
    waiting.into_iter().all(|bytes| bytes < STOP_READING_AT) || others_wait()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_reader_is_paused_then_dropped() {
        let mut backlog = Backlog::default();
        assert_eq!(backlog.note(PAUSE_AT - 1), Pressure::Unchanged);
        assert_eq!(backlog.note(PAUSE_AT), Pressure::Hold);
        assert_eq!(backlog.note(STOP_READING_AT), Pressure::Unchanged);
        assert!(has_caught_up(PAUSE_AT, RESUME - 1) && !has_caught_up(RESUME - 1, 0));
        assert!(backlog.release() && !backlog.release());
        assert_eq!(backlog.note(PAUSE_AT), Pressure::Hold);
        assert_eq!(backlog.note(ABORT_AT), Pressure::Lost);
    }

    #[test]
    fn a_slow_reader_stops_reading_unless_others_wait() {
        assert!(reads([0, STOP_READING_AT - 1], || false));
        assert!(!reads([0, STOP_READING_AT], || false));
        assert!(reads([0, STOP_READING_AT], || true));
    }
}
