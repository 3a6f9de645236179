//! Connections to one endpoint: TCP, directly or through a proxy, and TLS.
//!
//! reqwest does not fit, because it hides the sockets. A server that writes the head and the body of an answer
//! separately (as OMI does) sends the body only after the head was acknowledged, and the operating system may
//! delay the acknowledgement by 40 ms. Here everything is acknowledged as soon as it is read.

use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, USER_AGENT};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::{Request, Response, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tower_service::Service;

use super::endpoint::Endpoint;
use super::envelope::MEDIA_TYPE;
use crate::net::{Cause, TlsConnector, TlsSetupError, sources, tls_server_end_point};

/// Time for which an idle connection is kept; shorter than the server's limit (http.sys: 120 s).
pub(super) const KEEP_IDLE: Duration = Duration::from_mins(1);
/// Interval of TCP keep-alive probes, their number, and the time limit for an acknowledgement.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
const KEEP_ALIVES: u32 = 3;
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);
/// User agent.
const AGENT: HeaderValue = HeaderValue::from_static(concat!("lyncsh/", env!("CARGO_PKG_VERSION")));

/// Error of a connection.
pub(super) type Failure = Box<dyn Error + Send + Sync>;

/// An HTTP client whose connections go to one endpoint, or to the proxy before it.
#[derive(Clone)]
pub(super) struct Wire(Client<Connector, Full<Bytes>>);

impl Wire {
    pub fn new(connector: Connector) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(KEEP_IDLE)
            // Retries only requests that were not written because an idle connection had just ended. For all
            // others, [`super::outcome`] decides.
            .retry_canceled_requests(true)
            .build(connector);
        Self(client)
    }

    /// Sends an envelope with these headers; head and body leave in one write.
    pub async fn post(
        &self,
        uri: &url::Url,
        headers: HeaderMap,
        envelope: Vec<u8>,
    ) -> Result<Response<Incoming>, Failure> {
        let mut request = Request::post(uri.as_str()).body(Full::from(envelope))?;
        *request.headers_mut() = headers;
        add_common(request.headers_mut(), HeaderValue::from_static(MEDIA_TYPE));
        Ok(self.0.request(request).await?)
    }
}

/// Adds the headers of every request.
pub(super) fn add_common(headers: &mut HeaderMap, content_type: HeaderValue) {
    headers.insert(USER_AGENT, AGENT);
    headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    // A compressed answer saves little on a local network, and delays the first byte.
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(CONTENT_TYPE, content_type);
}

/// Returns whether a connection was not established or authenticated: no envelope was sent on it.
pub(super) fn is_connect(failure: &(dyn Error + 'static)) -> bool {
    failure.is::<NotConnected>()
        || is_handshake(failure)
        || failure.downcast_ref::<hyper_util::client::legacy::Error>().is_some_and(|error| error.is_connect())
}

/// Returns whether a connection ended while it was authenticated.
pub(super) fn is_handshake(failure: &(dyn Error + 'static)) -> bool {
    failure.is::<NotAuthenticated>()
}

/// Returns whether a connection was not established in time.
pub(super) fn is_late(failure: &(dyn Error + 'static)) -> bool {
    let is_late = |cause: Cause<'_>| {
        let timed_out = |error: &std::io::Error| error.kind() == std::io::ErrorKind::TimedOut;
        cause.is::<Late>() || cause.downcast_ref().is_some_and(timed_out)
    };
    is_connect(failure) && sources(failure).any(is_late)
}

/// A connection that was not established in time.
#[derive(Debug, thiserror::Error)]
#[error("no connection in time")]
struct Late;

/// Marks a failure before which no envelope was sent.
pub(super) fn not_connected(failure: Failure) -> Failure {
    NotConnected(failure).into()
}

/// A connection that was not established.
#[derive(Debug, thiserror::Error)]
#[error("cannot connect")]
struct NotConnected(#[source] Failure);

/// Marks a failure of a connection that was open, before an envelope was sent.
pub(super) fn not_authenticated(failure: Failure) -> Failure {
    NotAuthenticated(failure).into()
}

/// A connection that ended in the handshake of its security context.
#[derive(Debug, thiserror::Error)]
#[error("cannot authenticate")]
struct NotAuthenticated(#[source] Failure);

/// Opens connections.
#[derive(Clone)]
pub(super) struct Connector {
    tcp: HttpConnector,
    tls: Option<TlsConnector>,
    /// `None`: no proxy.
    proxies: Option<Arc<Matcher>>,
    limit: Duration,
}

impl Connector {
    /// Opens no connection yet. Connections to this machine itself use no proxy.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn new(endpoint: &Endpoint, loopback: bool) -> Result<Self, TlsSetupError> {
        let tls = match endpoint.uri.scheme() {
            "https" => Some(endpoint.trust.tls()?),
            // Plain http must also work if the system has no CA certificates.
            _ => None,
        };
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(endpoint.limits.connect));
        tcp.set_keepalive(Some(KEEP_ALIVE));
        tcp.set_keepalive_interval(Some(KEEP_ALIVE));
        tcp.set_keepalive_retries(Some(KEEP_ALIVES));
        #[cfg(target_os = "linux")]
        tcp.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
        let proxies = (!loopback).then(|| Arc::new(Matcher::from_system()));
        let connector = Self { tcp, tls, proxies, limit: endpoint.limits.connect };
        Ok(connector)
    }

    /// Connects; also returns the channel binding of the server's certificate.
    pub async fn open(&self, to: &url::Url) -> Result<(Conn, Option<Vec<u8>>), Failure> {
        let connecting = self.clone().connect_in_time(to.as_str().parse()?);
        let conn = connecting.await.map_err(NotConnected)?;
        let binding = conn.certificate.as_deref().map(|certificate| {
            [b"tls-server-end-point:".as_slice(), &tls_server_end_point(certificate)].concat()
        });
        Ok((conn, binding))
    }

    pub fn tls(&self) -> Option<TlsConnector> {
        self.tls.clone()
    }

    async fn connect_in_time(self, to: Uri) -> Result<Conn, Failure> {
        let limit = self.limit;
        match tokio::time::timeout(limit, self.connect(to)).await {
            Ok(result) => result,
            Err(_) => Err(Late.into()),
        }
    }

    async fn connect(mut self, to: Uri) -> Result<Conn, Failure> {
        let proxy = self.proxies.take().and_then(|proxies| proxies.intercept(&to));
        let stream: Box<dyn Io> = match proxy {
            None => Box::new(Acknowledged(self.tcp.call(to.clone()).await?)),
            Some(proxy) => {
                let mut headers = HeaderMap::new();
                headers.insert(USER_AGENT, AGENT);
                let mut tunnel = Tunnel::new(proxy.uri().clone(), self.clone());
                if let Some(authorization) = proxy.basic_auth() {
                    tunnel = tunnel.with_auth(authorization.clone());
                }
                // Without a port, the tunnel would use 443, even for http.
                let target = if to.port().is_some() {
                    to.clone()
                } else {
                    let port = if to.scheme_str() == Some("https") { 443 } else { 80 };
                    format!("http://{}:{port}/", to.host().unwrap_or_default()).parse()?
                };
                Box::new(tunnel.with_headers(headers).call(target).await?)
            }
        };
        let tls = self.tls.filter(|_| to.scheme_str() == Some("https"));
        let Some(tls) = tls else { return Ok(Conn { stream, certificate: None }) };
        let host = to.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let (stream, certificate) = tls.connect(host, TokioIo::new(stream)).await?;
        Ok(Conn { stream: Box::new(TokioIo::new(stream)), certificate: Some(certificate) })
    }
}

impl Service<Uri> for Connector {
    type Response = Conn;
    type Error = Failure;
    type Future = BoxFuture<'static, Result<Conn, Failure>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(connector.connect_in_time(to))
    }
}

trait Io: Read + Write + Send + Unpin {}
impl<T: Read + Write + Send + Unpin> Io for T {}

/// An open connection to the endpoint.
pub(super) struct Conn {
    stream: Box<dyn Io>,
    /// The server's own certificate, over TLS.
    certificate: Option<Vec<u8>>,
}

impl Connection for Conn {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

/// A TCP connection that acknowledges data immediately when it is read.
struct Acknowledged(TokioIo<TcpStream>);

impl Read for Acknowledged {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        let read = Pin::new(&mut self.0).poll_read(cx, buf);
        #[cfg(target_os = "linux")]
        if read.is_ready() {
            // Lasts until the next request is sent. If it fails, the connection is only slower.
            let _ = rustix::net::sockopt::set_tcp_quickack(self.0.inner(), true);
        }
        read
    }
}

/// Forwards writes to the inner stream.
macro_rules! writes {
    ($name:ty, $inner:tt) => {
        impl Write for $name {
            fn poll_write(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bytes: &[u8],
            ) -> Poll<std::io::Result<usize>> {
                Pin::new(&mut self.$inner).poll_write(cx, bytes)
            }

            fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
                Pin::new(&mut self.$inner).poll_flush(cx)
            }

            fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
                Pin::new(&mut self.$inner).poll_shutdown(cx)
            }
        }
    };
}

writes!(Acknowledged, 0);
writes!(Conn, stream);

impl Read for Conn {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}
