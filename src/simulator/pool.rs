//! Runspace pool of the simulator: PSRP server in front of the tenant's engine, independent of the transport.
//! Messages wait in outboxes, one for the pool and one for each pipeline.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::engine::{Context, Outcome, PipelineOutput, World, stopped_record};
use crate::psrp::client::ProtocolError;
use crate::psrp::clixml::Value;
use crate::psrp::host::{HostInfo, HostResponse};
use crate::psrp::message::Message;
use crate::psrp::pipeline::Pipeline;
use crate::psrp::pool::{Protocol, version_table};
use crate::psrp::record::{PipelineState, PoolState};
use crate::psrp::server::{ServerEvent, ServerPool};

/// Maximum number of unfetched messages before a pipeline is paused.
const OUTBOX: usize = 64;
/// Capacity of the channel for an engine's events.
const EVENTS: usize = 16;

/// Error of accepting a client's message.
#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    /// The bytes or the message violate the protocol.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    /// INIT_RUNSPACEPOOL has invalid sizes.
    #[error(transparent)]
    Size(#[from] PoolSizeError),
    /// The creationXml of a new shell contains no complete message.
    #[error("creationXml does not contain a PSRP message")]
    NoMessage,
}

/// Invalid sizes of a pool, with PowerShell's error texts (RunspacePoolStrings.resx).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PoolSizeError {
    /// The minimum is not positive.
    #[error("The minimum pool size cannot be less than 1.")]
    Minimum,
    /// The maximum is not positive.
    #[error("The maximum pool size cannot be less than 1.")]
    Maximum,
    /// The minimum exceeds the maximum.
    #[error("The minimum pool size cannot be greater than the maximum pool size.")]
    Range,
}

/// A pool. Clones share it.
#[derive(Clone)]
pub struct Pool(Arc<Shared>);

struct Shared {
    world: Arc<World>,
    user: String,
    state: Mutex<State>,
    /// Notified for a new message in an outbox, or for free space in one.
    changed: Notify,
    runspaces: Semaphore,
}

struct State {
    server: ServerPool,
    host: Option<HostInfo>,
    running: HashMap<Uuid, Run>,
    /// By pipeline; nil for the pool.
    outboxes: HashMap<Uuid, VecDeque<Message>>,
    runspaces: Range,
}

/// Limits on the number of runspaces.
struct Range {
    min: i32,
    max: i32,
    /// Runspaces in use above the maximum; each is closed at the end of its pipeline.
    surplus: usize,
}

struct Run {
    input: Option<mpsc::UnboundedSender<Value>>,
    stop: CancellationToken,
    answers: HashMap<i64, oneshot::Sender<HostResponse>>,
}

impl Pool {
    pub fn new(world: Arc<World>, user: String) -> Self {
        let data = version_table("5.1.19041.1", "Desktop", Protocol::V2_3);
        let state = State {
            server: ServerPool::new(data),
            host: None,
            running: HashMap::new(),
            outboxes: HashMap::new(),
            runspaces: Range { min: 1, max: 1, surplus: 0 },
        };
        Self(Arc::new(Shared {
            world,
            user,
            state: Mutex::new(state),
            changed: Notify::new(),
            runspaces: Semaphore::new(1),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Accepts a message of the client.
    ///
    /// # Errors
    /// The message is invalid.
    pub fn take(&self, message: &Message) -> Result<(), TakeError> {
        let mut state = self.state();
        for event in state.server.receive(message)? {
            self.event(&mut state, event)?;
        }
        state.flush();
        drop(state);
        self.0.changed.notify_waiters();
        Ok(())
    }

    /// Stops a pipeline: its PIPELINE_STATE 3 follows.
    pub fn stop(&self, pipeline: Uuid) {
        if let Some(run) = self.state().running.get(&pipeline) {
            run.stop.cancel();
        }
    }

    /// Removes a pipeline whose end the client has received or that the client abandons.
    pub fn forget(&self, pipeline: Uuid) {
        let mut state = self.state();
        if let Some(run) = state.running.remove(&pipeline) {
            run.stop.cancel();
        }
        state.outboxes.remove(&pipeline);
        state.server.forget(pipeline);
        drop(state);
        self.0.changed.notify_waiters();
    }

    /// Stops all pipelines and closes the pool.
    pub fn close(&self) {
        let mut state = self.state();
        for (_, run) in state.running.drain() {
            run.stop.cancel();
        }
        state.outboxes.clear();
        drop(state);
        self.0.changed.notify_waiters();
    }

    /// Returns the pipelines that run or wait for a runspace.
    pub fn running(&self) -> Vec<Uuid> {
        self.state().running.keys().copied().collect()
    }

    /// Takes the oldest message for a pipeline, or for the pool (nil).
    pub fn next(&self, target: Uuid) -> Option<Message> {
        self.pop(|state| state.outboxes.get_mut(&target).and_then(VecDeque::pop_front))
    }

    fn pop(&self, message: impl FnOnce(&mut State) -> Option<Message>) -> Option<Message> {
        let message = message(&mut self.state());
        if message.is_some() {
            self.0.changed.notify_waiters();
        }
        message
    }

    /// Completes every pending wait for a change.
    pub fn wake(&self) {
        self.0.changed.notify_waiters();
    }

    /// Takes a message of any pipeline or of the pool, each in order.
    pub fn next_of_any(&self) -> Option<Message> {
        self.pop(|state| state.outboxes.values_mut().find_map(VecDeque::pop_front))
    }

    /// Returns whether a pipeline runs, waits for a runspace, or has an unsent final state.
    pub fn is_running(&self, pipeline: Uuid) -> bool {
        let state = self.state();
        state.running.contains_key(&pipeline)
            || state.outboxes.get(&pipeline).is_some_and(|outbox| !outbox.is_empty())
    }

    /// Reports the closed state of the pool to the client.
    pub fn closed(&self) {
        let mut state = self.state();
        state.server.pool_state(PoolState::Closed, None);
        state.flush();
        drop(state);
        self.0.changed.notify_waiters();
    }

    /// Completes at the next change after the call.
    pub fn changed(&self) -> tokio::sync::futures::Notified<'_> {
        self.0.changed.notified()
    }

    fn event(&self, state: &mut State, event: ServerEvent) -> Result<(), TakeError> {
        match event {
            ServerEvent::Open { host, min_runspaces, max_runspaces, .. } => {
                check_sizes(min_runspaces, max_runspaces)?;
                state.runspaces.min = min_runspaces;
                self.resize(state, max_runspaces);
                state.host = Some(host);
                state.server.opened();
            }
            ServerEvent::CreatePipeline(id, pipeline) => self.create(state, id, pipeline),
            ServerEvent::CommandMetadata(id, query) => {
                for value in self.0.world.metadata(&query) {
                    state.server.output(id, &value);
                }
                state.server.pipeline_state(id, PipelineState::Completed, None);
            }
            ServerEvent::Input(id, value) => {
                if let Some(input) = state.running.get(&id).and_then(|run| run.input.as_ref()) {
                    // Input for a pipeline that has ended is dropped.
                    let _ = input.send(value);
                }
            }
            ServerEvent::EndInput(id) => {
                if let Some(run) = state.running.get_mut(&id) {
                    run.input = None;
                }
            }
            ServerEvent::HostResponse(Some(id), response) => {
                let run = state.running.get_mut(&id);
                if let Some(answer) = run.and_then(|run| run.answers.remove(&response.call_id)) {
                    let _ = answer.send(response);
                }
            }
            ServerEvent::GetAvailableRunspaces { call_id } => {
                let free = i64::try_from(self.0.runspaces.available_permits()).unwrap_or(i64::MAX);
                state.server.runspace_availability(call_id, Value::I64(free));
            }
            ServerEvent::SetMaxRunspaces { call_id, max } => {
                let fits = check_sizes(state.runspaces.min, max).is_ok();
                if fits {
                    self.resize(state, max);
                }
                state.server.runspace_availability(call_id, Value::Bool(fits));
            }
            ServerEvent::SetMinRunspaces { call_id, min } => {
                let fits = check_sizes(min, state.runspaces.max).is_ok();
                if fits {
                    state.runspaces.min = min;
                }
                state.server.runspace_availability(call_id, Value::Bool(fits));
            }
            // Only a pool of one idle runspace can be reset; the simulator's runspaces have no state to
            // reset.
            ServerEvent::ResetRunspaceState { call_id } => {
                let can = state.runspaces.max == 1 && state.running.is_empty();
                state.server.runspace_availability(call_id, Value::Bool(can));
            }
            ServerEvent::HostResponse(None, _) | ServerEvent::Connect => {}
        }
        Ok(())
    }

    /// Changes the maximum number of runspaces; those in use remain until their pipelines end.
    fn resize(&self, state: &mut State, max: i32) {
        let size = |count: i32| usize::try_from(count).unwrap_or_default();
        let range = &mut state.runspaces;
        let (before, now) = (size(range.max), size(max));
        range.max = max;
        let more = now.saturating_sub(before);
        let kept = more.min(range.surplus);
        range.surplus -= kept;
        self.0.runspaces.add_permits(more - kept);
        let fewer = before.saturating_sub(now);
        range.surplus += fewer - self.0.runspaces.forget_permits(fewer);
    }

    fn create(&self, state: &mut State, id: Uuid, pipeline: Pipeline) {
        let Some(host) = pipeline.host.clone().or_else(|| state.host.clone()) else {
            state.server.pipeline_state(id, PipelineState::Failed, None);
            return;
        };
        let (input_given, mut input_taken) = mpsc::unbounded_channel();
        let (feed, input) = mpsc::channel(EVENTS);
        let (output, events) = mpsc::channel(EVENTS);
        let stop = CancellationToken::new();
        let input_given = (!pipeline.no_input).then_some(input_given);
        state.running.insert(id, Run { input: input_given, stop: stop.clone(), answers: HashMap::new() });
        // Input is queued apart from the engine's channel, so that a pipeline that reads no input does not
        // block the session.
        tokio::spawn(async move {
            while let Some(value) = input_taken.recv().await {
                if feed.send(value).await.is_err() {
                    return;
                }
            }
        });
        let context = Context { user: self.0.user.clone(), host, input, output, stop: stop.clone() };
        tokio::spawn(self.clone().drive(id, pipeline, context, events, stop));
    }

    /// Runs a pipeline as soon as a runspace is free, and sends its events.
    async fn drive(
        self,
        id: Uuid,
        pipeline: Pipeline,
        context: Context,
        mut events: mpsc::Receiver<PipelineOutput>,
        stop: CancellationToken,
    ) {
        let runspace = tokio::select! {
            runspace = self.0.runspaces.acquire() => runspace.ok(),
            () = stop.cancelled() => None,
        };
        let outcome = if runspace.is_some() {
            let world = self.0.world.clone();
            let engine = tokio::spawn(async move { world.run(pipeline, context).await });
            while let Some(event) = events.recv().await {
                self.room(id, &stop).await;
                let mut state = self.state();
                state.send(id, event);
                state.flush();
                drop(state);
                self.0.changed.notify_waiters();
            }
            engine.await.unwrap_or(Outcome::Stopped)
        } else {
            Outcome::Stopped
        };
        let mut state = self.state();
        if state.runspaces.surplus > 0
            && let Some(runspace) = runspace
        {
            state.runspaces.surplus -= 1;
            runspace.forget();
        }
        let (end, record) = match outcome {
            Outcome::Completed => (PipelineState::Completed, None),
            Outcome::Stopped => (PipelineState::Stopped, Some(stopped_record())),
            Outcome::Failed(record) => (PipelineState::Failed, Some(*record)),
        };
        if state.running.remove(&id).is_some() {
            state.server.pipeline_state(id, end, record.as_ref());
            state.flush();
        }
        drop(state);
        self.0.changed.notify_waiters();
    }

    /// Waits until a pipeline's outbox has space or the pipeline is stopped.
    async fn room(&self, id: Uuid, stop: &CancellationToken) {
        loop {
            let mut changed = std::pin::pin!(self.changed());
            changed.as_mut().enable();
            if self.state().outboxes.get(&id).is_none_or(|outbox| outbox.len() < OUTBOX) {
                return;
            }
            tokio::select! {
                () = changed => {}
                () = stop.cancelled() => return,
            }
        }
    }
}

/// Checks the sizes of a pool, with PowerShell's error texts (RunspacePoolStrings.resx).
fn check_sizes(min: i32, max: i32) -> Result<(), PoolSizeError> {
    match (min, max) {
        (..1, _) => Err(PoolSizeError::Minimum),
        (_, ..1) => Err(PoolSizeError::Maximum),
        (min, max) if min > max => Err(PoolSizeError::Range),
        _ => Ok(()),
    }
}

impl State {
    fn flush(&mut self) {
        for message in self.server.take_outgoing() {
            self.outboxes.entry(message.pipeline).or_default().push_back(message);
        }
    }

    fn send(&mut self, id: Uuid, event: PipelineOutput) {
        match event {
            PipelineOutput::Output(value) => self.server.output(id, &value),
            PipelineOutput::Error(record) => self.server.error(id, &record),
            PipelineOutput::Text(kind, text) => self.server.text(id, kind, &text),
            PipelineOutput::Progress(record) => self.server.progress(id, &record),
            PipelineOutput::Information(record) => self.server.information(id, &record),
            PipelineOutput::HostCall { method, parameters, answer } => {
                let call = self.server.host_call(Some(id), method, parameters);
                if let (Some(answer), Some(run)) = (answer, self.running.get_mut(&id)) {
                    run.answers.insert(call, answer);
                }
            }
        }
    }
}
