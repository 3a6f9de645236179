//! Outgoing elements of a client and the rules for their order, as a state machine. [`Outbound::next`]
//! returns the elements in the order of writing.

use std::collections::{HashMap, VecDeque};

use tokio::sync::oneshot;
use tokio::time::Instant;
use uuid::Uuid;

use super::element::Element;
use super::limits::{MAX_DATA, MAX_FRAGMENT_PAYLOAD};
use crate::profile::Limits;
use crate::psrp::client::{Outgoing, Stream};
use crate::psrp::fragment::Fragmenter;
use crate::psrp::message::MessageType;
use crate::transport::error::Operation;

/// All queued elements, by pipeline (nil: the pool), and the pending answers of the peer.
///
/// The client's task queues requests, takes elements to write, reports acknowledgements, and asks for
/// exceeded time limits. Guarantees: one Data of a pipeline is unacknowledged at a time; a Signal follows the
/// whole first message of its pipeline.
pub struct Outbound {
    limits: Limits,
    fragmenter: Fragmenter,
    lanes: HashMap<Uuid, Lane>,
    ready: VecDeque<Element>,
}

/// A wait for the peer's answer, with a time limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wait {
    pub operation: Operation,
    pub limit: std::time::Duration,
    until: Instant,
}

/// Queue of the pool or of one pipeline.
#[derive(Default)]
struct Lane {
    default: Queue,
    prompt_response: Queue,
    /// Stream and length of the one unacknowledged Data.
    unacknowledged: Option<(Stream, usize)>,
    phase: Phase,
    /// Length of the fragments of the pipeline's first message, in bytes: a Signal before the server has received
    /// all of them would have no effect.
    first: u64,
    /// Whether a Signal is queued.
    stop: bool,
    wait: Option<Wait>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Phase {
    /// Command was sent.
    #[default]
    Starting,
    Open,
    /// Close was sent.
    Closing,
}

/// One byte stream of fragments.
#[derive(Default)]
struct Queue {
    unsent: VecDeque<u8>,
    /// Bytes queued and acknowledged in total.
    queued: u64,
    acknowledged: u64,
    /// Senders to notify when this number of bytes is acknowledged.
    marks: VecDeque<(u64, oneshot::Sender<()>)>,
}

impl Queue {
    fn push(&mut self, fragments: &[Vec<u8>], ordered: Option<oneshot::Sender<()>>) -> u64 {
        for fragment in fragments {
            self.unsent.extend(fragment);
            self.queued += fragment.len() as u64;
        }
        self.marks.extend(ordered.map(|ordered| (self.queued, ordered)));
        self.queued
    }

    fn acknowledge(&mut self, bytes: usize) {
        self.acknowledged += bytes as u64;
        while self.marks.front().is_some_and(|(end, _)| *end <= self.acknowledged) {
            if let Some((_, ordered)) = self.marks.pop_front() {
                // The receiver may have been dropped.
                let _ = ordered.send(());
            }
        }
    }
}

impl Outbound {
    pub fn new(limits: Limits) -> Self {
        let pool = Lane { phase: Phase::Open, ..Lane::default() };
        Self {
            limits,
            fragmenter: Fragmenter::default(),
            lanes: HashMap::from([(Uuid::nil(), pool)]),
            ready: VecDeque::new(),
        }
    }

    /// Queues a message. For a closed pipeline, drops the message and `ordered`.
    pub fn send(&mut self, outgoing: &Outgoing, ordered: Option<oneshot::Sender<()>>) {
        let Outgoing { stream, message } = outgoing;
        let id = message.pipeline;
        if message.kind.starts_pipeline() && !self.lanes.contains_key(&id) {
            self.ready.push_back(Element::Command(id));
            let wait = Some(Wait::new(Operation::Command, self.limits.operation));
            self.lanes.insert(id, Lane { wait, ..Lane::default() });
        }
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        if lane.phase == Phase::Closing {
            return;
        }
        let fragments = self.fragmenter.cut(&message.encode(), MAX_FRAGMENT_PAYLOAD);
        let end = lane.queue(*stream).push(&fragments, ordered);
        if lane.first == 0 {
            lane.first = end;
        }
        // The pool's first two messages share one Data, as all observed clients send them.
        if message.kind == MessageType::SessionCapability {
            return;
        }
        if message.kind == MessageType::InitRunspacePool {
            lane.wait = Some(Wait::new(Operation::Open, self.limits.open));
        }
        self.advance(id);
    }

    /// Sends Signal, ahead of all queued data except the pipeline's first message.
    pub fn stop(&mut self, id: Uuid) {
        if let Some(lane) = self.lanes.get_mut(&id).filter(|l| l.phase != Phase::Closing) {
            lane.stop = true;
            self.advance(id);
        }
    }

    /// Sends Close and drops the pipeline's queued data. Returns whether the pipeline existed.
    pub fn close(&mut self, id: Uuid) -> bool {
        let (operation, limit) = if id.is_nil() {
            (Operation::Delete, self.limits.close)
        } else {
            (Operation::Terminate, self.limits.operation)
        };
        let Some(lane) = self.lanes.get_mut(&id) else { return false };
        if lane.phase != Phase::Closing {
            *lane = Lane { phase: Phase::Closing, ..Lane::default() };
            lane.wait = Some(Wait::new(operation, limit));
            self.ready.push_back(Element::Close(id));
        }
        true
    }

    pub fn command_acknowledged(&mut self, id: Uuid) {
        if let Some(lane) = self.lanes.get_mut(&id).filter(|l| l.phase == Phase::Starting) {
            lane.phase = Phase::Open;
            lane.wait = None;
            self.advance(id);
        }
    }

    /// Handles a DataAck. Ignored if the pipeline was closed in the meantime.
    pub fn data_acknowledged(&mut self, id: Uuid) {
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        if let Some((stream, length)) = lane.unacknowledged.take() {
            lane.queue(stream).acknowledge(length);
            if id.is_nil() && lane.phase == Phase::Open {
                lane.wait = None;
            }
        }
        self.advance(id);
    }

    pub fn signal_acknowledged(&mut self, id: Uuid) {
        if let Some(lane) = self.lanes.get_mut(&id).filter(|l| l.phase == Phase::Open) {
            lane.wait = None;
        }
    }

    /// Handles a CloseAck: removes the pipeline.
    pub fn close_acknowledged(&mut self, id: Uuid) {
        self.lanes.remove(&id);
    }

    /// Returns the next element to write.
    pub fn next(&mut self) -> Option<Element> {
        self.ready.pop_front()
    }

    /// Returns the earliest expiry of a wait.
    pub fn deadline(&self) -> Option<Instant> {
        self.lanes.values().filter_map(|lane| lane.wait).map(|wait| wait.until).min()
    }

    /// Removes one expired wait.
    pub fn expired(&mut self, now: Instant) -> Option<(Uuid, Wait)> {
        let late = |lane: &Lane| lane.wait.filter(|wait| wait.until <= now);
        let (id, wait) = self.lanes.iter().find_map(|(id, lane)| Some((*id, late(lane)?)))?;
        self.lanes.get_mut(&id)?.wait = None;
        Some((id, wait))
    }

    /// Marks the next data of the pool or pipeline as ready to send.
    fn advance(&mut self, id: Uuid) {
        let Some(lane) = self.lanes.get_mut(&id).filter(|l| l.phase == Phase::Open) else { return };
        if lane.stop && lane.default.acknowledged >= lane.first {
            lane.stop = false;
            lane.wait = Some(Wait::new(Operation::Stop, self.limits.operation));
            self.ready.push_back(Element::Signal(id));
        }
        if lane.unacknowledged.is_some() {
            return;
        }
        // Prompt responses precede input: the pipeline waits for them.
        let stream = match (lane.prompt_response.unsent.is_empty(), lane.default.unsent.is_empty()) {
            (false, _) if lane.default.acknowledged >= lane.first => Stream::PromptResponse,
            (_, false) => Stream::Default,
            _ => return,
        };
        let queue = lane.queue(stream);
        let length = queue.unsent.len().min(MAX_DATA);
        let bytes: Vec<u8> = queue.unsent.drain(..length).collect();
        lane.unacknowledged = Some((stream, length));
        self.ready.push_back(Element::Data { stream, id, bytes });
    }
}

impl Lane {
    fn queue(&mut self, stream: Stream) -> &mut Queue {
        match stream {
            Stream::Default => &mut self.default,
            Stream::PromptResponse => &mut self.prompt_response,
        }
    }
}

impl Wait {
    fn new(operation: Operation, limit: std::time::Duration) -> Self {
        Self { operation, limit, until: Instant::now() + limit }
    }
}
