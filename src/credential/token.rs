//! Requests an OAuth token from the authority in an endpoint's 401 response.

use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, USER_AGENT, WWW_AUTHENTICATE};
use hyper::{Request, Response, StatusCode};
use secrecy::zeroize::{Zeroize as _, Zeroizing};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::Url;

use crate::net::{
    AGENT, Cause, Connector, Failure, Hosts, HttpClient, Proxies, ProxyError, Trust, display, innermost,
    is_late, is_loopback, proxy_error, refused_certificate,
};

/// Maximum size of an answer.
const MAX_ANSWER: usize = 1 << 20;

/// Authorities of Microsoft's clouds (public, US Government, China, the former Germany).
static AUTHORITIES: LazyLock<Hosts> = LazyLock::new(|| {
    Hosts::of(&[
        "login.microsoftonline.com",
        "login.windows.net",
        "login.microsoftonline.us",
        "login-us.microsoftonline.com",
        "login.partner.microsoftonline.cn",
        "login.chinacloudapi.cn",
        "login.microsoftonline.de",
    ])
});

/// Error of requesting a token.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum TokenError {
    #[error("{endpoint} does not offer token authentication")]
    #[diagnostic(help("set authentication = \"basic\" in the profile"))]
    NoChallenge { endpoint: String },
    #[error("expected the address of the token service from {endpoint}, got {status}")]
    #[diagnostic(help(
        "check the uri in the profile: the response is not from a PowerShell endpoint, but for example a web page, a \
         proxy error or a redirect; or try again later"
    ))]
    Answered { endpoint: String, status: String },
    #[error("cannot get the token service from {endpoint}: {reason}")]
    #[diagnostic(help("check the endpoint's name and port, the network and the proxy, and try again"))]
    Endpoint { endpoint: String, reason: String },
    #[error("{of} did not answer within {}", humantime::format_duration(*.limit))]
    #[diagnostic(help("try again; if the server is slow, raise `token` in [timeouts] in the profile"))]
    Timeout { of: String, limit: Duration },
    #[error("the token service {authority} refused {user}: {reason}")]
    #[diagnostic(help("check the account, and store its password with `lyncsh login`"))]
    Refused { authority: String, user: String, reason: String },
    #[error("cannot reach the token service {authority}: {reason}")]
    #[diagnostic(help("check the network and try again"))]
    Unreachable { authority: String, reason: String },
    #[error("cannot request a token: {0}")]
    #[diagnostic(help("{}", .0.advice()))]
    Proxy(ProxyError),
    #[error("refusing to send the password to the token service {authority}, which {endpoint} names")]
    #[diagnostic(help("nothing was sent; if you trust it, add to the profile: authority = \"{authority}\""))]
    Foreign { endpoint: String, authority: String },
    #[error("refusing to send the password to {uri}: not HTTPS")]
    #[diagnostic(help(
        "nothing was sent; ask the administrator of the endpoint to use an HTTPS token service"
    ))]
    NotEncrypted { uri: String },
}

/// The `WWW-Authenticate: Bearer` challenge of an endpoint.
#[derive(Debug, PartialEq, Eq)]
struct Challenge {
    client_id: String,
    authority: Url,
}

#[derive(Deserialize)]
struct Granted {
    access_token: SecretString,
}

#[derive(Deserialize)]
struct Denied {
    error: String,
    error_description: Option<String>,
}

/// A request for a token.
#[derive(Clone, Debug)]
pub struct TokenRequest {
    pub endpoint: Url,
    pub user: String,
    pub password: SecretString,
    pub trust: Trust,
    pub proxies: Proxies,
    /// An authority that may receive the password besides Microsoft's.
    pub authority: Option<Url>,
    /// Time limit for a connection.
    pub connect: Duration,
    /// Time limit for a request, with its connection.
    pub limit: Duration,
}

impl TokenRequest {
    fn client(&self, trust: Trust) -> HttpClient {
        Connector::new(trust, self.proxies.clone(), self.connect.min(self.limit)).client()
    }

    /// Sends a request; returns the answer with its body.
    async fn exchange(
        &self,
        client: &HttpClient,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Bytes>, Unanswered> {
        let exchange = async {
            let (head, body) = client.request(request).await?.into_parts();
            let body = Limited::<Incoming>::new(body, MAX_ANSWER).collect().await?.to_bytes();
            Ok::<_, Failure>(Response::from_parts(head, body))
        };
        match tokio::time::timeout(self.limit, exchange).await {
            Ok(answer) => answer.map_err(|failure| Unanswered::of(&*failure)),
            Err(_) => Err(Unanswered::Late),
        }
    }
}

/// The reason why a request has no answer.
enum Unanswered {
    Late,
    Proxy(ProxyError),
    Failed(String),
}

impl Unanswered {
    fn of(failure: Cause<'_>) -> Self {
        match (proxy_error(failure), refused_certificate(failure)) {
            (Some(error), _) => Self::Proxy(error),
            (_, Some(why)) => Self::Failed(format!("its certificate is not trusted: {why}")),
            _ if is_late(failure) => Self::Late,
            _ => Self::Failed(innermost(failure)),
        }
    }

    /// Returns the error of a request to `of`; `failed` converts a reason.
    fn error(self, of: String, limit: Duration, failed: impl FnOnce(String) -> TokenError) -> TokenError {
        match self {
            Self::Late => TokenError::Timeout { of, limit },
            Self::Proxy(error) => TokenError::Proxy(error),
            Self::Failed(reason) => failed(reason),
        }
    }
}

/// Gets the challenge of the endpoint and requests a token from its authority with the password grant.
pub async fn acquire(request: &TokenRequest) -> Result<SecretString, TokenError> {
    let TokenRequest { endpoint, user, password, trust, authority: permitted, limit, .. } = request;
    let limit = *limit;
    let shown = display(endpoint);
    let failed = |reason: String| TokenError::Endpoint { endpoint: shown.clone(), reason };
    let client = request.client(trust.before_session());
    let asked = post(endpoint).body(Full::default()).map_err(|error| failed(error.to_string()))?;
    let answer = request.exchange(&client, asked).await;
    let answer = answer.map_err(|unanswered| unanswered.error(shown.clone(), limit, failed))?;
    let status = answer.status();
    let challenge = answer
        .headers()
        .get_all(WWW_AUTHENTICATE)
        .iter()
        .filter_map(|header| header.to_str().ok())
        .find_map(challenge)
        .ok_or_else(|| match status {
            StatusCode::UNAUTHORIZED => TokenError::NoChallenge { endpoint: shown.clone() },
            _ => TokenError::Answered { endpoint: shown.clone(), status: status.to_string() },
        })?;
    let authority = challenge.authority.to_string();
    // The pin is for the endpoint's certificate; its own origin may be the authority as well.
    let client = if challenge.authority.origin() == endpoint.origin() {
        client
    } else {
        request.client(trust.of_others())
    };
    check(request, &challenge.authority, permitted.as_ref())?;
    let body = form(&[
        ("grant_type", "password"),
        ("client_id", &challenge.client_id),
        ("resource", endpoint.origin().ascii_serialization().as_str()),
        ("username", user),
        ("password", password.expose_secret()),
    ]);
    let unreachable = |reason: String| TokenError::Unreachable { authority: authority.clone(), reason };
    let asked = post(&challenge.authority)
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Full::from(Bytes::from_owner(body)))
        .map_err(|error| unreachable(error.to_string()))?;
    let answer = request.exchange(&client, asked).await;
    let service = format!("the token service {authority}");
    let answer = answer.map_err(|unanswered| unanswered.error(service, limit, unreachable))?;
    let status = answer.status();
    let granted = status.is_success();
    let body = wipeable(answer.into_body());
    let refused =
        |reason| TokenError::Refused { authority: authority.clone(), user: user.to_owned(), reason };
    if granted {
        let read: Result<Granted, _> = serde_json::from_slice(&body);
        return read
            .map(|granted| granted.access_token)
            .map_err(|_| refused("its response has no token".into()));
    }
    let denied: Result<Denied, _> = serde_json::from_slice(&body);
    Err(refused(match denied {
        Ok(denied) => denied.error_description.unwrap_or(denied.error),
        Err(_) => format!("it answered {status}"),
    }))
}

/// Checks whether an authority may receive the password: Microsoft's, the profile's, or one on the endpoint's own
/// loopback address.
fn check(request: &TokenRequest, authority: &Url, permitted: Option<&Url>) -> Result<(), TokenError> {
    let endpoint = &request.endpoint;
    let is_own = is_loopback(endpoint) && authority.host() == endpoint.host();
    let is_permitted = is_own || permitted.is_some_and(|permitted| permitted.origin() == authority.origin());
    let is_encrypted = authority.scheme() == "https";
    if is_permitted && (is_encrypted || request.proxies.is_local(authority)) {
        return Ok(());
    }
    if !is_encrypted {
        return Err(TokenError::NotEncrypted { uri: authority.to_string() });
    }
    if AUTHORITIES.contains(authority) {
        return Ok(());
    }
    let authority = authority.origin().ascii_serialization();
    Err(TokenError::Foreign { endpoint: display(endpoint), authority })
}

/// Returns the body of a form, which is wiped when the request no longer needs it.
fn form(pairs: &[(&str, &str)]) -> Zeroizing<Vec<u8>> {
    // A byte becomes at most three. A growing buffer would leave the password in the memory that it frees.
    let size = pairs.iter().map(|(name, value)| 3 * (name.len() + value.len()) + 2).sum();
    let mut form = url::form_urlencoded::Serializer::new(String::with_capacity(size));
    form.extend_pairs(pairs);
    Zeroizing::new(form.finish().into_bytes())
}

/// Moves a response into memory that is wiped. The response's own buffer is wiped as well, unless the HTTP
/// client still shares it.
fn wipeable(response: Bytes) -> Zeroizing<Vec<u8>> {
    let copy = Zeroizing::new(response.to_vec());
    if let Ok(mut buffer) = response.try_into_mut() {
        buffer.as_mut().zeroize();
    }
    copy
}

/// Begins a POST request.
fn post(uri: &Url) -> hyper::http::request::Builder {
    let mut uri = uri.clone();
    uri.set_fragment(None);
    Request::post(uri.as_str()).header(USER_AGENT, AGENT)
}

/// Parses `Bearer client_id="…", authorization_uri="…"`, with the parts in any order.
fn challenge(header: &str) -> Option<Challenge> {
    let rest = header.trim_start();
    let rest = rest.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("bearer ")).and(rest.get(7..))?;
    let mut client_id = None;
    let mut authority = None;
    for part in rest.split(',') {
        let Some((name, value)) = part.split_once('=') else { continue };
        let value = value.trim().trim_matches('"');
        match name.trim() {
            "client_id" => client_id = Some(value.to_owned()),
            "authorization_uri" => authority = Url::parse(value).ok(),
            _ => {}
        }
    }
    Some(Challenge { client_id: client_id?, authority: authority? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_never_reallocates_its_buffer() {
        let password = "\u{e4}&=+ ".repeat(50);
        let pairs = [("grant_type", "password"), ("password", password.as_str())];
        let body = form(&pairs);
        let read: Vec<_> = url::form_urlencoded::parse(&body).into_owned().collect();
        assert_eq!(read, pairs.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let capacity: usize = pairs.iter().map(|(name, value)| 3 * (name.len() + value.len()) + 2).sum();
        assert_eq!(body.capacity(), capacity);
    }

    #[test]
    fn a_challenge_names_client_and_authority() {
        let read = challenge(
            r#"Bearer realm="x", trusted_issuers="a@b", client_id="0000-1", authorization_uri="https://login.example.com/oauth2/token""#,
        );
        let read = read.unwrap();
        assert_eq!(read.client_id, "0000-1");
        assert_eq!(read.authority.as_str(), "https://login.example.com/oauth2/token");
        assert_eq!(challenge("Basic realm=\"x\""), None);
        assert_eq!(challenge("Bear"), None);
    }
}
