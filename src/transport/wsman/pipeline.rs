//! One pipeline on the server: Command, then its streams, its Receive and its signals in parallel, each on
//! its own connection.

use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{mpsc, watch};
use uuid::Uuid;

use super::envelope::{CommandState, SignalCode};
use super::outgoing::{FragmentedMessage, Queue};
use super::peek;
use super::receive::{Events, Receiver};
use super::send_state::SendState;
use super::sequence::Sequence;
use super::shell::Shell;
use crate::psrp::client::Stream;
use crate::transport::{ConnectionEvent, Error};

/// Maximum wait for a pipeline's last Receive, which is pending when the final Signal is sent.
const LAST_RECEIVE_TIMEOUT: Duration = Duration::from_secs(2);

/// Control request of the connection's owner to a pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Control {
    Stop,
    Close,
    /// The session is about to be removed: stop the command, start nothing, and keep receiving.
    SessionClosing,
}

/// The connection's handle to a pipeline.
pub(super) struct Handle {
    pub input: mpsc::UnboundedSender<FragmentedMessage>,
    pub answers: mpsc::UnboundedSender<FragmentedMessage>,
    control: mpsc::UnboundedSender<Control>,
    wanted: watch::Sender<bool>,
    ended: watch::Receiver<bool>,
    send_state: Arc<SendState>,
}

impl Handle {
    /// Waits until the pipeline's output has ended.
    pub fn ended(&self) -> impl Future<Output = ()> + use<> {
        let mut ended = self.ended.clone();
        // The end of the task also counts.
        async move { drop(ended.wait_for(|ended| *ended).await) }
    }

    /// Prevents the pipeline from starting. Returns `false` if its Command may have been sent.
    pub fn cancel(&self) -> bool {
        self.send_state.cancel()
    }

    /// Sends a control request. Resumes the output, because a Receive must be pending when a Signal is sent.
    pub fn control(&self, control: Control) {
        self.wanted(true);
        // An ended pipeline needs no signal.
        let _ = self.control.send(control);
    }

    pub fn wanted(&self, wanted: bool) {
        self.wanted.send_replace(wanted);
    }
}

/// Task of a pipeline.
pub(super) struct PipelineTask {
    pub id: Uuid,
    /// The first command's name.
    name: String,
    shell: Arc<Shell>,
    sequence: Arc<Sequence>,
    events: Events,
    opened: watch::Receiver<bool>,
    wanted: watch::Receiver<bool>,
    input: Queue,
    answers: Queue,
    control: mpsc::UnboundedReceiver<Control>,
    /// The owner has closed the pipeline.
    closing: AtomicBool,
    /// Object id of the last message received before Command was sent.
    since: u64,
    /// Whether the final state has been received.
    ended: watch::Sender<bool>,
    send_state: Arc<SendState>,
}

impl PipelineTask {
    pub fn new(
        id: Uuid,
        name: String,
        shell: Arc<Shell>,
        sequence: Arc<Sequence>,
        events: Events,
        opened: watch::Receiver<bool>,
    ) -> (Handle, Self) {
        let capacity = shell.capacity();
        let (input, input_queue) = Queue::new(capacity);
        let (answers, mut answers_queue) = Queue::new(capacity);
        // Only a running command sends host calls.
        answers_queue.message_delivered = true;
        let (control, controls) = mpsc::unbounded_channel();
        let (wanted, wanted_now) = watch::channel(true);
        let (ended, ended_now) = watch::channel(false);
        let send_state = Arc::<SendState>::default();
        let handle =
            Handle { input, answers, control, wanted, ended: ended_now, send_state: send_state.clone() };
        let pipeline = Self {
            id,
            name,
            shell,
            sequence,
            events,
            opened,
            wanted: wanted_now,
            input: input_queue,
            answers: answers_queue,
            control: controls,
            closing: AtomicBool::new(false),
            since: 0,
            ended,
            send_state,
        };
        (handle, pipeline)
    }

    /// Runs the pipeline until the owner has closed it or it has failed.
    pub async fn run(mut self) {
        let (id, events) = (self.id, self.events.clone());
        let (error, refused) = match self.start().await {
            Ok(Started::Running { stop }) => match self.converse(stop).await {
                Ok(()) => return,
                Err(error) => (error, false),
            },
            Ok(Started::Closed) => return events.emit(ConnectionEvent::PipelineClosed(id)).await,
            Err(error) => {
                let refused = error.is_refusal();
                (error.of_command(), refused)
            }
        };
        events.emit(ConnectionEvent::PipelineFailed(id, error)).await;
        if !refused {
            // The command may still be running.
            let _ = self.shell.signal(id, SignalCode::Terminate).await;
        }
    }

    /// Sends Command as soon as the pool is open: on real servers, the session hangs if Command is sent earlier.
    async fn start(&mut self) -> Result<Started, Error> {
        let mut stop = false;
        let batch = {
            let (input, opened) = (&mut self.input, &mut self.opened);
            let ready = async {
                let batch = input.next().await;
                // The sender is dropped when the connection ends, together with this task.
                if opened.wait_for(|opened| *opened).await.is_err() {
                    pending::<()>().await;
                }
                batch
            };
            let mut ready = pin!(ready);
            loop {
                tokio::select! {
                    batch = &mut ready => break batch,
                    control = self.control.recv() => match control {
                        // The server ignores a Signal for a command that it does not know yet.
                        Some(Control::Stop) => stop = true,
                        Some(Control::Close | Control::SessionClosing) | None => return Ok(Started::Closed),
                    },
                }
            }
        };
        let Some(mut batch) = batch else { return Ok(Started::Closed) };
        let data = std::mem::take(&mut batch.data);
        self.since = self.sequence.last();
        self.shell.command(self.id, &self.name, data, &self.send_state).await?;
        self.input.message_delivered = batch.ends;
        batch.done();
        Ok(Started::Running { stop })
    }

    /// Sends and receives from CommandResponse to the end of the pipeline. After an error, the command may have
    /// run, unless its first message could not be sent.
    async fn converse(&mut self, stop: bool) -> Result<(), Error> {
        let Self {
            id, shell, sequence, events, wanted, input, answers, control, closing, since, ended, ..
        } = self;
        let (id, since) = (*id, *since);
        let mut sending = pin!(send_all(shell, Some(id), Stream::Default, input));
        let mut answering = pin!(send_all(shell, Some(id), Stream::PromptResponse, answers));
        let mut signaling = pin!(signal_until_closed(shell, id, events, control, stop, closing));
        let receiver = Receiver::new(shell.clone(), sequence.clone(), Some(id), since);
        let mut receiving = pin!(receive_all(receiver, events, wanted, closing, ended));
        let mut received = false;
        loop {
            tokio::select! {
                result = &mut signaling => break result.map_err(Error::outcome_unknown)?,
                error = &mut sending => return Err(error),
                error = &mut answering => return Err(error),
                result = &mut receiving, if !received => {
                    result.map_err(Error::outcome_unknown)?;
                    received = true;
                }
            }
        }
        events.emit(ConnectionEvent::PipelineClosed(id)).await;
        if !received {
            // Lets the last Receive complete, so that the next pipeline reuses its connection.
            let _ = tokio::time::timeout(LAST_RECEIVE_TIMEOUT, receiving).await;
        }
        Ok(())
    }
}

/// Result of starting a pipeline.
enum Started {
    /// `stop`: the pipeline must be stopped immediately.
    Running { stop: bool },
    /// The owner closed the pipeline before it was started.
    Closed,
}

/// Sends the queued data of a pipeline or the pool in order; ends with an error.
pub(super) async fn send_all(
    shell: &Shell,
    command: Option<Uuid>,
    stream: Stream,
    queue: &mut Queue,
) -> Error {
    while let Some(mut batch) = queue.next().await {
        let data = std::mem::take(&mut batch.data);
        match shell.send(command, stream, data).await {
            Ok(()) => {
                queue.message_delivered |= batch.ends;
                batch.done();
            }
            // Input for a pipeline that has just ended: there is no later data.
            Err(error) if command.is_some() && error.is_gone() => batch.done(),
            Err(error) if command.is_none() => return error,
            Err(error) if queue.message_delivered => return error.outcome_unknown(),
            Err(error) => return error.of_command(),
        }
    }
    pending().await
}

/// Sends the owner's signals; returns when the pipeline is closed.
async fn signal_until_closed(
    shell: &Shell,
    id: Uuid,
    events: &Events,
    control: &mut mpsc::UnboundedReceiver<Control>,
    stop: bool,
    closing: &AtomicBool,
) -> Result<(), Error> {
    let stop_once = || async {
        ignore_late_fault(shell.signal(id, SignalCode::Stop).await)?;
        events.emit(ConnectionEvent::StopAcknowledged(id)).await;
        Ok::<(), Error>(())
    };
    let mut stops = FuturesUnordered::new();
    let mut stopped = stop;
    if stop {
        stops.push(stop_once());
    }
    loop {
        tokio::select! {
            control = control.recv() => match control {
                Some(Control::SessionClosing) if stopped => {}
                Some(Control::Stop | Control::SessionClosing) => {
                    stopped = true;
                    stops.push(stop_once());
                }
                Some(Control::Close) | None => break,
            },
            Some(result) = stops.next() => result?,
        }
    }
    closing.store(true, Ordering::Relaxed);
    ignore_late_fault(shell.signal(id, SignalCode::Terminate).await)
}

/// Ignores the fault for a Signal that arrived after the end of its pipeline.
fn ignore_late_fault(result: Result<(), Error>) -> Result<(), Error> {
    match result {
        Err(Error::Fault(fault)) => {
            tracing::debug!("a signal crossed its pipeline's end: {}", fault.text);
            Ok(())
        }
        other => other,
    }
}

/// Receives until the pipeline's output has ended. Continues after the final state: a Receive must be pending
/// for the final Signal and for the Delete of the session.
async fn receive_all(
    mut receiver: Receiver,
    events: &Events,
    wanted: &mut watch::Receiver<bool>,
    closing: &AtomicBool,
    ended: &watch::Sender<bool>,
) -> Result<(), Error> {
    let result = async {
        let mut finished = false;
        loop {
            // The sender was dropped: nothing can pause the output.
            let paused = (!*wanted.borrow()).then(|| receiver.pause());
            let _ = wanted.wait_for(|wanted| *wanted).await;
            drop(paused);
            let over = |finished| finished || closing.load(Ordering::Relaxed);
            let (messages, state) = match receiver.next(|| *wanted.borrow()).await {
                Ok(received) => received,
                Err(_) if over(finished) => return Ok(()),
                Err(error) => return Err(error),
            };
            for message in messages {
                if peek::is_final(&message) {
                    receiver.is_complete().await?;
                    finished = true;
                    ended.send_replace(true);
                }
                events.emit(ConnectionEvent::Message(message)).await;
            }
            if state == Some(CommandState::Done) {
                if over(finished) {
                    return Ok(());
                }
                let reason = "the endpoint ended a command without its final state";
                return Err(Error::Protocol(reason.to_owned()));
            }
        }
    };
    let result = result.await;
    ended.send_replace(true);
    result
}
