//! Sign-in with every token flow at an independent OpenID provider (npm's oidc-provider).

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lyncsh::simulator::{Options, PASSWORD, Server as Simulator, USER};
use serde_json::{Value, json};

use crate::agent_world::World;
use crate::credential::{files_with, in_session};
use crate::passwords::forwarded;
use crate::program::{ChildGuard, Program, Ran};
use crate::proxy_peer;
use crate::wsman_client_http::{ReceivedRequest, Server, http};

/// Returns the path of a script of the peer.
fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/oidc").join(name)
}

/// A running provider.
pub struct Provider {
    _child: ChildGuard,
    pub issuer: String,
}

impl Provider {
    pub fn start(options: &Value) -> Self {
        let own = concat!(env!("CARGO_MANIFEST_DIR"), "/target/oidc");
        let packages = std::env::var("LYNCSH_TEST_OIDC").unwrap_or_else(|_| own.to_owned());
        let mut child = Program::new("node")
            .args([script("server.mjs"), options.to_string().into()])
            .env("LYNCSH_TEST_OIDC", packages)
            .stderr(Stdio::null())
            .start();
        let issuer = child.ready()["issuer"].as_str().unwrap().to_owned();
        Self { _child: child, issuer }
    }

    fn test(&self, path: &str) -> String {
        self.issuer.replace("/tenant", &format!("/test/{path}"))
    }
}

/// An endpoint that accepts the provider's tokens.
struct Endpoint {
    uri: String,
    simulator: Simulator,
    client: reqwest::Client,
    grants: String,
    /// Number of requests with a refused token.
    refused: Arc<AtomicUsize>,
    /// Accounts and applications of the accepted tokens.
    seen: Arc<Mutex<Vec<String>>>,
    _server: Server,
}

impl Endpoint {
    async fn start(provider: &Provider) -> Self {
        let simulator = Simulator::start(Options::default()).await.unwrap();
        let origin = url::Url::parse(&simulator.url).unwrap().origin().ascii_serialization();
        let client = crate::simulator::http();
        let (refused, seen) = (Arc::<AtomicUsize>::default(), Arc::<Mutex<Vec<String>>>::default());
        let (check, issuer) = (provider.test("token"), provider.issuer.clone());
        let (http_client, refusals, accounts) = (client.clone(), refused.clone(), seen.clone());
        let server = Server::start(None, move |asked| {
            let (client, url) = (http_client.clone(), format!("{origin}{}", asked.path));
            let (check, issuer) = (check.clone(), issuer.clone());
            let (refusals, accounts) = (refusals.clone(), accounts.clone());
            async move {
                let header = |name: &str| {
                    let lines = asked.head.lines().filter_map(|line| line.split_once(": "));
                    lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
                };
                let bearer = header("authorization");
                let token = match bearer {
                    Some(bearer) => {
                        let answer = client.get(check).header("Authorization", bearer).send().await.ok()?;
                        serde_json::from_slice::<Value>(&answer.bytes().await.ok()?).ok()?
                    }
                    None => Value::Null,
                };
                if token["active"] != true {
                    refusals.fetch_add(usize::from(bearer.is_some()), Ordering::SeqCst);
                    let challenge =
                        format!("Bearer client_id=\"device\", authorization_uri=\"{issuer}/token\"");
                    return http("401 Unauthorized", &[("WWW-Authenticate", &challenge)], b"");
                }
                let account = token["account"].as_str().or(token["client"].as_str()).unwrap().to_owned();
                accounts.lock().unwrap().push(account);
                let basic = format!("Basic {}", STANDARD.encode(format!("{USER}:{PASSWORD}")));
                let kind = header("content-type").unwrap_or_default();
                let head = format!("Authorization: {basic}\r\nContent-Type: {kind}\r\n");
                forwarded(&client, &url, &ReceivedRequest { head, ..asked.clone() }).await
            }
        })
        .await;
        Self {
            uri: format!("http://127.0.0.1:{}/OcsPowershellLiveId", server.port),
            simulator,
            client,
            grants: provider.test("grants"),
            refused,
            seen,
            _server: server,
        }
    }

    fn profile(&self, more: &str) -> String {
        format!("kind = 'wsman'\nuri = '{}'\nauthentication = 'token'\nshell = 'console'\n{more}\n", self.uri)
    }

    /// Returns the grants of the provider, and all tokens that it issued.
    async fn grants(&self) -> (Vec<String>, Vec<String>) {
        let answer = self.client.get(&self.grants).send().await.unwrap().bytes().await.unwrap();
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        let texts = |key: &str| serde_json::from_value(answer[key].clone()).unwrap();
        (texts("grants"), texts("tokens"))
    }

    fn accounts(&self) -> Vec<String> {
        let mut seen = self.seen.lock().unwrap().clone();
        seen.dedup();
        seen
    }
}

fn put(world: &World, text: &str) {
    std::fs::create_dir_all(world.folders.profiles()).unwrap();
    std::fs::write(world.folders.profile("work"), text).unwrap();
}

/// Writes a file that only its owner can read.
fn private(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}

/// Runs a console with a command; returns exit code, output and errors.
fn run(world: &World, arguments: &[&str]) -> (i32, String, String) {
    world.program(&[&["work"], arguments].concat()).stdin("Get-CsTenant\nexit\n").run().parts()
}

/// Reads the lines of a program's standard error until one contains `wanted`.
fn line(child: &mut Child, wanted: &str) -> String {
    let lines = BufReader::new(child.stderr.as_mut().unwrap()).lines();
    let mut seen = String::new();
    for line in lines.map_while(Result::ok) {
        if line.contains(wanted) {
            return line;
        }
        seen.push_str(&line);
    }
    panic!("no {wanted:?} in {seen}");
}

fn assert_no_secret(world: &World, printed: &str, tokens: &[String]) {
    assert!(!tokens.is_empty());
    for token in tokens {
        assert!(!printed.contains(token.as_str()), "{printed}");
        assert_eq!(files_with(world.root(), token), Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_signs_in_with_a_code_and_a_refresh_token_continues_the_session() {
    const LIFETIME: Duration = Duration::from_secs(5);
    let provider = Provider::start(&json!({ "ttl": { "AccessToken": LIFETIME.as_secs() } }));
    let endpoint = Endpoint::start(&provider).await;
    let world = World::without_endpoint();
    // The endpoint's challenge names the service and the application.
    put(&world, &endpoint.profile("sign_in = 'device-code'\nscope = 'openid offline_access shell'"));
    let seen = endpoint.seen.clone();
    let (world, out) = tokio::task::spawn_blocking(move || {
        // The refresh token is not stored.
        let console =
            world.program(&["-vvv", "work"]).env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent");
        let mut child = console.start();
        let invited = line(&mut child.0, "enter the code");
        let words: Vec<&str> = invited.split_whitespace().collect();
        let after = |word: &str| words[words.iter().rposition(|one| *one == word).unwrap() + 1];
        let browser = script("browser.mjs");
        let page = Program::new("node").args([browser, after("open").into(), after("code").into()]).run();
        let (page, _) = page.combined_output();
        assert!(page.contains("Success"), "{page}");
        assert!(
            crate::program::holds(crate::program::PATIENCE, || !seen.lock().unwrap().is_empty()),
            "no session"
        );
        // The token of the session has expired.
        std::thread::sleep(LIFETIME);
        child.input().write_all(b"Get-CsTenant\nexit\n").unwrap();
        let (out, good) = child.ran().combined_output();
        assert!(good, "{out}");
        (world, out)
    })
    .await
    .unwrap();
    assert!(out.contains("Litware"), "{out}");
    assert_eq!(endpoint.accounts(), ["ken"]);
    let (grants, tokens) = endpoint.grants().await;
    let (first, others) = grants.split_first().unwrap();
    assert_eq!(first, "urn:ietf:params:oauth:grant-type:device_code");
    assert!(!others.is_empty() && others.iter().all(|grant| grant == "refresh_token"), "{grants:?}");
    assert_eq!(endpoint.refused.load(Ordering::SeqCst), 0, "{grants:?}");
    assert_no_secret(&world, &out, &tokens);
    assert!(endpoint.simulator.shells().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unused_device_code_expires() {
    let provider = Provider::start(&json!({ "ttl": { "DeviceCode": 2 } }));
    let endpoint = Endpoint::start(&provider).await;
    let world = World::without_endpoint();
    put(&world, &endpoint.profile("sign_in = 'device-code'\ncredential = 'prompt'\nscope = 'openid'"));
    let (code, _, err) = tokio::task::spawn_blocking(move || run(&world, &[])).await.unwrap();
    assert_eq!(code, 3, "{err}");
    let words = crate::program::one_line(&err);
    assert!(words.contains("cannot get the token for the device code from http://127.0.0.1:"), "{words}");
    // The address may be wrapped.
    assert!(
        words.contains("tenant: the user did not sign in within 2s help: run the command again"),
        "{words}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_signs_in_with_the_browser() {
    let provider = Provider::start(&json!({}));
    let endpoint = Endpoint::start(&provider).await;
    let world = World::without_endpoint();
    let more = format!(
        "sign_in = 'browser'\nuser = 'ken@litwareinc.com'\ncredential = 'prompt'\nauthority = '{}'\n\
         client_id = 'browser'\nscope = 'openid offline_access shell'",
        provider.issuer
    );
    put(&world, &endpoint.profile(&more));
    let bin = world.root().join("bin");
    std::fs::create_dir(&bin).unwrap();
    let opener = format!(
        "#!/bin/sh\nexec node '{}' \"$1\" >'{}' 2>&1\n",
        script("browser.mjs").display(),
        world.root().join("page").display()
    );
    std::fs::write(bin.join("xdg-open"), opener).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(bin.join("xdg-open"), mode).unwrap();
    let (world, (code, out, err)) = tokio::task::spawn_blocking(move || {
        let usual = crate::agent_world::path_without_powershell();
        let path = std::env::join_paths(std::iter::once(bin).chain(std::env::split_paths(&usual))).unwrap();
        let console = world.program(&["work"]).env("PATH", path).stdin("Get-CsTenant\nexit\n");
        let ran = console.run().parts();
        (world, ran)
    })
    .await
    .unwrap();
    let page = std::fs::read_to_string(world.root().join("page")).unwrap_or_default();
    assert_eq!(code, 0, "{out}{err}{page}");
    assert!(out.contains("Litware"), "{out}{err}");
    assert!(err.contains("Sign in for 'work' in the browser"), "{err}");
    assert!(page.contains("You are signed in. You can close this window."), "{page}");
    // The page proposes the user of the profile.
    assert_eq!(endpoint.accounts(), ["ken@litwareinc.com"]);
    let (grants, tokens) = endpoint.grants().await;
    assert_eq!(grants, ["authorization_code"]);
    assert_no_secret(&world, &format!("{out}{err}"), &tokens);
}

/// Returns the lines of a shell that run a command in `folder` and sign in with its code.
fn invited(folder: &Path, command: &str) -> String {
    let folder = folder.display();
    let browser = script("browser.mjs").display().to_string();
    format!(
        "cd '{folder}'; : >err; {command} 2>err & waits=$!\n\
         until grep -q 'enter the code' err; do kill -0 $waits || {{ cat err; exit 6; }}; sleep 0.1; done\n\
         node '{browser}' $(sed -n 's/.*open \\([^ ]*\\) in a browser and enter the code \\(.*\\)/\\1 \\2/p' err) || exit 7\n\
         wait $waits || {{ cat err; exit 8; }}\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_signs_in_again_after_the_refresh_token_has_expired() {
    let provider = Provider::start(&json!({ "ttl": { "RefreshToken": 1 } }));
    let endpoint = Endpoint::start(&provider).await;
    let folder = tempfile::tempdir().unwrap();
    let profiles = folder.path().join("lyncsh/profiles");
    std::fs::create_dir_all(&profiles).unwrap();
    let more = "sign_in = 'device-code'\nscope = 'openid offline_access shell'";
    std::fs::write(profiles.join("one.toml"), endpoint.profile(more)).unwrap();
    let script = format!(
        "{}$LYNCSH copy one copied; $LYNCSH remove copied --yes\nsleep 2\n{}",
        invited(folder.path(), "$LYNCSH login one"),
        invited(folder.path(), "echo Get-CsTenant | $LYNCSH one")
    );
    let root = folder.path().to_owned();
    let output = tokio::task::spawn_blocking(move || in_session(&root, &script, "")).await.unwrap();
    let Ran { code, out, err } = output;
    assert_eq!(code, Some(0), "{out}\n{err}");
    assert!(out.contains("DisplayName                : Litware"), "{out}\n{err}");
    // A copied refresh token would become invalid when the other profile uses it.
    assert!(out.contains("Its sign-in was not copied. Sign in with `lyncsh login copied`."), "{out}");
    let (grants, _) = endpoint.grants().await;
    let device = "urn:ietf:params:oauth:grant-type:device_code";
    assert_eq!(grants, [device, device]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_sign_in_in_the_keyring_serves_several_profiles() {
    let provider = Provider::start(&json!({}));
    let endpoint = Endpoint::start(&provider).await;
    let folder = tempfile::tempdir().unwrap();
    let profiles = folder.path().join("lyncsh/profiles");
    std::fs::create_dir_all(&profiles).unwrap();
    let more = format!(
        "sign_in = 'device-code'\ncredential = {{ keyring = 'gdap-admin' }}\nauthority = '{}'\nclient_id = 'device'\n\
         scope = 'openid offline_access shell'",
        provider.issuer
    );
    for name in ["one", "two"] {
        std::fs::write(profiles.join(format!("{name}.toml")), endpoint.profile(&more)).unwrap();
    }
    let folder_path = folder.path().display();
    let script = format!(
        "cd '{folder_path}'; mkdir bin; printf '#!/bin/sh\\necho \"$1\" >opened\\n' >bin/xdg-open; chmod +x bin/xdg-open\n\
         export PATH=\"$PWD/bin:$PATH\"\n\
         {}grep -q ^http opened || exit 5\n\
         timeout 2 $LYNCSH login one 2>/dev/null && exit 6\n\
         for name in one two; do printf 'Get-CsTenant\\nexit\\n' | $LYNCSH $name || exit 9; done\n\
         $LYNCSH show two; $LYNCSH remove two --yes; $LYNCSH remove one --yes\n",
        invited(folder.path(), "$LYNCSH login one --browser")
    );
    let root = folder.path().to_owned();
    let output = tokio::task::spawn_blocking(move || in_session(&root, &script, "")).await.unwrap();
    let Ran { code, out, err } = output;
    assert_eq!(code, Some(0), "{out}\n{err}");
    assert!(out.contains("The sign-in of 'one' is stored."), "{out}");
    assert_eq!(out.matches("DisplayName                : Litware").count(), 2, "{out}\n{err}");
    assert!(out.contains("its password stays in the keyring for one"), "{out}");
    let (grants, tokens) = endpoint.grants().await;
    let device = "urn:ietf:params:oauth:grant-type:device_code";
    assert_eq!(grants, [device, "refresh_token", "refresh_token"]);
    for token in tokens {
        assert!(!out.contains(&token) && !err.contains(&token), "{out}{err}");
        assert_eq!(files_with(folder.path(), &token), Vec::<String>::new());
    }
    assert_eq!(endpoint.refused.load(Ordering::SeqCst), 0);
}

/// Creates an RSA key and its certificate.
fn certificate(folder: &Path) {
    Program::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=app", "-days", "2"])
        .args(["-keyout", "app.key", "-out", "app.pem"])
        .folder(folder)
        .run()
        .success_output();
    private(&folder.join("app.key"), &std::fs::read_to_string(folder.join("app.key")).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_signs_in_with_a_secret_a_certificate_or_a_federated_token() {
    let world = World::without_endpoint();
    let profiles = world.folders.profiles();
    std::fs::create_dir_all(&profiles).unwrap();
    certificate(&profiles);
    let provider = Provider::start(&json!({ "certificate": profiles.join("app.pem") }));
    let endpoint = Endpoint::start(&provider).await;
    private(&profiles.join("secret"), "s3cret&=+ %\n");
    let assertion = format!(
        "node '{}' '{}' '{}/token'",
        script("assertion.mjs").display(),
        profiles.join("app.key").display(),
        provider.issuer
    );
    let mut world = world;
    for (flow, client, more) in [
        ("client-secret", "secret", "credential = { file = 'secret' }".to_owned()),
        ("client-certificate", "certificate", "certificate = 'app.pem'\nkey = 'app.key'".to_owned()),
        ("federated", "certificate", format!("credential = {{ command = \"{assertion}\" }}")),
    ] {
        let text = format!(
            "sign_in = '{flow}'\nclient_id = '{client}'\nauthority = '{}'\nscope = 'shell'\n{more}",
            provider.issuer
        );
        put(&world, &endpoint.profile(&text));
        endpoint.seen.lock().unwrap().clear();
        let (back, (code, out, err)) = tokio::task::spawn_blocking(move || {
            let ran = run(&world, &["-vvv"]);
            (world, ran)
        })
        .await
        .unwrap();
        world = back;
        assert_eq!(code, 0, "{flow}: {out}{err}");
        assert!(out.contains("Litware"), "{flow}: {out}{err}");
        assert_eq!(endpoint.accounts(), [client], "{flow}");
        assert_no_secret(&world, &format!("{out}{err}"), &endpoint.grants().await.1);
        let log = world.folders.state.join("log/work.log");
        assert!(!std::fs::read_to_string(log).unwrap().contains("s3cret"));
    }
    assert!(endpoint.simulator.shells().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_renewed_during_a_session() {
    let provider = Provider::start(&json!({ "ttl": { "ClientCredentials": 5 } }));
    let endpoint = Endpoint::start(&provider).await;
    let world = World::without_endpoint();
    let more = format!(
        "sign_in = 'client-secret'\nclient_id = 'secret'\nauthority = '{}'\nscope = 'shell'\n\
         credential = {{ command = \"echo 's3cret&=+ %'\" }}",
        provider.issuer
    );
    put(&world, &endpoint.profile(&more));
    let Ran { code, out, err } = tokio::task::spawn_blocking(move || {
        let mut console = world.program(&["work"]).start();
        let mut input = console.input();
        // The console runs the lines of a pipe after its end.
        std::thread::sleep(Duration::from_secs(7));
        input.write_all(b"Get-CsTenant | Select-Object DisplayName\n").unwrap();
        drop(input);
        console.ran()
    })
    .await
    .unwrap();
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(out.contains("Litware"), "{out}{err}");
    let (grants, _) = endpoint.grants().await;
    assert!(grants.len() >= 2, "{grants:?}");
    assert_eq!(endpoint.refused.load(Ordering::SeqCst), 0, "{grants:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn token_requests_use_the_proxy_of_the_profile() {
    let provider = Provider::start(&json!({}));
    let endpoint = Endpoint::start(&provider).await;
    let world = World::without_endpoint();
    std::fs::create_dir_all(world.folders.profiles()).unwrap();
    private(&world.folders.profiles().join("proxy"), proxy_peer::PASSWORD);
    private(&world.folders.profiles().join("secret"), "s3cret&=+ %\n");
    let issuer = url::Url::parse(&provider.issuer).unwrap();
    let target = format!("{}:{}", issuer.host_str().unwrap(), issuer.port().unwrap());
    let uri = endpoint.uri.parse::<url::Url>().unwrap();
    let (code, out, err, log) = {
        let squid = proxy_peer::Squid::start();
        let more = format!(
            "sign_in = 'client-secret'\nclient_id = 'secret'\nauthority = '{issuer}'\nscope = 'shell'\n\
             credential = {{ file = 'secret' }}\nproxy = 'http://127.0.0.1:{}'\nproxy_user = '{}'\n\
             proxy_credential = {{ file = 'proxy' }}",
            squid.port,
            proxy_peer::USER
        );
        put(&world, &endpoint.profile(&more));
        tokio::task::spawn_blocking(move || {
            let (code, out, err) = run(&world, &[]);
            (code, out, err, squid.requests(2).join("\n"))
        })
        .await
        .unwrap()
    };
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("Litware"), "{out}{err}");
    for target in [target, format!("127.0.0.1:{}", uri.port().unwrap())] {
        assert!(log.contains(&format!("CONNECT {target} ")), "{target}: {log}");
    }
}
