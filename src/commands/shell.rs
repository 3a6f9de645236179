//! `lyncsh NAME`: the person's shell on the session of a profile.

use std::process::ExitCode;

use secrecy::SecretString;

use super::connect::Context;
use super::powershell::{self, Sessions};
use super::session;
use crate::profile::Connections;
use crate::shell::Attached;
use crate::shell::console::{self, Console, Input};
use crate::shell::pwsh::arguments::Arguments;
use crate::shell::pwsh::find::Choice;

/// What only a PowerShell could do something with.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("the console takes no arguments, and '{extra}' is one")]
#[diagnostic(help(
    "arguments behind `--` are passed to a PowerShell: --shell pwsh; those of a script follow its name"
))]
pub struct Superfluous {
    extra: String,
}

/// Connects where no agent runs, and opens the shell that was asked for, or the profile's, or what is
/// there. A secret that is given is not asked for.
pub async fn run(
    context: &Context,
    connections: Connections,
    secret: Option<SecretString>,
    shell: Option<&str>,
    script: &[String],
    arguments: &[String],
) -> miette::Result<ExitCode> {
    match Choice::of(shell.or(connections.shell.as_deref()))? {
        Choice::PowerShell(shell) => {
            let arguments = Arguments::parse(arguments, shell.edition)?.then_script(script)?;
            let sessions = Sessions { title: connections.name, profiles: connections.profiles, secret };
            powershell::run(context, sessions, shell, arguments).await
        }
        Choice::Console => {
            for profile in &connections.profiles {
                let Some(service) = profile.service else { continue };
                let help = "install PowerShell (https://aka.ms/powershell)";
                return Err(miette::miette!(
                    help = help,
                    "'{}' needs PowerShell, for its module {}",
                    profile.name,
                    service.module
                ));
            }
            if let Some(extra) = arguments.first() {
                return Err(Superfluous { extra: extra.clone() }.into());
            }
            let console = Console::new(&context.folders, &connections);
            // All of it, before there is a session.
            let input = match Input::read(&console, script).await {
                Ok(input) => input,
                Err(exit) => return Ok(exit.into()),
            };
            let shell = async |attached: Vec<Attached>| console::run(&console, attached, input).await;
            session::run(context, connections, secret, (console.host(), console.losses()), shell).await
        }
    }
}
