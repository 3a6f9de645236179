//! Kerberos against a KDC of MIT krb5: lyncsh initiates, pyspnego or lyncsh accepts.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::kdc::{Kdc, PASSWORD, REALM, SERVICE, Side};

/// Both forms of tokens.
const MECHANISMS: [&str; 2] = ["kerberos", "negotiate"];

/// Returns an initiator's row. Without a user, it uses the system's ticket.
fn initiator(mechanism: &str, user: Option<&str>) -> Value {
    let password = user.map(|_| PASSWORD);
    json!({ "do": "initiate", "mechanism": mechanism, "service": SERVICE, "user": user, "password": password })
}

fn acceptor(mechanism: &str) -> Value {
    json!({ "do": "accept", "mechanism": mechanism })
}

/// Adds a field to a row.
fn with(mut row: Value, key: &str, value: impl Into<Value>) -> Value {
    row[key] = value.into();
    row
}

/// Exchanges tokens until both are established; returns the initiator's principal, or the first error.
fn handshake(client: &mut Side, server: &mut Side, initiate: Value, accept: Value) -> Result<String, Value> {
    let fail = |answer: &Value| match &answer["error"] {
        Value::Null => Ok(()),
        error => Err(error.clone()),
    };
    fail(&client.ask(initiate))?;
    fail(&server.ask(accept))?;
    let mut token = Value::Null;
    for _ in 0..4 {
        let step = client.ask(json!({ "do": "step", "token": token }));
        fail(&step)?;
        let Value::String(next) = &step["token"] else {
            assert_eq!(step["established"], true);
            panic!("the initiator is established before the acceptor is");
        };
        let answer = server.ask(json!({ "do": "step", "token": next }));
        if let error @ Value::Object(_) = &answer["error"] {
            // If there is a token with the reason, the initiator reports it.
            let told = match &answer["token"] {
                Value::String(refusal) => {
                    client.ask(json!({ "do": "step", "token": refusal }))["error"].clone()
                }
                _ => Value::Null,
            };
            return Err(json!({ "acceptor": error, "initiator": told }));
        }
        let established = answer["established"] == true;
        if established && answer["token"].is_null() {
            assert_eq!(step["established"], true, "{answer}");
            return Ok(answer["peer"].as_str().unwrap().to_owned());
        }
        token = answer["token"].clone();
        if established {
            let last = client.ask(json!({ "do": "step", "token": token }));
            fail(&last)?;
            assert_eq!(last["established"], true);
            assert_eq!(last["token"], Value::Null);
            return Ok(answer["peer"].as_str().unwrap().to_owned());
        }
    }
    panic!("the handshake does not end");
}

/// Exchanges twenty sealed messages in each direction, then one of 500 KB.
fn converse(client: &mut Side, server: &mut Side) {
    for number in 0..20_u8 {
        let text = vec![number; usize::from(number) * 7];
        let sealed = client.wrap(&text);
        assert_eq!(server.unwrap(&sealed).unwrap(), text);
        let sealed = server.wrap(&text);
        assert_eq!(client.unwrap(&sealed).unwrap(), text);
    }
    let large: Vec<u8> = (0..500 * 1024_u32).map(|at| (at % 251) as u8).collect();
    let sealed = server.wrap(&large);
    assert_eq!(client.unwrap(&sealed).unwrap(), large);
    let sealed = client.wrap(&large);
    assert_eq!(server.unwrap(&sealed).unwrap(), large);
}

fn succeed(client: &mut Side, server: &mut Side, mechanism: &str, user: Option<&str>) {
    let peer = handshake(client, server, initiator(mechanism, user), acceptor(mechanism));
    assert_eq!(peer.unwrap_or_else(|error| panic!("{error}")), format!("alice@{REALM}"));
    converse(client, server);
}

/// Returns the initiator's error for its first token.
fn first_error(client: &mut Side, initiate: Value) -> Value {
    let made = client.ask(initiate);
    assert!(made["error"].is_null(), "{made}");
    let step = client.ask(json!({ "do": "step", "token": null }));
    assert!(step["error"].is_object(), "{step}");
    step["error"].clone()
}

/// Checks an error: problem, code, whether NTLM may follow, whether the credential was refused.
fn expect(error: &Value, problem: &str, code: i64, ntlm: bool, refused: bool) {
    let got = (&error["problem"], &error["code"], &error["ntlm"], &error["refused"]);
    assert_eq!(got, (&json!(problem), &json!(code), &json!(ntlm), &json!(refused)), "{error}");
    assert!(!error["advice"].as_array().unwrap().is_empty(), "{error}");
}

#[test]
fn a_password_authenticates_and_seals() {
    let kdc = Kdc::start();
    for mechanism in MECHANISMS {
        for user in ["alice@litwareinc.com", r"LITWAREINC\alice", "alice"] {
            succeed(&mut kdc.side(), &mut kdc.pyspnego(), mechanism, Some(user));
        }
        succeed(&mut kdc.side(), &mut kdc.side(), mechanism, Some(r"litwareinc.com\alice"));
    }
}

#[test]
fn a_password_is_not_replaced_by_another_accounts_ticket() {
    let kdc = Kdc::start();
    kdc.kadmin(&format!("addprinc +requires_preauth -pw \"{PASSWORD}\" bob"));
    kdc.kinit(&[]);
    for mechanism in MECHANISMS {
        let row = initiator(mechanism, Some("bob"));
        let peer = handshake(&mut kdc.side(), &mut kdc.pyspnego(), row, acceptor(mechanism));
        assert_eq!(peer.unwrap(), format!("bob@{REALM}"));
    }
}

#[test]
fn a_cached_ticket_authenticates() {
    let kdc = Kdc::start();
    kdc.kinit(&[]);
    for mechanism in MECHANISMS {
        succeed(&mut kdc.side(), &mut kdc.pyspnego(), mechanism, None);
        succeed(&mut kdc.side(), &mut kdc.side(), mechanism, None);
    }
    // The host-based form: the realm comes from krb5.conf.
    let row = with(initiator("kerberos", None), "service", "HTTP@localhost");
    let peer = handshake(&mut kdc.side(), &mut kdc.pyspnego(), row, acceptor("kerberos"));
    assert_eq!(peer.unwrap(), format!("alice@{REALM}"));
}

#[test]
fn a_client_keytab_authenticates() {
    let kdc = Kdc::start();
    kdc.kadmin(&format!("ktadd -norandkey -k {} alice", kdc.path("client-keytab").display()));
    for mechanism in MECHANISMS {
        succeed(&mut kdc.side(), &mut kdc.pyspnego(), mechanism, None);
    }
}

#[test]
fn sealing_without_iov_has_the_same_form() {
    let kdc = Kdc::start();
    kdc.kinit(&[]);
    for mut server in [kdc.pyspnego(), kdc.side()] {
        let mut client = kdc.side();
        let row = with(initiator("kerberos", None), "whole", true);
        handshake(&mut client, &mut server, row, acceptor("kerberos")).unwrap();
        converse(&mut client, &mut server);
        let sealed = client.wrap(b"one more");
        let header = sealed["header"].as_str().unwrap();
        // 60 bytes in base64, as with `gss_wrap_iov`.
        assert_eq!(header.len(), 80);
        assert!(header.starts_with("BQQ"), "{header}");
    }
}

#[test]
fn sealed_messages_are_refused_if_altered_repeated_or_missing() {
    let kdc = Kdc::start();
    kdc.kinit(&[]);
    let pair = || {
        let (mut client, mut server) = (kdc.side(), kdc.side());
        handshake(&mut client, &mut server, initiator("kerberos", None), acceptor("kerberos")).unwrap();
        (client, server)
    };
    let (mut client, mut server) = pair();
    let sealed = server.wrap(b"a message");
    assert_eq!(client.unwrap(&sealed).unwrap(), b"a message");
    assert_eq!(client.unwrap(&sealed).unwrap_err()["problem"], "Sequence");
    let _lost = server.wrap(b"lost");
    let next = server.wrap(b"next");
    assert_eq!(client.unwrap(&next).unwrap_err()["problem"], "Sequence");

    let (mut client, mut server) = pair();
    let sealed = server.wrap(b"a message");
    let mut data: Vec<char> = sealed["data"].as_str().unwrap().chars().collect();
    data[1] = if data[1] == 'A' { 'B' } else { 'A' };
    let altered = with(sealed, "data", data.into_iter().collect::<String>());
    let error = client.unwrap(&altered).unwrap_err();
    assert!(["Signature", "KeyMismatch"].contains(&error["problem"].as_str().unwrap()), "{error}");
    // A truncated message is an error, not a crash.
    let short = json!({ "header": "BQQ=", "data": "" });
    assert!(client.unwrap(&short).is_err());
}

#[test]
fn an_unestablished_context_does_not_seal() {
    let kdc = Kdc::start();
    kdc.kinit(&[]);
    let mut client = kdc.side();
    client.ask(initiator("kerberos", None));
    assert_eq!(client.ask(json!({ "do": "step", "token": null }))["established"], false);
    let sealed = client.ask(json!({ "do": "wrap", "data": "AAAA" }));
    assert_eq!(sealed["error"]["problem"], "NotEstablished", "{sealed}");
}

#[test]
fn a_channel_binding_must_be_right_or_absent() {
    let kdc = Kdc::start();
    kdc.kinit(&[]);
    // Base64 of "tls-server-end-point:" and two different hashes.
    let (right, wrong) = ("dGxzLXNlcnZlci1lbmQtcG9pbnQ6AAAA", "dGxzLXNlcnZlci1lbmQtcG9pbnQ6////");
    for mechanism in MECHANISMS {
        let try_with = |mut server: Side, binding: Value| {
            let row = with(initiator(mechanism, None), "binding", binding);
            handshake(&mut kdc.side(), &mut server, row, with(acceptor(mechanism), "binding", right))
        };
        for server in [kdc.pyspnego(), kdc.side()] {
            try_with(server, right.into()).unwrap_or_else(|error| panic!("{error}"));
        }
        for server in [kdc.pyspnego(), kdc.side()] {
            try_with(server, Value::Null).unwrap_or_else(|error| panic!("{error}"));
        }
        let error = try_with(kdc.pyspnego(), wrong.into()).unwrap_err();
        assert_eq!(error["acceptor"]["problem"], "BadBindingsError", "{error}");
        let error = try_with(kdc.side(), wrong.into()).unwrap_err();
        assert_eq!(error["acceptor"]["problem"], "ChannelBinding", "{error}");
    }
}

#[test]
fn a_server_that_does_not_prove_its_identity_is_refused() {
    let kdc = Kdc::start();
    kdc.kinit(&[]);
    for mechanism in MECHANISMS {
        let (mut first, mut second, mut server) = (kdc.side(), kdc.side(), kdc.side());
        for client in [&mut first, &mut second] {
            client.ask(initiator(mechanism, None));
        }
        server.ask(acceptor(mechanism));
        let token = first.ask(json!({ "do": "step", "token": null }))["token"].clone();
        second.ask(json!({ "do": "step", "token": null }));
        let answer = server.ask(json!({ "do": "step", "token": token }))["token"].clone();
        // A proof from another context.
        let step = second.ask(json!({ "do": "step", "token": answer }));
        assert!(step["error"].is_object(), "{step}");
        assert_eq!(step["error"]["ntlm"], false, "{step}");
        // No proof.
        let step = first.ask(json!({ "do": "step", "token": "" }));
        assert!(step["error"].is_object(), "{step}");
        let sealed = first.ask(json!({ "do": "wrap", "data": "AAAA" }));
        assert_eq!(sealed["error"]["problem"], "NotEstablished", "{sealed}");
    }
}

#[test]
fn kdc_errors_are_distinguished() {
    let kdc = Kdc::start();
    for mechanism in MECHANISMS {
        let service = |service: &str| with(initiator(mechanism, Some("alice")), "service", service);
        for name in
            ["HTTP/unknown.litwareinc.com", "HTTP/unknown", "HTTP/10.0.0.1", "HTTP/unknown@litwareinc.com"]
        {
            let error = first_error(&mut kdc.side(), service(name));
            expect(&error, "UnknownService", -1_765_328_377, true, false);
        }
        let error = first_error(&mut kdc.side(), initiator(mechanism, Some("mallory")));
        expect(&error, "UnknownClient", -1_765_328_378, false, true);
        let error = first_error(&mut kdc.side(), initiator(mechanism, Some("alice@CONTOSO.EXAMPLE")));
        expect(&error, "RealmUnknown", -1_765_328_230, true, false);
        let error = first_error(&mut kdc.side(), initiator(mechanism, None));
        expect(&error, "NoTicket", -1_765_328_243, true, false);
    }
    kdc.kadmin("modprinc -allow_tix alice");
    let error = first_error(&mut kdc.side(), initiator("kerberos", Some("alice")));
    expect(&error, "AccountRevoked", -1_765_328_366, false, true);
    kdc.kadmin("modprinc +allow_tix -pwexpire yesterday alice");
    let error = first_error(&mut kdc.side(), initiator("kerberos", Some("alice")));
    expect(&error, "PasswordExpired", -1_765_328_361, false, true);
}

#[test]
fn a_wrong_password_is_one_failed_attempt() {
    let kdc = Kdc::start();
    for (count, mechanism) in MECHANISMS.into_iter().enumerate() {
        let row = with(initiator(mechanism, Some("alice")), "password", "incorrect horse");
        let error = first_error(&mut kdc.side(), row);
        expect(&error, "WrongPassword", -1_765_328_360, false, true);
        assert!(!error.to_string().contains("incorrect horse"), "{error}");
        let attempts = kdc.log().lines().filter(|line| line.contains("PREAUTH_FAILED")).count();
        assert_eq!(attempts, count + 1, "{}", kdc.log());
    }
}

#[test]
fn a_missing_realm_is_reported() {
    let kdc = Kdc::start();
    std::fs::write(kdc.path("none.conf"), "[libdefaults]\n dns_lookup_kdc = false\n").unwrap();
    let config = kdc.path("none.conf");
    let mut client = kdc.side_with("KRB5_CONFIG", config);
    let error = first_error(&mut client, initiator("kerberos", Some("alice")));
    expect(&error, "NoDefaultRealm", -1_765_328_160, true, false);
}

#[test]
fn an_unreachable_kdc_is_reported_in_time() {
    let mut kdc = Kdc::start();
    kdc.stop();
    let begin = Instant::now();
    let error = first_error(&mut kdc.side(), initiator("kerberos", Some("alice")));
    expect(&error, "KdcUnreachable", -1_765_328_228, true, false);
    assert!(begin.elapsed() < Duration::from_secs(40), "{:?}", begin.elapsed());
}

#[test]
fn an_expired_ticket_is_reported() {
    let kdc = Kdc::start();
    kdc.kinit(&["-l", "2m"]);
    for mechanism in MECHANISMS {
        let error = first_error(&mut kdc.side_at("+30m"), initiator(mechanism, None));
        expect(&error, "TicketExpired", -1_765_328_352, false, false);
    }
}

#[test]
fn clock_skew_is_reported() {
    let kdc = Kdc::start();
    kdc.kinit(&[]);
    let error = handshake(
        &mut kdc.side(),
        &mut kdc.side_at("+10m"),
        initiator("kerberos", None),
        acceptor("kerberos"),
    )
    .unwrap_err();
    assert_eq!(error["acceptor"]["problem"], "ClockSkew", "{error}");
    expect(&error["initiator"], "ClockSkew", -1_765_328_347, false, false);
}

#[test]
fn a_service_with_another_key_is_reported() {
    let kdc = Kdc::start();
    kdc.kinit(&[]);
    kdc.kadmin("addprinc -randkey HTTP/other");
    kdc.kadmin(&format!("ktadd -k {} HTTP/other", kdc.path("other").display()));
    let other = kdc.path("other");
    let mut server = kdc.side_with("KRB5_KTNAME", other);
    let error = handshake(&mut kdc.side(), &mut server, initiator("kerberos", None), acceptor("kerberos"))
        .unwrap_err();
    expect(&error["initiator"], "WrongServiceKey", -1_765_328_349, false, false);

    let none = kdc.path("none");
    let mut server = kdc.side_with("KRB5_KTNAME", none);
    let answer = server.ask(acceptor("kerberos"));
    assert_eq!(answer["error"]["problem"], "NoKey", "{answer}");
}

#[test]
fn a_missing_library_is_reported() {
    let kdc = Kdc::start();
    let mut client = kdc.side_with("LYNCSH_GSSAPI_LIBRARY", "/nonexistent/liblyncsh-none.so.1");
    let answer = client.ask(initiator("kerberos", Some("alice")));
    expect(&answer["error"], "NoLibrary", 0, true, false);
    let text = answer["error"]["text"].as_str().unwrap();
    assert!(text.contains("liblyncsh-none.so.1") && text.contains("No such file"), "{text}");
}
