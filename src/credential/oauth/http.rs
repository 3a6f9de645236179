//! HTTP requests to a token service: limited in time and size, without redirects.

use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use oauth2::RequestTokenError;
use oauth2::{AsyncHttpClient, ErrorResponseType, HttpRequest, HttpResponse, StandardErrorResponse, http};
use secrecy::zeroize::{Zeroize as _, Zeroizing};
use url::Url;

use super::error::{Operation, TokenError, advice};
use crate::net::{Trust, innermost, is_loopback, refused_certificate};

/// Maximum size of an answer: a token has some kilobytes.
pub const MAX_ANSWER: usize = 1 << 20;
/// Maximum number of successive failed connections while a device code is polled.
const MAX_FAILURES: u32 = 3;
/// Maximum length of the shown description of an error, in characters.
const MAX_DETAIL: usize = 300;

/// A client for one token service.
#[derive(Debug)]
pub struct Http {
    client: reqwest::Client,
    limit: Duration,
    last: Mutex<Last>,
}

/// The outcome of the last request.
#[derive(Debug, Default)]
struct Last {
    /// Status and content type of the answer.
    answer: String,
    /// A failure that the protocol's client cannot report.
    failure: Option<String>,
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
}

impl HttpFailure {
    fn lasting(reason: String) -> Self {
        Self { reason, is_temporary: false }
    }
}

impl Http {
    /// Creates a client for the service at `authority`.
    ///
    /// # Errors
    /// The TLS settings are not usable.
    pub fn new(trust: &Trust, authority: &Url, limit: Duration) -> Result<Self, TokenError> {
        let builder = trust.client().redirect(reqwest::redirect::Policy::none());
        let builder = if is_loopback(authority) { builder.no_proxy() } else { builder };
        let client = builder.build().map_err(|error| TokenError::Unreachable {
            authority: shown(authority),
            reason: innermost(&error),
        })?;
        Ok(Self { client, limit, last: Mutex::default() })
    }

    /// Reads a document.
    pub async fn get(&self, uri: &Url) -> Result<HttpResponse, HttpFailure> {
        let request = http::Request::get(uri.as_str()).body(Vec::new());
        self.limited(request.map_err(|error| HttpFailure::lasting(error.to_string()))?).await
    }

    /// Converts an error of the protocol's client. Does not show an answer: it may contain a token.
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
            (_, Some(failure)) => failure,
            (RequestTokenError::ServerResponse(response), None) => {
                let detail = response.error_description().and_then(|text| text.lines().next());
                let detail: Option<String> = detail.map(|line| line.chars().take(MAX_DETAIL).collect());
                return rejected(operation, authority, response.error().to_string(), detail);
            }
            (RequestTokenError::Request(failure), None) => failure.reason,
            (RequestTokenError::Parse(_, mut body), None) => {
                body.zeroize();
                format!("expected a token as JSON, got {}", last.answer)
            }
            (RequestTokenError::Other(_), None) => format!("expected a token, got {}", last.answer),
        };
        TokenError::Failed { operation, authority, reason }
    }

    /// Sends a request; the time limit includes the whole answer.
    async fn limited(&self, request: HttpRequest) -> Result<HttpResponse, HttpFailure> {
        let answered = tokio::time::timeout(self.limit, self.exchange(request)).await;
        answered.unwrap_or_else(|_| {
            let limit = humantime::format_duration(self.limit);
            Err(HttpFailure::lasting(format!("no complete answer within {limit}")))
        })
    }

    async fn exchange(&self, request: HttpRequest) -> Result<HttpResponse, HttpFailure> {
        let failed = |error: reqwest::Error| match refused_certificate(&error) {
            Some(why) => HttpFailure::lasting(format!("its certificate is not trusted: {why}")),
            None => HttpFailure { reason: innermost(&error), is_temporary: true },
        };
        let (parts, body) = request.into_parts();
        let request = self.client.request(parts.method, parts.uri.to_string()).headers(parts.headers);
        // The body is wiped when the request no longer needs it.
        let body = Bytes::from_owner(Zeroizing::new(body));
        let mut answer = request.body(body).send().await.map_err(failed)?;
        let status = answer.status();
        let kind = answer.headers().get(http::header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        self.last.lock().unwrap_or_else(PoisonError::into_inner).answer =
            format!("{status} ({})", kind.unwrap_or("without a content type"));
        let mut whole = Zeroizing::new(Vec::with_capacity(16 * 1024));
        while let Some(chunk) = answer.chunk().await.map_err(failed)? {
            if whole.len() + chunk.len() > MAX_ANSWER {
                return Err(HttpFailure::lasting(format!("its answer has more than {MAX_ANSWER} bytes")));
            }
            whole.extend_from_slice(&chunk);
        }
        let mut response = HttpResponse::new(std::mem::take(&mut *whole));
        *response.status_mut() = status;
        Ok(response)
    }

    /// Sends a request of the protocol's client. That client repeats a failed poll until the code expires, therefore a
    /// lasting failure becomes an empty answer, which ends the polling.
    async fn answer(&self, request: HttpRequest) -> Result<HttpResponse, HttpFailure> {
        let result = self.limited(request).await;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let Err(failure) = result else {
            last.failures = 0;
            return result;
        };
        last.failures += 1;
        if failure.is_temporary && last.failures < MAX_FAILURES {
            return Err(failure);
        }
        last.failure = Some(failure.reason);
        let mut response = HttpResponse::new(Vec::new());
        *response.status_mut() = http::StatusCode::BAD_GATEWAY;
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

/// Returns the error for an error code of OAuth.
pub fn rejected(operation: Operation, authority: String, code: String, detail: Option<String>) -> TokenError {
    let advice = advice(&code);
    let detail = detail.map(|detail| format!(": {detail}")).unwrap_or_default();
    TokenError::Rejected { operation, authority, code, detail, advice }
}

/// Returns the name of a token service in messages.
pub fn shown(authority: &Url) -> String {
    authority.origin().ascii_serialization()
}
