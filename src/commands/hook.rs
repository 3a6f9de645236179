//! `lyncsh hook`: imports cmdlets into every new PowerShell session.

mod first;
mod prompt;

use std::path::Path;

use miette::IntoDiagnostic as _;

use self::first::{Outcome, first_connections};

use super::connect::Context;
use super::names;
use super::usage::{confirm_default_no, usage};
use crate::cli::{HookAction, HookOptions};
use crate::desktop::block::{self, Newline};
use crate::desktop::startup::{self, Before, Change, StartupScript};
use crate::desktop::{Templates, hook};
use crate::exports::Exports;
use crate::folders::Folders;
use crate::profile::{self, Profile, same_names};
use crate::shell::module::{self, Module};
use crate::shell::pwsh::find::{Choice, PowerShell};

/// Runs a subcommand of `lyncsh hook`.
pub async fn run(context: &Context, action: &HookAction) -> miette::Result<()> {
    match action {
        HookAction::Install { of, yes } => install(context, of, *yes).await,
        HookAction::Remove => remove(context),
        HookAction::Prompt { shell } => {
            crate::output::print_data(prompt::lines(*shell));
            Ok(())
        }
        HookAction::Print(of) => {
            crate::output::print_data(&format!(
                "{}\n",
                block::render(&lines(context, of)?.text, Newline::Lf)
            ));
            Ok(())
        }
    }
}

/// The hook script and its profiles.
struct Lines {
    text: String,
    profiles: Vec<Profile>,
    /// Profiles that are left out, with their errors.
    left_out: Vec<(String, miette::Report)>,
}

/// Writes the profiles' modules and renders the hook script that imports them.
fn lines(context: &Context, of: &HookOptions) -> miette::Result<Lines> {
    let folders = &context.folders;
    let listed = if of.names.is_empty() { profile::names(folders) } else { of.names.clone() };
    if listed.is_empty() {
        return Err(usage!(
            help = "create a profile with `lyncsh add NAME --kind KIND --user USER@DOMAIN`",
            "cannot create a hook: there are no profiles"
        ));
    }
    let (mut profiles, mut left_out) = (Vec::<Profile>::new(), Vec::new());
    for name in &listed {
        match profile::connections(folders, name) {
            // One profile can be among the connections of another.
            Ok(connections) => profiles.extend(connections.profiles),
            Err(error) if listed.len() == 1 => return Err(error.into()),
            // An invalid profile does not affect the others.
            Err(error) => left_out.push((name.clone(), error.into())),
        }
    }
    listed.iter().filter_map(|name| names::hidden(folders, name)).for_each(|line| crate::errln!("{line}"));
    let mut seen = std::collections::HashSet::new();
    profiles.retain(|profile| seen.insert(profile.name.clone()));
    check_distinct(folders, &profiles)?;
    let mut scripts = Vec::new();
    for profile in &profiles {
        let module = Module::prepare(folders, &context.program, profile)?;
        if of.eager {
            scripts.push(module.script);
        }
    }
    let scripts: Vec<&str> = scripts.iter().map(|path| text(path)).collect::<miette::Result<_>>()?;
    let text =
        hook::lines(&Templates::of(folders), text(&module::root(folders))?, &scripts).into_diagnostic()?;
    Ok(Lines { text, profiles, left_out })
}

/// Refuses two profiles with cmdlets of the same names: PowerShell would call one of them without a warning.
fn check_distinct(folders: &Folders, profiles: &[Profile]) -> miette::Result<()> {
    let known: Vec<Vec<String>> = profiles.iter().map(|profile| cmdlets(folders, profile)).collect();
    for (index, one) in profiles.iter().enumerate() {
        for (other, theirs) in profiles.iter().zip(&known).skip(index + 1) {
            let mut mine = known[index].iter();
            let same = mine.find(|name| theirs.iter().any(|their| their.eq_ignore_ascii_case(name)));
            if same.is_none() && !same_names(one, other) {
                continue;
            }
            let example = same.map(|name| format!(", such as {name}")).unwrap_or_default();
            return Err(usage!(
                help = format!(
                    "add `prefix = \"Lw\"` with `lyncsh edit {0}`, or install the hook for one profile: `lyncsh hook install {0}`",
                    one.name
                ),
                "'{}' and '{}' have cmdlets with the same names{example}",
                one.name,
                other.name
            ));
        }
    }
    Ok(())
}

/// Returns the known names of a profile's cmdlets.
fn cmdlets(folders: &Folders, profile: &Profile) -> Vec<String> {
    Exports::of(folders, &profile.name).names(profile.import.prefix.as_deref()).unwrap_or_default()
}

fn text(path: &Path) -> miette::Result<&str> {
    path.to_str()
        .ok_or_else(|| miette::miette!("cannot use the path {} in a script: not Unicode", path.display()))
}

async fn install(context: &Context, of: &HookOptions, yes: bool) -> miette::Result<()> {
    let found = found();
    let scripts: Vec<StartupScript> =
        startup::scripts()?.into_iter().filter(|script| wanted(script, &found)).collect();
    if scripts.is_empty() {
        return Err(usage!(
            help = "install PowerShell (https://aka.ms/powershell), or install the output of `lyncsh hook print` manually",
            "no PowerShell on PATH"
        ));
    }
    let lines = lines(context, of)?;
    let mut changes = Vec::new();
    for script in &scripts {
        let change = startup::install(&script.path, &lines.text)?;
        if change.changes() {
            changes.push(change);
        } else {
            crate::outln!("{} already has the hook.", change.file().display());
        }
    }
    if !changes.is_empty() {
        show(&changes);
        if !yes && !confirm_default_no("Write these lines (y/N)? ")? {
            crate::outln!("Nothing was written.");
            return Ok(());
        }
    }
    let mut outcomes: Vec<(String, Outcome)> =
        lines.left_out.into_iter().map(|(name, error)| (name, Outcome::Invalid(error))).collect();
    outcomes.extend(first_connections(context, &lines.profiles, of.eager).await?);
    // Checked again: the first connections added names.
    check_distinct(&context.folders, &lines.profiles)?;
    for change in changes {
        let file = change.file().to_owned();
        change.write()?;
        crate::outln!("{} is written.", file.display());
    }
    let hooked: Vec<&str> = lines.profiles.iter().map(|profile| profile.name.as_str()).collect();
    module::set_hooked(&context.folders, Some(&hooked))?;
    prepare_all(context);
    summary(&outcomes)
}

/// Rewrites the existing modules: their manifests list cmdlets for the hook's profiles only.
fn prepare_all(context: &Context) {
    for name in profile::names(&context.folders) {
        let module = Module::of(&context.folders, &name);
        if !module.manifest.is_file() {
            continue;
        }
        // An invalid profile has no cmdlets.
        if let Ok(profile) = profile::load(&context.folders, &name)
            && let Err(error) = Module::prepare(&context.folders, &context.program, &profile)
        {
            crate::errln!("lyncsh: '{name}': {error}");
        }
    }
}

fn summary(outcomes: &[(String, Outcome)]) -> miette::Result<()> {
    let width = outcomes.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    crate::outln!("\nThe hook and its profiles:");
    for (name, outcome) in outcomes {
        crate::outln!("    {name:width$}  {outcome}");
    }
    let failed: Vec<&str> =
        outcomes.iter().filter(|(_, outcome)| outcome.is_failure()).map(|(name, _)| name.as_str()).collect();
    match failed.as_slice() {
        [] => Ok(()),
        failed => Err(miette::miette!(
            help = "try again with `lyncsh hook install`",
            "the hook is installed, but the first connection failed: {}",
            failed.join(", ")
        )),
    }
}

/// Returns whether to write a startup script: its PowerShell or its folder must exist.
fn wanted(script: &StartupScript, found: &[PowerShell]) -> bool {
    let folder = script.path.parent().is_some_and(Path::is_dir);
    folder || cfg!(unix) || found.iter().any(|shell| shell.edition == script.edition)
}

/// Returns the PowerShells on PATH.
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
            Before::Nothing => "does not exist yet and will be created with these lines",
            Before::OtherLines => "will get these lines at its end",
            Before::Block => "will get these lines in place of its current hook",
        };
        let block: String = change.block().lines().map(|line| format!("    {line}\n")).collect();
        crate::outln!("{} {how}:\n", change.file().display());
        // Lines of a script are not wrapped.
        crate::output::print_data(&format!("{block}\n"));
    }
}

fn remove(context: &Context) -> miette::Result<()> {
    let mut any = false;
    for script in startup::scripts()? {
        if let Some(removal) = startup::remove(&script.path)? {
            let file = removal.file().to_owned();
            removal.write()?;
            crate::outln!("The hook is removed from {}.", file.display());
            any = true;
        }
    }
    module::set_hooked(&context.folders, None)?;
    prepare_all(context);
    if !any {
        crate::outln!("No startup script has the hook.");
    }
    Ok(())
}
