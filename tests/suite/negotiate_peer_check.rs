//! The server of `negotiate_peer` by clients that others wrote: what it accepts, refuses and does wrong on purpose.

use serde_json::{Value, json};

use crate::front::{self, Front};
use crate::negotiate_peer::{DOMAIN_USER, Kdc, PASSWORD, PRINCIPAL, Server, Setup, USER, client};
use crate::wsman_client_psrpcore::Peer;

/// Runs the steps on a connection to the server.
fn steps(server: &Server, steps: &[&str], more: &Value) -> Value {
    let mut given = json!({ "url": server.url, "user": USER, "password": PASSWORD, "steps": steps });
    if server.url.starts_with("https") {
        given["ca"] = json!(server.ca());
    }
    given.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    client("negotiate_client.py", &given, &[])
}

fn pypsrp(server: &Server, auth: &str, password: &str) -> Value {
    let mut given = json!({
        "url": server.url, "user": DOMAIN_USER, "password": password, "auth": auth, "pools": 1,
        "cmdlet": "Get-Length", "parameters": { "Text": "a".repeat(100_000) },
    });
    if server.url.starts_with("https") {
        given["ca"] = json!(server.ca());
    }
    client("pypsrp_negotiate.py", &given, &[])
}

#[test]
fn pypsrp_logs_on_and_seals_over_http() {
    for auth in ["ntlm", "negotiate"] {
        let psrpcore = Peer::start(&[]);
        let server = Server::before(&psrpcore.url(), USER, PASSWORD, &[]);
        assert_eq!(pypsrp(&server, auth, PASSWORD), json!([["100000"]]), "{auth}");
        let operations: Vec<Value> =
            server.requests().into_iter().filter(|row| !row["operation"].is_null()).collect();
        assert!(operations.len() >= 4, "{auth}: {operations:?}");
        assert!(
            operations.iter().all(|row| row["sealed"] == true && row["protocol"] == "ntlm"),
            "{operations:?}"
        );
        assert_eq!((server.logons(), server.failed_logons(), psrpcore.shells()), (1, 0, 0), "{auth}");
    }
}

#[test]
fn a_wrong_password_is_one_failed_logon_and_reaches_no_backend() {
    let psrpcore = Peer::start(&[]);
    let server = Server::before(&psrpcore.url(), USER, PASSWORD, &[]);
    let seen = pypsrp(&server, "ntlm", "wrong");
    assert!(seen[0].as_str().unwrap().starts_with("AuthenticationError"), "{seen}");
    assert_eq!((server.logons(), server.failed_logons(), server.operations().len()), (0, 1, 0));
}

#[test]
fn pypsrp_binds_to_the_channel_over_https() {
    for arguments in [&["--cbt", "strict"][..], &["--cbt", "strict", "--signature", "sha512"]] {
        let psrpcore = Peer::start(&[]);
        let server = Setup::new(arguments).tls().backend(&psrpcore.url(), USER, PASSWORD).start();
        assert_eq!(pypsrp(&server, "negotiate", PASSWORD), json!([["100000"]]), "{arguments:?}");
        assert_eq!(server.events("logon")[0]["binding"], "matched");
        assert!(server.requests().iter().all(|row| row["sealed"] == false));
    }
}

#[test]
fn channel_bindings_are_judged_as_http_sys_judges_them() {
    for (level, none, empty, wrong) in
        [("none", 200, 200, 200), ("relaxed", 200, 401, 401), ("strict", 401, 401, 401)]
    {
        for protocol in ["ntlm", "negotiate"] {
            let server = Server::tls(&["--cbt", level]);
            let logon =
                |binding| steps(&server, &["logon"], &json!({ "binding": binding, "protocol": protocol }));
            let seen = ["none", "empty", "wrong", "right"].map(logon);
            assert_eq!(json!(seen), json!([[none], [empty], [wrong], [200]]), "{level} {protocol}");
        }
    }
}

#[test]
fn kerberos_seals_binds_and_fails_as_ordered() {
    let kdc = Kdc::start(&[]);
    let with = |server: &Server, order: &[&str], scheme: &str, binding: &str| {
        let protocol = if scheme == "Kerberos" { "kerberos" } else { "negotiate" };
        let mut given = json!({
            "url": server.url, "user": PRINCIPAL, "password": PASSWORD, "steps": order, "scheme": scheme,
            "protocol": protocol, "binding": binding,
        });
        if server.url.starts_with("https") {
            given["ca"] = json!(server.ca());
        }
        client("negotiate_client.py", &given, &[("KRB5_CONFIG", &kdc.config)])
    };
    for scheme in ["Kerberos", "Negotiate"] {
        let server = Setup::new(&[]).kerberos(&kdc).start();
        let seen = with(&server, &["logon", "send", "plain", "send"], scheme, "none");
        assert_eq!(seen, json!([200, "200 sealed", 500, "200 sealed"]), "{scheme}");
        let logons = server.events("logon");
        assert_eq!((&logons[0]["protocol"], &logons[0]["user"]), (&json!("kerberos"), &json!(PRINCIPAL)));
        for (level, none, wrong) in [("relaxed", 200, 401), ("strict", 401, 401)] {
            let server = Setup::new(&["--cbt", level]).tls().kerberos(&kdc).start();
            let seen = ["none", "wrong", "right"].map(|binding| with(&server, &["logon"], scheme, binding));
            assert_eq!(json!(seen), json!([[none], [wrong], [200]]), "{scheme} {level}");
        }
    }
    for (fault, order, seen) in [
        (
            "other-token@2",
            &["logon", "connect", "logon"][..],
            json!([200, "connected", "200 with a wrong token"]),
        ),
        ("final=missing", &["logon"], json!(["200 without the last token"])),
        ("final=wrong", &["logon"], json!(["200 with a wrong token"])),
        ("locked", &["logon"], json!([401])),
        ("bad-signature", &["logon", "send"], json!([200, "200 not to be unsealed"])),
        ("bad-sequence", &["logon", "send"], json!([200, "200 not to be unsealed"])),
        ("replay@2", &["logon", "send", "send"], json!([200, "200 sealed", "200 not to be unsealed"])),
    ] {
        let server = Setup::new(&["--fault", fault]).kerberos(&kdc).start();
        assert_eq!(with(&server, order, "Kerberos", "none"), seen, "{fault}");
    }
}

#[test]
fn each_fault_of_a_logon_is_as_its_name_says() {
    for (fault, raw, spnego) in [
        ("front=407", "407 without the last token", "407 without the last token"),
        ("locked", "401", "401"),
        ("endless", "401 with another challenge", "no end"),
        ("truncated-token", "200", "401 with a wrong token"),
        ("absurd-challenge=length", "401", "401"),
        ("big-token", "401 with a token of 1 MB", "401 with a token of 1 MB"),
        ("final=missing", "200", "200 without the last token"),
        ("final=wrong", "200", "200 with a wrong token"),
    ] {
        for (protocol, expected) in [("ntlm", raw), ("negotiate", spnego)] {
            let server = Server::start(&["--fault", fault]);
            let seen = steps(&server, &["logon"], &json!({ "protocol": protocol }));
            let seen = seen[0].as_str().map_or_else(|| seen[0].to_string(), str::to_owned);
            assert_eq!(seen, expected, "{fault} {protocol}");
        }
    }
}

#[test]
fn each_fault_of_a_request_is_as_its_name_says() {
    let sealed = "200 sealed";
    for (fault, first, second) in [
        ("status=413", json!(413), json!(sealed)),
        ("status=302,http://localhost/", json!(302), json!(sealed)),
        ("reauthenticate", json!(401), json!(401)),
        ("reauthenticate@connection:2", json!(sealed), json!(401)),
        ("context-gone", json!(400), json!(400)),
        ("close-unanswered", json!("closed"), json!(null)),
        ("close-unanswered=reset", json!("reset"), json!(null)),
        ("close-executed", json!("closed"), json!(null)),
        ("close-after@2", json!(sealed), json!(sealed)),
        ("truncated", json!("truncated"), json!(null)),
        ("unsealed", json!("200 unsealed"), json!(sealed)),
        ("bad-signature", json!("200 not to be unsealed"), json!(sealed)),
        ("bad-sequence", json!("200 not to be unsealed"), json!(sealed)),
        ("bad-length", json!("200 with a wrong length"), json!(sealed)),
        ("replay@2", json!(sealed), json!("200 not to be unsealed")),
        ("status=403@Get:2", json!(sealed), json!(403)),
    ] {
        let server = Server::start(&["--fault", fault]);
        let order: &[&str] = if second.is_null() { &["logon", "send"] } else { &["logon", "send", "send"] };
        let seen = steps(&server, order, &json!({}));
        assert_eq!((&seen[0], &seen[1]), (&json!(200), &first), "{fault}");
        assert_eq!(seen[2], second, "{fault}");
        assert_eq!(
            server.requests().iter().filter(|row| row["status"].is_null()).count(),
            usize::from(fault.starts_with("close-") && second.is_null()),
            "{fault}"
        );
    }
    // Of NTLM the streams have parted for good.
    let server = Server::start(&["--fault", "other-context"]);
    assert_eq!(steps(&server, &["logon", "send"], &json!({})), json!([200, "200 not to be unsealed"]));
}

#[test]
fn options_change_what_is_offered_sealed_and_kept() {
    let cases: [(&[&str], &[&str], Value); 9] = [
        (&["--offer", "none"], &["plain", "logon"], json!([401, 401])),
        (&["--offer", "Basic"], &["logon", "basic"], json!([401, 200])),
        (&["--mechanisms", "kerberos"], &["logon"], json!([401])),
        (&["--boundary", "exchange"], &["logon", "send"], json!([200, "200 sealed exchange"])),
        (&["--parts", "3"], &["logon", "send"], json!([200, "200 sealed 3 parts"])),
        (&["--unsealed", "401"], &["logon", "plain"], json!([200, 401])),
        (&["--unsealed", "accept"], &["logon", "plain"], json!([200, 200])),
        (&["--balance"], &["logon"], json!([401])),
        (&["--idle", "0.2"], &["logon", "send", "wait"], json!([200, "200 sealed", "closed"])),
    ];
    for (arguments, order, seen) in cases {
        assert_eq!(steps(&Server::start(arguments), order, &json!({})), seen, "{arguments:?}");
    }
}

#[test]
fn a_fault_is_armed_and_idle_connections_are_closed_while_it_runs() {
    let server = Server::start(&[]);
    assert_eq!(steps(&server, &["logon", "send"], &json!({})), json!([200, "200 sealed"]));
    server.fault("status=503@Get");
    assert_eq!(steps(&server, &["logon", "send", "send"], &json!({})), json!([200, 503, "200 sealed"]));
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| steps(&server, &["logon", "send", "wait"], &json!({})));
        while server.operations().len() < 4 {
            std::thread::sleep(std::time::Duration::from_millis(10));
            assert!(!waits.is_finished());
        }
        server.close_idle();
        assert_eq!(waits.join().unwrap(), json!([200, "200 sealed", "closed"]));
    });
}

#[test]
fn two_backends_do_not_know_each_other_s_shells() {
    let (one, other) = (Peer::start(&[]), Peer::start(&[]));
    let setup = Setup::new(&["--balance", "--offer", "Basic", "--backend", &one.url()]);
    let server = setup.backend(&other.url(), USER, PASSWORD).start();
    let seen = steps(&server, &["basic", "basic"], &json!({}));
    // Neither backend has the operation: each was asked once.
    assert_eq!(server.requests().len(), 2, "{seen}");
    assert_eq!((one.logged("Get").len(), other.logged("Get").len()), (1, 1), "{seen}");
}

#[test]
fn tls_has_suites_that_only_openssl_has_and_client_certificates() {
    let suites = &["--tls-max", "1.2", "--ciphers", "AES256-GCM-SHA384"];
    let server = Server::tls(suites);
    let more = json!({ "tls_max": "1.2", "ciphers": "AES256-GCM-SHA384", "binding": "right" });
    assert_eq!(steps(&server, &["logon", "send"], &more), json!([200, 200]));
    assert_eq!(server.events("tls")[0]["cipher"], "AES256-GCM-SHA384");
    let mapped = &["--client-user", "another@litwareinc.com"][..];
    for (arguments, more, known) in [
        (&[][..], json!({}), 200),
        (mapped, json!({}), 401),
        (&["--tls-max", "1.2"], json!({}), 200),
        (&["--tls-max", "1.2", "--client-certificate", "later"], json!({}), 200),
        (&["--client-certificate", "later"], json!({ "later": true }), 200),
    ] {
        let server = Setup::new(&[]).tls().client_certificates(arguments).start();
        assert_eq!(steps(&server, &["mutual"], &more), json!([401]), "{arguments:?}");
        let mut more = more.clone();
        more["certificate"] = json!(server.file("client.pem"));
        more["key"] = json!(server.file("client.key"));
        let sent = if known == 200 { json!([200, 200]) } else { json!([401, 401]) };
        assert_eq!(steps(&server, &["mutual", "send"], &more), sent, "{arguments:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_powershell_is_reached_by_sealed_pools_in_parallel() {
    let Some(pwsh) = front::powershell() else { return };
    let front = Front::start(front::Options::new(pwsh)).await.unwrap();
    let server = Server::before(&front.uri, &front.user, &front.password, &[]);
    let given = json!({
        "url": server.url, "user": USER, "password": PASSWORD, "auth": "ntlm", "pools": 3,
        "script": "Start-Sleep -Seconds 2; 'x' * 200000 | ForEach-Object Length",
    });
    let run = move || client("pypsrp_negotiate.py", &given, &[]);
    let seen = tokio::task::spawn_blocking(run).await.unwrap();
    assert_eq!(seen, json!([["200000"], ["200000"], ["200000"]]));
    assert_eq!((server.logons(), server.failed_logons()), (3, 0));
    front.wait_empty().await;
}
