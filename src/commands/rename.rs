//! `lyncsh rename`: gives a profile another name, with its password and all files that lyncsh created for it.

use std::fs::File;
use std::time::Duration;

use miette::{Context as _, IntoDiagnostic as _};

use super::connect::Context;
use super::names::OwnEntry;
use super::usage::usage;
use super::{last_used, names, remove, shortcut, unverified};
use crate::agent::journal::Journal;
use crate::agent::paths::AgentPaths;
use crate::agent::{orphans, process};
use crate::credential;
use crate::discovery::LastDiscovery;
use crate::exports::Exports;
use crate::files::lock;
use crate::files::replace::{New, move_file, move_new, replace};
use crate::files::text;
use crate::folders::Folders;
use crate::profile::{self, Renamed, StoreError};
use crate::shell::console::Console;
use crate::shell::module::{self, Module};

/// Time limit for another process that is starting the agent.
const STARTING_TIMEOUT: Duration = Duration::from_secs(20);

/// Renames the profile. Its session must have ended: the agent and the journal know it by the old name.
pub async fn run(context: &Context, old: &str, new: &str) -> miette::Result<()> {
    let folders = &context.folders;
    // An invalid profile, and one with the name of a command, can be renamed.
    let (profile, is_group) = match profile::load(folders, old) {
        Err(error @ (StoreError::Missing { .. } | StoreError::Name { .. })) => return Err(error.into()),
        Err(StoreError::Several { .. }) => (None, true),
        result => (result.ok(), false),
    };
    names::check_own(folders, old, "rename")?;
    names::check_new(folders, new)?;
    let starting = unused(folders, old).await?;
    let entries = if is_group { Vec::new() } else { names::own_entries(profile.as_ref()) };
    let (from, to) = (folders.profile(old), folders.profile(new));
    move_new(&from, &to).into_diagnostic().wrap_err_with(|| format!("cannot rename {}", from.display()))?;
    crate::outln!("The profile '{old}' is now '{new}'.");
    refer(folders, old, new);
    for entry in entries {
        if let Some(line) = moved(folders, &entry, old, new).await {
            crate::outln!("{line}");
        }
    }
    drop(starting);
    let files = files(context, old, new).await;
    let shortcuts = shortcut::rename(context, old, new);
    remove::report_startup(old);
    files.and(shortcuts)
}

/// Moves a secret to the entry with the new name. The old entry is deleted only after the copy is stored. Returns a
/// message if the secret was not moved, or also stays in the old entry.
async fn moved(folders: &Folders, entry: &OwnEntry, old: &str, new: &str) -> Option<String> {
    let has_secret = match entry.copy_all(folders, old, new).await {
        Ok(has_secret) => has_secret,
        // Without a usable keyring, there is probably no password in it.
        Err(error) => {
            return Some(format!(
                "Its password was not moved ({error}). If it had one, store it again with `lyncsh login {new}{}`.",
                entry.option
            ));
        }
    };
    let from = entry.of(old);
    let others = names::may_share(folders, &from);
    if !others.is_empty() {
        return has_secret.then(|| {
            format!("Its password also stays in the keyring under '{from}', for {}.", names::listed(&others))
        });
    }
    let error = credential::delete_all(folders, &from).await.err()?;
    Some(format!("A copy of its password is still in the keyring under '{from}': {error}"))
}

/// Checks that no process uses the profile. The returned lock prevents the start of its agent.
async fn unused(folders: &Folders, name: &str) -> miette::Result<File> {
    let paths = AgentPaths::of(folders, name);
    paths.prepare().into_diagnostic().wrap_err("cannot use the folder for the agent's sockets")?;
    let starting = lock::lock(&paths.starting, STARTING_TIMEOUT).await.into_diagnostic()?;
    if paths.holder().is_some() {
        return Err(usage!(
            help = format!("stop it with `lyncsh stop {name}`"),
            "cannot rename '{name}': its agent is running"
        ));
    }
    let journal = Journal::of(folders);
    if journal.has_session(name) {
        return Err(usage!(help = "exit its shells", "cannot rename '{name}': a standalone session is open"));
    }
    if journal.has_orphan(name) {
        return Err(usage!(
            help = format!("rename the profile when the endpoint is reachable; {}", orphans::advice(name)),
            "cannot rename '{name}': its last session may still be on the server"
        ));
    }
    Ok(starting)
}

/// Changes the name in the profiles that list or include the profile.
fn refer(folders: &Folders, old: &str, new: &str) {
    for other in profile::own_names(folders) {
        let path = folders.profile(&other);
        let Ok(before) = text::read(&path) else { continue };
        let renamed = Renamed { old, new, file: &folders.profile(old) };
        let Ok(Some(after)) = renamed.apply(&path, &before) else { continue };
        match replace(&path, after.as_bytes(), New::Private) {
            Ok(()) => crate::outln!("The profile '{other}' names '{new}' now."),
            Err(error) => crate::errln!("Cannot change '{old}' to '{new}' in {}: {error}", path.display()),
        }
    }
}

/// Moves the files of the profile. Files that contain its name are written again when they are needed.
async fn files(context: &Context, old: &str, new: &str) -> miette::Result<()> {
    let folders = &context.folders;
    let moved = |what: &str| format!("cannot move {what}");
    AgentPaths::of(folders, old)
        .discard()
        .await
        .into_diagnostic()
        .wrap_err("cannot remove the agent's files")?;
    let draft = |name: &str| folders.profile(name).with_extension("draft");
    move_file(&draft(old), &draft(new)).into_diagnostic().wrap_err_with(|| moved("the draft"))?;
    process::rename_log(folders, old, new).into_diagnostic().wrap_err_with(|| moved("the agent's log"))?;
    unverified::rename(folders, old, new).into_diagnostic().wrap_err_with(|| moved("its notices"))?;
    last_used::rename(folders, old, new)
        .into_diagnostic()
        .wrap_err_with(|| moved("the time of its last use"))?;
    Console::rename(folders, old, new)
        .into_diagnostic()
        .wrap_err_with(|| moved("its command names and line history"))?;
    Exports::of(folders, old).move_to(&Exports::of(folders, new))?;
    module::rename_hooked(folders, old, new)?;
    let has_module = Module::of(folders, old).manifest.is_file();
    LastDiscovery::of(folders, old).forget();
    Module::discard(folders, old)?;
    module::discard_connect_script(folders, old)?;
    if has_module && let Ok(profile) = profile::load(folders, new) {
        Module::prepare(folders, &context.program, &profile)?;
    }
    Ok(())
}
