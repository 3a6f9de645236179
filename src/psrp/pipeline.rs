//! CREATE_PIPELINE (MS-PSRP 2.2.2.10) and GET_COMMAND_METADATA (2.2.2.14) as types.

use super::clixml::Value;
use super::host::HostInfo;

/// A pipeline to run.
#[derive(Clone, Debug, PartialEq)]
pub struct Pipeline {
    pub commands: Vec<Command>,
    /// Whether no input follows; otherwise PIPELINE_INPUT messages and END_OF_PIPELINE_INPUT do.
    pub no_input: bool,
    /// `None`: the pool's host is used (`_useRunspaceHost`).
    pub host: Option<HostInfo>,
    pub add_to_history: bool,
    pub is_nested: bool,
}

/// One command of a pipeline.
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    pub name: String,
    pub is_script: bool,
    pub use_local_scope: Option<bool>,
    pub arguments: Vec<Argument>,
    pub merge: Merge,
}

/// One argument: a parameter's name (without its dash and colon), a value, or both.
#[derive(Clone, Debug, PartialEq)]
pub struct Argument {
    pub name: Option<String>,
    pub value: Option<Value>,
}

/// Where a command's other streams go (PipelineResultTypes).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Merge {
    pub my_result: i32,
    pub to_result: i32,
    pub previous_results: i32,
    pub error: i32,
    pub warning: i32,
    pub verbose: i32,
    pub debug: i32,
    pub information: i32,
}

/// GET_COMMAND_METADATA's question.
#[derive(Clone, Debug, PartialEq)]
pub struct MetadataQuery {
    pub names: Vec<String>,
    /// CommandTypes bits; Import-PSSession sends 271.
    pub command_type: i32,
    pub namespace: Vec<String>,
    pub arguments: Vec<Value>,
}
