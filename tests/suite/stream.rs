//! Out-of-process framing: our client against a scripted peer, and our server against our client.

use std::time::Duration;

use lyncsh::psrp::client::{Outgoing, Stream};
use lyncsh::psrp::fragment::Defragmenter;
use lyncsh::psrp::message::{Destination, Message, MessageType};
use lyncsh::transport::stream::{Element, Incoming, MAX_DATA, connect, serve};
use lyncsh::transport::{Connection, ConnectionEvent, ConnectionRequest, Error, Limits};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, Lines, ReadHalf, WriteHalf};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::program::PATIENCE;

/// A server whose every line is sent by the test.
struct Peer {
    lines: Lines<BufReader<ReadHalf<DuplexStream>>>,
    writer: WriteHalf<DuplexStream>,
}

impl Peer {
    fn new() -> (Self, Connection) {
        Self::with_limits(Limits::default())
    }

    fn with_limits(limits: Limits) -> (Self, Connection) {
        let (here, there) = tokio::io::duplex(1024);
        let (reader, writer) = tokio::io::split(here);
        (Self { lines: BufReader::new(reader).lines(), writer }, connect(there, limits))
    }

    async fn read(&mut self) -> Element {
        let line = tokio::time::timeout(PATIENCE, self.lines.next_line()).await.unwrap().unwrap();
        Element::parse(&line.expect("the client continues")).unwrap()
    }

    async fn send(&mut self, element: Element) {
        self.writer.write_all(format!("{element}\n").as_bytes()).await.unwrap();
    }

    /// Checks that the client sends nothing until it is asked to close an unknown pipeline.
    async fn expect_nothing_before(&mut self, connection: &Connection, pipeline: Uuid) {
        connection.requests.send(ConnectionRequest::ClosePipeline(pipeline)).await.unwrap();
        assert_eq!(self.read().await, Element::Close(pipeline));
    }
}

fn message(kind: MessageType, pipeline: Uuid, body: &str) -> Message {
    let destination = Destination::Server;
    Message { destination, kind, pool: Uuid::from_u128(1), pipeline, body: body.into() }
}

async fn send(connection: &Connection, stream: Stream, message: Message) -> oneshot::Receiver<()> {
    let (given, ordered) = oneshot::channel();
    let request = ConnectionRequest::Send { outgoing: Outgoing { stream, message }, ordered: Some(given) };
    connection.requests.send(request).await.unwrap();
    ordered
}

async fn next(connection: &mut Connection) -> ConnectionEvent {
    tokio::time::timeout(PATIENCE, connection.events.recv()).await.unwrap().expect("one more event")
}

#[tokio::test]
async fn the_opening_is_one_data_element() {
    let (mut peer, connection) = Peer::new();
    let nil = Uuid::nil();
    send(&connection, Stream::Default, message(MessageType::SessionCapability, nil, "<S>a</S>")).await;
    tokio::task::yield_now().await;
    let ordered =
        send(&connection, Stream::Default, message(MessageType::InitRunspacePool, nil, "<S>b</S>")).await;
    let Element::Data { bytes, id, .. } = peer.read().await else { panic!() };
    assert!(id.is_nil());
    let kinds: Vec<_> = Defragmenter::default().push(&bytes).unwrap();
    let kinds: Vec<_> = kinds.iter().map(|m| Message::decode(m).unwrap().kind).collect();
    assert_eq!(kinds, [MessageType::SessionCapability, MessageType::InitRunspacePool]);
    peer.send(Element::DataAck(nil)).await;
    tokio::time::timeout(PATIENCE, ordered).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_pipeline_waits_for_every_acknowledgement_and_is_cut_at_32768_bytes() {
    let (mut peer, connection) = Peer::new();
    let id = Uuid::from_u128(7);
    let start = message(MessageType::CreatePipeline, id, "<S>start</S>");
    let started = send(&connection, Stream::Default, start).await;
    let input = message(MessageType::PipelineInput, id, &"x".repeat(100_000));
    let mut ordered = send(&connection, Stream::Default, input.clone()).await;

    assert_eq!(peer.read().await, Element::Command(id));
    let other = Uuid::from_u128(8);
    send(&connection, Stream::Default, message(MessageType::CreatePipeline, other, "")).await;
    assert_eq!(peer.read().await, Element::Command(other), "nothing of the first came before its ack");
    peer.send(Element::CommandAck(id)).await;

    let mut joined = Defragmenter::default();
    let mut whole = Vec::new();
    for expected in [MAX_DATA, MAX_DATA, MAX_DATA] {
        let Element::Data { stream, id: of, bytes } = peer.read().await else { panic!() };
        assert_eq!((stream, of, bytes.len()), (Stream::Default, id, expected));
        whole.extend(joined.push(&bytes).unwrap());
        assert!(ordered.try_recv().is_err());
        peer.send(Element::DataAck(id)).await;
    }
    let Element::Data { bytes, .. } = peer.read().await else { panic!() };
    whole.extend(joined.push(&bytes).unwrap());
    assert_eq!(Message::decode(&whole[1]).unwrap(), input);
    assert!(ordered.try_recv().is_err(), "the last piece is not acknowledged yet");
    peer.send(Element::DataAck(id)).await;
    tokio::time::timeout(PATIENCE, started).await.unwrap().unwrap();
    tokio::time::timeout(PATIENCE, ordered).await.unwrap().unwrap();
}

#[tokio::test]
async fn stops_and_prompt_answers_overtake_queued_input() {
    let (mut peer, mut connection) = Peer::new();
    let id = Uuid::from_u128(7);
    send(&connection, Stream::Default, message(MessageType::CreatePipeline, id, "<S />")).await;
    send(&connection, Stream::Default, message(MessageType::PipelineInput, id, &"x".repeat(90_000))).await;
    let answer = message(MessageType::PipelineHostResponse, id, "<S>yes</S>");
    send(&connection, Stream::PromptResponse, answer).await;
    connection.requests.send(ConnectionRequest::Stop(id)).await.unwrap();
    assert_eq!(peer.read().await, Element::Command(id));
    peer.send(Element::CommandAck(id)).await;
    assert!(matches!(peer.read().await, Element::Data { stream: Stream::Default, .. }));
    peer.send(Element::DataAck(id)).await;
    assert_eq!(peer.read().await, Element::Signal(id));
    assert!(matches!(peer.read().await, Element::Data { stream: Stream::PromptResponse, .. }));
    let state = message(MessageType::PipelineState, id, "<S>stopped</S>");
    let mut fragmenter = lyncsh::psrp::fragment::Fragmenter::default();
    for bytes in fragmenter.cut(&state.encode(), 10) {
        peer.send(Element::Data { stream: Stream::Default, id, bytes }).await;
    }
    peer.send(Element::SignalAck(id)).await;
    assert!(matches!(next(&mut connection).await, ConnectionEvent::Message(said) if said.body == state.body));
    assert!(matches!(next(&mut connection).await, ConnectionEvent::StopAcknowledged(of) if of == id));
    peer.expect_nothing_before(&connection, id).await;
    peer.send(Element::CloseAck(id)).await;
    assert!(matches!(next(&mut connection).await, ConnectionEvent::PipelineClosed(of) if of == id));
}

#[tokio::test]
async fn an_unacknowledged_command_fails_alone() {
    let operation = Duration::from_millis(50);
    let (mut peer, mut connection) = Peer::with_limits(Limits { operation, ..Limits::default() });
    let id = Uuid::from_u128(7);
    send(&connection, Stream::Default, message(MessageType::CreatePipeline, id, "<S />")).await;
    assert_eq!(peer.read().await, Element::Command(id));
    let ConnectionEvent::PipelineFailed(of, Error::OutcomeUnknown(error)) = next(&mut connection).await
    else {
        panic!("the command may have run");
    };
    assert!(of == id && matches!(*error, Error::Timeout { .. }), "{error}");
    assert_eq!(peer.read().await, Element::Close(id));
}

#[tokio::test]
async fn the_end_of_the_stream_is_a_broken_session() {
    let (peer, mut connection) = Peer::new();
    drop(peer);
    assert!(matches!(next(&mut connection).await, ConnectionEvent::Broken { error: Error::Ended(_), .. }));
    assert!(connection.events.recv().await.is_none());
}

#[tokio::test]
async fn invalid_framing_breaks_the_session() {
    for line in ["hello\n".to_owned(), "<Signal PSGuid='00000000-0000-0000-0000-000000000007' />\n".into()] {
        let (mut peer, mut connection) = Peer::new();
        peer.writer.write_all(line.as_bytes()).await.unwrap();
        assert!(matches!(
            next(&mut connection).await,
            ConnectionEvent::Broken { error: Error::Protocol(_), .. }
        ));
    }
    let (mut peer, mut connection) = Peer::new();
    tokio::spawn(async move {
        // The reader stops before all of it is written.
        let _ = peer.writer.write_all("x".repeat(1 << 20).as_bytes()).await;
    });
    assert!(matches!(next(&mut connection).await, ConnectionEvent::Broken { error: Error::Protocol(_), .. }));
}

#[tokio::test]
async fn a_dropped_owner_closes_the_pool() {
    let (mut peer, connection) = Peer::new();
    drop(connection);
    assert_eq!(peer.read().await, Element::Close(Uuid::nil()));
}

#[tokio::test]
async fn closing_completes_without_an_event_reader() {
    let (mut peer, connection) = Peer::new();
    let (given, closed) = oneshot::channel();
    connection.requests.send(ConnectionRequest::Close(given)).await.unwrap();
    assert_eq!(peer.read().await, Element::Close(Uuid::nil()));
    let bytes = lyncsh::psrp::fragment::Fragmenter::default()
        .cut(&message(MessageType::RunspacePoolState, Uuid::nil(), "<S />").encode(), 1000)
        .remove(0);
    for _ in 0..200 {
        let data = Element::Data { stream: Stream::Default, id: Uuid::nil(), bytes: bytes.clone() };
        peer.send(data).await;
    }
    peer.send(Element::CloseAck(Uuid::nil())).await;
    tokio::time::timeout(PATIENCE, closed).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn closing_a_silent_server_ends_after_its_limit() {
    let close = Duration::from_millis(50);
    let (_peer, connection) = Peer::with_limits(Limits { close, ..Limits::default() });
    let (given, closed) = oneshot::channel();
    connection.requests.send(ConnectionRequest::Close(given)).await.unwrap();
    let result = tokio::time::timeout(PATIENCE, closed).await.unwrap().unwrap();
    assert!(matches!(result, Err(Error::Timeout { .. })));
}

#[tokio::test]
async fn a_client_waits_for_the_servers_acknowledgement() {
    let (here, there) = tokio::io::duplex(64 * 1024);
    let mut server = serve(here);
    let mut connection = connect(there, Limits::default());
    let id = Uuid::from_u128(7);
    let body = "y".repeat(200_000);
    let mut ordered =
        send(&connection, Stream::Default, message(MessageType::CreatePipeline, id, &body)).await;
    assert!(matches!(server.incoming.recv().await, Some(Incoming::Command(of)) if of == id));
    let Some(Incoming::Message { stream, message: got, ack }) = server.incoming.recv().await else {
        panic!()
    };
    assert_eq!((stream, got.kind, got.body.len()), (Stream::Default, MessageType::CreatePipeline, 200_000));
    assert!(ordered.try_recv().is_err(), "the last Data is held by the server");
    drop(ack);
    tokio::time::timeout(PATIENCE, ordered).await.unwrap().unwrap();

    // A large host response while nothing else is queued, and a stop.
    server.sender.send(message(MessageType::PipelineOutput, id, &body)).await;
    assert!(matches!(next(&mut connection).await, ConnectionEvent::Message(said) if said.body == body));
    connection.requests.send(ConnectionRequest::Stop(id)).await.unwrap();
    assert!(matches!(server.incoming.recv().await, Some(Incoming::Signal(of)) if of == id));
    server.sender.signal_ack(id);
    assert!(matches!(next(&mut connection).await, ConnectionEvent::StopAcknowledged(_)));

    drop(connection);
    assert!(matches!(server.incoming.recv().await, Some(Incoming::Close(of)) if of.is_nil()));
    server.sender.close_ack(Uuid::nil());
    assert!(matches!(server.incoming.recv().await, Some(Incoming::End(None))));
}

#[tokio::test]
async fn a_server_waits_for_a_client_that_does_not_read() {
    let (here, there) = tokio::io::duplex(1024);
    let server = serve(here);
    let output = message(MessageType::PipelineOutput, Uuid::from_u128(7), &"z".repeat(600_000));
    server.sender.send(output.clone()).await;
    server.sender.send(output.clone()).await;
    assert!(server.sender.queued() >= 1_200_000);
    let third = server.sender.send(output);
    tokio::pin!(third);
    assert!(futures_util::poll!(&mut third).is_pending());
    let mut connection = connect(there, Limits::default());
    tokio::time::timeout(PATIENCE, third).await.unwrap();
    for _ in 0..3 {
        assert!(matches!(next(&mut connection).await, ConnectionEvent::Message(_)));
    }
}

#[tokio::test]
async fn invalid_framing_differs_from_a_disconnect() {
    let bad = format!("<DataAck PSGuid='{}' />\n", Uuid::nil());
    for (text, broke) in [("", false), ("<Data", false), ("nonsense\n", true), (bad.as_str(), true)] {
        let (here, mut there) = tokio::io::duplex(1024);
        let mut server = serve(here);
        there.write_all(text.as_bytes()).await.unwrap();
        there.shutdown().await.unwrap();
        let Some(Incoming::End(error)) = server.incoming.recv().await else { panic!() };
        assert_eq!(error.is_some(), broke, "{text}");
    }
}
