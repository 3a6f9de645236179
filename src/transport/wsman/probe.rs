//! Probes an endpoint without a credential: the connection, and the answer to an empty request.

use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use chrono::DateTime;
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, DATE, HOST, HeaderName, HeaderValue, LOCATION};
use hyper::{Request, StatusCode, Uri};
use url::Url;

use super::connections::offered;
use super::envelope::MEDIA_TYPE;
use super::http::{answer_detail, failed, is_page};
use super::wire;
use crate::net::{Cause, Conn, Connector, Handshake, Proxies, TlsConnector, Trust, display, response};
use crate::transport::error::{Error, Operation};

/// Maximum size of the answer's body, which is read only for the title of a page.
const MAX_BODY: usize = 256 * 1024;

/// Probes one endpoint. No credential is sent to it.
pub struct Probe {
    connector: Connector,
    tls: Option<TlsConnector>,
    uri: Url,
    limit: Duration,
}

/// An open connection.
pub struct ProbeConnection {
    conn: Conn,
}

/// The answer to a request without a credential.
#[derive(Clone, Debug)]
pub struct ProbeResponse {
    pub status: StatusCode,
    /// The authentication schemes of a 401.
    pub offered: Vec<String>,
    /// The endpoint's time, to the second.
    pub date: Option<SystemTime>,
    /// This computer's time in the middle of the round trip.
    pub now: SystemTime,
    /// The target of a redirect.
    pub target: Option<String>,
    /// Whether the answer is an HTML page.
    pub is_page: bool,
    endpoint: String,
    detail: Option<String>,
}

impl ProbeResponse {
    /// Returns the error of a status that no PowerShell endpoint sends.
    pub fn error(&self) -> Error {
        Error::Http {
            endpoint: self.endpoint.clone(),
            status: self.status.as_u16(),
            reason: self.status.canonical_reason().unwrap_or("without a reason").to_owned(),
            detail: self.detail.clone(),
        }
    }
}

impl ProbeConnection {
    /// Returns the parameters of TLS; `None` without TLS.
    pub fn handshake(&self) -> Option<&Handshake> {
        self.conn.handshake()
    }
}

impl Probe {
    /// Creates a probe, without sending anything. `limit` applies to the connection and to the answer.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn new(uri: &Url, trust: Trust, proxies: Proxies, limit: Duration) -> Result<Self, Error> {
        let connector = Connector::new(trust, proxies, limit);
        let tls = (uri.scheme() == "https").then(|| connector.tls()).transpose().map_err(Error::Tls)?;
        Ok(Self { connector, tls, uri: uri.clone(), limit })
    }

    /// Opens a connection, through the proxy and with TLS.
    pub async fn connect(&self) -> Result<ProbeConnection, Error> {
        let (conn, _) = wire::open(&self.connector, &self.uri).await.map_err(|error| self.failed(&*error))?;
        Ok(ProbeConnection { conn })
    }

    /// Sends an empty request, which executes nothing.
    pub async fn send(&self, connection: ProbeConnection) -> Result<ProbeResponse, Error> {
        let late = Error::Timeout { operation: Operation::Connect, limit: self.limit };
        tokio::time::timeout(self.limit, self.exchange(connection)).await.unwrap_or(Err(late))
    }

    async fn exchange(&self, connection: ProbeConnection) -> Result<ProbeResponse, Error> {
        let failed = |error: hyper::Error| self.failed(&error);
        let (mut sender, driver) = http1::handshake(connection.conn).await.map_err(failed)?;
        tokio::spawn(async move {
            if let Err(error) = driver.await {
                tracing::trace!("the connection of a probe ended: {error}");
            }
        });
        let request = self.request().map_err(|error| Error::Protocol(error.to_string()))?;
        let (since, at) = (Instant::now(), SystemTime::now());
        let response = sender.send_request(request).await.map_err(failed)?;
        let now = at + since.elapsed() / 2;
        let (head, body) = response.into_parts();
        let body = response::read_body(&head.headers, body, MAX_BODY).await.unwrap_or_default();
        let text =
            |name: HeaderName| head.headers.get(&name).and_then(|value: &HeaderValue| value.to_str().ok());
        let date = text(DATE).and_then(|date| DateTime::parse_from_rfc2822(date).ok());
        let target = head.headers.get(LOCATION).filter(|_| head.status.is_redirection());
        Ok(ProbeResponse {
            status: head.status,
            offered: offered(&head.headers),
            date: date.map(SystemTime::from),
            now,
            target: target.map(|target| String::from_utf8_lossy(target.as_bytes()).into_owned()),
            is_page: text(CONTENT_TYPE).is_some_and(is_page),
            endpoint: display(&self.uri),
            detail: answer_detail(&head.headers, &body, 0),
        })
    }

    fn request(&self) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
        let whole: Uri = self.uri.as_str().split('#').next().unwrap_or_default().parse()?;
        let path = whole.path_and_query().map_or("/", |path| path.as_str());
        let host = whole.authority().map(|authority| match authority.port() {
            Some(port) => format!("{}:{port}", authority.host()),
            None => authority.host().to_owned(),
        });
        let mut request = Request::post(path)
            .header(HOST, host.unwrap_or_default())
            .header(CONTENT_LENGTH, 0)
            .body(Full::default())?;
        wire::add_common(request.headers_mut(), HeaderValue::from_static(MEDIA_TYPE));
        Ok(request)
    }

    fn failed(&self, error: Cause<'_>) -> Error {
        failed(error, Operation::Connect, display(&self.uri), self.tls.as_ref(), self.limit)
    }
}
