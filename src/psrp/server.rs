//! The server's end of a runspace pool as a state machine: messages in, events and messages out.

use uuid::Uuid;

use super::client::ProtocolError;
use super::clixml::Value;
use super::host::{HostInfo, HostMethod, HostResponse};
use super::message::Message;
use super::pipeline::{MetadataQuery, Pipeline};
use super::record::{ErrorRecord, InformationRecord, PipelineState, PoolState, ProgressRecord};

/// What the client asked for.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// INIT_RUNSPACEPOOL was taken; the pool is open once [`ServerPool::opened`] is called.
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
    /// An answer to [`ServerPool::host_call`]; `None`: of the pool's host.
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

/// The server's end of one runspace pool. Everything queued is taken by [`ServerPool::take_outgoing`].
pub struct ServerPool {}

impl ServerPool {
    /// `application_private_data`: the dictionary that APPLICATION_PRIVATE_DATA carries.
    pub fn new(application_private_data: Value) -> Self {
        let _ = application_private_data;
        todo!()
    }
    pub fn id(&self) -> Uuid {
        todo!()
    }
    /// Takes one message of the client. Secrets come out as [`super::clixml::Secure::Plain`].
    pub fn receive(&mut self, message: &Message) -> Result<Vec<Event>, ProtocolError> {
        let _ = message;
        todo!()
    }
    pub fn take_outgoing(&mut self) -> Vec<Message> {
        todo!()
    }
    /// Queues APPLICATION_PRIVATE_DATA and RUNSPACEPOOL_STATE 2.
    pub fn opened(&mut self) {
        todo!()
    }
    /// Queues a RUNSPACEPOOL_STATE.
    pub fn pool_state(&mut self, state: PoolState, error: Option<&ErrorRecord>) {
        let _ = (state, error);
        todo!()
    }
    /// Queues PIPELINE_OUTPUT. A secret in it starts the key exchange by PUBLIC_KEY_REQUEST where the
    /// client has sent no key yet, and holds this pipeline's messages back until it is there.
    pub fn output(&mut self, pipeline: Uuid, value: &Value) {
        let _ = (pipeline, value);
        todo!()
    }
    pub fn error(&mut self, pipeline: Uuid, record: &ErrorRecord) {
        let _ = (pipeline, record);
        todo!()
    }
    /// A WARNING, VERBOSE or DEBUG record.
    pub fn text(&mut self, pipeline: Uuid, kind: super::message::MessageType, message: &str) {
        let _ = (pipeline, kind, message);
        todo!()
    }
    pub fn progress(&mut self, pipeline: Uuid, record: &ProgressRecord) {
        let _ = (pipeline, record);
        todo!()
    }
    pub fn information(&mut self, pipeline: Uuid, record: &InformationRecord) {
        let _ = (pipeline, record);
        todo!()
    }
    /// Queues PIPELINE_STATE; a final one ends the pipeline.
    pub fn pipeline_state(&mut self, pipeline: Uuid, state: PipelineState, error: Option<&ErrorRecord>) {
        let _ = (pipeline, state, error);
        todo!()
    }
    /// Queues a host call; gives its id (-100 for methods that want no answer).
    pub fn host_call(&mut self, pipeline: Option<Uuid>, method: HostMethod, parameters: Vec<Value>) -> i64 {
        let _ = (pipeline, method, parameters);
        todo!()
    }
    /// Answers GET_AVAILABLE_RUNSPACES and SET_MAX/MIN_RUNSPACES.
    pub fn runspace_availability(&mut self, call_id: i64, result: Value) {
        let _ = (call_id, result);
        todo!()
    }
    pub fn user_event(&mut self, value: &Value) {
        let _ = value;
        todo!()
    }
}
