//! `lyncsh attach NAME`: attaches a running PowerShell to the session of a profile.

use std::process::ExitCode;
use std::time::Duration;

use miette::IntoDiagnostic as _;
use secrecy::ExposeSecret as _;
use serde_json::json;

use super::connect::{ConnectError, Context, abandon, connect, is_ending};
use super::{facts, last_used, standalone_session, unverified};
use crate::agent::control::{ControlEvent, ControlRequest};
use crate::agent::launch::{Agent, AgentEvent};
use crate::credential;
use crate::platform::{self, ShutdownSignals};
use crate::profile::{self, Profile};
use crate::psrp::host::HostInfo;
use crate::shell::module::{self, Module, Written};
use crate::shell::pwsh::output_gate::{self, Passed};
use crate::{output, screen};

/// Maximum number of agents to try while agents are shutting down.
const ATTEMPTS: u32 = 3;
/// Time limit for an agent's answer to an announced shell.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// Output of `lyncsh attach`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachOutput {
    /// The import command for `Invoke-Expression`.
    Import,
    /// The path of the module.
    Module,
    /// The path of the agent's socket, after the session opened.
    Socket,
    /// The session facts for the module ([`facts`]), after the session opened.
    Facts,
    /// The folder of the written proxies.
    Proxies,
    /// The password or token, for a module that signs in by itself.
    Secret,
    /// The settings of a standalone session; the process then guards that session.
    Own,
}

/// Prints the requested output. For a socket, starts the agent if it is not running, and exits: the agent
/// waits half a minute for the shell. A failure is one line, for PowerShell to read.
pub async fn run(context: &Context, name: &str, wanted: AttachOutput) -> miette::Result<ExitCode> {
    if matches!(wanted, AttachOutput::Facts | AttachOutput::Proxies | AttachOutput::Secret) {
        // A PowerShell that loads the module on the first call of a command captures this program's standard
        // error: the progress and the password prompt must still reach the user.
        platform::redirect_errors_to_terminal().into_diagnostic()?;
    }
    let result = match wanted {
        AttachOutput::Import | AttachOutput::Module => module(context, name, wanted),
        AttachOutput::Secret => secret(context, name).await,
        AttachOutput::Own | AttachOutput::Facts if Module::of(&context.folders, name).is_outdated() => {
            Err(replaced(context, name))
        }
        AttachOutput::Own => standalone_session::run(context, name).await,
        AttachOutput::Proxies => proxies(context, name).await,
        AttachOutput::Socket | AttachOutput::Facts => attach(context, name, wanted).await,
    };
    match result {
        Ok(code) => Ok(code),
        Err(error) if wanted == AttachOutput::Facts => {
            output::print_data(&facts::error(&line(&error)));
            Ok(ExitCode::FAILURE)
        }
        Err(error) if matches!(wanted, AttachOutput::Proxies | AttachOutput::Own) => {
            output::print_data(&format!("{}\n", output::ascii_json(&json!({ "error": line(&error) }))));
            Ok(ExitCode::FAILURE)
        }
        Err(error) => {
            crate::errln!("lyncsh: {}", line(&error));
            Ok(super::exit_code::exit_code(&error).into())
        }
    }
}

/// Rewrites a module that another version wrote, and returns the error for the shell that imported the old
/// one: that module would import commands that this version leaves out.
fn replaced(context: &Context, name: &str) -> miette::Report {
    let written = profile::load(&context.folders, name)
        .map_err(miette::Report::from)
        .and_then(|profile| Ok(Module::prepare(&context.folders, &context.program, &profile)?));
    match written {
        Err(error) => error,
        Ok(module) if module.is_outdated() => miette::miette!(
            help = "remove `templates/powershell` from the configuration folder, or update it from lyncsh's templates",
            "the custom templates write a module for '{name}' that does not leave out dangerous commands"
        ),
        Ok(_) => miette::miette!(
            help = "import the module again in a new PowerShell",
            "another version of lyncsh wrote the module of '{name}'; the module was replaced"
        ),
    }
}

fn module(context: &Context, name: &str, wanted: AttachOutput) -> miette::Result<ExitCode> {
    let profiles = profile::connections(&context.folders, name)?.profiles;
    let several = profiles.len() > 1;
    for profile in profiles {
        unverified::notice(&context.folders, &profile, None);
        last_used::touch(&context.folders, &profile.name);
        let module = Module::prepare(&context.folders, &context.program, &profile)?;
        let line = match wanted {
            AttachOutput::Import => module.import_line(&context.folders, several)?,
            _ => module.script.display().to_string(),
        };
        output::data(&format!("{line}\n")).into_diagnostic()?;
    }
    Ok(ExitCode::SUCCESS)
}

/// JSON line with the secret for a module.
#[derive(serde::Serialize)]
struct HandedSecret<'a> {
    secret: &'a str,
}

/// Writes the secret of a service's profile to the pipe of the PowerShell that requested it.
async fn secret(context: &Context, name: &str) -> miette::Result<ExitCode> {
    // Inside a shell that a launcher started, the launcher writes to the terminal first.
    output_gate::wait(name).await;
    let profile = profile::load(&context.folders, name)?;
    if output::is_terminal() {
        return Err(miette::miette!("refusing to print a secret to a terminal"));
    }
    if profile.service.is_none() {
        return Err(miette::miette!("'{name}' is not a profile of a service: its secret is not printed"));
    }
    unverified::notice(&context.folders, &profile, None);
    let secret = credential::fetch(&profile).await?;
    let line = output::secret_line(&HandedSecret { secret: secret.expose_secret() }).into_diagnostic()?;
    output::data(&line).into_diagnostic()?;
    Ok(ExitCode::SUCCESS)
}

async fn attach(context: &Context, name: &str, wanted: AttachOutput) -> miette::Result<ExitCode> {
    // Inside a shell that a launcher started, the launcher writes to the terminal first.
    if output_gate::wait(name).await == Passed::Failed {
        return Err(miette::miette!("could not connect '{name}'"));
    }
    let mut endings = ShutdownSignals::catch().into_diagnostic()?;
    let profile = profile::load(&context.folders, name)?;
    last_used::touch(&context.folders, &profile.name);
    // The parent process is usually the shell that attaches.
    let process = platform::parent().unwrap_or_else(std::process::id);
    let mut attempts = 0;
    let agent = loop {
        let mut agent = match connect(context, profile.clone(), None, &mut endings).await {
            Err(ConnectError::Ended(ending)) => return Ok(ExitCode::from(ending.exit_code())),
            result => result?,
        };
        attempts += 1;
        let awaits = tokio::select! {
            awaits = tokio::time::timeout(ANSWER_TIMEOUT, awaits(&mut agent, process)) => awaits.unwrap_or_default(),
            ending = endings.next() => {
                abandon(name, agent).await;
                return Ok(ExitCode::from(ending.exit_code()));
            }
        };
        if awaits {
            break agent;
        }
        if attempts == ATTEMPTS {
            return Err(miette::miette!(
                help = "run the command again",
                "the agent of '{name}' is shutting down"
            ));
        }
    };
    let answer = match wanted {
        AttachOutput::Facts => facts::facts(context, &profile, &agent),
        _ => format!("{}\n", agent.paths.socket_for_powershell()),
    };
    if let Err(error) = output::data(&answer) {
        abandon(name, agent).await;
        return Err(error).into_diagnostic();
    }
    Ok(ExitCode::SUCCESS)
}

/// Asks an agent to wait for the shell of a process. Returns `false` if the agent is shutting down.
async fn awaits(agent: &mut Agent, process: u32) -> bool {
    agent.ask(ControlRequest::Announce { process }).await;
    loop {
        match agent.next().await {
            Some(AgentEvent::Event(ControlEvent::Awaited)) => return true,
            Some(
                AgentEvent::Event(ControlEvent::Removed { .. } | ControlEvent::Failed(_))
                | AgentEvent::Died { .. },
            )
            | None => {
                return false;
            }
            Some(AgentEvent::Event(_)) => {}
        }
    }
}

/// Writes the proxies, and prints their folder.
async fn proxies(context: &Context, name: &str) -> miette::Result<ExitCode> {
    // Inside a shell that a launcher started, the launcher writes to the terminal first.
    output_gate::wait(name).await;
    let profile = profile::load(&context.folders, name)?;
    let written = match written(context, &profile).await {
        Err(error) if is_ending(&error) => return Ok(super::exit_code::exit_code(&error).into()),
        written => written?,
    };
    let answer = json!({ "proxies": written.folder, "keep": written.is_kept, "notes": notes(&written) });
    output::data(&format!("{}\n", output::ascii_json(&answer))).into_diagnostic()?;
    Ok(ExitCode::SUCCESS)
}

/// Returns the notes for the user, one line each.
pub fn notes(written: &Written) -> Vec<String> {
    written.notes.iter().map(|note| screen::clean_line(note).into_string()).collect()
}

/// Writes the proxies of a profile's endpoint if they are missing or out of date. Connects if no agent runs.
///
/// # Errors
/// There is no session, the endpoint does not answer and nothing is cached, or the files cannot be written;
/// [`ConnectError::Ended`] on a signal to end.
pub async fn written(context: &Context, profile: &Profile) -> miette::Result<Written> {
    let mut endings = ShutdownSignals::catch().into_diagnostic()?;
    let agent = connect(context, profile.clone(), None, &mut endings).await?;
    let endpoint = facts::endpoint(profile, &agent)
        .ok_or_else(|| miette::miette!("the endpoint of '{}' is not known", profile.name))?;
    let session = async || Ok(agent.session(HostInfo::null(), profile.limits).await?.0);
    let writing = module::write(&context.folders, profile, endpoint, session);
    let written = tokio::select! {
        written = writing => written,
        ending = endings.next() => {
            abandon(&profile.name, agent).await;
            return Err(ConnectError::Ended(ending).into());
        }
    };
    agent.ask(ControlRequest::Release).await;
    let written = written?;
    // Updates the command names in the module's manifest.
    Module::prepare(&context.folders, &context.program, profile)?;
    Ok(written)
}

/// Formats an error and its help on one line.
pub fn line(error: &miette::Report) -> String {
    let text = error.to_string();
    let advice = error.help().map(|help| help.to_string());
    let joined = |text: &str, between: &str| {
        text.lines().map(str::trim).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(between)
    };
    let parts = [joined(&text, "; "), joined(&advice.unwrap_or_default(), " ")];
    // PowerShell writes the text to the terminal unchanged.
    screen::clean_line(&parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; "))
        .into_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::control::Failure;

    #[test]
    fn a_failure_is_one_line_with_advice() {
        let failure = Failure {
            text: "no room\n\nThese hold it:\n  1. x".to_owned(),
            advice: Some("Close one.\nOr wait.".to_owned()),
        };
        assert_eq!(line(&failure.into()), "no room; These hold it:; 1. x; Close one. Or wait.");
    }
}
