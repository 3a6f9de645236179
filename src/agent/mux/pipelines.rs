//! Who runs, who waits for a runspace, and what the one who waits is told.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::core::{ClientId, Core};
use super::remote::{failure, stopped};
use super::rewrite::Start;
use crate::psrp::client::Stream;
use crate::psrp::message::Message;
use crate::psrp::record::{PipelineState, ProgressRecord};
use crate::transport::Request;
use crate::transport::stream::Ack;

/// How long a pipeline waits before its shell is told what for.
const NOTICE: Duration = Duration::from_millis(500);
/// How long a pipeline whose shell is gone may take to stop before it is closed as it is.
const STOP: Duration = Duration::from_secs(5);
/// The progress record's id: far from those that cmdlets choose.
const NOTICE_ID: i32 = 0x6C79_6E63;

/// A pipeline of some client.
pub struct Pipeline {
    /// `None`: its client is gone, or done with it; what it says is passed over.
    pub client: Option<ClientId>,
    /// What it runs, as a person would say.
    pub command: String,
    nested: bool,
    /// Whether it gives way to every other.
    pub background: bool,
    /// Whether it asks for the prompt, as PowerShell does in a session that it has entered.
    pub asks_prompt: bool,
    stop: Stop,
    phase: Phase,
}

/// A stop that the client has asked of the endpoint. It is answered after the final state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    None,
    Asked,
    Acknowledged,
}

enum Phase {
    Queued {
        since: Instant,
        /// CREATE_PIPELINE, and what came after it.
        backlog: VecDeque<(Stream, Message, Option<Ack>)>,
        /// What its shell was told last.
        notice: Option<String>,
    },
    Running {
        since: Instant,
        /// When it is closed though it has not ended.
        close_at: Option<Instant>,
    },
    /// Its final state was passed on; its client's Close is outstanding.
    Ended,
}

impl Pipeline {
    pub fn is_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended)
    }

    /// Since when it has run on the endpoint.
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

impl Core {
    /// Pipelines on the endpoint that have not ended.
    pub fn running(&self) -> impl Iterator<Item = (&Uuid, &Pipeline)> {
        self.pipelines.iter().filter(|(_, pipeline)| pipeline.is_running())
    }

    /// Runspaces that nothing runs in.
    pub fn free_runspaces(&self) -> usize {
        let taken = self.running().filter(|(_, pipeline)| !pipeline.nested).count();
        self.options.max_runspaces.saturating_sub(taken)
    }

    /// Starts a client's pipeline, or queues it.
    pub fn create(&mut self, client: ClientId, start: Start, stream: Stream, message: Message, ack: Ack) {
        let id = message.pipeline;
        let at_once =
            start.nested || (!start.background && self.queue.is_empty() && self.free_runspaces() > 0);
        let message = Message { body: start.body, ..message };
        // A pipeline that waits is in order here, and its client may go on to its input.
        let backlog = VecDeque::from([(stream, message, at_once.then_some(ack))]);
        let phase = Phase::Queued { since: Instant::now(), backlog, notice: None };
        let pipeline = Pipeline {
            client: Some(client),
            asks_prompt: start.command == "prompt",
            command: start.command,
            nested: start.nested,
            background: start.background,
            stop: Stop::None,
            phase,
        };
        self.pipelines.insert(id, pipeline);
        self.active = Instant::now();
        if start.background {
            self.background.push_back(id);
            return self.start_background(Instant::now());
        }
        self.used();
        if at_once {
            self.start(id);
        } else {
            self.queue.push_back(id);
            self.give_way();
        }
    }

    pub fn start(&mut self, id: Uuid) {
        let Some(pipeline) = self.pipelines.get_mut(&id) else { return };
        let running = Phase::Running { since: Instant::now(), close_at: None };
        let before = std::mem::replace(&mut pipeline.phase, running);
        let client = pipeline.client;
        let Phase::Queued { backlog, notice, .. } = before else { return };
        for (stream, message, ack) in backlog {
            self.forward(stream, message, ack);
        }
        let Some(client) = client else { return };
        if self.clients.get(&client).is_some_and(|client| client.backlog.is_held()) {
            self.outbox.push_back(Request::Flow { pipeline: id, wanted: false });
        }
        if let Some(status) = notice {
            self.say(client, |client| client.server.progress(id, &waiting(status, true)));
        }
    }

    /// Input, or an answer to a host call.
    pub fn pass(&mut self, client: ClientId, stream: Stream, message: Message, ack: Ack) {
        let pipeline = self.pipelines.get_mut(&message.pipeline).filter(|p| p.client == Some(client));
        match pipeline.map(|pipeline| &mut pipeline.phase) {
            Some(Phase::Queued { backlog, .. }) => backlog.push_back((stream, message, Some(ack))),
            Some(Phase::Running { .. }) => self.forward(stream, message, Some(ack)),
            // Its pipeline has ended meanwhile: nothing waits for it any more.
            Some(Phase::Ended) | None => {}
        }
    }

    /// Stop: at once where the pipeline waits, else the endpoint is asked.
    pub fn stop(&mut self, client: ClientId, id: Uuid) {
        let pipeline = self.pipelines.get_mut(&id).filter(|pipeline| pipeline.client == Some(client));
        if let Some(pipeline) = pipeline {
            match pipeline.phase {
                Phase::Queued { .. } => {
                    self.leave_queue(id);
                    self.say(client, |client| {
                        client.server.pipeline_state(id, PipelineState::Stopped, Some(&stopped()));
                    });
                }
                Phase::Running { .. } => {
                    pipeline.stop = Stop::Asked;
                    self.outbox.push_back(Request::Flow { pipeline: id, wanted: true });
                    self.outbox.push_back(Request::Stop(id));
                    return;
                }
                Phase::Ended => {}
            }
        }
        if let Some(client) = self.clients.get(&client) {
            client.signal_ack(id);
        }
    }

    /// The endpoint has acknowledged a stop.
    pub fn stop_acknowledged(&mut self, id: Uuid) {
        if let Some(pipeline) = self.pipelines.get_mut(&id).filter(|p| p.stop == Stop::Asked) {
            pipeline.stop = Stop::Acknowledged;
            self.answer_stop(id);
        }
        self.drop_background(id);
    }

    /// Tells the client that its stop is done, once the endpoint and the final state have said so.
    fn answer_stop(&mut self, id: Uuid) {
        let done = |p: &&mut Pipeline| p.stop == Stop::Acknowledged && p.is_ended();
        let Some(pipeline) = self.pipelines.get_mut(&id).filter(done) else { return };
        pipeline.stop = Stop::None;
        if let Some(client) = pipeline.client.and_then(|client| self.clients.get(&client)) {
            client.signal_ack(id);
        }
    }

    /// A client is done with a pipeline, whatever that does.
    pub fn close_pipeline(&mut self, client: ClientId, id: Uuid) {
        if let Some(pipeline) = self.pipelines.get_mut(&id).filter(|p| p.client == Some(client)) {
            match pipeline.phase {
                Phase::Queued { .. } => self.leave_queue(id),
                Phase::Running { .. } => {
                    pipeline.client = None;
                    self.outbox.push_back(Request::ClosePipeline(id));
                }
                Phase::Ended => {
                    self.pipelines.remove(&id);
                    self.outbox.push_back(Request::ClosePipeline(id));
                }
            }
        }
        if let Some(client) = self.clients.get(&client) {
            client.close_ack(id);
        }
    }

    /// The final state was passed on: the runspace is free.
    pub fn ended(&mut self, id: Uuid) {
        self.active = Instant::now();
        let Some(pipeline) = self.pipelines.get_mut(&id) else { return };
        pipeline.phase = Phase::Ended;
        if !pipeline.background {
            self.used = Some(self.active);
        }
        if pipeline.client.is_some() {
            self.answer_stop(id);
        } else {
            self.pipelines.remove(&id);
            self.outbox.push_back(Request::ClosePipeline(id));
        }
        self.advance();
    }

    /// The endpoint has closed a pipeline, or it could not go on. One that had not ended has failed.
    pub fn lost(&mut self, id: Uuid, reason: &str) {
        let Some(pipeline) = self.pipelines.get_mut(&id) else { return };
        // No answer to a stop comes any more.
        if pipeline.stop == Stop::Asked {
            pipeline.stop = Stop::Acknowledged;
        }
        match (pipeline.client, pipeline.is_running()) {
            (Some(client), true) => {
                self.fail(client, id, reason);
                self.ended(id);
            }
            (Some(_), false) => self.answer_stop(id),
            (None, _) => {
                self.pipelines.remove(&id);
                self.advance();
            }
        }
    }

    fn fail(&mut self, client: ClientId, id: Uuid, reason: &str) {
        self.say(client, |client| {
            client.server.pipeline_state(id, PipelineState::Failed, Some(&failure(reason)));
        });
    }

    /// The remote pool is gone: everything that ran or waited has failed. Whether it was done is said
    /// where it is known.
    pub fn fail_all(&mut self) {
        let reason = self.end_reason();
        for (id, pipeline) in std::mem::take(&mut self.pipelines) {
            if let Some(client) = pipeline.client.filter(|_| !pipeline.is_ended()) {
                let done = match pipeline.phase {
                    Phase::Queued { .. } => "this command was not run",
                    Phase::Running { .. } | Phase::Ended => "the command may have run",
                };
                self.fail(client, id, &format!("{reason}; {done}"));
            }
        }
    }

    /// A client has too much to read: what it runs is given up.
    pub fn give_up(&mut self, client: ClientId) {
        let own = self.running().filter(|(_, pipeline)| pipeline.client == Some(client));
        for id in own.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.abandon(id);
            self.fail(client, id, "the shell did not read what this command said, and it was stopped");
        }
    }

    /// A client is gone: what it runs is stopped and closed, what it waits for is forgotten.
    pub fn abandon_pipelines(&mut self, client: ClientId) {
        let own = self.pipelines.iter().filter(|(_, pipeline)| pipeline.client == Some(client));
        for id in own.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.abandon(id);
        }
    }

    pub fn abandon(&mut self, id: Uuid) {
        let Some(pipeline) = self.pipelines.get_mut(&id) else { return };
        pipeline.client = None;
        match &mut pipeline.phase {
            Phase::Queued { .. } => self.leave_queue(id),
            Phase::Running { close_at, .. } => {
                *close_at = Some(Instant::now() + STOP);
                self.outbox.push_back(Request::Flow { pipeline: id, wanted: true });
                self.outbox.push_back(Request::Stop(id));
            }
            Phase::Ended => {
                self.pipelines.remove(&id);
                self.outbox.push_back(Request::ClosePipeline(id));
            }
        }
    }

    fn leave_queue(&mut self, id: Uuid) {
        self.pipelines.remove(&id);
        self.queue.retain(|queued| *queued != id);
        self.background.retain(|queued| *queued != id);
    }

    /// Starts what has waited longest where a runspace is free.
    fn advance(&mut self) {
        while self.is_open() && self.free_runspaces() > 0 {
            let Some(id) = self.queue.pop_front() else { break };
            self.start(id);
        }
        self.start_background(Instant::now());
        self.notify(Instant::now());
    }

    pub fn pipelines_deadline(&self) -> Option<Instant> {
        let due = |pipeline: &Pipeline| match &pipeline.phase {
            Phase::Queued { since, notice: None, .. } if !pipeline.background => Some(*since + NOTICE),
            Phase::Running { close_at, .. } => *close_at,
            _ => None,
        };
        self.pipelines.values().filter_map(due).min()
    }

    pub fn pipelines_time(&mut self, now: Instant) {
        for (id, pipeline) in &mut self.pipelines {
            if let Phase::Running { close_at, .. } = &mut pipeline.phase
                && close_at.is_some_and(|at| at <= now)
            {
                *close_at = None;
                self.outbox.push_back(Request::ClosePipeline(*id));
            }
        }
        self.notify(now);
    }

    /// Tells every pipeline that has waited for a while what it waits for, where that has changed.
    fn notify(&mut self, now: Instant) {
        for id in self.queue.iter().copied().collect::<Vec<_>>() {
            let Some(client) = self.pipelines.get(&id).and_then(|pipeline| pipeline.client) else {
                continue;
            };
            let status = self.obstacle(client);
            let phase = self.pipelines.get_mut(&id).map(|pipeline| &mut pipeline.phase);
            let Some(Phase::Queued { since, notice, .. }) = phase else { continue };
            if *since + NOTICE <= now && notice.as_ref() != Some(&status) {
                *notice = Some(status.clone());
                self.say(client, |client| client.server.progress(id, &waiting(status, false)));
            }
        }
    }

    /// What runs longest, as `client` is told.
    fn obstacle(&self, client: ClientId) -> String {
        let running = self.pipelines.values().filter(|pipeline| !pipeline.nested);
        let running = running.filter_map(|pipeline| Some((pipeline.since()?, pipeline)));
        let Some((_, pipeline)) = running.min_by_key(|(since, _)| *since) else {
            return "the endpoint is busy".into();
        };
        let command = &pipeline.command;
        match pipeline.client.and_then(|id| Some((id, self.clients.get(&id)?))) {
            Some((id, _)) if id == client => format!("{command} of this shell is running"),
            Some((_, other)) => format!("{command} of {} is running", other.info),
            None => format!("{command} of a shell that has gone is being stopped"),
        }
    }
}

fn waiting(status: String, completed: bool) -> ProgressRecord {
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
