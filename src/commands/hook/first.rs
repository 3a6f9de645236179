//! The first connection of each profile of a hook: PowerShell needs the names of the cmdlets to complete them
//! and to connect on the first call.

use std::fmt;

use crate::commands::attach;
use crate::commands::connect::{Context, is_ending};
use crate::exports::Exports;
use crate::folders::Folders;
use crate::profile::{Profile, StoreError};

/// Result of one profile.
pub enum Outcome {
    /// Number of known cmdlets.
    Known(usize),
    /// The names are not cached. The text states when the cmdlets become available.
    Later(String),
    Failed(String),
    /// The profile is invalid.
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
            Self::Invalid(error) => {
                write!(out, "left out: {error}")?;
                match error.downcast_ref() {
                    Some(StoreError::Missing { near: Some(near), .. }) => {
                        write!(out, "; did you mean '{near}'?")
                    }
                    _ => Ok(()),
                }
            }
        }
    }
}

/// Connects each profile whose cmdlet names are not known yet. A failure does not affect the other profiles.
///
/// # Errors
/// The user interrupts.
pub async fn first_connections(
    context: &Context,
    profiles: &[Profile],
    eager: bool,
) -> miette::Result<Vec<(String, Outcome)>> {
    let mut outcomes = Vec::new();
    for profile in profiles {
        let outcome = match first_connection(context, profile, eager).await {
            Ok(outcome) => outcome,
            Err(error) if is_ending(&error) => return Err(error),
            Err(error) => {
                crate::errln!("lyncsh: '{}': {}", profile.name, attach::line(&error));
                Outcome::Failed(error.to_string())
            }
        };
        outcomes.push((profile.name.clone(), outcome));
    }
    Ok(outcomes)
}

async fn first_connection(context: &Context, profile: &Profile, eager: bool) -> miette::Result<Outcome> {
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
            "'{name}' signs in when its module is imported: use --eager, `lyncsh {name}`, or `lyncsh attach {name} | Invoke-Expression`."
        );
        return Ok(Outcome::Later("signs in when its module is imported".to_owned()));
    }
    if !profile.import.cache {
        if eager {
            return Ok(Outcome::Later("connects at the start of PowerShell".to_owned()));
        }
        crate::outln!(
            "'{name}' does not cache cmdlet names ({}): import it with --eager or `lyncsh {name}`.",
            profile.import.why_uncached()
        );
        return Ok(Outcome::Later("does not cache cmdlet names".to_owned()));
    }
    crate::outln!("Connecting to '{name}' for the first time to get the names of its cmdlets.");
    let written = attach::written(context, profile).await?;
    for note in attach::notes(&written) {
        crate::errln!("lyncsh: {note}");
    }
    let Some(count) = known(folders, profile) else {
        return Ok(Outcome::Failed("cannot cache the endpoint's commands".to_owned()));
    };
    crate::outln!("The cmdlets of '{name}' are now available in every new PowerShell.");
    Ok(Outcome::Known(count))
}

fn known(folders: &Folders, profile: &Profile) -> Option<usize> {
    let names = Exports::of(folders, &profile.name).names(profile.import.prefix.as_deref());
    names.map(|names| names.len())
}
