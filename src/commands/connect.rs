//! From a profile to an agent whose session is open, with the steps drawn on the way: what every
//! command that needs a session begins with.

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use secrecy::SecretString;

use super::entries::Entries;
use super::slots::choose;
use crate::agent::control::{ControlEvent, ControlRequest, Failure};
use crate::agent::control_client;
use crate::agent::launch::{Agent, AgentEvent, Launch, LaunchError};
use crate::agent::resolver::EndpointResolver;
use crate::folders::Folders;
use crate::net::refusals::Credential;
use crate::platform::{Ending, ShutdownSignals};
use crate::profile::Profile;
use crate::screen;
use crate::shell::status_line;
use crate::step::Step;

/// How long a person who gives up waits until the session's removal is confirmed. The agent goes on
/// with it in any case.
pub const GIVING_UP: Duration = Duration::from_millis(500);
/// Agents that end on the way, before it is given up.
const ATTEMPTS: usize = 3;
/// What is done sooner, as the attachment to an agent that runs, is not drawn at all.
const WORTH_A_LOOK: Duration = Duration::from_millis(150);

/// How a command was started.
#[derive(Clone, Debug)]
pub struct Context {
    pub folders: Folders,
    /// How many `-v`.
    pub verbosity: u8,
    /// This program, to be run once more as the agent.
    pub program: PathBuf,
}

/// A connection among several that are made at the same time.
#[derive(Clone, Debug, Default)]
pub struct Among<'a> {
    /// Tells what is said of it from the others.
    label: Option<&'a str>,
    /// Held while one connects, where several are to have the same account on the same endpoint.
    account: Option<Arc<tokio::sync::Mutex<()>>>,
}

impl<'a> Among<'a> {
    /// One that is made by itself, and named where there is a label.
    pub fn labelled(label: Option<&'a str>) -> Self {
        Self { label, account: None }
    }

    /// One for each of the profiles.
    pub fn all(profiles: &'a [Profile]) -> Vec<Self> {
        let account = |profile: &Profile| {
            let place = profile.uri.as_ref().or(profile.discovery.as_ref());
            (profile.user.clone(), place.map(|place| place.origin()), profile.service.is_some())
        };
        let locks: Vec<_> = profiles.iter().map(|_| Arc::default()).collect();
        let one = |(at, profile): (usize, &'a Profile)| {
            let same = |other: &&Profile| account(other) == account(profile);
            let first = profiles.iter().position(|other| same(&other)).unwrap_or(at);
            let shared = profiles.iter().filter(same).count() > 1;
            Self {
                label: (profiles.len() > 1).then_some(profile.name.as_str()),
                account: shared.then(|| Arc::clone(&locks[first])),
            }
        };
        profiles.iter().enumerate().map(one).collect()
    }
}

/// Why there is no session.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum ConnectError {
    #[error(transparent)]
    #[diagnostic(transparent)]
    Launch(#[from] LaunchError),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Failed(#[from] Failure),
    /// The endpoint refused the password.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Refused(Failure),
    #[error("the agent ended before its session was open{}", .left.as_deref().map(|left| format!("; the session may still be on the server: {left}")).unwrap_or_default())]
    #[diagnostic(help("its log is in the state folder; try again with -vvv to have more there"))]
    Died { left: Option<String> },
    #[error("the agent was stopped while it was connecting")]
    Stopped,
    #[error("'{name}' is a profile for PowerShell, where the module {module} has the session")]
    #[diagnostic(help(
        "open it with `lyncsh {name}`, or import it where you are: lyncsh attach {name} | Invoke-Expression"
    ))]
    Service { name: String, module: &'static str },
    /// The person, or the system, has had enough.
    #[error("interrupted")]
    Ended(Ending),
}

/// Returns whether an error is a signal to end, which nothing more is told of.
pub fn is_ending(error: &miette::Report) -> bool {
    matches!(error.downcast_ref(), Some(ConnectError::Ended(_)))
}

/// All of several connections failed; why has been told.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("none of the connections of '{title}' is here")]
pub struct NoneConnected {
    title: String,
}

/// Attaches to the agent of a profile, starts it where none runs, and waits until its session is open.
pub async fn connect(
    context: &Context,
    profile: Profile,
    secret: Option<SecretString>,
    endings: &mut ShutdownSignals,
) -> Result<Agent, ConnectError> {
    connect_until(context, profile, secret, Among::default(), || {}, endings.next()).await
}

/// Connects until `over` says that it isn't wanted any more. `begun` is called when nothing is left to
/// be asked of the person before connecting: something else can start beside it. A password that the
/// endpoint refuses can be entered again.
pub async fn connect_until(
    context: &Context,
    profile: Profile,
    secret: Option<SecretString>,
    among: Among<'_>,
    begun: impl FnOnce(),
    over: impl Future<Output = Ending>,
) -> Result<Agent, ConnectError> {
    if let Some(service) = profile.service {
        return Err(ConnectError::Service { name: profile.name, module: service.module });
    }
    let mut over = std::pin::pin!(over);
    let mut begun = Some(begun);
    let mut drawn = Drawn::new(context.verbosity, among.label);
    // The password that is refused for one is not sent for the others.
    let _turn = match among.account.clone() {
        Some(account) => Some(account.lock_owned().await),
        None => None,
    };
    let mut entries = Entries::of(&profile, secret.is_some());
    let mut launch = Launch {
        program: context.program.clone(),
        folders: context.folders.clone(),
        access: EndpointResolver::new(profile, secret),
        verbosity: context.verbosity,
    };
    let mut ended = 0;
    loop {
        let agent = tokio::select! {
            agent = one_at_a_time(start(&mut launch, &among)) => agent,
            ending = &mut over => return Err(ConnectError::Ended(ending)),
        };
        let failure = match agent {
            Ok(mut agent) => {
                drawn.begin();
                if let Some(begun) = begun.take() {
                    begun();
                }
                let opened = tokio::select! {
                    opened = opened(&mut agent, &mut launch, &mut drawn) => opened,
                    ending = &mut over => {
                        drawn.clear();
                        agent.release(GIVING_UP).await;
                        return Err(ConnectError::Ended(ending));
                    }
                };
                match opened {
                    Ok(true) => {
                        drawn.clear();
                        if let Some(line) = entries.store(&launch.access).await {
                            drawn.show(&line);
                        }
                        return Ok(agent);
                    }
                    Ok(false) => {
                        ended += 1;
                        if ended == ATTEMPTS {
                            return Err(launch.silent().into());
                        }
                        continue;
                    }
                    Err(ConnectError::Refused(failure)) => failure,
                    Err(error) => return Err(error),
                }
            }
            Err(LaunchError::Refused(failure)) => failure,
            Err(error) => return Err(error.into()),
        };
        drawn.clear();
        let secret = tokio::select! {
            secret = one_at_a_time(entries.again(&launch.access.profile, &failure)) => secret,
            ending = &mut over => return Err(ConnectError::Ended(ending)),
        };
        let Some(secret) = secret else {
            return Err(ConnectError::Refused(entries.advised(&launch.access.profile, failure)));
        };
        launch.access.enter(secret);
        // Its news are those of the password before.
        launch.wait_ended().await;
    }
}

/// Starts the agent, or finds it. A password that is known to be refused is not handed to one.
async fn start(launch: &mut Launch, among: &Among<'_>) -> Result<Agent, LaunchError> {
    let may_be_known = among.account.is_some() || Credential::any_refused();
    if may_be_known && launch.access.is_silent() && !launch.is_running() {
        // Fetched here and not by the agent, so that this process knows what was refused.
        if let Some(refusal) = launch.access.known_refusal().await? {
            return Err(LaunchError::Refused(refusal.failure()));
        }
    }
    launch.agent(|line| drawing().suspend(|| crate::tell!("{line}"))).await
}

/// Several connections may be made at once: one of them asks the person at a time.
async fn one_at_a_time<T>(asking: impl Future<Output = T>) -> T {
    static ASKING: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let _asking = ASKING.lock().await;
    // The others' steps would be drawn over the question.
    let _ = drawing().clear();
    drawing().set_draw_target(ProgressDrawTarget::hidden());
    let answer = asking.await;
    drawing().set_draw_target(status_line::target());
    answer
}

/// Says which of several connections failed, and why.
pub fn tell_failures(failures: &[(String, ConnectError)]) {
    for (name, error) in failures {
        crate::tell!("'{name}' is not here: {error}");
        if let Some(advice) = miette::Diagnostic::help(error) {
            crate::tell!("{advice}");
        }
    }
}

/// Why there is no shell: the failure of the only connection; those of several are said.
pub fn none(title: &str, mut failures: Vec<(String, ConnectError)>) -> miette::Report {
    match failures.pop() {
        Some((_, error)) if failures.is_empty() => error.into(),
        last => {
            failures.extend(last);
            tell_failures(&failures);
            NoneConnected { title: title.to_owned() }.into()
        }
    }
}

/// Waits until the session is open. `false`: this agent was about to end, another may do.
async fn opened(agent: &mut Agent, launch: &mut Launch, drawn: &mut Drawn) -> Result<bool, ConnectError> {
    let mut is_refused = false;
    loop {
        match agent.next().await {
            Some(AgentEvent::Event(ControlEvent::Open)) => return Ok(true),
            Some(AgentEvent::Event(ControlEvent::Step(step))) => drawn.step(&step),
            Some(AgentEvent::Event(ControlEvent::Notice { text })) => drawn.show(&text),
            Some(AgentEvent::Event(ControlEvent::PasswordRefused { endpoint })) => {
                is_refused = true;
                launch.access.note_refusal(&endpoint);
            }
            Some(AgentEvent::Event(ControlEvent::Failed(failure))) if is_refused => {
                return Err(ConnectError::Refused(failure));
            }
            Some(AgentEvent::Event(ControlEvent::Lost { reason })) => {
                drawn.show(&format!("the session was lost ({reason}); connecting again"));
                agent.ask(ControlRequest::Reconnect).await;
            }
            Some(AgentEvent::Event(ControlEvent::Away(failure))) => return Err(failure.into()),
            Some(AgentEvent::Event(ControlEvent::Failed(failure))) => return Err(failure.into()),
            Some(AgentEvent::Event(ControlEvent::Refused { failure, holders })) => {
                drawn.clear();
                let folders = &launch.folders;
                let chosen = one_at_a_time(choose(folders, &failure, &holders)).await?;
                let mut remove = Vec::new();
                for holder in chosen {
                    // Its agent would only make a new session where this one's is wanted.
                    match &holder.ours {
                        Some(profile) => drop(control_client::stop(folders, profile).await),
                        None => remove.push(holder.shell),
                    }
                }
                drawn.begin();
                agent.ask(ControlRequest::Retry { remove }).await;
            }
            Some(AgentEvent::Event(ControlEvent::Removed { stopped: true, .. })) => {
                return Err(ConnectError::Stopped);
            }
            Some(AgentEvent::Event(ControlEvent::Removed { stopped: false, .. })) | None => return Ok(false),
            Some(AgentEvent::Event(
                ControlEvent::Guarded(_)
                | ControlEvent::Created
                | ControlEvent::Awaited
                | ControlEvent::Released
                | ControlEvent::Status(_),
            )) => {}
            Some(AgentEvent::Died { left }) => return Err(ConnectError::Died { left }),
        }
    }
}

/// The steps as the person sees them: one line that changes, or with `-v` what `New-CsOnlineSession
/// -Verbose` says.
struct Drawn {
    bar: ProgressBar,
    verbose: bool,
    /// Stands before each line, where there are other connections.
    label: String,
    /// Shows the line when it has become worth a look.
    showing: Option<tokio::task::JoinHandle<()>>,
}

impl Drawn {
    /// Nothing is drawn before [`Drawn::begin`].
    fn new(verbosity: u8, label: Option<&str>) -> Self {
        let label = label.map(|label| format!("{label}: ")).unwrap_or_default();
        Self { bar: ProgressBar::hidden(), verbose: verbosity > 0, label, showing: None }
    }

    fn begin(&mut self) {
        if self.verbose || !screen::Stream::Error.is_terminal() {
            return;
        }
        self.clear();
        self.bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
            self.bar.set_style(style);
        }
        let bar = self.bar.clone();
        self.showing = Some(tokio::spawn(async move {
            tokio::time::sleep(WORTH_A_LOOK).await;
            let bar = drawing().add(bar);
            bar.enable_steady_tick(Duration::from_millis(100));
        }));
    }

    fn step(&mut self, step: &Step) {
        if let Step::UsingNtlm { reason } = step {
            // A weaker mechanism than the user may expect: the line stays.
            self.show(&format!("Using NTLM: cannot get a Kerberos ticket: {reason}"));
            return;
        }
        if self.verbose {
            verbose(step).iter().for_each(|line| crate::tell!("{}{line}", self.label));
            return;
        }
        let message = match step {
            Step::DeterminingDomain => "Determining domain to admin".to_owned(),
            Step::AdminDomain { domain } => format!("Domain to admin: {domain}"),
            Step::DiscoveringEndpoint => "Discovering PowerShell endpoint URI".to_owned(),
            Step::TargetUri { uri } => format!("Endpoint: {uri}"),
            Step::FetchingPassword { from } => format!("Waiting for {from}"),
            Step::UsingNtlm { .. } => return,
            Step::RequestingToken => "Requesting authentication token".to_owned(),
            Step::TokenReceived => "Authentication token received".to_owned(),
            Step::InitializingSession => "Initializing remote session".to_owned(),
            Step::Session { computer, .. } => format!("Session on {computer} is open"),
            Step::Commands { count } => format!("{count} commands"),
        };
        self.bar.set_message(screen::clean_line(&format!("{}{message}", self.label)).into_string());
    }

    fn show(&mut self, text: &str) {
        drawing().suspend(|| crate::tell!("{}{text}", self.label));
    }

    fn clear(&mut self) {
        if let Some(showing) = self.showing.take() {
            showing.abort();
        }
        self.bar.finish_and_clear();
        drawing().remove(&self.bar);
    }
}

/// The lines of all connections that are being made.
fn drawing() -> &'static MultiProgress {
    static DRAWING: LazyLock<MultiProgress> =
        LazyLock::new(|| MultiProgress::with_draw_target(status_line::target()));
    &DRAWING
}

impl Drop for Drawn {
    fn drop(&mut self) {
        self.clear();
    }
}

/// The lines of `New-CsOnlineSession -Verbose` that belong to a step.
fn verbose(step: &Step) -> Vec<String> {
    let said = |text: &str| format!("VERBOSE: {text}");
    match step {
        Step::DeterminingDomain => vec![said("Determining domain to admin")],
        Step::AdminDomain { domain } => vec![said(&format!("AdminDomain = '{domain}'"))],
        Step::DiscoveringEndpoint => vec![said("Discovering PowerShell endpoint URI")],
        Step::TargetUri { uri } => vec![said(&format!("TargetUri = '{uri}'"))],
        // It asked for the credential before it began.
        Step::FetchingPassword { .. } | Step::UsingNtlm { .. } => Vec::new(),
        Step::RequestingToken => vec![said("Requesting authentication token")],
        Step::TokenReceived => vec![said("Success")],
        Step::InitializingSession => vec![said("Initializing remote session")],
        Step::Session { id, name, computer, configuration } => {
            let (n, c, f) = (name.len().max(4), computer.len().max(12), configuration.len().max(17));
            let row = |cells: [&str; 6]| {
                format!(
                    "{:>3} {:n$} {:c$} {:13} {:f$} {}",
                    cells[0], cells[1], cells[2], cells[3], cells[4], cells[5]
                )
            };
            vec![
                said("Success"),
                String::new(),
                row(["Id", "Name", "ComputerName", "State", "ConfigurationName", "Availability"]),
                row(["--", "----", "------------", "-----", "-----------------", "------------"]),
                row([&id.to_string(), name, computer, "Opened", configuration, "Available"]),
                String::new(),
            ]
        }
        Step::Commands { count } => vec![said(&format!("{count} commands"))],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbose_says_what_new_csonlinesession_says() {
        let step = Step::AdminDomain { domain: "litwareinc.com".into() };
        assert_eq!(verbose(&step), ["VERBOSE: AdminDomain = 'litwareinc.com'"]);
    }
}
