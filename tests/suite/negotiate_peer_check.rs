//! The server of `negotiate_peer` against independent clients: what it accepts and refuses, and its deliberate
//! faults.

use std::path::Path;

use serde_json::{Value, json};

use crate::front::{self, Front};
use crate::kdc::{self, Kdc};
use crate::negotiate_peer::{DOMAIN_USER, PASSWORD, Server, Setup, USER, client};
use crate::wsman_client_psrpcore::Peer;

/// Runs the steps on a connection to the server, once for each of the `ways`.
fn runs(server: &Server, steps: &[&str], ways: &[Value], environment: &[(&str, &Path)]) -> Value {
    let run = |way: &Value| {
        let mut given = json!({ "url": server.url, "user": USER, "password": PASSWORD, "steps": steps });
        if server.url.starts_with("https") {
            given["ca"] = json!(server.ca());
        }
        given.as_object_mut().unwrap().extend(way.as_object().unwrap().clone());
        given
    };
    client("negotiate_client.py", &ways.iter().map(run).collect(), environment)
}

fn steps(server: &Server, steps: &[&str], way: &Value) -> Value {
    runs(server, steps, std::slice::from_ref(way), &[])[0].take()
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
fn channel_bindings_are_checked_as_in_http_sys() {
    let protocols = ["ntlm", "negotiate"];
    let of = |protocol| {
        ["none", "empty", "wrong", "right"].map(|way| json!({ "binding": way, "protocol": protocol }))
    };
    let ways: Vec<Value> = protocols.into_iter().flat_map(of).collect();
    for (level, none, empty, wrong) in
        [("none", 200, 200, 200), ("relaxed", 200, 401, 401), ("strict", 401, 401, 401)]
    {
        let server = Server::tls(&["--cbt", level]);
        let expected = [none, empty, wrong, 200].map(|status| [status]);
        assert_eq!(runs(&server, &["logon"], &ways, &[]), json!([expected, expected].concat()), "{level}");
    }
}

#[test]
fn kerberos_seals_binds_and_fails_as_configured() {
    let kdc = Kdc::start();
    let (config, principal) = (kdc.path("krb5.conf"), format!("alice@{}", kdc::REALM));
    let environment = &[("KRB5_CONFIG", &*config)][..];
    for (scheme, protocol) in [("Kerberos", "kerberos"), ("Negotiate", "negotiate")] {
        let way = |binding| {
            json!({
                "user": principal, "password": kdc::PASSWORD, "scheme": scheme, "protocol": protocol,
                "binding": binding,
            })
        };
        let server = Setup::new(&[]).kerberos(&kdc).start();
        let seen = runs(&server, &["logon", "send", "plain", "send"], &[way("none")], environment);
        assert_eq!(seen, json!([[200, "200 sealed", 500, "200 sealed"]]), "{scheme}");
        let logons = server.events("logon");
        assert_eq!((&logons[0]["protocol"], &logons[0]["user"]), (&json!("kerberos"), &json!(principal)));
        for (level, none, wrong) in [("relaxed", 200, 401), ("strict", 401, 401)] {
            let server = Setup::new(&["--cbt", level]).tls().kerberos(&kdc).start();
            let seen = runs(&server, &["logon"], &["none", "wrong", "right"].map(way), environment);
            assert_eq!(seen, json!([[none], [wrong], [200]]), "{scheme} {level}");
        }
    }
    let server = Setup::new(&[]).kerberos(&kdc).start();
    let way = [json!({
        "user": principal, "password": kdc::PASSWORD, "scheme": "Kerberos", "protocol": "kerberos",
    })];
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
        ("other-context", &["logon", "send"], json!([200, "200 not to be unsealed"])),
    ] {
        server.no_faults();
        server.fault(fault);
        assert_eq!(runs(&server, order, &way, environment), json!([seen]), "{fault}");
    }
}

#[test]
fn each_logon_fault_has_its_effect() {
    let server = Server::start(&[]);
    for (fault, raw, spnego) in [
        ("front=407", json!("407 without the last token"), json!("407 without the last token")),
        ("locked", json!(401), json!(401)),
        ("endless", json!("401 with another challenge"), json!("no end")),
        ("truncated-token", json!(200), json!("401 with a wrong token")),
        ("absurd-challenge=length", json!(401), json!(401)),
        ("big-token", json!("401 with a token of 1 MB"), json!("401 with a token of 1 MB")),
        ("final=missing", json!(200), json!("200 without the last token")),
        ("final=wrong", json!(200), json!("200 with a wrong token")),
    ] {
        server.no_faults();
        server.fault(fault);
        let ways = ["ntlm", "negotiate"].map(|protocol| json!({ "protocol": protocol }));
        assert_eq!(runs(&server, &["logon"], &ways, &[]), json!([[raw], [spnego]]), "{fault}");
    }
}

#[test]
fn each_request_fault_has_its_effect() {
    let sealed = "200 sealed";
    let server = Server::start(&[]);
    for (fault, first, second) in [
        ("status=413", json!(413), json!(sealed)),
        ("status=302,http://localhost/", json!(302), json!(sealed)),
        ("reauthenticate", json!(401), json!(401)),
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
        ("status=403@Enumerate:2", json!(sealed), json!(403)),
        ("reauthenticate@connection:2", json!(sealed), json!(401)),
    ] {
        server.fault(fault);
        let order: &[&str] = if second.is_null() { &["logon", "send"] } else { &["logon", "send", "send"] };
        let seen = steps(&server, order, &json!({}));
        assert_eq!((&seen[0], &seen[1]), (&json!(200), &first), "{fault}");
        assert_eq!(seen[2], second, "{fault}");
    }
    let unanswered = server.requests().iter().filter(|row| row["status"].is_null()).count();
    assert_eq!(unanswered, 3, "those that close-unanswered and close-executed closed");
    // The key streams of NTLM no longer match.
    let server = Server::start(&["--fault", "other-context"]);
    assert_eq!(steps(&server, &["logon", "send"], &json!({})), json!([200, "200 not to be unsealed"]));
}

#[test]
fn options_change_offers_sealing_and_connections() {
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
    server.fault("status=503@Enumerate");
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
fn requests_of_one_connection_go_to_two_backends_in_turn() {
    let (one, other) = (Peer::start(&[]), Peer::start(&[]));
    let setup = Setup::new(&["--balance", "--offer", "Basic"]);
    let setup = setup.backend(&one.url(), USER, PASSWORD).backend(&other.url(), USER, PASSWORD);
    assert_eq!(steps(&setup.start(), &["basic", "basic"], &json!({})), json!([200, 200]));
    assert_eq!((one.logged("Enumerate").len(), other.logged("Enumerate").len()), (1, 1));
}

#[test]
fn tls_supports_openssl_suites_and_client_certificates() {
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
        let mut with = more.clone();
        with["certificate"] = json!(server.file("client.pem"));
        with["key"] = json!(server.file("client.key"));
        let seen = runs(&server, &["mutual", "send"], &[more, with], &[]);
        assert_eq!(seen, json!([[401, 401], [known, known]]), "{arguments:?}");
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
