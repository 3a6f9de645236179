//! Tracks the server's messages that have arrived. A Receive whose connection is cut may lose messages that
//! the server considers delivered; their object ids, which count up over the whole session, are then missing.
//! Conversely, a repeated Receive may return fragments again.
//!
//! PowerShell counts object ids per process (`s_objectIdSequenceNumber` in `fragmentor.cs`). Where several sessions
//! share a process (IIS as the host, as for Exchange; `UseSharedProcess`), and where a command opens a session of its
//! own, gaps prove nothing, and nothing is reported as missing.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::psrp::fragment;

/// The flag of a message's last fragment (MS-PSRP 2.2.4).
const END: u8 = 2;
/// Maximum time for which missing messages may be in transit to another pipeline.
const TRANSIT_TIMEOUT: Duration = Duration::from_secs(2);

/// Maximum number of out-of-order object ids kept while waiting for a gap.
const MAX_OUT_OF_ORDER: usize = 1 << 16;

/// Number of fragments remembered for recognising repeated ones.
const MAX_RECENT: usize = 1 << 13;

/// The object ids received on one connection.
#[derive(Debug, Default)]
pub(super) struct Sequence(Mutex<ReceivedIds>);

#[derive(Debug)]
struct ReceivedIds {
    /// All ids below have arrived.
    next: u64,
    /// Ids above `next` that have arrived.
    beyond: BTreeSet<u64>,
    /// Ids that have arrived in part.
    begun: BTreeSet<u64>,
    recent: RecentFragments,
    /// Users of the server's counter.
    counter: Counter,
    /// When the oldest gap was seen.
    gap: Option<Instant>,
    /// Number of pipelines whose output is not fetched at the moment: their messages leave gaps.
    paused: usize,
}

/// Users of the server's counter of object ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Counter {
    /// No message has arrived.
    Unknown,
    /// Every id so far belongs to this session.
    Own,
    /// Every id belonged to this session until a connection was cut; gaps since then are lost messages.
    OwnUntilCut,
    /// A gap shows that other sessions use ids too.
    SharedSinceGap,
    /// The first id shows that other sessions use ids too.
    Shared,
}

/// A pause in the output of a pipeline.
#[derive(Debug)]
pub(super) struct Pause(Arc<Sequence>);

impl Drop for Pause {
    fn drop(&mut self) {
        self.0.arrived().paused -= 1;
    }
}

/// The last received fragments, including their headers.
#[derive(Debug, Default)]
struct RecentFragments {
    known: HashSet<u64>,
    order: VecDeque<u64>,
}

impl RecentFragments {
    /// Records a fragment; returns whether it is new.
    fn take(&mut self, fragment: &[u8]) -> bool {
        let mut hasher = DefaultHasher::new();
        hasher.write(fragment);
        let hash = hasher.finish();
        if !self.known.insert(hash) {
            return false;
        }
        self.order.push_back(hash);
        if self.order.len() > MAX_RECENT
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

impl Default for ReceivedIds {
    fn default() -> Self {
        Self {
            next: 1,
            beyond: BTreeSet::new(),
            begun: BTreeSet::new(),
            recent: RecentFragments::default(),
            counter: Counter::Unknown,
            gap: None,
            paused: 0,
        }
    }
}

impl Sequence {
    /// Removes the fragments that have arrived before. A fragment's header contains its object id and its own id
    /// (MS-PSRP 2.2.4), so different fragments are never equal.
    pub fn without_repeats(&self, mut data: Vec<u8>) -> Vec<u8> {
        let mut arrived = self.arrived();
        let (mut read, mut kept) = (0, 0);
        while let Some(length) = fragment_length(&data[read..]) {
            if arrived.recent.take(&data[read..read + length]) {
                data.copy_within(read..read + length, kept);
                kept += length;
            }
            read += length;
        }
        // Incomplete data is left to the defragmenter.
        data.copy_within(read.., kept);
        data.truncate(kept + (data.len() - read));
        data
    }

    /// Records complete fragments; returns the highest object id of the messages that end in them.
    pub fn record(&self, data: &[u8]) -> Option<u64> {
        self.record_at(data, Instant::now())
    }

    fn record_at(&self, mut data: &[u8], now: Instant) -> Option<u64> {
        let mut arrived = self.arrived();
        let mut latest = None;
        while let Some((header, rest)) = data.split_first_chunk::<{ fragment::HEADER }>() {
            let [a, b, c, d, e, f, g, h, .., flags, l0, l1, l2, l3] = *header;
            let length = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
            let id = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
            if arrived.counter == Counter::Unknown {
                arrived.counter = if id == 1 { Counter::Own } else { Counter::Shared };
            }
            if flags & END != 0 {
                arrived.take(id);
                latest = latest.max(Some(id));
            } else {
                arrived.begun.insert(id);
            }
            data = rest.get(length..).unwrap_or_default();
        }
        arrived.check_gap(now);
        latest
    }

    /// Records that a connection was cut with a Receive pending since `sent`: a gap since then may be a lost message.
    pub fn record_lost_connection(&self, sent: Instant) {
        let mut arrived = self.arrived();
        arrived.check_gap(Instant::now());
        // The cut is often noticed long after the loss, when the gap has been taken for another session's.
        let is_since = arrived.gap.is_some_and(|gap| gap >= sent);
        if arrived.counter == Counter::Own || arrived.counter == Counter::SharedSinceGap && is_since {
            arrived.counter = Counter::OwnUntilCut;
        }
    }

    /// Records that a pipeline's output is not fetched until the returned value is dropped.
    pub fn pause(self: &Arc<Self>) -> Pause {
        self.arrived().paused += 1;
        Pause(self.clone())
    }

    fn arrived(&self) -> MutexGuard<'_, ReceivedIds> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the highest object id of the messages that have arrived.
    pub fn last(&self) -> u64 {
        let arrived = self.arrived();
        arrived.beyond.last().copied().unwrap_or(arrived.next.saturating_sub(1))
    }

    /// Returns the number of missing messages between these object ids, excluding both. Waits for messages in transit.
    pub async fn missing_between(&self, since: u64, id: u64) -> u64 {
        self.after_transit(|arrived| arrived.missing_between(since, id)).await
    }

    /// Returns the number of missing messages between this object id and the highest received one, not counting
    /// messages that have arrived in part. Waits for messages in transit.
    pub async fn missing_since(&self, since: u64) -> u64 {
        let missing = |arrived: &ReceivedIds| {
            let Some(&last) = arrived.beyond.last().filter(|last| **last > since) else { return 0 };
            arrived.not_begun_between(since, last)
        };
        self.after_transit(missing).await
    }

    /// Returns the result of `missing`: zero as soon as it is zero, else after [`TRANSIT_TIMEOUT`].
    async fn after_transit(&self, missing: impl Fn(&ReceivedIds) -> u64) -> u64 {
        let until = Instant::now() + TRANSIT_TIMEOUT;
        loop {
            let missing = {
                let arrived = self.arrived();
                if arrived.is_shared() { 0 } else { missing(&arrived) }
            };
            if missing == 0 || Instant::now() >= until {
                return missing;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Returns the length of the first fragment including its header, if it is complete.
fn fragment_length(data: &[u8]) -> Option<usize> {
    let header = data.first_chunk::<{ fragment::HEADER }>()?;
    let [.., l0, l1, l2, l3] = *header;
    let length = fragment::HEADER.checked_add(u32::from_be_bytes([l0, l1, l2, l3]) as usize)?;
    (length <= data.len()).then_some(length)
}

impl ReceivedIds {
    fn missing_between(&self, since: u64, id: u64) -> u64 {
        let from = self.next.max(since.saturating_add(1));
        if from >= id {
            return 0;
        }
        (id - from).saturating_sub(self.beyond.range(from..id).count() as u64)
    }

    /// Returns the number of messages between these two of which nothing has arrived.
    fn not_begun_between(&self, since: u64, last: u64) -> u64 {
        let arriving = self.begun.range(since.saturating_add(1)..=last).count() as u64;
        self.missing_between(since, last).saturating_sub(arriving)
    }

    /// Checks for a gap that neither a cut connection nor a paused pipeline explains.
    fn check_gap(&mut self, now: Instant) {
        let last = self.beyond.last().copied();
        if self.paused > 0 || last.is_none_or(|last| self.not_begun_between(0, last) == 0) {
            self.gap = None;
        } else if now.duration_since(*self.gap.get_or_insert(now)) >= TRANSIT_TIMEOUT
            && self.counter == Counter::Own
        {
            self.counter = Counter::SharedSinceGap;
        }
    }

    fn is_shared(&self) -> bool {
        matches!(self.counter, Counter::Shared | Counter::SharedSinceGap)
    }

    fn take(&mut self, id: u64) {
        self.begun.remove(&id);
        if id < self.next {
            return;
        }
        self.beyond.insert(id);
        if self.beyond.len() > MAX_OUT_OF_ORDER {
            // Earlier gaps have been reported already.
            self.next = self.beyond.first().copied().unwrap_or(self.next);
        }
        while self.beyond.remove(&self.next) {
            self.next += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::psrp::fragment::Fragmenter;

    #[tokio::test]
    async fn lost_messages_are_counted() {
        let mut fragmenter = Fragmenter::default();
        let mut message = |size| fragmenter.cut(&vec![0; size], 100);
        let (first, second, third, fourth) = (message(10), message(250), message(10), message(10));
        let sequence = Sequence::default();
        assert_eq!(sequence.record(&first.concat()), Some(1));
        assert_eq!(sequence.record(&second[..2].concat()), None);
        assert_eq!(sequence.record(&fourth.concat()), Some(4));
        assert_eq!((sequence.last(), sequence.missing_between(0, 4).await), (4, 2));
        assert_eq!(sequence.missing_between(2, 4).await, 1);
        assert_eq!(sequence.missing_between(4, 4).await, 0, "a later command did not lose it");
        assert_eq!(sequence.missing_since(0).await, 1, "the second is arriving");
        assert_eq!(sequence.missing_since(4).await, 0);
        assert_eq!(sequence.record(&second[2..].concat()), Some(2));
        assert_eq!(sequence.record(&third.concat()), Some(3));
        assert_eq!(sequence.missing_between(0, 4).await, 0);
        assert_eq!(sequence.record(b"short"), None);
    }

    #[tokio::test]
    async fn gaps_of_other_sessions_and_lost_messages_are_told_apart() {
        let message = |id| Fragmenter { next_object_id: id }.cut(&[0; 10], 100).concat();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        // The counter began before this session.
        let sequence = Sequence::default();
        sequence.record_at(&message(2663), at(0));
        sequence.record_at(&message(2670), at(0));
        sequence.record_lost_connection(start);
        assert_eq!(sequence.missing_since(0).await, 0);
        // A gap before the cut Receive was sent.
        let sequence = Sequence::default();
        sequence.record_at(&message(1), at(0));
        sequence.record_at(&message(4), at(0));
        sequence.record_at(&message(6), at(3));
        sequence.record_lost_connection(at(1));
        assert_eq!(sequence.missing_since(0).await, 0);
        // The cut is noticed late.
        let sequence = Sequence::default();
        sequence.record_at(&message(1), at(0));
        sequence.record_at(&message(3), at(1));
        sequence.record_at(&message(4), at(4));
        assert_eq!(sequence.missing_since(0).await, 0);
        sequence.record_lost_connection(at(0));
        assert_eq!(sequence.missing_since(0).await, 1);
        // A paused pipeline's messages are on the endpoint.
        let sequence = Arc::new(Sequence::default());
        sequence.record_at(&message(1), at(0));
        let paused = sequence.pause();
        sequence.record_at(&message(3), at(0));
        sequence.record_at(&message(4), at(3));
        drop(paused);
        sequence.record_at(&message(2), at(3));
        sequence.record_lost_connection(start);
        sequence.record_at(&message(6), at(3));
        assert_eq!(sequence.missing_since(0).await, 1);
    }

    #[test]
    fn repeated_fragments_are_dropped() {
        let mut fragmenter = Fragmenter::default();
        let (one, two) = (fragmenter.cut(&[1; 250], 100), fragmenter.cut(&[1; 250], 100));
        let sequence = Sequence::default();
        assert_eq!(sequence.without_repeats(one[..2].concat()), one[..2].concat());
        // The response again, and then more of it.
        assert!(sequence.without_repeats(one[..2].concat()).is_empty());
        assert_eq!(sequence.without_repeats(one.concat()), one[2]);
        assert_eq!(sequence.without_repeats([&one[2][..], &two[0]].concat()), two[0]);
        // Incomplete fragments are passed unchanged, each time.
        for _ in 0..2 {
            assert_eq!(sequence.without_repeats(b"short".to_vec()), b"short");
            assert_eq!(sequence.without_repeats(two[1][..30].to_vec()), two[1][..30]);
        }
        for _ in 0..MAX_RECENT {
            assert!(!sequence.without_repeats(fragmenter.cut(&[1; 10], 100).concat()).is_empty());
        }
        assert!(sequence.arrived().recent.known.len() <= MAX_RECENT);
    }

    #[test]
    fn old_gaps_are_forgotten() {
        let mut arrived = ReceivedIds::default();
        for id in 2..200_000 {
            arrived.take(id);
        }
        assert!(arrived.beyond.len() <= MAX_OUT_OF_ORDER);
        arrived.take(200_001);
        assert_eq!(arrived.missing_between(0, 200_002), 1);
    }
}
