//! Conversion of ErrorRecords to and from PowerShell's form (MS-PSRP 2.2.3.15).

use super::ErrorRecord;
use crate::psrp::clixml::{Content, Name, Object, TypeNames, Value, type_names};

/// Names of ErrorCategory, by number.
const CATEGORIES: [&str; 32] = [
    "NotSpecified",
    "OpenError",
    "CloseError",
    "DeviceError",
    "DeadlockDetected",
    "InvalidArgument",
    "InvalidData",
    "InvalidOperation",
    "InvalidResult",
    "InvalidType",
    "MetadataError",
    "NotImplemented",
    "NotInstalled",
    "ObjectNotFound",
    "OperationStopped",
    "OperationTimeout",
    "SyntaxError",
    "ParserError",
    "PermissionDenied",
    "ResourceBusy",
    "ResourceExists",
    "ResourceUnavailable",
    "ReadError",
    "WriteError",
    "FromStdErr",
    "SecurityError",
    "ProtocolError",
    "ConnectionError",
    "AuthenticationError",
    "LimitsExceeded",
    "QuotaExceeded",
    "NotEnabled",
];

/// Error ids of an agent's pipeline whose session, or the connection to it, has failed. `NOT_RUN`: the pipeline was not
/// sent to the endpoint, or the endpoint refused the pipeline.
const SESSION_FAILED: &str = "LyncshSessionFailed";
const NOT_RUN: &str = "LyncshNotRun";

impl ErrorRecord {
    /// Returns the error of a pipeline whose session, or the connection to it, has failed.
    pub fn session_failed(message: impl Into<String>) -> Self {
        Self::of_session(message.into(), SESSION_FAILED)
    }

    /// Returns the error of a pipeline that was not run, because its session, or the connection to it, has failed.
    pub fn not_run(reason: &str) -> Self {
        Self::of_session(format!("{reason}; the command was not run"), NOT_RUN)
    }

    fn of_session(message: String, id: &str) -> Self {
        let exception = "System.Management.Automation.Remoting.PSRemotingTransportException";
        // ErrorCategory.ConnectionError
        Self::of(message, exception, id, 23)
    }

    /// Returns whether this is the error of a pipeline whose session, or the connection to it, has failed.
    pub fn is_of_session(&self) -> bool {
        [SESSION_FAILED, NOT_RUN].contains(&self.fully_qualified_id.as_str())
    }

    /// Returns whether this is the error of a pipeline that was not run.
    pub fn is_not_run(&self) -> bool {
        self.fully_qualified_id == NOT_RUN
    }

    /// Returns the error of a stopped pipeline with PowerShell's text.
    pub fn pipeline_stopped() -> Self {
        Self::of(
            "The pipeline has been stopped.".to_owned(),
            "System.Management.Automation.PipelineStoppedException",
            "PipelineStopped",
            // ErrorCategory.OperationStopped
            14,
        )
    }

    fn of(message: String, exception: &str, id: &str, category: i32) -> Self {
        Self {
            message,
            exception_type: exception.to_owned(),
            fully_qualified_id: id.to_owned(),
            category,
            category_reason: exception.rsplit('.').next().unwrap_or(exception).to_owned(),
            ..Self::default()
        }
    }

    /// Returns a record of an exception without further data; its category is NotSpecified.
    pub fn new(
        message: impl Into<String>,
        exception_type: impl Into<String>,
        fully_qualified_id: impl Into<String>,
    ) -> Self {
        let mut record = Self {
            message: message.into(),
            exception_type: exception_type.into(),
            fully_qualified_id: fully_qualified_id.into(),
            ..Self::default()
        };
        record.set_category(0);
        record
    }

    /// Sets the category, with the reason and message that PowerShell derives from the record.
    pub fn set_category(&mut self, category: i32) {
        let reason = self.exception_type.rsplit('.').next().unwrap_or_default();
        self.category = category;
        self.category_reason = reason.to_owned();
        self.category_message = format!(
            "{}: ({}:{}) [{}], {reason}",
            self.category_name(),
            self.category_target_name,
            self.category_target_type,
            self.category_activity,
        );
    }

    /// Returns the category's name, such as `ObjectNotFound`.
    pub fn category_name(&self) -> &'static str {
        usize::try_from(self.category).ok().and_then(|index| CATEGORIES.get(index)).unwrap_or(&CATEGORIES[0])
    }

    /// Returns the text for the user: the details' message if present, else the exception's.
    fn display_text(&self) -> &str {
        self.details.as_deref().unwrap_or(&self.message)
    }

    /// Reads an ErrorRecord. Missing properties stay empty: an error is shown in any case.
    pub fn read(value: &Value) -> Self {
        let text =
            |name: &str| value.property(name).filter(|value| !value.is_null()).map(Value::display_text);
        let exception = value.property("Exception");
        let invocation = value.property("InvocationInfo");
        let of_invocation = |name| {
            let text = invocation?.property(name).map(Value::display_text)?;
            (!text.is_empty()).then_some(text)
        };
        let message = exception
            .and_then(|exception| exception.property("Message"))
            .filter(|message| !message.is_null())
            .unwrap_or(value)
            .display_text();
        Self {
            message,
            exception_type: exception
                .and_then(|exception| exception.type_names().first().map(|name| (*name).to_owned()))
                .unwrap_or_default(),
            fully_qualified_id: text("FullyQualifiedErrorId").unwrap_or_default(),
            category: value.property("ErrorCategory_Category").and_then(Value::as_i32).unwrap_or_default(),
            category_reason: text("ErrorCategory_Reason").unwrap_or_default(),
            category_activity: text("ErrorCategory_Activity").unwrap_or_default(),
            category_target_name: text("ErrorCategory_TargetName").unwrap_or_default(),
            category_target_type: text("ErrorCategory_TargetType").unwrap_or_default(),
            category_message: text("ErrorCategory_Message").unwrap_or_default(),
            target: value.property("TargetObject").filter(|target| !target.is_null()).cloned(),
            details: text("ErrorDetails_Message"),
            recommended_action: text("ErrorDetails_RecommendedAction"),
            command: of_invocation("MyCommand"),
            position: of_invocation("PositionMessage"),
            value: value.clone(),
        }
    }

    /// Returns the record in PowerShell's form; a received record is returned unchanged.
    pub fn to_value(&self) -> Value {
        if !self.value.is_null() {
            return self.value.clone();
        }
        let mut properties: Vec<(&str, Value)> = vec![
            ("Exception", self.exception()),
            ("TargetObject", self.target.clone().unwrap_or_default()),
            ("FullyQualifiedErrorId", self.fully_qualified_id.as_str().into()),
            ("InvocationInfo", self.invocation()),
            ("ErrorCategory_Category", Value::I32(self.category)),
            ("ErrorCategory_Activity", self.category_activity.as_str().into()),
            ("ErrorCategory_Reason", self.category_reason.as_str().into()),
            ("ErrorCategory_TargetName", self.category_target_name.as_str().into()),
            ("ErrorCategory_TargetType", self.category_target_type.as_str().into()),
            ("ErrorCategory_Message", self.category_message.as_str().into()),
        ];
        if self.details.is_some() || self.recommended_action.is_some() {
            properties.push(("ErrorDetails_Message", self.details.clone().into()));
            properties.push(("ErrorDetails_RecommendedAction", self.recommended_action.clone().into()));
        }
        properties.push(("SerializeExtendedInfo", false.into()));
        Object {
            type_names: type_names(["System.Management.Automation.ErrorRecord", "System.Object"]),
            to_string: Some(self.display_text().to_owned()),
            ..Object::with_properties(properties)
        }
        .into()
    }

    fn exception(&self) -> Value {
        let names = exception_types(&self.exception_type);
        let mut properties: Vec<(&str, Value)> = Vec::with_capacity(10);
        if names.iter().any(|name| **name == *RUNTIME_EXCEPTION) {
            properties.push(("ErrorRecord", self.message.as_str().into()));
            properties.push(("WasThrownFromThrowStatement", false.into()));
        }
        let data = ["System.Collections.ListDictionaryInternal", "System.Object"];
        properties.extend([
            ("TargetSite", Value::Null),
            ("Message", self.message.as_str().into()),
            ("Data", Value::typed_dictionary(data, [])),
            ("InnerException", Value::Null),
            ("HelpLink", Value::Null),
            ("Source", Value::Null),
            // COR_E_SYSTEM, as in PowerShell's own exceptions.
            ("HResult", Value::I32(-2_146_233_087)),
            ("StackTrace", Value::Null),
        ]);
        Object {
            to_string: Some(format!("{}: {}", names[0], self.message)),
            type_names: names,
            content: Content::None,
            adapted: owned(properties),
            extended: Vec::new(),
        }
        .into()
    }

    /// Returns InvocationInfo if the command or its position is known.
    fn invocation(&self) -> Value {
        if self.command.is_none() && self.position.is_none() {
            return Value::Null;
        }
        let command = || Value::from(self.command.clone());
        let text = |text: Option<&str>| Value::from(text.unwrap_or_default());
        let properties = vec![
            ("MyCommand", command()),
            ("BoundParameters", Value::typed_dictionary([BOUND_PARAMETERS, "System.Object"], [])),
            ("UnboundArguments", Value::list([UNBOUND_ARGUMENTS, "System.Object"], [])),
            ("ScriptLineNumber", Value::I32(0)),
            ("OffsetInLine", Value::I32(0)),
            ("HistoryId", Value::I64(1)),
            ("ScriptName", text(None)),
            ("Line", text(None)),
            ("Statement", text(None)),
            ("PositionMessage", text(self.position.as_deref())),
            ("PSScriptRoot", text(None)),
            ("PSCommandPath", Value::Null),
            ("InvocationName", text(self.command.as_deref())),
            ("PipelineLength", Value::I32(0)),
            ("PipelinePosition", Value::I32(0)),
            ("ExpectingInput", false.into()),
            ("CommandOrigin", "Internal".into()),
            ("DisplayScriptPosition", Value::Null),
        ];
        let type_name = "System.Management.Automation.InvocationInfo";
        Object {
            type_names: type_names([type_name, "System.Object"]),
            to_string: Some(type_name.to_owned()),
            content: Content::None,
            adapted: owned(properties),
            extended: Vec::new(),
        }
        .into()
    }
}

const RUNTIME_EXCEPTION: &str = "System.Management.Automation.RuntimeException";
const BOUND_PARAMETERS: &str = "System.Collections.Generic.Dictionary`2[[System.String, mscorlib, \
     Version=4.0.0.0, Culture=neutral, PublicKeyToken=b77a5c561934e089],[System.Object, mscorlib, \
     Version=4.0.0.0, Culture=neutral, PublicKeyToken=b77a5c561934e089]]";
const UNBOUND_ARGUMENTS: &str = "System.Collections.Generic.List`1[[System.Object, mscorlib, \
     Version=4.0.0.0, Culture=neutral, PublicKeyToken=b77a5c561934e089]]";

fn owned(properties: Vec<(&str, Value)>) -> Vec<(Name, Value)> {
    properties.into_iter().map(|(name, value)| (name.into(), value)).collect()
}

/// Returns an exception's type and base types. PowerShell's own types are RuntimeExceptions except
/// Write-Error's.
fn exception_types(name: &str) -> TypeNames {
    let name = if name.is_empty() { "System.Exception" } else { name };
    let mut chain = vec![name];
    if name == "System.Management.Automation.ParameterBindingValidationException" {
        chain.push("System.Management.Automation.ParameterBindingException");
    }
    if name.starts_with("System.Management.Automation.") {
        chain.push(RUNTIME_EXCEPTION);
    }
    chain.extend(["System.SystemException", "System.Exception", "System.Object"]);
    if name == "System.Exception" {
        chain = vec![name, "System.Object"];
    }
    chain.dedup();
    type_names(chain)
}
