//! The agent's local sockets: Unix domain sockets of mode 0600, named pipes whose ACL names only the
//! owner. Nobody but the same user is let in.

use std::io;
use std::path::{Path, PathBuf};

use interprocess::local_socket::tokio::{Listener as Incoming, Stream};
use interprocess::local_socket::traits::StreamCommon as _;
use interprocess::local_socket::traits::tokio::{Listener as _, Stream as _};
use interprocess::local_socket::{GenericFilePath, ListenerOptions, Name, ToFsName as _};

use super::mux::ClientInfo;
use crate::platform;

pub use interprocess::local_socket::tokio::Stream as Local;

/// A socket that listens; its file goes with it.
pub struct Listener {
    incoming: Incoming,
    path: PathBuf,
}

impl Listener {
    /// Listens. A file that is left from before is replaced: the caller holds the agent's lock.
    pub fn bind(path: &Path) -> io::Result<Self> {
        #[cfg(unix)]
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // The file is removed in [`Drop`], by its path.
        let options = ListenerOptions::new().name(name(path)?).reclaim_name(false);
        let incoming = private(options)?.create_tokio()?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        }
        Ok(Self { incoming, path: path.to_owned() })
    }

    /// The next client of the same user. Others are turned away.
    pub async fn accept(&self) -> io::Result<(Local, ClientInfo)> {
        loop {
            let stream = self.incoming.accept().await?;
            match check(&stream) {
                Ok(info) => return Ok((stream, info)),
                Err(error) => tracing::warn!("a connection was turned away: {error}"),
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        #[cfg(unix)]
        let _ = std::fs::remove_file(&self.path);
        #[cfg(windows)]
        let _ = &self.path;
    }
}

/// Connects to an agent's socket.
pub async fn connect(path: &Path) -> io::Result<Local> {
    let stream = Stream::connect(name(path)?).await?;
    // Whoever answers is about to be told things.
    check(&stream)?;
    Ok(stream)
}

fn name(path: &Path) -> io::Result<Name<'_>> {
    path.to_fs_name::<GenericFilePath>()
}

#[cfg(unix)]
fn private(options: ListenerOptions<'_>) -> io::Result<ListenerOptions<'_>> {
    Ok(options)
}

#[cfg(windows)]
fn private(options: ListenerOptions<'_>) -> io::Result<ListenerOptions<'_>> {
    use interprocess::os::windows::local_socket::ListenerOptionsExt as _;
    use interprocess::os::windows::security_descriptor::SecurityDescriptor;
    // Protected, and everything allowed to the owner: nobody else is named.
    let acl = widestring::u16cstr!("D:P(A;;GA;;;OW)");
    Ok(options.security_descriptor(SecurityDescriptor::deserialize(acl)?))
}

/// Whether the other side is the same user, and who it is.
fn check(stream: &Stream) -> io::Result<ClientInfo> {
    let peer = stream.peer_creds()?;
    #[cfg(unix)]
    if peer.euid() != Some(platform::user()) {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it belongs to another user"));
    }
    let process_id = peer.pid().and_then(|id| u32::try_from(id).ok());
    Ok(ClientInfo { program: process_id.and_then(platform::program_name), process_id })
}
