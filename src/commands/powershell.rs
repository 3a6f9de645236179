//! `lyncsh NAME` with PowerShell: PowerShell starts while the agent connects, gets the terminal when the
//! session is open, and ends before the session is removed.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use futures_util::future::{join_all, try_join};
use miette::{Context as _, IntoDiagnostic as _};
use secrecy::SecretString;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::connect::{ConnectError, Context, ParallelConnection, all_failed, connect_until, report_failures};
use super::facts;
use super::session::REMOVAL_TIMEOUT;
use crate::agent::control::ControlRequest;
use crate::agent::launch::Agent;
use crate::platform::job::{Exit, Job};
use crate::platform::{Ending, ShutdownSignals};
use crate::profile::{Attach, Profile};
use crate::shell::module::{self, Module};
use crate::shell::pwsh::arguments::Arguments;
use crate::shell::pwsh::find::PowerShell;
use crate::shell::pwsh::output_gate::{self, OutputGate};
use crate::transport::sleep_until;

/// Time limit for a shell to exit after a signal.
const EXIT_TIMEOUT: Duration = Duration::from_secs(5);

/// The sessions of one shell.
pub struct Sessions {
    /// Title in the prompt.
    pub title: String,
    /// One profile, or several that are connected in parallel.
    pub profiles: Vec<Profile>,
    /// Secret of a single profile, if known.
    pub secret: Option<SecretString>,
}

/// Result of connecting a profile; `None` if the shell itself connects.
type Connected = (String, Result<Option<Agent>, ConnectError>);

/// A running shell.
struct Running {
    job: Job,
    end: oneshot::Receiver<Exit>,
}

/// Reason why the shell did not get a session.
enum Stop {
    Error(miette::Report),
    Signal(Ending),
    Left(Exit),
}

impl Stop {
    fn result(self) -> miette::Result<u8> {
        match self {
            Self::Error(error) => Err(error),
            Self::Signal(ending) => Ok(ending.exit_code()),
            Self::Left(exit) => Ok(exit.code),
        }
    }
}

/// Connects and starts the shell in parallel, and waits for the shell. Returns the shell's exit code.
pub async fn run(
    context: &Context,
    sessions: Sessions,
    shell: PowerShell,
    arguments: Arguments,
) -> miette::Result<ExitCode> {
    let mut endings = ShutdownSignals::catch().into_diagnostic()?;
    let mut gate = OutputGate::close(&context.folders.runtime)
        .into_diagnostic()
        .wrap_err("cannot create the output gate of the shell")?;
    let given_up = CancellationToken::new();
    let (connecting, begun) = connecting(context, &sessions, &given_up);
    let starting = start(context, &sessions, &shell, arguments, gate.path.clone(), begun);
    let (mut connecting, mut starting) = (std::pin::pin!(connecting), std::pin::pin!(starting));
    let (mut connected, mut running) = (None, None::<Running>);
    let stopped = loop {
        tokio::select! {
            results = &mut connecting, if connected.is_none() => connected = Some(results),
            started = &mut starting, if running.is_none() => match started {
                Ok(started) => running = Some(started),
                Err(error) => break Some(Stop::Error(error)),
            },
            ending = endings.next() => break Some(Stop::Signal(ending)),
            exit = ended(&mut running) => break Some(Stop::Left(exit)),
        }
        match &connected {
            Some(connected) if running.is_some() || connected.iter().all(|(_, result)| result.is_err()) => {
                break None;
            }
            _ => {}
        }
    };
    let connected = if let (Some(connected), _) = (connected, &stopped) {
        connected
    } else {
        given_up.cancel();
        connecting.await
    };
    let (mut agents, mut failures, mut own) = (Vec::new(), Vec::new(), false);
    for (name, result) in connected {
        match result {
            Ok(Some(agent)) => agents.push((name, agent)),
            Ok(None) => own = true,
            Err(error) => failures.push((name, error)),
        }
    }
    let result = match (stopped, running) {
        (Some(Stop::Left(exit)), _) => Ok(left_early(&shell, exit)),
        (Some(stop), running) => {
            discard(running).await;
            stop.result()
        }
        (None, Some(running)) if own || !agents.is_empty() => {
            report_failures(context, &failures);
            for (_, agent) in &agents {
                // From here on, the shell's own connection keeps the agent running.
                agent.ask(ControlRequest::Guard { process: running.job.process() }).await;
            }
            running.job.hand_over();
            for (name, agent) in &agents {
                if let Some(profile) = sessions.profiles.iter().find(|profile| profile.name == *name) {
                    gate.leave(name, &facts::facts(context, profile, agent));
                }
            }
            let failed: Vec<String> = failures.into_iter().map(|(name, _)| name).collect();
            gate.open(&failed).into_diagnostic().wrap_err("cannot open the output gate of the shell")?;
            Ok(stay(running, &mut endings).await)
        }
        (None, running) => {
            discard(running).await;
            Err(all_failed(context, &sessions.title, failures))
        }
    };
    for (name, left) in join_all(agents.into_iter().map(released)).await {
        if let Some(left) = left {
            report(&format!("the session of '{name}' may still be on the server: {left}"));
        }
    }
    result.map(ExitCode::from)
}

/// Connects all profiles in parallel. Returns the future of the results, and for each profile a receiver that completes
/// after its last question.
fn connecting<'a>(
    context: &'a Context,
    sessions: &'a Sessions,
    given_up: &'a CancellationToken,
) -> (impl Future<Output = Vec<Connected>> + 'a, Vec<oneshot::Receiver<()>>) {
    let mut receivers = Vec::new();
    let all: Vec<_> = sessions
        .profiles
        .iter()
        .zip(ParallelConnection::all(&sessions.profiles))
        .map(|(profile, among)| {
            let (begun, receiver) = oneshot::channel();
            receivers.push(receiver);
            let over = async {
                given_up.cancelled().await;
                Ending::Terminate
            };
            let begun = move || begun.send(()).unwrap_or_default();
            async move {
                if profile.service.is_some() || profile.import.attach != Attach::Agent {
                    begun();
                    return (profile.name.clone(), Ok(None));
                }
                let secret = sessions.secret.clone();
                let agent = connect_until(context, profile.clone(), secret, among, begun, over).await;
                (profile.name.clone(), agent.map(Some))
            }
        })
        .collect();
    (join_all(all), receivers)
}

/// Starts the shell after the last question to the user. The shell imports the module and waits at the gate.
async fn start(
    context: &Context,
    sessions: &Sessions,
    shell: &PowerShell,
    arguments: Arguments,
    gate: PathBuf,
    begun: Vec<oneshot::Receiver<()>>,
) -> miette::Result<Running> {
    let asked = async {
        // A failed connection drops its sender.
        join_all(begun).await;
        Ok(())
    };
    let checked = async { shell.check(&context.folders.cache).await };
    try_join(checked, asked).await?;
    let Context { folders, program, .. } = context;
    let modules: Result<Vec<Module>, _> =
        sessions.profiles.iter().map(|profile| Module::prepare(folders, program, profile)).collect();
    let connect: PathBuf = module::connect_script(folders, program, &sessions.title, &modules?)?;
    let mut command = shell.command();
    command.args(arguments.with(folders, &connect)?).env(output_gate::VARIABLE, gate);
    let (job, end) = Job::start(command)
        .into_diagnostic()
        .wrap_err_with(|| format!("cannot start {}", shell.path.display()))?;
    Ok(Running { job, end })
}

/// Waits until the shell exits; waits forever without a shell.
async fn ended(running: &mut Option<Running>) -> Exit {
    match running {
        // The job always sends the exit.
        Some(running) => (&mut running.end).await.unwrap_or(Exit { code: 1, killed: true }),
        None => std::future::pending().await,
    }
}

/// Reports a shell that exited before the session was open, for example because of its arguments.
fn left_early(shell: &PowerShell, exit: Exit) -> u8 {
    if exit.code != 0 {
        let how = if exit.killed { "was killed" } else { "exited" };
        let path = shell.path.display();
        report(&format!("{path} {how} with code {} before the session was open", exit.code));
    }
    exit.code
}

/// Kills a shell that still waits at the gate.
async fn discard(running: Option<Running>) {
    if let Some(running) = running {
        running.job.kill();
        let _ = running.end.await;
    }
}

/// Waits until the shell exits, and forwards signals to it.
async fn stay(mut running: Running, endings: &mut ShutdownSignals) -> u8 {
    let mut patience = None;
    loop {
        tokio::select! {
            exit = &mut running.end => return exit.map_or(1, |exit| exit.code),
            ending = endings.next() => {
                running.job.send(ending);
                // The shell handles Ctrl-C itself.
                if ending != Ending::Interrupt {
                    patience.get_or_insert_with(|| tokio::time::Instant::now() + EXIT_TIMEOUT);
                }
            }
            () = sleep_until(patience) => {
                running.job.kill();
                patience = None;
            }
        }
    }
}

async fn released((name, agent): (String, Agent)) -> (String, Option<String>) {
    (name, agent.release(REMOVAL_TIMEOUT).await)
}

/// Prints a line to standard error, which may be a closed terminal.
fn report(line: &str) {
    crate::screen::write_message(line);
}
