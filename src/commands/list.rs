//! `lyncsh list`: lists profiles.

use miette::IntoDiagnostic as _;

use super::names;
use crate::folders::Folders;
use crate::screen::width as columns;
use crate::{output, profile};

/// Width of the column for the kind.
const KIND: usize = 15;

/// Prints one line for each profile, or its error if the profile is invalid.
pub fn run(folders: &Folders, json: bool) -> miette::Result<()> {
    let profiles = profile::names(folders);
    if json {
        output::print_data(&format!("{}\n", serde_json::to_string(&profiles).into_diagnostic()?));
        return Ok(());
    }
    if profiles.is_empty() {
        crate::outln!("There are no profiles. Create one: `lyncsh add NAME --kind KIND --user USER@DOMAIN`");
    }
    let width = profiles.iter().map(|name| columns(name)).max().unwrap_or(0);
    for name in &profiles {
        let text = match profile::connections(folders, name).map(|found| found.alone()) {
            Ok(Err(several)) => format!("{:KIND$}  {}", "connections", several.names().join(", ")),
            Ok(Ok(profile)) => {
                let user = profile.user.unwrap_or_default();
                let uri = profile.uri.map(|uri| format!("  {uri}")).unwrap_or_default();
                format!("{:KIND$}  {user}{uri}", profile.kind.to_string())
            }
            Err(error) => format!("{error}; see `lyncsh {name}`"),
        };
        let gap = " ".repeat(width - columns(name));
        output::message(&format!("{name}{gap}  {text}\n"), width + KIND + 4);
    }
    for name in &profiles {
        if let Some(line) = names::hidden(folders, name) {
            crate::outln!("{line}");
        }
    }
    Ok(())
}
