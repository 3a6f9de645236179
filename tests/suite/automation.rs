//! The examples of docs/automation.md: units, a workflow and a playbook are extracted and run.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::Path;

use lyncsh::simulator::{Options, PASSWORD, Server, USER};

use crate::agent_simulator::{empty, online};
use crate::program::{Program, lyncsh, python};

/// Returns the text of a file in the document.
fn example(name: &str) -> String {
    let text = include_str!("../../docs/automation.md");
    let (_, rest) = text.split_once(&format!("\n# {name}\n")).unwrap_or_else(|| panic!("{name} is missing"));
    let (body, _) = rest.split_once("\n```\n").unwrap();
    format!("{body}\n")
}

/// Returns a PATH that begins with the folder of the program.
fn path() -> std::ffi::OsString {
    let usual = std::env::var_os("PATH").unwrap_or_default();
    let own = lyncsh().parent().unwrap().to_owned();
    std::env::join_paths(std::iter::once(own).chain(std::env::split_paths(&usual))).unwrap()
}

#[test]
fn systemd_accepts_the_units() {
    let folder = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    for name in ["lyncsh-report.service", "lyncsh-report.timer"] {
        let text = example(&format!("/etc/systemd/system/{name}"));
        let file = folder.path().join(name);
        std::fs::write(&file, text.replace("/usr/bin/lyncsh", lyncsh().to_str().unwrap())).unwrap();
        files.push(file);
    }
    let ran = Program::new("systemd-analyze").args(["verify", "--man=no"]).args(&files).run();
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (Some(0), "", ""), "{ran:?}");
}

/// Writes the profile `work` of the document's folder, for the simulated endpoint.
fn profile(folder: &Path, server: &Server, credential: &str) {
    std::fs::create_dir_all(folder.join("profiles")).unwrap();
    let text = format!(
        "kind = \"lync-online\"\nuser = \"{USER}\"\ndiscovery = \"{}\"\ncredential = {credential}\n\
         tags = [\"customers\"]\n",
        server.discovery
    );
    std::fs::write(folder.join("profiles/work.toml"), text).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_of_the_service_reads_its_credential() {
    let server = Server::start(Options::default()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let unit = example("/etc/systemd/system/lyncsh-report.service");
    let line = unit.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/bin/lyncsh ")).unwrap();
    let text = example("/var/lib/lyncsh/profiles/work.toml");
    let credential = text.lines().find_map(|line| line.strip_prefix("credential = ")).unwrap();
    profile(folder.path(), &server, credential);
    let secret = folder.path().join("work");
    std::fs::write(&secret, PASSWORD).unwrap();
    std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o400)).unwrap();
    let line = line.replace("/var/lib/lyncsh", folder.path().to_str().unwrap());
    let program = Program::lyncsh().args(line.split(' ')).env("CREDENTIALS_DIRECTORY", folder.path());
    let ran = tokio::task::spawn_blocking(move || program.run()).await.unwrap();
    let results = ran.json();
    assert_eq!(results[0]["output"][0]["DisplayName"], "Litware");
    empty(&server).await;
}

/// Starts a platform that returns one identity token. Returns its URL and the head of the request.
fn platform(token: &'static str) -> (String, std::thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/token?api-version=1", listener.local_addr().unwrap());
    let serving = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let lines = BufReader::new(stream.try_clone().unwrap()).lines().map(Result::unwrap);
        let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
        let body = format!("{{\"value\": \"{token}\"}}");
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        head
    });
    (url, serving)
}

/// Runs the documented step in a repository with the documented script and credential. The endpoint is simulated: its
/// password is the token, and it has other commands.
#[tokio::test(flavor = "multi_thread")]
async fn the_step_of_the_workflow_runs() {
    let server = Server::start(Options::default()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let documented = example("lyncsh/profiles/work.toml");
    let credential = documented.lines().find_map(|line| line.strip_prefix("credential = ")).unwrap();
    profile(&folder.path().join("lyncsh"), &server, credential);
    std::fs::write(folder.path().join("lyncsh/profiles/token.sh"), example("lyncsh/profiles/token.sh"))
        .unwrap();
    let workflow = example(".github/workflows/report.yml");
    let read = "import json, sys, yaml\nprint(json.dumps(yaml.safe_load(sys.stdin)['jobs']['report']['steps'][1]['run']))";
    let step = Program::new(python()).args(["-c", read]).stdin(workflow).run().json();
    let step = step.as_str().unwrap();
    assert!(step.contains("-- Get-Mailbox "), "{step}");
    let (url, serving) = platform(PASSWORD);
    let program = Program::new("sh").args(["-ec", &step.replace("Get-Mailbox", "Get-CsTenant")]);
    let program = program.env("PATH", path()).env("no_proxy", "*").folder(folder.path());
    let program =
        program.env("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "t0ken").env("ACTIONS_ID_TOKEN_REQUEST_URL", url);
    tokio::task::spawn_blocking(move || program.run().success_output()).await.unwrap();
    serving.join().unwrap();
    let report = std::fs::read_to_string(folder.path().join("report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report[0]["output"][0]["DisplayName"], "Litware");
    empty(&server).await;
}

#[test]
fn the_token_script_asks_the_platform() {
    let (url, serving) = platform("identity");
    let script = Program::new("sh").args(["-ec", &example("lyncsh/profiles/token.sh")]);
    let script =
        script.env("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "t0ken").env("ACTIONS_ID_TOKEN_REQUEST_URL", url);
    assert_eq!(script.env("no_proxy", "*").run().success_output(), "identity\n");
    let head = serving.join().unwrap();
    assert!(head[0].contains("&audience=api://AzureADTokenExchange "), "{head:?}");
    assert!(head.iter().any(|line| line.eq_ignore_ascii_case("authorization: bearer t0ken")), "{head:?}");
}

#[test]
fn the_profile_of_the_workflow_is_valid() {
    let text = example("lyncsh/profiles/work.toml");
    lyncsh::profile::parse("work", Path::new("work.toml"), &text).unwrap();
    let text = example("/var/lib/lyncsh/profiles/work.toml");
    lyncsh::profile::parse("work", Path::new("work.toml"), &text).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_playbook_runs() {
    let (world, server) = online(Options::default(), "").await;
    let file = world.root().join("report.yml");
    std::fs::write(&file, example("report.yml")).unwrap();
    let playbook = Path::new(&python()).with_file_name("ansible-playbook");
    let program = Program::new(playbook)
        .args(["-i", "localhost,", "-c", "local"])
        .args([&file])
        .env("PATH", path())
        .env("LYNCSH_CONFIG_DIR", world.root())
        .env("ANSIBLE_PYTHON_INTERPRETER", python())
        .env("ANSIBLE_LOCAL_TEMP", world.root())
        .env("ANSIBLE_HOME", world.root())
        .env("ANSIBLE_LOCALHOST_WARNING", "False");
    let ran = tokio::task::spawn_blocking(move || program.run()).await.unwrap();
    let out = ran.success_output();
    assert!(out.contains("Ken Myer") && out.contains("failed=0"), "{out}");
    empty(&server).await;
}
