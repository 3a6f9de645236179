//! Send queue of one stream of a pipeline or the pool: complete messages in, envelope-sized batches out, in
//! order.

use std::collections::VecDeque;

use tokio::sync::{mpsc, oneshot};

/// One message, cut into fragments.
pub(super) struct FragmentedMessage {
    pub fragments: Vec<Vec<u8>>,
    pub ordered: Option<oneshot::Sender<()>>,
}

/// Fragments for one envelope, and the senders to notify of its delivery.
#[derive(Default)]
pub(super) struct Batch {
    pub data: Vec<u8>,
    /// Whether a message ends in this batch.
    pub ends: bool,
    ordered: Vec<oneshot::Sender<()>>,
}

impl Batch {
    /// Reports the delivery of the batch.
    pub fn done(self) {
        for ordered in self.ordered {
            // The receiver may have been dropped.
            let _ = ordered.send(());
        }
    }
}

/// A queued fragment.
struct QueuedFragment {
    fragment: Vec<u8>,
    /// Whether it is the last of its message.
    last: bool,
    ordered: Option<oneshot::Sender<()>>,
}

/// The queue's receiving end.
pub(super) struct Queue {
    incoming: mpsc::UnboundedReceiver<FragmentedMessage>,
    fragments: VecDeque<QueuedFragment>,
    /// Bytes that fit into one envelope; no fragment is larger.
    capacity: usize,
    /// Whether the server has received a complete message.
    pub message_delivered: bool,
}

impl Queue {
    pub fn new(capacity: usize) -> (mpsc::UnboundedSender<FragmentedMessage>, Self) {
        let (sender, incoming) = mpsc::unbounded_channel();
        (sender, Self { incoming, fragments: VecDeque::new(), capacity, message_delivered: false })
    }

    /// Returns the queued fragments that fit, or waits for the first; `None` when the senders are dropped.
    ///
    /// Safe to cancel.
    pub async fn next(&mut self) -> Option<Batch> {
        while self.fragments.is_empty() {
            let cut = self.incoming.recv().await?;
            self.take(cut);
        }
        let mut waiting: usize = self.fragments.iter().map(|piece| piece.fragment.len()).sum();
        while waiting < self.capacity
            && let Ok(cut) = self.incoming.try_recv()
        {
            waiting += cut.fragments.iter().map(Vec::len).sum::<usize>();
            self.take(cut);
        }
        let mut batch = Batch::default();
        while let Some(piece) = self.fragments.front() {
            if !batch.data.is_empty() && batch.data.len() + piece.fragment.len() > self.capacity {
                break;
            }
            if let Some(QueuedFragment { fragment, last, ordered }) = self.fragments.pop_front() {
                batch.data.extend(fragment);
                batch.ends |= last;
                batch.ordered.extend(ordered);
            }
        }
        Some(batch)
    }

    fn take(&mut self, cut: FragmentedMessage) {
        let FragmentedMessage { mut fragments, ordered } = cut;
        let last = fragments.pop();
        let piece = |fragment| QueuedFragment { fragment, last: false, ordered: None };
        self.fragments.extend(fragments.into_iter().map(piece));
        self.fragments.extend(last.map(|fragment| QueuedFragment { fragment, last: true, ordered }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn messages_are_packed_into_envelopes() {
        let (sender, mut queue) = Queue::new(10);
        let cut = |sizes: &[usize], ordered| FragmentedMessage {
            fragments: sizes.iter().map(|size| vec![*size as u8; *size]).collect(),
            ordered,
        };
        let (ordered, mut large) = oneshot::channel();
        sender.send(cut(&[3], None)).unwrap();
        sender.send(cut(&[3], None)).unwrap();
        sender.send(cut(&[10, 9], Some(ordered))).unwrap();
        sender.send(cut(&[1, 1], None)).unwrap();
        drop(sender);
        let mut sizes = Vec::new();
        while let Some(batch) = queue.next().await {
            sizes.push(batch.data.len());
            assert!(large.try_recv().is_err());
            let last_of_large = batch.data.contains(&9);
            batch.done();
            assert_eq!(large.try_recv().is_ok(), last_of_large);
            if last_of_large {
                break;
            }
        }
        assert_eq!(sizes, [6, 10, 10]);
        assert_eq!(queue.next().await.unwrap().data.len(), 1);
        assert!(queue.next().await.is_none());
    }
}
