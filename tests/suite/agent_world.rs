//! Common setup of the agent's tests: an endpoint, a user's folders with a profile, the real program, and
//! shells in separate processes. Everything ends with the test.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::time::Duration;

use lyncsh::agent::paths::AgentPaths;
use lyncsh::commands::connect::{Context, connect};
use lyncsh::commands::session;
use lyncsh::folders::Folders;
use lyncsh::platform::ShutdownSignals;
use lyncsh::psrp::client::PipelineEvent;
use lyncsh::psrp::host::HostInfo;
use lyncsh::psrp::pipeline::{Argument, Pipeline, PipelineCommand as PsCommand};
use lyncsh::shell::OnLoss;
use lyncsh::shell::console::exec::ErrorFormat;
use lyncsh::transport::session::{Running, Session};
use lyncsh::transport::{Limits, stream};

pub use crate::program::{ChildGuard, PATIENCE, REMOVAL_TIMEOUT};
use crate::program::{Program, holds, lyncsh};

pub const USER: &str = "kenmyer@litwareinc.com";
pub const PASSWORD: &str = "P@ssw0rd-åß";

/// Returns a PATH with a `pwsh` that always fails: a test that specifies no shell must not open the
/// PowerShell of the machine.
pub fn path_without_powershell() -> std::ffi::OsString {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("no-powershell");
    std::fs::create_dir_all(&folder).unwrap();
    for name in ["pwsh", "pwsh-preview"] {
        let file = folder.join(name);
        if file.exists() {
            continue;
        }
        let beside = tempfile::NamedTempFile::new_in(&folder).unwrap();
        std::fs::write(&beside, "#!/bin/sh\necho 'a test that names no shell gets none'\nexit 97\n").unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&beside, mode).unwrap();
        beside.into_temp_path().persist(file).unwrap();
    }
    let usual = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(std::iter::once(folder).chain(std::env::split_paths(&usual))).unwrap()
}

/// An endpoint, and a user with the profile `work` on it.
pub struct World {
    pub folders: Folders,
    pub uri: String,
    user: String,
    /// Whether the endpoint is the simulator instead of psrpcore's server.
    simulated: bool,
    endpoint: Option<ChildGuard>,
    temp: tempfile::TempDir,
}

impl World {
    pub fn start() -> Self {
        Self::with("")
    }

    /// Creates a world with additional lines in the profile.
    pub fn with(more: &str) -> Self {
        Self::on(&[], more)
    }

    /// Creates a world on an endpoint that was started with these options.
    pub fn on(options: &[&str], more: &str) -> Self {
        let server = Program::peer("psrpcore_server.py").args(options).stderr(Stdio::inherit());
        let mut endpoint = server.start();
        let ready = endpoint.ready();
        let uri = ready["url"].as_str().unwrap().to_owned();
        let mut world = Self::without_endpoint();
        world.uri = uri;
        world.endpoint = Some(endpoint);
        std::fs::write(world.password_file(), PASSWORD).unwrap();
        world.profile("work", more);
        world
    }

    /// Creates a world on the simulator in a separate process, with the recordings' commands and these
    /// options of `lyncsh demo`.
    pub fn simulated(options: &[&str], more: &str) -> Self {
        let server = Program::lyncsh().args(["demo", "--serve", "--fixtures"]).args(options);
        let mut endpoint = server.stderr(Stdio::inherit()).start();
        let ready = endpoint.ready();
        let text = |key: &str| ready[key].as_str().unwrap().to_owned();
        let mut world = Self::without_endpoint();
        (world.uri, world.user, world.simulated) = (text("url"), text("user"), true);
        world.endpoint = Some(endpoint);
        std::fs::write(world.password_file(), text("password")).unwrap();
        world.profile("work", more);
        world
    }

    /// Creates a user without a profile.
    pub fn without_endpoint() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let folders = Folders::find(Some(temp.path())).unwrap();
        let user = USER.to_owned();
        Self { folders, uri: String::new(), user, simulated: false, endpoint: None, temp }
    }

    fn password_file(&self) -> PathBuf {
        self.temp.path().join("password")
    }

    pub fn root(&self) -> &Path {
        self.temp.path()
    }

    pub fn profile(&self, name: &str, more: &str) {
        std::fs::create_dir_all(self.folders.profiles()).unwrap();
        // The endpoint of most tests offers Basic.
        let basic = if more.contains("authentication") { "" } else { "authentication = \"basic\"\n" };
        let text = format!(
            "kind = \"wsman\"\nuri = \"{}\"\nuser = \"{}\"\ncredential = {{ command = \"cat '{}'\" }}\n{basic}{more}\n",
            self.uri,
            self.user,
            self.password_file().display()
        );
        std::fs::write(self.folders.profile(name), text).unwrap();
    }

    /// Returns the command that runs the real program as this user.
    pub fn lyncsh(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(lyncsh());
        command.env("LYNCSH_CONFIG_DIR", self.temp.path()).args(arguments).stdin(Stdio::null());
        command.env("PATH", path_without_powershell());
        command
    }

    /// The same, built step by step.
    pub fn program(&self, arguments: &[&str]) -> Program {
        Program::from(self.lyncsh(arguments))
    }

    /// Runs the program to its end; returns exit code, standard output and standard error.
    pub fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        self.program(arguments).run().parts()
    }

    pub fn place(&self) -> AgentPaths {
        AgentPaths::of(&self.folders, "work")
    }

    /// Returns the agent's process id.
    pub fn agent(&self) -> Option<u32> {
        self.place().holder()
    }

    /// Ends the endpoint.
    pub fn stop_endpoint(&mut self) {
        self.endpoint = None;
    }

    /// Returns the endpoint's process id.
    pub fn endpoint_process(&self) -> u32 {
        self.endpoint.as_ref().expect("a world with an endpoint").0.id()
    }

    /// Returns the endpoint's state: its shells' ids as `shells`, and the received requests as `log`.
    pub fn endpoint_state(&self) -> serde_json::Value {
        if self.simulated {
            let shells = self.ask("/sim/shells");
            let ids: Vec<_> = shells.as_array().unwrap().iter().map(|shell| &shell["id"]).collect();
            serde_json::json!({ "shells": ids })
        } else {
            self.ask("/state")
        }
    }

    fn ask(&self, path: &str) -> serde_json::Value {
        let uri: url::Url = self.uri.parse().unwrap();
        let mut stream = TcpStream::connect(("127.0.0.1", uri.port().unwrap())).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
    }

    /// Returns the number of open shells on the endpoint.
    pub fn shells(&self) -> usize {
        self.endpoint_state()["shells"].as_array().unwrap().len()
    }

    /// Returns the number of running pipelines on the simulator.
    pub fn running(&self) -> u64 {
        let shells = self.ask("/sim/shells");
        shells.as_array().unwrap().iter().map(|shell| shell["commands"].as_u64().unwrap()).sum()
    }

    /// Returns the number of requests to the endpoint, without Receive (which is repeated constantly) if
    /// possible.
    pub fn requests(&self) -> usize {
        if self.simulated {
            return usize::try_from(self.ask("/sim/requests").as_u64().unwrap()).unwrap();
        }
        let state = self.endpoint_state();
        let log = state["log"].as_array().unwrap();
        log.iter().filter(|asked| asked[0] != "Receive").count()
    }

    /// Waits for a condition, at most `limit`.
    pub fn wait(&self, limit: Duration, what: &str, mut condition: impl FnMut(&Self) -> bool) {
        let holds = holds(limit, || condition(self));
        let state = || self.endpoint_state()["shells"].to_string();
        assert!(holds, "not within {limit:?}: {what}\n{}\n{}", state(), self.log());
    }

    /// Waits until no shell is left on the endpoint and no agent is running.
    pub fn wait_removed(&self, limit: Duration) {
        self.wait(limit, "no shell on the endpoint", |world| world.shells() == 0);
        self.wait_agent_gone();
    }

    pub fn wait_agent_gone(&self) {
        let ended = holds(PATIENCE, || self.agent().is_none());
        assert!(ended, "the agent does not end\n{}", self.log());
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folders.state.join("log/work.log")).unwrap_or_default()
    }

    /// Returns the agent's socket from `lyncsh attach`.
    pub fn attach(&self) -> String {
        let (code, out, err) = self.run(&["attach", "work", "--socket"]);
        assert_eq!(code, 0, "{err}");
        out.trim_end().to_owned()
    }

    /// Starts a process with a role: see [`child`].
    pub fn child(&self, role: &str) -> Role {
        let program = Program::new(std::env::current_exe().unwrap())
            .args(["--exact", "agent_world::child", "--ignored", "--nocapture"])
            .env("LYNCSH_CONFIG_DIR", self.temp.path())
            .env("LYNCSH_TEST_ROLE", role)
            .env("LYNCSH_TEST_SOCKET", self.place().socket)
            .stderr(Stdio::inherit());
        let mut child = program.start();
        let stdout = BufReader::new(child.0.stdout.take().unwrap());
        let stdin = child.input();
        Role { process: child, stdin: Some(stdin), stdout }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for name in AgentPaths::known(&self.folders) {
            if let Some(agent) = AgentPaths::of(&self.folders, &name).holder() {
                let _ = lyncsh::platform::kill(agent);
            }
        }
    }
}

/// A child process with a role.
pub struct Role {
    pub process: ChildGuard,
    stdin: Option<ChildStdin>,
    stdout: BufReader<std::process::ChildStdout>,
}

impl Role {
    /// Waits until the process prints `word` at the end of a line: the test program prints other text as well.
    pub fn wait_for(&mut self, word: &str) {
        let mut line = String::new();
        while self.stdout.read_line(&mut line).unwrap() > 0 {
            if line.trim_end().ends_with(word) {
                return;
            }
            line.clear();
        }
        panic!("it ended without printing {word}");
    }

    /// Asks the process to leave.
    pub fn end_input(&mut self) {
        self.stdin = None;
    }

    pub fn kill(&mut self) {
        self.process.0.kill().unwrap();
    }
}

/// Not a test: the program of [`World::child`]. `idle` is a shell that runs nothing, `running` a shell with an
/// endless command, `launcher` starts the agent and stays, `work-idle` and `work-running` are launcher and shell
/// in one process, like `lyncsh work`. They print `ready`, and leave when standard input ends.
#[test]
#[ignore = "a child of other tests"]
fn child() {
    let role = std::env::var("LYNCSH_TEST_ROLE").unwrap();
    let socket = std::env::var("LYNCSH_TEST_SOCKET").unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        match role.as_str() {
            "launcher" => return launch().await,
            "work-idle" | "work-running" => std::process::exit(work(role == "work-running").await),
            _ => {}
        }
        // The agent may not listen yet, and a killed agent leaves its socket. Each connection counts as a
        // shell, and closing a connection could end the agent: the first open connection is used.
        let session = loop {
            match lyncsh::agent::socket::connect(Path::new(&socket)).await {
                Ok(stream) => break opened(stream).await,
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        };
        let mut running = None;
        if role == "running" {
            let mut pipeline = session.invoke(&waiting()).await.unwrap();
            until_output(&mut pipeline).await;
            running = Some(pipeline);
        }
        println!("ready");
        wait_for_input_end().await;
        drop(running);
        session.close().await.unwrap();
    });
}

/// Waits until standard input ends.
async fn wait_for_input_end() {
    let (ended, end) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        let _ = ended.send(());
    });
    end.await.unwrap();
}

/// Does what `lyncsh work` does before and after its shell.
async fn launch() {
    let config = std::env::var_os("LYNCSH_CONFIG_DIR").unwrap();
    let folders = Folders::find(Some(Path::new(&config))).unwrap();
    let profile = lyncsh::profile::load(&folders, "work").unwrap();
    let errors = ErrorFormat::Text;
    let context = Context { folders, verbosity: 0, program: lyncsh(), config_dir: None, errors };
    let mut endings = ShutdownSignals::catch().unwrap();
    let mut agent = connect(&context, profile, None, &mut endings).await.unwrap();
    println!("ready");
    let watching = async { while agent.next().await.is_some() {} };
    tokio::select! {
        () = watching => return,
        () = wait_for_input_end() => {}
    }
    agent.release(PATIENCE).await;
}

/// Runs `lyncsh work` with a shell that needs no terminal; returns its exit code.
async fn work(runs: bool) -> i32 {
    let config = std::env::var_os("LYNCSH_CONFIG_DIR").unwrap();
    let folders = Folders::find(Some(Path::new(&config))).unwrap();
    let profile = lyncsh::profile::load(&folders, "work").unwrap();
    let errors = ErrorFormat::Text;
    let context = Context { folders, verbosity: 0, program: lyncsh(), config_dir: None, errors };
    let code = session::run(&context, profile.into(), None, (host(), OnLoss::Exit), async |mut all| {
        let mut attached = all.remove(0);
        let mut running = None;
        if runs {
            let mut pipeline = attached.connection.current().unwrap().invoke(&waiting()).await.unwrap();
            until_output(&mut pipeline).await;
            running = Some(pipeline);
        }
        println!("ready");
        tokio::select! {
            () = wait_for_input_end() => Ok(7),
            () = attached.connection.lost() => {
                drop(running);
                println!("{}", attached.notices.recv().await.unwrap());
                Ok(4)
            }
        }
    });
    match code.await {
        Ok(code) if code == std::process::ExitCode::FAILURE => 1,
        Ok(code) if code == std::process::ExitCode::from(4) => 4,
        Ok(code) if code == std::process::ExitCode::from(7) => 7,
        Ok(code) if code == std::process::ExitCode::from(130) => 130,
        Ok(code) if code == std::process::ExitCode::from(143) => 143,
        Ok(_) => 0,
        Err(error) => {
            println!("{error:?}");
            1
        }
    }
}

pub fn host() -> HostInfo {
    HostInfo {
        window: (80, 25),
        buffer: (80, 25),
        foreground: 7,
        background: 0,
        title: "test".into(),
        is_null: false,
    }
}

/// Opens a shell in this process.
pub async fn open(socket: &Path) -> Session {
    opened(lyncsh::agent::socket::connect(socket).await.unwrap()).await
}

async fn opened(
    stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
) -> Session {
    let limits = Limits { open: PATIENCE, operation: PATIENCE, ..Limits::default() };
    let opening = Session::open(stream::connect(stream, limits), host());
    tokio::time::timeout(PATIENCE, opening).await.unwrap().unwrap().0
}

/// Returns a command that writes output and does not end.
pub fn waiting() -> Pipeline {
    Pipeline::new(vec![PsCommand::new("Wait-Forever")])
}

/// Returns a command that outputs the length of its parameter.
pub fn measuring(text: &str) -> Pipeline {
    let mut command = PsCommand::new("Get-Length");
    command.arguments.push(Argument::named("Text", text));
    Pipeline::new(vec![command])
}

/// Waits until a pipeline has written output.
pub async fn until_output(running: &mut Running) {
    while !matches!(running.next().await.unwrap().unwrap(), PipelineEvent::Output(_)) {}
}

/// Returns a pipeline's events until its end.
pub async fn output(mut running: Running) -> Vec<PipelineEvent> {
    let mut events = Vec::new();
    while let Some(event) = tokio::time::timeout(PATIENCE, running.next()).await.unwrap() {
        events.push(event.unwrap());
    }
    events
}
