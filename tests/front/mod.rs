//! A real PowerShell behind a WSMan front.
//!
//! [`Front::start`] listens on loopback like the simulator: the same WSMan service, discovery, accounts,
//! limits and options, and the same `/sim/shells`. Behind each shell runs its own process, `pwsh -s -NoLogo
//! -NoProfile [-ConfigurationFile FILE.pssc]`, which receives that shell's PSRP messages in out-of-process
//! framing; its output is returned by the client's Receives. A process ends when its shell is deleted or idle
//! for too long, when the front is dropped or killed, and when its standard input ends.
//!
//! ```ignore
//! let Some(pwsh) = front::powershell() else { return };          // prints SKIPPED if there is none
//! let front = Front::start(Options::new(pwsh)).await.unwrap();   // or front::blocking(…), without tokio
//! front.uri, front.discovery, front.user, front.password         // kind = "wsman" and kind = "lync-online"
//! front.processes()                                              // ids of the running PowerShells
//! ```
//!
//! By hand: `cargo run --example front -- --pwsh PATH [--configuration FILE.pssc]` prints one line of JSON
//! like `lyncsh demo --serve`, and serves until its standard input ends.
#![allow(dead_code, reason = "each test program uses a part of it")]

mod process;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lyncsh::simulator::{self, Backend, Backends, PASSWORD, Server, USER};

use process::{Process, Processes};

/// Time limit for the end of a shell and its PowerShell process after the end of its owner.
pub const END_TIMEOUT: Duration = Duration::from_secs(15);

/// Options of a front.
#[derive(Clone, Debug)]
pub struct Options {
    pub pwsh: PathBuf,
    /// A session configuration file (`.pssc`); without one the endpoint is unrestricted.
    pub configuration: Option<PathBuf>,
    /// Additional environment of each PowerShell process.
    pub environment: Vec<(String, String)>,
    /// Options of the WSMan service.
    pub wsman: simulator::Options,
}

impl Options {
    /// Returns the options of an unrestricted endpoint.
    pub fn new(pwsh: impl Into<PathBuf>) -> Self {
        let wsman = simulator::Options::default();
        Self { pwsh: pwsh.into(), configuration: None, environment: Vec::new(), wsman }
    }

    /// Returns the options of an endpoint with a session configuration file.
    pub fn configured(pwsh: impl Into<PathBuf>, file: impl Into<PathBuf>) -> Self {
        Self { configuration: Some(file.into()), ..Self::new(pwsh) }
    }
}

/// A running front. Dropping it ends it and all its PowerShell processes.
pub struct Front {
    pub uri: String,
    /// Replacement for `lyncdiscover.DOMAIN`.
    pub discovery: String,
    pub user: String,
    pub password: String,
    /// The WSMan service: its shells, its number of requests.
    pub server: Server,
    processes: Arc<Processes>,
}

impl Front {
    pub async fn start(options: Options) -> std::io::Result<Self> {
        let processes = Arc::new(Processes::default());
        let wsman = options.wsman.clone();
        let of = processes.clone();
        let backends: Backends = Box::new(move |_| {
            let process: Arc<dyn Backend> = Arc::new(Process::start(&options, of.clone())?);
            Ok(process)
        });
        let server = Server::start_with(wsman, backends).await?;
        Ok(Self::of(server, processes))
    }

    /// Starts the simulator alone, without PowerShell processes.
    pub async fn simulated(options: simulator::Options) -> std::io::Result<Self> {
        Ok(Self::of(Server::start(options).await?, Arc::default()))
    }

    fn of(server: Server, processes: Arc<Processes>) -> Self {
        Self {
            uri: server.url.clone(),
            discovery: server.discovery.clone(),
            user: USER.to_owned(),
            password: PASSWORD.to_owned(),
            server,
            processes,
        }
    }

    /// Returns the ids of the running PowerShell processes.
    pub fn processes(&self) -> Vec<u32> {
        self.processes.ids()
    }

    /// Waits until no shell is open and no PowerShell process is running.
    pub async fn wait_empty(&self) {
        let start = std::time::Instant::now();
        while !self.server.shells().is_empty() || !self.processes().is_empty() {
            let left = (self.server.shells(), self.processes());
            assert!(
                start.elapsed() < END_TIMEOUT,
                "not within {END_TIMEOUT:?}: no shell and no PowerShell: {left:?}"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Starts a front for a test without a runtime; the returned runtime must outlive the front.
pub fn blocking(options: Options) -> (tokio::runtime::Runtime, Front) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let front = runtime.block_on(Front::start(options)).unwrap();
    (runtime, front)
}

/// Returns the PowerShell for the tests: `LYNCSH_TEST_PWSH`, else `pwsh` on PATH. Prints a message if there
/// is none; the test must return then.
pub fn powershell() -> Option<PathBuf> {
    // A wrong path must not pass for a missing PowerShell.
    let named = std::env::var_os("LYNCSH_TEST_PWSH").map(|named| {
        which::which(&named)
            .unwrap_or_else(|error| panic!("LYNCSH_TEST_PWSH names {}: {error}", named.display()))
    });
    let found = named.or_else(|| which::which("pwsh").ok());
    if found.is_none() {
        eprintln!(
            "SKIPPED, NOT TESTED: {} needs a real PowerShell. Install pwsh 7.4 or later, or name one: \
             LYNCSH_TEST_PWSH=/path/to/pwsh cargo nextest run",
            std::thread::current().name().unwrap_or("this test")
        );
    }
    found
}
