//! Checks of the shell, and of the modules of the kinds that need PowerShell.

use std::path::Path;
use std::time::Duration;

use super::finding::{Budget, Finding};
use crate::folders::Folders;
use crate::profile::Profile;
use crate::quote::desktop;
use crate::shell::pwsh::find::{Choice, PowerShell};
use crate::shell::pwsh::modules;

const CHECK: &str = "shell";
/// Time for `pwsh --version`, which usually takes half a second.
const VERSION_TIMEOUT: Duration = Duration::from_secs(6);
/// Time to search for programs and modules.
const SEARCH_TIMEOUT: Duration = Duration::from_secs(3);

/// Checks that the shell exists and is new enough. Returns the findings, and the PowerShell if the shell is a usable
/// one.
pub async fn shell(
    folders: &Folders,
    wanted: Option<&str>,
    services: &[&Profile],
    budget: Budget,
) -> (Vec<Finding>, Option<PowerShell>) {
    let given = wanted.map(str::to_owned);
    let choice = match budget.blocking(SEARCH_TIMEOUT, move || Choice::of(given.as_deref())).await {
        Ok(Ok(choice)) => choice,
        Ok(Err(error)) => return (vec![Finding::error(CHECK, &error)], None),
        Err(late) => {
            let found = format!("the folders in PATH did not answer {}", late.within());
            return (vec![Finding::failed(CHECK, found, None)], None);
        }
    };
    let shell = match choice {
        Choice::Console => {
            let found =
                if wanted.is_some() { "the console" } else { "the console; no PowerShell is in PATH" };
            let needs = services.iter().filter_map(|profile| {
                let module = profile.service?.module;
                let found = format!("'{}' needs PowerShell, for its module {module}", profile.name);
                Some(Finding::failed(
                    CHECK,
                    found,
                    Some("install PowerShell (https://aka.ms/powershell)".into()),
                ))
            });
            let needs: Vec<Finding> = needs.collect();
            let findings = if needs.is_empty() { vec![Finding::ok(CHECK, found)] } else { needs };
            return (findings, None);
        }
        Choice::PowerShell(shell) => shell,
    };
    let path = shell.path.display();
    let finding = match budget.limited(VERSION_TIMEOUT, shell.version(&folders.cache)).await {
        Ok(Ok(version)) => Finding::ok(CHECK, format!("PowerShell {version}: {path}")),
        Ok(Err(error)) => Finding::error(CHECK, &error),
        Err(late) => {
            // A slow start does not prevent a connection.
            let found = format!("{path} did not print its version {}", late.within());
            Finding::warning(CHECK, found, format!("run {} to see whether it starts", command(&shell.path)))
        }
    };
    (vec![finding], Some(shell))
}

/// Checks that the module of a module kind is installed.
pub async fn service(profile: &Profile, shell: Option<&PowerShell>, budget: Budget) -> Option<Finding> {
    const CHECK: &str = "module";
    let module = profile.service?.module;
    let Some(shell) = shell.cloned() else {
        return Some(Finding::skipped(CHECK, "there is no PowerShell to load it"));
    };
    let search = budget.blocking(SEARCH_TIMEOUT, move || modules::installed(&shell, module)).await;
    Some(match search {
        Ok(Some(found)) => {
            let version = found.version.map(|version| format!(" {version}")).unwrap_or_default();
            Finding::ok(CHECK, format!("{module}{version}: {}", found.folder.display()))
        }
        Ok(None) => Finding::failed(
            CHECK,
            format!("PowerShell has no module {module} in its usual folders"),
            Some(format!("run in PowerShell: Install-Module -Name {module} -Scope CurrentUser")),
        ),
        Err(late) => {
            let found = format!("the search for {module} did not end {}", late.within());
            Finding::warning(CHECK, found, format!("run in PowerShell: Get-Module -ListAvailable {module}"))
        }
    })
}

/// Returns the command line that prints the version of a PowerShell.
fn command(path: &Path) -> String {
    let words = [path.display().to_string(), "--version".to_owned()];
    format!("`{}`", if cfg!(windows) { desktop::windows(&words) } else { desktop::posix(&words) })
}
