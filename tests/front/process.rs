//! One `pwsh -s` process as the PSRP server of a WSMan shell.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use lyncsh::psrp::client::{Outgoing, Stream};
use lyncsh::psrp::clixml;
use lyncsh::psrp::message::{Message, MessageType};
use lyncsh::simulator::{Backend, TakeError};
use lyncsh::transport::{ConnectionEvent, ConnectionRequest, Limits, stream};
use tokio::process::{Child, Command};
use tokio::sync::futures::Notified;
use tokio::sync::{Notify, mpsc, oneshot};
use uuid::Uuid;

use super::Options;

/// Time limit for closing the pool before the process is killed.
const CLOSE: Duration = Duration::from_secs(2);

/// The running PowerShell processes of a front.
#[derive(Debug, Default)]
pub struct Processes(Mutex<BTreeSet<u32>>);

impl Processes {
    pub fn ids(&self) -> Vec<u32> {
        self.set().iter().copied().collect()
    }

    fn set(&self) -> MutexGuard<'_, BTreeSet<u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A PowerShell process and its output.
pub struct Process {
    /// Requests to the process in order.
    requests: mpsc::UnboundedSender<ConnectionRequest>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
    /// The pool is closed or the time limit has expired: the process must end.
    closing: Notify,
    gone: AtomicBool,
}

#[derive(Default)]
struct State {
    /// By pipeline; nil for the pool.
    outboxes: HashMap<Uuid, VecDeque<Message>>,
    running: HashSet<Uuid>,
    /// Pipelines that the client has started and not ended. Messages of others are dropped.
    known: HashSet<Uuid>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn gone(&self) {
        self.gone.store(true, Ordering::SeqCst);
        self.state().running.clear();
        self.changed.notify_waiters();
    }
}

impl Process {
    pub fn start(options: &Options, processes: Arc<Processes>) -> std::io::Result<Self> {
        let mut command = Command::new(&options.pwsh);
        command.args(["-s", "-NoLogo", "-NoProfile"]);
        if let Some(file) = &options.configuration {
            command.arg("-ConfigurationFile").arg(file);
        }
        command
            .envs([("POWERSHELL_TELEMETRY_OPTOUT", "1"), ("POWERSHELL_UPDATECHECK", "Off")])
            .envs(options.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        // Ctrl-C at the front's terminal must not reach the endpoint.
        #[cfg(unix)]
        command.process_group(0);
        let mut child = command.spawn()?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(std::io::Error::other("the PowerShell has no pipes"));
        };
        processes.set().extend(child.id());
        let connection = stream::connect(tokio::io::join(stdout, stdin), Limits::default());
        let shared = Arc::new(Shared::default());
        let (requests, queued) = mpsc::unbounded_channel();
        tokio::spawn(forward(queued, connection.requests));
        tokio::spawn(live(child, connection.events, shared.clone(), processes));
        Ok(Self { requests, shared })
    }

    fn ask(&self, request: ConnectionRequest) {
        // Ignored if the PowerShell process has ended.
        let _ = self.requests.send(request);
    }
}

async fn forward(
    mut queued: mpsc::UnboundedReceiver<ConnectionRequest>,
    requests: mpsc::Sender<ConnectionRequest>,
) {
    while let Some(request) = queued.recv().await {
        if requests.send(request).await.is_err() {
            return;
        }
    }
}

/// Stores the output of a PowerShell process until it ends.
async fn live(
    mut child: Child,
    mut events: mpsc::Receiver<ConnectionEvent>,
    shared: Arc<Shared>,
    processes: Arc<Processes>,
) {
    let id = child.id();
    loop {
        let event = tokio::select! {
            event = events.recv() => event,
            () = shared.closing.notified() => break,
        };
        let message = match event {
            Some(ConnectionEvent::Message(message)) => message,
            Some(ConnectionEvent::Broken { .. } | ConnectionEvent::Closed) | None => break,
            Some(ConnectionEvent::StopAcknowledged(_) | ConnectionEvent::PipelineClosed(_)) => continue,
            Some(ConnectionEvent::PipelineFailed(pipeline, _)) => {
                shared.state().running.remove(&pipeline);
                shared.changed.notify_waiters();
                continue;
            }
        };
        let pipeline = message.pipeline;
        let ends = message.kind == MessageType::PipelineState && is_final(&message);
        let mut state = shared.state();
        if ends {
            state.running.remove(&pipeline);
        }
        if pipeline.is_nil() || state.known.contains(&pipeline) {
            state.outboxes.entry(pipeline).or_default().push_back(message);
        }
        drop(state);
        shared.changed.notify_waiters();
    }
    // The connection has ended, and so has the process.
    let _ = child.start_kill();
    let _ = child.wait().await;
    if let Some(id) = id {
        processes.set().remove(&id);
    }
    shared.gone();
}

/// PIPELINE_STATE 3, 4 and 5 (MS-PSRP 2.2.3.5): stopped, completed, failed.
fn is_final(message: &Message) -> bool {
    let state = clixml::read(&message.body).ok();
    let state = state.and_then(|body| body.property("PipelineState").and_then(clixml::Value::as_i32));
    state.is_some_and(|state| (3..=5).contains(&state))
}

impl Backend for Process {
    fn take(&self, stream: Stream, message: Message) -> BoxFuture<'_, Result<(), TakeError>> {
        let starts = matches!(message.kind, MessageType::CreatePipeline | MessageType::GetCommandMetadata);
        if starts {
            let mut state = self.shared.state();
            state.running.insert(message.pipeline);
            state.known.insert(message.pipeline);
        }
        // SESSION_CAPABILITY and INIT_RUNSPACEPOOL share a Data: the first alone is never acknowledged.
        let waits = message.kind != MessageType::SessionCapability;
        let (ordered, done) = oneshot::channel();
        self.ask(ConnectionRequest::Send { outgoing: Outgoing { stream, message }, ordered: Some(ordered) });
        Box::pin(async move {
            if waits {
                // Dropped without an answer if the pipeline was closed in the meantime or the connection has
                // ended.
                let _ = done.await;
            }
            Ok(())
        })
    }

    fn stop(&self, pipeline: Uuid) {
        self.ask(ConnectionRequest::Stop(pipeline));
    }

    fn forget(&self, pipeline: Uuid) {
        let mut state = self.shared.state();
        state.running.remove(&pipeline);
        state.outboxes.remove(&pipeline);
        state.known.remove(&pipeline);
        drop(state);
        self.ask(ConnectionRequest::ClosePipeline(pipeline));
        self.shared.changed.notify_waiters();
    }

    /// Closes the pool; kills the PowerShell process after the time limit.
    fn close(&self) {
        // PowerShell does not answer a Close of the pool while a pipeline is open.
        let known = std::mem::take(&mut self.shared.state().known);
        for pipeline in known {
            self.ask(ConnectionRequest::ClosePipeline(pipeline));
        }
        let (closed, done) = oneshot::channel();
        self.ask(ConnectionRequest::Close(closed));
        let shared = self.shared.clone();
        let requests = self.requests.clone();
        tokio::spawn(async move {
            let _ = tokio::time::timeout(CLOSE, done).await;
            drop(requests);
            shared.closing.notify_one();
        });
    }

    fn running(&self) -> Vec<Uuid> {
        self.shared.state().running.iter().copied().collect()
    }

    fn next(&self, target: Uuid) -> Option<Message> {
        self.shared.state().outboxes.get_mut(&target).and_then(VecDeque::pop_front)
    }

    fn changed(&self) -> Notified<'_> {
        self.shared.changed.notified()
    }

    fn wake(&self) {
        self.shared.changed.notify_waiters();
    }

    fn is_gone(&self) -> bool {
        self.shared.gone.load(Ordering::SeqCst)
    }
}
