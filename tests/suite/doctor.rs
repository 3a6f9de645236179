//! `lyncsh doctor`: the line, the advice and the exit code of each check, and that it changes nothing.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lyncsh::agent::control::Guarded;
use lyncsh::agent::journal::{Entry as JournalLine, Journal};
use lyncsh::agent::resolver::EndpointResolver;
use lyncsh::psrp::client::ClientPool;
use lyncsh::simulator::{self, Options, PASSWORD};
use lyncsh::transport::wsman;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use serde_json::Value;
use uuid::Uuid;

use crate::agent_world::{PATIENCE, USER, World, host};
use crate::kdc::{self, Kdc};
use crate::program::{Program, lyncsh, wait};
use crate::stand_in::Terminal;
use crate::wsman_client_faults::server_config;
use crate::wsman_client_http::{Answer, Server, http};

/// The documented maximum duration of a run.
const LIMIT: Duration = Duration::from_secs(15);

/// A file or folder: mode, time of change, size.
type Entry = (u32, i64, i64, u64);

/// Returns everything below a folder.
fn listing(folder: &Path) -> BTreeMap<PathBuf, Entry> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let data = path.symlink_metadata().unwrap();
        if data.is_dir() {
            all.extend(listing(&path));
        }
        all.insert(path, (data.mode(), data.mtime(), data.mtime_nsec(), data.size()));
    }
    // A running agent writes its log.
    all.retain(|path, _| !path.iter().any(|part| part == "log"));
    all
}

/// The findings of a run.
struct Report {
    code: Option<i32>,
    /// The output of `--json`.
    json: Value,
}

impl Report {
    fn findings(&self) -> &Vec<Value> {
        self.json["findings"].as_array().unwrap()
    }

    /// Checks that a check has a finding with this state and these parts of the text and the advice.
    fn has(&self, check: &str, state: &str, found: &str, advice: &str) {
        let text = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
        let is_it = |row: &&Value| {
            text(row, "check") == check
                && text(row, "state") == state
                && text(row, "found").contains(found)
                && text(row, "advice").contains(advice)
        };
        assert!(self.findings().iter().any(|row| is_it(&row)), "{check} {state} {found} {advice}: {self}");
    }

    fn lacks(&self, state: &str) {
        assert!(self.findings().iter().all(|row| row["state"] != state), "{self}");
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} {:#}", self.code, self.json)
    }
}

/// Creates a user whose profile `work` has these lines; the shell is the console.
fn user(lines: &str) -> World {
    let world = World::without_endpoint();
    profile(&world, "work", lines);
    world
}

fn profile(world: &World, name: &str, lines: &str) {
    std::fs::create_dir_all(world.folders.profiles()).unwrap();
    // The findings do not depend on the umask.
    let set = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    set(world.root(), 0o755);
    set(&world.folders.profiles(), 0o755);
    let names_shell = lines.lines().any(|line| line.starts_with("shell"));
    let shell = if names_shell { "" } else { "shell = 'console'\n" };
    std::fs::write(world.folders.profile(name), format!("{shell}{lines}")).unwrap();
    set(&world.folders.profile(name), 0o644);
}

/// Returns the lines of a profile with Basic for an endpoint.
fn basic(uri: &str) -> String {
    format!(
        "kind = 'wsman'\nauthentication = 'basic'\nuri = '{uri}'\nuser = '{USER}'\n\
         credential = {{ command = \"echo 'secret-word'\" }}\n"
    )
}

/// Returns the lines of a profile for the simulator.
fn simulated(server: &simulator::Server) -> String {
    format!(
        "kind = 'lync-online'\nuser = '{}'\ndiscovery = '{}'\ncredential = {{ command = \"echo '{PASSWORD}'\" }}\n",
        simulator::USER,
        server.discovery
    )
}

/// Prepares a run with a home directory below the world's folder.
fn program(world: &World, arguments: &[&str]) -> Program {
    let home = world.root().join("home");
    std::fs::create_dir_all(&home).unwrap();
    let program = world.program(arguments).env("HOME", &home).env("NO_COLOR", "1");
    program.env_remove("XDG_CONFIG_HOME").env_remove("XDG_DATA_HOME").env_remove("PSModulePath")
}

/// Runs `lyncsh doctor NAME --json`, which must change nothing and show no secret.
fn doctor_of(world: &World, name: &str, variables: &[(&str, &str)]) -> Report {
    let program = program(world, &["doctor", name, "--json"]).envs(variables.iter().copied());
    let (before, since) = (listing(world.root()), Instant::now());
    let ran = program.run();
    let after = since.elapsed();
    assert_eq!(listing(world.root()), before, "something has changed");
    assert!(after < LIMIT, "{after:?}");
    for secret in ["secret-word", PASSWORD, kdc::PASSWORD] {
        // The command of a credential may be shown.
        let shown = ran.out.replace(&format!("echo '{secret}'"), "");
        assert!(!shown.contains(secret) && !ran.err.contains(secret), "{ran:?}");
    }
    let json: Value = serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
    assert_eq!(json["would_connect"], ran.code == Some(0), "{ran:?}");
    Report { code: ran.code, json }
}

fn doctor(world: &World) -> Report {
    doctor_of(world, "work", &[])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_profile_would_connect() {
    let server = simulator::Server::start(Options { tls: true, ..Options::default() }).await.unwrap();
    let world = user(&format!("{}ca = '{}'\n", simulated(&server), server.ca().unwrap().display()));
    let report = doctor(&world);
    assert_eq!(report.code, Some(0), "{report}");
    for state in ["warning", "failed", "skipped"] {
        report.lacks(state);
    }
    for (check, found) in [
        ("profile", "work.toml: lync-online, admin@litwareinc.com"),
        ("shell", "the console"),
        ("secret", "present; from the password command"),
        ("discovery", &server.url),
        ("name", "127.0.0.1 is an address"),
        ("tcp", "127.0.0.1:"),
        ("proxy", "none"),
        ("tls", "TLSv1_3, TLS13_AES"),
        ("tls", "certificate of 127.0.0.1, localhost, issued by lyncsh demo"),
        ("tls", " days, sha256:"),
        ("clock", "agree"),
        ("schemes", "offered: Basic"),
        ("sign-in", "accepted admin@litwareinc.com with Basic"),
        ("sessions", "0 of 3 sessions of admin@litwareinc.com are open"),
        ("agent", "not running"),
        ("orphans", "none"),
        ("module", "not written yet"),
        ("hook", "not installed"),
        ("completions", "not installed"),
        ("folders", "no other user can change them"),
    ] {
        report.has(check, "ok", found, "");
    }
    assert!(server.shells().is_empty());
    // The text has the same findings, one line each.
    let text = program(&world, &["doctor", "work"]).run().success_output();
    let (lines, last) = text.trim_end().rsplit_once('\n').unwrap();
    let words = lines.lines().map(|line| line.split_whitespace().take(2).collect::<Vec<_>>());
    let rows = report.findings().iter();
    let rows = rows.map(|row| vec![row["state"].as_str().unwrap(), row["check"].as_str().unwrap()]);
    assert_eq!(words.collect::<Vec<_>>(), rows.collect::<Vec<_>>(), "{text}");
    assert_eq!(last, "'work' would connect");
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_agents_and_orphans_are_reported() {
    let server = simulator::Server::start(Options::default()).await.unwrap();
    let world = user(&format!("{}keep = '5m'\n", simulated(&server)));
    let loaded = lyncsh::profile::load(&world.folders, "work").unwrap();
    let (report, _steps) = tokio::sync::mpsc::unbounded_channel();
    let endpoint = EndpointResolver::new(&world.folders, loaded, None).endpoint(&report).await.unwrap();
    let mut open = Vec::new();
    for _ in 0..3 {
        let shell = Uuid::new_v4();
        let mut pool = ClientPool::new(shell, host(), (1, 1));
        pool.open();
        let connected =
            wsman::connect(endpoint.clone(), shell, pool.take_outgoing(), |_| true).await.unwrap();
        open.push((shell, connected));
    }
    let report = doctor(&world);
    report.has("sign-in", "ok", "accepted", "");
    report.has("sessions", "failed", "3 of 3 sessions of admin@litwareinc.com", "Close an unneeded session");
    assert_eq!(report.code, Some(3), "{report}");
    for (shell, _connection) in open {
        wsman::remove(&endpoint, shell).await.unwrap();
    }

    let (code, _, err) = world.run(&["attach", "work", "--socket"]);
    assert_eq!(code, 0, "{err}");
    let requests = server.requests();
    let report = doctor(&world);
    let agent = world.agent().unwrap();
    let version = env!("CARGO_PKG_VERSION");
    report.has("agent", "ok", &format!("process {agent}, {version}, session open for"), "");
    report.has("sign-in", "ok", "the agent is signed in", "");
    report.has("sessions", "ok", "1 of 3 sessions", "");
    assert!(report.to_string().contains("this machine's 'work'"), "{report}");
    assert_eq!(report.code, Some(0), "{report}");
    assert!(server.requests() > requests);

    lyncsh::platform::kill(agent).unwrap();
    wait(PATIENCE, "the end of the agent", || world.agent().is_none());
    wait(PATIENCE, "the orphan", || !Journal::of(&world.folders).list_orphans().is_empty());
    let report = doctor(&world);
    report.has("agent", "ok", "not running", "");
    report.has("orphans", "warning", "an orphaned session on http://127.0.0.1:", "lyncsh status");
    assert_eq!((report.code, server.shells().len()), (Some(0), 1), "{report}");
    // Another command removes it.
    world.run(&["status"]);
    doctor(&world).has("orphans", "ok", "none", "");
    assert!(server.shells().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_sent_once() {
    let server = simulator::Server::start(Options::default()).await.unwrap();
    let lines = basic(&server.url).replace(USER, simulator::USER);
    let world = user(&lines);
    let report = doctor(&world);
    report.has("sign-in", "failed", "refused the credential of admin@litwareinc.com (HTTP 401)", "password");
    report.has("sessions", "skipped", "because the sign-in failed", "");
    assert_eq!((report.code, server.refusals()), (Some(3), 1), "{report}");
    // Nor for two connections with the same account.
    profile(&world, "other", &lines);
    profile(&world, "both", "connections = ['work', 'other']");
    let report = doctor_of(&world, "both", &[]);
    assert_eq!((report.code, server.refusals()), (Some(3), 2), "{report}");
    let of = |name: Option<&str>| {
        report.findings().iter().filter(|row| row["connection"].as_str() == name).count()
    };
    assert!(of(Some("work")) > 10 && of(Some("work")) == of(Some("other")) && of(None) > 3, "{report}");
    let text = program(&world, &["doctor", "both"]).run().out;
    for heading in ["both (group):", "\nwork:", "\nother:", "'both' would not connect: 2 failed checks"] {
        assert!(text.contains(heading), "{text}");
    }
    assert_eq!(server.refusals(), 3);
    // Nor if an earlier process knows the refusal.
    let session = Guarded {
        endpoint: server.url.parse().unwrap(),
        configuration: "c".to_owned(),
        shell: Uuid::new_v4(),
    };
    let journal = Journal::of(&world.folders);
    let profile = lyncsh::profile::load(&world.folders, "work").unwrap();
    journal.write(JournalLine::new(&profile, session)).unwrap().record_refusal();
    let report = doctor(&world);
    report.has("orphans", "warning", "the password for its removal was refused", "correct the source of");
    report.has("sign-in", "failed", "the endpoint refused this password before", "correct the source of");
    assert_eq!((report.code, server.refusals()), (Some(3), 3), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_secret_is_reported_and_not_asked_for() {
    let server = simulator::Server::start(Options::default()).await.unwrap();
    let world = user("");
    let with = |credential: &str| {
        let lines = basic(&server.url);
        let lines =
            lines.lines().filter(|line| !line.starts_with("credential")).collect::<Vec<_>>().join("\n");
        profile(&world, "work", &format!("{lines}\ncredential = {credential}\n"));
        doctor_of(&world, "work", &[("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent")])
    };
    let report = with("'prompt'");
    report.has("secret", "skipped", "because it is asked for at each start", "");
    report.has("sign-in", "skipped", "because the secret is asked for at each start", "");
    assert_eq!(report.code, Some(0), "{report}");
    for (credential, found, advice) in [
        ("'keyring'", "the keyring is not usable", "Secret Service"),
        ("{ file = 'none' }", "cannot read the secret in", "correct `file`"),
        ("{ command = 'exit 7' }", "failed (exit status: 7)", "run the command by hand"),
    ] {
        let report = with(credential);
        report.has("secret", "failed", found, advice);
        report.has("sign-in", "skipped", "because the secret is not available", "");
        report.has("schemes", "ok", "offered: Basic", "");
        assert_eq!(report.code, Some(3), "{report}");
    }
    let report = with("{ command = 'sleep 60' }");
    report.has("secret", "warning", "did not answer within 5s", "run the command by hand");
    assert_eq!((report.code, server.refusals()), (Some(0), 0), "{report}");
}

/// Runs a check against a server with this answer. Returns also whether a credential was sent.
async fn against(answer: fn() -> Answer, more: &str) -> (Report, bool) {
    let server = Server::start(None, move |_| async move { answer() }).await;
    let uri = format!("http://127.0.0.1:{}/wsman", server.port);
    let lines = basic(&uri);
    let lines =
        if more.contains("authentication") { lines.replace("authentication = 'basic'\n", "") } else { lines };
    let lines = if more.contains("credential") {
        lines.lines().filter(|line| !line.starts_with("credential")).collect::<Vec<_>>().join("\n")
    } else {
        lines
    };
    let world = user(&format!("{lines}\n{more}\n"));
    let none = [("KRB5_CONFIG", "/dev/null"), ("KRB5CCNAME", "FILE:/nonexistent")];
    let report = doctor_of(&world, "work", &none);
    let sent =
        server.requests().iter().any(|asked| asked.head.to_ascii_lowercase().contains("authorization:"));
    (report, sent)
}

const MINUTES_1994: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

#[tokio::test(flavor = "multi_thread")]
async fn an_unsuitable_answer_is_reported_and_gets_no_credential() {
    let (report, sent) =
        against(|| http("200 OK", &[("Content-Type", "text/html")], b"<title>Please sign in</title>"), "")
            .await;
    report.has("schemes", "failed", "answered 200 OK: a page, \"Please sign in\"", "sign-in page or a proxy");
    report.has("clock", "skipped", "has no date", "");
    report.has("sign-in", "skipped", "because the endpoint answered 200 OK", "");
    assert_eq!((report.code, sent), (Some(3), false), "{report}");

    let (report, sent) =
        against(|| http("401 Unauthorized", &[("WWW-Authenticate", "Negotiate")], b""), "").await;
    report.has("schemes", "failed", "does not offer Basic (HTTP 401); it offers Negotiate", "\"negotiate\"");
    report.has("sign-in", "skipped", "because the endpoint does not offer Basic", "");
    assert_eq!((report.code, sent), (Some(3), false), "{report}");

    let (report, sent) =
        against(|| http("302 Found", &[("Location", "https://elsewhere.example/x?ticket")], b""), "").await;
    report.has(
        "schemes",
        "failed",
        "to https://elsewhere.example/x: the credential may not be sent",
        "redirects =",
    );
    assert_eq!((report.code, sent), (Some(3), false), "{report}");

    let (report, sent) = against(|| http("307 Moved", &[("Location", "/other?ticket")], b""), "").await;
    report.has("schemes", "ok", "/other, which was not checked", "");
    assert_eq!((report.code, sent), (Some(0), false), "{report}");
    assert!(!report.to_string().contains("ticket"), "{report}");

    let (report, sent) = against(|| None, "[timeouts]\nconnect = '1s'").await;
    report.has("schemes", "failed", "did not answer a request without a credential within 1s", "`connect`");
    report.has("clock", "skipped", "because the endpoint did not answer", "");
    assert_eq!((report.code, sent), (Some(3), false), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn clock_skew_prevents_kerberos_only() {
    let answer = || {
        let headers =
            [("WWW-Authenticate", "Basic"), ("WWW-Authenticate", "Kerberos"), ("Date", MINUTES_1994)];
        http("401 Unauthorized", &headers, b"")
    };
    let (report, _) = against(answer, "").await;
    report.has("clock", "warning", "behind this computer's", "5 minutes at most");
    let (report, sent) = against(answer, "authentication = 'kerberos'\ncredential = 'system'").await;
    report.has("clock", "failed", "behind this computer's", "5 minutes at most");
    report.has("schemes", "ok", "offered: Basic, Kerberos", "");
    report.has("kerberos", "failed", "no ticket for HTTP/127.0.0.1", "");
    report.has("sign-in", "skipped", "because there is no Kerberos ticket", "");
    assert_eq!((report.code, sent), (Some(3), false), "{report}");
}

#[test]
fn an_unreachable_host_is_reported() {
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    // It accepts connections, and never answers.
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let slow = "[timeouts]\nconnect = '1s'\n";
    let report = doctor(&user(&basic("https://no-such-host.invalid/wsman")));
    report.has("name", "failed", "cannot resolve no-such-host.invalid", "Check the endpoint's name and port");
    report.has("tcp", "skipped", "because the host was not reached", "");
    assert_eq!(report.code, Some(3), "{report}");
    let report = doctor(&user(&basic(&format!("https://{unused}/wsman"))));
    report.has("tcp", "failed", "Connection refused", "Check the endpoint's name and port");
    report.has("tls", "skipped", "because the host was not reached", "");
    assert_eq!(report.code, Some(3), "{report}");
    let lines = basic(&format!("https://{}/wsman", dead.local_addr().unwrap()));
    let report = doctor(&user(&format!("{lines}{slow}")));
    report.has("tcp", "ok", "127.0.0.1:", "");
    report.has("tls", "failed", "connecting took longer than 1s", "`connect`");
    report.has("sign-in", "skipped", "because the connection was not opened", "");
    assert_eq!(report.code, Some(3), "{report}");
    let report =
        doctor(&user(&format!("{}proxy = 'http://{unused}'\n", basic("https://no-such-host.invalid/"))));
    report.has("tcp", "failed", "Connection refused", "Check the name and port of the proxy");
    report.has("proxy", "skipped", "because the proxy was not reached", "");
    assert_eq!(report.code, Some(3), "{report}");
    let lines = basic("https://no-such-host.invalid/");
    let dead = dead.local_addr().unwrap();
    let report = doctor(&user(&format!("{lines}proxy = 'http://{dead}'\n{slow}")));
    let claimed = |row: &Value| row["check"] == "proxy" && row["state"] == "ok";
    assert!(!report.findings().iter().any(claimed) && report.code == Some(3), "{report}");
}

#[test]
fn an_agent_without_the_endpoints_answer_is_healthy() {
    use std::io::{BufRead as _, Write as _};
    use std::os::unix::net::UnixListener;

    let world = user(&basic("http://127.0.0.1:9/wsman"));
    let paths = world.place();
    paths.prepare().unwrap();
    let lock = lyncsh::platform::private_file().create(true).truncate(false).open(&paths.lock).unwrap();
    assert!(lyncsh::platform::hold(&lock).unwrap());
    paths.name_process().unwrap();
    let report = doctor(&world);
    report.has("agent", "warning", "is starting or ending", "lyncsh doctor work");
    // It answers a brief request only.
    let listener = UnixListener::bind(&paths.control).unwrap();
    std::thread::spawn(move || {
        let mut silent = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut line = String::new();
            std::io::BufReader::new(stream.try_clone().unwrap()).read_line(&mut line).unwrap();
            if line.contains("\"brief\":true") {
                let status = r#"{"event":"status","profile":"work","process":1,"user":null,"endpoint":null,
                    "session":null,"open":60,"shells":[],"used":null,"allowed":null,"holders":[]}"#;
                writeln!(stream, "{}", status.replace('\n', "")).unwrap();
            } else {
                silent.push(stream);
            }
        }
    });
    let report = doctor(&world);
    report.has("agent", "warning", "process 1, an earlier version, session open for 1m", "lyncsh stop work");
    report.has("sign-in", "ok", "the agent is signed in", "");
    report.has("sessions", "skipped", "did not list its sessions in time", "");
}

#[test]
fn a_journal_that_does_not_answer_is_reported_and_no_secret_is_sent() {
    let world = user("");
    let fetched = world.root().join("fetched");
    let command = format!("echo 'secret-word' | tee '{}'", fetched.display());
    profile(&world, "work", &basic("http://127.0.0.1:9/wsman").replace("echo 'secret-word'", &command));
    let sessions = world.folders.state.join("sessions");
    std::fs::create_dir_all(&sessions).unwrap();
    // Opening a pipe waits for the other end.
    let pipe = sessions.join(format!("{}.json", Uuid::new_v4()));
    Program::new("mkfifo").args([&pipe]).run().success_output();
    let report = doctor(&world);
    report.has("orphans", "failed", "the journal of sessions did not answer within 4s", "");
    report.has(
        "secret",
        "skipped",
        "because the journal, which records that a password was refused, could not be",
        "",
    );
    assert!(!fetched.exists() && report.code == Some(3), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_withhold_all_secrets() {
    let answer = || http("401 Unauthorized", &[("WWW-Authenticate", "Basic")], b"");
    let server = Server::start(None, move |_| async move { answer() }).await;
    let answer =
        || http("407 Proxy Authentication Required", &[("Proxy-Authenticate", "Basic realm=\"x\"")], b"");
    let proxy = Server::start(None, move |_| async move { answer() }).await;
    let world = user("");
    // Nothing may change: a fetched secret would be written to a file.
    let command = |name: &str| {
        format!("{{ command = \"echo 'secret-word' | tee '{}'\" }}", world.root().join(name).display())
    };
    let lines = |uri: &str| {
        format!(
            "kind = 'wsman'\nauthentication = 'basic'\nuri = '{uri}'\nuser = '{USER}'\nusr = 'x'\n\
             credential = {}\nproxy_user = 'ann'\nproxy_credential = {}\n",
            command("fetched"),
            command("for-proxy")
        )
    };
    profile(&world, "work", &lines(&format!("http://127.0.0.1:{}/wsman", server.port)));
    let report = doctor(&world);
    for check in ["secret", "sign-in", "sessions"] {
        report.has(check, "skipped", "because the profile has mistakes", "");
    }
    report.has("schemes", "ok", "offered: Basic", "");
    profile(&world, "work", &lines("https://no-such-host.invalid/wsman"));
    let with_password = format!("http://ann:secret-word@127.0.0.1:{}", proxy.port);
    let report = doctor_of(&world, "work", &[("HTTPS_PROXY", &with_password), ("NO_PROXY", "")]);
    report.has("proxy", "skipped", "because the profile has mistakes", "");
    let heads: Vec<String> = server
        .requests()
        .iter()
        .chain(&proxy.requests())
        .map(|asked| asked.head.to_ascii_lowercase())
        .collect();
    assert!(heads.len() == 2 && heads[1].starts_with("connect "), "{heads:?}");
    assert!(heads.iter().all(|head| !head.contains("authorization:")), "{heads:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_untrusted_certificate_gets_no_credential() {
    let mut root = CertificateParams::new(Vec::new()).unwrap();
    root.distinguished_name.push(DnType::CommonName, "a root");
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = CertifiedIssuer::self_signed(root, KeyPair::generate().unwrap()).unwrap();
    for (expired, trusted, found, advice) in [
        (true, true, "is not trusted: expired on 2020-01-01 (fingerprint sha256:", "renew the certificate"),
        (false, false, "is not trusted: unknown issuer", "ca = "),
    ] {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        if expired {
            (params.not_before, params.not_after) = (date_time_ymd(2019, 1, 1), date_time_ymd(2020, 1, 1));
        }
        let certificate = params.signed_by(&key, &root).unwrap();
        let tls = server_config(certificate.der().to_vec(), key.serialize_der());
        let answer =
            || http("401 Unauthorized", &[("WWW-Authenticate", "Basic"), ("Date", MINUTES_1994)], b"");
        let server = Server::start(Some(tls), move |_| async move { answer() }).await;
        let ca = if trusted { "ca = 'root.pem'\n" } else { "" };
        let world = user(&format!("{}{ca}", basic(&format!("https://127.0.0.1:{}/wsman", server.port))));
        std::fs::write(world.folders.profiles().join("root.pem"), root.pem()).unwrap();
        let report = doctor(&world);
        report.has("tls", "failed", found, advice);
        // The checks without a secret continue: a wrong clock may be the reason.
        report.has("clock", "warning", "behind", "");
        report.has("schemes", "ok", "offered: Basic", "");
        report.has("sign-in", "skipped", "because the certificate is not trusted", "");
        assert_eq!(report.code, Some(3), "{report}");
        let asked = server.requests();
        assert_eq!(asked.len(), 1);
        assert!(!asked[0].head.to_ascii_lowercase().contains("authorization:"), "{asked:?}");
    }
}

#[test]
fn a_ticket_is_requested_and_a_wrong_password_is_sent_to_the_kdc_once() {
    let kdc = Kdc::start();
    let environment = kdc.environment();
    let environment: Vec<(&str, &str)> =
        environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let world = user("");
    let with = |more: &str| {
        let lines = "kind = 'wsman'\nuri = 'http://localhost:9/wsman'\nauthentication = 'kerberos'\n";
        profile(&world, "work", &format!("{lines}user = 'alice@{}'\n{more}", kdc::REALM));
        doctor_of(&world, "work", &environment)
    };
    let report = with("credential = 'system'");
    report.has("secret", "ok", "the system's ticket or logon", "");
    report.has("kerberos", "failed", "no ticket for HTTP/localhost: there is no Kerberos ticket", "kinit");
    kdc.kinit(&[]);
    let report = with("credential = 'system'");
    report.has("kerberos", "ok", "a ticket for HTTP/localhost, in the system's ticket cache", "");
    report.has("name", "ok", "localhost: ", "");
    assert_eq!(report.code, Some(3), "the endpoint is missing: {report}");
    let report = with("credential = 'system'\nservice_principal = 'HTTP/alias'");
    report.has("kerberos", "failed", "no ticket for HTTP/alias", "setspn");
    let password = |word: &str| format!("credential = {{ command = \"echo '{word}'\" }}");
    with(&password(kdc::PASSWORD)).has("kerberos", "ok", "requested with the password", "");
    let report = with(&password("wrong"));
    report.has("kerberos", "failed", "the KDC refused the password", "lockout");
    let attempts = kdc.log().lines().filter(|line| line.contains("PREAUTH_FAILED")).count();
    assert_eq!(attempts, 1, "{}", kdc.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shell_must_exist_and_be_new_enough() {
    let server = simulator::Server::start(Options::default()).await.unwrap();
    let world = user("");
    let pwsh = world.root().join("own/pwsh");
    std::fs::create_dir_all(pwsh.parent().unwrap()).unwrap();
    let version = |version: &str| {
        std::fs::write(&pwsh, format!("#!/bin/sh\necho PowerShell {version}\n")).unwrap();
        std::fs::set_permissions(&pwsh, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    let with = |shell: &str| {
        profile(&world, "work", &format!("{}shell = '{shell}'\n", simulated(&server)));
        doctor(&world)
    };
    let own = pwsh.display().to_string();
    version("7.3.1");
    let report = with(&own);
    report.has("shell", "failed", "expected PowerShell 7.4 or later, got 7.3", "aka.ms/powershell");
    report.has("sign-in", "ok", "accepted", "");
    assert_eq!(report.code, Some(3), "{report}");
    version("7.5.0");
    let report = with(&own);
    report.has("shell", "ok", "PowerShell 7.5: ", "");
    assert_eq!(report.code, Some(0), "{report}");
    std::fs::write(&pwsh, "#!/bin/sh\nexec sleep 60\n").unwrap();
    let report = with(&own);
    report.has("shell", "warning", "did not print its version within 6s", "--version");
    assert_eq!(report.code, Some(0), "{report}");
    version("7.5.0");
    let report = with("no-such-shell");
    report.has("shell", "failed", "cannot find the shell 'no-such-shell'", "shell = \"console\"");
    assert_eq!(report.code, Some(3), "{report}");

    // The module of a module kind.
    profile(&world, "work", &format!("kind = 'teams'\nshell = '{own}'\n"));
    let report = doctor(&world);
    report.has(
        "module",
        "failed",
        "PowerShell has no module MicrosoftTeams",
        "Install-Module -Name MicrosoftTeams",
    );
    assert_eq!(report.code, Some(3), "{report}");
    let folder = world.root().join("home/.local/share/powershell/Modules/MicrosoftTeams/7.1.0");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("MicrosoftTeams.psd1"), "").unwrap();
    let report = doctor(&world);
    report.has("module", "ok", "MicrosoftTeams 7.1.0: ", "");
    report.has("shell", "ok", "PowerShell 7.5", "");
    report.has("secret", "ok", "none needed", "");
    assert_eq!(report.code, Some(0), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_mistake_is_a_finding_and_the_rest_is_checked() {
    let server = simulator::Server::start(Options::default()).await.unwrap();
    let world = user(&format!("{}usr = 'x'\nkeep = 5\n", simulated(&server)));
    let report = doctor(&world);
    report.has("profile", "failed", "work.toml: line 6: unknown key usr", "lyncsh edit work");
    report.has("profile", "failed", "work.toml: line 7: ", "lyncsh edit work");
    report.has("sign-in", "skipped", "because the profile has mistakes", "");
    assert_eq!(report.code, Some(3), "{report}");
    profile(&world, "work", "kind = 'wsman'\n");
    let report = doctor(&world);
    report.has("profile", "failed", "needs uri", "");
    report.has("tcp", "skipped", "because the profile has mistakes", "");
    report.has("folders", "ok", "", "");
    assert_eq!(report.code, Some(3), "{report}");
    profile(&world, "both", "connections = ['work', 'gone']");
    let report = doctor_of(&world, "both", &[]);
    report.has("profile", "failed", "there is no profile 'gone'", "existing profiles: both, work");
    report.has("profile", "failed", "needs uri", "");
    profile(&world, "work", &simulated(&server));
    let report = doctor_of(&world, "both", &[]);
    report.has("profile", "failed", "both.toml: line 2: there is no profile 'gone'", "lyncsh edit both");
    report.has("sign-in", "ok", "accepted", "");
    let ran = program(&world, &["doctor", "wrok"]).run();
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.err.contains("did you mean 'work'?"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn open_folders_and_old_completions_are_warnings() {
    let server = simulator::Server::start(Options::default()).await.unwrap();
    let world = user(&simulated(&server));
    let folder = world.folders.profiles();
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o777)).unwrap();
    let scripts = world.root().join("home/.local/share/bash-completion/completions");
    std::fs::create_dir_all(&scripts).unwrap();
    std::fs::write(scripts.join("lyncsh"), "complete -W old lyncsh").unwrap();
    let report = doctor(&world);
    report.has("folders", "warning", &format!("can change {} (mode 0777)", folder.display()), "chmod go-w");
    report.has("completions", "warning", "bash: ", "`lyncsh completions bash`");
    assert_eq!(report.code, Some(0), "warnings do not count: {report}");
    let script = world.program(&["completions", "bash"]).run().success_output();
    std::fs::write(scripts.join("lyncsh"), script).unwrap();
    doctor(&world).has("completions", "ok", "bash: ", "");
}

#[tokio::test(flavor = "multi_thread")]
async fn states_are_coloured_words_in_a_terminal_of_any_width() {
    let server = simulator::Server::start(Options::default()).await.unwrap();
    let world = user(&format!("{}usr = 'x'\n", simulated(&server)));
    for (name, value) in [("TERM", "xterm-256color"), ("NO_COLOR", "1")] {
        let own =
            [("LYNCSH_CONFIG_DIR", world.root().to_str().unwrap().to_owned()), (name, value.to_owned())];
        let mut terminal = Terminal::sized((40, 200), lyncsh(), &["doctor", "work"], own);
        assert_eq!(terminal.wait_exit(), 3, "{}", terminal.text());
        let raw = String::from_utf8_lossy(&terminal.raw()).into_owned();
        assert_eq!(raw.contains("\x1b[31mfailed\x1b[0m"), name == "TERM", "{raw:?}");
        assert_eq!(raw.contains("\x1b[32mok\x1b[0m"), name == "TERM", "{raw:?}");
        let lines = terminal.text();
        assert!(lines.lines().any(|line| line.starts_with("ok       schemes")), "{lines}");
        // Continuation lines are indented, and the terminal breaks none.
        assert!(lines.lines().filter(|line| line.starts_with("          ")).count() > 3, "{lines}");
    }
}
