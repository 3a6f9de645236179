//! HTTP requests to a token service: limited in time and size, without redirects.

use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::header::{ACCEPT_ENCODING, CONTENT_TYPE, USER_AGENT};
use hyper::{Request, Response, StatusCode};
use oauth2::RequestTokenError;
use oauth2::{AsyncHttpClient, ErrorResponseType, HttpRequest, HttpResponse, StandardErrorResponse};
use secrecy::zeroize::{Zeroize as _, Zeroizing};
use serde::Deserialize;
use url::Url;

use super::error::{Operation, TokenError};
use crate::net::response::{self, BodyError};
use crate::net::{
    AGENT, Cause, Connector, Failure, HttpClient, IDENTITY, Proxies, ProxyError, Trust, display, innermost,
    is_late, proxy_error, refused_certificate,
};

/// Maximum size of a response, in bytes: a token has some kilobytes.
const MAX_ANSWER: usize = 1 << 20;
/// Maximum number of successive failed connections while a device code is polled.
const MAX_FAILURES: u32 = 3;
/// Maximum length of the shown description of an error, in characters.
const MAX_DETAIL: usize = 300;

/// TLS settings, proxies and time limits of token requests.
#[derive(Clone, Debug)]
pub struct Network {
    pub trust: Trust,
    pub proxies: Proxies,
    /// Time limit for a connection.
    pub connect: Duration,
    /// Time limit for a request, including its connection.
    pub limit: Duration,
}

impl Network {
    /// Creates a client, which follows no redirects.
    pub fn client(&self, trust: Trust) -> HttpClient {
        Connector::new(trust, self.proxies.clone(), self.connect.min(self.limit)).client()
    }

    /// Sends a request; returns the response with its body, which is wiped when it is dropped.
    pub async fn exchange(
        &self,
        client: &HttpClient,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Zeroizing<Vec<u8>>>, RequestError> {
        let failed = |failure: Failure| RequestError::of(&*failure);
        let exchange = async {
            let answer = client.request(request).await.map_err(|error| failed(error.into()))?;
            let (head, mut rest) = answer.into_parts();
            let mut body = Zeroizing::new(Vec::with_capacity(16 * 1024));
            while let Some(frame) = rest.frame().await {
                // Trailers are ignored.
                let Ok(chunk) = frame.map_err(|error| failed(error.into()))?.into_data() else { continue };
                if body.len() + chunk.len() > MAX_ANSWER {
                    return Err(RequestError::TooLarge);
                }
                body.extend_from_slice(&chunk);
                wipe(chunk);
            }
            let plain = response::decompress(&head.headers, &body, MAX_ANSWER);
            let plain = plain.map_err(|error| match error {
                BodyError::TooLarge(_) => RequestError::TooLarge,
                error => RequestError::Unreadable(error.to_string()),
            })?;
            Ok(Response::from_parts(head, plain.map_or(body, Zeroizing::new)))
        };
        tokio::time::timeout(self.limit, exchange).await.unwrap_or(Err(RequestError::Late))
    }
}

/// Wipes a part of a response, unless the HTTP client still shares its buffer.
fn wipe(part: Bytes) {
    if let Ok(mut buffer) = part.try_into_mut() {
        buffer.as_mut().zeroize();
    }
}

/// The reason why a request has no answer.
pub enum RequestError {
    Late,
    TooLarge,
    Certificate(String),
    Unreadable(String),
    Proxy(ProxyError),
    Failed(String),
}

impl RequestError {
    fn of(failure: Cause<'_>) -> Self {
        match (proxy_error(failure), refused_certificate(failure)) {
            (Some(error), _) => Self::Proxy(error),
            (_, Some(why)) => Self::Certificate(format!("its certificate is not trusted: {why}")),
            _ if is_late(failure) => Self::Late,
            _ => Self::Failed(innermost(failure)),
        }
    }

    /// Returns the error of a request. `late` creates the error for a reached time limit; `failed` converts a reason.
    pub fn error(
        self,
        late: impl FnOnce() -> TokenError,
        failed: impl FnOnce(String) -> TokenError,
    ) -> TokenError {
        match self {
            Self::Late => late(),
            Self::Proxy(error) => TokenError::Proxy(error),
            Self::TooLarge => failed(too_large()),
            Self::Certificate(reason) | Self::Unreadable(reason) | Self::Failed(reason) => failed(reason),
        }
    }
}

fn too_large() -> String {
    format!("its answer has more than {MAX_ANSWER} bytes")
}

/// A client for one token service.
#[derive(Debug)]
pub struct Http {
    client: HttpClient,
    network: Network,
    last: Mutex<Last>,
}

/// The outcome of the last request.
#[derive(Debug, Default)]
struct Last {
    /// Status and content type of the answer.
    answer: String,
    /// The suberror of an error, which the `oauth2` crate does not read.
    suberror: Option<String>,
    /// A failure that the `oauth2` crate cannot report.
    failure: Option<HttpFailure>,
    /// Number of successive failed connections.
    failures: u32,
}

/// Error of a request.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{reason}")]
pub struct HttpFailure {
    reason: String,
    /// Whether the same request may succeed later.
    is_temporary: bool,
    proxy: Option<ProxyError>,
}

impl HttpFailure {
    fn lasting(reason: String) -> Self {
        Self { reason, is_temporary: false, proxy: None }
    }

    /// Returns the error; `failed` converts the reason.
    pub fn error(self, failed: impl FnOnce(String) -> TokenError) -> TokenError {
        match self.proxy {
            Some(error) => TokenError::Proxy(error),
            None => failed(self.reason),
        }
    }
}

impl Http {
    /// Creates a client for a token service. A pin in the profile applies only to the endpoint's certificate.
    pub fn new(network: Network) -> Self {
        let client = network.client(network.trust.of_others());
        Self { client, network, last: Mutex::default() }
    }

    /// Reads a document.
    pub async fn get(&self, uri: &Url) -> Result<HttpResponse, HttpFailure> {
        let request = Request::get(uri.as_str()).body(Vec::new());
        self.exchange(request.map_err(|error| HttpFailure::lasting(error.to_string()))?).await
    }

    /// Converts an error of the `oauth2` crate. The message contains no part of the response, which may contain a
    /// token.
    pub fn error<T>(
        &self,
        operation: Operation,
        authority: &Url,
        error: RequestTokenError<HttpFailure, StandardErrorResponse<T>>,
    ) -> TokenError
    where
        T: ErrorResponseType + std::fmt::Display + 'static,
    {
        let authority = shown(authority);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let reason = match (error, last.failure.take()) {
            (_, Some(failure)) | (RequestTokenError::Request(failure), None) => {
                return failure.error(|reason| TokenError::Failed { operation, authority, reason });
            }
            (RequestTokenError::ServerResponse(response), None) => {
                let detail = response.error_description().map(|text| line(text));
                let code = code(response.error().to_string(), last.suberror.as_deref());
                return rejected(operation, authority, code, detail);
            }
            (RequestTokenError::Parse(_, mut body), None) => {
                body.zeroize();
                format!("expected a token as JSON, got {}", last.answer)
            }
            (RequestTokenError::Other(_), None) => format!("expected a token, got {}", last.answer),
        };
        TokenError::Failed { operation, authority, reason }
    }

    async fn exchange(&self, request: HttpRequest) -> Result<HttpResponse, HttpFailure> {
        // The body is wiped when the request no longer needs it.
        let mut request = request.map(|body| Full::from(Bytes::from_owner(Zeroizing::new(body))));
        request.headers_mut().insert(USER_AGENT, AGENT);
        request.headers_mut().insert(ACCEPT_ENCODING, IDENTITY);
        let answer = self.network.exchange(&self.client, request).await;
        let answer = answer.map_err(|unanswered| match unanswered {
            RequestError::Late => {
                let limit = humantime::format_duration(self.network.limit);
                HttpFailure::lasting(format!("no complete answer within {limit}"))
            }
            RequestError::TooLarge => HttpFailure::lasting(too_large()),
            RequestError::Certificate(reason) | RequestError::Unreadable(reason) => {
                HttpFailure::lasting(reason)
            }
            RequestError::Proxy(error) => HttpFailure {
                reason: error.to_string(),
                is_temporary: error.is_temporary(),
                proxy: Some(error),
            },
            RequestError::Failed(reason) => HttpFailure { reason, is_temporary: true, proxy: None },
        })?;
        let status = answer.status();
        let kind = answer.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind = format!("{status} ({})", kind.unwrap_or("without a content type"));
        let denied: Option<Denied> =
            (!status.is_success()).then(|| serde_json::from_slice(answer.body()).ok()).flatten();
        {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            (last.answer, last.suberror) = (kind, denied.and_then(|denied| denied.suberror));
        }
        let mut response = HttpResponse::new(std::mem::take(&mut *answer.into_body()));
        *response.status_mut() = status;
        Ok(response)
    }

    /// Sends a request of the `oauth2` crate. The crate repeats a failed poll until the code expires; therefore, a
    /// lasting failure is returned as an empty response, which ends the polling.
    async fn answer(&self, request: HttpRequest) -> Result<HttpResponse, HttpFailure> {
        let result = self.exchange(request).await;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let Err(failure) = result else {
            last.failures = 0;
            return result;
        };
        last.failures += 1;
        if failure.is_temporary && last.failures < MAX_FAILURES {
            return Err(failure);
        }
        last.failure = Some(failure);
        let mut response = HttpResponse::new(Vec::new());
        *response.status_mut() = StatusCode::BAD_GATEWAY;
        Ok(response)
    }
}

impl<'c> AsyncHttpClient<'c> for Http {
    type Error = HttpFailure;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpFailure>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.answer(request))
    }
}

/// The member of an error response that RFC 6749 does not define.
#[derive(Deserialize)]
struct Denied {
    suberror: Option<String>,
}

/// Returns the effective code of an error. Entra ID reports a missing consent as `invalid_grant` with a suberror:
/// neither the password nor the sign-in was refused.
pub fn code(error: String, suberror: Option<&str>) -> String {
    match suberror {
        Some(consent @ "consent_required") if error == "invalid_grant" => consent.to_owned(),
        _ => error,
    }
}

/// Returns the error for an error code of OAuth.
pub fn rejected(operation: Operation, authority: String, code: String, detail: Option<String>) -> TokenError {
    let detail = detail.map(|detail| format!(": {detail}")).unwrap_or_default();
    TokenError::Rejected { operation, authority, code, detail }
}

/// Returns the first line of a service's description, of limited length.
pub fn line(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(MAX_DETAIL).collect()
}

/// Returns the name of a token service in messages, with its tenant.
pub fn shown(authority: &Url) -> String {
    let name = display(authority);
    let name = name.trim_end_matches('/');
    name.strip_suffix("/v2.0").unwrap_or(name).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_the_tenant() {
        for (authority, expected) in [
            (
                "https://login.microsoftonline.com/t.example/v2.0",
                "https://login.microsoftonline.com/t.example",
            ),
            ("https://sts.example.com/adfs/?x=1", "https://sts.example.com/adfs"),
            ("https://sso.example.com/", "https://sso.example.com"),
        ] {
            assert_eq!(shown(&authority.parse().unwrap()), expected);
        }
    }

    #[test]
    fn a_missing_consent_is_not_a_refusal() {
        let code = |error: &str, suberror| code(error.to_owned(), suberror);
        assert_eq!(code("invalid_grant", Some("consent_required")), "consent_required");
        assert_eq!(code("invalid_grant", Some("basic_action")), "invalid_grant");
        assert_eq!(code("invalid_grant", None), "invalid_grant");
        assert_eq!(code("invalid_client", Some("consent_required")), "invalid_client");
    }
}
