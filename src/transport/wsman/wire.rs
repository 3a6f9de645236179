//! Requests on the connections to one endpoint.

use std::error::Error;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, USER_AGENT};
use hyper::{Request, Response};
use url::Url;

use super::envelope::MEDIA_TYPE;
use crate::net::{AGENT, Conn, Connector, Failure, HttpClient, is_late};

/// An HTTP client whose connections go to one endpoint, or to the proxy before it.
#[derive(Clone)]
pub(super) struct Wire(HttpClient);

impl Wire {
    pub fn new(connector: Connector) -> Self {
        Self(connector.client())
    }

    /// Sends an envelope; head and body leave in one write.
    pub async fn post(
        &self,
        uri: &Url,
        authorization: HeaderValue,
        envelope: Vec<u8>,
    ) -> Result<Response<Incoming>, Failure> {
        let mut request = Request::post(uri.as_str()).body(Full::from(Bytes::from(envelope)))?;
        let headers: &mut HeaderMap = request.headers_mut();
        headers.insert(USER_AGENT, AGENT);
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        headers.insert(AUTHORIZATION, authorization);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        Ok(self.0.request(request).await?)
    }
}

/// Connects; also returns the channel binding of the server's certificate.
pub(super) async fn open(connector: &Connector, to: &Url) -> Result<(Conn, Option<Vec<u8>>), Failure> {
    connector.open(to).await.map_err(not_connected)
}

/// Returns whether a connection was not established: nothing was sent on it.
pub(super) fn is_connect(failure: &(dyn Error + 'static)) -> bool {
    failure.is::<NotConnected>()
        || failure.downcast_ref::<hyper_util::client::legacy::Error>().is_some_and(|error| error.is_connect())
}

/// Returns whether a connection was not established in time.
pub(super) fn is_connect_late(failure: &(dyn Error + 'static)) -> bool {
    is_connect(failure) && is_late(failure)
}

/// Marks a failure before which no envelope was sent.
pub(super) fn not_connected(failure: Failure) -> Failure {
    NotConnected(failure).into()
}

/// A connection that was not established.
#[derive(Debug, thiserror::Error)]
#[error("cannot connect")]
struct NotConnected(#[source] Failure);
