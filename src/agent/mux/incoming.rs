//! What clients say.

use tokio::time::Instant;

use super::client::{Client, Key, Phase};
use super::control::Control;
use super::core::Core;
use super::rewrite::{self, Start};
use super::status::ClientId;
use crate::psrp::client::ProtocolError;
use crate::psrp::clixml::{ReadError, Value};
use crate::psrp::key::KeyError;
use crate::psrp::message::{Message, MessageType, Stream};
use crate::psrp::record::{ErrorRecord, PipelineState, PoolState};
use crate::psrp::server::ServerEvent;
use crate::screen::{Colour, clean};
use crate::transport::stream::{Ack, Incoming};

/// How much later than its capabilities a client hears of its pool. PowerShell drops what it is told of the pool
/// before its own negotiation is over, on another thread, and may end the session then (7.6.9;
/// ClientRemoteSessionDSHandlerStateMachine). A server that has to make the pool takes longer.
const NEGOTIATES: std::time::Duration = std::time::Duration::from_millis(20);

/// A client's message that cannot be accepted.
#[derive(Debug, thiserror::Error)]
enum ClientError {
    /// The PSRP server of this client refuses the message.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    /// The message's body is not CLIXML.
    #[error(transparent)]
    Clixml(#[from] ReadError),
    /// The public key of the client cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// CONNECT_RUNSPACEPOOL: the agent keeps no disconnected pool of a client.
    #[error("cannot connect to a disconnected runspace pool")]
    Connect,
    /// The message does not belong to this phase of the client's pool.
    #[error("unexpected message {kind:?}: the runspace pool is {phase:?}")]
    Unexpected { kind: MessageType, phase: Phase },
    /// The id of a new pipeline is nil, or another pipeline has it.
    #[error("the pipeline id is nil or already in use")]
    PipelineId,
    /// PUBLIC_KEY without the property PublicKey (MS-PSRP 2.2.2.3).
    #[error("PUBLIC_KEY has no key")]
    NoPublicKey,
}

impl ClientError {
    /// The advice that the client shows its user.
    fn advice(&self) -> &'static str {
        match self {
            Self::Connect => "Open a new session instead.",
            _ => "Start the shell again.",
        }
    }
}

impl Core {
    pub fn incoming(&mut self, id: ClientId, incoming: Incoming) {
        if !self.clients.contains_key(&id) {
            return;
        }
        match incoming {
            // Acknowledged by the framing; the pipeline begins with its first message.
            Incoming::Command(_) => {}
            Incoming::Message { stream, message, ack } => {
                if let Err(reason) = self.message(id, stream, message, ack) {
                    tracing::warn!(client = id, %reason, "a client broke the protocol");
                    let advice = reason.advice();
                    self.refuse_for(id, &format!("lyncsh can't go on with this client: {reason}. {advice}"));
                    self.detach(id);
                }
            }
            Incoming::Signal(pipeline) => {
                let actions = self.scheduler.stop(id, pipeline);
                self.act(actions);
            }
            Incoming::Close(pool) if pool.is_nil() => self.close_client(id),
            Incoming::Close(pipeline) => {
                let actions = self.scheduler.close(id, pipeline);
                self.act(actions);
            }
            Incoming::End(error) => {
                if let Some(error) = error {
                    tracing::warn!(client = id, %error, "a client broke the protocol");
                }
                self.detach(id);
            }
        }
    }

    fn message(
        &mut self,
        id: ClientId,
        stream: Stream,
        message: Message,
        ack: Ack,
    ) -> Result<(), ClientError> {
        use MessageType as Kind;
        let Some(client) = self.clients.get_mut(&id) else { return Ok(()) };
        match (client.phase, message.kind) {
            (Phase::Negotiating, Kind::SessionCapability) => {
                client.pool = message.pool;
                client.server.receive(&message)?;
                client.flush();
            }
            (Phase::Negotiating, Kind::InitRunspacePool) => self.open_client(id, &message)?,
            (Phase::Negotiating, Kind::ConnectRunspacePool) => {
                return Err(ClientError::Connect);
            }
            (Phase::Open, Kind::PublicKey) => self.public_key(id, &message, ack)?,
            (
                Phase::Open,
                Kind::GetAvailableRunspaces
                | Kind::SetMaxRunspaces
                | Kind::SetMinRunspaces
                | Kind::ResetRunspaceState,
            ) => self.pool_call(id, &message)?,
            (Phase::Open, Kind::RunspacePoolHostResponse) => {
                self.pool_host_response(id, stream, message, ack);
            }
            (Phase::Open, Kind::CreatePipeline | Kind::GetCommandMetadata) => {
                self.create_pipeline(id, stream, message, ack)?;
            }
            (Phase::Open, Kind::PipelineInput | Kind::EndOfPipelineInput | Kind::PipelineHostResponse) => {
                let actions = self.scheduler.pass(id, stream, message, ack);
                self.act(actions);
            }
            (Phase::Closed, _) => {}
            (phase, kind) => return Err(ClientError::Unexpected { kind, phase }),
        }
        Ok(())
    }

    /// Answers INIT_RUNSPACEPOOL from what the endpoint said.
    fn open_client(&mut self, id: ClientId, message: &Message) -> Result<(), ClientError> {
        let Some(client) = self.clients.get_mut(&id) else { return Ok(()) };
        client.host = rewrite::host_of_pool(&message.body)?;
        client.server.receive(message)?;
        client.opened();
        let reports = self.reports.clone();
        tokio::spawn(async move {
            tokio::time::sleep(NEGOTIATES).await;
            let _ = reports.send(Control::Answer(id)).await;
        });
        Ok(())
    }

    /// Tells a client whether it has its pool.
    pub fn answer_client(&mut self, id: ClientId) {
        let open = self.is_open();
        let Some(client) = self.clients.get_mut(&id) else { return };
        if client.phase != Phase::Open {
            return;
        }
        if open {
            client.server.opened();
            client.flush();
            self.deliver_unheard(id);
        } else {
            self.refuse(id);
        }
    }

    fn create_pipeline(
        &mut self,
        id: ClientId,
        stream: Stream,
        mut message: Message,
        ack: Ack,
    ) -> Result<(), ClientError> {
        let pipeline = message.pipeline;
        if pipeline.is_nil() || self.scheduler.pipeline(pipeline).is_some() {
            return Err(ClientError::PipelineId);
        }
        let Some(client) = self.clients.get(&id) else { return Ok(()) };
        let body = std::mem::take(&mut message.body);
        let start = if message.kind == MessageType::CreatePipeline {
            rewrite::create_pipeline(body, &client.host)?
        } else {
            let command = "the list of commands".into();
            Start { body, command, nested: false, background: false }
        };
        if self.is_open() {
            let actions = self.scheduler.create(id, start, stream, message, ack, Instant::now());
            self.act(actions);
        } else {
            let reason = ErrorRecord::session_failed(self.end_reason());
            self.send_to(id, |client| {
                client.server.pipeline_state(pipeline, PipelineState::Failed, Some(&reason));
            });
        }
        Ok(())
    }

    /// The client closes its pool; the remote one stays.
    fn close_client(&mut self, id: ClientId) {
        tracing::debug!(client = id, "a shell closes its pool");
        let actions = self.scheduler.abandon_all(id, Instant::now());
        self.act(actions);
        self.abandon_pool_calls(id);
        self.key.forget(id);
        self.send_to(id, |client| {
            client.server.pool_state(PoolState::Closing, None);
            client.server.pool_state(PoolState::Closed, None);
        });
        if let Some(client) = self.clients.get_mut(&id) {
            client.close_ack(uuid::Uuid::nil());
            client.closed();
        }
    }

    /// Tells a client that the remote pool is gone.
    pub fn refuse(&mut self, id: ClientId) {
        self.refuse_for(id, &self.end_reason());
    }

    pub fn refuse_for(&mut self, id: ClientId, reason: &str) {
        // PowerShell writes it to the terminal as it is.
        let reason = clean(reason, Colour::Drop).into_string();
        self.send_to(id, |client| {
            if client.phase != Phase::Closed {
                client
                    .server
                    .pool_state(PoolState::Broken, Some(&ErrorRecord::session_failed(reason.as_str())));
            }
        });
    }

    /// A client's PUBLIC_KEY.
    fn public_key(&mut self, id: ClientId, message: &Message, ack: Ack) -> Result<(), ClientError> {
        let public_key =
            rewrite::text_property(&message.body, "PublicKey").ok_or(ClientError::NoPublicKey)?;
        if let Some(client) = self.clients.get_mut(&id)
            && client.key == Key::None
        {
            client.key = Key::Asked;
        }
        let actions = self.key.ask(id, public_key, ack)?;
        self.exchange(actions);
        Ok(())
    }

    /// GET_AVAILABLE_RUNSPACES and its kin: answered here, for the client's own call id.
    fn pool_call(&mut self, id: ClientId, message: &Message) -> Result<(), ClientError> {
        // What runs in the background gives way.
        let yielding = self.scheduler.running().filter(|(_, pipeline)| pipeline.background).count();
        let free = self.scheduler.free_runspaces() + yielding;
        let most = self.scheduler.max_runspaces();
        let within = |runspaces: i32| usize::try_from(runspaces).is_ok_and(|n| (1..=most).contains(&n));
        let Some(client) = self.clients.get_mut(&id) else { return Ok(()) };
        for event in client.server.receive(message)? {
            let (call_id, result) = match event {
                ServerEvent::GetAvailableRunspaces { call_id } => {
                    (call_id, Value::I32(i32::try_from(free).unwrap_or(i32::MAX)))
                }
                ServerEvent::SetMaxRunspaces { call_id, max } => (call_id, Value::Bool(within(max))),
                ServerEvent::SetMinRunspaces { call_id, min } => (call_id, Value::Bool(within(min))),
                ServerEvent::ResetRunspaceState { call_id } => (call_id, Value::Bool(false)),
                _ => continue,
            };
            client.server.runspace_availability(call_id, result);
        }
        client.flush();
        Ok(())
    }

    /// A client's answer to a host call of the pool: taken from the one that was asked.
    fn pool_host_response(&mut self, id: ClientId, stream: Stream, message: Message, ack: Ack) {
        let Some(call_id) = rewrite::number_property(&message.body, "ci") else { return };
        if self.pool_calls.is_answered(id, call_id) {
            self.forward(stream, message, Some(ack));
        }
    }

    /// Gives a shell what was written before it came.
    fn deliver_unheard(&mut self, id: ClientId) {
        if self.clients.get(&id).is_some_and(Client::is_open_shell) {
            for call in self.pool_calls.take_unheard() {
                self.deliver(id, call);
            }
        }
    }
}
