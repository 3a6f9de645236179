//! Connections through proxies: the real program in front of the simulator, through squid, `ssh -D` and a proxy that
//! authenticates by NTLM and Kerberos; and proxies that refuse or misbehave.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use lyncsh::simulator::{Options, PASSWORD as ENDPOINT_PASSWORD, Server, USER as ENDPOINT_USER};

use crate::agent_world::{PATIENCE, World};
use crate::kdc::{self, Kdc, REALM};
use crate::program::{Program, Ran};
use crate::proxy_peer::{NegotiateProxy, PASSWORD, Squid, Ssh, USER};
use crate::stand_in::Terminal;

/// An endpoint that no test reaches.
const NOWHERE: &str = "https://mail.corp.invalid/PowerShell";
const LIMITS: &str = "[timeouts]\nconnect = '3s'\nopen = '9s'\nclose = '1s'\n";

fn login(user: &str) -> String {
    format!("proxy_user = '{user}'\nproxy_credential = {{ command = \"echo '{PASSWORD}'\" }}\n")
}

/// Creates a user whose profile `work` has these lines.
fn user(lines: &str) -> World {
    let world = World::without_endpoint();
    std::fs::create_dir_all(world.folders.profiles()).unwrap();
    let credential = if lines.contains("\ncredential") {
        String::new()
    } else {
        format!("credential = {{ command = \"echo '{ENDPOINT_PASSWORD}'\" }}\n")
    };
    let text = format!("user = '{ENDPOINT_USER}'\nshell = 'console'\n{credential}{lines}\n{LIMITS}");
    std::fs::write(world.folders.profile("work"), text).unwrap();
    world
}

/// Returns the lines of a profile for an endpoint with Basic authentication.
fn basic(uri: &str) -> String {
    format!("kind = 'wsman'\nauthentication = 'basic'\nuri = '{uri}'\n")
}

/// Prepares `lyncsh work` without the proxies of this computer.
fn prepared(world: &World) -> Program {
    let mut run = world.program(&["work"]).stdin("Get-CsTenant\n").env("NO_COLOR", "1");
    for name in
        ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY"]
    {
        run = run.env(name, "");
    }
    run.env("no_proxy", "")
}

fn work(world: &World) -> Ran {
    prepared(world).run()
}

/// Asserts that a run failed and left no session; returns its error.
fn failed(world: &World, ran: &Ran) -> String {
    let text = ran.text();
    assert_eq!(ran.code, Some(3), "{text}");
    world.wait_agent_gone();
    let sessions = std::fs::read_dir(world.folders.state.join("sessions")).map_or(0, Iterator::count);
    assert_eq!(sessions, 0, "{text}");
    let log = std::fs::read_to_string(world.folders.state.join("log/work.log")).unwrap_or_default();
    assert!(!text.contains(PASSWORD) && !log.contains(PASSWORD), "{text} {log}");
    text
}

/// Asserts that a run had a session.
fn opened(ran: &Ran) {
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.out.contains("Litware"), "{} {}", ran.out, ran.err);
}

/// Runs a test beside the runtime of its endpoint.
async fn beside<T: Send + 'static>(test: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(test).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn discovery_token_and_session_use_the_proxy_of_the_profile() {
    let server = Server::start(Options { tls: true, ..Options::default() }).await.unwrap();
    beside(move || {
        let squid = Squid::start();
        let proxy = format!("proxy = 'http://127.0.0.1:{}'\n{}", squid.port, login(USER));
        let ca = format!("ca = '{}'\n", server.ca().unwrap().display());
        let discovery = format!("kind = 'lync-online'\ndiscovery = '{}'\n", server.discovery);
        let target = server.url.parse::<url::Url>().unwrap();
        let target = format!("127.0.0.1:{}", target.port().unwrap());
        let mut seen = 0;
        for lines in [discovery.clone(), format!("{discovery}authentication = 'token'\n"), basic(&server.url)]
        {
            let world = user(&format!("{lines}{proxy}{ca}"));
            opened(&work(&world));
            let log = squid.requests(seen + 2);
            let new = &log[seen..];
            seen = log.len();
            assert!(new.iter().all(|line| line.contains(&format!("CONNECT {target} "))), "{new:?}");
            assert!(
                new.iter().any(|line| line.contains("TCP_TUNNEL/200") && line.contains(" ken ")),
                "{new:?}"
            );
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_proxy_credential_is_sent_once_and_reported() {
    let server = Server::start(Options { tls: true, ..Options::default() }).await.unwrap();
    beside(move || {
        let squid = Squid::start();
        let lines = format!(
            "kind = 'lync-online'\ndiscovery = '{}'\nproxy = 'http://127.0.0.1:{}'\nproxy_user = '{USER}'\n\
             proxy_credential = {{ command = 'echo wrong' }}\n",
            server.discovery, squid.port
        );
        let world = user(&lines);
        let error = failed(&world, &work(&world));
        let proxy = format!(
            "through the proxy http://127.0.0.1:{}: the proxy refused the credential of ken",
            squid.port
        );
        assert!(error.contains(&proxy), "{error}");
        // One request without the credential, and one with it.
        let log = squid.requests(2);
        assert_eq!(log.len(), 2, "{log:?}");
        assert!(log.iter().all(|line| line.contains("TCP_DENIED/407")), "{log:?}");
    })
    .await;
}

#[test]
fn a_refusal_of_squid_is_reported_as_the_answer_of_the_proxy() {
    let squid = Squid::start();
    let at = format!("http://127.0.0.1:{}", squid.port);
    let world = user(&format!("{}proxy = '{at}'\n", basic(NOWHERE)));
    let error = failed(&world, &work(&world));
    assert!(
        error.contains(&format!("the proxy {at}: the proxy requires a credential; it offers Basic")),
        "{error}"
    );
    assert!(error.contains("proxy_user") && error.contains("HTTPS_PROXY"), "{error}");
    let forbidden = format!("{}proxy = '{at}'\n{}", basic("https://mail.corp.invalid:9/"), login(USER));
    let world = user(&forbidden);
    let error = failed(&world, &work(&world));
    assert!(
        error.contains("the proxy answered 403 Forbidden to CONNECT mail.corp.invalid:9: a page,"),
        "{error}"
    );
    let world = user(&format!("{}proxy = '{at}'\n{}", basic(NOWHERE), login(USER)));
    let error = failed(&world, &work(&world));
    // 503 for an unknown name, 500 if no name server answers.
    assert!(error.contains("the proxy answered 50"), "{error}");
    assert!(error.contains(" to CONNECT mail.corp.invalid:443: a page,"), "{error}");
}

#[test]
fn an_ssh_tunnel_is_a_socks_proxy() {
    let ssh = Ssh::start();
    for protocol in ["socks5h", "socks5"] {
        let world = World::simulated(
            &[],
            &format!("shell = 'console'\nproxy = '{protocol}://127.0.0.1:{}'", ssh.port),
        );
        opened(&work(&world));
        world.wait_removed(PATIENCE);
    }
    // The ssh server looks up the name.
    let world = user(&format!("{}proxy = 'socks5h://127.0.0.1:{}'\n", basic(NOWHERE), ssh.port));
    let error = failed(&world, &work(&world));
    let start = format!("through the proxy socks5h://127.0.0.1:{}: ", ssh.port);
    assert!(error.contains(&start) && error.contains("cannot connect to mail.corp.invalid:443"), "{error}");
}

#[test]
fn ntlm_authenticates_each_connection_at_the_proxy() {
    let offers: [(&[&str], &str); 3] =
        [(&["Negotiate", "NTLM", "Basic"], "Negotiate"), (&["NTLM", "Basic"], "NTLM"), (&["Basic"], "Basic")];
    for (offered, used) in offers {
        let arguments: Vec<&str> = offered.iter().flat_map(|scheme| ["--offer", scheme]).collect();
        let proxy = NegotiateProxy::start(&[&arguments[..], &["--mechanisms", "ntlm"]].concat(), None);
        let user = if used == "Basic" { USER } else { "LITWAREINC\\ken" };
        let lines = format!("shell = 'console'\nproxy = 'http://127.0.0.1:{}'\n{}", proxy.port, login(user));
        let world = World::simulated(&[], &lines);
        let ran = work(&world);
        opened(&ran);
        world.wait_removed(PATIENCE);
        assert!(proxy.count("logon") > 0, "{offered:?}");
        let requests = proxy.ended("request");
        let schemes: Vec<_> = requests.iter().map(|request| request["scheme"].as_str().unwrap()).collect();
        // Only the first request has no credential.
        assert_eq!(schemes.iter().filter(|scheme| scheme.is_empty()).count(), 1, "{schemes:?}");
        assert!(schemes[1..].iter().all(|scheme| *scheme == used), "{schemes:?}");
    }
}

#[test]
fn a_wrong_password_is_sent_once_by_ntlm() {
    let proxy =
        NegotiateProxy::start(&["--offer", "Negotiate", "--offer", "Basic", "--mechanisms", "ntlm"], None);
    let lines = format!(
        "{}proxy = 'http://127.0.0.1:{}'\nproxy_user = 'LITWAREINC\\ken'\n\
         proxy_credential = {{ command = 'echo wrong' }}\n",
        basic(NOWHERE),
        proxy.port
    );
    let world = user(&lines);
    let error = failed(&world, &work(&world));
    assert!(error.contains("the proxy refused the credential of LITWAREINC\\ken"), "{error}");
    assert_eq!(proxy.ended("refused").len(), 1);
}

#[test]
fn kerberos_authenticates_at_the_proxy_with_a_password_or_a_ticket() {
    let kdc = Kdc::start();
    let password = format!(
        "proxy_user = 'alice@{REALM}'\nproxy_credential = {{ command = \"echo '{}'\" }}",
        kdc::PASSWORD
    );
    for (is_ticket, lines) in [(false, password.as_str()), (true, "proxy_credential = 'system'")] {
        let proxy = NegotiateProxy::start(&["--offer", "Negotiate", "--offer", "Basic"], Some(&kdc));
        let world = World::simulated(
            &[],
            &format!("shell = 'console'\nproxy = 'http://localhost:{}'\n{lines}", proxy.port),
        );
        if is_ticket {
            kdc.kinit(&[]);
        }
        let mut run = prepared(&world);
        for (name, value) in kdc.environment() {
            run = run.env(name, value);
        }
        opened(&run.run());
        world.wait_removed(PATIENCE);
        let logons = proxy.ended("logon");
        assert!(!logons.is_empty());
        for logon in logons {
            assert_eq!(logon["protocol"], "kerberos", "{logon}");
            assert!(logon["user"].as_str().unwrap().starts_with("alice"), "{logon}");
        }
    }
}

#[test]
fn sealed_http_works_through_a_tunnel_and_is_removed_through_it_later() {
    let world = World::simulated(&["--authentication", "ntlm"], "authentication = 'ntlm'\n");
    let real: url::Url = world.uri.parse().unwrap();
    let to = format!("127.0.0.1:{}", real.port().unwrap());
    let proxy = NegotiateProxy::start(&["--offer", "Basic", "--to", &to], None);
    let path = world.folders.profile("work");
    let lines = std::fs::read_to_string(&path).unwrap();
    let there = format!("http://server.corp.invalid:5985{}", real.path());
    let lines = lines.replace(real.as_str(), &there);
    let proxied = format!("{lines}\nproxy = 'http://127.0.0.1:{}'\n{}", proxy.port, login(USER));
    std::fs::write(&path, proxied).unwrap();
    let mut launcher = world.child("launcher");
    launcher.wait_for("ready");
    world.wait(PATIENCE, "a shell on the endpoint", |world| world.shells() == 1);
    launcher.kill();
    lyncsh::platform::kill(world.agent().unwrap()).unwrap();
    world.wait_agent_gone();
    assert_eq!(world.shells(), 1);
    let before = proxy.count("logon");
    let (code, _, err) = world.run(&["status"]);
    assert_eq!(code, 0, "{err}");
    world.wait_removed(PATIENCE);
    assert!(proxy.count("logon") > before);
    let targets = proxy.ended("request");
    assert!(targets.iter().all(|request| request["target"] == "server.corp.invalid:5985"), "{targets:?}");
}

/// Starts a server that handles each connection with `answer`.
fn serve(answer: impl Fn(TcpStream) + Send + Sync + Clone + 'static) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = answer.clone();
            std::thread::spawn(move || answer(stream));
        }
    });
    port
}

/// Reads a request's head. Returns `None` at the end of the connection.
fn request(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if !matches!(stream.read(&mut byte), Ok(1)) {
            return None;
        }
        head.push(byte[0]);
    }
    String::from_utf8(head).ok()
}

#[test]
fn a_misbehaving_proxy_is_reported_in_time_and_leaves_nothing() {
    let answers: [(&str, Vec<u8>, &str); 8] = [
        (
            "nonsense",
            b"\x00\x01nonsense\r\n\r\n".to_vec(),
            "invalid answer of the proxy to the CONNECT request",
        ),
        ("close", Vec::new(), "the proxy ended the connection during the CONNECT request"),
        (
            "long head",
            [b"HTTP/1.1 200 OK\r\nX: ".as_slice(), &vec![b'x'; 1 << 20], b"\r\n\r\n"].concat(),
            "invalid answer of the proxy to the CONNECT request",
        ),
        (
            "407 without a scheme",
            b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n".to_vec(),
            "does not offer an authentication method for this credential",
        ),
        (
            "407 with another scheme",
            b"HTTP/1.1 407 x\r\nProxy-Authenticate: Digest realm=\"x\"\r\nContent-Length: 0\r\n\r\n".to_vec(),
            "for this credential; it offers Digest",
        ),
        (
            "endless 407",
            b"HTTP/1.1 407 x\r\nProxy-Authenticate: Negotiate\r\nContent-Length: 0\r\n\r\n".to_vec(),
            "does not offer an authentication method for this credential; it offers Negotiate",
        ),
        (
            "a challenge that is not base64",
            b"HTTP/1.1 407 x\r\nProxy-Authenticate: NTLM !\r\nProxy-Authenticate: Negotiate =a\r\n\
              Content-Length: 0\r\n\r\n"
                .to_vec(),
            "does not offer an authentication method for this credential; it offers NTLM, Negotiate",
        ),
        (
            "a page",
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html><title>Sign in</title></html>".to_vec(),
            "cannot open a TLS connection to https://mail.corp.invalid",
        ),
    ];
    for (name, answer, expected) in answers {
        let port = serve(move |mut stream| {
            while request(&mut stream).is_some() {
                let _ = stream.write_all(&answer);
                if !answer.starts_with(b"HTTP/1.1 407") {
                    return;
                }
            }
        });
        let world = user(&format!("{}proxy = 'http://127.0.0.1:{port}'\n{}", basic(NOWHERE), login("d\\u")));
        let since = Instant::now();
        let error = failed(&world, &work(&world));
        assert!(error.contains(expected), "{name}: {error}");
        assert!(since.elapsed() < Duration::from_secs(20), "{name}: {:?}", since.elapsed());
    }
}

#[test]
fn a_silent_proxy_is_reported_after_the_limit() {
    for (protocol, first, step) in [
        ("http", "", "the CONNECT request took longer than 3s"),
        ("https", "", "the TLS handshake with the proxy took longer than 3s"),
        ("socks5h", "", "the SOCKS handshake took longer than 3s"),
        ("http", "HTTP/1.1 200 OK\r\n\r\n", "the TLS handshake with the endpoint took longer than 3s"),
    ] {
        let port = serve(move |mut stream| {
            if !first.is_empty() && request(&mut stream).is_some() {
                let _ = stream.write_all(first.as_bytes());
            }
            let _ = stream.read_to_end(&mut Vec::new());
        });
        let at = format!("{protocol}://127.0.0.1:{port}");
        let world = user(&format!("{}proxy = '{at}'\n", basic(NOWHERE)));
        let error = failed(&world, &work(&world));
        assert!(error.contains(&format!("cannot connect through the proxy {at}: {step}")), "{error}");
    }
    let port = serve(|mut stream| {
        let _ = stream.write_all(b"220 mail.example.com ESMTP\r\n");
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let world = user(&format!("{}proxy = 'http://127.0.0.1:{port}'\n", basic(NOWHERE)));
    let error = failed(&world, &work(&world));
    assert!(error.contains("to the CONNECT request") || error.contains("data before the request"), "{error}");
    let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let world = user(&format!("{}proxy = 'http://127.0.0.1:{port}'\n", basic(NOWHERE)));
    let error = failed(&world, &work(&world));
    assert!(error.contains("cannot reach the proxy: "), "{error}");
}

#[test]
fn a_proxy_that_repeats_407_receives_the_password_once() {
    // The challenge of NTLM is from MS-NLMP 4.2.4.3.
    let challenge = "TlRMTVNTUAACAAAADAAMADgAAAAzgoriASNFZ4mrze8AAAAAAAAAACQAJABEAAAABgBwFwAAAA9TAGUAcgB2AGUAcgACAAwA\
                     RABvAG0AYQBpAG4AAQAMAFMAZQByAHYAZQByAAAAAAA=";
    let answer = format!(
        "HTTP/1.1 407 x\r\nProxy-Authenticate: NTLM {}\r\nContent-Length: 0\r\n\r\n",
        challenge.split_whitespace().collect::<String>()
    );
    let (seen, count) = std::sync::mpsc::channel();
    let port = serve(move |mut stream| {
        while request(&mut stream).is_some() {
            let _ = seen.send(());
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    let world = user(&format!("{}proxy = 'http://127.0.0.1:{port}'\n{}", basic(NOWHERE), login("d\\u")));
    let error = failed(&world, &work(&world));
    assert!(error.contains("the proxy refused the credential of d\\u"), "{error}");
    assert_eq!(count.try_iter().count(), 3);
}

#[test]
fn a_variable_that_is_not_a_url_is_an_error() {
    for (name, value, expected) in [
        (
            "HTTPS_PROXY",
            "http://u:hunter2@bad host:1",
            "cannot use the proxy in HTTPS_PROXY: expected http://HOST:PORT",
        ),
        ("https_proxy", "socks4://proxy:1", "cannot use the proxy in https_proxy: expected"),
        ("ALL_PROXY", "ftp://proxy/", "cannot use the proxy in ALL_PROXY: expected"),
        ("HTTPS_PROXY", "proxy:hunter2", "cannot use the proxy in HTTPS_PROXY: expected"),
    ] {
        let world = user(&basic(NOWHERE));
        let mut command = world.lyncsh(&["work"]);
        for name in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
            command.env_remove(name);
        }
        let output = command.env(name, value).output().unwrap();
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        let error = String::from_utf8(output.stderr).unwrap();
        let error = crate::program::one_line(&error);
        assert!(error.contains(expected) && !error.contains("hunter2"), "{error}");
    }
}

#[test]
fn a_variable_may_have_the_credential_and_none_ignores_it() {
    let proxy = NegotiateProxy::start(&["--offer", "Basic"], None);
    let variable = format!("http://{USER}:{PASSWORD}@127.0.0.1:{}", proxy.port);
    let run = |lines: &str| {
        let world = user(&format!("{}{lines}", basic(NOWHERE)));
        let ran = prepared(&world).env("HTTPS_PROXY", &variable).run();
        failed(&world, &ran)
    };
    assert!(run("").contains("answered 502 Bad Gateway to CONNECT mail.corp.invalid:443"));
    assert_eq!(proxy.count("logon"), 1);
    let direct = run("proxy = 'none'\n");
    assert!(direct.contains("cannot reach https://mail.corp.invalid"), "{direct}");
    let world = user(&basic(NOWHERE));
    let excepted =
        prepared(&world).env("HTTPS_PROXY", &variable).env("NO_PROXY", "a.test, .corp.invalid").run();
    let excepted = failed(&world, &excepted);
    assert!(excepted.contains("cannot reach https://mail.corp.invalid"), "{excepted}");
    assert_eq!(proxy.ended("logon").len(), 1);
    // As in curl, an empty variable is not set.
    let world = user(&basic(NOWHERE));
    let unset = prepared(&world).env("HTTPS_PROXY", "").env("https_proxy", "ftp://proxy/").run();
    let unset = failed(&world, &unset);
    assert!(unset.contains("cannot use the proxy in https_proxy"), "{unset}");
    let world = user(&basic(NOWHERE));
    let excepted = prepared(&world).env("HTTPS_PROXY", &variable).env("NO_PROXY", "");
    let excepted = failed(&world, &excepted.env("no_proxy", ".corp.invalid").run());
    assert!(excepted.contains("cannot reach https://mail.corp.invalid"), "{excepted}");
    // This computer needs no proxy.
    let world = World::simulated(&[], "shell = 'console'");
    opened(&prepared(&world).env("HTTP_PROXY", "http://127.0.0.1:9").env("ALL_PROXY", "no url").run());
}

#[test]
fn a_password_is_not_sent_in_clear_text_through_a_proxy_elsewhere() {
    let world =
        user(&format!("{}proxy = 'http://proxy.corp.invalid:8080'\n", basic("http://127.0.0.1:5985/wsman")));
    let error = failed(&world, &work(&world));
    assert!(error.contains("the connection would not be encrypted"), "{error}");
}

#[test]
fn the_password_for_the_proxy_is_asked_for() {
    let proxy = NegotiateProxy::start(&["--offer", "Basic"], None);
    let world = World::simulated(
        &[],
        &format!(
            "proxy = 'http://127.0.0.1:{}'\nproxy_user = '{USER}'\nproxy_credential = 'prompt'",
            proxy.port
        ),
    );
    let mut terminal =
        Terminal::open_with(&world, env!("CARGO_BIN_EXE_lyncsh"), &["attach", "work", "--socket"], []);
    terminal.wait_for_text("Proxy password for ken (profile 'work'): ");
    terminal.line(PASSWORD);
    terminal.wait_for_text("work.sock");
    assert_eq!(terminal.wait_exit(), 0, "{}", terminal.text());
    assert!(!terminal.text().contains(PASSWORD), "{}", terminal.text());
    assert!(!proxy.ended("logon").is_empty());
}

#[test]
fn show_prints_the_proxy() {
    let world = user(&format!("{}proxy = 'socks5h://127.0.0.1:1080'\n{}", basic(NOWHERE), login(USER)));
    let (code, out, err) = world.run(&["show", "work"]);
    assert_eq!(code, 0, "{err}");
    for (key, value) in
        [("proxy", "socks5h://127.0.0.1:1080"), ("proxy_user", USER), ("proxy_password", "the command: echo")]
    {
        let line = out.lines().find(|line| line.split_whitespace().next() == Some(key));
        assert!(line.is_some_and(|line| line.contains(value)), "{key}: {out}");
    }
}

#[test]
fn basic_follows_if_the_proxy_does_not_read_the_token() {
    let arguments = ["--offer", "Negotiate", "--offer", "Basic", "--mechanisms", "kerberos"];
    let proxy = NegotiateProxy::start(&arguments, None);
    let lines = format!("shell = 'console'\nproxy = 'http://127.0.0.1:{}'\n{}", proxy.port, login(USER));
    let world = World::simulated(&[], &lines);
    opened(&work(&world));
    world.wait_removed(PATIENCE);
    let requests = proxy.ended("request");
    let schemes: Vec<_> = requests.iter().map(|request| request["scheme"].as_str().unwrap()).collect();
    let first_basic = schemes.iter().position(|scheme| *scheme == "Basic").unwrap();
    assert!(schemes[..first_basic].contains(&"Negotiate"), "{schemes:?}");
    assert!(schemes[first_basic..].iter().all(|scheme| *scheme == "Basic"), "{schemes:?}");
}

#[test]
fn the_certificate_of_an_https_proxy_is_verified_without_the_pin() {
    let folder = tempfile::tempdir().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate =
        rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let (both, ca) = (folder.path().join("both.pem"), folder.path().join("ca.pem"));
    std::fs::write(&both, format!("{}{}", certificate.pem(), key.serialize_pem())).unwrap();
    std::fs::write(&ca, certificate.pem()).unwrap();
    let arguments = ["--offer", "NTLM", "--certificate", both.to_str().unwrap()];
    let proxy = NegotiateProxy::start(&arguments, None);
    let pin = format!("pin = 'sha256:{}'", "0".repeat(64));
    let lines = format!(
        "shell = 'console'\nproxy = 'https://localhost:{}'\n{pin}\n{}",
        proxy.port,
        login("LITWAREINC\\ken")
    );
    let world = World::simulated(&[], &lines);
    let error = failed(&world, &work(&world));
    assert!(error.contains("the certificate of the proxy is not trusted"), "{error}");
    world.profile("work", &format!("{lines}ca = '{}'\n", ca.display()));
    opened(&work(&world));
    world.wait_removed(PATIENCE);
    assert!(!proxy.ended("logon").is_empty());
}

#[test]
fn a_group_sends_a_wrong_password_for_the_proxy_once() {
    let proxy = NegotiateProxy::start(&["--offer", "Basic"], None);
    let lines = |host: &str| {
        format!(
            "kind = 'wsman'\nauthentication = 'basic'\nuri = 'https://{host}.corp.invalid/'\nprefix = '{host}'\n\
             proxy = 'http://127.0.0.1:{}'\nproxy_user = '{USER}'\nproxy_credential = {{ command = 'echo wrong' }}\n",
            proxy.port
        )
    };
    let world = user(&lines("One"));
    let first = std::fs::read_to_string(world.folders.profile("work")).unwrap();
    std::fs::write(world.folders.profile("second"), first.replace("One", "Two")).unwrap();
    std::fs::write(world.folders.profile("both"), "connections = ['work', 'second']\nshell = 'console'\n")
        .unwrap();
    let (code, _, error) = world.run(&["both"]);
    assert_eq!(code, 3, "{error}");
    assert_eq!(error.matches("the proxy refused the credential of ken").count(), 2, "{error}");
    assert_eq!(proxy.ended("refused").len(), 1);
}

/// A proxy without authentication that can be switched off.
#[derive(Clone, Default)]
struct Switched {
    off: Arc<AtomicBool>,
    streams: Arc<Mutex<Vec<TcpStream>>>,
}

impl Switched {
    fn start(&self) -> u16 {
        let this = self.clone();
        serve(move |mut stream| {
            if this.off.load(Ordering::SeqCst) {
                return;
            }
            let Some(target) = target(&mut stream) else { return };
            let mut server = TcpStream::connect(target).unwrap();
            this.streams.lock().unwrap().push(stream.try_clone().unwrap());
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
            let (mut back, mut to) = (server.try_clone().unwrap(), stream.try_clone().unwrap());
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut back, &mut to);
                let _ = to.shutdown(Shutdown::Both);
            });
            let _ = std::io::copy(&mut stream, &mut server);
            let _ = server.shutdown(Shutdown::Both);
        })
    }

    /// Ends all tunnels and refuses new ones.
    fn switch_off(&self) {
        self.off.store(true, Ordering::SeqCst);
        for stream in self.streams.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// Reads a CONNECT request; returns its target.
fn target(stream: &mut TcpStream) -> Option<String> {
    let head = request(stream)?;
    head.split(' ').nth(1).map(str::to_owned)
}

#[test]
fn a_session_survives_an_interruption_of_the_proxy() {
    let proxy = Switched::default();
    let port = proxy.start();
    let world = World::simulated(&[], &format!("shell = 'console'\nproxy = 'http://127.0.0.1:{port}'"));
    let terminal = Terminal::open_with(&world, env!("CARGO_BIN_EXE_lyncsh"), &["work"], []);
    terminal.wait_for_text("PS>");
    terminal.line("Get-CsTenant | Select-Object DisplayName");
    terminal.wait_for_text("Litware");
    let before = world.endpoint_state()["shells"].clone();
    proxy.switch_off();
    std::thread::sleep(Duration::from_secs(2));
    proxy.off.store(false, Ordering::SeqCst);
    terminal.line("Get-CsTenant | Select-Object DisplayName");
    terminal.wait_until("the second answer", |text| text.matches("Litware").count() > 1);
    assert_eq!(world.endpoint_state()["shells"], before);
}

#[test]
fn no_debug_output_contains_the_password() {
    let account = lyncsh::security::Account::Password { user: USER.into(), password: PASSWORD.into() };
    let login = lyncsh::net::ProxyLogin::new(USER.into(), account);
    let proxies = lyncsh::net::Proxies::new("http://proxy:1".parse().unwrap(), Some(login));
    let shown = format!("{proxies:?}");
    assert!(shown.contains("proxy") && shown.contains(USER) && !shown.contains(PASSWORD), "{shown}");
}
