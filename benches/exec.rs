//! `lyncsh exec` in many tenants and in one, next to the ideal and to pypsrp: `cargo bench --bench exec`.
//!
//! The ideal is the time that the round trips of all tenants take, divided by the number of
//! profiles that run at the same time. Memory is the largest sum of the proportional set sizes of lyncsh and its
//! agents, sampled every 50 ms.
#![allow(clippy::disallowed_macros, clippy::disallowed_methods, reason = "nothing of an endpoint is shown")]
#![cfg(target_os = "linux")]

mod common;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{Failure, LYNCSH};
use lyncsh::files::replace::{New, create_new};

const LATENCY: Duration = Duration::from_millis(50);
/// Value of `--parallel`.
const PLACES: u32 = 16;
const ROUNDS: usize = 9;
const LINE: &str = "Get-CsTenant";

fn main() -> Result<(), Failure> {
    for tenants in [200, 1000] {
        many(tenants)?;
    }
    one()
}

/// Runs the command in all tenants once.
fn many(tenants: u32) -> Result<(), Failure> {
    let latency = format!("{}ms", LATENCY.as_millis());
    let (_endpoint, known) = common::endpoint(&["--tenants", &tenants.to_string(), "--latency", &latency])?;
    let folder = tempfile::tempdir()?;
    std::fs::create_dir_all(folder.path().join("profiles"))?;
    let secret = folder.path().join("secret");
    create_new(&secret, text(&known["tenant_password"]).as_bytes(), New::Private)?;
    for number in 1..=tenants {
        let profile = format!(
            "kind = \"lync-online\"\nuri = \"{}\"\nuser = \"admin@tenant{number:04}.example\"\n\
             credential = {{ file = '{}' }}\n",
            text(&known["url"]),
            secret.display(),
        );
        std::fs::write(folder.path().join(format!("profiles/t{number}.toml")), profile)?;
    }
    let before = requests(&known)?;
    let (took, _) = all(folder.path(), false)?;
    let requests = f64::from(requests(&known)? - before) / f64::from(tenants);
    // Measured on its own: the sampling takes time.
    let (_, most) = all(folder.path(), true)?;
    // A pending Receive takes no round trip of its own.
    let trips = waited(&known, folder.path())?;
    let ideal = trips * LATENCY.as_secs_f64() * f64::from(tenants) / f64::from(PLACES);
    println!(
        "{tenants} tenants: {:.1} s, {:.2} of the ideal {ideal:.1} s ({requests:.1} requests and {trips:.1} round trips each), {most} MB",
        took.as_secs_f64(),
        took.as_secs_f64() / ideal
    );
    Ok(())
}

/// Runs the command in all tenants. Returns the time, and the memory in MB if it is sampled.
fn all(folder: &Path, is_sampled: bool) -> Result<(Duration, u64), Failure> {
    let begun = Instant::now();
    let mut command = Command::new(LYNCSH);
    let places = PLACES.to_string();
    command.args(["exec", "--all", "--jsonl", "--parallel", &places, "--", LINE]);
    command.env("LYNCSH_CONFIG_DIR", folder).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn()?;
    let mut most = 0;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if is_sampled {
            most = most.max(memory(folder));
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    if status.success() {
        Ok((begun.elapsed(), most))
    } else {
        Err(format!("exec ended with {status}").into())
    }
}

/// Returns the number of round trips that one tenant waits for: its time with latency minus that without.
fn waited(known: &serde_json::Value, folder: &Path) -> Result<f64, Failure> {
    let profile = std::fs::read_to_string(folder.join("profiles/t1.toml"))?;
    let slow = median(|| run(folder, "t1"))?;
    let (_quick, quick) = common::endpoint(&["--tenants", "1"])?;
    let other = tempfile::tempdir()?;
    std::fs::create_dir_all(other.path().join("profiles"))?;
    let profile = profile.replace(&text(&known["url"]), &text(&quick["url"]));
    std::fs::write(other.path().join("profiles/t1.toml"), profile)?;
    let quick = median(|| run(other.path(), "t1"))?;
    Ok((slow.saturating_sub(quick).as_secs_f64() / LATENCY.as_secs_f64()).round())
}

/// Runs the command in one tenant: cold, through an agent, and with pypsrp.
fn one() -> Result<(), Failure> {
    let (_endpoint, known) = common::endpoint(&[])?;
    let folder = common::folder(&known, Path::new("console"), "")?;
    let cold = median(|| run(folder.path(), "work"))?;
    let other = median(|| Ok(common::pypsrp(&known, LINE)?.1))?;
    let mut shell = Command::new(LYNCSH);
    shell.args(["work", "--shell", "console"]).env("LYNCSH_CONFIG_DIR", folder.path());
    let mut shell = common::ChildGuard(shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?);
    // Before the shell is attached, a command opens a session of its own.
    let is_attached = || {
        let status = Command::new(LYNCSH).arg("status").env("LYNCSH_CONFIG_DIR", folder.path()).output();
        status.is_ok_and(|status| String::from_utf8_lossy(&status.stdout).contains("attached"))
    };
    common::program::wait(common::program::PATIENCE, "the shell", is_attached);
    let warm = median(|| run(folder.path(), "work"))?;
    drop(shell.0.stdin.take());
    shell.0.wait()?;
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    println!(
        "one tenant, medians of {ROUNDS}: cold {:.0} ms, through an agent {:.0} ms, pypsrp {:.0} ms with its start ({:.2} and {:.2} of it)",
        ms(cold),
        ms(warm),
        ms(other),
        ms(cold) / ms(other),
        ms(warm) / ms(other)
    );
    Ok(())
}

fn median(mut round: impl FnMut() -> Result<Duration, Failure>) -> Result<Duration, Failure> {
    let mut times = (0..ROUNDS).map(|_| round()).collect::<Result<Vec<_>, _>>()?;
    times.sort();
    Ok(times[ROUNDS / 2])
}

fn run(folder: &Path, profile: &str) -> Result<Duration, Failure> {
    let mut command = Command::new(LYNCSH);
    command.args(["exec", profile, "--jsonl", "--", LINE]).env("LYNCSH_CONFIG_DIR", folder);
    timed(command.stderr(Stdio::inherit()))
}

fn timed(command: &mut Command) -> Result<Duration, Failure> {
    let begun = Instant::now();
    let output = command.stdin(Stdio::null()).output()?;
    let took = begun.elapsed();
    if output.status.success() && !output.stdout.is_empty() {
        Ok(took)
    } else {
        Err(format!("{command:?} ended with {output:?}").into())
    }
}

fn text(value: &serde_json::Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Returns the number of requests that the endpoint has received.
fn requests(known: &serde_json::Value) -> Result<u32, Failure> {
    use std::io::{Read as _, Write as _};
    let url = url::Url::parse(&text(&known["url"]))?;
    let address = (url.host_str().unwrap_or_default(), url.port().unwrap_or_default());
    let mut stream = std::net::TcpStream::connect(address)?;
    stream.write_all(b"GET /sim/requests HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.rsplit("\r\n").next().unwrap_or_default().trim().parse()?)
}

/// Returns the proportional set size of all processes with this folder, in MB.
fn memory(folder: &Path) -> u64 {
    let name = folder.as_os_str().as_encoded_bytes();
    let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let of = |entry: std::fs::DirEntry| {
        let environment = std::fs::read(entry.path().join("environ")).ok()?;
        environment.windows(name.len()).any(|part| part == name).then_some(())?;
        let text = std::fs::read_to_string(entry.path().join("smaps_rollup")).ok()?;
        let line = text.lines().find(|line| line.starts_with("Pss:"))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    };
    all.filter_map(of).sum::<u64>() / 1024
}
