//! `lyncsh list`: the profiles.

use miette::IntoDiagnostic as _;

use super::names;
use crate::folders::Folders;
use crate::profile;

/// One line a profile; one with mistakes says so.
pub fn run(folders: &Folders, json: bool) -> miette::Result<()> {
    let profiles = profile::names(folders);
    if json {
        crate::outln!("{}", serde_json::to_string(&profiles).into_diagnostic()?);
        return Ok(());
    }
    if profiles.is_empty() {
        crate::outln!("There are no profiles. `lyncsh add NAME --kind KIND --user USER@DOMAIN` makes one.");
    }
    let width = profiles.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    for name in &profiles {
        match profile::connections(folders, name).map(|found| found.alone()) {
            Ok(Err(several)) => {
                crate::outln!("{name:width$}  {:15}  {}", "connections", several.names().join(", "));
            }
            Ok(Ok(profile)) => {
                let user = profile.user.unwrap_or_default();
                let uri = profile.uri.map(|uri| format!("  {uri}")).unwrap_or_default();
                crate::outln!("{name:width$}  {:15}  {user}{uri}", profile.kind.to_string());
            }
            Err(error) => crate::outln!("{name:width$}  {error}; `lyncsh {name}` shows where"),
        }
    }
    for name in &profiles {
        if let Some(line) = names::hidden(folders, name) {
            crate::outln!("{line}");
        }
    }
    Ok(())
}
