//! Exit codes of all commands (documented in docs/console.md).

use std::process::ExitCode;

/// Exit code of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Success,
    /// A command wrote an error.
    Failed,
    /// The command line, a profile or a script is invalid.
    Usage,
    NotConnected,
    /// The session was lost during a command.
    Lost,
    Interrupted,
    /// The reader of the output ended.
    BrokenPipe,
    /// `exit N`, or the exit code of a shutdown signal.
    Code(u8),
}

/// lyncsh's exit codes and their meanings.
pub const TABLE: [(Exit, &str); 10] = [
    (Exit::Success, "success"),
    (Exit::Failed, "a command wrote an error (in any line, not only the last), or `exit` after one"),
    (Exit::Usage, "wrong usage, a mistake in a profile, or a refused script: nothing was run"),
    (Exit::NotConnected, "could not connect, or the session was lost before the first command ran"),
    (Exit::Lost, "the session was lost while a script ran: the last command may have run"),
    (Exit::Code(129), "the terminal was closed (SIGHUP)"),
    (Exit::Interrupted, "interrupted (Ctrl-C)"),
    (Exit::Code(131), "quit (SIGQUIT; on Windows, Ctrl-Break)"),
    (Exit::BrokenPipe, "the program that read the output has ended"),
    (Exit::Code(143), "terminated (SIGTERM; on Windows, a shutdown)"),
];

impl Exit {
    pub const fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotConnected => 3,
            Self::Lost => 4,
            // As in shells: 128 plus the signal's number.
            Self::Interrupted => 130,
            Self::BrokenPipe => 141,
            Self::Code(code) => code,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
