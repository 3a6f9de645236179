//! A local MIT krb5 KDC for one test, with its own folder, database, realm and port; and processes for both sides
//! of a context.

use std::ffi::OsStr;
use std::io::{BufRead as _, Write as _};
use std::path::PathBuf;
use std::process::{ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, channel};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::program::{ChildGuard, PATIENCE, Program, found};

/// The realm of the simulator's first tenant.
pub const REALM: &str = "LITWAREINC.COM";
pub const PASSWORD: &str = "correct horse";
pub const SERVICE: &str = "HTTP/localhost";

/// A running KDC; dropping it ends `krb5kdc`.
pub struct Kdc {
    folder: tempfile::TempDir,
    process: Option<ChildGuard>,
    port: u16,
}

impl Kdc {
    /// Starts a KDC with the principals `alice` (with pre-authentication, as in Active Directory) and [`SERVICE`],
    /// whose key is in the keytab.
    pub fn start() -> Self {
        let mut kdc = Self { folder: tempfile::tempdir().unwrap(), process: None, port: free_port() };
        kdc.configure();
        kdc.tool("/usr/sbin/kdb5_util", &["create", "-s", "-P", "master", "-r", REALM]);
        kdc.kadmin(&format!("addprinc +requires_preauth -pw \"{PASSWORD}\" alice"));
        kdc.kadmin(&format!("addprinc -randkey {SERVICE}"));
        kdc.kadmin(&format!("ktadd -k {} {SERVICE}", kdc.path("keytab").display()));
        // Another process may take the port before the KDC.
        for _ in 0..5 {
            if kdc.serve() {
                return kdc;
            }
            kdc.port = free_port();
            kdc.configure();
        }
        panic!("krb5kdc does not start: {}", kdc.log());
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn configure(&self) {
        let (folder, port) = (self.folder.path().display(), self.port);
        let client = format!(
            "[libdefaults]\n default_realm = {REALM}\n dns_lookup_kdc = false\n dns_lookup_realm = false\n \
             dns_canonicalize_hostname = false\n rdns = false\n\
             [realms]\n {REALM} = {{\n  kdc = 127.0.0.1:{port}\n }}\n"
        );
        let server = format!(
            "[kdcdefaults]\n kdc_listen = 127.0.0.1:{port}\n kdc_tcp_listen = 127.0.0.1:{port}\n\
             [realms]\n {REALM} = {{\n  database_name = {folder}/principal\n  key_stash_file = {folder}/stash\n  \
             acl_file = {folder}/acl\n  max_life = 1h\n }}\n\
             [logging]\n kdc = FILE:{folder}/kdc.log\n"
        );
        std::fs::write(self.path("krb5.conf"), &client).unwrap();
        // A test may change the client's file; the KDC reads its own again.
        std::fs::write(self.path("kdc-krb5.conf"), client).unwrap();
        std::fs::write(self.path("kdc.conf"), server).unwrap();
    }

    fn serve(&mut self) -> bool {
        let kdc = self.program("/usr/sbin/krb5kdc").env("KRB5_CONFIG", self.path("kdc-krb5.conf"));
        let mut kdc = kdc.args(["-n"]).stdout(Stdio::null()).stderr(Stdio::null()).start();
        let serves = found(PATIENCE, || {
            if self.log().contains("commencing operation") {
                return Some(true);
            }
            kdc.0.try_wait().unwrap().map(|_| false)
        });
        let serves = serves.unwrap_or_default();
        self.process = serves.then_some(kdc);
        serves
    }

    /// Ends the KDC and frees its port.
    pub fn stop(&mut self) {
        self.process = None;
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("kdc.log")).unwrap_or_default()
    }

    /// Returns a program with this KDC's environment: an empty ticket cache, no client keytab.
    fn program(&self, program: impl AsRef<OsStr>) -> Program {
        self.known_to(Program::new(program))
    }

    fn known_to(&self, program: Program) -> Program {
        program.envs(self.environment()).env_remove("LYNCSH_GSSAPI_LIBRARY")
    }

    pub fn environment(&self) -> [(&'static str, String); 7] {
        let path = |name: &str| self.path(name).display().to_string();
        [
            ("KRB5_CONFIG", path("krb5.conf")),
            ("KRB5_KDC_PROFILE", path("kdc.conf")),
            ("KRB5CCNAME", format!("FILE:{}", path("cache"))),
            ("KRB5_KTNAME", path("keytab")),
            ("KRB5_CLIENT_KTNAME", path("client-keytab")),
            ("KRB5RCACHENAME", format!("dfl:{}", path("replay"))),
            ("KRB5RCACHEDIR", self.folder.path().display().to_string()),
        ]
    }

    fn tool(&self, program: &str, arguments: &[&str]) {
        self.program(program).args(arguments).run().success_output();
    }

    /// Runs one `kadmin` query.
    pub fn kadmin(&self, query: &str) {
        self.tool("/usr/sbin/kadmin.local", &["-r", REALM, "-q", query]);
    }

    /// Requests a ticket for `alice`.
    pub fn kinit(&self, options: &[&str]) {
        let kinit = self.program("kinit").args(options).args([format!("alice@{REALM}")]);
        kinit.stdin(format!("{PASSWORD}\n")).run().success_output();
    }

    /// Starts lyncsh as one side of a context.
    pub fn side(&self) -> Side {
        Side::start(self.program(program()))
    }

    /// Starts lyncsh with another variable in its environment.
    pub fn side_with(&self, variable: &str, value: impl AsRef<OsStr>) -> Side {
        Side::start(self.program(program()).env(variable, value))
    }

    /// Starts lyncsh with a shifted clock.
    pub fn side_at(&self, offset: &str) -> Side {
        Side::start(self.program("faketime").args(["-f", offset]).args([program()]))
    }

    /// Starts pyspnego as the acceptor.
    pub fn pyspnego(&self) -> Side {
        Side::start(self.known_to(Program::peer("pyspnego_kerberos.py")))
    }
}

impl Drop for Kdc {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Returns the path of lyncsh's program for one side.
fn program() -> PathBuf {
    let beside = PathBuf::from(env!("CARGO_BIN_EXE_lyncsh")).with_file_name("examples").join("kerberos");
    assert!(beside.exists(), "{} is missing: cargo build --example kerberos", beside.display());
    beside
}

/// Returns a port that is free for both TCP and UDP.
fn free_port() -> u16 {
    for _ in 0..20 {
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = tcp.local_addr().unwrap().port();
        if std::net::UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no port is free for both TCP and UDP");
}

/// A process that is one side of a context: JSON rows in and out.
pub struct Side {
    _process: ChildGuard,
    input: ChildStdin,
    answers: Receiver<String>,
}

impl Side {
    fn start(program: Program) -> Self {
        let mut process = program.stderr(Stdio::inherit()).start();
        let (sender, answers) = channel();
        let output = process.output();
        std::thread::spawn(move || {
            output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        let input = process.input();
        Self { _process: process, input, answers }
    }

    /// Sends a row and returns the answer.
    pub fn ask(&mut self, row: Value) -> Value {
        writeln!(self.input, "{row}").unwrap();
        let answer = self.answers.recv_timeout(PATIENCE).expect("an answer in time");
        serde_json::from_str(&answer).unwrap()
    }

    /// Seals a message: header, data, padding.
    pub fn wrap(&mut self, message: &[u8]) -> Value {
        let sealed = self.ask(json!({ "do": "wrap", "data": STANDARD.encode(message) }));
        assert!(sealed["error"].is_null(), "{sealed}");
        sealed
    }

    pub fn unwrap(&mut self, sealed: &Value) -> Result<Vec<u8>, Value> {
        let row = json!({ "do": "unwrap", "header": sealed["header"], "data": sealed["data"] });
        let opened = self.ask(row);
        match opened["data"].as_str() {
            Some(text) => Ok(STANDARD.decode(text).unwrap()),
            None => Err(opened["error"].clone()),
        }
    }
}
