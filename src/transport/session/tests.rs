use tokio::sync::mpsc;
use uuid::Uuid;

use super::*;
use crate::psrp::clixml::Value;
use crate::psrp::pipeline::PipelineCommand;
use crate::psrp::record::PipelineState;
use crate::psrp::server::{ServerEvent, ServerPool};
use crate::transport::backpressure::ABORT_AT;
use crate::transport::connection::{ConnectionEvent, ConnectionRequest};

/// The server of a session.
struct Peer {
    server: ServerPool,
    requests: mpsc::Receiver<ConnectionRequest>,
    events: mpsc::Sender<ConnectionEvent>,
    stopped: Vec<Uuid>,
}

impl Peer {
    /// Handles requests until one of them starts a pipeline or stops one; returns its id.
    async fn next(&mut self) -> Option<Uuid> {
        loop {
            let id = match self.requests.recv().await? {
                ConnectionRequest::Send { outgoing, .. } => {
                    let events = self.server.receive(&outgoing.message).unwrap();
                    events.into_iter().find_map(|event| match event {
                        ServerEvent::Open { .. } => {
                            self.server.opened();
                            None
                        }
                        ServerEvent::CreatePipeline(id, _) => Some(id),
                        _ => None,
                    })
                }
                ConnectionRequest::Stop(id) => {
                    self.stopped.push(id);
                    Some(id)
                }
                _ => None,
            };
            self.send().await;
            if id.is_some() {
                return id;
            }
        }
    }

    async fn send(&mut self) {
        for message in self.server.take_outgoing() {
            self.events.send(ConnectionEvent::Message(message)).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_reader_that_is_too_slow_gets_an_error_and_other_readers_continue() {
    const PIECE: usize = 4 << 20;
    let (asked, requests) = mpsc::channel(64);
    let (events, given) = mpsc::channel(4);
    let server = ServerPool::new(Value::primitive_dictionary([]));
    let mut peer = Peer { server, requests, events, stopped: Vec::new() };
    let connection = Connection { requests: asked, events: given };
    let pipeline = Pipeline::new(vec![PipelineCommand::new("Get-Much")]);
    let opening = async {
        let (session, _events) = Session::open(connection, HostInfo::null()).await.unwrap();
        let slow = session.invoke(&pipeline).await.unwrap();
        let other = session.invoke(&pipeline).await.unwrap();
        (session, slow, other)
    };
    let serving = async { [peer.next().await.unwrap(), peer.next().await.unwrap()] };
    let ((session, mut slow, mut other), [first, second]) = tokio::join!(opening, serving);

    // The other reader waits for output: reading continues.
    let much = Value::from("a".repeat(PIECE));
    for _ in 0..=ABORT_AT / PIECE {
        peer.server.output(first, &much);
        peer.send().await;
    }
    assert_eq!(peer.next().await, Some(first));
    assert_eq!(peer.stopped, [first]);
    peer.server.pipeline_state(first, PipelineState::Stopped, None);
    peer.server.output(second, &"here".into());
    peer.server.pipeline_state(second, PipelineState::Completed, None);
    peer.send().await;

    let mut last = None;
    let mut count = 0;
    while let Some(event) = slow.next().await {
        count += usize::from(event.is_ok());
        last = Some(event);
    }
    assert!(count > 0 && count <= ABORT_AT / PIECE + 1, "{count}");
    let error = last.and_then(Result::err).map(|error| error.to_string()).unwrap_or_default();
    assert!(error.contains("64 MiB were queued"), "{error}");
    assert_eq!(slow.waiting.load(Ordering::Relaxed), 0);
    assert!(matches!(other.next().await, Some(Ok(PipelineEvent::Output(value))) if value == "here".into()));
    drop(session);
}
