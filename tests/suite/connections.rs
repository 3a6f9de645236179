//! Profiles with several connections: one session each, in one shell.

use lyncsh::simulator::{Options, PASSWORD, Server, USER};

use crate::agent_world::{PATIENCE, World};
use crate::program::{lyncsh, wait};
use crate::stand_in::{Terminal, stand_in};

const PROMPT: &str = "[work] PS> ";

/// A user whose profile `work` groups `lync` and `other`, each with its own endpoint.
struct Two {
    world: World,
    lync: Server,
    other: Server,
}

impl Two {
    async fn start() -> Self {
        let world = World::without_endpoint();
        let (lync, other) =
            tokio::join!(Server::start(Options::default()), Server::start(Options::default()));
        let two = Self { world, lync: lync.unwrap(), other: other.unwrap() };
        two.profile("lync", &two.lync, PASSWORD, "");
        two.profile("other", &two.other, PASSWORD, "prefix = \"Ot\"");
        two.write(
            "work",
            &format!("connections = [\"lync\", \"other\"]\nshell = '{}'", stand_in().display()),
        );
        two
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::create_dir_all(self.world.folders.profiles()).unwrap();
        std::fs::write(self.world.folders.profile(name), text).unwrap();
    }

    fn profile(&self, name: &str, server: &Server, password: &str, more: &str) {
        let text = format!(
            "kind = \"lync-online\"\nuser = \"{USER}\"\ndiscovery = \"{}\"\n\
             credential = {{ command = \"echo '{password}'\" }}\n{more}\n",
            server.discovery
        );
        self.write(name, &text);
    }

    fn sessions(&self) -> (usize, usize) {
        (self.lync.shells().len(), self.other.shells().len())
    }

    fn wait_removed(&self) {
        wait(PATIENCE, "no session on both endpoints", || self.sessions() == (0, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_shell_uses_both_sessions() {
    let two = Two::start().await;
    let mut terminal = Terminal::several(&two.world, "lync other", "");
    terminal.ends_with(PROMPT);
    assert_eq!(two.sessions(), (1, 1));
    terminal.line("Get-CsTenant");
    terminal.wait_for_text("0: Completed, 1 objects");
    terminal.wait_for_text("1: Completed, 1 objects");
    let (code, out, _) = two.world.run(&["status"]);
    assert_eq!(code, 0);
    assert!(out.contains("lync: open for") && out.contains("other: open for"), "{out}");
    terminal.line("exit 6");
    assert_eq!(terminal.wait_exit(), 6);
    two.wait_removed();
    let script = two.world.folders.cache.join("connect/work.ps1");
    let script = std::fs::read_to_string(script).unwrap();
    assert_eq!(script.matches("$title = 'work'").count(), 1, "one prompt");
    assert!(script.contains("Name = 'lyncsh-lync'") && script.contains("Name = 'lyncsh-other'"), "{script}");
    let module = |name: &str| {
        let path = two.world.folders.cache.join(format!("modules/lyncsh-{name}/lyncsh-{name}.psm1"));
        std::fs::read_to_string(path).unwrap()
    };
    assert!(module("lync").contains("$prefix = $null") && module("other").contains("$prefix = 'Ot'"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_connection_is_reported_once_and_the_other_is_usable() {
    let two = Two::start().await;
    two.profile("other", &two.other, "wrong", "prefix = \"Ot\"");
    let mut terminal = Terminal::several(&two.world, "lync other", "");
    terminal.ends_with(PROMPT);
    assert_eq!(two.sessions(), (1, 0));
    let text = terminal.text();
    assert!(
        text.contains("could not connect 'other': ") && text.contains("refused the credential"),
        "{text}"
    );
    assert_eq!(text.matches("could not connect").count(), 1, "reported once: {text}");
    terminal.line("Get-CsTenant");
    terminal.wait_for_text("0: Completed, 1 objects");
    terminal.line("exit");
    assert_eq!(terminal.wait_exit(), 0);
    two.wait_removed();
}

#[tokio::test(flavor = "multi_thread")]
async fn if_all_connections_fail_each_is_reported() {
    let two = Two::start().await;
    two.profile("lync", &two.lync, "wrong", "");
    two.profile("other", &two.other, "wrong", "prefix = \"Ot\"");
    let mut terminal = Terminal::several(&two.world, "lync other", "");
    assert_eq!(terminal.wait_exit(), 3);
    terminal.wait_until("both", |text| text.contains("connect 'lync'") && text.contains("connect 'other'"));
    terminal.wait_for_text("all connections of 'work' failed");
    assert!(!terminal.text().contains(PROMPT));
    assert_eq!(two.sessions(), (0, 0));
}

/// Runs lines in the console; returns exit code, standard output and error.
fn console(two: &Two, lines: &str) -> (i32, String, String) {
    two.world.program(&["work", "--shell", "console"]).stdin(lines).run().parts()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prefix_selects_the_connection_in_the_console() {
    let two = Two::start().await;
    let lines = "Set-OtCsUser kenmyer -EnterpriseVoiceEnabled $true\n\
                 (Get-CsOnlineUser kenmyer).EnterpriseVoiceEnabled\n\
                 (Get-OtCsOnlineUser kenmyer).EnterpriseVoiceEnabled\n\
                 Get-OtCsOnlineUser | Select-Object -First 1 | ConvertTo-Json -Compress\n\
                 $who = (Get-CsOnlineUser kenmyer).Identity; Get-OtCsOnlineUser $who | ft DisplayName\n\
                 (Get-Module).Name\n";
    let (code, out, err) = console(&two, lines);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    let first: Vec<&str> = out.lines().take(2).collect();
    assert_eq!(first, ["False", "True"], "{out}");
    assert!(out.contains("Ken Myer") && out.contains("lyncsh-lync\nlyncsh-other"), "{out}");
    two.wait_removed();

    let (code, _, err) = console(&two, "Get-CsOnlineUser | Set-OtCsUser -EnterpriseVoiceEnabled $true\n");
    assert_eq!(code, 1);
    assert!(err.contains("cannot pipe from 'lync' to 'Set-OtCsUser' on 'other'"), "{err}");
    let (code, _, err) = console(&two, "Get-NoSuchThing\n");
    assert!(code == 1 && err.contains("Get-NoSuchThing"), "{err}");
    two.wait_removed();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_console_works_with_the_remaining_connections() {
    let two = Two::start().await;
    two.profile("lync", &two.lync, "wrong", "");
    let (code, out, err) = console(&two, "(Get-OtCsTenant).DisplayName\n");
    assert_eq!(code, 0, "{err}");
    assert!(err.contains("could not connect 'lync': ") && out.contains("Litware"), "{out}{err}");
    two.profile("other", &two.other, "wrong", "prefix = \"Ot\"");
    let (code, out, err) = console(&two, "(Get-OtCsTenant).DisplayName\n");
    assert_eq!((code, out.as_str()), (3, ""));
    assert!(err.contains("all connections of 'work' failed"), "{err}");
    two.wait_removed();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_ended_connection_leaves_the_others_usable() {
    let two = Two::start().await;
    let arguments = ["work", "--shell", "console"];
    let terminal = Terminal::open(&two.world, lyncsh(), &arguments, "");
    terminal.wait_until("the prompt", |text| text.trim_end().ends_with("[work] PS>"));
    terminal.press("(Get-OtCsTenant).DisplayName\r");
    terminal.wait_until("an answer", |text| text.contains("\nLitware"));
    assert_eq!(two.world.run(&["stop", "other"]).0, 0);
    terminal.wait_until("the news", |text| text.contains("the session of 'other' was ended"));
    terminal.press("(Get-CsTenant).CountryAbbreviation\r");
    terminal.wait_until("an answer of the other", |text| text.contains("\nUS"));
    terminal.press("exit\r");
    two.wait_removed();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_accepts_a_grouped_profile() {
    let two = Two::start().await;
    let (code, out, err) = two.world.run(&["attach", "work"]);
    assert_eq!((code, out.lines().count()), (0, 2), "{err}");
    assert!(out.lines().all(|line| line.starts_with("try { Import-Module ")), "{out}");
    let (_, out, _) = two.world.run(&["list"]);
    assert!(
        out.lines().any(|line| line.starts_with("work   connections") && line.contains("lync, other")),
        "{out}"
    );
    let (_, out, _) = two.world.run(&["show", "work"]);
    assert!(out.contains("connections        lync, other"), "{out}");
    let (code, out, _) = two.world.run(&["hook", "print", "work", "--eager"]);
    assert_eq!((code, out.matches("Import-Module").count()), (0, 2), "{out}");
    let desk = two.world.root().join("desk");
    let (code, _, err) = two.world.run(&["shortcut", "work", "--output", desk.to_str().unwrap()]);
    assert!(code == 0 && desk.read_dir().unwrap().count() == 1, "{err}");
    let (code, out, err) = two.world.run(&["refresh", "work"]);
    assert_eq!((code, out.lines().count()), (0, 2), "{out}{err}");
    assert!(out.lines().all(|line| line.starts_with("imported ")), "without a PowerShell: {out}");
    two.profile("lync", &two.lync, "wrong", "");
    let (code, out, err) = two.world.run(&["refresh", "work"]);
    assert!(
        code == 1 && out.contains("cmdlets of 'other'") && err.contains("lyncsh: 'lync': "),
        "{out}{err}"
    );
    two.profile("lync", &two.lync, PASSWORD, "");
    let (code, _, err) = two.world.run(&["attach", "work", "--socket"]);
    assert!(code == 2 && err.contains("this command takes one; pass the name of one connection"), "{err}");

    let terminal = Terminal::several(&two.world, "lync other", "");
    terminal.ends_with(PROMPT);
    let (code, out, err) = two.world.run(&["stop", "work"]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("'lync': the session is removed") && out.contains("'other': the"), "{out}");
    two.wait_removed();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistake_in_the_list_is_located() {
    let two = Two::start().await;
    let wrong = |text: &str, words: &[&str]| {
        two.write("work", text);
        let (code, _, err) = two.world.run(&["show", "work"]);
        assert_eq!(code, 2, "{err}");
        // The error's frame wraps lines.
        let plain = err.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ");
        for word in words {
            assert!(plain.contains(word), "{word}: {err}");
        }
    };
    wrong("connections = []", &["expected the names of profiles"]);
    wrong("connections = [\"lync\", \"ohter\"]", &["there is no profile 'ohter'", "did you mean 'other'?"]);
    wrong("connections = [\"lync\", \"lync\"]", &["'lync' is listed twice"]);
    wrong("connections = [\"work\"]", &["'work' is itself a group"]);
    wrong("connections = [\"lync\"]\nuser = \"a@b\"", &["user is not valid in a group"]);
    wrong("connection = [\"lync\"]", &["did you mean connections?"]);
    two.profile("other", &two.other, PASSWORD, "");
    wrong("connections = [\"lync\", \"other\"]", &["'lync' and 'other' have cmdlets with the same names"]);
}
