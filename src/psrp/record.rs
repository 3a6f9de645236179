//! Records of the other streams, and states of pools and pipelines.

mod error;

use super::Missing;
use super::clixml::{Object, Value, type_names};
use super::message::MessageType;
use super::numbered::numbered;

/// An ErrorRecord (MS-PSRP 2.2.3.15) with its text for the user.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ErrorRecord {
    /// The exception's message; the text for the user is the details' message, if there is one.
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
    /// The running command, if the record contains it (InvocationInfo.MyCommand).
    pub command: Option<String>,
    /// InvocationInfo.PositionMessage.
    pub position: Option<String>,
    /// The whole original record; null in a locally created record.
    pub value: Value,
}

/// A WARNING, VERBOSE or DEBUG record (MS-PSRP 2.2.3.16).
#[derive(Clone, Debug, PartialEq)]
pub struct TextRecord {
    pub message: String,
}

/// A PROGRESS record (MS-PSRP 2.2.2.25 in PowerShell's form).
#[derive(Clone, Debug, PartialEq)]
pub struct ProgressRecord {
    pub activity: String,
    pub activity_id: i32,
    pub parent_id: i32,
    pub status: String,
    pub current_operation: Option<String>,
    /// 0 to 100, or negative if unknown.
    pub percent: i32,
    pub seconds_remaining: i32,
    pub completed: bool,
}

/// An INFORMATION record; a record of Write-Host contains a HostInformationMessage.
#[derive(Clone, Debug, PartialEq)]
pub struct InformationRecord {
    pub message: Value,
    pub source: String,
    pub tags: Vec<String>,
}

numbered! {
    /// RunspacePoolState (MS-PSRP 2.2.3.4).
    pub enum PoolState: i32 {
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
}

numbered! {
    /// PSInvocationState (MS-PSRP 2.2.3.5).
    pub enum PipelineState: i32 {
        NotStarted = 0,
        Running = 1,
        Stopping = 2,
        Stopped = 3,
        Completed = 4,
        Failed = 5,
        Disconnected = 6,
    }
}

impl PoolState {
    /// Returns the body of RUNSPACEPOOL_STATE.
    pub fn to_value(self, error: Option<&ErrorRecord>) -> Value {
        state("RunspaceState", self as i32, error)
    }

    /// Reads RUNSPACEPOOL_STATE.
    pub fn read(value: &Value) -> Result<(Self, Option<Box<ErrorRecord>>), Missing> {
        read_state(value, "RunspaceState", Self::from_number)
    }
}

/// Returns the body of a state message.
fn state(name: &str, number: i32, error: Option<&ErrorRecord>) -> Value {
    let mut properties = vec![(name, Value::I32(number))];
    properties.extend(error.map(|error| ("ExceptionAsErrorRecord", error.to_value())));
    Value::with_properties(properties)
}

/// Reads a state message: the state, and the error that led to it.
fn read_state<S>(
    value: &Value,
    name: &'static str,
    from_number: impl Fn(i32) -> Option<S>,
) -> Result<(S, Option<Box<ErrorRecord>>), Missing> {
    let number = value.property(name).and_then(Value::as_i32);
    let state = number.and_then(from_number).ok_or(Missing(name))?;
    let record = value.property("ExceptionAsErrorRecord").filter(|record| !record.is_null());
    Ok((state, record.map(|record| Box::new(ErrorRecord::read(record)))))
}

impl PipelineState {
    /// Returns the body of PIPELINE_STATE.
    pub fn to_value(self, error: Option<&ErrorRecord>) -> Value {
        state("PipelineState", self as i32, error)
    }

    /// Reads PIPELINE_STATE.
    pub fn read(value: &Value) -> Result<(Self, Option<Box<ErrorRecord>>), Missing> {
        read_state(value, "PipelineState", Self::from_number)
    }

    /// Returns whether the state is final.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Stopped | Self::Completed | Self::Failed)
    }
}

impl TextRecord {
    /// Returns the body of WARNING_RECORD, VERBOSE_RECORD or DEBUG_RECORD.
    pub fn to_value(&self, kind: MessageType) -> Value {
        let name = match kind {
            MessageType::WarningRecord => "WarningRecord",
            MessageType::VerboseRecord => "VerboseRecord",
            _ => "DebugRecord",
        };
        Object {
            type_names: type_names([
                format!("System.Management.Automation.{name}"),
                "System.Management.Automation.InformationalRecord".to_owned(),
                "System.Object".to_owned(),
            ]),
            to_string: Some(self.message.clone()),
            ..Object::with_properties([
                ("InformationalRecord_Message", self.message.as_str().into()),
                ("InformationalRecord_SerializeInvocationInfo", false.into()),
            ])
        }
        .into()
    }

    /// Reads a text record; a bare string, which some servers send, is its message.
    pub fn read(value: &Value) -> Self {
        let message = value.property("InformationalRecord_Message").unwrap_or(value);
        Self { message: message.display_text() }
    }
}

impl ProgressRecord {
    /// Returns the body of PROGRESS_RECORD, and the record of a WriteProgress host call.
    pub fn to_value(&self) -> Value {
        let (name, number) = if self.completed { ("Completed", 1) } else { ("Processing", 0) };
        Value::with_properties([
            ("Activity", self.activity.as_str().into()),
            ("ActivityId", Value::I32(self.activity_id)),
            ("StatusDescription", self.status.as_str().into()),
            ("CurrentOperation", self.current_operation.clone().into()),
            ("ParentActivityId", Value::I32(self.parent_id)),
            ("PercentComplete", Value::I32(self.percent)),
            ("Type", Value::enumeration("System.Management.Automation.ProgressRecordType", name, number)),
            ("SecondsRemaining", Value::I32(self.seconds_remaining)),
        ])
    }

    /// Reads a progress record with defaults for missing properties.
    pub fn read(value: &Value) -> Self {
        let number = |name, missing| value.property(name).and_then(Value::as_i32).unwrap_or(missing);
        let text = |name| value.property(name).filter(|value| !value.is_null()).map(Value::display_text);
        Self {
            activity: text("Activity").unwrap_or_default(),
            activity_id: number("ActivityId", 0),
            parent_id: number("ParentActivityId", -1),
            status: text("StatusDescription").unwrap_or_default(),
            current_operation: text("CurrentOperation"),
            percent: number("PercentComplete", -1),
            seconds_remaining: number("SecondsRemaining", -1),
            completed: number("Type", 0) == 1,
        }
    }
}

impl InformationRecord {
    /// Returns the body of INFORMATION_RECORD. Time, process and user are unknown here: the time is .NET's
    /// minimum, the others are empty.
    pub fn to_value(&self) -> Value {
        let list = "System.Collections.Generic.List`1[[System.String, mscorlib, Version=4.0.0.0, \
                    Culture=neutral, PublicKeyToken=b77a5c561934e089]]";
        Value::with_properties([
            ("MessageData", self.message.clone()),
            ("Source", self.source.as_str().into()),
            ("TimeGenerated", Value::DateTime("0001-01-01T00:00:00".to_owned())),
            ("Tags", Value::list([list, "System.Object"], self.tags.iter().map(|tag| tag.as_str().into()))),
            ("User", "".into()),
            ("Computer", "".into()),
            ("ProcessId", Value::U32(0)),
            ("NativeThreadId", Value::U32(0)),
            ("ManagedThreadId", Value::U32(0)),
        ])
    }

    /// Reads an information record.
    pub fn read(value: &Value) -> Self {
        let tags = value.property("Tags").and_then(Value::items).unwrap_or_default();
        Self {
            message: value.property("MessageData").cloned().unwrap_or_default(),
            source: value.property("Source").map(Value::display_text).unwrap_or_default(),
            tags: tags.iter().map(Value::display_text).collect(),
        }
    }
}
