//! Processing of the server's messages.

use super::{ClientEvent, ClientPool, PipelineEvent, ProtocolError, seal};
use crate::psrp::Missing;
use crate::psrp::clixml::{self, Value};
use crate::psrp::host::HostCall;
use crate::psrp::message::{Message, MessageType};
use crate::psrp::pool::SessionCapability;
use crate::psrp::record::{
    ErrorRecord, InformationRecord, PipelineState, PoolState, ProgressRecord, TextRecord,
};
use crate::psrp::secrets;

impl ClientPool {
    /// Processes one message of the server. SecureStrings in the events are [`clixml::Secure::Plain`] if the
    /// key is known.
    pub fn receive(&mut self, message: &Message) -> Result<Vec<ClientEvent>, ProtocolError> {
        if let Some(error) = self.key_error.take() {
            return Err(error.into());
        }
        let kind = message.kind;
        if kind.is_of_a_pipeline() {
            return self.receive_of_pipeline(message);
        }
        let missing = ProtocolError::missing(kind);
        Ok(match kind {
            MessageType::SessionCapability => {
                self.negotiate(message)?;
                Vec::new()
            }
            MessageType::ApplicationPrivateData => {
                let body = self.body(message)?;
                let data = body.property("ApplicationPrivateData").cloned();
                vec![ClientEvent::ApplicationPrivateData(
                    data.ok_or_else(|| missing(Missing("ApplicationPrivateData")))?,
                )]
            }
            MessageType::RunspacePoolState => {
                let (state, error) = PoolState::read(&self.body(message)?).map_err(missing)?;
                self.state = state;
                vec![ClientEvent::PoolState(state, error)]
            }
            MessageType::RunspaceAvailability => {
                let body = self.body(message)?;
                let call_id = body.property("ci").and_then(Value::as_i64);
                let result = body.property("SetMinMaxRunspacesResponse").cloned();
                vec![ClientEvent::RunspaceAvailability {
                    call_id: call_id.ok_or_else(|| missing(Missing("ci")))?,
                    result: result.ok_or_else(|| missing(Missing("SetMinMaxRunspacesResponse")))?,
                }]
            }
            MessageType::UserEvent => vec![ClientEvent::UserEvent(self.body(message)?)],
            MessageType::RunspacePoolHostCall => {
                vec![ClientEvent::PoolHostCall(HostCall::read(&self.body(message)?).map_err(missing)?)]
            }
            MessageType::PublicKeyRequest => {
                self.send_public_key();
                Vec::new()
            }
            MessageType::EncryptedSessionKey => {
                self.take_key(message)?;
                Vec::new()
            }
            // Sent to a reconnected pool; contains the numbers that the client has requested.
            MessageType::RunspacePoolInitData => Vec::new(),
            _ => return Err(ProtocolError::Unexpected { kind, state: self.state }),
        })
    }

    /// Processes a message of a pipeline. Messages of a forgotten pipeline, such as its final state after a
    /// stop, are ignored.
    fn receive_of_pipeline(&mut self, message: &Message) -> Result<Vec<ClientEvent>, ProtocolError> {
        let (kind, pipeline) = (message.kind, message.pipeline);
        let missing = ProtocolError::missing(kind);
        if !self.pipelines.contains_key(&pipeline) {
            return Ok(Vec::new());
        }
        let event = match kind {
            MessageType::PipelineOutput => PipelineEvent::Output(self.body(message)?),
            MessageType::ErrorRecord => {
                PipelineEvent::Error(Box::new(ErrorRecord::read(&self.body(message)?)))
            }
            MessageType::WarningRecord => PipelineEvent::Warning(TextRecord::read(&self.body(message)?)),
            MessageType::VerboseRecord => PipelineEvent::Verbose(TextRecord::read(&self.body(message)?)),
            MessageType::DebugRecord => PipelineEvent::Debug(TextRecord::read(&self.body(message)?)),
            MessageType::ProgressRecord => {
                PipelineEvent::Progress(ProgressRecord::read(&self.body(message)?))
            }
            MessageType::InformationRecord => {
                PipelineEvent::Information(InformationRecord::read(&self.body(message)?))
            }
            MessageType::PipelineHostCall => {
                PipelineEvent::HostCall(HostCall::read(&self.body(message)?).map_err(missing)?)
            }
            MessageType::PipelineState => {
                let (state, error) = PipelineState::read(&self.body(message)?).map_err(missing)?;
                self.pipelines.insert(pipeline, state);
                PipelineEvent::State(state, error)
            }
            _ => return Err(ProtocolError::Unexpected { kind, state: self.state }),
        };
        Ok(vec![ClientEvent::Pipeline(pipeline, event)])
    }

    fn body(&mut self, message: &Message) -> Result<Value, ProtocolError> {
        // .NET's message serializer writes null as an empty body (RemotingDataObject.cs).
        if message.body.is_empty() {
            return Ok(Value::Null);
        }
        let value = clixml::read_shared(&message.body, &mut self.names)?;
        match seal(self.protocol, self.key.as_ref()) {
            Some(seal) if secrets::has_sealed(&value) => Ok(seal.open(&value)?),
            _ => Ok(value),
        }
    }

    fn negotiate(&mut self, message: &Message) -> Result<(), ProtocolError> {
        let kind = message.kind;
        if self.state != PoolState::NegotiationSent {
            return Err(ProtocolError::Unexpected { kind, state: self.state });
        }
        let capability =
            SessionCapability::read(&self.body(message)?).map_err(ProtocolError::missing(kind))?;
        self.protocol = self
            .protocol
            .shared_with(capability.protocol)
            .ok_or_else(|| ProtocolError::Version(capability.protocol.to_string()))?;
        self.state = PoolState::NegotiationSucceeded;
        Ok(())
    }

    fn take_key(&mut self, message: &Message) -> Result<(), ProtocolError> {
        let kind = message.kind;
        let body = self.body(message)?;
        let sealed = body.property("EncryptedSessionKey").and_then(Value::as_str);
        let sealed = sealed.ok_or(ProtocolError::Missing { kind, what: "EncryptedSessionKey" })?;
        let pair = self.pair.as_ref().ok_or(ProtocolError::Unexpected { kind, state: self.state })?;
        self.key = Some(pair.open(sealed)?);
        Ok(())
    }
}

impl MessageType {
    /// Returns whether messages of this type belong to a pipeline.
    pub(in crate::psrp) fn is_of_a_pipeline(self) -> bool {
        self as u32 & 0xF_0000 == 0x4_0000
    }
}
