//! Checks of the agent, and of orphaned sessions.

use std::time::Duration;

use super::finding::{Budget, Finding};
use crate::agent::control::Status;
use crate::agent::control_client;
use crate::agent::journal::Entry;
use crate::agent::paths::{AgentPaths, in_brackets};
use crate::folders::Folders;
use crate::screen::format_seconds;

const CHECK: &str = "agent";
/// Time for the agent's answer, for which it queries the endpoint.
const STATUS_TIMEOUT: Duration = Duration::from_secs(5);

/// Checks that the agent, if there is one, answers and has this version. Returns its status as well.
pub async fn agent(folders: &Folders, name: &str, budget: Budget) -> (Finding, Option<Status>) {
    let asked = budget.limited(STATUS_TIMEOUT, control_client::status(folders, name)).await;
    let process = AgentPaths::of(folders, name).holder();
    let silent = |reason: String| {
        let found = format!("the agent{} does not answer: {reason}", in_brackets(process));
        (Finding::failed(CHECK, found, Some(format!("stop it with `lyncsh stop {name}`"))), None)
    };
    match asked {
        Ok(Ok(Some(status))) => (running(&status), Some(status)),
        Ok(Ok(None)) => match process {
            None => (Finding::ok(CHECK, "not running"), None),
            Some(_) => silent("it is starting or ending".to_owned()),
        },
        Ok(Err(error)) => silent(error.to_string()),
        Err(late) => silent(format!("nothing {}", late.within())),
    }
}

fn running(status: &Status) -> Finding {
    let Status { profile, process, version, open, shells, .. } = status;
    let open = match open {
        Some(open) => format!("session open for {}", format_seconds(*open)),
        None => "connecting".to_owned(),
    };
    let shells = match shells.len() {
        1 => "1 shell".to_owned(),
        more => format!("{more} shells"),
    };
    let own = env!("CARGO_PKG_VERSION");
    let version = version.as_deref().unwrap_or("an earlier version");
    let found = format!("process {process}, {version}, {open}, {shells}");
    if version == own {
        return Finding::ok(CHECK, found);
    }
    let found = format!("{found}; this program is {own}");
    Finding::warning(CHECK, found, format!("run `lyncsh stop {profile}`, then `lyncsh {profile}`"))
}

/// Reports the orphaned sessions of a profile.
pub fn orphans(name: &str, left: &[Entry]) -> Vec<Finding> {
    const CHECK: &str = "orphans";
    let of_profile = left.iter().filter(|entry| entry.profile == name);
    let findings = of_profile.map(|entry| {
        let since = format_seconds(entry.written.elapsed().unwrap_or_default());
        let found = format!("an orphaned session on {}, opened {since} ago", entry.session.endpoint);
        if entry.refused {
            let found = format!("{found}; the password for its removal was refused");
            Finding::warning(CHECK, found, format!("store the correct password with `lyncsh login {name}`"))
        } else {
            Finding::warning(CHECK, found, "run `lyncsh status`, which removes it")
        }
    });
    let findings: Vec<Finding> = findings.collect();
    if findings.is_empty() { vec![Finding::ok(CHECK, "none")] } else { findings }
}
