//! `lyncsh edit`: opens a profile in the user's editor. Changes are saved only if valid.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use miette::{Context as _, IntoDiagnostic as _};

use super::names;
use super::usage::{confirm_default_no, usage};
use crate::agent::paths::AgentPaths;
use crate::files::replace::{New, replace};
use crate::files::text;
use crate::folders::Folders;
use crate::platform;
use crate::profile::{self, StoreError};
use crate::screen;

/// Editors to look for if VISUAL and EDITOR are not set.
#[cfg(windows)]
const EDITORS: [&str; 1] = ["notepad"];
#[cfg(not(windows))]
const EDITORS: [&str; 4] = ["editor", "nano", "vim", "vi"];

/// Opens the editor on a copy until the copy is valid or the user gives up.
pub fn run(folders: &Folders, name: &str) -> miette::Result<()> {
    names::check_own(folders, name, "edit")?;
    let path = folders.profile(name);
    let text = match profile::connections(folders, name) {
        // Invalid profiles can be edited.
        Ok(_) | Err(StoreError::Mistakes(_) | StoreError::Unreadable { .. }) => std::fs::read(&path)
            .into_diagnostic()
            .wrap_err_with(|| format!("cannot read {}", path.display()))?,
        Err(error) => return Err(error.into()),
    };
    if !screen::can_ask() || !screen::Stream::Output.is_terminal() {
        return Err(usage!(
            help = format!("edit the file directly: {}", path.display()),
            "cannot open an editor: no terminal"
        ));
    }
    let editor = editor()?;
    let draft = path.with_extension("draft");
    let drafted = |what: &str| format!("cannot {what} {}", draft.display());
    // Continues a draft that the user or a crash left.
    if draft.exists() {
        crate::outln!("Continuing with an unfinished draft of '{name}'.");
    } else {
        write(&draft, &text).into_diagnostic().wrap_err_with(|| drafted("write"))?;
    }
    let edited = loop {
        open(&editor, &draft)?;
        let edited = std::fs::read(&draft).into_diagnostic().wrap_err_with(|| drafted("read"))?;
        match read(name, &path, &edited) {
            Ok(()) if edited == text => {
                std::fs::remove_file(&draft).into_diagnostic().wrap_err_with(|| drafted("remove"))?;
                crate::outln!("Nothing was changed.");
                return Ok(());
            }
            Ok(()) => break edited,
            Err(mistakes) => screen::print_report(&mistakes),
        }
        if !confirm_default_no("Edit it again (y/N)? ")? {
            return Err(miette::miette!(
                help = format!("continue the draft with `lyncsh edit {name}`: {}", draft.display()),
                "'{name}' was not modified"
            ));
        }
    };
    replace(&path, &edited, New::Private)
        .into_diagnostic()
        .wrap_err_with(|| format!("cannot replace {}", path.display()))?;
    std::fs::remove_file(&draft).into_diagnostic().wrap_err_with(|| drafted("remove"))?;
    crate::outln!("'{name}' is changed.");
    if AgentPaths::of(folders, name).holder().is_some() {
        crate::outln!("Its agent still uses the previous settings: stop it with `lyncsh stop {name}`.");
    }
    Ok(())
}

/// Checks that bytes are a valid profile.
fn read(name: &str, path: &Path, bytes: &[u8]) -> miette::Result<()> {
    let text = text::decode(bytes).into_diagnostic().wrap_err("invalid profile: not text")?;
    profile::read(name, path, &text)?;
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = platform::private_file().create_new(true).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Returns the editor's command line, which may have arguments.
fn editor() -> miette::Result<String> {
    let set = ["VISUAL", "EDITOR"].into_iter().find_map(|name| {
        let value = std::env::var(name).ok()?;
        (!value.trim().is_empty()).then_some(value)
    });
    let found = || EDITORS.into_iter().find(|name| which::which(name).is_ok()).map(str::to_owned);
    set.or_else(found).ok_or_else(|| miette::miette!(help = "set EDITOR to an editor", "no editor found"))
}

fn open(editor: &str, draft: &Path) -> miette::Result<()> {
    let status = command(editor, draft)
        .status()
        .into_diagnostic()
        .wrap_err_with(|| format!("cannot start the editor `{editor}`"))?;
    if !status.success() {
        return Err(miette::miette!(
            help = "set EDITOR to another editor; your changes are saved as a draft",
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
