//! Requests an OAuth token from the authority in an endpoint's 401 response.

use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use secrecy::zeroize::{Zeroize as _, Zeroizing};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::Url;

use crate::net::{Hosts, Trust, display, innermost, is_loopback, refused_certificate};

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
    /// An authority that may receive the password besides Microsoft's.
    pub authority: Option<Url>,
    pub limit: Duration,
}

/// Gets the challenge of the endpoint and requests a token from its authority with the password grant.
pub async fn acquire(request: &TokenRequest) -> Result<SecretString, TokenError> {
    let TokenRequest { endpoint, user, password, trust, authority: permitted, limit } = request;
    let limit = *limit;
    let shown = display(endpoint);
    let silent = |of: String| TokenError::Timeout { of, limit };
    let failed = |error: reqwest::Error| {
        if error.is_timeout() {
            silent(shown.clone())
        } else {
            TokenError::Endpoint { endpoint: shown.clone(), reason: reason(&error) }
        }
    };
    let unreachable = |authority: String, error: reqwest::Error| {
        if error.is_timeout() {
            silent(format!("the token service {authority}"))
        } else {
            TokenError::Unreachable { authority, reason: reason(&error) }
        }
    };
    let build = |builder: reqwest::ClientBuilder| {
        let builder = builder.timeout(limit).redirect(reqwest::redirect::Policy::none());
        if is_loopback(endpoint) { builder.no_proxy().build() } else { builder.build() }
    };
    let client = build(trust.endpoint_client()).map_err(failed)?;
    let answer = client.post(endpoint.clone()).send().await.map_err(failed)?;
    let status = answer.status();
    let challenge = answer
        .headers()
        .get_all(reqwest::header::WWW_AUTHENTICATE)
        .iter()
        .filter_map(|header| header.to_str().ok())
        .find_map(challenge)
        .ok_or_else(|| match status {
            reqwest::StatusCode::UNAUTHORIZED => TokenError::NoChallenge { endpoint: shown.clone() },
            _ => TokenError::Answered { endpoint: shown.clone(), status: status.to_string() },
        })?;
    let authority = challenge.authority.to_string();
    // The pin is for the endpoint's certificate; its own origin may be the authority as well.
    let client = if challenge.authority.origin() == endpoint.origin() {
        client
    } else {
        build(trust.client()).map_err(|error| unreachable(authority.clone(), error))?
    };
    check(endpoint, &challenge.authority, permitted.as_ref())?;
    let body = form(&[
        ("grant_type", "password"),
        ("client_id", &challenge.client_id),
        ("resource", endpoint.origin().ascii_serialization().as_str()),
        ("username", user),
        ("password", password.expose_secret()),
    ]);
    let answer = client
        .post(challenge.authority.clone())
        .header(reqwest::header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Bytes::from_owner(body))
        .send()
        .await
        .map_err(|error| unreachable(authority.clone(), error))?;
    let granted = answer.status().is_success();
    let status = answer.status();
    let body = wipeable(answer.bytes().await.map_err(|error| unreachable(authority.clone(), error))?);
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
fn check(endpoint: &Url, authority: &Url, permitted: Option<&Url>) -> Result<(), TokenError> {
    let is_own = is_loopback(endpoint) && authority.host() == endpoint.host();
    if is_own || permitted.is_some_and(|permitted| permitted.origin() == authority.origin()) {
        return Ok(());
    }
    if authority.scheme() != "https" {
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

fn reason(error: &reqwest::Error) -> String {
    match refused_certificate(error) {
        Some(why) => format!("its certificate is not trusted: {why}"),
        None => innermost(error),
    }
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
