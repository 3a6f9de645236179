//! Proxies for the tests: Debian's squid, `ssh -D` to an sshd on loopback, and `tests/peers/negotiate_proxy.py`.

use std::io::{BufRead as _, BufReader};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::agent_world::{ChildGuard, PATIENCE};
use crate::kdc::Kdc;

pub const USER: &str = "ken";
pub const PASSWORD: &str = "proxy-P@ss";

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// Waits until a process listens at a port. Returns false if the process ends.
fn listens(process: &mut ChildGuard, port: u16) -> bool {
    let start = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        if process.0.try_wait().unwrap().is_some() {
            return false;
        }
        assert!(start.elapsed() < PATIENCE, "nothing listens at {port}");
        std::thread::sleep(Duration::from_millis(20));
    }
    true
}

/// Starts a process on a free port; another process may take the port first.
fn on_free_port(mut command: impl FnMut(u16) -> Command) -> (ChildGuard, u16) {
    for _ in 0..5 {
        let port = free_port();
        let mut command = command(port);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        let child = child.unwrap_or_else(|error| panic!("{command:?}: {error}; `tests/run` installs it"));
        let mut process = ChildGuard(child);
        if listens(&mut process, port) {
            return (process, port);
        }
    }
    panic!("the proxy does not start");
}

/// Makes a file readable by the account that squid uses.
fn open_to_all(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// squid with Basic authentication of [`USER`].
pub struct Squid {
    _process: ChildGuard,
    pub port: u16,
    folder: tempfile::TempDir,
}

impl Squid {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        open_to_all(folder.path(), 0o777);
        let hash = Command::new("openssl").args(["passwd", "-apr1", PASSWORD]).output().unwrap();
        let users = folder.path().join("users");
        std::fs::write(&users, format!("{USER}:{}", String::from_utf8(hash.stdout).unwrap())).unwrap();
        open_to_all(&users, 0o644);
        let (process, port) = on_free_port(|port| {
            let at = folder.path().display();
            let text = format!(
                "http_port 127.0.0.1:{port}\nvisible_hostname proxy.test\npid_filename none\n\
                 cache_log {at}/cache.log\naccess_log stdio:{at}/access.log\ncache deny all\n\
                 coredump_dir {at}\nshutdown_lifetime 0 seconds\nnetdb_filename none\n\
                 auth_param basic program /usr/lib/squid/basic_ncsa_auth {at}/users\n\
                 auth_param basic realm proxy\nacl known proxy_auth REQUIRED\nacl forbidden port 9\n\
                 http_access deny forbidden\nhttp_access allow known\nhttp_access deny all\n"
            );
            let file = folder.path().join("squid.conf");
            std::fs::write(&file, text).unwrap();
            open_to_all(&file, 0o644);
            let mut command = Command::new("/usr/sbin/squid");
            command.args(["-N", "-f"]).arg(&file).stderr(Stdio::null());
            command
        });
        Self { _process: process, port, folder }
    }

    /// Returns the lines of the access log, at least `count`.
    pub fn requests(&self, count: usize) -> Vec<String> {
        let start = Instant::now();
        loop {
            let log = std::fs::read_to_string(self.folder.path().join("access.log")).unwrap_or_default();
            // Without the probe that waited for squid.
            let lines = log.lines().filter(|line| line.contains(" CONNECT "));
            let lines: Vec<String> = lines.map(str::to_owned).collect();
            if lines.len() >= count || start.elapsed() > PATIENCE {
                return lines;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// `ssh -D` to an sshd, both on loopback.
pub struct Ssh {
    _processes: [ChildGuard; 2],
    pub port: u16,
    _folder: tempfile::TempDir,
}

impl Ssh {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["host", "client"] {
            let mut keygen = Command::new("ssh-keygen");
            let made = keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(path(name)).status();
            assert!(made.unwrap().success());
        }
        // sshd as root needs this folder, which its service makes.
        let _ = std::fs::create_dir_all("/run/sshd");
        let (server, server_port) = on_free_port(|port| {
            let text = format!(
                "Port {port}\nListenAddress 127.0.0.1\nHostKey {host}\nAuthorizedKeysFile {keys}\n\
                 StrictModes no\nUsePAM no\nPidFile none\nPermitRootLogin yes\nPasswordAuthentication no\n\
                 AllowTcpForwarding yes\n",
                host = path("host").display(),
                keys = path("client.pub").display(),
            );
            std::fs::write(path("sshd_config"), text).unwrap();
            let mut command = Command::new("/usr/sbin/sshd");
            command.args(["-D", "-e", "-f"]).arg(path("sshd_config"));
            command.stderr(std::fs::File::create(path("sshd.log")).unwrap());
            command
        });
        let (client, port) = on_free_port(|port| {
            let mut command = Command::new("ssh");
            command.args(["-N", "-F", "none", "-D", &format!("127.0.0.1:{port}"), "-i"]).arg(path("client"));
            for option in ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "IdentitiesOnly=yes"] {
                command.args(["-o", option]);
            }
            command.args(["-o", "ExitOnForwardFailure=yes", "-p", &server_port.to_string(), "127.0.0.1"]);
            command.stderr(std::fs::File::create(path("ssh.log")).unwrap());
            command
        });
        Self { _processes: [client, server], port, _folder: folder }
    }
}

/// `tests/peers/negotiate_proxy.py` with the account `LITWAREINC\ken`.
pub struct NegotiateProxy {
    process: ChildGuard,
    pub port: u16,
    events: Arc<Mutex<Vec<Value>>>,
    reader: Option<JoinHandle<()>>,
    _folder: tempfile::TempDir,
}

impl NegotiateProxy {
    pub fn start(arguments: &[&str], kdc: Option<&Kdc>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let users = folder.path().join("users");
        std::fs::write(&users, format!("LITWAREINC:{USER}:{PASSWORD}\n:{USER}:{PASSWORD}\n")).unwrap();
        let root = env!("CARGO_MANIFEST_DIR");
        let mut command = Command::new(crate::program::python());
        command.arg(format!("{root}/tests/peers/negotiate_proxy.py")).args(arguments);
        command.env("NTLM_USER_FILE", users).envs(kdc.iter().flat_map(|kdc| kdc.environment()));
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut process = ChildGuard(child);
        let mut out = BufReader::new(process.0.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).expect("`tests/run` installs pyspnego");
        let events: Arc<Mutex<Vec<Value>>> = Arc::default();
        let log = events.clone();
        let reader = std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                log.lock().unwrap().push(serde_json::from_str(&line).unwrap());
            }
        });
        let port = u16::try_from(ready["port"].as_u64().unwrap()).unwrap();
        Self { process, port, events, reader: Some(reader), _folder: folder }
    }

    /// Returns the number of events of a kind so far.
    pub fn count(&self, kind: &str) -> usize {
        self.events.lock().unwrap().iter().filter(|event| event["event"] == kind).count()
    }

    /// Ends the proxy and returns its events of a kind.
    pub fn ended(mut self, kind: &str) -> Vec<Value> {
        drop(self.process.0.stdin.take());
        self.process.wait();
        self.reader.take().unwrap().join().unwrap();
        let events = self.events.lock().unwrap();
        events.iter().filter(|event| event["event"] == kind).cloned().collect()
    }
}
