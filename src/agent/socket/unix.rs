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

/// A socket that listens; its file goes with it.
pub struct Listener {
    incoming: UnixListener,
    path: PathBuf,
}

impl Listener {
    /// Listens. A file that is left from before is replaced: the caller holds the agent's lock.
    pub async fn bind(path: &Path) -> io::Result<Self> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // Until it has its mode, its folder keeps others away.
        let incoming = UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        Ok(Self { incoming, path: path.to_owned() })
    }

    /// The next client of the same user. Others are turned away.
    pub async fn accept(&self) -> io::Result<(Local, ClientInfo)> {
        loop {
            let (stream, _) = self.incoming.accept().await?;
            match check(&stream) {
                Ok(info) => return Ok((stream, info)),
                Err(error) => tracing::warn!("a connection was turned away: {error}"),
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
    // Whoever answers is about to be told things.
    check(&stream)?;
    Ok(stream)
}

/// Whether the other side is the same user, and who it is.
fn check(stream: &UnixStream) -> io::Result<ClientInfo> {
    let peer = stream.peer_cred()?;
    if peer.uid() != platform::user() {
        return Err(foreign());
    }
    let process_id = peer.pid().and_then(|id| u32::try_from(id).ok());
    Ok(ClientInfo { program: process_id.and_then(platform::program_name), process_id })
}
