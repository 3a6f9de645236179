//! The first connection of each profile of a hook: without its cmdlets' names there is nothing for PowerShell
//! to complete, and nothing whose first call would connect.

use std::fmt;
use std::process::Child;
use std::time::{Duration, Instant};

use miette::IntoDiagnostic as _;

use crate::commands::connect::Context;
use crate::credential;
use crate::exports::Exports;
use crate::folders::Folders;
use crate::profile::Profile;
use crate::shell::module::Module;
use crate::shell::pwsh::find::PowerShell;

/// Until the import has begun, where the user is not asked for anything.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// Until it has ended: real ones took 105 s.
const IMPORT_TIMEOUT: Duration = Duration::from_secs(180);
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// How one profile went.
pub enum Outcome {
    /// So many cmdlets are known.
    Known(usize),
    /// The names are not kept: why, and when the cmdlets are there.
    Later(String),
    Failed(String),
    /// The profile has a mistake.
    Invalid(miette::Report),
}

impl Outcome {
    pub fn is_failure(&self) -> bool {
        matches!(self, Self::Failed(_) | Self::Invalid(_))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(1) => write!(out, "1 cmdlet"),
            Self::Known(count) => write!(out, "{count} cmdlets"),
            Self::Later(when) => write!(out, "{when}"),
            Self::Failed(why) => write!(out, "failed: {why}"),
            Self::Invalid(error) => write!(out, "left out: {error}"),
        }
    }
}

/// Has PowerShell import each module whose cmdlets' names are not known yet. One that fails leaves the others.
pub fn first_connections(
    context: &Context,
    profiles: &[Profile],
    found: &[PowerShell],
    eager: bool,
) -> miette::Result<Vec<(String, Outcome)>> {
    let mut outcomes = Vec::new();
    for profile in profiles {
        let outcome = match first_connection(context, profile, found, eager) {
            Ok(outcome) => outcome,
            Err(error) => Outcome::Failed(error.to_string()),
        };
        outcomes.push((profile.name.clone(), outcome));
    }
    Ok(outcomes)
}

fn first_connection(
    context: &Context,
    profile: &Profile,
    found: &[PowerShell],
    eager: bool,
) -> miette::Result<Outcome> {
    let folders = &context.folders;
    let name = &profile.name;
    if let Some(count) = known(folders, profile) {
        return Ok(Outcome::Known(count));
    }
    if profile.service.is_some() {
        if eager {
            return Ok(Outcome::Later("signs in at the start of PowerShell".to_owned()));
        }
        crate::outln!(
            "'{name}' signs in when its module is imported: with --eager, `lyncsh {name}`, or `lyncsh attach {name} | Invoke-Expression`."
        );
        return Ok(Outcome::Later("signs in when its module is imported".to_owned()));
    }
    if !profile.import.cache {
        if eager {
            return Ok(Outcome::Later("connects at the start of PowerShell".to_owned()));
        }
        crate::outln!(
            "'{name}' keeps no cmdlets' names ({}): they are not known before it is imported, with --eager or `lyncsh {name}`.",
            profile.import.why_uncached()
        );
        return Ok(Outcome::Later("keeps no cmdlets' names".to_owned()));
    }
    let Some(shell) = found.first() else {
        crate::outln!(
            "No PowerShell is on PATH: the cmdlets of '{name}' are there once `lyncsh {name}` has opened one."
        );
        return Ok(Outcome::Later(format!("no cmdlets before the first `lyncsh {name}`")));
    };
    crate::outln!("Connecting to '{name}' for the first time, for the names of its cmdlets.");
    let outcome = import(context, shell, profile)?;
    // The manifest takes the names.
    Module::prepare(folders, &context.program, profile)?;
    Ok(match (outcome, known(folders, profile)) {
        (None, Some(count)) => {
            crate::outln!("The cmdlets of '{name}' are there in every PowerShell from now on.");
            Outcome::Known(count)
        }
        (None, None) => Outcome::Failed("PowerShell exported no commands".to_owned()),
        (Some(failure), _) => {
            crate::tell!("lyncsh: '{name}': {failure}");
            Outcome::Failed(failure)
        }
    })
}

fn known(folders: &Folders, profile: &Profile) -> Option<usize> {
    let names = Exports::of(folders, &profile.name).names(profile.import.prefix.as_deref());
    names.map(|names| names.len())
}

/// Imports the module in a PowerShell, which has this terminal for questions and errors. What went wrong, if
/// anything did.
fn import(context: &Context, shell: &PowerShell, profile: &Profile) -> miette::Result<Option<String>> {
    let module = Module::prepare(&context.folders, &context.program, profile)?;
    let command = module.import_line(&context.folders, false)?;
    let mut child =
        shell.command().args(["-NoLogo", "-NoProfile", "-Command", &command]).spawn().into_diagnostic()?;
    let exports = Exports::of(&context.folders, &profile.name);
    let begun = || exports.in_progress() || credential::needs_terminal(profile);
    let result = wait(&mut child, begun);
    if result.as_ref().is_err() {
        let _ = child.kill();
        let _ = child.wait();
    }
    match result {
        Ok(status) if status.success() => Ok(None),
        Ok(_) => Ok(Some("could not connect or import; PowerShell printed the reason".to_owned())),
        Err(late) => Ok(Some(late)),
    }
}

/// Waits for the PowerShell's end, as long as it can be expected to do something. Its error says what took too
/// long.
fn wait(child: &mut Child, begun: impl Fn() -> bool) -> Result<std::process::ExitStatus, String> {
    let start = Instant::now();
    let mut importing = None;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status),
            Ok(None) => {}
            Err(error) => return Err(error.to_string()),
        }
        if importing.is_none() && begun() {
            importing = Some(Instant::now());
        }
        match importing {
            None if start.elapsed() > CONNECT_TIMEOUT => {
                return Err(format!("no session after {} s", CONNECT_TIMEOUT.as_secs()));
            }
            Some(since) if since.elapsed() > IMPORT_TIMEOUT => {
                return Err(format!("the import did not end in {} s", IMPORT_TIMEOUT.as_secs()));
            }
            _ => std::thread::sleep(POLL_INTERVAL),
        }
    }
}
