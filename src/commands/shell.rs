//! `lyncsh NAME`: opens a shell on the session of a profile.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use miette::{Context as _, IntoDiagnostic as _};
use secrecy::SecretString;

use super::connect::{ConnectError, Context};
use super::last_used;
use super::powershell::{self, Sessions};
use super::session;
use super::unverified;
use super::usage::usage;
use crate::platform::Ending;
use crate::profile::Connections;
use crate::shell::Attached;
use crate::shell::console::{self, Console, Input};
use crate::shell::pwsh::arguments::Arguments;
use crate::shell::pwsh::find::Choice;

/// Arguments after `--` without a PowerShell.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("the console takes no PowerShell arguments, got '{extra}'")]
#[diagnostic(help("use --shell pwsh for arguments after `--`, or put a script's arguments after its name"))]
pub struct Superfluous {
    extra: String,
}

/// Prefix of the names of input files.
const INPUT: &str = ".input-";
/// Minimum age of an input file that a crashed lyncsh left.
const MIN_LEFTOVER_AGE: std::time::Duration = std::time::Duration::from_hours(24);

/// Removes input files that a crashed lyncsh left.
fn sweep(folder: &std::path::Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let is_old = || {
            let written = entry.metadata().and_then(|data| data.modified()).ok()?;
            written.elapsed().ok().map(|age| age > MIN_LEFTOVER_AGE)
        };
        if entry.file_name().to_string_lossy().starts_with(INPUT) && is_old() == Some(true) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// Reads standard input to its end, or to Ctrl-C.
pub async fn standard_input() -> miette::Result<String> {
    let read = tokio::task::spawn_blocking(console::standard_input);
    let text = tokio::select! {
        text = read => text.into_diagnostic()?,
        _ = tokio::signal::ctrl_c() => return Err(ConnectError::Ended(Ending::Interrupt).into()),
    };
    text.map_err(|error| usage!("cannot read the input: {error}"))
}

/// Writes standard input that is not a terminal to a script file: PowerShell itself would run it line by
/// line, and stop in the middle of a statement without an error. Returns `None` if the input is empty.
async fn input(context: &Context) -> miette::Result<Option<tempfile::TempPath>> {
    let text = standard_input().await?;
    if text.trim().is_empty() {
        return Ok(None);
    }
    script_file(context, &text).map(Some).into_diagnostic().wrap_err("cannot save the input for PowerShell")
}

/// Writes a text to a script file for PowerShell, which is removed when the path is dropped.
pub fn script_file(context: &Context, text: &str) -> std::io::Result<tempfile::TempPath> {
    let folder = &context.folders.runtime;
    crate::platform::private_folder(folder)?;
    sweep(folder);
    let mut file = tempfile::Builder::new().prefix(INPUT).suffix(".ps1").tempfile_in(folder)?;
    // Windows PowerShell needs the byte order mark.
    std::io::Write::write_all(&mut file, format!("\u{feff}{text}").as_bytes())?;
    // Closed: PowerShell opens scripts with FileShare.Read, which fails on Windows while another handle
    // can write (CommandDiscovery; docs/powershell.md).
    Ok(file.into_temp_path())
}

/// Connects and opens a shell: the requested one, the profile's, or the first one found. A given secret is
/// not asked for.
pub async fn run(
    context: &Context,
    connections: Connections,
    secret: Option<SecretString>,
    shell: Option<&str>,
    script: &[String],
    arguments: &[String],
) -> miette::Result<ExitCode> {
    connections.profiles.iter().for_each(|profile| last_used::touch(&context.folders, &profile.name));
    match Choice::of(shell.or(connections.shell.as_deref()))? {
        Choice::PowerShell(shell) => {
            if let Some(profile) = connections.profiles.iter().find(|profile| profile.transcript.is_some()) {
                let name = &profile.name;
                return Err(usage!(
                    help = "use --shell console, or remove transcript and let PowerShell's policy record its sessions",
                    "'{name}' has transcript, which records the console but not PowerShell"
                ));
            }
            let arguments = Arguments::parse(arguments, shell.edition)?;
            for profile in &connections.profiles {
                unverified::notice(&context.folders, profile, Some(shell.edition));
            }
            let input = if script.is_empty() && arguments.is_prompt() && !std::io::stdin().is_terminal() {
                input(context).await?
            } else {
                None
            };
            let arguments = match &input {
                Some(input) => arguments.then_script(&[input.display().to_string()])?,
                None => arguments.then_script(script)?,
            };
            let sessions = Sessions { title: connections.name, profiles: connections.profiles, secret };
            powershell::run(context, sessions, shell, arguments).await
        }
        Choice::Console => {
            for profile in &connections.profiles {
                let Some(service) = profile.service else { continue };
                let help = "install PowerShell (https://aka.ms/powershell)";
                return Err(usage!(
                    help = help,
                    "'{}' needs PowerShell, for its module {}",
                    profile.name,
                    service.module
                ));
            }
            if let Some(extra) = arguments.first() {
                return Err(Superfluous { extra: extra.clone() }.into());
            }
            let console = Console::new(&context.folders, &connections);
            // Read and checked before the session opens.
            let input = match Input::read(&console, script).await {
                Ok(input) => input,
                Err(exit) => return Ok(exit.into()),
            };
            let shell = async |attached: Vec<Attached>| console::run(&console, attached, input).await;
            session::run(context, connections, secret, (console.host(), console.on_loss()), shell).await
        }
    }
}
