//! One shell of this process on the agent of a profile, from connecting to leaving: what `lyncsh NAME`
//! and `lyncsh demo` do around the shell itself.

use std::process::ExitCode;
use std::time::Duration;

use futures_util::future::join_all;
use miette::IntoDiagnostic as _;
use secrecy::SecretString;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::connect::{Among, Context, connect_until, none, tell_failures};
use crate::agent::control::{Event, Failure};
use crate::agent::launch::{Agent, Told};
use crate::exit::Exit;
use crate::platform::{Ending, Endings};
use crate::profile::Connections;
use crate::psrp::host::HostInfo;
use crate::shell::{Attached, End};
use crate::transport::Limits;

/// How long the agent may take to remove the session when the last shell has gone.
pub const REMOVED: Duration = Duration::from_secs(15);
/// The exit code where the session was lost.
const LOST: u8 = Exit::Lost.code();
/// How long this process's own pool may take to close.
const CLOSED: Duration = Duration::from_secs(2);

/// One of the sessions.
struct Held {
    name: String,
    limits: Limits,
    agent: Agent,
    /// It has no session any more, and the person knows why.
    was_told: bool,
}

/// Connects all at once, runs `shell` on the sessions, and lets go: the last one to go has a session
/// removed, and waits for that. A connection that fails is told, and leaves the others. Ctrl-C is the
/// shell's own as long as it runs; the other signals end it.
pub async fn run(
    context: &Context,
    connections: Connections,
    secret: Option<SecretString>,
    host: HostInfo,
    mut shell: impl AsyncFnMut(Vec<Attached>) -> miette::Result<End>,
) -> miette::Result<ExitCode> {
    let mut endings = Endings::catch().into_diagnostic()?;
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
    let (mut held, mut failures) = (Vec::new(), Vec::new());
    for (profile, result) in connections.profiles.into_iter().zip(results) {
        let (name, limits) = (profile.name, profile.limits);
        match result {
            Ok(agent) => held.push(Held { name, limits, agent, was_told: false }),
            Err(error) => failures.push((name, error)),
        }
    }
    let result = match ending {
        Some(ending) => Ok(ExitCode::from(ending.exit_code())),
        None if held.is_empty() => return Err(none(&connections.name, failures)),
        None => {
            tell_failures(&failures);
            tokio::select! {
                result = attach(&mut held, host, &mut shell) => result.map(ExitCode::from),
                ending = endings.next_but_interrupt() => Ok(ExitCode::from(ending.exit_code())),
            }
        }
    };
    let released = held.into_iter().map(async |one| (one.name, one.agent.release(REMOVED).await));
    for (name, left) in join_all(released).await {
        if let Some(left) = left {
            crate::tell!("the session of '{name}' may still be on the server: {left}");
        }
    }
    result
}

async fn attach(
    held: &mut Vec<Held>,
    host: HostInfo,
    shell: &mut impl AsyncFnMut(Vec<Attached>) -> miette::Result<End>,
) -> miette::Result<u8> {
    let mut was_open = false;
    loop {
        let (mut all, mut sessions, mut tellings) = (Vec::new(), Vec::new(), Vec::new());
        let (mut at, mut lost) = (0, Vec::new());
        let (alone, several) = (held.len() == 1, held.len() > 1);
        while let Some(one) = held.get_mut(at) {
            let (session, events) = match one.agent.session(host.clone(), one.limits).await {
                Ok(opened) => opened,
                Err(error) => {
                    if alone && one.was_told {
                        return Ok(LOST);
                    }
                    let why = match why(&mut one.agent, &one.name).await {
                        Some(why) => why.into(),
                        None => {
                            let failure = Failure { text: error.to_string(), advice: error.advice() };
                            miette::Report::from(failure)
                        }
                    };
                    if held.len() == 1 && was_open {
                        crate::tell!("{why:?}");
                        return Ok(LOST);
                    }
                    if held.len() == 1 {
                        return Err(why);
                    }
                    // The others go on without it.
                    let gone = held.remove(at);
                    if !gone.was_told {
                        lost.push(format!("'{}' is not here any more: {why}", gone.name));
                    }
                    continue;
                }
            };
            let (telling, notices) = mpsc::unbounded_channel();
            sessions.push(session.clone());
            tellings.push(telling);
            all.push(Attached { name: one.name.clone(), session, events, notices });
            at += 1;
        }
        was_open = true;
        // The shell has the terminal, and says it where it belongs.
        for (line, telling) in lost.into_iter().zip(tellings.iter().cycle()) {
            let _ = telling.send(line);
        }
        let telling =
            join_all(held.iter_mut().zip(&tellings).map(|(one, telling)| tell(one, telling, several)));
        let end = tokio::select! {
            end = shell(all) => Some(end),
            // None of them ends.
            _ = telling => None,
        };
        for session in &sessions {
            // A pool that is gone already has nothing to close.
            let _ = tokio::time::timeout(CLOSED, session.close()).await;
        }
        if let Some(End::Left(code)) = end.transpose()? {
            return Ok(code);
        }
    }
}

/// Passes on what the agent has to say, as long as the shell runs; of several, with its name.
async fn tell(
    one: &mut Held,
    telling: &mpsc::UnboundedSender<String>,
    several: bool,
) -> std::convert::Infallible {
    while let Some(told) = one.agent.next().await {
        let line = match (told, several) {
            (Told::Event(Event::Notice { text }), false) => text,
            (Told::Event(Event::Notice { text }), true) => format!("'{}': {text}", one.name),
            (told, _) => match end(told, &one.name) {
                Some(failure) => {
                    one.was_told = true;
                    let advice = failure.advice.map(|advice| format!(" {advice}")).unwrap_or_default();
                    let stop = if failure.text.ends_with('.') || advice.is_empty() { "" } else { "." };
                    format!("{}{stop}{advice}", failure.text)
                }
                None => continue,
            },
        };
        // A shell that does not listen is leaving.
        let _ = telling.send(line);
    }
    // The agent has gone; the shell notices by its session, and ends by itself.
    std::future::pending().await
}

/// Why there is no session any more, where the agent says so.
async fn why(agent: &mut Agent, name: &str) -> Option<Failure> {
    let ended = async {
        while let Some(told) = agent.next().await {
            if let Some(failure) = end(told, name) {
                return Some(failure);
            }
        }
        None
    };
    tokio::time::timeout(CLOSED, ended).await.ok().flatten()
}

/// What the end of a session is told as.
fn end(told: Told, name: &str) -> Option<Failure> {
    let again = || Some(format!("`lyncsh {name}` connects again."));
    match told {
        Told::Event(Event::Failed(failure)) => Some(failure),
        Told::Event(Event::Removed { stopped, .. }) => {
            let who = if stopped { ", by `lyncsh stop`" } else { "" };
            Some(Failure { text: format!("the session of '{name}' was ended{who}"), advice: again() })
        }
        Told::Died { left: None } => {
            let text = format!("the agent of '{name}' died; its session is removed");
            Some(Failure { text, advice: again() })
        }
        Told::Died { left: Some(left) } => {
            let text =
                format!("the agent of '{name}' died, and its session may still be on the server: {left}");
            Some(Failure { text, advice: again() })
        }
        Told::Event(_) => None,
    }
}
