//! Tests of the scheduler and the key exchange in simulated time: many clients, in random order.

use std::collections::{BTreeMap, HashMap};
use std::sync::OnceLock;

use proptest::prelude::*;

use super::*;
use crate::agent::mux::key::{KeyAction, KeyExchange};
use crate::psrp::key::{KeyError, KeyPair, SessionKey};
use crate::psrp::message::{Destination, MessageType};

const CLIENTS: u64 = 4;

/// An input. Pipelines are numbered in the order of creation.
#[derive(Clone, Debug)]
enum Step {
    Create {
        client: ClientId,
        nested: bool,
        background: bool,
    },
    Input(usize),
    Stop(usize),
    Close(usize),
    Detach(ClientId),
    Attach(ClientId),
    Flow(ClientId, bool),
    /// The endpoint ends a pipeline, acknowledges its stop, or loses it.
    Ended(usize),
    StopAcknowledged(usize),
    Lost(usize),
    Wait(u64),
    AskKey(ClientId),
    PairMade(bool),
    SessionKey(bool),
}

fn step() -> impl Strategy<Value = Step> {
    let (client, pipeline) = (0..CLIENTS, 0..40_usize);
    prop_oneof![
        6 => (client.clone(), prop::bool::weighted(0.1), prop::bool::weighted(0.25))
            .prop_map(|(client, nested, background)| Step::Create { client, nested, background }),
        2 => pipeline.clone().prop_map(Step::Input),
        3 => pipeline.clone().prop_map(Step::Stop),
        2 => pipeline.clone().prop_map(Step::Close),
        1 => client.clone().prop_map(Step::Detach),
        1 => client.clone().prop_map(Step::Attach),
        1 => (client.clone(), any::<bool>()).prop_map(|(client, wanted)| Step::Flow(client, wanted)),
        5 => pipeline.clone().prop_map(Step::Ended),
        3 => pipeline.clone().prop_map(Step::StopAcknowledged),
        1 => pipeline.prop_map(Step::Lost),
        3 => (0..8_000_u64).prop_map(Step::Wait),
        2 => client.prop_map(Step::AskKey),
        1 => any::<bool>().prop_map(Step::PairMade),
        1 => any::<bool>().prop_map(Step::SessionKey),
    ]
}

/// State of a pipeline as observed by its client and the endpoint.
#[derive(Debug, Default)]
struct Seen {
    client: ClientId,
    nested: bool,
    background: bool,
    /// `started`: the pipeline was forwarded; `over`: the endpoint has ended it.
    started: bool,
    over: bool,
    /// Number of final states sent to the client.
    finals: usize,
    stops: usize,
    acknowledged: usize,
    /// The client has closed the pipeline or has detached.
    left: bool,
}

struct Simulation {
    scheduler: Scheduler<u32>,
    keys: KeyExchange<u32>,
    now: Instant,
    max_runspaces: usize,
    attached: BTreeMap<ClientId, bool>,
    ids: Vec<Uuid>,
    seen: HashMap<Uuid, Seen>,
    /// Queued shell pipelines in the order of arrival.
    waiting: VecDeque<Uuid>,
    asked_keys: HashMap<ClientId, usize>,
    /// Set when the endpoint has the public key.
    pair: Option<()>,
}

/// Shared, because generating RSA keys is slow.
fn pair() -> &'static (KeyPair, SessionKey, String) {
    static PAIR: OnceLock<(KeyPair, SessionKey, String)> = OnceLock::new();
    PAIR.get_or_init(|| {
        let pair = KeyPair::generate().unwrap();
        let key = SessionKey::generate();
        let sealed = key.sealed_for(&pair.public_blob()).unwrap();
        (pair, key, sealed)
    })
}

impl Simulation {
    fn new(max_runspaces: usize) -> Self {
        let now = Instant::now();
        let mut scheduler = Scheduler::new(max_runspaces, Duration::from_secs(2), now);
        (0..CLIENTS).for_each(|client| scheduler.attach(client, format!("shell {client}")));
        Self {
            scheduler,
            keys: KeyExchange::default(),
            now,
            max_runspaces,
            attached: (0..CLIENTS).map(|client| (client, true)).collect(),
            ids: Vec::new(),
            seen: HashMap::new(),
            waiting: VecDeque::new(),
            asked_keys: HashMap::new(),
            pair: None,
        }
    }

    fn id(&self, number: usize) -> Option<Uuid> {
        self.ids.get(number).copied()
    }

    fn is_attached(&self, client: ClientId) -> bool {
        self.attached[&client]
    }

    fn step(&mut self, step: Step) {
        let actions = match step {
            Step::Create { client, nested, background } if self.is_attached(client) => {
                let id = Uuid::from_u128(self.ids.len() as u128 + 1);
                let message = message(id, MessageType::CreatePipeline);
                self.ids.push(id);
                self.seen.insert(id, Seen { client, nested, background, ..Seen::default() });
                if !nested && !background {
                    self.waiting.push_back(id);
                }
                let start = Start {
                    body: String::new(),
                    command: "Get-It".into(),
                    nested,
                    background,
                    internal: false,
                };
                self.scheduler.create(client, start, Stream::Default, message, 0, self.now)
            }
            Step::Input(number) => match self.id(number) {
                Some(id) => {
                    let client = self.seen[&id].client;
                    self.scheduler.pass(client, Stream::Default, message(id, MessageType::PipelineInput), 1)
                }
                None => return,
            },
            Step::Stop(number) => match self.id(number).filter(|id| !self.seen[id].left) {
                Some(id) => {
                    let client = self.seen[&id].client;
                    self.waiting.retain(|waiting| *waiting != id);
                    self.seen.get_mut(&id).unwrap().stops += 1;
                    self.scheduler.stop(client, id)
                }
                None => return,
            },
            Step::Close(number) => match self.id(number).filter(|id| !self.seen[id].left) {
                Some(id) => {
                    let seen = self.seen.get_mut(&id).unwrap();
                    seen.left = true;
                    let client = seen.client;
                    self.waiting.retain(|waiting| *waiting != id);
                    let actions = self.scheduler.close(client, id);
                    assert!(
                        matches!(actions.last(), Some(SchedulerAction::AcknowledgeClose { pipeline, .. }) if *pipeline == id)
                    );
                    actions
                }
                None => return,
            },
            Step::Detach(client) if self.is_attached(client) => {
                self.attached.insert(client, false);
                self.asked_keys.remove(&client);
                self.keys.forget(client);
                let own: Vec<_> =
                    self.seen.iter().filter(|(_, seen)| seen.client == client).map(|(id, _)| *id).collect();
                for id in own {
                    self.seen.get_mut(&id).unwrap().left = true;
                    self.waiting.retain(|waiting| *waiting != id);
                }
                self.scheduler.detach(client, self.now)
            }
            Step::Attach(client) if !self.is_attached(client) => {
                self.attached.insert(client, true);
                self.scheduler.attach(client, format!("shell {client}"));
                Vec::new()
            }
            Step::Flow(client, wanted) if self.is_attached(client) => self.scheduler.flow(client, wanted),
            Step::Ended(number) => match self.running(number) {
                Some(id) => {
                    self.seen.get_mut(&id).unwrap().over = true;
                    // Final states go only to attached clients that have not received one.
                    let takes = self
                        .scheduler
                        .pipeline(id)
                        .is_some_and(|one| one.client.is_some() && !one.is_ended());
                    self.seen.get_mut(&id).unwrap().finals += usize::from(takes);
                    self.scheduler.ended(id, self.now)
                }
                None => return,
            },
            Step::StopAcknowledged(number) => match self.running(number) {
                Some(id) => self.scheduler.stop_acknowledged(id),
                None => return,
            },
            Step::Lost(number) => match self.running(number) {
                Some(id) => {
                    self.seen.get_mut(&id).unwrap().over = true;
                    self.scheduler.lost(id, ErrorRecord::session_failed("cut"), self.now)
                }
                None => return,
            },
            Step::Wait(milliseconds) => {
                self.now += Duration::from_millis(milliseconds);
                self.scheduler.time(self.now)
            }
            Step::AskKey(client) if self.is_attached(client) => {
                *self.asked_keys.entry(client).or_default() += 1;
                let actions = self.keys.ask(client, pair().0.public_blob(), 2).unwrap();
                return self.exchange(actions);
            }
            Step::PairMade(good) if self.pair.is_none() && self.keys.is_exchanging() => {
                self.pair = good.then_some(());
                let made = if good { Ok(pair().0.clone()) } else { Err(KeyError("no pair".into())) };
                let actions = self.keys.pair_made(made);
                return self.exchange(actions);
            }
            Step::SessionKey(good) if self.pair.is_some() => {
                self.pair = None;
                let sealed = good.then(|| pair().2.as_str());
                let actions = self.keys.session_key(sealed);
                return self.exchange(actions);
            }
            _ => return,
        };
        self.act(actions);
    }

    /// Returns the id of a running pipeline.
    fn running(&self, number: usize) -> Option<Uuid> {
        self.id(number).filter(|id| self.seen[id].started && !self.seen[id].over)
    }

    fn exchange(&mut self, actions: Vec<KeyAction<u32>>) {
        for action in actions {
            match action {
                KeyAction::Give { client, .. } | KeyAction::Refuse { client, .. } => {
                    let asked = self.asked_keys.get_mut(&client).expect("a detached client gets no key");
                    *asked = asked.checked_sub(1).expect("one answer per request");
                }
                KeyAction::MakePair => self.pair = None,
                KeyAction::SendPublicKey(_) => {}
            }
        }
    }

    fn act(&mut self, actions: Vec<SchedulerAction<u32>>) {
        for action in actions {
            match action {
                SchedulerAction::Forward { message, ack, .. } => {
                    let others_run =
                        self.seen.values().any(|seen| seen.started && !seen.over && !seen.background);
                    let seen = self.seen.get_mut(&message.pipeline).unwrap();
                    if message.kind == MessageType::CreatePipeline {
                        assert!(!seen.started, "started twice");
                        seen.started = true;
                        assert!(
                            !seen.background || (!others_run && self.waiting.is_empty()),
                            "background pipelines give way"
                        );
                        if !seen.background && !seen.nested {
                            assert_eq!(
                                self.waiting.pop_front(),
                                Some(message.pipeline),
                                "first come, first served"
                            );
                        }
                    } else {
                        assert!(seen.started && ack.is_some());
                    }
                }
                SchedulerAction::Flow { pipeline, .. } | SchedulerAction::Stop(pipeline) => {
                    assert!(self.seen[&pipeline].started, "the endpoint does not know it");
                }
                SchedulerAction::Close(pipeline) => {
                    assert!(self.seen[&pipeline].started, "the endpoint does not know it");
                }
                SchedulerAction::Progress { client, pipeline, .. } => {
                    assert!(self.is_attached(client) && !self.seen[&pipeline].left);
                }
                SchedulerAction::End { client, pipeline, state, .. } => {
                    assert!(self.is_attached(client), "detached clients get no messages");
                    let seen = self.seen.get_mut(&pipeline).unwrap();
                    seen.finals += 1;
                    if state == PipelineState::Stopped {
                        self.waiting.retain(|waiting| *waiting != pipeline);
                    }
                }
                SchedulerAction::AcknowledgeStop { client, pipeline } => {
                    assert!(self.is_attached(client));
                    let seen = self.seen.get_mut(&pipeline).unwrap();
                    assert!(seen.finals == 1, "acknowledged after the final state");
                    seen.acknowledged += 1;
                }
                SchedulerAction::AcknowledgeClose { client, .. } => assert!(self.is_attached(client)),
            }
        }
        let taken = self.scheduler.running().filter(|(_, one)| !one.nested).count();
        assert!(taken <= self.max_runspaces, "{taken} run");
        for (id, seen) in &self.seen {
            assert!(seen.finals <= 1, "{id}: one final state");
            assert!(seen.acknowledged <= seen.stops, "{id}: one answer for each stop");
        }
    }

    /// Ends all pipelines and advances the time: no pipeline waits indefinitely.
    fn settle(&mut self) {
        for _ in 0..self.ids.len() * 2 + 2 {
            for number in 0..self.ids.len() {
                self.step(Step::StopAcknowledged(number));
                self.step(Step::Ended(number));
            }
            self.step(Step::Wait(10_000));
        }
        assert_eq!((self.scheduler.queued(), self.scheduler.running().count()), (0, 0));
        assert!(self.scheduler.background.is_empty() && self.scheduler.deadline().is_none());
        for (id, seen) in self.seen.iter().filter(|(_, seen)| !seen.left) {
            assert_eq!(seen.finals, 1, "{id}: {seen:?}");
        }
    }
}

fn message(pipeline: Uuid, kind: MessageType) -> Message {
    Message { destination: Destination::Server, kind, pool: Uuid::nil(), pipeline, body: String::new() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_pipeline_finishes_once_in_any_order(
        max_runspaces in 1..4_usize,
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut simulation = Simulation::new(max_runspaces);
        steps.into_iter().for_each(|step| simulation.step(step));
        simulation.settle();
    }

    #[test]
    fn the_session_end_reaches_each_pipeline_once(
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut simulation = Simulation::new(1);
        steps.into_iter().for_each(|step| simulation.step(step));
        let actions = simulation.scheduler.end("gone", &[]);
        prop_assert!(actions.iter().all(|action| matches!(action, SchedulerAction::End { .. })), "{:?}", actions);
        simulation.act(actions);
        for seen in simulation.seen.values().filter(|seen| !seen.left) {
            prop_assert_eq!(seen.finals, 1);
        }
        prop_assert!(simulation.scheduler.deadline().is_none());
    }
}
