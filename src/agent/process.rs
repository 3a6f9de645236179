//! The agent as a process of its own: what `lyncsh agent`, which only lyncsh itself starts, does.

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
use super::handover::Handover;
use super::journal::Journal;
use super::owner::{self, Owner};
use super::paths::{self, AgentPaths};
use super::presence::Presence;
use super::resolver::EndpointResolver;
use super::serve::{self, ControlServer};
use super::shared::{EventLog, Shared};
use super::socket::Listener;
use crate::folders::Folders;
use crate::output;
use crate::platform::{self, ShutdownSignals};

/// How long an agent waits for another of the same profile, which is ending.
const PREDECESSOR: Duration = Duration::from_secs(30);
/// How long the launcher that started an agent may take to come, where the agent is over before.
const HEARS: Duration = Duration::from_secs(10);
/// How long the last news may take to reach those who watch.
const FAREWELL: Duration = Duration::from_secs(1);

/// What an agent says on its standard output, once, when it listens or can't.
pub type Ready = Result<(), Failure>;

/// Runs the agent. Takes standard input for a [`Handover`], and says [`Ready`] on standard output.
pub async fn run() -> ExitCode {
    // The launcher may have got a Ctrl-C meanwhile; it is no business of this process any more.
    let left = platform::leave_terminal();
    let started = match left.and_then(|()| Handover::read()) {
        Ok((handover, secret)) => start(handover, secret).await,
        Err(error) => Err(failure("the agent was not told what to do", &error)),
    };
    let ready: Ready = started.as_ref().map(|_| ()).map_err(Clone::clone);
    if report(&ready).is_err() {
        // Nobody is there to use it.
        return ExitCode::FAILURE;
    }
    match started {
        Ok(agent) => agent.live().await,
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
    desk: Arc<ControlServer>,
    folders: Folders,
    shells: Vec<Listener>,
    launchers: Listener,
    endings: ShutdownSignals,
    /// Held as long as the process lives.
    lock: File,
}

async fn start(handover: Handover, secret: Option<secrecy::SecretString>) -> Result<Agent, Failure> {
    let folders = handover.folders();
    log(&handover);
    let profile = handover.profile().map_err(|error| failure("the profile has changed", &error))?;
    let paths = AgentPaths::of(&folders, &profile.name);
    let prepared = paths.prepare();
    prepared.map_err(|error| failure("there is no private folder for the agent's sockets", &error))?;
    let lock = paths::lock(&paths.lock, PREDECESSOR)
        .await
        .map_err(|error| failure(&format!("the agent of '{}' can't start", profile.name), &error))?;
    let listen = |error: io::Error| failure("the agent can't listen for shells", &error);
    paths
        .name_process()
        .map_err(|error| failure(&format!("{} can't be written", paths.process.display()), &error))?;
    let endings = ShutdownSignals::catch().map_err(listen)?;
    let (retry, retries) = mpsc::channel(1);
    let shared = Shared {
        news: EventLog::new(),
        presence: Presence::new(),
        stop: CancellationToken::new(),
        leaving: CancellationToken::new(),
        opened: watch::Sender::new(None),
        keep: profile.keep,
        retry,
        hurry: Arc::default(),
        patient: watch::Sender::new(0),
    };
    let journal = Journal::of(&folders);
    let access = EndpointResolver::new(profile, secret);
    let desk =
        ControlServer { profile: access.profile.clone(), journal: journal.clone(), shared: shared.clone() };
    Ok(Agent {
        owner: Owner { access, journal, shared, retries },
        desk: Arc::new(desk),
        folders,
        shells: shells(&paths).await.map_err(listen)?,
        launchers: Listener::bind(&paths.control).await.map_err(listen)?,
        endings,
        lock,
    })
}

impl Agent {
    async fn live(self) {
        let Self { owner, desk, folders, shells, launchers, mut endings, lock } = self;
        let shared = owner.shared.clone();
        let (talk, mut talks) = mpsc::channel(1);
        // A task of its own: a panic in it is an end of the session like any other, and its guard's
        // drop has removed the session when the task is joined.
        let mut owning = tokio::spawn(owner.run());
        let left = {
            let profile = desk.profile.clone();
            let leaving = async {
                tokio::select! {
                    _ = join_all(shells.iter().map(|shells| serve::shells(shells, &shared))) => {}
                    () = serve::launchers(&launchers, desk, &talk) => {}
                }
            };
            let signalled = async {
                let ending = endings.next().await;
                tracing::info!("ending: {ending:?}");
                shared.stop.cancel();
                // What comes now changes nothing: the session is being removed.
                loop {
                    endings.next().await;
                }
            };
            let over = async {
                let left = (&mut owning).await.ok().flatten();
                // Who started this agent may still be on the way to hear how it went.
                let _ = tokio::time::timeout(HEARS, shared.presence.wait_visited()).await;
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
        // Whoever comes now starts an agent of their own, which waits for the lock.
        drop((shells, launchers));
        drop(talk);
        let _ = tokio::time::timeout(FAREWELL, talks.recv()).await;
        drop(lock);
        owner::remove(left).await;
    }
}

/// Listens where shells look for the agent.
async fn shells(paths: &AgentPaths) -> io::Result<Vec<Listener>> {
    let mut shells = vec![Listener::bind(&paths.socket).await?];
    for path in platform::process_sockets() {
        match Listener::bind(&path).await {
            Ok(listener) => shells.push(listener),
            Err(error) => tracing::warn!("no shell will find {}: {error}", path.display()),
        }
    }
    Ok(shells)
}

/// Removes the log of a profile's agent.
pub fn discard_log(folders: &Folders, profile: &str) -> io::Result<()> {
    match std::fs::remove_file(log_file(&folders.state, profile)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn log_file(state: &Path, profile: &str) -> PathBuf {
    state.join("log").join(format!("{profile}.log"))
}

/// Logs to a file of the state folder, as much as the launcher was asked for or as `LYNCSH_LOG` says:
/// nobody sees this process's standard error.
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
    // There is none yet in this process; where there is, it is kept.
    let _ = log.with_writer(std::sync::Mutex::new(file)).try_init();
    std::panic::set_hook(Box::new(|panic| tracing::error!("{panic}")));
}
