//! Errors of requesting a token.

use std::fmt;
use std::time::Duration;

use crate::credential::CredentialError;
use crate::files::lock::LockError;
use crate::net::{IdentityError, ProxyError};

/// Error of requesting a token. The instructions for an answer with an error code are in [`advice`](crate::advice).
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum TokenError {
    /// The endpoint answered 401 without a `Bearer` challenge that names its token service.
    #[error("{endpoint} does not offer token authentication")]
    #[diagnostic(help(
        "set authentication = \"basic\" in the profile, or authority and client_id for an endpoint that does not name \
         its token service"
    ))]
    NoChallenge { endpoint: String },
    /// The server answered a request without a credential with another status than 401: it is not the endpoint.
    #[error("expected the address of the token service from {endpoint}, got {status}")]
    #[diagnostic(help(
        "check the uri in the profile: the response is not from a PowerShell endpoint, but for example a web page, a \
         proxy error or a redirect; or try again later"
    ))]
    Answered { endpoint: String, status: String },
    /// The request for the challenge failed: no connection, an untrusted certificate, or an unreadable answer.
    #[error("cannot get the address of the token service from {endpoint}: {reason}")]
    #[diagnostic(help("check the endpoint's name and port, the network and the proxy, and try again"))]
    Endpoint { endpoint: String, reason: String },
    /// The endpoint did not send its challenge within `token` of `[timeouts]`.
    #[error("{endpoint} did not answer within {}", humantime::format_duration(*.limit))]
    #[diagnostic(help("try again; if the server is slow, raise `token` in [timeouts] in the profile"))]
    EndpointTimeout { endpoint: String, limit: Duration },
    /// The token service did not answer the password grant within `token` of `[timeouts]`.
    #[error("the token service {authority} did not answer within {}", humantime::format_duration(*.limit))]
    #[diagnostic(help("try again; if the service is slow, raise `token` in [timeouts] in the profile"))]
    Timeout { authority: String, limit: Duration },
    /// The token service refused a password.
    #[error("the token service {authority} refused {user}: {reason}")]
    Refused { authority: String, user: String, reason: String },
    /// The connection to the token service failed, or its answer to the password grant is not OAuth's.
    #[error("cannot reach the token service {authority}: {reason}")]
    #[diagnostic(help("check the network and try again"))]
    Unreachable { authority: String, reason: String },
    /// The proxy before the endpoint or the token service failed: see `ProxyError`.
    #[error("cannot request a token: {0}")]
    #[diagnostic(help("{}", .0.advice()))]
    Proxy(ProxyError),
    /// The challenge names a token service that is neither Microsoft's nor `authority` in the profile.
    #[error("refusing to send the credential to the token service {authority}, which {endpoint} names")]
    #[diagnostic(help("nothing was sent; if you trust it, add to the profile: authority = \"{authority}\""))]
    Foreign { endpoint: String, authority: String },
    /// The challenge names a token service over plain HTTP.
    #[error("refusing to send the credential to {uri}: not HTTPS")]
    #[diagnostic(help(
        "nothing was sent; ask the administrator of the endpoint to use an HTTPS token service"
    ))]
    NotEncrypted { uri: String },
    /// A request without a valid answer.
    #[error("cannot {operation} {authority}: {reason}")]
    #[diagnostic(help(
        "check authority in the profile and the network; if the token service is slow, raise `token` in [timeouts]"
    ))]
    Failed { operation: Operation, authority: String, reason: String },
    /// An answer with an error code of OAuth.
    #[error("cannot {operation} {authority}: {code}{detail}")]
    Rejected {
        operation: Operation,
        authority: String,
        /// The error code of RFC 6749 or an extension.
        code: String,
        /// The service's description, with a colon before it; Microsoft's begins with a number (AADSTS).
        detail: String,
    },
    /// The user did not finish the sign-in in the browser, or with the device code, within the time limit.
    #[error("cannot {operation} {authority}: the user did not sign in within {}", humantime::format_duration(*.limit))]
    #[diagnostic(help("run the command again, and sign in within the time limit"))]
    NotConfirmed { operation: Operation, authority: String, limit: Duration },
    /// The refresh token is missing or was refused (`invalid_grant`), and this process must not ask the user.
    #[error("cannot sign in to {authority} without the user")]
    #[diagnostic(help("run `lyncsh {profile}` and sign in"))]
    NeedsUser { profile: String, authority: String },
    /// No port of a loopback address is free for the redirect of the browser (RFC 8252, 7.3).
    #[error("cannot wait for the browser: {reason}")]
    #[diagnostic(help("set sign_in = \"device-code\" in the profile"))]
    Listener { reason: String },
    /// Another process uses the refresh token of the same keyring entry: see `LockError`.
    #[error(transparent)]
    #[diagnostic(help("end the process that holds the lock, and try again"))]
    Lock(#[from] LockError),
    /// The assertion is signed with PS256 (RFC 7518, 3.5), and the certificate has a key of another type.
    #[error("cannot sign the request for a token with the key of {certificate}: expected an RSA key")]
    #[diagnostic(help("create an RSA key, and register its certificate for the application"))]
    KeyType { certificate: String },
    /// The certificate of the application cannot be used: see `IdentityError`.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Identity(#[from] IdentityError),
    /// The federated token or the refresh token could not be fetched: see `CredentialError`.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Credential(#[from] CredentialError),
}

impl TokenError {
    /// Returns whether another attempt without the user would fail in the same way.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Refused { .. } | Self::NeedsUser { .. } | Self::NotConfirmed { .. } => true,
            Self::Identity(_) | Self::Credential(_) | Self::KeyType { .. } => true,
            Self::Rejected { code, .. } => !is_temporary(code),
            _ => false,
        }
    }
}

/// Returns whether an error code means that the service is overloaded or has failed (RFC 6749, 4.1.2.1).
pub fn is_temporary(code: &str) -> bool {
    matches!(code, "temporarily_unavailable" | "server_error")
}

/// Returns whether an error code does not concern the password (RFC 6749, 5.2; OpenID Connect Core 1.0, 3.1.2.6):
/// sending the password again does not count as a failed attempt.
pub fn is_unrelated_to_password(code: &str) -> bool {
    const CODES: [&str; 10] = [
        "invalid_client",
        "invalid_request",
        "invalid_resource",
        "invalid_scope",
        "invalid_target",
        "unauthorized_client",
        "unsupported_grant_type",
        "interaction_required",
        "login_required",
        "consent_required",
    ];
    CODES.contains(&code)
}

/// A request to a token service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Metadata,
    Password,
    DeviceCode,
    DeviceToken,
    Browser,
    Code,
    Application,
    Renewal,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Metadata => "read the metadata of",
            Self::Password => "get a token with the password from",
            Self::DeviceCode => "request a device code from",
            Self::DeviceToken => "get the token for the device code from",
            Self::Browser => "sign in with the browser at",
            Self::Code => "exchange the authorization code at",
            Self::Application => "get a token for the application from",
            Self::Renewal => "renew the token at",
        })
    }
}
