//! Passwords that an endpoint refuses: prompted for again, and not resent otherwise.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use lyncsh::simulator::{Options, PASSWORD, Server as Simulator, USER};

use crate::agent_world::{PATIENCE, World, path_without_powershell};
use crate::program::{lyncsh, wait};
use crate::stand_in::Terminal;
use crate::wsman_client_http::{Answer, ReceivedRequest, Server, http};

/// An endpoint that can begin to refuse the password, and counts refusals.
struct Guarded {
    world: World,
    simulator: Simulator,
    refuses: Arc<AtomicBool>,
    refused: Arc<AtomicUsize>,
    uri: String,
}

/// Creates a user with the profile `work`.
async fn guarded(credential: &str) -> Guarded {
    let simulator = Simulator::start(Options::default()).await.unwrap();
    let origin = url::Url::parse(&simulator.url).unwrap().origin().ascii_serialization();
    let (refuses, refused) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
    let client = crate::simulator::http();
    let (refusing, counted) = (refuses.clone(), refused.clone());
    let server = Server::start(None, move |asked| {
        let (client, url) = (client.clone(), format!("{origin}{}", asked.path));
        let (refusing, counted) = (refusing.clone(), counted.clone());
        async move {
            let answer = if refusing.load(Ordering::SeqCst) {
                http("401 Unauthorized", &[("WWW-Authenticate", "Basic realm=\"WSMAN\"")], b"")
            } else {
                forwarded(&client, &url, &asked).await
            };
            if answer.as_ref().is_some_and(|answer| answer.starts_with(b"HTTP/1.1 401")) {
                counted.fetch_add(1, Ordering::SeqCst);
            }
            answer
        }
    })
    .await;
    let uri = format!("http://127.0.0.1:{}/OcsPowershellLiveId", server.port);
    let world = World::without_endpoint();
    let guarded = Guarded { world, simulator, refuses, refused, uri };
    guarded.profile("work", credential, "");
    guarded
}

/// Forwards a request to the simulator.
pub async fn forwarded(client: &reqwest::Client, url: &str, asked: &ReceivedRequest) -> Answer {
    let header = |wanted: &str| {
        let line = asked.head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case(wanted).then(|| value.trim().to_owned())
        });
        line.unwrap_or_default()
    };
    let request = client
        .post(url)
        .header("Authorization", header("authorization"))
        .header("Content-Type", header("content-type"))
        .body(asked.body.clone());
    let answer = request.send().await.ok()?;
    let status = answer.status().to_string();
    let kind = answer.headers().get("Content-Type").and_then(|kind| kind.to_str().ok()).map(str::to_owned);
    let body = answer.bytes().await.ok()?;
    http(&status, &[("Content-Type", kind.as_deref().unwrap_or("text/plain"))], &body)
}

impl Guarded {
    fn profile(&self, name: &str, credential: &str, more: &str) {
        std::fs::create_dir_all(self.world.folders.profiles()).unwrap();
        let text = format!(
            "kind = \"lync-online\"\nuser = \"{USER}\"\nuri = \"{}\"\ncredential = {credential}\n{more}\n",
            self.uri
        );
        std::fs::write(self.world.folders.profile(name), text).unwrap();
    }

    fn refused(&self) -> usize {
        self.refused.load(Ordering::SeqCst)
    }

    /// Runs `lyncsh attach work --socket` in a terminal.
    fn attach(&self) -> Terminal {
        let arguments = ["attach", "work", "--socket"];
        Terminal::open_with(&self.world, lyncsh(), &arguments, [])
    }

    fn journal(&self) -> String {
        let entries = std::fs::read_dir(self.world.folders.state.join("sessions"));
        let entries = entries.into_iter().flatten().flatten();
        entries.map(|entry| std::fs::read_to_string(entry.path()).unwrap_or_default()).collect()
    }
}

/// Runs a test beside the runtime of its endpoint.
async fn beside<T: Send + 'static>(test: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(test).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_prompted_for_again() {
    let guarded = guarded("\"prompt\"").await;
    beside(move || {
        let mut terminal = guarded.attach();
        terminal.wait_for_text("Password for");
        terminal.line("wrong");
        terminal.wait_for_text("refused the credential of");
        terminal.wait_for_text("or Enter to give up:");
        terminal.line(PASSWORD);
        terminal.wait_for_text("work.sock");
        assert_eq!(terminal.wait_exit(), 0, "{}", terminal.text());
        assert_eq!(guarded.refused(), 1);
        assert!(!terminal.text().contains(PASSWORD));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_attempts_are_allowed_and_enter_gives_up() {
    let guarded = guarded("\"prompt\"").await;
    beside(move || {
        let mut terminal = guarded.attach();
        for asked in 1..=3 {
            terminal.wait_until("the question", |text| text.matches("Password for").count() == asked);
            terminal.line(&format!("wrong {asked}"));
        }
        assert_ne!(terminal.wait_exit(), 0);
        assert_eq!(guarded.refused(), 3);
        let mut terminal = guarded.attach();
        terminal.wait_for_text("Password for");
        terminal.line("wrong again");
        terminal.wait_for_text("or Enter to give up:");
        terminal.line("");
        assert_ne!(terminal.wait_exit(), 0);
        assert_eq!(guarded.refused(), 4);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_password_is_not_sent() {
    let guarded = guarded("\"prompt\"").await;
    beside(move || {
        // Ctrl-C and Ctrl-D end the command.
        for key in ["\u{3}", "\u{4}"] {
            let mut terminal = guarded.attach();
            terminal.wait_for_text("Password for");
            terminal.press(key);
            assert_ne!(terminal.wait_exit(), 0);
            assert!(terminal.text().contains("no password was entered"), "{}", terminal.text());
        }
        // So does the third empty answer.
        let mut terminal = guarded.attach();
        for asked in 1..=3 {
            terminal.wait_until("the question", |text| text.matches("Password for").count() == asked);
            terminal.line("");
        }
        assert_ne!(terminal.wait_exit(), 0);
        let text = terminal.text();
        assert_eq!(text.matches("The answer must not be empty. Ctrl-C cancels.").count(), 2, "{text}");
        assert!(text.contains("no password was entered"), "{text}");
        let mut terminal = guarded.attach();
        terminal.wait_for_text("Password for");
        terminal.line("");
        terminal.wait_for_text("must not be empty");
        terminal.wait_until("the question", |text| text.matches("Password for").count() == 2);
        terminal.line(PASSWORD);
        terminal.wait_for_text("work.sock");
        assert_eq!(terminal.wait_exit(), 0, "{}", terminal.text());
        assert_eq!(guarded.refused(), 0);
    })
    .await;
}

#[test]
fn an_empty_password_is_not_stored() {
    let world = World::without_endpoint();
    let mut terminal = in_session(
        &world,
        "$LYNCSH add work --kind wsman --user u@a.b --uri https://a.b/c; echo ADDED $?; $LYNCSH login work; \
         echo LOGIN $?; $LYNCSH show work | grep ^password; printf '' | $LYNCSH login work --password-stdin; echo END $?",
    );
    terminal.wait_for_text("Password for u@a.b:");
    terminal.line("");
    terminal.wait_for_text("must not be empty");
    terminal.wait_until("the question", |text| text.matches("Password for u@a.b:").count() == 2);
    terminal.line("one");
    terminal.wait_for_text("ADDED 0");
    for asked in 1..=3 {
        terminal.wait_until("the question", |text| text.matches("New password for u@a.b:").count() == asked);
        terminal.line("");
    }
    terminal.wait_for_text("LOGIN 1");
    terminal.wait_for_text("END 1");
    assert_eq!(terminal.wait_exit(), 0, "{}", terminal.text());
    assert!(terminal.text().contains("stored in the keyring"), "{}", terminal.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commands_wrong_password_is_sent_once() {
    let guarded = guarded("{ command = \"echo wrong\" }").await;
    beside(move || {
        let mut terminal = guarded.attach();
        assert_ne!(terminal.wait_exit(), 0);
        let text = terminal.text();
        assert!(text.contains("refused the credential of") && !text.contains("Password for"), "{text}");
        assert!(text.contains("comes from the command"), "{text}");
        assert_eq!(guarded.refused(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_connections_of_one_account_send_a_wrong_password_once() {
    let guarded = guarded("{ command = \"echo wrong\" }").await;
    guarded.profile("second", "{ command = \"echo 'wrong'\" }", "prefix = \"Second\"");
    std::fs::write(
        guarded.world.folders.profile("both"),
        "connections = [\"work\", \"second\"]\nshell = \"console\"\n",
    )
    .unwrap();
    beside(move || {
        let (code, _, err) = guarded.world.run(&["both"]);
        assert_ne!(code, 0);
        assert_eq!(err.matches("refused the credential of").count(), 2, "{err}");
        assert_eq!(guarded.refused(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_password_is_retried_at_most_once() {
    let guarded = guarded("\"keyring\"").await;
    let password = guarded.world.root().join("password");
    std::fs::write(&password, PASSWORD).unwrap();
    guarded.profile("work", &format!("{{ command = \"cat '{}'\" }}", password.display()), "");
    beside(move || {
        guarded.world.attach();
        let mut shell = guarded.world.child("idle");
        shell.wait_for("ready");
        assert_eq!(guarded.simulator.shells().len(), 1);
        guarded.refuses.store(true, Ordering::SeqCst);
        // The keep-alive or the end of the long poll gets the refusal; leaving the shell ends the session.
        shell.end_input();
        wait(PATIENCE, "the journal's word", || guarded.journal().contains("\"refused\":true"));
        assert!((1..=2).contains(&guarded.refused()), "{}", guarded.refused());
        let before = guarded.refused();
        let (code, out, err) = guarded.world.run(&["status"]);
        assert_eq!(code, 0, "{err}");
        assert!(out.contains("the password for its removal was refused"), "{out}");
        assert!(guarded.world.run(&["list"]).0 == 0 && guarded.world.run(&["status"]).0 == 0);
        assert_eq!(guarded.refused(), before, "no command sends it again by itself");
        assert_eq!(guarded.simulator.shells().len(), 1);
        // With the correct password, the remaining session is removed.
        guarded.refuses.store(false, Ordering::SeqCst);
        guarded.world.wait_agent_gone();
        guarded.world.attach();
        wait(PATIENCE, "one session", || guarded.simulator.shells().len() == 1);
        wait(PATIENCE, "an empty journal", || !guarded.journal().contains("\"refused\":true"));
    })
    .await;
}

/// Runs a script in a terminal with an unlocked, empty keyring.
pub fn in_session(world: &World, script: &str) -> Terminal {
    let start = "printf 'session\\n' | gnome-keyring-daemon --unlock --components=secrets >/dev/null 2>&1\n";
    let root = world.root().to_str().unwrap().to_owned();
    let words = ["--", "sh", "-c", &format!("{start}{script}")].map(str::to_owned);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let home =
        ["HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"].map(|name| (name, root.clone()));
    Terminal::open_with(world, "dbus-run-session", &words, home)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_stored_password_is_replaced() {
    let guarded = guarded("\"keyring\"").await;
    beside(move || {
        let before = std::fs::read(guarded.world.folders.profile("work")).unwrap();
        let mut terminal = in_session(
            &guarded.world,
            "echo wrong | $LYNCSH login work --password-stdin && $LYNCSH attach work --socket && \
             $LYNCSH stop work && $LYNCSH attach work --socket && echo SECOND && $LYNCSH stop work && \
             $LYNCSH login work && $LYNCSH attach work --socket",
        );
        terminal.wait_for_text("The password of 'work' is stored.");
        terminal.wait_for_text("or Enter to give up:");
        terminal.line(PASSWORD);
        terminal.wait_for_text("The new password of 'work' is stored in the keyring.");
        terminal.wait_for_text("SECOND");
        assert_eq!(guarded.refused(), 1);
        // Another wrong password, typed this time.
        terminal.wait_for_text("New password for");
        terminal.line("wrong too");
        terminal.wait_until("the question", |text| text.matches("or Enter to give up:").count() == 2);
        terminal.line("");
        assert_ne!(terminal.wait_exit(), 0, "{}", terminal.text());
        assert!(terminal.text().contains("lyncsh login work"), "{}", terminal.text());
        assert_eq!(guarded.refused(), 2);
        assert_eq!(std::fs::read(guarded.world.folders.profile("work")).unwrap(), before);
    })
    .await;
}

#[test]
fn login_reports_a_configured_password_source() {
    let world = World::without_endpoint();
    std::fs::create_dir_all(world.folders.profiles()).unwrap();
    for (credential, said) in
        [("'prompt'", "credential = \"prompt\""), ("{ command = 'x' }", "from a command")]
    {
        let text = format!("kind = 'wsman'\nuri = 'https://a.b/c'\nuser = 'u'\ncredential = {credential}\n");
        std::fs::write(world.folders.profile("work"), text).unwrap();
        let (code, _, err) = world.run(&["login", "work", "--password-stdin"]);
        assert!(code == 2 && err.contains(said) && err.contains("lyncsh edit work"), "{err}");
    }
    let (code, _, err) = world.run(&["login", "none"]);
    assert!(code == 2 && err.contains("there is no profile 'none'"), "{err}");
}

/// Runs `lyncsh add` without a keyring.
fn without_keyring(world: &World, arguments: &[&str]) -> Terminal {
    let nowhere = ("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent".to_owned());
    Terminal::open_with(world, lyncsh(), arguments, [nowhere])
}

#[test]
fn add_without_a_keyring_offers_other_sources() {
    let world = World::without_endpoint();
    let add = ["add", "work", "--kind", "wsman", "--user", "u@a.b", "--uri", "https://a.b/c"];
    let profile = || std::fs::read_to_string(world.folders.profile("work")).unwrap();
    let mut terminal = without_keyring(&world, &add);
    terminal.wait_for_text("p, c, f, or Enter to give up:");
    assert!(!terminal.text().contains("Password for"), "{}", terminal.text());
    terminal.line("p");
    assert_eq!(terminal.wait_exit(), 0, "{}", terminal.text());
    assert!(profile().contains("credential = \"prompt\""), "{}", profile());
    // The other profile's own: a command.
    let mut terminal =
        without_keyring(&world, &["add", "two", "--kind", "wsman", "--user", "u", "--uri", "https://a.b"]);
    terminal.wait_for_text("p, c, f, or Enter to give up:");
    terminal.line("c");
    terminal.wait_for_text("The command");
    terminal.line("pass \"show\" x");
    assert_eq!(terminal.wait_exit(), 0, "{}", terminal.text());
    let two = std::fs::read_to_string(world.folders.profile("two")).unwrap();
    let two: toml::Table = two.parse().unwrap();
    assert_eq!(two["credential"]["command"].as_str(), Some("pass \"show\" x"));
    let mut terminal =
        without_keyring(&world, &["add", "three", "--kind", "wsman", "--user", "u", "--uri", "https://a.b"]);
    terminal.wait_for_text("p, c, f, or Enter to give up:");
    terminal.line("");
    assert_eq!(terminal.wait_exit(), 1, "{}", terminal.text());
    assert!(terminal.text().contains("--credential-file FILE"), "{}", terminal.text());
    assert!(!world.folders.profile("three").exists());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let file = world.root().join("pw");
        std::fs::write(&file, "secret\n").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        let add = ["add", "four", "--kind", "wsman", "--user", "u", "--uri", "https://a.b"];
        let mut terminal = without_keyring(&world, &add);
        terminal.wait_for_text("p, c, f, or Enter to give up:");
        terminal.line("f");
        terminal.wait_for_text("The file:");
        terminal.line(file.to_str().unwrap());
        assert_eq!(terminal.wait_exit(), 0, "{}", terminal.text());
        let four: toml::Table =
            std::fs::read_to_string(world.folders.profile("four")).unwrap().parse().unwrap();
        assert_eq!(four["credential"]["file"].as_str(), file.to_str());
    }
}

#[test]
fn add_force_keeps_settings_that_are_not_given() {
    let world = World::without_endpoint();
    std::fs::create_dir_all(world.folders.profiles()).unwrap();
    let path = world.folders.profile("work");
    let before = "# The lab.\nkind = 'wsman' # quoted so\nuser = \"old@a.b\"   # who\nuri = \"https://a.b/wsman\"\n\
                  credential = { command = \"pass x\" }\nprefix = \"Lab\"\n\n[timeouts]\nopen = \"90s\" # slow\n";
    std::fs::write(&path, before).unwrap();
    let (code, _, err) = world.run(&["add", "work", "--force", "--user", "new@a.b"]);
    assert_eq!(code, 0, "{err}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), before.replace("old@a.b", "new@a.b"));
    // Invalid profiles and invalid TOML are refused and remain.
    for (text, arguments, said) in [
        (before, &["--authentication", "digest"][..], "invalid profile"),
        ("kind = [", &["--user", "x"], "is not TOML"),
        ("connections = [\"a\"]\n", &["--kind", "wsman"], "invalid profile"),
    ] {
        std::fs::write(&path, text).unwrap();
        let (code, _, err) = world.run(&[&["add", "work", "--force"], arguments].concat());
        let words = crate::program::one_line(&err);
        assert!(code == 2 && words.contains(said), "{err}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }
    let (code, _, err) = world.run(&["add", "work", "--kind", "wsman"]);
    assert!(code == 2 && err.contains("already"), "{err}");
    let (code, _, _) = world.run(&["add", "other", "--user", "x"]);
    assert_eq!(code, 2);
}

#[test]
fn a_profile_named_like_a_command_is_reported() {
    let world = World::without_endpoint();
    std::fs::create_dir_all(world.folders.profiles()).unwrap();
    let text = "kind = 'wsman'\nuri = 'https://a.b/c'\nuser = 'u'\ncredential = 'prompt'\n";
    for name in ["login", "status", "list"] {
        std::fs::write(world.folders.profile(name), text).unwrap();
        let (_, out, err) = world.run(&[name]);
        assert!((out + &err).contains(&format!("lyncsh rename {name} {name}-profile")), "{name}: {err}");
    }
    let (code, out, _) = world.run(&["list"]);
    assert!(code == 0 && out.contains("status-profile`") && out.contains("login-profile`"), "{out}");
    let (code, _, err) = world.run(&["hook", "print"]);
    assert!(err.contains("status-profile`"), "{code}: {err}");
    let folder = world.root().to_str().unwrap();
    let run = world.program(&["--config-dir", folder, "login"]).env_remove("LYNCSH_CONFIG_DIR").run();
    assert!(run.code == Some(2) && run.err.contains("login-profile`"), "{run:?}");
    // The renamed profile opens.
    assert_eq!(world.run(&["rename", "login", "login-profile"]).0, 0);
    assert_eq!(world.run(&["show", "login-profile"]).0, 0);
    assert!(!world.run(&["login", "x"]).2.contains("login-profile`"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_command_may_print_windows_encodings() {
    let guarded = guarded("\"prompt\"").await;
    let file = guarded.world.root().join("pw");
    let marked = format!("\u{feff}{PASSWORD}\r\n");
    let utf16: Vec<u8> = marked.encode_utf16().flat_map(u16::to_le_bytes).collect();
    guarded.profile("work", &format!("{{ command = \"cat '{}'\" }}", file.display()), "");
    beside(move || {
        for bytes in [marked.into_bytes(), utf16] {
            std::fs::write(&file, bytes).unwrap();
            guarded.world.attach();
            assert_eq!(guarded.world.run(&["stop", "work"]).0, 0);
        }
        std::fs::write(&file, b"f\xfcnf\n").unwrap();
        let (code, _, err) = guarded.world.run(&["attach", "work", "--socket"]);
        assert!(code != 0 && err.contains("line 1 is not UTF-8"), "{err}");
        // The same for piped input, with the byte order mark of Windows PowerShell.
        let add = guarded.world.program(&["add", "x", "--kind", "wsman", "--password-stdin"]);
        let add = add.args(["--uri", "https://a.b/c", "--user", "u"]).stdin("x\n");
        let err = add.env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent").run().err;
        assert!(err.contains("credential = \"prompt\"") && err.contains("credential = { command ="), "{err}");
        assert!(path_without_powershell().len() > 1);
    })
    .await;
}
