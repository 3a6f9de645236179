//! `lyncsh hook`: a tenant's cmdlets in every PowerShell, from its start.

use std::path::Path;

use clap::{Args, Subcommand};
use miette::IntoDiagnostic as _;

use super::agreed;
use super::connect::Context;
use crate::desktop::block::{self, Newline};
use crate::desktop::startup::{self, Before, Change, Place};
use crate::desktop::{Templates, hook};
use crate::exports::Exports;
use crate::folders::Folders;
use crate::profile::{self, Profile};
use crate::shell::module::{self, Module};
use crate::shell::pwsh::find::{Choice, PowerShell};

/// What is done with the hook.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Put it into the startup script of each PowerShell, after showing it
    Install {
        #[command(flatten)]
        of: Of,
        /// Don't ask
        #[arg(long)]
        yes: bool,
    },
    /// Take it out again; everything else in the scripts stays as it is
    Remove,
    /// Print its lines, for a place of your own
    Print(Of),
}

/// Whose cmdlets, and when.
#[derive(Args, Debug)]
pub struct Of {
    /// The profiles; by default all
    #[arg(value_name = "PROFILE")]
    pub names: Vec<String>,
    /// Connect at PowerShell's start, not when one of the cmdlets is first called
    #[arg(long)]
    pub eager: bool,
}

/// Does it.
pub fn run(context: &Context, action: &Action) -> miette::Result<()> {
    match action {
        Action::Install { of, yes } => install(context, of, *yes),
        Action::Remove => remove(),
        Action::Print(of) => {
            crate::output::print_data(&format!(
                "{}\n",
                block::render(&lines(context, of)?.text, Newline::Lf)
            ));
            Ok(())
        }
    }
}

/// The hook's lines, and what they stand on.
struct Lines {
    text: String,
    profiles: Vec<Profile>,
}

/// Writes the profiles' modules, and makes the lines that lead to them.
fn lines(context: &Context, of: &Of) -> miette::Result<Lines> {
    let folders = &context.folders;
    let names = if of.names.is_empty() { profile::names(folders) } else { of.names.clone() };
    if names.is_empty() {
        return Err(miette::miette!(
            help = "`lyncsh add NAME --kind KIND --user USER@DOMAIN` makes one",
            "there are no profiles for a hook to connect to"
        ));
    }
    let mut profiles = Vec::new();
    let mut scripts = Vec::new();
    let mut found = Vec::new();
    for name in &names {
        match profile::connections(folders, name) {
            Ok(connections) => found.extend(connections.profiles),
            // One that nobody has named here leaves the others.
            Err(error) if of.names.is_empty() => {
                crate::tell!("'{name}' is left out: {error}; `lyncsh show {name}` says where");
            }
            Err(error) => return Err(error.into()),
        }
    }
    for profile in found {
        // One profile can be among the connections of another.
        if profiles.iter().any(|known: &Profile| known.name == profile.name) {
            continue;
        }
        let module = Module::prepare(folders, &context.program, &profile)?;
        if of.eager {
            scripts.push(module.script);
        }
        profiles.push(profile);
    }
    let scripts: Vec<&str> = scripts.iter().map(|path| text(path)).collect::<miette::Result<_>>()?;
    let text =
        hook::lines(&Templates::of(folders), text(&module::root(folders))?, &scripts).into_diagnostic()?;
    Ok(Lines { text, profiles })
}

fn text(path: &Path) -> miette::Result<&str> {
    path.to_str()
        .ok_or_else(|| miette::miette!("{} is not Unicode, and can't stand in a script", path.display()))
}

fn install(context: &Context, of: &Of, yes: bool) -> miette::Result<()> {
    let found = found();
    let places: Vec<Place> = startup::places()?.into_iter().filter(|place| wanted(place, &found)).collect();
    if places.is_empty() {
        return Err(miette::miette!(
            help = "install PowerShell (https://aka.ms/powershell), or place the lines of `lyncsh hook print` yourself",
            "no PowerShell is on PATH"
        ));
    }
    let lines = lines(context, of)?;
    let mut changes = Vec::new();
    for place in &places {
        let change = startup::install(&place.path, &lines.text)?;
        if change.changes() {
            changes.push(change);
        } else {
            crate::outln!("{} has the hook already.", change.file().display());
        }
    }
    if !changes.is_empty() {
        show(&changes);
        if !yes && !agreed("Write them (y/N)? ", "the hook may be written")? {
            crate::outln!("Nothing is written.");
            return Ok(());
        }
        for change in changes {
            let file = change.file().to_owned();
            change.write()?;
            crate::outln!("{} is written.", file.display());
        }
    }
    first_connections(context, &lines.profiles, &found, of.eager)
}

/// A startup script is written where its PowerShell is, or was before.
fn wanted(place: &Place, found: &[PowerShell]) -> bool {
    let folder = place.path.parent().is_some_and(Path::is_dir);
    folder || cfg!(unix) || found.iter().any(|shell| shell.edition == place.edition)
}

/// The PowerShells on PATH.
fn found() -> Vec<PowerShell> {
    let names: &[&str] =
        if cfg!(windows) { &["pwsh", "pwsh-preview", "powershell"] } else { &["pwsh", "pwsh-preview"] };
    let choice = |name: &&str| match Choice::of(Some(name)) {
        Ok(Choice::PowerShell(shell)) => Some(shell),
        _ => None,
    };
    names.iter().filter_map(choice).collect()
}

fn show(changes: &[Change]) {
    for change in changes {
        let how = match change.before() {
            Before::Nothing => "does not exist yet, and is made with these lines",
            Before::OtherLines => "gets these lines at its end",
            Before::Block => "gets these lines in place of the hook that is there",
        };
        let block: String = change.block().lines().map(|line| format!("    {line}\n")).collect();
        crate::outln!("{} {how}:\n", change.file().display());
        // Lines of a script are not wrapped.
        crate::output::print_data(&format!("{block}\n"));
    }
}

fn remove() -> miette::Result<()> {
    let mut any = false;
    for place in startup::places()? {
        if let Some(removal) = startup::remove(&place.path)? {
            let file = removal.file().to_owned();
            removal.write()?;
            crate::outln!("The hook is removed from {}.", file.display());
            any = true;
        }
    }
    if !any {
        crate::outln!("No startup script has the hook.");
    }
    Ok(())
}

/// Has PowerShell import each module whose cmdlets' names are not known yet: without names there is
/// nothing for it to complete, and nothing whose first call would connect.
fn first_connections(
    context: &Context,
    profiles: &[Profile],
    found: &[PowerShell],
    eager: bool,
) -> miette::Result<()> {
    let folders = &context.folders;
    let mut failed = Vec::new();
    for profile in profiles.iter().filter(|profile| !knows_names(folders, profile)) {
        let name = &profile.name;
        if profile.service.is_some() {
            if !eager {
                crate::outln!(
                    "'{name}' signs in when its module is imported: with --eager, `lyncsh {name}`, or `lyncsh attach {name} | Invoke-Expression`."
                );
            }
            continue;
        }
        if !profile.import.cache {
            if !eager {
                crate::outln!(
                    "'{name}' keeps no cmdlets' names ({}): they are not known before it is imported, with --eager or `lyncsh {name}`.",
                    profile.import.why_uncached()
                );
            }
            continue;
        }
        let Some(shell) = found.first() else {
            crate::outln!(
                "No PowerShell is on PATH: the cmdlets of '{name}' are there once `lyncsh {name}` has opened one."
            );
            continue;
        };
        crate::outln!("Connecting to '{name}' for the first time, for the names of its cmdlets.");
        if !import(context, shell, &Module::prepare(folders, &context.program, profile)?)? {
            failed.push(name.as_str());
            continue;
        }
        // The manifest takes the names.
        Module::prepare(folders, &context.program, profile)?;
        if knows_names(folders, profile) {
            crate::outln!("The cmdlets of '{name}' are there in every PowerShell from now on.");
        } else {
            failed.push(name.as_str());
        }
    }
    match failed.as_slice() {
        [] => Ok(()),
        failed => Err(miette::miette!(
            help = "`lyncsh hook install` tries it again",
            "the hook is there, but the first connection failed: {}",
            failed.join(", ")
        )),
    }
}

fn knows_names(folders: &Folders, profile: &Profile) -> bool {
    Exports::of(folders, &profile.name).names(profile.import.prefix.as_deref()).is_some()
}

/// Whether a PowerShell could import the module. It has this terminal, for questions and errors.
fn import(context: &Context, shell: &PowerShell, module: &Module) -> miette::Result<bool> {
    let command = module.import_line(&context.folders, false)?;
    let status =
        shell.command().args(["-NoLogo", "-NoProfile", "-Command", &command]).status().into_diagnostic()?;
    Ok(status.success())
}
