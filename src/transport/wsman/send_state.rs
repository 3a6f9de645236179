//! State of a pipeline's first request: unsent, sent or cancelled.

use std::sync::atomic::{AtomicU8, Ordering};

const UNSENT: u8 = 0;
const SENT: u8 = 1;
const CANCELLED: u8 = 2;

/// The state of a pipeline's Command, shared by the task that sends it and by the connection's task.
#[derive(Debug, Default)]
pub(super) struct SendState(AtomicU8);

impl SendState {
    /// Marks the Command as sent. Returns `false` if it was cancelled: it must not be sent.
    pub fn mark_sent(&self) -> bool {
        self.0.compare_exchange(UNSENT, SENT, Ordering::AcqRel, Ordering::Acquire) != Err(CANCELLED)
    }

    /// Records that there was no connection: the Command was not sent.
    pub fn mark_unsent(&self) {
        let _ = self.0.compare_exchange(SENT, UNSENT, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Prevents the Command from being sent. Returns `false` if it may have been sent.
    pub fn cancel(&self) -> bool {
        self.0.compare_exchange(UNSENT, CANCELLED, Ordering::AcqRel, Ordering::Acquire) != Err(SENT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_sent_or_cancelled() {
        let send_state = SendState::default();
        assert!(send_state.mark_sent() && !send_state.cancel());
        send_state.mark_unsent();
        assert!(send_state.cancel() && send_state.cancel() && !send_state.mark_sent());
    }
}
