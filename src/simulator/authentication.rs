//! Authentication of a connection by NTLM or Kerberos, and the sealed bodies that follow (RFC 4559, MS-WSMV
//! 2.2.9.1). An authenticated context belongs to one TCP connection.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::acceptor::{Acceptor, account_name};
use super::endpoint::{Account, Endpoint};
use super::options::Authentication;
use crate::security::ContextError;
use crate::security::ntlm::{self, Binding};
use crate::security::sealed::{self, Protocol};
use crate::security::spnego;
#[cfg(unix)]
use crate::security::spnego::Offered;

/// Maximum size of a response to seal, in bytes.
const MAX_ANSWER: usize = 4 << 20;

/// A connection's state. Clones share it.
#[derive(Clone, Default)]
pub struct Connection(Arc<Mutex<State>>);

#[derive(Default)]
enum State {
    #[default]
    Fresh,
    Negotiating(Box<dyn Acceptor>),
    Authenticated {
        acceptor: Box<dyn Acceptor>,
        account: Account,
        protocol: Protocol,
    },
}

/// The outcome of a request's credentials.
pub enum Outcome {
    /// The request is authenticated; the token is returned in the response.
    Allowed(Account, Option<HeaderValue>),
    /// The answer to a request without valid credentials.
    Answered(Response),
}

/// Returns the schemes that an endpoint offers instead of Basic.
fn offers(endpoint: &Endpoint) -> &'static [&'static str] {
    if endpoint.has_kerberos { &["Negotiate", "Kerberos"] } else { &["Negotiate"] }
}

/// Returns whether Kerberos can be accepted: a library and a key exist.
#[cfg(unix)]
pub fn has_kerberos(authentication: Authentication) -> bool {
    use crate::security::Mechanism;
    authentication == Authentication::Negotiate
        && crate::security::kerberos::Server::new(Mechanism::Kerberos, None)
            .inspect_err(|error| tracing::info!("the endpoint does not offer Kerberos: {error}"))
            .is_ok()
}

/// Returns `false`: the simulator does not accept contexts of SSPI.
#[cfg(windows)]
pub fn has_kerberos(_authentication: Authentication) -> bool {
    false
}

fn offer(endpoint: &Endpoint) -> Response {
    let mut response = StatusCode::UNAUTHORIZED.into_response();
    for scheme in offers(endpoint) {
        response.headers_mut().append(header::WWW_AUTHENTICATE, HeaderValue::from_static(scheme));
    }
    response
}

fn start(endpoint: &Arc<Endpoint>, token: &[u8]) -> Result<Box<dyn Acceptor>, ContextError> {
    let offer = spnego::offer(token)?;
    #[cfg(unix)]
    if endpoint.has_kerberos && offer.mechanisms.first() == Some(&Offered::Kerberos) {
        use crate::security::{Mechanism, kerberos};
        let mechanism = if offer.spnego { Mechanism::NegotiateKerberos } else { Mechanism::Kerberos };
        let binding = match &endpoint.binding {
            Binding::Ignored => None,
            Binding::Optional(data) | Binding::Required(data) => Some(data.clone()),
        };
        return Ok(Box::new(kerberos::Server::new(mechanism, binding)?));
    }
    let accounts = endpoint.clone();
    let ntlm = ntlm::Acceptor::new(
        "SIMULATOR",
        Arc::new(move |domain, user| accounts.world.password(&account_name(domain, user))),
        endpoint.binding.clone(),
    );
    if offer.spnego { Ok(Box::new(spnego::Acceptor::new(ntlm))) } else { Ok(Box::new(ntlm)) }
}

impl Connection {
    /// Takes a step of the handshake, or returns the account of an authenticated connection.
    pub fn authenticate(&self, endpoint: &Arc<Endpoint>, headers: &HeaderMap) -> Outcome {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(value) = headers.get(header::AUTHORIZATION) else {
            return match &*state {
                State::Authenticated { account, .. } => Outcome::Allowed(account.clone(), None),
                _ => Outcome::Answered(offer(endpoint)),
            };
        };
        let result = state.step(endpoint, value);
        result.unwrap_or_else(|error| {
            tracing::debug!(%error, "a handshake failed");
            endpoint.refusals.fetch_add(1, Ordering::Relaxed);
            *state = State::Fresh;
            // Like Windows, sends only the offers, without a reason.
            Outcome::Answered(offer(endpoint))
        })
    }

    /// Decrypts a sealed body; also returns whether it was sealed. Over HTTP, a body must be sealed unless it is empty.
    ///
    /// # Errors
    /// The status of the answer to an invalid body.
    pub fn unseal(
        &self,
        endpoint: &Endpoint,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<(Bytes, bool), StatusCode> {
        let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let Some(content_type) = content_type.filter(|value| sealed::is_sealed(value)) else {
            // AllowUnencrypted=false: reports differ on whether Windows answers 401 or 500.
            let accepted = endpoint.options.tls || body.is_empty();
            return if accepted { Ok((body, false)) } else { Err(StatusCode::INTERNAL_SERVER_ERROR) };
        };
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let State::Authenticated { acceptor, .. } = &mut *state else {
            return Err(StatusCode::UNAUTHORIZED);
        };
        match sealed::unseal(acceptor.as_mut(), content_type, &body) {
            Ok(plain) => Ok((plain.into(), true)),
            Err(error) => {
                tracing::debug!(%error, "a sealed body was refused");
                *state = State::Fresh;
                Err(StatusCode::BAD_REQUEST)
            }
        }
    }

    /// Encrypts an answer.
    pub async fn seal(&self, answer: Response) -> Response {
        let (mut parts, body) = answer.into_parts();
        let Ok(body) = axum::body::to_bytes(body, MAX_ANSWER).await else {
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        };
        let content_type = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let content_type = content_type.unwrap_or_default().to_owned();
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let State::Authenticated { acceptor, protocol, .. } = &mut *state else {
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        };
        let sealed = sealed::seal(acceptor.as_mut(), *protocol, &content_type, &body);
        match sealed.map(|(head, body)| (HeaderValue::from_str(&head), body)) {
            Ok((Ok(head), body)) => {
                parts.headers.insert(header::CONTENT_TYPE, head);
                parts.headers.remove(header::CONTENT_LENGTH);
                Response::from_parts(parts, Body::from(body))
            }
            _ => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }
}

impl State {
    fn step(&mut self, endpoint: &Arc<Endpoint>, value: &HeaderValue) -> Result<Outcome, ContextError> {
        let malformed = |reason: &str| ContextError::Malformed {
            what: "Authorization header",
            reason: reason.to_owned(),
        };
        let value = value.to_str().map_err(|_| malformed("it is not text"))?;
        let (scheme, token) = value.split_once(' ').ok_or_else(|| malformed("it has no token"))?;
        let scheme = offers(endpoint)
            .iter()
            .copied()
            .find(|offered| offered.eq_ignore_ascii_case(scheme))
            .ok_or_else(|| malformed("its scheme is not offered"))?;
        let token = STANDARD.decode(token.trim()).map_err(|_| malformed("its token is not base64"))?;
        let mut acceptor = match std::mem::take(self) {
            Self::Negotiating(acceptor) => acceptor,
            // A client may authenticate a connection again.
            Self::Fresh | Self::Authenticated { .. } => start(endpoint, &token)?,
        };
        let step = acceptor.step(Some(&token))?;
        let reply = step.token.map(|token| format!("{scheme} {}", STANDARD.encode(token)));
        let reply = reply
            .map(|reply| HeaderValue::from_str(&reply))
            .transpose()
            .map_err(|_| malformed("the reply is not a header"))?;
        if !step.established {
            *self = Self::Negotiating(acceptor);
            let headers = reply.map(|reply| [(header::WWW_AUTHENTICATE, reply)]);
            return Ok(Outcome::Answered(
                (StatusCode::UNAUTHORIZED, headers.map_or_else(HeaderMap::new, HeaderMap::from_iter))
                    .into_response(),
            ));
        }
        let user = acceptor.account().ok_or(ContextError::NotEstablished)?.to_lowercase();
        let domain = endpoint.world.domain(&user).ok_or_else(|| ContextError::Mechanism {
            code: ntlm::LOGON_DENIED,
            text: format!("{user} has no tenant"),
        })?;
        let account = Account { user, domain };
        let protocol = if scheme == "Kerberos" { Protocol::Kerberos } else { Protocol::Spnego };
        *self = Self::Authenticated { acceptor, account: account.clone(), protocol };
        Ok(Outcome::Allowed(account, reply))
    }
}

/// Returns the channel binding of a certificate signed with SHA-256 (RFC 5929 4.1).
pub fn binding(certificate: Option<&[u8]>) -> Binding {
    use sha2::Digest as _;
    certificate.map_or(Binding::Ignored, |der| {
        let hash = sha2::Sha256::digest(der);
        Binding::Optional([b"tls-server-end-point:".as_slice(), &hash].concat())
    })
}
