//! The launcher's side: finds the agent of a profile, or starts one; watches it; and removes the
//! session where the agent died before it could.

use std::io;
use std::path::PathBuf;
use std::pin::pin;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::sync::mpsc;

use super::control::{self, ControlEvent, ControlRequest, Failure, Guarded};
use super::handover::Handover;
use super::journal::Journal;
use super::notes::Notes;
use super::orphans;
use super::paths::{self, AgentPaths, LockError};
use super::process::Ready;
use super::removal;
use super::resolver::EndpointResolver;
use super::socket::{self, Local};
use crate::credential::CredentialError;
use crate::files::text;
use crate::folders::Folders;
use crate::platform;
use crate::psrp::client;
use crate::psrp::host::HostInfo;
use crate::transport::session::Session;
use crate::transport::{self, Limits, stream};

/// How long another launcher may take to start the same agent.
const ANOTHER: Duration = Duration::from_mins(1);
/// How long an agent takes at most until it listens; it may wait for one that is ending.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(45);
/// How long an agent that listens may take to say its first word.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a launcher that was to end stays to remove a dead agent's session.
const REMOVAL_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a launcher looks whether an agent is still there.
const POLL_INTERVAL: Duration = Duration::from_millis(10);
/// Agents that end just when they are found, before it is given up.
const ATTEMPTS: usize = 5;
/// Everything that starting an agent takes.
#[derive(Clone, Debug)]
pub struct Launch {
    /// This program; it is run once more as the agent.
    pub program: PathBuf,
    pub folders: Folders,
    pub access: EndpointResolver,
    pub verbosity: u8,
}

/// Why there is no agent.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum LaunchError {
    #[error("the folder for the agent's sockets can't be used: {0}")]
    Folder(io::Error),
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error("the agent can't be started: {0}")]
    Start(io::Error),
    #[error("the agent of '{profile}'{} does not answer", paths::in_brackets(*.process))]
    #[diagnostic(help("`lyncsh stop {profile}` ends it, and removes its session"))]
    Silent { profile: String, process: Option<u32> },
    #[error(transparent)]
    #[diagnostic(transparent)]
    Failed(#[from] Failure),
    /// The password was refused already, in this process.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Refused(Failure),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Credential(#[from] CredentialError),
    #[error("the profile can't be read again: {0}")]
    Profile(io::Error),
}

/// A launcher's hold on the agent.
#[derive(Debug)]
pub struct Agent {
    /// Where shells attach.
    pub paths: AgentPaths,
    requests: mpsc::Sender<ControlRequest>,
    events: mpsc::UnboundedReceiver<AgentEvent>,
    guarded: Option<Guarded>,
    /// The agent has died, and its session is being removed from here.
    removing: Arc<AtomicBool>,
}

/// What a launcher hears.
#[derive(Clone, Debug, PartialEq)]
pub enum AgentEvent {
    Event(ControlEvent),
    /// The agent died, and the session was removed from here; or why it may still be there.
    Died {
        left: Option<String>,
    },
}

impl Launch {
    /// Attaches to the agent of the profile; starts it where none runs. Two launchers at once end up
    /// with one agent. Sessions that were left behind are told about through `say`.
    ///
    /// Where the secret comes from a person, it is asked for only when an agent has to be started.
    pub async fn agent(&mut self, mut say: impl FnMut(String)) -> Result<Agent, LaunchError> {
        let paths = AgentPaths::of(&self.folders, &self.access.profile.name);
        paths.prepare().map_err(LaunchError::Folder)?;
        for _ in 0..ATTEMPTS {
            if let Some(agent) = self.watch(&paths).await? {
                return Ok(agent);
            }
            // One launcher looks and starts at a time.
            let starting = paths::lock(&paths.starting, ANOTHER).await?;
            if let Some(agent) = self.watch(&paths).await? {
                return Ok(agent);
            }
            if !self.access.is_silent() {
                self.access.fetch().await?;
                orphans::sweep_profile(&self.folders, &mut self.access).await.into_iter().for_each(&mut say);
                if self.access.is_refused() {
                    return Err(LaunchError::Refused(self.refused()));
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

    /// Whether an agent of the profile runs.
    pub fn is_running(&self) -> bool {
        AgentPaths::of(&self.folders, &self.access.profile.name).holder().is_some()
    }

    /// Waits until an agent that has failed is gone, for a while.
    pub async fn wait_ended(&self) {
        let gone = async {
            while self.is_running() {
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        };
        let _ = tokio::time::timeout(ANSWER_TIMEOUT, gone).await;
    }

    /// The refusal of a password that this process has been told of before.
    pub fn refused(&self) -> Failure {
        self.access.refusal().failure()
    }

    /// The error of an agent that says nothing.
    pub fn silent(&self) -> LaunchError {
        let profile = self.access.profile.name.clone();
        let process = AgentPaths::of(&self.folders, &profile).holder();
        LaunchError::Silent { profile, process }
    }

    /// Watches an agent that is there. `None`: there is none, or it is about to end.
    pub async fn watch(&self, paths: &AgentPaths) -> Result<Option<Agent>, LaunchError> {
        let Ok(stream) = socket::connect(&paths.control).await else { return Ok(None) };
        let (reader, mut writer) = tokio::io::split(stream);
        let mut reader = BufReader::new(reader);
        if control::send(&mut writer, &ControlRequest::Watch).await.is_err() {
            return Ok(None);
        }
        let first = tokio::time::timeout(ANSWER_TIMEOUT, control::receive::<ControlEvent>(&mut reader)).await;
        let first = match first {
            Ok(Ok(Some(first))) => first,
            Ok(_) => return Ok(None),
            Err(_) => return Err(self.silent()),
        };
        let (requests, asked) = mpsc::channel(4);
        let (telling, events) = mpsc::unbounded_channel();
        let watcher = Watcher {
            access: self.access.clone(),
            folders: self.folders.clone(),
            guarded: None,
            created: false,
            refused: false,
            telling,
            removing: Arc::default(),
        };
        let removing = watcher.removing.clone();
        tokio::spawn(watcher.run(first, reader, writer, asked));
        Ok(Some(Agent { paths: paths.clone(), requests, events, guarded: None, removing }))
    }

    /// Starts an agent, and waits until it listens.
    async fn start(&self) -> Result<(), LaunchError> {
        let profile = &self.access.profile;
        let text = text::read(&profile.path).map_err(LaunchError::Profile)?;
        let mut command = tokio::process::Command::new(&self.program);
        command.arg("agent");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = platform::spawn_detached(command).map_err(LaunchError::Start)?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        // It is waited for, so that it is no zombie, as long as this process lives.
        tokio::spawn(async move { child.wait().await });
        let (Some(mut input), Some(output)) = (input, output) else {
            return Err(LaunchError::Start(io::Error::other("it has no pipes")));
        };
        let secret = self.access.secret();
        let folders = self.folders.clone();
        let handover = Handover {
            profile: profile.name.clone(),
            path: profile.path.clone(),
            text,
            config: folders.config,
            cache: folders.cache,
            state: folders.state,
            runtime: folders.runtime,
            verbosity: self.verbosity,
            secret: secret.is_some(),
        };
        handover.write(secret, &mut input).await.map_err(LaunchError::Start)?;
        input.shutdown().await.map_err(LaunchError::Start)?;
        drop(input);
        let mut line = String::new();
        let mut output = BufReader::new(output);
        match tokio::time::timeout(LISTEN_TIMEOUT, output.read_line(&mut line)).await {
            Err(_) => Err(self.silent()),
            Ok(Err(error)) => Err(LaunchError::Start(error)),
            Ok(Ok(0)) => Err(LaunchError::Start(io::Error::other("it ended at once"))),
            Ok(Ok(_)) => {
                let ready: Ready = serde_json::from_str(&line).map_err(|e| LaunchError::Start(e.into()))?;
                Ok(ready?)
            }
        }
    }
}

impl Agent {
    /// The next thing that is to be known. `None`: the agent has ended, as it was asked or by itself.
    pub async fn next(&mut self) -> Option<AgentEvent> {
        let told = self.events.recv().await;
        if let Some(AgentEvent::Event(ControlEvent::Guarded(session))) = &told {
            self.guarded = Some(session.clone());
        }
        told
    }

    /// The session that the agent has, or is about to have, as far as it has been heard.
    pub fn guarded(&self) -> Option<&Guarded> {
        self.guarded.as_ref()
    }

    /// Asks the agent for something.
    pub async fn ask(&self, request: ControlRequest) {
        // One that has ended is told of by [`Agent::next`].
        let _ = self.requests.send(request).await;
    }

    /// Opens a runspace pool of this process's own on the agent's socket, as soon as the agent has a session.
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
            Session::open(stream::connect(stream, limits), host).await
        }
    }

    /// Lets go. Where nobody else needs the agent, it removes its session now, and that is waited for,
    /// at most `limit`. Says why the session may still be there.
    pub async fn release(mut self, limit: Duration) -> Option<String> {
        self.ask(ControlRequest::Release).await;
        let events = &mut self.events;
        let ended = async {
            while let Some(told) = events.recv().await {
                match told {
                    AgentEvent::Event(ControlEvent::Removed { left, .. }) | AgentEvent::Died { left } => {
                        return left;
                    }
                    AgentEvent::Event(_) => {}
                }
            }
            None
        };
        let mut ended = pin!(ended);
        let mut end = tokio::time::timeout(limit, &mut ended).await;
        if end.is_err() && self.removing.load(Ordering::Relaxed) {
            // Nobody else does it now.
            end = tokio::time::timeout(REMOVAL_TIMEOUT, ended).await;
        }
        match end {
            Ok(left) => left,
            Err(_) => Some("the endpoint has not confirmed its removal yet".to_owned()),
        }
    }
}

/// Reads what the agent says, and takes its place when it dies.
struct Watcher {
    access: EndpointResolver,
    folders: Folders,
    /// The session that the agent has, or is about to have.
    guarded: Option<Guarded>,
    created: bool,
    /// The endpoint has refused the password since.
    refused: bool,
    telling: mpsc::UnboundedSender<AgentEvent>,
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
        let (heard, mut events) = mpsc::channel(16);
        let hearing = tokio::spawn(async move {
            while let Ok(Some(event)) = control::receive::<ControlEvent>(&mut reader).await {
                if heard.send(event).await.is_err() {
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
                    // The stream's end is noticed where it is read.
                    Some(request) => drop(control::send(&mut writer, &request).await),
                    None => asking = false,
                },
                // The launcher has let go without a word.
                () = self.telling.closed() => over = true,
            }
        }
        hearing.abort();
        if !over {
            self.removing.store(true, Ordering::Relaxed);
            let left = self.remove().await;
            let _ = self.telling.send(AgentEvent::Died { left });
        }
    }

    /// Passes on what the agent said; says whether it was its last word.
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
        let _ = self.telling.send(AgentEvent::Event(event));
        over
    }

    /// The agent has died: removes its session, and says why it may still be there.
    async fn remove(&mut self) -> Option<String> {
        let session = self.guarded.take()?;
        if !self.access.is_silent() {
            // A question would come in the middle of what the person does; the launcher that was told the
            // password removes it, or the next start does.
            return Some("its password would have to be asked for".to_owned());
        }
        if self.refused {
            return Some("the endpoint refused its password".to_owned());
        }
        let (report, _) = mpsc::unbounded_channel();
        let endpoint = match self.access.at(session.endpoint, session.configuration, &report).await {
            Ok(endpoint) => endpoint,
            Err(error) => return Some(error.to_string()),
        };
        let journal = Journal::of(&self.folders);
        let notes = Notes::read(journal.notes(session.shell));
        match removal::remove(&endpoint, session.shell, &notes, !self.created).await {
            Ok(()) => {
                journal.forget(session.shell);
                None
            }
            Err(error) => {
                journal.failed(session.shell, &error);
                Some(error.to_string())
            }
        }
    }
}
