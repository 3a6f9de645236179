//! An HTTP server for tests that records requests byte by byte and sends the test's answers.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lyncsh::net::Trust;
use lyncsh::transport::Limits;
use lyncsh::transport::wsman::{Authentication, Endpoint};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// Maximum wait of a test.
pub use crate::program::PATIENCE;

/// One request.
#[derive(Clone, Debug)]
pub struct ReceivedRequest {
    pub path: String,
    pub head: String,
    pub body: Vec<u8>,
    /// Counted from 0.
    pub connection: usize,
    /// Whether head and body arrived in one read, i.e. the client wrote them in one piece.
    pub at_once: bool,
}

/// An answer; `None`: no answer until the client disconnects.
pub type Answer = Option<Vec<u8>>;

/// End mark of an answer after which the connection is cut.
pub const CUT: &[u8] = b"<cut";

pub fn http(status: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        answer.push_str(&format!("{name}: {value}\r\n"));
    }
    let mut answer = format!("{answer}\r\n").into_bytes();
    answer.extend(body);
    Some(answer)
}

/// A running server; ends with the test's runtime.
pub struct Server {
    pub port: u16,
    pub asked: Arc<Mutex<Vec<ReceivedRequest>>>,
}

impl Server {
    pub async fn start<F, A>(tls: Option<rustls::ServerConfig>, answer: F) -> Self
    where
        F: Fn(ReceivedRequest) -> A + Clone + Send + 'static,
        A: Future<Output = Answer> + Send + 'static,
    {
        Self::listen(tls, false, answer).await
    }

    /// Starts a server that writes each answer in two pieces.
    pub async fn in_two<F, A>(tls: Option<rustls::ServerConfig>, answer: F) -> Self
    where
        F: Fn(ReceivedRequest) -> A + Clone + Send + 'static,
        A: Future<Output = Answer> + Send + 'static,
    {
        Self::listen(tls, true, answer).await
    }

    async fn listen<F, A>(tls: Option<rustls::ServerConfig>, in_two: bool, answer: F) -> Self
    where
        F: Fn(ReceivedRequest) -> A + Clone + Send + 'static,
        A: Future<Output = Answer> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        let tls = tls.map(|config| tokio_rustls::TlsAcceptor::from(Arc::new(config)));
        tokio::spawn(async move {
            for connection in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                let (tls, answer, log) = (tls.clone(), answer.clone(), log.clone());
                tokio::spawn(async move {
                    match tls {
                        None => converse(stream, connection, in_two, answer, log).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                converse(stream, connection, in_two, answer, log).await;
                            }
                        }
                    }
                });
            }
        });
        Self { port, asked }
    }

    pub fn requests(&self) -> Vec<ReceivedRequest> {
        self.asked.lock().unwrap().clone()
    }
}

async fn converse<S, F, A>(
    mut stream: S,
    connection: usize,
    in_two: bool,
    answer: F,
    log: Arc<Mutex<Vec<ReceivedRequest>>>,
) where
    S: AsyncRead + AsyncWrite + Unpin,
    F: Fn(ReceivedRequest) -> A,
    A: Future<Output = Answer>,
{
    let mut buffer = vec![0; 1024 * 1024];
    loop {
        let (mut data, mut reads) = (Vec::new(), 0);
        let asked = loop {
            match stream.read(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(count) => data.extend_from_slice(&buffer[..count]),
            }
            reads += 1;
            let Some(end) = data.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
            let head = String::from_utf8(data[..end].to_vec()).unwrap();
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().unwrap())
            });
            if data.len() >= end + 4 + length.unwrap_or(0) {
                let path = head.split(' ').nth(1).unwrap().to_owned();
                break ReceivedRequest {
                    path,
                    head,
                    body: data.split_off(end + 4),
                    connection,
                    at_once: reads == 1,
                };
            }
        };
        log.lock().unwrap().push(asked.clone());
        if let Some(answer) = answer(asked).await {
            // Like OMI: writes head and body separately, and waits for an acknowledgement between.
            let head = answer.windows(4).position(|window| window == b"\r\n\r\n").filter(|_| in_two);
            let (head, body) = answer.split_at(head.map_or(answer.len(), |at| at + 4));
            stream.write_all(head).await.unwrap_or_default();
            stream.write_all(body).await.unwrap_or_default();
            if answer.ends_with(CUT) {
                return;
            }
        } else {
            let _ = stream.read(&mut buffer).await;
            return;
        }
    }
}

/// Returns an endpoint with Ken Myer's password, short limits, and no idle timeout.
pub fn endpoint(url: &str) -> Endpoint {
    Endpoint {
        uri: url.parse().unwrap(),
        configuration: "http://schemas.microsoft.com/powershell/Microsoft.PowerShell".to_owned(),
        authentication: Authentication::Basic {
            user: "kenmyer@litwareinc.com".to_owned(),
            password: "P@ssw0rd-åß".into(),
        },
        renew: None,
        removal_recorder: None,
        idle_timeout: None,
        trust: Trust::default(),
        proxies: lyncsh::net::Proxies::default(),
        max_redirections: 3,
        hosts: lyncsh::net::Hosts::default(),
        affinity: lyncsh::transport::wsman::Affinity::default(),
        limits: Limits {
            connect: Duration::from_secs(20),
            open: Duration::from_secs(20),
            operation: Duration::from_secs(20),
            close: Duration::from_secs(5),
            ..Limits::default()
        },
    }
}
