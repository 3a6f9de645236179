//! Lost connections, and shells that are always removed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lyncsh::psrp::client::{Outgoing, Stream};
use lyncsh::psrp::fragment::Fragmenter;
use lyncsh::psrp::message::{Destination, Message, MessageType};
use lyncsh::transport::wsman::envelope::{
    Items, Received, RequestEnvelope, Response, StreamPart, WsmanRequest as Asks,
};
use lyncsh::transport::wsman::fault::{Fault, code};
use lyncsh::transport::wsman::{Endpoint, RemovalRecorder, StoredAffinity, connect, enumerate, remove};
use lyncsh::transport::{ConnectionEvent, ConnectionRequest};
use tokio::time::timeout;
use uuid::Uuid;

use crate::program::until;
use crate::wsman_client_faults::{actions, local, open, opening, plain, refused, soap};
use crate::wsman_client_http::{Answer, CUT, PATIENCE, ReceivedRequest, Server};

#[tokio::test]
async fn a_dropped_connection_removes_its_shell() {
    let server = Server::start(None, |asked| async move { plain(&asked) }).await;
    let (connection, _) = open(local(&server)).await.unwrap();
    drop(connection);
    until(PATIENCE, "the requests", || actions(&server).contains(&"Delete".to_owned())).await;
}

/// Counts the recorded cookies.
#[derive(Debug, Default)]
struct Recorder(AtomicUsize);

impl RemovalRecorder for Recorder {
    fn record_commands(&self, _: Vec<Uuid>) {}
    fn record_idle_timeout(&self, _: Duration) {}
    fn record_affinity(&self, affinity: StoredAffinity) {
        self.0.fetch_add(affinity.cookies.len(), Ordering::Relaxed);
    }
    fn record_unanswered_delete(&self) {}
}

/// An owner that is killed while it reads the answer leaves the cookie for the removal.
#[tokio::test]
async fn a_cookie_is_recorded_before_the_answer_is_complete() {
    let server = Server::start(None, |_| async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        Some(b"HTTP/1.1 200 OK\r\nSet-Cookie: MS-WSMAN=a\r\nContent-Length: 1000\r\n\r\n<s:Envelope".to_vec())
    })
    .await;
    let recorder = Arc::new(Recorder::default());
    let removal_recorder: Arc<dyn RemovalRecorder> = recorder.clone();
    let endpoint = Endpoint { removal_recorder: Some(removal_recorder), ..local(&server) };
    let connecting = tokio::spawn(open(endpoint));
    until(Duration::from_secs(15), "the record", || recorder.0.load(Ordering::Relaxed) == 1).await;
    assert!(!connecting.is_finished());
    connecting.abort();
}

/// A load balancer that has forgotten the session's pool member routes the request to another member, which sets its
/// own cookie.
#[tokio::test]
async fn a_request_that_reached_another_pool_member_is_sent_again_with_the_cookie() {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let server = Server::start(None, |asked| async move {
        let request = RequestEnvelope::read(&asked.body).unwrap();
        if request.request != Asks::Delete {
            return None;
        }
        if ASKED.fetch_add(1, Ordering::SeqCst) > 0 {
            return soap(&request, Response::Deleted);
        }
        let gone = Fault::new(code::UNEXPECTED_SELECTORS, "w:InvalidSelectors", "gone");
        let answer = String::from_utf8(soap(&request, Response::Fault(gone)).unwrap()).unwrap();
        Some(answer.replacen("\r\n", "\r\nSet-Cookie: MS-WSMAN=other; path=/\r\n", 1).into_bytes())
    })
    .await;
    let endpoint = local(&server);
    let set = hyper::HeaderMap::from_iter([(
        hyper::header::SET_COOKIE,
        hyper::header::HeaderValue::from_static("MS-WSMAN=home; path=/"),
    )]);
    endpoint.affinity.change(|affinity| affinity.receive(&endpoint.uri, &set), drop);
    timeout(PATIENCE, remove(&endpoint, Uuid::new_v4())).await.unwrap().unwrap();
    let asked = server.requests();
    let deletes: Vec<String> = asked
        .iter()
        .filter(|asked| String::from_utf8_lossy(&asked.body).contains("transfer/Delete"))
        .map(|asked| asked.head.to_ascii_lowercase())
        .collect();
    assert_eq!(deletes.len(), 2, "{deletes:?}");
    assert!(deletes.iter().all(|head| head.contains("cookie: ms-wsman=home")), "{deletes:?}");
    assert!(deletes.iter().all(|head| head.contains("accept-encoding: identity")), "{deletes:?}");
}

/// WinRM 2.0 ignores the client's id.
#[tokio::test]
async fn a_shell_with_another_id_is_removed_and_not_supported() {
    const OTHER: &str = "5FE4A3C9-0F38-4D37-B3F2-6F8F4E4C7B11";
    let server = Server::start(None, |asked| async move {
        let request = RequestEnvelope::read(&asked.body).unwrap();
        let shell_id = OTHER.to_owned();
        match request.request {
            Asks::Create(_) => {
                soap(&request, Response::Created { shell_id, resource_uri: None, shell: None })
            }
            _ => plain(&asked),
        }
    })
    .await;
    let text = refused(local(&server)).await.to_string();
    assert!(text.contains("is not supported") && text.contains(OTHER), "{text}");
    assert!(text.contains("the shell is removed"), "{text}");
    let deleted = server.requests().iter().any(|asked| {
        let request = RequestEnvelope::read(&asked.body).unwrap();
        request.request == Asks::Delete && request.header.selectors.iter().any(|(_, id)| id == OTHER)
    });
    assert!(deleted);
}

#[tokio::test]
async fn an_abandoned_create_is_deleted() {
    let (release, gate) = tokio::sync::watch::channel(false);
    let server = Server::start(None, move |asked| {
        let mut gate = gate.clone();
        async move {
            if asked.body.windows(15).any(|window| window == b"transfer/Create") {
                gate.wait_for(|open| *open).await.unwrap();
            }
            plain(&asked)
        }
    })
    .await;
    let endpoint = local(&server);
    let pool = Uuid::new_v4();
    // Cancelled while Create is pending.
    let opening = connect(endpoint.clone(), pool, opening(pool), |_| true);
    assert!(timeout(Duration::from_millis(500), opening).await.is_err());
    until(PATIENCE, "the requests", || !server.requests().is_empty()).await;
    let removing = tokio::spawn(async move { remove(&endpoint, pool).await });
    release.send(true).unwrap();
    timeout(PATIENCE, removing).await.unwrap().unwrap().unwrap();
    until(PATIENCE, "the requests", || {
        actions(&server).iter().filter(|action| *action == "Delete").count() >= 1
    })
    .await;
    assert_eq!(actions(&server)[0], "Create");
}

#[tokio::test]
async fn removal_keeps_a_receive_pending() {
    let received = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let server = Server::start(None, move |asked| {
        let received = received.clone();
        async move {
            let request = RequestEnvelope::read(&asked.body).unwrap();
            if request.request == Asks::Delete {
                // OMI answers Delete only after the session's output was received.
                received.acquire().await.unwrap().forget();
                let gone = Fault::new(code::UNEXPECTED_SELECTORS, "w:InvalidSelectors", "gone");
                soap(&request, Response::Fault(gone))
            } else {
                received.add_permits(1);
                None
            }
        }
    })
    .await;
    timeout(PATIENCE, remove(&local(&server), Uuid::new_v4())).await.unwrap().unwrap();
    let mut asked = actions(&server);
    asked.sort();
    assert_eq!(asked, ["Delete", "Receive"]);
}

#[tokio::test]
async fn removal_is_limited_and_retried_once() {
    let server = Server::start(None, |_| async { None }).await;
    let mut endpoint = local(&server);
    endpoint.limits.close = Duration::from_millis(300);
    let error = timeout(PATIENCE, remove(&endpoint, Uuid::new_v4())).await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "removing the session took longer than 300ms");
    assert_eq!(actions(&server).iter().filter(|action| *action == "Delete").count(), 2);
}

#[tokio::test]
async fn endless_lists_are_abandoned() {
    let server = Server::start(None, |asked| async move {
        let request = RequestEnvelope::read(&asked.body).unwrap();
        let items = Items { context: Some("c".to_owned()), ..Default::default() };
        match request.request {
            Asks::Enumerate(_) => soap(&request, Response::Enumerated(items)),
            _ => soap(&request, Response::Pulled(items)),
        }
    })
    .await;
    assert_eq!(timeout(PATIENCE, enumerate(&local(&server))).await.unwrap().unwrap(), []);
}

/// Returns an incomplete answer, after which the connection is cut.
fn cut() -> Answer {
    Some([b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", CUT].concat())
}

#[tokio::test]
async fn permanently_failing_receives_break_the_session() {
    let server = Server::start(None, |asked| async move { plain(&asked).or_else(cut) }).await;
    let (mut connection, _) = open(local(&server)).await.unwrap();
    match timeout(PATIENCE, connection.events.recv()).await.unwrap() {
        Some(ConnectionEvent::Broken { error, .. }) => {
            assert!(error.to_string().contains("retries failed"), "{error}");
        }
        other => panic!("{other:?}"),
    }
    // The shell may still exist: dropping the owner removes it.
    drop(connection);
    until(PATIENCE, "the requests", || actions(&server).contains(&"Delete".to_owned())).await;
}

#[tokio::test]
async fn a_receive_whose_connection_was_lost_is_repeated() {
    let lost = Arc::new(AtomicUsize::new(0));
    let server = Server::start(None, move |asked| {
        let lost = lost.clone();
        async move {
            if let Some(answer) = plain(&asked) {
                return Some(answer);
            }
            match lost.fetch_add(1, Ordering::Relaxed) {
                0 | 1 => return cut(),
                2 => {}
                _ => return None,
            }
            let body = "<Obj RefId=\"0\"><MS><I32 N=\"RunspaceState\">2</I32></MS></Obj>";
            let state = server_message(MessageType::RunspacePoolState, Uuid::nil(), body);
            receives(&asked, &[state], 0..1)
        }
    })
    .await;
    let (mut connection, _) = open(local(&server)).await.unwrap();
    match timeout(PATIENCE, connection.events.recv()).await.unwrap() {
        Some(ConnectionEvent::Message(message)) => assert_eq!(message.kind, MessageType::RunspacePoolState),
        other => panic!("{other:?}"),
    }
}

/// Returns a response to Receive with some of `messages`, the first of which has the object id 1.
fn receives(asked: &ReceivedRequest, messages: &[Message], which: std::ops::Range<usize>) -> Answer {
    receives_from(1, 1, asked, messages, which)
}

/// Does the same with object ids that begin with `first` and increase by `step`.
fn receives_from(
    first: u64,
    step: u64,
    asked: &ReceivedRequest,
    messages: &[Message],
    which: std::ops::Range<usize>,
) -> Answer {
    let ids = (first..).step_by(usize::try_from(step).unwrap());
    let cut: Vec<_> = messages
        .iter()
        .zip(ids)
        .map(|(message, next_object_id)| {
            Fragmenter { next_object_id }.cut(&message.encode(), 10_000).concat()
        })
        .collect();
    let data = cut[which].concat();
    let part = StreamPart { name: "stdout".to_owned(), command: None, data, end: false };
    let received = Received { streams: vec![part], ..Received::default() };
    soap(&RequestEnvelope::read(&asked.body).unwrap(), Response::Received(received))
}

fn server_message(kind: MessageType, pipeline: Uuid, body: &str) -> Message {
    let (destination, pool) = (Destination::Client, Uuid::nil());
    Message { destination, kind, pool, pipeline, body: body.to_owned() }
}

#[tokio::test]
async fn output_lost_with_a_connection_is_detected() {
    for lost in [false, true] {
        let pipeline = Uuid::new_v4();
        let output = server_message(MessageType::PipelineOutput, pipeline, "<S>some output</S>");
        let said = [
            server_message(
                MessageType::RunspacePoolState,
                Uuid::nil(),
                "<Obj><MS><I32 N=\"RunspaceState\">2</I32></MS></Obj>",
            ),
            output.clone(),
            output,
            server_message(
                MessageType::PipelineState,
                pipeline,
                "<Obj><MS><I32 N=\"PipelineState\">4</I32></MS></Obj>",
            ),
        ];
        let step = Arc::new(AtomicUsize::new(0));
        let opened = Arc::new(AtomicUsize::new(0));
        let server = Server::start(None, move |asked| {
            let (step, opened, said) = (step.clone(), opened.clone(), said.clone());
            async move {
                let request = RequestEnvelope::read(&asked.body).unwrap();
                match request.request {
                    Asks::Command { id, .. } => soap(&request, Response::Commanded { id }),
                    Asks::Signal { .. } => soap(&request, Response::Signaled),
                    Asks::Receive { command: None, .. } => match opened.fetch_add(1, Ordering::Relaxed) {
                        0 => receives(&asked, &said, 0..1),
                        _ => None,
                    },
                    Asks::Receive { .. } => match step.fetch_add(1, Ordering::Relaxed) {
                        0 => receives(&asked, &said, 1..2),
                        // The second message was in this response, or it is still pending.
                        1 => cut(),
                        2 => receives(&asked, &said, if lost { 3..4 } else { 2..4 }),
                        _ => None,
                    },
                    _ => plain(&asked),
                }
            }
        })
        .await;
        let (mut connection, _) = open(local(&server)).await.unwrap();
        let outgoing = Outgoing {
            stream: Stream::Default,
            message: Message {
                destination: Destination::Server,
                ..server_message(MessageType::CreatePipeline, pipeline, "<S N=\"Cmd\">Get-CsTenant</S>")
            },
        };
        connection.requests.send(ConnectionRequest::Send { outgoing, ordered: None }).await.unwrap();
        let mut outputs = 0;
        let end = loop {
            match timeout(PATIENCE, connection.events.recv()).await.unwrap().unwrap() {
                ConnectionEvent::Message(message) if message.kind == MessageType::PipelineOutput => {
                    outputs += 1;
                }
                ConnectionEvent::Message(message) if message.kind == MessageType::RunspacePoolState => {}
                end => break end,
            }
        };
        match end {
            ConnectionEvent::Message(message) if !lost => {
                assert_eq!((message.kind, outputs), (MessageType::PipelineState, 2));
            }
            ConnectionEvent::PipelineFailed(id, error) if lost => {
                assert_eq!((id, outputs), (pipeline, 1));
                assert!(error.to_string().contains("1 message is missing"), "{error}");
            }
            other => panic!("{other:?}"),
        }
    }
}

/// In IIS, the sessions of a process share the counter of object ids: the first id of a session on Exchange was 2663.
#[tokio::test]
async fn ids_of_other_sessions_are_not_lost_messages() {
    for first in [1, 2663] {
        let pipeline = Uuid::new_v4();
        let output = server_message(MessageType::PipelineOutput, pipeline, "<S>some output</S>");
        let said = [
            server_message(
                MessageType::RunspacePoolState,
                Uuid::nil(),
                "<Obj><MS><I32 N=\"RunspaceState\">2</I32></MS></Obj>",
            ),
            output.clone(),
            output,
            server_message(
                MessageType::PipelineState,
                pipeline,
                "<Obj><MS><I32 N=\"PipelineState\">4</I32></MS></Obj>",
            ),
        ];
        let (step, opened) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let server = Server::start(None, move |asked| {
            let (step, opened, said) = (step.clone(), opened.clone(), said.clone());
            async move {
                let request = RequestEnvelope::read(&asked.body).unwrap();
                match request.request {
                    Asks::Command { id, .. } => soap(&request, Response::Commanded { id }),
                    Asks::Signal { .. } => soap(&request, Response::Signaled),
                    Asks::Receive { command: None, .. } => match opened.fetch_add(1, Ordering::Relaxed) {
                        0 => receives_from(first, 4, &asked, &said, 0..1),
                        _ => None,
                    },
                    Asks::Receive { .. } => match step.fetch_add(1, Ordering::Relaxed) {
                        0 => receives_from(first, 4, &asked, &said, 1..2),
                        // Longer than a message may be in transit: the gap is another session's.
                        1 => {
                            tokio::time::sleep(Duration::from_millis(2_100)).await;
                            receives_from(first, 4, &asked, &said, 2..3)
                        }
                        2 => cut(),
                        3 => receives_from(first, 4, &asked, &said, 3..4),
                        _ => None,
                    },
                    _ => plain(&asked),
                }
            }
        })
        .await;
        let (mut connection, _) = open(local(&server)).await.unwrap();
        let message = Message {
            destination: Destination::Server,
            ..server_message(MessageType::CreatePipeline, pipeline, "<S N=\"Cmd\">Get-CsTenant</S>")
        };
        let outgoing = Outgoing { stream: Stream::Default, message };
        connection.requests.send(ConnectionRequest::Send { outgoing, ordered: None }).await.unwrap();
        let mut received = Vec::new();
        while received.last() != Some(&MessageType::PipelineState) {
            match timeout(PATIENCE, connection.events.recv()).await.unwrap().unwrap() {
                ConnectionEvent::Message(message) => received.push(message.kind),
                other => panic!("first id {first}: {other:?}"),
            }
        }
        assert_eq!(received.iter().filter(|kind| **kind == MessageType::PipelineOutput).count(), 2);
    }
}

/// A load balancer without affinity sends requests to a server that does not have the session: the session goes on,
/// and "not found" does not end its removal.
#[tokio::test]
async fn an_answer_of_another_server_neither_ends_nor_removes_a_session() {
    let (received, deleted) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (receives_sent, deletes_sent) = (received.clone(), deleted.clone());
    let server = Server::start(None, move |asked| {
        let (received, deleted) = (received.clone(), deleted.clone());
        async move {
            let request = RequestEnvelope::read(&asked.body).unwrap();
            let fault = Fault::new(code::UNEXPECTED_SELECTORS, "w:InvalidSelectors", "no such shell");
            let not_found = || named("EX2", soap(&request, Response::Fault(fault.clone())));
            match request.request {
                Asks::Receive { .. } => match received.fetch_add(1, Ordering::Relaxed) {
                    0 => not_found(),
                    1 => {
                        let text = "[FailureCategory=WSMan-InvalidShellID] no such shell";
                        let fault = Fault::new(2_150_858_999, "w:InternalError", text);
                        soap(&request, Response::Fault(fault))
                    }
                    2 => {
                        let body = "<Obj><MS><I32 N=\"RunspaceState\">2</I32></MS></Obj>";
                        let state = server_message(MessageType::RunspacePoolState, Uuid::nil(), body);
                        receives(&asked, &[state], 0..1)
                    }
                    _ => None,
                },
                Asks::Delete => match deleted.fetch_add(1, Ordering::Relaxed) {
                    0 => not_found(),
                    _ => named("EX1", plain(&asked)),
                },
                _ => named("EX1", plain(&asked)),
            }
        }
    })
    .await;
    let (mut connection, _) = open(local(&server)).await.unwrap();
    match timeout(PATIENCE, connection.events.recv()).await.unwrap() {
        Some(ConnectionEvent::Message(message)) => assert_eq!(message.kind, MessageType::RunspacePoolState),
        other => panic!("{other:?}"),
    }
    assert!(receives_sent.load(Ordering::Relaxed) >= 3);
    let (reply, done) = tokio::sync::oneshot::channel();
    connection.requests.send(ConnectionRequest::Close(reply)).await.unwrap();
    timeout(PATIENCE, done).await.unwrap().unwrap().unwrap();
    assert_eq!(deletes_sent.load(Ordering::Relaxed), 2);
}

/// Adds the name of Exchange's front end to an answer.
fn named(front_end: &str, answer: Answer) -> Answer {
    let text = String::from_utf8(answer?).unwrap();
    Some(text.replacen("\r\n", &format!("\r\nX-FEServer: {front_end}\r\n"), 1).into_bytes())
}

#[tokio::test]
async fn a_lost_pipeline_end_is_detected_from_later_messages() {
    let pipeline = Uuid::new_v4();
    let (pool, has_lost) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let server = Server::start(None, move |asked| {
        let (pool, has_lost) = (pool.clone(), has_lost.clone());
        async move {
            let request = RequestEnvelope::read(&asked.body).unwrap();
            let body = "<Obj><MS><I32 N=\"RunspaceState\">2</I32></MS></Obj>";
            let opened = server_message(MessageType::RunspacePoolState, Uuid::nil(), body);
            let output = server_message(MessageType::PipelineOutput, pipeline, "<S>some output</S>");
            let said = [opened.clone(), output.clone(), output, opened];
            match request.request {
                Asks::Command { id, .. } => soap(&request, Response::Commanded { id }),
                Asks::Signal { .. } => soap(&request, Response::Signaled),
                Asks::Receive { command: None, .. } => match pool.fetch_add(1, Ordering::Relaxed) {
                    0 => receives(&asked, &said, 0..1),
                    1 => {
                        until(PATIENCE, "the requests", || has_lost.load(Ordering::Relaxed) > 2).await;
                        receives(&asked, &said, 3..4)
                    }
                    _ => None,
                },
                Asks::Receive { .. } => match has_lost.fetch_add(1, Ordering::Relaxed) {
                    0 => receives(&asked, &said, 1..2),
                    // The third message was in this response.
                    1 => cut(),
                    _ => {
                        tokio::time::sleep(Duration::from_millis(50)).await;
                        let fault = Fault::new(code::TIMED_OUT, "w:TimedOut", "nothing to say");
                        soap(&request, Response::Fault(fault))
                    }
                },
                _ => plain(&asked),
            }
        }
    })
    .await;
    let (mut connection, _) = open(local(&server)).await.unwrap();
    let message = Message {
        destination: Destination::Server,
        ..server_message(MessageType::CreatePipeline, pipeline, "<S N=\"Cmd\">Get-CsTenant</S>")
    };
    let outgoing = Outgoing { stream: Stream::Default, message };
    connection.requests.send(ConnectionRequest::Send { outgoing, ordered: None }).await.unwrap();
    let error = loop {
        match timeout(PATIENCE, connection.events.recv()).await.unwrap().unwrap() {
            ConnectionEvent::PipelineFailed(id, error) if id == pipeline => break error,
            ConnectionEvent::Message(_) => {}
            other => panic!("{other:?}"),
        }
    };
    assert!(error.to_string().contains("1 message is missing"), "{error}");
}

#[tokio::test]
async fn a_command_with_a_lost_answer_is_not_rerun() {
    for large in [false, true] {
        let (pool, first, second) = (Uuid::nil(), Uuid::new_v4(), Uuid::new_v4());
        let opened = Arc::new(AtomicUsize::new(0));
        let server = Server::start(None, move |asked| {
            let opened = opened.clone();
            async move {
                let request = RequestEnvelope::read(&asked.body).unwrap();
                match request.request {
                    // The server has received Command, and the response is lost.
                    Asks::Command { id, .. } if id == Some(first) && !large => cut(),
                    Asks::Send(_) if large => cut(),
                    Asks::Command { id, .. } => soap(&request, Response::Commanded { id }),
                    Asks::Signal { .. } => soap(&request, Response::Signaled),
                    Asks::Receive { command: None, .. } if opened.fetch_add(1, Ordering::Relaxed) == 0 => {
                        let body = "<Obj><MS><I32 N=\"RunspaceState\">2</I32></MS></Obj>";
                        let state = server_message(MessageType::RunspacePoolState, pool, body);
                        receives(&asked, &[state], 0..1)
                    }
                    Asks::Receive { .. } => None,
                    _ => plain(&asked),
                }
            }
        })
        .await;
        let (mut connection, _) = open(local(&server)).await.unwrap();
        let start = |id: Uuid, size: usize| {
            let body = format!("<S N=\"Cmd\">{}</S>", "x".repeat(size));
            let message = Message {
                destination: Destination::Server,
                ..server_message(MessageType::CreatePipeline, id, &body)
            };
            ConnectionRequest::Send { outgoing: Outgoing { stream: Stream::Default, message }, ordered: None }
        };
        connection.requests.send(start(first, if large { 2_000_000 } else { 10 })).await.unwrap();
        let error = loop {
            match timeout(PATIENCE, connection.events.recv()).await.unwrap().unwrap() {
                ConnectionEvent::PipelineFailed(id, error) => {
                    assert_eq!(id, first);
                    break error;
                }
                ConnectionEvent::Message(_) => {}
                other => panic!("{other:?}"),
            }
        };
        assert!(error.to_string().ends_with("the command may have run"), "{error}");
        assert!(error.advice().unwrap().starts_with("Check what the command has changed"));
        // A command that may be running is ended, and the next command can use the session.
        connection.requests.send(start(second, 10)).await.unwrap();
        let asked = |what: &str| actions(&server).iter().filter(|action| *action == what).count();
        until(PATIENCE, "the requests", || asked("Signal") == 1 && asked("Command") == 2).await;
        assert_eq!(asked("Send"), usize::from(large));
    }
}
