//! A token service: its addresses, from its metadata (OpenID Connect Discovery 1.0), and the client of the `oauth2`
//! crate.

use oauth2::basic::{BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse};
use oauth2::{AuthType, ClientId, EndpointNotSet, EndpointSet, Scope, StandardRevocableToken, TokenUrl};
use serde::Deserialize;
use url::Url;

use super::authority::{Client, is_of};
use super::error::{Operation, TokenError};
use super::granted::Granted;
use super::http::{Http, Network, shown};

/// The client of the `oauth2` crate, with a token endpoint.
pub type Protocol = oauth2::Client<
    BasicErrorResponse,
    Granted,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;

/// The used members of the metadata.
#[derive(Debug, Deserialize)]
struct Metadata {
    token_endpoint: Url,
    authorization_endpoint: Option<Url>,
    device_authorization_endpoint: Option<Url>,
}

/// A token service.
#[derive(Debug)]
pub struct Service {
    pub http: Http,
    pub client: Client,
    /// The requested scopes.
    pub scopes: Vec<Scope>,
    pub protocol: Protocol,
    metadata: Metadata,
}

impl Service {
    /// Reads the metadata of a token service.
    pub async fn read(client: Client, scopes: Vec<Scope>, network: Network) -> Result<Self, TokenError> {
        let http = Http::new(network);
        let metadata = metadata(&http, &client.authority).await?;
        let token = TokenUrl::from_url(metadata.token_endpoint.clone());
        let protocol = oauth2::Client::new(ClientId::new(client.id.clone()))
            .set_auth_type(AuthType::RequestBody)
            .set_token_uri(token);
        Ok(Self { http, client, scopes, protocol, metadata })
    }

    pub fn token_endpoint(&self) -> &Url {
        &self.metadata.token_endpoint
    }

    /// Returns the address of the page at which a user signs in.
    pub fn authorization_endpoint(&self) -> Result<Url, TokenError> {
        let address = self.metadata.authorization_endpoint.clone();
        address.ok_or_else(|| self.lacks(Operation::Browser, "authorization_endpoint"))
    }

    /// Returns the address for device codes.
    pub fn device_endpoint(&self) -> Result<Url, TokenError> {
        let address = self.metadata.device_authorization_endpoint.clone();
        address.ok_or_else(|| self.lacks(Operation::DeviceCode, "device_authorization_endpoint"))
    }

    pub fn failed(&self, operation: Operation, reason: impl Into<String>) -> TokenError {
        TokenError::Failed { operation, authority: shown(&self.client.authority), reason: reason.into() }
    }

    fn lacks(&self, operation: Operation, member: &str) -> TokenError {
        self.failed(operation, format!("its metadata has no {member}"))
    }
}

/// Reads and checks the metadata.
async fn metadata(http: &Http, authority: &Url) -> Result<Metadata, TokenError> {
    let failed = |reason: String| TokenError::Failed {
        operation: Operation::Metadata,
        authority: authority.to_string(),
        reason,
    };
    let mut address = authority.clone();
    let path = authority.path().trim_end_matches('/');
    address.set_path(&format!("{path}/.well-known/openid-configuration"));
    let answer = http.get(&address).await.map_err(|failure| failure.error(failed))?;
    if !answer.status().is_success() {
        return Err(failed(format!("{address} answered {}", answer.status())));
    }
    let metadata: Metadata = serde_json::from_slice(answer.body())
        .map_err(|error| failed(format!("the answer of {address} is not metadata: {error}")))?;
    let all = [
        Some(&metadata.token_endpoint),
        metadata.authorization_endpoint.as_ref(),
        metadata.device_authorization_endpoint.as_ref(),
    ];
    if let Some(foreign) = all.into_iter().flatten().find(|uri| !is_of(authority, uri)) {
        return Err(failed(format!("it names an address of another service, {foreign}")));
    }
    Ok(metadata)
}
