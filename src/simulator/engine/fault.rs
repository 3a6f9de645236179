//! Errors in PowerShell's wording and their ErrorRecords (MS-PSRP 2.2.3.15; properties as sent by PowerShell
//! 7.6).

use super::value::{self, CORE, adapted, properties, text};
use crate::psrp::clixml::{Content, Object, Value, type_names};
use crate::psrp::record::ErrorRecord;
use std::sync::Arc;

/// ErrorCategory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Category {
    NotSpecified = 0,
    InvalidArgument = 5,
    InvalidData = 6,
    NotImplemented = 11,
    ObjectNotFound = 13,
    OperationStopped = 14,
    ParserError = 17,
    ResourceExists = 20,
}

const EXCEPTION: [&str; 2] = ["System.SystemException", "System.Exception"];
const RUNTIME: [&str; 3] =
    ["System.Management.Automation.RuntimeException", "System.SystemException", "System.Exception"];
const BINDING: &str = "System.Management.Automation.ParameterBindingException";

/// An error, convertible to an ErrorRecord.
#[derive(Clone, Debug)]
pub struct Fault(Box<Parts>);

#[derive(Clone, Debug)]
struct Parts {
    message: String,
    /// The exception's type, then its base types without System.Object.
    exception: Vec<&'static str>,
    id: String,
    category: Category,
    activity: String,
    target: Value,
    /// Recommended action.
    action: Option<String>,
    /// InvocationInfo.MyCommand; `None`: the record has no InvocationInfo.
    command: Option<String>,
    hresult: i32,
    /// Script stack trace of an error from Write-Error, which also puts its text into ErrorDetails.
    trace: Option<String>,
}

impl Fault {
    fn new(exception: Vec<&'static str>, id: &str, category: Category, message: String) -> Self {
        Self(Box::new(Parts {
            message,
            exception,
            id: id.into(),
            category,
            activity: String::new(),
            target: Value::Null,
            action: None,
            command: None,
            hresult: -2_146_233_087,
            trace: None,
        }))
    }

    fn runtime(exception: &'static str, id: &str, category: Category, message: String) -> Self {
        Self::new([&[exception][..], &RUNTIME].concat(), id, category, message)
    }

    /// Returns the error for an unknown or invisible command, in the wording of Windows PowerShell, which
    /// Lync Online ran.
    pub fn command_not_found(name: &str) -> Self {
        let message = format!(
            "The term '{name}' is not recognized as the name of a cmdlet, function, script file, or operable program. \
             Check the spelling of the name, or if a path was included, verify that the path is correct and try again."
        );
        Self::runtime(
            "System.Management.Automation.CommandNotFoundException",
            "CommandNotFoundException",
            Category::ObjectNotFound,
            message,
        )
        .about(text(name))
    }

    /// Returns the error for script text in a no-language runspace.
    pub fn script(script: &str) -> Self {
        Self::runtime(
            "System.Management.Automation.ParseException",
            "ScriptsNotAllowed",
            Category::ParserError,
            "The syntax is not supported by this runspace. This can occur if the runspace is in no-language mode."
                .into(),
        )
        .about(text(script))
    }

    pub fn stopped() -> Self {
        Self::runtime(
            "System.Management.Automation.PipelineStoppedException",
            "PipelineStopped",
            Category::OperationStopped,
            "The pipeline has been stopped.".into(),
        )
    }

    /// Returns the error for a parameter that cannot be bound.
    pub fn binding(id: &str, message: String) -> Self {
        Self::runtime(BINDING, id, Category::InvalidArgument, message)
    }

    /// Returns the error for a value of the wrong type.
    pub fn conversion(id: &str, message: String) -> Self {
        let mut fault = Self::binding(id, message);
        fault.0.category = Category::InvalidData;
        fault
    }

    /// Returns the error for a value that is not allowed.
    pub fn validation(id: &str, message: String) -> Self {
        let mut fault = Self::binding(id, message);
        fault.0.exception.insert(0, "System.Management.Automation.ParameterBindingValidationException");
        fault.0.category = Category::InvalidData;
        fault
    }

    /// Returns the error for a prompt with `message`, or for reading a line (`None`), without a host. The
    /// wording for a line is Windows PowerShell's, the rest was seen with 7.6.
    pub fn no_host(message: Option<&str>) -> Self {
        let about = match message {
            Some(message) => {
                format!("The host was attempting to request confirmation with the following message: {message}")
            }
            None => "Try a host program that supports user interaction, such as the Windows PowerShell Console or \
                     Windows PowerShell ISE, and remove prompt-related commands from command types that do not support \
                     user interaction, such as Windows PowerShell workflows."
                .to_owned(),
        };
        let message = format!(
            "A command that prompts the user failed because the host program or the command type does not support \
             user interaction. {about}"
        );
        Self::runtime(
            "System.Management.Automation.Host.HostException",
            "HostFunctionNotImplemented",
            Category::NotImplemented,
            message,
        )
    }

    /// Returns an error of a cmdlet.
    pub fn management(id: &str, category: Category, message: String) -> Self {
        Self::new(
            [&["Microsoft.Rtc.Management.Hosted.ManagementException"][..], &EXCEPTION].concat(),
            id,
            category,
            message,
        )
    }

    /// Returns an error of Write-Error in a function.
    pub fn written(id: &str, category: Category, message: &str, trace: &str) -> Self {
        let mut fault = Self::new(
            [&["Microsoft.PowerShell.Commands.WriteErrorException"][..], &EXCEPTION].concat(),
            id,
            category,
            message.into(),
        )
        .of_activity("Write-Error");
        fault.0.trace = Some(trace.into());
        fault
    }

    /// Returns an error with a .NET exception.
    pub fn exception(
        exception: &'static str,
        hresult: i32,
        id: &str,
        category: Category,
        message: &str,
    ) -> Self {
        let mut fault = Self::new([&[exception][..], &EXCEPTION].concat(), id, category, message.into());
        fault.0.hresult = hresult;
        fault
    }

    /// Wraps an error that `-ErrorAction Stop` made terminating.
    pub fn preference_stop(mut self) -> Self {
        self.0.message = format!(
            "The running command stopped because the preference variable \"ErrorActionPreference\" or common parameter is set to Stop: {}",
            self.0.message
        );
        self.0.exception =
            [&["System.Management.Automation.ActionPreferenceStopException"][..], &RUNTIME].concat();
        self
    }

    pub fn about(mut self, target: Value) -> Self {
        self.0.target = target;
        self
    }

    pub fn of_activity(mut self, activity: &str) -> Self {
        self.0.activity = activity.into();
        self
    }

    pub fn advise(mut self, action: &str) -> Self {
        self.0.action = Some(action.into());
        self
    }

    pub fn traced(mut self, trace: &str) -> Self {
        self.0.trace = Some(trace.into());
        self
    }

    /// Sets the command of the error; `source` is the part after the comma of the id.
    pub fn of_command(mut self, command: &str, source: &str) -> Self {
        if self.0.activity.is_empty() {
            self.0.activity = command.into();
        }
        if !source.is_empty() {
            self.0.id = format!("{},{source}", self.0.id);
        }
        self.0.command = Some(command.into());
        self
    }

    pub fn record(self) -> ErrorRecord {
        let parts = *self.0;
        let exception_type = parts.exception.first().copied().unwrap_or("System.Exception").to_owned();
        let reason = exception_type.rsplit('.').next().unwrap_or_default().to_owned();
        let (target_name, target_type) = match &parts.target {
            Value::Null => (String::new(), String::new()),
            target => {
                let name = value::type_name(target);
                (target.display_text(), name.rsplit('.').next().unwrap_or_default().to_owned())
            }
        };
        let category_message =
            format!("{:?}: ({target_name}:{target_type}) [{}], {reason}", parts.category, parts.activity);
        let value = parts.value(&reason, &target_name, &target_type, &category_message);
        ErrorRecord {
            details: parts.action.as_ref().map(|_| parts.message.clone()),
            recommended_action: parts.action,
            message: parts.message,
            exception_type,
            fully_qualified_id: parts.id,
            category: parts.category as i32,
            category_reason: reason,
            category_activity: parts.activity,
            category_target_name: target_name,
            category_target_type: target_type,
            category_message,
            target: (parts.target != Value::Null).then_some(parts.target),
            command: parts.command,
            position: None,
            value,
        }
    }
}

impl Parts {
    fn value(&self, reason: &str, target_name: &str, target_type: &str, category_message: &str) -> Value {
        let mut extended = properties([
            ("Exception", self.exception_value()),
            ("TargetObject", self.target.clone()),
            ("FullyQualifiedErrorId", text(&self.id)),
            ("InvocationInfo", self.command.as_deref().map_or(Value::Null, invocation)),
            ("ErrorCategory_Category", Value::I32(self.category as i32)),
            ("ErrorCategory_Activity", text(&self.activity)),
            ("ErrorCategory_Reason", text(reason)),
            ("ErrorCategory_TargetName", text(target_name)),
            ("ErrorCategory_TargetType", text(target_type)),
            ("ErrorCategory_Message", text(category_message)),
        ]);
        if let Some(action) = &self.action {
            extended.extend(properties([
                ("ErrorDetails_Message", text(&self.message)),
                ("ErrorDetails_RecommendedAction", text(action)),
            ]));
        }
        extended.extend(properties([("SerializeExtendedInfo", Value::Bool(false))]));
        if let Some(trace) = &self.trace {
            extended.extend(properties([
                ("ErrorDetails_ScriptStackTrace", text(trace)),
                ("PSMessageDetails", Value::Null),
            ]));
        }
        Value::Object(Arc::new(Object {
            type_names: type_names(["System.Management.Automation.ErrorRecord", "System.Object"]),
            to_string: Some(self.message.clone()),
            content: Content::None,
            adapted: Vec::new(),
            extended,
        }))
    }

    fn exception_value(&self) -> Value {
        let name = self.exception.first().copied().unwrap_or("System.Exception");
        let runtime = self.exception.contains(&RUNTIME[0]);
        let mut all = Vec::new();
        if runtime {
            all.extend(properties([("ErrorRecord", text(&self.message))]));
            if name.ends_with("CommandNotFoundException") {
                all.extend(properties([("CommandName", text(self.target.display_text()))]));
            }
            all.extend(properties([("WasThrownFromThrowStatement", Value::Bool(false))]));
        }
        all.extend(properties([
            ("TargetSite", Value::Null),
            ("Message", text(&self.message)),
            ("Data", value::dictionary(&["System.Collections.ListDictionaryInternal"], Vec::new())),
            ("InnerException", Value::Null),
            ("HelpLink", Value::Null),
            ("Source", if runtime { text("System.Management.Automation") } else { Value::Null }),
            ("HResult", Value::I32(self.hresult)),
            ("StackTrace", Value::Null),
        ]));
        adapted(&self.exception, &format!("{name}: {}", self.message), all)
    }
}

/// Returns the InvocationInfo of a command named by the client.
fn invocation(command: &str) -> Value {
    let dictionary =
        format!("System.Collections.Generic.Dictionary`2[[System.String, {CORE}],[System.Object, {CORE}]]");
    let arguments = format!("System.Collections.Generic.List`1[[System.Object, {CORE}]]");
    adapted(
        &["System.Management.Automation.InvocationInfo"],
        "System.Management.Automation.InvocationInfo",
        properties([
            ("MyCommand", text(command)),
            ("BoundParameters", value::dictionary(&[&dictionary], Vec::new())),
            ("UnboundArguments", value::list(&[&arguments], Vec::new())),
            ("ScriptLineNumber", Value::I32(0)),
            ("OffsetInLine", Value::I32(0)),
            ("HistoryId", Value::I64(1)),
            ("ScriptName", text("")),
            ("Line", text("")),
            ("Statement", text("")),
            ("PositionMessage", text("")),
            ("PSScriptRoot", text("")),
            ("PSCommandPath", Value::Null),
            ("InvocationName", text(command)),
            ("PipelineLength", Value::I32(0)),
            ("PipelinePosition", Value::I32(0)),
            ("ExpectingInput", Value::Bool(false)),
            ("CommandOrigin", text("Internal")),
            ("DisplayScriptPosition", Value::Null),
        ]),
    )
}
