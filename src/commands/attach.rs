//! `lyncsh attach NAME --socket`: where a PowerShell finds the agent's socket.

use std::io::Write as _;
use std::process::ExitCode;

use miette::IntoDiagnostic as _;

use super::connect::{ConnectError, Context, connect};
use crate::agent::control::Request;
use crate::platform::Endings;
use crate::profile;

/// Prints the socket's path, starts the agent where none runs, and leaves. The agent waits half a
/// minute for the shell.
pub async fn run(context: &Context, name: &str) -> miette::Result<ExitCode> {
    let mut endings = Endings::catch().into_diagnostic()?;
    let profile = profile::load(&context.folders, name)?;
    let mut agent = match connect(context, profile, &mut endings).await {
        Err(ConnectError::Ended(ending)) => return Ok(ExitCode::from(ending.exit_code())),
        result => result?,
    };
    let printed = writeln!(std::io::stdout(), "{}", agent.place.socket.display());
    agent.ask(Request::Release { attaching: printed.is_ok() }).await;
    // Until it has heard that a shell is about to come.
    while agent.next().await.is_some() {}
    printed.into_diagnostic()?;
    Ok(ExitCode::SUCCESS)
}
