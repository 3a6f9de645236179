//! The exit codes of errors (`docs/console.md`).

use super::connect::{self, ConnectError};
use super::session;
use super::shell;
use super::usage::{SuggestedCommand, Usage};
use crate::agent::control::Failure;
use crate::agent::launch::LaunchError;
use crate::credential::CredentialError;
use crate::exit::Exit;
use crate::profile::{SelectionError, StoreError};
use crate::shell::console::Lost;
use crate::shell::pwsh::arguments::ArgumentError;
use crate::shell::pwsh::find::FindError;

/// Returns the exit code for an error.
pub fn exit_code(report: &miette::Report) -> Exit {
    match report.downcast_ref::<ConnectError>() {
        Some(ConnectError::Launch(LaunchError::Credential(CredentialError::NoTerminal))) => {
            return Exit::Usage;
        }
        Some(ConnectError::Ended(ending)) => return Exit::Code(ending.exit_code()),
        Some(ConnectError::Service { .. }) => return Exit::Usage,
        Some(_) => return Exit::NotConnected,
        None => {}
    }
    let is_usage = report.is::<StoreError>()
        || report.is::<SuggestedCommand>()
        || report.is::<Usage>()
        || report.is::<FindError>()
        || report.is::<ArgumentError>()
        || report.is::<SelectionError>()
        || report.is::<shell::Superfluous>()
        || matches!(report.downcast_ref(), Some(CredentialError::NoTerminal));
    if is_usage {
        Exit::Usage
    } else if report.is::<connect::AllFailed>() || report.is::<Failure>() {
        Exit::NotConnected
    } else if let Some(lost) = report.downcast_ref::<Lost>() {
        lost.exit()
    } else if let Some(late) = report.downcast_ref::<session::TimedOut>() {
        if late.has_begun { Exit::Lost } else { Exit::NotConnected }
    } else {
        Exit::Failed
    }
}
