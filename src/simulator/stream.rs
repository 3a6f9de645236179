//! Out-of-process framing over a byte stream, as used by the `powershell` subsystem of an SSH server.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use uuid::Uuid;

use super::engine::World;
use super::pool::Pool;
use crate::transport::Error;
use crate::transport::stream::{self, Incoming, Sender};

/// Maximum number of unsent bytes before pipelines are paused.
const QUEUED: usize = 1024 * 1024;

/// Serves one client, signed in as `user`, until it disconnects; then stops its pipelines.
///
/// # Errors
/// The client violated the protocol.
pub async fn serve<S>(stream: S, world: Arc<World>, user: &str) -> Result<(), Error>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let stream::Server { mut incoming, sender } = stream::serve(stream);
    let pool = Pool::new(world, user.to_owned());
    let mut client = Client { pool: pool.clone(), sender, stopping: HashSet::new() };
    let result = loop {
        let mut changed = std::pin::pin!(pool.changed());
        changed.as_mut().enable();
        let full = client.send();
        tokio::select! {
            next = incoming.recv() => match next {
                Some(Incoming::End(None)) | None => break Ok(()),
                Some(Incoming::End(Some(error))) => break Err(error),
                Some(next) => if let Err(error) = client.take(next) { break Err(error) },
            },
            () = client.sender.room(QUEUED), if full => {}
            () = changed, if !full => {}
        }
    };
    pool.close();
    result
}

struct Client {
    pool: Pool,
    sender: Sender,
    /// Pipelines whose Signal is acknowledged after their final state.
    stopping: HashSet<Uuid>,
}

impl Client {
    fn take(&mut self, incoming: Incoming) -> Result<(), Error> {
        match incoming {
            Incoming::Message { message, ack, .. } => {
                let taken = self.pool.take(&message);
                drop(ack);
                return taken.map_err(|error| Error::Protocol(error.to_string()));
            }
            Incoming::Signal(id) => {
                self.pool.stop(id);
                self.stopping.insert(id);
            }
            Incoming::Close(id) if id.is_nil() => {
                self.pool.close();
                self.pool.closed();
                self.send();
                self.sender.close_ack(id);
            }
            Incoming::Close(id) => {
                self.pool.forget(id);
                self.sender.close_ack(id);
            }
            Incoming::Command(_) | Incoming::End(_) => {}
        }
        Ok(())
    }

    /// Queues messages until [`QUEUED`] bytes wait for the client. Returns whether this limit was reached.
    fn send(&mut self) -> bool {
        while self.sender.queued() < QUEUED {
            if let Some(message) = self.pool.next_of_any() {
                self.sender.push(message);
                continue;
            }
            let Self { pool, sender, stopping } = self;
            stopping.retain(|id| {
                let runs = pool.is_running(*id);
                if !runs {
                    sender.signal_ack(*id);
                }
                runs
            });
            return false;
        }
        true
    }
}
