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
            Ok(Stopped::Removed) => crate::outln!("'{name}': the session is removed"),
            Ok(Stopped::NotRunning) if all => {}
            Ok(Stopped::NotRunning) if is_own(folders, &name) => {
                crate::outln!("'{name}': the session is standalone; it is removed when its shell exits");
            }
            Ok(Stopped::NotRunning) => match profile::connections(folders, &name) {
                Ok(_) => crate::outln!("'{name}' has no session"),
                Err(error) => return Err(error.into()),
            },
            Ok(Stopped::Left(reason)) => {
                crate::errln!("'{name}': the session may still be on the server: {reason}");
                code = ExitCode::FAILURE;
            }
            Ok(Stopped::Killed { process, lines }) => {
                let process = in_brackets(process);
                crate::errln!("'{name}': the agent{process} did not answer and was killed");
                lines.iter().for_each(|line| crate::errln!("{line}"));
            }
            Err(error) => {
                crate::errln!("'{name}': cannot stop the agent: {error}");
                code = ExitCode::FAILURE;
            }
        }
    }
    Ok(code)
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
