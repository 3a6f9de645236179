//! The launcher's side: finds or starts the agent of a profile, watches it, and removes the session if the
//! agent dies.

use std::io;
use std::path::PathBuf;
use std::pin::pin;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use secrecy::ExposeSecret as _;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::sync::mpsc;

use super::control::{self, ControlEvent, ControlRequest, Failure, Guarded};
use super::handover::{Handover, Secrets};
use super::journal::Journal;
use super::orphans::{self, Extent};
use super::paths::{self, AgentPaths};
use super::process::Ready;
use super::removal::{self, CreateState};
use super::resolver::EndpointResolver;
use super::socket::{self, Local};
use crate::credential::CredentialError;
use crate::files::lock::{self, LockError};
use crate::files::text;
use crate::folders::Folders;
use crate::platform;
use crate::profile::{self, ProfileError};
use crate::psrp::client;
use crate::psrp::host::HostInfo;
use crate::transport::session::Session;
use crate::transport::{self, Limits, stream};

/// Time limit for another launcher that is starting the same agent.
const STARTING_TIMEOUT: Duration = Duration::from_mins(1);
/// Time limit for a new agent to listen; it may wait for its ending predecessor.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(45);
/// Time limit for the first event from an agent, and for a failed agent to end.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Additional time for removing the session of a dead agent before the launcher exits.
const REMOVAL_TIMEOUT: Duration = Duration::from_secs(10);
/// Interval for checking whether an agent is still running.
const POLL_INTERVAL: Duration = Duration::from_millis(10);
/// Maximum number of attempts to connect: an agent may end while the launcher connects.
const ATTEMPTS: usize = 5;

/// Parameters for starting an agent.
#[derive(Clone, Debug)]
pub struct Launch {
    /// This program, which is also the agent.
    pub program: PathBuf,
    pub folders: Folders,
    pub access: EndpointResolver,
    pub verbosity: u8,
    /// Set when this process has started an agent, which waits for its first client.
    pub has_started: Arc<AtomicBool>,
}

/// Error of starting or finding an agent.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum LaunchError {
    /// The runtime folder cannot be created, is a link, or belongs to another user.
    #[error("cannot use the folder for the agent's sockets: {0}")]
    Folder(io::Error),
    /// The lock among launchers of this profile is held for too long, or cannot be used: see `LockError`.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The program could not be executed, the pipe to it broke, or the agent ended before it listened.
    #[error("cannot start the agent: {0}")]
    Start(io::Error),
    /// The agent accepts connections but sends no event in time: it hangs or is suspended.
    #[error("the agent of '{profile}'{} does not answer", paths::in_brackets(*.process))]
    #[diagnostic(help("Run `lyncsh stop {profile}` to end the agent and remove its session"))]
    Silent { profile: String, process: Option<u32> },
    /// The new agent could not listen, or the proxy has refused the password before.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Failed(#[from] Failure),
    /// The password was refused earlier in this process, and is not sent again.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Refused(Failure),
    /// The secret for the new agent could not be fetched: see `CredentialError`.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Credential(#[from] CredentialError),
    /// The file of the profile was removed or made unreadable after it was loaded.
    #[error("cannot reread the profile: {0}")]
    Reread(io::Error),
    /// The file of the profile was changed after it was loaded, and is invalid now.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Profile(#[from] ProfileError),
}

/// A launcher's connection to the agent.
#[derive(Debug)]
pub struct Agent {
    /// The sockets of the agent.
    pub paths: AgentPaths,
    requests: mpsc::Sender<ControlRequest>,
    events: mpsc::UnboundedReceiver<AgentEvent>,
    guarded: Option<Guarded>,
    /// The agent has died, and this process is removing its session.
    removing: Arc<AtomicBool>,
}

/// An event for the launcher.
#[derive(Clone, Debug, PartialEq)]
pub enum AgentEvent {
    Event(ControlEvent),
    /// The agent died. `left`: reason why the session may still exist; `None`: this process removed it.
    Died {
        left: Option<String>,
    },
}

impl Launch {
    /// Connects to the agent of the profile, or starts it. Two launchers at the same time share one agent.
    /// Reports orphaned sessions through `report`.
    ///
    /// Prompts for the secret only if an agent has to be started.
    pub async fn agent(&mut self, mut report: impl FnMut(String)) -> Result<Agent, LaunchError> {
        let paths = AgentPaths::of(&self.folders, &self.access.profile.name);
        paths.prepare().map_err(LaunchError::Folder)?;
        for _ in 0..ATTEMPTS {
            if let Some(agent) = self.watch(&paths).await? {
                return Ok(agent);
            }
            // Only one launcher at a time looks for the agent and starts it.
            let starting = lock::lock(&paths.starting, STARTING_TIMEOUT).await?;
            if let Some(agent) = self.watch(&paths).await? {
                return Ok(agent);
            }
            if !self.access.is_silent() {
                self.access.prompt().await?;
                orphans::sweep_profile(&self.folders, &mut self.access, Extent::Due)
                    .await
                    .into_iter()
                    .for_each(&mut report);
                if self.access.is_refused() {
                    return Err(LaunchError::Refused(self.refused()));
                }
                if let Some(refusal) = self.access.known_proxy_refusal().await? {
                    return Err(refusal.failure().into());
                }
            }
            self.start().await?;
            let agent = self.watch(&paths).await?;
            drop(starting);
            if let Some(agent) = agent {
                return Ok(agent);
            }
        }
        Err(self.silent())
    }

    /// Returns whether an agent of the profile is running.
    pub fn is_running(&self) -> bool {
        AgentPaths::of(&self.folders, &self.access.profile.name).holder().is_some()
    }

    /// Waits until a failed agent has ended, with a time limit.
    pub async fn wait_ended(&self) {
        let gone = async {
            while self.is_running() {
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        };
        let _ = tokio::time::timeout(ANSWER_TIMEOUT, gone).await;
    }

    /// Returns the error of a password that was refused earlier in this process.
    fn refused(&self) -> Failure {
        self.access.refusal().failure()
    }

    /// Returns the error of an agent that does not answer.
    pub fn silent(&self) -> LaunchError {
        let profile = self.access.profile.name.clone();
        let process = AgentPaths::of(&self.folders, &profile).holder();
        LaunchError::Silent { profile, process }
    }

    /// Watches a running agent. `None`: no agent is running, or it is ending.
    async fn watch(&self, paths: &AgentPaths) -> Result<Option<Agent>, LaunchError> {
        let Ok(stream) = socket::connect(&paths.control).await else { return Ok(None) };
        let (reader, mut writer) = tokio::io::split(stream);
        let mut reader = BufReader::new(reader);
        let request = ControlRequest::Watch { keeps: !self.access.profile.keep.is_zero() };
        if control::send(&mut writer, &request).await.is_err() {
            return Ok(None);
        }
        let first = tokio::time::timeout(ANSWER_TIMEOUT, control::receive::<ControlEvent>(&mut reader)).await;
        let first = match first {
            Ok(Ok(Some(first))) => first,
            Ok(_) => return Ok(None),
            Err(_) => return Err(self.silent()),
        };
        let (requests, asked) = mpsc::channel(4);
        let (sender, events) = mpsc::unbounded_channel();
        let watcher = Watcher {
            access: self.access.clone(),
            folders: self.folders.clone(),
            guarded: None,
            created: false,
            refused: false,
            sender,
            removing: Arc::default(),
        };
        let removing = watcher.removing.clone();
        tokio::spawn(watcher.run(first, reader, writer, asked));
        Ok(Some(Agent { paths: paths.clone(), requests, events, guarded: None, removing }))
    }

    /// Starts an agent and waits until it listens.
    async fn start(&self) -> Result<(), LaunchError> {
        let profile = &self.access.profile;
        let text = text::read(&profile.path).map_err(LaunchError::Reread)?;
        let sources = profile::sources(&profile.path, &text)?;
        let mut command = tokio::process::Command::new(&self.program);
        command.arg("agent");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = platform::spawn_detached(command).map_err(LaunchError::Start)?;
        self.has_started.store(true, Ordering::Relaxed);
        let (input, output) = (child.stdin.take(), child.stdout.take());
        // Reaps the process, so that it does not become a zombie while this process runs.
        tokio::spawn(async move { child.wait().await });
        let (Some(mut input), Some(output)) = (input, output) else {
            return Err(LaunchError::Start(io::Error::other("the process has no pipes")));
        };
        let secrets =
            Secrets { main: self.access.secret().cloned(), proxy: self.access.proxy_secret().cloned() };
        let folders = self.folders.clone();
        let handover = Handover {
            profile: profile.name.clone(),
            sources,
            config: folders.config,
            cache: folders.cache,
            state: folders.state,
            runtime: folders.runtime,
            verbosity: self.verbosity,
            keep: profile.keep,
            secret: secrets.main.is_some(),
            proxy_secret: secrets.proxy.as_ref().map(|secret| secret.expose_secret().len()),
        };
        handover.write(&secrets, &mut input).await.map_err(LaunchError::Start)?;
        input.shutdown().await.map_err(LaunchError::Start)?;
        drop(input);
        let mut line = String::new();
        let mut output = BufReader::new(output);
        match tokio::time::timeout(LISTEN_TIMEOUT, output.read_line(&mut line)).await {
            Err(_) => Err(self.silent()),
            Ok(Err(error)) => Err(LaunchError::Start(error)),
            Ok(Ok(0)) => Err(LaunchError::Start(io::Error::other("the process exited immediately"))),
            Ok(Ok(_)) => {
                let ready: Ready = serde_json::from_str(&line).map_err(|e| LaunchError::Start(e.into()))?;
                Ok(ready?)
            }
        }
    }
}

impl Agent {
    /// Returns the next event. `None`: the agent has ended, on request or by itself.
    pub async fn next(&mut self) -> Option<AgentEvent> {
        let event = self.events.recv().await;
        if let Some(AgentEvent::Event(ControlEvent::Guarded(session))) = &event {
            self.guarded = Some(session.clone());
        }
        event
    }

    /// Returns the agent's session, if it has been announced.
    pub fn guarded(&self) -> Option<&Guarded> {
        self.guarded.as_ref()
    }

    /// Sends a request to the agent.
    pub async fn ask(&self, request: ControlRequest) {
        // [`Agent::next`] reports that the agent has ended.
        let _ = self.requests.send(request).await;
    }

    /// Opens a runspace pool for this process on the agent's socket as soon as the agent has a session.
    pub fn session(
        &self,
        host: HostInfo,
        limits: Limits,
    ) -> impl Future<Output = Result<(Session, mpsc::Receiver<client::ClientEvent>), transport::Error>> + use<>
    {
        let socket = self.paths.socket.clone();
        async move {
            let stream = socket::connect(&socket).await.map_err(|error| transport::Error::Unreachable {
                endpoint: "the agent".to_owned(),
                reason: error.to_string(),
            })?;
            Session::attach(stream::connect(stream, limits), host).await
        }
    }

    /// Releases the agent. If no other client needs the agent, waits at most `limit` for the removal of its
    /// session. Returns the reason why the session may still exist.
    pub async fn release(mut self, limit: Duration) -> Option<String> {
        self.ask(ControlRequest::Release).await;
        let (events, guarded) = (&mut self.events, &mut self.guarded);
        let end = {
            let ended = async {
                while let Some(event) = events.recv().await {
                    match event {
                        AgentEvent::Event(ControlEvent::Removed { left, .. }) | AgentEvent::Died { left } => {
                            return left;
                        }
                        AgentEvent::Event(ControlEvent::Guarded(session)) => *guarded = Some(session),
                        AgentEvent::Event(_) => {}
                    }
                }
                None
            };
            let mut ended = pin!(ended);
            let mut end = tokio::time::timeout(limit, &mut ended).await;
            if end.is_err() && self.removing.load(Ordering::Relaxed) {
                // The agent is dead: only this process removes the session.
                end = tokio::time::timeout(REMOVAL_TIMEOUT, ended).await;
            }
            end
        };
        match end {
            Ok(left) => left,
            // Without a request for a session, there is nothing to remove.
            Err(_) => self.guarded.map(|_| "the endpoint has not confirmed its removal yet".to_owned()),
        }
    }
}

/// Receives the agent's events, and removes the session if the agent dies.
struct Watcher {
    access: EndpointResolver,
    folders: Folders,
    /// The agent's session, if it has been announced.
    guarded: Option<Guarded>,
    created: bool,
    /// The endpoint has refused the password since the last Create.
    refused: bool,
    sender: mpsc::UnboundedSender<AgentEvent>,
    removing: Arc<AtomicBool>,
}

impl Watcher {
    async fn run(
        mut self,
        first: ControlEvent,
        mut reader: BufReader<tokio::io::ReadHalf<Local>>,
        mut writer: tokio::io::WriteHalf<Local>,
        mut asked: mpsc::Receiver<ControlRequest>,
    ) {
        let (received, mut events) = mpsc::channel(16);
        let reading = tokio::spawn(async move {
            while let Ok(Some(event)) = control::receive::<ControlEvent>(&mut reader).await {
                if received.send(event).await.is_err() {
                    break;
                }
            }
        });
        let mut over = self.deliver(first);
        let mut asking = true;
        while !over {
            tokio::select! {
                event = events.recv() => match event {
                    Some(event) => over = self.deliver(event),
                    None => break,
                },
                request = asked.recv(), if asking => match request {
                    // Errors are noticed by the reader.
                    Some(request) => drop(control::send(&mut writer, &request).await),
                    None => asking = false,
                },
                // The launcher dropped its handle.
                () = self.sender.closed() => over = true,
            }
        }
        reading.abort();
        if !over {
            self.removing.store(true, Ordering::Relaxed);
            let left = self.remove().await;
            let _ = self.sender.send(AgentEvent::Died { left });
        }
    }

    /// Forwards an event; returns whether it was the last one.
    fn deliver(&mut self, event: ControlEvent) -> bool {
        match &event {
            ControlEvent::Guarded(session) => {
                self.guarded = Some(session.clone());
                self.created = false;
            }
            ControlEvent::Created => (self.created, self.refused) = (true, false),
            ControlEvent::PasswordRefused { .. } => self.refused = true,
            _ => {}
        }
        let over =
            matches!(event, ControlEvent::Removed { .. } | ControlEvent::Failed(_) | ControlEvent::Released);
        let _ = self.sender.send(AgentEvent::Event(event));
        over
    }

    /// Removes the session of a dead agent and the sessions that the agent could not remove; returns the reason why a
    /// session may still exist.
    async fn remove(&mut self) -> Option<String> {
        let journal = Journal::of(&self.folders);
        let shell = self.guarded.as_ref().map(|session| session.shell);
        let entries = || journal.live().into_iter().chain(journal.list_orphans());
        let agent = entries().find(|entry| Some(entry.session.shell) == shell).map(|entry| entry.process);
        let left = self.remove_session().await;
        let is_left = || journal.list_orphans().iter().any(|entry| Some(entry.process) == agent);
        if left.is_some() || !is_left() {
            return left;
        }
        if self.access.is_silent() {
            for line in orphans::sweep_profile(&self.folders, &mut self.access, Extent::NotRefused).await {
                tracing::debug!("{line}");
            }
        }
        is_left()
            .then(|| "a lost session could not be removed; the next start of lyncsh will retry".to_owned())
    }

    /// Removes the session of a dead agent; returns the reason why the session may still exist.
    async fn remove_session(&mut self) -> Option<String> {
        let session = self.guarded.take()?;
        if !self.access.is_silent() {
            // Does not prompt in the middle of the user's work. The launcher that received the password
            // removes the session, or the next start does.
            return Some("removing it requires a password prompt".to_owned());
        }
        if self.refused {
            return Some("the endpoint refused the password".to_owned());
        }
        let (report, _) = mpsc::unbounded_channel();
        let endpoint = match self.access.at(session.endpoint, session.configuration, &report).await {
            Ok(endpoint) => endpoint,
            Err(error) => return Some(error.to_string()),
        };
        let journal = Journal::of(&self.folders);
        let notes = journal.notes_on(session.shell);
        let create = if self.created { CreateState::Settled } else { CreateState::InProgress };
        match removal::remove(&endpoint, session.shell, &notes, create).await {
            Ok(()) => {
                journal.delete(session.shell);
                None
            }
            Err(error) => {
                journal.record_failure(session.shell, &error);
                Some(error.to_string())
            }
        }
    }
}
