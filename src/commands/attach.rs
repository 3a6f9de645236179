//! `lyncsh attach NAME`: how a PowerShell that runs already gets the session.

use std::process::ExitCode;
use std::time::Duration;

use miette::IntoDiagnostic as _;
use secrecy::ExposeSecret as _;
use serde_json::json;

use super::connect::{ConnectError, Context, GIVING_UP, connect, is_ending};
use super::{facts, standalone_session, unverified};
use crate::agent::control::{ControlEvent, ControlRequest};
use crate::agent::launch::{Agent, AgentEvent};
use crate::credential;
use crate::platform::{self, ShutdownSignals};
use crate::profile::{self, Profile};
use crate::psrp::host::HostInfo;
use crate::shell::module::{self, Module, Written};
use crate::shell::pwsh::output_gate::{self, Passed};
use crate::{output, screen};

/// How often another agent is tried if one is shutting down.
const ATTEMPTS: u32 = 3;
/// Time limit for an agent's answer to an announced shell.
const AWAITS: Duration = Duration::from_secs(20);

/// What is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachOutput {
    /// A line for `Invoke-Expression`, which imports the module.
    Import,
    /// The path of the module.
    Module,
    /// The path of the agent's socket, once its session is open.
    Socket,
    /// What the module needs to know ([`facts`]), once the session is open.
    Facts,
    /// The folder of the proxies, once they are written.
    Proxies,
    /// The password or token, for a module that signs in by itself.
    Secret,
    /// What a session of the shell's own takes; and its guard from then on.
    Own,
}

/// Prints what is wanted; for a socket it starts the agent where none runs, and leaves: the agent waits
/// half a minute for the shell. A failure is one line: a PowerShell reads it.
pub async fn run(context: &Context, name: &str, wanted: AttachOutput) -> miette::Result<ExitCode> {
    if matches!(wanted, AttachOutput::Facts | AttachOutput::Proxies | AttachOutput::Secret) {
        // A PowerShell that loads the module by the first call of a command keeps this program's standard
        // error to itself: the steps, and the question for a password, are for the person.
        platform::speak_on_terminal().into_diagnostic()?;
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
            crate::tell!("lyncsh: {}", line(&error));
            Ok(super::exit_code::exit_code(&error))
        }
    }
}

/// A module that another version wrote would import commands that this one leaves out: it is written again, and
/// gets no session.
fn replaced(context: &Context, name: &str) -> miette::Report {
    let written = profile::load(&context.folders, name)
        .map_err(miette::Report::from)
        .and_then(|profile| Ok(Module::prepare(&context.folders, &context.program, &profile)?));
    match written {
        Err(error) => error,
        Ok(module) if module.is_outdated() => miette::miette!(
            help = "remove `templates/powershell` from the configuration folder, or take over lyncsh's new templates",
            "the templates of your own make a module of '{name}' that does not leave out dangerous commands"
        ),
        Ok(_) => miette::miette!(
            help = "import it again, in a new PowerShell",
            "another version of lyncsh wrote the module of '{name}'; it has been replaced"
        ),
    }
}

fn module(context: &Context, name: &str, wanted: AttachOutput) -> miette::Result<ExitCode> {
    let profiles = profile::connections(&context.folders, name)?.profiles;
    let several = profiles.len() > 1;
    for profile in profiles {
        unverified::notice(&context.folders, &profile, None);
        let module = Module::prepare(&context.folders, &context.program, &profile)?;
        let line = match wanted {
            AttachOutput::Import => module.import_line(&context.folders, several)?,
            _ => module.script.display().to_string(),
        };
        output::data(&format!("{line}\n")).into_diagnostic()?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The line in which a module gets a secret.
#[derive(serde::Serialize)]
struct HandedSecret<'a> {
    secret: &'a str,
}

/// Hands the secret of a service's profile through the pipe to the PowerShell that has asked.
async fn secret(context: &Context, name: &str) -> miette::Result<ExitCode> {
    // Inside of a shell that a launcher has started, the launcher speaks first.
    output_gate::wait(name).await;
    let profile = profile::load(&context.folders, name)?;
    if profile.service.is_none() || output::is_terminal() {
        return Err(miette::miette!(
            "a secret is handed to the module of a service's profile, and to nobody else"
        ));
    }
    unverified::notice(&context.folders, &profile, None);
    let secret = credential::fetch(&profile).await?;
    let line = output::secret_line(&HandedSecret { secret: secret.expose_secret() }).into_diagnostic()?;
    output::data(&line).into_diagnostic()?;
    Ok(ExitCode::SUCCESS)
}

async fn attach(context: &Context, name: &str, wanted: AttachOutput) -> miette::Result<ExitCode> {
    // Inside of a shell that a launcher has started, the launcher speaks first.
    if output_gate::wait(name).await == Passed::Failed {
        return Err(miette::miette!("'{name}' is not here"));
    }
    let mut endings = ShutdownSignals::catch().into_diagnostic()?;
    let profile = profile::load(&context.folders, name)?;
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
            awaits = tokio::time::timeout(AWAITS, awaits(&mut agent, process)) => awaits.unwrap_or_default(),
            ending = endings.next() => {
                agent.release(GIVING_UP).await;
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
        agent.release(GIVING_UP).await;
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
    // Inside of a shell that a launcher has started, the launcher speaks first.
    output_gate::wait(name).await;
    let profile = profile::load(&context.folders, name)?;
    let written = match written(context, &profile).await {
        Err(error) if is_ending(&error) => return Ok(super::exit_code::exit_code(&error)),
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
/// There is no session, the endpoint does not answer and nothing is kept, or the files cannot be written;
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
            agent.release(GIVING_UP).await;
            return Err(ConnectError::Ended(ending).into());
        }
    };
    agent.ask(ControlRequest::Release).await;
    let written = written?;
    // Its manifest names the commands from now on.
    Module::prepare(&context.folders, &context.program, profile)?;
    Ok(written)
}

/// An error with its advice, on one line.
pub fn line(error: &miette::Report) -> String {
    let text = error.to_string();
    let advice = error.help().map(|help| help.to_string());
    let parts = text.lines().chain(advice.iter().flat_map(|advice| advice.lines()));
    let parts: Vec<_> = parts.map(str::trim).filter(|part| !part.is_empty()).collect();
    // PowerShell writes it to the terminal as it is.
    screen::clean_line(&parts.join("; ")).into_string()
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
        assert_eq!(line(&failure.into()), "no room; These hold it:; 1. x; Close one.");
    }
}
