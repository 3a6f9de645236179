//! Maintains one connection of a shell: forwards the agent's reports, and replaces a lost session through the
//! agent or, if the agent ended, through a new agent.

use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;

use secrecy::SecretString;
use tokio::sync::mpsc;

use super::connect::{ConnectError, Context, ParallelConnection, abandon, connect_until};
use super::entries::Entries;
use super::session_reports::{ReportEffect, SessionReporter, no_session};
use crate::agent::control::{ControlRequest, Failure};
use crate::agent::launch::Agent;
use crate::agent::resolver::EndpointResolver;
use crate::platform::Ending;
use crate::profile::{CredentialSource, Profile};
use crate::psrp::client;
use crate::psrp::host::HostInfo;
use crate::psrp::record::PoolState;
use crate::shell::connection::{Connection, ConnectionOwner, NoSession, Reply, SessionRequest, State};
use crate::shell::{Attached, OnLoss};
use crate::transport::session::Session;

/// Time limit for closing this process's runspace pool, and for an agent's report of why it ended.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Pause before the next connection to the agent's socket, and before the next reconnect request.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// One connection of a shell: it owns the connection to the agent and the session on the agent's socket.
///
/// The shell has a [`Connection`], which the keeper gives a new session after a loss, if the shell's
/// [`OnLoss`] asks for that. Reports of the agent go to the user through [`SessionReporter`].
pub struct Keeper {
    context: Context,
    profile: Profile,
    secret: Option<SecretString>,
    host: HostInfo,
    reporter: SessionReporter,
    /// `None` if the agent ended.
    agent: Option<Agent>,
    session: Option<(Session, mpsc::Receiver<client::ClientEvent>)>,
    /// Unanswered session requests of the shell.
    requests: Vec<Reply>,
}

/// A running keeper with its ends of the shell's channels.
pub struct MaintainedConnection<'a> {
    keeper: &'a mut Keeper,
    owner: ConnectionOwner,
    events: mpsc::UnboundedSender<client::ClientEvent>,
}

/// Common parameters of all connections of a shell.
#[derive(Clone)]
pub struct ConnectionOptions {
    pub context: Context,
    pub secret: Option<SecretString>,
    pub host: HostInfo,
    pub on_loss: OnLoss,
    /// Whether the shell has several connections.
    pub several: bool,
}

impl Keeper {
    /// Opens the first session on an agent, or gives up when `over` completes.
    ///
    /// # Errors
    /// The reason why there is no session; the agent is released.
    pub async fn open(
        options: ConnectionOptions,
        profile: Profile,
        mut agent: Agent,
        over: impl Future<Output = Ending>,
    ) -> Result<Self, ConnectError> {
        let ConnectionOptions { context, secret, host, on_loss, several } = options;
        if on_loss == OnLoss::Reconnect {
            agent.ask(ControlRequest::Persist).await;
        }
        let mut reporter = SessionReporter::new(&profile.name, on_loss, several);
        let opened = tokio::select! {
            opened = agent.session(host.clone(), profile.limits) => opened,
            ending = over => {
                abandon(&profile.name, agent).await;
                return Err(ConnectError::Ended(ending));
            }
        };
        match opened {
            Ok(session) => Ok(Self {
                context,
                profile,
                secret,
                host,
                reporter,
                agent: Some(agent),
                session: Some(session),
                requests: Vec::new(),
            }),
            Err(error) => {
                let ended = async {
                    loop {
                        if let ReportEffect::Ended(failure) = reporter.handle(agent.next().await) {
                            return failure;
                        }
                    }
                };
                let ended = tokio::time::timeout(CLOSE_TIMEOUT, ended).await.ok();
                let failed = || Failure { text: error.to_string(), advice: error.advice() };
                Err(ended.unwrap_or_else(failed).into())
            }
        }
    }

    pub fn name(&self) -> &str {
        &self.profile.name
    }

    /// Returns the shell's end of the connection, and the task that maintains it.
    pub fn attach(&mut self) -> Option<(Attached, MaintainedConnection<'_>)> {
        let (session, _) = self.session.as_ref()?;
        let (connection, owner) = Connection::new(session.clone());
        let (events, receiver) = mpsc::unbounded_channel();
        let notices = self.reporter.listen();
        let attached = Attached { name: self.profile.name.clone(), connection, events: receiver, notices };
        Some((attached, MaintainedConnection { keeper: self, owner, events }))
    }

    /// Asks for another password. The refused password is not sent again automatically.
    async fn has_other_password(&mut self, entries: &mut Entries, failure: &Failure) -> bool {
        if matches!(self.profile.credential, CredentialSource::Command { .. } | CredentialSource::File(_)) {
            // The source may have another password now.
            return entries.once_more(failure).await;
        }
        match entries.again(&self.profile, failure).await {
            Some(secret) => self.secret = Some(secret),
            None => return false,
        }
        true
    }

    /// Closes the shell's session and returns the agent, if it is running.
    pub async fn close(mut self) -> Option<Agent> {
        if let Some((session, _)) = self.session.take() {
            // Fails if the pool is already closed.
            let _ = tokio::time::timeout(CLOSE_TIMEOUT, session.close()).await;
        }
        self.agent
    }
}

impl MaintainedConnection<'_> {
    /// Maintains the connection; never returns.
    pub async fn run(mut self) -> Infallible {
        loop {
            if self.keeper.session.is_some() {
                self.attached().await;
                self.keeper.session = None;
                self.owner.state.send_replace(State::Lost);
            }
            match (self.keeper.reporter.on_loss, self.keeper.agent.is_some()) {
                (OnLoss::Reconnect, true) => self.reattach().await,
                (OnLoss::Reconnect, false) => self.start().await,
                (OnLoss::Exit, _) => self.forward_reports().await,
            }
        }
    }

    /// Forwards events and reports until the session ends.
    async fn attached(&mut self) {
        let Self { keeper, owner, events } = self;
        let Keeper { reporter, agent, session: Some((session, pool)), .. } = &mut **keeper else { return };
        loop {
            tokio::select! {
                event = pool.recv() => match event {
                    None | Some(client::ClientEvent::PoolState(PoolState::Closed | PoolState::Broken, _)) => return,
                    // Fails if the shell is exiting.
                    Some(event) => drop(events.send(event)),
                },
                event = next(agent) => match reporter.handle(event) {
                    ReportEffect::Ended(failure) => {
                        reporter.report(&failure);
                        *agent = None;
                        return;
                    }
                    ReportEffect::Lost => return,
                    ReportEffect::Away(_) | ReportEffect::Nothing => {}
                },
                Some(SessionRequest(reply)) = owner.requests.recv() => drop(reply.send(Ok(session.clone()))),
            }
        }
    }

    /// Waits for the agent's next session; requests an immediate reconnect while the shell waits.
    async fn reattach(&mut self) {
        let Self { keeper, owner, .. } = self;
        let Keeper { reporter, agent, requests, host, profile, .. } = &mut **keeper;
        let Some(running) = agent else { return };
        let mut opening = pin!(running.session(host.clone(), profile.limits));
        loop {
            let is_requested = !requests.is_empty();
            tokio::select! {
                opened = &mut opening => match opened {
                    Ok(opened) => {
                        // The agent reports the loss before the new session, on another stream.
                        if let Some(failure) = reporter.reopened(agent.as_mut()).await {
                            reporter.report(&failure);
                            *agent = None;
                            return;
                        }
                        for reply in requests.drain(..) {
                            let _ = reply.send(Ok(opened.0.clone()));
                        }
                        owner.state.send_replace(State::Open(opened.0.clone()));
                        keeper.session = Some(opened);
                        return;
                    }
                    Err(error) => {
                        tracing::debug!("cannot open a session on the agent: {error}");
                        tokio::time::sleep(RETRY_INTERVAL).await;
                        let Some(running) = agent else { return };
                        opening.set(running.session(host.clone(), profile.limits));
                    }
                },
                event = next(agent) => match reporter.handle(event) {
                    ReportEffect::Away(failure) => refuse(requests, &failure),
                    ReportEffect::Ended(failure) => {
                        reporter.report(&failure);
                        *agent = None;
                        return;
                    }
                    ReportEffect::Lost | ReportEffect::Nothing => {}
                },
                Some(SessionRequest(reply)) = owner.requests.recv() => {
                    requests.push(reply);
                    request_reconnect(agent).await;
                }
                () = tokio::time::sleep(RETRY_INTERVAL), if is_requested => {
                    requests.retain(|reply| !reply.is_closed());
                    request_reconnect(agent).await;
                }
            }
        }
    }

    /// Starts another agent when the shell requests a session.
    async fn start(&mut self) {
        let Self { keeper, owner, .. } = self;
        let mut reply = match keeper.requests.pop() {
            Some(reply) => reply,
            None => match owner.requests.recv().await {
                Some(SessionRequest(reply)) => reply,
                // The shell is ending.
                None => std::future::pending().await,
            },
        };
        let mut entries = Entries::of(&keeper.profile, true);
        if let Some(failure) = keeper.reporter.refused.take()
            && !keeper.has_other_password(&mut entries, &failure).await
        {
            let advised = entries.advised(&keeper.profile, failure.clone());
            let _ = reply.send(Err(no_session(&advised)));
            keeper.reporter.refused = Some(failure);
            return;
        }
        let over = async {
            reply.closed().await;
            Ending::Interrupt
        };
        let (profile, secret) = (keeper.profile.clone(), keeper.secret.clone());
        let among = ParallelConnection::labelled(keeper.reporter.label());
        match connect_until(&keeper.context, profile, secret, among, || {}, over).await {
            Ok(agent) => {
                agent.ask(ControlRequest::Persist).await;
                let access = EndpointResolver::new(
                    &keeper.context.folders,
                    keeper.profile.clone(),
                    keeper.secret.clone(),
                );
                if let Some(line) = entries.store(&access).await {
                    keeper.reporter.show(&line);
                }
                keeper.agent = Some(agent);
                keeper.requests.push(reply);
            }
            Err(error) => {
                let advice = miette::Diagnostic::help(&error).map(|help| help.to_string());
                let _ = reply.send(Err(NoSession { text: error.to_string(), advice }));
            }
        }
    }

    /// Forwards the agent's remaining reports until the shell ends.
    async fn forward_reports(&mut self) {
        let Self { keeper, owner, .. } = self;
        let Keeper { reporter, agent, .. } = &mut **keeper;
        loop {
            tokio::select! {
                event = next(agent) => match reporter.handle(event) {
                    ReportEffect::Ended(failure) => {
                        reporter.report(&failure);
                        *agent = None;
                    }
                    ReportEffect::Lost | ReportEffect::Away(_) | ReportEffect::Nothing => {}
                },
                Some(SessionRequest(reply)) = owner.requests.recv() => {
                    let text = "the session was lost".to_owned();
                    let _ = reply.send(Err(NoSession { text, advice: None }));
                }
            }
        }
    }
}

/// Returns the agent's next report; waits forever without an agent.
async fn next(agent: &mut Option<Agent>) -> Option<crate::agent::launch::AgentEvent> {
    match agent {
        Some(agent) => agent.next().await,
        None => std::future::pending().await,
    }
}

async fn request_reconnect(agent: &Option<Agent>) {
    if let Some(agent) = agent {
        agent.ask(ControlRequest::Reconnect).await;
    }
}

fn refuse(requests: &mut Vec<Reply>, failure: &Failure) {
    for reply in requests.drain(..) {
        let _ = reply.send(Err(no_session(failure)));
    }
}
