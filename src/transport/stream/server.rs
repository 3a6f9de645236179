//! The server's side: elements in, complete messages out; the consumer acknowledges them.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use uuid::Uuid;

use super::element::Element;
use super::limits::{MAX_FRAGMENT_PAYLOAD, MAX_LINE};
use super::lines::Lines;
use crate::psrp::client::Stream;
use crate::psrp::fragment::{Defragmenter, Fragmenter};
use crate::psrp::message::Message;
use crate::transport::Error;

/// Messages queued for the server's consumer before reading stops.
const QUEUE: usize = 64;
/// Maximum number of incomplete messages.
const MAX_PARTIAL: usize = 64;
/// Maximum size of a client's message in bytes.
const MAX_MESSAGE: usize = 64 << 20;
/// Maximum number of unacknowledged Data; a conforming client has one per pipeline.
const MAX_UNACKNOWLEDGED: usize = 64;
/// Bytes that [`Sender::send`] queues before it waits for the client to read.
const MAX_QUEUED: usize = 1024 * 1024;

/// A connected client.
#[derive(Debug)]
pub struct Server {
    /// The client's requests in order. [`Incoming::End`] is the last.
    pub incoming: mpsc::Receiver<Incoming>,
    /// Sender to the client. When the last clone is dropped, the queue is written and the stream is closed.
    pub sender: Sender,
}

/// Request of a client. Command is already acknowledged.
#[derive(Debug)]
pub enum Incoming {
    Command(Uuid),
    Message {
        stream: Stream,
        message: Message,
        ack: Ack,
    },
    /// Stop: answered with [`Sender::signal_ack`] after the pipeline's final state.
    Signal(Uuid),
    /// Close of a pipeline, or of the pool (nil): answered with [`Sender::close_ack`].
    Close(Uuid),
    /// The client has disconnected, or the error of its protocol violation.
    End(Option<Error>),
}

/// Acknowledges a client's Data on drop: immediately, or when the message is in order at its destination. A
/// Data that completes several messages is acknowledged with the last of them.
#[derive(Clone, Debug)]
pub struct Ack {
    _on_drop: Arc<AckOnDrop>,
}

#[derive(Debug)]
struct AckOnDrop {
    id: Uuid,
    /// Weak: a pending acknowledgement does not keep the stream of a disconnected client open.
    out: mpsc::WeakUnboundedSender<Out>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for AckOnDrop {
    fn drop(&mut self) {
        if let Some(out) = self.out.upgrade() {
            let _ = out.send(Out::Element(Element::DataAck(self.id)));
        }
    }
}

/// Sender to one client. Queued elements are written in order.
#[derive(Clone, Debug)]
pub struct Sender {
    out: mpsc::UnboundedSender<Out>,
    queued: Arc<watch::Sender<usize>>,
}

#[derive(Debug)]
enum Out {
    Message(Message),
    Element(Element),
}

/// Serves one client on a byte stream.
pub fn serve<S>(stream: S) -> Server
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (reader, writer) = tokio::io::split(stream);
    let (incoming_given, incoming) = mpsc::channel(QUEUE);
    let (out, out_taken) = mpsc::unbounded_channel();
    let queued = Arc::new(watch::Sender::new(0));
    let sender = Sender { out: out.clone(), queued: queued.clone() };
    let read = Reader {
        lines: Lines::new(reader),
        partial: HashMap::new(),
        incoming: incoming_given,
        out: out.downgrade(),
        unacknowledged: Arc::new(Semaphore::new(MAX_UNACKNOWLEDGED)),
    };
    tokio::spawn(read.run());
    tokio::spawn(write(writer, out_taken, queued));
    Server { incoming, sender }
}

impl Sender {
    /// Queues a message as soon as fewer than [`MAX_QUEUED`] bytes are queued. Never blocks for a disconnected client.
    pub async fn send(&self, message: Message) {
        self.room(MAX_QUEUED).await;
        self.push(message);
    }

    /// Queues a message without waiting, for callers that check [`Sender::queued`].
    pub fn push(&self, message: Message) {
        let size = size(&message);
        self.queued.send_modify(|queued| *queued += size);
        if self.out.send(Out::Message(message)).is_err() {
            self.queued.send_modify(|queued| *queued = 0);
        }
    }

    /// Returns the bytes of queued messages that are not written to the stream yet.
    pub fn queued(&self) -> usize {
        *self.queued.borrow()
    }

    /// Waits until fewer than `limit` bytes are queued or the client has disconnected.
    pub async fn room(&self, limit: usize) {
        let mut watch = self.queued.subscribe();
        tokio::select! {
            _ = watch.wait_for(|queued| *queued < limit) => {}
            () = self.out.closed() => {}
        }
    }

    pub fn signal_ack(&self, pipeline: Uuid) {
        let _ = self.out.send(Out::Element(Element::SignalAck(pipeline)));
    }

    /// Answers [`Incoming::Close`] of a pipeline, or of the pool (nil).
    pub fn close_ack(&self, id: Uuid) {
        let _ = self.out.send(Out::Element(Element::CloseAck(id)));
    }
}

fn size(message: &Message) -> usize {
    message.body.len() + 64
}

struct Reader<S> {
    lines: Lines<ReadHalf<S>>,
    partial: HashMap<(Uuid, bool), Defragmenter>,
    incoming: mpsc::Sender<Incoming>,
    /// Weak: a waiting reader does not keep the stream open.
    out: mpsc::WeakUnboundedSender<Out>,
    unacknowledged: Arc<Semaphore>,
}

impl<S: AsyncRead> Reader<S> {
    async fn run(mut self) {
        let incoming = self.incoming.clone();
        let end = tokio::select! {
            result = self.read() => result.err(),
            // The consumer has been dropped.
            () = incoming.closed() => return,
        };
        let _ = incoming.send(Incoming::End(end)).await;
    }

    /// Reads until the end of the stream.
    async fn read(&mut self) -> Result<(), Error> {
        while let Some(element) = self.lines.next().await? {
            match element {
                Element::Command(id) => {
                    if let Some(out) = self.out.upgrade() {
                        let _ = out.send(Out::Element(Element::CommandAck(id)));
                    }
                    self.deliver(Incoming::Command(id)).await;
                }
                Element::Data { stream, id, bytes } => self.data(stream, id, &bytes).await?,
                Element::Signal(id) => self.deliver(Incoming::Signal(id)).await,
                Element::Close(id) => {
                    self.partial.retain(|(owner, _), _| *owner != id);
                    self.deliver(Incoming::Close(id)).await;
                }
                Element::DataAck(_)
                | Element::CommandAck(_)
                | Element::CloseAck(_)
                | Element::SignalAck(_) => {
                    return Err(Error::Protocol("the client sent an acknowledgement".into()));
                }
            }
        }
        Ok(())
    }

    async fn data(&mut self, stream: Stream, id: Uuid, bytes: &[u8]) -> Result<(), Error> {
        let permit = self.unacknowledged.clone().acquire_owned().await;
        let Ok(permit) = permit else { return Ok(()) };
        let ack = Ack { _on_drop: Arc::new(AckOnDrop { id, out: self.out.clone(), _permit: permit }) };
        let key = (id, stream == Stream::PromptResponse);
        let fresh = || Defragmenter::with_limit(MAX_MESSAGE);
        let defragmenter = self.partial.entry(key).or_insert_with(fresh);
        let whole = defragmenter.push(bytes).map_err(|e| Error::Protocol(e.to_string()))?;
        if !defragmenter.is_partial() {
            self.partial.remove(&key);
        }
        if self.partial.len() > MAX_PARTIAL {
            let text = format!("more than {MAX_PARTIAL} incomplete messages");
            return Err(Error::Protocol(text));
        }
        for message in whole {
            let message = Message::decode(&message).map_err(|e| Error::Protocol(e.to_string()))?;
            if message.pipeline != id {
                return Err(Error::Protocol("a message's pipeline id differs from that of its Data".into()));
            }
            self.deliver(Incoming::Message { stream, message, ack: ack.clone() }).await;
        }
        Ok(())
    }

    async fn deliver(&mut self, incoming: Incoming) {
        let _ = self.incoming.send(incoming).await;
    }
}

/// Writes until the last sender is dropped or the client has disconnected.
async fn write<S: AsyncWrite>(
    mut writer: WriteHalf<S>,
    mut out: mpsc::UnboundedReceiver<Out>,
    queued: Arc<watch::Sender<usize>>,
) {
    let mut fragmenter = Fragmenter::default();
    let mut text = String::new();
    while let Some(first) = out.recv().await {
        let mut next = Some(first);
        let mut written = 0;
        while let Some(item) = next.take() {
            written += render(&item, &mut fragmenter, &mut text);
            if text.len() < MAX_LINE {
                next = out.try_recv().ok();
            }
        }
        let result = writer.write_all(text.as_bytes()).await;
        text.clear();
        if result.is_err() || writer.flush().await.is_err() {
            queued.send_replace(0);
            return;
        }
        queued.send_modify(|queued| *queued = queued.saturating_sub(written));
    }
    let _ = writer.shutdown().await;
}

/// Appends the lines of one item; returns its size in the queue.
fn render(item: &Out, fragmenter: &mut Fragmenter, text: &mut String) -> usize {
    match item {
        Out::Element(element) => {
            text.push_str(&element.to_string());
            text.push('\n');
            0
        }
        Out::Message(message) => {
            for bytes in fragmenter.cut(&message.encode(), MAX_FRAGMENT_PAYLOAD) {
                let data = Element::Data { stream: Stream::Default, id: message.pipeline, bytes };
                text.push_str(&data.to_string());
                text.push('\n');
            }
            size(message)
        }
    }
}
