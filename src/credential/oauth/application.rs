//! Tokens for an application without a user (RFC 6749, 4.4), which proves itself with a secret, with the key of a
//! certificate, or with a token of another service (RFC 7523, 2.2).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use uuid::Uuid;

use super::error::{Operation, TokenError};
use super::granted::Granted;
use super::service::Service;
use crate::net::ClientCertificate;
use crate::profile::Profile;

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// Lifetime of an assertion.
const LIFETIME: Duration = Duration::from_mins(5);

/// Proof of an application's identity.
pub enum Proof {
    Secret(SecretString),
    Assertion(SecretString),
}

/// Requests a token.
pub async fn token(service: &Service, proof: &Proof) -> Result<Granted, TokenError> {
    let Service { http, client, scopes, .. } = service;
    let request = service.protocol.exchange_client_credentials().add_scopes(scopes.iter().cloned());
    let request = match proof {
        Proof::Secret(secret) => request.add_extra_param("client_secret", secret.expose_secret()),
        Proof::Assertion(assertion) => request
            .add_extra_param("client_assertion_type", ASSERTION_TYPE)
            .add_extra_param("client_assertion", assertion.expose_secret()),
    };
    let granted = request.request_async(http).await;
    granted.map_err(|error| http.error(Operation::Application, &client.authority, error))
}

/// Signs an assertion with the key of the profile's certificate.
pub async fn signed(
    service: &Service,
    profile: &Profile,
    passphrase: SecretString,
) -> Result<SecretString, TokenError> {
    let path = profile.certificate.clone().unwrap_or_default();
    let certificate = ClientCertificate::load(path.clone(), profile.key.clone(), passphrase).await?;
    let text = unsigned(service, &certificate);
    let signature = certificate
        .sign(text.as_bytes())
        .ok_or_else(|| TokenError::KeyType { certificate: path.display().to_string() })?;
    let signed = Zeroizing::new(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)));
    Ok(SecretString::from(signed.as_str()))
}

/// Returns the header and the claims of an assertion (RFC 7515, RFC 7523). Entra ID requires the thumbprint.
fn unsigned(service: &Service, certificate: &ClientCertificate) -> String {
    let thumbprint = URL_SAFE_NO_PAD.encode(certificate.thumbprint());
    let header = json!({ "alg": "PS256", "typ": "JWT", "x5t#S256": thumbprint });
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let claims = json!({
        "aud": service.token_endpoint().as_str(),
        "iss": service.client.id,
        "sub": service.client.id,
        "jti": Uuid::new_v4().to_string(),
        "iat": now.as_secs(),
        "nbf": now.as_secs(),
        "exp": (now + LIFETIME).as_secs(),
    });
    let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(header), part(claims))
}
