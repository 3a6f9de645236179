//! Envelopes over HTTP: one POST each, on connections that are kept; what HTTP, TLS and the network
//! have to say becomes an [`Error`].

use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, SERVER, VIA, WWW_AUTHENTICATE};
use hyper::{Response as HttpResponse, StatusCode};
use secrecy::SecretString;
use url::Url;

use super::credential::Credential;
use super::endpoint::{Authentication, Endpoint};
use super::envelope::{Response, ResponseEnvelope};
use super::wire::{self, Wire};
use crate::net::{
    Cause, TlsSetupError, cut_handshake, handshake_problem, innermost, is_loopback, refusals,
    refused_certificate,
};
use crate::transport::error::{Error, Operation};

/// No answer is read beyond this. What lyncsh asks for is 150 KB, but OMI gives more.
const MAX_ANSWER: usize = 64 * 1024 * 1024;
/// An HTTP client for one endpoint, with the credential.
#[derive(Clone)]
pub(super) struct Http {
    wire: Wire,
    uri: Url,
    credential: Arc<Credential>,
    /// A password at this endpoint, which may have been refused; tokens are told apart by their headers.
    password: Option<refusals::Credential>,
    user: String,
    /// The endpoint as errors name it.
    name: String,
    connect: Duration,
}

/// What came back.
pub(super) enum Answer {
    Response(Box<Response>),
    /// The request belongs somewhere else.
    Redirect(String),
}

impl Http {
    /// A client with connections of its own. Sends nothing yet; refuses to send a credential where
    /// anybody could read it.
    pub fn new(endpoint: &Endpoint) -> Result<Self, Error> {
        let name = display(&endpoint.uri);
        let loopback = is_loopback(&endpoint.uri);
        let encrypted = endpoint.uri.scheme() == "https";
        let plain_loopback = loopback && endpoint.uri.scheme() == "http";
        if !encrypted && !plain_loopback {
            return Err(Error::Insecure { endpoint: name });
        }
        let wire = Wire::new(endpoint, loopback).map_err(|error| match error {
            TlsSetupError::NotBuilt => Error::TlsNotBuilt,
            error => {
                Error::Unreachable { endpoint: name.clone(), reason: format!("TLS can't be set up: {error}") }
            }
        })?;
        let user = endpoint.authentication.user().to_owned();
        let credential = Credential::of(endpoint).ok_or_else(|| Error::Unauthorized {
            endpoint: name.clone(),
            user: user.clone(),
            offered: Vec::new(),
        })?;
        let credential = Arc::new(credential);
        let mut uri = endpoint.uri.clone();
        uri.set_fragment(None);
        // The credential is the profile's: one in the URI would end up in errors and in `a:To`.
        let _ = uri.set_username("");
        let _ = uri.set_password(None);
        let password = match &endpoint.authentication {
            Authentication::Basic { password, .. } => Some(refusals::Credential::new(&uri, &user, password)),
            Authentication::Bearer { .. } | Authentication::Certificate { .. } => None,
        };
        Ok(Self { wire, uri, credential, password, user, name, connect: endpoint.limits.connect })
    }

    pub fn uri(&self) -> &Url {
        &self.uri
    }

    pub fn endpoint_name(&self) -> &str {
        &self.name
    }

    /// Sends one envelope and waits for its answer, both within `limit`. `operation` names it in an error.
    pub async fn post(
        &self,
        envelope: Vec<u8>,
        operation: Operation,
        limit: Duration,
    ) -> Result<Answer, Error> {
        match tokio::time::timeout(limit, self.exchange(envelope, operation)).await {
            Ok(result) => result,
            Err(_) => Err(Error::Timeout { operation, limit }),
        }
    }

    /// A 401 is a plain refusal: any request may be sent once more, with a fresh credential where there
    /// is one.
    async fn exchange(&self, envelope: Vec<u8>, operation: Operation) -> Result<Answer, Error> {
        let header = self.credential.current().await;
        match self.exchange_as(header.clone(), envelope.clone(), operation).await {
            Err(refused @ Error::Unauthorized { .. }) => match self.credential.after(&header).await {
                Some(fresh) => self.exchange_as(fresh, envelope, operation).await,
                None => Err(refused),
            },
            result => result,
        }
    }

    async fn exchange_as(
        &self,
        authorization: HeaderValue,
        envelope: Vec<u8>,
        operation: Operation,
    ) -> Result<Answer, Error> {
        let unauthorized = |offered| {
            let (endpoint, user) = (self.name.clone(), self.user.clone());
            Error::Unauthorized { endpoint, user, offered }
        };
        let presented = self.presented(&authorization);
        let Some(pass) = presented.pass().await else { return Err(unauthorized(Vec::new())) };
        let response = self.wire.post(&self.uri, authorization, envelope).await;
        let response = response.map_err(|error| self.failed(&*error, operation))?;
        let status = response.status();
        if status.is_redirection()
            && let Some(target) = response.headers().get(LOCATION)
        {
            let target = String::from_utf8_lossy(target.as_bytes()).into_owned();
            return Ok(Answer::Redirect(target));
        }
        if status == StatusCode::UNAUTHORIZED {
            let challenges = response.headers().get_all(WWW_AUTHENTICATE).iter();
            let offered =
                challenges.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect();
            pass.refused();
            return Err(unauthorized(offered));
        }
        // What stands before the endpoint has not looked at it.
        if !matches!(status.as_u16(), 407 | 502..=504) {
            pass.accepted();
        }
        let by = said_by(response.headers());
        let is_page = is_page(response.headers());
        let body = self.body(response, operation).await?;
        match ResponseEnvelope::read(&body) {
            Ok(ResponseEnvelope { response: Response::Fault(fault), .. }) if fault.redirect.is_some() => {
                Ok(Answer::Redirect(fault.redirect.unwrap_or_default()))
            }
            Ok(ResponseEnvelope { response, .. }) => Ok(Answer::Response(Box::new(response))),
            Err(error) if status.is_success() && !is_page => Err(Error::Protocol(error.to_string())),
            Err(_) => {
                let title = title(&body).map(|title| format!("a page, \"{title}\""));
                let said: Vec<String> = [title, by].into_iter().flatten().collect();
                Err(Error::Http {
                    endpoint: self.name.clone(),
                    status: status.as_u16(),
                    reason: status.canonical_reason().unwrap_or("without a reason").to_owned(),
                    said: (!said.is_empty()).then(|| said.join(", ")),
                })
            }
        }
    }

    /// What an endpoint may have refused before.
    fn presented(&self, authorization: &HeaderValue) -> refusals::Credential {
        self.password.unwrap_or_else(|| {
            let token = SecretString::from(String::from_utf8_lossy(authorization.as_bytes()).into_owned());
            refusals::Credential::new(&self.uri, &self.user, &token)
        })
    }

    async fn body(&self, response: HttpResponse<Incoming>, operation: Operation) -> Result<Vec<u8>, Error> {
        let (mut body, mut rest) = (Vec::new(), response.into_body());
        while let Some(frame) = rest.frame().await {
            let frame = frame.map_err(|error| self.failed(&error, operation))?;
            // Trailers say nothing here.
            let Ok(chunk) = frame.into_data() else { continue };
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(Error::Protocol(format!("an answer is larger than {MAX_ANSWER} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// What a failure of the HTTP client means.
    fn failed(&self, error: Cause<'_>, operation: Operation) -> Error {
        let endpoint = self.name.clone();
        if let Some(refused) = refused_certificate(error) {
            return Error::Certificate { endpoint, refused: refused.into() };
        }
        let (asked, given) = self.wire.client_certificate();
        let found = match wire::is_connect(error) {
            true => handshake_problem(error, asked, given).or_else(|| cut_handshake(error, asked, given)),
            false => handshake_problem(error, asked, given).filter(|problem| problem.is_late()),
        };
        if let Some(problem) = found {
            return Error::Handshake { endpoint, problem };
        }
        if wire::is_late(error) {
            return Error::Timeout { operation: Operation::Connect, limit: self.connect };
        }
        let reason = innermost(error);
        if wire::is_connect(error) {
            return Error::Unreachable { endpoint, reason };
        }
        Error::Cut { endpoint, operation, reason }
    }
}

/// Whether an answer is a page for people, whatever its status says.
fn is_page(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.trim_start().to_ascii_lowercase().starts_with("text/html")
}

/// Who gave an answer, where that was something on the way.
fn said_by(headers: &HeaderMap) -> Option<String> {
    let via = headers.get(VIA).or_else(|| headers.get(SERVER))?.to_str().ok()?;
    Some(format!("said by {}", plain(via)?))
}

/// The title of a page.
fn title(body: &[u8]) -> Option<String> {
    /// Titles stand near the beginning.
    const HEAD: usize = 16 * 1024;
    let head = String::from_utf8_lossy(&body[..body.len().min(HEAD)]);
    // Lengths stay: only ASCII letters change.
    let small = head.to_ascii_lowercase();
    let start = small.find("<title")?;
    let start = start + small[start..].find('>')? + 1;
    let end = start + small[start..].find("</title")?;
    plain(&head[start..end])
}

/// Somebody else's words on one line of bounded length; `None` where there are none.
fn plain(text: &str) -> Option<String> {
    const LONGEST: usize = 100;
    let words: Vec<&str> = text.split(|letter: char| letter.is_whitespace() || letter.is_control()).collect();
    let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
    let line: String = words.join(" ").chars().take(LONGEST).collect();
    (!line.is_empty()).then_some(line)
}

/// A URI as errors name it: without query, fragment and credential.
pub(super) fn display(uri: &Url) -> String {
    let port = uri.port().map(|port| format!(":{port}")).unwrap_or_default();
    let host = uri.host_str().unwrap_or_default();
    format!("{}://{host}{port}{}", uri.scheme(), uri.path())
}
