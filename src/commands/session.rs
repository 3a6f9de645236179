//! One shell of this process on the agent of a profile, from connecting to leaving: what `lyncsh NAME`
//! and `lyncsh demo` do around the shell itself.

use std::process::ExitCode;
use std::time::Duration;

use miette::{Context as _, IntoDiagnostic as _};
use secrecy::SecretString;
use tokio::sync::mpsc;

use super::connect::{ConnectError, Context, connect};
use crate::agent::control::{Event, Failure};
use crate::agent::launch::{Agent, Told};
use crate::platform::Endings;
use crate::profile::Profile;
use crate::psrp::host::HostInfo;
use crate::shell::{Attached, End};
use crate::transport::Limits;

/// How long the agent may take to remove the session when the last shell has gone.
pub const REMOVED: Duration = Duration::from_secs(15);
/// How long this process's own pool may take to close.
const CLOSED: Duration = Duration::from_secs(2);

/// Connects, runs `shell` on a session, and lets go: the last one to go has the session removed, and
/// waits for that. Ctrl-C is the shell's own as long as it runs; the other signals end it.
pub async fn run(
    context: &Context,
    profile: Profile,
    secret: Option<SecretString>,
    host: HostInfo,
    mut shell: impl AsyncFnMut(Attached) -> miette::Result<End>,
) -> miette::Result<ExitCode> {
    let mut endings = Endings::catch().into_diagnostic()?;
    let limits = profile.limits;
    let name = profile.name.clone();
    let mut agent = match connect(context, profile, secret, &mut endings).await {
        Err(ConnectError::Ended(ending)) => return Ok(ExitCode::from(ending.exit_code())),
        result => result?,
    };
    let result = tokio::select! {
        result = attach(&mut agent, host, limits, &mut shell) => result.map(ExitCode::from),
        ending = endings.next_but_interrupt() => Ok(ExitCode::from(ending.exit_code())),
    };
    if let Some(left) = agent.release(REMOVED).await {
        eprintln!("the session of '{name}' may still be on the server: {left}");
    }
    result
}

async fn attach(
    agent: &mut Agent,
    host: HostInfo,
    limits: Limits,
    shell: &mut impl AsyncFnMut(Attached) -> miette::Result<End>,
) -> miette::Result<u8> {
    loop {
        let (session, events) = match agent.session(host.clone(), limits).await {
            Ok(opened) => opened,
            Err(error) => {
                let failure = Failure { text: error.to_string(), advice: error.advice() };
                let why = why(agent).await.unwrap_or_else(|| failure.into());
                return Err(why).wrap_err("the shell can't attach to the session");
            }
        };
        let (telling, notices) = mpsc::unbounded_channel();
        let attached = Attached { session: session.clone(), events, notices };
        let end = tokio::select! {
            end = shell(attached) => end,
            never = tell(agent, &telling) => match never {},
        };
        // A pool that is gone already has nothing to close.
        let _ = tokio::time::timeout(CLOSED, session.close()).await;
        if let End::Left(code) = end? {
            return Ok(code);
        }
    }
}

/// Passes on what the agent has to say, as long as the shell runs.
async fn tell(agent: &mut Agent, telling: &mpsc::UnboundedSender<String>) -> std::convert::Infallible {
    while let Some(told) = agent.next().await {
        let line = match told {
            Told::Event(Event::Notice { text }) => text,
            Told::Event(Event::Failed(failure)) => failure.to_string(),
            Told::Event(Event::Removed { stopped: true, .. }) => "the session was ended".to_owned(),
            Told::Died { left: None } => "the agent died; its session is removed".to_owned(),
            Told::Died { left: Some(left) } => {
                format!("the agent died, and its session may still be on the server: {left}")
            }
            Told::Event(_) => continue,
        };
        // A shell that does not listen is leaving.
        let _ = telling.send(line);
    }
    // The agent has gone; the shell notices by its session, and ends by itself.
    std::future::pending().await
}

/// Why there is no session any more, where the agent has said so.
async fn why(agent: &mut Agent) -> Option<miette::Report> {
    let failed = async {
        while let Some(told) = agent.next().await {
            match told {
                Told::Event(Event::Failed(failure)) => return Some(failure.into()),
                Told::Event(Event::Removed { .. }) => return Some(miette::miette!("the session was ended")),
                Told::Died { .. } => return Some(miette::miette!("the agent died")),
                Told::Event(_) => {}
            }
        }
        None
    };
    tokio::time::timeout(CLOSED, failed).await.ok().flatten()
}
