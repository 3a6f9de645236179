//! All outcomes of a Command, a Send or a Receive, and how often each is sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lyncsh::psrp::client::{Outgoing, Stream};
use lyncsh::psrp::fragment::Fragmenter;
use lyncsh::psrp::message::{Destination, Message, MessageType};
use lyncsh::transport::wsman::envelope::{
    Received, RequestEnvelope, Response, SignalCode, StreamPart, WsmanRequest as Asks,
};
use lyncsh::transport::wsman::fault::{Fault, code};
use lyncsh::transport::wsman::{Authentication, Renew};
use lyncsh::transport::{Connection, ConnectionEvent, ConnectionRequest, Error};
use tokio::time::timeout;
use uuid::Uuid;

use crate::program::until;
use crate::wsman_client_faults::{actions, local, open, plain, soap};
use crate::wsman_client_http::{Answer, CUT, PATIENCE, ReceivedRequest, Server, http};

const OPENED: &str = "<Obj RefId=\"0\"><MS><I32 N=\"RunspaceState\">2</I32></MS></Obj>";
const COMPLETED: &str = "<Obj RefId=\"0\"><MS><I32 N=\"PipelineState\">4</I32></MS></Obj>";

/// A server's answer in a test: a fault, an HTTP status, or a valid response.
#[derive(Clone, Debug)]
enum Says {
    Fault(u32, &'static str),
    Http(&'static str, &'static str, &'static str),
    Redirect,
    Cut,
    Wrong,
}

impl Says {
    fn answer(&self, asked: &ReceivedRequest) -> Answer {
        let request = RequestEnvelope::read(&asked.body).unwrap();
        match self {
            Self::Fault(code, subcode) => {
                soap(&request, Response::Fault(Fault::new(*code, subcode, "It went wrong.")))
            }
            Self::Http(status, kind, body) => http(status, &[("Content-Type", kind)], body.as_bytes()),
            Self::Redirect => http("307 Moved", &[("Location", "/elsewhere")], b""),
            Self::Cut => Some([b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", CUT].concat()),
            Self::Wrong => soap(&request, Response::Signaled),
        }
    }
}

/// After any of these the request may have been executed.
const UNCLEAR: [Says; 17] = [
    Says::Fault(code::STREAM_DISCONNECTED, "w:InternalError"),
    Says::Fault(code::DISCONNECTED, "w:InternalError"),
    Says::Fault(code::UNEXPECTED_SELECTORS, "w:InvalidSelectors"),
    Says::Fault(code::TIMED_OUT, "w:TimedOut"),
    Says::Fault(2_150_858_999, "w:InternalError"),
    Says::Fault(995, "w:InternalError"),
    Says::Http("500 Internal Server Error", "text/html", ""),
    Says::Http("502 Bad Gateway", "text/html", "<html><title>Gateway</title></html>"),
    Says::Http("503 Service Unavailable", "text/html", "<html></html>"),
    Says::Http("504 Gateway Timeout", "text/plain", "too late"),
    Says::Http("400 Bad Request", "text/plain", ""),
    Says::Http("200 OK", "application/soap+xml;charset=UTF-8", ""),
    Says::Http("200 OK", "application/soap+xml;charset=UTF-8", "<s:Envelope><s:Bo"),
    Says::Http("200 OK", "text/html", "<html><title>Sign in</title></html>"),
    Says::Redirect,
    Says::Cut,
    Says::Wrong,
];

/// After any of these the request was certainly not executed.
const REFUSED: [Says; 8] = [
    Says::Fault(2_150_859_174, "w:QuotaLimit"),
    Says::Fault(2_150_859_175, "w:InternalError"),
    Says::Fault(5, "w:AccessDenied"),
    Says::Fault(2_150_858_817, "w:SchemaValidationError"),
    Says::Http("401 Unauthorized", "text/plain", ""),
    Says::Http("403 Forbidden", "text/html", "<html></html>"),
    Says::Http("413 Too Large", "text/plain", ""),
    Says::Http("429 Too Many Requests", "text/plain", ""),
];

fn message(kind: MessageType, pipeline: Uuid, body: &str) -> Message {
    let destination = match kind {
        MessageType::CreatePipeline | MessageType::PipelineInput => Destination::Server,
        _ => Destination::Client,
    };
    Message { destination, kind, pool: Uuid::nil(), pipeline, body: body.to_owned() }
}

/// Returns a response to Receive with complete messages, numbered from `first`.
fn receives(asked: &ReceivedRequest, first: u64, messages: &[Message]) -> Answer {
    let mut fragmenter = Fragmenter { next_object_id: first };
    let cut = messages.iter().flat_map(|message| fragmenter.cut(&message.encode(), 10_000));
    let data = cut.collect::<Vec<_>>().concat();
    let part = StreamPart { name: "stdout".to_owned(), command: None, data, end: false };
    let received = Received { streams: vec![part], ..Received::default() };
    soap(&RequestEnvelope::read(&asked.body).unwrap(), Response::Received(received))
}

/// Starts a server whose pool opens and whose commands start, except where `special` answers.
async fn server(
    special: impl Fn(&ReceivedRequest, &Asks) -> Option<Answer> + Send + Sync + 'static,
) -> Server {
    server_that_writes(false, special).await
}

async fn server_that_writes(
    in_two: bool,
    special: impl Fn(&ReceivedRequest, &Asks) -> Option<Answer> + Send + Sync + 'static,
) -> Server {
    let special = Arc::new(special);
    let opened = Arc::new(AtomicUsize::new(0));
    let answer = move |asked: ReceivedRequest| {
        let (special, opened) = (special.clone(), opened.clone());
        async move {
            let request = RequestEnvelope::read(&asked.body).unwrap();
            if let Some(answer) = special(&asked, &request.request) {
                return answer;
            }
            match request.request {
                Asks::Command { id, .. } => soap(&request, Response::Commanded { id }),
                Asks::Send(_) => soap(&request, Response::Sent),
                Asks::Signal { .. } => soap(&request, Response::Signaled),
                Asks::Reconnect { .. } => soap(&request, Response::Reconnected),
                Asks::Receive { command: None, .. } if opened.fetch_add(1, Ordering::Relaxed) == 0 => {
                    let state = message(MessageType::RunspacePoolState, Uuid::nil(), OPENED);
                    receives(&asked, 1, &[state])
                }
                _ => plain(&asked),
            }
        }
    };
    if in_two { Server::in_two(None, answer).await } else { Server::start(None, answer).await }
}

async fn run(connection: &Connection, id: Uuid, size: usize) {
    let body = format!("<S N=\"Cmd\">{}</S>", "x".repeat(size));
    let message = message(MessageType::CreatePipeline, id, &body);
    send(connection, message).await;
}

async fn send(connection: &Connection, message: Message) {
    let outgoing = Outgoing { stream: Stream::Default, message };
    connection.requests.send(ConnectionRequest::Send { outgoing, ordered: None }).await.unwrap();
}

/// Returns the error with which a pipeline fails.
async fn failure(connection: &mut Connection, id: Uuid) -> Error {
    loop {
        match timeout(PATIENCE, connection.events.recv()).await.unwrap().unwrap() {
            ConnectionEvent::PipelineFailed(failed, error) if failed == id => return error,
            ConnectionEvent::Message(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

fn count(server: &Server, action: &str) -> usize {
    actions(server).iter().filter(|asked| *asked == action).count()
}

#[tokio::test]
async fn an_unrefused_command_may_have_run() {
    for (says, unclear) in
        UNCLEAR.iter().map(|says| (says, true)).chain(REFUSED.iter().map(|says| (says, false)))
    {
        let (answer, first) = (says.clone(), Arc::new(AtomicUsize::new(0)));
        let server = server(move |asked, request| {
            let first = matches!(request, Asks::Command { .. }) && first.fetch_add(1, Ordering::Relaxed) == 0;
            first.then(|| answer.answer(asked))
        })
        .await;
        let (mut connection, _) = open(local(&server)).await.unwrap();
        let id = Uuid::new_v4();
        run(&connection, id, 10).await;
        let error = failure(&mut connection, id).await;
        let text = error.to_string();
        assert_eq!(text.ends_with("; the command may have run"), unclear, "{says:?}: {text}");
        assert_eq!(text.matches("may have run").count(), usize::from(unclear), "{text}");
        if unclear {
            assert!(error.advice().unwrap().starts_with("Check what the command has changed"), "{says:?}");
            // A command that may be running is ended.
            until(PATIENCE, "the requests", || count(&server, "Signal") == 1).await;
        }
        // The session continues, and the command was not sent again.
        run(&connection, Uuid::new_v4(), 10).await;
        until(PATIENCE, "the requests", || count(&server, "Command") == 2).await;
        assert_eq!(count(&server, "Create"), 1, "{says:?}");
    }
}

#[tokio::test]
async fn input_is_sent_once_whatever_the_answer() {
    for says in UNCLEAR.iter().chain(&REFUSED) {
        // Lost input of an ended pipeline is not reported: the pipeline's end has reported the error.
        if matches!(says, Says::Fault(code::UNEXPECTED_SELECTORS, _)) {
            continue;
        }
        let answer = says.clone();
        let server =
            server(move |asked, request| matches!(request, Asks::Send(_)).then(|| answer.answer(asked)))
                .await;
        let (mut connection, _) = open(local(&server)).await.unwrap();
        let id = Uuid::new_v4();
        run(&connection, id, 10).await;
        until(PATIENCE, "the requests", || count(&server, "Command") == 1).await;
        send(&connection, message(MessageType::PipelineInput, id, "<S>some input</S>")).await;
        let text = failure(&mut connection, id).await.to_string();
        assert!(text.ends_with("; the command may have run"), "{says:?}: {text}");
        assert_eq!((count(&server, "Send"), count(&server, "Command")), (1, 1), "{says:?}");
    }
}

#[tokio::test]
async fn a_command_with_a_refused_send_has_not_run() {
    for (says, unclear) in [(&UNCLEAR[0], true), (&UNCLEAR[9], true), (&REFUSED[0], false)] {
        let answer = says.clone();
        let server =
            server(move |asked, request| matches!(request, Asks::Send(_)).then(|| answer.answer(asked)))
                .await;
        let (mut connection, _) = open(local(&server)).await.unwrap();
        let id = Uuid::new_v4();
        run(&connection, id, 1_000_000).await;
        let text = failure(&mut connection, id).await.to_string();
        assert_eq!(text.ends_with("; the command may have run"), unclear, "{says:?}: {text}");
        assert_eq!((count(&server, "Send"), count(&server, "Command")), (1, 1), "{says:?}");
    }
}

#[tokio::test]
async fn a_refused_receive_leaves_the_outcome_unclear() {
    let server = server(|asked, request| {
        let receives = matches!(request, Asks::Receive { command: Some(_), .. });
        receives.then(|| Says::Fault(5, "w:AccessDenied").answer(asked))
    })
    .await;
    let (mut connection, _) = open(local(&server)).await.unwrap();
    let id = Uuid::new_v4();
    run(&connection, id, 10).await;
    let text = failure(&mut connection, id).await.to_string();
    assert_eq!(text, "It went wrong. (WSManFault 5); the command may have run");
    assert_eq!(count(&server, "Command"), 1);
}

fn bearer(number: usize) -> Authentication {
    Authentication::Bearer {
        user: "kenmyer@litwareinc.com".to_owned(),
        token: format!("token-{number}").into(),
        expires: None,
    }
}

#[tokio::test]
async fn a_request_with_an_expired_token_is_sent_once_more_with_a_new_one() {
    let fetched = Arc::new(AtomicUsize::new(0));
    // The first token is valid for Create and the opening of the pool.
    let server = server(|asked, request| {
        let old = asked.head.contains("Bearer token-0");
        let refuses = old && !matches!(request, Asks::Create(_) | Asks::Receive { .. });
        refuses.then(|| http("401 Unauthorized", &[("WWW-Authenticate", "Bearer")], b""))
    })
    .await;
    let mut endpoint = local(&server);
    endpoint.authentication = bearer(0);
    let counts = fetched.clone();
    endpoint.renew = Some(Renew::new(move || {
        let token = bearer(counts.fetch_add(1, Ordering::Relaxed) + 1);
        async move { Some(token) }
    }));
    let (connection, _) = open(endpoint).await.unwrap();
    for _ in 0..2 {
        run(&connection, Uuid::new_v4(), 10).await;
    }
    // One or both commands are refused, depending on when the first refusal arrives.
    let renewed = || {
        let asked = server.requests().into_iter();
        let commands = asked.filter(|asked| {
            matches!(RequestEnvelope::read(&asked.body).unwrap().request, Asks::Command { .. })
        });
        commands.filter(|asked| asked.head.contains("token-1")).count()
    };
    until(PATIENCE, "the requests", || renewed() >= 2).await;
    assert_eq!((fetched.load(Ordering::Relaxed), renewed()), (1, 2));
}

#[tokio::test]
async fn a_token_is_replaced_before_it_expires() {
    let server =
        server(|asked, _| asked.head.contains("Bearer token-0").then(|| http("401 Unauthorized", &[], b"")))
            .await;
    let mut endpoint = local(&server);
    endpoint.authentication = bearer(0);
    if let Authentication::Bearer { expires, .. } = &mut endpoint.authentication {
        *expires = Some(std::time::Instant::now());
    }
    endpoint.renew = Some(Renew::new(|| async { Some(bearer(1)) }));
    let (connection, _) = open(endpoint).await.unwrap();
    run(&connection, Uuid::new_v4(), 10).await;
    until(PATIENCE, "the requests", || count(&server, "Command") == 1).await;
    assert!(server.requests().iter().all(|asked| asked.head.contains("Bearer token-1")));
}

#[tokio::test]
async fn a_refused_password_is_not_sent_again() {
    let server = server(|asked, request| {
        let command = matches!(request, Asks::Command { .. });
        command.then(|| Says::Http("401 Unauthorized", "text/plain", "").answer(asked))
    })
    .await;
    let (mut connection, _) = open(local(&server)).await.unwrap();
    let id = Uuid::new_v4();
    run(&connection, id, 10).await;
    assert!(matches!(failure(&mut connection, id).await, Error::Unauthorized { .. }));
    assert_eq!(count(&server, "Command"), 1);
}

#[tokio::test]
async fn a_repeated_receive_yields_its_output_once() {
    let pipeline = Uuid::new_v4();
    for lost in [false, true] {
        let step = Arc::new(AtomicUsize::new(0));
        let server = server(move |asked, request| {
            let Asks::Receive { command: Some(_), .. } = request else { return None };
            let output = |text: &str| message(MessageType::PipelineOutput, pipeline, text);
            let [one, two, three] = ["<S>one</S>", "<S>two</S>", "<S>three</S>"].map(output);
            let end = message(MessageType::PipelineState, pipeline, COMPLETED);
            Some(match step.fetch_add(1, Ordering::Relaxed) {
                0 => receives(asked, 2, &[one, two]),
                1 if lost => Says::Cut.answer(asked),
                // The same fragments, and those after them.
                1 | 2 => receives(asked, 2, &[one, two, three]),
                3 => receives(asked, 4, &[three, end]),
                _ => None,
            })
        })
        .await;
        let (mut connection, _) = open(local(&server)).await.unwrap();
        run(&connection, pipeline, 10).await;
        let mut said = Vec::new();
        loop {
            match timeout(PATIENCE, connection.events.recv()).await.unwrap().unwrap() {
                ConnectionEvent::Message(message) if message.kind == MessageType::PipelineOutput => {
                    said.push(message.body);
                }
                ConnectionEvent::Message(message) if message.kind == MessageType::PipelineState => break,
                ConnectionEvent::Message(_) => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(said, ["<S>one</S>", "<S>two</S>", "<S>three</S>"], "lost: {lost}");
    }
}

#[tokio::test]
async fn receive_and_signal_are_retried_after_a_gateway_error() {
    let receives_asked = Arc::new(AtomicUsize::new(0));
    let signals_asked = Arc::new(AtomicUsize::new(0));
    let pipeline = Uuid::new_v4();
    let server = server(move |asked, request| match request {
        Asks::Receive { command: Some(_), .. } => {
            let number = receives_asked.fetch_add(1, Ordering::Relaxed);
            match UNCLEAR[6..14].get(number) {
                Some(says) => Some(says.answer(asked)),
                None if number == 8 => {
                    let output = message(MessageType::PipelineOutput, pipeline, "<S>one</S>");
                    Some(receives(asked, 2, &[output]))
                }
                None => Some(None),
            }
        }
        Asks::Signal { code: SignalCode::Stop, .. } => {
            let number = signals_asked.fetch_add(1, Ordering::Relaxed);
            UNCLEAR[7..9].get(number).map(|says| says.answer(asked))
        }
        _ => None,
    })
    .await;
    let (mut connection, _) = open(local(&server)).await.unwrap();
    run(&connection, pipeline, 10).await;
    loop {
        match timeout(PATIENCE, connection.events.recv()).await.unwrap().unwrap() {
            ConnectionEvent::Message(message) if message.kind == MessageType::PipelineOutput => break,
            ConnectionEvent::Message(_) => {}
            other => panic!("{other:?}"),
        }
    }
    connection.requests.send(ConnectionRequest::Stop(pipeline)).await.unwrap();
    match timeout(PATIENCE, connection.events.recv()).await.unwrap().unwrap() {
        ConnectionEvent::StopAcknowledged(id) => assert_eq!(id, pipeline),
        other => panic!("{other:?}"),
    }
    assert_eq!((count(&server, "Signal"), count(&server, "Command")), (3, 1));
}

#[tokio::test]
async fn the_next_receive_precedes_message_delivery() {
    let pipeline = Uuid::new_v4();
    let answered = Arc::new(AtomicUsize::new(0));
    let server = server(move |asked, request| {
        let Asks::Receive { command: Some(_), .. } = request else { return None };
        let output = message(MessageType::PipelineOutput, pipeline, "<S>one</S>");
        // More than the connection queues for an owner that does not read.
        let first = answered.fetch_add(1, Ordering::Relaxed) == 0;
        Some(if first { receives(asked, 2, &vec![output; 500]) } else { None })
    })
    .await;
    let (connection, _) = open(local(&server)).await.unwrap();
    run(&connection, pipeline, 10).await;
    let asked = || {
        let asked = server.requests().into_iter().filter(|asked| {
            let request = RequestEnvelope::read(&asked.body).unwrap().request;
            matches!(request, Asks::Receive { command: Some(_), .. })
        });
        asked.count()
    };
    until(PATIENCE, "the requests", || asked() == 2).await;
    // A slow owner does not receive further messages.
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(asked(), 2);
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn split_answers_avoid_delayed_acknowledgements() {
    const ANSWERS: u32 = 100;
    let pipeline = Uuid::new_v4();
    let number = Arc::new(AtomicUsize::new(0));
    let server = server_that_writes(true, move |asked, request| {
        let Asks::Receive { command: Some(_), .. } = request else { return None };
        let output = message(MessageType::PipelineOutput, pipeline, "<S>one</S>");
        let number = number.fetch_add(1, Ordering::Relaxed) as u64;
        Some(if number < u64::from(ANSWERS) { receives(asked, number + 2, &[output]) } else { None })
    })
    .await;
    let (mut connection, _) = open(local(&server)).await.unwrap();
    let start = std::time::Instant::now();
    run(&connection, pipeline, 10).await;
    let mut outputs = 0;
    while outputs < ANSWERS {
        match timeout(PATIENCE, connection.events.recv()).await.unwrap().unwrap() {
            ConnectionEvent::Message(message) if message.kind == MessageType::PipelineOutput => outputs += 1,
            ConnectionEvent::Message(_) => {}
            other => panic!("{other:?}"),
        }
    }
    // Each delayed request takes 40 ms.
    assert!(start.elapsed() < Duration::from_millis(20) * ANSWERS, "{:?}", start.elapsed());
    let connections = server.requests().iter().map(|asked| asked.connection).max();
    assert!(connections < Some(4), "connections are used again: {connections:?}");
}
