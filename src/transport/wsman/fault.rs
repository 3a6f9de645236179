//! WSMan faults as types.

/// What a server said in a SOAP fault.
#[derive(Clone, Debug, PartialEq, Eq)]
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
