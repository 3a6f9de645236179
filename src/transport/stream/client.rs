//! The client's side: a reading task, a writing task, and [`Outbound`] between them.

use std::collections::HashMap;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::element::Element;
use super::limits::MAX_LINE;
use super::lines::Lines;
use super::outbound::Outbound;
use crate::psrp::client::Stream;
use crate::psrp::fragment::Defragmenter;
use crate::psrp::message::Message;
use crate::transport::{Connection, ConnectionEvent, ConnectionRequest, Error, Limits, sleep_until};

/// Messages queued for the owner before reading stops.
const QUEUE: usize = 64;
/// Maximum number of incomplete messages; PowerShell never has more.
const MAX_PARTIAL: usize = 64;

/// A client's connection over a byte stream: the agent's socket, or an ssh subsystem.
///
/// Sends the next Data of a pipeline only after the previous one was acknowledged, and queues further messages:
/// an owner with much data waits for `ordered`. An owner that does not read its events blocks the peer, all pipelines
/// together ([`ConnectionRequest::Flow`] has no effect). A missing answer to Command, Signal or Close fails
/// its pipeline after the limit; a missing DataAck has no limit, because a server may delay it while its
/// pipeline takes no input.
pub fn connect<S>(stream: S, limits: Limits) -> Connection
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (reader, writer) = tokio::io::split(stream);
    let (requests, requests_taken) = mpsc::channel(QUEUE);
    let (events_given, events) = mpsc::channel(QUEUE);
    let (notes_given, notes) = mpsc::channel(QUEUE);
    let (failed_given, failed) = oneshot::channel();
    let closing = CancellationToken::new();
    let read = Reader {
        lines: Lines::new(reader),
        partial: HashMap::new(),
        events: events_given.clone(),
        notes: notes_given,
        closing: closing.clone(),
    };
    let write =
        Writer { writer, outbound: Outbound::new(limits), events: events_given, closing, closed: Vec::new() };
    tokio::spawn(read.run(failed));
    tokio::spawn(async move {
        if let Err(error) = write.run(requests_taken, notes).await {
            let _ = failed_given.send(error);
        }
    });
    Connection { requests, events }
}

struct Reader<S> {
    lines: Lines<ReadHalf<S>>,
    /// Incomplete messages by id and stream.
    partial: HashMap<(Uuid, bool), Defragmenter>,
    events: mpsc::Sender<ConnectionEvent>,
    notes: mpsc::Sender<Element>,
    closing: CancellationToken,
}

impl<S: AsyncRead> Reader<S> {
    /// Reads until the pool is closed or broken, and reports it.
    async fn run(mut self, failed: oneshot::Receiver<Error>) {
        let last = tokio::select! {
            result = self.read() => match result {
                Ok(()) => ConnectionEvent::Closed,
                Err(error) => ConnectionEvent::Broken { error, unsent: Vec::new() },
            },
            error = writer_failed(failed) => ConnectionEvent::Broken { error, unsent: Vec::new() },
        };
        self.deliver(last).await;
    }

    async fn read(&mut self) -> Result<(), Error> {
        loop {
            let Some(element) = self.lines.next().await? else {
                return Err(Error::Ended("the peer closed the connection".into()));
            };
            match element {
                Element::Data { stream, id, bytes } => {
                    for message in self.join(stream, id, &bytes)? {
                        self.deliver(ConnectionEvent::Message(message)).await;
                    }
                }
                Element::DataAck(_) | Element::CommandAck(_) => self.note(element).await,
                Element::SignalAck(id) => {
                    self.note(element).await;
                    self.deliver(ConnectionEvent::StopAcknowledged(id)).await;
                }
                Element::CloseAck(id) => {
                    self.partial.retain(|(owner, _), _| *owner != id);
                    self.note(element).await;
                    if id.is_nil() {
                        return Ok(());
                    }
                    self.deliver(ConnectionEvent::PipelineClosed(id)).await;
                }
                Element::Command(_) | Element::Close(_) | Element::Signal(_) => {
                    return Err(Error::Protocol("the server sent an element that only clients send".into()));
                }
            }
        }
    }

    fn join(&mut self, stream: Stream, id: Uuid, bytes: &[u8]) -> Result<Vec<Message>, Error> {
        let protocol = |text: String| Error::Protocol(text);
        let key = (id, stream == Stream::PromptResponse);
        let defragmenter = self.partial.entry(key).or_default();
        let whole = defragmenter.push(bytes).map_err(|e| protocol(e.to_string()))?;
        if !defragmenter.is_partial() {
            self.partial.remove(&key);
        }
        if self.partial.len() > MAX_PARTIAL {
            return Err(protocol(format!("more than {MAX_PARTIAL} incomplete messages")));
        }
        whole.iter().map(|m| Message::decode(m).map_err(|e| protocol(e.to_string()))).collect()
    }

    /// Passes an acknowledgement to the writer.
    async fn note(&mut self, note: Element) {
        // The writer ends before the reader only with an error, which ends the reader.
        let _ = self.notes.send(note).await;
    }

    /// Waits for the owner to read the event, unless the owner is closing.
    async fn deliver(&mut self, event: ConnectionEvent) {
        tokio::select! {
            biased;
            permit = self.events.reserve() => {
                if let Ok(permit) = permit {
                    permit.send(event);
                }
            }
            () = self.closing.cancelled() => {}
        }
    }
}

async fn writer_failed(failed: oneshot::Receiver<Error>) -> Error {
    match failed.await {
        Ok(error) => error,
        // The writer ended normally; so will the reader.
        Err(_) => std::future::pending().await,
    }
}

struct Writer<S> {
    writer: WriteHalf<S>,
    outbound: Outbound,
    events: mpsc::Sender<ConnectionEvent>,
    closing: CancellationToken,
    /// Requests waiting for the pool to be closed.
    closed: Vec<oneshot::Sender<Result<(), Error>>>,
}

impl<S: AsyncWrite> Writer<S> {
    async fn run(
        mut self,
        mut requests: mpsc::Receiver<ConnectionRequest>,
        mut notes: mpsc::Receiver<Element>,
    ) -> Result<(), Error> {
        let mut owned = true;
        loop {
            self.write_ready().await?;
            let deadline = self.outbound.deadline();
            tokio::select! {
                request = requests.recv(), if owned => if let Some(request) = request { self.take(request) } else {
                    owned = false;
                    self.close();
                },
                note = notes.recv() => match note {
                    Some(Element::CloseAck(id)) if id.is_nil() => {
                        self.closed.drain(..).for_each(|closed| drop(closed.send(Ok(()))));
                        let _ = self.writer.shutdown().await;
                        return Ok(());
                    }
                    Some(note) => self.acknowledged(note),
                    // The reader has reported the reason.
                    None => return Ok(()),
                },
                () = sleep_until(deadline) => self.expire()?,
            }
        }
    }

    fn take(&mut self, request: ConnectionRequest) {
        match request {
            ConnectionRequest::Send { outgoing, ordered } => self.outbound.send(&outgoing, ordered),
            ConnectionRequest::Stop(id) => self.outbound.stop(id),
            ConnectionRequest::ClosePipeline(id) => {
                if !self.outbound.close(id) {
                    self.publish(ConnectionEvent::PipelineClosed(id));
                }
            }
            ConnectionRequest::Flow { .. } => {}
            ConnectionRequest::Close(closed) => {
                self.closed.push(closed);
                self.close();
            }
        }
    }

    fn close(&mut self) {
        self.closing.cancel();
        self.outbound.close(Uuid::nil());
    }

    fn acknowledged(&mut self, note: Element) {
        match note {
            Element::DataAck(id) => self.outbound.data_acknowledged(id),
            Element::CommandAck(id) => self.outbound.command_acknowledged(id),
            Element::SignalAck(id) => self.outbound.signal_acknowledged(id),
            Element::CloseAck(id) => self.outbound.close_acknowledged(id),
            _ => {}
        }
    }

    /// Fails a pipeline, or the whole pool, whose answer is overdue.
    fn expire(&mut self) -> Result<(), Error> {
        while let Some((id, wait)) = self.outbound.expired(tokio::time::Instant::now()) {
            let timeout = || Error::Timeout { operation: wait.operation, limit: wait.limit };
            if id.is_nil() {
                self.closed.drain(..).for_each(|closed| drop(closed.send(Err(timeout()))));
                return Err(timeout());
            }
            self.outbound.close(id);
            // Written data may have been read.
            self.publish(ConnectionEvent::PipelineFailed(id, timeout().outcome_unknown()));
        }
        Ok(())
    }

    /// Publishes an event of the writer without blocking the writing.
    fn publish(&self, event: ConnectionEvent) {
        let events = self.events.clone();
        tokio::spawn(async move { drop(events.send(event).await) });
    }

    async fn write_ready(&mut self) -> Result<(), Error> {
        let mut text = String::new();
        while let Some(element) = self.outbound.next() {
            text.push_str(&element.to_string());
            text.push('\n');
            if text.len() > MAX_LINE {
                self.write(&text).await?;
                text.clear();
            }
        }
        if !text.is_empty() {
            self.write(&text).await?;
        }
        Ok(())
    }

    async fn write(&mut self, text: &str) -> Result<(), Error> {
        let result = match self.writer.write_all(text.as_bytes()).await {
            Ok(()) => self.writer.flush().await,
            Err(error) => Err(error),
        };
        result.map_err(|e| Error::Ended(e.to_string()))
    }
}
