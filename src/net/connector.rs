//! Connections: TCP, directly or through a proxy, and TLS.
//!
//! reqwest does not fit, because it hides the sockets. A server that writes the head and the body of an answer
//! separately (as OMI does) sends the body only after the head was acknowledged, and the operating system may
//! delay the acknowledgement by 40 ms. Here everything is acknowledged as soon as it is read.

use std::error::Error;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body_util::Full;
use hyper::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::time::{Instant, timeout_at};
use tower_service::Service;
use url::Url;

use super::io::{Acknowledged, Io};
use super::proxy::{
    Dial, Link, Protocol, Proxies, Proxy, ProxyError, ProxyProblem, ProxyStep, Socks, Tunnel,
};
use super::tls_server_end_point;
use super::{
    Cause, Handshake, TlsConnector, TlsSetupError, Trust, host_name, innermost, refused_certificate, sources,
};

/// Time for which an idle connection is kept; shorter than the limits of http.sys (120 s) and of load balancers (60 s),
/// so that a request does not cross the end of its connection.
pub const KEEP_IDLE: Duration = Duration::from_secs(50);
/// Interval of TCP keep-alive probes, their number, and the time limit for an acknowledgement.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
const KEEP_ALIVES: u32 = 3;
#[cfg(target_os = "linux")]
const ACKNOWLEDGEMENT_TIMEOUT: Duration = Duration::from_secs(30);
/// Error of a connection.
pub type Failure = Box<dyn Error + Send + Sync>;

/// An HTTP client with a pool of connections.
pub type HttpClient = Client<Connector, Full<Bytes>>;

/// Returns whether a connection was not established in time.
pub fn is_late(failure: Cause<'_>) -> bool {
    sources(failure).any(|cause| {
        let timed_out = |error: &std::io::Error| error.kind() == std::io::ErrorKind::TimedOut;
        cause.is::<Late>() || cause.downcast_ref().is_some_and(timed_out)
    })
}

/// Returns the failure of a proxy.
pub fn proxy_error(failure: Cause<'_>) -> Option<ProxyError> {
    sources(failure).find_map(|cause| cause.downcast_ref().cloned())
}

/// A connection that was not established in time.
#[derive(Debug, thiserror::Error)]
#[error("no connection in time")]
struct Late;

/// Opens connections for all HTTP clients of this program.
///
/// It owns the trust, the TLS setup and the proxies of a profile; clones share them. [`HttpClient`] and the WSMan
/// transport call it. A connection is returned only after the proxy's tunnel is open and the server's certificate has
/// been verified, all within `limit`; the time for other connections to test a proxy's credential is added.
#[derive(Clone)]
pub struct Connector(Arc<Inner>);

struct Inner {
    tcp: HttpConnector,
    trust: Trust,
    tls: OnceLock<Result<TlsConnector, TlsSetupError>>,
    /// TLS to an https proxy.
    proxy_tls: OnceLock<Result<TlsConnector, TlsSetupError>>,
    proxies: Proxies,
    limit: Duration,
}

impl Connector {
    /// Creates a connector. It sets up TLS only for the first connection that uses it, because plain http must work on
    /// a system without CA certificates. `limit` applies to each connection.
    pub fn new(trust: Trust, proxies: Proxies, limit: Duration) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(limit));
        tcp.set_keepalive(Some(KEEP_ALIVE));
        tcp.set_keepalive_interval(Some(KEEP_ALIVE));
        tcp.set_keepalive_retries(Some(KEEP_ALIVES));
        #[cfg(target_os = "linux")]
        tcp.set_tcp_user_timeout(Some(ACKNOWLEDGEMENT_TIMEOUT));
        let (tls, proxy_tls) = (OnceLock::new(), OnceLock::new());
        Self(Arc::new(Inner { tcp, trust, tls, proxy_tls, proxies, limit }))
    }

    /// Returns an HTTP client whose connections this connector opens.
    pub fn client(self) -> HttpClient {
        Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(KEEP_IDLE)
            // Repeats only requests that were not written because an idle connection had just ended; the caller decides
            // about all others.
            .retry_canceled_requests(true)
            .build(self)
    }

    /// Connects; also returns the channel binding of the server's certificate.
    pub async fn open(&self, to: &Url) -> Result<(Conn, Option<Vec<u8>>), Failure> {
        let conn = self.0.connect(to).await?;
        let binding = conn.handshake.as_ref().map(|handshake| binding(&handshake.certificate));
        Ok((conn, binding))
    }

    /// Returns the TLS connector; sets it up on the first call.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn tls(&self) -> Result<TlsConnector, TlsSetupError> {
        self.0.tls()
    }
}

impl Inner {
    async fn connect(&self, to: &Url) -> Result<Conn, Failure> {
        let deadline = Instant::now() + self.limit;
        let Some(proxy) = self.proxies.route(to)? else {
            let stream = self.tcp(to);
            let stream = timeout_at(deadline, stream).await.map_err(|_| Late)??;
            return timeout_at(deadline, self.secured(to, stream)).await.map_err(|_| Late)?;
        };
        let failed =
            |problem| ProxyError::Failed { proxy: proxy.address.to_string(), problem: Box::new(problem) };
        let (stream, deadline) = self.tunnel(&proxy, to, deadline).await.map_err(failed)?;
        let late = || ProxyProblem::Late { step: ProxyStep::EndpointTls, limit: self.limit };
        timeout_at(deadline, self.secured(to, stream)).await.map_err(|_| failed(late()))?
    }

    fn tls(&self) -> Result<TlsConnector, TlsSetupError> {
        self.tls.get_or_init(|| self.trust.tls()).clone()
    }

    async fn tcp(&self, to: &Url) -> Result<Box<dyn Io>, Failure> {
        let stream = self.tcp.clone().call(to.as_str().parse()?).await?;
        Ok(Box::new(Acknowledged(stream)))
    }

    /// Opens TLS on a connection, if the URI needs it.
    async fn secured(&self, to: &Url, stream: Box<dyn Io>) -> Result<Conn, Failure> {
        if to.scheme() != "https" {
            return Ok(Conn { stream, handshake: None });
        }
        let tls = self.tls()?;
        let (stream, handshake) = tls.connect(host_name(to), TokioIo::new(stream)).await?;
        Ok(Conn { stream: Box::new(TokioIo::new(stream)), handshake: Some(handshake) })
    }

    /// Connects to the URI's host through a proxy. Also returns the deadline for the rest of the connection.
    async fn tunnel(
        &self,
        proxy: &Proxy,
        to: &Url,
        deadline: Instant,
    ) -> Result<(Box<dyn Io>, Instant), ProxyProblem> {
        let (host, port, limit) =
            (host_name(to).to_owned(), to.port_or_known_default().unwrap_or(443), self.limit);
        if proxy.address.protocol.is_socks() {
            let stream = TokioIo::new(self.link(proxy, deadline).await?.stream);
            let (stream, deadline) = Socks { proxy, stream, deadline, limit }.open(&host, port).await?;
            return Ok((stream.into_inner(), deadline));
        }
        let target = format!("{}:{port}", to.host_str().unwrap_or_default());
        let tunnel = Tunnel { proxy, target: &target, dial: &Dialer(self, proxy), deadline, limit };
        let (stream, deadline) = Box::pin(tunnel.open()).await?;
        Ok((Box::new(stream), deadline))
    }

    /// Connects to a proxy.
    async fn link(&self, proxy: &Proxy, deadline: Instant) -> Result<Link, ProxyProblem> {
        let late = |step| move |_| ProxyProblem::Late { step, limit: self.limit };
        let stream = timeout_at(deadline, self.tcp(proxy.address.uri())).await;
        let stream = stream.map_err(late(ProxyStep::Tcp))?.map_err(|error| {
            if is_late(&*error) {
                return ProxyProblem::Late { step: ProxyStep::Tcp, limit: self.limit };
            }
            ProxyProblem::Unreachable(innermost(&*error))
        })?;
        if proxy.address.protocol != Protocol::Https {
            return Ok(Link { stream, binding: None });
        }
        let tls = self.proxy_tls.get_or_init(|| self.trust.of_others().tls()).clone();
        let tls = tls.map_err(|error| ProxyProblem::Tls(error.to_string()))?;
        let connecting = tls.connect(proxy.address.host(), TokioIo::new(stream));
        let connected = timeout_at(deadline, connecting).await.map_err(late(ProxyStep::Tls))?;
        let (stream, handshake) = connected.map_err(|error| match refused_certificate(&*error) {
            Some(refused) => ProxyProblem::Certificate(refused.to_string()),
            None => ProxyProblem::Tls(innermost(&*error)),
        })?;
        Ok(Link { stream: Box::new(TokioIo::new(stream)), binding: Some(binding(&handshake.certificate)) })
    }
}

/// Opens connections to one proxy.
struct Dialer<'a>(&'a Inner, &'a Proxy);

impl Dial for Dialer<'_> {
    fn dial(&self, deadline: Instant) -> BoxFuture<'_, Result<Link, ProxyProblem>> {
        Box::pin(self.0.link(self.1, deadline))
    }
}

/// Returns the channel binding of a certificate (RFC 5929, 4).
fn binding(certificate: &[u8]) -> Vec<u8> {
    [b"tls-server-end-point:".as_slice(), &tls_server_end_point(certificate)].concat()
}

impl Service<Uri> for Connector {
    type Response = Conn;
    type Error = Failure;
    type Future = BoxFuture<'static, Result<Conn, Failure>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let inner = self.0.clone();
        Box::pin(async move { inner.connect(&to.to_string().parse()?).await })
    }
}

/// An open connection.
pub struct Conn {
    stream: Box<dyn Io>,
    /// Set over TLS.
    handshake: Option<Handshake>,
}

impl Conn {
    /// Returns the parameters of TLS; `None` without TLS.
    pub fn handshake(&self) -> Option<&Handshake> {
        self.handshake.as_ref()
    }
}

impl Connection for Conn {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Conn {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl Write for Conn {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
