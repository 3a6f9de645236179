//! What a pipeline says, and how it ends.

use tokio::sync::oneshot;

use crate::psrp::clixml::Value;
use crate::psrp::host::{HostMethod, HostResponse};
use crate::psrp::message::MessageType;
use crate::psrp::record::{ErrorRecord, InformationRecord, ProgressRecord};

/// One thing that a pipeline says.
#[derive(Debug)]
pub enum PipelineOutput {
    Output(Value),
    Error(Box<ErrorRecord>),
    /// A WARNING, VERBOSE or DEBUG record.
    Text(MessageType, String),
    Progress(ProgressRecord),
    Information(InformationRecord),
    /// `answer` is `None` for methods that want none.
    HostCall {
        method: HostMethod,
        parameters: Vec<Value>,
        answer: Option<oneshot::Sender<HostResponse>>,
    },
}

/// How a pipeline ended.
#[derive(Debug)]
pub enum Outcome {
    Completed,
    Stopped,
    Failed(Box<ErrorRecord>),
}
