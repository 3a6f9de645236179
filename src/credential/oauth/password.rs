//! The password grant, with the token service that the endpoint's 401 response names.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::CONTENT_TYPE;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::Url;

use super::authority;
use super::error::{Operation, TokenError, is_temporary, is_unrelated_to_password};
use super::granted::{Granted, Token};
use super::http::{Network, code, line, rejected};

#[derive(Deserialize)]
struct Denied {
    error: String,
    error_description: Option<String>,
    suberror: Option<String>,
}

/// A request for a token.
#[derive(Clone, Debug)]
pub struct TokenRequest {
    pub endpoint: Url,
    pub user: String,
    pub password: SecretString,
    pub network: Network,
    /// An authority that may receive the password besides Microsoft's.
    pub authority: Option<Url>,
}

/// Gets the challenge of the endpoint and requests a token from its authority with the password grant.
pub async fn acquire(request: &TokenRequest) -> Result<Token, TokenError> {
    let TokenRequest { endpoint, user, password, network, authority: permitted } = request;
    let (challenge, client) = authority::challenged(endpoint, network).await?;
    let authority = challenge.authority.to_string();
    let unreachable = |reason: String| TokenError::Unreachable { authority: authority.clone(), reason };
    // The pin applies to the endpoint's certificate, also if the authority is at the endpoint's origin.
    let client = if challenge.authority.origin() == endpoint.origin() {
        client
    } else {
        network.client(network.trust.of_others())
    };
    authority::check(endpoint, &challenge.authority, permitted.as_ref(), &network.proxies)?;
    let body = form(&[
        ("grant_type", "password"),
        ("client_id", &challenge.client_id),
        ("resource", endpoint.origin().ascii_serialization().as_str()),
        ("username", user),
        ("password", password.expose_secret()),
    ]);
    let asked = authority::post(&challenge.authority)
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Full::from(Bytes::from_owner(body)))
        .map_err(|error| unreachable(error.to_string()))?;
    let answer = network.exchange(&client, asked).await;
    let late = || TokenError::Timeout { authority: authority.clone(), limit: network.limit };
    let answer = answer.map_err(|unanswered| unanswered.error(late, unreachable))?;
    let status = answer.status();
    let body = answer.into_body();
    if status.is_success() {
        let granted: Result<Granted, _> = serde_json::from_slice(&body);
        let granted = granted.map_err(|_| unreachable("its response has no token".into()))?;
        return granted.token().map_err(|reason| TokenError::Failed {
            operation: Operation::Password,
            authority,
            reason: reason.to_owned(),
        });
    }
    let denied: Result<Denied, _> = serde_json::from_slice(&body);
    let denied = denied.map(|denied| {
        let error = code(denied.error, denied.suberror.as_deref());
        Denied { error, ..denied }
    });
    Err(match denied {
        Ok(Denied { error, error_description, .. }) if is_unrelated_to_password(&error) => {
            let detail = error_description.map(|text| line(&text));
            rejected(Operation::Password, authority, line(&error), detail)
        }
        // A server error does not mean that the password is wrong.
        Ok(denied) if status.is_client_error() && !is_temporary(&denied.error) => TokenError::Refused {
            authority,
            user: user.to_owned(),
            reason: line(&denied.error_description.unwrap_or(denied.error)),
        },
        Ok(denied) => unreachable(format!("it answered {status}: {}", line(&denied.error))),
        Err(_) => unreachable(format!("it answered {status}")),
    })
}

/// Returns the body of a form, which is wiped when the request no longer needs it.
fn form(pairs: &[(&str, &str)]) -> Zeroizing<Vec<u8>> {
    // A byte becomes at most three. A growing buffer would leave the password in the memory that it frees.
    let size = pairs.iter().map(|(name, value)| 3 * (name.len() + value.len()) + 2).sum();
    let mut form = url::form_urlencoded::Serializer::new(String::with_capacity(size));
    form.extend_pairs(pairs);
    Zeroizing::new(form.finish().into_bytes())
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
}
