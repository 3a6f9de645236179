//! How far the reader of a pipeline, or of a client's pipelines, may fall behind its output.
//!
//! At [`HOLD`] bytes the other side is asked for no more of it. A transport that can't hold back one pipeline alone
//! goes on until [`FULL`]: then nothing more is read at all, unless another reader would have to wait for it. At
//! [`LOST`] the reader is given up.

/// Bytes that wait when no more is asked for.
pub const PAUSE_AT: usize = 1024 * 1024;
/// Bytes that wait when nothing more is read, if nobody else waits for anything.
pub const STOP_READING_AT: usize = 4 * PAUSE_AT;
/// Bytes that wait when a reader is given up.
pub const ABORT_AT: usize = 64 * PAUSE_AT;
/// Bytes that wait when more is asked for again.
pub const RESUME: usize = PAUSE_AT / 2;

/// What follows from the bytes that wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pressure {
    /// Nothing, or nothing new.
    Unchanged,
    /// The other side is asked for no more.
    Hold,
    /// The reader is given up.
    Lost,
}

/// Whether one reader is held back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    is_held: bool,
}

impl Backlog {
    /// Takes note of what waits after more has come.
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

    /// The reader has caught up. Returns whether it was held back, so that more has to be asked for.
    pub const fn release(&mut self) -> bool {
        let was_held = self.is_held;
        self.is_held = false;
        was_held
    }
}

/// Returns whether a read that left `after` bytes of `before` is the one by which a reader has caught up.
pub const fn has_caught_up(before: usize, after: usize) -> bool {
    before >= RESUME && after < RESUME
}

/// Returns whether more is read at all. `others_wait`: a reader that is not held back waits for output.
pub fn reads(waiting: impl IntoIterator<Item = usize>, others_wait: impl FnOnce() -> bool) -> bool {
    waiting.into_iter().all(|bytes| bytes < STOP_READING_AT) || others_wait()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_is_held_back_once_and_given_up_at_last() {
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
    fn one_slow_reader_stops_everything_only_where_nobody_else_waits() {
        assert!(reads([0, STOP_READING_AT - 1], || false));
        assert!(!reads([0, STOP_READING_AT], || false));
        assert!(reads([0, STOP_READING_AT], || true));
    }
}
