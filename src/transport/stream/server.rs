//! The server's side: elements in, whole messages out, with the acknowledgement left to whoever
//! takes them.

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

/// Messages that wait for a server that does not take them, before the client is waited for.
const QUEUE: usize = 64;
/// Messages that may have begun and not ended at one time.
const MAX_PARTIAL: usize = 64;
/// The largest message that a client may send, in bytes.
const MAX_MESSAGE: usize = 64 << 20;
/// Data that may be unacknowledged at one time; a client that keeps to the rules has one a pipeline.
const MAX_UNACKNOWLEDGED: usize = 64;
/// Bytes that [`Sender::send`] lets queue up before it waits for the client to read.
const MAX_QUEUED: usize = 1024 * 1024;

/// A client that is connected.
#[derive(Debug)]
pub struct Server {
    /// What the client asks, in its order. [`Incoming::End`] is the last.
    pub incoming: mpsc::Receiver<Incoming>,
    /// The way to the client. When the last clone is dropped, what is queued is written out and the
    /// stream is closed.
    pub sender: Sender,
}

/// What the client asks. Command is acknowledged already.
#[derive(Debug)]
pub enum Incoming {
    Command(Uuid),
    Message {
        stream: Stream,
        message: Message,
        ack: Ack,
    },
    /// Stop: to be answered by [`Sender::signal_ack`] after the pipeline's final state.
    Signal(Uuid),
    /// The client is done with a pipeline, or with the pool (nil): answered by [`Sender::close_ack`].
    Close(Uuid),
    /// The client is gone: end of file without an error, or what it did wrong.
    End(Option<Error>),
}

/// Acknowledges a client's Data when it is dropped: at once, or when the message is safely in order
/// somewhere else. A Data that ended several messages is acknowledged with the last of them.
#[derive(Clone, Debug)]
pub struct Ack {
    _on_drop: Arc<AckOnDrop>,
}

#[derive(Debug)]
struct AckOnDrop {
    id: Uuid,
    /// What hangs elsewhere does not keep a stream open whose client is gone.
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

/// The way to one client. What is queued is written in its order.
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
    /// Queues a message, after waiting until the client has read most of what was queued before. A
    /// client that is gone takes everything.
    pub async fn send(&self, message: Message) {
        self.room(MAX_QUEUED).await;
        self.push(message);
    }

    /// Queues a message without waiting: for who watches [`Sender::queued`] itself.
    pub fn push(&self, message: Message) {
        let size = size(&message);
        self.queued.send_modify(|queued| *queued += size);
        if self.out.send(Out::Message(message)).is_err() {
            self.queued.send_modify(|queued| *queued = 0);
        }
    }

    /// Bytes of messages that the client has not taken yet.
    pub fn queued(&self) -> usize {
        *self.queued.borrow()
    }

    /// Waits until fewer than `limit` bytes are queued, or the client is gone.
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
    /// Weak: a reader that waits for its client does not keep the way to it open.
    out: mpsc::WeakUnboundedSender<Out>,
    unacknowledged: Arc<Semaphore>,
}

impl<S: AsyncRead> Reader<S> {
    async fn run(mut self) {
        let incoming = self.incoming.clone();
        let end = tokio::select! {
            result = self.read() => result.err(),
            // Nobody takes what the client says any more.
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
                    return Err(Error::Protocol("a client sent an acknowledgement".into()));
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
            let text = format!("more than {MAX_PARTIAL} messages have begun and not ended");
            return Err(Error::Protocol(text));
        }
        for message in whole {
            let message = Message::decode(&message).map_err(|e| Error::Protocol(e.to_string()))?;
            if message.pipeline != id {
                return Err(Error::Protocol("a message names another pipeline than its Data".into()));
            }
            self.deliver(Incoming::Message { stream, message, ack: ack.clone() }).await;
        }
        Ok(())
    }

    async fn deliver(&mut self, incoming: Incoming) {
        let _ = self.incoming.send(incoming).await;
    }
}

/// Writes until nobody can queue anything any more, or the client is gone.
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

/// Appends the lines of one item; gives the bytes that it counted as queued.
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
