//! Lyncdiscover documents and the token service.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use axum::Form;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use uuid::Uuid;

use super::endpoint::{Account, DomainQuery, Endpoint};
use super::wsman;

/// Path of the endpoint with token authentication.
pub const OAUTH: &str = "/OcsPowershellOAuth";
pub const TOKEN: &str = "/oauth2/token";
/// Path of the pool's document, the target of the redirect.
pub const POOL_DOCUMENT: &str = "/autodiscover/root";
/// Path of the domain's document, to which the pool's document links.
pub const DOMAIN_DOCUMENT: &str = "/autodiscover/domain";
const CLIENT_ID: &str = "00000004-0000-0ff1-ce00-000000000000";
const MEDIA_TYPE: &str = "application/vnd.microsoft.rtc.autodiscover+xml; v=1";
const NAMESPACE: &str = "http://schemas.microsoft.com/rtc/2012/03/ucwa";

fn known(asked: &DomainQuery) -> Option<&str> {
    let domains = ["litwareinc.com", "contoso.com"];
    let domain = asked.domain.as_deref()?;
    domains.into_iter().find(|one| one.eq_ignore_ascii_case(domain))
}

/// Returns a document with one link, or the status 404 for an unknown domain.
async fn link(
    endpoint: &Endpoint,
    asked: &DomainQuery,
    element: &str,
    token: &str,
    target: impl FnOnce(&str) -> String,
) -> Response {
    tokio::time::sleep(endpoint.options.latency).await;
    let Some(domain) = known(asked) else { return StatusCode::NOT_FOUND.into_response() };
    let href = format!("{}{}", endpoint.base, target(domain));
    let text = format!(
        r#"<?xml version="1.0" encoding="utf-8"?><AutodiscoverResponse xmlns="{NAMESPACE}" AccessLocation="External"><{element}><Link token="{token}" href="{href}"/></{element}></AutodiscoverResponse>"#
    );
    ([(header::CONTENT_TYPE, MEDIA_TYPE)], text).into_response()
}

/// Returns the first document: a redirect to the domain's pool.
pub async fn start(State(endpoint): State<Arc<Endpoint>>, asked: DomainQuery) -> Response {
    link(&endpoint, &asked, "Root", "Redirect", |domain| format!("{POOL_DOCUMENT}?Domain={domain}")).await
}

/// Returns the pool's document, which links to the domain's document.
pub async fn pool(State(endpoint): State<Arc<Endpoint>>, asked: DomainQuery) -> Response {
    link(&endpoint, &asked, "Root", "Domain", |domain| format!("{DOMAIN_DOCUMENT}?Domain={domain}")).await
}

/// Returns the domain's document, which links to the endpoint.
pub async fn domain(State(endpoint): State<Arc<Endpoint>>, asked: DomainQuery) -> Response {
    link(&endpoint, &asked, "Domain", "External/RemotePowerShell", |_| wsman::LIVE_ID.to_owned()).await
}

/// Returns the challenge for an unauthenticated request with token authentication.
pub fn challenge(endpoint: &Endpoint) -> String {
    let base = &endpoint.base;
    format!(
        r#"Bearer client_id="{CLIENT_ID}", trusted_issuers="{CLIENT_ID}@*", authorization_uri="{base}{TOKEN}""#
    )
}

/// Implements the token service: the password grant of OAuth 2.0 (RFC 6749, 4.3).
pub async fn token(
    State(endpoint): State<Arc<Endpoint>>,
    Form(form): Form<HashMap<String, String>>,
) -> Response {
    tokio::time::sleep(endpoint.options.latency).await;
    let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    let denied = |error: &str, description: &str| {
        let body = serde_json::json!({ "error": error, "error_description": description });
        (StatusCode::BAD_REQUEST, axum::Json(body)).into_response()
    };
    if field("grant_type") != "password" {
        return denied("unsupported_grant_type", "Only the password grant is supported.");
    }
    let Some(domain) = endpoint.world.sign_in(field("username"), field("password")) else {
        return denied("invalid_grant", "The user name or password is incorrect.");
    };
    let token = Uuid::new_v4().simple().to_string();
    let account = Account { user: field("username").to_lowercase(), domain };
    endpoint.tokens.lock().unwrap_or_else(PoisonError::into_inner).insert(token.clone(), account);
    axum::Json(serde_json::json!({ "token_type": "Bearer", "expires_in": 3600, "access_token": token }))
        .into_response()
}
