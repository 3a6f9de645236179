//! A PSRP client on any [`Connection`]: opens the pool, runs pipelines side by side. The console,
//! `exec` and tests are its callers.
//!
//! What a pipeline says waits for its reader. When [`HOLD`](super::backpressure::HOLD) bytes wait, the connection is asked to
//! fetch no more of that pipeline. Where it can't hold back one pipeline alone and [`FULL`](super::backpressure::FULL) bytes
//! wait, nothing more is read from the connection, unless another pipeline would starve; then the
//! slow one may fall behind by [`LOST`](super::backpressure::LOST) bytes, and past that it is stopped and ends with an error.

mod driver;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::backpressure::has_caught_up;
use super::connection::Connection;
use super::error::Error;
use crate::psrp::client::{ClientEvent, ClientPool, PipelineEvent};
use crate::psrp::clixml::Value;
use crate::psrp::host::{HostInfo, HostResponse};
use crate::psrp::pipeline::{MetadataQuery, Pipeline};
use driver::{DriverCommand, QueuedEvent};

/// A runspace pool that is open. Clones share it; the last one dropped, its [`Running`] included,
/// closes it.
#[derive(Clone)]
pub struct Session {
    commands: mpsc::UnboundedSender<DriverCommand>,
}

/// A pipeline that runs. Dropped before its end, it is stopped.
pub struct Running {
    pub id: Uuid,
    commands: mpsc::UnboundedSender<DriverCommand>,
    said: mpsc::UnboundedReceiver<QueuedEvent>,
    /// Bytes in `said`.
    waiting: Arc<AtomicUsize>,
    ended: bool,
}

impl Session {
    /// Opens a pool on `connection`. What is the pool's own, and not a pipeline's, comes from the
    /// second value: host calls of the pool, state changes, user events. Who does not take them loses
    /// the latest. Its end says that the session is gone.
    pub async fn open(
        connection: Connection,
        host: HostInfo,
    ) -> Result<(Self, mpsc::Receiver<ClientEvent>), Error> {
        let mut pool = ClientPool::new(Uuid::new_v4(), host, (1, 1));
        pool.open();
        Self::open_pool(connection, pool).await
    }

    /// As [`Session::open`], with a pool whose opening messages are queued, or were sent already on
    /// the way to `connection`.
    pub async fn open_pool(
        connection: Connection,
        pool: ClientPool,
    ) -> Result<(Self, mpsc::Receiver<ClientEvent>), Error> {
        let (commands, taken) = mpsc::unbounded_channel();
        let events = driver::open(connection, pool, taken).await?;
        Ok((Self { commands }, events))
    }

    pub async fn invoke(&self, pipeline: &Pipeline) -> Result<Running, Error> {
        let pipeline = Box::new(pipeline.clone());
        self.start(|reply| DriverCommand::Invoke(pipeline, reply)).await
    }

    pub async fn command_metadata(&self, query: &MetadataQuery) -> Result<Running, Error> {
        let query = query.clone();
        self.start(|reply| DriverCommand::Metadata(query, reply)).await
    }

    async fn start(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<driver::Started, Error>>) -> DriverCommand,
    ) -> Result<Running, Error> {
        let (reply, started) = oneshot::channel();
        self.commands.send(command(reply)).map_err(|_| Error::Closed)?;
        let driver::Started { id, said, waiting } = started.await.map_err(|_| Error::Closed)??;
        Ok(Running { id, commands: self.commands.clone(), said, waiting, ended: false })
    }

    pub async fn respond_pool(&self, response: &HostResponse) -> Result<(), Error> {
        self.commands.send(DriverCommand::Respond(None, response.clone())).map_err(|_| Error::Closed)
    }

    /// Closes the pool and waits until the other side confirmed.
    pub async fn close(&self) -> Result<(), Error> {
        let (reply, closed) = oneshot::channel();
        self.commands.send(DriverCommand::Close(reply)).map_err(|_| Error::Closed)?;
        closed.await.map_err(|_| Error::Closed)?
    }
}

impl Running {
    /// The next thing the pipeline says; `None` after its final state, or after the error that ended
    /// it. Safe to cancel.
    pub async fn next(&mut self) -> Option<Result<PipelineEvent, Error>> {
        let Some(QueuedEvent { size, event }) = self.said.recv().await else {
            self.ended = true;
            return None;
        };
        let before = self.waiting.fetch_sub(size, Ordering::Relaxed);
        if has_caught_up(before, before - size) {
            let _ = self.commands.send(DriverCommand::Drained(self.id));
        }
        Some(event)
    }

    /// Sends one object of input, and waits until the other side has it in order, or until the
    /// pipeline has ended: how is what [`Running::next`] says.
    pub async fn input(&self, value: &Value) -> Result<(), Error> {
        self.send_input(Some(value.clone())).await
    }

    pub async fn end_input(&self) -> Result<(), Error> {
        self.send_input(None).await
    }

    async fn send_input(&self, value: Option<Value>) -> Result<(), Error> {
        let (ordered, done) = oneshot::channel();
        self.command(DriverCommand::Input(self.id, value, ordered))?;
        // Dropped unanswered where the pipeline ended first.
        let _ = done.await;
        Ok(())
    }

    pub async fn respond(&self, response: &HostResponse) -> Result<(), Error> {
        self.command(DriverCommand::Respond(Some(self.id), response.clone()))
    }

    /// Asks the server to stop it; [`Running::next`] goes on until the state says so.
    pub async fn stop(&self) -> Result<(), Error> {
        self.command(DriverCommand::Stop(self.id))
    }

    fn command(&self, command: DriverCommand) -> Result<(), Error> {
        self.commands.send(command).map_err(|_| Error::Closed)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended {
            let _ = self.commands.send(DriverCommand::Dropped(self.id));
        }
    }
}
