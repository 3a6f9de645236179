//! The tenant behind a byte stream: out-of-process framing, as the `powershell` subsystem of an SSH
//! server speaks it.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use uuid::Uuid;

use super::engine::World;
use super::pool::Pool;
use crate::transport::Error;
use crate::transport::stream::{self, Incoming, Sender};

/// Bytes that wait for a client to read before its pipelines wait.
const QUEUED: usize = 1024 * 1024;

/// Serves one client, signed in as `user`, until it is gone. Everything it ran is stopped then.
///
/// # Errors
/// What the client did wrong.
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
    /// Pipelines whose Signal is acknowledged when their end has been said.
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

    /// Queues what waits to be said, as far as the client reads. Says whether more waits.
    fn send(&mut self) -> bool {
        while self.sender.queued() < QUEUED {
            if let Some(message) = self.pool.next_of_any() {
                self.sender.push(message);
                continue;
            }
            let Self { pool, sender, stopping } = self;
            stopping.retain(|id| {
                let ends = pool.is_running(*id);
                if !ends {
                    sender.signal_ack(*id);
                }
                ends
            });
            return false;
        }
        true
    }
}
