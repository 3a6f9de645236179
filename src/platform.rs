//! Functions that differ between operating systems: users, private folders and files, local sockets, detached
//! processes, and shutdown signals.
//!
//! Each system's module has the same functions, except for the services of one system (GSSAPI, user ids, SSPI, named
//! pipes). The only `unsafe` code of the crate is in this module.

#[cfg(unix)]
pub mod gssapi;
pub mod job;
#[cfg(unix)]
mod unix;
#[cfg(unix)]
pub use unix::*;
#[cfg(windows)]
mod windows;
#[cfg(windows)]
pub use windows::*;

/// Returns the FNV-1a hash of bytes: stable across systems and versions, but not secure.
pub fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// Owner and permissions of a file or folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// It belongs to this user, or on Windows to the administrators or the system.
    pub is_own: bool,
    /// The path is a symbolic link; the other fields are those of its target.
    pub is_link: bool,
    /// Other users can read or execute it; for a folder, list it or access its entries. Always false on Windows, where
    /// files inherit the access list of their folder.
    pub is_readable: bool,
    /// Other users can change it. Always false on Windows.
    pub is_writable: bool,
    /// The mode; `None` on Windows.
    pub mode: Option<u32>,
}

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

impl ShutdownSignals {
    /// Waits for the next signal except Ctrl-C, which the reader of the terminal handles.
    pub async fn next_but_interrupt(&mut self) -> Ending {
        loop {
            match self.next().await {
                Ending::Interrupt => {}
                ending => return ending,
            }
        }
    }
}

/// Returns options for opening a file for reading and writing. A new file is accessible to its owner only.
pub fn private_file() -> std::fs::OpenOptions {
    let mut options = std::fs::OpenOptions::new();
    options.read(true).write(true);
    // On Windows, the file inherits the access list of its private folder.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}
