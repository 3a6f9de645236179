//! `lyncsh stop NAME` and `lyncsh stop --all`: removes sessions immediately, even with attached shells. `--forget`
//! deletes the journal entries of sessions that cannot be removed.

use std::collections::BTreeSet;
use std::process::ExitCode;

use crate::agent::control_client::{self, Stopped};
use crate::agent::journal::Journal;
use crate::agent::paths::in_brackets;
use crate::folders::Folders;
use crate::net::display;
use crate::profile;

/// Stops the agents of `names`, or all agents. `forget`: deletes orphaned sessions from the journal.
pub async fn run(folders: &Folders, names: &[String], all: bool, forget: bool) -> miette::Result<ExitCode> {
    let journal = Journal::of(folders);
    let names = if all {
        let orphaned = journal.list_orphans().into_iter().filter(|_| forget).map(|entry| entry.profile);
        let agents = control_client::agents(folders).into_iter().map(|(_, name)| name);
        let all: BTreeSet<String> = agents.chain(orphaned).collect();
        all.into_iter().collect()
    } else {
        named(folders, names)
    };
    let mut code = ExitCode::SUCCESS;
    for name in names {
        let stopped = control_client::stop(folders, &name).await;
        let forgotten = if forget && stopped.is_ok() { journal.forget_orphans(&name) } else { Vec::new() };
        match stopped {
            Ok(stopped @ Stopped::Removed) => crate::outln!("{}", described(&name, &stopped)),
            Ok(_) if !forgotten.is_empty() => {}
            Ok(Stopped::NotRunning) if all => {}
            Ok(Stopped::NotRunning) if is_own(folders, &name) => {
                crate::outln!("'{name}': the session is standalone; it is removed when its shell exits");
            }
            Ok(Stopped::NotRunning) if journal.has_orphan(&name) => {
                for line in control_client::remove_orphans(folders, &name).await {
                    crate::errln!("{line}");
                }
                if journal.has_orphan(&name) {
                    code = ExitCode::FAILURE;
                }
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
        for entry in forgotten {
            let endpoint = display(&entry.session.endpoint);
            crate::outln!(
                "'{name}': the session on {endpoint} is forgotten. If it still exists, the server ends it at its idle \
                 timeout."
            );
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
    Journal::of(folders).has_session(name)
}

/// Replaces group profiles with their connections. A profile that cannot be read may still have an agent.
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
