//! Named pipes.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::future::select_all;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::windows::named_pipe::{ClientOptions, NamedPipeClient, NamedPipeServer};
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_util::either::Either;

use super::super::mux::ClientInfo;
use super::foreign;
use crate::platform;

/// Number of waiting pipe instances: the maximum number of clients that connect at the same moment.
const WAITING: usize = 4;
/// Maximum time for which the pipe of a dead agent may persist because a client still has it open.
const PREDECESSOR_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum wait for a pipe that is busy with other clients.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Interval between attempts.
const RETRY_INTERVAL: Duration = Duration::from_millis(20);
/// winerror.h.
const ERROR_PIPE_BUSY: i32 = 231;

/// A listening pipe.
pub struct Listener {
    waiting: Mutex<Vec<NamedPipeServer>>,
    path: PathBuf,
}

impl Listener {
    /// Listens. No other process can own a pipe of this name.
    pub async fn bind(path: &Path) -> io::Result<Self> {
        let start = Instant::now();
        let first = loop {
            match platform::create_pipe(path, true) {
                Err(error)
                    if error.kind() == io::ErrorKind::PermissionDenied
                        && start.elapsed() < PREDECESSOR_TIMEOUT =>
                {
                    tokio::time::sleep(RETRY_INTERVAL).await;
                }
                result => break result?,
            }
        };
        let mut waiting = vec![first];
        while waiting.len() < WAITING {
            waiting.push(platform::create_pipe(path, false)?);
        }
        Ok(Self { waiting: Mutex::new(waiting), path: path.to_owned() })
    }

    /// Accepts the next client; the pipe's ACL rejects other users. Safe to cancel.
    pub async fn accept(&self) -> io::Result<(Local, ClientInfo)> {
        let mut waiting = self.waiting.lock().await;
        let (result, index) = {
            let connecting = waiting.iter().map(|pipe| Box::pin(pipe.connect()));
            let (result, index, _) = select_all(connecting).await;
            (result, index)
        };
        let pipe = match platform::create_pipe(&self.path, false) {
            Ok(next) => std::mem::replace(&mut waiting[index], next),
            // Without a replacement instance no pipe would wait for the next client.
            Err(error) => {
                let _ = waiting[index].disconnect();
                return Err(error);
            }
        };
        result?;
        let process_id = platform::client_process(&pipe);
        let info = ClientInfo { program: process_id.and_then(platform::program_name), process_id };
        Ok((Local::new(Either::Left(pipe)), info))
    }
}

/// Connects to an agent's pipe.
pub async fn connect(path: &Path) -> io::Result<Local> {
    let start = Instant::now();
    loop {
        // The agent may identify this user, but not impersonate ([`ClientOptions`]' default).
        match ClientOptions::new().open(path) {
            Ok(pipe) if platform::is_of_this_user(&pipe)? => return Ok(Local::new(Either::Right(pipe))),
            Ok(_) => return Err(foreign()),
            Err(error) if error.raw_os_error() == Some(ERROR_PIPE_BUSY) && start.elapsed() < BUSY_TIMEOUT => {
                tokio::time::sleep(RETRY_INTERVAL).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// A connection to or from an agent. A pipe cannot be shut down in one direction: closing it ends both, and
/// the peer still reads what was written.
#[derive(Debug)]
pub struct Local {
    pipe: Option<Either<NamedPipeServer, NamedPipeClient>>,
    /// The task waiting to read.
    reader: Option<Waker>,
}

impl Local {
    fn new(pipe: Either<NamedPipeServer, NamedPipeClient>) -> Self {
        Self { pipe: Some(pipe), reader: None }
    }
}

impl AsyncRead for Local {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(pipe) = &mut self.pipe else { return Poll::Ready(Ok(())) };
        let result = Pin::new(pipe).poll_read(cx, buf);
        self.reader = result.is_pending().then(|| cx.waker().clone());
        result
    }
}

impl AsyncWrite for Local {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.pipe {
            Some(pipe) => Pin::new(pipe).poll_write(cx, buf),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.pipe = None;
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
        Poll::Ready(Ok(()))
    }
}
