//! `lyncsh edit`: a profile in the person's editor. What is saved there becomes the profile only when it
//! has no mistakes.

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::process::Command;

use miette::{Context as _, IntoDiagnostic as _};

use super::usage::{agreed, usage};
use crate::agent::paths::AgentPaths;
use crate::files::replace::{New, replace};
use crate::files::text;
use crate::folders::Folders;
use crate::platform;
use crate::profile::{self, StoreError};

/// What is looked for where neither VISUAL nor EDITOR says anything.
#[cfg(windows)]
const EDITORS: [&str; 1] = ["notepad"];
#[cfg(not(windows))]
const EDITORS: [&str; 4] = ["editor", "nano", "vim", "vi"];

/// Opens the editor on a copy, until it has no mistakes or the person gives up.
pub fn run(folders: &Folders, name: &str) -> miette::Result<()> {
    let path = folders.profile(name);
    let text = match profile::connections(folders, name) {
        // One with mistakes is what an editor is for.
        Ok(_) | Err(StoreError::Mistakes(_) | StoreError::Unreadable { .. }) => std::fs::read(&path)
            .into_diagnostic()
            .wrap_err_with(|| format!("{} can't be read", path.display()))?,
        Err(error) => return Err(error.into()),
    };
    if !std::io::stdin().is_terminal() || !crate::screen::Stream::Output.is_terminal() {
        return Err(usage!(
            help = format!("change the file itself: {}", path.display()),
            "there is no terminal for an editor"
        ));
    }
    let editor = editor()?;
    let draft = path.with_extension("draft");
    let drafted = |what: &str| format!("{} can't be {what}", draft.display());
    // A draft that was given up, or that outlived a crash, is gone on with.
    if draft.exists() {
        crate::outln!("There is a draft of '{name}' that was not finished: going on with it.");
    } else {
        write(&draft, &text).into_diagnostic().wrap_err_with(|| drafted("written"))?;
    }
    let edited = loop {
        open(&editor, &draft)?;
        let edited = std::fs::read(&draft).into_diagnostic().wrap_err_with(|| drafted("read"))?;
        match read(name, &path, &edited) {
            Ok(()) if edited == text => {
                std::fs::remove_file(&draft).into_diagnostic().wrap_err_with(|| drafted("removed"))?;
                crate::outln!("Nothing was changed.");
                return Ok(());
            }
            Ok(()) => break edited,
            Err(mistakes) => crate::screen::print_report(&mistakes),
        }
        if !agreed("Edit it again (y, or anything else to give up)? ")? {
            return Err(miette::miette!(
                help = format!("`lyncsh edit {name}` goes on with the draft: {}", draft.display()),
                "'{name}' stays as it was"
            ));
        }
    };
    replace(&path, &edited, New::Private)
        .into_diagnostic()
        .wrap_err_with(|| format!("{} can't be replaced", path.display()))?;
    std::fs::remove_file(&draft).into_diagnostic().wrap_err_with(|| drafted("removed"))?;
    crate::outln!("'{name}' is changed.");
    if AgentPaths::of(folders, name).holder().is_some() {
        crate::outln!("Its agent runs with what was there before: `lyncsh stop {name}` ends it.");
    }
    Ok(())
}

/// Whether bytes are a profile without mistakes.
fn read(name: &str, path: &Path, bytes: &[u8]) -> miette::Result<()> {
    let text = text::decode(bytes).into_diagnostic().wrap_err("this is not the text of a profile")?;
    profile::read(name, path, &text)?;
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = platform::private_file().create_new(true).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// The editor's command line, as it is usual: it may have arguments.
fn editor() -> miette::Result<String> {
    let set = ["VISUAL", "EDITOR"].into_iter().find_map(|name| {
        let value = std::env::var(name).ok()?;
        (!value.trim().is_empty()).then_some(value)
    });
    let found = || EDITORS.into_iter().find(|name| which::which(name).is_ok()).map(str::to_owned);
    set.or_else(found)
        .ok_or_else(|| miette::miette!(help = "set EDITOR to one", "no editor was found on this machine"))
}

fn open(editor: &str, draft: &Path) -> miette::Result<()> {
    let status = command(editor, draft)
        .status()
        .into_diagnostic()
        .wrap_err_with(|| format!("the editor `{editor}` can't be started"))?;
    if !status.success() {
        return Err(miette::miette!(
            help = "set EDITOR to another one; what was written so far is kept as a draft",
            "the editor `{editor}` failed: {status}"
        ));
    }
    Ok(())
}

#[cfg(windows)]
fn command(editor: &str, draft: &Path) -> Command {
    use std::os::windows::process::CommandExt as _;
    let mut command = Command::new("cmd");
    command.raw_arg(format!("/S /C \"{editor} \"{}\"\"", draft.display()));
    command
}

#[cfg(not(windows))]
fn command(editor: &str, draft: &Path) -> Command {
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(format!("{editor} \"$@\"")).arg(editor).arg(draft);
    command
}
