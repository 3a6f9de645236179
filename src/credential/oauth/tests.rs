use std::collections::HashMap;

use oneshot::Sender;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::*;
use crate::net::{Proxies, ProxySetting, Trust};

/// A token service; the test supplies the response to each token request.
struct Authority {
    base: Url,
    asked: mpsc::UnboundedReceiver<Request>,
}

/// The fields of a request, and the sender for its response.
type Request = (HashMap<String, String>, Sender<String>);

impl Authority {
    async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let base: Url = format!("http://{}/t", listener.local_addr().unwrap()).parse().unwrap();
        let (send, asked) = mpsc::unbounded_channel();
        let own = base.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, own.clone(), send.clone()));
            }
        });
        Self { base, asked }
    }

    fn sign_in(&self, credential: &str, folders: &Folders) -> Arc<SignIn> {
        let sign_in = self.flow("device-code", &format!("'{credential}'"), folders);
        let client = Client { authority: self.base.clone(), id: "app".to_owned() };
        let mut sign_in = Arc::into_inner(sign_in).unwrap();
        sign_in.renewals = TaskTracker::new();
        sign_in.state.get_mut().kept = Some(RefreshTokenRecord::new(&client, "r1".into()));
        Arc::new(sign_in)
    }

    fn flow(&self, flow: &str, credential: &str, folders: &Folders) -> Arc<SignIn> {
        let text = format!(
            "kind = 'wsman'\nuri = 'https://server.example/'\nauthentication = 'token'\nsign_in = '{flow}'\n\
             authority = '{}'\nclient_id = 'app'\ncredential = {credential}",
            self.base
        );
        let profile = crate::profile::parse("work", std::path::Path::new("work.toml"), &text).unwrap();
        let endpoint = profile.uri.clone().unwrap();
        let second = Duration::from_secs(1);
        let network = Network {
            trust: Trust::default(),
            proxies: Proxies::new(ProxySetting::None, None),
            connect: 30 * second,
            limit: 30 * second,
        };
        Arc::new(SignIn::new(Arc::new(profile), endpoint, network, SecretString::default(), folders))
    }

    /// Waits for the next request; returns one of its fields.
    async fn next(&mut self, field: &str) -> (String, Sender<String>) {
        let asked = tokio::time::timeout(Duration::from_secs(30), self.asked.recv()).await;
        let (mut fields, answer) = asked.unwrap().unwrap();
        (fields.remove(field).unwrap(), answer)
    }
}

async fn serve(mut stream: TcpStream, base: Url, asked: mpsc::UnboundedSender<Request>) {
    loop {
        let mut request = Vec::new();
        let mut body = None;
        while body.is_none() {
            if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
                return;
            }
            let text = String::from_utf8_lossy(&request);
            let Some((head, rest)) = text.split_once("\r\n\r\n") else { continue };
            let head = head.to_ascii_lowercase();
            assert!(head.contains("accept-encoding: identity"), "{head}");
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.map_or(0, |length| length.parse().unwrap());
            body = (rest.len() >= length).then(|| rest.to_owned());
        }
        let answer = if request.starts_with(b"GET ") {
            format!(r#"{{"token_endpoint":"{base}/token"}}"#)
        } else {
            let body = body.unwrap();
            let fields = url::form_urlencoded::parse(body.as_bytes()).into_owned().collect();
            let (reply, answer) = oneshot::channel();
            asked.send((fields, reply)).unwrap();
            answer.await.unwrap()
        };
        let status = if answer.contains("\"error\"") { "400 Bad Request" } else { "200 OK" };
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{answer}",
            answer.len()
        );
        // A cancelled request has no reader.
        let _ = stream.write_all(answer.as_bytes()).await;
    }
}

fn granted(refresh: &str) -> String {
    format!(r#"{{"access_token":"a","expires_in":3600,"refresh_token":"{refresh}"}}"#)
}

/// Starts a renewal in a separate task.
fn renewing(sign_in: &Arc<SignIn>) -> JoinHandle<Result<Token, TokenError>> {
    let sign_in = sign_in.clone();
    tokio::spawn(async move { sign_in.renew(None).await })
}

fn folders(root: &std::path::Path) -> Folders {
    Folders::find(Some(root)).unwrap()
}

#[tokio::test]
async fn a_cancelled_renewal_keeps_the_next_refresh_token() {
    let folder = tempfile::tempdir().unwrap();
    let mut authority = Authority::start().await;
    let sign_in = authority.sign_in("prompt", &folders(folder.path()));
    let renewing = renewing(&sign_in);
    let (sent, answer) = authority.next("refresh_token").await;
    assert_eq!(sent, "r1");
    renewing.abort();
    assert!(renewing.await.unwrap_err().is_cancelled());
    answer.send(granted("r2")).unwrap();
    let renewing = tokio::spawn(async move { sign_in.renew(None).await });
    let (sent, answer) = authority.next("refresh_token").await;
    assert_eq!(sent, "r2");
    answer.send(granted("r3")).unwrap();
    renewing.await.unwrap().unwrap();
}

#[tokio::test]
async fn the_exit_waits_for_a_renewal_and_begins_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let mut authority = Authority::start().await;
    let sign_in = authority.sign_in("prompt", &folders(folder.path()));
    let renewing = renewing(&sign_in);
    let (_, answer) = authority.next("refresh_token").await;
    renewing.abort();
    assert!(!settled(&sign_in.renewals, Duration::from_millis(200)).await);
    answer.send(granted("r2")).unwrap();
    assert!(settled(&sign_in.renewals, Duration::from_secs(30)).await);
    let kept = sign_in.state.lock().await.kept.clone().unwrap();
    assert_eq!(kept.secret(), "r2");
    let error = sign_in.renew(None).await.unwrap_err();
    assert!(error.to_string().ends_with("lyncsh is exiting"), "{error}");
    assert!(authority.asked.try_recv().is_err());
}

#[tokio::test]
async fn the_next_refresh_token_is_kept_even_if_the_token_cannot_be_used() {
    let folder = tempfile::tempdir().unwrap();
    let mut authority = Authority::start().await;
    let sign_in = authority.sign_in("prompt", &folders(folder.path()));
    for (expected, answer) in [("r1", r#"{"access_token":"a","refresh_token":"r2"}"#), ("r2", "{}")] {
        let renewing = sign_in.clone();
        let renewing = tokio::spawn(async move { renewing.renew(None).await });
        let (sent, reply) = authority.next("refresh_token").await;
        assert_eq!(sent, expected);
        reply.send(answer.to_owned()).unwrap();
        assert!(renewing.await.unwrap().is_err());
    }
}

#[tokio::test]
async fn a_federated_token_is_read_for_each_request() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("assertion");
    let write = |text: &str| {
        use std::io::Write as _;
        let mut file = crate::platform::private_file().create(true).truncate(true).open(&file).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    };
    let mut authority = Authority::start().await;
    let credential = format!("{{ file = '{}' }}", file.display());
    let sign_in = authority.flow("federated", &credential, &folders(folder.path()));
    for assertion in ["first", "second"] {
        write(&format!("{assertion}\n"));
        let renewing = sign_in.clone();
        let renewing = tokio::spawn(async move { renewing.renew(None).await });
        let (sent, reply) = authority.next("client_assertion").await;
        assert_eq!(sent, assertion);
        reply.send(granted("")).unwrap();
        renewing.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_suberror_decides_about_a_missing_consent() {
    let folder = tempfile::tempdir().unwrap();
    let mut authority = Authority::start().await;
    let credential = "{ command = 'echo assertion' }";
    let sign_in = authority.flow("federated", credential, &folders(folder.path()));
    let renewing = tokio::spawn(async move { sign_in.renew(None).await });
    let (_, reply) = authority.next("client_assertion").await;
    let denied =
        r#"{"error":"invalid_grant","error_description":"AADSTS65001: x","suberror":"consent_required"}"#;
    reply.send(denied.to_owned()).unwrap();
    let error = renewing.await.unwrap().unwrap_err();
    let expected = format!(
        "cannot get a token for the application from {}: consent_required: AADSTS65001: x",
        authority.base
    );
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn one_process_at_a_time_uses_the_refresh_token_of_an_entry() {
    let folder = tempfile::tempdir().unwrap();
    let folders = folders(folder.path());
    let mut authority = Authority::start().await;
    let sign_in = authority.sign_in("keyring", &folders);
    let held = sign_in.lock(LOCK_TIMEOUT).await.unwrap();
    assert!(held.is_some());
    let renewing = tokio::spawn(async move { sign_in.renew(None).await });
    let early = tokio::time::timeout(Duration::from_millis(500), authority.asked.recv()).await;
    assert!(early.is_err(), "the lock did not prevent the request");
    drop(held);
    let (sent, answer) = authority.next("refresh_token").await;
    assert_eq!(sent, "r1");
    // A refusal stores nothing in the keyring of this machine.
    answer.send(r#"{"error":"invalid_grant"}"#.to_owned()).unwrap();
    assert!(renewing.await.unwrap().is_err());
}

#[tokio::test]
async fn a_sign_in_is_not_removed_while_a_process_uses_it() {
    let folder = tempfile::tempdir().unwrap();
    let folders = folders(folder.path());
    let held = refresh::hold(&refresh::lock_file(&folders, "entry"), LOCK_TIMEOUT).await.unwrap();
    // The keyring of this machine is not asked.
    let forgetting = tokio::time::timeout(Duration::from_millis(300), forget(&folders, "entry"));
    assert!(forgetting.await.is_err());
    drop(held);
}

#[tokio::test]
async fn a_new_sign_in_does_not_use_the_earlier_refresh_token_and_keeps_it_until_then() {
    let folder = tempfile::tempdir().unwrap();
    let mut authority = Authority::start().await;
    let sign_in = authority.sign_in("prompt", &folders(folder.path()));
    let sign_in = Arc::new(Arc::into_inner(sign_in).unwrap().replacing());
    assert!(matches!(sign_in.renew(None).await, Err(TokenError::NeedsUser { .. })));
    assert!(authority.asked.try_recv().is_err());
    assert!(sign_in.state.lock().await.kept.is_some());
}

#[test]
fn profiles_with_one_entry_share_its_lock() {
    let folder = tempfile::tempdir().unwrap();
    let folders = folders(folder.path());
    let lock = |name: &str, credential: &str| {
        let text = format!(
            "kind = 'wsman'\nuri = 'https://server.example/'\nauthentication = 'token'\nsign_in = 'device-code'\n\
             credential = {credential}"
        );
        let profile = crate::profile::parse(name, std::path::Path::new("x.toml"), &text).unwrap();
        let (endpoint, second) = (profile.uri.clone().unwrap(), Duration::from_secs(1));
        let proxies = Proxies::new(ProxySetting::None, None);
        let network = Network { trust: Trust::default(), proxies, connect: second, limit: second };
        SignIn::new(Arc::new(profile), endpoint, network, SecretString::default(), &folders).lock
    };
    let shared = "{ keyring = 'gdap-admin' }";
    assert_eq!(lock("one", shared), lock("two", shared));
    assert_ne!(lock("one", shared), lock("one", "'keyring'"));
    assert_eq!(lock("one", "'prompt'"), None);
}
