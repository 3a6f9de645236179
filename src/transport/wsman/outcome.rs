//! Outcome of a failed request: certainly refused, or possibly executed.
//!
//! Only Receive, Signal and Delete may be repeated after an unclear outcome. A Command or Send that was not
//! clearly refused may have been executed.

use super::fault::Fault;
#[cfg(doc)]
use super::fault::code;
use crate::transport::error::{Error, Operation};

/// WSManFault codes of requests that the service rejected before executing them. The names are those of
/// `wsmerror.h`; the quota codes are in [`code::QUOTAS`].
///
/// Not included, because the server may have acted: the shell was disconnected or does not exist
/// ([`code::DISCONNECTED`], [`code::STREAM_DISCONNECTED`], [`code::UNEXPECTED_SELECTORS`]), an operation timed
/// out, a response exceeded its envelope size (2150858824, 2150858825), and every unknown code.
const REFUSED: [u32; 19] = [
    5,             // ERROR_ACCESS_DENIED
    2_150_858_765, // ERROR_WSMAN_SOAP_VERSION_MISMATCH
    2_150_858_766, // ERROR_WSMAN_SOAP_DATA_ENCODING_UNKNOWN
    2_150_858_768, // ERROR_WSMAN_SOAP_FAULT_MUST_UNDERSTAND
    2_150_858_771, // ERROR_WSMAN_ACTION_NOT_SUPPORTED
    2_150_858_796, // ERROR_WSMAN_UNSUPPORTED_ENCODING
    2_150_858_801, // ERROR_WSMAN_ACTION_MISMATCH
    2_150_858_805, // ERROR_WSMAN_ENCODING_LIMIT: the request's
    2_150_858_806, // ERROR_WSMAN_FAILED_AUTHENTICATION
    2_150_858_811, // ERROR_WSMAN_INVALID_RESOURCE_URI
    2_150_858_815, // ERROR_WSMAN_QUOTA_LIMIT
    2_150_858_817, // ERROR_WSMAN_SCHEMA_VALIDATION_ERROR
    2_150_858_818, // ERROR_WSMAN_UNSUPPORTED_FEATURE
    2_150_858_819, // 80338043: the request is not XML
    2_150_858_828, // ERROR_WSMAN_CHARACTER_SET
    2_150_859_180, // ERROR_WSMAN_REMOTESHELLS_NOT_ALLOWED
    2_150_859_229, // ERROR_WSMAN_SERVICE_REMOTE_ACCESS_DISABLED
    2_150_859_235, // ERROR_WSMAN_REMOTE_CONNECTION_NOT_ALLOWED
    2_150_859_250, // ERROR_WINRS_IDLETIMEOUT_OUTOFBOUNDS
];

/// The same for servers that send no code: SOAP subcodes that are defined as "request not processed" (DSP0226
/// 14.6, WS-Addressing, WS-Security).
const REFUSED_SUBCODES: [&str; 6] = [
    "AccessDenied",
    "ActionNotSupported",
    "FailedAuthentication",
    "QuotaLimit",
    "SchemaValidationError",
    "UnsupportedFeature",
];

/// HTTP statuses with which a server or proxy rejects a request without processing it (RFC 9110 15.5, RFC
/// 6585). 400, 408 and 5xx are not included: a gateway also sends them for a forwarded request.
const REFUSED_STATUSES: [u16; 13] = [401, 403, 404, 405, 407, 411, 413, 414, 415, 417, 421, 429, 431];

/// HTTP statuses of a failing server or gateway, which do not indicate whether the request was executed.
const SERVER_ERROR_STATUSES: std::ops::RangeInclusive<u16> = 500..=599;

impl Fault {
    /// Returns whether the server certainly did not execute the request.
    fn is_refusal(&self) -> bool {
        match self.code {
            _ if self.is_stray() => true,
            Some(code) => REFUSED.contains(&code) || self.is_quota(),
            None => {
                self.is_quota() || self.subcode_name().is_some_and(|name| REFUSED_SUBCODES.contains(&name))
            }
        }
    }
}

impl Error {
    /// Returns whether the request was certainly not executed: it was refused or never sent.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::Proxy(_)
            | Self::Certificate { .. }
            | Self::Insecure { .. }
            // A server reads no request before a handshake that asks for a certificate has ended.
            | Self::Handshake { .. }
            | Self::Tls(_)
            | Self::Unauthorized { .. }
            | Self::Authentication { .. }
            | Self::TicketRefused { .. }
            | Self::Unsupported(_)
            | Self::NotOffered { .. } => true,
            Self::Timeout { operation, .. } | Self::ConnectionLost { operation, .. } => {
                matches!(operation, Operation::Connect | Operation::Authenticate)
            }
            Self::Fault(fault) => fault.is_refusal(),
            Self::Http { status, .. } => REFUSED_STATUSES.contains(status),
            // The redirected request was sent with its body.
            Self::Redirect { .. }
            | Self::Protocol(_)
            | Self::Unreadable { .. }
            | Self::Ended(_)
            | Self::OutcomeUnknown(_)
            | Self::Unconfirmed
            | Self::Closed => false,
        }
    }

    /// Returns the error of a Command, or of its Send: adds that the command may have run unless the request
    /// was refused.
    pub(super) fn of_command(self) -> Self {
        match self {
            refused if refused.is_refusal() => refused,
            unclear => unclear.outcome_unknown(),
        }
    }

    /// Returns the error of a command that had been started.
    pub(crate) fn outcome_unknown(self) -> Self {
        match self {
            unknown @ Self::OutcomeUnknown(_) => unknown,
            error => Self::OutcomeUnknown(Box::new(error)),
        }
    }

    /// Returns whether to repeat a Receive or Signal after this error: the session may still exist.
    pub(super) fn is_lost(&self) -> bool {
        match self {
            Self::Ended(_)
            | Self::ConnectionLost { .. }
            | Self::Unreachable { .. }
            | Self::Timeout { .. }
            | Self::Protocol(_) => true,
            Self::Proxy(error) => error.is_temporary(),
            Self::Http { status, .. } => {
                SERVER_ERROR_STATUSES.contains(status) || matches!(status, 200..=299 | 400 | 408 | 429)
            }
            // The next request may reach the server that has the session.
            Self::Fault(fault) => fault.is_stray(),
            _ => false,
        }
    }

    /// Returns whether no connection was established, for a reason that may be temporary.
    pub(super) fn is_not_connected(&self) -> bool {
        match self {
            Self::Proxy(error) => error.is_temporary(),
            Self::Unreachable { .. }
            | Self::ConnectionLost { operation: Operation::Authenticate, .. }
            | Self::Timeout { operation: Operation::Connect, .. } => true,
            _ => false,
        }
    }

    /// Returns whether the peer was reachable until the request ended: a gateway or firewall may have ended an idle
    /// request, which is not an outage.
    pub(super) fn is_given_up(&self) -> bool {
        match self {
            Self::ConnectionLost { operation, .. } => *operation != Operation::Authenticate,
            Self::Http { status, .. } => matches!(status, 408 | 502..=504),
            _ => false,
        }
    }

    /// Returns whether the server reports that the shell or command does not exist.
    pub(super) fn is_gone(&self) -> bool {
        matches!(self, Self::Fault(fault) if fault.is_gone())
    }
}

#[cfg(test)]
mod tests {
    use super::super::fault::code;
    use super::*;

    fn fault(code: u32) -> Fault {
        Fault::new(code, "w:InternalError", "text")
    }

    #[test]
    fn ambiguous_faults_are_not_refusals() {
        let unclear = [
            code::DISCONNECTED,
            code::STREAM_DISCONNECTED,
            code::UNEXPECTED_SELECTORS,
            code::TIMED_OUT,
            2_150_858_824,
            2_150_858_999,
            1,
        ];
        for code in unclear {
            assert!(!fault(code).is_refusal(), "{code}");
        }
        for code in [2_150_859_174, 2_150_859_175, 5, 2_150_858_817] {
            assert!(fault(code).is_refusal(), "{code}");
        }
        let by_subcode = |subcode: &str| Fault { code: None, ..Fault::new(0, subcode, "text") };
        assert!(by_subcode("w:AccessDenied").is_refusal());
        assert!(!by_subcode("a:DestinationUnreachable").is_refusal());
        assert!(!Fault::default().is_refusal());
    }

    #[test]
    fn an_unclear_outcome_is_stated_once() {
        let cut = || Error::ConnectionLost {
            endpoint: "x".into(),
            operation: Operation::Command,
            reason: "cut".into(),
        };
        let text = cut().of_command().of_command().to_string();
        assert_eq!(
            text,
            "the connection to x ended while starting the command: cut; the command may have run"
        );
        for status in [400, 408, 500, 502, 503, 504] {
            let error = Error::Http { endpoint: "x".into(), status, reason: String::new(), detail: None };
            assert!(matches!(error.of_command(), Error::OutcomeUnknown(_)), "{status}");
        }
        let error = Error::Http { endpoint: "x".into(), status: 403, reason: String::new(), detail: None };
        assert!(matches!(error.of_command(), Error::Http { .. }));
    }
}
