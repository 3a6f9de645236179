//! The connection's task: accepts the owner's requests without blocking, keeps the pool's Receive pending,
//! runs a task per pipeline, and removes the shell at the end.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use uuid::Uuid;

use super::endpoint::Endpoint;
use super::envelope::CommandState;
use super::outgoing::{FragmentedMessage, Queue};
use super::peek;
use super::pipeline::{Control, Handle, PipelineTask, send_all};
use super::receive::{Events, Receiver};
use super::removal::{self, DRAIN_TIMEOUT, RemovalState};
use super::removal_lock;
use super::sequence::Sequence;
use super::shell::Shell;
use crate::psrp::client::{Outgoing, Stream};
use crate::psrp::fragment::{self, Fragmenter};
use crate::transport::connection::{Connection, ConnectionEvent, ConnectionRequest};
use crate::transport::error::{Error, Operation};

/// Capacities of the channels for requests and events.
const REQUESTS: usize = 64;
const EVENTS: usize = 64;

/// Parameters of the actor: a shell that was just created.
pub(super) struct Created {
    pub endpoint: Endpoint,
    pub pool: Uuid,
    pub shell: Shell,
    pub fragmenter: Fragmenter,
    /// Fragments of the opening messages that did not fit into Create.
    pub rest: Vec<Vec<u8>>,
    /// Deadline for opening the pool.
    pub open_by: Instant,
}

/// Starts the task of a connection.
pub(super) fn start(created: Created) -> Connection {
    let (requests, incoming) = mpsc::channel(REQUESTS);
    let (sender, events) = mpsc::channel(EVENTS);
    let (closing, closing_now) = watch::channel(false);
    let shell = Arc::new(created.shell);
    let capacity = shell.capacity();
    let (input, input_queue) = Queue::new(capacity);
    let (answers, answers_queue) = Queue::new(capacity);
    if !created.rest.is_empty() {
        // The receiving end is in this function.
        let _ = input.send(FragmentedMessage { fragments: created.rest, ordered: None });
    }
    let actor = Actor {
        endpoint: created.endpoint,
        pool: created.pool,
        shell,
        sequence: Arc::default(),
        fragmenter: created.fragmenter,
        events: Events { sender, closing: closing_now },
        closing,
        opened: watch::channel(false).0,
        input,
        answers,
        pipelines: HashMap::new(),
        tasks: JoinSet::new(),
    };
    tokio::spawn(actor.run(incoming, input_queue, answers_queue, created.open_by));
    Connection { requests, events }
}

/// The task of one connection: it owns the created shell, the queues of the pool's messages and the
/// pipelines' tasks.
///
/// [`start`] spawns it, and the owner of the [`Connection`] drives it by requests. Guarantees: requests are
/// accepted without waiting for the endpoint; when the owner closes or drops the connection, the shell is
/// deleted, after a failure too, except where the endpoint has reported that it is gone; a Delete that fails
/// is retried once on new connections, and a final failure is logged and returned by Close.
struct Actor {
    endpoint: Endpoint,
    pool: Uuid,
    shell: Arc<Shell>,
    sequence: Arc<Sequence>,
    fragmenter: Fragmenter,
    events: Events,
    closing: watch::Sender<bool>,
    opened: watch::Sender<bool>,
    input: mpsc::UnboundedSender<FragmentedMessage>,
    /// Queue of the responses to the pool's host calls.
    answers: mpsc::UnboundedSender<FragmentedMessage>,
    pipelines: HashMap<Uuid, Handle>,
    /// The pipelines' tasks; aborted with this task.
    tasks: JoinSet<Uuid>,
}

/// Reason for the end of the connection.
enum End {
    /// The owner closes the connection or was dropped.
    Requested(Option<oneshot::Sender<Result<(), Error>>>),
    Failed(Error),
}

impl Actor {
    async fn run(
        mut self,
        mut requests: mpsc::Receiver<ConnectionRequest>,
        mut input: Queue,
        mut answers: Queue,
        open_by: Instant,
    ) {
        let (shell, sequence) = (self.shell.clone(), self.sequence.clone());
        let (events, opened) = (self.events.clone(), self.opened.clone());
        let pool = async {
            tokio::select! {
                error = receive_pool(Receiver::new(shell.clone(), sequence, None, 0), &events, &opened) => error,
                error = send_all(&shell, None, Stream::Default, &mut input) => error,
                error = send_all(&shell, None, Stream::PromptResponse, &mut answers) => error,
            }
        };
        let mut pool = pin!(pool);
        let end = loop {
            tokio::select! {
                request = requests.recv() => match request {
                    None => break End::Requested(None),
                    Some(ConnectionRequest::Close(reply)) => break End::Requested(Some(reply)),
                    Some(request) => self.take(request),
                },
                error = &mut pool => break End::Failed(error),
                () = tokio::time::sleep_until(open_by), if !*self.opened.borrow() => {
                    let limit = self.endpoint.limits.open;
                    break End::Failed(Error::Timeout { operation: Operation::Open, limit });
                }
                Some(ended) = self.tasks.join_next() => {
                    if let Ok(id) = ended {
                        self.pipeline_ended(id);
                    }
                }
            }
        };
        match end {
            End::Requested(reply) => {
                // From now on events need not be read, and every Receive stays pending.
                self.closing.send_replace(true);
                let deleted = {
                    let mut leaving = pin!(self.drain_and_delete());
                    tokio::select! {
                        result = &mut leaving => result,
                        _ = &mut pool => leaving.await,
                    }
                };
                let result = match deleted {
                    Ok(()) => Ok(()),
                    Err(error) => self.retry_delete(error).await,
                };
                self.closed(reply, result).await;
            }
            End::Failed(error) => {
                let unsent = self.pipelines.extract_if(|_, pipeline| pipeline.cancel()).map(|(id, _)| id);
                let unsent: Vec<Uuid> = unsent.collect();
                self.tasks.abort_all();
                self.broken(error, unsent, requests).await;
            }
        }
    }

    /// Stops running pipelines, waits for their output, and deletes the shell. A server may delay Delete
    /// until a Receive has fetched a pipeline's output, so receiving continues until then.
    async fn drain_and_delete(&mut self) -> Result<(), Error> {
        self.pipelines.values().for_each(|pipeline| pipeline.control(Control::SessionClosing));
        let ended = join_all(self.pipelines.values().map(Handle::ended));
        if tokio::time::timeout(DRAIN_TIMEOUT, ended).await.is_err() {
            tracing::debug!("the pipelines of session {} do not end", self.pool);
            self.record_unanswered_delete();
        }
        let deleting = async {
            let deleted = self.shell.delete().await;
            if deleted.as_ref().is_err_and(|error| !error.is_refusal()) {
                self.record_unanswered_delete();
            }
            deleted
        };
        removal_lock::remove_exclusively(self.pool, deleting).await.map(drop)
    }

    /// Retries a failed Delete once on new connections.
    async fn retry_delete(&mut self, error: Error) -> Result<(), Error> {
        tracing::debug!("retrying the removal of the session: {error}");
        // The Receives of the removal replace those of the pipelines' tasks.
        self.tasks.abort_all();
        let commands = self.pipelines.keys().copied().collect();
        let state = RemovalState { commands, delete_unanswered: !error.is_refusal() };
        removal::remove_once(&self.endpoint, self.pool, &state).await.map(drop)
    }

    /// Records that a Delete may be unanswered: "not found" no longer proves that the session is gone.
    fn record_unanswered_delete(&self) {
        if let Some(recorder) = &self.endpoint.removal_recorder {
            recorder.record_unanswered_delete();
        }
    }

    /// Removes an ended pipeline.
    fn pipeline_ended(&mut self, id: Uuid) {
        self.pipelines.remove(&id);
        self.record_commands();
    }

    /// Records the commands that may be running.
    fn record_commands(&self) {
        if let Some(recorder) = &self.endpoint.removal_recorder {
            recorder.record_commands(self.pipelines.keys().copied().collect());
        }
    }

    /// Reports the broken connection to the owner, and removes the shell when the owner is dropped: the end
    /// of a connection does not mean the end of the shell. `unsent`: pipelines whose Command was not sent; those
    /// that are still in `requests` are added.
    async fn broken(
        self,
        error: Error,
        mut unsent: Vec<Uuid>,
        mut requests: mpsc::Receiver<ConnectionRequest>,
    ) {
        let gone = error.is_gone();
        let commands: Vec<_> = self.pipelines.keys().copied().collect();
        let mut last = Some(error);
        let reply = loop {
            tokio::select! {
                // The event includes every request that has arrived.
                biased;
                request = requests.recv() => match request {
                    None => break None,
                    Some(ConnectionRequest::Close(reply)) => break Some(reply),
                    Some(request) => unsent.extend(request.started()),
                },
                // An error means that the owner does not read events any more.
                permit = self.events.sender.reserve(), if last.is_some() => {
                    if let (Ok(permit), Some(error)) = (permit, last.take()) {
                        permit.send(ConnectionEvent::Broken { error, unsent: std::mem::take(&mut unsent) });
                    }
                }
            }
        };
        let result = if gone {
            Ok(())
        } else {
            let state = RemovalState { commands, delete_unanswered: false };
            let result = removal::remove_with_retry(&self.endpoint, self.pool, &state).await;
            if result.as_ref().is_err_and(|error| !error.is_refusal()) {
                self.record_unanswered_delete();
            }
            result.map(drop)
        };
        self.report(reply, result);
    }

    /// Reports the result of the removal.
    fn report(&self, reply: Option<oneshot::Sender<Result<(), Error>>>, result: Result<(), Error>) {
        if let Err(error) = &result {
            tracing::warn!("the session {} may still be on the server: {error}", self.pool);
        }
        if let Some(reply) = reply {
            let _ = reply.send(result);
        }
    }

    async fn closed(self, reply: Option<oneshot::Sender<Result<(), Error>>>, result: Result<(), Error>) {
        self.report(reply, result);
        // An owner that does not read sees the end of the channel instead.
        let _ = self.events.sender.send_timeout(ConnectionEvent::Closed, Duration::from_secs(1)).await;
    }

    /// Handles a request without blocking.
    fn take(&mut self, request: ConnectionRequest) {
        match request {
            ConnectionRequest::Send { outgoing, ordered } => self.send(outgoing, ordered),
            ConnectionRequest::Stop(id) => match self.pipelines.get(&id) {
                Some(pipeline) => pipeline.control(Control::Stop),
                None => self.answer(id, ConnectionEvent::StopAcknowledged(id)),
            },
            ConnectionRequest::ClosePipeline(id) => match self.pipelines.get(&id) {
                Some(pipeline) => pipeline.control(Control::Close),
                None => self.answer(id, ConnectionEvent::PipelineClosed(id)),
            },
            ConnectionRequest::Flow { pipeline, wanted } => {
                if let Some(pipeline) = self.pipelines.get(&pipeline) {
                    pipeline.wanted(wanted);
                }
            }
            ConnectionRequest::Close(_) => {}
        }
    }

    /// Sends the event of an ended pipeline without waiting for the owner to read it.
    fn answer(&mut self, id: Uuid, event: ConnectionEvent) {
        let events = self.events.clone();
        self.tasks.spawn(async move {
            events.emit(event).await;
            id
        });
    }

    fn send(&mut self, outgoing: Outgoing, ordered: Option<oneshot::Sender<()>>) {
        let Outgoing { stream, message } = outgoing;
        let fragments = self.fragmenter.cut(&message.encode(), self.shell.capacity() - fragment::HEADER);
        let cut = FragmentedMessage { fragments, ordered };
        let id = message.pipeline;
        if !id.is_nil() && message.kind.starts_pipeline() {
            let (handle, pipeline) = PipelineTask::new(
                id,
                peek::command_name(&message),
                self.shell.clone(),
                self.sequence.clone(),
                self.events.clone(),
                self.opened.subscribe(),
            );
            self.pipelines.insert(id, handle);
            self.record_commands();
            self.tasks.spawn(async move {
                pipeline.run().await;
                id
            });
        }
        let queues = match self.pipelines.get(&id) {
            _ if id.is_nil() => (&self.input, &self.answers),
            Some(pipeline) => (&pipeline.input, &pipeline.answers),
            // The pipeline has ended in the meantime; dropping `ordered` reports it.
            None => return,
        };
        let queue = match stream {
            Stream::Default => queues.0,
            Stream::PromptResponse => queues.1,
        };
        let _ = queue.send(cut);
    }
}

/// Receives for the pool; returns the error that ended it.
async fn receive_pool(mut receiver: Receiver, events: &Events, opened: &watch::Sender<bool>) -> Error {
    loop {
        let (messages, state) = match receiver.next(|| true).await {
            Ok(received) => received,
            Err(error) => return error,
        };
        for message in messages {
            if peek::is_opened(&message) {
                opened.send_replace(true);
            }
            events.emit(ConnectionEvent::Message(message)).await;
        }
        if state == Some(CommandState::Done) {
            return Error::Ended("the endpoint ended the session".to_owned());
        }
    }
}
