//! How the program ends: one table for every command (docs/console.md has the same).

use std::process::ExitCode;

/// What an exit code says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Success,
    /// A command wrote an error, in any line.
    Failed,
    /// lyncsh was called wrongly, a profile has a mistake, or a script has something that the console
    /// cannot do.
    Usage,
    NotConnected,
    /// The session was lost while something ran.
    Lost,
    Interrupted,
    /// The reader of the output is gone.
    Unread,
    /// `exit N`
    Given(u8),
}

/// Every code that is lyncsh's own, and its meaning.
pub const TABLE: [(Exit, &str); 7] = [
    (Exit::Success, "success"),
    (Exit::Failed, "a command wrote an error (in any line, not only the last), or `exit` after one"),
    (Exit::Usage, "wrong usage, a mistake in a profile, or a script that was refused: nothing was run"),
    (Exit::NotConnected, "could not connect"),
    (Exit::Lost, "the session was lost while a script ran: the last command may have run"),
    (Exit::Interrupted, "interrupted (Ctrl-C)"),
    (Exit::Unread, "the program that read the output has ended"),
];

impl Exit {
    pub const fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotConnected => 3,
            Self::Lost => 4,
            // 128 and the signal's number, as shells have it.
            Self::Interrupted => 130,
            Self::Unread => 141,
            Self::Given(code) => code,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
