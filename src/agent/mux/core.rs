//! The task of one session. Owns the remote connection, the clients and the scheduler; never blocks on one of
//! them.

use std::collections::{BTreeMap, VecDeque};

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use uuid::Uuid;

use super::client::{Client, Kind, Phase};
use super::control::Control;
use super::key::{KeyAction, KeyExchange};
use super::open::Remote;
use super::options::Options;
use super::pool::PoolCalls;
use super::rewrite;
use super::scheduler::{Scheduler, SchedulerAction};
use super::status::{ClientId, ClientInfo, ClientStatus, Count, Counters, State, Status};
use crate::psrp::client::ClientPool;
use crate::psrp::clixml::Value;
use crate::psrp::key::{KeyError, KeyPair};
use crate::psrp::message::{Destination, Message, MessageType, Outgoing, Stream};
use crate::screen::{Colour, clean};
use crate::transport::backpressure::{self, PAUSE_AT, Pressure};
use crate::transport::stream::{Ack, Incoming, Server};
use crate::transport::{Connection, ConnectionEvent, ConnectionRequest, sleep_until};

/// The task of one session: it owns the clients and the connection, and dispatches.
///
/// [`Scheduler`] decides which pipelines run, [`KeyExchange`] distributes the session key, and [`PoolCalls`]
/// routes the pool's host calls; they return actions for the core to execute. Only [`spawn`]'s loop drives
/// the core, one event at a time. The core never waits for a client: unread output is queued within the
/// limits of [`backpressure`].
pub struct Core {
    pub(super) options: Options,
    pub(super) pool: ClientPool,
    pub(super) private_data: Value,
    connection: Connection,
    /// Whether the connection has delivered its last event.
    ended: bool,
    /// Requests that the connection has not accepted yet.
    outbox: VecDeque<ConnectionRequest>,
    pub(super) clients: BTreeMap<ClientId, Client>,
    pub(super) scheduler: Scheduler<Ack>,
    pub(super) key: KeyExchange<Ack>,
    pub(super) pool_calls: PoolCalls,
    pub(super) counters: Counters,
    /// Time of the last keep-alive.
    kept_alive: Instant,
    next_client: ClientId,
    from_clients: mpsc::Sender<(ClientId, Incoming)>,
    /// Sender for the results of subtasks.
    pub(super) reports: mpsc::Sender<Control>,
    count: watch::Sender<Count>,
    state: watch::Sender<State>,
}

/// Input of one step of the task.
enum CoreInput {
    Writable(Option<mpsc::OwnedPermit<ConnectionRequest>>),
    Remote(Option<ConnectionEvent>),
    Client(ClientId, Incoming),
    Control(Option<Control>),
    Time,
}

/// Starts the task. It ends and closes the remote pool when the last [`Mux`](super::Mux) is dropped.
pub fn spawn(
    remote: Remote,
    options: Options,
    mut controls: mpsc::Receiver<Control>,
    count: watch::Sender<Count>,
    state: watch::Sender<State>,
) {
    let (from_clients, mut incoming) = mpsc::channel(16);
    let (reports, mut reported) = mpsc::channel(16);
    let now = Instant::now();
    let mut core = Core {
        pool: remote.pool,
        private_data: remote.private_data,
        connection: remote.connection,
        ended: false,
        outbox: VecDeque::new(),
        clients: BTreeMap::new(),
        scheduler: Scheduler::new(options.max_runspaces, options.quiet, now),
        key: KeyExchange::default(),
        pool_calls: PoolCalls::default(),
        counters: Counters::default(),
        kept_alive: now,
        next_client: 0,
        from_clients,
        reports,
        count,
        state,
        options,
    };
    remote.calls.into_iter().for_each(|call| core.pool_host_call(&call));
    tokio::spawn(async move { while core.step(&mut incoming, &mut controls, &mut reported).await {} });
}

impl Core {
    /// Handles the next input. Returns `false` when the last [`Mux`](super::Mux) is dropped.
    async fn step(
        &mut self,
        incoming: &mut mpsc::Receiver<(ClientId, Incoming)>,
        controls: &mut mpsc::Receiver<Control>,
        reported: &mut mpsc::Receiver<Control>,
    ) -> bool {
        let reads = self.reads();
        let deadline = self.deadline();
        let writes = !self.outbox.is_empty();
        let input = tokio::select! {
            permit = self.connection.requests.clone().reserve_owned(), if writes =>
                CoreInput::Writable(permit.ok()),
            event = self.connection.events.recv(), if reads && !self.ended => CoreInput::Remote(event),
            Some((client, next)) = incoming.recv() => CoreInput::Client(client, next),
            control = controls.recv() => CoreInput::Control(control),
            Some(report) = reported.recv() => CoreInput::Control(Some(report)),
            () = sleep_until(deadline) => CoreInput::Time,
        };
        match input {
            CoreInput::Writable(Some(permit)) => {
                if let Some(request) = self.outbox.pop_front() {
                    if let ConnectionRequest::Send { outgoing, .. } = &request {
                        self.counters.sent += outgoing.message.size();
                        self.counters.pipelines += u64::from(outgoing.message.kind.starts_pipeline());
                    }
                    permit.send(request);
                }
            }
            // The connection's last event contains the reason.
            CoreInput::Writable(None) => self.outbox.clear(),
            CoreInput::Remote(Some(event)) => self.remote(event),
            CoreInput::Remote(None) => {
                self.ended = true;
                self.broken("the connection to the endpoint was lost", Vec::new());
            }
            CoreInput::Client(client, next) => self.incoming(client, next),
            CoreInput::Control(Some(control)) => self.control(control),
            CoreInput::Control(None) => return false,
            CoreInput::Time => self.time(Instant::now()),
        }
        self.report_count();
        true
    }

    /// Returns whether to read from the endpoint: not while a client's backlog is too long, unless a pipeline
    /// of another client, or the key exchange, would be blocked.
    fn reads(&self) -> bool {
        !self.is_open()
            || backpressure::reads(self.clients.values().map(Client::unread), || {
                self.key.is_exchanging() || self.scheduler.has_reader()
            })
    }

    pub fn is_open(&self) -> bool {
        *self.state.borrow() == State::Open
    }

    /// Returns why the session has ended.
    pub fn end_reason(&self) -> String {
        match &*self.state.borrow() {
            State::Broken(reason) => reason.clone(),
            State::Open | State::Closed => "the session was ended".into(),
        }
    }

    fn control(&mut self, control: Control) {
        match control {
            Control::Attach(server, info, kind) => self.attach(server, info, kind),
            Control::Status(reply) => drop(reply.send(self.status())),
            Control::Close(reply) => {
                if self.is_open() {
                    self.end(State::Closed, Vec::new());
                }
                self.outbox.push_back(ConnectionRequest::Close(reply));
            }
            Control::Drained(id) => self.drained(id),
            Control::Answer(id) => self.answer_client(id),
            Control::Pair(pair) => {
                let actions = self.key.pair_made(pair);
                self.exchange(actions);
            }
        }
    }

    fn attach(&mut self, server: Server, info: ClientInfo, kind: Kind) {
        let id = self.next_client;
        self.next_client += 1;
        tracing::debug!(client = id, ?info, "a shell attaches");
        let client =
            Client::new(id, server, (info, kind), self.private_data.clone(), self.from_clients.clone());
        self.scheduler.attach(id, client.info.to_string());
        self.clients.insert(id, client);
    }

    /// Executes the scheduler's actions.
    pub fn act(&mut self, actions: Vec<SchedulerAction<Ack>>) {
        for action in actions {
            match action {
                SchedulerAction::Forward { stream, message, ack } => self.forward(stream, message, ack),
                SchedulerAction::Flow { pipeline, wanted } => {
                    self.outbox.push_back(ConnectionRequest::Flow { pipeline, wanted });
                }
                SchedulerAction::Stop(pipeline) => self.outbox.push_back(ConnectionRequest::Stop(pipeline)),
                SchedulerAction::Close(pipeline) => {
                    self.outbox.push_back(ConnectionRequest::ClosePipeline(pipeline));
                }
                SchedulerAction::Progress { client, pipeline, record } => {
                    self.send_to(client, |client| client.server.progress(pipeline, &record));
                }
                SchedulerAction::End { client, pipeline, state, error } => {
                    self.send_to(client, |client| {
                        client.server.pipeline_state(pipeline, state, Some(&error));
                    });
                }
                SchedulerAction::AcknowledgeStop { client, pipeline } => {
                    self.clients.get(&client).into_iter().for_each(|client| client.signal_ack(pipeline));
                }
                SchedulerAction::AcknowledgeClose { client, pipeline } => {
                    self.clients.get(&client).into_iter().for_each(|client| client.close_ack(pipeline));
                }
            }
        }
    }

    /// Executes the key exchange's actions.
    pub fn exchange(&mut self, actions: Vec<KeyAction<Ack>>) {
        for action in actions {
            match action {
                KeyAction::MakePair => {
                    let reports = self.reports.clone();
                    tokio::spawn(async move {
                        let made = tokio::task::spawn_blocking(KeyPair::generate).await;
                        let pair = made.unwrap_or_else(|error| Err(KeyError(error.to_string())));
                        let _ = reports.send(Control::Pair(pair)).await;
                    });
                }
                KeyAction::SendPublicKey(public) => {
                    let body = rewrite::body_of(vec![("PublicKey", Value::String(public))]);
                    let (destination, kind) = (Destination::Server, MessageType::PublicKey);
                    let (pool, pipeline) = (self.pool.id(), Uuid::nil());
                    let message = Message { destination, kind, pool, pipeline, body };
                    self.forward(Stream::Default, message, None);
                }
                KeyAction::Give { client: id, sealed, ack } => {
                    if let Some(client) = self.clients.get_mut(&id) {
                        client.give_key(sealed);
                        if client.backlog.is_held() {
                            self.watch(id);
                        }
                    }
                    drop(ack);
                }
                KeyAction::Refuse { client, reason, ack } => {
                    self.refuse_for(client, &reason);
                    drop(ack);
                }
            }
        }
    }

    /// Notifies the task when a client has read its backlog.
    fn watch(&self, id: ClientId) {
        let Some(client) = self.clients.get(&id) else { return };
        let reports = self.reports.clone();
        client.watch(move || async move {
            let _ = reports.send(Control::Drained(id)).await;
        });
    }

    /// Sends a message to the endpoint under the remote pool id; the client's Data is acknowledged when the
    /// endpoint has it in order.
    pub fn forward(&mut self, stream: Stream, mut message: Message, ack: Option<Ack>) {
        message.pool = self.pool.id();
        message.destination = Destination::Server;
        let outgoing = Outgoing { stream, message };
        let ordered = ack.map(|ack| {
            let (ordered, done) = oneshot::channel();
            tokio::spawn(async move {
                // Dropped without an answer: the pipeline or the session has ended, and the client is about
                // to be notified. In both cases the client need not wait.
                let _ = done.await;
                drop(ack);
            });
            ordered
        });
        self.outbox.push_back(ConnectionRequest::Send { outgoing, ordered });
    }

    /// Queues a message for a client, and throttles its pipelines if its backlog is too long.
    pub fn deliver(&mut self, id: ClientId, message: Message) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        client.deliver(message);
        self.throttle(id);
    }

    /// Sends the agent's own messages to a client.
    pub fn send_to(&mut self, id: ClientId, compose: impl FnOnce(&mut Client)) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        compose(client);
        client.flush();
        self.throttle(id);
    }

    /// Throttles or stops a client's pipelines if the client's backlog is too long.
    fn throttle(&mut self, id: ClientId) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        match client.backlog.note(client.unread()) {
            Pressure::Unchanged => {}
            Pressure::Hold => {
                self.watch(id);
                let actions = self.scheduler.flow(id, false);
                self.act(actions);
            }
            Pressure::Lost => {
                let actions = self.scheduler.give_up(id, Instant::now());
                self.act(actions);
            }
        }
    }

    fn drained(&mut self, id: ClientId) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        if client.unread() < PAUSE_AT {
            client.backlog.release();
            let actions = self.scheduler.flow(id, true);
            self.act(actions);
        } else if !client.withholds() {
            self.watch(id);
        }
    }

    /// Detaches a client: ends its pipelines, here and on the endpoint.
    pub fn detach(&mut self, id: ClientId) {
        if self.clients.remove(&id).is_some() {
            tracing::debug!(client = id, "a shell is gone");
            let actions = self.scheduler.detach(id, Instant::now());
            self.act(actions);
            self.abandon_pool_calls(id);
            self.key.forget(id);
        }
    }

    /// Ends all clients' pipelines and pools: the remote pool is gone. `unsent`: pipelines that the connection has
    /// certainly not sent.
    pub fn broken(&mut self, reason: &str, unsent: Vec<Uuid>) {
        if self.is_open() {
            tracing::warn!(reason, "the session is broken");
            // Shells write the reason to their terminals unfiltered.
            self.end(State::Broken(clean(reason, Colour::Drop).into_string()), unsent);
        }
    }

    fn end(&mut self, state: State, mut unsent: Vec<Uuid>) {
        self.state.send_replace(state);
        unsent.extend(self.outbox.drain(..).filter_map(|request| request.started()));
        let reason = self.end_reason();
        let actions = self.scheduler.end(&reason, &unsent);
        self.act(actions);
        let ids: Vec<_> = self.clients.keys().copied().collect();
        for id in ids {
            self.refuse(id);
        }
    }

    fn report_count(&self) {
        let shells = self.clients.values().filter(|client| client.kind == Kind::Shell);
        let streams = shells.clone().count();
        let connected = shells.filter(|client| client.phase != Phase::Closed).count();
        let opened = self.clients.values().filter(|client| client.is_open_shell()).count();
        self.count.send_if_modified(|count| {
            let before = (count.connected, count.streams, count.opened);
            let changed = before != (connected, streams, opened);
            count.ever_opened += opened.saturating_sub(count.opened) as u64;
            count.connected = connected;
            count.streams = streams;
            count.opened = opened;
            changed
        });
    }

    fn status(&self) -> Status {
        let commands = |id: ClientId| {
            let own = self.scheduler.pipelines().filter(move |p| p.client == Some(id));
            let own = own.filter(|pipeline| !pipeline.is_ended() && !pipeline.background);
            own.map(|pipeline| pipeline.command.clone()).collect()
        };
        let running = self.scheduler.running().count();
        let shells = self.clients.iter().filter(|(_, client)| client.kind == Kind::Shell);
        let clients = shells.map(|(id, client)| ClientStatus {
            info: client.info.clone(),
            attached: client.since.elapsed(),
            commands: commands(*id),
            unread: client.unread(),
        });
        Status {
            clients: clients.collect(),
            idle: if running == 0 { self.scheduler.active().elapsed() } else { std::time::Duration::ZERO },
            running,
            queued: self.scheduler.queued(),
            counters: self.counters,
        }
    }

    /// Returns when the next timed action is due.
    fn deadline(&self) -> Option<Instant> {
        let limited = self.clients.values().filter_map(|client| client.until).min();
        let due = [limited, self.scheduler.deadline(), self.keep_alive_due()];
        due.into_iter().flatten().min()
    }

    fn time(&mut self, now: Instant) {
        let late = |client: &Client| client.until.is_some_and(|until| until <= now);
        let late: Vec<_> = self.clients.iter().filter(|(_, c)| late(c)).map(|(id, _)| *id).collect();
        late.into_iter().for_each(|id| self.detach(id));
        let actions = self.scheduler.time(now);
        self.act(actions);
        if self.keep_alive_due().is_some_and(|due| due <= now) {
            self.kept_alive = now;
            self.pool.get_available_runspaces();
            self.send_own();
        }
    }

    /// Returns when the next keep-alive is due: only a session that is idle and has an attached shell needs one.
    fn keep_alive_due(&self) -> Option<Instant> {
        let interval = self.options.keep_alive?;
        let idle = self.scheduler.running().next().is_none();
        (self.is_open() && idle && self.clients.values().any(Client::is_open_shell))
            .then(|| self.scheduler.active().max(self.kept_alive) + interval)
    }

    /// Sends the agent's own messages to the endpoint.
    pub fn send_own(&mut self) {
        for outgoing in self.pool.take_outgoing() {
            self.outbox.push_back(ConnectionRequest::Send { outgoing, ordered: None });
        }
    }
}
