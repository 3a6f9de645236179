//! Security contexts: our client and acceptor with each other, with the independent pyspnego, and with hostile
//! peers.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{ChildStdin, ChildStdout, Stdio};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lyncsh::security::ntlm::{self, Binding};
use lyncsh::security::sealed::{self, Protocol};
use lyncsh::security::spnego::{self, Offered};
use lyncsh::security::{Account, Context, ContextError, Initiator, Mechanism, Sealed, Step, initiate};
use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use crate::program::{ChildGuard, Program};

const SERVICE: &str = "HTTP/server.litware.example";
const PASSWORD: &str = "correct horse \u{1f40e}";
const CONTENT_TYPE: &str = "application/soap+xml;charset=UTF-8";
/// The account in a client's notations.
const USERS: [&str; 3] = ["LITWARE\\ken", "ken@litware.example", "ken"];

fn binding(name: &str) -> Vec<u8> {
    format!("tls-server-end-point:{name}").into_bytes()
}

fn client(mechanism: Mechanism, user: &str, password: &str, binding: Option<Vec<u8>>) -> Box<dyn Context> {
    initiate(&Initiator {
        mechanism,
        account: Account::Password { user: user.to_owned(), password: password.to_owned().into() },
        service: SERVICE.to_owned(),
        delegate: false,
        channel_binding: binding,
        tickets: lyncsh::security::Tickets::default(),
    })
    .unwrap()
}

fn ntlm_acceptor(binding: Binding) -> ntlm::Acceptor {
    let accounts = |domain: &str, user: &str| {
        let known = [("LITWARE", "ken"), ("", "ken@litware.example"), ("", "ken")];
        known
            .iter()
            .any(|(d, u)| d.eq_ignore_ascii_case(domain) && u.eq_ignore_ascii_case(user))
            .then(|| PASSWORD.to_owned().into())
    };
    ntlm::Acceptor::new("SERVER", Arc::new(accounts), binding)
}

fn acceptor(mechanism: Mechanism, binding: Binding) -> Box<dyn Context> {
    match mechanism {
        Mechanism::Ntlm => Box::new(ntlm_acceptor(binding)),
        _ => Box::new(spnego::Acceptor::new(ntlm_acceptor(binding))),
    }
}

/// One side of a context in pyspnego; ends with the test.
struct Peer {
    _process: ChildGuard,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    _accounts: NamedTempFile,
}

impl Peer {
    fn start(role: &str, mechanism: Mechanism, user: &str, password: &str, binding: Option<Vec<u8>>) -> Self {
        let protocol = if mechanism == Mechanism::Ntlm { "ntlm" } else { "negotiate" };
        Self::of(protocol, role, (user, password), binding)
    }

    fn of(protocol: &str, role: &str, (user, password): (&str, &str), binding: Option<Vec<u8>>) -> Self {
        let mut accounts = NamedTempFile::new().unwrap();
        writeln!(accounts, "LITWARE:ken:{PASSWORD}\n:ken@litware.example:{PASSWORD}\n:ken:{PASSWORD}")
            .unwrap();
        let peer = Program::peer("spnego_peer.py").env("NTLM_USER_FILE", accounts.path());
        let mut process = peer.stderr(Stdio::inherit()).start();
        let (to, from) = (process.input(), process.output());
        let mut peer = Self { _process: process, to, from, _accounts: accounts };
        let binding = binding.map(|binding| STANDARD.encode(binding));
        peer.send(&json!({
            "role": role, "protocol": protocol, "user": user, "password": password, "binding": binding,
        }));
        peer
    }

    fn send(&mut self, row: &Value) {
        writeln!(self.to, "{row}").unwrap();
        self.to.flush().unwrap();
    }

    fn call(&mut self, row: Value) -> Result<Value, ContextError> {
        self.send(&row);
        let mut line = String::new();
        assert!(self.from.read_line(&mut line).unwrap() > 0, "the peer has ended");
        let answer: Value = serde_json::from_str(&line).unwrap();
        match answer["error"].as_str() {
            Some(text) => Err(ContextError::Mechanism { code: 0, text: text.to_owned() }),
            None => Ok(answer),
        }
    }

    fn seal(&mut self, body: &[u8]) -> (String, Vec<u8>) {
        let answer = self.call(json!({"call": "seal", "data": STANDARD.encode(body)})).unwrap();
        (answer["type"].as_str().unwrap().to_owned(), bytes(&answer["data"]).unwrap())
    }

    fn unseal(&mut self, body: &[u8]) -> Result<Vec<u8>, ContextError> {
        let answer = self.call(json!({"call": "unseal", "data": STANDARD.encode(body)}))?;
        Ok(bytes(&answer["data"]).unwrap())
    }
}

fn bytes(value: &Value) -> Option<Vec<u8>> {
    value.as_str().map(|text| STANDARD.decode(text).unwrap())
}

impl Context for Peer {
    fn step(&mut self, token: Option<&[u8]>) -> Result<Step, ContextError> {
        let answer = self.call(json!({"call": "step", "data": token.map(|token| STANDARD.encode(token))}))?;
        Ok(Step { token: bytes(&answer["token"]), established: answer["established"].as_bool().unwrap() })
    }

    fn wrap(&mut self, message: &[u8]) -> Result<Sealed, ContextError> {
        let answer = self.call(json!({"call": "wrap", "data": STANDARD.encode(message)}))?;
        Ok(Sealed {
            header: bytes(&answer["header"]).unwrap(),
            data: bytes(&answer["data"]).unwrap(),
            padding: answer["padding"].as_u64().unwrap() as usize,
        })
    }

    fn unwrap(&mut self, header: &[u8], data: &[u8]) -> Result<Vec<u8>, ContextError> {
        let row = json!({"call": "unwrap", "header": STANDARD.encode(header), "data": STANDARD.encode(data)});
        self.call(row).map(|answer| bytes(&answer["data"]).unwrap())
    }
}

/// Runs a handshake; returns the number of tokens that the client sent.
fn handshake(client: &mut dyn Context, server: &mut dyn Context) -> Result<usize, ContextError> {
    let mut token = None;
    let mut server_established = false;
    for sent in 1..=5 {
        let step = client.step(token.as_deref())?;
        let Some(own) = step.token else {
            assert!(step.established && server_established);
            return Ok(sent - 1);
        };
        let reply = server.step(Some(&own))?;
        server_established = reply.established;
        token = reply.token;
        if step.established && token.is_none() {
            assert!(server_established);
            return Ok(sent);
        }
    }
    panic!("the handshake has no end");
}

/// Exchanges twenty messages, an empty one and one of half a megabyte in each direction.
fn exchange(client: &mut dyn Context, server: &mut dyn Context) {
    exchange_texts(client, server);
    exchange_those(client, server, &[Vec::new()]);
}

/// Exchanges twenty messages and one of half a megabyte in each direction.
fn exchange_texts(client: &mut dyn Context, server: &mut dyn Context) {
    let mut messages: Vec<Vec<u8>> = (0..20).map(|n| format!("message {n} \u{e9}").into_bytes()).collect();
    messages.push(vec![b'x'; 500_000]);
    exchange_those(client, server, &messages);
}

fn exchange_those(client: &mut dyn Context, server: &mut dyn Context, messages: &[Vec<u8>]) {
    for message in messages {
        let sealed = client.wrap(message).unwrap();
        assert_eq!((sealed.header.len(), sealed.padding), (16, 0));
        assert!(message.is_empty() || sealed.data != *message);
        assert_eq!(server.unwrap(&sealed.header, &sealed.data).unwrap(), *message);
        let sealed = server.wrap(message).unwrap();
        assert_eq!(client.unwrap(&sealed.header, &sealed.data).unwrap(), *message);
    }
}

const BOTH: [Mechanism; 2] = [Mechanism::Ntlm, Mechanism::NegotiateNtlm];

#[test]
fn our_client_and_our_acceptor_agree() {
    for mechanism in BOTH {
        for user in USERS {
            let mut client = client(mechanism, user, PASSWORD, None);
            let mut server = acceptor(mechanism, Binding::Ignored);
            assert_eq!(handshake(client.as_mut(), server.as_mut()), Ok(2));
            exchange(client.as_mut(), server.as_mut());
        }
    }
}

#[test]
fn the_acceptor_identifies_the_client() {
    let mut client = client(Mechanism::Ntlm, "LITWARE\\Ken", PASSWORD, None);
    let mut server = ntlm_acceptor(Binding::Ignored);
    assert_eq!(server.identity(), None);
    handshake(client.as_mut(), &mut server).unwrap();
    let identity = server.identity().unwrap();
    assert_eq!((identity.domain.as_str(), identity.user.as_str()), ("LITWARE", "Ken"));
    assert_eq!(identity.service, SERVICE);
}

#[test]
fn wrong_accounts_and_bindings_are_refused() {
    let code = |error: ContextError| match error {
        ContextError::Mechanism { code, .. } => code,
        other => panic!("{other}"),
    };
    for mechanism in BOTH {
        let attempt = |user: &str, password: &str, own: Option<&str>, expected: Binding| {
            let mut client = client(mechanism, user, password, own.map(binding));
            let mut server = acceptor(mechanism, expected);
            let result = handshake(client.as_mut(), server.as_mut()).map(drop).map_err(code);
            // A failed context stays failed.
            if result.is_err() {
                assert_eq!(server.wrap(b"x"), Err(ContextError::NotEstablished));
                assert!(server.step(Some(b"NTLMSSP\0")).is_err());
            }
            result
        };
        let right = || Binding::Optional(binding("right"));
        let strict = || Binding::Required(binding("right"));
        for user in USERS {
            assert_eq!(attempt(user, "wrong", None, Binding::Ignored), Err(ntlm::LOGON_DENIED));
        }
        assert_eq!(attempt("LITWARE\\nobody", PASSWORD, None, Binding::Ignored), Err(ntlm::LOGON_DENIED));
        assert_eq!(attempt("OTHER\\ken", PASSWORD, None, Binding::Ignored), Err(ntlm::LOGON_DENIED));
        assert_eq!(attempt("nobody", "", None, Binding::Ignored), Err(ntlm::LOGON_DENIED));
        assert_eq!(attempt("ken", PASSWORD, Some("right"), right()), Ok(()));
        assert_eq!(attempt("ken", PASSWORD, Some("right"), strict()), Ok(()));
        assert_eq!(attempt("ken", PASSWORD, None, right()), Ok(()));
        assert_eq!(attempt("ken", PASSWORD, None, strict()), Err(ntlm::BAD_BINDINGS));
        assert_eq!(attempt("ken", PASSWORD, Some("wrong"), right()), Err(ntlm::BAD_BINDINGS));
        assert_eq!(attempt("ken", PASSWORD, Some("wrong"), Binding::Ignored), Ok(()));
    }
}

#[test]
fn accounts_invalid_for_ntlm_are_refused() {
    let initiator = |account| Initiator {
        mechanism: Mechanism::Ntlm,
        account,
        service: SERVICE.to_owned(),
        delegate: false,
        channel_binding: None,
        tickets: lyncsh::security::Tickets::default(),
    };
    let nobody = Account::Password { user: "LITWARE\\".to_owned(), password: "x".to_owned().into() };
    for account in [Account::System, nobody] {
        let error = initiate(&initiator(account)).err().unwrap();
        assert!(matches!(error, ContextError::Mechanism { code: ntlm::NO_CREDENTIALS, .. }), "{error}");
    }
}

#[test]
fn pyspnego_accepts_our_client() {
    for mechanism in BOTH {
        for (user, expected) in USERS.into_iter().zip(["LITWARE\\ken", "ken@litware.example", "ken"]) {
            let right = Some(binding("right"));
            let mut client = client(mechanism, user, PASSWORD, right.clone());
            let mut server = Peer::start("accept", mechanism, "", "", right);
            assert_eq!(handshake(client.as_mut(), &mut server), Ok(2));
            exchange(client.as_mut(), &mut server);
            let principal = server.call(json!({"call": "principal"})).unwrap();
            assert_eq!(principal["principal"], expected);
        }
    }
}

#[test]
fn pyspnego_refuses_wrong_credentials_and_bindings() {
    for mechanism in BOTH {
        let attempt = |password: &str, own: Option<&str>, expected: Option<&str>| {
            let mut client = client(mechanism, "LITWARE\\ken", password, own.map(binding));
            let mut server = Peer::start("accept", mechanism, "", "", expected.map(binding));
            handshake(client.as_mut(), &mut server).map_err(|error| error.to_string())
        };
        let error = attempt("wrong", None, None).unwrap_err();
        assert!(error.contains("Invalid NTLM response"), "{error}");
        let error = attempt(PASSWORD, Some("wrong"), Some("right")).unwrap_err();
        assert!(error.contains("bindings do not match"), "{error}");
        // The error reports a missing pair, not a wrong one.
        let error = attempt(PASSWORD, None, Some("right")).unwrap_err();
        assert!(error.contains("not present"), "{error}");
        assert_eq!(attempt(PASSWORD, Some("any"), None), Ok(2));
    }
}

#[test]
fn our_acceptor_accepts_pyspnego() {
    for mechanism in BOTH {
        for user in USERS {
            let right = binding("right");
            let mut client = Peer::start("initiate", mechanism, user, PASSWORD, Some(right.clone()));
            let mut server = acceptor(mechanism, Binding::Required(right));
            assert_eq!(handshake(&mut client, server.as_mut()), Ok(2));
            exchange(&mut client, server.as_mut());
        }
        let mut client = Peer::start("initiate", mechanism, "ken", "wrong", None);
        let mut server = acceptor(mechanism, Binding::Ignored);
        let error = handshake(&mut client, server.as_mut()).unwrap_err();
        assert!(matches!(error, ContextError::Mechanism { code: ntlm::LOGON_DENIED, .. }), "{error}");
        let mut client = Peer::start("initiate", mechanism, "ken", PASSWORD, Some(binding("wrong")));
        let mut server = acceptor(mechanism, Binding::Optional(binding("right")));
        let error = handshake(&mut client, server.as_mut()).unwrap_err();
        assert!(matches!(error, ContextError::Mechanism { code: ntlm::BAD_BINDINGS, .. }), "{error}");
    }
}

#[test]
fn gss_ntlmssp_accepts_our_client() {
    let right = || Some(binding("right"));
    for user in ["LITWARE\\ken", "ken"] {
        let mut client = client(Mechanism::Ntlm, user, PASSWORD, right());
        let mut server = Peer::of("gss-ntlmssp", "accept", ("", ""), right());
        assert_eq!(handshake(client.as_mut(), &mut server), Ok(2), "{user}");
        // gss-ntlmssp seals no empty message.
        exchange_texts(client.as_mut(), &mut server);
    }
    for (password, own) in [("wrong", right()), (PASSWORD, Some(binding("wrong")))] {
        let mut client = client(Mechanism::Ntlm, "ken", password, own);
        let mut server = Peer::of("gss-ntlmssp", "accept", ("", ""), right());
        handshake(client.as_mut(), &mut server).unwrap_err();
    }
}

#[test]
fn sealed_bodies_match_pypsrp() {
    for mechanism in BOTH {
        let mut client = client(mechanism, "ken", PASSWORD, None);
        let mut server = Peer::start("accept", mechanism, "", "", None);
        handshake(client.as_mut(), &mut server).unwrap();
        for body in [b"<s:Envelope/>".to_vec(), b"--Encrypted Boundary--\r\n".repeat(20_000)] {
            let (content_type, sealed) = seal(client.as_mut(), &body);
            assert!(sealed::is_sealed(&content_type));
            assert_eq!(server.unseal(&sealed).unwrap(), body);
            let (content_type, sealed) = server.seal(&body);
            assert_eq!(sealed::unseal(client.as_mut(), &content_type, &sealed).unwrap(), body);
        }
    }
}

fn seal(context: &mut dyn Context, body: &[u8]) -> (String, Vec<u8>) {
    sealed::seal(context, Protocol::Spnego, CONTENT_TYPE, body).unwrap()
}

fn pair(mechanism: Mechanism) -> (Box<dyn Context>, Box<dyn Context>) {
    let mut client = client(mechanism, "ken", PASSWORD, None);
    let mut server = acceptor(mechanism, Binding::Ignored);
    handshake(client.as_mut(), server.as_mut()).unwrap();
    (client, server)
}

#[test]
fn sealed_bodies_may_have_parts_and_exchange_spacing() {
    let (mut client, mut server) = pair(Mechanism::Ntlm);
    let (content_type, one) = seal(server.as_mut(), b"one ");
    let (_, two) = seal(server.as_mut(), b"");
    let (_, three) = seal(server.as_mut(), b"three");
    let end = b"--Encrypted Boundary--\r\n";
    let part = |body: &[u8]| body.strip_suffix(end.as_slice()).unwrap().to_vec();
    let body = [part(&one), part(&two), three].concat();
    assert_eq!(sealed::unseal(client.as_mut(), &content_type, &body).unwrap(), b"one three");

    let (_, four) = seal(server.as_mut(), b"four");
    let four: Vec<u8> = replace(&four, b"--Encrypted Boundary", b"-- Encrypted Boundary");
    let content_type = "Multipart/Encrypted; Boundary=\"Encrypted Boundary\" ;protocol=\"application/http-spnego-session-encrypted\"";
    assert_eq!(sealed::unseal(client.as_mut(), content_type, &four).unwrap(), b"four");
    let (_, five) = seal(server.as_mut(), b"five");
    let five = replace(&five, b"Encrypted Boundary", b"EB");
    assert_eq!(
        sealed::unseal(client.as_mut(), "multipart/x-multi-encrypted;boundary=EB", &five).unwrap(),
        b"five"
    );
}

fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut result = Vec::new();
    let mut rest = bytes;
    while let Some((first, after)) = rest.split_first() {
        if let Some(after) = rest.strip_prefix(from) {
            result.extend_from_slice(to);
            rest = after;
        } else {
            result.push(*first);
            rest = after;
        }
    }
    result
}

#[test]
fn wrong_sealed_bodies_name_the_step() {
    let refused = |change: &dyn Fn(String, Vec<u8>) -> (String, Vec<u8>)| {
        let (mut client, mut server) = pair(Mechanism::Ntlm);
        let (content_type, body) = seal(server.as_mut(), b"plain text");
        let (content_type, body) = change(content_type, body);
        sealed::unseal(client.as_mut(), &content_type, &body).unwrap_err().to_string()
    };
    let body = |change: &dyn Fn(&[u8]) -> Vec<u8>| refused(&|head, body| (head, change(&body)));
    for (error, expected) in [
        (refused(&|_, body| ("text/xml".to_owned(), body)), "content type is not multipart/encrypted"),
        (refused(&|_, body| ("multipart/encrypted".to_owned(), body)), "has no boundary"),
        (refused(&|_, body| ("multipart/encrypted;boundary=\"\"".to_owned(), body)), "boundary is empty"),
        (refused(&|head, body| (head.replace("SPNEGO", "CredSSP"), body)), "unknown protocol"),
        (refused(&|head, body| (head.replace("SPNEGO", "Kerberos"), body)), "another protocol"),
        (body(&|_| Vec::new()), "does not begin with its boundary"),
        (body(&|all| replace(all, b"Length=10", b"Length=9")), "a part of 9 bytes has 10"),
        (body(&|all| replace(all, b"Length=10", b"Length=11")), "no boundary follows the 11 bytes"),
        (body(&|all| replace(all, b"Length=10", b"Length=99999999999")), "no boundary follows"),
        (body(&|all| replace(all, b"Length=10", b"Length=99999999999999999999999")), "has no length"),
        (body(&|all| replace(all, b"Length=10", b"Length=-1")), "has no length"),
        (body(&|all| replace(all, b";Length=10", b"")), "has no length"),
        (body(&|all| replace(all, b"OriginalContent", b"Original")), "expected the line OriginalContent"),
        (body(&|all| replace(all, b"octet-stream", b"text")), "not application/octet-stream"),
        (body(&|all| replace(all, b"\x10\0\0\0", b"\xff\xff\xff\xff")), "signature of 4294967295 bytes"),
        (body(&|all| replace(all, b"\x10\0\0\0\x01", b"\x0f\0\0\0\x01")), "expected 16 bytes, got 15"),
        (body(&|all| replace(all, b"\x10\0\0\0\x01", b"\x10\0\0\0\x02")), "expected version 1, got 2"),
        (body(&|all| replace(all, b"--\r\n", b"--\r\n--Encrypted Boundary")), "has data after its end"),
        (body(&|all| replace(all, b"Boundary--\r\n", b"Boundary")), "ends within the lines"),
    ] {
        assert!(error.contains(expected), "{error}, not {expected}");
    }
    // The last byte before the final boundary belongs to the message.
    let error = body(&|all| {
        let mut all = all.to_vec();
        let last = all.len() - b"--Encrypted Boundary--\r\n".len() - 1;
        all[last] ^= 1;
        all
    });
    assert!(error.contains("the signature of a sealed message is wrong"), "{error}");
    let (mut client, mut server) = pair(Mechanism::Ntlm);
    let (content_type, body) = seal(server.as_mut(), b"one");
    sealed::unseal(client.as_mut(), &content_type, &body).unwrap();
    let error = sealed::unseal(client.as_mut(), &content_type, &body).unwrap_err();
    assert_eq!(error, ContextError::Unverified("expected the sealed message 1, got 0".to_owned()));
}

#[test]
fn every_truncation_is_an_error() {
    let (_, mut server) = pair(Mechanism::Ntlm);
    let (content_type, body) = seal(server.as_mut(), b"plain text");
    for length in 0..body.len() - 2 {
        let (mut client, _) = pair(Mechanism::Ntlm);
        assert!(sealed::unseal(client.as_mut(), &content_type, &body[..length]).is_err(), "{length}");
    }
    for mechanism in BOTH {
        let mut first = client(mechanism, "ken", PASSWORD, None);
        let negotiate = first.step(None).unwrap().token.unwrap();
        let challenge = acceptor(mechanism, Binding::Ignored).step(Some(&negotiate)).unwrap().token.unwrap();
        for length in 0..challenge.len() {
            let mut client = client(mechanism, "ken", PASSWORD, None);
            client.step(None).unwrap();
            assert!(client.step(Some(&challenge[..length])).is_err(), "{length}");
        }
        // Only the head of NTLM's first message is read.
        let least = if mechanism == Mechanism::Ntlm { 16 } else { negotiate.len() };
        for length in 0..least {
            assert!(
                acceptor(mechanism, Binding::Ignored).step(Some(&negotiate[..length])).is_err(),
                "{length}"
            );
        }
    }
}

#[test]
fn servers_without_128_bit_sealing_are_refused() {
    let mut server = ntlm_acceptor(Binding::Ignored);
    let mut first = client(Mechanism::Ntlm, "ken", PASSWORD, None);
    let challenge = server.step(first.step(None).unwrap().token.as_deref()).unwrap().token.unwrap();
    for (byte, bit, name) in [
        (20, 0x01, "Unicode"),
        (20, 0x20, "sealing"),
        (22, 0x08, "extended session security"),
        (23, 0x20, "128-bit keys"),
        (23, 0x40, "key exchange"),
    ] {
        let mut weak = challenge.clone();
        weak[byte] &= !bit;
        let mut client = client(Mechanism::Ntlm, "ken", PASSWORD, None);
        client.step(None).unwrap();
        let error = client.step(Some(&weak)).unwrap_err();
        assert_eq!(error.to_string(), format!("the server's NTLM lacks {name} (0x80090302)"));
        assert_eq!(client.wrap(b"x"), Err(ContextError::NotEstablished));
    }
}

#[test]
fn changed_handshakes_are_refused() {
    // Change every third bit of the NEGOTIATE message, which the MIC covers.
    let mut judged = 0;
    for bit in (0..8 * 40).step_by(3) {
        let mut client = client(Mechanism::Ntlm, "ken", PASSWORD, None);
        let mut server = ntlm_acceptor(Binding::Ignored);
        let negotiate = client.step(None).unwrap().token.unwrap();
        let mut changed = negotiate.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let Ok(step) = server.step(Some(&changed)) else { continue };
        let Ok(step) = client.step(step.token.as_deref()) else { continue };
        assert!(server.step(step.token.as_deref()).is_err(), "{bit}");
        judged += 1;
    }
    assert!(judged > 0);
}

#[test]
fn messages_before_the_end_of_a_handshake_are_refused() {
    for mechanism in BOTH {
        let mut client = client(mechanism, "ken", PASSWORD, None);
        let mut server = acceptor(mechanism, Binding::Ignored);
        assert_eq!(client.wrap(b"x"), Err(ContextError::NotEstablished));
        let step = server.step(client.step(None).unwrap().token.as_deref()).unwrap();
        assert_eq!(client.unwrap(&[0; 16], b"x"), Err(ContextError::NotEstablished));
        assert_eq!(server.wrap(b"x"), Err(ContextError::NotEstablished));
        let last = client.step(step.token.as_deref()).unwrap();
        assert_eq!(last.established, mechanism == Mechanism::Ntlm);
    }
}

#[test]
fn a_server_must_sign_the_list_of_mechanisms() {
    for change in [0, 1, 2] {
        let mut client = client(Mechanism::NegotiateNtlm, "ken", PASSWORD, None);
        let mut server = acceptor(Mechanism::NegotiateNtlm, Binding::Ignored);
        let step = server.step(client.step(None).unwrap().token.as_deref()).unwrap();
        let last = client.step(step.token.as_deref()).unwrap();
        let mut reply = server.step(last.token.as_deref()).unwrap().token.unwrap();
        // 29 bytes with the signature, as Windows sends; 9 without.
        assert_eq!(reply.len(), 29);
        match change {
            0 => *reply.last_mut().unwrap() ^= 1,
            1 => reply[18] ^= 1,
            _ => reply = vec![0xa1, 7, 0x30, 5, 0xa0, 3, 0x0a, 1, 0],
        }
        let error = client.step(Some(&reply)).unwrap_err();
        assert!(matches!(error, ContextError::Unverified(_)), "{error}");
        assert_eq!(client.wrap(b"x"), Err(ContextError::NotEstablished));
    }
}

#[test]
fn a_rejected_negotiation_is_a_clear_error() {
    let mut client = client(Mechanism::NegotiateNtlm, "ken", PASSWORD, None);
    client.step(None).unwrap();
    let error = client.step(Some(&[0xa1, 7, 0x30, 5, 0xa0, 3, 0x0a, 1, 2])).unwrap_err();
    assert!(error.to_string().contains("rejected the SPNEGO negotiation"), "{error}");
    for reply in [
        // Completed too early; another mechanism; no token; an unknown state.
        [0xa1, 7, 0x30, 5, 0xa0, 3, 0x0a, 1, 0].as_slice(),
        &[0xa1, 9, 0x30, 7, 0xa1, 5, 0x06, 3, 1, 2, 3],
        &[0xa1, 7, 0x30, 5, 0xa0, 3, 0x0a, 1, 3],
        &[0xa1, 7, 0x30, 5, 0xa0, 3, 0x0a, 1, 4],
    ] {
        let mut client = self::client(Mechanism::NegotiateNtlm, "ken", PASSWORD, None);
        client.step(None).unwrap();
        let error = client.step(Some(reply)).unwrap_err();
        assert!(matches!(error, ContextError::Malformed { .. }), "{error}");
    }
}

#[test]
fn offers_are_read() {
    let ntlm = client(Mechanism::Ntlm, "ken", PASSWORD, None).step(None).unwrap().token.unwrap();
    let offer = spnego::offer(&ntlm).unwrap();
    assert_eq!((offer.spnego, offer.mechanisms), (false, vec![Offered::Ntlm]));
    let token = client(Mechanism::NegotiateNtlm, "ken", PASSWORD, None).step(None).unwrap().token.unwrap();
    let offer = spnego::offer(&token).unwrap();
    assert_eq!((offer.spnego, offer.mechanisms), (true, vec![Offered::Ntlm]));
    let token = Peer::start("initiate", Mechanism::NegotiateNtlm, "ken", PASSWORD, None).step(None).unwrap();
    let offer = spnego::offer(&token.token.unwrap()).unwrap();
    assert!(offer.spnego && offer.mechanisms.contains(&Offered::Ntlm));
    // The beginning of an AP-REQ: the object identifier of Kerberos and a token id.
    let kerberos = b"\x60\x0f\x06\x09\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x01\x00\x6e\x00";
    let offer = spnego::offer(kerberos).unwrap();
    assert_eq!((offer.spnego, offer.mechanisms), (false, vec![Offered::Kerberos]));
    assert!(spnego::offer(b"").is_err());
    assert!(spnego::offer(b"\x60\x84\xff\xff\xff\xff").is_err());
}

/// Tokens of a megabyte, and lengths that exceed the token.
#[test]
fn large_tokens_are_errors() {
    let mut ntlm = b"NTLMSSP\0\x02\0\0\0".to_vec();
    ntlm.extend(std::iter::repeat_n(0xff, 1 << 20));
    let mut der = vec![0xa1, 0x83, 0x10, 0, 0];
    der.extend(std::iter::repeat_n(0x30, 1 << 20));
    for token in [ntlm, der, vec![0; 1 << 20], vec![0x60, 0x84, 0xff, 0xff, 0xff, 0xff]] {
        for mechanism in BOTH {
            let mut client = client(mechanism, "ken", PASSWORD, None);
            client.step(None).unwrap();
            assert!(client.step(Some(&token)).is_err());
            assert!(acceptor(mechanism, Binding::Ignored).step(Some(&token)).is_err());
        }
    }
}

/// Returns a token with some bytes changed.
fn mutate(token: &[u8], changes: &[(usize, u8)]) -> Vec<u8> {
    let mut token = token.to_vec();
    for (at, byte) in changes {
        let at = at % token.len();
        token[at] = *byte;
    }
    token
}

proptest! {
    #[test]
    fn any_token_is_read_without_panic(token: Vec<u8>, kind in 1..4_u8) {
        let with_head = [b"NTLMSSP\0".as_slice(), &[kind, 0, 0, 0], &token].concat();
        for token in [token, with_head] {
            let _ = spnego::offer(&token);
            for mechanism in BOTH {
                let mut client = client(mechanism, "ken", PASSWORD, None);
                client.step(None).unwrap();
                let _ = client.step(Some(&token));
                let mut server = acceptor(mechanism, Binding::Ignored);
                let _ = server.step(Some(&token));
                let _ = server.step(Some(&token));
            }
        }
    }

    #[test]
    fn mutated_tokens_never_authenticate(changes in proptest::collection::vec((0..400_usize, any::<u8>()), 1..6)) {
        // The bytes of SPNEGO's own structures are not signed, those of NTLM are.
        let mechanism = Mechanism::Ntlm;
        let mut client = client(mechanism, "ken", PASSWORD, None);
        let mut server = acceptor(mechanism, Binding::Ignored);
        let negotiate = client.step(None).unwrap().token.unwrap();
        let challenge = server.step(Some(&negotiate)).unwrap().token.unwrap();
        let changed = mutate(&challenge, &changes);
        if let Ok(step) = client.step(Some(&changed)) {
            let result = server.step(step.token.as_deref());
            prop_assert!(result.is_err() || changed == challenge);
        }
        let mut client = self::client(mechanism, "ken", PASSWORD, None);
        let mut server = acceptor(mechanism, Binding::Ignored);
        let challenge = server.step(client.step(None).unwrap().token.as_deref()).unwrap().token.unwrap();
        let last = client.step(Some(&challenge)).unwrap().token.unwrap();
        let changed = mutate(&last, &changes);
        let result = server.step(Some(&changed));
        prop_assert!(result.is_err() || changed == last);
    }

    #[test]
    fn any_sealed_body_is_read_without_panic(body: Vec<u8>, content_type in ".{0,40}") {
        let (mut client, _) = pair(Mechanism::Ntlm);
        let head = "multipart/encrypted;boundary=\"B\"";
        let _ = sealed::unseal(client.as_mut(), head, &[b"--B\r\n", body.as_slice()].concat());
        let _ = sealed::unseal(client.as_mut(), head, &body);
        let _ = sealed::unseal(client.as_mut(), &format!("multipart/encrypted;{content_type}"), &body);
    }

    #[test]
    fn mutated_sealed_bodies_give_the_text_or_an_error(
        changes in proptest::collection::vec((0..400_usize, any::<u8>()), 1..4)
    ) {
        let (mut client, mut server) = pair(Mechanism::Ntlm);
        let (content_type, body) = seal(server.as_mut(), b"plain text");
        if let Ok(plain) = sealed::unseal(client.as_mut(), &content_type, &mutate(&body, &changes)) {
            prop_assert_eq!(plain, b"plain text");
        }
    }
}
