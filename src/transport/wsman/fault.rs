//! WSMan faults as types, in the formats of WinRM and OMI.

use std::fmt;

/// The actions of envelopes with a fault: DSP0226's, which WinRM sends, and WS-Addressing's, which OMI sends.
/// Each ends in `/fault`.
pub(super) const ACTION_BASES: [&str; 2] =
    ["http://schemas.dmtf.org/wbem/wsman/1/wsman", "http://schemas.xmlsoap.org/ws/2004/08/addressing"];

/// Part of the text that lyncsh adds to the fault of a pool member that does not have the shell.
pub const LOST_AFFINITY: &str = "the load balancer has lost the affinity";

/// SOAP's own code for an unsupported header with mustUnderstand; it takes the place of a subcode.
pub const MUST_UNDERSTAND: &str = "s:MustUnderstand";

/// The codes that lyncsh handles (`wsmerror.h`).
pub mod code {
    /// An operation reached its OperationTimeout; a Receive is repeated.
    pub const TIMED_OUT: u32 = 2_150_858_793;
    /// The selectors are wrong for the resource (`ERROR_WSMAN_INVALID_SELECTORS`): seen on a compliance endpoint
    /// whose session had ended (ODP#10098).
    pub const INVALID_SELECTORS: u32 = 2_150_858_813;
    /// The shell does not exist, or a selector matches no shell (`ERROR_WSMAN_UNEXPECTED_SELECTORS`).
    pub const UNEXPECTED_SELECTORS: u32 = 2_150_858_843;
    /// The request belongs to another host (`ERROR_WSMAN_REDIRECT_REQUESTED`).
    pub const REDIRECT_REQUESTED: u32 = 2_150_859_161;
    /// The user's limit on shells is reached.
    pub const QUOTA_MAX_SHELLS: u32 = 2_150_859_173;
    /// The shell, or the command, is disconnected (`ERROR_WINRS_SHELL_DISCONNECTED`).
    pub const DISCONNECTED: u32 = 2_150_859_204;
    /// The reconnecting client is not the original one (`…_CLIENTSESSIONID_MISMATCH`).
    pub const OTHER_CLIENT: u32 = 2_150_859_206;
    /// The requested idle timeout is out of the service's range (`ERROR_WINRS_IDLETIMEOUT_OUTOFBOUNDS`).
    pub const IDLE_TIMEOUT_OUT_OF_BOUNDS: u32 = 2_150_859_250;
    /// The shell was disconnected while this request waited (`ERROR_WSMAN_SERVICE_STREAM_DISCONNECTED`).
    pub const STREAM_DISCONNECTED: u32 = 2_150_859_230;
    /// Limits on shells, operations, users or requests, by quotas of the service or a plug-in.
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

/// The text of a fault without one.
const EMPTY: &str = "the endpoint refused the request and gave no reason";

/// Texts of reached limits: of Lync Online, of the Teams endpoint, and of Exchange's throttling policy.
const QUOTA_TEXTS: [&str; 3] = [
    "maximum number of concurrent shells",
    "concurrent shells for this",
    "for the policy party : MaxConcurrency",
];

/// A server's SOAP fault.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fault {
    /// The most specific text: f:WSManFault's message, or Reason/Text.
    pub text: String,
    /// f:WSManFault's Code, for example 2150858793.
    pub code: Option<u32>,
    /// The SOAP subcode, for example `w:TimedOut`.
    pub subcode: Option<String>,
    pub machine: Option<String>,
    /// Target of a redirect fault.
    pub redirect: Option<String>,
    /// Whether the answering member of a load balancer's pool is not the one that created the session.
    pub is_from_other_member: bool,
}

/// Server whose format a fault is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultDialect {
    WinRm,
    Omi,
}

impl Fault {
    /// Creates a fault with a WSManFault code and a SOAP subcode, such as `w:TimedOut`.
    pub fn new(code: u32, subcode: &str, text: impl Into<String>) -> Self {
        Self { text: text.into(), code: Some(code), subcode: Some(subcode.to_owned()), ..Self::default() }
    }

    /// Returns the fault for a response that is marked as a fault but contains none.
    pub(super) fn empty() -> Self {
        Self { text: EMPTY.to_owned(), ..Self::default() }
    }

    /// Returns whether the server gave neither a text nor a code.
    pub fn is_empty(&self) -> bool {
        self.text == EMPTY && self.code.is_none()
    }

    /// Returns the subcode without its prefix.
    pub fn subcode_name(&self) -> Option<&str> {
        self.subcode.as_deref().map(|name| name.rsplit(':').next().unwrap_or(name))
    }

    /// Returns whether the server had no output within the timeout: the request is repeated.
    pub fn is_timed_out(&self) -> bool {
        self.code == Some(code::TIMED_OUT) || (self.code.is_none() && self.subcode_name() == Some("TimedOut"))
    }

    /// Returns whether a server that does not have the session has answered in place of the one that has it. Exchange
    /// reports this in the text.
    pub fn is_stray(&self) -> bool {
        self.is_from_other_member && self.is_not_found() || self.text.contains("WSMan-InvalidShellID")
    }

    /// Returns whether the shell or command does not exist any more. A stray answer does not show that.
    pub fn is_gone(&self) -> bool {
        self.is_not_found() && !self.is_stray()
    }

    /// Returns whether the answering server does not have the shell or command.
    fn is_not_found(&self) -> bool {
        matches!(self.code, Some(code::INVALID_SELECTORS | code::UNEXPECTED_SELECTORS))
            || matches!(self.subcode_name(), Some("InvalidSelectors" | "DestinationUnreachable"))
    }

    /// Returns whether the shell exists and must be reconnected first.
    pub fn is_disconnected(&self) -> bool {
        matches!(self.code, Some(code::DISCONNECTED | code::STREAM_DISCONNECTED))
    }

    /// Returns whether a limit on shells, operations or users is reached. Lync Online and Exchange report it only
    /// in the text.
    pub fn is_quota(&self) -> bool {
        self.code.is_some_and(|code| code::QUOTAS.contains(&code))
            || self.subcode_name() == Some("QuotaLimit")
            || QUOTA_TEXTS.iter().any(|part| self.text.contains(part))
    }
}

/// Writes the server's text, then its codes.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        match (self.code, &self.subcode) {
            // Windows tools print the code in decimal, Microsoft's documentation and PowerShell in hexadecimal.
            (Some(code @ 0x8000_0000..), _) => write!(f, " (WSManFault {code}, 0x{code:08X})"),
            (Some(code), _) => write!(f, " (WSManFault {code})"),
            (None, Some(subcode)) => write!(f, " ({subcode})"),
            (None, None) => Ok(()),
        }
    }
}
