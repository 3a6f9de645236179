//! Sessions behind HAProxy with sticky cookies, in front of two simulators.

use std::io::Write as _;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lyncsh::simulator::{PASSWORD, USER};

use crate::agent_world::{ChildGuard, PATIENCE, REMOVAL_TIMEOUT, World};

/// Two simulators behind HAProxy, and a user whose profile `work` leads there.
struct Farm {
    user: World,
    members: [World; 2],
    _balancer: ChildGuard,
}

impl Farm {
    fn start() -> Self {
        let members = [World::simulated(&[], ""), World::simulated(&[], "")];
        let user = World::without_endpoint();
        let path = members[0].uri.parse::<url::Url>().unwrap().path().to_owned();
        let (balancer, port) = balancer(&user, [&members[0].uri, &members[1].uri]);
        std::fs::create_dir_all(user.folders.profiles()).unwrap();
        let text = format!(
            "kind = \"wsman\"\nuri = \"http://127.0.0.1:{port}{path}\"\nuser = \"{USER}\"\nauthentication = \"basic\"\n\
             credential = {{ command = \"printf %s '{PASSWORD}'\" }}\nshell = \"console\"\n"
        );
        std::fs::write(user.folders.profile("work"), text).unwrap();
        Self { user, members, _balancer: balancer }
    }

    fn work(&self) -> Child {
        let mut command = self.user.lyncsh(&["work"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Runs lines in a shell of their own.
    fn run(&self, lines: &str) -> (bool, String, String) {
        let mut child = self.work();
        child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.success(), text(output.stdout), text(output.stderr))
    }

    /// Waits for a session; returns the index of its simulator.
    fn wait_open(&self) -> usize {
        let start = Instant::now();
        loop {
            if let Some(home) = self.members.iter().position(|member| member.shells() == 1) {
                return home;
            }
            assert!(start.elapsed() < PATIENCE, "no session was opened");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn wait_removed(&self) {
        for member in &self.members {
            member.wait(REMOVAL_TIMEOUT, "the session is removed", |member| member.shells() == 0);
        }
        self.user.wait_agent_gone();
    }
}

fn port(uri: &str) -> u16 {
    uri.parse::<url::Url>().unwrap().port().unwrap()
}

fn balancer(user: &World, servers: [&str; 2]) -> (ChildGuard, u16) {
    // Another process can take a port before HAProxy does.
    for _ in 0..5 {
        let own = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let [a, b] = servers.map(port);
        let text = format!(
            "defaults\n mode http\n timeout connect 5s\n timeout client 2m\n timeout server 2m\n option redispatch 1\n\
             listen pool\n bind 127.0.0.1:{own}\n balance roundrobin\n cookie MS-WSMAN insert indirect nocache\n \
             server a 127.0.0.1:{a} cookie a check inter 200ms fall 2\n \
             server b 127.0.0.1:{b} cookie b check inter 200ms fall 2\n"
        );
        let file = user.root().join("haproxy.cfg");
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new("/usr/sbin/haproxy");
        command.args(["-db", "-q", "-f"]).arg(&file).stdin(Stdio::null()).stdout(Stdio::null());
        let child =
            command.spawn().unwrap_or_else(|error| panic!("haproxy: {error}; `tests/run` installs it"));
        let mut balancer = ChildGuard(child);
        let start = Instant::now();
        while balancer.0.try_wait().unwrap().is_none() && start.elapsed() < PATIENCE {
            if TcpStream::connect(("127.0.0.1", own)).is_ok() {
                return (balancer, own);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    panic!("haproxy does not start");
}

#[test]
fn a_session_stays_on_its_pool_member_and_is_removed_there() {
    let farm = Farm::start();
    for _ in 0..2 {
        let (ok, out, err) = farm.run(&"(Get-CsTenant).DisplayName\n".repeat(5));
        assert!(ok && out.matches("Litware").count() == 5, "{out}\n{err}");
        farm.wait_removed();
    }
}

#[test]
fn a_killed_agents_session_is_removed_from_its_pool_member() {
    let farm = Farm::start();
    let mut shell = farm.work();
    let mut input = shell.stdin.take().unwrap();
    input.write_all(b"(Get-CsTenant).DisplayName\n").unwrap();
    farm.wait_open();
    // The cookie arrives with the answer to Create, after the simulator has the session.
    let recorded = || {
        let mut notes =
            std::fs::read_dir(farm.user.folders.state.join("notes")).into_iter().flatten().flatten();
        notes.any(|note| std::fs::read_to_string(note.path()).is_ok_and(|text| text.contains("MS-WSMAN")))
    };
    assert!(crate::program::holds(PATIENCE, recorded), "the cookie is not recorded");
    lyncsh::platform::kill(farm.user.agent().unwrap()).unwrap();
    farm.wait_removed();
    drop(input);
    let _ = ChildGuard(shell).wait();
}

#[test]
fn a_stopped_pool_member_ends_its_session_and_the_next_one_opens_elsewhere() {
    let mut farm = Farm::start();
    let mut shell = farm.work();
    let mut input = shell.stdin.take().unwrap();
    input.write_all(b"(Get-CsTenant).DisplayName\n").unwrap();
    let home = farm.wait_open();
    farm.members[home].stop_endpoint();
    let _ = input.write_all(b"(Get-CsTenant).DisplayName\n");
    drop(input);
    let output = shell.wait_with_output().unwrap();
    assert!(!output.status.success() && !output.stderr.is_empty(), "{output:?}");
    let (ok, out, err) = farm.run("(Get-CsTenant).DisplayName\n");
    assert!(ok && out.contains("Litware"), "{out}\n{err}");
    farm.members[1 - home].wait(REMOVAL_TIMEOUT, "the session is removed", |member| member.shells() == 0);
}
