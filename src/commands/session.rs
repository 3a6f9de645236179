//! Lifetime of a console shell of `lyncsh NAME` and `lyncsh demo`, and of the command of `lyncsh exec`: connects,
//! runs the shell, releases the agents.

use std::process::ExitCode;
use std::time::Duration;

use futures_util::future::join_all;
use miette::IntoDiagnostic as _;
use secrecy::SecretString;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::connect::{Context, ParallelConnection, all_failed, connect_until, release, report_failures};
use super::maintained_session::{ConnectionOptions, Keeper, MaintainedConnection};
use crate::exit::Exit;
use crate::platform::{Ending, ShutdownSignals};
use crate::profile::Connections;
use crate::psrp::host::HostInfo;
use crate::shell::{Attached, OnLoss};

/// Time limit for the agent to remove the session after the last shell ended.
pub const REMOVAL_TIMEOUT: Duration = Duration::from_secs(15);

/// The reasons to end a shell before it ends itself.
pub struct StopConditions {
    /// `None` if another part of this process handles them.
    signals: Option<ShutdownSignals>,
    /// Ends the shell when cancelled.
    stop: CancellationToken,
    deadline: Option<Instant>,
}

/// The time limit of a command was reached.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("{} --timeout", if *has_begun { "the command was stopped at the time limit of" } else { "could not connect within the time limit of" })]
pub struct TimedOut {
    /// Whether the command may have run.
    pub has_begun: bool,
}

/// The command was stopped before it began: another profile failed, the output was closed, or the user pressed Ctrl-C.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("stopped while connecting; the command was not run")]
pub struct StoppedEarly;

/// A reason to end a shell.
pub enum StopCause {
    Signal(Ending),
    Stopped,
    TimedOut,
}

impl StopConditions {
    /// Catches the signals of this process.
    pub fn of_process(deadline: Option<Instant>) -> miette::Result<Self> {
        let signals = Some(ShutdownSignals::catch().into_diagnostic()?);
        Ok(Self { signals, stop: CancellationToken::new(), deadline })
    }

    /// Ends a shell when `stop` is cancelled.
    pub fn of_token(stop: CancellationToken, deadline: Option<Instant>) -> Self {
        Self { signals: None, stop, deadline }
    }

    /// Waits for the next reason. `has_begun`: the shell is running, and handles Ctrl-C.
    pub async fn next(&mut self, has_begun: bool) -> StopCause {
        let signal = async {
            match &mut self.signals {
                Some(signals) if has_begun => signals.next_but_interrupt().await,
                Some(signals) => signals.next().await,
                None => std::future::pending().await,
            }
        };
        let late = async {
            match self.deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            ending = signal => StopCause::Signal(ending),
            () = self.stop.cancelled() => StopCause::Stopped,
            () = late => StopCause::TimedOut,
        }
    }
}

impl StopCause {
    /// Returns the exit code, or the error of a time limit or of a command that has not begun.
    pub fn result(self, has_begun: bool) -> miette::Result<u8> {
        match self {
            Self::Signal(ending) => Ok(ending.exit_code()),
            Self::Stopped if has_begun => Ok(Exit::Interrupted.code()),
            Self::Stopped => Err(StoppedEarly.into()),
            Self::TimedOut => Err(TimedOut { has_begun }.into()),
        }
    }
}

/// Connects all profiles in parallel, runs `shell` on the sessions and releases the agents. An agent's last
/// client waits for the removal of the session. A failed connection is reported and does not affect the
/// others. The running shell handles Ctrl-C; other signals end it.
pub async fn run(
    context: &Context,
    connections: Connections,
    secret: Option<SecretString>,
    (host, on_loss): (HostInfo, OnLoss),
    shell: impl AsyncFnOnce(Vec<Attached>) -> miette::Result<u8>,
) -> miette::Result<ExitCode> {
    let among = ParallelConnection::all(&connections.profiles);
    let endings = StopConditions::of_process(None)?;
    let code = run_until(context, &connections, secret, (host, on_loss), (among, endings), shell).await?;
    Ok(ExitCode::from(code))
}

/// Connects, runs `shell` and releases the agents as [`run`] does, until one of `endings`. `among`: one for each
/// connection. Returns the exit code.
pub async fn run_until(
    context: &Context,
    connections: &Connections,
    secret: Option<SecretString>,
    (host, on_loss): (HostInfo, OnLoss),
    (among, mut endings): (Vec<ParallelConnection>, StopConditions),
    shell: impl AsyncFnOnce(Vec<Attached>) -> miette::Result<u8>,
) -> miette::Result<u8> {
    let given_up = CancellationToken::new();
    let over = async || {
        given_up.cancelled().await;
        Ending::Terminate
    };
    let (results, mut ending) = {
        let all = connections.profiles.iter().zip(among);
        let connecting = join_all(all.map(|(profile, among)| {
            connect_until(context, profile.clone(), secret.clone(), among, || {}, over())
        }));
        let mut connecting = std::pin::pin!(connecting);
        tokio::select! {
            results = &mut connecting => (results, None),
            ending = endings.next(false) => {
                given_up.cancel();
                (connecting.await, Some(ending))
            }
        }
    };
    let several = connections.profiles.len() > 1;
    let options = ConnectionOptions { context: context.clone(), secret, host, on_loss, several };
    let (mut keepers, mut failures) = (Vec::new(), Vec::new());
    let opening = connections.profiles.iter().zip(results).map(|(profile, result)| {
        let (options, name, over) = (options.clone(), profile.name.clone(), over());
        async move {
            let opened = match result {
                Ok(agent) => Keeper::open(options, profile.clone(), agent, over).await,
                Err(error) => Err(error),
            };
            (name, opened)
        }
    });
    let opened = {
        let mut opening = std::pin::pin!(join_all(opening));
        tokio::select! {
            opened = &mut opening => opened,
            over = endings.next(false), if ending.is_none() => {
                ending = Some(over);
                given_up.cancel();
                opening.await
            }
        }
    };
    for (name, opened) in opened {
        match opened {
            Ok(keeper) => keepers.push(keeper),
            Err(error) => failures.push((name, error)),
        }
    }
    let result = match ending {
        Some(ending) => ending.result(false),
        None if keepers.is_empty() => return Err(all_failed(context, &connections.name, failures)),
        None => {
            report_failures(context, &failures);
            let (attached, kept): (Vec<_>, Vec<_>) = keepers.iter_mut().filter_map(Keeper::attach).unzip();
            let keeping = join_all(kept.into_iter().map(MaintainedConnection::run));
            tokio::select! {
                result = shell(attached) => result,
                // Unreachable: a kept agent runs without end.
                _ = keeping => Ok(Exit::Failed.code()),
                ending = endings.next(true) => ending.result(true),
            }
        }
    };
    let released = keepers.into_iter().map(async |keeper| {
        let name = keeper.name().to_owned();
        if let Some(agent) = keeper.close().await {
            release(&name, agent, REMOVAL_TIMEOUT).await;
        }
    });
    join_all(released).await;
    result
}
