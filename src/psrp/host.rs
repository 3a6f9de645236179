//! The client's host: its description (HostInfo, MS-PSRP 2.2.3.14) and the server's calls on it (host calls,
//! 2.2.3.17).

use super::Missing;
use super::clixml::{Content, Object, Value, type_names};
use super::numbered::numbered;
use super::record::ErrorRecord;

/// The host data of a client's pool and pipelines.
#[derive(Clone, Debug, PartialEq)]
pub struct HostInfo {
    /// Columns and rows of the window.
    pub window: (i32, i32),
    /// Columns and rows of the buffer.
    pub buffer: (i32, i32),
    /// ConsoleColor numbers.
    pub foreground: i32,
    pub background: i32,
    pub title: String,
    /// The client has no host (`_isHostNull`): every prompt fails.
    pub is_null: bool,
}

impl Default for HostInfo {
    /// Returns a console of 80 columns and 24 rows with unknown colours: PowerShell on Unix reports them as -1.
    fn default() -> Self {
        Self {
            window: (80, 24),
            buffer: (80, 24),
            foreground: -1,
            background: -1,
            title: String::new(),
            is_null: false,
        }
    }
}

/// Keys of `_hostDefaultData` (MS-PSRP 2.2.3.14).
mod key {
    pub const FOREGROUND: i32 = 0;
    pub const BACKGROUND: i32 = 1;
    pub const CURSOR_POSITION: i32 = 2;
    pub const WINDOW_POSITION: i32 = 3;
    pub const CURSOR_SIZE: i32 = 4;
    pub const BUFFER: i32 = 5;
    pub const WINDOW: i32 = 6;
    pub const LARGEST_WINDOW: i32 = 7;
    pub const LARGEST_PHYSICAL_WINDOW: i32 = 8;
    pub const TITLE: i32 = 9;
}

impl HostInfo {
    /// Returns the data of a client without a host.
    pub fn null() -> Self {
        Self { is_null: true, ..Self::default() }
    }

    /// Returns the `HostInfo` of INIT_RUNSPACEPOOL and CREATE_PIPELINE.
    pub fn to_value(&self) -> Value {
        let mut properties = flags(self.is_null, false);
        if !self.is_null {
            let data = Value::dictionary([
                entry(key::TITLE, "System.String", self.title.as_str().into()),
                entry(key::LARGEST_PHYSICAL_WINDOW, SIZE, size(self.window)),
                entry(key::LARGEST_WINDOW, SIZE, size(self.window)),
                entry(key::WINDOW, SIZE, size(self.window)),
                entry(key::BUFFER, SIZE, size(self.buffer)),
                entry(key::CURSOR_SIZE, "System.Int32", Value::I32(100)),
                entry(key::WINDOW_POSITION, COORDINATES, origin()),
                entry(key::CURSOR_POSITION, COORDINATES, origin()),
                entry(key::BACKGROUND, "System.ConsoleColor", Value::I32(self.background)),
                entry(key::FOREGROUND, "System.ConsoleColor", Value::I32(self.foreground)),
            ]);
            properties.insert(3, ("_hostDefaultData", Value::with_properties([("data", data)])));
        }
        Value::with_properties(properties)
    }

    /// Returns the `HostInfo` of a pipeline that uses the pool's host.
    pub fn of_the_pool() -> Value {
        Value::with_properties(flags(true, true))
    }

    /// Reads a `HostInfo`; `None` if the pool's host is used. Omitted values are those of
    /// [`HostInfo::default`].
    pub fn read(value: &Value) -> Result<Option<Self>, Missing> {
        let flag = |name| value.property(name).and_then(Value::as_bool);
        if flag("_useRunspaceHost") == Some(true) {
            return Ok(None);
        }
        let is_null = flag("_isHostNull").ok_or(Missing("HostInfo._isHostNull"))?;
        let mut info = Self { is_null, ..Self::default() };
        let Some(data) = value.property("_hostDefaultData").and_then(|data| data.property("data")) else {
            return Ok(Some(info));
        };
        let item = |key: i32| {
            let entries = data.entries().unwrap_or_default();
            let (_, value) = entries.iter().find(|(name, _)| name.as_i32() == Some(key))?;
            value.property("V")
        };
        let pair =
            |value: &Value| Some((value.property("width")?.as_i32()?, value.property("height")?.as_i32()?));
        info.window = item(key::WINDOW).and_then(pair).unwrap_or(info.window);
        info.buffer = item(key::BUFFER).and_then(pair).unwrap_or(info.buffer);
        info.foreground = item(key::FOREGROUND).and_then(Value::as_i32).unwrap_or(info.foreground);
        info.background = item(key::BACKGROUND).and_then(Value::as_i32).unwrap_or(info.background);
        info.title = item(key::TITLE).and_then(Value::as_str).map(str::to_owned).unwrap_or_default();
        Ok(Some(info))
    }
}

const SIZE: &str = "System.Management.Automation.Host.Size";
const COORDINATES: &str = "System.Management.Automation.Host.Coordinates";

fn flags(null: bool, of_the_pool: bool) -> Vec<(&'static str, Value)> {
    vec![
        ("_isHostUINull", null.into()),
        ("_isHostRawUINull", null.into()),
        ("_isHostNull", null.into()),
        ("_useRunspaceHost", of_the_pool.into()),
    ]
}

fn entry(key: i32, type_name: &str, value: Value) -> (Value, Value) {
    (Value::I32(key), Value::with_properties([("T", type_name.into()), ("V", value)]))
}

fn size((width, height): (i32, i32)) -> Value {
    Value::with_properties([("width", Value::I32(width)), ("height", Value::I32(height))])
}

fn origin() -> Value {
    Value::with_properties([("x", Value::I32(0)), ("y", Value::I32(0))])
}

numbered! {
    /// RemoteHostMethodId (MS-PSRP 2.2.3.17).
    pub enum HostMethod: i32 {
        GetName = 1,
        GetVersion = 2,
        GetInstanceId = 3,
        GetCurrentCulture = 4,
        GetCurrentUICulture = 5,
        SetShouldExit = 6,
        EnterNestedPrompt = 7,
        ExitNestedPrompt = 8,
        NotifyBeginApplication = 9,
        NotifyEndApplication = 10,
        ReadLine = 11,
        ReadLineAsSecureString = 12,
        Write1 = 13,
        Write2 = 14,
        WriteLine1 = 15,
        WriteLine2 = 16,
        WriteLine3 = 17,
        WriteErrorLine = 18,
        WriteDebugLine = 19,
        WriteProgress = 20,
        WriteVerboseLine = 21,
        WriteWarningLine = 22,
        Prompt = 23,
        PromptForCredential1 = 24,
        PromptForCredential2 = 25,
        PromptForChoice = 26,
        GetForegroundColor = 27,
        SetForegroundColor = 28,
        GetBackgroundColor = 29,
        SetBackgroundColor = 30,
        GetCursorPosition = 31,
        SetCursorPosition = 32,
        GetWindowPosition = 33,
        SetWindowPosition = 34,
        GetCursorSize = 35,
        SetCursorSize = 36,
        GetBufferSize = 37,
        SetBufferSize = 38,
        GetWindowSize = 39,
        SetWindowSize = 40,
        GetWindowTitle = 41,
        SetWindowTitle = 42,
        GetMaxWindowSize = 43,
        GetMaxPhysicalWindowSize = 44,
        GetKeyAvailable = 45,
        ReadKey = 46,
        FlushInputBuffer = 47,
        SetBufferContents1 = 48,
        SetBufferContents2 = 49,
        GetBufferContents = 50,
        ScrollBufferContents = 51,
        PushRunspace = 52,
        PopRunspace = 53,
        GetIsRunspacePushed = 54,
        GetRunspace = 55,
        PromptForChoiceMultipleSelection = 56,
    }
}

impl HostMethod {
    /// Returns whether a server waits for the answer: for methods with a return value and prompts (MS-PSRP
    /// 2.2.3.17; void methods are called with id -100).
    pub fn wants_answer(self) -> bool {
        !matches!(
            self,
            Self::SetShouldExit
                | Self::EnterNestedPrompt
                | Self::ExitNestedPrompt
                | Self::NotifyBeginApplication
                | Self::NotifyEndApplication
                | Self::Write1
                | Self::Write2
                | Self::WriteLine1
                | Self::WriteLine2
                | Self::WriteLine3
                | Self::WriteErrorLine
                | Self::WriteDebugLine
                | Self::WriteProgress
                | Self::WriteVerboseLine
                | Self::WriteWarningLine
                | Self::SetForegroundColor
                | Self::SetBackgroundColor
                | Self::SetCursorPosition
                | Self::SetWindowPosition
                | Self::SetCursorSize
                | Self::SetBufferSize
                | Self::SetWindowSize
                | Self::SetWindowTitle
                | Self::FlushInputBuffer
                | Self::SetBufferContents1
                | Self::SetBufferContents2
                | Self::ScrollBufferContents
                | Self::PushRunspace
                | Self::PopRunspace
        )
    }

    fn to_value(self) -> Value {
        let type_name = "System.Management.Automation.Remoting.RemoteHostMethodId";
        Value::enumeration(type_name, &format!("{self:?}"), self as i32)
    }

    fn read(call: &Value) -> Result<Self, Missing> {
        call.property("mi").and_then(Value::as_i32).and_then(Self::from_number).ok_or(Missing("mi"))
    }
}

/// A server's call on the client's host.
#[derive(Clone, Debug, PartialEq)]
pub struct HostCall {
    /// `ci`; -100 if no answer is expected.
    pub call_id: i64,
    pub method: HostMethod,
    pub parameters: Vec<Value>,
}

impl HostCall {
    /// Returns whether the server waits for an answer.
    pub fn wants_answer(&self) -> bool {
        self.call_id != -100
    }

    /// Returns the body of PIPELINE_HOST_CALL and RUNSPACEPOOL_HOST_CALL.
    pub fn to_value(&self) -> Value {
        let parameters = Value::list(ARRAY_LIST, self.parameters.iter().cloned());
        Value::with_properties([
            ("ci", Value::I64(self.call_id)),
            ("mi", self.method.to_value()),
            ("mp", parameters),
        ])
    }

    /// Reads a host call.
    pub fn read(value: &Value) -> Result<Self, Missing> {
        Ok(Self {
            call_id: call_id(value)?,
            method: HostMethod::read(value)?,
            parameters: value.property("mp").and_then(Value::items).unwrap_or_default().to_vec(),
        })
    }
}

const ARRAY_LIST: [&str; 2] = ["System.Collections.ArrayList", "System.Object"];

fn call_id(value: &Value) -> Result<i64, Missing> {
    value.property("ci").and_then(Value::as_i64).ok_or(Missing("ci"))
}

/// A client's answer to a [`HostCall`].
#[derive(Clone, Debug, PartialEq)]
pub struct HostResponse {
    pub call_id: i64,
    pub method: HostMethod,
    /// The return value.
    pub result: Result<Option<Value>, HostException>,
}

/// The message of an exception that a client's host threw instead of an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct HostException(pub String);

impl HostResponse {
    /// Returns the body of PIPELINE_HOST_RESPONSE and RUNSPACEPOOL_HOST_RESPONSE.
    pub fn to_value(&self) -> Value {
        let mut properties = Vec::with_capacity(3);
        match &self.result {
            Ok(Some(value)) => properties.push(("mr", value.clone())),
            Ok(None) => {}
            Err(HostException(message)) => {
                let mut record =
                    ErrorRecord::new(message, "System.Exception", "RemoteHostExecutionException");
                record.category_reason = "Exception".to_owned();
                record.category_message = "NotSpecified: (:) [], Exception".to_owned();
                properties.push(("me", record.to_value()));
            }
        }
        properties.push(("ci", Value::I64(self.call_id)));
        properties.push(("mi", self.method.to_value()));
        Value::with_properties(properties)
    }

    /// Reads a host response.
    pub fn read(value: &Value) -> Result<Self, Missing> {
        let result = match value.property("me") {
            Some(exception) if !exception.is_null() => {
                Err(HostException(ErrorRecord::read(exception).message))
            }
            _ => Ok(value.property("mr").cloned()),
        };
        Ok(Self { call_id: call_id(value)?, method: HostMethod::read(value)?, result })
    }
}

/// Returns a PSCredential in PowerShell's format; the password is encrypted before sending.
pub fn credential(user: &str, password: secrecy::SecretString) -> Value {
    let type_name = "System.Management.Automation.PSCredential";
    Object {
        type_names: type_names([type_name, "System.Object"]),
        to_string: Some(type_name.to_owned()),
        content: Content::None,
        adapted: vec![("UserName".into(), user.into()), ("Password".into(), Value::secure(password))],
        extended: Vec::new(),
    }
    .into()
}
