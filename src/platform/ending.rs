//! Signals that end the process.

/// A signal that asks the process to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Ctrl-C, SIGINT.
    Interrupt,
    /// SIGTERM; on Windows, the system shuts down.
    Terminate,
    /// SIGHUP; on Windows, the console was closed or the user logs off.
    Hangup,
    /// SIGQUIT; on Windows, Ctrl-Break.
    Quit,
}

impl Ending {
    /// Returns the exit code that shells use for a program that was ended by this signal.
    pub fn exit_code(self) -> u8 {
        128 + match self {
            Self::Hangup => 1,
            Self::Interrupt => 2,
            Self::Quit => 3,
            Self::Terminate => 15,
        }
    }
}
