//! Invalid answers of token services: each is an error with the step, within its time limit.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::access::fails;
use crate::agent_world::World;
use crate::wsman_client_http::{Answer, ReceivedRequest, Server, http};

const JSON: [(&str, &str); 1] = [("Content-Type", "application/json")];
const HTML: [(&str, &str); 1] = [("Content-Type", "text/html")];

/// 2 MB, compressed.
static PACKED: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(&vec![b' '; 2 << 20]).unwrap();
    packed.finish().unwrap()
});

fn profile(world: &World, base: &str, flow: &str) {
    std::fs::create_dir_all(world.folders.profiles()).unwrap();
    let credential = if flow == "device-code" { "'prompt'" } else { "{ command = 'echo s3cret' }" };
    let text = format!(
        "kind = 'wsman'\nuri = '{base}/wsman'\nauthentication = 'token'\nsign_in = '{flow}'\nauthority = '{base}/t'\n\
         client_id = 'app'\nshell = 'console'\ncredential = {credential}\n[timeouts]\ntoken = '2s'\n"
    );
    std::fs::write(world.folders.profile("work"), text).unwrap();
}

/// Returns metadata whose addresses are at `base`.
fn metadata(base: &str) -> Answer {
    let text = format!(
        r#"{{"token_endpoint":"{base}/token","authorization_endpoint":"{base}/auth","device_authorization_endpoint":"{base}/device"}}"#
    );
    http("200 OK", &JSON, text.as_bytes())
}

/// The answers of a service at an address; `None` for its metadata.
type Answers = fn(&ReceivedRequest, &str) -> Answer;

/// Runs `lyncsh work` against a service with these answers; returns what it prints.
async fn printed(flow: &'static str, answer: Answers) -> (String, Duration) {
    let base = Arc::new(std::sync::OnceLock::new());
    let own = base.clone();
    let server = Server::start(None, move |asked| {
        let base: Arc<std::sync::OnceLock<String>> = own.clone();
        async move {
            let base = base.get().unwrap();
            match answer(&asked, base) {
                None if asked.path.ends_with("/openid-configuration") => metadata(base),
                answer => answer,
            }
        }
    })
    .await;
    base.set(format!("http://127.0.0.1:{}", server.port)).unwrap();
    let base = base.get().unwrap().clone();
    tokio::task::spawn_blocking(move || {
        let world = World::without_endpoint();
        profile(&world, &base, flow);
        let printed = fails(&world, &[]);
        (printed.text.replace(&base, "BASE"), printed.after)
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_answer_is_an_error_with_its_step() {
    let cases: [(&'static str, Answers, &str); 11] = [
        (
            "client-secret",
            |_, _| http("200 OK", &HTML, b"<html>Please sign in</html>"),
            "cannot read the metadata of BASE/t: the answer of BASE/t/.well-known/openid-configuration is not metadata",
        ),
        (
            "client-secret",
            |_, _| http("404 Not Found", &HTML, b"x"),
            "cannot read the metadata of BASE/t: BASE/t/.well-known/openid-configuration answered 404 Not Found",
        ),
        (
            "client-secret",
            |asked, _| {
                asked.path.ends_with("configuration").then(|| metadata("https://evil.example").unwrap())
            },
            "it names an address of another service, https://evil.example/token",
        ),
        (
            "client-secret",
            |asked, _| {
                (asked.path == "/token").then(|| http("200 OK", &HTML, b"<html>s3cret</html>").unwrap())
            },
            "cannot get a token for the application from BASE/t: expected a token as JSON, got 200 OK (text/html)",
        ),
        (
            "client-secret",
            |asked, _| {
                (asked.path == "/token")
                    .then(|| http("200 OK", &JSON, br#"{"access_token":"s3cret"}"#).unwrap())
            },
            "cannot get a token for the application from BASE/t: its token has no expiry (expires_in)",
        ),
        (
            "client-secret",
            |asked, _| {
                // lyncsh must not read all of the 200 MB.
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 200 << 20);
                (asked.path == "/token").then(|| [head.as_bytes(), &vec![b' '; 2 << 20]].concat())
            },
            "cannot get a token for the application from BASE/t: its answer has more than 1048576 bytes",
        ),
        (
            "client-secret",
            |asked, _| {
                let text = br#"{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret provided.\r\nTrace ID: t-1","error_codes":[7000215]}"#;
                (asked.path == "/token").then(|| http("401 Unauthorized", &JSON, text).unwrap())
            },
            "BASE/t: invalid_client: AADSTS7000215: Invalid client secret provided. help: Check client_id",
        ),
        (
            "device-code",
            |asked, _| {
                let text = br#"{"device_code":"d","user_code":"u","verification_uri":"http://evil.example/","expires_in":9}"#;
                (asked.path == "/device").then(|| http("200 OK", &JSON, text).unwrap())
            },
            "cannot request a device code from BASE/t: its page",
        ),
        (
            "device-code",
            |asked, _| {
                match asked.path.as_str() {
                "/device" => http(
                    "200 OK",
                    &JSON,
                    br#"{"device_code":"d","user_code":"u","verification_uri":"https://a.example/","expires_in":600,"interval":1}"#,
                ),
                "/token" => http("200 OK", &JSON, &vec![b' '; 2 << 20]),
                _ => None,
            }
            },
            "cannot get the token for the device code from BASE/t: its answer has more than 1048576 bytes",
        ),
        (
            "client-secret",
            |asked, _| {
                let encoding = [JSON[0], ("Content-Encoding", "gzip")];
                (asked.path == "/token").then(|| http("200 OK", &encoding, &PACKED).unwrap())
            },
            "cannot get a token for the application from BASE/t: its answer has more than 1048576 bytes",
        ),
        (
            "device-code",
            |asked, _| {
                match asked.path.as_str() {
                "/device" => http(
                    "200 OK",
                    &JSON,
                    br#"{"device_code":"d","user_code":"u","verification_uri":"https://a.example/","expires_in":2,"interval":1}"#,
                ),
                "/token" => http("400 Bad Request", &JSON, br#"{"error":"authorization_pending"}"#),
                _ => None,
            }
            },
            "cannot get the token for the device code from BASE/t: the user did not sign in within 2s help: run the \
             command again, and sign in within the time limit",
        ),
    ];
    // Compressed in advance, because this would take part of the request's time limit.
    LazyLock::force(&PACKED);
    for (flow, answer, expected) in cases {
        let (text, after) = printed(flow, answer).await;
        assert!(text.contains(expected), "{expected}\n{text}");
        assert!(!text.contains("s3cret") && !text.contains("Trace ID"), "{text}");
        assert!(after < Duration::from_secs(30), "{after:?}: {text}");
    }
}

#[test]
fn an_answer_of_one_byte_a_second_ends_at_the_time_limit() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://127.0.0.1:{}", listener.local_addr().unwrap().port());
    let own = base.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, base) = (stream.unwrap(), own.clone());
            std::thread::spawn(move || {
                let mut head = [0; 4096];
                // The connection of the first request may also have the second one.
                while stream.read(&mut head).is_ok_and(|read| head[..read].starts_with(b"GET ")) {
                    let _ = stream.write_all(&metadata(&base).unwrap());
                }
                let _ = stream.write_all(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n",
                );
                while stream.write_all(b" ").is_ok() {
                    std::thread::sleep(Duration::from_secs(1));
                }
            });
        }
    });
    let world = World::without_endpoint();
    profile(&world, &base, "client-secret");
    let printed = fails(&world, &[]);
    let expected =
        format!("cannot get a token for the application from {base}/t: no complete answer within 2s");
    assert!(printed.text.contains(&expected), "{}", printed.text);
    assert!(printed.after < Duration::from_secs(15), "{:?}", printed.after);
}
