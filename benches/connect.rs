//! Opening a session, one command and closing, next to pypsrp: requests, connections, round trips and wall time, with
//! Basic, NTLM and Kerberos: `cargo bench --bench connect`. `tests/run` installs the KDC and pypsrp.
//!
//! The endpoint is the simulator behind a link with latency. The time of lyncsh is that of the whole process; that of
//! pypsrp is without its start and imports.
#![allow(clippy::disallowed_macros, clippy::disallowed_methods, reason = "nothing of an endpoint is shown")]
#![cfg(unix)]

mod common;
#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../tests/suite/kdc.rs"]
mod kdc;

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use common::{Failure, LYNCSH, program};
use kdc::{Kdc, REALM};
use serde_json::json;

/// Round-trip times of the link.
const LATENCIES: [Duration; 2] = [Duration::ZERO, Duration::from_millis(20)];
const ROUNDS: usize = 7;

fn main() -> Result<(), Failure> {
    println!("medians of {ROUNDS}: open, one command, close");
    println!(
        "                      requests  connections   wall at 0 ms   at 20 ms   round trips waited for"
    );
    for authentication in ["basic", "ntlm", "kerberos"] {
        let site = Site::start(authentication)?;
        let own = site.report("lyncsh", &Site::lyncsh)?;
        let other = site.report("pypsrp", &Site::pypsrp)?;
        println!("{authentication:<10} lyncsh takes {:.2} of pypsrp's time at 20 ms", own / other);
    }
    Ok(())
}

/// An endpoint, and the user of a machine in its realm.
struct Site {
    authentication: &'static str,
    kdc: Kdc,
    endpoint: common::ChildGuard,
    url: url::Url,
    /// The user's folder: the names of the commands are cached from the first run on.
    folder: tempfile::TempDir,
    user: String,
    password: String,
}

impl Site {
    fn start(authentication: &'static str) -> Result<Self, Failure> {
        let kdc = Kdc::start();
        let password = lyncsh::simulator::PASSWORD.to_owned();
        kdc.kadmin(&format!("addprinc +requires_preauth -pw \"{password}\" admin"));
        let offered = if authentication == "kerberos" { "negotiate" } else { authentication };
        let (endpoint, known) = common::endpoint_in(&kdc.environment(), &["--authentication", offered])?;
        let url = url::Url::parse(known["url"].as_str().unwrap_or_default())?;
        let user = if authentication == "kerberos" { format!("admin@{REALM}") } else { text(&known["user"]) };
        let folder = tempfile::tempdir()?;
        std::fs::create_dir_all(folder.path().join("profiles"))?;
        Ok(Self { authentication, kdc, endpoint, url, folder, user, password })
    }

    /// Prints a line; returns the milliseconds with latency.
    fn report(
        &self,
        client: &str,
        run: &dyn Fn(&Self, u16) -> Result<Duration, Failure>,
    ) -> Result<f64, Failure> {
        let mut walls = Vec::new();
        let mut counts = (0, 0);
        for latency in LATENCIES {
            let link = Link::start(self.url.port().ok_or("the endpoint has no port")?, latency)?;
            run(self, link.port)?;
            let mut times = Vec::new();
            for _ in 0..ROUNDS {
                link.counts.reset();
                times.push(run(self, link.port)?);
                counts = link.counts.get();
            }
            times.sort();
            walls.push(times[ROUNDS / 2].as_secs_f64() * 1e3);
        }
        let waited = (walls[1] - walls[0]) / (LATENCIES[1].as_secs_f64() * 1e3);
        let (requests, connections) = counts;
        let Self { authentication, .. } = self;
        println!(
            "{authentication:<10} {client}   {requests:>8}   {connections:>10}   {:>9.0} ms   {:>5.0} ms   {waited:>8.1}",
            walls[0], walls[1]
        );
        Ok(walls[1])
    }

    fn lyncsh(&self, port: u16) -> Result<Duration, Failure> {
        let profile = format!(
            "kind = \"wsman\"\nuri = \"http://localhost:{port}{}\"\nuser = '{}'\nauthentication = \"{}\"\n\
             shell = \"console\"\ncredential = {{ command = \"printf %s '{}'\" }}\n",
            self.url.path(),
            self.user,
            self.authentication,
            self.password
        );
        std::fs::write(self.folder.path().join("profiles/work.toml"), profile)?;
        let begun = Instant::now();
        let mut command = Command::new(LYNCSH);
        command.arg("work").envs(self.kdc.environment()).env("LYNCSH_CONFIG_DIR", self.folder.path());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        child.stdin.take().ok_or("no input")?.write_all(b"(Get-CsTenant).DisplayName\n")?;
        let output = child.wait_with_output()?;
        let took = begun.elapsed();
        if !output.status.success() || !String::from_utf8_lossy(&output.stdout).contains("Litware") {
            return Err(format!("lyncsh: {output:?}").into());
        }
        Ok(took)
    }

    fn pypsrp(&self, port: u16) -> Result<Duration, Failure> {
        let given = json!({
            "url": format!("http://localhost:{port}{}", self.url.path()), "user": self.user, "password": self.password,
            "auth": self.authentication, "pools": 1, "cmdlet": "Get-CsTenant", "parameters": {}, "timed": true,
        });
        let mut command = Command::new(program::python());
        command.args(["tests/peers/pypsrp_negotiate.py", &given.to_string()]);
        let output = command.envs(self.kdc.environment()).output()?;
        let seconds: f64 = String::from_utf8(output.stdout)?
            .trim()
            .parse()
            .map_err(|_| format!("pypsrp: {}", String::from_utf8_lossy(&output.stderr)))?;
        Ok(Duration::from_secs_f64(seconds))
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = self.endpoint.0.kill();
    }
}

fn text(value: &serde_json::Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A relay to a port of this machine that adds latency to each round trip and to each new connection.
struct Link {
    port: u16,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    requests: AtomicUsize,
    connections: AtomicUsize,
}

impl Counts {
    fn reset(&self) {
        self.requests.store(0, Ordering::Relaxed);
        self.connections.store(0, Ordering::Relaxed);
    }

    fn get(&self) -> (usize, usize) {
        (self.requests.load(Ordering::Relaxed), self.connections.load(Ordering::Relaxed))
    }
}

impl Link {
    fn start(target: u16, latency: Duration) -> Result<Self, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let counts: Arc<Counts> = Arc::default();
        let counted = counts.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                counted.connections.fetch_add(1, Ordering::Relaxed);
                // Nothing to do about a failure: the client reports it.
                let _ = connect(client, target, latency, &counted);
            }
        });
        Ok(Self { port, counts })
    }
}

fn connect(client: TcpStream, target: u16, latency: Duration, counts: &Arc<Counts>) -> std::io::Result<()> {
    let server = TcpStream::connect(("127.0.0.1", target))?;
    let open = Instant::now() + latency;
    let counts = counts.clone();
    let count = move |data: &[u8]| {
        let posts = data.windows(6).filter(|part| part == b"POST /").count();
        counts.requests.fetch_add(posts, Ordering::Relaxed);
    };
    pass(client.try_clone()?, server.try_clone()?, open, latency / 2, count)?;
    pass(server, client, open, latency / 2, |_| ())
}

/// Passes data on after a delay, and not before the connection is open.
fn pass(
    mut from: TcpStream,
    mut to: TcpStream,
    open: Instant,
    delay: Duration,
    seen: impl Fn(&[u8]) + Send + 'static,
) -> std::io::Result<()> {
    to.set_nodelay(true)?;
    let (sender, data) = channel::<(Instant, Vec<u8>)>();
    std::thread::spawn(move || {
        for (due, data) in data {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            if to.write_all(&data).is_err() {
                return;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    });
    std::thread::spawn(move || {
        let mut piece = [0; 1 << 14];
        while let Ok(length @ 1..) = from.read(&mut piece) {
            seen(&piece[..length]);
            let due = Instant::now().max(open) + delay;
            if sender.send((due, piece[..length].to_vec())).is_err() {
                return;
            }
        }
    });
    Ok(())
}
