//! The records of the other streams, and the states of pools and pipelines.

use super::clixml::Value;

/// An ErrorRecord (MS-PSRP 2.2.3.15), with what a person is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct ErrorRecord {
    pub message: String,
    pub exception_type: String,
    pub fully_qualified_id: String,
    /// ErrorCategory as a number, and its message ("ObjectNotFound: (nobody:String) [...], ...").
    pub category: i32,
    pub category_reason: String,
    pub category_activity: String,
    pub category_target_name: String,
    pub category_target_type: String,
    pub category_message: String,
    pub target: Option<Value>,
    pub details: Option<String>,
    pub recommended_action: Option<String>,
    /// The command that was running, where the record names it (InvocationInfo.MyCommand).
    pub command: Option<String>,
    /// InvocationInfo.PositionMessage.
    pub position: Option<String>,
    /// The whole record as it came, for those who need more.
    pub value: Value,
}

/// A WARNING, VERBOSE or DEBUG record (MS-PSRP 2.2.3.16).
#[derive(Clone, Debug, PartialEq)]
pub struct TextRecord {
    pub message: String,
}

/// A PROGRESS record (MS-PSRP 2.2.3.17 in PowerShell's form).
#[derive(Clone, Debug, PartialEq)]
pub struct ProgressRecord {
    pub activity: String,
    pub activity_id: i32,
    pub parent_id: i32,
    pub status: String,
    pub current_operation: Option<String>,
    /// 0 to 100, or negative where it is not known.
    pub percent: i32,
    pub seconds_remaining: i32,
    pub completed: bool,
}

/// An INFORMATION record; Write-Host's carries HostInformationMessage.
#[derive(Clone, Debug, PartialEq)]
pub struct InformationRecord {
    pub message: Value,
    pub source: String,
    pub tags: Vec<String>,
}

/// RunspacePoolState (MS-PSRP 2.2.3.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum PoolState {
    BeforeOpen = 0,
    Opening = 1,
    Opened = 2,
    Closed = 3,
    Closing = 4,
    Broken = 5,
    NegotiationSent = 6,
    NegotiationSucceeded = 7,
    Connecting = 8,
    Disconnected = 9,
}

/// PSInvocationState (MS-PSRP 2.2.3.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum PipelineState {
    NotStarted = 0,
    Running = 1,
    Stopping = 2,
    Stopped = 3,
    Completed = 4,
    Failed = 5,
    Disconnected = 6,
}

impl PipelineState {
    /// Whether nothing follows.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Stopped | Self::Completed | Self::Failed)
    }
}
