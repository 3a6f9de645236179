//! The client's end of a runspace pool as a state machine: messages in, events and messages out.

mod incoming;

use std::collections::HashMap;

use uuid::Uuid;

use super::Missing;
use super::clixml::{Names, Value};
use super::host::{HostCall, HostInfo, HostResponse};
use super::key::{KeyError, KeyPair, SessionKey};
use super::message::{Destination, Message, MessageType};
pub use super::message::{Outgoing, Stream};
use super::outbox::{Outbox, Queued};
use super::pipeline::{MetadataQuery, Pipeline};
use super::pool::{self, InitRunspacePool, Protocol, SessionCapability};
use super::record::{ErrorRecord, InformationRecord, PipelineState, PoolState, ProgressRecord, TextRecord};
use super::secrets::Seal;

/// Event from the server.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientEvent {
    PoolState(PoolState, Option<Box<ErrorRecord>>),
    ApplicationPrivateData(Value),
    RunspaceAvailability { call_id: i64, result: Value },
    UserEvent(Value),
    PoolHostCall(HostCall),
    Pipeline(Uuid, PipelineEvent),
}

/// Event of one pipeline from the server.
#[derive(Clone, Debug, PartialEq)]
pub enum PipelineEvent {
    Output(Value),
    Error(Box<ErrorRecord>),
    Warning(TextRecord),
    Verbose(TextRecord),
    Debug(TextRecord),
    Progress(ProgressRecord),
    Information(InformationRecord),
    HostCall(HostCall),
    State(PipelineState, Option<Box<ErrorRecord>>),
}

/// Error of processing a message.
#[derive(Debug, thiserror::Error)]
pub enum ProtocolError {
    /// The body of the message is not valid CLIXML: see `ReadError`.
    #[error(transparent)]
    Clixml(#[from] super::clixml::ReadError),
    /// The header of the message is invalid: see `MessageError`.
    #[error(transparent)]
    Message(#[from] super::message::MessageError),
    /// The fragments do not form a message: see `FragmentError`.
    #[error(transparent)]
    Fragment(#[from] super::fragment::FragmentError),
    /// The key exchange failed, or a secret cannot be decrypted: see `KeyError`.
    #[error(transparent)]
    Key(#[from] super::key::KeyError),
    /// The peer sent the message without a property that its type requires (MS-PSRP 2.2.2).
    #[error("{kind:?} lacks {what}")]
    Missing { kind: MessageType, what: &'static str },
    /// The peer sent the message in a state of the pool that does not allow it.
    #[error("unexpected {kind:?}: the runspace pool is {state:?}")]
    Unexpected { kind: MessageType, state: PoolState },
    /// SESSION_CAPABILITY has another major version of the protocol (MS-PSRP 2.2.2.1).
    #[error("unsupported protocol version {0}")]
    Version(String),
}

impl ProtocolError {
    pub(super) fn missing(kind: MessageType) -> impl Fn(Missing) -> Self {
        move |Missing(what)| Self::Missing { kind, what }
    }
}

/// The client's end of one runspace pool.
///
/// It owns the state of the pool and of its pipelines, the outgoing messages and the session key, and does no I/O.
/// [`Session`](crate::transport::session::Session) and the agent's remote pool pass it each received message and send
/// what it queues. A message that is not allowed in the current state is a [`ProtocolError`].
pub struct ClientPool {
    id: Uuid,
    host: HostInfo,
    runspaces: (i32, i32),
    application_arguments: Value,
    /// The client's protocol version; after the negotiation, the common version.
    protocol: Protocol,
    state: PoolState,
    /// Pipelines that were started and not forgotten.
    pipelines: HashMap<Uuid, PipelineState>,
    outbox: Outbox,
    /// Names of types and properties that received values share.
    names: Names,
    next_call: i64,
    pair: Option<KeyPair>,
    key: Option<SessionKey>,
    /// Error of generating the key pair; returned by the next [`ClientPool::receive`].
    key_error: Option<KeyError>,
}

impl ClientPool {
    /// Creates a pool that is not open yet. `runspaces` is (min, max).
    pub fn new(id: Uuid, host: HostInfo, runspaces: (i32, i32)) -> Self {
        Self {
            id,
            host,
            runspaces,
            application_arguments: pool::version_table("7.4.0", "Core", Protocol::V2_3),
            protocol: Protocol::V2_3,
            state: PoolState::BeforeOpen,
            pipelines: HashMap::new(),
            outbox: Outbox::default(),
            names: Names::default(),
            next_call: 1,
            pair: None,
            key: None,
            key_error: None,
        }
    }

    /// Offers another protocol version than 2.3.
    #[must_use]
    pub fn with_protocol(mut self, protocol: Protocol) -> Self {
        self.protocol = protocol;
        self
    }

    /// Declares that an agent need not wait between sending its capabilities and the state of the pool.
    #[must_use]
    pub fn accepting_early_state(mut self) -> Self {
        self.application_arguments = pool::with_early_state(&self.application_arguments);
        self
    }

    pub fn id(&self) -> Uuid {
        self.id
    }

    pub fn state(&self) -> PoolState {
        self.state
    }

    /// Returns the common protocol version after the server's SESSION_CAPABILITY.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Queues SESSION_CAPABILITY and INIT_RUNSPACEPOOL.
    pub fn open(&mut self) {
        let capability = SessionCapability { protocol: self.protocol };
        self.outbox.push_urgent(Stream::Default, MessageType::SessionCapability, &capability.to_value());
        let init = InitRunspacePool {
            min_runspaces: self.runspaces.0,
            max_runspaces: self.runspaces.1,
            host: self.host.clone(),
            application_arguments: self.application_arguments.clone(),
        };
        self.outbox.push_urgent(Stream::Default, MessageType::InitRunspacePool, &init.to_value());
        self.state = PoolState::NegotiationSent;
    }

    /// Returns the messages to send now; before the pool is open, only those of the negotiation. A message with a
    /// secret, and later ones of the same pipeline, wait for the session key. The first such message starts the key
    /// exchange, which generates an RSA key pair: a considerable part of a second.
    pub fn take_outgoing(&mut self) -> Vec<Outgoing> {
        if self.state != PoolState::Opened {
            let urgent = self.outbox.take_urgent();
            return urgent.into_iter().map(|queued| self.addressed(queued)).collect();
        }
        if self.key.is_none() && !self.protocol.has_clear_secrets() && self.outbox.has_secret() {
            self.send_public_key();
        }
        let seal = seal(self.protocol, self.key.as_ref());
        let going = self.outbox.take(seal.as_ref());
        going.into_iter().map(|queued| self.addressed(queued)).collect()
    }

    fn addressed(&self, queued: Queued) -> Outgoing {
        let (stream, kind, pipeline) = (queued.stream, queued.kind, queued.pipeline);
        let body = queued.text();
        let message = Message { destination: Destination::Server, kind, pool: self.id, pipeline, body };
        Outgoing { stream, message }
    }

    /// Queues PUBLIC_KEY, once.
    fn send_public_key(&mut self) {
        if self.pair.is_some() || self.key_error.is_some() {
            return;
        }
        match KeyPair::generate() {
            Ok(pair) => {
                let body = Value::with_properties([("PublicKey", pair.public_blob().into())]);
                self.outbox.push_urgent(Stream::Default, MessageType::PublicKey, &body);
                self.pair = Some(pair);
            }
            Err(error) => self.key_error = Some(error),
        }
    }

    /// Queues CREATE_PIPELINE; returns the pipeline's id.
    pub fn create_pipeline(&mut self, pipeline: &Pipeline) -> Uuid {
        self.start(MessageType::CreatePipeline, &pipeline.to_value())
    }

    /// Queues GET_COMMAND_METADATA; returns the pipeline's id.
    pub fn command_metadata(&mut self, query: &MetadataQuery) -> Uuid {
        self.start(MessageType::GetCommandMetadata, &query.to_value())
    }

    fn start(&mut self, kind: MessageType, value: &Value) -> Uuid {
        let id = Uuid::new_v4();
        self.adopt(id);
        self.outbox.push(Stream::Default, kind, id, value);
        id
    }

    /// Adds a pipeline that another client has started in this pool.
    pub fn adopt(&mut self, pipeline: Uuid) {
        self.pipelines.insert(pipeline, PipelineState::Running);
    }

    pub fn input(&mut self, pipeline: Uuid, value: &Value) {
        self.outbox.push(Stream::Default, MessageType::PipelineInput, pipeline, value);
    }

    pub fn end_input(&mut self, pipeline: Uuid) {
        self.outbox.push_empty(MessageType::EndOfPipelineInput, pipeline);
    }

    /// Answers a host call of a pipeline, or of the pool (`None`). A startup script of the endpoint calls the host
    /// before the pool is open.
    pub fn respond(&mut self, pipeline: Option<Uuid>, response: &HostResponse) {
        let (stream, value) = (Stream::PromptResponse, response.to_value());
        match pipeline {
            Some(pipeline) => {
                self.outbox.push(stream, MessageType::PipelineHostResponse, pipeline, &value);
            }
            None if self.state == PoolState::Opened => {
                self.outbox.push(stream, MessageType::RunspacePoolHostResponse, Uuid::nil(), &value);
            }
            None => self.outbox.push_urgent(stream, MessageType::RunspacePoolHostResponse, &value),
        }
    }

    /// Queues GET_AVAILABLE_RUNSPACES; the answer is [`ClientEvent::RunspaceAvailability`] with this call id.
    pub fn get_available_runspaces(&mut self) -> i64 {
        let id = self.next_call;
        self.next_call += 1;
        let body = Value::with_properties([("ci", Value::I64(id))]);
        self.outbox.push(Stream::Default, MessageType::GetAvailableRunspaces, Uuid::nil(), &body);
        id
    }

    /// Removes an ended pipeline; its queued messages, and later ones from the server, are dropped.
    pub fn forget(&mut self, pipeline: Uuid) {
        self.pipelines.remove(&pipeline);
        self.outbox.forget(pipeline);
    }
}

/// Returns the wire form of secrets; `None` while the session key is unknown.
pub(super) fn seal(protocol: Protocol, key: Option<&SessionKey>) -> Option<Seal<'_>> {
    if protocol.has_clear_secrets() { Some(Seal::Clear) } else { key.map(Seal::Key) }
}
