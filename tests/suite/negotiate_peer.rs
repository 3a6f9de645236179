//! Client of `tests/peers/negotiate_server.py`: Windows authentication in front of a WSMan endpoint.
//!
//! ```ignore
//! let server = Server::start(&["--offer", "Negotiate"]);              // bodies are echoed
//! let server = Server::before(&psrpcore.url(), USER, PASSWORD, &[]);   // any plain WSMan endpoint
//! let server = Server::tls(&["--cbt", "strict"]);                     // server.folder: ca.pem, client.pem, …
//! let kdc = Kdc::start();
//! let server = Setup::new(&[]).kerberos(&kdc).backend(url, user, password).start();
//! server.url, server.log(), server.requests(), server.count("connection"), server.failed_logons(),
//! server.fault("status=503@Receive"), server.close_idle()
//! ```
#![allow(dead_code, reason = "tests of other areas use a part of it")]

use std::io::{BufRead as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Stdio};
use std::sync::{Arc, Condvar, Mutex};

use serde_json::Value;

use crate::kdc::Kdc;
use crate::program::{ChildGuard, PATIENCE, Program, ready};

/// The account for NTLM and Basic, as a user principal name.
pub const USER: &str = "kenmyer@litwareinc.com";
/// The same account as `DOMAIN\user`.
pub const DOMAIN_USER: &str = "LITWAREINC\\kenmyer";
pub const PASSWORD: &str = "P@ssw0rd-åß";

/// Options of a [`Server`].
pub struct Setup {
    program: Program,
    folder: tempfile::TempDir,
}

impl Setup {
    pub fn new(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let users = folder.path().join("users");
        let accounts = format!(":{USER}:{PASSWORD}\nLITWAREINC:kenmyer:{PASSWORD}\n:kenmyer:{PASSWORD}\n");
        std::fs::write(&users, accounts).unwrap();
        let program = Program::peer("negotiate_server.py").args(arguments).env("NTLM_USER_FILE", users);
        Self { program: program.stderr(Stdio::inherit()), folder }
    }

    /// Serves https with certificates of a separate CA in the server's folder.
    pub fn tls(mut self) -> Self {
        let folder = self.folder.path().to_owned();
        self.program = self.program.args(["--certificates"]).args([folder]);
        self
    }

    /// Simulates a proxy that terminates TLS with another certificate; needs [`Setup::tls`].
    pub fn behind_tls_proxy(mut self) -> Self {
        let certificate = self.folder.path().join("client.pem");
        self.program = self.program.args(["--cbt-certificate"]).args([certificate]);
        self
    }

    /// Shifts the server's clock.
    pub fn clock(mut self, offset: &str) -> Self {
        // Not `faketime` itself, which would outlive the test as the server's parent.
        let printed = Program::new("faketime").args(["-f", offset, "env"]).run().success_output();
        let lines = printed.lines().filter_map(|line| line.split_once('='));
        let preloaded = lines.filter(|(name, _)| ["LD_PRELOAD", "FAKETIME"].contains(name));
        self.program = self.program.envs(preloaded);
        self
    }

    /// Accepts client certificates as logons; needs [`Setup::tls`].
    pub fn client_certificates(mut self, arguments: &[&str]) -> Self {
        let ca = self.folder.path().join("ca.pem");
        self.program = self.program.args(["--client-ca"]).args([ca]).args(arguments);
        self
    }

    pub fn kerberos(mut self, kdc: &Kdc) -> Self {
        self.program = self.program.envs(kdc.environment());
        self
    }

    /// Adds a plain endpoint behind the server. Connections are distributed over several endpoints in turn.
    pub fn backend(mut self, url: &str, user: &str, password: &str) -> Self {
        let program = self.program.args(["--backend", url]);
        self.program = program.env("BACKEND_USER", user).env("BACKEND_PASSWORD", password);
        self
    }

    pub fn start(self) -> Server {
        let mut process = self.program.start();
        let (stdin, mut out) = (process.input(), process.output());
        let ready = ready(&mut out);
        let log: Arc<(Mutex<Vec<Value>>, Condvar)> = Arc::default();
        let lines = log.clone();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                lines.0.lock().unwrap().push(serde_json::from_str(&line).unwrap());
                lines.1.notify_all();
            }
        });
        Server {
            _process: process,
            stdin: Mutex::new((stdin, 0)),
            log,
            url: ready["url"].as_str().unwrap().to_owned(),
            port: u16::try_from(ready["port"].as_u64().unwrap()).unwrap(),
            folder: self.folder,
        }
    }
}

/// The server's process; ends with the test.
pub struct Server {
    _process: ChildGuard,
    /// Standard input, and the number of orders sent.
    stdin: Mutex<(ChildStdin, usize)>,
    log: Arc<(Mutex<Vec<Value>>, Condvar)>,
    pub url: String,
    pub port: u16,
    /// Folder of accounts and certificates.
    pub folder: tempfile::TempDir,
}

impl Server {
    /// Starts a server that echoes each request's body.
    pub fn start(arguments: &[&str]) -> Self {
        Setup::new(arguments).start()
    }

    /// The same over https.
    pub fn tls(arguments: &[&str]) -> Self {
        Setup::new(arguments).tls().start()
    }

    /// Starts a server in front of a plain WSMan endpoint.
    pub fn before(url: &str, user: &str, password: &str, arguments: &[&str]) -> Self {
        Setup::new(arguments).backend(url, user, password).start()
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn ca(&self) -> PathBuf {
        self.file("ca.pem")
    }

    /// Sends an order and waits until it is executed.
    fn order(&self, order: &str) {
        let number = {
            let mut stdin = self.stdin.lock().unwrap();
            stdin.1 += 1;
            let number = stdin.1;
            writeln!(stdin.0, "{order}").unwrap();
            stdin.0.flush().unwrap();
            number
        };
        let is_pending =
            |log: &mut Vec<Value>| log.iter().filter(|row| row["event"] == "sync").count() < number;
        let log = self.log.0.lock().unwrap();
        let late = self.log.1.wait_timeout_while(log, PATIENCE, is_pending).unwrap().1;
        assert!(!late.timed_out(), "the server did not carry out: {order}");
    }

    /// Arms a fault; its events are counted from 1 again.
    pub fn fault(&self, spec: &str) {
        self.order(&format!("fault {spec}"));
    }

    /// Drops all faults, including those of the command line.
    pub fn no_faults(&self) {
        self.order("no-faults");
    }

    /// Closes all connections that wait for a request.
    pub fn close_idle(&self) {
        self.order("close-idle");
    }

    /// Returns all events so far.
    pub fn log(&self) -> Vec<Value> {
        self.order("sync");
        let log = self.log.0.lock().unwrap();
        log.iter().filter(|row| row["event"] != "sync").cloned().collect()
    }

    pub fn events(&self, event: &str) -> Vec<Value> {
        self.log().into_iter().filter(|row| row["event"] == event).collect()
    }

    pub fn count(&self, event: &str) -> usize {
        self.events(event).len()
    }

    pub fn requests(&self) -> Vec<Value> {
        self.events("request")
    }

    /// Returns the names of the received WSMan operations.
    pub fn operations(&self) -> Vec<String> {
        let name = |row: &Value| row["operation"].as_str().map(str::to_owned);
        self.requests().iter().filter_map(name).collect()
    }

    pub fn failed_logons(&self) -> usize {
        self.events("logon").iter().filter(|row| row["ok"] == false).count()
    }

    pub fn logons(&self) -> usize {
        self.events("logon").iter().filter(|row| row["ok"] == true).count()
    }
}

/// Runs a Python client of `tests/peers` with one JSON argument; returns its output.
pub fn client(script: &str, given: &Value, environment: &[(&str, &Path)]) -> Value {
    let mut program = Program::peer(script).args([given.to_string()]).envs(environment.iter().copied());
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "REQUESTS_CA_BUNDLE"] {
        program = program.env_remove(name);
    }
    program.run().json()
}
