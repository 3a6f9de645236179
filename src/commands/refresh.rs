//! `lyncsh refresh`: rebuilds the cached proxies of a profile.

use std::process::ExitCode;

use super::attach;
use super::connect::{Context, is_ending};
use crate::exports::Exports;
use crate::profile::{self, Profile};
use crate::shell::module::Module;

/// Requests the commands of each endpoint and rewrites the proxies. The old proxies stay usable until then. A
/// failure does not affect the other connections.
pub async fn run(context: &Context, name: &str) -> miette::Result<ExitCode> {
    let profiles = profile::connections(&context.folders, name)?.profiles;
    let several = profiles.len() > 1;
    let mut code = ExitCode::SUCCESS;
    for profile in profiles {
        match one(context, &profile).await {
            Ok(ended) if ended == ExitCode::SUCCESS => {}
            Ok(_) => code = ExitCode::FAILURE,
            Err(error) if several && !is_ending(&error) => {
                crate::errln!("lyncsh: '{}': {}", profile.name, attach::line(&error));
                code = ExitCode::FAILURE;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(code)
}

async fn one(context: &Context, profile: &Profile) -> miette::Result<ExitCode> {
    let name = &profile.name;
    if let Some(service) = profile.service {
        crate::outln!("'{name}' uses the module {}: it has no cached proxies", service.module);
        return Ok(ExitCode::SUCCESS);
    }
    let exports = Exports::of(&context.folders, name);
    exports.expire()?;
    Module::prepare(&context.folders, &context.program, profile)?;
    if !profile.import.cache {
        crate::outln!("'{name}' has no cached proxies, because it has {}", profile.import.why_uncached());
        return Ok(ExitCode::SUCCESS);
    }
    let written = attach::written(context, profile).await?;
    for note in attach::notes(&written) {
        crate::errln!("lyncsh: {note}");
    }
    // The notes report that the endpoint did not answer.
    if exports.has_expired() {
        return Ok(ExitCode::FAILURE);
    }
    let count = exports.names(None).map_or(0, |names| names.len());
    crate::outln!("imported {count} cmdlets of '{name}'");
    Ok(ExitCode::SUCCESS)
}
