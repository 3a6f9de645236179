//! Processing of the client's messages.

use uuid::Uuid;

use super::{ServerEvent, ServerPool};
use crate::psrp::Missing;
use crate::psrp::client::{ProtocolError, Stream, seal};
use crate::psrp::clixml::{self, Value};
use crate::psrp::host::HostResponse;
use crate::psrp::key::{KeyError, SessionKey};
use crate::psrp::message::{Message, MessageType};
use crate::psrp::pipeline::{MetadataQuery, Pipeline};
use crate::psrp::pool::{InitRunspacePool, SessionCapability};
use crate::psrp::record::{PipelineState, PoolState};
use crate::psrp::secrets;

impl ServerPool {
    /// Processes one message of the client. Secrets in the events are [`clixml::Secure::Plain`].
    pub fn receive(&mut self, message: &Message) -> Result<Vec<ServerEvent>, ProtocolError> {
        let (kind, pipeline) = (message.kind, message.pipeline);
        let missing = ProtocolError::missing(kind);
        let open = self.state == PoolState::Opened;
        // A client may send pipeline messages before it has received the pool's state.
        let opening = open || matches!(self.state, PoolState::Opening | PoolState::Connecting);
        let event = match kind {
            MessageType::SessionCapability if self.state == PoolState::BeforeOpen => {
                self.negotiate(message)?;
                return Ok(Vec::new());
            }
            MessageType::InitRunspacePool if self.state == PoolState::NegotiationSucceeded => {
                self.open(message)?
            }
            MessageType::ConnectRunspacePool if self.state == PoolState::NegotiationSucceeded => {
                self.id = message.pool;
                self.state = PoolState::Connecting;
                ServerEvent::Connect
            }
            MessageType::PublicKey => {
                self.give_key(message)?;
                return Ok(Vec::new());
            }
            MessageType::CreatePipeline if opening => {
                let created = Pipeline::read(&self.body(message)?).map_err(missing)?;
                self.pipelines.insert(pipeline, PipelineState::Running);
                ServerEvent::CreatePipeline(pipeline, created)
            }
            MessageType::GetCommandMetadata if opening => {
                let query = MetadataQuery::read(&self.body(message)?).map_err(missing)?;
                self.pipelines.insert(pipeline, PipelineState::Running);
                ServerEvent::CommandMetadata(pipeline, query)
            }
            MessageType::PipelineInput
            | MessageType::EndOfPipelineInput
            | MessageType::PipelineHostResponse
                if !self.pipelines.contains_key(&pipeline) =>
            {
                // The pipeline has ended; its client has not received the state yet.
                return Ok(Vec::new());
            }
            MessageType::PipelineInput => ServerEvent::Input(pipeline, self.body(message)?),
            MessageType::EndOfPipelineInput => ServerEvent::EndInput(pipeline),
            MessageType::PipelineHostResponse => {
                let response = HostResponse::read(&self.body(message)?).map_err(missing)?;
                ServerEvent::HostResponse(Some(pipeline), response)
            }
            MessageType::RunspacePoolHostResponse => {
                ServerEvent::HostResponse(None, HostResponse::read(&self.body(message)?).map_err(missing)?)
            }
            MessageType::GetAvailableRunspaces if open => ServerEvent::GetAvailableRunspaces {
                call_id: call_id(&self.body(message)?).map_err(missing)?,
            },
            MessageType::SetMaxRunspaces if open => {
                let body = self.body(message)?;
                let max = number(&body, "MaxRunspaces").map_err(&missing)?;
                ServerEvent::SetMaxRunspaces { call_id: call_id(&body).map_err(missing)?, max }
            }
            MessageType::SetMinRunspaces if open => {
                let body = self.body(message)?;
                let min = number(&body, "MinRunspaces").map_err(&missing)?;
                ServerEvent::SetMinRunspaces { call_id: call_id(&body).map_err(missing)?, min }
            }
            MessageType::ResetRunspaceState if open => {
                ServerEvent::ResetRunspaceState { call_id: call_id(&self.body(message)?).map_err(missing)? }
            }
            _ => return Err(ProtocolError::Unexpected { kind, state: self.state }),
        };
        Ok(vec![event])
    }

    fn body(&self, message: &Message) -> Result<Value, ProtocolError> {
        // .NET's message serializer writes null as an empty body (RemotingDataObject.cs).
        if message.body.is_empty() {
            return Ok(Value::Null);
        }
        let value = clixml::read(&message.body)?;
        if !secrets::has_sealed(&value) {
            return Ok(value);
        }
        match seal(self.protocol, self.key.as_ref().filter(|_| self.key_given)) {
            Some(seal) => Ok(seal.open(&value)?),
            None => Err(KeyError("received a secret before the session key".to_owned()).into()),
        }
    }

    fn negotiate(&mut self, message: &Message) -> Result<(), ProtocolError> {
        let missing = ProtocolError::missing(message.kind);
        let own = SessionCapability { protocol: self.protocol };
        let peer = SessionCapability::read(&self.body(message)?).map_err(missing)?.protocol;
        self.protocol =
            self.protocol.shared_with(peer).ok_or_else(|| ProtocolError::Version(peer.to_string()))?;
        self.outbox.push_urgent(Stream::Default, MessageType::SessionCapability, &own.to_value());
        self.id = message.pool;
        self.state = PoolState::NegotiationSucceeded;
        Ok(())
    }

    fn open(&mut self, message: &Message) -> Result<ServerEvent, ProtocolError> {
        let init =
            InitRunspacePool::read(&self.body(message)?).map_err(ProtocolError::missing(message.kind))?;
        self.id = message.pool;
        self.state = PoolState::Opening;
        Ok(ServerEvent::Open {
            host: init.host,
            min_runspaces: init.min_runspaces,
            max_runspaces: init.max_runspaces,
            application_arguments: init.application_arguments,
        })
    }

    fn give_key(&mut self, message: &Message) -> Result<(), ProtocolError> {
        let body = self.body(message)?;
        let public = body.property("PublicKey").and_then(Value::as_str);
        let public = public.ok_or(ProtocolError::Missing { kind: message.kind, what: "PublicKey" })?;
        let key = self.key.get_or_insert_with(SessionKey::generate);
        let sealed = key.sealed_for(public)?;
        self.key_given = true;
        let body = Value::with_properties([("EncryptedSessionKey", sealed.into())]);
        self.outbox.push_urgent(Stream::Default, MessageType::EncryptedSessionKey, &body);
        Ok(())
    }

    /// Removes a detached client's pipeline; its queued messages are dropped.
    pub fn forget(&mut self, pipeline: Uuid) {
        self.pipelines.remove(&pipeline);
        self.calls.remove(&pipeline);
        self.outbox.forget(pipeline);
    }
}

fn number(body: &Value, name: &'static str) -> Result<i32, Missing> {
    body.property(name).and_then(Value::as_i32).ok_or(Missing(name))
}

fn call_id(body: &Value) -> Result<i64, Missing> {
    body.property("ci").and_then(Value::as_i64).ok_or(Missing("ci"))
}
