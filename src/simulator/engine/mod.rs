//! The tenant and its cmdlets: a pipeline of commands in, what they say out. No transport here.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::Options;
use crate::psrp::clixml::Value;
use crate::psrp::host::{HostInfo, HostMethod, HostResponse};
use crate::psrp::message::MessageType;
use crate::psrp::pipeline::{MetadataQuery, Pipeline};
use crate::psrp::record::{ErrorRecord, InformationRecord, ProgressRecord};

/// Tenants, users, policies: one world a simulator, shared by all its sessions.
pub struct World {}

/// What a pipeline is run with.
pub struct Context {
    /// The account that signed in.
    pub user: String,
    /// The host of the pool, or the pipeline's own.
    pub host: HostInfo,
    /// Pipeline input; closed at its end. Empty and closed where there is none.
    pub input: mpsc::Receiver<Value>,
    /// What it says; a full channel slows the pipeline.
    pub said: mpsc::Sender<Said>,
    pub stop: CancellationToken,
}

/// One thing that a pipeline says.
#[derive(Debug)]
pub enum Said {
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

impl World {
    pub fn new(options: &Options) -> Arc<Self> {
        let _ = options;
        todo!()
    }

    /// Who may sign in, with which password, to which tenant domain.
    pub fn sign_in(&self, user: &str, password: &str) -> Option<String> {
        let _ = (user, password);
        todo!()
    }

    /// Runs a pipeline to its end.
    pub async fn run(self: &Arc<Self>, pipeline: Pipeline, context: Context) -> Outcome {
        let _ = (pipeline, context);
        todo!()
    }

    /// GET_COMMAND_METADATA's answer: the count object, then one object a command.
    pub fn metadata(&self, query: &MetadataQuery) -> Vec<Value> {
        let _ = query;
        todo!()
    }
}
