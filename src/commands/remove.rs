//! `lyncsh remove`: removes a profile and all files that lyncsh created for it.

use std::time::Duration;

use miette::{Context as _, IntoDiagnostic as _};

use super::connect::Context;
use super::{last_used, names, shortcut, unverified};
use crate::agent::control_client::{self, Stopped};
use crate::agent::journal::Journal;
use crate::agent::paths::AgentPaths;
use crate::agent::{orphans, process};
use crate::credential;
use crate::credential::oauth::TokenError;
use crate::desktop::startup;
use crate::discovery::LastDiscovery;
use crate::folders::Folders;
use crate::profile::{self, Profile, StoreError};
use crate::shell::console::Console;
use crate::shell::module::{self, Module};

/// Time limit for a removal of a session that is in progress.
const REMOVAL_TIMEOUT: Duration = Duration::from_secs(5);

/// Removes the profile, its secret, its shortcuts and its cached files. Asks first, unless `yes`.
pub async fn run(context: &Context, name: &str, yes: bool) -> miette::Result<()> {
    let folders = &context.folders;
    names::check_own(folders, name, "remove")?;
    // An invalid profile can be removed.
    let profile = match profile::load(folders, name) {
        Err(error @ (StoreError::Missing { .. } | StoreError::Name { .. })) => return Err(error.into()),
        result => result.ok(),
    };
    let question = format!("Remove the profile '{name}', its password and its shortcuts (y/N)? ");
    if !yes && !super::usage::confirm_default_no(&question)? {
        crate::outln!("'{name}' was not removed.");
        return Ok(());
    }
    delete(context, name, profile.as_ref()).await
}

/// Ends the session, and removes the profile, its secrets, its shortcuts and its cached files. `profile`: `None` if it
/// has mistakes.
pub async fn delete(context: &Context, name: &str, profile: Option<&Profile>) -> miette::Result<()> {
    let folders = &context.folders;
    let path = folders.profile(name);
    end_session(folders, name).await?;
    std::fs::remove_file(&path)
        .into_diagnostic()
        .wrap_err_with(|| format!("cannot remove {}", path.display()))?;
    // The entry with the profile's name may be left from an earlier setting of the profile.
    let entry = profile.and_then(Profile::keyring_entry).unwrap_or(name);
    let others = names::may_share(folders, entry);
    if !others.is_empty() {
        crate::outln!(
            "The profile '{name}' is removed; its password stays in the keyring for {}.",
            names::listed(&others)
        );
        return discard(context, name, profile).await;
    }
    match credential::delete_all(folders, entry).await {
        Ok(true) => crate::outln!("The profile '{name}' and its password are removed."),
        Ok(false) => crate::outln!("The profile '{name}' is removed; no password was stored for it."),
        Err(_) if profile.is_some_and(|profile| profile.keyring_entry().is_none()) => {
            crate::outln!("The profile '{name}' is removed; lyncsh stored no password for it.");
        }
        Err(error @ TokenError::Lock(_)) => {
            crate::outln!(
                "The profile '{name}' is removed. Its sign-in may still be in the keyring: {error}"
            );
        }
        Err(error) => {
            crate::outln!(
                "The profile '{name}' is removed. Its password may still be in the keyring: {error}"
            );
        }
    }
    discard(context, name, profile).await
}

/// Removes the password for the proxy, the shortcuts and the cached files.
async fn discard(context: &Context, name: &str, profile: Option<&Profile>) -> miette::Result<()> {
    let entry = match profile {
        Some(profile) if profile.proxy_user.is_none() => None,
        Some(profile) => profile.proxy_entry(),
        None => Some(profile::own_proxy_entry(name)),
    };
    if let Some(entry) = entry.filter(|entry| names::may_share(&context.folders, entry).is_empty())
        && let Err(error) = credential::delete(&entry).await
    {
        tracing::debug!("cannot delete the password for the proxy: {error}");
    }
    shortcut::discard(context, name)?;
    forget(&context.folders, name).await?;
    report(&context.folders, name);
    Ok(())
}

/// Ends the session of the profile: without the profile, the session could not be removed later.
async fn end_session(folders: &Folders, name: &str) -> miette::Result<()> {
    let left = |reason: &str| {
        Err(miette::miette!(
            help = format!("remove the profile when the endpoint is reachable; {}", orphans::advice(name)),
            "the session of '{name}' may still be on the server: {reason}"
        ))
    };
    match control_client::stop(folders, name).await.into_diagnostic()? {
        Stopped::NotRunning => {}
        Stopped::Removed => crate::outln!("Its session is removed."),
        Stopped::Left(reason) => return left(&reason),
        Stopped::Killed { lines, .. } => lines.iter().for_each(|line| crate::errln!("{line}")),
    }
    let journal = Journal::of(folders);
    if journal.has_orphan(name) {
        return left("an earlier removal failed");
    }
    // An agent that has just failed to open its session may still be removing it.
    let is_free = async {
        while journal.has_session(name) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(REMOVAL_TIMEOUT, is_free).await.map_err(|_| {
        miette::miette!(
            help = "exit its shells, and try again",
            "cannot remove '{name}': a standalone session is open, or a session is being removed"
        )
    })
}

/// Removes the module, the proxies, the completion data and the history.
async fn forget(folders: &Folders, name: &str) -> miette::Result<()> {
    AgentPaths::of(folders, name)
        .discard()
        .await
        .into_diagnostic()
        .wrap_err_with(|| format!("cannot remove the agent's files in {}", folders.runtime.display()))?;
    process::discard_log(folders, name).into_diagnostic().wrap_err("cannot remove the agent's log")?;
    unverified::discard(folders, name)
        .into_diagnostic()
        .wrap_err("cannot remove the record of the profile's notices")?;
    LastDiscovery::of(folders, name).forget();
    last_used::discard(folders, name).into_diagnostic().wrap_err("cannot remove the time of its last use")?;
    Module::discard(folders, name)?;
    module::discard_connect_script(folders, name)?;
    Console::discard(folders, name)
        .into_diagnostic()
        .wrap_err("cannot remove its command names and line history")
}

/// Reports user files that still refer to the profile.
fn report(folders: &Folders, name: &str) {
    for other in profile::names(folders) {
        if let Err(StoreError::Several { connections, .. }) = profile::load(folders, &other)
            && connections.iter().any(|one| one == name)
        {
            crate::outln!("The profile '{other}' still lists it in connections.");
        }
    }
    report_startup(name);
}

/// Reports startup scripts that still import the module of the profile.
pub fn report_startup(name: &str) {
    let module = format!("lyncsh-{name}.psm1");
    for script in startup::scripts().unwrap_or_default() {
        let text = std::fs::read(&script.path).unwrap_or_default();
        if String::from_utf8_lossy(&text).contains(&module) {
            crate::outln!(
                "{} still imports it: run `lyncsh hook install --eager` to update the hook, or `lyncsh hook remove`.",
                script.path.display()
            );
        }
    }
}
