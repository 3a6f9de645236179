//! The agent process: runs `lyncsh agent`, which only lyncsh itself starts.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use super::command_check;
use super::control::Failure;
use super::handover::{Handover, Secrets};
use super::journal::Journal;
use super::owner::{self, Owner};
use super::paths::AgentPaths;
use super::presence::Presence;
use super::resolver::EndpointResolver;
use super::serve::{self, ControlServer};
use super::shared::{EventLog, Shared};
use super::socket::Listener;
use crate::files::lock;
use crate::files::replace::{move_file, remove};
use crate::folders::Folders;
use crate::output;
use crate::platform::{self, ShutdownSignals};

/// Maximum wait for an ending predecessor of the agent.
const PREDECESSOR_TIMEOUT: Duration = Duration::from_secs(30);
/// Maximum time for which an agent that ends early waits for its launcher to connect.
const LAUNCHER_TIMEOUT: Duration = Duration::from_secs(10);
/// Time limit for sending the last events to the watchers.
const LAST_EVENTS_TIMEOUT: Duration = Duration::from_secs(1);

/// Message on the agent's standard output: the agent listens, or its start failed.
pub type Ready = Result<(), Failure>;

/// Runs the agent. Reads a [`Handover`] from standard input and writes [`Ready`] to standard output.
pub async fn run() -> ExitCode {
    // Detaches from the terminal: the launcher's Ctrl-C must not end the agent.
    let left = platform::leave_terminal();
    let started = match left.and_then(|()| Handover::read()) {
        Ok((handover, secrets)) => start(handover, secrets).await,
        Err(error) => Err(failure("the agent cannot read its parameters", &error)),
    };
    let ready: Ready = started.as_ref().map(|_| ()).map_err(Clone::clone);
    if report(&ready).is_err() {
        // The launcher has exited.
        return ExitCode::FAILURE;
    }
    match started {
        Ok(agent) => agent.serve().await,
        Err(_) => return ExitCode::FAILURE,
    }
    ExitCode::SUCCESS
}

fn report(ready: &Ready) -> io::Result<()> {
    output::data(&format!("{}\n", serde_json::to_string(ready)?))
}

fn failure(what: &str, error: &dyn std::error::Error) -> Failure {
    Failure { text: format!("{what}: {error}"), advice: None }
}

struct Agent {
    owner: Owner,
    server: Arc<ControlServer>,
    folders: Folders,
    shells: Vec<Listener>,
    launchers: Listener,
    signals: ShutdownSignals,
    /// Held while the process runs.
    lock: File,
}

async fn start(handover: Handover, secrets: Secrets) -> Result<Agent, Failure> {
    let folders = handover.folders();
    log(&handover);
    let profile = handover.profile().map_err(|error| failure("cannot read the profile", &error))?;
    let paths = AgentPaths::of(&folders, &profile.name);
    let prepared = paths.prepare();
    prepared.map_err(|error| failure("cannot prepare the folder for the agent's sockets", &error))?;
    let lock = lock::lock(&paths.lock, PREDECESSOR_TIMEOUT)
        .await
        .map_err(|error| failure(&format!("cannot start the agent of '{}'", profile.name), &error))?;
    let listen = |error: io::Error| failure("cannot listen for shells", &error);
    paths
        .name_process()
        .map_err(|error| failure(&format!("cannot write {}", paths.process.display()), &error))?;
    let signals = ShutdownSignals::catch().map_err(listen)?;
    let (retry, retries) = mpsc::channel(1);
    let shared = Shared {
        events: EventLog::new(),
        presence: Presence::new(),
        stop: CancellationToken::new(),
        leaving: CancellationToken::new(),
        opened: watch::Sender::new(None),
        keep: watch::Sender::new(handover.keep),
        retry,
        reconnect_now: Arc::default(),
        patient: watch::Sender::new(0),
    };
    let journal = Journal::of(&folders);
    let access = EndpointResolver::new(&folders, profile, secrets.main).with_proxy_secret(secrets.proxy);
    let server =
        ControlServer { profile: access.profile.clone(), journal: journal.clone(), shared: shared.clone() };
    Ok(Agent {
        owner: Owner { access, journal, shared, retries },
        server: Arc::new(server),
        folders,
        shells: shells(&paths).await.map_err(listen)?,
        launchers: Listener::bind(&paths.control).await.map_err(listen)?,
        signals,
        lock,
    })
}

impl Agent {
    async fn serve(self) {
        let Self { owner, server, folders, shells, launchers, mut signals, lock } = self;
        let shared = owner.shared.clone();
        let (connection, mut connections) = mpsc::channel(1);
        // A separate task, so that a panic ends the session like any other error: the guard's drop has
        // removed the session when the task is joined.
        let mut owning = tokio::spawn(owner.run());
        let left = {
            let profile = server.profile.clone();
            let leaving = async {
                tokio::select! {
                    _ = join_all(shells.iter().map(|shells| serve::shells(shells, &shared))) => {}
                    () = serve::launchers(&launchers, server, &connection) => {}
                }
            };
            let signalled = async {
                let ending = signals.next().await;
                tracing::info!("ending: {ending:?}");
                shared.stop.cancel();
                // Further signals have no effect: the session is being removed.
                loop {
                    signals.next().await;
                }
            };
            let over = async {
                let left = (&mut owning).await.ok().flatten();
                // The launcher that started this agent may not have connected yet.
                let _ = tokio::time::timeout(LAUNCHER_TIMEOUT, shared.presence.wait_visited()).await;
                left
            };
            let comparing = async {
                command_check::watch(shared.opened.subscribe(), profile, folders).await;
                std::future::pending::<()>().await;
            };
            tokio::select! {
                left = over => left,
                () = comparing => None,
                () = leaving => None,
                () = signalled => None,
            }
        };
        shared.leaving.cancel();
        // New clients start their own agent, which waits for the lock.
        drop((shells, launchers));
        drop(connection);
        let _ = tokio::time::timeout(LAST_EVENTS_TIMEOUT, connections.recv()).await;
        drop(lock);
        owner::remove(left).await;
    }
}

/// Listens on all paths on which shells look for the agent.
async fn shells(paths: &AgentPaths) -> io::Result<Vec<Listener>> {
    let mut shells = vec![Listener::bind(&paths.socket).await?];
    for path in platform::process_sockets() {
        match Listener::bind(&path).await {
            Ok(listener) => shells.push(listener),
            Err(error) => tracing::warn!("cannot listen for shells at {}: {error}", path.display()),
        }
    }
    Ok(shells)
}

/// Removes the log of a profile's agent.
pub fn discard_log(folders: &Folders, profile: &str) -> io::Result<()> {
    remove(&log_file(&folders.state, profile))
}

/// Moves the log of a profile's agent to another profile.
pub fn rename_log(folders: &Folders, old: &str, new: &str) -> io::Result<()> {
    move_file(&log_file(&folders.state, old), &log_file(&folders.state, new))
}

/// Returns the path of the log of a profile's agent. Each new agent overwrites the log.
pub fn log_file(state: &Path, profile: &str) -> PathBuf {
    state.join("log").join(format!("{profile}.log"))
}

/// Logs to a file in the state folder, with the launcher's verbosity or as `LYNCSH_LOG` sets it: the agent's
/// standard error is not visible.
fn log(handover: &Handover) {
    let path = log_file(&handover.state, &handover.profile);
    let open = || {
        platform::private_folder(path.parent().unwrap_or(&path))?;
        platform::private_file().create(true).truncate(true).open(&path)
    };
    let Ok(file) = open() else { return };
    let level = match handover.verbosity {
        0 => "warn",
        1 | 2 => "lyncsh=info",
        _ => "lyncsh=trace",
    };
    let filter = EnvFilter::try_from_env("LYNCSH_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let log = tracing_subscriber::fmt().with_ansi(false).with_env_filter(filter);
    // Keeps a logger that is set already.
    let _ = log.with_writer(std::sync::Mutex::new(file)).try_init();
    std::panic::set_hook(Box::new(|panic| tracing::error!("{panic}")));
}
