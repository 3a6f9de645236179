//! `lyncsh NAME`: the person's shell on the session of a profile.

use std::process::ExitCode;

use secrecy::SecretString;

use super::connect::Context;
use super::session;
use crate::profile::Profile;
use crate::shell::Attached;
use crate::shell::console::{self, Console};

/// Connects where no agent runs, and opens the console. A secret that is given is not asked for.
pub async fn run(
    context: &Context,
    profile: Profile,
    secret: Option<SecretString>,
) -> miette::Result<ExitCode> {
    let console = Console::new(&context.folders, &profile);
    let host = console.host();
    session::run(context, profile, secret, host, async |attached: Attached| {
        console::run(&console, attached).await
    })
    .await
}
