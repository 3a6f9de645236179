//! The client's host: what it is (HostInfo, MS-PSRP 2.2.3.14) and what the server asks of it
//! (host calls, 2.2.3.17 and 2.2.6).

use super::clixml::Value;

/// The host data that a client sends with its pool and pipelines.
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
    /// No host at all (`_isHostNull`): every prompt fails.
    pub is_null: bool,
}

/// RemoteHostMethodId (MS-PSRP 2.2.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum HostMethod {
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

/// One call of the server on the client's host.
#[derive(Clone, Debug, PartialEq)]
pub struct HostCall {
    /// `ci`; -100 where no answer is wanted.
    pub call_id: i64,
    pub method: HostMethod,
    pub parameters: Vec<Value>,
}

impl HostCall {
    /// Whether the server waits for an answer.
    pub fn wants_answer(&self) -> bool {
        self.call_id != -100
    }
}

/// A client's answer to a [`HostCall`].
#[derive(Clone, Debug, PartialEq)]
pub struct HostResponse {
    pub call_id: i64,
    pub method: HostMethod,
    /// The returned value, or the text of the exception that the host threw.
    pub result: Result<Option<Value>, String>,
}
