//! The token service of an endpoint: named by its 401 response or by the profile.

use std::sync::LazyLock;

use http_body_util::Full;
use hyper::header::{ACCEPT_ENCODING, USER_AGENT, WWW_AUTHENTICATE};
use hyper::{Request, StatusCode};
use url::Url;

use super::error::TokenError;
use super::http::Network;
use crate::net::{AGENT, Hosts, HttpClient, IDENTITY, Proxies, display, is_loopback};
use crate::profile::Profile;

/// Authorities of Microsoft's clouds (public, US Government, China, and the former German cloud).
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
/// Suffixes of the addresses in challenges; they are not part of the authority.
const ENDS: [&str; 6] = [
    "/oauth2/v2.0/authorize",
    "/oauth2/v2.0/token",
    "/oauth2/authorize",
    "/oauth2/token",
    "/authorize",
    "/token",
];

/// The `WWW-Authenticate: Bearer` challenge of an endpoint.
#[derive(Debug, PartialEq, Eq)]
pub struct Challenge {
    pub client_id: String,
    pub authority: Url,
}

/// A token service, and the application that requests tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    pub authority: Url,
    pub id: String,
}

/// Returns the token service and the application: those of the profile, otherwise those of the endpoint's challenge.
pub async fn client(profile: &Profile, endpoint: &Url, network: &Network) -> Result<Client, TokenError> {
    if let Some(authority) = &profile.authority {
        check(endpoint, authority, Some(authority), &network.proxies)?;
        if let Some(id) = &profile.client_id {
            return Ok(Client { authority: base(authority), id: id.clone() });
        }
    }
    let (challenge, _) = challenged(endpoint, network).await?;
    let authority = if let Some(authority) = &profile.authority {
        base(authority)
    } else {
        check(endpoint, &challenge.authority, None, &network.proxies)?;
        base(&challenge.authority)
    };
    Ok(Client { authority, id: profile.client_id.clone().unwrap_or(challenge.client_id) })
}

/// Requests the challenge of an endpoint. Returns the HTTP client as well.
pub async fn challenged(endpoint: &Url, network: &Network) -> Result<(Challenge, HttpClient), TokenError> {
    let shown = display(endpoint);
    let failed = |reason: String| TokenError::Endpoint { endpoint: shown.clone(), reason };
    let client = network.client(network.trust.before_session());
    let asked = post(endpoint).body(Full::default()).map_err(|error| failed(error.to_string()))?;
    let answer = network.exchange(&client, asked).await;
    let late = || TokenError::EndpointTimeout { endpoint: shown.clone(), limit: network.limit };
    let answer = answer.map_err(|unanswered| unanswered.error(late, failed))?;
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
    Ok((challenge, client))
}

/// Begins a POST request.
pub fn post(uri: &Url) -> hyper::http::request::Builder {
    let mut uri = uri.clone();
    uri.set_fragment(None);
    Request::post(uri.as_str()).header(USER_AGENT, AGENT).header(ACCEPT_ENCODING, IDENTITY)
}

/// Checks that an authority may receive the credential: an authority of Microsoft, the authority in the profile, or, if
/// the endpoint is on a loopback address, an authority on the same host.
pub fn check(
    endpoint: &Url,
    authority: &Url,
    permitted: Option<&Url>,
    proxies: &Proxies,
) -> Result<(), TokenError> {
    let is_own = is_loopback(endpoint) && authority.host() == endpoint.host();
    let is_permitted = is_own || permitted.is_some_and(|permitted| permitted.origin() == authority.origin());
    let is_encrypted = authority.scheme() == "https";
    if is_permitted && (is_encrypted || proxies.is_local(authority)) {
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

/// Returns whether the metadata of `authority` may name this address: it has the same origin, or both are Microsoft's.
pub fn is_of(authority: &Url, address: &Url) -> bool {
    let is_microsoft = |uri: &Url| uri.scheme() == "https" && AUTHORITIES.contains(uri);
    authority.origin() == address.origin() || (is_microsoft(authority) && is_microsoft(address))
}

/// Returns the base address of a token service's metadata. For Microsoft, this is version 2.0, which accepts a token's
/// audience in `scope`.
fn base(authority: &Url) -> Url {
    let mut base = authority.clone();
    base.set_query(None);
    base.set_fragment(None);
    let path = base.path().trim_end_matches('/');
    let path = ENDS.iter().find_map(|end| path.strip_suffix(end)).unwrap_or(path);
    let path = if AUTHORITIES.contains(&base) && !path.ends_with("/v2.0") {
        format!("{path}/v2.0")
    } else {
        path.to_owned()
    };
    base.set_path(&path);
    base
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

    #[test]
    fn the_metadata_is_below_the_authority() {
        for (authority, expected) in [
            ("https://login.windows.net/common/oauth2/authorize", "https://login.windows.net/common/v2.0"),
            (
                "https://login.microsoftonline.com/t/oauth2/v2.0/token",
                "https://login.microsoftonline.com/t/v2.0",
            ),
            ("https://login.microsoftonline.com/t/", "https://login.microsoftonline.com/t/v2.0"),
            ("https://login.microsoftonline.com/t/v2.0", "https://login.microsoftonline.com/t/v2.0"),
            ("https://sts.example.com/adfs/oauth2/authorize?x=1#y", "https://sts.example.com/adfs"),
            ("https://sso.example.com/realms/a/", "https://sso.example.com/realms/a"),
            ("https://sso.example.com", "https://sso.example.com/"),
        ] {
            assert_eq!(base(&authority.parse().unwrap()).as_str(), expected, "{authority}");
        }
    }

    #[test]
    fn the_metadata_names_addresses_of_its_own_service_only() {
        let is_of = |authority: &str, address: &str| {
            super::is_of(&authority.parse().unwrap(), &address.parse().unwrap())
        };
        assert!(is_of("https://sts.example.com/adfs", "https://sts.example.com/token"));
        assert!(is_of("https://login.windows.net/a", "https://login.microsoftonline.com/a/token"));
        assert!(!is_of("https://sts.example.com/adfs", "https://evil.example.com/token"));
        assert!(!is_of("https://sts.example.com/adfs", "http://sts.example.com/token"));
        assert!(!is_of("https://login.windows.net/a", "http://login.microsoftonline.com/a/token"));
        assert!(!is_of("https://sts.example.com/a", "https://login.microsoftonline.com/a/token"));
    }
}
