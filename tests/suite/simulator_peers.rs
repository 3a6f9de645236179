//! The simulator, and a real PowerShell behind the same service, with independent clients.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lyncsh::security::sealed::{self, Protocol};
use lyncsh::security::{Account, Context, Initiator, Mechanism, challenge, initiate};
use lyncsh::simulator::{Authentication, Options, PASSWORD, Server, USER};
use serde_json::{Value, json};

use crate::front::{self, Front};
use crate::kdc::{Kdc, REALM};
use crate::program::Program;
use crate::simulator::no_shell_is_left;

/// Returns the output of a peer of `tests/peers` for an endpoint.
async fn peer(script: &'static str, url: &str, more: &'static [&'static str]) -> Value {
    let arguments = json!({ "url": url, "user": USER, "password": PASSWORD }).to_string();
    let peer = Program::peer(script).args([arguments]).args(more);
    let peer = peer.env_remove("HTTP_PROXY").env_remove("http_proxy");
    tokio::task::spawn_blocking(move || peer.run().json()).await.unwrap()
}

async fn start() -> Server {
    Server::start(Options { fixtures: true, ..Options::default() }).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cmd_shell_request_of_pywinrm_is_refused() {
    let server = start().await;
    let seen = peer("pywinrm_check.py", &server.url, &[]).await;
    assert_eq!(seen, json!({ "code": 2_150_858_811_u32, "subcode": "a:DestinationUnreachable" }));
    assert_eq!(server.shells().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn script_text_of_ansible_is_refused() {
    let server = start().await;
    let seen = peer("ansible_psrp.py", &server.url, &["Get-CsTenant"]).await;
    assert_eq!(seen[0][0], 1, "{seen}");
    assert!(seen[0][2].as_str().unwrap().contains("The syntax is not supported by this runspace"), "{seen}");
    no_shell_is_left(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ansible_runs_script_text_in_a_real_powershell() {
    let Some(pwsh) = front::powershell() else { return };
    let front = Front::start(front::Options::new(pwsh)).await.unwrap();
    let commands = &["1 + 1", "Write-Error bad", "exit 3", "throw 'x'"];
    let seen = peer("ansible_psrp.py", &front.uri, commands).await;
    assert_eq!((&seen[0][0], &seen[0][1]), (&json!(0), &json!("2")), "{seen}");
    assert!(seen[1][2].as_str().unwrap().starts_with("bad"), "{seen}");
    assert_eq!((&seen[2][0], &seen[3][0]), (&json!(3), &json!(1)), "{seen}");
    front.wait_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pypsrp_resizes_a_pool_and_runs_statements() {
    let server = start().await;
    let simulated = peer("pypsrp_pools.py", &server.url, &["simulator"]).await;
    no_shell_is_left(&server).await;
    let wanted = json!({
        "max": [[4, 4], [4, 4], [1, 1], [0, "refused"], [-1, "refused"], [10, 10], [3, 3]],
        "min": [[2, 3], [3, 3], [4, "refused"], [0, "refused"], [1, 3]],
        "reset": ["refused", "done", "busy refused"],
        "ten": 10,
        "sizes": ["refused", "refused", "refused"],
        "statements": [[2, 4, 0], [1, 4, 1], [1, 5, 1], [0, 5, 2]],
        "no host": [[5, "HostFunctionNotImplemented", "HostException"]],
    });
    assert_eq!(simulated, wanted);
    let Some(pwsh) = front::powershell() else { return };
    let front = Front::start(front::Options::new(pwsh)).await.unwrap();
    assert_eq!(peer("pypsrp_pools.py", &front.uri, &["PowerShell"]).await, wanted, "a real PowerShell");
}

async fn start_negotiated(authentication: Authentication, tls: bool) -> Server {
    Server::start(Options { fixtures: true, authentication, tls, ..Options::default() }).await.unwrap()
}

/// Over HTTPS pypsrp also sends the channel binding, which the endpoint verifies.
#[tokio::test(flavor = "multi_thread")]
async fn pypsrp_authenticates_by_ntlm_and_negotiate_with_sealed_messages() {
    for (authentication, auth, tls, encryption) in [
        (Authentication::Ntlm, "ntlm", false, "always"),
        (Authentication::Negotiate, "negotiate", false, "always"),
        (Authentication::Negotiate, "ntlm", true, "always"),
        (Authentication::Ntlm, "negotiate", true, "auto"),
    ] {
        let server = start_negotiated(authentication, tls).await;
        let mut endpoint = json!({
            "url": server.url, "user": USER, "password": PASSWORD, "auth": auth, "encryption": encryption,
        });
        if let Some(ca) = server.ca() {
            endpoint["ca"] = ca.to_str().unwrap().into();
        }
        let peer = Program::peer("pypsrp_check.py").args([endpoint.to_string()]);
        let seen = tokio::task::spawn_blocking(move || peer.run().json()).await.unwrap();
        assert_eq!((&seen["tenant"], &seen["again"]), (&json!("Litware"), &json!("Litware")), "{seen}");
        assert_eq!(seen["wrong"], "AuthenticationError");
        assert_eq!(server.refusals(), 1);
        no_shell_is_left(&server).await;
    }
}

/// Uses a separate process, because the environment names the keytab.
#[test]
fn pypsrp_authenticates_by_kerberos_with_sealed_messages() {
    let kdc = Kdc::start();
    kdc.kadmin(&format!("addprinc +requires_preauth -pw \"{PASSWORD}\" admin"));
    let server = Program::lyncsh().args(["demo", "--serve", "--fixtures", "--authentication", "negotiate"]);
    let mut server = server.envs(kdc.environment()).start();
    let ready = server.ready();
    let url = ready["url"].as_str().unwrap().replace("127.0.0.1", "localhost");
    for auth in ["kerberos", "negotiate"] {
        let endpoint = json!({
            "url": url, "user": format!("admin@{REALM}"), "password": PASSWORD, "auth": auth,
            "encryption": "always",
        });
        let peer = Program::peer("pypsrp_check.py").args([endpoint.to_string()]);
        let seen = peer.envs(kdc.environment()).run().json();
        assert_eq!((&seen["tenant"], &seen["again"]), (&json!("Litware"), &json!("Litware")), "{seen}");
    }
    assert!(kdc.log().contains("for HTTP/localhost"), "{}", kdc.log());
}

/// One HTTP connection for raw requests.
struct Connection(BufReader<TcpStream>);

struct Answer {
    status: u16,
    challenges: Vec<challenge::Offer>,
    content_type: String,
    body: Vec<u8>,
}

impl Connection {
    fn open(server: &Server) -> Self {
        let address = server.discovery.trim_start_matches("http://").trim_end_matches('/');
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Self(BufReader::new(stream))
    }

    fn post(&mut self, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let length = body.len();
        let head = format!(
            "POST /OcsPowershellLiveId HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n{headers}\r\n"
        );
        self.0.get_mut().write_all(&[head.as_bytes(), body].concat()).unwrap();
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        let status = line.split(' ').nth(1).unwrap().parse().unwrap();
        let (mut challenges, mut content_type, mut length) = (Vec::new(), String::new(), 0);
        loop {
            line.clear();
            self.0.read_line(&mut line).unwrap();
            let Some((name, value)) = line.trim().split_once(": ") else { break };
            match name {
                "www-authenticate" => challenges.push(value.to_owned()),
                "content-type" => content_type = value.to_owned(),
                "content-length" => length = value.parse().unwrap(),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        Answer { status, challenges: challenge::offers(challenges).unwrap(), content_type, body }
    }

    fn authenticate(&mut self, context: &mut dyn Context) -> Answer {
        let mut token = context.step(None).unwrap().token;
        loop {
            let header = format!("Negotiate {}", STANDARD.encode(token.unwrap()));
            let answer = self.post(&[("Authorization", &header)], b"");
            let Some(reply) = answer.challenges.first().and_then(|offer| offer.token.as_deref()) else {
                return answer;
            };
            token = context.step(Some(reply)).unwrap().token;
            if token.is_none() {
                return answer;
            }
        }
    }
}

fn initiator(mechanism: Mechanism, password: &str) -> Box<dyn Context> {
    initiate(&Initiator {
        mechanism,
        account: Account::Password {
            user: "LITWAREINC\\admin".to_owned(),
            password: password.to_owned().into(),
        },
        service: "HTTP/localhost".to_owned(),
        delegate: false,
        channel_binding: None,
        tickets: lyncsh::security::Tickets::default(),
    })
    .unwrap()
}

const IDENTIFY: &[u8] = br#"<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Header/><s:Body><i:Identify xmlns:i="http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd"/></s:Body></s:Envelope>"#;

fn one_connection(server: &Server) {
    let scheme = |answer: &Answer| {
        let offers = answer.challenges.iter().map(|offer| (offer.scheme.clone(), offer.token.is_some()));
        offers.collect::<Vec<_>>()
    };
    let bare = vec![("Negotiate".to_owned(), false)];
    for mechanism in [Mechanism::Ntlm, Mechanism::NegotiateNtlm] {
        let before = server.refusals();
        let mut connection = Connection::open(server);
        let answer = connection.post(&[], IDENTIFY);
        assert_eq!((answer.status, scheme(&answer), answer.body.len()), (401, bare.clone(), 0));
        assert_eq!(server.refusals(), before, "no attempt was made");
        for wrong in ["Negotiate", "Negotiate !", "Negotiate AAAA", "Basic YTpi"] {
            let answer = connection.post(&[("Authorization", wrong)], b"");
            assert_eq!((answer.status, scheme(&answer)), (401, bare.clone()), "{wrong}");
        }
        let answer = connection.authenticate(initiator(mechanism, "wrong").as_mut());
        assert_eq!((answer.status, scheme(&answer)), (401, bare.clone()));
        assert_eq!(server.refusals(), before + 5);

        let mut context = initiator(mechanism, PASSWORD);
        let answer = connection.authenticate(context.as_mut());
        assert_eq!((answer.status, answer.body.len()), (200, 0));
        let answer = connection.post(&[("Content-Type", "application/soap+xml")], IDENTIFY);
        assert_eq!(answer.status, 500, "a message that is not sealed");
        for _ in 0..3 {
            let content = "application/soap+xml;charset=UTF-8";
            let (head, body) = sealed::seal(context.as_mut(), Protocol::Spnego, content, IDENTIFY).unwrap();
            let answer = connection.post(&[("Content-Type", &head)], &body);
            assert_eq!(answer.status, 200);
            assert!(!String::from_utf8_lossy(&answer.body).contains("Microsoft Corporation"));
            let plain = sealed::unseal(context.as_mut(), &answer.content_type, &answer.body).unwrap();
            assert!(String::from_utf8(plain).unwrap().contains("Microsoft Corporation"));
        }
        // The context is not valid on another connection.
        let (head, body) = sealed::seal(context.as_mut(), Protocol::Spnego, "text/xml", IDENTIFY).unwrap();
        assert_eq!(Connection::open(server).post(&[("Content-Type", &head)], &body).status, 401);
        // A repeated message ends the context.
        assert_eq!(connection.post(&[("Content-Type", &head)], &body).status, 200);
        assert_eq!(connection.post(&[("Content-Type", &head)], &body).status, 400);
        assert_eq!(connection.post(&[("Content-Type", &head)], &body).status, 401);
        assert_eq!(server.refusals(), before + 5);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authenticated_connection_needs_sealed_messages() {
    let server = start_negotiated(Authentication::Negotiate, false).await;
    tokio::task::spawn_blocking(move || one_connection(&server)).await.unwrap();
}
