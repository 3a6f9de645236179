//! Lifetime of a console shell of `lyncsh NAME` and `lyncsh demo`: connects, runs the shell, releases the
//! agents.

use std::process::ExitCode;
use std::time::Duration;

use futures_util::future::join_all;
use miette::IntoDiagnostic as _;
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use super::connect::{Among, Context, connect_until, none, report_failures};
use super::keeper::{ConnectionOptions, Keeper, KeptAgent};
use crate::platform::{Ending, ShutdownSignals};
use crate::profile::Connections;
use crate::psrp::host::HostInfo;
use crate::shell::{Attached, Losses};

/// Time limit for the agent to remove the session after the last shell ended.
pub const REMOVAL_TIMEOUT: Duration = Duration::from_secs(15);

/// Connects all profiles in parallel, runs `shell` on the sessions and releases the agents. An agent's last
/// client waits for the removal of the session. A failed connection is reported and does not affect the
/// others. The running shell handles Ctrl-C; other signals end it.
pub async fn run(
    context: &Context,
    connections: Connections,
    secret: Option<SecretString>,
    (host, losses): (HostInfo, Losses),
    shell: impl AsyncFnOnce(Vec<Attached>) -> miette::Result<u8>,
) -> miette::Result<ExitCode> {
    let mut endings = ShutdownSignals::catch().into_diagnostic()?;
    let given_up = CancellationToken::new();
    let (results, ending) = {
        let all = connections.profiles.iter().zip(Among::all(&connections.profiles));
        let connecting = join_all(all.map(|(profile, among)| {
            let over = async {
                given_up.cancelled().await;
                Ending::Terminate
            };
            connect_until(context, profile.clone(), secret.clone(), among, || {}, over)
        }));
        let mut connecting = std::pin::pin!(connecting);
        tokio::select! {
            results = &mut connecting => (results, None),
            ending = endings.next() => {
                given_up.cancel();
                (connecting.await, Some(ending))
            }
        }
    };
    let several = connections.profiles.len() > 1;
    let options = ConnectionOptions { context: context.clone(), secret, host, losses, several };
    let (mut keepers, mut failures) = (Vec::new(), Vec::new());
    let opening = connections.profiles.into_iter().zip(results).map(|(profile, result)| {
        let (options, name) = (options.clone(), profile.name.clone());
        async move {
            let opened = match result {
                Ok(agent) => Keeper::open(options, profile, agent).await.map_err(Into::into),
                Err(error) => Err(error),
            };
            (name, opened)
        }
    });
    for (name, opened) in join_all(opening).await {
        match opened {
            Ok(keeper) => keepers.push(keeper),
            Err(error) => failures.push((name, error)),
        }
    }
    let result = match ending {
        Some(ending) => Ok(ExitCode::from(ending.exit_code())),
        None if keepers.is_empty() => return Err(none(&connections.name, failures)),
        None => {
            report_failures(&failures);
            let (attached, kept): (Vec<_>, Vec<_>) = keepers.iter_mut().filter_map(Keeper::attach).unzip();
            let keeping = join_all(kept.into_iter().map(KeptAgent::run));
            tokio::select! {
                result = shell(attached) => result.map(ExitCode::from),
                // Unreachable: a kept agent runs without end.
                _ = keeping => Ok(ExitCode::FAILURE),
                ending = endings.next_but_interrupt() => Ok(ExitCode::from(ending.exit_code())),
            }
        }
    };
    let released = keepers.into_iter().map(async |keeper| {
        let name = keeper.name().to_owned();
        match keeper.close().await {
            Some(agent) => (name, agent.release(REMOVAL_TIMEOUT).await),
            None => (name, None),
        }
    });
    for (name, left) in join_all(released).await {
        if let Some(left) = left {
            crate::errln!("the session of '{name}' may still be on the server: {left}");
        }
    }
    result
}
