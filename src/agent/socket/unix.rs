//! Unix domain sockets.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

use super::super::mux::ClientInfo;
use super::foreign;
use crate::platform;

/// A connection to or from an agent.
pub type Local = UnixStream;

/// A listening socket; dropping it removes its file.
pub struct Listener {
    incoming: UnixListener,
    path: PathBuf,
}

impl Listener {
    /// Listens. Replaces an existing file: the caller holds the agent's lock.
    pub async fn bind(path: &Path) -> io::Result<Self> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // Until the mode is set, the folder's permissions protect the socket.
        let incoming = UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        Ok(Self { incoming, path: path.to_owned() })
    }

    /// Accepts the next client of the same user; rejects others.
    pub async fn accept(&self) -> io::Result<(Local, ClientInfo)> {
        loop {
            let (stream, _) = self.incoming.accept().await?;
            match check(&stream) {
                Ok(info) => return Ok((stream, info)),
                Err(error) => tracing::warn!("rejected a connection: {error}"),
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Connects to an agent's socket.
pub async fn connect(path: &Path) -> io::Result<Local> {
    let stream = UnixStream::connect(path).await?;
    // Checked before anything is sent.
    check(&stream)?;
    Ok(stream)
}

/// Checks that the peer is the same user, and identifies it.
fn check(stream: &UnixStream) -> io::Result<ClientInfo> {
    let peer = stream.peer_cred()?;
    if peer.uid() != platform::user() {
        return Err(foreign());
    }
    let process_id = peer.pid().and_then(|id| u32::try_from(id).ok());
    Ok(ClientInfo { program: process_id.and_then(platform::program_name), process_id })
}
