//! The server's end of a runspace pool as a state machine: messages in, events and messages out.

mod incoming;

use std::collections::HashMap;

use uuid::Uuid;

use super::client::{Stream, seal};
use super::clixml::{Object, Value};
use super::host::{HostCall, HostInfo, HostMethod, HostResponse};
use super::key::SessionKey;
use super::message::{Destination, Message, MessageType};
use super::outbox::Outbox;
use super::pipeline::{MetadataQuery, Pipeline};
use super::pool::{Protocol, application_private_data};
use super::record::{ErrorRecord, InformationRecord, PipelineState, PoolState, ProgressRecord, TextRecord};

/// Request of the client.
#[derive(Clone, Debug, PartialEq)]
pub enum ServerEvent {
    /// INIT_RUNSPACEPOOL was received; the pool is open after [`ServerPool::opened`].
    Open {
        host: HostInfo,
        min_runspaces: i32,
        max_runspaces: i32,
        application_arguments: Value,
    },
    CreatePipeline(Uuid, Pipeline),
    CommandMetadata(Uuid, MetadataQuery),
    Input(Uuid, Value),
    EndInput(Uuid),
    /// An answer to [`ServerPool::host_call`]; `None`: from the pool's host.
    HostResponse(Option<Uuid>, HostResponse),
    GetAvailableRunspaces {
        call_id: i64,
    },
    SetMaxRunspaces {
        call_id: i64,
        max: i32,
    },
    SetMinRunspaces {
        call_id: i64,
        min: i32,
    },
    ResetRunspaceState {
        call_id: i64,
    },
    Connect,
}

/// The server's end of one runspace pool. [`ServerPool::take_outgoing`] returns all queued messages.
pub struct ServerPool {
    /// Nil until the client's first message.
    id: Uuid,
    application_private_data: Value,
    /// The server's protocol version; after the negotiation, the common version.
    protocol: Protocol,
    state: PoolState,
    /// Pipelines that have not ended.
    pipelines: HashMap<Uuid, PipelineState>,
    /// The last host call id by pipeline; nil is the pool's.
    calls: HashMap<Uuid, i64>,
    outbox: Outbox,
    /// The session key, after it was generated or set.
    key: Option<SessionKey>,
    /// Whether the client has the key.
    key_given: bool,
    key_requested: bool,
}

impl ServerPool {
    /// Creates a pool that is not open yet. `application_private_data` is the dictionary of APPLICATION_PRIVATE_DATA.
    pub fn new(application_private_data: Value) -> Self {
        Self {
            id: Uuid::nil(),
            application_private_data,
            protocol: Protocol::V2_3,
            state: PoolState::BeforeOpen,
            pipelines: HashMap::new(),
            calls: HashMap::new(),
            outbox: Outbox::default(),
            key: None,
            key_given: false,
            key_requested: false,
        }
    }

    /// Offers another protocol version than 2.3.
    #[must_use]
    pub fn with_protocol(mut self, protocol: Protocol) -> Self {
        self.protocol = protocol;
        self
    }
    pub fn state(&self) -> PoolState {
        self.state
    }

    /// Returns the common protocol version after the client's SESSION_CAPABILITY.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Returns the pipelines that have not ended.
    pub fn pipelines(&self) -> impl Iterator<Item = Uuid> {
        self.pipelines.keys().copied()
    }

    /// Returns the messages to send now. A message with a secret, and later ones of the same pipeline, wait
    /// until the client has the session key; the client's public key is requested.
    pub fn take_outgoing(&mut self) -> Vec<Message> {
        let wants_key = !self.key_given && !self.protocol.has_clear_secrets() && self.outbox.has_secret();
        if wants_key && !self.key_requested {
            self.key_requested = true;
            // PowerShell's client fails on an empty body.
            self.outbox.push_urgent(Stream::Default, MessageType::PublicKeyRequest, &Value::string(""));
        }
        let seal = seal(self.protocol, self.key.as_ref().filter(|_| self.key_given));
        let going = self.outbox.take(seal.as_ref());
        going
            .into_iter()
            .map(|queued| {
                let (kind, pipeline) = (queued.kind, queued.pipeline);
                // As in PowerShell: SESSION_CAPABILITY has no pool id.
                let pool = if kind == MessageType::SessionCapability { Uuid::nil() } else { self.id };
                let body = queued.text();
                Message { destination: Destination::Client, kind, pool, pipeline, body }
            })
            .collect()
    }

    /// Queues APPLICATION_PRIVATE_DATA and RUNSPACEPOOL_STATE with the state Opened.
    pub fn opened(&mut self) {
        let data = application_private_data(self.application_private_data.clone());
        self.push(MessageType::ApplicationPrivateData, Uuid::nil(), &data);
        self.pool_state(PoolState::Opened, None);
    }

    /// Queues a RUNSPACEPOOL_STATE.
    pub fn pool_state(&mut self, state: PoolState, error: Option<&ErrorRecord>) {
        self.state = state;
        self.push(MessageType::RunspacePoolState, Uuid::nil(), &state.to_value(error));
    }

    /// Queues PIPELINE_OUTPUT. A secret in it starts the key exchange with PUBLIC_KEY_REQUEST if the client
    /// has not sent its key, and delays this pipeline's messages until the exchange is complete.
    pub fn output(&mut self, pipeline: Uuid, value: &Value) {
        self.push(MessageType::PipelineOutput, pipeline, value);
    }

    pub fn error(&mut self, pipeline: Uuid, record: &ErrorRecord) {
        let mut value = record.to_value();
        // Only records of the error stream contain this property, not those of a state.
        if let Value::Object(object) = &value
            && object.property("PSMessageDetails").is_none()
        {
            let mut object = Object::clone(object);
            object.extended.push(("PSMessageDetails".into(), Value::Null));
            value = object.into();
        }
        self.push(MessageType::ErrorRecord, pipeline, &value);
    }

    /// Queues a WARNING, VERBOSE or DEBUG record.
    pub fn text(&mut self, pipeline: Uuid, kind: MessageType, message: &str) {
        let record = TextRecord { message: message.to_owned() };
        self.push(kind, pipeline, &record.to_value(kind));
    }

    pub fn progress(&mut self, pipeline: Uuid, record: &ProgressRecord) {
        self.push(MessageType::ProgressRecord, pipeline, &record.to_value());
    }

    pub fn information(&mut self, pipeline: Uuid, record: &InformationRecord) {
        self.push(MessageType::InformationRecord, pipeline, &record.to_value());
    }

    /// Queues PIPELINE_STATE; a final one ends the pipeline.
    pub fn pipeline_state(&mut self, pipeline: Uuid, state: PipelineState, error: Option<&ErrorRecord>) {
        self.push(MessageType::PipelineState, pipeline, &state.to_value(error));
        if state.is_final() {
            self.pipelines.remove(&pipeline);
            self.calls.remove(&pipeline);
        } else {
            self.pipelines.insert(pipeline, state);
        }
    }

    /// Queues a host call; returns its id (-100 for methods without an answer). Ids count from 1 in each
    /// pipeline, as in PowerShell.
    pub fn host_call(&mut self, pipeline: Option<Uuid>, method: HostMethod, parameters: Vec<Value>) -> i64 {
        let kind = match pipeline {
            Some(_) => MessageType::PipelineHostCall,
            None => MessageType::RunspacePoolHostCall,
        };
        let pipeline = pipeline.unwrap_or_default();
        let call_id = if method.wants_answer() {
            let last = self.calls.entry(pipeline).or_default();
            *last += 1;
            *last
        } else {
            -100
        };
        let call = HostCall { call_id, method, parameters };
        self.push(kind, pipeline, &call.to_value());
        call_id
    }

    /// Answers GET_AVAILABLE_RUNSPACES with a number of runspaces (an Int64, as in PowerShell), or
    /// SET_MAX/MIN_RUNSPACES with a Boolean, whether it succeeded.
    pub fn runspace_availability(&mut self, call_id: i64, result: Value) {
        let result = match result {
            Value::I32(n) => Value::I64(n.into()),
            other => other,
        };
        let body =
            Value::with_properties([("SetMinMaxRunspacesResponse", result), ("ci", Value::I64(call_id))]);
        self.push(MessageType::RunspaceAvailability, Uuid::nil(), &body);
    }

    // Only the endpoints of tests send events, as a PowerShell with subscribers does (MS-PSRP 2.2.2.12): the agent
    // forwards an endpoint's events unchanged, and the simulator has none.
    /// Queues USER_EVENT.
    pub fn user_event(&mut self, value: &Value) {
        self.push(MessageType::UserEvent, Uuid::nil(), value);
    }

    fn push(&mut self, kind: MessageType, pipeline: Uuid, value: &Value) {
        self.outbox.push(Stream::Default, kind, pipeline, value);
    }
}
