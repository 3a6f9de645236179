//! A PSRP client on any [`Connection`]: opens the pool and runs pipelines in parallel. Used by the shells,
//! and by the agent to list the commands.
//!
//! A pipeline's output is queued for its reader. At [`PAUSE_AT`](super::backpressure::PAUSE_AT) bytes the
//! connection is asked to pause the pipeline. If it cannot pause a single pipeline, reading stops at
//! [`STOP_READING_AT`](super::backpressure::STOP_READING_AT) bytes, unless another pipeline would be blocked;
//! beyond [`ABORT_AT`](super::backpressure::ABORT_AT) the slow pipeline is stopped and ends with an error.

mod driver;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
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

/// Maximum number of input objects that the peer has not acknowledged. Objects that were queued before an
/// acknowledgement are sent together after it.
const INPUT_WINDOW: usize = 64;

/// An open runspace pool: a handle to the [`driver`]'s task. Clones share it; dropping the last one,
/// including its [`Running`] pipelines, closes it.
#[derive(Clone)]
pub struct Session {
    commands: mpsc::UnboundedSender<DriverCommand>,
}

/// A running pipeline. Dropping it before its end stops it.
pub struct Running {
    pub id: Uuid,
    commands: mpsc::UnboundedSender<DriverCommand>,
    output: mpsc::UnboundedReceiver<Vec<QueuedEvent>>,
    /// Events that were received together and not read yet.
    received: VecDeque<QueuedEvent>,
    /// Bytes in `output` and `received`.
    waiting: Arc<AtomicUsize>,
    ended: bool,
}

/// Sender of a pipeline's input.
pub struct InputSender {
    id: Uuid,
    commands: mpsc::UnboundedSender<DriverCommand>,
}

impl Session {
    /// Opens a pool on `connection`. The second value receives the pool's own events: host calls, state
    /// changes, user events. If it is not read, the latest events are dropped. Its end means that the session
    /// is gone.
    pub async fn open(
        connection: Connection,
        host: HostInfo,
    ) -> Result<(Self, mpsc::Receiver<ClientEvent>), Error> {
        Self::open_new(connection, ClientPool::new(Uuid::new_v4(), host, (1, 1))).await
    }

    /// Opens a pool on a connection to an agent, which may report the pool's state without a delay. The second value is
    /// as for [`Session::open`].
    pub async fn attach(
        connection: Connection,
        host: HostInfo,
    ) -> Result<(Self, mpsc::Receiver<ClientEvent>), Error> {
        let pool = ClientPool::new(Uuid::new_v4(), host, (1, 1)).accepting_early_state();
        Self::open_new(connection, pool).await
    }

    async fn open_new(
        connection: Connection,
        mut pool: ClientPool,
    ) -> Result<(Self, mpsc::Receiver<ClientEvent>), Error> {
        pool.open();
        Self::open_pool(connection, pool).await
    }

    /// Opens a pool whose opening messages are queued or were already sent while connecting. The second value is as for
    /// [`Session::open`].
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
        let driver::Started { id, output, waiting } = started.await.map_err(|_| Error::Closed)??;
        Ok(Running {
            id,
            commands: self.commands.clone(),
            output,
            received: VecDeque::new(),
            waiting,
            ended: false,
        })
    }

    pub async fn respond_pool(&self, response: &HostResponse) -> Result<(), Error> {
        self.commands.send(DriverCommand::Respond(None, response.clone())).map_err(|_| Error::Closed)
    }

    /// Closes the pool and waits for the peer's confirmation.
    pub async fn close(&self) -> Result<(), Error> {
        let (reply, closed) = oneshot::channel();
        self.commands.send(DriverCommand::Close(reply)).map_err(|_| Error::Closed)?;
        closed.await.map_err(|_| Error::Closed)?
    }
}

impl Running {
    /// Returns the next event of the pipeline; `None` after its final state or final error. Safe to cancel.
    pub async fn next(&mut self) -> Option<Result<PipelineEvent, Error>> {
        if self.received.is_empty() {
            self.received.extend(self.output.recv().await.into_iter().flatten());
        }
        let Some(QueuedEvent { size, event }) = self.received.pop_front() else {
            self.ended = true;
            return None;
        };
        let before = self.waiting.fetch_sub(size, Ordering::Relaxed);
        if has_caught_up(before, before - size) {
            let _ = self.commands.send(DriverCommand::Drained(self.id));
        }
        Some(event)
    }

    /// Returns whether [`Running::next`] has an event already.
    pub fn has_event(&self) -> bool {
        !self.received.is_empty() || !self.output.is_empty()
    }

    /// Returns a sender for the input of the pipeline, which is used while its events are read.
    pub fn input_sender(&self) -> InputSender {
        InputSender { id: self.id, commands: self.commands.clone() }
    }

    /// Sends one input object as [`InputSender::send`] does.
    pub async fn input(&self, value: &Value) -> Result<(), Error> {
        self.input_sender().send(value.clone()).await
    }

    pub async fn end_input(&self) -> Result<(), Error> {
        self.input_sender().end().await
    }

    pub async fn respond(&self, response: &HostResponse) -> Result<(), Error> {
        self.command(DriverCommand::Respond(Some(self.id), response.clone()))
    }

    /// Requests a stop; [`Running::next`] continues until the final state.
    pub async fn stop(&self) -> Result<(), Error> {
        self.command(DriverCommand::Stop(self.id))
    }

    fn command(&self, command: DriverCommand) -> Result<(), Error> {
        self.commands.send(command).map_err(|_| Error::Closed)
    }
}

impl InputSender {
    /// Sends one input object, and waits until the peer has it in order or the pipeline has ended;
    /// [`Running::next`] returns the result.
    pub async fn send(&self, value: Value) -> Result<(), Error> {
        arrival(self.queue(Some(value))?).await;
        Ok(())
    }

    /// Sends input objects in order, at most [`INPUT_WINDOW`] ahead of the peer, and waits as [`InputSender::send`]
    /// does.
    pub async fn send_all(&self, values: impl IntoIterator<Item = Value>) -> Result<(), Error> {
        let mut sent = VecDeque::with_capacity(INPUT_WINDOW);
        for value in values {
            if sent.len() == INPUT_WINDOW
                && let Some(first) = sent.pop_front()
            {
                arrival(first).await;
            }
            sent.push_back(self.queue(Some(value))?);
        }
        for one in sent {
            arrival(one).await;
        }
        Ok(())
    }

    /// Ends the input.
    pub async fn end(&self) -> Result<(), Error> {
        arrival(self.queue(None)?).await;
        Ok(())
    }

    /// Queues one input object, or the end of input.
    fn queue(&self, value: Option<Value>) -> Result<oneshot::Receiver<()>, Error> {
        let (ordered, arrives) = oneshot::channel();
        let input = DriverCommand::Input(self.id, value, ordered);
        self.commands.send(input).map_err(|_| Error::Closed)?;
        Ok(arrives)
    }
}

/// Waits until the peer has acknowledged an input object.
async fn arrival(arrives: oneshot::Receiver<()>) {
    // Dropped without an answer if the pipeline ended first.
    let _ = arrives.await;
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended {
            let _ = self.commands.send(DriverCommand::Dropped(self.id));
        }
    }
}
