//! Connects a profile: starts or finds its agent, waits for the open session and draws the progress.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use secrecy::SecretString;

use super::entries::Entries;
use super::sign_in;
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
use crate::shell::console::exec::ErrorFormat;
use crate::shell::status_line;
use crate::step::Step;

/// Maximum wait for the confirmation that a session is removed, after connecting was stopped. The agent continues
/// the removal in any case.
const ABANDON_TIMEOUT: Duration = Duration::from_secs(2);
/// Maximum number of agents that end while connecting.
const ATTEMPTS: usize = 3;
/// Delay before progress is drawn: attaching to a running agent is faster.
const DRAW_DELAY: Duration = Duration::from_millis(150);

/// Start parameters of a command.
#[derive(Clone, Debug)]
pub struct Context {
    pub folders: Folders,
    /// Number of `-v` options.
    pub verbosity: u8,
    /// Path of this program, to start the agent.
    pub program: PathBuf,
    /// The folder of `--config-dir`, for programs that run lyncsh again.
    pub config_dir: Option<PathBuf>,
    /// Form of the errors of failed connections.
    pub errors: ErrorFormat,
}

/// A connection among several connections that are opened at the same time.
#[derive(Clone, Debug, Default)]
pub struct ParallelConnection {
    /// Name of the connection in messages, if there are several.
    label: Option<String>,
    /// Set if other connections use the same account on the same endpoint.
    account: Option<Arc<SharedAccount>>,
    /// Set if other connections use the same account at the same proxy.
    proxy: Option<Arc<SharedAccount>>,
    /// Whether questions and progress are suppressed.
    is_quiet: bool,
}

/// An account of several connections. They connect one after the other until the account was accepted, so that a
/// refused password is not sent again.
#[derive(Debug, Default)]
struct SharedAccount {
    turn: Arc<tokio::sync::Mutex<()>>,
    was_accepted: AtomicBool,
}

impl SharedAccount {
    /// Waits for this connection's turn; returns `None` if the account was accepted.
    async fn turn(&self) -> Option<tokio::sync::OwnedMutexGuard<()>> {
        if self.was_accepted.load(Ordering::Acquire) {
            return None;
        }
        let turn = self.turn.clone().lock_owned().await;
        (!self.was_accepted.load(Ordering::Acquire)).then_some(turn)
    }
}

impl ParallelConnection {
    /// Returns a single connection, with an optional label.
    pub fn labelled(label: Option<&str>) -> Self {
        Self { label: label.map(str::to_owned), ..Self::default() }
    }

    /// Returns the connection without questions and progress, with its name in messages.
    pub fn into_quiet(self, label: &str) -> Self {
        Self { label: Some(label.to_owned()), is_quiet: true, ..self }
    }

    /// Returns one connection for each profile.
    pub fn all(profiles: &[Profile]) -> Vec<Self> {
        let account = |profile: &Profile| {
            let place = profile.uri.as_ref().or(profile.discovery.as_ref());
            (profile.user.clone(), place.map(|place| place.origin()), profile.service.is_some())
        };
        let proxy = |profile: &Profile| (profile.proxy.clone(), profile.proxy_user.clone());
        let accounts = shared(profiles, |one, other| account(one) == account(other));
        let proxies = shared(profiles, |one, other| one.proxy_user.is_some() && proxy(one) == proxy(other));
        let one = |((profile, account), proxy): ((&Profile, _), _)| Self {
            label: (profiles.len() > 1).then(|| profile.name.clone()),
            account,
            proxy,
            is_quiet: false,
        };
        profiles.iter().zip(accounts).zip(proxies).map(one).collect()
    }
}

/// Returns for each profile the account that it shares with the profiles for which `is_same` holds; `None` if there are
/// no others.
fn shared(
    profiles: &[Profile],
    is_same: impl Fn(&Profile, &Profile) -> bool,
) -> Vec<Option<Arc<SharedAccount>>> {
    let accounts: Vec<Arc<SharedAccount>> = profiles.iter().map(|_| Arc::default()).collect();
    let one = |(at, profile): (usize, &Profile)| {
        let same = |other: &&Profile| is_same(profile, other);
        let first = profiles.iter().position(|other| same(&other)).unwrap_or(at);
        (profiles.iter().filter(same).count() > 1).then(|| Arc::clone(&accounts[first]))
    };
    profiles.iter().enumerate().map(one).collect()
}

/// Error of connecting a profile.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum ConnectError {
    /// The agent could not be started or found: see `LaunchError`.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Launch(#[from] LaunchError),
    /// The agent could not open the session; it sends its error as a `Failure`.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Reported(#[from] Failure),
    /// The endpoint refused the password.
    #[error(transparent)]
    #[diagnostic(transparent)]
    PasswordRefused(Failure),
    /// The agent was killed or has crashed. `left`: the reason why its session may still exist.
    #[error("the agent ended before its session was open{}", .left.as_deref().map(|left| format!("; the session may still be on the server: {left}")).unwrap_or_default())]
    #[diagnostic(help("read its log in the state folder; for a more detailed log, connect again with -vvv"))]
    Died { left: Option<String> },
    /// `lyncsh stop` ended the agent while this command waited for the session.
    #[error("the agent was stopped while it was connecting")]
    Stopped,
    /// The profile is of the kind `teams` or `exchange-online`: only PowerShell can load the module.
    #[error("'{name}' is a profile for PowerShell: the module {module} opens its session")]
    #[diagnostic(help(
        "open it with `lyncsh {name}`, or import it into a running PowerShell: lyncsh attach {name} | Invoke-Expression"
    ))]
    Service { name: String, module: &'static str },
    /// A signal of the user or the system.
    #[error("interrupted")]
    Ended(Ending),
}

/// Returns whether an error is a signal to end, which is not reported.
pub fn is_ending(error: &miette::Report) -> bool {
    matches!(error.downcast_ref(), Some(ConnectError::Ended(_)))
}

/// All of several connections failed. The reasons were printed before.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("all connections of '{title}' failed")]
pub struct AllFailed {
    title: String,
}

/// Attaches to the agent of a profile, or starts the agent, and waits until its session is open.
pub async fn connect(
    context: &Context,
    profile: Profile,
    secret: Option<SecretString>,
    endings: &mut ShutdownSignals,
) -> Result<Agent, ConnectError> {
    connect_until(context, profile, secret, ParallelConnection::default(), || {}, endings.next()).await
}

/// Connects a profile, or gives up when `over` completes. Calls `begun` after the last question to the user: other work
/// can start in parallel. The user can enter another password after a refused one.
pub async fn connect_until(
    context: &Context,
    profile: Profile,
    secret: Option<SecretString>,
    among: ParallelConnection,
    begun: impl FnOnce(),
    over: impl Future<Output = Ending>,
) -> Result<Agent, ConnectError> {
    if let Some(service) = profile.service {
        return Err(ConnectError::Service { name: profile.name, module: service.module });
    }
    let mut over = std::pin::pin!(over);
    let mut begun = Some(begun);
    let mut drawn = Drawn::new(context.verbosity, &among);
    // A password refused for one connection is not sent for the others.
    let mut turns = Vec::new();
    for shared in [&among.account, &among.proxy].into_iter().flatten() {
        let turn = tokio::select! {
            turn = shared.turn() => turn,
            ending = &mut over => return Err(ConnectError::Ended(ending)),
        };
        turns.extend(turn);
    }
    let mut entries = Entries::of(&profile, secret.is_some());
    let mut launch = Launch {
        program: context.program.clone(),
        folders: context.folders.clone(),
        access: EndpointResolver::new(&context.folders, profile, secret),
        verbosity: context.verbosity,
        has_started: Arc::default(),
    };
    let name = launch.access.profile.name.clone();
    let has_started = launch.has_started.clone();
    let mut ended = 0;
    loop {
        has_started.store(false, Ordering::Relaxed);
        let agent = {
            let mut starting = std::pin::pin!(starting(&mut launch, &among));
            tokio::select! {
                agent = &mut starting => agent,
                ending = &mut over => {
                    // Without a client, a started agent would connect, and keep the session until its client is
                    // overdue.
                    if has_started.load(Ordering::Relaxed) {
                        match tokio::time::timeout(ABANDON_TIMEOUT, starting).await {
                            Ok(Ok(agent)) => abandon(&name, agent).await,
                            Ok(Err(_)) => {}
                            Err(_) => drawing().suspend(|| {
                                crate::errln!(
                                    "the agent of '{name}' is still starting; it removes its session within 30 seconds"
                                );
                            }),
                        }
                    }
                    return Err(ConnectError::Ended(ending));
                }
            }
        };
        let failure = match agent {
            Ok(mut agent) => {
                drawn.begin();
                if let Some(begun) = begun.take() {
                    begun();
                }
                let opened = tokio::select! {
                    opened = opened(&mut agent, &mut launch, &mut drawn, among.proxy.is_some()) => opened,
                    ending = &mut over => {
                        drawn.clear();
                        abandon(&name, agent).await;
                        return Err(ConnectError::Ended(ending));
                    }
                };
                match opened {
                    Ok(true) => {
                        for shared in [&among.account, &among.proxy].into_iter().flatten() {
                            shared.was_accepted.store(true, Ordering::Release);
                        }
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
                    Err(ConnectError::PasswordRefused(failure)) => failure,
                    Err(error) => return Err(error),
                }
            }
            Err(LaunchError::Refused(failure)) => failure,
            Err(error) => return Err(error.into()),
        };
        drawn.clear();
        if among.is_quiet {
            return Err(ConnectError::PasswordRefused(entries.advised(&launch.access.profile, failure)));
        }
        let secret = tokio::select! {
            secret = one_at_a_time(entries.again(&launch.access.profile, &failure)) => secret,
            ending = &mut over => return Err(ConnectError::Ended(ending)),
        };
        let Some(secret) = secret else {
            return Err(ConnectError::PasswordRefused(entries.advised(&launch.access.profile, failure)));
        };
        launch.access.enter(secret);
        // The old agent reports only about the previous password.
        launch.wait_ended().await;
    }
}

/// Releases the agent of a connection that was stopped.
pub async fn abandon(name: &str, agent: Agent) {
    release(name, agent, ABANDON_TIMEOUT).await;
}

/// Releases an agent, and reports a session that may still exist.
pub async fn release(name: &str, agent: Agent, limit: Duration) {
    if let Some(left) = agent.release(limit).await {
        drawing().suspend(|| crate::errln!("the session of '{name}' may still be on the server: {left}"));
    }
}

/// Starts or finds the agent. Questions of several connections are asked one after the other.
async fn starting(launch: &mut Launch, among: &ParallelConnection) -> Result<Agent, LaunchError> {
    if among.is_quiet { start(launch, among).await } else { one_at_a_time(start(launch, among)).await }
}

/// Starts or finds the agent. A password that is known to be refused is not passed to an agent.
async fn start(launch: &mut Launch, among: &ParallelConnection) -> Result<Agent, LaunchError> {
    let may_be_known = among.account.is_some() || among.proxy.is_some() || Credential::any_refused();
    if may_be_known && launch.access.is_silent() && !launch.is_running() {
        // Fetched here instead of by the agent, so that this process knows the refused password.
        if let Some(refusal) = launch.access.known_refusal().await? {
            return Err(LaunchError::Refused(refusal.failure()));
        }
        if let Some(refusal) = launch.access.known_proxy_refusal().await? {
            return Err(refusal.failure().into());
        }
    }
    launch.agent(|line| drawing().suspend(|| crate::errln!("{line}"))).await
}

/// Asks the user a question. Questions of other connections wait until it is answered.
async fn one_at_a_time<T>(asking: impl Future<Output = T>) -> T {
    static ASKING: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let _asking = ASKING.lock().await;
    // The progress of other connections would overwrite the question.
    let _ = drawing().clear();
    drawing().set_draw_target(ProgressDrawTarget::hidden());
    let answer = asking.await;
    drawing().set_draw_target(status_line::target());
    answer
}

/// Prints the failed connections and their errors.
pub fn report_failures(context: &Context, failures: &[(String, ConnectError)]) {
    for (name, error) in failures {
        let advice = miette::Diagnostic::help(error).map(|advice| advice.to_string());
        context.errors.report(&format!("could not connect '{name}': {error}"), advice.as_deref());
    }
}

/// Returns the error if no connection opened. Prints the errors of several connections.
pub fn all_failed(
    context: &Context,
    title: &str,
    mut failures: Vec<(String, ConnectError)>,
) -> miette::Report {
    match failures.pop() {
        Some((_, error)) if failures.is_empty() => error.into(),
        last => {
            failures.extend(last);
            report_failures(context, &failures);
            AllFailed { title: title.to_owned() }.into()
        }
    }
}

/// Waits until the session is open. Returns `false` if the agent is ending and another agent should be tried.
/// `shares_proxy`: other connections use the same account at the proxy.
async fn opened(
    agent: &mut Agent,
    launch: &mut Launch,
    drawn: &mut Drawn,
    shares_proxy: bool,
) -> Result<bool, ConnectError> {
    let mut is_refused = false;
    loop {
        match agent.next().await {
            Some(AgentEvent::Event(ControlEvent::Open)) => return Ok(true),
            Some(AgentEvent::Event(ControlEvent::Step(Step::SignIn { uri, code }))) => {
                drawn.show(&sign_in::invite(&launch.access.profile, &uri, code.as_deref()));
            }
            Some(AgentEvent::Event(ControlEvent::Step(step))) => drawn.step(&step),
            Some(AgentEvent::Event(ControlEvent::Notice { text })) => drawn.show(&text),
            Some(AgentEvent::Event(ControlEvent::PasswordRefused { endpoint })) => {
                is_refused = true;
                launch.access.note_refusal(&endpoint);
            }
            Some(AgentEvent::Event(ControlEvent::ProxyRefused)) => {
                if shares_proxy && let Err(error) = launch.access.note_proxy_refusal().await {
                    tracing::debug!("cannot note the refusal of the proxy: {error}");
                }
            }
            Some(AgentEvent::Event(ControlEvent::Failed(failure))) if is_refused => {
                return Err(ConnectError::PasswordRefused(failure));
            }
            Some(AgentEvent::Event(ControlEvent::Lost { reason })) => {
                drawn.show(&format!("the session was lost ({reason}); connecting again"));
                agent.ask(ControlRequest::Reconnect).await;
            }
            Some(AgentEvent::Event(ControlEvent::Away(failure))) => return Err(failure.into()),
            Some(AgentEvent::Event(ControlEvent::Failed(failure))) => return Err(failure.into()),
            Some(AgentEvent::Event(ControlEvent::LimitReached { failure, .. })) if drawn.is_quiet => {
                return Err(failure.into());
            }
            Some(AgentEvent::Event(ControlEvent::LimitReached { failure, holders })) => {
                drawn.clear();
                let folders = &launch.folders;
                let chosen = one_at_a_time(choose(folders, &failure, &holders)).await?;
                let mut remove = Vec::new();
                for holder in chosen {
                    // If only the session was removed, its agent would open another one, which again counts against
                    // the limit.
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

/// Progress display: one changing line, or with `-v` the lines of `New-CsOnlineSession -Verbose`.
struct Drawn {
    bar: ProgressBar,
    verbose: bool,
    /// Prefix of each line, if there are several connections.
    label: String,
    is_quiet: bool,
    /// Task that shows the line after [`DRAW_DELAY`].
    showing: Option<tokio::task::JoinHandle<()>>,
}

impl Drawn {
    /// Creates a hidden display; [`Drawn::begin`] shows it.
    fn new(verbosity: u8, among: &ParallelConnection) -> Self {
        let label = among.label.as_ref().map(|label| format!("{label}: ")).unwrap_or_default();
        Self {
            bar: ProgressBar::hidden(),
            verbose: verbosity > 0,
            label,
            is_quiet: among.is_quiet,
            showing: None,
        }
    }

    fn begin(&mut self) {
        if self.verbose || self.is_quiet || !screen::Stream::Error.is_terminal() {
            return;
        }
        self.clear();
        self.bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
            self.bar.set_style(style);
        }
        let bar = self.bar.clone();
        self.showing = Some(tokio::spawn(async move {
            tokio::time::sleep(DRAW_DELAY).await;
            let bar = drawing().add(bar);
            bar.enable_steady_tick(Duration::from_millis(100));
        }));
    }

    fn step(&mut self, step: &Step) {
        if self.verbose {
            verbose(step).iter().for_each(|line| crate::errln!("{}{line}", self.label));
            return;
        }
        let message = match step {
            Step::DeterminingDomain => "Determining domain to admin".to_owned(),
            Step::AdminDomain { domain } => format!("Domain to admin: {domain}"),
            Step::DiscoveringEndpoint => "Discovering PowerShell endpoint URI".to_owned(),
            Step::TargetUri { uri } => format!("Endpoint: {uri}"),
            Step::FetchingPassword { from } => format!("Waiting for {from}"),
            Step::RequestingToken => "Requesting authentication token".to_owned(),
            // Shown on a line of its own.
            Step::SignIn { .. } => return,
            Step::TokenReceived => "Authentication token received".to_owned(),
            Step::InitializingSession => "Initializing remote session".to_owned(),
            Step::Session { computer, .. } => format!("Session on {computer} is open"),
            Step::Commands { count } => format!("{count} commands"),
        };
        self.bar.set_message(screen::clean_line(&format!("{}{message}", self.label)).into_string());
    }

    fn show(&mut self, text: &str) {
        drawing().suspend(|| crate::errln!("{}{text}", self.label));
    }

    fn clear(&mut self) {
        if let Some(showing) = self.showing.take() {
            showing.abort();
        }
        self.bar.finish_and_clear();
        drawing().remove(&self.bar);
    }
}

/// Returns the progress lines of all connections.
pub fn drawing() -> &'static MultiProgress {
    static DRAWING: LazyLock<MultiProgress> =
        LazyLock::new(|| MultiProgress::with_draw_target(status_line::target()));
    &DRAWING
}

impl Drop for Drawn {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Returns the lines of `New-CsOnlineSession -Verbose` for a step.
fn verbose(step: &Step) -> Vec<String> {
    let line = |text: &str| format!("VERBOSE: {text}");
    match step {
        Step::DeterminingDomain => vec![line("Determining domain to admin")],
        Step::AdminDomain { domain } => vec![line(&format!("AdminDomain = '{domain}'"))],
        Step::DiscoveringEndpoint => vec![line("Discovering PowerShell endpoint URI")],
        Step::TargetUri { uri } => vec![line(&format!("TargetUri = '{uri}'"))],
        // New-CsOnlineSession asks for the credential before its first step.
        Step::FetchingPassword { .. } | Step::SignIn { .. } => Vec::new(),
        Step::RequestingToken => vec![line("Requesting authentication token")],
        Step::TokenReceived => vec![line("Success")],
        Step::InitializingSession => vec![line("Initializing remote session")],
        Step::Session { id, name, computer, configuration } => {
            let (n, c, f) = (name.len().max(4), computer.len().max(12), configuration.len().max(17));
            let row = |cells: [&str; 6]| {
                format!(
                    "{:>3} {:n$} {:c$} {:13} {:f$} {}",
                    cells[0], cells[1], cells[2], cells[3], cells[4], cells[5]
                )
            };
            vec![
                line("Success"),
                String::new(),
                row(["Id", "Name", "ComputerName", "State", "ConfigurationName", "Availability"]),
                row(["--", "----", "------------", "-----", "-----------------", "------------"]),
                row([&id.to_string(), name, computer, "Opened", configuration, "Available"]),
                String::new(),
            ]
        }
        Step::Commands { count } => vec![line(&format!("{count} commands"))],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbose_lines_match_new_csonlinesession() {
        let step = Step::AdminDomain { domain: "litwareinc.com".into() };
        assert_eq!(verbose(&step), ["VERBOSE: AdminDomain = 'litwareinc.com'"]);
    }
}
