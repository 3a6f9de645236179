//! `lyncsh refresh`: the exported cmdlets of a profile anew.

use std::process::{ExitCode, Stdio};

use miette::{Context as _, IntoDiagnostic as _};

use super::connect::Context;
use crate::exports::Exports;
use crate::profile::{self, Profile};
use crate::shell::module::Module;

/// Has a PowerShell export the commands again where one is found; where none is, the next start of one
/// does it. What was exported before serves until then.
pub async fn run(context: &Context, name: &str) -> miette::Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    for profile in profile::connections(&context.folders, name)?.profiles {
        if one(context, &profile).await? != ExitCode::SUCCESS {
            code = ExitCode::FAILURE;
        }
    }
    Ok(code)
}

async fn one(context: &Context, profile: &Profile) -> miette::Result<ExitCode> {
    let name = &profile.name;
    if let Some(service) = profile.service {
        crate::outln!(
            "'{name}' has the cmdlets of the module {}, of which nothing is exported",
            service.module
        );
        return Ok(ExitCode::SUCCESS);
    }
    let exports = Exports::of(&context.folders, name);
    exports.expire()?;
    let before = exports.newest();
    let module = Module::prepare(&context.folders, &context.program, profile)?;
    if !profile.import.cache {
        crate::outln!(
            "every start imports the cmdlets of '{name}' anew: it has {}",
            profile.import.why_uncached()
        );
        return Ok(ExitCode::SUCCESS);
    }
    let named = profile.shell.as_deref().filter(|shell| *shell != "console").into_iter();
    let Some(shell) = named.chain(["pwsh", "pwsh-preview"]).find_map(|one| which::which(one).ok()) else {
        crate::outln!(
            "no PowerShell is found here; the next one that starts exports the cmdlets of '{name}' anew"
        );
        return Ok(ExitCode::SUCCESS);
    };
    let command = module.import_line(&context.folders, false)?;
    let status = tokio::process::Command::new(&shell)
        .args(["-NoLogo", "-NoProfile", "-NonInteractive", "-Command", &command])
        .stdin(Stdio::null())
        .status()
        .await
        .into_diagnostic()
        .wrap_err_with(|| format!("{} can't be started", shell.display()))?;
    // One that could not export has said why, and goes on with what was there.
    if !status.success() || exports.newest() == before {
        return Ok(ExitCode::FAILURE);
    }
    let count = exports.names(None).map_or(0, |names| names.len());
    crate::outln!("exported {count} cmdlets of '{name}'");
    Ok(ExitCode::SUCCESS)
}
