//! Events and outcome of a pipeline.

use tokio::sync::oneshot;

use crate::psrp::clixml::Value;
use crate::psrp::host::{HostMethod, HostResponse};
use crate::psrp::message::MessageType;
use crate::psrp::record::{ErrorRecord, InformationRecord, ProgressRecord};

/// An event of a pipeline.
#[derive(Debug)]
pub enum PipelineOutput {
    Output(Value),
    Error(Box<ErrorRecord>),
    /// A WARNING, VERBOSE or DEBUG record.
    Text(MessageType, String),
    Progress(ProgressRecord),
    Information(InformationRecord),
    /// `answer` is `None` for methods without an answer.
    HostCall {
        method: HostMethod,
        parameters: Vec<Value>,
        answer: Option<oneshot::Sender<HostResponse>>,
    },
}

/// Outcome of a pipeline.
#[derive(Debug)]
pub enum Outcome {
    Completed,
    Stopped,
    Failed(Box<ErrorRecord>),
}
