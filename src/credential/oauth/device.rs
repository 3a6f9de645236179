//! Sign-in with a code that the user enters in a browser on any device (RFC 8628).

use std::time::Duration;

use oauth2::{DeviceAuthorizationUrl, StandardDeviceAuthorizationResponse};
use url::Url;

use super::error::{Operation, TokenError};
use super::granted::Granted;
use super::http::shown;
use super::service::Service;
use crate::net::is_loopback;
use crate::step::{Report, Step};

/// Maximum time for which lyncsh waits for the user.
const SIGN_IN_TIMEOUT: Duration = Duration::from_mins(15);
/// Minimum polling interval, whatever the service requests.
const MIN_INTERVAL: Duration = Duration::from_secs(1);

/// Reports a code to the user, and waits until the user has signed in.
pub async fn sign_in(service: &Service, report: &Report) -> Result<Granted, TokenError> {
    let Service { http, client, scopes, .. } = service;
    let address = DeviceAuthorizationUrl::from_url(service.device_endpoint()?);
    let protocol = service.protocol.clone().set_device_authorization_url(address);
    let request = protocol.exchange_device_code().add_scopes(scopes.iter().cloned());
    let details: StandardDeviceAuthorizationResponse = request
        .request_async(http)
        .await
        .map_err(|error| http.error(Operation::DeviceCode, &client.authority, error))?;
    let page: &Url = details.verification_uri().url();
    // The user would sign in on a page that anyone on the network can replace.
    if page.scheme() != "https" && !is_loopback(page) {
        return Err(service.failed(Operation::DeviceCode, format!("its page {page} is not HTTPS")));
    }
    let code = Some(details.user_code().secret().clone());
    let _ = report.send(Step::SignIn { uri: page.to_string(), code });
    let limit = details.expires_in().min(SIGN_IN_TIMEOUT);
    let late = || TokenError::NotConfirmed {
        operation: Operation::DeviceToken,
        authority: shown(&client.authority),
        limit,
    };
    let sleep = |interval: Duration| tokio::time::sleep(interval.max(MIN_INTERVAL));
    // The `oauth2` crate checks its own limit only between polls, and an interval may be longer than the lifetime of
    // the code; the timeout below applies instead.
    let polling =
        protocol.exchange_device_access_token(&details).request_async(http, sleep, Some(SIGN_IN_TIMEOUT * 2));
    let granted = tokio::time::timeout(limit, polling).await.map_err(|_| late())?;
    granted.map_err(|error| match http.error(Operation::DeviceToken, &client.authority, error) {
        // The service may find the code expired before the local time limit.
        TokenError::Rejected { code, .. } if code == "expired_token" => late(),
        error => error,
    })
}
