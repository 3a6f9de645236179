//! A replacement for `pwsh` in tests: started like `pwsh` with the connecting script; it requests the socket
//! from `lyncsh attach` and attaches as a PSRP client. The misbehaviour for a test is listed in `STAND_IN`,
//! as words.
//!
//! It finds profile and program in `STAND_IN_PROFILES` and `STAND_IN_LYNCSH`.
#![allow(clippy::disallowed_macros, clippy::disallowed_methods, reason = "nothing of an endpoint is shown")]

use std::io::{BufRead as _, Read as _, Write as _};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lyncsh::net::Trust;
use lyncsh::psrp::client::{ClientPool, PipelineEvent};
use lyncsh::psrp::host::HostInfo;
use lyncsh::psrp::pipeline::{Argument, Pipeline, PipelineCommand as PsCommand};
use lyncsh::transport::session::Session;
use lyncsh::transport::wsman::{self, Authentication, Endpoint};
use lyncsh::transport::{Limits, stream};

/// Returns whether `STAND_IN` contains a word.
fn does(word: &str) -> bool {
    std::env::var("STAND_IN").is_ok_and(|words| words.split(' ').any(|one| one == word))
}

fn print(text: &str) {
    let mut out = std::io::stdout();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments == ["--version"] {
        print("PowerShell 7.6.5\n");
        return;
    }
    if let Some(file) = std::env::var_os("STAND_IN_ARGUMENTS") {
        std::fs::write(file, arguments.join("\0")).expect("the arguments' file");
    }
    if does("die-first") {
        std::process::exit(7);
    }
    if does("slow") {
        // Same output as PowerShell's startup.
        std::thread::sleep(std::time::Duration::from_millis(500));
    }
    if does("ask-first") {
        // Like a startup script that reads from the terminal.
        print("[a question]");
        let mut answer = [0];
        let _ = std::io::stdin().read(&mut answer);
    }
    if does("deaf") {
        let ignored = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate());
        std::mem::forget(ignored.expect("SIGTERM"));
    }
    let mut sessions = Vec::new();
    if !does("never-attach") {
        for profile in std::env::var("STAND_IN_PROFILES").expect("STAND_IN_PROFILES").split(' ') {
            let session = if does("own") { own(profile).await } else { attach(profile).await };
            sessions.extend(session);
        }
        if sessions.is_empty() {
            std::process::exit(1);
        }
    }
    if let Some(at) = arguments.iter().position(|word| word == "-Command") {
        // The first lines are part of the connecting script.
        for line in arguments[at + 1].lines().skip(2).filter(|line| !line.trim().is_empty()) {
            run(line, &sessions).await;
        }
        std::process::exit(0);
    }
    prompt(&sessions).await;
}

/// Attaches as the module does.
async fn attach(profile: &str) -> Option<Session> {
    let program = std::env::var_os("STAND_IN_LYNCSH").expect("STAND_IN_LYNCSH");
    let output = Command::new(program)
        .args(["attach", profile, "--facts"])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .expect("lyncsh attach");
    let answer = String::from_utf8_lossy(&output.stdout).into_owned();
    let fact = |key: &str| answer.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    let Some(path) = fact("socket") else {
        let error = fact("error").unwrap_or("it ended without a word");
        // As connect.ps1: the launcher has printed the reason.
        if error != format!("could not connect '{profile}'") {
            print(&format!("lyncsh: {error}\n"));
        }
        return None;
    };
    let socket = tokio::net::UnixStream::connect(path).await.expect("the agent's socket");
    let opened = Session::open(stream::connect(socket, Limits::default()), host()).await;
    let (session, mut events) = opened.expect("a session");
    tokio::spawn(async move { while events.recv().await.is_some() {} });
    Some(session)
}

fn host() -> HostInfo {
    HostInfo {
        window: (80, 25),
        buffer: (80, 25),
        foreground: 7,
        background: 0,
        title: String::new(),
        is_null: false,
    }
}

/// Opens a standalone session as the module does, with a WSMan client instead of `New-PSSession`.
async fn own(profile: &str) -> Option<Session> {
    let program = std::env::var_os("STAND_IN_LYNCSH").expect("STAND_IN_LYNCSH");
    let mut guard = Command::new(program)
        .args(["attach", profile, "--own"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("lyncsh attach");
    let mut output = std::io::BufReader::new(guard.stdout.take().expect("its output"));
    let mut line = String::new();
    output.read_line(&mut line).expect("a line");
    let given: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    if let Some(error) = given["error"].as_str() {
        print(&format!("lyncsh: {error}\n"));
        let _ = guard.wait();
        return None;
    }
    let asked = given["secret"].is_null().then(|| {
        print("[password?]");
        let mut typed = String::new();
        std::io::stdin().read_line(&mut typed).expect("a password");
        typed.trim_end().to_owned()
    });
    let text = |key: &str| given[key].as_str().unwrap_or_default().to_owned();
    let password = asked.clone().unwrap_or_else(|| text("secret"));
    let endpoint = Endpoint {
        uri: text("uri").parse().expect("a URI"),
        configuration: text("configuration"),
        authentication: Authentication::Basic { user: text("user"), password: password.into() },
        renew: None,
        removal_recorder: None,
        idle_timeout: None,
        trust: Trust::default(),
        proxies: lyncsh::net::Proxies::default(),
        max_redirections: 5,
        hosts: lyncsh::net::Hosts::default(),
        affinity: lyncsh::transport::wsman::Affinity::default(),
        limits: Limits::default(),
    };
    let id = uuid::Uuid::new_v4();
    let mut pool = ClientPool::new(id, host(), (1, 1));
    pool.open();
    let opening = pool.take_outgoing();
    let (connection, endpoint) = wsman::connect(endpoint, id, opening, |_| true).await.expect("a shell");
    let (session, mut events) = Session::open_pool(connection, pool).await.expect("a session");
    tokio::spawn(async move { while events.recv().await.is_some() {} });
    let mut input = guard.stdin.take().expect("its input");
    let asked = asked.map(|password| format!(" {}", STANDARD.encode(password))).unwrap_or_default();
    writeln!(input, "{} {}{asked}", id.to_string().to_uppercase(), endpoint.uri).expect("the guard");
    let mut more = String::new();
    output.read_to_string(&mut more).expect("the end");
    let Some(more) = more.strip_prefix("guarded\n") else {
        let _ = session.close().await;
        let _ = guard.wait();
        print("lyncsh: the session is removed\n");
        return None;
    };
    print(&format!("[a second read gives {} bytes]\n", more.len()));
    // Open until this process ends, like the module's pipe.
    std::mem::forget(input);
    std::thread::spawn(move || guard.wait());
    Some(session)
}

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Reads lines from standard input until its end.
async fn prompt(sessions: &[Session]) {
    // PowerShell handles Ctrl-C as the end of a command, not of the process.
    let mut interrupts =
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt()).expect("SIGINT");
    tokio::spawn(async move {
        while interrupts.recv().await.is_some() {
            INTERRUPTED.store(true, Ordering::SeqCst);
            print("^C caught\n[work] PS> ");
        }
    });
    if does("says-back") {
        let continued = tokio::signal::unix::SignalKind::from_raw(rustix::process::Signal::CONT.as_raw());
        let mut continued = tokio::signal::unix::signal(continued).expect("SIGCONT");
        tokio::spawn(async move {
            while continued.recv().await.is_some() {
                print("[back]\n");
            }
        });
    }
    let (sending, mut lines) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        while let Some(Ok(line)) = std::io::stdin().lines().next() {
            if sending.send(line).is_err() {
                return;
            }
        }
    });
    loop {
        print("[work] PS> ");
        match lines.recv().await {
            Some(line) => run(line.trim(), sessions).await,
            None => return run("exit 0", sessions).await,
        }
    }
}

/// Runs one command.
async fn run(line: &str, sessions: &[Session]) {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    match word {
        "exit" => leave(rest.parse().unwrap_or(0), sessions).await,
        "crash" => std::process::abort(),
        // Detached manually: the shell stays.
        "Remove-PSSession" => {
            for session in sessions {
                session.close().await.expect("its end");
            }
            print("removed\n");
        }
        "size" => {
            let (columns, rows) = crossterm::terminal::size().expect("a terminal");
            print(&format!("{columns} by {rows}\n"));
        }
        "modes" => {
            let modes = Command::new("stty").arg("-a").stdin(Stdio::inherit()).output().expect("stty");
            let echo = String::from_utf8_lossy(&modes.stdout).split_whitespace().any(|word| word == "echo");
            print(&format!("echo is {}\n", if echo { "on" } else { "off" }));
        }
        "noecho" => drop(Command::new("stty").arg("-echo").status()),
        "raw" => {
            crossterm::terminal::enable_raw_mode().expect("a terminal");
            print("\x1b[?25lraw\r\n");
        }
        "close" => {
            // The terminal is closed while the shell keeps running.
            let null = std::fs::File::options().read(true).write(true).open("/dev/null").expect("/dev/null");
            rustix::stdio::dup2_stdin(&null).expect("stdin");
            rustix::stdio::dup2_stdout(&null).expect("stdout");
            rustix::stdio::dup2_stderr(&null).expect("stderr");
            std::thread::sleep(std::time::Duration::from_secs(1));
            leave(9, sessions).await;
        }
        "" => {}
        _ => {
            for (at, session) in sessions.iter().enumerate() {
                invoke(at, session, line).await;
            }
        }
    }
}

async fn invoke(at: usize, session: &Session, line: &str) {
    let mut words = line.split_whitespace();
    let mut command = PsCommand::new(words.next().unwrap_or_default());
    while let (Some(name), Some(value)) = (words.next(), words.next()) {
        command.arguments.push(Argument::named(name.trim_start_matches('-'), value));
    }
    let mut running = match session.invoke(&Pipeline::new(vec![command])).await {
        Ok(running) => running,
        Err(error) => return print(&format!("{at}: {error}\n")),
    };
    let mut count = 0;
    while let Some(event) = running.next().await {
        match event {
            Ok(PipelineEvent::Output(_)) => count += 1,
            Ok(PipelineEvent::State(state, None)) => print(&format!("{at}: {state:?}, {count} objects\n")),
            Ok(PipelineEvent::State(state, Some(why))) => {
                print(&format!("{at}: {state:?}, {}\n", why.message));
            }
            Ok(_) => {}
            Err(error) => print(&format!("{at}: {error}\n")),
        }
    }
}

async fn leave(code: i32, sessions: &[Session]) {
    if does("hang-at-exit") {
        print("hanging\n");
        std::future::pending::<()>().await;
    }
    for session in sessions {
        let _ = session.close().await;
    }
    std::process::exit(code);
}
