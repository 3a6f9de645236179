//! Checks of the agent, and of orphaned sessions.

use std::io::ErrorKind;
use std::time::Duration;

use super::finding::{Budget, CheckTimeout, Finding};
use crate::agent::control::Status;
use crate::agent::control_client;
use crate::agent::journal::Entry;
use crate::agent::orphans;
use crate::agent::paths::{AgentPaths, in_brackets};
use crate::credential;
use crate::folders::Folders;
use crate::profile::Profile;
use crate::screen::format_seconds;

const CHECK: &str = "agent";
/// Time limit for the agent's answer, for which it does not query the endpoint.
const STATUS_TIMEOUT: Duration = Duration::from_secs(3);

/// Checks that the agent, if there is one, answers and has this version. Returns its status as well.
pub async fn agent(folders: &Folders, name: &str, budget: Budget) -> (Finding, Option<Status>) {
    let limit = budget.share(STATUS_TIMEOUT);
    let asked = control_client::brief_status(folders, name, limit).await;
    let process = AgentPaths::of(folders, name).holder();
    let silent = |reason: String| {
        let found = format!("the agent{} does not answer: {reason}", in_brackets(process));
        (Finding::failed(CHECK, found, Some(format!("stop it with `lyncsh stop {name}`"))), None)
    };
    match asked {
        Ok(Some(status)) => (running(&status), Some(status)),
        Ok(None) if process.is_none() => (Finding::ok(CHECK, "not running"), None),
        Ok(None) => {
            let found = format!("the agent{} is starting or ending", in_brackets(process));
            (Finding::warning(CHECK, found, format!("run `lyncsh doctor {name}` again")), None)
        }
        Err(error) if error.kind() == ErrorKind::TimedOut => {
            silent(format!("no answer {}", CheckTimeout(limit).within()))
        }
        Err(error) => silent(error.to_string()),
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

/// Reports the orphaned sessions of a profile. `profile`: `None` if it cannot be read. `left`: the orphaned sessions of
/// all profiles.
pub fn orphans(name: &str, profile: Option<&Profile>, left: Result<&[Entry], CheckTimeout>) -> Vec<Finding> {
    const CHECK: &str = "orphans";
    let left = match left {
        Ok(left) => left,
        Err(late) => {
            let found = format!("the disk with the journal of sessions did not answer {}", late.within());
            return vec![Finding::failed(CHECK, found, None)];
        }
    };
    let of_profile = left.iter().filter(|entry| entry.profile == name);
    let findings = of_profile.map(|entry| {
        let since = format_seconds(entry.written.elapsed().unwrap_or_default());
        let found = format!("an orphaned session on {}, opened {since} ago", entry.session.endpoint);
        if entry.refused {
            let found = format!("{found}; the password for its removal was refused");
            let advice = if profile.is_some_and(credential::has_login) {
                format!("store the correct password with `lyncsh login {name}`")
            } else {
                format!(
                    "correct the source of the password, and run `lyncsh {name}`, which removes the session"
                )
            };
            Finding::warning(CHECK, found, format!("{advice}; {}", orphans::advice(name)))
        } else {
            let advice = format!("run `lyncsh status`, which removes it; {}", orphans::advice(name));
            Finding::warning(CHECK, found, advice)
        }
    });
    let findings: Vec<Finding> = findings.collect();
    if findings.is_empty() { vec![Finding::ok(CHECK, "none")] } else { findings }
}
