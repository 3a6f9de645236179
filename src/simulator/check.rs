//! Request checks of WinRM: unknown resources, values out of range.

use std::time::Duration;

use super::options::Options;
use crate::transport::wsman::envelope::{COMMAND_RESOURCE, SHELL_RESOURCE, WsmanRequest, ns};
use crate::transport::wsman::fault::{Fault, code};

/// The only session configuration.
const CONFIGURATION: &str = "http://schemas.microsoft.com/powershell/Microsoft.PowerShell";
/// Minimum idle timeout.
const SHORTEST_IDLE: Duration = Duration::from_mins(1);
/// `ERROR_WSMAN_INVALID_RESOURCE_URI`
const INVALID_RESOURCE_URI: u32 = 2_150_858_811;

/// Refuses a request to an unknown resource, or with an action that the resource does not support.
pub fn resource(uri: &str, request: &WsmanRequest) -> Result<(), Fault> {
    let all: &[&str] = match request {
        WsmanRequest::Get => &[CONFIGURATION, SHELL_RESOURCE, ns::CONFIG],
        WsmanRequest::Delete => &[CONFIGURATION, SHELL_RESOURCE],
        WsmanRequest::Enumerate(_) | WsmanRequest::Pull { .. } => &[SHELL_RESOURCE, COMMAND_RESOURCE],
        _ => &[CONFIGURATION],
    };
    if all.iter().any(|known| known.eq_ignore_ascii_case(uri)) {
        return Ok(());
    }
    let text = format!(
        "The WS-Management service cannot process the request. The resource URI ({uri}) was not found in the \
         WS-Management catalog. The catalog contains the metadata that describes resources, or logical endpoints."
    );
    Err(Fault::new(INVALID_RESOURCE_URI, "a:DestinationUnreachable", text))
}

/// Returns the idle timeout of a shell: the requested one, or the endpoint's default.
pub fn idle_timeout(options: &Options, asked: Option<Duration>) -> Result<Duration, Fault> {
    let longest = options.idle_timeout;
    let Some(asked) = asked else { return Ok(longest) };
    if (SHORTEST_IDLE.min(longest)..=longest).contains(&asked) {
        return Ok(asked);
    }
    let text = "The WS-Management service cannot process the request. The requested IdleTimeout is outside the \
                allowed range.";
    Err(Fault::new(code::IDLE_TIMEOUT_OUT_OF_BOUNDS, "w:InvalidParameter", text))
}
