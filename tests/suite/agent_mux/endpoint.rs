//! A remote endpoint for the multiplexer: a PSRP server on a byte stream with a few simple commands.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use lyncsh::psrp::clixml::Value;
use lyncsh::psrp::host::{HostException, HostInfo, HostMethod};
use lyncsh::psrp::message::MessageType;
use lyncsh::psrp::pipeline::Pipeline;
use lyncsh::psrp::record::{ErrorRecord, PipelineState, PoolState, ProgressRecord};
use lyncsh::psrp::server::{ServerEvent, ServerPool};
use lyncsh::transport::Connection;
use lyncsh::transport::stream::{Incoming, Sender, connect, serve};
use tokio::io::DuplexStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use uuid::Uuid;

/// Events of the endpoint in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    /// A pipeline's commands, and the width of its host.
    Created(Uuid, String, Option<i32>),
    Stopped(Uuid),
    Closed(Uuid),
    PublicKey,
    Available,
    /// The answer to the startup script's question.
    Answered(Result<Option<Value>, HostException>),
}

pub struct Endpoint {
    shared: Arc<Shared>,
    seen: watch::Receiver<Vec<Seen>>,
    task: JoinHandle<()>,
}

struct Shared {
    pool: Mutex<ServerPool>,
    sender: Sender,
    seen: watch::Sender<Vec<Seen>>,
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Endpoint {
    /// Starts an endpoint and returns a connection to it.
    pub fn start() -> (Self, Connection) {
        let (here, there) = tokio::io::duplex(64 * 1024);
        (Self::serve(here, false), connect(there, lyncsh::transport::Limits::default()))
    }

    /// Starts an endpoint whose startup script asks a question: the pool is open after the answer.
    pub fn asking() -> (Self, Connection) {
        let (here, there) = tokio::io::duplex(64 * 1024);
        (Self::serve(here, true), connect(there, lyncsh::transport::Limits::default()))
    }

    fn serve(stream: DuplexStream, asks: bool) -> Self {
        let server = serve(stream);
        let entry = |key: &str| (Value::string(key), Value::I32(1));
        let data = Value::primitive_dictionary([entry("DebugMode"), entry("Litware")]);
        let (seen_given, seen) = watch::channel(Vec::new());
        let shared = Arc::new(Shared {
            pool: Mutex::new(ServerPool::new(data)),
            sender: server.sender,
            seen: seen_given,
        });
        let mut work = Work { shared: shared.clone(), running: HashMap::new(), host: None, asks };
        let mut incoming = server.incoming;
        let task = tokio::spawn(async move {
            while let Some(next) = incoming.recv().await {
                work.take(next);
                work.shared.flush();
            }
        });
        Self { shared, seen, task }
    }

    /// Returns all events as soon as `enough` is true for them.
    pub async fn seen(&self, enough: impl FnMut(&Vec<Seen>) -> bool) -> Vec<Seen> {
        let mut seen = self.seen.clone();
        match tokio::time::timeout(crate::program::PATIENCE, seen.wait_for(enough)).await {
            Ok(seen) => seen.unwrap().clone(),
            Err(error) => panic!("{error}: the endpoint has seen only {:?}", *self.seen.borrow()),
        }
    }

    /// Sends a host call of the pool.
    pub fn pool_host_call(&self, method: HostMethod, parameters: Vec<Value>) {
        self.shared.pool().host_call(None, method, parameters);
        self.shared.flush();
    }

    /// Sends a warning that belongs to no pipeline.
    pub fn pool_warning(&self, text: &str) {
        self.shared.pool().text(Uuid::nil(), MessageType::WarningRecord, text);
        self.shared.flush();
    }

    pub fn user_event(&self, value: &Value) {
        self.shared.pool().user_event(value);
        self.shared.flush();
    }

    pub fn break_pool(&self, reason: &str) {
        let mut record = super::record();
        record.message = reason.into();
        self.shared.pool().pool_state(PoolState::Broken, Some(&record));
        self.shared.flush();
    }
}

impl Shared {
    fn pool(&self) -> MutexGuard<'_, ServerPool> {
        self.pool.lock().unwrap()
    }

    fn flush(&self) {
        for message in self.pool().take_outgoing() {
            self.sender.push(message);
        }
    }

    fn saw(&self, what: Seen) {
        self.seen.send_modify(|seen| seen.push(what));
    }

    fn end(&self, id: Uuid, state: PipelineState, error: Option<&ErrorRecord>) {
        self.pool().pipeline_state(id, state, error);
        self.flush();
    }
}

struct Work {
    shared: Arc<Shared>,
    /// Running pipelines with their input.
    running: HashMap<Uuid, (String, Vec<Value>)>,
    host: Option<HostInfo>,
    /// Whether the startup script asks a question.
    asks: bool,
}

impl Work {
    fn take(&mut self, incoming: Incoming) {
        match incoming {
            Incoming::Message { message, ack, .. } => {
                if message.kind == MessageType::PublicKey {
                    self.shared.saw(Seen::PublicKey);
                }
                let events = self.shared.pool().receive(&message).unwrap();
                events.into_iter().for_each(|event| self.event(event));
                self.shared.flush();
                drop(ack);
            }
            Incoming::Signal(id) => {
                self.shared.saw(Seen::Stopped(id));
                if self.running.remove(&id).is_some() {
                    self.shared.end(id, PipelineState::Stopped, Some(&super::record()));
                }
                self.shared.sender.signal_ack(id);
            }
            Incoming::Close(id) => {
                self.shared.saw(Seen::Closed(id));
                if id.is_nil() {
                    let mut pool = self.shared.pool();
                    pool.pool_state(PoolState::Closing, None);
                    pool.pool_state(PoolState::Closed, None);
                    drop(pool);
                    self.shared.flush();
                }
                self.running.remove(&id);
                self.shared.sender.close_ack(id);
            }
            Incoming::Command(_) | Incoming::End(_) => {}
        }
    }

    fn event(&mut self, event: ServerEvent) {
        match event {
            ServerEvent::Open { host, .. } => {
                self.host = Some(host);
                if self.asks {
                    self.shared.pool().host_call(None, HostMethod::ReadLine, Vec::new());
                } else {
                    self.shared.pool().opened();
                }
            }
            ServerEvent::CreatePipeline(id, pipeline) => self.create(id, &pipeline),
            ServerEvent::CommandMetadata(id, _) => {
                self.output(id, &Value::I32(0));
                self.shared.end(id, PipelineState::Completed, None);
            }
            ServerEvent::Input(id, value) => {
                if let Some((_, input)) = self.running.get_mut(&id) {
                    input.push(value);
                }
            }
            ServerEvent::EndInput(id) => {
                if let Some((_, input)) = self.running.remove(&id) {
                    input.iter().for_each(|value| self.output(id, value));
                    self.shared.end(id, PipelineState::Completed, None);
                }
            }
            ServerEvent::HostResponse(Some(id), response) => {
                let answer = response.result.unwrap().unwrap_or(Value::Null);
                self.output(id, &answer);
                self.running.remove(&id);
                self.shared.end(id, PipelineState::Completed, None);
            }
            ServerEvent::HostResponse(None, response) if std::mem::take(&mut self.asks) => {
                self.shared.saw(Seen::Answered(response.result));
                self.shared.pool().opened();
            }
            ServerEvent::HostResponse(None, response) => {
                let text = format!("{:?}", response.result);
                self.shared.pool().user_event(&Value::string(text));
            }
            ServerEvent::GetAvailableRunspaces { call_id } => {
                self.shared.saw(Seen::Available);
                self.shared.pool().runspace_availability(call_id, Value::I32(1));
            }
            other => panic!("{other:?}"),
        }
    }

    fn output(&self, id: Uuid, value: &Value) {
        self.shared.pool().output(id, value);
    }

    fn create(&mut self, id: Uuid, pipeline: &Pipeline) {
        assert!(!pipeline.background, "the mark is lyncsh's own");
        let command = &pipeline.commands[0];
        let value = command.arguments.first().and_then(|argument| argument.value.clone());
        let width = pipeline.host.as_ref().or(self.host.as_ref()).map(|host| host.window.0);
        self.shared.saw(Seen::Created(id, command.name.clone(), width));
        self.running.insert(id, (command.name.clone(), Vec::new()));
        match command.name.as_str() {
            // Runs until it is stopped or its input ends.
            "Wait-Cs" | "Measure-CsInput" => {}
            "Read-Cs" => {
                self.shared.pool().host_call(Some(id), HostMethod::ReadLine, Vec::new());
            }
            "Get-CsBig" => {
                let (shared, chunks) = (self.shared.clone(), value.unwrap().as_i64().unwrap());
                tokio::spawn(async move {
                    for _ in 0..chunks {
                        if !shared.pool().pipelines().any(|running| running == id) {
                            return;
                        }
                        shared.pool().output(id, &Value::string("x".repeat(100_000)));
                        let messages = shared.pool().take_outgoing();
                        for message in messages {
                            shared.sender.send(message).await;
                        }
                    }
                    shared.end(id, PipelineState::Completed, None);
                });
            }
            "Write-Cs" => {
                let record = ProgressRecord {
                    activity: "Writing".into(),
                    activity_id: 1,
                    parent_id: -1,
                    status: "now".into(),
                    current_operation: None,
                    percent: 50,
                    seconds_remaining: -1,
                    completed: false,
                };
                self.shared.pool().progress(id, &record);
                self.shared.end(id, PipelineState::Completed, None);
            }
            "Get-CsSecret" => {
                self.output(id, &Value::secure("from there".to_owned().into()));
                self.output(id, &Value::I32(2));
                self.shared.end(id, PipelineState::Completed, None);
            }
            "Stop-Cs" => self.shared.end(id, PipelineState::Failed, Some(&super::record())),
            // Echoes its input, including SecureStrings.
            _ => {
                self.output(id, &value.unwrap_or(Value::Null));
                self.shared.end(id, PipelineState::Completed, None);
            }
        }
    }
}
