//! What differs from one operating system to the next: users, private folders and files, local
//! sockets, processes that live on their own, and how a process is asked to end.
//!
//! Both systems offer the same functions; the only `unsafe` of the crate is in here.

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

/// FNV-1a: names need no secrecy, only to be the same every time.
pub fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// A signal that asks the process to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Ctrl-C, SIGINT.
    Interrupt,
    /// SIGTERM; on Windows the system shuts down.
    Terminate,
    /// SIGHUP; on Windows the console was closed or the user logs off.
    Hangup,
    /// SIGQUIT; on Windows Ctrl-Break.
    Quit,
}

impl Ending {
    /// What a shell says of a program that ended by this signal.
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
    /// The next one but Ctrl-C, which belongs to whoever reads the terminal.
    pub async fn next_but_interrupt(&mut self) -> Ending {
        loop {
            match self.next().await {
                Ending::Interrupt => {}
                ending => return ending,
            }
        }
    }
}

/// Options for a file that only its owner may read.
pub fn private_file() -> std::fs::OpenOptions {
    let mut options = std::fs::OpenOptions::new();
    options.read(true).write(true);
    // On Windows it has its private folder's access list.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}
