//! Sign-in with a browser on this machine: an authorization code with PKCE (RFC 7636), which the browser brings to a
//! listener on a loopback address (RFC 8252, 7.3).

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use oauth2::{AuthUrl, AuthorizationCode, CsrfToken, PkceCodeChallenge, RedirectUrl};
use secrecy::zeroize::Zeroizing;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::error::{Operation, TokenError};
use super::granted::Granted;
use super::http::{rejected, shown};
use super::service::Service;
use crate::step::{Report, Step};

/// Maximum time for which lyncsh waits for the user.
const SIGN_IN_TIMEOUT: Duration = Duration::from_mins(15);
/// Maximum size of a request's head, in bytes.
const MAX_HEAD: usize = 16 * 1024;
/// Time limit for one connection: browsers open connections without a request.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(30);
/// Maximum number of ports to try.
const MAX_PORTS: u32 = 10;
/// Maximum number of connections at the same time.
const MAX_CONNECTIONS: usize = 16;

const SIGNED_IN: &str = "You are signed in. You can close this window.";
const NOT_SIGNED_IN: &str = "You are not signed in. The terminal shows the reason.";

/// The answer of a token service, in the query of the redirect.
enum Redirected {
    Code(AuthorizationCode),
    Denied { code: String, detail: Option<String> },
}

/// Reports the sign-in page, waits until the browser returns with a code, and exchanges the code.
pub async fn sign_in(service: &Service, user: Option<&str>, report: &Report) -> Result<Granted, TokenError> {
    let Service { http, client, scopes, .. } = service;
    let listen = |error: io::Error| TokenError::Listener { reason: error.to_string() };
    let (port, listener, second) = listeners().await.map_err(listen)?;
    // Entra ID permits every port for `http://localhost` of a public client.
    let redirect = RedirectUrl::new(format!("http://localhost:{port}"));
    let redirect = redirect.map_err(|error| TokenError::Listener { reason: error.to_string() })?;
    let protocol = service
        .protocol
        .clone()
        .set_auth_uri(AuthUrl::from_url(service.authorization_endpoint()?))
        .set_redirect_uri(redirect);
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let mut request = protocol
        .authorize_url(CsrfToken::new_random)
        .add_scopes(scopes.iter().cloned())
        .set_pkce_challenge(challenge);
    if let Some(user) = user {
        request = request.add_extra_param("login_hint", user);
    }
    let (uri, state) = request.url();
    let _ = report.send(Step::SignIn { uri: uri.to_string(), code: None });
    let redirected = tokio::time::timeout(SIGN_IN_TIMEOUT, redirected(&listener, second.as_ref(), &state));
    let late = |_| TokenError::NotConfirmed {
        operation: Operation::Browser,
        authority: shown(&client.authority),
        limit: SIGN_IN_TIMEOUT,
    };
    let code = match redirected.await.map_err(late)? {
        Redirected::Code(code) => code,
        Redirected::Denied { code, detail } => {
            return Err(rejected(Operation::Browser, shown(&client.authority), code, detail));
        }
    };
    let exchange = protocol.exchange_code(code).set_pkce_verifier(verifier);
    let granted = exchange.request_async(http).await;
    granted.map_err(|error| http.error(Operation::Code, &client.authority, error))
}

/// Listens at one port of both addresses of `localhost`: a browser may try either first.
async fn listeners() -> io::Result<(u16, TcpListener, Option<TcpListener>)> {
    for _ in 1..MAX_PORTS {
        match bind_both().await {
            Err(error) if is_taken(&error) => {}
            result => return result,
        }
    }
    bind_both().await
}

async fn bind_both() -> io::Result<(u16, TcpListener, Option<TcpListener>)> {
    let first = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let port = first.local_addr()?.port();
    Ok((port, first, second(port).await?))
}

/// Listens at the second address; `None` without IPv6, where a browser uses the first address.
async fn second(port: u16) -> io::Result<Option<TcpListener>> {
    match TcpListener::bind((Ipv6Addr::LOCALHOST, port)).await {
        Ok(listener) => Ok(Some(listener)),
        // Another process would receive the code.
        Err(error) if is_taken(&error) => Err(error),
        Err(error) => {
            tracing::debug!("cannot listen at [::1]:{port}: {error}");
            Ok(None)
        }
    }
}

/// Returns whether another process has the port. If another process uses the port exclusively, Windows returns a
/// permission error (`WSAEACCES`).
fn is_taken(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied)
}

/// Accepts connections until a request contains the token service's response for this `state`.
async fn redirected(listener: &TcpListener, second: Option<&TcpListener>, state: &CsrfToken) -> Redirected {
    let mut connections = JoinSet::new();
    let other = async || match second {
        Some(second) => second.accept().await,
        None => std::future::pending().await,
    };
    loop {
        tokio::select! {
            Some(done) = connections.join_next() => {
                if let Ok(Ok(Ok(Some(redirected)))) = done {
                    return redirected;
                }
            }
            Ok((stream, _)) = listener.accept(), if connections.len() < MAX_CONNECTIONS => {
                connections.spawn(tokio::time::timeout(CONNECTION_TIMEOUT, serve(stream, state.clone())));
            }
            Ok((stream, _)) = other(), if connections.len() < MAX_CONNECTIONS => {
                connections.spawn(tokio::time::timeout(CONNECTION_TIMEOUT, serve(stream, state.clone())));
            }
        }
    }
}

/// Serves one request. Returns `None` if the request does not contain the token service's response.
async fn serve(mut stream: TcpStream, state: CsrfToken) -> io::Result<Option<Redirected>> {
    let mut head = Zeroizing::new(Vec::with_capacity(MAX_HEAD));
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        // The capacity is the limit: a growing buffer would leave the code in the memory that it frees.
        let free = MAX_HEAD - head.len();
        if (&mut stream).take(free as u64).read_buf(&mut *head).await? == 0 {
            return Ok(None);
        }
    }
    let redirected = parsed(&head, &state);
    let (status, text) = match &redirected {
        Some(Redirected::Code(_)) => ("200 OK", SIGNED_IN),
        Some(Redirected::Denied { .. }) => ("200 OK", NOT_SIGNED_IN),
        None => ("404 Not Found", ""),
    };
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\n\
         Cache-Control: no-store\r\nReferrer-Policy: no-referrer\r\nConnection: close\r\n\r\n{text}",
        text.len()
    );
    // The code is valid even if the browser does not read the page.
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
    Ok(redirected)
}

/// Parses a request. The `state` proves that the request comes from the sign-in page that was shown.
fn parsed(head: &[u8], state: &CsrfToken) -> Option<Redirected> {
    let line = std::str::from_utf8(head).ok()?.lines().next()?;
    let target = line.strip_prefix("GET ")?.split(' ').next()?;
    let (path, query) = target.split_once('?')?;
    let (mut code, mut error, mut detail, mut given) = (None, None, None, None);
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        let place = match &*name {
            "code" => &mut code,
            "error" => &mut error,
            "error_description" => &mut detail,
            "state" => &mut given,
            _ => continue,
        };
        *place = Some(value.into_owned());
    }
    if path != "/" || given.as_deref() != Some(state.secret()) {
        return None;
    }
    match (code, error) {
        (_, Some(code)) => {
            let detail = detail.and_then(|text| text.lines().next().map(str::to_owned));
            Some(Redirected::Denied { code, detail })
        }
        (Some(code), None) => Some(Redirected::Code(AuthorizationCode::new(code))),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_that_another_process_has_is_not_used() {
        assert!(is_taken(&io::ErrorKind::PermissionDenied.into()));
        assert!(!is_taken(&io::ErrorKind::AddrNotAvailable.into()));
        match std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) {
            Ok(taken) => {
                let error = second(taken.local_addr().unwrap().port()).await.unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
            }
            // Without IPv6.
            Err(_) => assert!(second(0).await.unwrap().is_none()),
        }
        let (port, first, second) = listeners().await.unwrap();
        assert_eq!(first.local_addr().unwrap().port(), port);
        assert!(second.is_none_or(|second| second.local_addr().unwrap().port() == port));
    }

    #[test]
    fn only_the_answer_with_the_state_is_accepted() {
        let state = CsrfToken::new("s3".into());
        let parsed = |target: &str| parsed(format!("GET {target} HTTP/1.1\r\n\r\n").as_bytes(), &state);
        assert!(
            matches!(parsed("/?code=a%2Bb&state=s3"), Some(Redirected::Code(code)) if code.secret() == "a+b")
        );
        let denied = parsed("/?error=access_denied&error_description=AADSTS1%3A%20no%0D%0ATrace&state=s3");
        let Some(Redirected::Denied { code, detail }) = denied else { panic!("not denied") };
        assert_eq!((code.as_str(), detail.as_deref()), ("access_denied", Some("AADSTS1: no")));
        for other in
            ["/?code=a&state=s4", "/?code=a", "/", "/favicon.ico", "/x?code=a&state=s3", "/?state=s3"]
        {
            assert!(parsed(other).is_none(), "{other}");
        }
        assert!(super::parsed(b"POST /?code=a&state=s3 HTTP/1.1\r\n\r\n", &state).is_none());
    }
}
