//! WSMan faults as types, read and written in WinRM's manner and in OMI's.

/// The actions that envelopes with a fault carry: DSP0226's, which WinRM sends, and WS-Addressing's,
/// which OMI sends. Each ends in `/fault`.
pub(super) const ACTION_BASES: [&str; 2] =
    ["http://schemas.dmtf.org/wbem/wsman/1/wsman", "http://schemas.xmlsoap.org/ws/2004/08/addressing"];

/// SOAP's own code for a header that a server does not know and must; it stands in the place of a subcode.
pub const MUST_UNDERSTAND: &str = "s:MustUnderstand";

/// The codes that lyncsh acts upon (`wsmerror.h`).
pub mod code {
    /// An operation ran into its OperationTimeout; a Receive is repeated.
    pub const TIMED_OUT: u32 = 2_150_858_793;
    /// No such shell, or a selector that no shell has.
    pub const INVALID_SELECTORS: u32 = 2_150_858_843;
    /// The request belongs to another host (`ERROR_WSMAN_REDIRECT_REQUESTED`).
    pub const REDIRECT_REQUESTED: u32 = 2_150_859_161;
    /// Too many shells of this user.
    pub const QUOTA_MAX_SHELLS: u32 = 2_150_859_173;
    /// The shell, or the command, is disconnected (`ERROR_WINRS_SHELL_DISCONNECTED`).
    pub const DISCONNECTED: u32 = 2_150_859_204;
    /// The client that reconnects is not the one that was there (`…_CLIENTSESSIONID_MISMATCH`).
    pub const OTHER_CLIENT: u32 = 2_150_859_206;
    /// The idle timeout that was asked for is not in the range that the service grants
    /// (`ERROR_WINRS_IDLETIMEOUT_OUTOFBOUNDS`).
    pub const IDLE_TIMEOUT_OUT_OF_BOUNDS: u32 = 2_150_859_250;
    /// It was disconnected while this waited (`ERROR_WSMAN_SERVICE_STREAM_DISCONNECTED`).
    pub const STREAM_DISCONNECTED: u32 = 2_150_859_230;
    /// Too many shells, operations, users or requests, by the service's and a plug-in's quotas.
    pub const QUOTAS: [u32; 12] = [
        QUOTA_MAX_SHELLS,
        2_150_859_174,
        2_150_859_175,
        2_150_859_176,
        2_150_859_179,
        2_150_859_236,
        2_150_859_237,
        2_150_859_238,
        2_150_859_239,
        2_150_859_240,
        2_150_859_241,
        2_150_859_242,
    ];
}

/// What a server said in a SOAP fault.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fault {
    /// The best text there is: f:WSManFault's message, or Reason/Text.
    pub text: String,
    /// f:WSManFault's Code, for example 2150858793.
    pub code: Option<u32>,
    /// The SOAP subcode, for example `w:TimedOut`.
    pub subcode: Option<String>,
    pub machine: Option<String>,
    /// Where a redirection fault points to.
    pub redirect: Option<String>,
}

/// In whose manner a fault is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    WinRm,
    Omi,
}

impl Fault {
    /// A fault with a WSManFault code and a SOAP subcode, such as `w:TimedOut`.
    pub fn new(code: u32, subcode: &str, text: impl Into<String>) -> Self {
        Self { text: text.into(), code: Some(code), subcode: Some(subcode.to_owned()), ..Self::default() }
    }

    /// What an answer says that is marked as a fault and has none in it.
    pub(super) fn empty() -> Self {
        Self { text: "the endpoint refused the request and gave no reason".to_owned(), ..Self::default() }
    }

    /// The subcode without its prefix.
    pub(super) fn subcode_name(&self) -> Option<&str> {
        self.subcode.as_deref().map(|name| name.rsplit(':').next().unwrap_or(name))
    }

    /// The server had nothing to say in the time it was given: to be asked again.
    pub fn is_timed_out(&self) -> bool {
        self.code == Some(code::TIMED_OUT) || (self.code.is_none() && self.subcode_name() == Some("TimedOut"))
    }

    /// The shell or command is not there (any more).
    pub fn is_gone(&self) -> bool {
        self.code == Some(code::INVALID_SELECTORS)
            || matches!(self.subcode_name(), Some("InvalidSelectors" | "DestinationUnreachable"))
    }

    /// The shell is there and has to be reconnected before it can be asked again.
    pub fn is_disconnected(&self) -> bool {
        matches!(self.code, Some(code::DISCONNECTED | code::STREAM_DISCONNECTED))
    }

    /// A limit on shells, operations or users was reached. Lync Online said it by text alone.
    pub fn is_quota(&self) -> bool {
        self.code.is_some_and(|code| code::QUOTAS.contains(&code))
            || self.subcode_name() == Some("QuotaLimit")
            || self.text.contains("maximum number of concurrent shells")
    }
}
