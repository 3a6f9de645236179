//! The agent's local sockets: Unix domain sockets with mode 0600, or named pipes whose ACL names only the
//! owner. Both sides check that the peer is the same user.

use std::io;

#[cfg(unix)]
mod unix;
#[cfg(unix)]
pub use unix::{Listener, Local, connect};
#[cfg(windows)]
mod windows;
#[cfg(windows)]
pub use windows::{Listener, Local, connect};

fn foreign() -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, "the socket belongs to another user")
}
