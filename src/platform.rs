//! Functions that differ between operating systems: users, private folders and files, local sockets, detached
//! processes, and shutdown signals.
//!
//! Each system's module has the same functions, except for the services of one system (GSSAPI, user ids, SSPI, named
//! pipes). The only `unsafe` code of the crate is in this module.

mod access;
mod ending;
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

pub use access::Access;
pub use ending::Ending;

/// Returns the FNV-1a hash of bytes: stable across systems and versions, but not secure.
pub fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
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
