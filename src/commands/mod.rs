//! One file for each subcommand, and what all of them begin with.

pub mod add;
pub mod attach;
pub mod connect;
pub mod demo;
pub mod edit;
pub mod entries;
mod facts;
pub mod hook;
mod keeper;
pub mod keyring;
pub mod list;
pub mod login;
pub mod names;
pub mod own;
pub mod powershell;
pub mod refresh;
pub mod remove;
pub mod session;
pub mod shell;
pub mod shortcut;
pub mod show;
pub mod slots;
pub mod status;
pub mod stop;
mod voice;

use std::io::{BufRead as _, IsTerminal as _};
use std::process::ExitCode;

use miette::{Context as _, IntoDiagnostic as _};

use crate::agent;
use crate::agent::control::Failure;
use crate::cli::{self, Cli, Command, Work};
use crate::exit::Exit;
use crate::folders::Folders;
use crate::profile::{self, StoreError};
use crate::shell::console::Lost;
use crate::shell::pwsh::arguments::ArgumentError;
use crate::shell::pwsh::find::FindError;
use crate::{output, screen};
use attach::Wanted;
use connect::{ConnectError, Context};

/// Sends the log to standard error: warnings, or more with `-vv` and `-vvv`, or as `LYNCSH_LOG` says.
pub fn start_log(verbosity: u8) {
    use tracing_subscriber::EnvFilter;
    let level = match verbosity {
        0 | 1 => "warn",
        2 => "lyncsh=info",
        _ => "lyncsh=trace",
    };
    let filter = EnvFilter::try_from_env("LYNCSH_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let colour = screen::Stream::Error.colour() == screen::Colour::Keep;
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colour).with_writer(|| screen::Log).init();
}

/// Runs one command.
pub async fn run(cli: Cli) -> miette::Result<ExitCode> {
    if matches!(cli.command, Command::Agent) {
        return Ok(agent::process::run().await);
    }
    let folders = Folders::find(cli.common.config_dir.as_deref()).into_diagnostic()?;
    names::report(&folders);
    let everything = matches!(cli.command, Command::Status(_));
    for line in agent::orphans::sweep(&folders, everything).await {
        crate::tell!("{line}");
    }
    let program =
        std::env::current_exe().into_diagnostic().wrap_err("the program's own path is not known")?;
    let config = cli.common.config_dir;
    let context = Context { folders, verbosity: cli.common.verbose, program };
    let folders = &context.folders;
    let done = |result: miette::Result<()>| result.map(|()| ExitCode::SUCCESS);
    match cli.command {
        Command::Add(add) => {
            let taken = cli::taken();
            let taken: Vec<&str> = taken.iter().map(String::as_str).collect();
            done(add::run(folders, &add, &taken).await)
        }
        Command::List(json) => done(list::run(folders, json.json)),
        Command::Show { profile, json } => done(show::run(folders, &profile.name, json.json).await),
        Command::Edit(profile) => done(edit::run(folders, &profile.name)),
        Command::Login { profile, password_stdin } => {
            done(login::run(folders, &profile.name, password_stdin).await)
        }
        Command::Completions { shell } => {
            let mut script = Vec::new();
            Cli::completions(shell, &mut script);
            output::print_data(&String::from_utf8_lossy(&script));
            Ok(ExitCode::SUCCESS)
        }
        Command::Remove { profile, yes } => {
            done(remove::run(&context, config.as_deref(), &profile.name, yes).await)
        }
        Command::Attach { profile, module, socket, facts, proxies, secret, own } => {
            let wanted = match (module, socket, facts) {
                _ if secret => Wanted::Secret,
                _ if own => Wanted::Own,
                _ if proxies => Wanted::Proxies,
                (true, ..) => Wanted::Module,
                (_, true, _) => Wanted::Socket,
                (.., true) => Wanted::Facts,
                _ => Wanted::Import,
            };
            attach::run(&context, &profile.name, wanted).await
        }
        Command::Refresh(profile) => refresh::run(&context, &profile.name).await,
        Command::Hook { action } => done(hook::run(&context, &action).await),
        Command::Shortcut(options) => shortcut::run(&context, config.as_deref(), &options).await,
        Command::Status(json) => status::run(folders, json.json).await,
        Command::Stop { profiles, all } => stop::run(folders, &profiles, all).await,
        Command::Demo(demo) => demo::run(&context, &demo).await,
        Command::Agent => Ok(ExitCode::FAILURE),
        // Parsed already: `Cli::read`.
        Command::Shell(_) => Ok(ExitCode::FAILURE),
        Command::Work(work) => {
            let connections =
                profile::connections(folders, &work.name).map_err(|error| meant(&work.name, error))?;
            let Work { shell, script, arguments, .. } = &work;
            shell::run(&context, connections, None, shell.as_deref(), script, arguments).await
        }
    }
}

/// A word that is no profile's name may have been meant for a command.
fn meant(word: &str, error: StoreError) -> miette::Report {
    let taken = cli::taken();
    match profile::nearest(word, taken.iter().map(String::as_str)) {
        Some(command) if matches!(error, StoreError::Missing { .. }) => {
            Meant { word: word.to_owned(), command: command.to_owned() }.into()
        }
        _ => error.into(),
    }
}

/// Asks a question to be answered with y.
///
/// # Errors
/// Asks for a confirmation.
fn agreed(question: &str) -> miette::Result<bool> {
    if !std::io::stdin().is_terminal() {
        return Err(usage!(help = "pass --yes", "cannot ask for confirmation: stdin is not a terminal"));
    }
    crate::out!("{question}");
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).into_diagnostic()?;
    Ok(answer.trim().eq_ignore_ascii_case("y"))
}

/// There is no profile of this name.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("there is no profile '{word}', and no command of that name")]
#[diagnostic(help("did you mean `lyncsh {command}`?"))]
struct Meant {
    word: String,
    command: String,
}

/// A usage error: the command line cannot work here, and nothing was changed.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("{text}")]
pub struct Usage {
    pub text: String,
    #[help]
    pub help: Option<String>,
}

/// A [`Usage`] as a report, written as `miette!` is.
macro_rules! usage {
    (help = $help:expr, $($text:tt)+) => {
        miette::Report::from($crate::commands::Usage { text: format!($($text)+), help: Some($help.to_string()) })
    };
    ($($text:tt)+) => {
        miette::Report::from($crate::commands::Usage { text: format!($($text)+), help: None })
    };
}
pub(crate) use usage;

/// What an error ends the program with.
pub fn exit_code(report: &miette::Report) -> ExitCode {
    match report.downcast_ref::<ConnectError>() {
        Some(ConnectError::Ended(ending)) => return ExitCode::from(ending.exit_code()),
        Some(ConnectError::Service { .. }) => return Exit::Usage.into(),
        Some(_) => return Exit::NotConnected.into(),
        None => {}
    }
    let is_usage = report.is::<StoreError>()
        || report.is::<Meant>()
        || report.is::<Usage>()
        || report.is::<FindError>()
        || report.is::<ArgumentError>()
        || report.is::<shell::Superfluous>();
    if is_usage {
        Exit::Usage.into()
    } else if report.is::<connect::NoneConnected>() || report.is::<Failure>() {
        Exit::NotConnected.into()
    } else if report.is::<Lost>() {
        Exit::Lost.into()
    } else {
        Exit::Failed.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_is_nearly_a_command_is_taken_for_it() {
        let temp = tempfile::tempdir().unwrap();
        let folders = Folders::find(Some(temp.path())).unwrap();
        let help = |word: &str| {
            let error = profile::connections(&folders, word).unwrap_err();
            meant(word, error).help().unwrap().to_string()
        };
        assert_eq!(help("statsu"), "did you mean `lyncsh status`?");
        assert_eq!(help("Sotp"), "did you mean `lyncsh stop`?");
        assert!(help("contoso").starts_with("`lyncsh add contoso"));
    }
}
