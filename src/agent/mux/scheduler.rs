//! Pipeline scheduling, queueing and wait notices.
//!
//! Pure: every method that can change the running pipelines takes the time as `now` and returns
//! [`SchedulerAction`]s in the order of execution. The caller owns clients and connection.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::rewrite::Start;
use super::status::ClientId;
use crate::psrp::message::{Message, Stream};
use crate::psrp::record::{ErrorRecord, PipelineState, ProgressRecord};

/// Delay before a queued pipeline's shell shows the reason for the wait.
const NOTICE_DELAY: Duration = Duration::from_millis(500);
/// Time limit for a pipeline of a detached shell to stop before it is closed.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// The progress record's id, outside the range that cmdlets use.
const NOTICE_ID: i32 = 0x6C79_6E63;

/// An action for the owner of the scheduler. `A` is the acknowledgement of a client's message, which is sent when the
/// value is dropped. The acknowledgement of a forwarded message is kept until the endpoint has the message in order.
#[derive(Debug)]
pub enum SchedulerAction<A> {
    /// Forward a client's message to the endpoint.
    Forward { stream: Stream, message: Message, ack: Option<A> },
    /// Resume or pause a pipeline's output.
    Flow { pipeline: Uuid, wanted: bool },
    /// Ask the endpoint to stop a pipeline.
    Stop(Uuid),
    /// Close a pipeline on the endpoint.
    Close(Uuid),
    /// Send the client the reason why its pipeline waits.
    Progress { client: ClientId, pipeline: Uuid, record: ProgressRecord },
    /// Send the client the final state of its pipeline.
    End { client: ClientId, pipeline: Uuid, state: PipelineState, error: Box<ErrorRecord> },
    /// Acknowledge a client's stop.
    AcknowledgeStop { client: ClientId, pipeline: Uuid },
    /// Acknowledge that a client has closed a pipeline.
    AcknowledgeClose { client: ClientId, pipeline: Uuid },
}

/// Owner of every pipeline of one session from its CREATE_PIPELINE to its end.
///
/// Guarantees: at most as many pipelines run as the endpoint has runspaces, not counting nested ones; queued
/// pipelines start in the order of arrival; background pipelines run only while no other pipeline runs, and
/// give way immediately; every pipeline of an attached client gets one final state and, if it was stopped and the
/// session has not ended, one acknowledgement after it; after [`Scheduler::end`] there are no further requests to
/// the endpoint.
#[derive(Debug)]
pub struct Scheduler<A> {
    max_runspaces: usize,
    /// Idle time of all shells before a background pipeline starts.
    quiet: Duration,
    pipelines: HashMap<Uuid, ScheduledPipeline<A>>,
    /// Pipelines waiting for a runspace, in the order of arrival.
    queue: VecDeque<Uuid>,
    /// Background pipelines that have not started, in the order of arrival.
    background: VecDeque<Uuid>,
    /// The clients' names in wait notices.
    names: HashMap<ClientId, String>,
    /// Clients whose output is paused.
    held: HashSet<ClientId>,
    opened: Instant,
    /// When a shell's pipeline last arrived or ended.
    used: Option<Instant>,
    /// Start of the current idle time.
    active: Instant,
    is_over: bool,
    actions: Vec<SchedulerAction<A>>,
}

/// A client's pipeline.
#[derive(Debug)]
pub struct ScheduledPipeline<A> {
    /// `None`: the client has detached or closed the pipeline; its output is dropped.
    pub client: Option<ClientId>,
    /// The command for display.
    pub command: String,
    nested: bool,
    /// Whether the pipeline gives way to every other.
    pub background: bool,
    /// Whether the pipeline is lyncsh's or PowerShell's own, and its errors are not those of a user.
    pub internal: bool,
    /// Whether the pipeline requests the prompt, as PowerShell does in an entered session.
    pub asks_prompt: bool,
    stop: Stop,
    phase: Phase<A>,
}

/// State of a stop requested by the client. It is answered after the final state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    None,
    Requested,
    Acknowledged,
}

#[derive(Debug)]
enum Phase<A> {
    Queued {
        since: Instant,
        /// CREATE_PIPELINE and the messages after it.
        messages: VecDeque<(Stream, Message, Option<A>)>,
        /// The last wait notice.
        notice: Option<String>,
    },
    Running {
        since: Instant,
        /// When the pipeline is closed even if it has not ended.
        close_at: Option<Instant>,
    },
    /// The final state was forwarded; the client has not sent Close yet.
    Ended,
}

impl<A> ScheduledPipeline<A> {
    pub fn is_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended)
    }

    /// Returns when the pipeline started on the endpoint.
    pub fn since(&self) -> Option<Instant> {
        match self.phase {
            Phase::Running { since, .. } => Some(since),
            Phase::Queued { .. } | Phase::Ended => None,
        }
    }

    fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running { .. })
    }
}

impl<A> Scheduler<A> {
    pub fn new(max_runspaces: usize, quiet: Duration, now: Instant) -> Self {
        Self {
            max_runspaces: max_runspaces.max(1),
            quiet,
            pipelines: HashMap::new(),
            queue: VecDeque::new(),
            background: VecDeque::new(),
            names: HashMap::new(),
            held: HashSet::new(),
            opened: now,
            used: None,
            active: now,
            is_over: false,
            actions: Vec::new(),
        }
    }

    pub const fn max_runspaces(&self) -> usize {
        self.max_runspaces
    }

    pub fn pipeline(&self, id: Uuid) -> Option<&ScheduledPipeline<A>> {
        self.pipelines.get(&id)
    }

    pub fn pipelines(&self) -> impl Iterator<Item = &ScheduledPipeline<A>> {
        self.pipelines.values()
    }

    /// Returns the running pipelines.
    pub fn running(&self) -> impl Iterator<Item = (&Uuid, &ScheduledPipeline<A>)> {
        self.pipelines.iter().filter(|(_, pipeline)| pipeline.is_running())
    }

    /// Returns the number of pipelines waiting for a runspace.
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Returns the start of the current idle time.
    pub const fn active(&self) -> Instant {
        self.active
    }

    /// Returns the number of free runspaces.
    pub fn free_runspaces(&self) -> usize {
        let taken = self.running().filter(|(_, pipeline)| !pipeline.nested).count();
        self.max_runspaces.saturating_sub(taken)
    }

    /// Returns whether any running pipeline's client accepts output.
    pub fn has_reader(&self) -> bool {
        self.running().any(|(_, pipeline)| pipeline.client.is_none_or(|client| !self.held.contains(&client)))
    }

    /// Adds a client; `name` appears in other clients' wait notices.
    pub fn attach(&mut self, client: ClientId, name: String) {
        self.names.insert(client, name);
    }

    /// Removes a detached client: stops and closes its running pipelines and drops its queued ones.
    pub fn detach(&mut self, client: ClientId, now: Instant) -> Vec<SchedulerAction<A>> {
        self.names.remove(&client);
        self.held.remove(&client);
        self.abandon_all(client, now)
    }

    /// Ends all pipelines of a client that has closed its pool.
    pub fn abandon_all(&mut self, client: ClientId, now: Instant) -> Vec<SchedulerAction<A>> {
        self.active = now;
        for id in self.pipelines_of(client, |_| true) {
            self.abandon(id, now);
        }
        self.take()
    }

    /// Pauses or resumes the output of a client's pipelines.
    pub fn flow(&mut self, client: ClientId, wanted: bool) -> Vec<SchedulerAction<A>> {
        let changed = if wanted { self.held.remove(&client) } else { self.held.insert(client) };
        if changed {
            for pipeline in self.pipelines_of(client, ScheduledPipeline::is_running) {
                self.actions.push(SchedulerAction::Flow { pipeline, wanted });
            }
        }
        self.take()
    }

    /// Starts a client's pipeline, or queues it.
    pub fn create(
        &mut self,
        client: ClientId,
        start: Start,
        stream: Stream,
        message: Message,
        ack: A,
        now: Instant,
    ) -> Vec<SchedulerAction<A>> {
        let id = message.pipeline;
        let at_once =
            start.nested || (!start.background && self.queue.is_empty() && self.free_runspaces() > 0);
        let message = Message { body: start.body, ..message };
        // A queued pipeline is acknowledged now, so that its client can send the input.
        let messages = VecDeque::from([(stream, message, at_once.then_some(ack))]);
        let phase = Phase::Queued { since: now, messages, notice: None };
        let pipeline = ScheduledPipeline {
            client: Some(client),
            internal: start.internal || start.background || start.command == "prompt",
            asks_prompt: start.command == "prompt",
            command: start.command,
            nested: start.nested,
            background: start.background,
            stop: Stop::None,
            phase,
        };
        self.pipelines.insert(id, pipeline);
        self.active = now;
        if start.background {
            self.background.push_back(id);
            self.start_background(now);
            return self.take();
        }
        self.used = Some(now);
        if at_once {
            self.start(id, now);
        } else {
            self.queue.push_back(id);
            self.stop_background(now);
        }
        self.take()
    }

    /// Forwards input, or the response to a host call.
    pub fn pass(
        &mut self,
        client: ClientId,
        stream: Stream,
        message: Message,
        ack: A,
    ) -> Vec<SchedulerAction<A>> {
        let pipeline = self.pipelines.get_mut(&message.pipeline).filter(|p| p.client == Some(client));
        match pipeline.map(|pipeline| &mut pipeline.phase) {
            Some(Phase::Queued { messages, .. }) => messages.push_back((stream, message, Some(ack))),
            Some(Phase::Running { .. }) => {
                self.actions.push(SchedulerAction::Forward { stream, message, ack: Some(ack) });
            }
            // The pipeline has ended in the meantime.
            Some(Phase::Ended) | None => {}
        }
        self.take()
    }

    /// Stops a pipeline: immediately if it is queued, else through the endpoint.
    pub fn stop(&mut self, client: ClientId, id: Uuid) -> Vec<SchedulerAction<A>> {
        let pipeline = self.pipelines.get_mut(&id).filter(|pipeline| pipeline.client == Some(client));
        if let Some(pipeline) = pipeline {
            match pipeline.phase {
                Phase::Queued { .. } => {
                    self.leave_queue(id);
                    self.send_stopped(client, id);
                }
                Phase::Running { .. } => {
                    pipeline.stop = Stop::Requested;
                    self.actions.push(SchedulerAction::Flow { pipeline: id, wanted: true });
                    self.actions.push(SchedulerAction::Stop(id));
                    return self.take();
                }
                Phase::Ended => {}
            }
        }
        self.actions.push(SchedulerAction::AcknowledgeStop { client, pipeline: id });
        self.take()
    }

    /// Handles the endpoint's acknowledgement of a stop.
    pub fn stop_acknowledged(&mut self, id: Uuid) -> Vec<SchedulerAction<A>> {
        if let Some(pipeline) = self.pipelines.get_mut(&id) {
            if pipeline.stop == Stop::Requested {
                pipeline.stop = Stop::Acknowledged;
            }
            // Does not wait for the remaining output of a background pipeline: an endpoint that answers
            // object by object takes seconds for it.
            if pipeline.background && pipeline.client.is_none() {
                self.actions.push(SchedulerAction::Close(id));
            }
        }
        self.answer_stop(id);
        self.take()
    }

    /// Closes a pipeline for a client, in any state.
    pub fn close(&mut self, client: ClientId, id: Uuid) -> Vec<SchedulerAction<A>> {
        if let Some(pipeline) = self.pipelines.get_mut(&id).filter(|p| p.client == Some(client)) {
            match pipeline.phase {
                Phase::Queued { .. } => self.leave_queue(id),
                Phase::Running { .. } => {
                    pipeline.client = None;
                    self.actions.push(SchedulerAction::Close(id));
                }
                Phase::Ended => {
                    self.pipelines.remove(&id);
                    self.actions.push(SchedulerAction::Close(id));
                }
            }
        }
        self.actions.push(SchedulerAction::AcknowledgeClose { client, pipeline: id });
        self.take()
    }

    /// Handles a forwarded final state: the runspace is free.
    pub fn ended(&mut self, id: Uuid, now: Instant) -> Vec<SchedulerAction<A>> {
        self.mark_ended(id, now);
        self.take()
    }

    /// Handles a pipeline that the endpoint has closed or aborted. Without a final state, it has failed.
    pub fn lost(&mut self, id: Uuid, failure: ErrorRecord, now: Instant) -> Vec<SchedulerAction<A>> {
        if let Some(pipeline) = self.pipelines.get_mut(&id) {
            // The endpoint will not acknowledge the stop.
            if pipeline.stop == Stop::Requested {
                pipeline.stop = Stop::Acknowledged;
            }
            match (pipeline.client, pipeline.is_running()) {
                (Some(client), true) => {
                    self.send_failed(client, id, failure);
                    self.mark_ended(id, now);
                }
                (Some(_), false) => self.answer_stop(id),
                (None, _) => {
                    self.pipelines.remove(&id);
                    self.advance(now);
                }
            }
        }
        self.take()
    }

    /// Stops the pipelines of a client whose backlog is too long.
    pub fn give_up(&mut self, client: ClientId, now: Instant) -> Vec<SchedulerAction<A>> {
        for id in self.pipelines_of(client, ScheduledPipeline::is_running) {
            let waits = self.pipelines.get(&id).is_some_and(|pipeline| pipeline.stop != Stop::None);
            self.abandon(id, now);
            let text = "the command was stopped: the shell did not read its output";
            self.send_failed(client, id, ErrorRecord::session_failed(text));
            if waits {
                self.actions.push(SchedulerAction::AcknowledgeStop { client, pipeline: id });
            }
        }
        self.take()
    }

    /// Fails all pipelines: the remote pool is gone. The error states whether the command may have run. `unsent`:
    /// pipelines that were forwarded, but not sent.
    pub fn end(&mut self, reason: &str, unsent: &[Uuid]) -> Vec<SchedulerAction<A>> {
        self.is_over = true;
        self.queue.clear();
        self.background.clear();
        for (id, pipeline) in std::mem::take(&mut self.pipelines) {
            if let Some(client) = pipeline.client.filter(|_| !pipeline.is_ended()) {
                let is_unsent = matches!(pipeline.phase, Phase::Queued { .. }) || unsent.contains(&id);
                self.send_failed(
                    client,
                    id,
                    if is_unsent {
                        ErrorRecord::not_run(reason)
                    } else {
                        ErrorRecord::session_failed(format!("{reason}; the command may have run"))
                    },
                );
            }
        }
        self.take()
    }

    /// Returns when the next timed action is due.
    pub fn deadline(&self) -> Option<Instant> {
        let due = |pipeline: &ScheduledPipeline<A>| match &pipeline.phase {
            Phase::Queued { since, notice: None, .. } if !pipeline.background => Some(*since + NOTICE_DELAY),
            Phase::Running { close_at, .. } => *close_at,
            _ => None,
        };
        self.pipelines.values().filter_map(due).chain(self.background_due()).min()
    }

    /// Executes the timed actions that are due.
    pub fn time(&mut self, now: Instant) -> Vec<SchedulerAction<A>> {
        for (id, pipeline) in &mut self.pipelines {
            if let Phase::Running { close_at, .. } = &mut pipeline.phase
                && close_at.is_some_and(|at| at <= now)
            {
                *close_at = None;
                self.actions.push(SchedulerAction::Close(*id));
            }
        }
        self.notify(now);
        self.start_background(now);
        self.take()
    }

    fn take(&mut self) -> Vec<SchedulerAction<A>> {
        std::mem::take(&mut self.actions)
    }

    fn pipelines_of(&self, client: ClientId, is_wanted: impl Fn(&ScheduledPipeline<A>) -> bool) -> Vec<Uuid> {
        let own = |pipeline: &ScheduledPipeline<A>| pipeline.client == Some(client) && is_wanted(pipeline);
        self.pipelines.iter().filter(|(_, pipeline)| own(pipeline)).map(|(id, _)| *id).collect()
    }

    fn start(&mut self, id: Uuid, now: Instant) {
        let Some(pipeline) = self.pipelines.get_mut(&id) else { return };
        let before = std::mem::replace(&mut pipeline.phase, Phase::Running { since: now, close_at: None });
        let client = pipeline.client;
        let Phase::Queued { messages, notice, .. } = before else { return };
        for (stream, message, ack) in messages {
            self.actions.push(SchedulerAction::Forward { stream, message, ack });
        }
        let Some(client) = client else { return };
        if self.held.contains(&client) {
            self.actions.push(SchedulerAction::Flow { pipeline: id, wanted: false });
        }
        if let Some(status) = notice {
            self.actions.push(SchedulerAction::Progress {
                client,
                pipeline: id,
                record: wait_notice(status, true),
            });
        }
    }

    /// Acknowledges the client's stop after the endpoint's acknowledgement and the final state.
    fn answer_stop(&mut self, id: Uuid) {
        let done = |p: &&mut ScheduledPipeline<A>| p.stop == Stop::Acknowledged && p.is_ended();
        let Some(pipeline) = self.pipelines.get_mut(&id).filter(done) else { return };
        pipeline.stop = Stop::None;
        if let Some(client) = pipeline.client {
            self.actions.push(SchedulerAction::AcknowledgeStop { client, pipeline: id });
        }
    }

    fn mark_ended(&mut self, id: Uuid, now: Instant) {
        self.active = now;
        let Some(pipeline) = self.pipelines.get_mut(&id) else { return };
        pipeline.phase = Phase::Ended;
        if !pipeline.background {
            self.used = Some(now);
        }
        if pipeline.client.is_some() {
            self.answer_stop(id);
        } else {
            self.pipelines.remove(&id);
            self.actions.push(SchedulerAction::Close(id));
        }
        self.advance(now);
    }

    fn send_failed(&mut self, client: ClientId, pipeline: Uuid, error: ErrorRecord) {
        let error = Box::new(error);
        self.actions.push(SchedulerAction::End { client, pipeline, state: PipelineState::Failed, error });
    }

    fn send_stopped(&mut self, client: ClientId, pipeline: Uuid) {
        let error = Box::new(ErrorRecord::pipeline_stopped());
        self.actions.push(SchedulerAction::End { client, pipeline, state: PipelineState::Stopped, error });
    }

    /// Detaches a pipeline from its client: drops a queued pipeline, and stops a running one on the endpoint.
    fn abandon(&mut self, id: Uuid, now: Instant) {
        let Some(pipeline) = self.pipelines.get_mut(&id) else { return };
        pipeline.client = None;
        match &mut pipeline.phase {
            Phase::Queued { .. } => self.leave_queue(id),
            Phase::Running { close_at, .. } => {
                *close_at = Some(now + STOP_TIMEOUT);
                self.actions.push(SchedulerAction::Flow { pipeline: id, wanted: true });
                self.actions.push(SchedulerAction::Stop(id));
            }
            Phase::Ended => {
                self.pipelines.remove(&id);
                self.actions.push(SchedulerAction::Close(id));
            }
        }
    }

    fn leave_queue(&mut self, id: Uuid) {
        self.pipelines.remove(&id);
        self.queue.retain(|queued| *queued != id);
        self.background.retain(|queued| *queued != id);
    }

    /// Starts the queued pipelines for which a runspace is free.
    fn advance(&mut self, now: Instant) {
        while !self.is_over && self.free_runspaces() > 0 {
            let Some(id) = self.queue.pop_front() else { break };
            self.start(id, now);
        }
        self.start_background(now);
        self.notify(now);
    }

    /// Starts the first background pipeline if no other pipeline runs or waits.
    fn start_background(&mut self, now: Instant) {
        if self.background_due().is_some_and(|due| due <= now)
            && let Some(id) = self.background.pop_front()
        {
            self.start(id, now);
        }
    }

    /// Returns when the next background pipeline may start.
    fn background_due(&self) -> Option<Instant> {
        let free = !self.background.is_empty() && self.queue.is_empty() && self.free_runspaces() > 0;
        let idle = self.running().all(|(_, pipeline)| pipeline.background);
        (!self.is_over && free && idle).then(|| self.used.map_or(self.opened, |used| used + self.quiet))
    }

    /// Stops the running background pipelines: a shell's pipeline needs the runspace. Their clients are
    /// notified immediately.
    fn stop_background(&mut self, now: Instant) {
        let running = self.running().filter(|(_, pipeline)| pipeline.background);
        let running: Vec<_> = running.filter_map(|(id, pipeline)| Some((*id, pipeline.client?))).collect();
        for (id, client) in running {
            tracing::debug!(%id, "a background pipeline gives way");
            self.send_stopped(client, id);
            self.abandon(id, now);
        }
    }

    /// Sends the wait notice of every queued pipeline whose notice is due or has changed.
    fn notify(&mut self, now: Instant) {
        for id in self.queue.iter().copied().collect::<Vec<_>>() {
            let Some(client) = self.pipelines.get(&id).and_then(|pipeline| pipeline.client) else {
                continue;
            };
            let status = self.wait_reason(client);
            let phase = self.pipelines.get_mut(&id).map(|pipeline| &mut pipeline.phase);
            let Some(Phase::Queued { since, notice, .. }) = phase else { continue };
            if *since + NOTICE_DELAY <= now && notice.as_ref() != Some(&status) {
                *notice = Some(status.clone());
                self.actions.push(SchedulerAction::Progress {
                    client,
                    pipeline: id,
                    record: wait_notice(status, false),
                });
            }
        }
    }

    /// Returns the reason why a queued pipeline of `client` waits: the pipeline that has been running longest.
    fn wait_reason(&self, client: ClientId) -> String {
        let running = self.pipelines.values().filter(|pipeline| !pipeline.nested);
        let running = running.filter_map(|pipeline| Some((pipeline.since()?, pipeline)));
        let Some((_, pipeline)) = running.min_by_key(|(since, _)| *since) else {
            return "the endpoint is busy".into();
        };
        let command = &pipeline.command;
        match pipeline.client.and_then(|id| Some((id, self.names.get(&id)?))) {
            Some((id, _)) if id == client => format!("{command} of this shell is running"),
            Some((_, other)) => format!("{command} of {other} is running"),
            None => format!("{command} of a detached shell is being stopped"),
        }
    }
}

fn wait_notice(status: String, completed: bool) -> ProgressRecord {
    ProgressRecord {
        activity: "Waiting for the session".into(),
        activity_id: NOTICE_ID,
        parent_id: -1,
        status,
        current_operation: None,
        percent: -1,
        seconds_remaining: -1,
        completed,
    }
}

#[cfg(test)]
mod tests;
