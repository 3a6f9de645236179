//! Sessions on authenticated connections: the program against `negotiate_server.py` with the simulator behind it.

use std::time::{Duration, Instant};

use crate::agent_world::World;
use crate::kdc::{self, Kdc};
use crate::negotiate_peer::{DOMAIN_USER, PASSWORD, Server, Setup};
use crate::program::Program;

/// Time limit for the program to end after a failed handshake.
const FAILURE_TIMEOUT: Duration = Duration::from_secs(40);

/// A user whose profile `work` leads to the server, the server, and the simulator behind it.
pub struct Site {
    pub world: World,
    pub server: Server,
    pub kdc: Option<Kdc>,
    /// The path of the profile's URI.
    pub path: &'static str,
}

impl Site {
    pub fn new(setup: Setup, more: &str) -> Self {
        let world = World::simulated(&[], "");
        let (user, password) = (lyncsh::simulator::USER, lyncsh::simulator::PASSWORD);
        let server = setup.backend(&world.uri, user, password).start();
        let site = Self { world, server, kdc: None, path: "/wsman" };
        site.profile(DOMAIN_USER, more);
        site
    }

    pub fn ntlm(arguments: &[&str], more: &str) -> Self {
        Self::new(Setup::new(arguments), &format!("authentication = \"ntlm\"\n{more}"))
    }

    /// Starts a server in the KDC's realm.
    pub fn kerberos(arguments: &[&str], more: &str) -> Self {
        Self::in_realm(Setup::new(arguments), more)
    }

    fn in_realm(setup: Setup, more: &str) -> Self {
        let kdc = Kdc::start();
        let mut site = Self::new(setup.kerberos(&kdc), more);
        site.profile(&format!("alice@{}", kdc::REALM), more);
        site.kdc = Some(kdc);
        site
    }

    pub fn profile(&self, user: &str, more: &str) {
        let credential = if more.contains("credential") {
            String::new()
        } else {
            let password = if user.contains("alice") { kdc::PASSWORD } else { PASSWORD };
            format!("credential = {{ command = \"printf %s '{password}'\" }}\n")
        };
        let text = format!(
            "kind = \"wsman\"\nuri = \"{}\"\nuser = '{user}'\nshell = \"console\"\n{credential}{more}\n",
            self.server.url.replace("/wsman", self.path)
        );
        std::fs::write(self.world.folders.profile("work"), text).unwrap();
    }

    /// Returns the program; it and the agent that it starts may each use 200 MB of memory.
    fn program(&self) -> Program {
        let lyncsh = self.world.lyncsh(&["work"]);
        let shell = ["-c", "ulimit -d 204800; exec \"$@\"", "sh"];
        let program = Program::new("sh").args(shell).args([lyncsh.get_program()]).args(lyncsh.get_args());
        let program = program.envs(lyncsh.get_envs().filter_map(|(name, value)| Some((name, value?))));
        match &self.kdc {
            Some(kdc) => program.envs(kdc.environment()),
            // A machine without a realm.
            None => program.env("KRB5_CONFIG", "/dev/null").env("KRB5CCNAME", "FILE:/nonexistent/cache"),
        }
    }

    /// Runs lines in the console; returns standard output and standard error.
    pub fn run(&self, lines: &str) -> (bool, String, String) {
        let ran = self.program().stdin(lines).run();
        (ran.code == Some(0), ran.out.clone(), ran.text())
    }

    /// Runs the program once for each fault of the server; returns the errors that lack an expected text.
    pub fn wrong(&self, rows: &[(&str, &[&str])]) -> Vec<String> {
        let mut wrong = Vec::new();
        for (fault, expected) in rows {
            self.server.no_faults();
            self.server.fault(fault);
            let err = self.fails();
            self.server.no_faults();
            wrong.extend(lacks(&err, expected).map(|lacks| format!("{fault} {lacks}")));
            // A session that was created is removed by the next command at the latest.
            let _ = self.run("");
            self.is_left_clean();
        }
        wrong
    }

    pub fn works(&self) {
        let (ok, out, err) = self.run("(Get-CsTenant).DisplayName\n'x' * 20\n");
        assert!(ok && out.contains("Litware"), "{out}\n{err}\n{:#?}", self.server.log());
        self.is_left_clean();
    }

    /// Runs a line that fails; returns the error.
    pub fn fails(&self) -> String {
        let start = Instant::now();
        let (ok, out, err) = self.run("(Get-CsTenant).DisplayName\n");
        assert!(!ok && !out.contains("Litware"), "{out}\n{err}");
        assert!(start.elapsed() < FAILURE_TIMEOUT, "{:?}: {err}", start.elapsed());
        err
    }

    pub fn is_left_clean(&self) {
        self.world.wait(Duration::from_secs(20), "the session is removed", |world| world.shells() == 0);
    }

    /// Returns whether every request with a body was sealed.
    fn all_sealed(&self) -> bool {
        let requests = self.server.requests();
        requests.iter().filter(|row| !row["operation"].is_null()).all(|row| row["sealed"] == true)
    }
}

/// Returns the expected texts that an error lacks. A line of help may break at any hyphen or slash.
pub fn lacks(err: &str, expected: &[&str]) -> Option<String> {
    let joined = |text: &str| text.replace(' ', "");
    let lacks: Vec<_> = expected.iter().filter(|part| !joined(err).contains(&joined(part))).collect();
    (!lacks.is_empty()).then(|| format!("lacks {lacks:?}: {err}"))
}

#[test]
fn ntlm_seals_over_http_on_few_connections() {
    let site = Site::ntlm(&[], "");
    site.works();
    assert!(site.all_sealed(), "{:#?}", site.server.requests());
    assert_eq!(site.server.failed_logons(), 0);
    // Two, and one more for a removal on a machine under load.
    assert!(site.server.count("connection") <= 4, "{:#?}", site.server.log());
    // The sequence numbers must stay correct over many requests.
    let lines = "1..30 | ForEach-Object { (Get-CsTenant).DisplayName }\n";
    let (ok, out, err) = site.run(lines);
    assert!(ok && out.matches("Litware").count() == 30, "{out}\n{err}");
}

#[test]
fn ntlm_binds_to_the_certificate_over_https() {
    let site =
        Site::new(Setup::new(&["--cbt", "strict"]).tls(), "authentication = \"ntlm\"\nca = \"ca.pem\"");
    std::fs::copy(site.server.ca(), site.world.folders.profiles().join("ca.pem")).unwrap();
    site.works();
    assert!(site.server.events("logon").iter().all(|row| row["ok"] == true), "{:#?}", site.server.log());
}

#[test]
fn a_wrong_password_is_one_failed_logon() {
    let site = Site::ntlm(&[], "credential = { command = \"echo wrong\" }");
    let err = site.fails();
    assert!(err.contains("refused the credential of"), "{err}");
    assert_eq!(site.server.failed_logons(), 1);
    assert!(site.server.operations().is_empty(), "{:?}", site.server.operations());
}

#[test]
fn negotiate_without_a_ticket_reports_ntlm() {
    let site = Site::new(Setup::new(&["--mechanisms", "ntlm"]), "authentication = \"negotiate\"");
    let (ok, out, err) = site.run("(Get-CsTenant).DisplayName\n");
    assert!(ok && out.contains("Litware"), "{out}\n{err}\n{:#?}", site.server.log());
    assert_eq!(err.matches("using NTLM: cannot get a Kerberos ticket").count(), 1, "{err}");
    site.is_left_clean();
}

#[test]
fn a_missing_scheme_is_not_a_wrong_password() {
    let site = Site::ntlm(&["--offer", "Basic"], "");
    let err = site.fails();
    assert!(err.contains("does not offer NTLM") && err.contains("authentication = \"basic\""), "{err}");
    assert!(site.server.operations().is_empty());
}

#[test]
fn kerberos_with_a_password_and_with_a_ticket() {
    let site = Site::kerberos(&[], "authentication = \"kerberos\"");
    site.works();
    assert!(site.all_sealed(), "{:#?}", site.server.requests());
    site.kdc.as_ref().unwrap().kinit(&[]);
    for word in ["kerberos", "negotiate"] {
        site.profile("alice", &format!("authentication = \"{word}\"\ncredential = \"system\""));
        site.works();
    }
}

/// IIS authenticates each request unless `authPersistNonNTLM` is set.
#[test]
fn kerberos_authenticates_each_request_if_the_server_requires_it() {
    let more = "authentication = \"kerberos\"\nca = \"ca.pem\"";
    let site = Site::in_realm(Setup::new(&["--each-request"]).tls(), more);
    std::fs::copy(site.server.ca(), site.world.folders.profiles().join("ca.pem")).unwrap();
    site.works();
    let requests = site.server.requests();
    let served: Vec<_> = requests.iter().filter(|row| !row["operation"].is_null()).collect();
    for operation in ["Create", "Receive", "Command", "Delete"] {
        assert!(served.iter().any(|row| row["operation"] == operation), "{operation}: {requests:#?}");
    }
    assert!(served.iter().all(|row| row["scheme"] == "Kerberos"), "{requests:#?}");
}

#[test]
fn the_connections_of_a_session_share_a_ticket() {
    // For SPNEGO a ticket is acquired by itself.
    for (word, tickets) in [("kerberos", 1), ("negotiate", 2)] {
        let site = Site::kerberos(&[], &format!("authentication = \"{word}\""));
        site.works();
        assert!(site.server.count("connection") > 1, "{:#?}", site.server.log());
        let log = site.kdc.as_ref().unwrap().log();
        let issued =
            |of: &str| log.lines().filter(|line| line.contains(of) && line.contains("ISSUE")).count();
        assert_eq!((issued("AS_REQ"), issued("TGS_REQ")), (tickets, 1), "{log}");
    }
}

#[test]
fn a_wrong_password_is_one_failed_attempt_at_the_kdc() {
    for word in ["kerberos", "negotiate"] {
        let more = format!("authentication = \"{word}\"\ncredential = {{ command = \"echo wrong\" }}");
        let site = Site::kerberos(&[], &more);
        let err = site.fails();
        assert!(err.contains("the KDC refused the password") && err.contains("-1765328360"), "{err}");
        let log = site.kdc.as_ref().unwrap().log();
        assert_eq!(log.matches("PREAUTH_FAILED").count(), 1, "{log}");
        assert_eq!(site.server.count("logon"), 0);
    }
}

#[test]
fn a_lost_login_or_connection_is_replaced() {
    let site = Site::ntlm(&[], "");
    for fault in [
        "reauthenticate@Command",
        "reauthenticate@Send",
        "reauthenticate@Receive:2",
        "context-gone@Receive:2",
        "close-after@Create",
        "close-after@Receive:2",
        "close-after@Command",
    ] {
        site.server.no_faults();
        site.server.fault(fault);
        let (ok, out, err) = site.run("(Get-CsTenant).DisplayName\n");
        assert!(ok && out.contains("Litware"), "{fault}: {out}\n{err}\n{:#?}", site.server.log());
        site.is_left_clean();
    }
    assert_eq!(site.server.failed_logons(), 0);
}

#[test]
fn a_command_without_an_answer_may_have_run() {
    let site = Site::ntlm(&[], "");
    // One Command is the console's own query for the command names.
    for number in 1..=3 {
        site.server.fault(&format!("close-executed@Command:{number}"));
    }
    let (_, out, err) = site.run("(Get-CsTenant).DisplayName\n(Get-CsTenant).DisplayName\n");
    assert!(err.contains("may have run") && !out.contains("Litware"), "{out}\n{err}");
    let commands = site.server.operations().iter().filter(|name| *name == "Command").count();
    assert!(commands <= 3, "{commands}: {:#?}", site.server.log());
    site.is_left_clean();
}

#[test]
fn invalid_handshakes_and_sealed_answers_are_errors_that_name_the_step() {
    let site = Site::ntlm(&[], "");
    let mut wrong = Vec::new();
    for (fault, word) in [
        ("endless", "refused the credential"),
        ("absurd-challenge=length", "invalid NTLM CHALLENGE message"),
        ("absurd-challenge=offset", "invalid NTLM CHALLENGE message"),
        ("big-token", "too large"),
        ("unsealed@Create", "not sealed"),
        ("bad-signature@Create", "signature"),
        ("bad-sequence@Create", "expected the sealed message 0, got 1"),
        ("bad-length@Create", "sealed body"),
    ] {
        site.server.no_faults();
        site.server.fault(fault);
        let err = site.fails();
        if !err.contains(word) {
            wrong.push(format!("{fault}: {err}"));
        }
        site.server.no_faults();
        // The next start of lyncsh removes a session that Create left.
        let _ = site.run("");
        site.is_left_clean();
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
