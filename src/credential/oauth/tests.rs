use oneshot::Sender;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};

use super::*;
use crate::net::{Proxies, ProxySetting, Trust};

/// A token service whose test answers each request with a refresh token.
struct Authority {
    base: Url,
    asked: mpsc::UnboundedReceiver<(String, Sender<String>)>,
}

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
        let text = format!(
            "kind = 'wsman'\nuri = 'https://server.example/'\nauthentication = 'token'\nsign_in = 'device-code'\n\
             authority = '{}'\nclient_id = 'app'\ncredential = '{credential}'",
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
        let sign_in = SignIn::new(Arc::new(profile), endpoint, network, SecretString::default(), folders);
        let client = Client { authority: self.base.clone(), id: "app".to_owned() };
        let sign_in = Arc::new(sign_in);
        sign_in.state.try_lock().unwrap().kept = Some(Kept::new(&client, "r1".into()));
        sign_in
    }

    /// Waits for the next request; returns its refresh token.
    async fn next(&mut self) -> (String, Sender<String>) {
        tokio::time::timeout(Duration::from_secs(30), self.asked.recv()).await.unwrap().unwrap()
    }
}

async fn serve(mut stream: TcpStream, base: Url, asked: mpsc::UnboundedSender<(String, Sender<String>)>) {
    loop {
        let mut request = Vec::new();
        let mut body = None;
        while body.is_none() {
            if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
                return;
            }
            let text = String::from_utf8_lossy(&request).to_ascii_lowercase();
            let Some((head, rest)) = text.split_once("\r\n\r\n") else { continue };
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.map_or(0, |length| length.parse().unwrap());
            body = (rest.len() >= length).then(|| rest.to_owned());
        }
        let answer = if request.starts_with(b"GET ") {
            format!(r#"{{"token_endpoint":"{base}/token"}}"#)
        } else {
            let body = body.unwrap();
            let mut fields = url::form_urlencoded::parse(body.as_bytes());
            let token = fields.find(|(name, _)| name == "refresh_token").unwrap().1.into_owned();
            let (reply, answer) = oneshot::channel();
            asked.send((token, reply)).unwrap();
            answer.await.unwrap()
        };
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{answer}",
            answer.len()
        );
        // A cancelled request has no reader.
        let _ = stream.write_all(answer.as_bytes()).await;
    }
}

fn granted(refresh: &str) -> String {
    format!(r#"{{"access_token":"a","expires_in":3600,"refresh_token":"{refresh}"}}"#)
}

fn folders(root: &std::path::Path) -> Folders {
    Folders::find(Some(root)).unwrap()
}

#[tokio::test]
async fn a_cancelled_renewal_keeps_the_next_refresh_token() {
    let folder = tempfile::tempdir().unwrap();
    let mut authority = Authority::start().await;
    let sign_in = authority.sign_in("prompt", &folders(folder.path()));
    let renewing = {
        let sign_in = sign_in.clone();
        tokio::spawn(async move { sign_in.renew(None).await })
    };
    let (sent, answer) = authority.next().await;
    assert_eq!(sent, "r1");
    renewing.abort();
    assert!(renewing.await.unwrap_err().is_cancelled());
    answer.send(granted("r2")).unwrap();
    let renewing = tokio::spawn(async move { sign_in.renew(None).await });
    let (sent, answer) = authority.next().await;
    assert_eq!(sent, "r2");
    answer.send(granted("r3")).unwrap();
    renewing.await.unwrap().unwrap();
}

#[tokio::test]
async fn one_process_at_a_time_uses_the_refresh_token_of_an_entry() {
    let folder = tempfile::tempdir().unwrap();
    let folders = folders(folder.path());
    let mut authority = Authority::start().await;
    let sign_in = authority.sign_in("keyring", &folders);
    let held = sign_in.lock().await.unwrap();
    assert!(held.is_some());
    let renewing = tokio::spawn(async move { sign_in.renew(None).await });
    let early = tokio::time::timeout(Duration::from_millis(500), authority.asked.recv()).await;
    assert!(early.is_err(), "the lock did not prevent the request");
    drop(held);
    let (sent, answer) = authority.next().await;
    assert_eq!(sent, "r1");
    // A refusal stores nothing in the keyring of this machine.
    answer.send(r#"{"error":"invalid_grant"}"#.to_owned()).unwrap();
    assert!(renewing.await.unwrap().is_err());
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
