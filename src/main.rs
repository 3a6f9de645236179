//! Parses the command line, runs one command and maps its error to an exit code.

use std::process::ExitCode;

use lyncsh::cli::{Cli, Command};
use lyncsh::{commands, credential, screen};

fn main() -> ExitCode {
    // Answers the requests of the scripts that `lyncsh completions` prints.
    commands::completions::complete();
    // The user may mean a profile whose name became a command of a later version.
    let cli = Cli::read(commands::names::report_before_parsing);
    if !matches!(cli.command, Command::Agent) {
        // The agent logs to its own file.
        commands::start_log(cli.common.verbose);
    }
    let runtime = match commands::runtime(&cli) {
        Ok(runtime) => runtime,
        Err(error) => {
            lyncsh::errln!("lyncsh: cannot start the async runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let mut code = runtime.block_on(commands::run(cli)).unwrap_or_else(|report| {
        screen::print_report(&report);
        commands::exit_code(&report).into()
    });
    if let Some(error) = lyncsh::output::lost() {
        lyncsh::errln!("lyncsh: cannot write to standard output: {error}");
        code = ExitCode::FAILURE;
    }
    runtime.block_on(credential::oauth::settle());
    // A thread that waits for a key or the keyring must not delay the exit.
    runtime.shutdown_background();
    code
}
