//! The agent's local sockets: Unix domain sockets of mode 0600, named pipes whose ACL names only the
//! owner. Nobody but the same user is let in, and nobody but the same user is spoken to.

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
    io::Error::new(io::ErrorKind::PermissionDenied, "it belongs to another user")
}
