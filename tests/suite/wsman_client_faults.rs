//! Errors when an endpoint refuses, does not answer, is a different service, or redirects.

use std::time::{Duration, Instant};

use lyncsh::psrp::client::{Outgoing, Stream};
use lyncsh::psrp::message::{Destination, Message, MessageType};
use lyncsh::transport::wsman::envelope::{RequestEnvelope, Response, ResponseEnvelope, WsmanRequest as Asks};
use lyncsh::transport::wsman::fault::{Fault, FaultDialect, code};
use lyncsh::transport::wsman::{Authentication, Endpoint, connect, remove};
use lyncsh::transport::{Connection, ConnectionEvent, ConnectionRequest, Error};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use tokio::sync::oneshot;
use tokio::time::timeout;
use uuid::Uuid;

use crate::program::Program;
use crate::wsman_client_http::{Answer, PATIENCE, ReceivedRequest, Server, endpoint, http};

pub fn opening(pool: Uuid) -> Vec<Outgoing> {
    let message = Message {
        destination: Destination::Server,
        kind: MessageType::SessionCapability,
        pool,
        pipeline: Uuid::nil(),
        body: "<Obj/>".to_owned(),
    };
    vec![Outgoing { stream: Stream::Default, message }]
}

pub async fn open(endpoint: Endpoint) -> Result<(Connection, Endpoint), Error> {
    let pool = Uuid::new_v4();
    timeout(PATIENCE, connect(endpoint, pool, opening(pool), |_| true)).await.expect("no step may hang")
}

pub async fn refused(endpoint: Endpoint) -> Error {
    match open(endpoint).await {
        Ok(_) => panic!("it must not open"),
        Err(error) => error,
    }
}

pub fn local(server: &Server) -> Endpoint {
    endpoint(&format!("http://127.0.0.1:{}/OcsPowershellLiveId?a=1", server.port))
}

pub fn soap(asked: &RequestEnvelope, response: Response) -> Answer {
    soap_in(FaultDialect::WinRm, asked, response)
}

pub fn soap_in(dialect: FaultDialect, asked: &RequestEnvelope, response: Response) -> Answer {
    let status = if matches!(response, Response::Fault(_)) { "500 Internal Server Error" } else { "200 OK" };
    let answer = ResponseEnvelope {
        message_id: format!("uuid:{}", Uuid::new_v4()),
        relates_to: Some(asked.header.message_id.clone()),
        response,
    };
    http(status, &[("Content-Type", "application/soap+xml;charset=UTF-8")], &answer.write_as(dialect))
}

/// A server that creates and deletes shells and answers no Receive.
pub fn plain(asked: &ReceivedRequest) -> Answer {
    let request = RequestEnvelope::read(&asked.body).unwrap();
    match &request.request {
        Asks::Create(create) => {
            let shell_id = create.shell_id.clone().unwrap();
            soap(&request, Response::Created { shell_id, resource_uri: None, shell: None })
        }
        Asks::Delete => soap(&request, Response::Deleted),
        _ => None,
    }
}

#[tokio::test]
async fn a_wrong_password_reports_the_offered_schemes() {
    let server = Server::start(None, |_| async {
        let offers = [("WWW-Authenticate", "Negotiate"), ("WWW-Authenticate", "Basic realm=\"WSMAN\"")];
        http("401 Unauthorized", &offers, b"")
    })
    .await;
    let error = refused(local(&server)).await;
    assert_eq!(
        error.to_string(),
        format!(
            "http://127.0.0.1:{}/OcsPowershellLiveId refused the credential of kenmyer@litwareinc.com \
             (HTTP 401); it offers Negotiate, Basic",
            server.port
        )
    );
    assert!(error.advice().unwrap().contains("authentication = \"negotiate\""), "{:?}", error.advice());
    let asked = server.requests();
    assert_eq!(asked.len(), 1);
    // The URI is used unchanged, and the credential is sent with the first request.
    assert_eq!(asked[0].path, "/OcsPowershellLiveId?a=1");
    assert!(asked[0].head.to_lowercase().contains("authorization: basic "));
}

#[tokio::test]
async fn a_token_is_sent_as_bearer() {
    let server = Server::start(None, |_| async {
        http("401 Unauthorized", &[("WWW-Authenticate", "Bearer client_id=\"0\", trusted_issuers=\"\"")], b"")
    })
    .await;
    let mut endpoint = local(&server);
    endpoint.authentication = Authentication::Bearer {
        user: "kenmyer@litwareinc.com".to_owned(),
        token: "abc.def".into(),
        expires: None,
    };
    assert!(!format!("{endpoint:?}").contains("abc.def"));
    let error = refused(endpoint).await;
    let Error::Unauthorized { offered, .. } = &error else { panic!("{error}") };
    assert_eq!(offered, &["Bearer"]);
    assert!(server.requests()[0].head.contains("Bearer abc.def"));
}

#[tokio::test]
async fn a_silent_server_times_out() {
    let server = Server::start(None, |_| async { None }).await;
    let mut endpoint = local(&server);
    endpoint.limits.open = Duration::from_millis(300);
    let started = Instant::now();
    let error = refused(endpoint).await;
    assert_eq!(error.to_string(), "creating the session took longer than 300ms");
    assert!(error.advice().is_some());
    assert!(started.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn a_pool_that_never_opens_is_removed() {
    let server = Server::start(None, |asked| async move { plain(&asked) }).await;
    let mut endpoint = local(&server);
    endpoint.limits.open = Duration::from_secs(1);
    let (mut connection, _) = open(endpoint).await.unwrap();
    match timeout(PATIENCE, connection.events.recv()).await.unwrap() {
        Some(ConnectionEvent::Broken { error, .. }) => {
            assert_eq!(error.to_string(), "opening the session took longer than 1s");
        }
        other => panic!("{other:?}"),
    }
    let (reply, done) = oneshot::channel();
    connection.requests.send(ConnectionRequest::Close(reply)).await.unwrap();
    timeout(PATIENCE, done).await.unwrap().unwrap().unwrap();
    assert!(actions(&server).contains(&"Delete".to_owned()));
}

pub fn actions(server: &Server) -> Vec<String> {
    let action = |asked: &ReceivedRequest| {
        let request = RequestEnvelope::read(&asked.body).unwrap().request;
        request.action().rsplit('/').next().unwrap().to_owned()
    };
    server.requests().iter().map(action).collect()
}

#[tokio::test]
async fn a_refused_connection_and_an_unknown_host_are_unreachable() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let error = refused(endpoint(&format!("http://127.0.0.1:{port}/wsman"))).await;
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("refused"), "{error}");

    let error = refused(endpoint("https://no-such-host.invalid/wsman")).await;
    assert!(matches!(error, Error::Unreachable { .. } | Error::Timeout { .. }), "{error}");
}

#[tokio::test]
async fn a_credential_does_not_leave_the_machine_unencrypted() {
    for url in ["http://192.0.2.1/PowerShell", "http://example.com/wsman", "ftp://127.0.0.1/wsman"] {
        let error = refused(endpoint(url)).await;
        assert!(matches!(error, Error::Insecure { .. }), "{url}: {error}");
    }
    assert!(matches!(
        remove(&endpoint("http://192.0.2.1/"), Uuid::new_v4()).await,
        Err(Error::Insecure { .. })
    ));
}

#[tokio::test]
async fn http_errors_without_soap_are_shown() {
    for (line, status, advice) in [
        ("403 Forbidden", 403, "permission"),
        ("404 Not Found", 404, "path"),
        ("503 Service Unavailable", 503, "again"),
        ("302 Found", 302, ""),
    ] {
        let server = Server::start(None, move |_| async move { http(line, &[], b"<html>no</html>") }).await;
        let error = refused(local(&server)).await;
        let Error::Http { status: shown, .. } = &error else { panic!("{line}: {error}") };
        assert_eq!(*shown, status);
        assert!(error.advice().unwrap_or_default().contains(advice), "{line}");
    }
    let soap = [("Content-Type", "application/soap+xml")];
    let server =
        Server::start(None, move |_| async move { http("200 OK", &soap, b"<html>welcome</html>") }).await;
    let error = refused(local(&server)).await;
    assert!(matches!(error, Error::Protocol(_)), "{error}");
}

#[tokio::test]
async fn a_quota_fault_is_recognised_in_every_form() {
    let text = "The maximum number of concurrent shells for this user has been exceeded. Close existing \
                shells or raise the quota for this user.";
    let by_code = Fault::new(code::QUOTA_MAX_SHELLS, "w:QuotaLimit", "Zu viele Shells.");
    let by_subcode = Fault { subcode: Some("w:QuotaLimit".to_owned()), code: None, ..by_code.clone() };
    let by_text = Fault::new(2_150_858_999, "w:InternalError", text);
    for (dialect, fault) in [
        (FaultDialect::WinRm, by_code),
        (FaultDialect::Omi, by_subcode),
        (FaultDialect::WinRm, by_text.clone()),
        (FaultDialect::Omi, by_text),
    ] {
        let told = fault.text.clone();
        let server = Server::start(None, move |asked| {
            let fault = fault.clone();
            async move {
                let request = RequestEnvelope::read(&asked.body).unwrap();
                soap_in(dialect, &request, Response::Fault(fault))
            }
        })
        .await;
        let error = refused(local(&server)).await;
        assert!(error.is_quota(), "{error:?}");
        assert!(error.to_string().starts_with(&format!("{told} (")), "{error}");
        assert!(error.advice().unwrap().contains("Close an unneeded session"));
    }
}

/// Returns a self-signed certificate for 127.0.0.1, its key, and its PEM text.
fn self_signed(expired: bool) -> (Vec<u8>, Vec<u8>, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
    if expired {
        params.not_before = date_time_ymd(2019, 1, 1);
        params.not_after = date_time_ymd(2020, 1, 1);
    }
    let certificate = params.self_signed(&key).unwrap();
    (certificate.der().to_vec(), key.serialize_der(), certificate.pem())
}

pub fn server_config(certificate: Vec<u8>, key: Vec<u8>) -> rustls::ServerConfig {
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.into()], key.try_into().unwrap())
        .unwrap()
}

/// Runs a test's second half in a separate process that trusts `trusted` like the system's root certificates:
/// the first half waits for it. `None` in the first half.
fn trusting(test: &str, expired: bool) -> Option<rustls::ServerConfig> {
    const FOLDER: &str = "LYNCSH_TEST_TLS";
    if let Some(folder) = std::env::var_os(FOLDER) {
        let read = |name: &str| std::fs::read(std::path::Path::new(&folder).join(name)).unwrap();
        return Some(server_config(read("certificate"), read("key")));
    }
    let (certificate, key, pem) = self_signed(expired);
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    write("certificate", &certificate);
    write("key", &key);
    write("pem", pem.as_bytes());
    Program::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("wsman_client_faults::{test}"), "--nocapture"])
        .env(FOLDER, folder.path())
        .env("SSL_CERT_FILE", folder.path().join("pem"))
        .run()
        .success_output();
    None
}

#[test]
fn an_invalid_certificate_is_refused_before_the_credential() {
    // Trusted, so that only its date is invalid.
    let test = "an_invalid_certificate_is_refused_before_the_credential";
    let Some(expired) = trusting(test, true) else { return };
    let (certificate, key, _) = self_signed(false);
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        for (config, reason) in [(expired, "expired"), (server_config(certificate, key), "")] {
            let server = Server::start(Some(config), |asked| async move { plain(&asked) }).await;
            let error = refused(endpoint(&format!("https://127.0.0.1:{}/wsman", server.port))).await;
            let Error::Certificate { refused, .. } = &error else { panic!("{error}") };
            let shown = refused.to_string();
            assert!(shown.contains(reason), "{shown}");
            assert!(error.advice().unwrap().contains("127.0.0.1"));
            assert!(server.requests().is_empty());
        }
    });
}

#[test]
fn a_redirect_to_https_is_followed_and_kept() {
    let test = "a_redirect_to_https_is_followed_and_kept";
    let Some(config) = trusting(test, false) else { return };
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let there = Server::start(Some(config), |asked| async move { plain(&asked) }).await;
        let target = format!("https://127.0.0.1:{}/Redirected/OcsPowershellLiveId?x=y", there.port);
        let to = target.clone();
        let here = Server::start(None, move |_| {
            let to = to.clone();
            async move { http("302 Moved", &[("Location", &to)], b"") }
        })
        .await;
        let (connection, endpoint) = open(local(&here)).await.unwrap();
        assert_eq!(endpoint.uri.as_str(), target);
        assert_eq!(there.requests()[0].path, "/Redirected/OcsPowershellLiveId?x=y");
        drop(connection);

        // The same with a fault.
        let to = target.clone();
        let here = Server::start(None, move |asked| {
            let mut fault = Fault::new(code::REDIRECT_REQUESTED, "w:Redirect", "go elsewhere");
            fault.redirect = Some(to.clone());
            async move { soap(&RequestEnvelope::read(&asked.body).unwrap(), Response::Fault(fault)) }
        })
        .await;
        let (_connection, endpoint) = open(local(&here)).await.unwrap();
        assert_eq!(endpoint.uri.as_str(), target);
    });
}

#[tokio::test]
async fn a_redirect_to_an_unpermitted_host_is_refused() {
    for (target, advice) in [
        ("http://192.0.2.1/wsman", "https URI"),
        ("http://evil.example/wsman?ticket=1", "https URI"),
        ("https://evil.example/wsman?ticket=1", "redirects = [\"evil.example\"]"),
        ("http://localhost/wsman", "https URI"),
        ("ftp://127.0.0.1/", "https URI"),
        ("https://[", "https URI"),
    ] {
        let server =
            Server::start(None, move |_| async move { http("307 Moved", &[("Location", target)], b"") })
                .await;
        let error = refused(local(&server)).await;
        let Error::Redirect { target: shown, .. } = &error else { panic!("{target}: {error}") };
        assert!(!shown.contains("ticket"), "{shown}");
        assert!(error.advice().unwrap().contains(advice), "{:?}", error.advice());
        assert_eq!(server.requests().len(), 1);
    }
}

#[tokio::test]
async fn endless_redirects_are_limited() {
    let server = Server::start(None, |_| async { http("302 Moved", &[("Location", "/again")], b"") }).await;
    let error = refused(local(&server)).await;
    assert!(matches!(error, Error::Redirect { .. }), "{error}");
    // The first request, and as many redirects as the profile allows.
    assert_eq!(server.requests().len(), 4);
    assert_eq!(server.requests()[1].path, "/again");
}

#[tokio::test]
async fn the_permitted_number_of_redirects_is_followed() {
    for (redirects, is_open) in [(5, true), (6, false)] {
        let server = Server::start(None, move |asked| async move {
            let followed: usize = asked.path.trim_start_matches('/').parse().unwrap_or(0);
            let target = format!("/{}", followed + 1);
            if followed < redirects {
                return http("302 Moved", &[("Location", &target)], b"");
            }
            plain(&asked)
        })
        .await;
        let opened = open(Endpoint { max_redirections: 5, ..local(&server) }).await;
        assert_eq!(opened.is_ok(), is_open, "{redirects}");
        assert_eq!(server.requests().iter().filter(|asked| asked.path.starts_with("/6")).count(), 0);
    }
}

#[tokio::test]
async fn a_request_is_one_write_on_a_reused_connection() {
    let server = Server::start(None, |asked| async move { plain(&asked) }).await;
    let endpoint = local(&server);
    for _ in 0..3 {
        let (connection, _) = open(endpoint.clone()).await.unwrap();
        let (reply, done) = oneshot::channel();
        connection.requests.send(ConnectionRequest::Close(reply)).await.unwrap();
        timeout(PATIENCE, done).await.unwrap().unwrap().unwrap();
    }
    let asked = server.requests();
    assert!(asked.iter().all(|asked| asked.at_once), "{asked:?}");
    // Create, then the pending Receive and Delete: at most two connections at the same time.
    assert!(asked.iter().all(|asked| asked.connection < 3 * 2), "{asked:?}");
}

/// The session could not be removed from there after a crash.
#[tokio::test]
async fn a_redirect_target_that_cannot_be_recorded_gets_no_create() {
    let target = Server::start(None, |asked| async move { plain(&asked) }).await;
    let to = format!("http://127.0.0.1:{}/wsman", target.port);
    let server = Server::start(None, move |_| {
        let to = to.clone();
        async move { http("302 Found", &[("Location", &to)], b"") }
    })
    .await;
    let pool = Uuid::new_v4();
    let connecting = connect(local(&server), pool, opening(pool), |_| false);
    let error = timeout(PATIENCE, connecting).await.unwrap().map(|_| ()).unwrap_err();
    assert!(matches!(error, Error::Closed), "{error}");
    assert!(target.requests().is_empty());
}
