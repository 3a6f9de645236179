//! Serves those who come to the agent: shells on one socket, launchers on the other.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, BufReader, ReadBuf};
use tokio::sync::{mpsc, watch};

use super::control::{self, Attached, ControlEvent, ControlRequest, Status};
use super::journal::Journal;
use super::mux::{ClientInfo, Mux, State};
use super::presence::{ExpectedShell, Last, PresenceGuard};
use super::shared::{Opened, Shared};
use super::slots;
use super::socket::{Listener, Local};
use crate::profile::Profile;

/// A launcher's own shell goes just before it: its stream's end may be noticed a little later.
const ATTACH_TIMEOUT: Duration = Duration::from_millis(200);

/// What a conversation with a launcher needs.
#[derive(Debug)]
pub struct ControlServer {
    pub profile: Arc<Profile>,
    pub journal: Journal,
    pub shared: Shared,
}

/// Lets shells attach, for ever. One that comes before the session is open waits for it.
pub async fn shells(listener: &Listener, shared: &Shared) {
    loop {
        match listener.accept().await {
            Ok((stream, info)) => {
                let (stay, process) = (shared.presence.arrive_silent(), info.process_id);
                let staying = TrackedStream { stream, said: Vec::new(), stay, process };
                tokio::spawn(attach(staying, info, shared.clone()));
            }
            Err(error) => {
                tracing::warn!("no shell can attach: {error}");
                // Out of file descriptors: it gets better when somebody leaves.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn attach(stream: TrackedStream, info: ClientInfo, shared: Shared) {
    let mux = tokio::select! {
        mux = mux(&shared) => mux,
        // Its end is how the shell hears that there will be no session.
        () = shared.leaving.cancelled() => None,
    };
    if let Some(mux) = mux {
        mux.attach(stream, info).await;
    }
}

/// The session, as soon as it is open.
async fn mux(shared: &Shared) -> Option<Mux> {
    let mut opened = shared.opened.subscribe();
    let is_open = |opened: &Option<Opened>| {
        opened.as_ref().is_some_and(|opened| *opened.mux.state().borrow() == State::Open)
    };
    let there = opened.wait_for(is_open).await.ok()?;
    there.as_ref().map(|opened| opened.mux.clone())
}

/// What every shell's first words begin with, in out-of-process framing.
const FIRST_WORDS: &[u8] = b"<Data ";

/// A shell's stream: as long as it is there, so is the shell. Who says nothing, or something else than a
/// shell does, leaves as if they had never come.
struct TrackedStream {
    stream: Local,
    /// The first bytes, as many as are needed to know.
    said: Vec<u8>,
    stay: PresenceGuard,
    process: Option<u32>,
}

impl TrackedStream {
    fn receive(&mut self, bytes: &[u8]) {
        if self.said.len() >= FIRST_WORDS.len() {
            return;
        }
        let missing = FIRST_WORDS.len() - self.said.len();
        self.said.extend_from_slice(&bytes[..bytes.len().min(missing)]);
        if self.said == FIRST_WORDS {
            self.stay.speak(self.process);
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

/// Talks with launchers, for ever.
pub async fn launchers(listener: &Listener, desk: Arc<ControlServer>, talks: &mpsc::Sender<()>) {
    loop {
        match listener.accept().await {
            Ok((stream, info)) => {
                // Its clone's end is how the agent knows that a talk is over.
                let talk = talks.clone();
                let desk = desk.clone();
                tokio::spawn(async move {
                    if let Err(error) = converse(stream, info.process_id, &desk).await {
                        tracing::debug!("a launcher is gone: {error}");
                    }
                    drop(talk);
                });
            }
            Err(error) => {
                tracing::warn!("no launcher can be heard: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn converse(stream: Local, process: Option<u32>, desk: &ControlServer) -> std::io::Result<()> {
    let (reader, mut writer) = tokio::io::split(stream);
    let (heard, mut requests) = mpsc::channel(1);
    let listening = tokio::spawn(async move {
        let mut reader = BufReader::new(reader);
        while let Ok(Some(request)) = control::receive::<ControlRequest>(&mut reader).await {
            if heard.send(request).await.is_err() {
                break;
            }
        }
    });
    let _listening = AbortOnDrop(listening);
    let mut news = desk.shared.news.subscribe();
    let mut told = 0;
    let mut stay: Option<PresenceGuard> = None;
    let (mut launched, mut asked) = (None, None);
    let mut watching = false;
    let mut patience = None;
    loop {
        tokio::select! {
            request = requests.recv() => match request {
                None => {
                    // It died, and so do its shell and its wishes.
                    if launched.is_some() {
                        desk.shared.presence.release();
                    }
                    return Ok(());
                }
                // Too late: its end says so.
                Some(ControlRequest::Watch) if desk.shared.leaving.is_cancelled() => return Ok(()),
                Some(ControlRequest::Watch) => {
                    stay.get_or_insert_with(|| desk.shared.presence.arrive_watching(process));
                    if !watching {
                        let past = history(&news.borrow());
                        told = past.len();
                        for event in past.into_iter().flatten() {
                            control::send(&mut writer, &event).await?;
                        }
                    }
                    watching = true;
                }
                Some(ControlRequest::Persist) => {
                    patience.get_or_insert_with(|| Patience::of(&desk.shared));
                }
                Some(ControlRequest::Reconnect) => desk.shared.hurry.notify_waiters(),
                Some(ControlRequest::Release) => {
                    patience = None;
                    // The shell that it has started is not coming any more.
                    launched.take().into_iter().chain(asked.take()).for_each(|process| desk.shared.presence.call_off(process));
                    stay.take().into_iter().for_each(PresenceGuard::leave);
                    desk.shared.presence.release();
                    let deserted = desk.shared.presence.wait_deserted(|_| Duration::ZERO);
                    let _ = tokio::time::timeout(ATTACH_TIMEOUT, deserted).await;
                    if !desk.is_leaving() {
                        return control::send(&mut writer, &ControlEvent::Released).await;
                    }
                }
                Some(ControlRequest::Announce { process }) => {
                    if let Some(stay) = &mut stay {
                        stay.foretell(ExpectedShell::AskedBy(process));
                        asked = Some(process);
                    }
                    if !desk.is_leaving() {
                        control::send(&mut writer, &ControlEvent::Awaited).await?;
                    }
                }
                Some(ControlRequest::Guard { process }) => {
                    if let Some(stay) = stay.take() {
                        stay.announce(ExpectedShell::Launched(process));
                        launched = Some(process);
                    }
                }
                Some(ControlRequest::Retry { remove }) => {
                    // Nobody waits for it where the refusal is over already.
                    let _ = desk.shared.retry.try_send(remove);
                }
                Some(ControlRequest::Status) => {
                    let status = Box::new(desk.status().await);
                    control::send(&mut writer, &ControlEvent::Status(status)).await?;
                }
                Some(ControlRequest::Stop) => {
                    watching = true;
                    told = news.borrow().len();
                    desk.shared.stop.cancel();
                }
            },
            event = next(&mut news, told), if watching => {
                let Some(event) = event else { return Ok(()) };
                told += 1;
                control::send(&mut writer, &event).await?;
                if matches!(event, ControlEvent::Removed { .. } | ControlEvent::Failed(_)) {
                    return Ok(());
                }
            }
        }
    }
}

/// What a watcher who comes now is told of all that has happened: nothing of sessions that were lost, but
/// that the last one was where there is none.
fn history(events: &[ControlEvent]) -> Vec<Option<ControlEvent>> {
    let lost = events.iter().rposition(|event| matches!(event, ControlEvent::Lost { .. }));
    let open = events.iter().rposition(|event| matches!(event, ControlEvent::Open));
    let is_lost = lost > open;
    let is_told = |(at, event): (usize, &ControlEvent)| {
        let told = match lost {
            None => true,
            // Of the attempts since, only the session that this one may have made, and what is asked now.
            Some(lost) if is_lost => {
                let is_asked = at + 1 == events.len() && matches!(event, ControlEvent::Refused { .. });
                at == lost || (at > lost && (is_asked || matches!(event, ControlEvent::Guarded(_))))
            }
            Some(lost) => at > lost && !matches!(event, ControlEvent::Away(_)),
        };
        told.then(|| event.clone())
    };
    events.iter().enumerate().map(is_told).collect()
}

/// A watcher for whom a lost session is made again whatever time that takes.
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

/// The next piece of news. Safe to cancel.
async fn next(news: &mut watch::Receiver<Vec<ControlEvent>>, told: usize) -> Option<ControlEvent> {
    let events = news.wait_for(|events| events.len() > told).await.ok()?;
    events.get(told).cloned()
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl ControlServer {
    /// Whether the agent ends now, because nobody needs it.
    fn is_leaving(&self) -> bool {
        match self.shared.presence.deserted() {
            Some(Last::Gone) => self.shared.linger(Last::Gone).is_zero(),
            _ => self.shared.leaving.is_cancelled() || self.shared.stop.is_cancelled(),
        }
    }

    async fn status(&self) -> Status {
        let opened = self.shared.opened.borrow().clone();
        let mut status = Status {
            profile: self.profile.name.clone(),
            process: std::process::id(),
            user: self.profile.user.clone(),
            endpoint: opened.as_ref().map(|opened| opened.endpoint.uri.clone()),
            session: opened.as_ref().map(|opened| opened.shell),
            open: opened.as_ref().map(|opened| opened.since.elapsed()),
            shells: Vec::new(),
            used: None,
            allowed: slots::allowed(self.profile.kind),
            holders: Vec::new(),
        };
        let Some(opened) = opened else { return status };
        if let Some(mux) = opened.mux.status().await {
            let attached = |client: super::mux::ClientStatus| Attached {
                program: client.info.program,
                process: client.info.process_id,
                attached: Some(client.attached),
                commands: client.commands,
            };
            status.shells = mux.clients.into_iter().map(attached).collect();
        }
        match slots::holders(&self.journal, &opened.endpoint).await {
            Ok(holders) => {
                status.used = Some(holders.len());
                status.holders = holders;
            }
            Err(error) => tracing::warn!("the endpoint's sessions can't be listed: {error}"),
        }
        status
    }
}
