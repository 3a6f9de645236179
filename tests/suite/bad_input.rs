//! Bad input at every step of connecting: the error names the step and comes within the step's time limit, lyncsh uses
//! at most 200 MB of memory, and no session is left. Other rows of the same table are in `access` (a missing server,
//! redirect loops, pages), `oidc_hostile` (metadata, device codes, tokens without an expiry), `oidc` (an unused device
//! code) and `proxy`.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use lyncsh::transport::wsman::envelope::{RequestEnvelope, Response, WsmanRequest as Asks};
use rustix::net::sockopt::set_socket_linger;

use crate::agent_world::{USER, World};
use crate::program::{Program, holds, lyncsh};
use crate::wsman_client_faults::soap;
use crate::wsman_client_http::http;

/// Create includes a connection.
const LIMITS: &str =
    "[timeouts]\nconnect = '2s'\ndiscovery = '3s'\ntoken = '3s'\nopen = '4s'\nclose = '2s'\n";
/// Longest time until the error of a step: its limit, and the start and end of the processes on a busy machine.
const STEP_TIMEOUT: Duration = Duration::from_secs(30);
const MEGABYTE: usize = 1 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Discovery,
    Challenge,
    Token,
    Proxy,
    Tls,
    Create,
    Receive,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// No server listens.
    Refused,
    Reset,
    /// An answer of one byte a second.
    Slow,
    /// The end of the connection in the middle of an answer.
    Cut,
    /// Something else than expected.
    Other,
    /// 200 MB.
    Huge,
    /// A cookie of 1 MB.
    Cookie,
    /// A token without an expiry.
    NoExpiry,
}

/// The step, the fault, and parts of the expected error.
const ROWS: &[(Step, Fault, &[&str])] = &[
    (Step::Discovery, Fault::Reset, &["discovery at "]),
    (Step::Discovery, Fault::Slow, &["discovery of litwareinc.com took longer than 3s"]),
    (Step::Discovery, Fault::Cut, &["discovery at "]),
    (Step::Discovery, Fault::Huge, &["discovery at ", "more than 1048576 bytes"]),
    (Step::Discovery, Fault::Cookie, &["discovery at "]),
    (Step::Challenge, Fault::Reset, &["cannot get the address of the token service from "]),
    (Step::Challenge, Fault::Slow, &["/OcsPowershellOAuth did not answer within 3s"]),
    (Step::Challenge, Fault::Cut, &["cannot get the address of the token service from "]),
    (
        Step::Challenge,
        Fault::Huge,
        &["cannot get the address of the token service from ", "more than 1048576 bytes"],
    ),
    (Step::Token, Fault::Refused, &["cannot reach the token service ", "Connection refused"]),
    (Step::Token, Fault::Reset, &["cannot reach the token service "]),
    (Step::Token, Fault::Slow, &["the token service ", "did not answer within 3s"]),
    (Step::Token, Fault::Cut, &["cannot reach the token service "]),
    (Step::Token, Fault::Other, &["cannot reach the token service ", "its response has no token"]),
    (Step::Token, Fault::Huge, &["cannot reach the token service ", "more than 1048576 bytes"]),
    (Step::Token, Fault::Cookie, &["cannot reach the token service "]),
    (
        Step::Token,
        Fault::NoExpiry,
        &["cannot get a token with the password from ", "its token has no expiry (expires_in)"],
    ),
    (Step::Proxy, Fault::Reset, &["through the proxy "]),
    (Step::Proxy, Fault::Slow, &["through the proxy ", "the CONNECT request took longer than 2s"]),
    (Step::Proxy, Fault::Cut, &["through the proxy ", "during the CONNECT request"]),
    (Step::Proxy, Fault::Huge, &["through the proxy ", "to the CONNECT request"]),
    (Step::Tls, Fault::Reset, &["cannot reach https://127.0.0.1"]),
    (Step::Tls, Fault::Slow, &["connecting took longer than 2s"]),
    (Step::Tls, Fault::Cut, &["cannot reach https://127.0.0.1"]),
    (Step::Tls, Fault::Other, &["cannot open a TLS connection to "]),
    (Step::Tls, Fault::Huge, &["cannot open a TLS connection to "]),
    (Step::Create, Fault::Reset, &["ended while creating the session"]),
    (Step::Create, Fault::Slow, &["creating the session took longer than 4s"]),
    (Step::Create, Fault::Cut, &["ended while creating the session"]),
    (Step::Create, Fault::Other, &["while creating the session"]),
    (Step::Create, Fault::Huge, &["while creating the session"]),
    (Step::Create, Fault::Cookie, &["while creating the session"]),
    (Step::Receive, Fault::Reset, &["opening the session took longer than 4s"]),
    (Step::Receive, Fault::Slow, &["opening the session took longer than 4s"]),
    (Step::Receive, Fault::Cut, &["opening the session took longer than 4s"]),
    (Step::Receive, Fault::Other, &["opening the session took longer than 4s"]),
    (Step::Receive, Fault::Huge, &["opening the session took longer than 4s"]),
];

/// The text in the agent's log with which a Receive is repeated until the time limit, which hides it from the user.
const REPEATED: &[(Fault, &str)] = &[
    (Fault::Reset, "a Receive is repeated: the connection to "),
    (Fault::Cut, "a Receive is repeated: the connection to "),
    (Fault::Other, "answered 200 OK"),
    (Fault::Huge, "larger than 67108864 bytes"),
];

/// Reads a request without consuming it; a connection that ends with unread bytes is reset.
fn request(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut buffer = vec![0; 256 * 1024];
    let start = Instant::now();
    loop {
        let read = stream.peek(&mut buffer).ok().filter(|read| *read > 0)?;
        let bytes = &buffer[..read];
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|end| end + 4);
        let length = |end: usize| {
            let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
            head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok())
        };
        if let Some(end) = end
            && read >= end + length(end).unwrap_or(0)
        {
            return Some(bytes.to_vec());
        }
        if start.elapsed() > STEP_TIMEOUT {
            return None;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Returns the step of a request.
fn step(request: &[u8]) -> Option<Step> {
    let text = String::from_utf8_lossy(request);
    let path = text.split(' ').nth(1)?;
    match path.split('?').next()? {
        "/" => Some(Step::Discovery),
        "/OcsPowershellOAuth" => Some(Step::Challenge),
        "/token" => Some(Step::Token),
        _ if text.starts_with("CONNECT ") => Some(Step::Proxy),
        _ => match envelope(request)?.request {
            Asks::Create(_) => Some(Step::Create),
            Asks::Receive { .. } => Some(Step::Receive),
            _ => None,
        },
    }
}

fn envelope(request: &[u8]) -> Option<RequestEnvelope> {
    let body = request.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    RequestEnvelope::read(&request[body..]).ok()
}

/// Returns the right answer to a request.
fn answer(request: &[u8], token: &str) -> Vec<u8> {
    let answer = match step(request) {
        Some(Step::Challenge) => {
            let challenge = format!("Bearer client_id=\"1\", authorization_uri=\"{token}\"");
            http("401 Unauthorized", &[("WWW-Authenticate", &challenge)], b"")
        }
        _ => envelope(request).and_then(|envelope| match &envelope.request {
            Asks::Create(create) => {
                let shell_id = create.shell_id.clone().unwrap();
                soap(&envelope, Response::Created { shell_id, resource_uri: None, shell: None })
            }
            Asks::Delete => soap(&envelope, Response::Deleted),
            _ => None,
        }),
    };
    answer.or_else(|| http("404 Not Found", &[], b"")).unwrap()
}

/// Serves one connection; counts the bad answers.
fn serve(mut stream: TcpStream, at: Step, fault: Fault, token: &str, harmed: &AtomicUsize) {
    if at == Step::Tls {
        if stream.peek(&mut [0; 1]).is_ok_and(|read| read > 0) {
            harmed.fetch_add(1, Ordering::SeqCst);
            harm(stream, at, fault);
        }
        return;
    }
    while let Some(request) = request(&mut stream) {
        if step(&request) == Some(at) {
            if fault != Fault::Reset {
                stream.read_exact(&mut vec![0; request.len()]).unwrap();
            }
            harmed.fetch_add(1, Ordering::SeqCst);
            return harm(stream, at, fault);
        }
        stream.read_exact(&mut vec![0; request.len()]).unwrap();
        if stream.write_all(&answer(&request, token)).is_err() {
            return;
        }
    }
}

/// Sends the bad answer of a row.
fn harm(mut stream: TcpStream, at: Step, fault: Fault) {
    let head = |length: usize| {
        format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/soap+xml;charset=UTF-8\r\nContent-Length: {length}\r\n\r\n"
        )
    };
    // A record of a TLS handshake; the begun head of a proxy's answer.
    let begun = match at {
        Step::Tls => b"\x16\x03\x03\x40\x00".to_vec(),
        Step::Proxy => b"HTTP/1.1 200 OK\r\nX: ".to_vec(),
        _ => head(200 * MEGABYTE).into_bytes(),
    };
    let written = match fault {
        Fault::Refused => Ok(()),
        Fault::Reset => set_socket_linger(&stream, Some(Duration::ZERO)).map_err(Into::into),
        Fault::Slow => {
            let byte = [begun[0]];
            let bytes = if matches!(at, Step::Tls | Step::Proxy) { &begun[..] } else { &byte };
            let start = Instant::now();
            let mut written = if bytes.len() == 1 { stream.write_all(&begun) } else { Ok(()) };
            let mut next = bytes.iter().cycle();
            while written.is_ok() && start.elapsed() < STEP_TIMEOUT {
                written = stream.write_all(&[*next.next().unwrap()]);
                std::thread::sleep(Duration::from_secs(1));
            }
            written
        }
        Fault::Cut => stream.write_all(&[&begun[..], b"  "].concat()),
        Fault::Other if at == Step::Tls => stream.write_all(b"220 mail.example.com ESMTP\r\n"),
        Fault::Other if at == Step::Create => {
            stream.write_all(&[head(9).as_bytes(), b"<envelope".as_slice()].concat())
        }
        Fault::NoExpiry => {
            let json = [("Content-Type", "application/json")];
            stream
                .write_all(&http("200 OK", &json, br#"{"access_token":"a","token_type":"Bearer"}"#).unwrap())
        }
        Fault::Other => {
            let page = http("200 OK", &[("Content-Type", "text/html")], b"<html>Please sign in</html>");
            stream.write_all(&page.unwrap())
        }
        Fault::Huge => {
            let part = vec![b' '; MEGABYTE];
            let begun = if at == Step::Tls { &[] } else { &begun[..] };
            let mut written = stream.write_all(begun);
            for _ in 0..200 {
                written = written.and_then(|()| stream.write_all(&part));
            }
            written
        }
        Fault::Cookie => {
            let cookie = format!("HTTP/1.1 200 OK\r\nSet-Cookie: a={}\r\n\r\n", "x".repeat(MEGABYTE));
            stream.write_all(cookie.as_bytes())
        }
    };
    // The client may close the connection at any time.
    drop(written);
}

/// Starts the endpoint of a row; returns its port, and the number of its bad answers.
fn start(at: Step, fault: Fault) -> (u16, Arc<AtomicUsize>) {
    let unused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let token = if fault == Fault::Refused { unused } else { port };
    let token = format!("http://127.0.0.1:{token}/token");
    let harmed = Arc::new(AtomicUsize::new(0));
    let count = harmed.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (token, count) = (token.clone(), count.clone());
            std::thread::spawn(move || serve(stream, at, fault, &token, &count));
        }
    });
    (port, harmed)
}

/// Creates a user with a profile for a row.
fn user(at: Step, port: u16) -> World {
    let base = format!("127.0.0.1:{port}");
    let basic = "kind = 'wsman'\nauthentication = 'basic'";
    let lines = match at {
        Step::Discovery => format!("kind = 'lync-online'\ndiscovery = 'http://{base}/'"),
        Step::Challenge | Step::Token => {
            format!("kind = 'wsman'\nauthentication = 'token'\nuri = 'http://{base}/OcsPowershellOAuth'")
        }
        Step::Proxy => format!("{basic}\nuri = 'https://mail.corp.invalid/wsman'\nproxy = 'http://{base}'"),
        Step::Tls => format!("{basic}\nuri = 'https://{base}/wsman'"),
        Step::Create | Step::Receive => format!("{basic}\nuri = 'http://{base}/wsman'"),
    };
    let world = World::without_endpoint();
    std::fs::create_dir_all(world.folders.profiles()).unwrap();
    let text = format!(
        "{lines}\nuser = '{USER}'\nshell = 'console'\ncredential = {{ command = 'echo pw' }}\n{LIMITS}"
    );
    std::fs::write(world.folders.profile("work"), text).unwrap();
    world
}

/// Runs a row; returns a description of a failure.
fn wrong(at: Step, fault: Fault, parts: &[&str]) -> Option<String> {
    let (port, harmed) = start(at, fault);
    let world = user(at, port);
    let begin = Instant::now();
    // The limit of the data of lyncsh and its agent, in KB.
    let limit = "ulimit -d 204800; exec \"$0\" work";
    let mut command = Program::new("sh")
        .args(["-c".as_ref(), limit.as_ref(), lyncsh().as_os_str()])
        .env("LYNCSH_CONFIG_DIR", world.root());
    for name in
        ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY"]
    {
        command = command.env(name, "");
    }
    // Each thread needs memory, and the number of threads is that of the processors otherwise.
    let command = command.env("NO_COLOR", "1").env("TOKIO_WORKER_THREADS", "2");
    let ran = command.env("LYNCSH_LOG", "lyncsh=debug").run();
    let after = begin.elapsed();
    let (code, text) = (ran.code, ran.text());
    world.wait_agent_gone();
    let left = || std::fs::read_dir(world.folders.state.join("sessions")).map_or(0, Iterator::count);
    // An agent releases its lock before its last removal.
    let is_removed = holds(STEP_TIMEOUT, || left() == 0);
    // Without it, the error is that of another step.
    let is_reached = fault == Fault::Refused || harmed.load(Ordering::SeqCst) > 0;
    let log = std::fs::read_to_string(world.folders.state.join("log/work.log")).unwrap_or_default();
    let repeated = REPEATED.iter().filter(|(one, _)| at == Step::Receive && *one == fault);
    let is_harmed = is_reached && repeated.map(|(_, text)| text).all(|text| log.contains(text));
    let is_right = code == Some(3)
        && is_harmed
        && parts.iter().all(|part| text.contains(part))
        && text.contains("help:")
        && after < STEP_TIMEOUT
        && is_removed;
    (!is_right).then(|| {
        format!(
            "{at:?} {fault:?}: {code:?} after {after:?}, harmed: {is_harmed}, removed: {is_removed}: {text}"
        )
    })
}

#[test]
fn bad_input_at_every_step_is_reported_in_time_and_leaves_nothing() {
    // Slow answers wait for a time limit: several rows run at the same time.
    let next = std::sync::Mutex::new(ROWS.iter());
    let all = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while let Some((at, fault, parts)) = { next.lock().unwrap().next() } {
                    all.lock().unwrap().extend(wrong(*at, *fault, parts));
                }
            });
        }
    });
    let all = all.into_inner().unwrap();
    assert!(all.is_empty(), "{all:#?}");
}
