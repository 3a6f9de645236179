//! Requests on the connections to one endpoint.

use std::error::Error;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, USER_AGENT};
use hyper::{Request, Response};
use url::Url;

use super::envelope::MEDIA_TYPE;
use crate::net::{AGENT, Conn, Connector, Failure, HttpClient, IDENTITY, is_late};

/// An HTTP client whose connections go to one endpoint, or to the proxy before it.
#[derive(Clone)]
pub(super) struct Wire(HttpClient);

impl Wire {
    pub fn new(connector: Connector) -> Self {
        Self(connector.client())
    }

    /// Sends an envelope with these headers; head and body are sent in one write.
    pub async fn post(
        &self,
        uri: &Url,
        headers: HeaderMap,
        envelope: Vec<u8>,
    ) -> Result<Response<Incoming>, Failure> {
        let mut request = Request::post(uri.as_str()).body(Full::from(Bytes::from(envelope)))?;
        *request.headers_mut() = headers;
        add_common(request.headers_mut(), HeaderValue::from_static(MEDIA_TYPE));
        Ok(self.0.request(request).await?)
    }
}

/// Adds the headers of every request.
pub(super) fn add_common(headers: &mut HeaderMap, content_type: HeaderValue) {
    headers.insert(USER_AGENT, AGENT);
    headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    headers.insert(ACCEPT_ENCODING, IDENTITY);
    headers.insert(CONTENT_TYPE, content_type);
}

/// Connects; also returns the channel binding of the server's certificate.
pub(super) async fn open(connector: &Connector, to: &Url) -> Result<(Conn, Option<Vec<u8>>), Failure> {
    connector.open(to).await.map_err(not_connected)
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
pub(super) fn is_connect_late(failure: &(dyn Error + 'static)) -> bool {
    is_connect(failure) && is_late(failure)
}

/// Marks a failure that occurred before an envelope was sent.
pub(super) fn not_connected(failure: Failure) -> Failure {
    NotConnected(failure).into()
}

/// A connection that was not established.
#[derive(Debug, thiserror::Error)]
#[error("cannot connect")]
struct NotConnected(#[source] Failure);

/// Marks a failure of an open connection that occurred before an envelope was sent.
pub(super) fn not_authenticated(failure: Failure) -> Failure {
    NotAuthenticated(failure).into()
}

/// A connection that ended in the handshake of its security context.
#[derive(Debug, thiserror::Error)]
#[error("cannot authenticate")]
struct NotAuthenticated(#[source] Failure);
