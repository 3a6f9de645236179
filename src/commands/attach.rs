//! `lyncsh attach NAME --socket`: where a PowerShell finds the agent's socket.

use std::io::Write as _;
use std::process::ExitCode;

use miette::IntoDiagnostic as _;

use super::connect::{ConnectError, Context, connect};
use crate::agent::control::Request;
use crate::platform::Endings;
use crate::profile;
use crate::shell::pwsh::gate::{self, Passed};

/// Prints the socket's path, starts the agent where none runs, and leaves. The agent waits half a
/// minute for the shell. A failure is one line on standard error: a PowerShell reads it.
pub async fn run(context: &Context, name: &str) -> miette::Result<ExitCode> {
    // Inside of a shell that a launcher has started, the launcher speaks first.
    if gate::wait(name).await == Passed::Failed {
        return Ok(ExitCode::FAILURE);
    }
    match attach(context, name).await {
        Ok(code) => Ok(code),
        Err(error) => {
            eprintln!("{}", line(&error));
            Ok(ExitCode::FAILURE)
        }
    }
}

async fn attach(context: &Context, name: &str) -> miette::Result<ExitCode> {
    let mut endings = Endings::catch().into_diagnostic()?;
    let profile = profile::load(&context.folders, name)?;
    let mut agent = match connect(context, profile, None, &mut endings).await {
        Err(ConnectError::Ended(ending)) => return Ok(ExitCode::from(ending.exit_code())),
        result => result?,
    };
    let printed = writeln!(std::io::stdout(), "{}", agent.place.socket_for_powershell());
    agent.ask(Request::Release { attaching: printed.is_ok() }).await;
    // Until it has heard that a shell is about to come.
    while agent.next().await.is_some() {}
    printed.into_diagnostic()?;
    Ok(ExitCode::SUCCESS)
}

/// An error with its advice, on one line.
fn line(error: &miette::Report) -> String {
    let text = error.to_string();
    let advice = error.help().map(|help| help.to_string());
    let parts = text.lines().chain(advice.iter().flat_map(|advice| advice.lines()));
    let parts: Vec<_> = parts.map(str::trim).filter(|part| !part.is_empty()).collect();
    format!("lyncsh: {}", parts.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::control::Failure;

    #[test]
    fn a_failure_is_one_line_that_says_what_and_what_to_do() {
        let failure = Failure {
            text: "no room\n\nThese hold it:\n  1. x".to_owned(),
            advice: Some("Close one.".to_owned()),
        };
        assert_eq!(line(&failure.into()), "lyncsh: no room; These hold it:; 1. x; Close one.");
    }
}
