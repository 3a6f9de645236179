//! The exit codes of errors (`docs/console.md`).

use std::process::ExitCode;

use super::connect::{self, ConnectError};
use super::shell;
use super::usage::{Meant, Usage};
use crate::agent::control::Failure;
use crate::exit::Exit;
use crate::profile::StoreError;
use crate::shell::console::Lost;
use crate::shell::pwsh::arguments::ArgumentError;
use crate::shell::pwsh::find::FindError;

/// Returns the exit code for an error.
pub fn exit_code(report: &miette::Report) -> ExitCode {
    match report.downcast_ref::<ConnectError>() {
        Some(ConnectError::Ended(ending)) => return ExitCode::from(ending.exit_code()),
        Some(ConnectError::Service { .. }) => return Exit::Usage.into(),
        Some(_) => return Exit::NotConnected.into(),
        None => {}
    }
    let is_usage = report.is::<StoreError>()
        || report.is::<Meant>()
        || report.is::<Usage>()
        || report.is::<FindError>()
        || report.is::<ArgumentError>()
        || report.is::<shell::Superfluous>();
    if is_usage {
        Exit::Usage.into()
    } else if report.is::<connect::NoneConnected>() || report.is::<Failure>() {
        Exit::NotConnected.into()
    } else if report.is::<Lost>() {
        Exit::Lost.into()
    } else {
        Exit::Failed.into()
    }
}
