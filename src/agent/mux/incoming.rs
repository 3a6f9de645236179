//! Messages from clients.

use tokio::time::Instant;

use super::client::{Client, KeyState, Kind, Phase};
use super::control::Control;
use super::core::Core;
use super::rewrite::{self, Start};
use super::status::ClientId;
use crate::psrp::client::ProtocolError;
use crate::psrp::clixml::{ReadError, Value};
use crate::psrp::key::KeyError;
use crate::psrp::message::{Message, MessageType, Stream};
use crate::psrp::pool::accepts_early_state;
use crate::psrp::record::{ErrorRecord, PipelineState, PoolState};
use crate::psrp::server::ServerEvent;
use crate::screen::{Colour, clean};
use crate::transport::stream::{Ack, Incoming};

/// Delay between the capabilities and the pool state sent to a PowerShell. PowerShell drops a pool state that
/// arrives before another of its threads has finished the negotiation, and may then end the session (seen in
/// PowerShell 7.6.9; ClientRemoteSessionDSHandlerStateMachine). A server that has to create the pool takes longer.
const NEGOTIATION_DELAY: std::time::Duration = std::time::Duration::from_millis(20);

/// A client's protocol violation.
#[derive(Debug, thiserror::Error)]
enum ClientError {
    /// The server side of the client's pool refused the message.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    /// The message's body is not CLIXML.
    #[error(transparent)]
    Clixml(#[from] ReadError),
    /// The client's public key is invalid.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// CONNECT_RUNSPACEPOOL: the agent does not keep a client's disconnected pool.
    #[error("cannot reconnect to a runspace pool: not supported")]
    Connect,
    /// The message does not belong to this phase of the client's pool.
    #[error("unexpected {kind:?}: the runspace pool is {phase:?}")]
    Unexpected { kind: MessageType, phase: Phase },
    /// The id of a new pipeline is nil or that of another pipeline.
    #[error("the pipeline id is nil or a duplicate")]
    PipelineId,
    /// PUBLIC_KEY without the property PublicKey (MS-PSRP 2.2.2.3).
    #[error("PUBLIC_KEY lacks the key")]
    NoPublicKey,
}

impl ClientError {
    /// Returns the help text for the client's user.
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
                    tracing::warn!(client = id, %reason, "a client violated the protocol");
                    let advice = reason.advice();
                    self.refuse_for(
                        id,
                        &format!("lyncsh cannot continue with this client: {reason}. {advice}"),
                    );
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
                    tracing::warn!(client = id, %error, "a client violated the protocol");
                }
                self.detach(id);
            }
        }
    }

    /// Handles a message. The error describes the client's protocol violation.
    fn message(
        &mut self,
        id: ClientId,
        stream: Stream,
        message: Message,
        ack: Ack,
    ) -> Result<(), ClientError> {
        use MessageType as Type;
        let Some(client) = self.clients.get_mut(&id) else { return Ok(()) };
        match (client.phase, message.kind) {
            (Phase::Negotiating, Type::SessionCapability) => {
                client.pool = message.pool;
                client.server.receive(&message)?;
                client.flush();
            }
            (Phase::Negotiating, Type::InitRunspacePool) => self.open_client(id, &message)?,
            (Phase::Negotiating, Type::ConnectRunspacePool) => {
                return Err(ClientError::Connect);
            }
            (Phase::Open, Type::PublicKey) => self.public_key(id, &message, ack)?,
            (
                Phase::Open,
                Type::GetAvailableRunspaces
                | Type::SetMaxRunspaces
                | Type::SetMinRunspaces
                | Type::ResetRunspaceState,
            ) => self.pool_call(id, &message)?,
            (Phase::Open, Type::RunspacePoolHostResponse) => {
                self.pool_host_response(id, stream, message, ack);
            }
            (Phase::Open, Type::CreatePipeline | Type::GetCommandMetadata) => {
                self.create_pipeline(id, stream, message, ack)?;
            }
            (Phase::Open, Type::PipelineInput | Type::EndOfPipelineInput | Type::PipelineHostResponse) => {
                let actions = self.scheduler.pass(id, stream, message, ack);
                self.act(actions);
            }
            (Phase::Closed, _) => {}
            (phase, kind) => return Err(ClientError::Unexpected { kind, phase }),
        }
        Ok(())
    }

    /// Handles INIT_RUNSPACEPOOL. Delays the answer if the client does not accept an early pool state.
    fn open_client(&mut self, id: ClientId, message: &Message) -> Result<(), ClientError> {
        let Some(client) = self.clients.get_mut(&id) else { return Ok(()) };
        client.host = rewrite::host_of_pool(&message.body)?;
        let events = client.server.receive(message)?;
        client.opened();
        let is_early = |event: &ServerEvent| match event {
            ServerEvent::Open { application_arguments, .. } => accepts_early_state(application_arguments),
            _ => false,
        };
        if events.iter().any(is_early) {
            self.answer_client(id);
            return Ok(());
        }
        let reports = self.reports.clone();
        tokio::spawn(async move {
            tokio::time::sleep(NEGOTIATION_DELAY).await;
            let _ = reports.send(Control::Answer(id)).await;
        });
        Ok(())
    }

    /// Answers a client's INIT_RUNSPACEPOOL with the state of the remote pool.
    pub fn answer_client(&mut self, id: ClientId) {
        let open = self.is_open();
        let Some(client) = self.clients.get_mut(&id) else { return };
        if client.phase != Phase::Open {
            return;
        }
        if open {
            client.server.opened();
            client.flush();
            self.deliver_stored(id);
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
        let mut start = if message.kind == MessageType::CreatePipeline {
            rewrite::create_pipeline(body, &client.host)?
        } else {
            let command = "the list of commands".into();
            Start { body, command, nested: false, background: false, internal: true }
        };
        start.internal |= client.kind == Kind::Own;
        if self.is_open() {
            let actions = self.scheduler.create(id, start, stream, message, ack, Instant::now());
            self.act(actions);
        } else {
            let reason = ErrorRecord::not_run(&self.end_reason());
            self.send_to(id, |client| {
                client.server.pipeline_state(pipeline, PipelineState::Failed, Some(&reason));
            });
        }
        Ok(())
    }

    /// Closes a client's pool; the remote pool stays open.
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

    /// Notifies a client that the remote pool has ended.
    pub fn refuse(&mut self, id: ClientId) {
        self.refuse_for(id, &self.end_reason());
    }

    pub fn refuse_for(&mut self, id: ClientId, reason: &str) {
        // PowerShell writes the reason to the terminal unfiltered.
        let reason = clean(reason, Colour::Drop).into_string();
        self.send_to(id, |client| {
            if client.phase != Phase::Closed {
                client
                    .server
                    .pool_state(PoolState::Broken, Some(&ErrorRecord::session_failed(reason.as_str())));
            }
        });
    }

    /// Handles a client's PUBLIC_KEY.
    fn public_key(&mut self, id: ClientId, message: &Message, ack: Ack) -> Result<(), ClientError> {
        let public_key =
            rewrite::text_property(&message.body, "PublicKey").ok_or(ClientError::NoPublicKey)?;
        if let Some(client) = self.clients.get_mut(&id)
            && client.key == KeyState::None
        {
            client.key = KeyState::Requested;
        }
        let actions = self.key.ask(id, public_key, ack)?;
        self.exchange(actions);
        Ok(())
    }

    /// Answers GET_AVAILABLE_RUNSPACES and similar requests for the client's call id.
    fn pool_call(&mut self, id: ClientId, message: &Message) -> Result<(), ClientError> {
        // Background pipelines give way to a shell's pipeline.
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

    /// Forwards a client's answer to a host call of the pool, if the call was routed to this client.
    fn pool_host_response(&mut self, id: ClientId, stream: Stream, message: Message, ack: Ack) {
        let Some(call_id) = rewrite::number_property(&message.body, "ci") else { return };
        if self.pool_calls.take_answer(id, call_id) {
            self.forward(stream, message, Some(ack));
        }
    }

    /// Delivers to a shell the host output that was written before it attached.
    fn deliver_stored(&mut self, id: ClientId) {
        if self.clients.get(&id).is_some_and(Client::is_open_shell) {
            for call in self.pool_calls.take_stored() {
                self.deliver(id, call);
            }
        }
    }
}
