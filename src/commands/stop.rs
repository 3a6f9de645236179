//! `lyncsh stop NAME` and `lyncsh stop --all`: removes sessions immediately, even with attached shells.

use std::process::ExitCode;

use crate::agent::control_client::{self, Stopped};
use crate::agent::journal::Journal;
use crate::agent::paths::{AgentPaths, in_brackets};
use crate::folders::Folders;
use crate::profile;

/// Stops the agents of `names`, or all agents.
pub async fn run(folders: &Folders, names: &[String], all: bool) -> miette::Result<ExitCode> {
    let names = if all { AgentPaths::known(folders) } else { named(folders, names) };
    let mut code = ExitCode::SUCCESS;
    for name in names {
        match control_client::stop(folders, &name).await {
            Ok(stopped @ Stopped::Removed) => crate::outln!("{}", described(&name, &stopped)),
            Ok(Stopped::NotRunning) if all => {}
            Ok(Stopped::NotRunning) if is_own(folders, &name) => {
                crate::outln!("'{name}': the session is standalone; it is removed when its shell exits");
            }
            Ok(stopped @ Stopped::NotRunning) => match profile::connections(folders, &name) {
                Ok(_) => crate::outln!("{}", described(&name, &stopped)),
                Err(error) => return Err(error.into()),
            },
            Ok(stopped) => {
                crate::errln!("{}", described(&name, &stopped));
                if matches!(stopped, Stopped::Left(_)) {
                    code = ExitCode::FAILURE;
                }
            }
            Err(error) => {
                crate::errln!("{}", failed(&name, &error));
                code = ExitCode::FAILURE;
            }
        }
    }
    Ok(code)
}

/// Describes the result of stopping an agent, in one or more lines.
pub fn described(name: &str, stopped: &Stopped) -> String {
    match stopped {
        Stopped::Removed => format!("'{name}': the session is removed"),
        Stopped::NotRunning => format!("'{name}' has no session"),
        Stopped::Left(reason) => format!("'{name}': the session may still be on the server: {reason}"),
        Stopped::Killed { process, lines } => {
            let process = in_brackets(*process);
            let first = format!("'{name}': the agent{process} did not answer and was killed");
            [&[first], lines.as_slice()].concat().join("\n")
        }
    }
}

/// Describes the failure to stop an agent.
pub fn failed(name: &str, error: &std::io::Error) -> String {
    format!("'{name}': cannot stop the agent: {error}")
}

/// Returns whether a shell has a standalone session of this profile.
fn is_own(folders: &Folders, name: &str) -> bool {
    Journal::of(folders).live().iter().any(|entry| entry.profile == name)
}

/// Replaces group profiles by their connections. A profile that cannot be read may still have an agent.
fn named(folders: &Folders, names: &[String]) -> Vec<String> {
    let mut all = Vec::new();
    for name in names {
        match profile::connections(folders, name) {
            Ok(found) => all.extend(found.profiles.into_iter().map(|profile| profile.name)),
            Err(_) => all.push(name.clone()),
        }
    }
    all
}
