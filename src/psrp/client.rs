//! The client's end of a runspace pool as a state machine: messages in, events and messages out.

use uuid::Uuid;

use super::clixml::Value;
use super::host::{HostCall, HostInfo, HostResponse};
use super::message::Message;
use super::pipeline::{MetadataQuery, Pipeline};
use super::record::{ErrorRecord, InformationRecord, PipelineState, PoolState, ProgressRecord, TextRecord};

/// Which of a transport's streams a message goes out on: `Default`, or the answers to host calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Default,
    PromptResponse,
}

/// A whole message on its way to the peer; the transport cuts it into fragments.
#[derive(Clone, Debug, PartialEq)]
pub struct Outgoing {
    pub stream: Stream,
    pub message: Message,
}

/// What the server said.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    PoolState(PoolState, Option<Box<ErrorRecord>>),
    ApplicationPrivateData(Value),
    RunspaceAvailability { call_id: i64, result: Value },
    UserEvent(Value),
    PoolHostCall(HostCall),
    Pipeline(Uuid, PipelineEvent),
}

/// What the server said of one pipeline.
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

/// Why a message can't be taken.
#[derive(Debug, thiserror::Error)]
pub enum ProtocolError {
    #[error(transparent)]
    Clixml(#[from] super::clixml::ReadError),
    #[error(transparent)]
    Message(#[from] super::message::MessageError),
    #[error(transparent)]
    Fragment(#[from] super::fragment::FragmentError),
    #[error(transparent)]
    Key(#[from] super::key::KeyError),
    #[error("{kind:?} lacks {what}")]
    Missing { kind: super::message::MessageType, what: &'static str },
    #[error("{kind:?} came while the runspace pool was {state:?}")]
    Unexpected { kind: super::message::MessageType, state: PoolState },
    #[error("the peer speaks protocol {0}")]
    Version(String),
}

/// The client's end of one runspace pool.
pub struct ClientPool {}

impl ClientPool {
    /// A pool that is not open yet. `runspaces` is (min, max).
    pub fn new(id: Uuid, host: HostInfo, runspaces: (i32, i32)) -> Self {
        let _ = (id, host, runspaces);
        todo!()
    }
    pub fn id(&self) -> Uuid {
        todo!()
    }
    pub fn state(&self) -> PoolState {
        todo!()
    }
    /// Queues SESSION_CAPABILITY and INIT_RUNSPACEPOOL.
    pub fn open(&mut self) {
        todo!()
    }
    /// Takes one message of the server. SecureStrings in what comes out are [`super::clixml::Secure::Plain`]
    /// where a key is there.
    pub fn receive(&mut self, message: &Message) -> Result<Vec<Event>, ProtocolError> {
        let _ = message;
        todo!()
    }
    /// What is to be sent now. A message with a secret is held back, and what follows it on the same
    /// pipeline, until the session key is there; the key exchange is started by that.
    pub fn take_outgoing(&mut self) -> Vec<Outgoing> {
        todo!()
    }
    /// Queues CREATE_PIPELINE; gives the pipeline's id.
    pub fn create_pipeline(&mut self, pipeline: &Pipeline) -> Uuid {
        let _ = pipeline;
        todo!()
    }
    /// Queues GET_COMMAND_METADATA; gives the pipeline's id.
    pub fn command_metadata(&mut self, query: &MetadataQuery) -> Uuid {
        let _ = query;
        todo!()
    }
    pub fn input(&mut self, pipeline: Uuid, value: &Value) {
        let _ = (pipeline, value);
        todo!()
    }
    pub fn end_input(&mut self, pipeline: Uuid) {
        let _ = pipeline;
        todo!()
    }
    /// Answers a host call of a pipeline, or of the pool (`None`).
    pub fn respond(&mut self, pipeline: Option<Uuid>, response: &HostResponse) {
        let _ = (pipeline, response);
        todo!()
    }
    /// Queues GET_AVAILABLE_RUNSPACES, SET_MAX_RUNSPACES; the answer is [`Event::RunspaceAvailability`].
    pub fn get_available_runspaces(&mut self) -> i64 {
        todo!()
    }
    pub fn set_max_runspaces(&mut self, max: i32) -> i64 {
        let _ = max;
        todo!()
    }
    /// Forgets a pipeline whose end was seen.
    pub fn forget(&mut self, pipeline: Uuid) {
        let _ = pipeline;
        todo!()
    }
}
