//! The task of a session: owns the connection and the pool's state machine.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use crate::psrp::client::{ClientEvent, ClientPool, PipelineEvent};
use crate::psrp::clixml::Value;
use crate::psrp::host::HostResponse;
use crate::psrp::message::{Message, MessageType};
use crate::psrp::pipeline::{MetadataQuery, Pipeline};
use crate::psrp::record::PoolState;
use crate::transport::backpressure::{self, ABORT_AT, Backlog, Pressure};
use crate::transport::connection::{self, Connection, ConnectionRequest};
use crate::transport::error::Error;

/// Maximum number of queued events of the pool; further ones are dropped.
const POOL_EVENTS: usize = 256;

/// Maximum number of events that are processed in one step and passed on together: a wake-up for each object
/// would take longer than processing the object.
const BATCH: usize = 64;

/// Request of a session's handles.
pub enum DriverCommand {
    Invoke(Box<Pipeline>, oneshot::Sender<Result<Started, Error>>),
    Metadata(MetadataQuery, oneshot::Sender<Result<Started, Error>>),
    /// One object, or the end of input.
    Input(Uuid, Option<Value>, oneshot::Sender<()>),
    Respond(Option<Uuid>, HostResponse),
    Stop(Uuid),
    /// The pipeline's reader was dropped.
    Dropped(Uuid),
    /// A slow reader has caught up.
    Drained(Uuid),
    Close(oneshot::Sender<Result<(), Error>>),
}

/// The reading end of a pipeline that was started.
pub struct Started {
    pub id: Uuid,
    pub output: mpsc::UnboundedReceiver<Vec<QueuedEvent>>,
    pub waiting: Arc<AtomicUsize>,
}

/// An event for a pipeline's reader, and its size in the queue.
pub struct QueuedEvent {
    pub size: usize,
    pub event: Result<PipelineEvent, Error>,
}

struct Entry {
    output: mpsc::UnboundedSender<Vec<QueuedEvent>>,
    /// Events of this step, which are not sent yet.
    ready: Vec<QueuedEvent>,
    waiting: Arc<AtomicUsize>,
    backlog: Backlog,
    /// The reader was dropped or is too slow: output is discarded until the end.
    ignored: bool,
    /// Senders of input waiting for its acknowledgement, oldest first.
    inputs: VecDeque<oneshot::Sender<()>>,
}

impl Entry {
    fn send_ready(&mut self) {
        if !self.ready.is_empty() {
            let _ = self.output.send(std::mem::take(&mut self.ready));
        }
    }
}

/// The last events of a pipeline are sent with its end.
impl Drop for Entry {
    fn drop(&mut self) {
        self.send_ready();
    }
}

/// The task of one session: it owns the pool's state machine, the connection and the senders of the
/// pipelines' events.
///
/// [`Session`](super::Session) and [`Running`](super::Running) send it commands; only its own task drives it,
/// one input at a time. The driver never waits for a reader: unread output is queued within the limits of
/// [`backpressure`]. Guarantees: the last item of a pipeline's reader is the final state or one error; after
/// the end of the session each pipeline and each later invocation gets its reason.
struct Driver {
    pool: ClientPool,
    connection: Connection,
    outbox: VecDeque<ConnectionRequest>,
    pipelines: HashMap<Uuid, Entry>,
    events: mpsc::Sender<ClientEvent>,
    /// Reason why the session has ended.
    ended: Option<Error>,
}

/// Input of one step of the task.
enum DriverInput {
    Writable(Option<mpsc::OwnedPermit<ConnectionRequest>>),
    /// The number of new events; none: the connection has ended.
    Events(usize),
    Command(Option<DriverCommand>),
}

/// Opens the pool and starts the task.
pub async fn open(
    connection: Connection,
    pool: ClientPool,
    commands: mpsc::UnboundedReceiver<DriverCommand>,
) -> Result<mpsc::Receiver<ClientEvent>, Error> {
    let (events, taken) = mpsc::channel(POOL_EVENTS);
    let mut driver =
        Driver { pool, connection, outbox: VecDeque::new(), pipelines: HashMap::new(), events, ended: None };
    driver.collect();
    while driver.pool.state() != PoolState::Opened {
        if let Some(error) = driver.ended.take() {
            return Err(error);
        }
        driver.step(None).await;
    }
    tokio::spawn(driver.run(commands));
    Ok(taken)
}

impl Driver {
    /// Runs until the last handle is dropped. Dropping the connection closes the pool.
    async fn run(mut self, mut commands: mpsc::UnboundedReceiver<DriverCommand>) {
        while self.step(Some(&mut commands)).await {}
    }

    /// Handles the next input. Returns `false` when the last handle is dropped.
    async fn step(&mut self, commands: Option<&mut mpsc::UnboundedReceiver<DriverCommand>>) -> bool {
        let command = async {
            match commands {
                Some(commands) => commands.recv().await,
                None => std::future::pending().await,
            }
        };
        let reads = self.reads();
        let mut events = Vec::new();
        let input = tokio::select! {
            permit = self.connection.requests.clone().reserve_owned(), if !self.outbox.is_empty() =>
                DriverInput::Writable(permit.ok()),
            count = self.connection.events.recv_many(&mut events, BATCH), if reads => {
                DriverInput::Events(count)
            }
            command = command => DriverInput::Command(command),
        };
        match input {
            DriverInput::Writable(Some(permit)) => {
                if let Some(request) = self.outbox.pop_front() {
                    permit.send(request);
                }
            }
            // The connection's last event contains the reason.
            DriverInput::Writable(None) => self.outbox.clear(),
            DriverInput::Events(1..) => events.into_iter().for_each(|event| self.event(event)),
            DriverInput::Events(0) => self.end(Error::Ended("the peer has disconnected".into()), &[]),
            DriverInput::Command(Some(command)) => self.command(command),
            DriverInput::Command(None) => return false,
        }
        self.pipelines.values_mut().for_each(Entry::send_ready);
        self.collect();
        true
    }

    /// Returns whether to read from the connection: not while a reader's backlog is too long, unless another
    /// pipeline would be blocked.
    fn reads(&self) -> bool {
        // The backlog of an ignored reader no longer grows.
        let entries = || self.pipelines.values().filter(|entry| !entry.ignored);
        self.ended.is_none()
            && backpressure::reads(entries().map(|entry| entry.waiting.load(Ordering::Relaxed)), || {
                entries().any(|entry| !entry.backlog.is_held())
            })
    }

    fn command(&mut self, command: DriverCommand) {
        match command {
            DriverCommand::Invoke(pipeline, reply) => {
                self.start(reply, |pool| pool.create_pipeline(&pipeline));
            }
            DriverCommand::Metadata(query, reply) => self.start(reply, |pool| pool.command_metadata(&query)),
            DriverCommand::Input(id, value, ordered) => {
                // Input for an ended pipeline is dropped, like on a server.
                let Some(entry) = self.pipelines.get_mut(&id) else {
                    let _ = ordered.send(());
                    return;
                };
                entry.inputs.push_back(ordered);
                match value {
                    Some(value) => self.pool.input(id, &value),
                    None => self.pool.end_input(id),
                }
            }
            DriverCommand::Respond(pipeline, response) => {
                if pipeline.is_none_or(|id| self.pipelines.contains_key(&id)) {
                    self.pool.respond(pipeline, &response);
                }
            }
            DriverCommand::Stop(id) => {
                if self.pipelines.contains_key(&id) {
                    self.outbox.push_back(ConnectionRequest::Stop(id));
                }
            }
            DriverCommand::Dropped(id) => self.ignore(id),
            DriverCommand::Drained(id) => {
                if self.pipelines.get_mut(&id).is_some_and(|entry| entry.backlog.release()) {
                    self.outbox.push_back(ConnectionRequest::Flow { pipeline: id, wanted: true });
                }
            }
            DriverCommand::Close(reply) => match self.ended {
                Some(_) => drop(reply.send(Ok(()))),
                None => self.outbox.push_back(ConnectionRequest::Close(reply)),
            },
        }
    }

    fn start(
        &mut self,
        reply: oneshot::Sender<Result<Started, Error>>,
        create: impl FnOnce(&mut ClientPool) -> Uuid,
    ) {
        if let Some(error) = &self.ended {
            return drop(reply.send(Err(error.clone())));
        }
        let id = create(&mut self.pool);
        let (given, output) = mpsc::unbounded_channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let entry = Entry {
            output: given,
            ready: Vec::new(),
            waiting: waiting.clone(),
            backlog: Backlog::default(),
            ignored: false,
            inputs: VecDeque::new(),
        };
        self.pipelines.insert(id, entry);
        if reply.send(Ok(Started { id, output, waiting })).is_err() {
            self.ignore(id);
        }
    }

    /// Stops a pipeline that has no reader.
    fn ignore(&mut self, id: Uuid) {
        if let Some(entry) = self.pipelines.get_mut(&id).filter(|e| !e.ignored) {
            entry.ignored = true;
            self.outbox.push_back(ConnectionRequest::Flow { pipeline: id, wanted: true });
            self.outbox.push_back(ConnectionRequest::Stop(id));
        }
    }

    fn event(&mut self, event: connection::ConnectionEvent) {
        match event {
            connection::ConnectionEvent::Message(message) => self.message(&message),
            connection::ConnectionEvent::StopAcknowledged(_) => {}
            connection::ConnectionEvent::PipelineClosed(id) => {
                let error = Error::Ended("the pipeline was closed before its final state".into());
                self.fail(id, error.outcome_unknown());
            }
            connection::ConnectionEvent::PipelineFailed(id, error) => self.fail(id, error),
            connection::ConnectionEvent::Broken { error, unsent } => self.end(error, &unsent),
            connection::ConnectionEvent::Closed => self.end(Error::Closed, &[]),
        }
    }

    fn message(&mut self, message: &Message) {
        let events = match self.pool.receive(message) {
            Ok(events) => events,
            Err(error) if self.pipelines.contains_key(&message.pipeline) => {
                self.outbox.push_back(ConnectionRequest::ClosePipeline(message.pipeline));
                return self.fail(message.pipeline, Error::Protocol(error.to_string()).outcome_unknown());
            }
            // An event is for information only.
            Err(error) if message.kind == MessageType::UserEvent => {
                return tracing::warn!("ignoring an event that cannot be read: {error}");
            }
            Err(error) => return self.end(Error::Protocol(error.to_string()), &[]),
        };
        for event in events {
            match event {
                ClientEvent::Pipeline(id, event) => self.publish(id, message.body.len(), event),
                event => self.pool_event(event),
            }
        }
    }

    fn publish(&mut self, id: Uuid, size: usize, event: PipelineEvent) {
        let Some(entry) = self.pipelines.get_mut(&id) else { return };
        let is_final = matches!(&event, PipelineEvent::State(state, _) if state.is_final());
        if !entry.ignored {
            let size = size + size_of::<QueuedEvent>();
            let waiting = entry.waiting.fetch_add(size, Ordering::Relaxed) + size;
            entry.ready.push(QueuedEvent { size, event: Ok(event) });
            let pressure = if is_final { Pressure::Unchanged } else { entry.backlog.note(waiting) };
            match pressure {
                Pressure::Unchanged => {}
                Pressure::Hold => {
                    self.outbox.push_back(ConnectionRequest::Flow { pipeline: id, wanted: false });
                }
                Pressure::Lost => {
                    let text =
                        format!("the pipeline's output was not read; {} MiB were queued", ABORT_AT >> 20);
                    let error = Error::Ended(text).outcome_unknown();
                    entry.ready.push(QueuedEvent { size: 0, event: Err(error) });
                    self.ignore(id);
                }
            }
        }
        if is_final {
            self.pipelines.remove(&id);
            self.pool.forget(id);
            self.outbox.push_back(ConnectionRequest::ClosePipeline(id));
        }
    }

    fn pool_event(&mut self, event: ClientEvent) {
        let end = match &event {
            ClientEvent::PoolState(PoolState::Broken, record) => {
                let reason = record.as_ref().map(|record| record.message.clone());
                Some(Error::Ended(reason.unwrap_or("the session is broken".into())))
            }
            ClientEvent::PoolState(PoolState::Closed, _) => Some(Error::Closed),
            _ => None,
        };
        let _ = self.events.try_send(event);
        if let Some(error) = end {
            self.end(error, &[]);
        }
    }

    fn fail(&mut self, id: Uuid, error: Error) {
        if let Some(mut entry) = self.pipelines.remove(&id) {
            self.pool.forget(id);
            entry.ready.push(QueuedEvent { size: 0, event: Err(error) });
        }
    }

    /// Ends every pipeline with the reason. `unsent`: pipelines that the connection has certainly not sent.
    fn end(&mut self, error: Error, unsent: &[Uuid]) {
        for id in self.pipelines.keys().copied().collect::<Vec<_>>() {
            let waits = self.outbox.iter().any(|request| request.started() == Some(id));
            let is_unsent = waits || unsent.contains(&id);
            self.fail(id, if is_unsent { error.clone() } else { error.clone().outcome_unknown() });
        }
        self.ended.get_or_insert(error);
        // Closing the channel informs an idle owner.
        self.events = mpsc::channel(1).0;
    }

    /// Takes the state machine's outgoing messages.
    fn collect(&mut self) {
        for outgoing in self.pool.take_outgoing() {
            let kind = outgoing.message.kind;
            let ordered = match kind {
                MessageType::PipelineInput | MessageType::EndOfPipelineInput => {
                    let entry = self.pipelines.get_mut(&outgoing.message.pipeline);
                    entry.and_then(|entry| entry.inputs.pop_front())
                }
                _ => None,
            };
            self.outbox.push_back(ConnectionRequest::Send { outgoing, ordered });
        }
    }
}
