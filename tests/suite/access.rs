//! Failed connections: the error has the reason and the advice, and comes within the time limit. Nothing is left that
//! slows down the next command.

use std::process::Stdio;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustix::process::{Pid, Signal};

use lyncsh::agent::resolver::EndpointResolver;
use lyncsh::simulator::{self, Options, Server as Simulator};
use lyncsh::transport::wsman::envelope::{RequestEnvelope, Response, WsmanRequest as Asks};

use crate::agent_world::{ChildGuard, PATIENCE, USER, World};
use crate::program::{found, holds, signal, wait};
use crate::wsman_client_faults::soap;
use crate::wsman_client_http::{Answer, CUT, ReceivedRequest, Server, http};

const LIMITS: &str =
    "[timeouts]\nconnect = '3s'\ndiscovery = '3s'\ntoken = '3s'\nopen = '3s'\nclose = '1s'\n";

/// How a test's profile resolves its endpoint.
#[derive(Clone, Copy)]
enum Way {
    Uri,
    Token,
    Discovery,
}

/// Creates a user whose profile `work` uses `base`.
fn user(way: Way, base: &str, credential: &str) -> World {
    let world = World::without_endpoint();
    let rest = match way {
        Way::Uri => format!("kind = 'wsman'\nauthentication = 'basic'\nuri = '{base}/wsman'\n"),
        Way::Token => {
            format!("kind = 'wsman'\nauthentication = 'token'\nuri = '{base}/OcsPowershellOAuth'\n")
        }
        Way::Discovery => format!("kind = 'lync-online'\ndiscovery = '{base}/'\n"),
    };
    let credential = format!("credential = {{ command = \"{credential}\" }}");
    std::fs::create_dir_all(world.folders.profiles()).unwrap();
    let text = format!("{rest}user = '{USER}'\nshell = 'console'\n{credential}\n{LIMITS}");
    std::fs::write(world.folders.profile("work"), text).unwrap();
    world
}

/// Returns the number of journal entries.
fn journal_entries(world: &World) -> usize {
    std::fs::read_dir(world.folders.state.join("sessions")).map_or(0, Iterator::count)
}

/// Waits until the removal of the only session in the journal has failed.
fn wait_for_failed_removal(world: &World) {
    wait(PATIENCE, "the failed removal", || {
        let folder = world.folders.state.join("sessions");
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let tried = |path| std::fs::read_to_string(path).unwrap_or_default().contains("\"tries\":1");
        entries.map(tried).eq([true])
    });
}

/// All output for the user, without line ends, and the duration of the run.
pub struct Printed {
    pub text: String,
    pub after: Duration,
}

/// Runs `lyncsh work`, which must fail.
pub fn fails(world: &World, variables: &[(&str, &str)]) -> Printed {
    let start = Instant::now();
    let program = world.program(&["work"]).envs(variables.iter().copied()).env("NO_COLOR", "1");
    let ran = program.run();
    assert_eq!(ran.code, Some(3), "{}", ran.err);
    Printed { text: ran.text(), after: start.elapsed() }
}

fn page(status: &str, headers: &[(&str, &str)], title: &str) -> Answer {
    let headers = [&[("Content-Type", "text/html")], headers].concat();
    http(status, &headers, format!("<html><head><title>{title}</title></head>x</html>").as_bytes())
}

/// Runs `test` with the address of a server with this answer.
async fn with<F>(answer: fn(ReceivedRequest) -> Answer, test: F)
where
    F: FnOnce(String) + Send + 'static,
{
    let server = Server::start(None, move |asked| async move { answer(asked) }).await;
    let base = format!("http://127.0.0.1:{}", server.port);
    tokio::task::spawn_blocking(move || test(base)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_answer_is_reported_with_its_sender() {
    with(
        |_| page("200 OK", &[], "Please sign in"),
        |base| {
            let world = user(Way::Uri, &base, "echo pw");
            let printed = fails(&world, &[]);
            assert!(printed.text.contains("answered 200 OK: a page, \"Please sign in\""), "{}", printed.text);
            assert!(printed.text.contains("a sign-in page or a proxy"), "{}", printed.text);
            world.wait_agent_gone();
            assert_eq!(journal_entries(&world), 0);
            let token = fails(&user(Way::Token, &base, "echo pw"), &[]).text;
            assert!(token.contains("expected the address of the token service from"), "{token}");
            let discovery = fails(&user(Way::Discovery, &base, "echo pw"), &[]).text;
            assert!(discovery.contains("an invalid discovery document"), "{discovery}");
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_server_is_distinguished_from_a_failing_proxy() {
    with(
        |_| page("500 Internal Server Error", &[], "Server Error in '/' Application."),
        |base| {
            let printed = fails(&user(Way::Uri, &base, "echo pw"), &[]).text;
            assert!(printed.contains("answered 500 Internal Server Error: a page"), "{printed}");
            assert!(printed.contains("the server has an internal error"), "{printed}");
            let printed = fails(&user(Way::Discovery, &base, "echo pw"), &[]).text;
            assert!(printed.contains("answered 500 Internal Server Error"), "{printed}");
            assert!(!printed.contains("spelling"), "{printed}");
            let printed = fails(&user(Way::Token, &base, "echo pw"), &[]).text;
            assert!(printed.contains("got 500 Internal Server Error"), "{printed}");
        },
    )
    .await;
    with(
        |_| page("502 Bad Gateway", &[("Via", "1.1 squid")], "ERR_CONNECT_FAIL"),
        |base| {
            let printed = fails(&user(Way::Uri, &base, "echo pw"), &[]).text;
            assert!(
                printed.contains("502 Bad Gateway: a page, \"ERR_CONNECT_FAIL\", sent by 1.1 squid"),
                "{printed}"
            );
            assert!(printed.contains("proxy or load"), "{printed}");
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_are_limited() {
    with(
        |asked| http("302 Found", &[("Location", &format!("{}x", asked.path))], b""),
        |base| {
            let world = user(Way::Uri, &base, "echo pw");
            let printed = fails(&world, &[]).text;
            assert!(printed.contains("too many redirects"), "{printed}");
            assert!(printed.contains("correct the redirect loop"), "{printed}");
            // Five are followed, and the sixth is not.
            assert!(
                printed.contains("wsmanxxxxx to ") && printed.contains("wsmanxxxxxx: too many"),
                "{printed}"
            );
            world.wait_agent_gone();
            assert_eq!(journal_entries(&world), 0);
            let printed = fails(&user(Way::Discovery, &base, "echo pw"), &[]).text;
            assert!(printed.contains("too many redirects"), "{printed}");
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_redirected_session_is_removed_at_its_target() {
    let server = Server::start(None, |asked| async move {
        if asked.path != "/there" {
            return http("302 Found", &[("Location", "/there")], b"");
        }
        let request = RequestEnvelope::read(&asked.body).unwrap();
        match request.request {
            Asks::Delete => soap(&request, Response::Deleted),
            _ => Some(CUT.to_vec()),
        }
    })
    .await;
    let base = format!("http://127.0.0.1:{}", server.port);
    let printed = tokio::task::spawn_blocking(move || {
        let world = user(Way::Uri, &base, "echo pw");
        let printed = fails(&world, &[]).text;
        wait(PATIENCE, "the removal", || journal_entries(&world) == 0);
        printed
    });
    let printed = printed.await.unwrap();
    assert!(printed.contains("/there"), "{printed}");
    let removed = |asked: &ReceivedRequest| {
        asked.path == "/there"
            && RequestEnvelope::read(&asked.body).is_ok_and(|asked| matches!(asked.request, Asks::Delete))
    };
    assert!(server.requests().iter().any(removed));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_server_is_reported_at_every_step() {
    let unused_address = || {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    for way in [Way::Uri, Way::Token, Way::Discovery] {
        let world = user(way, &unused_address(), "echo pw");
        let printed = fails(&world, &[]).text;
        assert!(printed.contains("Connection refused") && printed.contains("help:"), "{printed}");
        assert!(!printed.contains("spelling"), "{printed}");
        world.wait_agent_gone();
        assert_eq!(journal_entries(&world), 0);
    }
    let world = user(Way::Uri, "https://no-such-host.invalid", "echo pw");
    let printed = fails(&world, &[]).text;
    assert!(printed.contains("cannot reach https://no-such-host.invalid/wsman"), "{printed}");
    std::fs::write(
        world.folders.profile("work"),
        "kind = 'lync-online'\nuser = 'a@no-such-domain.invalid'\nshell = 'console'\ncredential = { command = 'echo pw' }\n",
    )
    .unwrap();
    let printed = fails(&world, &[]).text;
    assert!(printed.contains("the domain no-such-domain.invalid has no discovery service"), "{printed}");
    assert!(printed.contains("check the domain's spelling"), "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_connection_is_reported_with_its_step_and_does_not_delay_later_commands() {
    with(
        |_| Some(CUT.to_vec()),
        |base| {
            let world = user(Way::Uri, &base, "echo pw");
            let printed = fails(&world, &[]).text;
            assert!(
                printed.contains(&format!("the connection to {base}/wsman ended while creating the session"))
            );
            // The session may exist: its removal is retried, but not by every command.
            wait_for_failed_removal(&world);
            world.wait_agent_gone();
            let (code, _, error) = world.run(&["list"]);
            assert_eq!((code, error.as_str()), (0, ""));
            let (code, _, error) = world.run(&["wrok"]);
            assert_eq!(code, 2);
            assert!(error.contains("did you mean 'work'?") && !error.contains("may still be"), "{error}");
            let (_, _, error) = world.run(&["status"]);
            assert!(error.contains("may still be on the server"), "{error}");
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_step_has_its_own_timeout() {
    with(
        |_| None,
        |base| {
            for (way, said, key) in [
                (Way::Discovery, "discovery of litwareinc.com took longer than 3s", "`discovery`"),
                (Way::Token, "/OcsPowershellOAuth did not answer within 3s", "`token`"),
                (Way::Uri, "creating the session took longer than 3s", "`open`"),
            ] {
                let world = user(way, &base, "echo pw");
                let printed = fails(&world, &[]);
                assert!(printed.text.contains(said) && printed.text.contains(key), "{}", printed.text);
                // A missing answer to Create may mean the session limit: the sessions are queried for at most
                // 2 s.
                assert!(printed.after < Duration::from_secs(10), "{said}: {:?}", printed.after);
            }
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_ends_every_step_immediately() {
    with(
        |_| None,
        |base| {
            for (way, step) in [
                (Way::Discovery, "PowerShell endpoint URI"),
                (Way::Token, "token"),
                (Way::Uri, "remote session"),
            ] {
                for arguments in
                    [&["-v", "work"][..], &["-v", "attach", "work", "--facts"], &["-v", "refresh", "work"]]
                {
                    let world = user(way, &base, "echo pw");
                    interrupted(&world, arguments, step);
                }
            }
        },
    )
    .await;
    // The password command and its child processes end as well.
    let folder = tempfile::tempdir().unwrap();
    let asked = folder.path().join("asked");
    let command = format!("sh -c 'echo $$ > {}; sleep 300'; echo pw", asked.display());
    let world = user(Way::Uri, "http://127.0.0.1:9", &command);
    let mut child = begun(&world, &["-v", "work"]);
    let process = found(PATIENCE, || std::fs::read_to_string(&asked).ok()?.trim().parse().ok());
    let process = Pid::from_raw(process.expect("the command is started")).unwrap();
    signal(child.0.id(), Signal::INT);
    assert_eq!(child.wait().code(), Some(130));
    let ends = || rustix::process::test_kill_process(process).is_err();
    wait(Duration::from_secs(10), "the end of the password command", ends);
}

/// Starts lyncsh with its output in a file.
fn begun(world: &World, arguments: &[&str]) -> ChildGuard {
    let words = std::fs::File::create(world.root().join("words")).unwrap();
    world.program(arguments).stdout(Stdio::null()).stderr(words).start()
}

/// Presses Ctrl-C during a step.
fn interrupted(world: &World, arguments: &[&str], step: &str) {
    let mut child = begun(world, arguments);
    let words = || std::fs::read_to_string(world.root().join("words")).unwrap();
    assert!(holds(PATIENCE, || words().contains(step)), "{step}: {}", words());
    let start = Instant::now();
    signal(child.0.id(), Signal::INT);
    assert_eq!(child.wait().code(), Some(130), "{}", words());
    assert!(start.elapsed() < Duration::from_millis(2500), "{arguments:?}, {step}: {:?}", start.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_certificate_is_reported_with_help() {
    let root_key = KeyPair::generate().unwrap();
    let mut root = CertificateParams::new(Vec::new()).unwrap();
    root.distinguished_name.push(DnType::CommonName, "a root that is trusted");
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = CertifiedIssuer::self_signed(root, root_key).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let trusted = folder.path().join("roots.pem");
    std::fs::write(&trusted, root.pem()).unwrap();
    let none = folder.path().join("none.pem");
    let other = CertificateParams::new(vec!["x".into()]).unwrap().self_signed(&KeyPair::generate().unwrap());
    std::fs::write(&none, other.unwrap().pem()).unwrap();
    for (name, expired, roots, why, what) in [
        ("localhost", true, &trusted, "not trusted: expired", "renew the certificate"),
        ("other.example", false, &trusted, "issued for another host name", "use a name from the certificate"),
        ("localhost", false, &none, "unknown issuer", "trusted certificates"),
    ] {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        if expired {
            (params.not_before, params.not_after) = (date_time_ymd(2019, 1, 1), date_time_ymd(2020, 1, 1));
        }
        let certificate = params.signed_by(&key, &root).unwrap();
        let tls = crate::wsman_client_faults::server_config(certificate.der().to_vec(), key.serialize_der());
        let server = Server::start(Some(tls), |_| async { None }).await;
        let (base, roots) = (format!("https://localhost:{}", server.port), roots.display().to_string());
        tokio::task::spawn_blocking(move || {
            for way in [Way::Uri, Way::Token, Way::Discovery] {
                let world = user(way, &base, "echo pw");
                let printed = fails(&world, &[("SSL_CERT_FILE", &roots)]).text;
                assert!(printed.contains(why), "{printed}");
                assert!(!matches!(way, Way::Uri) || printed.contains(what), "{printed}");
                world.wait_agent_gone();
                assert_eq!(journal_entries(&world), 0);
            }
        })
        .await
        .unwrap();
        assert!(server.requests().is_empty(), "a credential was sent");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_goes_only_to_permitted_hosts() {
    with(
        |asked| {
            if asked.path.contains("OcsPowershellOAuth") {
                let authority = "https://login.evil.example/token";
                let challenge = format!(r#"Bearer client_id="1", authorization_uri="{authority}""#);
                return http("401 Unauthorized", &[("WWW-Authenticate", &challenge)], b"");
            }
            let link = "https://ps.evil.example/OcsPowershellLiveId";
            let document = format!(
                r#"<AutodiscoverResponse><Domain><Link token="External/RemotePowerShell" href="{link}"/></Domain></AutodiscoverResponse>"#
            );
            http("200 OK", &[("Content-Type", "application/xml")], document.as_bytes())
        },
        |base| {
            let world = user(Way::Discovery, &base, "echo pw");
            let printed = fails(&world, &[]).text;
            assert!(printed.contains("; the credential may not be sent to that host"), "{printed}");
            assert!(printed.contains("add to the profile: redirects = [\"ps.evil.example\"]"), "{printed}");
            // With this line, lyncsh connects to the host, which does not exist.
            let path = world.folders.profile("work");
            let permitted = format!("redirects = ['*.evil.example']\n{}", std::fs::read_to_string(&path).unwrap());
            std::fs::write(path, permitted).unwrap();
            let printed = fails(&world, &[]).text;
            assert!(printed.contains("cannot reach https:"), "{printed}");

            let world = user(Way::Token, &base, "echo pw");
            let printed = fails(&world, &[]).text;
            assert!(printed.contains("refusing to send the credential to the token service"), "{printed}");
            assert!(printed.contains("add to the profile: authority = \"https://login.evil.example\""), "{printed}");
            let path = world.folders.profile("work");
            let permitted =
                format!("authority = 'https://login.evil.example'\n{}", std::fs::read_to_string(&path).unwrap());
            std::fs::write(path, permitted).unwrap();
            let printed = fails(&world, &[]).text;
            assert!(printed.contains("cannot reach the token service"), "{printed}");
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_token_service_does_not_refuse_the_password() {
    with(
        |asked| {
            if asked.path == "/token" {
                return page("503 Service Unavailable", &[], "Busy");
            }
            let host = asked.head.to_ascii_lowercase();
            let host = host.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
            let challenge = format!(r#"Bearer client_id="1", authorization_uri="http://{host}/token""#);
            http("401 Unauthorized", &[("WWW-Authenticate", &challenge)], b"")
        },
        |base| {
            let printed = fails(&user(Way::Token, &base, "echo pw"), &[]).text;
            assert!(printed.contains("it answered 503 Service Unavailable"), "{printed}");
            assert!(!printed.contains("refused"), "{printed}");
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_discovered_endpoint_is_kept_until_it_has_moved() {
    let servers = tokio::join!(Simulator::start(Options::default()), Simulator::start(Options::default()));
    let (server, other) = (servers.0.unwrap(), servers.1.unwrap());
    tokio::task::spawn_blocking(move || {
        let world = user(Way::Uri, "http://127.0.0.1:9", "echo pw");
        let text = format!(
            "kind = 'lync-online'\nuser = '{}'\ndiscovery = '{}'\nshell = 'console'\n\
             credential = {{ command = \"echo '{}'\" }}\n",
            simulator::USER,
            server.discovery,
            simulator::PASSWORD
        );
        std::fs::write(world.folders.profile("work"), &text).unwrap();
        let file = world.folders.cache.join("discovery/work.json");
        let kept =
            || -> serde_json::Value { serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap() };
        let keep = |uri: &str| {
            let mut known = kept();
            known["uri"] = uri.into();
            std::fs::write(&file, known.to_string()).unwrap();
        };
        let targets = |expected: &[&str]| {
            let (code, out, err) =
                world.program(&["-v", "work"]).stdin("(Get-CsTenant).DisplayName\n").run().parts();
            assert!(code == 0 && out.contains("Litware"), "{out}{err}");
            let targets: Vec<&str> = err.lines().filter(|line| line.contains("TargetUri")).collect();
            assert_eq!(targets.len(), expected.len(), "{err}");
            assert!(targets.iter().zip(expected).all(|(line, uri)| line.contains(uri)), "{err}");
            world.wait_agent_gone();
        };
        targets(&[&server.url]);
        assert_eq!(kept()["uri"], server.url);
        keep(&other.url);
        targets(&[&other.url]);
        let nowhere = "http://127.0.0.1:9/OcsPowershellLiveId";
        keep(nowhere);
        targets(&[nowhere, &server.url]);
        assert_eq!(kept()["uri"], server.url);
        // A sign-in discovers it again too.
        keep(nowhere);
        let path = world.folders.profile("work");
        std::fs::write(&path, format!("authentication = 'token'\n{text}")).unwrap();
        let profile = lyncsh::profile::load(&world.folders, "work").unwrap();
        let mut access = EndpointResolver::new(&world.folders, profile, None);
        let (report, _steps) = tokio::sync::mpsc::unbounded_channel();
        let found = tokio::runtime::Handle::current().block_on(access.endpoint(&report)).unwrap();
        assert_eq!(found.uri.as_str(), server.url.replace("OcsPowershellLiveId", "OcsPowershellOAuth"));
        assert_eq!(kept()["uri"], server.url);
    })
    .await
    .unwrap();
}
