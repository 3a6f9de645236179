//! The agent's local sockets: Unix domain sockets with mode 0600, or named pipes whose ACL names only the
//! owner. The peer is always the same user: on Unix, both sides check this; on Windows, the ACL rejects other
//! clients, and the client checks the owner of the pipe.

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
