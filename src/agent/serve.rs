//! Accepts the agent's clients: shells on one socket, launchers on the other.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, BufReader, ReadBuf};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::control::{self, Attached, ControlEvent, ControlRequest, Status, Traffic};
use super::journal::Journal;
use super::mux::{ClientInfo, Mux, State};
use super::presence::{ExpectedShell, Last, PresenceGuard};
use super::shared::{Opened, Shared};
use super::slots;
use super::socket::{Listener, Local};
use crate::profile::Profile;
use crate::step::Step;

/// Grace period for a launcher's own shell, whose end of stream may be noticed after the launcher's.
const ATTACH_TIMEOUT: Duration = Duration::from_millis(200);

/// The agent's end of its connections with launchers.
///
/// [`launchers`] accepts them, and each connection has its own task. It decides nothing about the session:
/// requests change [`Shared`], which the owner of the session follows, and a watching launcher gets the
/// events of the log in order. A launcher that ends no longer counts as a client.
#[derive(Debug)]
pub struct ControlServer {
    pub profile: Arc<Profile>,
    pub journal: Journal,
    pub shared: Shared,
}

/// Accepts shell connections; never returns. A shell that connects before the session is open waits for it.
pub async fn shells(listener: &Listener, shared: &Shared) {
    loop {
        let (stream, info) = accepted(listener).await;
        let (presence_guard, process) = (shared.presence.arrive_silent(), info.process_id);
        let tracked = TrackedStream { stream, received: Vec::new(), presence_guard, process };
        tokio::spawn(attach(tracked, info, shared.clone()));
    }
}

/// Accepts the next connection.
async fn accepted(listener: &Listener) -> (Local, ClientInfo) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) => {
                tracing::warn!("cannot accept a connection: {error}");
                // Out of file descriptors: retry after a delay.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn attach(stream: TrackedStream, info: ClientInfo, shared: Shared) {
    let mux = tokio::select! {
        mux = mux(&shared) => mux,
        // The end of the stream means that there is no session.
        () = shared.leaving.cancelled() => None,
    };
    if let Some(mux) = mux {
        mux.attach(stream, info).await;
    }
}

/// Returns the session as soon as it is open.
async fn mux(shared: &Shared) -> Option<Mux> {
    let mut opened = shared.opened.subscribe();
    let is_open = |opened: &Option<Opened>| {
        opened.as_ref().is_some_and(|opened| *opened.mux.state().borrow() == State::Open)
    };
    let there = opened.wait_for(is_open).await.ok()?;
    there.as_ref().map(|opened| opened.mux.clone())
}

/// First bytes of every shell in out-of-process framing.
const FIRST_BYTES: &[u8] = b"<Data ";

/// A shell's stream, which counts as a client while it is open. A peer that sends nothing, or something other
/// than PSRP, does not count as a shell: after it has disconnected, the count is as before.
struct TrackedStream {
    stream: Local,
    /// The first bytes, up to the length of [`FIRST_BYTES`].
    received: Vec<u8>,
    presence_guard: PresenceGuard,
    process: Option<u32>,
}

impl TrackedStream {
    fn receive(&mut self, bytes: &[u8]) {
        if self.received.len() >= FIRST_BYTES.len() {
            return;
        }
        let missing = FIRST_BYTES.len() - self.received.len();
        self.received.extend_from_slice(&bytes[..bytes.len().min(missing)]);
        if self.received == FIRST_BYTES {
            self.presence_guard.mark_shell(self.process);
        }
    }
}

impl AsyncRead for TrackedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buf.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.receive(&buf.filled()[before..]);
        result
    }
}

impl AsyncWrite for TrackedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Accepts launcher connections; never returns.
pub async fn launchers(listener: &Listener, server: Arc<ControlServer>, connections: &mpsc::Sender<()>) {
    loop {
        let (stream, info) = accepted(listener).await;
        // Its clone is dropped when the connection ends.
        let connection = connections.clone();
        let server = server.clone();
        tokio::spawn(async move {
            if let Err(error) = converse(stream, info.process_id, &server).await {
                tracing::debug!("a launcher disconnected: {error}");
            }
            drop(connection);
        });
    }
}

async fn converse(stream: Local, process: Option<u32>, server: &ControlServer) -> std::io::Result<()> {
    let (reader, mut writer) = tokio::io::split(stream);
    let (received, mut requests) = mpsc::channel(1);
    // Ends with this connection.
    let mut listening = JoinSet::new();
    listening.spawn(async move {
        let mut reader = BufReader::new(reader);
        while let Ok(Some(request)) = control::receive::<ControlRequest>(&mut reader).await {
            if received.send(request).await.is_err() {
                break;
            }
        }
    });
    let mut events = server.shared.events.subscribe();
    let mut sent = 0;
    let mut presence_guard: Option<PresenceGuard> = None;
    let (mut launched, mut asked) = (None, None);
    let mut watching = false;
    let mut patience = None;
    loop {
        tokio::select! {
            request = requests.recv() => match request {
                None => {
                    // The launcher died, and with it the shell that it had started.
                    if launched.is_some() {
                        server.shared.presence.release();
                    }
                    return Ok(());
                }
                // The agent is ending: the end of the stream reports it.
                Some(ControlRequest::Watch { .. }) if server.shared.leaving.is_cancelled() => return Ok(()),
                Some(ControlRequest::Watch { keeps }) => {
                    if keeps {
                        server.shared.keep.send_replace(server.profile.keep);
                    }
                    presence_guard.get_or_insert_with(|| server.shared.presence.arrive_watching(process));
                    if !watching {
                        let past = history(&events.borrow());
                        sent = past.len();
                        for event in past.into_iter().flatten() {
                            control::send(&mut writer, &event).await?;
                        }
                    }
                    watching = true;
                }
                Some(ControlRequest::Persist) => {
                    patience.get_or_insert_with(|| Patience::of(&server.shared));
                }
                Some(ControlRequest::Reconnect) => server.shared.reconnect_now.notify_waiters(),
                Some(ControlRequest::Release) => {
                    patience = None;
                    // The launcher's announced shell will not attach.
                    let own: Vec<u32> = launched.take().into_iter().chain(asked.take()).collect();
                    own.iter().for_each(|process| server.shared.presence.cancel_announcement(*process));
                    presence_guard.take().into_iter().for_each(PresenceGuard::leave);
                    server.shared.presence.release();
                    // Shells of other launchers may be attached.
                    let gone = async {
                        match process {
                            Some(launcher) => server.shared.presence.wait_without(&[&own[..], &[launcher]].concat()).await,
                            None => server.shared.presence.wait_deserted(|_| Duration::ZERO).await,
                        }
                    };
                    let _ = tokio::time::timeout(ATTACH_TIMEOUT, gone).await;
                    if !server.is_leaving() {
                        return control::send(&mut writer, &ControlEvent::Released).await;
                    }
                }
                Some(ControlRequest::Announce { process }) => {
                    if let Some(presence_guard) = &mut presence_guard {
                        presence_guard.announce_other(ExpectedShell::AskedBy(process));
                        asked = Some(process);
                    }
                    if !server.is_leaving() {
                        control::send(&mut writer, &ControlEvent::Awaited).await?;
                    }
                }
                Some(ControlRequest::Guard { process }) => {
                    if let Some(presence_guard) = presence_guard.take() {
                        presence_guard.announce(ExpectedShell::Launched(process));
                        launched = Some(process);
                    }
                }
                Some(ControlRequest::Retry { remove }) => {
                    // Another launcher may have answered already.
                    let _ = server.shared.retry.try_send(remove);
                }
                Some(ControlRequest::Status { brief }) => {
                    let status = Box::new(server.status(brief).await);
                    control::send(&mut writer, &ControlEvent::Status(status)).await?;
                }
                Some(ControlRequest::Stop) => {
                    watching = true;
                    sent = events.borrow().len();
                    server.shared.stop.cancel();
                }
            },
            event = next(&mut events, sent), if watching => {
                let Some(event) = event else { return Ok(()) };
                sent += 1;
                control::send(&mut writer, &event).await?;
                if matches!(event, ControlEvent::Removed { .. } | ControlEvent::Failed(_)) {
                    return Ok(());
                }
            }
        }
    }
}

/// Returns the past events for a new watcher: events of lost sessions are omitted, except the last loss if no
/// session is open.
fn history(events: &[ControlEvent]) -> Vec<Option<ControlEvent>> {
    let lost = events.iter().rposition(|event| matches!(event, ControlEvent::Lost { .. }));
    let open = events.iter().rposition(|event| matches!(event, ControlEvent::Open));
    let is_lost = lost > open;
    let last_step = events.iter().rposition(|event| matches!(event, ControlEvent::Step(_)));
    // The user has signed in, or the code has expired.
    let is_over = |at: usize, event: &ControlEvent| {
        matches!(event, ControlEvent::Step(Step::SignIn { .. })) && last_step != Some(at)
    };
    let is_sent = |(at, event): (usize, &ControlEvent)| {
        let sent = match lost {
            _ if is_over(at, event) => false,
            None => true,
            // Of the attempts since the loss, keep only the session that the last attempt may have created, and an
            // open question.
            Some(lost) if is_lost => {
                let is_asked = at + 1 == events.len() && matches!(event, ControlEvent::LimitReached { .. });
                at == lost || (at > lost && (is_asked || matches!(event, ControlEvent::Guarded(_))))
            }
            Some(lost) => at > lost && !matches!(event, ControlEvent::Away(_)),
        };
        sent.then(|| event.clone())
    };
    events.iter().enumerate().map(is_sent).collect()
}

/// A watcher that wants a lost session reconnected without a time limit.
struct Patience(watch::Sender<usize>);

impl Patience {
    fn of(shared: &Shared) -> Self {
        shared.patient.send_modify(|patient| *patient += 1);
        Self(shared.patient.clone())
    }
}

impl Drop for Patience {
    fn drop(&mut self) {
        self.0.send_modify(|patient| *patient -= 1);
    }
}

/// Returns the next event. Safe to cancel.
async fn next(events: &mut watch::Receiver<Vec<ControlEvent>>, sent: usize) -> Option<ControlEvent> {
    let log = events.wait_for(|log| log.len() > sent).await.ok()?;
    log.get(sent).cloned()
}

impl ControlServer {
    /// Returns whether the agent ends because no client needs it.
    fn is_leaving(&self) -> bool {
        match self.shared.presence.deserted() {
            Some(Last::Gone) => self.shared.linger(Last::Gone).is_zero(),
            _ => self.shared.leaving.is_cancelled() || self.shared.stop.is_cancelled(),
        }
    }

    /// Returns the state; `brief`: without a request to the endpoint.
    async fn status(&self, brief: bool) -> Status {
        let opened = self.shared.opened.borrow().clone();
        let mut status = Status {
            profile: self.profile.name.clone(),
            process: std::process::id(),
            version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            user: self.profile.user.clone(),
            endpoint: opened.as_ref().map(|opened| opened.endpoint.uri.clone()),
            session: opened.as_ref().map(|opened| opened.shell),
            open: opened.as_ref().map(|opened| opened.since.elapsed()),
            shells: Vec::new(),
            used: None,
            allowed: slots::allowed(self.profile.kind),
            holders: Vec::new(),
            traffic: Traffic::default(),
        };
        let Some(opened) = opened else { return status };
        if let Some(mux) = opened.mux.status().await {
            let attached = |client: super::mux::ClientStatus| Attached {
                program: client.info.program,
                process: client.info.process_id,
                attached: Some(client.attached),
                commands: client.commands,
            };
            let super::mux::Counters { pipelines, received, sent, errors } = mux.counters;
            let (running, queued) = (mux.running, mux.queued);
            status.traffic = Traffic { running, queued, pipelines, received, sent, errors };
            status.shells = mux.clients.into_iter().map(attached).collect();
        }
        if brief {
            return status;
        }
        match slots::holders(&self.journal, &opened.endpoint).await {
            Ok(holders) => {
                status.used = Some(holders.len());
                status.holders = holders;
            }
            Err(error) => tracing::warn!("cannot list the endpoint's sessions: {error}"),
        }
        status
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_watcher_gets_the_page_to_sign_in_while_it_is_open() {
        let invitation = ControlEvent::Step(Step::SignIn { uri: "https://a.example/".into(), code: None });
        let requesting = ControlEvent::Step(Step::RequestingToken);
        let notice = ControlEvent::Notice { text: "x".into() };
        let mut events = vec![requesting, invitation.clone(), notice];
        assert!(history(&events).contains(&Some(invitation.clone())));
        events.push(ControlEvent::Step(Step::TokenReceived));
        let past = history(&events);
        assert!(past.len() == 4 && !past.contains(&Some(invitation)), "{past:?}");
    }
}
