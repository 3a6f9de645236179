use std::path::Path;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::net::ProxySetting;

/// The first lines of requests.
type Log = Arc<Mutex<Vec<String>>>;

/// Starts a server. `answer` converts the first line of a request to the response. Returns the port and the log.
async fn serve(
    tls: Option<Arc<rustls::ServerConfig>>,
    answer: impl Fn(&str) -> String + Clone + Send + 'static,
) -> (u16, Log) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, log) = (listener.local_addr().unwrap().port(), Log::default());
    let asked = log.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (tls, answer, asked) = (tls.clone(), answer.clone(), asked.clone());
            tokio::spawn(async move {
                match tls {
                    None => converse(stream, answer, asked).await,
                    Some(tls) => {
                        if let Ok(stream) = tokio_rustls::TlsAcceptor::from(tls).accept(stream).await {
                            converse(stream, answer, asked).await;
                        }
                    }
                }
            });
        }
    });
    (port, log)
}

async fn converse(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    answer: impl Fn(&str) -> String,
    asked: Log,
) {
    let mut head = Vec::new();
    while stream.read_buf(&mut head).await.is_ok_and(|read| read > 0) {
        if !head.ends_with(b"\r\n\r\n") {
            continue;
        }
        let text = String::from_utf8(std::mem::take(&mut head)).unwrap();
        let is_connect = text.starts_with("CONNECT ");
        assert!(is_connect || text.to_ascii_lowercase().contains("accept-encoding: identity"), "{text}");
        let line = text.lines().next().unwrap();
        asked.lock().unwrap().push(line.to_owned());
        if stream.write_all(answer(line).as_bytes()).await.is_err() {
            return;
        }
    }
}

fn http(status: &str, header: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{header}Content-Length: {}\r\n\r\n{body}", body.len())
}

/// Returns a document with one link.
fn linking(token: &str, target: &str) -> String {
    let text = format!(
        r#"<AutodiscoverResponse><Root><Link token="{token}" href="{target}"/></Root></AutodiscoverResponse>"#
    );
    http("200 OK", "", &text)
}

fn profile(more: &str) -> Profile {
    let text = format!("kind = 'lync-online'\nuser = 'ken@litwareinc.com'\n{more}");
    crate::profile::parse("work", Path::new("work.toml"), &text).unwrap()
}

/// Discovers the endpoint of a profile that starts at a server.
async fn from(port: u16, more: &str) -> Result<String, String> {
    let profile = profile(&format!("discovery = 'http://127.0.0.1:{port}/'\n{more}"));
    let found = discover_uncached(&profile, &Trust::default(), &Proxies::new(ProxySetting::None, None)).await;
    found.map(|uri| uri.to_string()).map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_hybrid_tenant_is_discovered_in_the_domain_that_the_answer_names() {
    let (port, log) = serve(None, |line| match line.split(' ').nth(1).unwrap() {
        "/?Domain=litwareinc.com" => linking("Hybrid", "/hybrid?Domain=contoso.example"),
        "/hybrid?Domain=contoso.example" => {
            linking("External/RemotePowerShell", "https://ps.contoso.example/x")
        }
        other => panic!("{other}"),
    })
    .await;
    let refused = from(port, "").await.unwrap_err();
    assert!(
        refused.contains("returned the endpoint https://ps.contoso.example/x; the credential"),
        "{refused}"
    );
    let found = from(port, "redirects = ['*.contoso.example']").await;
    assert_eq!(found.as_deref(), Ok("https://ps.contoso.example/x"));
    assert_eq!(log.lock().unwrap().len(), 4);
}

#[tokio::test]
async fn links_are_followed_ten_times_and_never_in_a_loop() {
    /// Answers with a link to the next number, and at `last` with the endpoint.
    fn next(line: &str, last: usize) -> String {
        let path = line.split(' ').nth(1).unwrap().trim_start_matches('/');
        let at: usize = path.parse().unwrap_or(1);
        if at == last {
            linking("External/RemotePowerShell", "https://ps.litwareinc.com/x")
        } else {
            linking("Redirect", &format!("/{}", at + 1))
        }
    }
    let (port, _) = serve(None, |line| next(line, 10)).await;
    assert_eq!(from(port, "").await.as_deref(), Ok("https://ps.litwareinc.com/x"));
    let (port, log) = serve(None, |line| next(line, 11)).await;
    let error = from(port, "").await.unwrap_err();
    assert!(error.ends_with("needs more than 10 hops"), "{error}");
    assert_eq!(log.lock().unwrap().len(), 10);
    let (port, log) = serve(None, |_| linking("Redirect", "/again")).await;
    let error = from(port, "").await.unwrap_err();
    assert!(error.ends_with("failed: the links form a loop"), "{error}");
    assert_eq!(log.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn five_redirects_are_followed_and_the_sixth_is_not() {
    let redirected = |count: usize| async move {
        let (port, log) = serve(None, move |line| {
            let path = line.split(' ').nth(1).unwrap().trim_start_matches('/');
            let at: usize = path.parse().unwrap_or(0);
            if at == count {
                return linking("External/RemotePowerShell", "https://ps.litwareinc.com/x");
            }
            http("302 Found", &format!("Location: /{}\r\n", at + 1), "")
        })
        .await;
        let found = from(port, "").await;
        (found, log.lock().unwrap().len())
    };
    assert_eq!(redirected(5).await, (Ok("https://ps.litwareinc.com/x".to_owned()), 6));
    let (found, asked) = redirected(6).await;
    assert!(found.unwrap_err().ends_with("failed: too many redirects"));
    assert_eq!(asked, 6);
}

/// Discovers the endpoint of a domain through a proxy that returns these responses to CONNECT.
async fn by_proxy(
    answer: impl Fn(&str) -> String + Clone + Send + 'static,
) -> (Result<Url, DiscoveryError>, Log) {
    let (port, log) = serve(None, answer).await;
    let proxies = Proxies::new(format!("http://127.0.0.1:{port}").parse().unwrap(), None);
    (discover_uncached(&profile("[timeouts]\ndiscovery = '6s'"), &Trust::default(), &proxies).await, log)
}

#[tokio::test]
async fn the_internal_name_is_asked_if_the_other_one_does_not_answer() {
    for other in ["502 Bad Gateway", "a connection without an answer"] {
        let answer = move |line: &str| match line.split(' ').collect::<Vec<_>>()[..] {
            ["CONNECT", "lyncdiscoverinternal.litwareinc.com:80", _] => http("200 OK", "", ""),
            ["CONNECT", "lyncdiscoverinternal.litwareinc.com:443", _] => http("502 Bad Gateway", "", ""),
            ["CONNECT", ..] if other.starts_with("502") => http(other, "", ""),
            ["CONNECT", ..] => String::new(),
            _ => linking("External/RemotePowerShell", "https://ps.litwareinc.com/x"),
        };
        let (found, log) = by_proxy(answer).await;
        assert_eq!(found.unwrap().as_str(), "https://ps.litwareinc.com/x", "{other}");
        let log = log.lock().unwrap();
        for name in ["lyncdiscover.litwareinc.com:443", "lyncdiscoverinternal.litwareinc.com:443"] {
            assert!(log.iter().any(|line| line.starts_with(&format!("CONNECT {name} "))), "{log:?}");
        }
    }
}

// Wine, which runs the tests for Windows, cannot check a certificate with a CA of lyncsh (E_INVALIDARG).
#[cfg(all(unix, feature = "demo"))]
#[tokio::test]
async fn discovery_keeps_https() {
    use rcgen::{CertificateParams, KeyPair};

    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, certificate.pem()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key.serialize_der().try_into().unwrap())
        .unwrap();
    let config = Arc::new(config);
    let (plain, log) =
        serve(None, |_| linking("External/RemotePowerShell", "https://ps.litwareinc.com/x")).await;
    let trust = Trust::read(&ca).await.unwrap();
    let proxies = Proxies::new(ProxySetting::None, None);
    let client = Connector::new(trust, proxies, Duration::from_secs(20)).client();
    let plain: Url = format!("http://localhost:{plain}/").parse().unwrap();
    for (answer, expected) in [
        (http("500 Internal Server Error", "", ""), "answered 500 Internal Server Error"),
        (http("404 Not Found", "", ""), "answered 404 Not Found"),
        (linking("Redirect", plain.as_str()), "which is not HTTPS"),
        (http("302 Found", &format!("Location: {plain}\r\n"), ""), "which is not HTTPS"),
    ] {
        let (port, _) = serve(Some(config.clone()), move |_| answer.clone()).await;
        let starts = [format!("https://localhost:{port}/").parse().unwrap(), plain.clone()];
        let error = of_name(&client, "litwareinc.com", &starts, &profile("").hosts()).await.unwrap_err();
        let text = error.into_error().to_string();
        assert!(text.contains(expected), "{text}");
    }
    assert_eq!(*log.lock().unwrap(), Vec::<String>::new());
    // Without an answer over https, the documented start over http remains.
    let unused = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let starts = [format!("https://localhost:{}/", unused.port()).parse().unwrap(), plain.clone()];
    let found = of_name(&client, "litwareinc.com", &starts, &profile("").hosts()).await;
    assert!(matches!(found, Ok((start, _)) if start == plain));
}

#[test]
fn discovery_starts_at_both_names_with_https_first() {
    let starts = starts(None, "litwareinc.com");
    let starts: Vec<&str> = starts.iter().map(Url::as_str).collect();
    assert_eq!(
        starts,
        [
            "https://lyncdiscover.litwareinc.com/?Domain=litwareinc.com",
            "http://lyncdiscover.litwareinc.com/?Domain=litwareinc.com",
            "https://lyncdiscoverinternal.litwareinc.com/?Domain=litwareinc.com",
            "http://lyncdiscoverinternal.litwareinc.com/?Domain=litwareinc.com",
        ]
    );
}

#[test]
fn a_missing_name_is_reported_only_if_all_are_missing() {
    let not_found = |reason: &str| DiscoveryError::NotFound { domain: "d".into(), reason: reason.into() };
    let failed = |reason: &str| DiscoveryError::Failed { uri: "u".into(), reason: reason.into() };
    let last = |errors: Vec<DiscoveryError>| {
        let clearest = errors.into_iter().fold(None, |earlier, error| Some(clearer(earlier, error)));
        clearest.unwrap().to_string()
    };
    assert!(last(vec![not_found("a"), not_found("b")]).ends_with(": a"));
    assert!(last(vec![not_found("a"), failed("b"), not_found("c")]).ends_with(" b"));
    assert!(last(vec![failed("a"), failed("b")]).ends_with(" a"));
}
