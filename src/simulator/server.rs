//! Endpoint server: HTTP on loopback, discovery, tokens, and WSMan shells with the documented limits.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::StreamExt as _;
use tokio_util::sync::CancellationToken;

use super::authentication::{self, Connection, Outcome};
use super::backend::{Backend, Backends};
use super::endpoint::{Account, Endpoint, Open};
use super::engine::World;
use super::http::{self, Tls};
use super::options::{Authentication, Options, TenantFault};
use super::pool::Pool;
use super::{discovery, wsman};

/// Maximum number of bytes of an oversized request that are read and dropped.
const MOST_DROPPED: usize = 64 << 20;

/// A running endpoint; ends when dropped.
pub struct Server {
    /// The OcsPowershellLiveId URI.
    pub url: String,
    /// Discovery URI, in place of `lyncdiscover.DOMAIN`.
    pub discovery: String,
    /// TLS configuration, if enabled.
    tls: Option<Tls>,
    endpoint: Arc<Endpoint>,
    stop: CancellationToken,
}

impl Server {
    /// Starts an endpoint on loopback.
    pub async fn start(options: Options) -> std::io::Result<Self> {
        let world = World::new(&options);
        let engine = world.clone();
        let backends: Backends = Box::new(move |user| {
            let pool: Arc<dyn Backend> = Arc::new(Pool::new(engine.clone(), user.to_owned()));
            Ok(pool)
        });
        Self::launch(options, world, backends).await
    }

    /// Starts an endpoint on loopback with other PSRP servers than the simulator's engine.
    pub async fn start_with(options: Options, backends: Backends) -> std::io::Result<Self> {
        let world = World::new(&options);
        Self::launch(options, world, backends).await
    }

    async fn launch(options: Options, world: Arc<World>, backends: Backends) -> std::io::Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, options.port));
        let listener = tokio::net::TcpListener::bind(address).await?;
        let tls = options.tls.then(Tls::new).transpose()?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let base = format!("{scheme}://{}", listener.local_addr()?);
        let has_kerberos = authentication::has_kerberos(options.authentication);
        let endpoint = Arc::new(Endpoint {
            base: base.clone(),
            world,
            backends,
            options,
            shells: Mutex::default(),
            requests: AtomicUsize::new(0),
            refusals: AtomicUsize::new(0),
            has_kerberos,
            binding: authentication::binding(tls.as_ref().map(Tls::certificate)),
            tokens: Mutex::default(),
        });
        let stop = CancellationToken::new();
        let acceptor = tls.as_ref().map(Tls::acceptor);
        tokio::spawn(http::serve(listener, router(endpoint.clone()), acceptor, stop.clone()));
        tokio::spawn(reap(endpoint.clone(), stop.clone()));
        let url = format!("{base}{}", wsman::LIVE_ID);
        Ok(Self { url, discovery: format!("{base}/"), tls, endpoint, stop })
    }

    /// Returns the PEM file of the CA certificate, if TLS is enabled.
    pub fn ca(&self) -> Option<&Path> {
        self.tls.as_ref().map(Tls::ca)
    }

    /// Returns the open shells.
    pub fn shells(&self) -> Vec<Open> {
        self.endpoint.open()
    }

    /// Returns the number of WSMan requests.
    pub fn requests(&self) -> usize {
        self.endpoint.requests.load(Ordering::Relaxed)
    }

    /// Returns the number of failed authentication attempts.
    pub fn refusals(&self) -> usize {
        self.endpoint.refusals.load(Ordering::Relaxed)
    }

    /// Ends the endpoint with its shells and connections.
    pub fn shutdown(&self) {
        self.stop.cancel();
        for (_, shell) in self.endpoint.shells().drain() {
            shell.close();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shutdown();
    }
}

/// Returns the routes. Their paths are in lower case, as [`http`] normalizes paths.
fn router(endpoint: Arc<Endpoint>) -> Router {
    let path = str::to_lowercase;
    Router::new()
        .route(&path(wsman::LIVE_ID), post(live_id))
        .route(&path(discovery::OAUTH), post(oauth))
        .route(&path(discovery::TOKEN), post(discovery::token))
        .route("/", get(discovery::start))
        .route(&path(discovery::POOL_DOCUMENT), get(discovery::pool))
        .route(&path(discovery::DOMAIN_DOCUMENT), get(discovery::domain))
        .route("/sim/shells", get(async |State(endpoint): State<Arc<Endpoint>>| axum::Json(endpoint.open())))
        .route("/sim/requests", get(async |State(endpoint): State<Arc<Endpoint>>| count(&endpoint.requests)))
        .route("/sim/refusals", get(async |State(endpoint): State<Arc<Endpoint>>| count(&endpoint.refusals)))
        .with_state(endpoint)
}

fn count(counter: &AtomicUsize) -> String {
    counter.load(Ordering::Relaxed).to_string()
}

/// Removes shells that were idle for too long.
async fn reap(endpoint: Arc<Endpoint>, stop: CancellationToken) {
    let every = (endpoint.options.idle_timeout / 8).clamp(Duration::from_millis(50), Duration::from_secs(5));
    loop {
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            () = stop.cancelled() => return,
        }
        endpoint.shells().retain(|_, shell| {
            let idle = shell.idle() >= shell.idle_timeout();
            if idle {
                shell.close();
            }
            !idle
        });
    }
}

async fn live_id(
    State(endpoint): State<Arc<Endpoint>>,
    Extension(connection): Extension<Connection>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    if endpoint.options.authentication != Authentication::Basic {
        return negotiated(endpoint, connection, headers, body).await;
    }
    let account = |endpoint: &Endpoint| {
        let account = endpoint.account(&headers, true);
        if account.is_none() && headers.contains_key(header::AUTHORIZATION) {
            endpoint.refusals.fetch_add(1, Ordering::Relaxed);
        }
        account
    };
    service(endpoint, body, account, |_| "Basic realm=\"OcsPowershellLiveId\"".to_owned()).await
}

/// Answers a request on a connection that is authenticated by NTLM or Kerberos.
async fn negotiated(
    endpoint: Arc<Endpoint>,
    connection: Connection,
    headers: HeaderMap,
    body: Body,
) -> Response {
    endpoint.requests.fetch_add(1, Ordering::Relaxed);
    tokio::time::sleep(endpoint.options.latency).await;
    let (account, token) = match connection.authenticate(&endpoint, &headers) {
        Outcome::Allowed(account, token) => (account, token),
        Outcome::Answered(response) => {
            // A client that is still sending would miss the answer.
            whole(body).await;
            return response;
        }
    };
    let mut response = match whole(body).await {
        None => StatusCode::PAYLOAD_TOO_LARGE.into_response(),
        Some(body) => match connection.unseal(&endpoint, &headers, body) {
            Err(status) => status.into_response(),
            // An empty request completes the handshake.
            Ok((body, _)) if body.is_empty() => StatusCode::OK.into_response(),
            Ok((body, false)) => wsman::answer(&endpoint, &account, &body).await,
            Ok((body, true)) => connection.seal(wsman::answer(&endpoint, &account, &body).await).await,
        },
    };
    if let Some(token) = token {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, token);
    }
    response
}

async fn oauth(State(endpoint): State<Arc<Endpoint>>, headers: HeaderMap, body: Body) -> Response {
    service(endpoint, body, |endpoint| endpoint.account(&headers, false), discovery::challenge).await
}

async fn service(
    endpoint: Arc<Endpoint>,
    body: Body,
    account: impl FnOnce(&Endpoint) -> Option<Account>,
    challenge: impl FnOnce(&Endpoint) -> String,
) -> Response {
    endpoint.requests.fetch_add(1, Ordering::Relaxed);
    tokio::time::sleep(endpoint.options.latency).await;
    let Some(account) = account(&endpoint) else { return refused(challenge(&endpoint)) };
    match endpoint.fault(&account) {
        Some(TenantFault::Refused) => return refused(challenge(&endpoint)),
        Some(TenantFault::NoResponse) => std::future::pending().await,
        Some(TenantFault::Slow(delay)) => tokio::time::sleep(delay).await,
        Some(TenantFault::QuotaReached) | None => {}
    }
    match whole(body).await {
        Some(body) => wsman::answer(&endpoint, &account, &body).await,
        None => StatusCode::PAYLOAD_TOO_LARGE.into_response(),
    }
}

/// Reads a request's body; `None` if it exceeds the maximum envelope size. The rest is read and dropped up to
/// a limit, since a client that is still sending would miss the answer.
async fn whole(body: Body) -> Option<Bytes> {
    let mut pieces = body.into_data_stream();
    let mut whole = Vec::new();
    let mut size = 0;
    while let Some(Ok(piece)) = pieces.next().await {
        size += piece.len();
        if size <= wsman::MAX_ENVELOPE {
            whole.extend_from_slice(&piece);
        } else if size > MOST_DROPPED {
            break;
        }
    }
    (size <= wsman::MAX_ENVELOPE).then(|| whole.into())
}

fn refused(challenge: String) -> Response {
    (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, challenge)]).into_response()
}
