//! Subcommands, one file each, and their common start.

pub mod add;
pub mod attach;
pub mod completions;
pub mod connect;
pub mod copy;
#[cfg(feature = "demo")]
pub mod demo;
pub mod doctor;
pub mod edit;
pub mod entries;
pub mod exec;
mod exit_code;
mod facts;
pub mod help;
pub mod hook;
pub mod keyring;
mod last_used;
pub mod list;
pub mod login;
mod maintained_session;
pub mod man;
pub mod names;
pub mod powershell;
mod question;
pub mod refresh;
pub mod remove;
pub mod rename;
pub mod session;
mod session_reports;
pub mod shell;
pub mod shortcut;
pub mod show;
mod sign_in;
pub mod slots;
pub mod standalone_session;
pub mod status;
pub mod stop;
mod unverified;
mod usage;
pub mod watch;

use std::process::ExitCode;

use miette::{Context as _, IntoDiagnostic as _};
use tokio::runtime::Runtime;

use crate::agent;
use crate::cli::{self, Cli, Command, Work};
use crate::folders::Folders;
use crate::profile;
use crate::shell::console::exec::ErrorFormat;
use crate::{output, screen};
use attach::AttachOutput;
use connect::Context;
pub use exit_code::exit_code;
use usage::suggest_command;

/// Sends the log to standard error. `LYNCSH_LOG` overrides the level of `-vv` and `-vvv`.
pub fn start_log(verbosity: u8) {
    use tracing_subscriber::EnvFilter;
    let level = match verbosity {
        // The report of a refused certificate already has the reason.
        0 | 1 => "warn,rustls_platform_verifier=off",
        2 => "lyncsh=info",
        _ => "lyncsh=trace",
    };
    let filter = EnvFilter::try_from_env("LYNCSH_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let colour = screen::Stream::Error.colour() == screen::Colour::Keep;
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colour).with_writer(|| screen::Log).init();
}

/// Returns the async runtime for a command. `status --format` starts no threads, which would delay the prompt that runs
/// it.
pub fn runtime(cli: &Cli) -> std::io::Result<Runtime> {
    match cli.command {
        Command::Status(cli::StatusOptions { format: Some(_), .. }) => {
            tokio::runtime::Builder::new_current_thread().enable_all().build()
        }
        _ => Runtime::new(),
    }
}

/// Runs one command.
pub async fn run(cli: Cli) -> miette::Result<ExitCode> {
    if matches!(cli.command, Command::Agent) {
        return Ok(agent::process::run().await);
    }
    if let Command::Help { words } = &cli.command {
        return help::run(words).map(|()| ExitCode::SUCCESS);
    }
    let folders = Folders::find(cli.common.config_dir.as_deref()).into_diagnostic()?;
    if let Command::Status(cli::StatusOptions { format: Some(format), .. }) = &cli.command {
        // For prompts: orphaned sessions are left to the next command.
        return status::run_format(&folders, format).await;
    }
    names::report(&folders);
    // Without the configuration file, the user's own profiles are still usable.
    if let Err(error) = profile::team_folders(&folders) {
        screen::print_report(&error.into());
    }
    // The diagnosis changes nothing.
    if !matches!(cli.command, Command::Doctor { .. }) {
        let everything = matches!(cli.command, Command::Status(_) | Command::Stop { forget: true, .. });
        for line in agent::orphans::sweep(&folders, everything).await {
            crate::errln!("{line}");
        }
    }
    let program =
        std::env::current_exe().into_diagnostic().wrap_err("cannot find the path of the lyncsh program")?;
    let context = Context {
        folders,
        verbosity: cli.common.verbose,
        program,
        config_dir: cli.common.config_dir,
        errors: ErrorFormat::Text,
    };
    let folders = &context.folders;
    let done = |result: miette::Result<()>| result.map(|()| ExitCode::SUCCESS);
    match cli.command {
        Command::Add(add) => done(add::run(&context, add).await),
        Command::List(json) => done(list::run(folders, json.json).await),
        Command::Show { profile, json } => done(show::run(folders, &profile.name, json.json).await),
        Command::Edit(profile) => done(edit::run(folders, &profile.name)),
        Command::Login { profile, proxy, password_stdin, browser } => {
            let options = login::Options { stdin: password_stdin, proxy, browser };
            done(login::run(folders, &profile.name, &options).await)
        }
        Command::Completions { shell } => done(completions::run(shell)),
        Command::Man { command, output } => done(man::run(&command, output.as_deref())),
        Command::Remove { profile, yes } => done(remove::run(&context, &profile.name, yes).await),
        Command::Schema => {
            output::print_data(&format!("{:#}\n", profile::schema()));
            Ok(ExitCode::SUCCESS)
        }
        Command::Rename { old, new } => done(rename::run(&context, &old, &new).await),
        Command::Copy { old, new } => done(copy::run(folders, &old, &new).await),
        Command::Attach { profile, module, socket, facts, proxies, secret, own } => {
            let wanted = match (module, socket, facts) {
                _ if secret => AttachOutput::Secret,
                _ if own => AttachOutput::Own,
                _ if proxies => AttachOutput::Proxies,
                (true, ..) => AttachOutput::Module,
                (_, true, _) => AttachOutput::Socket,
                (.., true) => AttachOutput::Facts,
                _ => AttachOutput::Import,
            };
            attach::run(&context, &profile.name, wanted).await
        }
        Command::Refresh(profile) => refresh::run(&context, &profile.name).await,
        Command::Hook { action } => done(hook::run(&context, &action).await),
        Command::Shortcut(options) => shortcut::run(&context, &options).await,
        Command::Exec(options) => exec::run(&context, *options).await,
        Command::Status(options) => status::run(folders, options.json.json).await,
        Command::Watch { json } => watch::run(folders, json).await,
        Command::Doctor { profile, json } => doctor::run(folders, &profile.name, json.json).await,
        Command::Stop { profiles, all, forget } => stop::run(folders, &profiles, all, forget).await,
        #[cfg(feature = "demo")]
        Command::Demo(demo) => demo::run(&context, &demo).await,
        // Handled above.
        Command::Agent | Command::Help { .. } => Ok(ExitCode::FAILURE),
        // `Cli::read` replaces it with `Work`.
        Command::Shell(_) => Ok(ExitCode::FAILURE),
        Command::Work(work) => {
            let connections = profile::connections(folders, &work.name)
                .map_err(|error| suggest_command(&work.name, error))?;
            let Work { shell, script, arguments, .. } = &work;
            shell::run(&context, connections, None, shell.as_deref(), script, arguments).await
        }
    }
}
