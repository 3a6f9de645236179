//! The task that owns everything: the remote connection, the clients, and what runs for whom. It
//! never waits for one of them alone.

use std::collections::{BTreeMap, HashMap, VecDeque};

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use uuid::Uuid;

use super::Options;
use super::client::{Client, Kind, Phase};
use super::key::{KeyState, Pair};
use super::open::Remote;
use super::pipelines::Pipeline;
use super::status::{ClientInfo, ClientStatus, Count, State, Status};
use crate::psrp::client::{ClientPool, Stream};
use crate::psrp::clixml::Value;
use crate::psrp::message::{Destination, Message};
use crate::transport::backpressure::{self, HOLD, Pressure};
use crate::transport::stream::{Ack, Incoming, Server};
use crate::transport::{Connection, Error, Event, Request};

/// Clients are numbered in the order in which they attached.
pub type ClientId = u64;

/// What the agent asks of its task, or a part of the task of another.
#[derive(Debug)]
pub enum Control {
    Attach(Server, ClientInfo, Kind),
    Status(oneshot::Sender<Status>),
    Close(oneshot::Sender<Result<(), Error>>),
    /// A client has read most of what waited for it.
    Drained(ClientId),
    /// A client that has asked for its pool gets its answer now.
    Answer(ClientId),
    /// The key pair for the exchange with the endpoint was made.
    Pair(Pair),
}

pub struct Core {
    pub options: Options,
    pub pool: ClientPool,
    pub private_data: Value,
    connection: Connection,
    /// Whether the connection has said its last.
    ended: bool,
    /// Requests that the connection has not taken yet.
    pub outbox: VecDeque<Request>,
    pub clients: BTreeMap<ClientId, Client>,
    pub pipelines: HashMap<Uuid, Pipeline>,
    /// Pipelines that wait for a runspace, the first of them first.
    pub queue: VecDeque<Uuid>,
    /// Those that run while nothing else does, the first of them first.
    pub background: VecDeque<Uuid>,
    /// When a shell's pipeline came or ended last.
    pub used: Option<Instant>,
    pub opened: Instant,
    pub key: KeyState,
    /// Host calls of the pool whose answer is outstanding, by call id.
    pub pool_calls: HashMap<i64, super::pool::PoolCall>,
    /// What the pool's host was to write while no shell was there.
    pub unheard: VecDeque<Message>,
    /// Since when nothing has run, and nobody has asked for anything.
    pub active: Instant,
    /// When the session was last kept alive.
    kept_alive: Instant,
    next_client: ClientId,
    said: mpsc::Sender<(ClientId, Incoming)>,
    /// Where what this task has started reports back to.
    pub reports: mpsc::Sender<Control>,
    count: watch::Sender<Count>,
    state: watch::Sender<State>,
}

/// What a step of the task is about.
enum Turn {
    Writable(Option<mpsc::OwnedPermit<Request>>),
    Remote(Option<Event>),
    Said(ClientId, Incoming),
    Control(Option<Control>),
    Time,
}

/// Starts the task. It ends, and closes the remote pool, when no owner is left.
pub fn spawn(
    remote: Remote,
    options: Options,
    mut controls: mpsc::Receiver<Control>,
    count: watch::Sender<Count>,
    state: watch::Sender<State>,
) {
    let (said, mut incoming) = mpsc::channel(16);
    let (reports, mut reported) = mpsc::channel(16);
    let max_runspaces = options.max_runspaces.max(1);
    let mut core = Core {
        options: Options { max_runspaces, ..options },
        pool: remote.pool,
        private_data: remote.private_data,
        connection: remote.connection,
        ended: false,
        outbox: VecDeque::new(),
        clients: BTreeMap::new(),
        pipelines: HashMap::new(),
        queue: VecDeque::new(),
        background: VecDeque::new(),
        used: None,
        opened: Instant::now(),
        key: KeyState::None,
        pool_calls: HashMap::new(),
        unheard: VecDeque::new(),
        active: Instant::now(),
        kept_alive: Instant::now(),
        next_client: 0,
        said,
        reports,
        count,
        state,
    };
    remote.calls.into_iter().for_each(|call| core.pool_host_call(call));
    tokio::spawn(async move { while core.step(&mut incoming, &mut controls, &mut reported).await {} });
}

impl Core {
    /// Does the next thing there is to do. `false` when no owner is left.
    async fn step(
        &mut self,
        incoming: &mut mpsc::Receiver<(ClientId, Incoming)>,
        controls: &mut mpsc::Receiver<Control>,
        reported: &mut mpsc::Receiver<Control>,
    ) -> bool {
        let reads = self.reads();
        let deadline = self.deadline();
        let writes = !self.outbox.is_empty();
        let turn = tokio::select! {
            permit = self.connection.requests.clone().reserve_owned(), if writes =>
                Turn::Writable(permit.ok()),
            event = self.connection.events.recv(), if reads && !self.ended => Turn::Remote(event),
            Some((client, next)) = incoming.recv() => Turn::Said(client, next),
            control = controls.recv() => Turn::Control(control),
            Some(report) = reported.recv() => Turn::Control(Some(report)),
            () = sleep_until(deadline) => Turn::Time,
        };
        match turn {
            Turn::Writable(Some(permit)) => {
                if let Some(request) = self.outbox.pop_front() {
                    permit.send(request);
                }
            }
            // The connection says why in its last event.
            Turn::Writable(None) => self.outbox.clear(),
            Turn::Remote(Some(event)) => self.remote(event),
            Turn::Remote(None) => {
                self.ended = true;
                self.broken("the connection to the endpoint is gone");
            }
            Turn::Said(client, next) => self.incoming(client, next),
            Turn::Control(Some(control)) => self.control(control),
            Turn::Control(None) => return false,
            Turn::Time => self.time(Instant::now()),
        }
        self.report_count();
        true
    }

    /// Whether more is read from the endpoint: not while a client is far behind, unless another one's
    /// pipeline, or everybody's key, would have to wait for it.
    fn reads(&self) -> bool {
        let others_run = || {
            self.running().any(|(_, pipeline)| {
                let client = pipeline.client.and_then(|id| self.clients.get(&id));
                client.is_none_or(|client| !client.backlog.is_held())
            })
        };
        !self.is_open()
            || backpressure::reads(self.clients.values().map(Client::unread), || {
                self.key.is_exchanging() || others_run()
            })
    }

    pub fn is_open(&self) -> bool {
        *self.state.borrow() == State::Open
    }

    /// Why nothing runs any more.
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
                    self.end(State::Closed);
                }
                self.outbox.push_back(Request::Close(reply));
            }
            Control::Drained(id) => self.drained(id),
            Control::Answer(id) => self.answer_client(id),
            Control::Pair(pair) => self.pair_made(pair),
        }
    }

    fn attach(&mut self, server: Server, info: ClientInfo, kind: Kind) {
        let id = self.next_client;
        self.next_client += 1;
        tracing::debug!(client = id, ?info, "a shell attaches");
        let client = Client::new(id, server, (info, kind), self.private_data.clone(), self.said.clone());
        self.clients.insert(id, client);
    }

    /// Sends a message to the endpoint under its own pool id; the client's Data is acknowledged when
    /// the endpoint has it in order.
    pub fn forward(&mut self, stream: Stream, mut message: Message, ack: Option<Ack>) {
        message.pool = self.pool.id();
        message.destination = Destination::Server;
        let outgoing = crate::psrp::client::Outgoing { stream, message };
        let ordered = ack.map(|ack| {
            let (ordered, done) = oneshot::channel();
            tokio::spawn(async move {
                // Dropped instead of answered: the pipeline or the session is gone, and its end is
                // on its way to the client. Either way the client need not wait any more.
                let _ = done.await;
                drop(ack);
            });
            ordered
        });
        self.outbox.push_back(Request::Send { outgoing, ordered });
    }

    /// Queues a message for a client, and holds back its pipelines when it has enough to read.
    pub fn deliver(&mut self, id: ClientId, message: Message) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        client.deliver(message);
        self.measure(id);
    }

    /// Sends what the agent itself says to a client.
    pub fn say(&mut self, id: ClientId, compose: impl FnOnce(&mut Client)) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        compose(client);
        client.flush();
        self.measure(id);
    }

    fn measure(&mut self, id: ClientId) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        match client.backlog.note(client.unread()) {
            Pressure::Unchanged => {}
            Pressure::Hold => {
                client.watch(id, self.reports.clone());
                self.flow(id, false);
            }
            Pressure::Lost => self.give_up(id),
        }
    }

    fn drained(&mut self, id: ClientId) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        if client.unread() < HOLD {
            client.backlog.release();
            self.flow(id, true);
        } else if !client.withholds() {
            client.watch(id, self.reports.clone());
        }
    }

    /// Asks the endpoint for more of a client's pipelines, or for no more.
    fn flow(&mut self, id: ClientId, wanted: bool) {
        let own = self.running().filter(|(_, pipeline)| pipeline.client == Some(id));
        let requests: Vec<_> =
            own.map(|(pipeline, _)| Request::Flow { pipeline: *pipeline, wanted }).collect();
        self.outbox.extend(requests);
    }

    /// A client is done: its pipelines are ended, here and on the endpoint, and nobody else's.
    pub fn detach(&mut self, id: ClientId) {
        if self.clients.remove(&id).is_some() {
            tracing::debug!(client = id, "a shell is gone");
            self.active = Instant::now();
            self.abandon_pipelines(id);
            self.abandon_pool_calls(id);
            self.key.forget(id);
        }
    }

    /// The remote pool is gone: every client is told, with its pipelines first.
    pub fn broken(&mut self, reason: &str) {
        if self.is_open() {
            tracing::warn!(reason, "the session is broken");
            self.end(State::Broken(reason.to_owned()));
        }
    }

    fn end(&mut self, state: State) {
        self.state.send_replace(state);
        self.outbox.clear();
        self.queue.clear();
        self.background.clear();
        self.fail_all();
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
            let own = self.pipelines.values().filter(move |p| p.client == Some(id));
            let own = own.filter(|pipeline| !pipeline.is_ended() && !pipeline.background);
            own.map(|pipeline| pipeline.command.clone()).collect()
        };
        let running = self.running().count();
        let shells = self.clients.iter().filter(|(_, client)| client.kind == Kind::Shell);
        let clients = shells.map(|(id, client)| ClientStatus {
            info: client.info.clone(),
            attached: client.since.elapsed(),
            commands: commands(*id),
            unread: client.unread(),
        });
        Status {
            clients: clients.collect(),
            idle: if running == 0 { self.active.elapsed() } else { std::time::Duration::ZERO },
            running,
            queued: self.queue.len(),
        }
    }

    /// When there is something to do by the clock.
    fn deadline(&self) -> Option<Instant> {
        let limited = self.clients.values().filter_map(|client| client.until).min();
        let due = [limited, self.pipelines_deadline(), self.keep_alive_due(), self.background_due()];
        due.into_iter().flatten().min()
    }

    fn time(&mut self, now: Instant) {
        let late = |client: &Client| client.until.is_some_and(|until| until <= now);
        let late: Vec<_> = self.clients.iter().filter(|(_, c)| late(c)).map(|(id, _)| *id).collect();
        late.into_iter().for_each(|id| self.detach(id));
        self.pipelines_time(now);
        self.start_background(now);
        if self.keep_alive_due().is_some_and(|due| due <= now) {
            self.kept_alive = now;
            self.pool.get_available_runspaces();
            self.send_own();
        }
    }

    /// Only a session that a shell is attached to, and that nothing runs in, has to be kept alive.
    fn keep_alive_due(&self) -> Option<Instant> {
        let interval = self.options.keep_alive?;
        let idle = self.running().next().is_none();
        (self.is_open() && idle && self.clients.values().any(Client::is_open_shell))
            .then(|| self.active.max(self.kept_alive) + interval)
    }

    /// Sends what the agent has composed for the endpoint.
    pub fn send_own(&mut self) {
        for outgoing in self.pool.take_outgoing() {
            self.outbox.push_back(Request::Send { outgoing, ordered: None });
        }
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
